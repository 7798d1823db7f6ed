"""Runs made by the coordinator's own code from made-up updates, and their replay."""

from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np

from concord.base.digest import digest_file
from concord.base.tensors import TensorFile, TensorSpec, write_tensors
from concord.charter.run import parse_run
from concord.federation.frames import Frame
from concord.federation.merging import RunState
from concord.federation.records import RunFolder
from concord.federation.work import UpdateHeader
from concord.ledger.layouts import update_layout
from concord.ledger.replay import Replayer
from concord.update.layout import Role
from concord.update.payload import UpdateIdentity, encode_update

EMBEDDING, MATRIX = "embed_tokens.weight", "layer.0.weight"
SPECS = [
    TensorSpec(EMBEDDING, (30, 24)),
    TensorSpec(MATRIX, (57, 31)),
    TensorSpec("norm.weight", (24,)),
    TensorSpec(f"second_moment/rows/{EMBEDDING}", (30,)),
]
ROSTER = [
    {"id": "chad", "owner": "africa", "weight": "2/7"},
    {"id": "fiji"},
    {"id": "laos", "weight": "3"},
    {"id": "niger", "owner": "africa"},
    {"id": "peru"},
]
MEMBERS = [member["id"] for member in ROSTER]
EVEN = {
    "name": "even",
    "roster": ROSTER,
    "rounds": {"count": 8, "inner_steps": 3},
    "inner": {"warmup_steps": 0, "decay_share": 0.0},
}
"""Norms of honest updates stay the same from round to round."""


def document(**changes):
    value = {**EVEN, **changes}
    value["inner"] = {**EVEN["inner"], **changes.get("inner", {})}
    return parse_run(value)


def arrays_of(layout, rng, sizes=None):
    """One update: a different scale in each row, second moments above 0, few tokens counted.

    `sizes` makes tensors larger, by name.
    """
    made = {}
    for entry in layout:
        values = rng.normal(size=entry.spec.shape)
        if entry.role is Role.COUNTS:
            values = np.where(rng.random(entry.spec.shape) < 0.3, 1, 0)
        elif entry.is_weight:
            rows = rng.normal(size=(*entry.spec.shape[:1], *[1] * (values.ndim - 1)))
            values = values * np.exp(rows) * 1e-2 * (sizes or {}).get(entry.name, 1.0)
        else:
            values = np.abs(values)
        made[entry.name] = values.astype(np.float32)
    return made


@dataclass
class Played:
    """A run that was played to some round, and what its records claim."""

    run: object
    folder: RunFolder
    steps: dict = field(default_factory=dict)

    @property
    def objects(self):
        return self.folder.objects

    @property
    def records(self):
        return [record for _, record in self.folder.records()]

    def claims(self):
        return [Claim.of(record, self.steps) for record in self.records[1:]]

    def replayer(self, workdir, **options):
        workdir.mkdir(exist_ok=True)
        replayer = Replayer(self.run, self.objects, workdir, **options)
        replayer.start(self.records[0].base)
        return replayer


@dataclass(frozen=True)
class Claim:
    """What one round record says of a round."""

    updates: dict
    weights: dict
    base: str
    step: str
    outer_state: str | None
    steps: dict

    @classmethod
    def of(cls, record, steps=None):
        return cls(
            updates={member: c.update for member, c in record.contributions.items()},
            weights={member: c.weight for member, c in record.contributions.items()},
            base=record.base,
            step=record.step,
            outer_state=record.outer_state,
            steps=steps or {},
        )

    def replayed_by(self, replayer):
        return replayer.round(
            self.updates,
            self.weights,
            base=self.base,
            step=self.step,
            outer_state=self.outer_state,
            steps=self.steps,
        )

    def weighing(self, **weights):
        changed = {member: Fraction(weight) for member, weight in weights.items()}
        return replace(self, weights={**self.weights, **changed})


def play(root, run, *, rounds=3, absent=None, seed=0, steps=None, sizes=None):
    """Found a run and commit some rounds of it.

    `absent` names who misses which round, `steps` how many steps each member takes in all of them,
    `sizes` which tensors of updates are how much larger.
    """
    folder = RunFolder(root, run.name)
    folder.create()
    rng = np.random.default_rng(seed)
    first = root / "first"
    values = (np.abs(rng.normal(size=spec.shape)).astype(np.float32) for spec in SPECS)
    digest = write_tensors(first, SPECS, values)
    state = RunState.found(run, folder, first, digest, None)
    for round_ in range(rounds):
        merge = state.open_round(started_s=0.0)
        merge.plan(steps or {})
        members = [m for m in MEMBERS if m not in (absent or {}).get(round_, ())]
        rng.shuffle(members)
        for member in members:
            path = write_update(root, run, state, member, rng, sizes=sizes)
            merge.accept(member, header(state, path), Frame(b"", path))
        merge.commit(left_out={}, closed_because="", now_s=1.0, bytes_up={}, bytes_down={})
    return Played(run, folder, steps or {})


def write_update(root, run, state, member, rng, sizes=None, **changes):
    """An update for the state's next round, in a file."""
    layout = update_layout(run, TensorFile(state.current.path).specs, state.committed)
    identity = UpdateIdentity(run.digest, state.committed, state.current.digest, member)
    path = root / f"{member}.update"
    encode_update(path, layout, replace(identity, **changes), arrays_of(layout, rng, sizes))
    return path


def header(state, path):
    return UpdateHeader(
        round=state.committed,
        base=state.current.digest,
        payload_digest=digest_file(path),
        steps=1,
        tokens=1,
        flops=1,
        train_s=0.0,
        mean_loss=1.0,
    )
