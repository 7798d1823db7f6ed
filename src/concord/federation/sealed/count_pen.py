"""A member's part of a sealed sum of counts: one masked file, unmasked once in the life of a run.

Counts of a text do not change from one attempt to the next. An attempt that was never unmasked
tells nothing, so counts may be masked again for the next one; but once shares of an attempt were
given, or its survivor set may have been opened by others, counts go into no other.
"""

from __future__ import annotations

import os

from concord.base.digest import digest_file
from concord.crypto.seal import chunk_root, value_commitment
from concord.data.bpe.listed import MergeList
from concord.data.bpe.pairs import Ints
from concord.federation.sealed.key_pen import AnySum, KeyPen
from concord.federation.sealed.pen import SALT_BYTES, Masked
from concord.federation.sealed.store import Commitment, file_root
from concord.ledger.sealed.book import CountBook
from concord.ledger.sealed.counts import counts_header, counts_vector, ring_of
from concord.ledger.statements.sealing import Unmasked


class CountPen(KeyPen):
    """One member's secrets and steps while a run learns its tokenizer."""

    def mask_counts(self, book: CountBook, listed: MergeList, counts_M: Ints) -> Masked:
        """Mask counts, and keep them on disk as the only ones of this attempt.

        Raises:
            SealRefused: others were kept, or an earlier attempt was unmasked.
        """
        kept = self._enter(book)
        self._store.check_only(kept.instance)
        number = book.epoch.number_of(self._member) or 0
        values = counts_vector(self._run, book, listed, number, counts_M)
        root, salt = chunk_root(values.data.cast("B")), os.urandom(SALT_BYTES)
        header = counts_header(self._run, book, listed, number, self._member).encode()
        self._write(kept, book, header, values, ring_of(book))
        path = kept.vector_path
        # Other attempts have the same counts, so these are named by their attempt.
        kept.commit(Commitment(file_root(path), kept.instance.ctx, salt, root))
        return Masked(
            path=path,
            update=digest_file(path),
            bytes=path.stat().st_size,
            hidden=value_commitment(kept.instance, self._me(book), salt, root).hex(),
        )

    def unmask(self, book: AnySum) -> Unmasked:
        """My shares for the survivor set that the log holds.

        Raises:
            SealRefused: as of `KeyPen`, or an earlier attempt was unmasked.
        """
        self._store.keep_only(self._enter(book).instance)
        return super().unmask(book)
