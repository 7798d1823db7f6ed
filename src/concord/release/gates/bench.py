"""What gates are run on: one model of a federation, loaded once, and its member's text."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from transformers import PreTrainedModel

from concord.base.digest import Digest
from concord.base.errors import DocumentError, VerificationFailed
from concord.base.objects import ObjectStore
from concord.base.tensors import TensorFile
from concord.charter.run import RunDocument
from concord.federation.comparison.results import alone_weights
from concord.federation.folders import FederationFolder
from concord.federation.member.network import build_network
from concord.federation.member.text import MemberText
from concord.federation.parallel import Lines, languages_in, read_parallel
from concord.federation.records import RunFolder
from concord.ledger.layouts import base_weights
from concord.ledger.state.model import State
from concord.model.folder import load_folder, read_tokenizer_files
from concord.model.tensors import load_tensors
from concord.model.tokenizer import Tokenizer
from concord.release.folder import ReleaseFolder
from concord.release.gates.measures import DocumentSums
from concord.release.manifest import read_manifest
from concord.release.weights import base_weights_digest, weights_digest
from concord.train.evaluate import Window, window_nats, windows


@dataclass(frozen=True)
class Bench:
    """A model that is to be released, as one member has it.

    Args:
        federation: The federation's folder on this machine.
        run: The run that made it.
        model: The base.
        state: What the log adds up to.
    """

    federation: FederationFolder
    run: RunDocument
    model: Digest
    state: State

    @property
    def folder(self) -> Path:
        """The model folder of the run."""
        return RunFolder(self.federation.root, self.run.name).root / "model"

    @cached_property
    def network(self) -> PreTrainedModel:
        """The model, checked to be the base.

        Raises:
            DocumentError: it was not exported here.
            VerificationFailed: the folder holds another one.
        """
        self.check_weights()
        return load_folder(self.folder).model

    def check_weights(self) -> Digest:
        """Digest of the weights of a model folder that is the base.

        Raises:
            DocumentError, VerificationFailed: see `network`.
        """
        files = sorted(self.folder.glob("*.safetensors"))
        if not files:
            raise DocumentError(
                "holds no model", where=self.folder, remedy="finish the run: concord run --resume"
            )
        base = TensorFile(ObjectStore(self.federation.root / "objects").verified_path(self.model))
        found = weights_digest(files)
        if found != base_weights_digest(base):
            raise VerificationFailed(f"is not base {self.model}", where=self.folder)
        return found

    @cached_property
    def tokenizer(self) -> Tokenizer:
        return Tokenizer.from_files(read_tokenizer_files(self.folder))

    @property
    def context(self) -> int:
        return int(getattr(self.network.config, "max_position_embeddings", self.run.model.context))

    def released(self, model: Digest) -> PreTrainedModel:
        """A released model that lies in this federation's folder.

        Raises:
            DocumentError: it does not.
        """
        for version, released in self.state.releases.items():
            release = ReleaseFolder(self.federation.root / "releases" / version)
            if released == model and release.manifest.is_file():
                manifest = read_manifest(release.manifest)
                if weights_digest(release.weights()) != manifest.weights:
                    raise VerificationFailed("was altered", where=release.root)
                return load_folder(release.root).model
        raise DocumentError(
            "the release to compare with is not here",
            where=self.federation.root / "releases",
            remedy="put its folder there, under the name of its version",
        )

    def alone(self, member: str) -> PreTrainedModel:
        """The member's model trained alone, at equal tokens.

        Raises:
            DocumentError: see `alone_file`.
        """
        path = self.alone_file(member)
        folder = self.text(member).continued_folder
        network = build_network(self.run, self.tokenizer, folder)
        load_tensors(network, base_weights(TensorFile(path)))
        return network

    def alone_file(self, member: str) -> Path:
        """The tensor file of that model.

        Raises:
            DocumentError: none was trained, or only in another run, or it was altered since.
        """
        return alone_weights(RunFolder(self.federation.root, self.run.name), self.run, member)

    def text(self, member: str) -> MemberText:
        """A member's text, which lies here only at the member.

        Raises:
            ShardsCorrupt, DataError: it is not here, or not prepared.
        """
        found = MemberText(self.federation.member(member), self.run)
        data = (self.folder / "tokenizer.json").read_bytes()
        found.open(data if self.run.model.continue_from is None else None)
        return found

    def languages(self) -> dict[str, tuple[str, ...]]:
        """Languages of each member of the roster, where it names some."""
        return {member.id: member.languages for member in self.run.roster if member.languages}

    def parallel(self) -> Lines:
        """Public lines that the tokenizer did not learn from, the same in every language.

        Raises:
            DocumentError: the run names no parallel set.
        """
        if self.run.tokenizer.parallel is None:
            raise DocumentError("names no parallel set", where=f"run {self.run.name}")
        place = (self.federation.root / self.run.tokenizer.parallel).resolve()
        named = {code for codes in self.languages().values() for code in codes}
        return read_parallel(place, sorted(named or set(languages_in(place)))).measure

    def seed(self, gate: str) -> int:
        """The same for every runner of a gate on this model."""
        found = hashlib.sha256(f"{gate} {self.model}".encode()).digest()
        return int.from_bytes(found[:8], "big")

    def document_sums(
        self, network: PreTrainedModel, documents: Iterable[str], *, most: int
    ) -> DocumentSums:
        """Nats and bytes of the first `most` documents."""
        given: list[Window] = []
        owner: list[int] = []
        sizes: list[int] = []
        for text in documents:
            if len(sizes) == most:
                break
            cut = list(
                windows(
                    self.tokenizer.encode(text),
                    start_id=self.tokenizer.start_id,
                    context=self.run.model.context,
                )
            )
            given += cut
            owner += [len(sizes)] * len(cut)
            sizes.append(len(text.encode()))
        nats = np.zeros(len(sizes))
        np.add.at(nats, np.array(owner, int), np.array(window_nats(network, given)))
        return DocumentSums(nats, np.array(sizes, float))
