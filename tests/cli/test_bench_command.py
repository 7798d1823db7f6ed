"""`concord bench plan` as a user meets it."""

import json

import pytest
from clilab import concord

SMALL = ("bench", "plan", "--parameters", "1B", "--tokens-per-round", "1M")
RUN = """
name = "first"
roster = [{ id = "kenya" }, { id = "peru" }]

[inner]
batch_tokens = 512

[rounds]
count = 30
inner_steps = 20
"""


def test_json_holds_what_a_script_needs(capsys):
    said = concord(capsys, *SMALL, "--link", "100Mbit", "--codec", "int4", "--json")
    plan = json.loads(said.out)
    (row,) = plan["rows"]
    assert row["chosen"]
    assert row["round_s"] == pytest.approx(row["train_s"] + row["exchange_s"])
    up, down = (plan["coordinator"]["int4"][f"{way}_bytes"] for way in ("up", "down"))
    assert 0.515 < up / plan["parameters"] < 0.53
    moving_s = 8 * (up + down) / 1e8 + 2 * 0.15
    assert row["exchange_s"] == pytest.approx(moving_s + plan["coordinator"]["int4"]["core_s"])
    assert list(row["limits"].values()) != [] and plan["machines"]["hub_bits"] is None


def test_a_run_document_says_itself_what_is_trained(capsys, tmp_path):
    path = tmp_path / "first.toml"
    path.write_text(RUN)
    said = concord(capsys, "bench", "plan", str(path), "--json")
    plan = json.loads(said.out)
    assert (plan["members"], plan["rounds"]) == (2, 30)
    assert plan["work"]["round_tokens"] == 20 * 512
    assert [row["codec"] for row in plan["rows"]] == ["int4", "int4"]


def test_a_run_document_says_itself_how_much_is_trained_ahead_and_in_how_many_parts(
    capsys, tmp_path
):
    path = tmp_path / "first.toml"
    link = ("--link", "1Mbit", "--flops", "100G")
    path.write_text(RUN)
    plain = json.loads(concord(capsys, "bench", "plan", str(path), *link, "--json").out)
    path.write_text(RUN + "overlap_steps = 5\nfragments = 2\n")
    parts = json.loads(concord(capsys, "bench", "plan", str(path), *link, "--json").out)
    (row,), (whole,) = parts["rows"], plain["rows"]
    assert parts["fragments"] == 2
    sizes = [plan["coordinator"]["int4"]["up_bytes"] for plan in (parts, plain)]
    assert sizes[0] < 0.6 * sizes[1]
    ahead_s = row["train_s"] / 4
    assert row["round_s"] == pytest.approx(3 * ahead_s + max(ahead_s, row["exchange_s"]))
    assert row["exchange_s"] < 0.6 * whole["exchange_s"]
    said = concord(capsys, "bench", "plan", str(path), *link)
    assert "a round, 25% of its steps ahead:" in said.out
    assert "of the largest of 2 fragments" in said.out


def test_parts_can_be_asked_for_where_there_is_no_document(capsys):
    said = concord(capsys, *SMALL, "--codec", "int4", "--fragments", "4", "--overlap", "--json")
    plan = json.loads(said.out)
    assert plan["fragments"] == 4
    assert plan["coordinator"]["int4"]["up_bytes"] < 0.3 * 0.52 * plan["parameters"]
    for row in plan["rows"]:
        assert row["round_s"] == pytest.approx(max(row["train_s"], row["exchange_s"]))


def test_the_first_limit_is_the_one_that_is_used_most(capsys):
    said = concord(capsys, *SMALL, "--link", "1Gbit", "--codec", "int4", "--disk", "1GB")
    assert "disk " in said.out.splitlines()[-4]
    assert float(said.out.splitlines()[-4].split()[-1].rstrip("%").replace(",", "")) > 100


@pytest.mark.parametrize(
    ("words", "place", "what"),
    [
        (("--link", "fast"), "--link", "100Mbit"),
        (("--latency", "0ms"), "--latency", "above 0"),
        (("--flops", "3 lots"), "--flops", "units"),
        (("--codec", "zip"), "--codec", "update.codec"),
        (("--codec", "ring16"), "--codec", "update.down_codec"),
    ],
)
def test_a_wrong_option_is_named_with_what_it_may_be(capsys, words, place, what):
    said = concord(capsys, *SMALL, *words)
    assert said.status == 2
    assert place in said.err
    assert what in said.err


def test_neither_a_document_nor_a_size_is_refused(capsys):
    said = concord(capsys, "bench", "plan")
    assert "give a run document or --parameters" in said.err


def test_a_size_without_work_is_refused(capsys):
    said = concord(capsys, "bench", "plan", "--parameters", "7B")
    assert "--tokens-per-round" in said.err
