"""The proof in the browser: a true file is accepted, an altered one or an altered log refused."""

import base64
import json
import random
import re
from functools import partial

import pytest
from browserlab import Visit

from concord.base.canonical import canonical_json
from concord.crypto.merkle import Frontier, inclusion_path, leaf_hash
from concord.ledger.archive import Archive
from concord.ledger.proof import prove
from concord.ledger.state.library import ObjectLibrary


@pytest.fixture
def update(history):
    """An update that a member sent: a file among the objects, and its digest."""
    statements = (entry.statement for entry in history.entries)
    digest = next(one.body.update for one in statements if one.kind == "update-header")
    return history.objects.path(digest), digest


def at(levels, level, place):
    return levels[level][place]


def verdict(page):
    """What the page says of the last thing it was given."""
    found = page.locator("[data-verdict]")
    found.wait_for(timeout=20_000)
    return found.get_attribute("data-verdict"), page.locator("#result").inner_text()


def give(page, path):
    page.evaluate("document.getElementById('result').replaceChildren()")
    page.set_input_files("#file", str(path))
    return verdict(page)


def test_a_true_file_is_accepted_with_its_statements_and_signers(visit, site, update):
    path, digest = update
    kind, said = give(visit.open(site / "check.html"), path)
    assert kind == "ok"
    assert digest.removeprefix("sha256:") in said
    assert "signed by chad" in said
    assert "cosigned by chad, fiji, peru" in said
    assert visit.page.locator("#result li[data-good=true]").count() == 2  # sent, and merged
    visit.shot("en-check-true")
    assert visit.complaints == []


