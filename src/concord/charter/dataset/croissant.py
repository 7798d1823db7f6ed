"""A record as JSON: Croissant 1.1 with its RAI extension, canonical (RFC 8785), no floats.

The facts stand once, under `concord:record`. Everything else is rendered from them for readers who
know Croissant, ODRL or the Data Provenance Standards, and a record is refused if it is not exactly
what its facts render to: no two readers can see two records.

Sources: Croissant 1.1 and RAI 1.0 (mlcommons.org); ODRL 2.2 (W3C); Data Provenance Standards, group
"Use" (Data & Trust Alliance, 2024), whose fields have no keys of their own, so those here are ours.
"""

from __future__ import annotations

from pydantic import ValidationError

from concord.base.canonical import Json, canonical_json, parse_canonical
from concord.base.errors import DocumentError
from concord.charter.dataset.document import DatasetDocument
from concord.charter.dataset.offer import odrl_offer
from concord.charter.dataset.terms import TIER_WORDS, Treatment
from concord.charter.document import describe

MAX_RECORD_BYTES = 1 << 20
FACTS = "concord:record"
SPDX = "https://spdx.org/licenses/"
_OWN_PREFIX = "LicenseRef-"

TREATMENT_WORDS: dict[Treatment, str] = {
    "keep": "Documents with personal data are kept as they are.",
    "mask": "Personal data is replaced by a placeholder that names its kind.",
    "leave_out": "Documents with personal data are left out.",
}


def record_bytes(document: DatasetDocument) -> bytes:
    """A record in the one form that is digested and published."""
    return canonical_json(_rendered(document))


def parse_record(data: bytes, *, where: object = "dataset record") -> DatasetDocument:
    """Read what `record_bytes` wrote.

    Raises:
        DocumentError: it is not canonical JSON, a field is missing, unknown or impossible, or the
            document is not what its facts render to.
    """
    value = parse_canonical(data, where=where, max_bytes=MAX_RECORD_BYTES)
    facts = value.get(FACTS) if isinstance(value, dict) else None
    if facts is None:
        raise DocumentError(f"has no {FACTS!r}", where=where, remedy="`concord data add` makes one")
    try:
        document = DatasetDocument.model_validate(facts)
    except ValidationError as error:
        raise DocumentError(describe(error), where=where) from error
    if record_bytes(document) != data:
        raise DocumentError(
            "says something else than its facts",
            where=where,
            remedy="a record is made by `concord data add`, and not edited",
        )
    return document


def _rendered(document: DatasetDocument) -> Json:
    terms, held = document.terms, document.held
    address = f"urn:concord:dataset:{held.member}:{held.dataset}"
    value = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": [
            "http://mlcommons.org/croissant/1.1",
            "http://mlcommons.org/croissant/RAI/1.0",
        ],
        "name": terms.title,
        "description": terms.description,
        "url": terms.rights_url or address,
        "license": [licence_url(licence) for licence in terms.licences],
        "creator": {"@type": "sc:Organization", "name": terms.rights_holder},
        "publisher": {"@type": "sc:Organization", "name": held.name or held.member},
        "datePublished": document.recorded.isoformat(),
        "citeAs": f"{terms.title}. {terms.rights_holder}. Held by {held.name or held.member},"
        f" recorded on {document.recorded}; not published.",
        "version": f"{document.version}.0.0",
        "inLanguage": list(terms.languages),
        "distribution": [_distribution(document, address)],
        "usageInfo": odrl_offer(terms, target=address),
        FACTS: document.model_dump(mode="json"),
    }
    return value | _responsible_ai(document) | _provenance_standards(document)


def licence_url(licence: str) -> str:
    """The address of an SPDX licence; one that SPDX does not list is its own name."""
    return licence if licence.startswith(_OWN_PREFIX) else SPDX + licence


def _distribution(document: DatasetDocument, address: str) -> Json:
    return {
        "@type": "cr:FileObject",
        "@id": "text",
        "name": "text",
        "description": "The text never leaves its member; nothing is distributed. sha256 is not the"
        " digest of a file: it is the root of a Merkle tree (RFC 6962) over the documents, each"
        " with a secret salt before it.",
        "contentUrl": f"{address}:never-leaves",
        "contentSize": f"{document.counts.bytes} B",
        "encodingFormat": "text/plain",
        "sha256": document.commitment.root,
    }


