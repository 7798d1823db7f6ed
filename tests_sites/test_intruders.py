"""Who is not admitted by a real server, and which jobs it does not take. Long: real processes."""

import json
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from sitelab import certificate, new_key, put_certificate, root_of

from concord.federation.sites.processes import SiteProcess, command, environment
from concord.federation.sites.site_files import CONTROLLER, EXECUTOR, read_site
from concord.federation.sites.tree import end_tree

SOURCE = Path(__file__).parents[1] / "src"
LONG_ENOUGH_S = 20.0
"""An honest member is admitted in about seven seconds."""


def test_no_process_of_a_member_can_be_reached_from_outside(sites):
    for member in ("chad", "fiji"):
        root = psutil.Process(sites.processes[member].pid)
        for process in (root, *root.children(recursive=True)):
            for one in process.net_connections(kind="inet"):
                assert one.status != psutil.CONN_LISTEN or one.laddr.ip == "127.0.0.1"


def test_a_member_with_a_forged_certificate_is_never_listed(sites, copied):
    kit = copied("peru")
    state = next(sites.atlas.glob("sites/project/*/state/cert.json"))
    put_certificate(kit, certificate("peru", root_of(state)[0], new_key()))
    with SiteProcess(kit):
        time.sleep(LONG_ENOUGH_S)
        assert "peru" not in sites.registered()


def test_a_member_that_claims_to_be_another_is_never_listed(sites, copied):
    kit = copied("fiji")
    words = [w.replace("uid=fiji", "uid=peru") for w in command(kit, read_site(kit))]
    start = kit / "startup" / "fed_client.json"
    start.write_text(start.read_text().replace('"fqsn": "fiji"', '"fqsn": "peru"'))
    process = subprocess.Popen(
        words,
        cwd=kit,
        env=environment(SOURCE),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        time.sleep(LONG_ENOUGH_S)
        assert "peru" not in sites.registered()
    finally:
        end_tree(process.pid, pause_s=4)
        process.wait()


# --- jobs ---------------------------------------------------------------------------------------


def job(folder, *, workflow=CONTROLLER, executor=EXECUTOR, code=None):
    config = folder / "app" / "config"
    config.mkdir(parents=True)
    meta = {"name": folder.name, "resource_spec": {}, "min_clients": 1}
    meta["deploy_map"] = {"app": ["server", "fiji"]}
    (folder / "meta.json").write_text(json.dumps(meta))
    server = {"format_version": 2, "workflows": [{"id": "x", "path": workflow, "args": {}}]}
    tasks = {"tasks": ["none"], "executor": {"path": executor, "args": {}}}
    (config / "config_fed_server.json").write_text(json.dumps(server))
    client = {"format_version": 2, "executors": [tasks]}
    (config / "config_fed_client.json").write_text(json.dumps(client))
    if code is not None:
        (folder / "app" / "custom").mkdir()
        (folder / "app" / "custom" / "own.py").write_text(code)
    return folder


def became(sites, submit):
    """What became of a job: the reason for which it was refused, or its last status."""
    try:
        submitted = sites.ask(submit)
    except Exception as error:
        return str(error)
    for _ in range(60):
        meta = sites.ask(lambda session: session.get_job_meta(submitted))
        status = str(meta.get("status", ""))
        if status.startswith("FINISHED"):
            return f"{status} {meta.get('job_deploy_detail', '')}"
        time.sleep(2)
    raise AssertionError("the job goes on")


def test_a_job_with_code_is_refused_and_nothing_of_it_is_executed(sites, tmp_path):
    mark = tmp_path / "executed"
    code = f"open({str(mark)!r}, 'w').close()\n"
    folder = job(tmp_path / "code", executor="own.Own", code=code)
    told = became(sites, lambda session: session.submit_job(str(folder)))
    assert "FINISHED:COMPLETED" not in told
    assert "byoc" in told.lower() or "custom code" in told.lower() or "authoriz" in told.lower()
    print(f"\ncode: {told}")
    assert not mark.exists()


@pytest.mark.parametrize("side", ["server", "member"])
def test_a_job_that_names_a_class_of_flare_is_refused(sites, tmp_path, side):
    other = (
        {"workflow": "nvflare.app_common.workflows.scatter_and_gather.ScatterAndGather"}
        if side == "server"
        else {"executor": "nvflare.app_common.np.np_trainer.NPTrainer"}
    )
    folder = job(tmp_path / side, **other)
    told = became(sites, lambda session: session.submit_job(str(folder)))
    assert "FINISHED:COMPLETED" not in told
    print(f"\n{side}: {told}")
    trainer = [path for path in sites.kit("fiji").rglob("*") if "np_trainer" in path.name]
    assert trainer == []
