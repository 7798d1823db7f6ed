"""The state is the same wherever it is computed: from an empty disk, in another process."""

import os
import subprocess
import sys

import pytest
from foldlab import DAY, MEMBERS, Fold, public, some
from hypothesis import given, settings
from hypothesis import strategies as st

from concord.base.errors import StatementRefused
from concord.base.objects import ObjectStore
from concord.ledger.entries import Entry
from concord.ledger.log import Log
from concord.ledger.state.apply import apply, replay
from concord.ledger.state.library import ObjectLibrary
from concord.ledger.statements import evidence, membership, oversight, votes


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """A federation in which nearly everything has happened."""
    fold = Fold(tmp_path_factory.mktemp("history"), amend_delay="1d")
    run = fold.open_run()
    fold.round(run, *MEMBERS)
    fold.admit("laos")
    halt = fold.halt()
    lifted = fold.adopt(votes.LiftHalt(halt=halt))
    body = oversight.Resume(halt=halt, decision=lifted)
    fold.say(body, "ada", "overseer", signers=["ada", "bo"])
    rotation = membership.KeyRotation(purpose="identity", old=public("togo"), new=public("togo 2"))
    fold.say(rotation, "togo", signers=["togo", "togo 2"])
    later = fold.put_charter(quorum="1/3", amend_delay="1d")
    amend = votes.Amend(before=fold.charter, charter=later)
    fold.adopt(amend, "chad", "fiji", "peru", rule="strong", delay_s=DAY)
    fold.now += DAY
    for member in ("chad", "fiji", "peru"):
        fold.say(votes.Ratification(ratified=later), member)
    handover = membership.Handover(
        manner="takeover",
        term=1,
        coordinator=membership.CoordinatorEntry(member="fiji", log_key=public("fiji/log")),
    )
    fold.say(handover, "fiji", signers=["fiji", "peru", "chad"])
    fold.say(membership.Leave(), "togo", signers=["togo 2"])
    fold.call(run)
    fold.say(evidence.DatasetRecord(dataset="news", record=some("news")), "peru")
    return fold


READ = """
import sys
from pathlib import Path
from concord.base.errors import StatementRefused
from concord.base.objects import ObjectStore
from concord.ledger.archive import Archive
from concord.ledger.entries import Entry
from concord.ledger.log import open_log, Log
from concord.ledger.state.apply import replay
from concord.ledger.state.library import ObjectLibrary
with Log.open(Path(sys.argv[1]), "concord.atlas/log") as log:
    library = ObjectLibrary(ObjectStore(Path(sys.argv[2])))
    print(replay(map(Entry.parse, log.entries()), library).digest)
assert "torch" not in sys.modules
"""


@pytest.mark.parametrize("seed", ["0", "1", "4711"])
def test_another_process_finds_the_same_state_from_the_log_alone(history, tmp_path, seed):
    with Log.create(tmp_path / "log", "concord.atlas/log") as log:
        log.append([entry.data for entry in history.entries])
    environment = os.environ | {"PYTHONHASHSEED": seed}
    done = subprocess.run(
        [sys.executable, "-c", READ, str(tmp_path / "log"), str(history.objects.root)],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    assert done.stdout.strip() == history.state.digest


def test_every_prefix_of_the_log_has_its_own_state(history):
    states, state = [], replay([], history.library)
    for entry in history.entries:
        state = apply(state, entry, history.library)
        states.append(state.digest)
    assert len(set(states)) == len(states)
    assert states[-1] == history.state.digest


def test_without_the_objects_that_it_names_a_log_is_not_followed(history, tmp_path):
    library = ObjectLibrary(ObjectStore(tmp_path / "empty"))
    with pytest.raises(StatementRefused, match="the charter cannot be read") as refused:
        replay(history.entries, library)
    assert refused.value.where.startswith("entry 0 (founding by atlas)")


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_log_with_an_entry_left_out_moved_or_repeated_is_another_state_or_refused(history, data):
    entries = list(history.entries)
    place = data.draw(st.integers(0, len(entries) - 1))
    match data.draw(st.sampled_from(["drop", "move", "repeat"])):
        case "drop":
            del entries[place]
        case "move":
            entries.insert(data.draw(st.integers(0, len(entries) - 1)), entries.pop(place))
        case "repeat":
            entries.insert(place, entries[place])
    if entries == history.entries:
        return
    try:
        found = replay(entries, history.library)
    except StatementRefused:
        return
    assert found.size != history.state.size or _moved_only(entries, history)


def _moved_only(entries, history):
    """Two statements that do not depend on each other may stand in either order."""
    return sorted(e.data for e in entries) == sorted(e.data for e in history.entries)


def test_reading_an_entry_changes_nothing_in_it(history):
    assert all(Entry.parse(entry.data).data == entry.data for entry in history.entries)
