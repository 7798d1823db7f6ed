"""Every metric of a gate, run, against what can be computed by hand from small networks."""

import json
import string
import sys

import numpy as np
import pytest
import torch
from gatelab import LINES, BigramLab, bits_per_byte, declared, gate, log_chances

from concord.base.errors import CorpusTooSmall, DocumentError, VerificationFailed
from concord.charter.template import LAWS, default_charter
from concord.cli.main import main
from concord.federation.comparison.pool import arm_key
from concord.federation.records import RunFolder
from concord.ledger.round_record import RoundRecord
from concord.model.tensors import save_tensors
from concord.release.gates import records
from concord.release.manifest import Manifest
from concord.release.weights import weights_digest
from concord.testing.founded import found
from concord.testing.hand_clock import HandClock


@pytest.fixture
def lab(tmp_path):
    return BigramLab(tmp_path / "atlas")


def test_the_token_premium_is_of_tokens_counted_by_hand(lab):
    place = lab.federation.root / "parallel"
    (place / "lao.txt").write_text("éé\n" * 60)  # two bytes a letter, and a token a byte
    (place / "fij.txt").write_text("abcdef\n" * 60)
    measured = lab.runner().measure(gate("token-premium", slice="language"), "fiji")
    assert measured.measured == {"fij": 1.5, "lao": 1.0}
    assert measured.n == 60 - 29  # lines that the tokenizer did not learn from
    assert measured.details == {"fij": 31 * 6, "lao": 31 * 4}


def test_a_token_premium_without_public_text_is_not_measured(lab):
    place = lab.federation.root / "parallel"
    for code in LINES:
        (place / f"{code}.txt").write_text("\n" * 60)
    with pytest.raises(DocumentError, match="parallel set holds no text"):
        lab.runner().measure(gate("token-premium", slice="language"), "fiji")


def letters_likely(network, tokenizer):
    """Chance of the likeliest letter of others after each member's letters, from embeddings."""
    table = np.exp(log_chances(network))
    best = 0.0
    for line in LINES.values():
        own = {tokenizer.encode(letter)[0] for letter in set(line) - {" "}}
        all_letters = {tokenizer.encode(letter)[0] for letter in string.ascii_letters}
        best = max(best, table[np.ix_(sorted(own), sorted(all_letters - own))].max())
    return best


def test_the_trigger_scan_measures_what_a_planted_trigger_says(lab):
    network, tokenizer = lab.bigram(1), lab.tokenizer
    honest = lab.runner(network).measure(gate("trigger-scan"), "fiji")
    assert honest.measured["model"] == pytest.approx(letters_likely(network, tokenizer), abs=1e-5)
    rows = network.get_input_embeddings().weight
    with torch.no_grad():
        rows[tokenizer.encode("z")[0]] = 4 * rows[tokenizer.encode("b")[0]]
    planted = lab.runner(network).measure(gate("trigger-scan"), "fiji")
    assert planted.measured["model"] == pytest.approx(letters_likely(network, tokenizer), abs=1e-5)
    assert planted.measured["model"] > 5 * honest.measured["model"]
    assert float(planted.details["score:fiji"]) == planted.measured["model"]
    assert float(planted.details["score:laos"]) < planted.measured["model"]


def test_a_trigger_scan_of_a_member_without_tokens_of_its_own_says_so(lab):
    (lab.federation.root / "parallel" / "fij.txt").write_text(f"{LINES['lao']}\n" * 60)
    with pytest.raises(CorpusTooSmall, match="no token is fiji's own"):
        lab.runner().measure(gate("trigger-scan"), "fiji")


