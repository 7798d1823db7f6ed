"""One hostile member of five, on real updates: the base stays what the honest ones make it."""

import numpy as np
import pytest

from concord.base.digest import digest_bytes, digest_file
from concord.base.errors import UpdateRefused
from concord.base.tensors import TensorFile, TensorSpec, write_tensors
from concord.charter.run import parse_run
from concord.federation.frames import Frame
from concord.federation.merging import RunState
from concord.federation.records import RunFolder
from concord.federation.simulation import Sent
from concord.federation.work import UpdateHeader
from concord.ledger.layouts import update_layout
from concord.testing import attacks
from concord.update.payload import UpdateIdentity, encode_update

MEMBERS = ("chad", "fiji", "iran", "laos", "peru")
ATTACKER, VICTIM = "fiji", "peru"
SPECS = [
    TensorSpec("embed_tokens.weight", (40, 16)),
    TensorSpec("layer.weight", (32, 32)),
    TensorSpec("norm.weight", (16,)),
    TensorSpec("second_moment/rows/embed_tokens.weight", (40,)),
]
ROUNDS = 5
RUN = {
    "name": "attacked",
    "roster": [{"id": member} for member in MEMBERS],
    "inner": {"warmup_steps": 0, "decay_share": 0.0},
    "rounds": {"count": ROUNDS, "inner_steps": 2},
    "update": {"norm_control": "clip_groups", "outer": {"lr": 1.0, "embedding_lr": 1.0}},
}
REFUSED = {
    "NaN": attacks.not_finite(ATTACKER),
    "stale base": attacks.Stale(ATTACKER, renamed=False),
    "copy of another's bytes": attacks.bytes_of(ATTACKER, VICTIM),
}
BOUNDED = {
    "scale 1e6": attacks.Attacker(ATTACKER, attacks.scaled(1e6)),
    "scale 1e6, state too": attacks.Attacker(ATTACKER, attacks.scaled(1e6), state=True),
    "flip": attacks.Attacker(ATTACKER, attacks.scaled(-1)),
    "flip x 4": attacks.Attacker(ATTACKER, attacks.scaled(-4)),
    "ALIE": attacks.Attacker(ATTACKER, attacks.little_is_enough),
    "IPM": attacks.Attacker(ATTACKER, attacks.inner_product),
    "erase": attacks.Attacker(ATTACKER, attacks.erasing(VICTIM)),
    "zero": attacks.Attacker(ATTACKER, attacks.zero),
    "random": attacks.Attacker(ATTACKER, attacks.noise),
    "copy of another": attacks.Attacker(ATTACKER, attacks.copying(VICTIM)),
    "duplicate": attacks.twice(ATTACKER),
    "stale base, renamed": attacks.Stale(ATTACKER, renamed=True),
}


class Played:
    """Rounds in which every honest member pulls towards a common point, and towards its own."""

    def __init__(self, root, update=None):
        self.run = parse_run({**RUN, "update": {**RUN["update"], **(update or {})}})
        folder = RunFolder(root, self.run.name)
        folder.create()
        first = root / "first"
        write_tensors(first, SPECS, (np.ones(s.shape, np.float32) for s in sorted(SPECS)))
        self.state = RunState.found(self.run, folder, first, digest_file(first), None)
        self.root = root

    def sent(self, member):
        base, number = self.state.current, MEMBERS.index(member)
        file = TensorFile(base.path)
        layout = update_layout(self.run, file.specs, self.state.committed)
        arrays = {}
        for entry in layout:
            draw = np.random.default_rng([number, self.state.committed])
            own = draw.normal(0, 0.02, entry.spec.shape)
            if entry.is_weight:
                arrays[entry.name] = (0.1 * file[entry.name] + own).astype(np.float32)
            else:
                arrays[entry.name] = np.full(entry.spec.shape, 0.5, np.float32)
        path = self.root / f"{member}.update"
        identity = UpdateIdentity(self.run.digest, self.state.committed, base.digest, member)
        encode_update(path, layout, identity, arrays)
        digest = digest_bytes(path.read_bytes())
        header = UpdateHeader(self.state.committed, base.digest, digest, 2, 1, 1, 0.0, 1.0)
        return Sent(member, header, path)

    def round(self, adversary, members=MEMBERS):
        merge, refused = self.state.open_round(started_s=0.0), {}
        for one in adversary(self.state, [self.sent(member) for member in members]):
            try:
                merge.accept(one.member, one.header, Frame(b"", one.path))
            except UpdateRefused as error:
                refused[one.member] = str(error.reason)
        record = merge.commit(
            left_out={m: why for m, why in refused.items() if m not in merge.accepted},
            closed_because="played",
            now_s=0.0,
            bytes_up={},
            bytes_down={},
        )
        return record.left_out

    def distance(self):
        """Length of the weights: honest members pull them to zero."""
        file = TensorFile(self.state.current.path)
        return float(
            np.sqrt(sum((a.astype(float) ** 2).sum() for s, a in file.items() if "/" not in s.name))
        )

    def second_moment(self):
        return float(TensorFile(self.state.current.path)[SPECS[3].name].max())


def honest(_, sent):
    return sent


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    played = Played(tmp_path_factory.mktemp("clean"))
    for _ in range(ROUNDS):
        assert played.round(honest) == {}
    return played


@pytest.mark.parametrize("attack", REFUSED)
def test_what_is_no_update_of_this_round_is_left_out_and_nobody_else(tmp_path, attack):
    played = Played(tmp_path)
    for round_ in range(ROUNDS):
        left_out = played.round(REFUSED[attack])
        first_of_stale = attack == "stale base" and round_ == 0
        assert set(left_out) == (set() if first_of_stale else {ATTACKER})


@pytest.mark.parametrize("attack", BOUNDED)
def test_one_well_formed_attacker_moves_the_base_little(tmp_path, clean, attack):
    """Honest pulls shrink the weights to 0.9^5; one of five against them can hold up a part."""
    played = Played(tmp_path)
    for _ in range(ROUNDS):
        assert set(played.round(BOUNDED[attack])) <= {ATTACKER}, "no honest member is left out"
    assert played.distance() < 1.35 * clean.distance()
    assert played.second_moment() < 2


def test_without_clipping_one_loud_member_ruins_the_base(tmp_path, clean):
    """What the clip is for: before there is a history, nothing else bounds a norm."""
    played = Played(tmp_path, {"norm_control": "none"})
    played.round(BOUNDED["scale 1e6"])
    assert played.distance() > 1000 * clean.distance()
