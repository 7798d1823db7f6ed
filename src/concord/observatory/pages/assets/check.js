/* The page "Check a file": from a digest or a file to the statements that speak of it.
 *
 * Loads files of this folder only, and writes text nodes only. */
"use strict";

(() => {
  const proof = concordProof;
  const kept = concordData.kept;
  const MAX_FILE_BYTES = 2 ** 30;
  const MAX_PROOF_BYTES = 16 * 2 ** 20;
  const MAX_SHOWN = 25;

  const form = document.getElementById("check-form");
  const result = document.getElementById("result");
  const up = form.dataset.up;
  const words = {};
  for (const span of document.getElementById("words").content.querySelectorAll("[data-key]")) {
    words[span.dataset.key] = span.textContent;
  }

  const say = (key, values = {}) =>
    words[key].replace(/\{([a-z_]+)\}/g, (_, name) => String(values[name]));

  /* --- what is loaded ----------------------------------------------------------------------- */

  const waiting = new Map();
  function load(name) {
    if (kept.has(name)) return Promise.resolve(kept.get(name));
    if (!waiting.has(name)) {
      waiting.set(name, new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = `${up}data/${name}.js`;
        script.onload = () => (kept.has(name) ? resolve(kept.get(name)) : reject(new Lost(name)));
        script.onerror = () => { waiting.delete(name); reject(new Lost(name)); };
        document.head.append(script);
      }));
    }
    return waiting.get(name);
  }
  class Lost extends Error {}

  const tiles = async (level, number) => proof.fromBase64(await load(`tile/${level}/${number}`));

  async function entryAt(number, log) {
    const bundle = await load(`entries/${Math.floor(number / log.bundle)}`);
    const [text, author, sentence] = bundle[number % log.bundle];
    return { number, text, author, sentence };
  }

  /* --- what is checked ---------------------------------------------------------------------- */

  async function inTree(one, note, path) {
    const leaf = await proof.leafHash(proof.bytesOf(one.text));
    const way = path || await proof.inclusionPath(one.number, note.size, tiles);
    const root = await proof.rootFrom(leaf, one.number, note.size, way);
    return root !== null && proof.same(root, note.root);
  }

  /* The checkpoint with its signers, and the keys that statements of the tree bring in. The first
   * statement must be the federation itself, so that all hangs on that one digest. */
  async function trusted(log, text) {
    const note = proof.parseNote(text || log.checkpoint);
    const own = text ? proof.parseNote(log.checkpoint) : note;
    const known = new Set();
    for (const number of log.key_entries) {
      const one = await entryAt(number, log);
      const entry = proof.parseEntry(one.text);
      const digest = `sha256:${proof.toHex(await proof.sha256(entry.payload))}`;
      if (!await inTree(one, own) || (number === 0 && digest !== log.federation)) {
        return { note, good: false, witnesses: [] };
      }
      proof.keysIn(entry.statement.predicate.body).forEach((key) => known.add(key));
    }
    const needed = [log.log_key, ...Object.values(log.witnesses).map(([key]) => key),
      ...Object.values(log.keys).map(([key]) => key)];
    if (!needed.every((key) => known.has(key))) return { note, good: false, witnesses: [] };
    if (!await proof.canVerify()) return { note, good: null, witnesses: [] };
    const signers = await proof.noteSigners(
      note, log.origin, proof.fromHex(log.log_key), log.witnesses,
    );
    const members = [...new Set(signers.members)];
    const good = signers.log && !signers.forged && members.length >= log.quorum;
    return { note, good, witnesses: members };
  }

  async function checked(one, digest, log, head, path) {
    const entry = proof.parseEntry(one.text);
    const bound = entry.statement.predicate.binding.federation;
    const own = bound === log.federation || (bound === null && one.number === 0);
    const tree = await inTree(one, head.note, path);
    const speaks = digest === null || await proof.speaksOf(entry, digest);
    const able = head.good !== null;
    const signers = able
      ? await proof.entrySigners(entry, log.keys)
      : { parties: [], wrong: false, unknown: false };
    const signed = signers.parties.length > 0 && !signers.wrong && !signers.unknown;
    return { one, entry, tree, signers, good: own && tree && speaks && (signed || !able) };
  }

  /* --- what is looked up -------------------------------------------------------------------- */

  async function numbersOf(digest, log) {
    const shard = digest.slice(0, log.digits) || "all";
    const [all = 0, ...numbers] = (await load(`index/${shard}`))[digest] || [];
    return { all, numbers };
  }

  /* A file that a signed manifest of a release names: its place, and the manifest's digest. */
  async function listedIn(digest) {
    for (const release of await load("releases")) {
      const manifest = proof.toHex(await proof.sha256(proof.bytesOf(release.data)));
      const files = Object.entries(JSON.parse(release.data).files);
      const found = files.find(([, one]) => one.sha256 === digest);
      if (found && release.manifest === `sha256:${manifest}`) {
        return { file: found[0], version: release.version, manifest };
      }
    }
    return null;
  }

  async function checkDigest(digest, shown) {
    const log = await load("log");
    let listed = null;
    let about = digest;
    let { all, numbers } = await numbersOf(digest, log);
    if (!numbers.length) {
      listed = await listedIn(digest);
      if (listed) {
        about = listed.manifest;
        ({ all, numbers } = await numbersOf(about, log));
      }
    }
    if (!numbers.length) return () => tell("bad", say("none"), shown);
    return showAll(numbers.slice(0, MAX_SHOWN), all, about, log, shown, listed);
  }

  async function checkEntry(number) {
    const log = await load("log");
    if (!(number < log.size)) return () => tell("bad", say("none"));
    return showAll([number], 1, null, log, [], null);
  }

  async function showAll(numbers, all, digest, log, shown, listed) {
    const head = await trusted(log);
    const found = [];
    for (const number of numbers) {
      found.push(await checked(await entryAt(number, log), digest, log, head));
    }
    const lines = [...shown];
    if (listed) lines.push(say("listed", listed));
    return () => show(found, all, head, lines);
  }

  async function checkProof(document_, shown) {
    const log = await load("log");
    const head = await trusted(log, document_.checkpoint);
    const digest = document_.digest.replace(/^sha256:/, "");
    const found = [];
    for (const one of document_.statements) {
      const entry = { number: one.index, text: one.entry, author: "", sentence: "" };
      found.push(await checked(entry, digest, log, head, one.path.map(proof.fromHex)));
    }
    return () => show(found, found.length, head, [...shown, document_.digest]);
  }

  /* --- what is shown ------------------------------------------------------------------------ */

  function element(tag, text = "", attributes = {}) {
    const made = document.createElement(tag);
    made.textContent = text;
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  }

  function tell(kind, text, lines = []) {
    const box = element("div", "", { class: `notice ${kind}`, "data-verdict": kind });
    box.append(element("p", text, { class: "verdict" }));
    lines.forEach((line) => box.append(element("p", line, { dir: "auto" })));
    result.replaceChildren(box);
  }

  function show(found, all, head, lines) {
    const good = head.good !== false && found.length > 0 && found.every((one) => one.good);
    const size = head.note.size;
    const told = head.good === false ? say("checkpoint_bad") : head.good === null ? "" :
      say("checkpoint", { size, witnesses: head.witnesses.join(", ") });
    if (!good) tell("bad", say("bad"), [...lines, told]);
    else if (head.good === null) tell("warn", say("tree_only"), lines);
    else tell("ok", say("good", { count: all }), [...lines, told]);
    const list = element("ol");
    for (const one of found) list.append(row(one, head.good !== null));
    result.append(list);
    if (all > found.length) result.append(element("p", say("more", { count: found.length })));
  }

  function row({ one, entry, tree, signers, good }, able) {
    const item = element("li", "", { "data-good": String(good) });
    const statement = entry.statement;
    const author = one.author || statement.predicate.author.party;
    const sentence = one.sentence || statement.predicateType;
    const line = element("p");
    line.append(
      element("strong", `#${one.number} `), element("bdi", author), " ",
      element("bdi", sentence, { lang: "en" }),
    );
    const marks = element("p");
    marks.append(chip(tree ? "ok" : "bad", say(tree ? "in_tree" : "not_in_tree")), " ");
    if (able && signers.parties.length) {
      marks.append(chip("ok", `${say("signed_by")} ${signers.parties.join(", ")}`), " ");
    }
    if (signers.wrong) marks.append(chip("bad", say("wrong_signature")), " ");
    if (signers.unknown) marks.append(chip("bad", say("unknown_key")), " ");
    const raw = element("details");
    raw.append(
      element("summary", say("raw")),
      element("pre", visible(JSON.stringify(statement, null, 1)), { dir: "ltr", tabindex: "0" }),
    );
    item.append(line, marks, raw);
    return item;
  }

  const chip = (kind, text) => element("span", text, { class: `chip ${kind}` });

  /* Controls and marks of direction as codes. */
  const visible = (text) => text.replace(
    /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
    (c) => `<U+${c.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}>`,
  );

  /* --- what is done ------------------------------------------------------------------------- */

  /* An action looks things up and hands back how to show what it found. Of several that were begun
   * only the last is shown, so that no verdict stands beside what it is not about. */
  let turn = 0;
  async function attempt(action) {
    const mine = ++turn;
    result.replaceChildren(element("p", say("working")));
    let draw;
    try {
      draw = globalThis.crypto && crypto.subtle
        ? await action()
        : () => tell("warn", say("no_crypto"));
    } catch (error) {
      draw = error instanceof Lost
        ? () => tell("warn", say("cannot_load"), [error.message])
        : () => tell("bad", say("bad"), [String(error.message)]);
    }
    if (mine === turn) draw();
  }

  function checkText(text) {
    const digits = text.trim().toLowerCase().replace(/^sha256:/, "");
    return attempt(() => (/^[0-9a-f]{64}$/.test(digits)
      ? checkDigest(digits, [])
      : () => tell("warn", say("not_a_digest"))));
  }

  function checkFile(file) {
    return attempt(async () => {
      if (file.size > MAX_FILE_BYTES) return () => tell("warn", say("too_large"));
      const data = new Uint8Array(await file.arrayBuffer());
      const found = data.length <= MAX_PROOF_BYTES ? asProof(data) : null;
      const digest = proof.toHex(await proof.sha256(data));
      const shown = [`${say("digest_of", { file: visible(file.name).slice(0, 200) })}: ${digest}`];
      return found ? checkProof(found, shown) : checkDigest(digest, shown);
    });
  }

  function asProof(data) {
    if (data[0] !== 0x7b) return null;
    try {
      const found = JSON.parse(new TextDecoder().decode(data));
      return found.format === "concord-proof/1" ? found : null;
    } catch {
      return null;
    }
  }

  function fromPlace() {
    const place = decodeURIComponent(location.hash.slice(1));
    const entry = /^entry-([0-9]{1,9})$/.exec(place);
    if (entry) return attempt(() => checkEntry(Number(entry[1])));
    if (place.startsWith("sha256:")) {
      form.elements.digest.value = place;
      return checkText(place);
    }
    return undefined;
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    checkText(form.elements.digest.value);
  });
  form.elements.file.addEventListener("change", (event) => {
    const [file] = event.target.files;
    event.target.value = ""; // so that the same file, changed, can be chosen again
    if (file) checkFile(file);
  });
  const drop = document.getElementById("drop");
  for (const kind of ["dragenter", "dragover"]) {
    drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
  }
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    if (event.dataTransfer.files[0]) checkFile(event.dataTransfer.files[0]);
  });
  window.addEventListener("hashchange", fromPlace);
  fromPlace();
})();
