import json
from pathlib import Path

import pytest

from concord.data.almanac import write_almanac
from concord.data.facts import read_facts

BYTES = 300_000


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> Path:
    """All twelve members, once for all tests, which only read it."""
    folder = tmp_path_factory.mktemp("almanac")
    write_almanac(folder, bytes_per_member=BYTES, seed=7)
    return folder


@pytest.fixture(scope="session")
def documents(corpus) -> dict[str, list[dict[str, str]]]:
    return {
        path.parent.name: [json.loads(line) for line in path.read_bytes().splitlines()]
        for path in sorted(corpus.glob("*/text.jsonl"))
    }


@pytest.fixture(scope="session")
def facts(corpus):
    return read_facts(corpus / "facts.jsonl")
