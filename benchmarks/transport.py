"""A file to every member and back over FLARE, beside the same over bare TLS, in one run.

    python benchmarks/transport.py --members 4 --megabytes 1 50 200 500 --repeats 3

Every repeat measures bare TLS right before FLARE, so that what else the machine does falls on both.
Bare TLS: Python's `ssl`, a thread per member at the server, a process per member, mutual
certificates of the same kits, 1 MiB at a time, from file to file both ways. FLARE: the engine of a
run between sites, from the coordinator's file to a file of the member's own process and back, with
the digest of every payload checked on both sides.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

from concord.federation.engine.flare.admin import FlareAdmin, write_job
from concord.federation.engine.flare.driver import AdminLost
from concord.federation.engine.flare.segment import Order
from concord.federation.sited import HOST, PROJECT, free_port
from concord.federation.sites.processes import command, environment
from concord.federation.sites.provision import Kits, ProjectSpec, provision
from concord.federation.sites.site_files import read_site, write_site_files
from concord.federation.sites.tree import end_tree

HERE = Path(__file__).parent
CHUNK = 1 << 20
CLASSES = ("TransportController", "TransportExecutor")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--members", type=int, default=4)
    options.add_argument("--megabytes", type=int, nargs="+", default=[1, 50, 200, 500])
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--folder", type=Path, default=None, help="for files; default: temporary")
    chosen = options.parse_args()
    root = Path(tempfile.mkdtemp(prefix="transport-", dir=chosen.folder))
    try:
        report(measure(root, chosen.members, chosen.megabytes, chosen.repeats), chosen.members)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def measure(root: Path, count: int, megabytes: list[int], repeats: int) -> dict:
    members = [f"member-{number}" for number in range(count)]
    kits = make_kits(root, members)
    for size in megabytes:
        write_random(root / "server" / f"{size}.bin", size * 1_000_000)
    plan = [size for size in megabytes for _ in range(repeats)]
    found: dict = {"rows": [], "members": count}
    with sites(kits, members) as (trees, up_s):
        found["up_s"] = up_s
        admin = FlareAdmin(kits.driver)
        began_s = time.monotonic()
        submit(admin, members, plan)
        wait_for(root / "server" / "ready")
        found["job_s"] = time.monotonic() - began_s
        for number, size in enumerate(plan):
            raw_s = bare_tls(root, kits, members, root / "server" / f"{size}.bin")
            (root / "server" / f"go-{number}").touch()
            result = root / "server" / f"result-{number}.json"
            wait_for(result)
            flare = json.loads(result.read_text())
            memory = {name: tree_peak(pid) for name, pid in trees.items()}
            found["rows"].append({"MB": size, "raw_s": raw_s, **flare, "memory_MiB": memory})
            print(f"{size} MB: bare {raw_s:.2f} s, flare {flare['seconds']:.2f} s", flush=True)
        admin.close()
    return found


# --- FLARE --------------------------------------------------------------------------------------


def make_kits(root: Path, members: list[str]) -> Kits:
    spec = ProjectSpec(
        name=PROJECT, host=HOST, port=free_port(), members={name: name for name in members}
    )
    kits = provision(root / PROJECT, spec)
    for name, kit in (("server", kits.server), *kits.members.items()):
        folder = root / name
        folder.mkdir()
        role = "server" if name == "server" else "member"
        write_site_files(kit, role, name=HOST if role == "server" else name, folder=folder)
        resources = kit / "local" / "resources.json"
        value = json.loads(resources.read_text())
        value["class_allow_list"] = [f"transport_job.{name}" for name in CLASSES]
        resources.write_text(json.dumps(value))
    return kits


@contextmanager
def sites(kits: Kits, members: list[str]) -> Iterator[tuple[dict[str, int], float]]:
    """All processes, once every member is admitted."""
    trees: dict[str, int] = {}
    began_s = time.monotonic()
    with ExitStack() as stack:
        for name, kit in (("server", kits.server), *kits.members.items()):
            env = environment(HERE.parent / "src")
            env["PYTHONPATH"] += os.pathsep + str(HERE)
            output = stack.enter_context((kit / "process.txt").open("wb"))
            process = subprocess.Popen(
                command(kit, read_site(kit)),
                cwd=kit,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            stack.callback(process.wait)
            stack.callback(end_tree, process.pid, pause_s=4.0)
            trees[name] = process.pid
        admin = FlareAdmin(kits.driver)
        while True:
            try:
                if set(admin.registered()) >= set(members):
                    break
            except AdminLost:
                time.sleep(0.3)
        admin.close()
        yield trees, time.monotonic() - began_s


def submit(admin: FlareAdmin, members: list[str], plan: list[int]) -> None:
    order = Order(
        segment="000001-00000000",
        run="transport",
        digest="sha256:" + "0" * 64,
        members=tuple(members),
        quorum=len(members),
    )
    with tempfile.TemporaryDirectory() as scratch:
        job = write_job(Path(scratch) / order.segment, order)
        config = job / "app" / "config"
        server = json.loads((config / "config_fed_server.json").read_text())
        server["workflows"][0]["path"] = "transport_job.TransportController"
        server["workflows"][0]["args"] = {"members": members, "megabytes": plan}
        (config / "config_fed_server.json").write_text(json.dumps(server))
        client = json.loads((config / "config_fed_client.json").read_text())
        client["executors"][0]["executor"]["path"] = "transport_job.TransportExecutor"
        (config / "config_fed_client.json").write_text(json.dumps(client))
        with admin._asking() as session:
            session.submit_job(str(job))


def tree_peak(pid: int) -> float:
    """Peak resident memory of a process and all below it, MiB, each process's own peak."""
    root = psutil.Process(pid)
    total = 0.0
    for process in (root, *root.children(recursive=True)):
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
        except OSError:
            continue
        peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        total += int(peak.split()[1]) / 1024
    return total


