"""What is looked at before a coordinator's server is started."""

import socket

import pytest
from sitelab import NOW, edit, secretariat

from concord.base.errors import DocumentError, FederationError, KitRefused, SiteUnreachable
from concord.federation.folders import FederationFolder
from concord.federation.sites.serving import check_server
from concord.federation.sites.site_files import write_site_files
from concord.ledger.archive import Archive
from concord.ledger.state.library import ObjectLibrary


@pytest.fixture
def check(own_atlas):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    edit(own_atlas / "sites" / "project.json", lambda found: found.update(port=port))

    def look(now_s=NOW):
        federation = FederationFolder(own_atlas)
        archive = Archive(federation.log, ObjectLibrary(federation.objects))
        check_server(secretariat(own_atlas), archive, now_s=now_s)
        return port

    server = own_atlas / "sites" / "server"  # a copy: its site files have to name its own folder
    write_site_files(server, "server", name="localhost", folder=own_atlas)
    return look


def test_a_server_may_start_where_everything_is_in_order(check):
    check()


def test_a_port_that_another_process_holds_is_told(check):
    with socket.create_server(("127.0.0.1", check())), pytest.raises(SiteUnreachable):
        check()


def test_a_server_whose_certificate_ran_out_does_not_start(check):
    with pytest.raises(KitRefused, match="expired"):
        check(now_s=NOW + 361 * 86_400)


def test_a_lost_list_of_revoked_certificates_is_no_reason_to_let_all_in(check, own_atlas):
    (own_atlas / "sites" / "server" / "startup" / "denied.pem").unlink()
    with pytest.raises(KitRefused, match="revoked certificates would count again"):
        check()


def test_who_does_not_run_the_coordinator_is_told_how_to_take_the_role(check, own_atlas):
    (own_atlas / "members" / "chad" / "private" / "keys" / "log.pem").unlink()
    with pytest.raises(FederationError, match="its key is not here") as refused:
        check()
    assert "coordinator take" in refused.value.remedy


def test_without_kits_the_secretariat_is_sent_to_make_them(check, own_atlas):
    (own_atlas / "sites" / "project.json").unlink()
    with pytest.raises(DocumentError, match="no kits were made yet"):
        check()


def test_a_server_listens_where_it_is_told_whatever_its_name_means_here(elsewhere):
    office = secretariat(elsewhere)
    text = (office.server / "startup" / "fed_server.json").read_text()
    assert '"target": "0.0.0.0:8002"' in text
    assert '"host": "127.0.0.1"' in (office.driver / "startup" / "fed_admin.json").read_text()
    kit = (elsewhere / "sites/kits/fiji/startup/fed_client.json").read_text()
    assert '"target": "coordinator.example.org:8002"' in kit
