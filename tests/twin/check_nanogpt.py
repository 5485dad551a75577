#!/usr/bin/env python3
"""check_nanogpt.py -- nanoGPT's files: nib trains on what its prepare.py writes, and what nib data writes reads as its train.py
reads it.  With NIB_NANOGPT=FOLDER, a clone of nanoGPT, its own programs do the writing and reading, of checkpoints, too."""
import json
import os
import pickle
import shutil
import sys
from pathlib import Path

import numpy as np

from checks import check, data, finish, gpt2_files, largest, nib, options, part, run, skip, step_losses, within, workplace
from make_tokenizer_golden import TEXT

SETTINGS = dict(n_layer=2, n_head=2, n_embd=16, block_size=16, batch_size=2, gradient_accumulation_steps=1, max_iters=5, eval_iters=1, warmup_iters=0,
                lr_decay_iters=5, dtype="float32", bias=False)


def as_prepare_does(folder, text, protocol=pickle.DEFAULT_PROTOCOL):
    """A text of characters, in the manner of nanoGPT's data/shakespeare_char."""
    symbols = sorted(set(text))
    meta = {"vocab_size": len(symbols), "itos": dict(enumerate(symbols)), "stoi": {c: i for i, c in enumerate(symbols)}}
    cut = int(len(text) * 0.9)
    folder.mkdir()
    for name, part_of_it in ("train", text[:cut]), ("val", text[cut:]):
        np.array([meta["stoi"][c] for c in part_of_it], dtype=np.uint16).tofile(folder / f"{name}.bin")
    with open(folder / "meta.pkl", "wb") as f:
        pickle.dump(meta, f, protocol)


def as_train_reads(folder):
    """Ids of both splits, and meta.pkl, None if there is none."""
    ids = [np.array(np.memmap(folder / f"{name}.bin", dtype=np.uint16, mode="r")) for name in ("train", "val")]
    return *ids, pickle.loads((folder / "meta.pkl").read_bytes()) if (folder / "meta.pkl").exists() else None


def same_files(what, ours, theirs):
    a, b = as_train_reads(ours), as_train_reads(theirs)
    check(np.array_equal(a[0], b[0]) and np.array_equal(a[1], b[1]), f"{what}: ids")
    check(a[2] == b[2], f"{what}: meta.pkl")


def train(folder, out, **more):
    nib("train", *options(SETTINGS | dict(dataset=folder, out_dir=out) | more))
    return step_losses(out)


def characters(text):
    """Written by either, and trained on by nib."""
    with workplace() as folder:
        (folder / "text.txt").write_bytes(text.encode())
        nib("data", folder / "text.txt", "--out", folder / "ours", "--tokenizer=char")
        for protocol in 2, 3, 4, 5:
            theirs = folder / f"protocol {protocol}"
            as_prepare_does(theirs, text, protocol)
            same_files(f"characters, pickle protocol {protocol}", folder / "ours", theirs)
            a, b = train(folder / "ours", folder / "run"), train(theirs, folder / f"run {protocol}")
            check(a == b and len(a) == SETTINGS["max_iters"], f"characters, pickle protocol {protocol}: losses {a} and {b}")
            sample = nib("sample", folder / f"run {protocol}", "--num_samples=1", "--max_new_tokens=20", "--start=T").decode()
            check(len(sample.removesuffix("\n---------------\n")) == 21, f"characters: sample {sample!r}")


def gpt2_ids():
    """nanoGPT's data/shakespeare has no meta.pkl.  A new model for it has 50304 tokens, a finetuned one the 50257 of GPT-2."""
    import torch
    from hub import gpt2
    ids = np.random.default_rng(1).integers(0, 50257, 3000).astype(np.uint16)
    ids[7] = 50256
    with workplace() as folder:
        (folder / "data").mkdir()
        for split in "train", "val":
            ids.tofile(folder / f"data/{split}.bin")
        train(folder / "data", folder / "new")
        check(json.loads((folder / "new/config.json").read_text())["vocab_size"] == 50304, "ids of GPT-2: a new model has 50304 tokens")
        torch.manual_seed(1)
        gpt2(50257, 32, 50256).save_pretrained(folder / "gpt2")
        check(len(train(folder / "data", folder / "tuned", init_from=folder / "gpt2")) == 5, "ids of GPT-2: finetuning a model of 50257 tokens")
        said = json.loads(nib("eval", folder / "gpt2", "--dataset", folder / "data", "--json"))
        check(said["tokens"] == 2976, f"ids of GPT-2: evaluation of a model of 50257 tokens: {said}")


