#!/usr/bin/env python3
"""make_golden.py [FOLDER] -- writes the golden files that tests/test_models.c checks nib against (default: tests/golden).

One file a model: metadata "config" (nib's struct config as JSON, and the family's name); param.*, grad.* by nib's names; ids,
pos, targets, seqs (first row, rows); logits (N, V) and losses (N).  Parameters are drawn at a scale at which every part of
the model matters, and rounded to bf16, so that a weight held in bf16 is the same weight.  Gradients are those of the mean
loss over the rows that have a target.  All of it is computed in f64 and stored as f32.

And training.safetensors: ten steps of AdamW on a small GPT, in f32, as users of PyTorch run it; llmc.bin and llmc_state.bin: a GPT-2 of
transformers and what it makes of a batch, in f64, as llm.c's files (llmc.py).
"""
import json
import math
import random
import sys
from pathlib import Path

import torch
from safetensors.torch import save as to_bytes
from transformers import GPT2Config, GPT2LMHeadModel

from hub import randomize
from llmc import model_bytes, state_bytes
from twin import FAMILIES, Batch, losses

torch.set_num_threads(1)

GPT2 = dict(model="gpt2", kv_heads=0, tied=1, eps=1e-5, bias=1, gelu_tanh=1, qkv_bias=0, qk_norm=0, window=0, theta=0)
LLAMA = dict(model="llama", tied=1, eps=1e-6, bias=0, gelu_tanh=0, qkv_bias=0, qk_norm=0, window=0, theta=1e4)

# config; lengths of the packed sequences, negative: rows that belong to none; the first position of each sequence
MODELS = {
    "gpt2": (dict(GPT2, layers=2, width=32, hidden=128, heads=4, head_dim=8, vocab=65, context=24), [24, 1, 9], [0, 23, 5]),
    "gpt2_plain": (dict(GPT2, layers=3, width=20, hidden=44, heads=5, head_dim=4, vocab=37, context=80, bias=0, gelu_tanh=0, tied=0),
                   [7, 80, -2, 3, -1], [0, 0, 40]),
    "gpt2_odd": (dict(GPT2, layers=2, width=18, hidden=50, heads=3, head_dim=6, vocab=37, context=24, gelu_tanh=0, tied=0), [-1, 5, 24], [2, 0]),
    "llama": (dict(LLAMA, layers=2, width=24, hidden=40, heads=4, kv_heads=4, head_dim=8, vocab=37, context=24), [11, 24, 2], [0, 0, 19]),
    "llama_window": (dict(LLAMA, layers=2, width=16, hidden=36, heads=4, kv_heads=2, head_dim=4, vocab=37, context=96, window=20, qkv_bias=1,
                          tied=0), [3, 70, 21], [0, 0, 60]),
    "llama_norm": (dict(LLAMA, layers=2, width=32, hidden=40, heads=3, kv_heads=1, head_dim=16, vocab=65, context=24, qk_norm=1, theta=1e6),
                   [24, -3, 13], [0, 4]),
    "gpt2_layered": (dict(GPT2, layers=2, width=24, hidden=40, heads=3, head_dim=8, vocab=37, context=24, unscaled=1, by_layer=1), [17, 24], [0, 0]),
    "llama_yarn": (dict(LLAMA, layers=2, width=24, hidden=40, heads=4, kv_heads=2, head_dim=12, vocab=37, context=96, window=9, full_layers=1, qk_norm=1,
                        theta=1e3, scaling=4, factor=8.0, slow=1.0, fast=8.0, original=12, gain=1.25, whole_pairs=1), [40, 7], [0, 30]),
    "llama_3": (dict(LLAMA, layers=2, width=24, hidden=40, heads=2, kv_heads=2, head_dim=16, vocab=37, context=96, qkv_bias=1, out_bias=1, mlp_bias=1,
                     theta=5e3, scaling=3, factor=8.0, slow=1.0, fast=4.0, original=32), [40, 7], [0, 60]),
}


def parameters(c, rng):
    """Matrices that keep the scale of what they multiply, gains around 1, small biases."""
    def draw(name, shape):
        mean, std = 0, 0.3
        if len(shape) == 1 and name.endswith("weight"):
            mean = 1
        elif "wte" in name or "wpe" in name or "embed" in name:
            std = 0.4 if c["tied"] else 0.8
        elif len(shape) == 2:
            inputs = shape[0] if name.startswith("h.") else shape[1]
            std = 1 / math.sqrt(inputs)
        return torch.tensor([rng.gauss(mean, std) for _ in range(math.prod(shape))]).reshape(shape).bfloat16()

    return {name: draw(name, shape) for name, shape in FAMILIES[c["model"]][1](c).items()}


