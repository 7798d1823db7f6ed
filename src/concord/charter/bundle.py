"""A charter as it is signed: charter.toml with its Cedar files, addressed by one digest.

The digest is that of the canonical JSON {path: sha256 of the file}. That JSON, the manifest, is an
object itself, so whoever has the objects finds all files from the charter's digest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from types import MappingProxyType

from concord.base.canonical import canonical_json, parse_json
from concord.base.digest import Digest, check_digest, digest_bytes, digest_json
from concord.base.errors import CharterError, DocumentError, PolicyRefused
from concord.base.objects import ObjectStore
from concord.charter.constitution import Charter, parse_charter
from concord.charter.fields import plain_text
from concord.charter.paths import DOCUMENT, LAW, RULES, SCHEMA, is_bundle_file
from concord.charter.policy import CedarRule, Policy, check_forbids_only

MAX_FILES = 32
MAX_FILE_BYTES = 64 << 10
MAX_BUNDLE_BYTES = 512 << 10


@dataclass(frozen=True)
class CharterBundle:
    """Files that were read, found consistent, and never change. Made by `bundle_from`."""

    files: Mapping[str, bytes]
    charter: Charter
    rules: Mapping[str, CedarRule]
    """Forbids of charter.cedar and the law files, by id."""

    @cached_property
    def manifest(self) -> bytes:
        """Canonical JSON of every file's digest."""
        return canonical_json(_digests(self.files))

    @cached_property
    def digest(self) -> Digest:
        """What members sign: the address of the manifest."""
        return digest_json(_digests(self.files))

    @property
    def schema(self) -> str:
        return self.files[SCHEMA].decode("utf-8")

    @property
    def forbids(self) -> str:
        """Text of charter.cedar and the law files, in the order of their names."""
        return _joined(self.files)


def bundle_from(files: Mapping[str, bytes], *, where: object = "charter") -> CharterBundle:
    """Check a charter's files.

    Raises:
        CharterError: a file is missing, not of a charter, too large or not plain text; or
            charter.toml is refused. Names file and field.
        PolicyRefused: a Cedar file permits, or does not fit the schema.
    """
    _check_names(files, where)
    for path, data in files.items():
        _check_text(path, data, where)
    charter = parse_charter(files[DOCUMENT], where=f"{where}/{DOCUMENT}")
    schema, rules = files[SCHEMA].decode("utf-8"), dict[str, CedarRule]()
    for path in _cedar_files(files):
        text, place = files[path].decode("utf-8"), f"{where}/{path}"
        found = _checked_rules(text, schema, place, f"{where}/{SCHEMA}")
        if twice := sorted(rules.keys() & found.keys()):
            raise PolicyRefused(f"ids used before: {', '.join(twice)}", where=place)
        rules |= found
    return CharterBundle(dict(files), charter, rules)


def load_bundle(folder: Path) -> CharterBundle:
    """Read a charter's folder.

    Raises:
        CharterError: see `bundle_from`; or a file cannot be read, or is a link.
    """
    paths = [p for p in sorted(folder.rglob("*")) if p.is_symlink() or not p.is_dir()]
    if len(paths) > MAX_FILES:
        raise CharterError(f"holds more than {MAX_FILES} files", where=folder)
    files: dict[str, bytes] = {}
    for path in paths:
        name = path.relative_to(folder).as_posix()
        if not is_bundle_file(name):
            raise CharterError(
                f"{name} is no file of a charter",
                where=folder,
                remedy="move it elsewhere; laws lie in law/<name>.cedar",
            )
        files[name] = _read(path)
    if not files:
        raise CharterError("there is no charter", where=folder, remedy="`concord init` writes one")
    return bundle_from(files, where=folder)


