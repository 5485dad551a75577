#!/usr/bin/env python3
"""fuzz_tokenizer.py -- ids of random texts, nib's against tiktoken's and those of Hugging Face's tokenizers: for each way of cutting
text in use, all with GPT-2's vocabulary; and for tokenizers of every kind (tokenizer_kinds.py), decoded, too.  SEED and COUNT (texts a
pattern; a tenth of it a kind) may be given in the environment.

Texts are random Unicode, random bytes (what is not UTF-8 is replaced), and real text that is cut, joined and changed; before them,
each character between two letters."""
import copy
import json
import os
import random

import numpy as np
import tiktoken
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

import make_tokenizer_golden as golden
import tokenizer_kinds
from checks import check, data, finish, gpt2_files, nib, part, skip, workplace

SEED, COUNT, ROUND = int(os.environ.get("SEED", 1)), int(os.environ.get("COUNT", 20000)), 50000
END = 50256
LATER = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
O200K = "|".join([
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
CL100K = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
R50K = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"


def split(regex):
    return pre_tokenizers.Split(Regex(regex), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)


# How Hugging Face's library cuts, the expression that tiktoken is given, or None where it has no such pattern, and normalizers.
PATTERNS = {
    "gpt2": ([pre_tokenizers.ByteLevel(add_prefix_space=False)], R50K),
    "qwen2, NFC": (split(LATER % r"\p{N}"), None, [normalizers.NFC()]),
    "gpt2, NFKC and small letters": ([pre_tokenizers.ByteLevel(add_prefix_space=False)], None, [normalizers.NFKC(), normalizers.Lowercase()]),
    "gpt2, NFD": ([pre_tokenizers.ByteLevel(add_prefix_space=False)], None, [normalizers.NFD()]),
    "gpt2, NFKD": ([pre_tokenizers.ByteLevel(add_prefix_space=False)], None, [normalizers.NFKD()]),
    "cl100k": (split(CL100K), CL100K.replace("{1,3}", "{1,3}+")),
    "o200k": (split(O200K), O200K),
    "llama3": (split(LATER % r"\p{N}{1,3}"), LATER % r"\p{N}{1,3}"),
    "qwen2": (split(LATER % r"\p{N}"), LATER % r"\p{N}"),
    "smollm": ([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)], None),
}


# ---- texts ----

def real_text():
    parts = [golden.TEXT] + golden.BY_HAND
    for name in ("tinyshakespeare/input.txt", "tinystories/val_sample.txt"):
        if data(name):
            parts.append(data(name).read_text()[:200000])
    return "".join(parts)


def random_point(dice):
    top = dice.choice([0x80, 0x250, 0x530, 0x3100, 0xffff, 0x1ffff, 0x10ffff])
    return chr(dice.randint(1, top))


def texts(dice, count, real):
    made = []
    while len(made) < count:
        kind = dice.randint(0, 3)
        if kind == 0:
            text = "".join(random_point(dice) for _ in range(dice.randint(1, 30)))
        elif kind == 1:
            text = dice.randbytes(dice.randint(1, 60)).decode(errors="replace")
        elif kind == 2:
            at = dice.randrange(len(real))
            text = list(real[at:at + dice.randint(1, 80)])
            for _ in range(dice.randint(0, 6)):
                text.insert(dice.randint(0, len(text)), dice.choice([random_point(dice), dice.choice(" \n\r\t'\"0Aa/"), dice.choice(real)]))
            text = "".join(text)
        else:
            text = golden.random_text(dice)
        text = "".join(c for c in text if c != "\0" and not 0xd800 <= ord(c) < 0xe000)
        if text:
            made.append(text)
    return made


# ---- ids ----

def ids_of_nib(folder, tokenizer, lines):
    nib("data", lines, "--out", folder / "out", f"--tokenizer={tokenizer}", f"--val={lines}")
    ids = np.fromfile(folder / "out/train.bin", np.uint16)
    return [piece[:-1].tolist() for piece in np.split(ids, np.flatnonzero(ids == END) + 1)[:-1]]


def compare(name, made, ours, theirs, whose):
    wrong = [t for t, a, b in zip(made, ours, theirs) if a != list(b)]
    check(len(ours) == len(made) and not wrong, f"{name}: {len(wrong)} texts with other ids than {whose}'s, such as {wrong[:1]!r:.300}")


def check_round(folder, made, hub, ranks):
    lines = folder / "texts.jsonl"
    lines.write_text("".join(json.dumps({"text": t}) + "\n" for t in made))
    for name, (steps, regex, *first) in PATTERNS.items():
        hub.pre_tokenizer = pre_tokenizers.Sequence(list(steps))
        hub.normalizer = normalizers.Sequence(first[0]) if first else None
        hub.save(str(folder / "tokenizer.json"))
        ours = ids_of_nib(folder, folder / "tokenizer.json", lines)
        compare(name, made, ours, [e.ids for e in hub.encode_batch_fast(made)], "tokenizers")
        if regex:
            theirs = tiktoken.Encoding(name, pat_str=regex, mergeable_ranks=ranks, special_tokens={})
            compare(name, made, ours, theirs.encode_ordinary_batch(made, num_threads=2), "tiktoken")


def check_kind(folder, name, file, made):
    """With a token of its own behind each text; the whole as one text, too, by one thread and by three."""
    file = copy.deepcopy(file)
    hub = Tokenizer.from_str(json.dumps(file))
    hub.encode_special_tokens = True
    end = max(hub.get_vocab(with_added_tokens=True).values()) + 1
    file["added_tokens"].append(golden.added(end, golden.END))
    path, lines, whole = folder / "tokenizer.json", folder / "texts.jsonl", "\n".join(made[:3000])
    path.write_text(json.dumps(file | {"post_processor": None}))
    lines.write_text("".join(json.dumps({"text": t}) + "\n" for t in made))
    (folder / "text.txt").write_text(whole, newline="")
    nib("data", lines, "--out", folder / "out", f"--tokenizer={path}", f"--val={lines}")
    ids = np.fromfile(folder / "out/train.bin", np.uint16)
    ours = [piece[:-1].tolist() for piece in np.split(ids, np.flatnonzero(ids == end) + 1)[:-1]]
    compare(name, made, ours, [e.ids for e in hub.encode_batch_fast(made, add_special_tokens=False)], "tokenizers")
    for threads in 1, 3:
        compare(f"{name}, whole, {threads} threads", [whole[:80]], [[int(i) for i in nib("tokenizer", "encode", path, folder / "text.txt", f"--threads={threads}").split()]],
                [hub.encode(whole, add_special_tokens=False).ids], "tokenizers")


def check_kinds(count, seed):
    for name, file in tokenizer_kinds.kinds().items():
        with workplace() as folder:
            check_kind(folder, name, file, tokenizer_kinds.texts(random.Random(seed), count, file))
        print(f"  {name}: {count} texts", flush=True)


def main():
    with part("kinds"):
        check_kinds(max(COUNT // 10, 1000), SEED)
    files = gpt2_files()
    if not files:
        skip("random texts", "no vocab.bpe and encoder.json of GPT-2 in ../shared/data/gpt2-bpe")
        return finish()
    hub = Tokenizer(models.BPE.from_file(str(files / "encoder.json"), str(files / "vocab.bpe")))
    hub.decoder = decoders.ByteLevel()
    hub.add_special_tokens([golden.END])
    hub.encode_special_tokens = True                         # as text
    ranks = {k: v for k, v in golden.gpt2(files)._mergeable_ranks.items()}
    real = real_text()
    done = 0
    with part("each character"), workplace() as folder:
        check_round(folder, [f"a{chr(c)}B 1{chr(c)}" for c in range(1, 0x110000, int(os.environ.get("EVERY", 1))) if not 0xd800 <= c < 0xe000], hub, ranks)
    with part("random texts"):
        while done < COUNT:
            made = texts(random.Random(SEED * 1000003 + done), min(ROUND, COUNT - done), real)
            with workplace() as folder:
                check_round(folder, made, hub, ranks)
            done += len(made)
            print(f"  {done} texts, {len(PATTERNS)} patterns", flush=True)
    finish()


if __name__ == "__main__":
    main()
