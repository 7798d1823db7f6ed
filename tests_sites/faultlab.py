"""A run between real sites of this machine, in which things go wrong on purpose."""

import json
import resource
import shutil
import signal
import threading
import time
from contextlib import ExitStack, contextmanager, suppress

import clilab
import psutil
from links import Link

from concord.federation.folders import FederationFolder
from concord.federation.records import RunFolder
from concord.federation.sited import drive, make_kits, sites_up
from concord.federation.watcher import Watcher

MEMBERS = ("chad", "fiji", "peru")
PATIENCE_S = 240.0
ENDLESS = 20_000
"""Rounds of a run that is stopped once enough was seen."""


def federation(root, *, rounds, quorum, **sections):
    """A federation of three members on disk, with a run document; nothing runs yet."""
    root.mkdir()
    made = clilab.Federation(root)
    made.roster = [{"id": member} for member in MEMBERS]
    made.sections["rounds"] = {
        "count": rounds,
        "inner_steps": 3,
        "quorum": quorum,
        "min_grace_s": 5.0,
    }
    # So slow that norms stay what they are: who was away for a hundred rounds is not conspicuous.
    made.sections["inner"] |= {"lr": 1e-5, "matrix_lr": 1e-5}
    for name, values in sections.items():
        made.sections[name] = {**made.sections.get(name, {}), **values}
    made.make()
    for member in MEMBERS:
        private = made.member(member) / "private"
        private.mkdir(mode=0o700, exist_ok=True)
        (private / "split.key").write_bytes(member.encode().ljust(32, b"."))
    return made


class Seen(Watcher):
    """What happened, and when, in monotonic seconds."""

    def __init__(self):
        self.left = []
        self.notes = []
        self.refusals = []
        self.stages = []
        self.called = 0
        self.committed_s = {}
        self.members = {}

    def member_left(self, member, reason):
        self.left.append((member, reason))

    def note(self, text):
        self.notes.append(text)

    def stage(self, name):
        self.stages.append(name)

    def round_called(self, round_, members, inner_steps):
        self.called = round_

    def refused(self, member, round_, reason):
        self.refusals.append((member, round_, reason))

    def committed(self, record):
        self.committed_s[record.round] = time.monotonic()
        self.members[record.round] = set(record.contributions)

    @property
    def last(self):
        return max(self.committed_s, default=0)


