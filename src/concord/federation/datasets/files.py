"""A member's datasets on its own disk.

    members/<id>/datasets/<name>.toml           terms, and where the text is; written by the member
    members/<id>/private/datasets/<name>/       the record, what it was made of, `revoked`
    members/<id>/private/commitment.key         secret of all salts: without it nothing is opened

Only the record leaves. It holds terms, counts and one hash: no text, no path, no name of a file.
"""

from __future__ import annotations

import secrets
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from concord.base.digest import Digest, digest_json
from concord.base.errors import CorpusNotFound, DatasetsRevoked, DocumentError
from concord.base.files import storage_errors, write_atomic
from concord.base.identifiers import check_identifier
from concord.charter.dataset import DatasetDocument, DatasetTerms, parse_record, record_bytes
from concord.charter.document import describe
from concord.crypto.commitments import SECRET_BYTES
from concord.data.corpus import TextPart
from concord.data.personal import PersonalDataRule, known_jurisdictions
from concord.federation.folders import REVOKED, MemberFolder, toml_string

RECORD, LEAVES, SOURCES = "record.json", "leaves.bin", "sources"


@dataclass(frozen=True)
class Made:
    """A record, and what its member keeps beside it."""

    document: DatasetDocument
    leaves: bytes
    """Of the commitment, 32 bytes a document."""
    sources: Digest
    """Names and sizes of the files that were read."""


class DatasetFile(DatasetTerms):
    """A dataset's file: its terms, and what stays with the member."""

    text: tuple[str, ...] = ()
    """Files or folders, from the member's folder on; without any, those of `member.toml`."""
    heldout: tuple[str, ...] = ()
    text_key: str = "text"

    @property
    def terms(self) -> DatasetTerms:
        """What is public of it."""
        return DatasetTerms.model_validate(
            {name: getattr(self, name) for name in DatasetTerms.model_fields}
        )

    @property
    def jurisdictions(self) -> tuple[str, ...]:
        """Places whose national ids are looked for: where the text is from, and where it is."""
        places = {place[:2] for place in (*self.origin, *self.residency)}
        return tuple(sorted(places & set(known_jurisdictions())))


@dataclass(frozen=True)
class Dataset:
    """One dataset of a member.

    Args:
        member: The member's folder.
        name: The dataset's name.
    """

    member: MemberFolder
    name: str

    @property
    def path(self) -> Path:
        """Its file."""
        return self.member.root / "datasets" / f"{self.name}.toml"

    @property
    def private(self) -> Path:
        """Where its record and the leaves lie."""
        return self.member.private / "datasets" / self.name

    @property
    def revoked(self) -> bool:
        """Whether the member revoked it; its text is left out of whatever is prepared from then."""
        return (self.private / REVOKED).exists()

    def load(self) -> DatasetFile:
        """Read the dataset's file.

        Raises:
            DocumentError: it is missing, not TOML, or says something impossible.
        """
        try:
            return parse_dataset_file(self.path.read_text(encoding="utf-8"), where=self.path)
        except OSError as error:
            raise DocumentError(
                f"cannot be read: {error.strerror}",
                where=self.path,
                remedy="write one with `concord data template`, or give its terms as options",
            ) from error
        except UnicodeDecodeError as error:
            raise DocumentError("is not UTF-8", where=self.path) from error

    def part(self, file: DatasetFile, *, always_scan: bool = False) -> TextPart:
        """Its text, and how it is read.

        Args:
            file: The dataset's file.
            always_scan: Look for personal data also where nothing would be done about it.

        Raises:
            CorpusNotFound, CorpusUnreadable: the text is not there.
            DocumentError: `member.toml` is faulty.
        """
        text, heldout, text_key = file.text, file.heldout, file.text_key
        if not text:
            own = self.member.load()
            text, heldout, text_key = own.text, own.heldout, own.text_key
        rule = PersonalDataRule(file.personal_data, file.jurisdictions)
        return TextPart.find(
            self.member.paths(text),
            self.member.paths(heldout),
            text_key=text_key,
            personal=rule if always_scan or file.personal_data != "keep" else None,
        )

    def recorded_part(self) -> TextPart:
        """Its text as the record describes it.

        Raises:
            DocumentError: terms or files are no longer those of the record.
            CorpusNotFound, CorpusUnreadable: the text is not there.
        """
        record, file = self.record(), self.load()
        remedy = f"make a new record: concord data add … {self.name} --as {self.member.id}"
        if record is None or file.terms != record.terms:
            raise DocumentError("says other terms than its record", where=self.path, remedy=remedy)
        part = self.part(file)
        if sources_digest(part) != (self.private / SOURCES).read_text():
            raise DocumentError(
                "has other files of text than when its record was made",
                where=self.path,
                remedy=remedy,
            )
        return part

    def record(self) -> DatasetDocument | None:
        """The record that was made last; None if there is none.

        Raises:
            DocumentError: it was altered.
        """
        path = self.private / RECORD
        return parse_record(path.read_bytes(), where=path) if path.exists() else None

    def write(self, file: str) -> None:
        """Write the dataset's file."""
        with storage_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomic(self.path, file.encode(), mode=0o600)

    def keep(self, made: Made) -> None:
        """Keep a record, and what opening a document will need; it is then not revoked."""
        folder = self.member.open_private("datasets", self.name)
        write_atomic(folder / LEAVES, made.leaves, mode=0o600)
        write_atomic(folder / SOURCES, made.sources.encode(), mode=0o600)
        write_atomic(folder / RECORD, record_bytes(made.document), mode=0o600)
        (folder / REVOKED).unlink(missing_ok=True)

    def mark_revoked(self) -> None:
        """Remember that the member revoked it."""
        write_atomic(self.member.open_private("datasets", self.name) / REVOKED, b"", mode=0o600)


