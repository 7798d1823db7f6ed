"""Kits for a run between sites of one machine: they stand in the way of no federation's own."""

import stat

import pytest
from sitelab import NOW, secretariat

from concord.charter.run import parse_run
from concord.federation.folders import FederationFolder
from concord.federation.sited import kits_here, make_kits
from concord.federation.sites.certificates import load_certificate
from concord.federation.sites.revocation import read_denied
from concord.federation.sites.site_files import check_site_files
from concord.federation.sites.tls import DENIED, server_context
from concord.testing.founded import found
from concord.testing.hand_clock import HandClock


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A federation's folder, and kits as `--engine flare` makes them."""
    root = tmp_path_factory.mktemp("sited") / "atlas"
    found(root, ["fiji"], clock=HandClock(NOW))
    run = parse_run({"name": "test", "roster": [{"id": "fiji"}]})
    return root, make_kits(FederationFolder(root), run)


def test_kits_for_members_elsewhere_can_be_made_after_a_run_on_this_machine(made):
    root, kits = made
    before = kits.state.read_bytes()
    secretariat(root).found("localhost", 8002, also_hosts=[], now_s=NOW)
    assert (root / "sites" / "kits" / "fiji" / "kit.json").exists()
    assert kits.state.read_bytes() == before
    assert root / "sites" not in kits.server.parents


def test_the_server_of_such_a_run_asks_a_list_of_revoked_certificates(made):
    startup = made[1].server / "startup"
    listed = read_denied(startup / DENIED, load_certificate(startup / "rootCA.pem"))
    assert listed is not None
    assert len(list(listed)) == 0
    assert server_context(startup).cert_store_stats()["crl"] == 1


def test_kits_of_a_run_that_is_over_are_removed_and_those_in_use_stay(tmp_path):
    found(tmp_path / "atlas", ["fiji"], clock=HandClock(NOW))
    federation = FederationFolder(tmp_path / "atlas")
    run = parse_run({"name": "test", "roster": [{"id": "fiji"}]})
    with kits_here(federation, run) as first, kits_here(federation, run) as used:
        (first.server / "log.txt").touch()
        (used.server / "log.txt").touch()
        with kits_here(federation, run) as third:
            assert (first.server / "log.txt").exists()
        assert third.server.parent not in (first.server.parent, used.server.parent)
    with kits_here(federation, run) as last:
        check_site_files(last.server)
        assert list((tmp_path / "atlas" / "sites-here" / "sites").glob("prod_*/*/log.txt")) == []


def test_their_site_files_are_as_strict_and_as_private_as_any(made):
    root, kits = made
    for kit in (kits.server, kits.members["fiji"]):
        check_site_files(kit)
        assert not stat.S_IMODE((kit / "local" / "concord.json").stat().st_mode) & 0o077
    assert stat.S_IMODE((root / "sites-here").stat().st_mode) == 0o700