def published_counts():
    text = data("tinyshakespeare/input.txt")
    if not text:
        return skip("published counts of tiny shakespeare", "no ../shared/data/tinyshakespeare")
    with workplace() as folder:
        nib("data", "shakespeare_char", f"--file={text}", "--out", folder / "char")
        a, b, meta = as_train_reads(folder / "char")
        check((len(a), len(b), meta["vocab_size"]) == (1003854, 111540, 65), f"shakespeare_char: {len(a)}, {len(b)}, {meta['vocab_size']}")
        check("".join(meta["itos"][i] for i in np.concatenate([a, b]).tolist()) == text.read_text(), "shakespeare_char: the text does not come back")
        as_prepare_does(folder / "theirs", text.read_text())
        same_files("shakespeare_char", folder / "char", folder / "theirs")
        if not gpt2_files():
            return skip("published counts of tiny shakespeare in GPT-2's tokens", "no vocab.bpe and encoder.json of GPT-2 in ../shared/data/gpt2-bpe")
        shutil.copytree(gpt2_files(), folder / "bpe")            # where nib looks first
        nib("data", "shakespeare", f"--file={text}", "--out", folder / "bpe")
        a, b, meta = as_train_reads(folder / "bpe")
        check((len(a), len(b), meta) == (301966, 36059, None), f"shakespeare: {len(a)}, {len(b)}, {meta}")


def its_own_programs(clone):
    """prepare.py beside nib data; train.py and sample.py on what nib data wrote; model.py with weights that nib trained."""
    text = data("tinyshakespeare/input.txt")
    source = text.read_text() if text else TEXT * 20
    with workplace() as folder:
        shutil.copytree(clone, folder / "nanogpt", ignore=shutil.ignore_patterns(".git", "*.png", "*.jpg", "*.ipynb"))
        (folder / "nanogpt/data/shakespeare_char/input.txt").write_text(source)
        run(sys.executable, folder / "nanogpt/data/shakespeare_char/prepare.py")
        (folder / "text.txt").write_text(source)
        nib("data", folder / "text.txt", "--out", folder / "ours", "--tokenizer=char")
        same_files("nanoGPT's prepare.py", folder / "ours", folder / "nanogpt/data/shakespeare_char")

        clone = folder / "nanogpt"
        arguments = options(SETTINGS | dict(dataset=folder / "ours", dropout=0.0, eval_interval=5, device="cpu", compile=False))
        said = run(sys.executable, "train.py", *arguments, f"--out_dir={folder}/theirs", cwd=clone).decode()
        check("iter 5: loss" in said, f"nanoGPT's train.py on nib's files: {said[-200:]!r}")
        said = run(sys.executable, "sample.py", f"--out_dir={folder}/theirs", "--device=cpu", "--num_samples=1", "--max_new_tokens=20", cwd=clone).decode()
        before, _, sample = said.removesuffix("\n---------------\n").partition("meta.pkl...\n")
        check(len(sample) == 21 and set(sample) <= set(source), f"nanoGPT's sample.py with nib's meta.pkl: {said[-200:]!r}")

        there = json.loads(nib("eval", folder / "theirs/ckpt.pt", "--dataset", folder / "ours", "--json"))["loss"]
        nib("export", folder / "theirs/ckpt.pt", "--to=hf", f"--out={folder}/opened")
        shutil.copy(folder / "ours/meta.pkl", folder / "opened")
        check(there == json.loads(nib("eval", folder / "opened", "--dataset", folder / "ours", "--json"))["loss"], "nanoGPT's ckpt.pt, evaluated and exported")
        (folder / "exported").mkdir()
        nib("export", folder / "opened", "--to=nanogpt", f"--out={folder}/exported/ckpt.pt", "--dataset=shakespeare_char")
        said = run(sys.executable, "sample.py", f"--out_dir={folder}/exported", "--device=cpu", "--num_samples=1", "--max_new_tokens=20", cwd=clone).decode()
        check(said.partition("meta.pkl...\n")[2] == sample + "\n---------------\n", f"nanoGPT's sample.py with a checkpoint that nib exported: {said[-200:]!r}, and with its own: {sample!r}")

        shutil.copytree(folder / "theirs", folder / "gone on")
        nib("train", "--init_from=resume", f"--out_dir={folder}/gone on", "--max_iters=10", "--eval_interval=5", "--lr_decay_iters=15")
        losses = step_losses(folder / "gone on")
        check(len(losses) == 5 and max(losses) < 5, f"nanoGPT's run, gone on with: {losses}")
        (folder / "back").mkdir()
        nib("export", folder / "gone on/step-00000010", "--to=nanogpt", f"--out={folder}/back/ckpt.pt")
        said = run(sys.executable, "train.py", *arguments, "--init_from=resume", "--max_iters=15", f"--out_dir={folder}/back", cwd=clone).decode()
        check("step 10: train loss" in said and "iter 15: loss" in said, f"nanoGPT's train.py goes on with nib's run: {said[-300:]!r}")

        sys.path.insert(0, str(clone))
        from model import GPT, GPTConfig
        for bias in False, True:
            train(folder / "ours", folder / f"run {bias}", bias=bias, max_iters=30, learning_rate=1e-2)
            within(largest(*both_losses(folder / f"run {bias}", folder / "ours", GPT, GPTConfig, bias)), 1e-4, f"nanoGPT's model.py, bias={bias}: loss")


