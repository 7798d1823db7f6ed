"""A second implementation of the merge, slow and plain, written from docs/aggregation.md alone.

`clip_factors` came later and follows "Clipping, exactly" of docs/hostile.md.
It takes the run document as plain JSON and files as bytes, and imports nothing of Concord.
"""

import hashlib
import json
import math
import re
import statistics
import struct
from fractions import Fraction

import numpy as np

EMBEDDINGS = (
    *("embed_in", "embed_out", "embed_positions", "embed_tokens", "lm_head", "output"),
    *("tok_embeddings", "word_embeddings", "wpe", "wte"),
)
LEVELS = {"int8": 127, "int4": 7}
f32 = np.float32


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def read_tensors(data):
    """Names and arrays of a base or outer state, in order."""
    (length,) = struct.unpack("<Q", data[:8])
    header, found = json.loads(data[8 : 8 + length]), {}
    for name in sorted(header):
        begin, end = header[name]["data_offsets"]
        values = np.frombuffer(data[8 + length + begin : 8 + length + end], "<f4")
        found[name] = values.reshape(header[name]["shape"])
    return found


def write_tensors(tensors):
    header, offset = {}, 0
    for name in sorted(tensors):
        end = offset + 4 * tensors[name].size
        shape = list(tensors[name].shape)
        header[name] = {"data_offsets": [offset, end], "dtype": "F32", "shape": shape}
        offset = end
    text = canonical(header)
    text += b" " * (-len(text) % 8)
    body = b"".join(tensors[name].astype("<f4").tobytes() for name in sorted(tensors))
    return struct.pack("<Q", len(text)) + text + body


def role(name, shape):
    if "/" in name:
        return "state"
    if len(shape) != 2:
        return "vector"
    return "embedding" if name.removesuffix(".weight").split(".")[-1] in EMBEDDINGS else "body"


