#!/usr/bin/env python3
"""Makes the golden files of tests/test_tokenizer.c by libraries that are not ours:

    python tests/twin/make_tokenizer_golden.py FOLDER           with GPT-2's vocab.bpe and encoder.json

tests/golden/bpe300/tokenizer.json   a byte-level BPE of 300 merges, trained here on TEXT by Hugging Face's tokenizers
tests/golden/tokenizer_cases.json    texts, and their ids by that vocabulary and by GPT-2's (tiktoken); variants of the
                                     vocabulary's file, the ids by them and the lengths of the pieces that they cut;
                                     bytes, and what decoders make of them

Needs tokenizers and tiktoken.  Ids of long texts are stored as "count:hash" (FNV-1a over little-endian 32-bit ids)."""
import copy
import json
import random
import struct
import sys
from pathlib import Path

import tiktoken
from tiktoken.load import data_gym_to_mergeable_bpe_ranks
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

MERGES = 300
END = "<|endoftext|>"

TEXT = """\
The lighthouse keeper didn't believe in storms. She'd seen forty-one of them, she'd say, and they'd all gone home by morning.
Every evening at 6:45 she climbed the 217 steps, wiped the great lamp, and wrote three lines into the book: the wind, the
tide, and what the gulls were arguing about. The gulls weren't polite. They're thieves, she wrote on the 3rd of March; they've
taken the bread again, and I'm certain that the old one laughs.

In the town below nobody read the book. The baker's boy, who carried the bread up the hill on Tuesdays, read it once while
the keeper was asleep, and he couldn't stop. There were 9,860 evenings in it. There was the winter of the frozen bell, the whale
that stayed for a week, the ship that came in backwards. There was his grandmother, aged seven, waving from the pier.

"You'll want to write the next one," said the keeper, who wasn't asleep at all. "It's easy. You look out, and you don't lie."
So he wrote: Wind north-west, 12 knots. Tide low. The gulls are arguing about me.

    def tide(hour, low=0.4, high=3.9):
        # the sea is a cosine, more or less
        phase = 2 * math.pi * (hour - 5.25) / 12.42
        return low + (high - low) * (1 + math.cos(phase)) / 2

    for (int i = 0; i < n; i++) { if (gull[i].bread > 0) steal(&gull[i]); }

Älter als der Turm ist nur das Meer, sagte die Möwe. Le phare était allumé, l'été aussi. El faro está lejos; ¿quién lo ve?
Маяк горит, море шумит. 灯台の光は遠くまで届く。灯塔的光很远。등대의 빛은 멀리 간다. Ο φάρος ανάβει τη νύχτα.
The lamp, the tide, the wind; the lamp, the tide, the wind. Morning came, and the storm had gone home. 🌊🌊 🐦
"""