def bundle_of(objects: ObjectStore, digest: Digest) -> CharterBundle:
    """Read a charter from the objects, by its digest.

    Raises:
        CharterError: see `bundle_from`; or the object is no manifest.
        CheckpointError: an object is missing or altered.
    """
    where = f"charter {digest}"
    try:
        manifest = parse_json(objects.get(digest), where=where, max_bytes=MAX_FILE_BYTES)
        if not isinstance(manifest, dict) or len(manifest) > MAX_FILES:
            raise CharterError("is no manifest of a charter", where=where)
        found = {name: check_digest(str(address)) for name, address in manifest.items()}
    except DocumentError as error:
        raise CharterError(error.message, where=where) from error
    bundle = bundle_from(
        {name: objects.get(address) for name, address in found.items()}, where=where
    )
    if bundle.digest != digest:
        raise CharterError("the manifest is not in canonical form", where=where)
    return bundle


def store_bundle(bundle: CharterBundle, objects: ObjectStore) -> Digest:
    """Put all files and the manifest among the objects; returns the charter's digest."""
    for data in bundle.files.values():
        objects.put(data)
    return objects.put(bundle.manifest)


def member_policy(bundle: CharterBundle, text: str, *, where: object = "policy.cedar") -> Policy:
    """A member's own rules with the charter's and the laws' forbids in front of them.

    Raises:
        PolicyRefused: the member's text is refused, or uses an id of the charter.
    """
    own = Policy(text, bundle.schema, where=where)
    if taken := sorted(own.rules.keys() & bundle.rules.keys()):
        raise PolicyRefused(
            f"ids of the charter: {', '.join(taken)}",
            where=where,
            remedy="give these rules other ids",
        )
    return Policy(f"{bundle.forbids}\n{text}", bundle.schema, where=where)


@lru_cache(maxsize=64)
def _checked_rules(
    text: str, schema: str, place: str, schema_place: str
) -> Mapping[str, CedarRule]:
    """Rules of a file that may only forbid. Kept: charters differ from each other in few files."""
    found = check_forbids_only(text, where=place)
    Policy(text, schema, where=place, schema_where=schema_place)
    return MappingProxyType(found)


def _digests(files: Mapping[str, bytes]) -> dict[str, Digest]:
    return {path: digest_bytes(data) for path, data in files.items()}


def _cedar_files(files: Mapping[str, bytes]) -> list[str]:
    return [RULES, *sorted(path for path in files if path.startswith(LAW))]


def _joined(files: Mapping[str, bytes]) -> str:
    return "\n".join(files[path].decode("utf-8") for path in _cedar_files(files))


def _check_names(files: Mapping[str, bytes], where: object) -> None:
    for path in (DOCUMENT, SCHEMA, RULES):
        if path not in files:
            raise CharterError(
                f"{path} is missing", where=where, remedy="`concord init` writes one"
            )
    if len(files) > MAX_FILES:
        raise CharterError(f"holds more than {MAX_FILES} files", where=where)
    if sum(map(len, files.values())) > MAX_BUNDLE_BYTES:
        raise CharterError(f"holds more than {MAX_BUNDLE_BYTES:,} bytes", where=where)
    for path in files:
        if not is_bundle_file(path):
            raise CharterError(f"{path[:80]!r} is no file of a charter", where=where)


def _check_text(path: str, data: bytes, where: object) -> None:
    place = f"{where}/{path}"
    if len(data) > MAX_FILE_BYTES:
        raise CharterError(f"is longer than {MAX_FILE_BYTES:,} bytes", where=place)
    if b"\r" in data:
        raise CharterError(
            "has Windows line ends", where=place, remedy="save it with Unix line ends"
        )
    try:
        plain_text(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise CharterError("is not UTF-8", where=place) from error
    except ValueError as error:
        raise CharterError(str(error), where=place) from error


def _read(path: Path) -> bytes:
    if path.is_symlink() or not path.is_file():
        raise CharterError("is no plain file", where=path)
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise CharterError(f"cannot be read: {error.strerror}", where=path) from error
