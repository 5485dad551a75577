#!/usr/bin/env python3
"""Makes the golden file of tests/test_charsmap.c by Hugging Face's tokenizers (its normalizer Precompiled):

    python tests/twin/make_charsmap.py [FOLDER]

tests/golden/charsmap.json   a map of some hundred characters and sequences, in SentencePiece's format (made by charsmap below, not by
                             SentencePiece), and what the library makes of texts with it; a map of single bytes, which shows where
                             clusters end; hashes of what the library makes with that of characters between others."""
import base64
import hashlib
import json
import random
import struct
import sys
import unicodedata
from pathlib import Path

from tokenizers import normalizers

# ---- the format: the size of a double array, the array (Darts-clone's units), replacements that end with a NUL ----


def children(keys, depth):
    """Of sorted keys that share `depth` bytes: those for each next byte, by byte 0 the key that ends here."""
    groups = {}
    for key in keys:
        groups.setdefault(key[depth] if depth < len(key) else 0, []).append(key)
    return groups


def unit_offset(offset):
    """The long form, which leaves out eight bits, wherever they are zeros: so it is tested, too."""
    return (offset >> 8) << 10 | 1 << 9 if offset % 256 == 0 else offset << 10


def double_array(values):
    """values: by key (bytes without NUL), numbers below 2^31.  A unit's children lie at its index ^ its offset ^ byte."""
    units, free, bases = [0] * 256, set(range(1, 256)), set()
    waiting = [(0, sorted(values), 0)]
    while waiting:
        node, keys, depth = waiting.pop()
        groups = children(keys, depth)
        first = min(groups)
        while True:
            base = next((b for b in sorted(f ^ first for f in free) if b not in bases and all(b ^ byte in free for byte in groups)), None)
            if base is not None:
                break
            free |= set(range(len(units), len(units) + 256))
            units += [0] * 256
        bases.add(base)
        free -= {base ^ byte for byte in groups}
        units[node] |= unit_offset(node ^ base) | (0 in groups) << 8
        for byte, group in groups.items():
            units[base ^ byte] = byte or 1 << 31 | values[group[0]]
            if byte:
                waiting.append((base ^ byte, group, depth + 1))
    return units


def charsmap(replacements):
    """replacements: texts by texts (or bytes)."""
    strings, values = b"", {}
    for key, new in replacements.items():
        values[key if isinstance(key, bytes) else key.encode()] = len(strings)
        strings += new.encode() + b"\0"
    units = double_array(values)
    return struct.pack(f"<I{len(units)}I", 4 * len(units), *units) + strings


# Every byte by itself: a cluster of fewer than six bytes becomes one character, a longer one as many as it has.
BYTES = charsmap({bytes([b]): chr(0x100 + b) for b in range(1, 256)})


# ---- a map like those in use ----

def replacements():
    chars = [*range(0xFF01, 0xFF5F), *range(0xFF66, 0xFF9E), *range(0xFB00, 0xFB07), *range(0x2460, 0x2474), *range(0x3300, 0x3310), *range(0x2150, 0x2180),
             *range(0x1D400, 0x1D434), 0xAA, 0xB2, 0xB3, 0xB9, 0xBA, 0xBC, 0xBD, 0xBE, 0x132, 0x13F, 0x2126, 0x212A, 0x2122, 0x2026, 0xFDFA, 0x3131, 0x1F100, 0x1F131]
    new = {chr(c): unicodedata.normalize("NFKC", chr(c)) for c in chars}
    for letter in "aeioucnsAEIOUCNS":
        for mark in "\u0300\u0301\u0302\u0303\u0308\u030c\u0327":
            whole = unicodedata.normalize("NFC", letter + mark)
            if len(whole) == 1:
                new[letter + mark] = whole
    for c in "\t\n\u00a0\u1680\u2000\u2003\u2009\u2028\u202f\u3000":
        new[c] = " "
    for c in [*range(1, 9), 0x7F, 0xAD, 0x200B, 0x2060, 0xFEFF, 0x34F, 0xE0001]:
        new[chr(c)] = ""
    # A key behind a shorter one is never reached; marks and what stands in front of digits join clusters.
    new.update({"\r\n": "\n", "\ufb01\u0301": "never", "\u0600": "#", "\u0e33": "\u0e4d\u0e32", "\u0915\u0301": "K", "\u00a9": "(c)", "\u1112": "h", "\u0301": "'", "\u05b0": "", "o\u0338\u0301": "\u01ff"})
    return new