def layout(run, base, round_, codec):
    """[name, shape, role, codec] of each tensor that travels."""
    state, entries, parts = run["inner"]["state"], [], run["rounds"]["fragments"]
    travels = state["mode"] != "local" and (round_ // parts + 1) % state["every_rounds"] == 0
    fragment = fragments({name: base[name].size for name in base if "/" not in name}, parts)
    for name in sorted(base):
        if fragment[name.split("/")[-1]] != round_ % parts:
            continue
        shape, what = list(base[name].shape), role(name, base[name].shape)
        if what == "state":
            entries += [[name, shape, what, state["codec"]]] if travels else []
        else:
            narrow = what == "vector" and codec == "int4"
            entries.append([name, shape, what, "bf16" if narrow else codec])
    return entries


def fragments(sizes, count):
    """Fragment of each weight."""
    parts = {}
    for name in sorted(sizes):
        pieces = name.split(".")
        place = next((i for i, piece in enumerate(pieces) if re.fullmatch("[0-9]+", piece)), None)
        key = name if place is None else ".".join(pieces[: place + 1])
        layer = -1 if place is None else int(pieces[place])
        parts.setdefault((layer, key), []).append(name)
    total = {part: sum(sizes[name] for name in names) for part, names in parts.items()}
    held, found = [0] * count, {}
    for part in sorted(parts, key=lambda part: (-total[part], part[0], parts[part][0])):
        smallest = held.index(min(held))
        held[smallest] += total[part]
        found |= dict.fromkeys(parts[part], smallest)
    return found


def decode(codec, data, size):
    if codec == "fp32":
        return np.frombuffer(data, "<f4").copy()
    if codec == "bf16":
        return np.array([int(half) << 16 for half in np.frombuffer(data, "<u2")], "<u4").view("<f4")
    blocks = -(-size // 256)
    scales, codes = np.frombuffer(data[: 4 * blocks], "<f4"), data[4 * blocks :]
    if codec == "int4":
        codes = [half for byte in codes for half in (byte & 15, byte >> 4)]
        numbers = [code - 16 if code > 7 else code for code in codes]
    else:
        numbers = [code - 256 if code > 127 else code for code in codes]
    return np.array([scales[i // 256] * f32(numbers[i]) for i in range(size)], f32)


def encode(codec, values):
    if codec == "fp32":
        return values.astype("<f4").tobytes()
    if codec == "bf16":
        halves = []
        for bits in values.view(np.uint32).tolist():
            upper, lower = bits >> 16, bits & 0xFFFF
            up = lower > 0x8000 or (lower == 0x8000 and upper % 2)
            halves.append(upper + up)
        return np.array(halves, "<u2").tobytes()
    scales, codes, most = [], [], LEVELS[codec]
    for start in range(0, len(values), 256):
        block = values[start : start + 256]
        scale = f32(max(abs(block))) / f32(most)
        scales.append(scale)
        for value in block:
            number = 0 if scale == 0 else round(float(value / scale))
            codes.append(max(-most, min(most, number)))
    head = np.array(scales, "<f4").tobytes()
    if codec == "int8":
        return head + struct.pack(f"{len(codes)}b", *codes)
    codes += [0] * (len(codes) % 2)
    pairs = zip(codes[::2], codes[1::2], strict=True)
    return head + bytes((low & 15) | (high & 15) << 4 for low, high in pairs)


def read_update(data, entries):
    """Decoded flat tensors by name."""
    assert data[:8] == b"CONCORD1"
    (length,) = struct.unpack("<I", data[8:12])
    place, found = 12 + length, {}
    lengths = struct.unpack(f"<{len(entries)}Q", data[len(data) - 8 * len(entries) :])
    for (name, shape, _, codec), count in zip(entries, lengths, strict=True):
        found[name] = decode(codec, data[place : place + count], math.prod(shape))
        place += count
    return found


def write_step(run_digest, round_, base_digest, entries, encoded):
    header = {
        "base": base_digest,
        "layout": digest(canonical(entries)),
        "member": None,
        "names": digest(canonical([name for name, *_ in entries])),
        "round": round_,
        "run": run_digest,
    }
    text = canonical(header)
    lengths = struct.pack(f"<{len(encoded)}Q", *map(len, encoded))
    return b"CONCORD1" + struct.pack("<I", len(text)) + text + b"".join(encoded) + lengths


def weights(run, members, steps=None):
    given = {m["id"]: Fraction(m["weight"]) for m in run["roster"] if m["id"] in members}
    if run["rounds"]["pace"] == "by_speed":
        given = {member: weight * steps[member] for member, weight in given.items()}
    owner = {m["id"]: m["owner"] or m["id"] for m in run["roster"]}
    cap, total = Fraction(run["update"]["owner_cap"]), sum(given.values())
    raw = dict.fromkeys((owner[m] for m in given), Fraction(0))
    for member, weight in given.items():
        raw[owner[member]] += weight / total
    shares, capped = dict(raw), set()
    while over := {o for o, share in shares.items() if share > cap}:
        capped |= over
        rest = sum(raw[o] for o in raw if o not in capped)
        left = 1 - cap * len(capped)
        shares = {o: cap if o in capped else raw[o] / rest * left for o in raw}
    return {m: w / total / raw[owner[m]] * shares[owner[m]] for m, w in given.items()}


def outer_rate(run, round_, what):
    outer, count = run["update"]["outer"], run["rounds"]["count"]
    rate = outer["embedding_lr" if what == "embedding" else "lr"]
    if rate is None:
        rate = math.sqrt(len(run["roster"])) * (2 if what == "embedding" else 1)
    late = round(outer["late_share"] * count)
    return f32(rate * outer["late_factor"] if round_ >= count - late else rate)


def clip_factors(run, entries, decoded, history, k):
    """Factor of each member's tensors, and what is kept of each group after the round."""
    factors, after = {}, {}
    for group in ("body", "embedding", "vector"):
        names = [name for name, _, what, _ in entries if what == group]
        norms = {m: norm([tensors[name] for name in names]) for m, tensors in decoded.items()}
        low, before = lower_median(norms.values()), history.get(group, [])
        median = statistics.median(before) * k if len(before) >= 3 else low
        after[group] = [*before, low / k][-5:]
        bound = run["update"]["clip_ratio"] * median
        factors |= {(m, name): factor(norms[m], bound) for m in decoded for name in names}
    for name in [name for name, _, what, _ in entries if what == "state"]:
        norms = {m: tensor_norm(tensors[name]) for m, tensors in decoded.items()}
        bound = 4 * lower_median(norms.values())
        factors |= {(m, name): factor(norms[m], bound) for m in decoded}
    return factors, after


def factor(length, bound):
    return bound / length if length > bound else 1.0


def lower_median(numbers):
    return sorted(numbers)[(len(numbers) - 1) // 2]


def decoded_updates(run, round_, base_data, updates):
    """How updates of a round are laid out, and their flat tensors by member and name."""
    entries = layout(run, read_tensors(base_data), round_, run["update"]["codec"])
    return entries, {member: read_update(data, entries) for member, data in updates.items()}


def merge(run, run_digest, round_, base_data, updates, state_data, factors=None):
    """One round: bytes of outer step, next base and outer state (None if nothing is kept)."""
    base = read_tensors(base_data)
    down = layout(run, base, round_, run["update"]["down_codec"])
    _, decoded = decoded_updates(run, round_, base_data, updates)
    share = {member: float(w) for member, w in weights(run, updates).items()}
    momentum = f32(run["update"]["outer"]["momentum"])
    old = read_tensors(state_data) if state_data else {}
    kept, encoded, following = {}, [], dict(base)
    if momentum:
        for name in (name for name in base if "/" not in name):
            before = old.get(f"{name}#momentum", np.zeros(base[name].shape, f32))
            kept[f"{name}#momentum"] = before
    for name, shape, what, codec in down:
        total = np.zeros(math.prod(shape), f32)
        for member in sorted(decoded):
            scaled = share[member] * (factors[member, name] if factors else 1.0)
            total = total + decoded[member][name] * f32(scaled)
        step = total
        if what != "state":
            rate = outer_rate(run, round_, what)
            if momentum:
                before = old.get(f"{name}#momentum", np.zeros(shape, f32)).reshape(-1)
                buffer = momentum * before + total
                kept[f"{name}#momentum"] = buffer.reshape(shape)
                step = rate * (total + momentum * buffer)
            else:
                step = rate * total
        encoded.append(encode(codec, step))
        sent = decode(codec, encoded[-1], total.size).reshape(shape)
        following[name] = sent if what == "state" else base[name] - sent
    step_data = write_step(run_digest, round_, digest(base_data), down, encoded)
    return step_data, write_tensors(following), write_tensors(kept) if kept else None


def norm(arrays):
    """Norm of an update's weights, given in the order of names."""
    return math.sqrt(halved([tensor_norm(array) ** 2 for array in arrays]))


def tensor_norm(values):
    total = 0.0
    for start in range(0, len(values), 65536):
        total += halved([float(value) * float(value) for value in values[start : start + 65536]])
    return math.sqrt(total)


def halved(numbers):
    count = 1
    while count < len(numbers):
        count *= 2
    numbers = numbers + [0.0] * (count - len(numbers))
    while count > 1:
        count //= 2
        numbers = [numbers[i] + numbers[i + count] for i in range(count)]
    return numbers[0]
