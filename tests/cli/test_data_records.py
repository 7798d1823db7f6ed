"""Datasets on the command line: described to all, opened to one, revoked by their member alone."""

import json

import pytest
from clilab import Federation, concord

from concord.base.clock import SystemClock
from concord.base.errors import DatasetsRevoked
from concord.charter.dataset import parse_record
from concord.data.prepare import read_prepared
from concord.federation.datasets import dataset
from concord.federation.folders import FederationFolder
from concord.federation.member.text import MemberText
from concord.federation.office import Office
from concord.ledger.statements.evidence import DatasetRecord

CANARY = "zanzibari-canary-kqx-7741"
TERMS = """
title = "Letters of Chad"
description = "Letters to the editor."
languages = ["fr", "shu-Arab"]
sources = ["A newspaper's archive"]
licences = ["CC-BY-4.0"]
rights_holder = "The newspaper"
origin = ["TD"]
sensitivity = "internal"
tier = "P"
purposes = ["public-interest"]
stages = ["pretraining"]
model_licences = ["Apache-2.0"]
residency = ["TD"]
expires = "2099-12-31"
updates_may_leave = true
consent = "Terms of the newspaper, section 4"
community_review = "none"
personal_data = "mask"
"""
FLAGS = [
    *("--title", "Letters", "--description", "To the editor.", "--language", "fr"),
    *("--source", "An archive", "--licence", "CC-BY-4.0", "--rights-holder", "The newspaper"),
    *("--origin", "TD", "--sensitivity", "internal", "--tier", "P", "--residency", "TD"),
    *("--purpose", "public-interest", "--stage", "pretraining", "--model-licence", "Apache-2.0"),
    *("--expires", "2099-12-31", "--updates-may-leave", "--consent", "section 4"),
    *("--community-review", "none"),
]


@pytest.fixture(scope="module")
def founded(tmp_path_factory):
    """A federation whose first member has a canary in its text, in a file's name and in ids."""
    made = Federation(tmp_path_factory.mktemp("founded")).make()
    path = made.root / "text" / f"{CANARY}.jsonl"
    lines = [
        {"id": f"{CANARY}-{n}", "lang": "fr", "text": f"{CANARY} letter {n} on {'rain ' * n}"}
        for n in range(1, 30)
    ]
    lines.append({"id": "mail", "lang": CANARY[:9], "text": "write to amina@example.org of chad"})
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")
    made.write_member("chad", text=[f"../../../text/{CANARY}.jsonl"])
    return made


@pytest.fixture
def atlas(founded, tmp_path):
    return founded.copy_to(tmp_path).folder


@pytest.fixture
def told(atlas, capsys):
    """Call the command on the federation; returns what it said on both streams."""

    def call(*words, status=0):
        said = concord(capsys, "data", *words)
        assert said.status == status, said.out + said.err
        return said.out + said.err

    return call


def write_terms(atlas, text=TERMS, name="letters"):
    path = atlas / "members" / "chad" / "datasets" / f"{name}.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def recorded(atlas, told):
    write_terms(atlas)
    told("add", atlas, "letters", "--as", "chad")
    return atlas


def record_of(told, atlas):
    return parse_record(told("show", atlas, "chad/letters", "--json").strip().encode())


def record_digest(told, atlas):
    return json.loads(told("list", atlas, "--json"))[0]["record"]


# --- add, show, list ---------------------------------------------------------------------------


def test_a_dataset_is_described_by_its_file_and_read_again_from_log_and_objects(atlas, told):
    write_terms(atlas)
    said = told("add", atlas, "letters", "--as", "chad")
    assert "30 documents" in said
    assert "personal data: found in 1 of 30 documents, 1 place masked" in said
    record = record_of(told, atlas)
    assert record.held.member == "chad"
    assert record.counts.documents == record.commitment.size == 30
    assert record.counts.languages == {"fr": 29}
    assert record.personal_data.found == {"email": 1}
    shown = told("show", atlas, "chad/letters")
    for word in ("Letters of Chad", "P, irrevocable", "email", record.commitment.root, "2099"):
        assert word in shown
    listed = told("list", atlas)
    assert "chad/letters" in listed
    assert "in force" in listed
    assert dataset(FederationFolder(atlas).member("chad"), "letters").record() == record


def test_a_dataset_is_described_by_options_and_the_file_is_written(atlas, told):
    told("add", atlas, "letters", "--as", "chad", *FLAGS)
    assert record_of(told, atlas).terms.title == "Letters"
    told("add", atlas, "letters", "--as", "chad")  # again, from the file that was written
    assert "edit it" in told("add", atlas, "letters", "--as", "chad", *FLAGS, status=2)