def parse_dataset_file(text: str, *, where: object) -> DatasetFile:
    """Read a dataset's file.

    Raises:
        DocumentError: it is not TOML, or says something impossible.
    """
    try:
        return DatasetFile.model_validate(tomllib.loads(text))
    except ValidationError as error:
        remedy = "correct the field; docs/data.md explains each"
        raise DocumentError(describe(error), where=where, remedy=remedy) from error
    except ValueError as error:
        raise DocumentError(
            f"is not TOML: {error}", where=where, remedy="correct that place"
        ) from error


def dataset_toml(values: Mapping[str, object]) -> str:
    """A dataset's file from its fields, which are texts, truth values and lists of texts."""
    lines = ["# Terms of a dataset; text and heldout stay with this member."]
    for key, value in values.items():
        if isinstance(value, list | tuple):
            written = f"[{', '.join(toml_string(str(one)) for one in value)}]"
        elif isinstance(value, bool):
            written = str(value).lower()
        else:
            written = toml_string(str(value))
        lines.append(f"{key} = {written}")
    return "\n".join(lines) + "\n"


def dataset(member: MemberFolder, name: str) -> Dataset:
    """A dataset by name.

    Raises:
        DocumentError: that cannot be a name.
    """
    return Dataset(member, check_identifier(name, where="dataset"))


def datasets(member: MemberFolder) -> list[Dataset]:
    """A member's datasets of which it made a record, by name, those that it revoked too."""
    found = sorted((member.private / "datasets").glob(f"*/{RECORD}"))
    return [dataset(member, path.parent.name) for path in found]


def text_parts(member: MemberFolder, *, apart: Collection[str] = ()) -> list[TextPart]:
    """The text that a member prepares: that of its records, or of `member.toml` if it has none.

    A dataset that was revoked is left out.

    Args:
        apart: Names of datasets that are prepared elsewhere.

    Raises:
        CorpusNotFound: a file is missing, or all datasets that stand are prepared elsewhere.
        DatasetsRevoked: every dataset is revoked.
        DocumentError: a file is faulty, or no longer what its record describes.
    """
    known = datasets(member)
    if not known:
        own = member.load()
        paths, heldout = member.paths(own.text), member.paths(own.heldout)
        return [TextPart.find(paths, heldout, text_key=own.text_key)]
    standing = [one for one in known if not one.revoked]
    if not standing:
        raise DatasetsRevoked(
            "every dataset of this member is revoked",
            where=member.root / "datasets",
            remedy="record one again: concord data add; or leave the member out of a new run",
        )
    used = [one for one in standing if one.name not in apart]
    if not used:
        raise CorpusNotFound(
            "every dataset of this member is revoked, or marked sensitive",
            where=member.root / "datasets",
            remedy="record one again: concord data add",
        )
    return [one.recorded_part() for one in used]


def sources_digest(part: TextPart) -> Digest:
    """Names and sizes of a part's files, as a digest that stays with the member."""
    files = [[source.name, source.bytes] for source in (*part.text, *part.heldout)]
    return digest_json([part.text_key, len(part.heldout), files])


def split_key(member: MemberFolder) -> bytes:
    """The member's secret that decides which documents are held out, made at first use."""
    return _secret(member, "split.key")


def commitment_secret(member: MemberFolder) -> bytes:
    """The member's secret behind all salts, made at first use."""
    return _secret(member, "commitment.key")


def _secret(member: MemberFolder, name: str) -> bytes:
    path = member.open_private() / name
    if not path.exists():
        write_atomic(path, secrets.token_bytes(SECRET_BYTES), mode=0o600)
    return path.read_bytes()
