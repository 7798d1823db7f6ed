/* Proofs of a log, checked where they are read: hashes, the way to the root, signatures.
 *
 * Nothing here touches a page or loads a file. What the data files bring is kept in
 * `concordData`; nothing of it is believed before it was computed again.
 *
 * RFC 6962, section 2.1.1 (inclusion); RFC 9162, section 2.1.3.2 (checking it);
 * C2SP signed-note, tlog-checkpoint and tlog-cosignature; DSSE v1. */
"use strict";

const concordData = (() => {
  const kept = new Map();
  const keep = (name, value) => { kept.set(name, value); };
  return {
    kept,
    log: (value) => keep("log", value),
    index: (digits, value) => keep(`index/${digits || "all"}`, value),
    entries: (number, value) => keep(`entries/${number}`, value),
    tile: (level, number, value) => keep(`tile/${level}/${number}`, value),
    releases: (value) => keep("releases", value),
  };
})();

const concordProof = (() => {
  const utf8 = new TextEncoder();
  const HASH_BYTES = 32;
  const TILE_BITS = 8;
  const KEY = /^ed25519:([0-9a-f]{64})$/;

  const bytesOf = (text) => utf8.encode(text);
  const toHex = (bytes) => Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
  const fromHex = (text) => Uint8Array.from(text.match(/../g) || [], (pair) => parseInt(pair, 16));
  const fromBase64 = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const same = (a, b) => a.length === b.length && a.every((byte, place) => byte === b[place]);

  function joined(...parts) {
    const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      whole.set(part, at);
      at += part.length;
    }
    return whole;
  }

  const sha256 = async (bytes) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const leafHash = (entry) => sha256(joined(Uint8Array.of(0), entry));
  const nodeHash = (left, right) => sha256(joined(Uint8Array.of(1), left, right));

  /* Root of the aligned subtree `number` of 2^level entries, from tiles: a function from level and
   * number of a tile to its bytes. */
  async function subtree(level, number, tiles) {
    const within = level % TILE_BITS;
    const first = number << within >>> 0;
    const tile = await tiles((level - within) / TILE_BITS, Math.floor(first / 256));
    let hashes = [];
    for (let place = first % 256; hashes.length < 2 ** within; place += 1) {
      hashes.push(tile.slice(place * HASH_BYTES, (place + 1) * HASH_BYTES));
    }
    while (hashes.length > 1) {
      const pairs = [];
      for (let place = 0; place < hashes.length; place += 2) {
        pairs.push(await nodeHash(hashes[place], hashes[place + 1]));
      }
      hashes = pairs;
    }
    return hashes[0];
  }

  /* Root over entries begin..end (end not included), where begin is a multiple of a power of two
   * that is at least end - begin. */
  async function rangeRoot(begin, end, tiles) {
    const count = end - begin;
    const power = 2 ** Math.floor(Math.log2(count));
    if (power === count) return subtree(Math.log2(count), begin / count, tiles);
    const left = await subtree(Math.log2(power), begin / power, tiles);
    return nodeHash(left, await rangeRoot(begin + power, end, tiles));
  }

  /* Hashes from entry `index` up to the root of `size` entries. */
  async function inclusionPath(index, size, tiles) {
    const path = [];
    let begin = 0;
    let end = size;
    while (end - begin > 1) {
      const half = 2 ** Math.ceil(Math.log2(end - begin) - 1);
      if (index - begin < half) {
        path.unshift(await rangeRoot(begin + half, end, tiles));
        end = begin + half;
      } else {
        path.unshift(await rangeRoot(begin, begin + half, tiles));
        begin += half;
      }
    }
    return path;
  }

  /* The root that an entry's hash and a path lead to; null if they do not fit together. */
  async function rootFrom(leaf, index, size, path) {
    if (!(index >= 0 && index < size)) return null;
    let node = index;
    let last = size - 1;
    let root = leaf;
    for (const hash of path) {
      if (last === 0) return null;
      if (node % 2 === 1 || node === last) {
        root = await nodeHash(hash, root);
        while (node % 2 === 0 && node !== 0) {
          node = Math.floor(node / 2);
          last = Math.floor(last / 2);
        }
      } else {
        root = await nodeHash(root, hash);
      }
      node = Math.floor(node / 2);
      last = Math.floor(last / 2);
    }
    return last === 0 ? root : null;
  }

  /* Whether this machine can check Ed25519 at all. Tried once, with a vector of RFC 8032. */
  let able = null;
  function canVerify() {
    able ??= verify(
      fromHex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"),
      fromHex("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb88215" +
        "90a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"),
      new Uint8Array(0),
    ).then((good) => good, () => false);
    return able;
  }

  async function verify(key, signature, data) {
    const algorithm = { name: "Ed25519" };
    const held = await crypto.subtle.importKey("raw", key, algorithm, false, ["verify"]);
    return crypto.subtle.verify(algorithm, held, signature, data);
  }

  /* Size, root and signature lines of a checkpoint; throws if it is none. */
  function parseNote(text) {
    const end = text.indexOf("\n\n");
    const body = text.slice(0, end + 1);
    const [origin, size, root, ...more] = body.split("\n");
    if (end < 0 || more.join("") !== "" || !/^(0|[1-9][0-9]{0,15})$/.test(size)) {
      throw new Error("no checkpoint");
    }
    const lines = text.slice(end + 2).split("\n").filter(Boolean).map((line) => {
      const found = /^\u2014 ([^ ]+) ([A-Za-z0-9+/=]+)$/.exec(line);
      if (!found) throw new Error("no signature line");
      return { name: found[1], blob: fromBase64(found[2]) };
    });
    return { body: bytesOf(body), origin, size: Number(size), root: fromBase64(root), lines };
  }

  async function claims(note, name, kind, key) {
    const id = await sha256(joined(bytesOf(`${name}\n`), Uint8Array.of(kind), key));
    return note.lines
      .filter((line) => line.name === name && same(line.blob.slice(0, 4), id.slice(0, 4)))
      .map((line) => line.blob.slice(4));
  }

  /* Who signed a checkpoint: `log`, and the members that cosigned it. A claim that is wrong counts
   * as forged, and nothing of the note then counts. */
  async function noteSigners(note, origin, logKey, witnesses) {
    const found = { log: false, members: [], forged: false };
    if (note.origin !== origin) return found;
    for (const signature of await claims(note, origin, 1, logKey)) {
      if (await verify(logKey, signature, note.body)) found.log = true;
      else found.forged = true;
    }
    for (const [name, [key, member]] of Object.entries(witnesses)) {
      for (const blob of await claims(note, name, 4, fromHex(key))) {
        const time = new DataView(blob.buffer, blob.byteOffset, 8).getBigUint64(0);
        const head = bytesOf(`cosignature/v1\ntime ${time}\n`);
        if (await verify(fromHex(key), blob.slice(8), joined(head, note.body))) {
          found.members.push(member);
        } else {
          found.forged = true;
        }
      }
    }
    return found;
  }

  /* An entry's payload and its claims; throws if it is no envelope around a statement. */
  function parseEntry(text) {
    const envelope = JSON.parse(text);
    const payload = fromBase64(envelope.payload);
    return {
      payload,
      type: envelope.payloadType,
      signatures: envelope.signatures.map((one) => ({
        id: one.keyid, signature: fromBase64(one.sig),
      })),
      statement: JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(payload)),
    };
  }

  const signedBytes = (entry) => joined(
    bytesOf(`DSSEv1 ${bytesOf(entry.type).length} ${entry.type} ${entry.payload.length} `),
    entry.payload,
  );

  /* Parties whose signatures on an entry are right, and whether one is wrong or by nobody known. */
  async function entrySigners(entry, keys) {
    const data = signedBytes(entry);
    const found = { parties: [], wrong: false, unknown: false };
    for (const { id, signature } of entry.signatures) {
      const known = keys[id];
      if (!known) {
        found.unknown = true;
      } else if (toHex(await sha256(fromHex(known[0]))) === id &&
          await verify(fromHex(known[0]), signature, data)) {
        found.parties.push(known[1]);
      } else {
        found.wrong = true;
      }
    }
    return found;
  }

  /* Whether an entry has a digest (in hex) among its subjects, or is the statement of that digest. */
  async function speaksOf(entry, digest) {
    const named = entry.statement.subject.map((one) => one.digest.sha256);
    return named.includes(digest) || toHex(await sha256(entry.payload)) === digest;
  }

  /* Every public key that statements bring in: all texts of that form in their bodies. */
  function keysIn(value, found = new Set()) {
    if (typeof value === "string") {
      const key = KEY.exec(value);
      if (key) found.add(key[1]);
    } else if (value && typeof value === "object") {
      Object.values(value).forEach((one) => keysIn(one, found));
    }
    return found;
  }

  return {
    bytesOf, toHex, fromHex, fromBase64, same, sha256, leafHash, inclusionPath, rootFrom,
    canVerify, verify, parseNote, noteSigners, parseEntry, entrySigners, speaksOf, keysIn,
  };
})();

if (typeof module !== "undefined") module.exports = { concordData, concordProof };
