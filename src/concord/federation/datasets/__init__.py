"""A member's datasets: files, records, and openings of single documents."""

from concord.federation.datasets.almanac import describe_almanacs
from concord.federation.datasets.files import (
    Dataset,
    DatasetFile,
    dataset,
    dataset_toml,
    datasets,
    parse_dataset_file,
    split_key,
    text_parts,
)
from concord.federation.datasets.making import make_record
from concord.federation.datasets.opening import open_document

__all__ = [
    "Dataset",
    "DatasetFile",
    "dataset",
    "dataset_toml",
    "datasets",
    "describe_almanacs",
    "make_record",
    "open_document",
    "parse_dataset_file",
    "split_key",
    "text_parts",
]