def test_one_altered_bit_is_refused(visit, site, update, tmp_path):
    data = bytearray(update[0].read_bytes())
    data[len(data) // 2] ^= 1
    altered = tmp_path / "altered"
    altered.write_bytes(data)
    kind, said = give(visit.open(site / "check.html"), altered)
    assert kind == "bad"
    assert "no statement of this log speaks of it" in said
    visit.shot("en-check-altered")


def test_a_digest_is_pasted_with_or_without_its_name(visit, site, update):
    page = visit.open(site / "ar/check.html")
    for text in (update[1], update[1].removeprefix("sha256:").upper(), f"  {update[1]} "):
        page.fill("#digest", text)
        page.click("button")
        assert verdict(page)[0] == "ok"
    page.fill("#digest", "sha256:12")
    page.click("button")
    assert verdict(page)[0] == "warn"
    visit.shot("ar-check-true")


def test_the_verdict_of_a_slow_file_never_stands_beside_what_was_asked_after_it(
    visit, site, update
):
    visit.page.add_init_script(
        """const read = File.prototype.arrayBuffer;
        const released = new Promise((resolve) => { globalThis.release = resolve; });
        File.prototype.arrayBuffer = async function () {
            await released;
            return read.call(this);
        };"""
    )
    page = visit.open(site / "check.html")
    page.set_input_files("#file", str(update[0]))
    page.fill("#digest", "ab" * 32)
    page.click("button")
    assert verdict(page)[0] == "bad"
    page.evaluate("release()")
    page.wait_for_timeout(1_500)
    assert verdict(page)[0] == "bad"


def test_a_file_is_dropped(visit, site, update):
    page = visit.open(site / "check.html")
    page.evaluate(
        """([data]) => {
            const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
            const carried = new DataTransfer();
            carried.items.add(new File([bytes], "update"));
            document.getElementById("drop").dispatchEvent(
                new DragEvent("drop", { dataTransfer: carried, cancelable: true, bubbles: true }));
        }""",
        [base64.b64encode(update[0].read_bytes()).decode()],
    )
    assert verdict(page)[0] == "ok"


def test_every_link_to_a_statement_shows_it_checked(visit, site, history):
    page = visit.open(site / "decisions.html")
    page.locator("a[href^='check.html#entry-']").first.click()
    assert verdict(page)[0] == "ok"
    last = len(history.entries) - 1
    page.goto((site / "check.html").as_uri() + f"#entry-{last}")
    assert verdict(page)[0] == "ok"
    assert f"#{last}" in page.locator("#result").inner_text()


def test_hostile_words_of_a_statement_are_shown_as_words(visit, site, history):
    places = [i for i, e in enumerate(history.entries) if e.statement.kind in ("comment", "matter")]
    for place in places:
        page = visit.open(site / "check.html", f"#entry-{place}")
        page.reload()
        assert verdict(page)[0] == "ok"
        page.locator("#result summary").click()
        assert "<script>alert(1)</script>" in page.locator("#result pre").inner_text()
        assert page.locator("#result img, #result script").count() == 0


# --- what somebody could do to the files ------------------------------------------------------


def change(path, pattern, replace):
    """Alter a data file; the pattern must be there."""
    text = path.read_text()
    changed = re.sub(pattern, replace, text, count=1)
    assert changed != text
    path.write_text(changed)


def flip_base64(match):
    """Another first byte of a base64 text."""
    data = bytearray(base64.b64decode(match[1]))
    data[0] ^= 1
    return match[0].replace(match[1], base64.b64encode(data).decode())


def refused(browser, altered, update):
    with Visit(browser) as visit:
        kind, _ = give(visit.open(altered / "check.html"), update[0])
        return kind == "bad"


def test_an_altered_entry_is_refused(browser, altered, update, history):
    place = next(i for i, e in enumerate(history.entries) if e.statement.kind == "update-header")
    path = altered / "data" / "entries" / f"{place // 64}.js"
    number, entries = re.match(r"concordData\.entries\((\d+),(.*)\);\n$", path.read_text()).groups()
    told = json.loads(entries)
    envelope = json.loads(told[place % 64][0])
    payload = base64.b64decode(envelope["payload"]).replace(b'"steps":4', b'"steps":5')
    envelope["payload"] = base64.b64encode(payload).decode()
    told[place % 64][0] = canonical_json(envelope).decode()
    path.write_text(f"concordData.entries({number},{json.dumps(told)});\n")
    assert refused(browser, altered, update)


def test_an_altered_tile_is_refused(browser, altered, update):
    change(altered / "data" / "tile" / "0" / "0.js", r'"([A-Za-z0-9+/=]+)"', flip_base64)
    assert refused(browser, altered, update)


def test_an_altered_checkpoint_is_refused(browser, altered, update):
    change(altered / "data" / "log.js", r"\\n49\\n", r"\\n48\\n")
    assert refused(browser, altered, update)


def test_a_key_that_no_statement_brings_in_is_refused(browser, altered, update):
    change(altered / "data" / "log.js", r'"log_key":"[0-9a-f]{2}', '"log_key":"00')
    assert refused(browser, altered, update)


def test_another_federations_digest_is_refused(browser, altered, update):
    change(
        altered / "data" / "log.js", r'"federation":"sha256:[0-9a-f]{2}', '"federation":"sha256:00'
    )
    assert refused(browser, altered, update)


def test_too_few_witnesses_are_refused(browser, altered, update):
    change(altered / "data" / "log.js", r'"quorum":\d+', '"quorum":9')
    assert refused(browser, altered, update)


def test_an_index_that_names_another_statement_is_refused(browser, altered, update):
    digits = update[1].removeprefix("sha256:")
    for path in (altered / "data" / "index").glob("*.js"):
        if digits in path.read_text():
            change(path, rf'"{digits}":\[\d+,(\d+)', rf'"{digits}":[1,0')
    assert refused(browser, altered, update)


def test_a_missing_data_file_is_told_and_not_taken_for_an_answer(browser, altered, update):
    (altered / "data" / "entries" / "0.js").unlink()
    with Visit(browser) as visit:
        kind, said = give(visit.open(altered / "check.html"), update[0])
    assert kind == "warn"
    assert "could not be loaded" in said


# --- proofs of `concord prove`, and browsers that cannot --------------------------------------


def test_a_proof_file_is_checked_and_an_altered_one_refused(visit, site, history, update, tmp_path):
    archive = Archive(history.root / "log", ObjectLibrary(history.objects))
    proof = prove(archive, update[1]).model_dump(mode="json")
    path = tmp_path / "proof.json"
    path.write_bytes(canonical_json(proof))
    page = visit.open(site / "check.html")
    assert give(page, path)[0] == "ok"
    proof["statements"][0]["path"][0] = "00" * 32
    path.write_bytes(canonical_json(proof))
    assert give(page, path)[0] == "bad"


def test_a_browser_without_ed25519_says_that_it_checked_the_tree_alone(visit, site, update):
    visit.page.add_init_script(
        "SubtleCrypto.prototype.importKey = () => Promise.reject(new DOMException('no'))"
    )
    kind, said = give(visit.open(site / "check.html"), update[0])
    assert kind == "warn"
    assert "cannot check Ed25519" in said


def test_a_page_without_cryptography_says_what_to_do(visit, site, update):
    visit.page.add_init_script("Object.defineProperty(globalThis, 'crypto', { value: {} })")
    kind, said = give(visit.open(site / "check.html"), update[0])
    assert kind == "warn"
    assert "offers no cryptography" in said


def test_paths_and_roots_are_those_of_the_second_implementation(visit, site):
    """The tree as Python makes it, for sizes around every edge of tiles and levels."""
    rng = random.Random(6962)
    page = visit.open(site / "check.html")
    for size in (1, 2, 3, 5, 8, 21, 255, 256, 257, 300, 511, 513, 700):
        levels, tree = [], Frontier()
        for number in range(size):
            for level, made in enumerate(tree.append(leaf_hash(str(number).encode()))):
                if level == len(levels):
                    levels.append([])
                levels[level].append(made)
        tiles = {
            f"{level}/{number}": base64.b64encode(
                b"".join(levels[8 * level][number << 8 : (number + 1) << 8])
            ).decode()
            for level in range(2 if size >= 256 else 1)
            for number in range(-(-(size >> 8 * level) >> 8))
        }
        for index in {0, size - 1, rng.randrange(size), rng.randrange(size)}:
            expected = inclusion_path(partial(at, levels), index, size)
            found = page.evaluate(
                """async ([tiles, index, size]) => {
                    const proof = concordProof;
                    const tile = (level, number) => proof.fromBase64(tiles[`${level}/${number}`]);
                    const path = await proof.inclusionPath(index, size, tile);
                    const leaf = await proof.leafHash(proof.bytesOf(String(index)));
                    const root = await proof.rootFrom(leaf, index, size, path);
                    return [path.map(proof.toHex), proof.toHex(root)];
                }""",
                [tiles, index, size],
            )
            assert found == [[one.hex() for one in expected], tree.root().hex()], (size, index)
