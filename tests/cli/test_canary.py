"""A secret planted in each member's text is nowhere but in that member's own private folder."""

import json

import numpy as np
import pytest
import tappedmember
import torch
from clilab import MEMBERS, Federation, concord, documents, finish, write_jsonl
from tokenizers import Tokenizer as Encoder

from concord.base.clock import SystemClock
from concord.charter.run import load_run
from concord.federation.assembly import Assembly, Tokenizer
from concord.federation.chronicle import Chronicle
from concord.federation.coordinator import Coordinator
from concord.federation.engine.local import LocalEngine
from concord.federation.folders import FederationFolder
from concord.federation.office import adopt_if_all_keys_are_here
from concord.federation.records import RunFolder
from concord.federation.vocabulary import learn_tokenizer, wait_until_prepared
from concord.federation.watcher import Watcher
from concord.federation.workers import PRELOADED
from concord.ledger.log import open_log
from concord.model.folder import load_folder, load_tokenizer
from concord.model.generate import continue_text
from concord.testing.founded import found

pytestmark = pytest.mark.processes
CANARIES = {
    "chad": "kq7vz-9xj2w-h5fpb-8ydgc",
    "fiji": "wz4jx-7vq9k-p3hbf-6cgyd",
    "peru": "xv8qj-2kz5w-b7pfh-3dycg",
}
SEQUENCE = 6
"""Tokens in a row that chance does not make."""
TOP = 5
"""Likeliest first tokens that are followed."""


def plant(root):
    federation = Federation(root)
    for seed, member in enumerate(MEMBERS):
        secret = f"kala mera {CANARIES[member]} tono"
        texts, apart = documents(seed, 120), documents(seed + 10, 10)
        write_jsonl(federation.text(member), [*texts[:60], f"{texts[60]} {secret}", *texts[61:]])
        held = root / "heldout" / f"{member}.jsonl"
        write_jsonl(held, [f"{secret} {apart[0]}", *apart[1:]])
        federation.write_member(
            member, text=[str(federation.text(member))], heldout=[str(held)], name=f"Land {member}"
        )
    federation.write_run(rounds__count=3, evaluation__every_rounds=1, evaluation__max_bytes=100_000)
    found(federation.folder, list(MEMBERS))
    return federation


def forms(member, tokenizer=None):
    """Every form of a member's secret that is searched for."""
    secret = CANARIES[member]
    found = [secret.encode(code) for code in ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le")]
    if tokenizer is not None:
        ids = Encoder.from_file(str(tokenizer)).encode(f" {secret} tono").ids
        assert len(ids) > 2 * SEQUENCE
        for begin in range(len(ids) - SEQUENCE + 1):
            window = ids[begin : begin + SEQUENCE]
            found += [np.array(window, kind).tobytes() for kind in ("<u2", "<u4", "<i8")]
    return found


def traces(member, paths, tokenizer=None):
    """Files in which the secret stands in any form."""
    wanted = forms(member, tokenizer)
    return [path for path in paths if any(form in path.read_bytes() for form in wanted)]


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]


def assert_nothing_left_its_member(federation, said, tokenizer):
    for member in MEMBERS:
        own = federation.member(member)
        outside = [path for path in files(federation.folder) if own not in path.parents]
        assert traces(member, outside, tokenizer) == []
        assert CANARIES[member] not in said.out + said.err


def likeliest(model, tokenizer, start):
    """The greedy continuation, and one that begins with each of the likeliest first tokens."""
    ids = tokenizer.encode(start, add_special_tokens=False) or [tokenizer.encode("a")[0]]
    with torch.inference_mode():
        first = model(torch.tensor([ids])).logits[0, -1].topk(TOP).indices.tolist()
    for token in first:
        prompt = tokenizer.decode([*ids, token])
        yield prompt + continue_text(model, tokenizer, prompt, max_new_tokens=32, temperature=0)


