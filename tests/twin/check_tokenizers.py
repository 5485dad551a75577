#!/usr/bin/env python3
"""check_tokenizers.py -- the golden files of the tokenizers made anew, and nib's own ids against tiktoken's and those of Hugging
Face's tokenizers, on texts that break tokenizers and on thousands of random ones."""
import json
import os
import random

import numpy as np
from tokenizers import ByteLevelBPETokenizer, Tokenizer, models, pre_tokenizers, trainers
from transformers import AutoTokenizer

import make_tales_tokenizer
import make_tokenizer_golden as golden
import tokenizer_kinds
from checks import GOLDEN, ROOT, check, data, finish, gpt2_files, nib, part, skip, workplace

RANDOM_TEXTS = 4000


def texts():
    """Each not empty: nib makes no document of nothing."""
    dice = random.Random(7)
    lines = golden.TEXT.splitlines(keepends=True)
    cuts = ["".join(lines[i:i + 3])[dice.randint(0, 40):] for i in range(len(lines))]
    points = ["".join(chr(dice.choice([dice.randint(1, 0x2ff), dice.randint(1, 0xd7ff), dice.randint(0xe000, 0x10ffff)])) for _ in range(dice.randint(1, 12)))
              for _ in range(RANDOM_TEXTS // 4)]
    by_hand = [t * times for t, times in [(t, 1) for t in golden.BY_HAND] + golden.LONG]
    return [t for t in by_hand + cuts + points + golden.random_texts(RANDOM_TEXTS) if t]


def ids_of_nib(folder, tokenizer, all_texts, end):
    """By nib data: one document a text, each closed by the end token, which no text contains (it is encoded as text there)."""
    lines = folder / "texts.jsonl"
    lines.write_text("".join(json.dumps({"text": t}) + "\n" for t in all_texts))
    nib("data", lines, "--out", folder / "out", f"--tokenizer={tokenizer}", f"--val={lines}")
    ids = np.fromfile(folder / "out/train.bin", np.uint16)
    return [part.tolist() for part in np.split(ids, np.flatnonzero(ids == end) + 1)[:-1]]


def same(name, all_texts, ours, encode, end):
    wrong = [t for t, ids in zip(all_texts, ours) if ids != encode(t) + [end]]
    print(f"  {name}: {len(all_texts)} texts, {sum(len(t.encode()) for t in all_texts)} bytes, {sum(map(len, ours))} ids")
    check(len(ours) == len(all_texts) and not wrong, f"{name}: {len(wrong)} texts with other ids, such as {wrong[:1]!r:.200}")


def check_files():
    files = gpt2_files()
    with workplace() as folder:
        golden.make_all(folder, files)
        for name in ["bpe300/tokenizer.json"] + ["tokenizer_cases.json"] * bool(files):
            check((folder / name).read_bytes() == (GOLDEN / name).read_bytes(), f"tests/golden/{name} is not what is made anew")
    os.chdir(ROOT)                                           # the stories are told by a program made of src/
    with workplace() as folder:
        make_tales_tokenizer.make(folder / "tales.json")
        check((folder / "tales.json").read_bytes() == (ROOT / "src/text/tales_tokenizer.json").read_bytes(),
              "src/text/tales_tokenizer.json is not what is made anew")
    wrong = tokenizer_kinds.differing(GOLDEN / "tokenizer_kinds.json")
    check(not wrong, f"tests/golden/tokenizer_kinds.json: other ids or texts: {wrong}")
    if not files:
        skip("tokenizer_cases.json", "no vocab.bpe and encoder.json of GPT-2 in ../shared/data/gpt2-bpe")


def check_bpe300():
    """Also by the tokenizer.json that nib writes beside the ids, and what becomes of ids again."""
    reference, all_texts = Tokenizer.from_file(str(GOLDEN / "bpe300/tokenizer.json")), texts()
    end = reference.token_to_id(golden.END)
    with workplace() as folder:
        ours = ids_of_nib(folder, GOLDEN / "bpe300", all_texts, end)
        written = Tokenizer.from_file(str(folder / "out/tokenizer.json"))
    same("bpe300, tokenizers", all_texts, ours, lambda t: golden.encode(reference, t, True), end)
    same("bpe300, tokenizers on nib's tokenizer.json", all_texts, ours, lambda t: golden.encode(written, t, True), end)
    check(all(written.decode(ids[:-1], skip_special_tokens=False) == t for t, ids in zip(all_texts, ours)), "bpe300: a text does not come back")


def check_gpt2():
    files = gpt2_files()
    if not files:
        return skip("ids of GPT-2's vocabulary", "no vocab.bpe and encoder.json of GPT-2 in ../shared/data/gpt2-bpe")
    all_texts, tiktoken = texts(), golden.gpt2(files)
    hub = ByteLevelBPETokenizer(str(files / "encoder.json"), str(files / "vocab.bpe"))
    with workplace() as folder:
        ours = ids_of_nib(folder, files, all_texts, 50256)
        written = Tokenizer.from_file(str(folder / "out/tokenizer.json"))
    same("gpt2, tiktoken", all_texts, ours, tiktoken.encode_ordinary, 50256)
    same("gpt2, tokenizers on OpenAI's files", all_texts, ours, lambda t: hub.encode(t).ids, 50256)
    same("gpt2, tokenizers on nib's tokenizer.json", all_texts, ours, lambda t: golden.encode(written, t, True), 50256)


def check_characters():
    """Of one text, cut by characters; the numbers are the places in the sorted set, and tokenizers reads what nib writes."""
    text = golden.TEXT + "".join(sorted({c for t in golden.BY_HAND for c in t}))
    symbols = sorted(set(text))
    with workplace() as folder:
        (folder / "text.txt").write_bytes(text.encode())
        nib("data", folder / "text.txt", "--out", folder / "out", "--tokenizer=char")
        ids = [np.fromfile(folder / "out" / name, np.uint16).tolist() for name in ("train.bin", "val.bin")]
        written = Tokenizer.from_file(str(folder / "out/tokenizer.json"))
    cut = int(len(text) * 0.9)
    check(ids[0] == [symbols.index(c) for c in text[:cut]] and ids[1] == [symbols.index(c) for c in text[cut:]], "characters: ids")
    check(written.encode(text).ids == ids[0] + ids[1], "characters: ids by tokenizers on nib's tokenizer.json")
    check(written.decode(ids[0] + ids[1]) == text, "characters: the text does not come back")


def learnt_by_tokenizers(text, size):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.train_from_iterator([text], trainers.BpeTrainer(vocab_size=size, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    merges = json.loads(t.to_str())["model"]["merges"]
    return [m if isinstance(m, str) else " ".join(m) for m in merges]


def check_learnt():
    """Merges learnt from text are those of Hugging Face's trainer, one by one, and transformers opens what nib writes."""
    texts_of = {"text": golden.TEXT} | {path: data(path).read_text() for path in ("tinyshakespeare/input.txt", "tinystories/val_sample.txt") if data(path)}
    for name, text in texts_of.items():
        with workplace() as folder:
            (folder / "text.txt").write_text(text)
            for size in (300, 700, 3000):
                nib("tokenizer", "train", folder / "text.txt", "--out", folder / "out", f"--vocab={size + 1}")
                ours, theirs = json.loads((folder / "out/tokenizer.json").read_text())["model"]["merges"], learnt_by_tokenizers(text, size)
                check(ours == theirs, f"{name}, {size} tokens: merge {next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), min(len(ours), len(theirs)))} of {len(theirs)}")
            opened = AutoTokenizer.from_pretrained(folder / "out")
            ids = [int(i) for i in nib("tokenizer", "encode", folder / "out", folder / "text.txt").split()]
            check(opened(text)["input_ids"] == ids, f"{name}: ids by transformers")
            check(opened.eos_token == golden.END and opened.eos_token_id == len(opened) - 1, f"{name}: the end token is {opened.eos_token} ({opened.eos_token_id})")
    print(f"  {len(texts_of)} texts")


if __name__ == "__main__":
    for check_one in check_files, check_bpe300, check_gpt2, check_characters, check_learnt:
        with part(check_one.__name__):
            check_one()
    finish()
