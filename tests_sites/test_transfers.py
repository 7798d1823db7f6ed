"""A payload that is interrupted between real sites goes on where it stopped, whoever was killed.

Members are asked for every round, so that a round in which one is lost is called again: then its
update is the same, and what has come of it is not sent twice.
"""

import time

import pytest
from faultlab import Running, federation

pytestmark = [pytest.mark.processes, pytest.mark.timeout(600)]
MIB = 1 << 20
SLOW_BYTES_PER_S = 1e6
LARGE = {"hidden": 256, "layers": 4, "intermediate": 1024}
ROUNDS = 200
"""More than there is time for, and still little enough for a disk to hold all updates."""
WHOLE_BYTES = 12_000_000
"""A base or an update has a little more."""


@pytest.fixture(scope="module")
def endless(tmp_path_factory):
    root = tmp_path_factory.mktemp("transfers")
    dense = {"codec": "fp32", "down_codec": "fp32"}
    made = federation(root / "atlas", rounds=ROUNDS, quorum="1", model=LARGE, update=dense)
    with Running(made, linked=True) as run:
        run.wait_until_all_take_part()
        yield run


@pytest.fixture
def run(endless):
    yield endless
    endless.links["fiji"].slow(None)
    endless.wait_until_all_take_part()


class Part:
    """What has come of a payload, looked at again and again."""

    def __init__(self, run, folder, pattern):
        self._run, self._folder, self._pattern = run, folder, pattern
        self.names = set()
        self.sizes = []

    def look(self):
        """Its size now; 0 if there is none."""
        for path in self._folder.glob(self._pattern):
            try:
                size = path.stat().st_size
            except FileNotFoundError:  # it is whole, and renamed
                continue
            self.names.add(path.name)
            self.sizes.append(size)
            return size
        return 0

    def wait_for_middle(self):
        """Wait until a payload is between a third and two thirds."""
        self._run.wait_for("a payload is under way", lambda: 4 * MIB <= self.look() <= 8 * MIB)
        self.names.clear()
        self.sizes.clear()
        return self.look()

    def wait_until_whole(self):
        """Wait until it grows again, and then until it is whole."""
        self._run.wait_for("it goes on", lambda: self.look() >= WHOLE_BYTES - 3 * MIB)
        self._run.wait_for("it is whole", lambda: self.look() == 0)


def upload(run):
    return Part(run, run.records.root / "incoming", "fiji-*.part")


def download(run):
    return Part(run, run.made.member("fiji") / "private" / "transfers", "server-*.part")


def went_on(part, before):
    """Of one payload no byte that was kept was asked for again."""
    return len(part.names) == 1 and min(part.sizes) >= before > 0


def test_an_upload_goes_on_after_the_link_broke(run):
    link, part = run.links["fiji"], upload(run)
    link.slow(SLOW_BYTES_PER_S)
    before = part.wait_for_middle()
    link.cut()
    sent = link.up_bytes
    part.wait_until_whole()
    print(f"\nafter the cut: {link.up_bytes - sent} of {max(part.sizes)} bytes, {before} kept")
    assert went_on(part, before)


@pytest.mark.parametrize("victim", ["fiji", "server"])
def test_an_upload_goes_on_after_one_of_its_ends_was_killed(run, victim):
    link, part = run.links["fiji"], upload(run)
    link.slow(SLOW_BYTES_PER_S)
    before = part.wait_for_middle()
    run.kill_site(victim)
    kept = part.look()
    run.sites[victim].start()
    sent = link.up_bytes
    part.wait_until_whole()
    print(f"\nafter the kill: {link.up_bytes - sent} bytes up, {kept} kept")
    assert went_on(part, before)


def test_a_download_goes_on_after_the_member_was_killed(run):
    """Killed while it takes a step, it comes back without the base; and is killed once more."""
    link, part = run.links["fiji"], download(run)
    link.slow(SLOW_BYTES_PER_S)
    part.wait_for_middle()
    run.kill_site("fiji")
    step = set(part.names)
    run.sites["fiji"].start()
    run.wait_for("the base is under way", lambda: part.look() and part.names - step)
    before = part.wait_for_middle()
    run.kill_site("fiji")
    kept = part.look()
    time.sleep(1)
    run.sites["fiji"].start()
    got = link.down_bytes
    part.wait_until_whole()
    print(f"\nafter the kill: {link.down_bytes - got} bytes down, {kept} kept")
    assert went_on(part, before)
