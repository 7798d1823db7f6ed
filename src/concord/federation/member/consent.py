"""The member asks its own policy, before any byte of its text is read.

    policy.cedar ─┐
    charter, laws ─┴─► rules ─► one decision a dataset ─► may all of them be used?
    log, round ──────────────►

All or nothing: the text of a member's datasets is prepared as one, so a round that one of them may
not be used for goes without this member. Whatever goes wrong, the answer is no, and it is given.
What the engine says of an error can repeat what it was asked about; it stays in the member's own
folder.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from concord.base.digest import Digest, digest_bytes
from concord.base.errors import ConcordError, PolicyRefused, StorageError
from concord.base.files import write_atomic
from concord.charter.bundle import CharterBundle, member_policy
from concord.charter.cedar_text import MAX_TEXT_BYTES
from concord.charter.dataset import dataset_attributes, parse_record
from concord.charter.policy import Policy
from concord.federation.folders import REVOKED, MemberFolder
from concord.ledger.answers import Answer, answer_from, decide
from concord.ledger.permission import Action, Circumstances, Holding, RoundAsked, holdings
from concord.ledger.state.library import Library
from concord.ledger.state.model import State

FAULTS = "policy-faults.txt"


class MemberConsent:
    """One member's policy, as its machine asks it.

    Args:
        folder: The member's folder.
    """

    def __init__(self, folder: MemberFolder) -> None:
        self._folder = folder
        self._read: tuple[Digest, Digest, Policy] | None = None

    def ask(
        self,
        state: State,
        library: Library,
        asked: RoundAsked,
        *,
        action: Action,
        now: int,
        stale: bool,
        datasets: Collection[str] | None = None,
    ) -> Answer:
        """Whether all of the member's datasets may be used. Never raises: an error is a no.

        Args:
            state: What the member's own replica of the log adds up to.
            library: Where the charter in force is looked up.
            asked: The round.
            action: What is to be done with the text.
            now: Unix seconds.
            stale: Whether the head of the log is too old to know of a halt.
            datasets: Names of those whose text would be used. None: all that the log holds of this
                member, those that it revoked too.
        """
        digest, member = None, self._folder.id
        try:
            text = own_policy(self._folder)
            digest = digest_bytes(text)
            policy = self._policy(text, digest, library.bundle(state.charter_at(now)))
            at = Circumstances(now=now, residency=self._residency(), stale=stale)
            records = own_records(self._folder, self._keep)
            held = holdings(state, member, records, datasets, own_budgets(self._folder))
            held = [self._as_known_here(one) for one in held]
            found = decide(policy, state, asked, member, held, at, action=action)
            answer = answer_from(found, policy, digest)
        except PolicyRefused as error:
            self._keep(f"{error.code} {error}")
            what = "read" if digest is None else "used under this charter"
            return Answer(False, f"policy: the member's policy file cannot be {what}", digest)
        except Exception as error:  # noqa: BLE001 - whatever it is, the answer is no
            self._keep(repr(error))
            return Answer(False, "policy: the question could not be asked", digest)
        if faults := [fault for _, verdict in found for fault in verdict.faults]:
            self._keep("\n".join(faults))
        return answer

    def _as_known_here(self, holding: Holding) -> Holding:
        """A member's own revocation holds on its machine before the log has it."""
        if not (self._folder.private / "datasets" / holding.name / REVOKED).exists():
            return holding
        return replace(holding, attributes={**holding.attributes, "revoked": True})

    def _residency(self) -> str | None:
        """Where this machine stands, if the member says so."""
        return self._folder.load().residency if self._folder.file.exists() else None

    def _policy(self, text: bytes, digest: Digest, bundle: CharterBundle) -> Policy:
        """Validated once for each file and charter: that takes longer than many decisions."""
        if self._read is None or self._read[:2] != (digest, bundle.digest):
            rules = text.decode("utf-8")
            self._read = (digest, bundle.digest, member_policy(bundle, rules))
        return self._read[2]

    def _keep(self, faults: str) -> None:
        """What went wrong, for the member's own eyes; losing it costs nothing else."""
        try:
            path = self._folder.open_private() / FAULTS
            write_atomic(path, faults.encode("utf-8", "replace"), mode=0o600)
        except StorageError:
            pass


def own_policy(folder: MemberFolder) -> bytes:
    """The member's own policy file.

    Raises:
        PolicyRefused: it is no plain file, or refused by `read_policy`.
    """
    path = folder.policy
    try:
        plain = path.is_file() and not path.is_symlink()
    except OSError as error:
        raise PolicyRefused(f"cannot be read: {error.strerror}", where=path) from error
    if not plain:
        raise PolicyRefused(
            "is no plain file", where=path, remedy="`concord init` and `concord join` write one"
        )
    return read_policy(path)


def read_policy(path: Path) -> bytes:
    """A policy file.

    Raises:
        PolicyRefused: it cannot be read, is too long, or not UTF-8.
    """
    try:
        with path.open("rb") as stream:
            text = stream.read(MAX_TEXT_BYTES + 1)
    except OSError as error:
        raise PolicyRefused(f"cannot be read: {error.strerror}", where=path) from error
    if len(text) > MAX_TEXT_BYTES:
        raise PolicyRefused(f"is longer than {MAX_TEXT_BYTES:,} bytes", where=path)
    try:
        text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise PolicyRefused("is not UTF-8", where=path) from error
    return text


def own_records(
    folder: MemberFolder, keep: Callable[[str], None] = lambda _: None
) -> dict[Digest, Mapping[str, Any]]:
    """What a member's own dataset records say, by digest; one that is faulty says nothing.

    Args:
        folder: The member's folder.
        keep: Is told the fault of one that cannot be used.
    """
    found: dict[Digest, Mapping[str, Any]] = {}
    for path in sorted((folder.private / "datasets").glob("*/record.json")):
        data = path.read_bytes()
        try:
            document = parse_record(data, where=path)
        except ConcordError as error:
            keep(f"{error.code} {error}")
            continue
        if document.held.member == folder.id:
            found[digest_bytes(data)] = dataset_attributes(document)
    return found


def own_budgets(folder: MemberFolder) -> dict[str, Decimal]:
    """Privacy budgets of the datasets that a member trains on with noise, as `privacy.toml` says.

    The file is checked where it is used; here a fault in it ends in a refusal.

    Raises:
        OSError, ValueError, KeyError: it cannot be read, or is no such file.
    """
    path = folder.root / "privacy.toml"
    if not path.exists():
        return {}
    found = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    return {one["dataset"]: Decimal(one["max_epsilon"]) for one in found.get("sensitive", ())}
