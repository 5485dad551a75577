#!/usr/bin/env python3
"""check_124m.py -- GPT-2 124M on WikiText-2: ten steps of nib in f32 against PyTorch's on the same windows, five in bf16 against
the first five in f32, and the loss that a new model of nib's begins with.  Needs GPT-2's tokenizer and WikiText-2, 5 GB of
memory, and some minutes.  The learning rate rises over 100 steps: where it rises faster, PyTorch's own rounding in f32 shows
(long_124m.py)."""
import gzip
import json

import numpy as np
import torch
import transformers as hf

from checks import check, data, finish, gpt2_files, nib, options, part, skip, step_losses, torch_losses, within, workplace

F32_BOUND, BF16_BOUND = 1e-4, 2e-2
SETTINGS = dict(max_iters=10, batch_size=4, block_size=256, gradient_accumulation_steps=1, learning_rate=6e-4, min_lr=6e-5, warmup_iters=100,
                lr_decay_iters=2000, weight_decay=0.1, beta1=0.9, beta2=0.95, grad_clip=1.0, seed=1337)
MACHINE = dict(eval_iters=1, always_save_checkpoint=False, dropout=0.0)


def difference(name, ours, theirs, bound):
    print("  step", "ours", "theirs", sep="\t")
    for step, (a, b) in enumerate(zip(ours, theirs)):
        print(f"  {step}\t{a:.6f}\t{b:.6f}\t{a - b:+.1e}")
    check(len(ours) == len(theirs), f"{name}: {len(ours)} steps, not {len(theirs)}")
    within(max(abs(a - b) for a, b in zip(ours, theirs)), bound, f"{name}: largest difference of a step's loss")


def prepare(folder):
    for split in "train", "valid":
        (folder / f"{split}.txt").write_bytes(gzip.open(data(f"wikitext-2/{split}.txt.gz")).read())
    nib("data", folder / "train.txt", "--out", folder / "data", f"--val={folder}/valid.txt", f"--tokenizer={gpt2_files()}")
    return np.fromfile(folder / "data/train.bin", np.uint16)


def train(folder, out, **more):
    nib("train", *options(SETTINGS | MACHINE | dict(dataset=folder / "data", out_dir=folder / out) | more))
    return step_losses(folder / out)


def new_model(folder):
    torch.manual_seed(0)
    hf.GPT2LMHeadModel(hf.GPT2Config()).save_pretrained(folder / "model")


def torch_run(folder, ids, dtype, settings):
    """By transformers' model, without dropout."""
    model = hf.GPT2LMHeadModel.from_pretrained(folder / "model", dtype=dtype).eval()
    return torch_losses(list(model.parameters()), lambda x, y: torch.nn.functional.cross_entropy(model(x).logits.flatten(0, 1), y.flatten()), ids, settings)


def compare(folder):
    ids = prepare(folder)
    print(f"  WikiText-2: {len(ids)} tokens to train on")
    new_model(folder)
    with part("f32"):
        ours = train(folder, "f32", init_from=folder / "model", dtype="float32")
        difference("f32 and PyTorch", ours, torch_run(folder, ids, torch.float32, SETTINGS), F32_BOUND)
    with part("bf16"):
        difference("bf16 and f32", train(folder, "bf16", init_from=folder / "model", dtype="bfloat16", max_iters=5), ours[:5], BF16_BOUND)
    with part("a new model"):
        first = train(folder, "new", dtype="float32", max_iters=1)[0]
        entries = json.loads((folder / "new/config.json").read_text())["vocab_size"]
        print(f"  a new model of {entries} tokens begins at a loss of {first:.4f}")
        check(entries == 50304 and 10.8 <= first <= 11.0, f"a new model of {entries} tokens begins at {first:.4f}, not from 10.8 to 11.0")


def main(compare):
    hf.utils.logging.disable_progress_bar()
    missing = [name for name, found in (("GPT-2's vocab.bpe and encoder.json", gpt2_files()), ("WikiText-2", data("wikitext-2/train.txt.gz"))) if not found]
    if missing:
        skip("GPT-2 124M", "no " + ", no ".join(missing) + " in ../shared/data")
    else:
        with workplace() as place, part("GPT-2 124M"):
            compare(place)
    finish()


if __name__ == "__main__":
    main(compare)