# --- bare TLS -----------------------------------------------------------------------------------

CLIENT = """
import socket, ssl, sys, time
host, port, ca, cert, key, path, size = sys.argv[1:8]
size = int(size)
context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=ca)
context.check_hostname = False
context.load_cert_chain(cert, key)
stream = context.wrap_socket(socket.create_connection((host, int(port))))
buffer = memoryview(bytearray(1 << 20))
print("up", flush=True)
with open(path, "wb") as file:
    left = size
    while left:
        count = stream.recv_into(buffer[: min(left, len(buffer))])
        file.write(buffer[:count]); left -= count
with open(path, "rb") as file:
    while data := file.read(1 << 20):
        stream.sendall(data)
stream.recv(1)
"""


def bare_tls(root: Path, kits: Kits, members: list[str], source: Path) -> float:
    """Seconds to send a file to every member and to get it back."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    startup = kits.server / "startup"
    context.load_cert_chain(startup / "server.crt", startup / "server.key")
    context.load_verify_locations(startup / "rootCA.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    size = source.stat().st_size
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as stack:
        port = listener.getsockname()[1]
        for name in members:
            kit = kits.members[name] / "startup"
            arguments = [HOST, port, kit / "rootCA.pem", kit / "client.crt", kit / "client.key"]
            path = root / name / "bare.bin"
            process = subprocess.Popen(
                [sys.executable, "-c", CLIENT, *map(str, [*arguments, path, size])],
                stdout=subprocess.DEVNULL,
            )
            stack.callback(process.wait)
        streams = [context.wrap_socket(listener.accept()[0], server_side=True) for _ in members]
        threads = [
            threading.Thread(target=there_and_back, args=(stream, source, root / f"up-{number}"))
            for number, stream in enumerate(streams)
        ]
        began_s = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.monotonic() - began_s
        for stream in streams:
            stream.close()
    for path in root.glob("up-*"):
        path.unlink()
    return seconds


def there_and_back(stream: ssl.SSLSocket, source: Path, target: Path) -> None:
    buffer = memoryview(bytearray(CHUNK))
    with source.open("rb") as file:
        while data := file.read(CHUNK):
            stream.sendall(data)
    left = source.stat().st_size
    with target.open("wb") as file:
        while left:
            count = stream.recv_into(buffer[: min(left, CHUNK)])
            file.write(buffer[:count])
            left -= count
    stream.sendall(b".")


# --- results ------------------------------------------------------------------------------------


def write_random(path: Path, size: int) -> None:
    with path.open("wb") as file:
        while size:
            count = min(size, 1 << 24)
            file.write(os.urandom(count))
            size -= count


def wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.02)


def report(found: dict, count: int) -> None:
    print(f"\n{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores,")
    print(
        f"{count} members. Up: {found['up_s']:.1f} s; job until all joined {found['job_s']:.1f} s"
    )
    print("\n| MB | bare TLS, s | FLARE, s | ratio | coordinator's job, peak MiB | whole server |")
    print("|--:|--:|--:|--:|--:|--:|")
    for size in sorted({row["MB"] for row in found["rows"]}):
        rows = [row for row in found["rows"] if row["MB"] == size]
        raw = statistics.median(row["raw_s"] for row in rows)
        flare = statistics.median(row["seconds"] for row in rows)
        ratio = statistics.median(row["seconds"] / row["raw_s"] for row in rows)
        job, tree = rows[-1]["peak_MiB"], rows[-1]["memory_MiB"]["server"]
        print(f"| {size} | {raw:.2f} | {flare:.2f} | {ratio:.2f} | {job:.0f} | {tree:.0f} |")


if __name__ == "__main__":
    main()