BY_HAND = ["", "a", "plain text, nothing to do.\x0b", "\uff21\uff42\uff43\uff01", "\ufb01ne \ufb03", "\ufb01\u0301", "\ufb01\u0327\u0301", "caf\u00e9 cafe\u0301 e\u0301\u0301 e\u0301\u0301\u0301 z\u0301",
           "a\r\nb\rc\nd", "\t\u3000\u00a0", "\x01\x02\x03", "a\u00adb\u200b", "\ufeffBOM", "\u06001 \u0600\uff11", "\u0e01\u0e33", "\u0915\u0301 \u0915\u094d\u0915\u0301", "\u00a9\u0301 \u00a9\u200d\u00a9\u0301",
           "\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea", "\u1112\u1161\u11ab \u1112\u0301", "\U0001d400\U0001d401", "\u3300\u330f", "o\u0338\u0301", "\u05d0\u05b0", "\u0301", "\u0301\u0301", "\xbd\u0301", "x" * 50 + "\u0301",
           "\u4e2d\u6587\uff0c\u5168\u89d2", "\u00ad\u00ad", "\ufdfa", "n\u0303o\u0308", "\U000e0001\U0001f131"]
KINDS = ["a", "1", " ", "\r", "\n", "\x01", "\xad", "\u200b", "\u0301", "\u0327", "\u05b0", "\u0f71", "\U000101fd", "\u200c", "\u200d", "\u0903", "\u0e33", "\U00011000", "\u094d", "\u09cd", "\u1039", "\U00011133", "\u0915", "\u0995", "\u1000",
         "\U00011103", "\u0600", "\u08e2", "\U000110bd", "\u1112", "\u1161", "\u11ab", "\uac00", "\uac01", "\xa9", "\u2122", "\u231a", "\U0001f469", "\U0001f3fd", "\U0001f1e6", "\U0001f1e7", "\ufe0f", "\U000e0041", "\xe9", "\u4e2d", "\U00010348",
         "\u1acf", "\u2065", "\U00016d63", "\U00010efa"]
JOINING = ["\xa9", "\u200d", "\u0301", "\u094d", "\u0915", "\u200c", "\u0903"]          # what conjuncts and pictographs are made of


def random_texts(count, sources):
    dice = random.Random(20240301)
    return ["".join(dice.choice(dice.choice(sources)) for _ in range(dice.randint(1, 12))) for _ in range(count)]


# ---- characters between others: before, after; a line feed ends each ----

# All that clusters tell apart; make_grapheme.py looks at the rest.
ASKED = [*range(0xD800), *range(0xE000, 0x20000), *range(0xE0000, 0xE2000)]

PROBES = [("a", ""), ("", "a"), ("", "\u0301\u0301"), ("\xa9", "\u200d\xa9\u0301"), ("", "\u200d\xa9\u0301"), ("\xa9\u200d", "\u0301"), ("", "\u094d\u0915\u0301"), ("\u0915", "\u0915\u0301"), ("\u0915\u094d", "\u0915\u0301"),
          ("\u0915", "\u094d\u0915\u0301"), ("", "\u1161\u0301"), ("", "\u11a8\u0301"), ("\u1112", "\u0301"), ("\uac00", "\u0301"), ("\u11a8", "\u0301"), ("\u0600", "a")]


def probe(before, after, points):
    return "".join(before + chr(c) + after + "\n" for c in points)


def make_all(folder):
    by_map, by_bytes = charsmap(replacements()), BYTES
    normal, clusters = normalizers.Precompiled(by_map), normalizers.Precompiled(by_bytes)
    texts = BY_HAND + random_texts(150, [list(replacements()), KINDS, "abc e\u0301"])
    rows = lambda name, items: f'"{name}": [\n' + ",\n".join(json.dumps(i, separators=(",", ":")) for i in items) + "\n]"
    parts = [f'"map": "{base64.b64encode(by_map).decode()}"', f'"bytes": "{base64.b64encode(by_bytes).decode()}"',
             rows("cases", [[t, normal.normalize_str(t)] for t in texts]),
             rows("clusters", [[t, clusters.normalize_str(t)] for t in random_texts(200, [KINDS]) + random_texts(200, [JOINING])]),
             rows("probes", [[a, b, hashlib.sha256(clusters.normalize_str(probe(a, b, ASKED)).encode()).hexdigest()] for a, b in PROBES])]
    (folder / "charsmap.json").write_text("{" + ",\n".join(parts) + "}\n")


if __name__ == "__main__":
    make_all(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent / "golden")
