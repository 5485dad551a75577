#!/usr/bin/env python3
"""tokenizers_peer.py -- GPT-2's ids by tiktoken and by Hugging Face's tokenizers, one thread and two, and their training of BPE.

    tokenizers_peer.py TEXT GPT2

TEXT is a file, .gz or not; GPT2 a folder with GPT-2's encoder.json and vocab.bpe."""
import gzip
import os
import pathlib
import sys
import time

os.environ.setdefault("RAYON_NUM_THREADS", "2")
import tiktoken
import tokenizers
from tiktoken.load import data_gym_to_mergeable_bpe_ranks
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""


def best(work, rounds=3):
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - start)
    return min(times), result


def by_tiktoken(text, docs, gpt2, mb):
    ranks = data_gym_to_mergeable_bpe_ranks(str(gpt2 / "vocab.bpe"), str(gpt2 / "encoder.json"))
    t = tiktoken.Encoding("gpt2", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={"<|endoftext|>": 50256})
    s, ids = best(lambda: t.encode_ordinary(text))
    print(f"tiktoken {tiktoken.__version__} encode whole text, 1 thread: {mb / s:.1f} MB/s, {len(ids)} ids")
    s, _ = best(lambda: t.encode_ordinary_batch(docs, num_threads=2))
    print(f"tiktoken encode_batch, 2 threads: {mb / s:.1f} MB/s")
    return ids


def by_tokenizers(text, docs, gpt2, mb, ids):
    t = Tokenizer(models.BPE.from_file(str(gpt2 / "encoder.json"), str(gpt2 / "vocab.bpe")))
    t.pre_tokenizer, t.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    s, e = best(lambda: t.encode(text), 1)
    print(f"tokenizers {tokenizers.__version__} encode whole text: {mb / s:.1f} MB/s, ids equal tiktoken's: {e.ids == ids}")
    s, _ = best(lambda: t.encode_batch_fast(docs), 2)
    print(f"tokenizers encode_batch_fast, 2 threads: {mb / s:.1f} MB/s")


def training(docs, mb):
    for size in 1024, 4096, 32768:
        t = Tokenizer(models.BPE())
        t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = trainers.BpeTrainer(vocab_size=size, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
        s, _ = best(lambda: t.train_from_iterator(docs, trainer), 1)
        print(f"tokenizers train BPE {size}: {s:.2f} s, {mb / s:.1f} MB/s")


def main():
    path, gpt2 = sys.argv[1], pathlib.Path(sys.argv[2])
    with (gzip.open if path.endswith(".gz") else open)(path, "rb") as f:
        text = f.read().decode("utf-8", "replace")
    mb, lines = len(text.encode()) / 1e6, text.splitlines(keepends=True)
    docs = ["".join(lines[i::64]) for i in range(64)]
    ids = by_tiktoken(text, docs, gpt2, mb)
    by_tokenizers(text, docs, gpt2, mb, ids)
    training(docs, mb)


main()
