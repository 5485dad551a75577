#!/usr/bin/env python3
"""check_training.py -- small models trained by nib and by PyTorch: the same weights to begin with, the same windows, the loss of
every step.  nib's own models from scratch, and models that transformers has saved, which nib finetunes."""
import numpy as np
import torch
from safetensors.torch import load_file

from checks import finish, largest, nib, options, part, step_losses, torch_losses, within, workplace, write_tokens
from hub import MODELS
from make_golden import GPT2, LLAMA
from twin import FAMILIES, Batch, losses

BOUND = 1e-4
VOCAB, BLOCK = 61, 12
SETTINGS = dict(max_iters=10, batch_size=3, block_size=BLOCK, gradient_accumulation_steps=2, learning_rate=3e-3, min_lr=3e-4, warmup_iters=3,
                lr_decay_iters=12, weight_decay=0.1, beta1=0.9, beta2=0.95, grad_clip=1.0, seed=5)
MACHINE = dict(eval_iters=1, dtype="float32")


def token_stream():
    """2000 ids, each of which says much about the next."""
    dice, ids = np.random.default_rng(3), [1]
    for _ in range(1999):
        ids.append(int((7 * ids[-1] + dice.choice([1, 1, 1, 5, 20])) % VOCAB))
    return np.array(ids, np.uint16)


def twin_losses(c, params, ids):
    """By the twin: params by nib's names."""
    logits_of, shapes = FAMILIES[c["model"]]
    params = {name: params[name].clone().requires_grad_() for name in shapes(c)}
    pos, seqs = torch.arange(BLOCK).repeat(SETTINGS["batch_size"]), [(i * BLOCK, BLOCK) for i in range(SETTINGS["batch_size"])]

    def mean_loss(inputs, targets):
        inputs, targets = inputs.flatten(), targets.flatten()
        return losses(logits_of(c, params, Batch(inputs, pos, targets, seqs)), targets).mean()

    return torch_losses(list(params.values()), mean_loss, ids, SETTINGS)


def hub_losses(model, ids):
    """By transformers' own model.  Without dropout, so training and evaluation are the same."""
    model.eval()
    crossed = torch.nn.functional.cross_entropy
    return torch_losses(list(model.parameters()), lambda x, y: crossed(model(x).logits.flatten(0, 1), y.flatten()), ids, SETTINGS)


def without_prefix(path):
    return {name.removeprefix("transformer."): w for name, w in load_file(path).items()}


def from_scratch(name, c, **shape):
    """c: the twin's configuration of what these settings make."""
    shape = dict(n_layer=2, n_head=3, n_embd=24) | shape
    c = dict(layers=2, width=24, hidden=96, heads=3, head_dim=8, vocab=VOCAB, context=BLOCK) | c
    ids = token_stream()
    with workplace() as folder:
        write_tokens(folder / "data", ids)
        arguments = options(dict(SETTINGS, **MACHINE, **shape, vocab_size=VOCAB, dataset=folder / "data"))
        nib("train", *arguments, "--max_iters=0", f"--out_dir={folder}/start")
        nib("train", *arguments, f"--out_dir={folder}/run")
        ours = step_losses(folder / "run")
        theirs = twin_losses(c, without_prefix(folder / "start/model.safetensors"), ids)
    within(largest(ours, theirs), BOUND, f"{name}, from {theirs[0]:.3f} to {theirs[-1]:.3f}: largest difference of a step's loss")


def finetuned(name, model):
    ids = token_stream()
    with workplace() as folder:
        write_tokens(folder / "data", ids)
        model.save_pretrained(folder / "model")
        nib("train", *options(dict(SETTINGS, **MACHINE, dropout=0.0, dataset=folder / "data", init_from=folder / "model", out_dir=folder / "run")))
        ours = step_losses(folder / "run")
        theirs = hub_losses(model, ids)
    within(largest(ours, theirs), BOUND, f"{name}, from {theirs[0]:.3f} to {theirs[-1]:.3f}: largest difference of a step's loss")


if __name__ == "__main__":
    torch.set_num_threads(2)
    SCRATCH = {
        "GPT-2, no biases, exact GELU": (dict(GPT2, bias=0, gelu_tanh=0), dict(bias=False, gelu="erf")),
        "GPT-2, biases, GELU by tanh": (GPT2, dict(bias=True, gelu="tanh")),
        "Llama": (dict(LLAMA, hidden=64, kv_heads=1, eps=1e-5), dict(model="llama", n_kv_head=1)),
        "Mistral, a window": (dict(LLAMA, hidden=40, kv_heads=3, head_dim=6, eps=1e-5, window=5, theta=500.0), dict(model="mistral", n_inner=40, head_dim=6, sliding_window=5, rope_theta=500)),
        "Qwen2": (dict(LLAMA, hidden=64, kv_heads=3, eps=1e-5, qkv_bias=1, tied=0), dict(model="qwen2", tie_word_embeddings=False)),
        "Qwen3": (dict(LLAMA, hidden=64, kv_heads=1, eps=1e-5, qk_norm=1), dict(model="qwen3", n_kv_head=1)),
    }
    for name, (c, shape) in SCRATCH.items():
        name = f"from scratch: {name}"
        with part(name):
            from_scratch(name, c, **shape)
    for name, make in MODELS.items():
        with part(f"finetuned: {name}"):
            finetuned(name, make(VOCAB, BLOCK, 0))
    finish()