def test_a_template_names_every_field_and_is_refused_until_it_is_filled_in(atlas, told):
    told("template", atlas, "letters", "--as", "chad")
    said = told("add", atlas, "letters", "--as", "chad", status=2)
    for field in ("languages", "licences", "rights_holder", "expires"):
        assert field in said
    assert "is there already" in told("template", atlas, "letters", "--as", "chad", status=2)
    assert "no dataset is described" in told("list", atlas)


@pytest.mark.parametrize(
    ("old", "new", "status", "words"),
    [
        ('licences = ["CC-BY-4.0"]', "", 2, ["licences: Field required", "letters.toml"]),
        ('licences = ["CC-BY-4.0"]', "licences = []", 2, ["licences", "at least 1"]),
        ('"shu-Arab"', '"xx"', 2, ["languages", "'xx' is no registered", "IANA"]),
        ('"shu-Arab"', '"French!"', 2, ["languages", "language tag such as"]),
        ("2099-12-31", "2020-12-31", 2, ["expires: 2020-12-31 is past"]),
        ('tier = "P"', 'tier = "X"', 2, ["tier", "'P', 'R' or 'L'"]),
        ('tier = "P"', 'tier = "R"', 2, ["cannot be taken out"]),
        ("purposes", "purpose", 2, ["purpose: unknown key"]),
        ('tier = "P"', "tier = ", 2, ["is not TOML"]),
        ('tier = "P"', 'tier = "P"\ntext = ["nowhere.txt"]', 3, ["C201", "nowhere.txt"]),
        ('tier = "P"', 'tier = "P"\ntext = ["empty.txt"]', 3, ["C203", "holds no text"]),
    ],
)
def test_a_faulty_description_is_refused_with_field_and_remedy(
    atlas, told, old, new, status, words
):
    (atlas / "members" / "chad" / "empty.txt").write_text(" \n")
    write_terms(atlas, TERMS.replace(old, new))
    said = told("add", atlas, "letters", "--as", "chad", status=status)
    assert all(word in said for word in words), said
    assert "no dataset is described" in told("list", atlas)


def test_a_missing_file_says_how_to_write_one(atlas, told):
    said = told("add", atlas, "letters", "--as", "chad", status=2)
    assert "concord data template" in said


def test_only_a_member_describes_and_only_under_a_name(atlas, told):
    write_terms(atlas)
    assert "no member" in told("add", atlas, "letters", "--as", "nobody", status=9)
    assert "not a name" in told("add", atlas, "../letters", "--as", "chad", status=2)
    assert "knows no dataset" in told("show", atlas, "chad/letters", status=2)


def test_personal_text_that_is_kept_and_called_internal_is_remarked_on(atlas, told):
    write_terms(atlas, TERMS.replace('"mask"', '"keep"'))
    assert "sensitivity says 'internal'" in told("add", atlas, "letters", "--as", "chad")


# --- what leaves -------------------------------------------------------------------------------


def test_neither_text_nor_paths_nor_ids_are_in_record_log_or_output(recorded, told):
    said = told("show", recorded, "chad/letters") + told("show", recorded, "chad/letters", "--json")
    said += told("list", recorded, "--json")
    public = [p for part in ("log", "objects") for p in (recorded / part).rglob("*") if p.is_file()]
    assert len(public) > 3
    leaked = [CANARY, CANARY[:9], "amina@example.org", "members/chad", str(recorded)]
    for trace in leaked:
        assert trace not in said
        assert not [p for p in public if trace.encode() in p.read_bytes() or trace in p.name]


def test_what_a_member_keeps_of_a_dataset_is_readable_by_nobody_else(recorded):
    private = recorded / "members" / "chad" / "private"
    kept = [*(private / "datasets" / "letters").iterdir(), private / "commitment.key"]
    assert len(kept) == 4
    assert {path.stat().st_mode & 0o077 for path in kept} == {0}


def test_a_published_copy_holds_the_record_and_nothing_of_the_text(
    recorded, told, tmp_path, capsys
):
    said = concord(capsys, "publish", recorded, tmp_path / "copy")
    assert said.status == 0, said.err
    assert "Letters of Chad" in told("show", tmp_path / "copy", "chad/letters")
    copied = [path for path in (tmp_path / "copy").rglob("*") if path.is_file()]
    assert not [path for path in copied if CANARY.encode() in path.read_bytes()]


