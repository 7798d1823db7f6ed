"""What a member says of a dataset that never leaves it: a document that policy and log can read.

It needs no text: whoever installs the verifier can read a record, and ask a policy about it.
"""

from concord.charter.dataset.attributes import dataset_attributes
from concord.charter.dataset.croissant import parse_record, record_bytes
from concord.charter.dataset.document import DatasetDocument, Held
from concord.charter.dataset.facts import Commitment, DatasetCounts, PersonalData
from concord.charter.dataset.opening import Opening, check_document
from concord.charter.dataset.terms import DatasetTerms

__all__ = [
    "Commitment",
    "DatasetCounts",
    "DatasetDocument",
    "DatasetTerms",
    "Held",
    "Opening",
    "PersonalData",
    "check_document",
    "dataset_attributes",
    "parse_record",
    "record_bytes",
]
