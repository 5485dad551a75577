#!/usr/bin/env python3
"""check_bert.py -- BERT's normalizer, pieces, WordPiece tokens and decoder, ours (by bert.c) against those of Hugging Face's tokenizers:
every character, then random texts.  SEED and COUNT (random texts) may be given in the environment.
With the argument "hashes" it prints those of tests/test_wordpiece.c instead."""
import os
import random
import struct
import sys

import numpy as np
import unicodedata2 as unicodedata
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from checks import build, check, finish, part, run, workplace

SEED, COUNT = int(os.environ.get("SEED", 1)), int(os.environ.get("COUNT", 5000))
EACH = CLEAN, CHINESE, ACCENTS, LOWER, ALL = 1, 2, 4, 8, 15  # bert.h
POINTS = [c for c in range(1, 0x110000) if not 0xD800 <= c < 0xE000]
PIECES, UNKNOWN = pre_tokenizers.BertPreTokenizer(), "[UNK]"


class Ours:
    def __init__(self, folder):
        self.program = build(folder, "bert")

    def __call__(self, texts, *arguments):
        """The answers to texts, as bytes."""
        records = [struct.pack("<I", len(t)) + t for t in map(str.encode, texts)]
        out = run(self.program, *arguments, stdin=b"".join(records))
        answers, at = [], 0
        while at < len(out):
            size = struct.unpack_from("<I", out, at)[0]
            answers.append(out[at + 4:at + 4 + size])
            at += 4 + size
        return answers

    def texts(self, texts, *arguments):
        return [a.decode() for a in self(texts, *arguments)]

    def numbers(self, texts, *arguments):
        return [np.frombuffer(a, np.uint32).tolist() for a in self(texts, *arguments)]

    def pieces(self, texts):
        return [[t.encode()[a:b].decode() for a, b in zip(ends[::2], ends[1::2])] for t, ends in zip(texts, self.numbers(texts, "pieces"))]


def bert_normalizer(steps):
    return normalizers.BertNormalizer(clean_text=bool(steps & CLEAN), handle_chinese_chars=bool(steps & CHINESE), strip_accents=bool(steps & ACCENTS), lowercase=bool(steps & LOWER))


def compare(name, made, ours, theirs):
    wrong = [(t, a, b) for t, a, b in zip(made, ours, theirs) if a != b]
    check(len(ours) == len(made) and not wrong, f"{name}: {len(wrong)} of {len(made)} texts, such as {wrong[:1]!a:.500}")


def check_texts(ours, made, all_steps):
    """All that does not depend on a vocabulary."""
    for steps in all_steps:
        compare(f"normalizer, steps {steps}", made, ours.texts(made, "normalize", steps), list(map(bert_normalizer(steps).normalize_str, made)))
    compare("StripAccents", made, ours.texts(made, "strip"), list(map(normalizers.StripAccents().normalize_str, made)))
    compare("pieces", made, ours.pieces(made), [[piece for piece, _ in PIECES.pre_tokenize_str(t)] for t in made])


# ---- texts ----

def pools():
    """Characters by what they are: of each sort as many, however many there are of it."""
    category = {c: unicodedata.category(chr(c)) for c in POINTS}
    return [list(map(chr, pool)) for pool in (
        range(1, 0x80), range(0x80, 0x250), range(0x370, 0x530), range(0x300, 0x370), range(0x1100, 0x1200), range(0xAC00, 0xD7A4),
        [c for c in POINTS if unicodedata.combining(chr(c))], [c for c in POINTS if category[c][0] == "M"], [c for c in POINTS if unicodedata.decomposition(chr(c))],
        [c for c in POINTS if category[c] in ("Cc", "Cf", "Zs", "Zl", "Zp")], [c for c in POINTS if category[c][0] in "PS"],
        [c for c in POINTS if chr(c).lower() != chr(c)], [c for first in (0x4E00, 0x9FF0, 0x3400, 0xF900, 0x20000, 0x2B820, 0x2B920, 0x2CEA0, 0x2F800) for c in range(first - 3, first + 40)],
        [0x130, 0x131, 0x345, 0x344, 0x3A3, 0x1E9E, 0xFFFD, 0xFEFF, 0x85, 0xA0, 0x200D, 0x34F], [c for c in POINTS if category[c] == "Cn"], POINTS)]


def random_texts(dice, n, of):
    made = []
    for _ in range(n):
        some = dice.sample(of, dice.randint(1, 4))
        text = "".join(dice.choice(dice.choice(some)) for _ in range(dice.randint(1, 30)))
        if dice.random() < 0.3:
            at = dice.randint(0, len(text))
            text = text[:at] + dice.choice(["WORDS of ASCII, quite a lot of them; ", " a", "B ", "sixteen letters!", "fifteenletters.", "\t\r\n\v\f"]) + text[at:]
        made.append(text)
    return made