BY_HAND = [
    "", " ", "  ", "\n", "a", "the", " the", "The lighthouse keeper didn't believe in storms.", "hello world", "Hello!! I'm here. It's 2022. w00t :D \U0001F917",
    "I'm you're he's we'd they've she'll don't 'S 'RE 'Ll 'tis ''s 's's s'", "can’t won’t it’s", "'ſ 'S K\u212a \u017f",
    "a  b   c    d", "end  ", "   start", "a \n b", "a\n\n\nb", " \n \n ", "x\r\n\r\ny", "\t\tif (x)\t{\n\t\t\treturn 1;\t}\n", "a\u00a0b \u00a0 c",
    "next\u0085line", "para\u2029graph\u2028line", "\u1680ogham\u2000\u2003em\u3000wide", "mongolian\u180evowel \u180e \u180e\u180e", "\ufeffbom", "zero\u200bwidth\u200djoiner\u2060",
    "\x01\x02\x1b[31m\x7f\x80\x9f", "1 12 123 1234 12345 123456789", "3.14159, -2.7e10, 0xDEADBEEF, 1,000,000", "x1y22z333", "²³½ⅧⅨ٣٤५६ 〇一二三",
    "café cafe\u0301 naïve nai\u0308ve", "\u0301\u0302 leading marks", "Z\u0351\u036b\u0343\u036aA\u0321\u034aL\u0334G\u0322O\u0321", "नमस्ते दुनिया", "สวัสดีชาวโลก", "こんにちは世界。カタカナ", "你好，世界！", "안녕하세요 세계", "שלום עולם", "مرحبا بالعالم",
    "Ελληνικά", "Привет, мир!", "\U0001F468\u200d\U0001F469\u200d\U0001F467\u200d\U0001F466 \U0001F3F4\U000E0067\U000E0062\U000E0065\U000E006E\U000E0067\U000E007F \U0001F1E9\U0001F1EA \u2764\ufe0f \U0001F44D\U0001F3FD",
    "\U00010348 \U0001D49C\U0001D4B7 \U0002070E \U000F0000 \U0010FFFD", "\uffff \ufdd0 \ufffe \ufffd", "ÄÖÜ äöü ß ẞ İ ı ŉ ǆ",
    "def f(x):\n    return x**2  # square\n\n\nclass A:\n\tpass\n", "for (int i = 0; i < n; i++) { a[i] += b[i]; }", "<a href=\"x?y=1&z=2\">link</a>", "C:\\path\\file.txt /usr/bin/env", "$\\alpha_1 + \\beta^{2}$ ~~~ ``` ---- ====", "user@example.org http://example.org/a_b-c.d?e=f#g",
    "snake_case camelCase PascalCase SCREAMING_CASE kebab-case", "!!!???...,,,;;;:::", "(((([[[[{{{{}}}}]]]]))))", "wordwordword WORDWORD wOrDwOrD", "'", "''", "' s", "'s", " 's", "\n's", "1's", "!'s",
    END, "a" + END + "b", END + END, " " + END + " ", "<|endoftext", "<|endoftext|", "<<|endoftext|>>", "<|user|>hi<|user|>!<|end|>", "<|user|<|user|>!!", "qzx qzxqzx aqzxb",
    "Tab\tand  two   three spaces\u2003em\n\n  \n x", "  \n\n  \n", "\n \n  a", "one\n  two\n    three\n\tfour", "\r\r\n\n\r", " \t\n\x0b\x0c\r\x1c\x1d\x1e\x1f\x85",
]
LONG = [("a", 100000), (" ", 4099), ("\n", 4099), ("ab", 5000), ("the gull ", 3000), ("1", 10007), ("^", 5003), ("\U0001F917", 2500), ("e\u0301", 4001), (" \n", 3001), ("'s", 2000)]


SPACES = [" "] * 8 + list("\n\t\r\x0b\x0c\x85\xa0\u180e\u1680\u2000\u2028\u2029\u202f\u205f\u3000\ufeff\u200b\u200d")
WORDS = ["the", "gull", "'s", "'re", "'LL", "’s", "123", "4567", "²", "Ⅷ", "٣", "हिन्दी", "한국어", "中文", "e\u0301", "...", "!?", "_x", "İ", "ſ", "\u0300", "🌊", END]


def random_text(dice):
    sources = [lambda: dice.choice(SPACES), lambda: dice.choice(WORDS), lambda: chr(dice.randint(33, 126)), lambda: chr(dice.randint(0xa1, 0x52f)),
               lambda: dice.choice("aeiou 1") * dice.randint(2, 5)]
    return "".join(dice.choice(sources)() for _ in range(dice.randint(3, 24)))


def random_texts(count):
    dice = random.Random(20240229)
    return [random_text(dice) for _ in range(count)]


def train():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(vocab_size=256 + MERGES + 1, special_tokens=[END], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    t.train_from_iterator([TEXT], trainer)
    return json.loads(t.to_str())


def added(id, content, **flags):
    return dict(dict(id=id, content=content, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True), **flags)


def split(number, behavior="Isolated"):
    regex = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|" + number + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": behavior, "invert": behavior == "Removed"}


def sequence(*steps, use_regex):
    last = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": use_regex}
    return {"pre_tokenizer": {"type": "Sequence", "pretokenizers": list(steps) + [last]}}


def variants(vocab):
    """Changes to the trained file, in the manner of known models."""
    size = len(vocab)
    new = [added(0, END), added(size, "<|user|>"), added(size + 1, "<|user|>!"), added(size + 2, "  ", special=False, normalized=True),
           added(size + 3, "|>", special=False, normalized=True), added(vocab["gull"], "gull", special=False)]
    return {
        "llama3": sequence(split(r"\p{N}{1,3}"), use_regex=False),
        "removed": sequence(split(r"\p{N}{1,3}", "Removed"), use_regex=False),
        "qwen2": sequence(split(r"\p{N}"), use_regex=False),
        "nanochat": sequence(split(r"\p{N}{1,2}"), use_regex=False),
        "smollm": sequence({"type": "Digits", "individual_digits": True}, use_regex=True),
        "digits": sequence({"type": "Digits", "individual_digits": False}, use_regex=True),
        "template": {"post_processor": {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}}],
                                        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}], "special_tokens": {}}},
        "uncut": {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}},
        "whole": {"model": {"ignore_merges": True, "vocab": {"qzx": size, "Ġqzx": size + 1}}},
        "added": {"added_tokens": new},
    }