def _responsible_ai(document: DatasetDocument) -> Json:
    terms = document.terms
    found = {
        "rai:dataCollection": "; ".join(terms.sources),
        "rai:dataCollectionTimeFrame": [day.isoformat() for day in terms.collected],
        "rai:dataPreprocessingProtocol": _preprocessing(document),
        "rai:dataReleaseMaintenancePlan": f"Not released. Used until {terms.expires}. Consent tier"
        f" {terms.tier}, {TIER_WORDS[terms.tier]}.",
        "rai:personalSensitiveInformation": _personal(document),
        "rai:dataSocialImpact": terms.social_impact,
        "rai:dataBiases": list(terms.biases),
        "rai:dataLimitations": list(terms.limitations),
        "rai:dataUseCases": [
            f"Purposes: {', '.join(terms.purposes)}",
            f"Stages: {', '.join(terms.stages)}",
        ],
    }
    return {key: value for key, value in found.items() if value}


def _preprocessing(document: DatasetDocument) -> list[str]:
    counts, personal = document.counts, document.personal_data
    return [
        "Unicode NFC, line ends as LF, control characters removed.",
        (
            f"Left out: {counts.exact_duplicates} exact and {counts.near_duplicates} near"
            f" duplicates, {counts.empty_documents} empty documents."
        ),
        (
            f"{TREATMENT_WORDS[personal.treatment]} Masked: {personal.masked} places. Left out:"
            f" {personal.left_out} documents."
        ),
    ]


def _personal(document: DatasetDocument) -> list[str]:
    personal = document.personal_data
    lines = [
        f"Sensitivity, as the member declares it: {document.terms.sensitivity}.",
        (
            f"Found by {personal.scanner} in {personal.documents} of {personal.scanned_documents}"
            " documents, before any of it was masked or left out; a scan of patterns finds neither"
            " names nor addresses."
        ),
    ]
    return lines + [f"{kind}: {count}" for kind, count in sorted(personal.found.items())]


def _provenance_standards(document: DatasetDocument) -> Json:
    """The group "Use" of the Data Provenance Standards, and four fields that it lacks."""
    terms = document.terms
    return {
        "dps:confidentialityClassification": terms.sensitivity,
        "dps:consentDocumentationLocation": terms.consent,
        "dps:privacyEnhancingTechnologies": [
            *terms.privacy_techniques,
            TREATMENT_WORDS[terms.personal_data],
        ],
        "dps:dataProcessingGeographyInclusion": list(terms.residency),
        "dps:dataProcessingGeographyExclusion": list(terms.not_in),
        "dps:dataStorageGeographyInclusion": list(terms.residency),
        "dps:dataStorageGeographyExclusion": list(terms.not_in),
        "dps:licenseToUse": list(terms.licences),
        "dps:intendedDataUse": list(terms.purposes),
        "dps:proprietaryDataPresence": f"copyright: {terms.rights_holder}",
        "dps:dataOriginGeography": list(terms.origin),
        "concord:mayLeave": {
            "concord:rawText": terms.raw_text_may_leave,
            "concord:derived": terms.derived_may_leave,
            "concord:updates": terms.updates_may_leave,
        },
        "concord:communityReview": terms.community_review,
        "concord:benefitSharing": terms.benefit_sharing or "none claimed",
        "concord:consentTier": terms.tier,
    }


_CONTEXT: Json = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "concord": "urn:concord:terms:",
    "concord:record": {"@id": "concord:record", "@type": "@json"},
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "dps": "urn:data-provenance-standards:",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "odrl": "http://www.w3.org/ns/odrl/2/",
    "odrl:action": {"@id": "odrl:action", "@type": "@id"},
    "odrl:leftOperand": {"@id": "odrl:leftOperand", "@type": "@id"},
    "odrl:operator": {"@id": "odrl:operator", "@type": "@id"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The context that Croissant 1.1 prescribes, with our facts and three prefixes more."""