# ---- tokens ----

def vocabulary(dice, of, prefix):
    """Letters, some of them only within words, and random strings of them; few enough characters that longer tokens are met."""
    letters = "aabcdeo" + "".join(dice.choice(pool) for pool in of)
    tokens = {c: None for c in letters} | {prefix + c: None for c in letters[2:]}
    for _ in range(300):
        tokens[dice.choice(["", prefix, prefix]) + "".join(dice.choice(letters) for _ in range(dice.randint(1, dice.choice([2, 3, 8]))))] = None
    return [UNKNOWN] + [t for t in tokens if t not in ("", UNKNOWN) and "\n" not in t], letters


def check_vocabulary(ours, folder, dice, of, n):
    prefix, most, steps = dice.choice(["##", "##", "##", "", "@", "\u2581"]), dice.choice([0, 1, 5, 20, 100, 1 << 20]), dice.randint(0, 15)
    tokens, letters = vocabulary(dice, of, prefix)
    (folder / "vocabulary").write_bytes("\n".join(tokens).encode())
    hub = Tokenizer(models.WordPiece({t: i for i, t in enumerate(tokens)}, unk_token=UNKNOWN, max_input_chars_per_word=most, continuing_subword_prefix=prefix))
    words = ["".join(dice.choice(letters) for _ in range(dice.randint(1, dice.choice([3, 10, 40])))) for _ in range(n)]
    words += ["".join(t.removeprefix(prefix) for t in dice.choices(tokens, k=dice.randint(1, 5))) or "a" for _ in range(n)]
    made = [" ".join(dice.choices(words, k=4)) for _ in range(n)] + random_texts(dice, n // 4, of)
    compare(f"words, prefix {prefix!r}, {most} at most", words, ours.numbers(words, "encode", folder / "vocabulary", prefix, most), [e.ids for e in hub.encode_batch_fast(words)])
    hub.normalizer, hub.pre_tokenizer = bert_normalizer(steps), PIECES
    compare(f"ids, prefix {prefix!r}, {most} at most, steps {steps}", made, ours.numbers(made, "encode", folder / "vocabulary", prefix, most, steps), [e.ids for e in hub.encode_batch_fast(made)])
    return len(words) + len(made)


def check_decoder(ours, dice, n):
    parts = [" ", " ", " ", "'", "' ", ".", "?", "!", ",", "##", "#", "n't", "'m", "do not", " do not", "'s", "'ve", "'re", "m", "s", "ve", "n", "t", "\u00e9", " ' "]
    tokens = ["".join(dice.choice(parts) for _ in range(dice.randint(1, 8))) for _ in range(n)]
    for prefix in "##", "", " ", "'":
        for cleanup in 0, 1:
            decoder = decoders.WordPiece(prefix=prefix, cleanup=bool(cleanup))
            compare(f"decoder, prefix {prefix!r}, cleanup {cleanup}", tokens, ours.texts(tokens, "shown", prefix, cleanup), [decoder.decode(["x", t])[1:] for t in tokens])


def print_hashes():
    """What the library makes of all characters, each with an x behind it, as FNV-1a."""
    def fnv(text):
        h = 0
        for byte in text.encode():
            h = (h ^ byte) * 0x100000001B3 & 2**64 - 1
        return f"{h:#x}u"
    text = "".join(chr(c) + "x" for c in POINTS)
    for steps in EACH:
        print(steps, fnv(bert_normalizer(steps).normalize_str(text)))
    print("StripAccents", fnv(normalizers.StripAccents().normalize_str(text)))
    print("pieces", fnv("".join(piece + "\n" for piece, _ in PIECES.pre_tokenize_str(text))))


def main():
    dice = random.Random(SEED)
    of = pools()
    with workplace() as folder:
        ours = Ours(folder)
        with part("each character"):
            between = ["".join(f"{chr(c)} a{chr(c)}B e\u0301{chr(c)}\u0316\u0301x {chr(c)}\u0334" for c in POINTS[i:i + 64]) for i in range(0, len(POINTS), 64)]
            check_texts(ours, between, EACH)
            check_texts(ours, list(map(chr, POINTS)), [ALL])
        with part(f"{COUNT} random texts"):
            for done in range(0, COUNT, 20000):
                check_texts(ours, random_texts(dice, min(20000, COUNT - done), of), range(16))
        with part("tokens"):
            print(f"  {sum(check_vocabulary(ours, folder, dice, of, 500) for _ in range(max(COUNT // 1000, 8)))} texts")
        with part("decoder"):
            check_decoder(ours, dice, COUNT)
    finish()


if __name__ == "__main__":
    print_hashes() if sys.argv[1:] == ["hashes"] else main()