def updated(base, change):
    """base with change laid over it, objects within objects as well."""
    both = copy.deepcopy(base)
    for key, value in change.items():
        both[key] = updated(both[key], value) if isinstance(value, dict) and isinstance(both.get(key), dict) and key in ("model", "vocab") else value
    return both


def short(ids, most):
    if len(ids) <= most:
        return ids
    h = 0xCBF29CE484222325
    for byte in struct.pack("<%dI" % len(ids), *ids):
        h = (h ^ byte) * 0x100000001B3 % 2**64
    return "%d:%016x" % (len(ids), h)


def encode(tokenizer, text, specials_as_text):
    tokenizer.encode_special_tokens = specials_as_text
    return tokenizer.encode(text, add_special_tokens=False).ids


def gpt2(files):
    ranks = data_gym_to_mergeable_bpe_ranks(str(files / "vocab.bpe"), str(files / "encoder.json"))
    pattern = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"
    return tiktoken.Encoding("gpt2", pat_str=pattern, mergeable_ranks=ranks, special_tokens={END: 50256})


def broken_texts():
    dice = random.Random(42)
    pieces = [b"a", b"\xc3\xa9", b"\xe2\x82\xac", b"\xf0\x9f\xa4\x97", b"\xc3", b"\xe2\x82", b"\xe2", b"\xf0\x9f\xa4", b"\xf0\x9f", b"\x80", b"\xff", b"\xc0\xaf",
              b"\xed\xa0\x80", b"\xe0\x80\x80", b"\xf4\x90\x80\x80", b"\xf0\x80\x80\x80", b"\xf8\x88\x80\x80\x80"]
    texts = pieces + [b"".join(dice.choice(pieces) for _ in range(dice.randint(2, 8))) for _ in range(60)]
    return [[t.hex(), t.decode("utf-8", errors="replace")] for t in texts]


def make_cases(trained, reference):
    """By the trained vocabulary and by GPT-2's."""
    base = Tokenizer.from_str(json.dumps(trained))
    texts = [(t, 1) for t in BY_HAND + random_texts(90)] + LONG
    cases = []
    for text, times in texts:
        t = text * times
        case = {"text": text, "times": times, "bpe300": short(encode(base, t, True), 80), "gpt2": short(reference.encode_ordinary(t), 80)}
        if END in t:
            case["bpe300_special"] = encode(base, t, False)
            case["gpt2_special"] = reference.encode(t, allowed_special="all")
        cases.append(case)
    others = []
    for name, change in variants(trained["model"]["vocab"]).items():
        t = Tokenizer.from_str(json.dumps(updated(trained, change)))
        # The byte alphabet has a character for each byte, so a piece has as many characters as the text had bytes.
        lists = {"as_text": lambda text: encode(t, text, True), "as_tokens": lambda text: encode(t, text, False),
                 "pieces": lambda text: [len(piece) for piece, _ in t.pre_tokenizer.pre_tokenize_str(text)]}
        golden = {key: short([n for text, times in texts if times == 1 for n in numbers(text) + [0xFFFFFFFF]], 0) for key, numbers in lists.items()}
        others.append(dict({"name": name, "change": change}, **golden))
    line = lambda rows: "[\n" + ",\n".join(json.dumps(row, ensure_ascii=True, separators=(",", ":")) for row in rows) + "\n]"
    return '{"cases": %s,\n"variants": %s,\n"replaced": %s}\n' % (line(cases), line(others), line(broken_texts()))


def make_all(folder, gpt2_files):
    """gpt2_files None: without the cases."""
    trained = train()
    (folder / "bpe300").mkdir(exist_ok=True)
    (folder / "bpe300/tokenizer.json").write_text(json.dumps(trained, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
    if gpt2_files:
        (folder / "tokenizer_cases.json").write_text(make_cases(trained, gpt2(gpt2_files)), encoding="utf-8")


if __name__ == "__main__":
    make_all(Path(__file__).parent.parent / "golden", Path(sys.argv[1]))
