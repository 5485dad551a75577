#!/usr/bin/env python3
"""tokenizers_peer.py -- text to GPT-2's ids by tiktoken, and BPE learnt by Hugging Face's tokenizers; one JSON object.

    tokenizers_peer.py encode TEXT GPT2 [--threads=1]      GPT2: a folder with GPT-2's encoder.json and vocab.bpe
    tokenizers_peer.py train TEXT [--vocab=4096] [--threads=1]

With several threads tiktoken gets the text in 64 documents, since it has no other way to use them; so does the trainer."""
import argparse
import json
import os
import pathlib
import time

parser = argparse.ArgumentParser()
parser.add_argument("what", choices=["encode", "train"])
parser.add_argument("text")
parser.add_argument("gpt2", nargs="?")
parser.add_argument("--vocab", type=int, default=4096)
parser.add_argument("--threads", type=int, default=1)
ROUNDS = 5


def best(work, rounds):
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def encode(o, text, docs):
    import tiktoken
    from tiktoken.load import data_gym_to_mergeable_bpe_ranks
    gpt2 = pathlib.Path(o.gpt2)
    ranks = data_gym_to_mergeable_bpe_ranks(str(gpt2 / "vocab.bpe"), str(gpt2 / "encoder.json"))
    pattern = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"    # as tiktoken_ext has it
    t = tiktoken.Encoding("gpt2", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    if o.threads > 1:
        seconds = best(lambda: t.encode_ordinary_batch(docs, num_threads=o.threads), ROUNDS)
    else:
        seconds = best(lambda: t.encode_ordinary(text), ROUNDS)
    return {"peer": f"tiktoken {tiktoken.__version__}", "encode_mb_s": len(text.encode()) / 1e6 / seconds}


def train(o, docs):
    os.environ["RAYON_NUM_THREADS"] = str(o.threads)
    import tokenizers
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    def work():
        t = Tokenizer(models.BPE())
        t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        t.train_from_iterator(docs, trainers.BpeTrainer(vocab_size=o.vocab, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return {"peer": f"tokenizers {tokenizers.__version__}", "s": best(work, 2)}


def main():
    o = parser.parse_args()
    text = pathlib.Path(o.text).read_bytes().decode(errors="replace")
    lines = text.splitlines(keepends=True)
    docs = ["".join(lines[i::64]) for i in range(64)]
    print(json.dumps(encode(o, text, docs) if o.what == "encode" else train(o, docs)))


if __name__ == "__main__":
    main()
