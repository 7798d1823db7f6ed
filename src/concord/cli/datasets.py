"""`concord data add` and its siblings: describe a dataset to the world, and keep its text."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.console import Console

from concord.base.errors import DocumentError, StatementRefused
from concord.base.identifiers import check_identifier
from concord.charter.dataset import DatasetDocument, record_bytes
from concord.cli import desk
from concord.cli.data import text_progress
from concord.cli.dataset_template import TEMPLATE
from concord.cli.record_words import personal_words, record_lines
from concord.cli.records import find_record, record_at_hand, seats_of
from concord.cli.say import columns, count, say, say_json, warn
from concord.federation.folders import FederationFolder, MemberFolder
from concord.ledger.statements.evidence import DatasetRecord

NAME = typer.Argument(..., help="Name of the dataset: a-z, 0-9, '_' and '-'.")
MEMBER = typer.Option(..., "--as", help="The member; its folder and key lie here.")
LIST = "; repeatable."


def register(app: typer.Typer) -> None:
    app.command("add")(add)
    app.command("template")(template)
    app.command("list")(list_all)
    app.command("show")(show)
    app.command("revoke")(revoke)


def template(folder: Path = desk.FOLDER, name: str = NAME, party: str = MEMBER) -> None:
    """Write a dataset's file with every field, for you to fill in.

    Example: concord data template atlas gazette --as kenya
    """
    from concord.federation.datasets import dataset

    one = dataset(_member_folder(folder, party), name)
    if one.path.exists():
        raise DocumentError("is there already", where=one.path, remedy="edit it")
    one.write(TEMPLATE)
    say(f"fill in {one.path}, then: concord data add {folder} {name} --as {party}")


def add(
    folder: Path = desk.FOLDER,
    name: str = NAME,
    party: str = MEMBER,
    title: str | None = typer.Option(None, help="Name of the dataset in words."),
    description: str | None = typer.Option(None, help="What it holds."),
    languages: list[str] = typer.Option([], "--language", help=f"BCP 47 tag, such as sw{LIST}"),
    sources: list[str] = typer.Option([], "--source", help=f"Where the text comes from{LIST}"),
    licences: list[str] = typer.Option([], "--licence", help=f"SPDX id or LicenseRef-…{LIST}"),
    rights_holder: str | None = typer.Option(None, help="Who holds the rights."),
    origin: list[str] = typer.Option([], "--origin", help=f"Place it comes from, such as KE{LIST}"),
    sensitivity: str | None = typer.Option(
        None, help="public, internal, confidential or personal."
    ),
    tier: str | None = typer.Option(None, help="P irrevocable, R revocable, L local."),
    purposes: list[str] = typer.Option([], "--purpose", help=f"What it may be used for{LIST}"),
    stages: list[str] = typer.Option(
        [], "--stage", help=f"pretraining, expert, evaluation or local{LIST}"
    ),
    model_licences: list[str] = typer.Option(
        [], "--model-licence", help=f"Licence that a model trained on it may have{LIST}"
    ),
    residency: list[str] = typer.Option(
        [], "--residency", help=f"Where it may be stored and processed{LIST}"
    ),
    expires: str | None = typer.Option(None, help="Day from which on it is not used."),
    max_epsilon: str | None = typer.Option(None, help="Budget of differential privacy."),
    updates: bool | None = typer.Option(
        None, "--updates-may-leave/--updates-stay", help="Whether model updates may leave."
    ),
    consent: str | None = typer.Option(None, help="Where consent is documented."),
    community_review: str | None = typer.Option(None, help="Who reviewed the use, and when."),
    personal_data: str | None = typer.Option(
        None, help="keep, mask or leave_out documents with personal data."
    ),
    text: list[Path] = typer.Option([], help=f"File or folder of text, if not member.toml's{LIST}"),
    heldout: list[Path] = typer.Option([], help=f"Text that is only measured on{LIST}"),
    as_json: bool = desk.JSON,
) -> None:
    """Describe a dataset: read its text, count it, commit to it, and sign the record of it.

    The terms are in members/<member>/datasets/<name>.toml, see `concord data template`. Where there
    is no such file they are given as options, and it is written. The text stays where it is.

    Example: concord data add atlas gazette --as kenya
    """
    from concord.federation.datasets import (
        dataset,
        dataset_toml,
        make_record,
        parse_dataset_file,
    )

    options = {
        "title": title,
        "description": description,
        "languages": languages,
        "sources": sources,
        "licences": licences,
        "rights_holder": rights_holder,
        "origin": origin,
        "sensitivity": sensitivity,
        "tier": tier,
        "purposes": purposes,
        "stages": stages,
        "model_licences": model_licences,
        "residency": residency,
        "expires": expires,
        "max_epsilon": max_epsilon,
        "updates_may_leave": updates,
        "consent": consent,
        "community_review": community_review,
        "personal_data": personal_data,
        "text": [str(path.resolve()) for path in text],
        "heldout": [str(path.resolve()) for path in heldout],
    }
    given = {key: value for key, value in options.items() if value not in (None, [])}
    office = desk.open_office(folder)
    entry = office.state.member(party).entry
    one = dataset(_member_folder(folder, party), name)
    if given and one.path.exists():
        raise DocumentError(
            "there is a file of the terms already",
            where=one.path,
            remedy="edit it, and give no options; or remove it",
        )
    written = dataset_toml(given) if given else None
    file = one.load() if written is None else parse_dataset_file(written, where="options")
    with text_progress(Console(stderr=True)) as on_progress:
        made = make_record(
            one, file, name=entry.name, today=office.today(), on_progress=on_progress
        )
    digest = office.federation.objects.put(record_bytes(made.document))
    body = DatasetRecord(dataset=name, record=digest)
    office.check(office.draft(body, party=party))  # before anything is kept
    if written is not None:
        one.write(written)
    one.keep(made)
    desk.put(office, body, party=party, as_json=as_json)
    if not as_json:
        _tell(made.document)


def list_all(folder: Path = desk.FOLDER, as_json: bool = desk.JSON) -> None:
    """List every dataset that a member described, and those that were revoked.

    Example: concord data list atlas
    """
    archive = desk.open_archive(folder)
    objects = FederationFolder(folder.resolve()).objects
    seats = list(seats_of(archive).values())
    found = [(seat, record_at_hand(objects, seat.record)) for seat in seats]
    if as_json:
        say_json([seat.to_json() for seat in seats])
        return
    if not found:
        say("no dataset is described; a member does so with: concord data add")
        return
    rows: list[tuple[str, ...]] = [
        ("dataset", "standing", "tier", "documents", "bytes", "expires", "title")
    ]
    for seat, document in found:
        standing = "revoked" if seat.revoked else "in force"
        rows.append((seat.key, standing, *_row(document)))
    for line in columns(rows):
        say(line)


def show(
    folder: Path = desk.FOLDER,
    which: str = typer.Argument(..., metavar="MEMBER/DATASET", help="Such as kenya/gazette."),
    as_json: bool = typer.Option(False, "--json", help="Print the record itself, as Croissant."),
) -> None:
    """Show the record of a dataset, from the log and the objects alone.

    Example: concord data show atlas kenya/gazette
    """
    seat, document = find_record(folder, which)
    if as_json:
        typer.echo(record_bytes(document).decode())
        return
    state = "revoked" if seat.revoked else "in force"
    say(f"{seat.key}  {seat.record}  entry {seat.index}  {state}")
    for line in columns(record_lines(document), indent="  "):
        say(line)


def revoke(
    folder: Path = desk.FOLDER,
    name: str = NAME,
    party: str = MEMBER,
    past_stays: bool = typer.Option(
        False, help="For tier P: you know that what was learned from it stays in the joint model."
    ),
    as_json: bool = desk.JSON,
) -> None:
    """Revoke a dataset: from the next round on it is not used. Nobody has to agree.

    Example: concord data revoke atlas gazette --as kenya --past-stays
    """
    from concord.federation.datasets import dataset

    office = desk.open_office(folder)
    record = office.state.datasets.get(party, {}).get(check_identifier(name, where="dataset"))
    if record is None:
        raise StatementRefused(
            f"{party!r} has no dataset {name!r} in force",
            where="dataset",
            remedy="concord data list",
        )
    document = record_at_hand(office.federation.objects, record)
    tier = "P" if document is None else document.terms.tier
    if tier == "P" and not past_stays:
        raise DocumentError(
            "tier P was signed as irrevocable: what a joint model learned cannot be taken out of"
            " it, and released weights cannot be recalled. A revocation stops every round from the"
            " next one on, and no more",
            where=f"{party}/{name}",
            remedy="if that is what you want, add --past-stays",
        )
    desk.put(
        office,
        DatasetRecord(dataset=name, record=record, revoked=True),
        party=party,
        as_json=as_json,
    )
    dataset(_member_folder(folder, party), name).mark_revoked()


def _row(document: DatasetDocument | None) -> tuple[str, ...]:
    if document is None:
        return ("", "", "", "", "its record is not here")
    counts, terms = document.counts, document.terms
    documents, size = f"{counts.documents:,}", f"{counts.bytes:,}"
    return (terms.tier, documents, size, terms.expires.isoformat(), terms.title)


def _tell(document: DatasetDocument) -> None:
    terms, personal = document.terms, document.personal_data
    say(f"  {count(document.counts.documents, 'document')}, {document.counts.bytes:,} bytes")
    say(f"  personal data: {personal_words(document)}")
    if personal.documents and personal.treatment == "keep" and terms.sensitivity != "personal":
        warn(
            "note: documents with personal data are kept, and sensitivity says"
            f" {terms.sensitivity!r}; consider personal_data = 'mask', or sensitivity = 'personal'"
        )


def _member_folder(folder: Path, party: str) -> MemberFolder:
    check_identifier(party, where="--as")
    return FederationFolder(folder.resolve()).member(party)
