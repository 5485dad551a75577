#!/usr/bin/env python3
"""Makes the golden file of tests/test_unigram.c by Hugging Face's tokenizers:

    python tests/twin/make_unigram.py [FOLDER]

tests/golden/unigram.json   models: tokens with their scores, the unknown token's id (or null), byte_fallback; and texts with their ids,
                            null where the library refuses. The first was trained here on made-up words by the library, others are small and
                            have what a trainer does not make: equal sums, scores above zero, no unknown token. The second is the first with
                            byte_fallback, and "bytes" says that the tokens <0x00> .. <0xFF> follow its tokens, with the score -20.

The trainer does not make the same scores twice, so the trained model is taken from the file that is there; without it, it is trained anew.
Ids of long texts are stored as "count:hash" (make_tokenizer_golden.py)."""
import json
import random
import sys
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from make_tokenizer_golden import BY_HAND, TEXT, random_texts, short

GOLDEN = Path(__file__).parent.parent / "golden"
PIECES, SPACE = 1000, "\u2581"
BYTES = [f"<0x{i:02X}>" for i in range(256)]
LONG = [("a", 100000), ("the gull ", 3000), ("\u0105", 5000), ("\u03a9\u2602", 2500), ("e\u0301", 4001), ("lamp", 20000), (SPACE, 4099), ("<unk>", 3000)]


def made_up(count):
    """Words of syllables, some more frequent than others."""
    dice = random.Random(20240302)
    syllables = [a + b for a in ["b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "st", "gr", "\u0161", "\u043c", "\u043d", "\u304b", "\u706f", ""] for b in ["a", "e", "i", "o", "u", "\xe4", "\u0430", "\u306a", "in", "er"]]
    words = ["".join(dice.choice(syllables) for _ in range(dice.choice([1, 2, 2, 3, 4]))) for _ in range(1500)]
    weights = [1 / (i + 1) for i in range(len(words))]
    return [" ".join(dice.choices(words, weights, k=12)) for _ in range(count)]


def train():
    t = Tokenizer(models.Unigram())
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=PIECES, special_tokens=["<unk>", "</s>"], unk_token="<unk>", show_progress=False)
    t.train_from_iterator(TEXT.splitlines() + made_up(1500), trainer)
    model = json.loads(t.to_str())["model"]
    return [(token, score) for token, score in model["vocab"]], model["unk_id"]


def words_of(letters, longest, score):
    """All words up to a length."""
    words = [""]
    for i, word in enumerate(words):
        if len(word) < longest:
            words += [word + letter for letter in letters]
    return [("<unk>", 0.0)] + [(word, score(word)) for word in words[1:]]


def small():
    """Name, tokens, unknown, byte_fallback, letters to make texts of."""
    dice = random.Random(5)
    equal = words_of("ab", 4, lambda word: -float(len(word)))
    by_tenths = words_of("ab\xe9", 3, lambda word: -0.1 * dice.randint(1, 30))       # sums that are equal but for rounding
    high = [("<unk>", 30.0), ("abc", 30.0), ("b", 45.0), ("bcab", 80.0), ("<unk>a", 31.0), ("\u706fa", 30.0)]
    far = [("<unk>", -1e308), ("a", -1e308), ("aa", 1e308), ("b", -1.0), ("ab", -1.5e308)]
    return [("equal", equal, 0, False, "ab"), ("tenths", by_tenths, 0, False, "ab\xe9"), ("whole letters absent", [("<unk>", 0.0), ("ab", -1.0), ("ba", -1.0), ("aba", -2.0)], 0, False, "abc"),
            ("high", high, 0, False, "abc\u706f"), ("high bytes", high + [(b, 20.0) for b in BYTES], 0, True, "abc\u706f"), ("far", far, 0, False, "ab"), ("unknown is a letter", words_of("ab", 2, lambda word: -1.0), 1, False, "abc"),
            ("no unknown", [("a", -1.0), ("ab", -1.5), ("abc", -4.0), ("c", -2.0), ("bc", -1.0)], None, False, "abc"), ("no unknown, bytes", [("a", -1.0), ("ab", -1.5)] + [(b, -9.0) for b in BYTES], None, True, "ab")]


def ids(model, text):
    """By the model alone; None: refused."""
    try:
        return [token.id for token in model.tokenize(text)]
    except Exception as problem:
        assert "unk_id" in str(problem), problem
        return None


def texts_of(letters, count):
    dice = random.Random(len(letters))
    parts = list(letters) * 8 + ["<unk>", "\u706f", "\x01", "<0x41>", "x\u0301"]
    return ["".join(dice.choice(parts[:8 * len(letters)] if k % 2 else parts) for _ in range(dice.randint(1, 14))) for k in range(count)]


def row(name, vocab, unknown, fallback, texts, says_bytes=False):
    both = vocab + [(b, -20.0) for b in BYTES] if says_bytes else vocab
    model = models.Unigram(both, unknown, fallback)
    cases = []
    for text, times in texts:
        made = ids(model, text * times)
        cases.append([text, times, made if made is None else short(made, 60)])
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    tokens = "null" if says_bytes else json.dumps(vocab, separators=(",", ":"))
    return f'{{"name": {json.dumps(name)}, "unknown": {json.dumps(unknown)}, "byte_fallback": {json.dumps(fallback)}, "bytes": {json.dumps(says_bytes)},\n"vocab": {tokens},\n"cases": [\n{lines}\n]}}'


def trained():
    file = GOLDEN / "unigram.json"
    if not file.exists():
        return train()
    model = json.loads(file.read_text())[0]
    return [(token, score) for token, score in model["vocab"]], model["unknown"]


def make_all(folder):
    vocab, unknown = trained()
    texts = [t.replace(" ", SPACE) for t in BY_HAND + random_texts(60) + made_up(20)]
    texts = [(t, 1) for t in texts if t] + LONG
    rows = [row("trained", vocab, unknown, False, texts), row("trained, bytes", vocab, unknown, True, texts, True)]
    rows += [row(name, tokens, u, fallback, [(t, 1) for t in texts_of(letters, 60)]) for name, tokens, u, fallback, letters in small()]
    (folder / "unigram.json").write_text("[" + ",\n".join(rows) + "]\n")


if __name__ == "__main__":
    make_all(Path(sys.argv[1]) if len(sys.argv) > 1 else GOLDEN)
