"""A member's home: a federation folder that holds this member alone, and its kit.

    HOME/log, HOME/objects            a copy of what the federation published; kept fresh in runs
    HOME/members/<id>/                the member's own folder, as on any other machine
    HOME/members/<id>/site/           its kit, with the site files beside it

So every command that works in a federation's folder works in a home.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from concord.base.errors import DocumentError, KitRefused
from concord.base.files import private_folder, storage_errors
from concord.base.objects import ObjectStore
from concord.federation.folders import FederationFolder, MemberFile, MemberFolder
from concord.federation.sites.manifest import FILE, SIGNED_PARTS, KitManifest, open_kit
from concord.federation.sites.site_files import write_site_files
from concord.ledger.archive import Archive
from concord.ledger.log import JOURNAL, Log
from concord.ledger.names import log_origin
from concord.ledger.publish import copy_log
from concord.ledger.state.library import ObjectLibrary
from concord.ledger.state.model import State
from concord.ledger.tiles import CHECKPOINT

SITE = "site"


@dataclass(frozen=True)
class Taken:
    """What became of a kit."""

    home: Path
    member: str
    manifest: KitManifest
    made_keys: bool
    other_keys: dict[str, str] = field(default_factory=dict)
    """Public keys that lie here and are not the ones in the log, by purpose."""
    has_text: bool = True


def take_kit(
    kit: Path,
    home: Path,
    *,
    now_s: int,
    text: Sequence[Path] = (),
    own: Path | None = None,
    federation: str | None = None,
) -> Taken:
    """Check a kit and make, or renew, the home of its member.

    Args:
        kit: The folder that the secretariat handed over; it is left as it is.
        home: A new folder, or one that holds this federation's log already.
        now_s: Unix seconds.
        text: Files and folders of text, for a new `member.toml`.
        own: The member's folder, where it was made elsewhere; it is copied.
        federation: Digest that the federation must have, as the member was told it.

    Raises:
        KitRefused: the kit is altered, for another federation, or its certificate does not count.
        DocumentError: the home holds something else.
        StorageError: it cannot be written.
    """
    manifest = open_kit(kit, now_s=now_s)
    archive = _archive(kit / "federation")
    state = archive.state
    if state.federation != manifest.federation:
        raise KitRefused("holds another federation's log", where=kit)
    if federation is not None and federation != manifest.federation:
        raise KitRefused(
            f"is for the federation {manifest.federation}, not for {federation}",
            where=kit,
            remedy="ask the secretariat of the federation that you mean",
        )
    folder = FederationFolder(home.resolve())
    _settle_log(folder, kit / "federation", archive, manifest)
    member = folder.member(manifest.member)
    if own is not None:
        _bring(own, member)
    made = not member.keys.exists()
    member.settle(state.name)
    if text:
        found = [str(path.resolve()) for path in text]
        member.write(name=_name(state, member.id), text=tuple(found))
    _settle_site(kit, member, manifest)
    return Taken(
        home=folder.root,
        member=member.id,
        manifest=manifest,
        made_keys=made,
        other_keys=_other_keys(member, state),
        has_text=member.file.exists(),
    )


def site_of(member: MemberFolder) -> Path:
    """Where a member's kit lies."""
    return member.root / SITE


def member_of(home: Path, name: str | None = None) -> MemberFolder:
    """The member whose kit lies in a home.

    Args:
        name: Which, if there are several.

    Raises:
        DocumentError: there is none, or there are several.
    """
    folder = FederationFolder(home.resolve())
    kits = sorted((folder.root / "members").glob(f"*/{SITE}/{FILE}"))
    found = [path.parents[1].name for path in kits]
    if name is not None and name in found:
        return folder.member(name)
    if len(found) == 1 and name is None:
        return folder.member(found[0])
    fault = f"holds kits of {', '.join(found)}" if found else "holds no member's kit"
    remedy = "name one: --as" if found else "take one in: concord member join KIT"
    raise DocumentError(fault, where=home, remedy=remedy)


def _archive(folder: Path) -> Archive:
    return Archive(folder / "log", ObjectLibrary(ObjectStore(folder / "objects")))


def _settle_log(
    folder: FederationFolder, source: Path, archive: Archive, manifest: KitManifest
) -> None:
    if (folder.log / CHECKPOINT).exists():
        held = Archive(folder.log, ObjectLibrary(folder.objects)).state.federation
        if held != manifest.federation:
            raise KitRefused(
                f"is for the federation {manifest.federation}; this home is of {held}",
                where=source.parent,
                remedy="give another --home, or ask for the kit of this federation",
            )
        return
    if folder.root.exists() and any(folder.root.iterdir()):
        raise DocumentError(
            "holds something else than a member's home",
            where=folder.root,
            remedy="give another --home",
        )
    private_folder(folder.root)
    for path in sorted((source / "objects").rglob("*")):
        if path.is_file():
            with storage_errors(path):
                folder.objects.put(path.read_bytes())
    copy_log(source / "log", folder.log, archive.note)
    if not (folder.log / JOURNAL).exists():
        Log.adopt(folder.log, log_origin(manifest.name)).close()


def _bring(own: Path, member: MemberFolder) -> None:
    """Copy a member's folder from where it was made; paths of its text stay right."""
    source = MemberFolder(own.resolve())
    if source.root == member.root:
        return
    if source.id != member.id:
        raise DocumentError(f"is the folder of {source.id!r}, not of {member.id!r}", where=own)
    if member.root.exists():
        raise DocumentError(
            "is there already, and a member's folder is never overwritten", where=member.root
        )
    making = member.root.with_name(f".{member.id}.part")
    with storage_errors(member.root):
        member.root.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(making, ignore_errors=True)
        shutil.copytree(source.root, making, ignore=shutil.ignore_patterns(SITE))
        if source.file.exists():
            _rewrite(MemberFolder(making), source)
        making.rename(member.root)


def _rewrite(member: MemberFolder, source: MemberFolder) -> None:
    """`member.toml` with the same words and whole paths."""
    file = source.load()
    whole = {
        "text": [str(path) for path in source.paths(file.text)],
        "heldout": [str(path) for path in source.paths(file.heldout)],
        "facts": None if file.facts is None else str((source.root / file.facts).resolve()),
    }
    member.save(MemberFile.model_validate({**file.model_dump(), **whole}))


def _settle_site(kit: Path, member: MemberFolder, manifest: KitManifest) -> None:
    target = site_of(member)
    making = member.root / f".{SITE}.part"
    with storage_errors(target):
        shutil.rmtree(making, ignore_errors=True)
        private_folder(making)
        for part in SIGNED_PARTS:
            shutil.copytree(kit / part, making / part)
        for path in (making, *making.rglob("*")):
            path.chmod(0o700 if path.is_dir() else 0o600)
        shutil.copyfile(kit / FILE, making / FILE)
        (making / FILE).chmod(0o600)
        private_folder(making / "transfer")
        if target.exists():
            shutil.rmtree(target)
        making.rename(target)
    write_site_files(
        target,
        "member",
        name=manifest.member,
        folder=member.root,
        federation=manifest.federation,
    )


def _other_keys(member: MemberFolder, state: State) -> dict[str, str]:
    seat = state.seated().get(member.id)
    if seat is None:
        return {}
    public = {purpose: member.keys.load(purpose).public.text for purpose in ("identity", "witness")}
    logged = {"identity": seat.entry.key, "witness": seat.entry.witness_key}
    return {purpose: key for purpose, key in public.items() if key != logged[purpose]}


def _name(state: State, member: str) -> str:
    seat = state.seated().get(member)
    return member if seat is None else seat.entry.name or member
