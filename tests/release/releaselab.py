"""Small published releases, made in memory by all parties, for the tests beside it."""

import json

from safetensors.numpy import save_file

from concord.base.clock import SystemClock
from concord.base.digest import digest_bytes
from concord.base.tensors import TensorFile
from concord.ledger.archive import Archive
from concord.ledger.layouts import base_weights
from concord.ledger.state.library import ObjectLibrary
from concord.ledger.statements.evidence import GateEvidence, Release
from concord.ledger.statements.votes import ReleaseModel
from concord.release.build import build_release, candidate, proofs_of
from concord.release.folder import ReleaseFolder
from concord.release.gates.evidence import Measurement, sign_evidence
from concord.release.ledger import write_ledger
from concord.release.verify import verify_release
from concord.testing.history import History

VERSION = "1.0"


def history_with_a_run(root, **charter):
    """A federation after two rounds."""
    history = History(root, **charter)
    run = history.adopt(rounds={"count": 2})
    run.round_of(measured=True)
    run.round_of()
    return history, run


def model_folder(history, digest):
    """An exporter as `transformers` would write it, without torch."""

    def export(path):
        path.mkdir()
        weights = dict(base_weights(TensorFile(history.objects.path(digest))))
        save_file(weights, path / "model.safetensors", metadata={"format": "pt"})
        for name in ("config.json", "generation_config.json", "tokenizer.json"):
            (path / name).write_text(json.dumps({"name": name}))

    return export


def made_of(history, run, version=VERSION):
    archive = Archive(history.root / "log", ObjectLibrary(history.objects))
    return candidate(archive, history.objects, run=run.run.name, version=version, now=history.now)


def base_of(history, run):
    return history.state.run(run.digest).base


GATES = """
[[gate]]
id = "recited"
metric = "verbatim"
slice = "member"
max = "1/100"
run_by = "member"
[[gate]]
id = "whole"
metric = "integrity"
max = "0"
min_runners = 2
"""


def evidence(history, gate, member, model, value=0.0, *, keys=None, ran=None, said=None, **own):
    """A member runs a gate, and says what it found.

    Args:
        ran: The declaration that its file speaks of, if not the charter's.
        said: The number in its file, if not that in the log.
    """
    declared = history.replica.library.charter(history.state.charter).gate_named(gate)
    name = member if declared.slice == "member" else "model"
    found = Measurement({name: value}, 100, own)
    data = sign_evidence(
        ran or declared,
        model,
        found if said is None else Measurement({name: said}, 100, own),
        runner=member,
        charter=history.state.charter,
        keys=keys or [history.key(member)],
    )
    return history.say(
        GateEvidence(
            gate=gate,
            model=model,
            evidence=history.objects.put(data),
            result="passed" if declared.passes(found.measured) else "failed",
            measured=found.measured,
        ),
        member,
    )


def all_evidence(history, run):
    model = base_of(history, run)
    for member in ("chad", "fiji", "peru"):
        evidence(history, "recited", member, model, recited=0)
    for member in ("chad", "fiji"):
        evidence(history, "whole", member, model)


def build(history, run, version=VERSION, exporters=(), **how):
    """Publish the log, and build a release of the last base."""
    write_again(history)
    release = ReleaseFolder(history.root / "releases" / version)
    export = model_folder(history, base_of(history, run))
    manifest = build_release(
        made_of(history, run, version),
        history.root,
        release,
        exporters=[export, *exporters],
        **how,
    )
    return release, manifest


def decide(history, run, version=VERSION, **choices):
    """The members' vote to publish the last base."""
    return history.vote(ReleaseModel(version=version, model=base_of(history, run)), **choices)


def publish(history, release, manifest):
    """The coordinator says in the log that it is published, and the release gets that log."""
    history.coordinator(
        Release(
            version=manifest.version,
            model=manifest.model,
            manifest=digest_bytes(manifest.data),
            decision=manifest.decision,
        )
    )
    write_again(history)
    write_ledger(history.root, release, proofs_of(manifest, published=True))


def write_again(history):
    import shutil

    shutil.rmtree(history.root / "log", ignore_errors=True)
    history.publish()


def released(root, how=None, **charter):
    """A federation with a published release."""
    history, run = history_with_a_run(root, **charter)
    if "extra" in charter:
        all_evidence(history, run)
    decide(history, run)
    release, manifest = build(history, run, **(how or {}))
    publish(history, release, manifest)
    return history, run, release


def verified(release, **how):
    return verify_release(release.root, clock=SystemClock(), **how)
