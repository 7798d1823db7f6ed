"""The driver: whatever becomes of a segment, the run goes on; what cannot be mended ends it."""

from itertools import pairwise

import pytest

from concord.base.errors import CheckpointError, FederationError, QuorumLost
from concord.charter.run import parse_run
from concord.federation.engine.flare.driver import MOST_FAILURES, AdminLost, Driver, Pace
from concord.federation.engine.flare.segment import Order, Segments, Standing, Succession, fault_of
from concord.federation.records import RunFolder
from concord.federation.watcher import Watcher

MEMBERS = ("chad", "fiji", "laos", "peru")
RUN = parse_run({"name": "test", "roster": [{"id": member} for member in MEMBERS]})
PACE = Pace(
    look_s=1, ask_s=1, settle_s=5, stall_s=30, segment_s=600, again_s=20, warm_s=60, first_pause_s=1
)


class Server:
    """FLARE's server as the driver sees it, and its jobs, on a clock of the test."""

    def __init__(self, folder):
        self.segments = Segments(folder)
        self.folder = folder
        self.now_s = 0.0
        self.here = set(MEMBERS)
        self.killed = set()
        self.runs_in = set()
        self.jobs = {}
        self.ends = {}
        self.aborted = []
        self.lost = False
        self.beats = 0
        self.deeds = []

    # what the driver asks
    def registered(self):
        self.answer()
        return {m: 0.0 if m in self.killed else self.now_s // 10 for m in self.here}

    def runs(self, member, job):
        self.answer()
        return (member, job) in self.runs_in

    def submit(self, order):
        self.answer()
        job = f"job-{len(self.jobs)}"
        self.jobs[job] = order
        return job

    def ended(self, job):
        self.answer()
        return self.ends.get(job)

    def abort(self, job):
        self.answer()
        self.aborted.append(job)

    def answer(self):
        if self.lost:
            raise AdminLost

    # what jobs do
    def stands(self, number, state, present=MEMBERS, error=None):
        self.beats += 1
        self.segments.write(
            Standing(
                segment=self.jobs[f"job-{number}"].segment,
                state=state,
                beat=self.beats,
                present=tuple(present),
                fault=None if error is None else fault_of(error),
            )
        )

    def commit(self):
        records = self.folder.root / "records"
        (records / f"{len(list(records.iterdir())):06d}.json").touch()

    def at(self, second, deed):
        self.deeds.append((second, deed))

    def sleep(self, seconds):
        self.now_s += seconds
        if self.now_s > 2000:
            raise AssertionError("the driver goes on for ever")
        for due in [one for one in self.deeds if one[0] <= self.now_s]:
            self.deeds.remove(due)
            due[1]()


class Notes(Watcher):
    def __init__(self):
        self.said = []

    def note(self, text):
        self.said.append(text)


@pytest.fixture
def server(tmp_path):
    folder = RunFolder(tmp_path, "test")
    folder.create()
    server = Server(folder)
    server.commit()  # the first base is agreed
    return server


def drive(server, **options):
    watcher = options.pop("watcher", Watcher())
    return Driver(
        RUN,
        server.folder,
        server,
        watcher=watcher,
        now_s=lambda: server.now_s,
        sleep=server.sleep,
        pace=PACE,
        **options,
    ).drive()


def test_one_segment_may_be_the_whole_run(server):
    server.at(3, lambda: server.stands(0, "running"))
    server.at(9, lambda: server.stands(0, "finished"))
    assert drive(server)
    assert server.jobs["job-0"].members == MEMBERS
    assert len(server.jobs) == 1 and server.aborted == []


def test_a_segment_begins_with_a_quorum_once_nobody_else_comes(server):
    server.here = {"chad"}
    server.at(20, lambda: server.here.add("fiji"))
    server.at(40, lambda: server.stands(0, "finished"))
    assert drive(server)
    (order,) = server.jobs.values()
    assert order.members == ("chad", "fiji") and order.quorum == 2


def test_before_the_first_base_everybody_has_to_be_there(server):
    (server.folder.root / "records" / "000000.json").unlink()
    server.here = set(MEMBERS[:3])
    server.at(100, lambda: server.here.add("peru"))
    server.at(110, lambda: server.stands(0, "finished"))
    assert drive(server)
    assert server.jobs["job-0"].members == MEMBERS


def running(server, number, until_s, present=MEMBERS):
    """A segment that beats every second."""
    for second in range(8, until_s):
        server.at(second, lambda: server.stands(number, "running", present))


def test_who_comes_back_is_in_the_next_segment_within_seconds(server):
    """Peru is admitted again at second 50; its successor is submitted and takes over."""
    running(server, 0, 65, present=MEMBERS[:3])
    server.here = set(MEMBERS[:3])
    server.at(50, lambda: server.here.add("peru"))
    submitted = []

    def successor_ready():
        submitted.append(len(server.jobs) == 2)
        server.stands(0, "paused")
        server.stands(1, "running")

    server.at(65, successor_ready)
    server.at(80, lambda: server.stands(1, "finished"))
    assert drive(server)
    assert submitted == [True]
    assert server.jobs["job-1"].members == MEMBERS
    assert server.aborted == []


def test_a_member_that_cannot_be_seated_does_not_bring_segment_after_segment(server):
    running(server, 0, 180, present=MEMBERS[:3])
    server.at(179, lambda: server.stands(0, "finished"))
    for number in range(1, 9):
        second = 20 * number
        server.at(
            second,
            lambda n=number: (
                f"job-{n}" in server.jobs and server.stands(n, "failed", error=QuorumLost("no"))
            ),
        )
    assert drive(server)
    assert 2 <= len(server.jobs) <= 2 + (180 - PACE.warm_s) // PACE.again_s


def test_no_segment_begins_for_a_killed_member_that_the_server_still_lists(server):
    """The server forgets it after ten minutes only; a job sent to it would wait for an answer."""
    running(server, 0, 40)
    server.at(40, lambda: server.killed.add("peru"))
    for second in range(41, 100):
        server.at(second, lambda: server.stands(0, "running", MEMBERS[:3]))
    server.at(100, lambda: server.stands(0, "finished"))
    assert drive(server)
    assert len(server.jobs) == 1


def test_a_member_whose_process_is_still_there_is_waited_for(server):
    """It stood still for a while, or its link did: it takes its seat again in the same segment."""
    running(server, 0, 20)
    server.runs_in.add(("peru", "job-0"))
    for second in range(20, 60):
        server.at(second, lambda: server.stands(0, "running", MEMBERS[:3]))
    for second in range(60, 70):
        server.at(second, lambda: server.stands(0, "running"))
    server.at(70, lambda: server.stands(0, "finished"))
    assert drive(server)
    assert len(server.jobs) == 1


def test_a_process_that_never_takes_its_seat_again_is_not_waited_for(server):
    running(server, 0, 20)
    server.runs_in.add(("peru", "job-0"))
    for second in range(20, 100):
        server.at(second, lambda: server.stands(0, "running", MEMBERS[:3]))
    server.at(100, lambda: server.stands(0, "finished"))
    assert drive(server)
    assert len(server.jobs) == 2


def test_an_old_segment_is_followed_without_a_pause(server):
    running(server, 0, 630)
    server.at(620, lambda: server.stands(1, "waiting"))
    server.at(630, lambda: server.stands(0, "paused"))
    server.at(631, lambda: server.stands(1, "running"))
    server.at(640, lambda: server.stands(1, "finished"))
    assert drive(server)
    assert len(server.jobs) == 2


@pytest.mark.parametrize("how", ["ABNORMAL", "COMPLETED", "EXECUTION_EXCEPTION", "FAILED_TO_RUN"])
def test_a_job_that_ends_before_the_run_is_followed_by_another(server, how):
    server.at(3, lambda: server.stands(0, "running"))
    server.at(6, lambda: server.ends.update({"job-0": how}))
    server.at(20, lambda: server.stands(1, "finished"))
    watcher = Notes()
    assert drive(server, watcher=watcher)
    assert len(server.jobs) == 2
    assert how in watcher.said[0]


def test_a_killed_server_is_waited_for_and_its_job_given_up(server):
    """After its restart FLARE still says RUNNING of the job: nobody believes it."""
    running(server, 0, 10)
    server.at(10, lambda: setattr(server, "lost", True))
    server.at(25, lambda: setattr(server, "lost", False))
    server.at(45, lambda: server.stands(1, "finished"))
    assert drive(server)
    assert len(server.jobs) == 2


def test_jobs_of_an_earlier_driver_are_not_asked_about(server):
    order = Order(segment="000009-00000000", run="test", digest=RUN.digest, members=(), quorum=1)
    server.jobs["job-0"] = order
    server.stands(0, "running")
    server.at(10, lambda: server.stands(1, "finished"))
    assert drive(server)


def test_a_segment_that_falls_silent_is_given_up(server):
    running(server, 0, 10)
    server.at(60, lambda: server.stands(1, "finished"))
    assert drive(server)
    assert server.aborted[0] == "job-0"


def test_what_another_segment_could_not_mend_ends_the_run_with_its_own_error(server):
    error = CheckpointError("was altered", where="base", remedy="restore it")
    server.at(3, lambda: server.stands(0, "failed", error=error))
    with pytest.raises(CheckpointError) as told:
        drive(server)
    assert str(told.value) == str(error)


def test_a_lack_of_members_is_tried_again_for_a_while_with_growing_pauses(server):
    watcher = Notes()
    began = []

    def fail():
        number = len(server.jobs) - 1
        if number >= len(began):
            began.append(server.now_s)
            server.stands(number, "failed", error=QuorumLost("1 of 4"))
        server.at(server.now_s + 1, fail)

    server.at(1, fail)
    with pytest.raises(QuorumLost, match="1 of 4"):
        drive(server, watcher=watcher)
    pauses = [b - a for a, b in pairwise(began)]
    assert len(began) == MOST_FAILURES and pauses == sorted(pauses) and pauses[-1] > 50


def test_failures_with_progress_between_them_are_not_counted_together(server):
    done = []

    def fail():
        number = len(server.jobs) - 1
        if number >= len(done):
            done.append(number)
            server.commit()
            server.commit()
            last = len(done) > 2 * MOST_FAILURES
            error = None if last else FederationError("a hiccup")
            server.stands(number, "finished" if last else "failed", error=error)
        server.at(server.now_s + 1, fail)

    server.at(1, fail)
    assert drive(server)


def test_a_stopped_driver_ends_its_jobs_and_leaves_the_rest(server):
    server.at(3, lambda: server.stands(0, "running"))
    stop = []
    server.at(8, lambda: stop.append(True))
    assert not drive(server, stopped=lambda: bool(stop))
    assert server.aborted == ["job-0"]


def test_a_segment_asks_to_be_next_only_when_its_members_are_ready(tmp_path):
    folder = RunFolder(tmp_path, "test")
    folder.create()
    segments = Segments(folder)
    order = Order(
        segment="000002-00000000", run="test", digest=RUN.digest, members=MEMBERS, quorum=2
    )
    before = order.model_copy(update={"segment": "000001-00000000"})
    here: set[str] = {"chad"}
    late = Succession(segments, order, waiting=lambda: here, aborted=lambda: False)
    early = Succession(segments, before, waiting=lambda: here, aborted=lambda: False)
    assert late.wait() and not early.pause()
    here |= {"fiji", "laos"}  # a quorum, but one is still coming
    assert late.wait() and not early.pause()
    here.add("peru")
    assert late.wait() and early.pause() and not late.pause()
    segments.begin()
    assert not early.pause()