def both_losses(run_folder, dataset, GPT, GPTConfig, bias):
    import contextlib
    import io
    import torch
    from safetensors.torch import load_file
    weights = {n: w.T if w.dim() > 1 and n.startswith("transformer.h.") else w for n, w in load_file(run_folder / "model.safetensors").items()}
    c = json.loads((run_folder / "config.json").read_text())
    with contextlib.redirect_stdout(io.StringIO()):
        model = GPT(GPTConfig(block_size=c["n_positions"], vocab_size=c["vocab_size"], n_layer=c["n_layer"], n_head=c["n_head"], n_embd=c["n_embd"], bias=bias))
    left = model.load_state_dict(weights, strict=False)
    zeros = all(bool((weights[name] == 0).all()) for name in left.unexpected_keys)
    check(zeros and (not bias or not left.unexpected_keys) and set(left.missing_keys) <= {"lm_head.weight"}, f"nanoGPT's model.py, bias={bias}: names {left}")
    ids = as_train_reads(dataset)[1].astype(np.int64)[:16 * 64 + 1]
    with workplace() as folder:
        for split in "train", "val":
            ids.astype(np.uint16).tofile(folder / f"{split}.bin")
        shutil.copy(dataset / "meta.pkl", folder)
        ours = json.loads(nib("eval", run_folder, "--dataset", folder, "--json"))["loss"]
    with torch.no_grad():
        _, theirs = model.eval()(torch.from_numpy(ids[:-1]).reshape(-1, 16), torch.from_numpy(ids[1:]).reshape(-1, 16))
    return ours, theirs.item()


if __name__ == "__main__":
    with part("characters"):
        characters(TEXT)
    with part("ids of GPT-2"):
        gpt2_ids()
    with part("published counts"):
        published_counts()
    if os.environ.get("NIB_NANOGPT"):
        with part("nanoGPT's own programs"):
            its_own_programs(Path(os.environ["NIB_NANOGPT"]).resolve())
    finish()
