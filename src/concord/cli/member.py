"""`concord member`: a member in its own data centre."""

from __future__ import annotations

import getpass
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import typer

from concord.base.digest import check_digest
from concord.base.files import write_atomic
from concord.cli import desk
from concord.cli.say import say, say_json, warn

if TYPE_CHECKING:
    from concord.federation.sites.home import Taken

app = typer.Typer(help="A member in its own data centre.", no_args_is_help=True)
HOME = typer.Argument(..., help="The member's home, made by `concord member join`.")
AS = typer.Option(None, "--as", help="Which member, if several kits lie there.")


@app.command()
def join(
    kit: Path = typer.Argument(..., help="The kit that the secretariat handed over."),
    home: Path | None = typer.Option(None, help="Folder to make; FEDERATION-MEMBER if left out."),
    text: list[Path] = typer.Option([], help="File or folder of text; repeatable."),
    own: Path | None = typer.Option(
        None, "--member-folder", help="The member's folder, if it was made elsewhere; copied."
    ),
    federation: str | None = typer.Option(
        None, help="Digest that the federation must have, as you were told it."
    ),
    as_json: bool = desk.JSON,
) -> None:
    """Check a kit and make the home of its member: own keys, own policy, safe site files.

    A renewed kit goes into the home that is there; keys, policy and text stay.

    Example: concord member join kit --home atlas-kenya --text corpora/kenya
    """
    from concord.federation.sites.home import take_kit
    from concord.federation.sites.manifest import open_kit

    now_s = desk.now()
    if home is None:
        manifest = open_kit(kit, now_s=now_s)
        home = Path(f"{manifest.name}-{manifest.member}")
    wanted = None if federation is None else check_digest(federation, where="--federation")
    taken = take_kit(kit, home, now_s=now_s, text=text, own=own, federation=wanted)
    if as_json:
        say_json(
            {
                "home": str(taken.home),
                "member": taken.member,
                "federation": taken.manifest.federation,
                "root": taken.manifest.root,
                "server": f"{taken.manifest.host}:{taken.manifest.port}",
                "made_keys": taken.made_keys,
                "other_keys": taken.other_keys,
            }
        )
        return
    _tell(taken, home, asked=federation is not None)


def _tell(taken: Taken, home: Path, *, asked: bool) -> None:
    manifest = taken.manifest
    say(f"{taken.member}'s home is {home}")
    say(f"federation  {manifest.federation}" + ("  as you were told" if asked else ""))
    say(f"root        {manifest.root}")
    if not asked:
        say("compare both lines with what the secretariat told you by another way", style="yellow")
    for purpose, key in taken.other_keys.items():
        warn(f"the log holds another {purpose} key for {taken.member}; the one here is {key}")
    if taken.other_keys:
        warn(
            "the statements of this home do not count yet. Either bring the folder with the keys"
            " that the log holds (--member-folder), or let the members replace them by those"
            f" here: concord keys revoke FEDERATION --as ANOTHER --of {taken.member}"
            " --purpose PURPOSE --replacement KEY --with …"
        )
    if not taken.has_text:
        say(f"say where your text is: {home}/members/{taken.member}/member.toml, or --text")
    say(f"look at what your data may be used for: {home}/members/{taken.member}/policy.cedar")
    say(f"then: concord member check {home}; concord member up {home}")


@app.command()
def check(home: Path = HOME, name: str | None = AS, as_json: bool = desk.JSON) -> None:
    """Check kit and site files, and walk the way to the coordinator once: name, port, certificates.

    Example: concord member check atlas-kenya
    """
    from concord.federation.sites.certificates import days_left, load_certificate
    from concord.federation.sites.diagnosis import check_reachable
    from concord.federation.sites.home import member_of, site_of
    from concord.federation.sites.manifest import open_kit
    from concord.federation.sites.site_files import check_site_files

    kit = site_of(member_of(home, name))
    manifest = open_kit(kit, now_s=desk.now())
    hashes = check_site_files(kit)
    check_reachable(kit, manifest, now_s=desk.now())
    certificate = load_certificate(kit / "startup" / "client.crt")
    days, end = days_left(certificate, now_s=desk.now()), certificate.not_valid_after_utc
    if as_json:
        say_json({"member": manifest.member, "files": hashes, "certificate_days_left": days})
        return
    for file, digest in hashes.items():
        say(f"{file:<20}  {digest}")
    say(f"the certificate counts for {days} more days, until {end:%Y-%m-%d}")
    say(f"{manifest.host}:{manifest.port} answers and lets this member in")


@app.command()
def up(home: Path = HOME, name: str | None = AS) -> None:
    """Serve this member until Ctrl-C: what dies is started again, with a growing pause.

    Nobody connects to this machine; it dials out to the coordinator's one port. What stands in the
    way is told in words.

    Example: concord member up atlas-kenya
    """
    from concord.federation.sites.diagnosis import check_reachable
    from concord.federation.sites.home import member_of, site_of
    from concord.federation.sites.manifest import open_kit
    from concord.federation.sites.processes import SiteProcess
    from concord.federation.sites.supervisor import Supervisor

    member = member_of(home, name)
    member.load()
    kit = site_of(member)
    manifest = open_kit(kit, now_s=desk.now())
    process = SiteProcess(kit)
    ending = Ending()
    supervisor = Supervisor(
        process,
        tell=_tell_time(member.id),
        check=lambda: check_reachable(kit, manifest, now_s=desk.now()),
        admitted=process.registered,
        ended=ending.asked,
    )
    supervisor.run()
    say("ended")


@app.command()
def unit(
    home: Path = HOME,
    name: str | None = AS,
    container: bool = typer.Option(
        False, "--container", help="A container file in place of a systemd unit."
    ),
    user: str | None = typer.Option(None, help="Who runs it; whoever runs this if left out."),
    out: Path | None = typer.Option(None, "--out", help="Write it to this file; else it is shown."),
) -> None:
    """Make a systemd unit, or a container file, that serves this home with few rights.

    Example: concord member unit atlas-kenya --out concord-kenya.service
    """
    from concord.federation.sites.home import member_of
    from concord.federation.sites.unit import unit as fill

    member = member_of(home, name)
    text = fill(
        "container" if container else "systemd",
        home=home.resolve(),
        member=member.id,
        python=Path(sys.executable),
        user=user or getpass.getuser(),
    )
    if out is None:
        typer.echo(text, nl=False)
        return
    write_atomic(out, text.encode())
    say(f"{out} is written; how to use it stands at its top")


class Ending:
    """Notices that this process is asked to end: Ctrl-C, or the word of a service manager."""

    def __init__(self) -> None:
        self._asked = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)

    def asked(self) -> bool:
        return self._asked

    def _note(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._asked = True


def _tell_time(who: str) -> Callable[[str], None]:
    def tell(text: str) -> None:
        say(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC  {who}: {text}")

    return tell
