"""`concord seal disclose` and `judge`: a sum came out impossible; who masked other values?"""

import dataclasses
import shutil

import numpy as np
import pytest
from clilab import concord

from concord.base.digest import digest_bytes
from concord.base.errors import SealRefused
from concord.ledger.sealed.dispute import Shown
from concord.testing.history import History
from concord.testing.sealed_history import SealedHistory, sealed_run
from concord.update.integer.flu import HEADER_BYTES

MEMBERS = ("chad", "fiji", "iran", "laos", "peru", "togo")
SPOILER = "fiji"


@pytest.fixture(scope="module")
def federation(tmp_path_factory):
    """A round that Fiji spoiled: it adds a large number everywhere to what it masked."""
    history = History(tmp_path_factory.mktemp("f"), MEMBERS, modes='["open", "sealed"]')
    run = SealedHistory(history, sealed_run(MEMBERS))
    run.open_epoch()
    run.call()
    run.set_up(*MEMBERS)
    run.name_masking_set(*MEMBERS)
    run.send(*(member for member in MEMBERS if member != SPOILER))
    made = run.masked(SPOILER)
    data = bytearray(made.path.read_bytes())
    vector = np.frombuffer(data, "<u2", offset=HEADER_BYTES)
    vector += np.uint16(1 << 14)
    run.files[SPOILER] = dataclasses.replace(made, update=digest_bytes(bytes(data)))
    run.say(run.commitment(SPOILER), SPOILER)
    run.name_survivors(*MEMBERS)
    run.unmask(*MEMBERS)
    run.void()
    root = history.publish()
    for member in MEMBERS:
        there = root / "members" / member / "private" / "seal" / run.run.name
        shutil.copytree(root / "seal" / member, there)
    return root


def opened(federation, capsys, tmp_path, *members):
    paths = []
    for member in members:
        path = tmp_path / f"{member}.opening"
        said = concord(capsys, "seal", "disclose", federation, "--as", member, "--out", path)
        assert said.status == 0, said.err
        assert "give it to the panel and to nobody else" in said.out
        paths.append(path)
    return paths


def test_the_one_who_masked_other_values_is_named(federation, capsys, tmp_path):
    paths = opened(federation, capsys, tmp_path, "chad", SPOILER, "iran")
    said = concord(capsys, "seal", "judge", federation, *paths)
    assert said.status == 10
    assert "fiji: did not send what it committed to" in said.err
    assert said.out.count("sent what it committed to; norm") == 2
    assert "fiji  round 1  the masked vector is not made from the values" in said.out


def test_honest_members_are_cleared(federation, capsys, tmp_path):
    paths = opened(federation, capsys, tmp_path, "chad", "togo")
    assert concord(capsys, "seal", "judge", federation, *paths).status == 0


def test_other_values_than_committed_are_seen(federation, capsys, tmp_path):
    (path,) = opened(federation, capsys, tmp_path, "chad")
    shown = Shown.decode(path.read_bytes())
    for changed in (
        {"data": shown.data[:2] + b"\x01\x00" + shown.data[4:]},
        {"salt": bytes(32)},
        {"seed": bytes(32)},
        {"secrets": shown.secrets | {"laos": bytes(32)}},
        {"data": shown.data[:-2]},
    ):
        path.write_bytes(dataclasses.replace(shown, **changed).encode())
        assert concord(capsys, "seal", "judge", federation, path).status == 10


def test_a_panel_does_not_get_so_many_that_another_member_is_laid_bare(
    federation, capsys, tmp_path
):
    paths = opened(federation, capsys, tmp_path, *MEMBERS[:5])
    said = concord(capsys, "seal", "judge", federation, *paths)
    assert said.status == 9 and "could be computed" in said.err
    assert concord(capsys, "seal", "judge", federation, *paths[2:]).status == 0


def test_an_opening_is_private_and_never_written_over(federation, capsys, tmp_path):
    (path,) = opened(federation, capsys, tmp_path, "chad")
    assert path.stat().st_mode & 0o077 == 0
    said = concord(capsys, "seal", "disclose", federation, "--as", "chad", "--out", path)
    assert said.status == 8


def test_who_sent_nothing_has_nothing_to_open(federation, capsys, tmp_path):
    said = concord(capsys, "seal", "disclose", federation, "--as", "kenya", "--out", tmp_path / "x")
    assert said.status == 9 and "sent nothing" in said.err


@pytest.mark.parametrize("data", [b"", b"CSD1", b"CSD1\xff\xff\xff\xff", b"CSD1\x02\0\0\0{}"])
def test_another_file_is_no_opening(federation, capsys, tmp_path, data):
    path = tmp_path / "noise"
    path.write_bytes(data)
    said = concord(capsys, "seal", "judge", federation, path)
    assert said.status == 9 and "no opening" in said.err
    with pytest.raises(SealRefused):
        Shown.decode(data)


def test_an_opening_that_is_not_there_is_told(federation, capsys, tmp_path):
    assert concord(capsys, "seal", "judge", federation, tmp_path / "none").status == 2
