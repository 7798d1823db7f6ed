"""`concord gate run` on gates by tasks, after a real run: evidence in the log, and a verdict."""

import json

import pytest
from clilab import MEMBERS, Federation, concord, documents, write_jsonl

from concord.base.digest import digest_bytes
from concord.testing.founded import found

CHOICES = b'{"input": "aa", "choices": ["bb", "cc"], "target": 0}\n'
ANSWERS = b'{"input": "aa", "target": "no such words"}\n'
GATES = """
[[gate]]
id = "proverbs"
metric = "task"
task = "lm-eval:proverbs"
task_digest = "{choices}"
min = "0"
min_runners = 2
[[gate]]
id = "capitals"
metric = "task"
task = "inspect:capitals"
task_digest = "{answers}"
min = "1/2"
"""


@pytest.fixture
def finished(tmp_path, capsys):
    federation = Federation(tmp_path)
    for seed, member in enumerate(MEMBERS):
        write_jsonl(federation.text(member), documents(seed))
        federation.write_member(member, text=[f"../../../text/{member}.jsonl"])
    federation.write_run(rounds__count=1, evaluation__every_rounds=0)
    digests = {"choices": digest_bytes(CHOICES), "answers": digest_bytes(ANSWERS)}
    found(federation.folder, list(MEMBERS), extra=GATES.format(**digests))
    assert concord(capsys, "run", federation.folder).status == 0
    return federation


def test_tasks_are_run_signed_and_judged(finished, capsys):
    atlas = finished.folder
    (atlas / "tasks").mkdir()
    (atlas / "tasks" / "proverbs.jsonl").write_bytes(CHOICES)
    (atlas / "tasks" / "capitals.jsonl").write_bytes(ANSWERS)
    ran = concord(capsys, "gate", "run", atlas, "--as", "all", "--json")
    assert ran.status == 1  # one gate fails
    rows = [(row["gate"], row["result"]) for row in json.loads(ran.out)]
    assert rows == [("proverbs", "passed"), ("proverbs", "passed"), ("capitals", "failed")]
    listed = json.loads(concord(capsys, "gate", "list", atlas, "--json").out)["gates"]
    assert [one["status"] for one in listed] == ["passed", "failed"]
    assert "library lm-eval" in concord(capsys, "gate", "evidence", atlas).out
