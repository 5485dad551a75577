#!/usr/bin/env python3
"""long_124m.py -- as check_124m.py, but with a learning rate that is too high too soon, so that the loss jumps and whatever a
step got wrong grows.  PyTorch in f32 is 2e-4 away from itself in f64 there; nib in f32 must be within 1e-4 of PyTorch in f64.
Takes 10 GB of memory and ten minutes; make twin leaves it out."""
import torch

from check_124m import F32_BOUND, SETTINGS, difference, main, new_model, prepare, torch_run, train

HARSH = SETTINGS | dict(warmup_iters=4, lr_decay_iters=20)


def compare(folder):
    ids = prepare(folder)
    new_model(folder)
    exact = torch_run(folder, ids, torch.float64, HARSH)
    difference("f32 and PyTorch's f64", train(folder, "run", init_from=folder / "model", dtype="float32", **HARSH), exact, F32_BOUND)


if __name__ == "__main__":
    main(compare)
