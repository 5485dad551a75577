#!/usr/bin/env python3
"""decode_llamacpp.py -- llama.cpp reading a prompt and writing behind it, on the ids of nib bench decode.

    decode_llamacpp.py FILE.gguf [--threads N] [--prompt N] [--tokens N] [--json]

Tokens/s are the best of three rounds; first_token_ms is the first prompt's, load_s the opening of the file."""
import argparse
import json
import os
import resource
import time

import llama_cpp


def arguments():
    a = argparse.ArgumentParser()
    a.add_argument("file")
    a.add_argument("--threads", type=int, default=os.cpu_count())
    a.add_argument("--prompt", type=int, default=512)
    a.add_argument("--tokens", type=int, default=128)
    a.add_argument("--json", action="store_true")
    return a.parse_args()


def timed(work, *args):
    start = time.perf_counter()
    result = work(*args)
    return time.perf_counter() - start, result


def write(model, n):
    for i in range(n):
        model.eval([i + 11])


def main():
    a = arguments()
    load, model = timed(lambda: llama_cpp.Llama(a.file, n_ctx=1024, n_batch=512, n_threads=a.threads, n_threads_batch=a.threads, verbose=False))
    prompts, writings = [], []
    for _ in range(3):
        model.reset()
        prompts.append(timed(model.eval, [i * 7919 % 50000 for i in range(a.prompt)])[0])
        writings.append(timed(write, model, a.tokens)[0])
    r = dict(peer=f"llama.cpp (llama-cpp-python {llama_cpp.__version__})", file=os.path.basename(a.file), threads=a.threads, load_s=load, first_token_ms=prompts[0] * 1e3,
             prompt_tok_s=a.prompt / min(prompts), decode_tok_s=a.tokens / min(writings), rss_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    print(json.dumps(r) if a.json else " ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in r.items()))


main()