def test_a_copy_without_the_record_or_with_a_spoilt_one_says_so(recorded, told, capsys):
    digest = record_digest(told, recorded)
    path = FederationFolder(recorded).objects.path(digest)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"Letters of Chad", b"Letters of Mali"))
    said = concord(capsys, "verify", recorded)
    assert said.status == 10
    assert "dataset record" in said.out + said.err
    path.unlink()
    assert concord(capsys, "verify", recorded).status == 0
    assert "ask its member" in told("show", recorded, "chad/letters", status=2)
    assert "its record is not here" in told("list", recorded)


def test_a_record_of_another_member_is_not_believed(recorded, told):
    office = Office(FederationFolder(recorded), SystemClock())
    digest = record_digest(told, recorded)
    office.say(DatasetRecord(dataset="letters", record=digest), party="fiji")
    said = told("show", recorded, "fiji/letters", status=2)
    assert "names a record of chad/letters" in said


# --- opening -----------------------------------------------------------------------------------


@pytest.fixture
def opened(recorded, told, tmp_path):
    """The document with an address, opened: as its author has it, and as it was committed to."""
    author = tmp_path / "author.txt"
    author.write_text("  write to amina@example.org of chad\r\n")
    out, committed = tmp_path / "opening.json", tmp_path / "committed.txt"
    told(
        *("open", recorded, "letters", "--as", "chad", "--document", author),
        *("--out", out, "--text-out", committed),
    )
    return out, committed


def test_one_document_is_opened_to_its_author(recorded, told, opened):
    out, committed = opened
    assert committed.read_text() == "write to [EMAIL] of chad"
    assert out.stat().st_mode & 0o077 == 0
    assert "amina" not in out.read_text()
    said = told("check-opening", recorded, out, "--document", committed)
    assert "it holds: the document is number 30 of 30 in chad/letters" in said


def test_a_document_is_opened_by_its_id_too(recorded, told, tmp_path):
    out, text = tmp_path / "o.json", tmp_path / "t.txt"
    told(
        *("open", recorded, "letters", "--as", "chad", "--id", f"{CANARY}-3"),
        *("--out", out, "--text-out", text),
    )
    assert f"{CANARY} letter 3" in text.read_text()
    assert json.loads(told("check-opening", recorded, out, "--document", text, "--json"))["holds"]


@pytest.mark.parametrize(
    "change",
    [
        {"salt": "00" * 32},
        {"index": 3},
        {"path": []},
        {"size": 31},
    ],
)
def test_an_opening_with_another_salt_place_or_path_does_not_hold(recorded, told, opened, change):
    out, committed = opened
    out.write_text(json.dumps(json.loads(out.read_text()) | change))
    assert "C840" in told("check-opening", recorded, out, "--document", committed, status=10)


def test_another_document_does_not_fit_an_opening(recorded, told, opened):
    out, committed = opened
    committed.write_text("write to [EMAIL] of peru")
    said = told("check-opening", recorded, out, "--document", committed, status=10)
    assert "does not commit to this document" in said


def test_an_opening_of_a_record_that_the_log_lacks_is_refused(recorded, told, opened):
    out, committed = opened
    out.write_text(json.dumps(json.loads(out.read_text()) | {"record": "sha256:" + "0" * 64}))
    said = told("check-opening", recorded, out, "--document", committed, status=2)
    assert "holds no such record" in said


def test_an_opening_still_holds_after_the_dataset_was_revoked(recorded, told, opened):
    out, committed = opened
    told("revoke", recorded, "letters", "--as", "chad", "--past-stays")
    assert "it holds" in told("check-opening", recorded, out, "--document", committed)


def test_a_text_that_changed_since_its_record_is_not_opened(recorded, told, tmp_path):
    path = tmp_path / "text" / f"{CANARY}.jsonl"
    path.write_text(path.read_text().replace("letter 1 ", "letter one "))
    said = told(
        *("open", recorded, "letters", "--as", "chad", "--id", f"{CANARY}-1"),
        *("--out", tmp_path / "o.json"),
        status=2,
    )
    assert "changed since its record was made" in said
    assert not (tmp_path / "o.json").exists()


def test_a_document_that_is_not_there_is_not_opened(recorded, told, tmp_path):
    words = ("open", recorded, "letters", "--as", "chad", "--out", tmp_path / "o.json")
    assert "no such document" in told(*words, "--id", "nothing", status=2)
    assert "name the document" in told(*words, status=2)


# --- revoking ----------------------------------------------------------------------------------


