"""A member's text, from files to token shards. Only this process reads it; only counts leave."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from concord.base.digest import Digest, digest_bytes
from concord.base.errors import CheckpointError, DatasetsRevoked, MessageRefused
from concord.charter.run import RunDocument
from concord.data.bpe import CountingMember
from concord.data.bpe.listed import MergeList
from concord.data.bpe.pairs import Ints
from concord.data.bpe.words import count_words
from concord.data.prepare import TextSummary, prepare_parts, prepared_earlier, read_prepared
from concord.data.samples import SampleOrder
from concord.data.shards import TokenShards, write_shards
from concord.data.summary import Part
from concord.federation.datasets import split_key, text_parts
from concord.federation.folders import MemberFolder
from concord.federation.member.audit_folder import AuditFolder
from concord.federation.member.privacy_file import load_privacy
from concord.federation.member.sensitive import Sensitive
from concord.federation.messages import TextCounts
from concord.model.folder import read_tokenizer_files
from concord.model.tokenizer import Tokenizer
from concord.train.audit.canaries import CanarySet, PlantedText


class MemberText:
    """One member's text in one run.

    Args:
        folder: The member's folder; its `member.toml` names the text.
        run: The run document.

    Raises:
        DocumentError: `member.toml` or `privacy.toml` is faulty.
    """

    def __init__(self, folder: MemberFolder, run: RunDocument) -> None:
        self.run = run
        self.folder = folder
        self.file = folder.load()
        self.sensitive = Sensitive(folder, run)
        self._source_digest: Digest = ""
        self._revoked = False
        self._counting: CountingMember | None = None
        self._shards: TokenShards | None = None
        self._planted: PlantedText | None = None
        self._canaries: CanarySet | None = None
        self._order: SampleOrder | None = None
        self._tokenizer: Tokenizer | None = None

    def prepare(self) -> TextCounts:
        """Read, clean and split the text, or take what an earlier start left.

        It is the text of the member's datasets, each treated as its terms say, without those that
        were revoked; of `member.toml` where nothing is described.

        Raises:
            DataError: the text cannot be used, or all of it was revoked.
            DocumentError: a dataset's file is faulty.
        """
        summary = self._summary()
        self._source_digest = summary.train_digest
        self.sensitive.prepare(self._texts("train"))
        return text_counts(summary)

    def _summary(self) -> TextSummary:
        try:
            parts = text_parts(self.folder, apart=self.sensitive.datasets)
        except DatasetsRevoked:
            # In a run that has begun the member stays as a witness: what was prepared is not read
            # again, and its policy refuses every use of it.
            kept = prepared_earlier(self._documents) if self._shards_folder.exists() else None
            if kept is None:
                raise
            self._revoked = True
            return kept
        return prepare_parts(
            parts,
            self._documents,
            key=split_key(self.folder),
            heldout_share=self.run.evaluation.heldout_share,
        )

    def answer_counts(self, request: bytes) -> bytes:
        """Answer a request of the tokenizer session with counts of pairs.

        Raises:
            DatasetsRevoked: counts of revoked text are not given.
            MessageRefused: counts of this run are sealed, and leave in no other form.
        """
        if self.run.seal is not None and self.run.seal.tokenizer:
            raise MessageRefused("asks in clear for counts that are sealed in this run")
        if self._revoked:
            raise DatasetsRevoked("counts of revoked text are not given", where=self.folder.id)
        if self._counting is None:
            self._counting = CountingMember(
                self._texts("train"), max_bytes=self.run.tokenizer.sample_bytes
            )
        return self._counting.answer(request)

    def merges_made(self, listed: MergeList) -> Ints:
        """[merges] How often each merge of a public list is made in the text, to be sealed.

        Raises:
            DatasetsRevoked: counts of revoked text are not given.
        """
        if self._revoked:
            raise DatasetsRevoked("counts of revoked text are not given", where=self.folder.id)
        spec = self.run.tokenizer
        return listed.counts(count_words(self._texts("train"), max_bytes=spec.sample_bytes))

    def use_tokenizer(self, data: bytes | None, digest: Digest | None) -> None:
        """Encode the text, or take the shards that an earlier start wrote.

        Raises:
            CheckpointError: the tokenizer is not the one that was announced.
            CorpusTooSmall: the text makes less than one batch.
        """
        self._counting = None
        if data is not None and digest_bytes(data) != digest:
            raise CheckpointError("the tokenizer that came does not match its digest")
        tokenizer = self._load_tokenizer(data)
        shards = self._open_shards_folder()
        write_shards(
            self._texts("train"),
            shards,
            encode_batch=tokenizer.encode_documents,
            end_id=tokenizer.start_id,
            vocabulary_size=tokenizer.size,
            tokenizer_digest=tokenizer.digest,
            source_digest=self._source_digest,
        )
        self.sensitive.use_tokenizer(tokenizer)
        self._open_shards_in(shards)

    def _load_tokenizer(self, data: bytes | None) -> Tokenizer:
        if data is not None:
            self._tokenizer = Tokenizer.from_json(data.decode("utf-8"))
        elif (folder := self.continued_folder) is not None:
            self._tokenizer = Tokenizer.from_files(read_tokenizer_files(folder))
        else:
            raise MessageRefused("no tokenizer came, and the run starts from no model folder")
        return self._tokenizer

    def _open_shards_in(self, folder: Path) -> None:
        self._shards = TokenShards(folder)
        self._canaries = AuditFolder(self.folder, self.run).canaries(
            load_privacy(self.folder).audit,
            text_tokens=self._shards.token_count,
            vocabulary_size=self.tokenizer.size,
            end_id=self.tokenizer.start_id,
        )
        self._planted = PlantedText(self._shards, self._canaries)
        self._order = SampleOrder(
            self._planted, seed=self.run.seed, member=self.folder.id, context=self.run.model.context
        )
        self._order.check(self.batch_size)

    def open(self, data: bytes | None) -> None:
        """Take the shards that `use_tokenizer` wrote, in another process of this machine.

        Raises:
            ShardsCorrupt: they are missing or altered.
        """
        self._load_tokenizer(data)
        self._open_shards_in(self._open_shards_folder())

    @property
    def continued_folder(self) -> Path | None:
        """The model folder that the run continues from, from the federation's folder."""
        path = self.run.model.continue_from
        return None if path is None else (self.folder.root.parent.parent / path).resolve()

    @property
    def tokenizer(self) -> Tokenizer:
        if self._tokenizer is None:
            raise MessageRefused("no tokenizer was given yet")
        return self._tokenizer

    @property
    def tokens(self) -> int:
        return self._open_shards.token_count

    @property
    def token_counts(self) -> NDArray[np.int64]:
        """[vocabulary] How often each token occurs in the training text."""
        return self._open_shards.token_counts()

    @property
    def batch_size(self) -> int:
        return self.run.inner.batch_tokens // self.run.model.context

    def batch(self, step: int) -> NDArray[np.int64]:
        """[batch, context + 1] Token ids of the global step: a pure function of run and step."""
        if self._order is None:
            raise MessageRefused("no tokenizer was given yet")
        return self._order.batch(step, self.batch_size)

    def at(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Token ids as they are trained on, canaries included, at positions of the whole text."""
        if self._planted is None:
            raise MessageRefused("no tokenizer was given yet")
        return self._planted.at(positions)

    @property
    def canaries(self) -> CanarySet:
        """Those of this run, planted or not; usually none."""
        if self._canaries is None:
            raise MessageRefused("no tokenizer was given yet")
        return self._canaries

    @property
    def canaries_commitment(self) -> Digest | None:
        """What binds the canaries of this run before it is trained; None without any."""
        return AuditFolder(self.folder, self.run).commitment if len(self.canaries) else None

    def were_drawn(self, positions: NDArray[np.int64], steps: int) -> NDArray[np.bool_]:
        """Whether positions of the text were read in the first steps of the run."""
        if self._order is None:
            raise MessageRefused("no tokenizer was given yet")
        return self._order.were_drawn(positions, steps, self.batch_size)

    def heldout(self) -> Iterator[str]:
        return self._texts("heldout")

    @property
    def _open_shards(self) -> TokenShards:
        if self._shards is None:
            raise MessageRefused("no tokenizer was given yet")
        return self._shards

    @property
    def _shards_folder(self) -> Path:
        return self.folder.private / "shards" / self.run.name

    def _open_shards_folder(self) -> Path:
        return self.folder.open_private("shards", self.run.name)

    @property
    def _documents(self) -> Path:
        return self.folder.open_private("documents")

    def _texts(self, part: Part) -> Iterator[str]:
        return (document.text for document in read_prepared(self._documents, part))


def text_counts(summary: TextSummary) -> TextCounts:
    """What of a summary may leave the member."""
    return TextCounts(
        documents=summary.documents,
        bytes=summary.bytes,
        exact_duplicates=summary.exact_duplicates,
        near_duplicates=summary.near_duplicates,
        train_documents=summary.train_documents,
        train_bytes=summary.train_bytes,
        heldout_documents=summary.heldout_documents,
        heldout_bytes=summary.heldout_bytes,
        scripts=summary.scripts,
        languages=summary.languages,
    )