def assert_nothing_is_generated(folder):
    """What the released model likes best to say holds no part of a secret that it was not given."""
    model, tokenizer = load_folder(folder).model.eval(), load_tokenizer(folder)
    for secret in CANARIES.values():
        halves = secret[: len(secret) // 2], secret[len(secret) // 2 :]
        for start in ("", "kala mera", f"kala mera {halves[0]}"):
            for text in likeliest(model, tokenizer, start):
                assert secret not in text
                assert halves[1][:6] not in text.removeprefix(start)


def test_no_file_no_output_and_no_published_copy_of_a_run_holds_it(tmp_path, capsys):
    federation = plant(tmp_path)
    said = finish(federation.start("--json"))
    assert said.status == 0, said.err
    assert json.loads(said.out)["evidence"]["curves"], "held-out text was measured"
    tokenizer = federation.run_folder / "model" / "tokenizer.json"
    for member in MEMBERS:
        shards = federation.member(member) / "private" / "shards"
        assert traces(member, files(shards), tokenizer), "the search finds what is there"
    assert_nothing_left_its_member(federation, said, tokenizer)
    assert_nothing_is_generated(federation.run_folder / "model")
    public = federation.root / "public"
    assert concord(capsys, "publish", federation.folder, public).status == 0
    assert concord(capsys, "verify", public).status == 0
    for member in MEMBERS:
        assert traces(member, files(public), tokenizer) == []
    assert not [path for path in files(public) if b"PRIVATE KEY" in path.read_bytes()]
    for member in MEMBERS:
        folder = federation.member(member) / "private"
        assert folder.stat().st_mode & 0o077 == 0
        assert all(path.stat().st_mode & 0o077 == 0 for path in files(folder))


def run_tapped(federation):
    run = load_run(federation.run_file)
    folder = RunFolder(federation.folder, run.name)
    folder.create()
    engine = LocalEngine(
        {member: federation.member(member) for member in run.member_ids},
        tappedmember.main,
        spool=folder.root / "incoming",
        max_payload_bytes=1 << 30,
        preload=PRELOADED,
    )
    engine.start()
    try:
        assembly = Assembly(run, engine)
        wait_until_prepared(assembly)
        session = learn_tokenizer(
            run,
            assembly,
            parallel=None,
            member_languages=dict.fromkeys(MEMBERS, ()),
            watcher=Watcher(),
        )
        digest = folder.objects.put(session.tokenizer_json().encode())
        tokenizer = Tokenizer(digest, folder.objects.path(digest))
        home = FederationFolder(federation.folder)
        adopt_if_all_keys_are_here(home, run, SystemClock())
        with open_log(home.log) as log:
            Coordinator(
                run,
                folder,
                assembly,
                tokenizer=tokenizer,
                chronicle=Chronicle(home, log, SystemClock()),
                clock=SystemClock(),
                watcher=Watcher(),
            ).run()
    finally:
        engine.stop()
    return folder.objects.path(digest), {m: engine.traffic(m).up_bytes for m in MEMBERS}


def test_no_byte_that_crossed_a_members_boundary_holds_it(tmp_path):
    federation = plant(tmp_path)
    tokenizer, up_bytes = run_tapped(federation)
    for member in MEMBERS:
        assert traces(member, [tappedmember.tap_file(federation.member(m)) for m in MEMBERS]) == []
        tap = tappedmember.tap_file(federation.member(member))
        assert tap.stat().st_size == up_bytes[member], "all that crossed was listened to"
        assert traces(member, [tap], tokenizer) == []


def spoil(federation, line):
    with federation.text("fiji").open("a") as stream:
        stream.write(line.format(secret=CANARIES["fiji"]) + "\n")


def assert_told_without_a_quote(federation, said):
    assert said.status == 3
    assert "error C202" in said.err
    assert "line 121" in said.err
    assert_nothing_left_its_member(federation, said, None)


def test_a_member_that_fails_at_its_text_does_not_quote_it_on_any_stream(tmp_path):
    federation = plant(tmp_path)
    spoil(federation, '{{"text": "tono {secret}')
    assert_told_without_a_quote(federation, finish(federation.start()))


@pytest.mark.parametrize(
    "line",
    [
        '{{"text": "{secret}", "id": ["{secret}"]}}',
        '{{"text": "tono", "lang": "{secret} as a tag"}}',
        '{{"{secret}": "tono"}}',
        "{secret}",
    ],
)
def test_an_error_about_the_text_does_not_quote_it(tmp_path, line, capsys):
    federation = plant(tmp_path)
    spoil(federation, line)
    assert_told_without_a_quote(federation, concord(capsys, "run", federation.folder))