def layout(lengths, starts, vocab, rng):
    """A batch of packed sequences.  One row in five has no target; rows of no sequence keep theirs, and positions count on."""
    pos, seqs, row, start = [], [], 0, iter(starts)
    for n in lengths:
        first = next(start) if n > 0 else 0
        pos += range(first, first + abs(n))
        if n > 0:
            seqs.append((row, n))
        row += abs(n)
    ids = [rng.randrange(vocab) for _ in pos]
    targets = [rng.randrange(vocab) if rng.randrange(5) else -1 for _ in pos]
    return Batch(torch.tensor(ids), torch.tensor(pos), torch.tensor(targets), seqs)


def save(path, c, params, tensors):
    tensors = {name: t.detach().float() if t.is_floating_point() else t.int() for name, t in tensors.items()}
    tensors |= {"param." + name: p for name, p in params.items()}
    path.write_bytes(to_bytes({name: t.contiguous() for name, t in tensors.items()}, {"config": json.dumps(c)}))


def make_model(path, c, lengths, starts):
    rng = random.Random(path.stem)
    params = parameters(c, rng)
    batch = layout(lengths, starts, c["vocab"], rng)
    p = {name: w.double().requires_grad_() for name, w in params.items()}
    logits = FAMILIES[c["model"]][0](c, p, batch)
    loss = losses(logits, batch.targets)
    (loss.sum() / (batch.targets >= 0).sum()).backward()
    save(path, c, params, {"ids": batch.ids, "pos": batch.pos, "targets": batch.targets, "seqs": torch.tensor(batch.seqs),
                           "logits": logits, "losses": loss} | {"grad." + name: w.grad for name, w in p.items()})


STEPS, MICRO, SEQUENCES, LENGTH = 10, 2, 3, 8                # a step: MICRO micro-batches of SEQUENCES sequences


def rate(step):
    """Warm up over 3 steps, then fall as a cosine."""
    return 1e-2 * (step + 1) / 4 if step < 3 else 1e-3 + 0.5 * 9e-3 * (1 + math.cos(math.pi * (step - 3) / 7))


def make_training(path):
    c = dict(GPT2, layers=2, width=16, hidden=64, heads=4, head_dim=4, vocab=37, context=8)
    rng = random.Random(path.stem)
    params = parameters(c, rng)
    rows = SEQUENCES * LENGTH
    ids = torch.tensor([rng.randrange(37) for _ in range(STEPS * MICRO * rows)]).reshape(STEPS, MICRO, rows)
    targets = (3 * ids + 1) % 37
    pos, seqs = torch.arange(rows) % LENGTH, [(i * LENGTH, LENGTH) for i in range(SEQUENCES)]

    p = {name: w.float().requires_grad_() for name, w in params.items()}
    groups = [{"params": [w for w in p.values() if w.dim() > 1], "weight_decay": 0.1},
              {"params": [w for w in p.values() if w.dim() == 1], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.99), eps=1e-8)
    curve, norms = [], []
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = rate(step)
        total = 0
        for micro in range(MICRO):
            loss = losses(FAMILIES["gpt2"][0](c, p, Batch(ids[step, micro], pos, targets[step, micro], seqs)), targets[step, micro]).mean()
            (loss / MICRO).backward()
            total += loss.item() / MICRO
        norms.append(torch.nn.utils.clip_grad_norm_(p.values(), 1.0).item())
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        curve.append(total)
    save(path, c, params, {"ids": ids, "targets": targets, "pos": pos, "seqs": torch.tensor(seqs), "rates": torch.tensor([rate(i) for i in range(STEPS)]),
                           "curve": torch.tensor(curve), "norms": torch.tensor(norms)} | {"trained." + name: w for name, w in p.items()})


def make_llmc(folder):
    model = randomize(GPT2LMHeadModel(GPT2Config(vocab_size=13, n_positions=12, n_embd=8, n_layer=2, n_head=2, attn_implementation="eager", bos_token_id=None, eos_token_id=None)), seed=3)
    for p in model.parameters():
        p.data = p.bfloat16().float()
    (folder / "llmc.bin").write_bytes(model_bytes(model.config, {name: w.detach().numpy() for name, w in model.state_dict().items()}))
    rng = random.Random("llmc")
    x, y = (torch.tensor([[rng.randrange(13) for _ in range(9)] for _ in range(3)]) for _ in range(2))
    (folder / "llmc_state.bin").write_bytes(state_bytes(model.double(), x, y))


def make_all(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name, spec in MODELS.items():
        make_model(folder / f"{name}.safetensors", *spec)
    make_training(folder / "training.safetensors")
    make_llmc(folder)


if __name__ == "__main__":
    make_all(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent / "golden")