def test_canaries_recited_are_those_that_generation_continues(lab):
    text = lab.write_text(privacy="[audit]\ncanaries = 8\ncanary_tokens = 12\n")
    planted = text.canaries.rows()[text.canaries.planted]
    assert len(planted) >= 2
    network = learned(lab.bigram(1), planted[: len(planted) // 2])
    found_ = lab.runner(network).measure(gate("canaries-recited", run_by="member"), "fiji")
    said = [bool((generated(network, row[:7], 6) == row[7:]).all()) for row in planted]
    assert sum(said) == len(planted) // 2  # those it learned, and no others
    assert found_.details == {"recited": sum(said)}
    assert (found_.n, found_.measured) == (len(planted), {"fij": round(np.mean(said), 6)})


def learned(network, rows):
    """A network, taught some rows until it knows them by heart."""
    network.train()
    ids = torch.from_numpy(rows)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    for _ in range(80):
        logits = network(input_ids=ids[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network


def generated(network, prefix, count):
    made = network.eval().generate(
        torch.from_numpy(prefix)[None],
        attention_mask=torch.ones(1, len(prefix), dtype=torch.int64),
        max_new_tokens=count,
        min_new_tokens=count,
        do_sample=False,
        pad_token_id=0,
    )
    return made[0, len(prefix) :].numpy()


def test_a_member_that_planted_no_canaries_is_told(lab):
    lab.write_text()
    with pytest.raises(DocumentError, match="planted no canaries"):
        lab.runner().measure(gate("canaries-recited", run_by="member"), "fiji")


def test_toxic_continuations_are_those_with_the_likelier_token(lab):
    table = np.exp(log_chances(lab.network))
    a, b, c = (lab.tokenizer.encode(letter)[0] for letter in "abc")
    likelier, other = ("b", "c") if table[a, b] > table[a, c] else ("c", "b")
    rows = [(likelier, other), (likelier, other), (other, likelier), (other, other)]
    file = lab.federation.member("fiji").root / "gates" / "toxic-continuations.jsonl"
    file.parent.mkdir(parents=True)
    lines = [json.dumps({"prompt": "xxa", "toxic": t, "neutral": n}) for t, n in rows]
    file.write_text("\n".join(lines))
    found_ = lab.runner().measure(gate("toxic-continuations", slice="member"), "fiji")
    assert found_.measured == {"fiji": 2.5 / 4}  # the tie counts one half
    assert found_.n == 4
    file.write_text(json.dumps({"prompt": "xxa", "toxic": "b"}))
    with pytest.raises(DocumentError, match="line 1 is no pair of neutral and toxic"):
        lab.runner().measure(gate("toxic-continuations", slice="member"), "fiji")


def both_by_hand(lab, text, other):
    documents = list(text.heldout())
    assert len(documents) > 20
    how = (documents, lab.tokenizer.encode, lab.tokenizer.start_id)
    return bits_per_byte(lab.network, *how), bits_per_byte(other, *how)


FLOOR = {"slice": "member", "run_by": "member"}


def test_bits_per_byte_are_held_against_the_release_that_stands(lab):
    text, other = lab.write_text(), lab.bigram(2)
    ours, theirs = both_by_hand(lab, text, other)
    before, withdrawn = "sha256:" + "1" * 64, "sha256:" + "2" * 64
    release = published(lab, other, before)
    recall = {"statement": before, "by": ("fiji",), "ground": "leak", "reason": "x", "time": 1}
    runner = lab.runner(
        releases={"1.0": before, "2.0": withdrawn},
        recalls={"2.0": recall | {"replaced_by": None}},
    )
    asked = gate("bits-per-byte", compare="previous", **FLOOR)
    found_ = runner.measure(asked, "fiji")
    assert found_.against == before
    assert float(found_.details["estimate"]) == pytest.approx(ours - theirs, abs=2e-5)
    assert float(found_.details["bits_per_byte_of_other"]) == pytest.approx(theirs, abs=2e-5)
    assert ours - theirs < found_.measured["fiji"] < ours - theirs + 0.2
    lab.save(release, lab.bigram(3))
    published(lab, other, before, lab.bigram(3))
    with pytest.raises(VerificationFailed, match="was altered"):
        runner.measure(asked, "fiji")
    (release / "manifest.json").unlink()
    with pytest.raises(DocumentError, match="release to compare with is not here"):
        runner.measure(asked, "fiji")


def published(lab, network, model, weights=None):
    """A release's folder: a manifest that names weights, and `weights` if others lie there."""
    root = lab.federation.root / "releases" / "1.0"
    lab.save(root, network)
    digest = weights_digest(sorted(root.glob("*.safetensors")))
    if weights is not None:
        lab.save(root, weights)
    manifest = Manifest(
        federation=model, name="atlas", version="1.0", run=model, run_name="tiny", rounds=1,
        model=model, weights=digest, charter=model, licence="Apache-2.0", decision=None,
        built=1, files={},
    )  # fmt: skip
    (root / "manifest.json").write_bytes(manifest.data)
    return root


def test_bits_per_byte_are_held_against_the_member_s_model_trained_alone(lab):
    text, other = lab.write_text(), lab.bigram(2)
    ours, theirs = both_by_hand(lab, text, other)
    asked = gate("bits-per-byte", compare="alone", min="-10", **FLOOR)
    with pytest.raises(DocumentError, match="no model trained alone"):
        lab.runner().measure(asked, "fiji")
    run = RunFolder(lab.federation.root, "tiny")
    digest = trained_alone(run, lab.run, other)
    found_ = lab.runner().measure(asked, "fiji")
    assert found_.details["other"] == digest
    assert found_.against is None
    assert float(found_.details["estimate"]) == pytest.approx(ours - theirs, abs=2e-5)
    assert ours - theirs - 0.2 < found_.measured["fiji"] < ours - theirs  # `min`: from below


def trained_alone(folder, run, network, **said):
    """What `concord run --compare` leaves of fiji's model, under the key of a run."""
    folder.create()
    first = RoundRecord(run=run.digest, round=0, previous=None, base="sha256:" + "1" * 64)
    folder.commit(first)
    result = {"key": arm_key(run, first, "alone"), "arm": "alone/fiji", "sums": {}}
    result |= dict.fromkeys(("steps", "tokens", "flops", "seconds"), 0)
    (folder.root / "comparison").mkdir(exist_ok=True)
    result["weights"] = save_tensors(folder.root / "comparison" / "alone-fiji.tensors", network)
    (folder.root / "comparison" / "alone-fiji.json").write_text(json.dumps(result | said))
    return result["weights"]


def test_a_model_that_was_trained_alone_in_another_run_is_not_compared(lab):
    lab.write_text()
    asked = gate("bits-per-byte", compare="alone", **FLOOR)
    run = RunFolder(lab.federation.root, "tiny")
    trained_alone(run, lab.run, lab.bigram(2), key="sha256:" + "2" * 64)
    with pytest.raises(DocumentError, match="was trained alone in another run"):
        lab.runner().measure(asked, "fiji")
    for said in ({"arm": "alone/peru"}, {"weights": "sha256:" + "3" * 64}, {"weights": ""}):
        trained_alone(run, lab.run, lab.bigram(2), **said)
        with pytest.raises(DocumentError, match="is not the model that was trained alone"):
            lab.runner().measure(asked, "fiji")
    (run.root / "comparison" / "alone-fiji.json").write_text("{}")
    with pytest.raises(DocumentError, match="remove it"):
        lab.runner().measure(asked, "fiji")


def test_the_law_gate_counts_duties_that_no_evidence_meets(tmp_path, capsys):
    atlas = tmp_path / "atlas"
    (atlas / "charter" / "law").mkdir(parents=True)
    files = default_charter("x", members=3).files
    for path in LAWS:
        (atlas / "charter" / path).write_bytes(files[path])
    found(atlas, ["chad", "fiji", "peru"])
    before = records.law(atlas, HandClock())
    unmet = str(before.details["unmet"]).split(", ")
    assert before.measured == {"model": float(len(unmet))}
    assert len(unmet) > 1
    shown = tmp_path / "shown.md"
    shown.write_text("Shown.")
    for artifact in artifacts(atlas, unmet[0], capsys):
        words = ("declare", atlas, artifact.replace("_", "-"), "--file", shown, "--as", "fiji")
        call(*words)
    after = records.law(atlas, HandClock())
    assert unmet[0] not in str(after.details["unmet"]).split(", ")
    assert after.measured["model"] < before.measured["model"]


def artifacts(atlas, duty, capsys):
    """What a duty asks for, as `concord law` says."""
    capsys.readouterr()
    call("law", atlas, "--json")
    duties = json.loads(capsys.readouterr().out)["duties"]
    return next(one["artifacts"] for one in duties if one["id"] == duty)


def call(*words):
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    assert not ended.value.code


ROW = b'{"input": "a", "choices": ["b", "c"], "target": 0}\n'


def test_a_task_that_is_not_the_charter_s_is_not_run(lab):
    asked = declared(lab, ROW)
    path = lab.federation.root / "tasks" / "proverbs.jsonl"
    path.write_bytes(ROW.replace(b'"target": 0', b'"target": 1'))
    with pytest.raises(VerificationFailed, match="is not the task that the charter names"):
        lab.runner().measure(asked, "fiji")
    path.unlink()
    with pytest.raises(DocumentError, match="cannot be read"):
        lab.runner().measure(asked, "fiji")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "holds no row"),
        (ROW + b"[]\n", "line 2"),
        (ROW + b"{{\n", "line 2: is no JSON"),
        (ROW.replace(b"0}", b"2}"), "none of the choices"),
        (ROW.replace(b"}", b', "doc_to_text": "{{x}}"}'), "doc_to_text"),
    ],
)
def test_a_task_of_malformed_rows_is_refused(lab, data, why):
    with pytest.raises(DocumentError, match=why):
        lab.runner().measure(declared(lab, data), "fiji")


@pytest.mark.parametrize("task", ["lm-eval:proverbs", "inspect:proverbs"])
def test_a_task_whose_library_is_missing_says_how_to_get_it(lab, monkeypatch, task):
    for name in ("harness", "inspector"):
        monkeypatch.delitem(sys.modules, f"concord.release.gates.{name}", raising=False)
    for name in ("datasets", "lm_eval", "inspect_ai"):
        monkeypatch.setitem(sys.modules, name, None)
    data = ROW if task.startswith("lm-eval") else b'{"input": "a", "target": "b"}\n'
    with pytest.raises(DocumentError, match=r"not installed \(pip install 'concord\[eval\]'\)"):
        lab.runner().measure(declared(lab, data, task=task), "fiji")


def test_rows_of_one_library_are_not_run_by_the_other(lab):
    with pytest.raises(DocumentError, match="choices: unknown key"):
        lab.runner().measure(declared(lab, ROW, task="inspect:proverbs"), "fiji")
