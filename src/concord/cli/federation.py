"""`concord federation`: the secretariat's part in a federation between sites."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from concord.base.errors import DocumentError
from concord.cli import desk
from concord.cli.say import columns, count, say, say_json
from concord.federation.folders import FederationFolder

if TYPE_CHECKING:
    from concord.federation.sites.secretariat import Delivery

app = typer.Typer(help="Members in their own data centres: the secretariat.", no_args_is_help=True)


@app.command()
def provision(
    folder: Path = desk.FOLDER,
    host: str | None = typer.Option(None, help="Host name under which members dial you."),
    port: int = typer.Option(8002, min=1, max=65_535, help="The one port that members dial."),
    listen: str | None = typer.Option(
        None, help="Address to listen on; all of this machine's if left out."
    ),
    also: list[str] = typer.Option([], "--also-host", help="A further name; repeatable."),
    add: list[str] = typer.Option([], "--add", help="A kit for a further member; repeatable."),
    renew: list[str] = typer.Option(
        [], "--renew", help="New key and kit: a member, `server` or `driver`; repeatable."
    ),
    as_json: bool = desk.JSON,
) -> None:
    """Make the project's root key and one start-up kit per member that the log holds.

    Nothing is overwritten. Members that come later get theirs with --add, under the same root.
    Certificates last 360 days; --renew makes new ones.

    Example: concord federation provision atlas --host coordinator.example.org --port 8002

    Example: concord federation provision atlas --add nepal
    """
    from concord.federation.sites.secretariat import Secretariat

    office = Secretariat(FederationFolder(folder.resolve()), desk.open_archive(folder))
    if (host is not None) + bool(add) + bool(renew) != 1:
        raise DocumentError(
            "give either --host, or --add, or --renew",
            where="--host",
            remedy="--host makes a project; --add and --renew go on with one",
        )
    now_s = desk.now()
    if add:
        made = office.add(add, now_s=now_s)
    elif renew:
        made = office.renew(renew, now_s=now_s)
    else:
        made = office.found(host or "", port, also_hosts=also, now_s=now_s, listen=listen)
    if as_json:
        say_json(
            {
                "kits": {member: str(kit) for member, kit in made.kits.items()},
                "server": str(made.server),
                "root": made.root,
                "federation": made.federation,
            }
        )
        return
    _tell(made, folder, founded=host is not None)


@app.command()
def revoke(
    folder: Path = desk.FOLDER,
    members: list[str] = typer.Argument(..., help="Whose certificates are to count no more."),
    as_json: bool = desk.JSON,
) -> None:
    """Shut a member's certificate out: its kit was stolen, or it is a member no more.

    A running server takes note within seconds and ends the member's connection. What the member
    may say in the log is another matter: concord keys revoke, concord propose expel.

    Example: concord federation revoke atlas peru
    """
    from concord.federation.sites.secretariat import Secretariat

    office = Secretariat(FederationFolder(folder.resolve()), desk.open_archive(folder))
    total = office.revoke(members, now_s=desk.now())
    if as_json:
        say_json({"revoked": members, "total": total})
        return
    say(f"revoked: {', '.join(members)}; {count(total, 'certificate')} in all")
    say(f"to let one in again: concord federation provision {folder} --renew MEMBER")


def _tell(made: Delivery, folder: Path, *, founded: bool) -> None:
    for line in columns([member, str(kit)] for member, kit in made.kits.items()):
        say(line)
    say(f"federation  {made.federation}")
    say(f"root        {made.root}")
    say("tell each member both of these lines by another way than you send the kit")
    if made.kits:
        say("each kit holds a member's TLS key: hand it over in private, then delete it here")
    if founded:
        say(f"then: concord coordinator up {folder}")