class Running:
    """A run that goes on between sites.

    Args:
        made: Its federation.
        linked: Whether members reach the server over links that can be broken.
    """

    def __init__(self, made, *, linked=False):
        self.made = made
        self.folder = FederationFolder(made.folder)
        self.document = self.folder.load_run(None)
        self.records = RunFolder(self.folder.root, self.document.name)
        self.kits = make_kits(self.folder, self.document)
        self.links = {}
        if linked:
            for member, kit in self.kits.members.items():
                self.links[member] = _dial_through(kit / "startup" / "fed_client.json")
        self.seen = Seen()
        self.sites = {}
        self.done = None
        self.failure = None
        self._stopped = threading.Event()
        self._thread = None
        self._stack = ExitStack()

    def __enter__(self):
        self.sites = self._stack.enter_context(sites_up(self.kits))
        self.drive()
        return self

    def __exit__(self, *_):
        self.leave()
        self._stack.close()
        for link in self.links.values():
            link.close()

    def drive(self):
        """Begin to drive the run, or go on."""
        self._stopped.clear()
        self._thread = threading.Thread(target=self._drive, daemon=True)
        self._thread.start()

    def leave(self):
        """Stop driving; the sites stay up."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def _drive(self):
        try:
            self.done = drive(
                self.document,
                self.records,
                self.kits.driver,
                watcher=self.seen,
                stopped=self._stopped.is_set,
            )
        except Exception as error:  # told by `wait_for`, in the test's own thread
            self.failure = error

    def wait_for_end(self):
        """Wait until no job of the coordinator's is left."""
        self.wait_for("the job ends", lambda: self.job_process("server") is None)

    # --- waiting ----------------------------------------------------------------------------

    def wait_for(self, what, condition, timeout_s=PATIENCE_S, look_s=0.02):
        """Wait for a condition; returns the seconds that it took."""
        began_s = time.monotonic()
        while not condition():
            if self.failure is not None:
                raise self.failure
            if time.monotonic() - began_s > timeout_s:
                raise AssertionError(f"not in time: {what}; {self.seen.left}, {self.seen.notes}")
            time.sleep(look_s)
        return time.monotonic() - began_s

    def wait_for_rounds(self, count=2):
        """Wait until so many more rounds are committed."""
        wanted = self.seen.last + count
        return self.wait_for(f"round {wanted}", lambda: self.seen.last >= wanted)

    def wait_until_all_take_part(self):
        """Wait for a round that is begun from now on, with everybody in it."""
        first = self.seen.last + 2
        return self.wait_for(
            "all in a round",
            lambda: any(
                r >= first and who == set(MEMBERS) for r, who in list(self.seen.members.items())
            ),
        )

    def wait_until_goes_on_without(self, member):
        """Wait for two rounds in which a member has no part."""
        first = self.seen.last + 1
        return self.wait_for(
            f"rounds without {member}",
            lambda: (
                sum(r >= first and member not in who for r, who in list(self.seen.members.items()))
                >= 2
            ),
        )

    # --- what is there ----------------------------------------------------------------------

    @property
    def segments(self):
        """How many segments told where they stand."""
        return len(list((self.records.root / "segments").glob("*.json")))

    def tree(self, site):
        """All processes of a site, the first one first."""
        roots = [psutil.Process(pid) for pid in self.sites[site].pids]
        return [*roots, *(one for root in roots for one in root.children(recursive=True))]

    def job_process(self, site):
        """The newest job process of a site, if there is one."""
        found = [one for one in self.tree(site) if _is_of_a_job(one)]
        return max(found, key=psutil.Process.create_time, default=None)

    def member_process(self, member):
        """The process that has the member's text."""
        leaves = [one for one in self.tree(member) if not one.children()]
        return max(leaves, key=psutil.Process.create_time)

    def kill_site(self, site):
        """As if its machine lost power."""
        self.sites[site].stop(0.0)

    @contextmanager
    def frozen(self, site):
        """Its processes stand still: connections stay open, and nobody answers."""
        processes = self.tree(site)
        for one in processes:
            one.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for one in processes:
                with suppress(psutil.NoSuchProcess):
                    one.send_signal(signal.SIGCONT)

    @contextmanager
    def full_disk(self, site, most_bytes=1000):
        """No file of the site may grow beyond so many bytes."""
        self._limit(site, most_bytes)
        try:
            yield
        finally:
            self._limit(site, resource.RLIM_INFINITY)

    def _limit(self, site, most_bytes):
        for one in self.tree(site):
            with suppress(ProcessLookupError, psutil.NoSuchProcess):
                resource.prlimit(
                    one.pid, resource.RLIMIT_FSIZE, (most_bytes, resource.RLIM_INFINITY)
                )


def _is_of_a_job(process):
    try:
        words = " ".join(process.cmdline())
    except psutil.Error:  # it has just ended
        return False
    return "worker_process" in words or "runner_process" in words


@contextmanager
def away(path):
    """A folder is not there for a while, as a network's disk; a file stands where it was."""
    aside = path.with_name(path.name + "-away")
    path.rename(aside)
    path.touch()
    try:
        yield
    finally:
        if path.is_dir():  # a process that was writing made it anew
            shutil.rmtree(path)
        else:
            path.unlink()
        aside.rename(path)


def _dial_through(start):
    """Make a member dial a link of its own instead of the server."""
    value = json.loads(start.read_bytes())
    (server,) = value["servers"]
    host, port = server["service"]["target"].split(":")
    link = Link(int(port))
    server["service"]["target"] = f"{host}:{link.port}"
    start.chmod(0o600)
    start.write_text(json.dumps(value))
    return link
