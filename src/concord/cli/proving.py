"""`concord prove`, `sign` and `file`: proofs for a stranger, and statements of several parties."""

from __future__ import annotations

from pathlib import Path

import typer

from concord.base.canonical import canonical_json
from concord.base.digest import Digest, check_digest, digest_bytes, digest_file
from concord.base.errors import DocumentError, VerificationFailed
from concord.base.files import write_atomic
from concord.cli import desk
from concord.cli.say import columns, confirm, say, say_json
from concord.ledger.archive import Archive
from concord.ledger.entries import Entry
from concord.ledger.proof import (
    MAX_PROOF_BYTES,
    Checked,
    Proof,
    TrustedKeys,
    check_proof,
    read_document,
    trusted_keys,
)
from concord.ledger.proof import (
    prove as make_proof,
)
from concord.ledger.sentences import author_words, moment, sentence, short

MAX_ENTRY_BYTES = 65_535


def register(app: typer.Typer) -> None:
    app.command("prove")(prove)
    app.command("sign")(sign)
    app.command("file")(file_statement)


def prove(
    folder: Path | None = typer.Argument(None, help="Federation folder or published copy."),
    file: str | None = typer.Argument(None, help="A file, or a digest sha256:…"),
    out: Path | None = typer.Option(None, "--out", help="Write the proof to this file."),
    check: Path | None = typer.Option(None, "--check", help="Check a proof, with --keys alone."),
    keys: Path | None = typer.Option(None, "--keys", help="From `concord keys show --json`."),
    as_json: bool = desk.JSON,
) -> None:
    """Show which statements speak of a file, each with the proof that it is in the log.

    Example: concord prove atlas atlas/runs/first/model/model.safetensors --out proof.json

    Example: concord prove --check proof.json --keys keys.json
    """
    if check is not None:
        if keys is None:
            raise DocumentError("say whom you trust", where="--keys", remedy="add --keys FILE")
        proof = read_document(_read(check), Proof, where=check)
        checked = check_proof(proof, read_document(_read(keys), TrustedKeys, where=keys))
        _tell(proof, checked, as_json=as_json)
        return
    if folder is None or file is None:
        raise DocumentError("name a federation folder, and a file or digest", where="FILE")
    archive = desk.open_archive(folder)
    digest = _digest(archive, file)
    found = make_proof(archive, digest)
    if found is None and (part := _charter_of(archive, digest)) is not None:
        name, digest = part
        say(f"it is {name} of charter {digest}, of which is said:", err=True)
        found = make_proof(archive, digest)
    if found is None:
        raise VerificationFailed(
            "no statement of this log speaks of it",
            where=digest,
            remedy="is it the file itself, unchanged, and of this federation?",
        )
    checked = check_proof(found, trusted_keys(archive))
    if out is not None:
        write_atomic(out, canonical_json(found.model_dump(mode="json")) + b"\n")
        say(f"wrote {out}", err=True)
    _tell(found, checked, as_json=as_json)


def _digest(archive: Archive, file: str) -> Digest:
    if Path(file).is_file():
        return digest_file(Path(file))
    if file.startswith("sha256:"):
        return check_digest(file, where="FILE")
    known = {d for entry in archive.entries for d in entry.statement.subjects().values()}
    known |= {entry.statement.digest for entry in archive.entries}
    return desk.find_digest(file, known, what="digest")


def _charter_of(archive: Archive, digest: Digest) -> tuple[str, Digest] | None:
    """A charter that the log names and that holds this file, with the file's name."""
    named = {
        found
        for entry in archive.entries
        for name, found in entry.statement.subjects().items()
        if name == "charter"
    }
    for charter in sorted(named):
        for name, data in archive.replica.library.bundle(charter).files.items():
            if digest_bytes(data) == digest:
                return name, charter
    return None


def _tell(proof: Proof, checked: Checked, *, as_json: bool) -> None:
    rows = [
        [
            f"entry {one.index}",
            moment(one.entry.statement.time),
            author_words(one.entry.statement.author),
            sentence(one.entry.statement),
        ]
        for one in checked.statements
    ]
    if as_json:
        say_json(
            {
                "digest": proof.digest,
                "size": checked.size,
                "witnesses": list(checked.witnesses),
                "statements": [
                    {
                        "index": one.index,
                        "kind": one.entry.statement.kind,
                        "digest": one.entry.statement.digest,
                        "signed_by": list(one.signed_by),
                        "sentence": sentence(one.entry.statement),
                    }
                    for one in checked.statements
                ],
            }
        )
        return
    say(proof.digest, style="bold")
    for line in columns(rows, indent="  "):
        say(line)
    say(
        f"each is in the log of {checked.size} entries, under a checkpoint cosigned by"
        f" {', '.join(checked.witnesses)}"
    )


def _read(path: Path, max_bytes: int = MAX_PROOF_BYTES) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(max_bytes + 1)
    except OSError as error:
        raise DocumentError(f"cannot be read: {error.strerror}", where=path) from error


def sign(
    folder: Path = desk.FOLDER,
    file: Path = typer.Argument(..., help="A statement that others signed: made with --out."),
    party: str = desk.AS,
    yes: bool = desk.YES,
) -> None:
    """Add a signature to a statement of several parties, after showing what it says.

    Example: concord sign atlas takeover.json --as kenya
    """
    office = desk.open_office(folder)
    entry = Entry.parse(_read(file, MAX_ENTRY_BYTES), where=file)
    statement = entry.statement
    say(f"{author_words(statement.author)} {sentence(statement)}", style="bold")
    say(f"{short(statement.digest)}, {moment(statement.time)}")
    confirm(f"Sign this as {party}?", yes=yes)
    signed = office.sign(entry, party)
    write_atomic(file, signed.data)
    say(office.gathering(signed).words)


def file_statement(
    folder: Path = desk.FOLDER,
    file: Path = typer.Argument(..., help="A statement with all its signatures."),
    as_json: bool = desk.JSON,
) -> None:
    """File a statement that was signed elsewhere.

    Example: concord file atlas takeover.json
    """
    office = desk.open_office(folder)
    entry = Entry.parse(_read(file, MAX_ENTRY_BYTES), where=file)
    desk.file_entry(office, entry, as_json=as_json)