def test_tier_p_is_revoked_only_by_who_knows_that_the_past_stays(recorded, told):
    said = told("revoke", recorded, "letters", "--as", "chad", status=2)
    assert "cannot be taken out" in said
    assert "--past-stays" in said
    assert "in force" in told("list", recorded)
    told("revoke", recorded, "letters", "--as", "chad", "--past-stays")
    assert "revoked" in told("list", recorded)
    assert "revoked" in told("show", recorded, "chad/letters")


def test_tier_r_is_revoked_at_once(atlas, told):
    write_terms(atlas, TERMS.replace('"P"', '"R"').replace('"pretraining"', '"expert"'))
    told("add", atlas, "letters", "--as", "chad")
    told("revoke", atlas, "letters", "--as", "chad")
    assert "revoked" in told("list", atlas)


def test_what_is_not_in_force_is_not_revoked_and_can_be_recorded_again(recorded, told):
    told("revoke", recorded, "letters", "--as", "chad", "--past-stays")
    assert "in force" in told(
        "revoke", recorded, "letters", "--as", "chad", "--past-stays", status=9
    )
    told("add", recorded, "letters", "--as", "chad")
    assert "in force" in told("list", recorded)


# --- what a run reads --------------------------------------------------------------------------


def prepared(atlas, told):
    """Texts that a run would train and measure on."""
    federation = FederationFolder(atlas)
    run = federation.load_run("first")
    member = federation.member("chad")
    (member.private / "split.key").write_bytes(b"2" * 32)  # holds out some of 30 documents
    MemberText(member, run).prepare()
    folder = member.private / "documents"
    return [d.text for part in ("train", "heldout") for d in read_prepared(folder, part)]


def test_a_run_reads_the_text_as_the_record_says(atlas, told):
    assert any("amina@example.org" in text for text in prepared(atlas, told))
    write_terms(atlas)
    told("add", atlas, "letters", "--as", "chad")
    texts = prepared(atlas, told)
    assert len(texts) == 30
    assert "write to [EMAIL] of chad" in texts
    assert not any("amina@example.org" in text for text in texts)


def test_a_first_run_takes_what_was_prepared_when_the_record_was_made(atlas, told):
    path = atlas / "members" / "chad" / "private" / "documents" / "summary.json"
    key = atlas / "members" / "chad" / "private" / "split.key"
    key.write_bytes(b"2" * 32)
    write_terms(atlas)
    told("add", atlas, "letters", "--as", "chad")
    made = path.stat().st_mtime_ns
    assert "write to [EMAIL] of chad" in prepared(atlas, told)
    assert path.stat().st_mtime_ns == made
    root = record_of(told, atlas).commitment.root
    told("add", atlas, "letters", "--as", "chad")  # reads again, without preparing
    assert record_of(told, atlas).commitment.root == root
    assert path.stat().st_mtime_ns == made


def test_a_revoked_dataset_is_left_out_of_what_is_prepared_next(recorded, told, atlas):
    other = TERMS.replace('tier = "P"', 'tier = "P"\ntext = ["../../../text/fiji.jsonl"]')
    write_terms(atlas, other, name="other")
    told("add", atlas, "other", "--as", "chad")
    assert any(CANARY in text for text in prepared(atlas, told))
    told("revoke", atlas, "letters", "--as", "chad", "--past-stays")
    texts = prepared(atlas, told)
    assert len(texts) == 150
    assert not any(CANARY in text for text in texts)
    told("revoke", atlas, "other", "--as", "chad", "--past-stays")
    with pytest.raises(Exception, match="every dataset of this member is revoked"):
        prepared(atlas, told)


def test_in_a_run_that_has_begun_a_member_stays_without_giving_anything(recorded, told):
    texts = prepared(recorded, told)
    federation = FederationFolder(recorded)
    member = federation.member("chad")
    told("revoke", recorded, "letters", "--as", "chad", "--past-stays")
    with pytest.raises(DatasetsRevoked, match="leave the member out of a new run"):
        MemberText(member, federation.load_run("first")).prepare()
    member.open_private("shards", "first")  # as a run leaves it that has begun
    text = MemberText(member, federation.load_run("first"))
    assert text.prepare().documents == len(texts)
    with pytest.raises(DatasetsRevoked, match="counts of revoked text"):
        text.answer_counts(b"")


@pytest.mark.parametrize("what", ["terms", "text"])
def test_a_run_does_not_read_what_its_record_no_longer_describes(recorded, told, what, tmp_path):
    if what == "terms":
        write_terms(recorded, TERMS.replace('"mask"', '"keep"'))
    else:
        with (tmp_path / "text" / f"{CANARY}.jsonl").open("a") as file:
            file.write('{"text": "one more letter"}\n')
    with pytest.raises(Exception, match="make a new record"):
        prepared(recorded, told)
