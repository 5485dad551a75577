#!/usr/bin/env python3
"""check_files.py -- models in files of other kinds: nanoGPT's ckpt.pt and llm.c's .bin both ways, pytorch_model.bin and sharded safetensors
read."""
import pickle
import shutil

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from checks import Asker, check, finish, largest, nib, options, part, step_losses, torch_losses, within, workplace, write_tokens
from hub import gpt2, llama, randomize
from llmc import model_bytes, shard_bytes, state_bytes
from nanogpt import GPT, checkpoint

SYMBOLS = "\n abcdefghijk"
TEXT = "a bad cafe\nhid a jig"
ARGS = dict(n_layer=2, n_head=2, n_embd=16, block_size=24, vocab_size=len(SYMBOLS), bias=True, dropout=0.1)
RUN = dict(batch_size=3, block_size=16, max_iters=10, gradient_accumulation_steps=2, eval_iters=1, eval_interval=100, dtype="float32", dropout=0.0, seed=7, learning_rate=3e-3, min_lr=3e-4,
           warmup_iters=2, lr_decay_iters=10, beta1=0.9, beta2=0.95, weight_decay=0.1, grad_clip=1.0)


def write_meta(folder):
    with open(folder / "meta.pkl", "wb") as f:
        pickle.dump(dict(vocab_size=len(SYMBOLS), itos=dict(enumerate(SYMBOLS)), stoi={c: i for i, c in enumerate(SYMBOLS)}), f)


def ids_of(text):
    return torch.tensor([[SYMBOLS.index(c) for c in text]])


def logits_of(model, text):
    with torch.no_grad():
        return model.eval()(ids_of(text))[0].numpy()


def from_nanogpt(ask, folder):
    """Checkpoints as train.py leaves them: compiled or in DDP or not, with biases or without, in f32, f16 and bf16."""
    for bias, prefix, dtype in (True, "", torch.float32), (False, "_orig_mod.", torch.float32), (True, "module._orig_mod.", torch.float32), (False, "", torch.bfloat16), (True, "", torch.float16):
        what = f"ckpt.pt, bias={bias}, {str(dtype).removeprefix('torch.')}, names begin with {prefix + 'transformer'!r}"
        out = folder / "out"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        write_meta(out)
        torch.manual_seed(3)
        model = GPT(**ARGS | dict(bias=bias))
        saved = checkpoint(model, ARGS | dict(bias=bias), prefix=prefix)
        saved["model"] = {name: t.to(dtype) for name, t in saved["model"].items()}
        torch.save(saved, out / "ckpt.pt")
        model.load_state_dict({name.removeprefix(prefix): t.float() for name, t in saved["model"].items()})
        within(largest(ask(out, TEXT)[1], logits_of(model, TEXT)), 1e-4, what)


def trained_on(folder):
    """nib goes on with the weights of a ckpt.pt as PyTorch does."""
    ids = np.random.default_rng(5).integers(0, len(SYMBOLS), 600)
    write_tokens(folder / "data", ids)
    write_meta(folder / "data")
    torch.manual_seed(4)
    model = GPT(**ARGS)
    torch.save(checkpoint(model, ARGS), folder / "start.pt")
    nib("train", *options(RUN | dict(dataset=folder / "data", init_from=folder / "start.pt", out_dir=folder / "run")))
    theirs = torch_losses(list(model.parameters()), lambda x, y: F.cross_entropy(model(x).flatten(0, 1), y.flatten()), ids, RUN)
    within(largest(step_losses(folder / "run"), theirs), 1e-4, "ten steps from a ckpt.pt")


def to_nanogpt(ask, folder):
    """What nib exports, torch.load takes without executing anything, and a model of nanoGPT's shape loads with every name."""
    for bias in False, True:
        out = folder / f"run {bias}"
        nib("train", *options(RUN | dict(dataset=folder / "data", out_dir=out, n_layer=2, n_head=2, n_embd=16, bias=bias, gelu="erf")))
        nib("export", out, "--to=nanogpt", f"--out={folder}/made {bias}.pt")
        made = torch.load(folder / f"made {bias}.pt", weights_only=True)
        model = GPT(**made["model_args"])
        model.load_state_dict(made["model"], strict=True)
        within(largest(ask(out, TEXT[:16])[1], logits_of(model, TEXT[:16])), 1e-4, f"nib export --to=nanogpt, bias={bias}")
        check(made["model"]["lm_head.weight"].data_ptr() == made["model"]["transformer.wte.weight"].data_ptr(), "the head shares its storage with the table")
        back = folder / f"back {bias}"
        nib("export", folder / f"made {bias}.pt", "--to=hf", f"--out={back}")
        a, b = load_file(out / "model.safetensors"), load_file(back / "model.safetensors")
        check(a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a), f"there and back, bias={bias}: the same tensors")


# ---- llm.c ----

def llmc(ask, folder):
    model = gpt2(len(SYMBOLS), 24, 0)
    for bf16 in False, True:
        out = folder / f"llmc {bf16}"
        out.mkdir()
        write_meta(out)
        if bf16:
            model = model.bfloat16().float()
        weights = {name: w.detach().numpy() for name, w in model.state_dict().items()}
        (out / "gpt2.bin").write_bytes(model_bytes(model.config, weights, bf16))
        with torch.no_grad():
            theirs = model(ids_of(TEXT)).logits[0].numpy()
        within(largest(ask(out / "gpt2.bin", TEXT)[1], theirs), 1e-4, f"llm.c's model, {'bf16' if bf16 else 'f32'}")
        nib("export", out / "gpt2.bin", "--to=llmc", f"--out={out}/again.bin")
        check((out / "again.bin").read_bytes() == (out / "gpt2.bin").read_bytes(), f"llm.c's model written again, bf16={bf16}")


def of_transformers(ask, folder):
    for name, more in ("pytorch_model.bin", {}), ("pytorch_model.bin, own head", dict(tie_word_embeddings=False)), ("shards", {}):
        out = folder / name
        model = gpt2(len(SYMBOLS), 24, 0, **more)
        model.save_pretrained(out, max_shard_size="20KB" if name == "shards" else "1GB")
        shards = sorted(p.name for p in out.glob("model*.safetensors"))
        check((len(shards) > 2) == (name == "shards"), f"{name}: {shards}")
        if name != "shards":
            torch.save(model.state_dict(), out / "pytorch_model.bin")
            (out / "model.safetensors").unlink()
        write_meta(out)
        with torch.no_grad():
            theirs = model(ids_of(TEXT)).logits[0].numpy()
        within(largest(ask(out, TEXT)[1], theirs), 1e-4, name)


if __name__ == "__main__":
    with workplace() as folder:
        ask = Asker(folder)
        with part("nanoGPT's checkpoints"):
            from_nanogpt(ask, folder)
        with part("a nanoGPT's checkpoint, trained on"):
            trained_on(folder)
        with part("checkpoints for nanoGPT"):
            to_nanogpt(ask, folder)
        with part("llm.c's models"):
            llmc(ask, folder)
        with part("weights of transformers in other files"):
            of_transformers(ask, folder)
    finish()
