#!/usr/bin/env python3
"""check_files.py -- models in files of other kinds: nanoGPT's ckpt.pt and llm.c's .bin both ways; pytorch_model.bin, sharded safetensors and
GGUF, in plain types and in blocks, read."""
import pickle
import shutil

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from checks import Asker, check, finish, largest, nib, options, part, skip, step_losses, torch_losses, within, workplace, write_tokens
from hub import gpt2, llama
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


# ---- llm.c: 256 numbers, then arrays in an order of their own, dense layers (out, in) ----

KINDS = ["ln_1.weight", "ln_1.bias", "attn.c_attn.weight", "attn.c_attn.bias", "attn.c_proj.weight", "attn.c_proj.bias",
         "ln_2.weight", "ln_2.bias", "mlp.c_fc.weight", "mlp.c_fc.bias", "mlp.c_proj.weight", "mlp.c_proj.bias"]


def llmc_arrays(c, weights):
    """Hugging Face's GPT-2 in llm.c's order: f32 arrays."""
    rows = -(-c.vocab_size // 128) * 128
    yield np.concatenate([weights["transformer.wte.weight"], np.zeros((rows - c.vocab_size, c.n_embd), np.float32)])
    yield weights["transformer.wpe.weight"]
    for kind in KINDS:
        for layer in range(c.n_layer):
            w = weights[f"transformer.h.{layer}.{kind}"]
            yield w.T if w.ndim == 2 else w
    yield weights["transformer.ln_f.weight"]
    yield weights["transformer.ln_f.bias"]


def llmc_bytes(c, weights, bf16):
    header = np.zeros(256, np.int32)
    header[:8] = 20240326, 5 if bf16 else 3, c.n_positions, c.vocab_size, c.n_layer, c.n_head, c.n_embd, -(-c.vocab_size // 128) * 128
    arrays = [torch.from_numpy(np.ascontiguousarray(a)) for a in llmc_arrays(c, weights)]
    return header.tobytes() + b"".join((a.bfloat16().view(torch.int16) if bf16 else a).numpy().tobytes() for a in arrays)


def llmc(ask, folder):
    model = gpt2(len(SYMBOLS), 24, 0)
    for bf16 in False, True:
        out = folder / f"llmc {bf16}"
        out.mkdir()
        write_meta(out)
        if bf16:
            model = model.bfloat16().float()
        weights = {name: w.detach().numpy() for name, w in model.state_dict().items()}
        (out / "gpt2.bin").write_bytes(llmc_bytes(model.config, weights, bf16))
        with torch.no_grad():
            theirs = model(ids_of(TEXT)).logits[0].numpy()
        within(largest(ask(out / "gpt2.bin", TEXT)[1], theirs), 1e-4, f"llm.c's model, {'bf16' if bf16 else 'f32'}")
        nib("export", out / "gpt2.bin", "--to=llmc", f"--out={out}/again.bin")
        check((out / "again.bin").read_bytes() == (out / "gpt2.bin").read_bytes(), f"llm.c's model written again, bf16={bf16}")


# ---- GGUF, as the gguf package writes it ----

GPT2_NAMES = ({"transformer.wte.weight": "token_embd.weight", "transformer.wpe.weight": "position_embd.weight", "transformer.ln_f": "output_norm"},
              {"ln_1": "attn_norm", "attn.c_attn": "attn_qkv", "attn.c_proj": "attn_output", "ln_2": "ffn_norm", "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down"})
LLAMA_NAMES = ({"model.embed_tokens.weight": "token_embd.weight", "model.norm": "output_norm", "lm_head.weight": "output.weight"},
               {"input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
                "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"})


def gguf_name(name, names):
    block = name.split(".")[:3] if name.startswith(("transformer.h.", "model.layers.")) else None
    rest = name[len(".".join(block)) + 1:] if block else name
    for ours, theirs in names[block is not None].items():
        if rest.startswith(ours):
            return (f"blk.{block[2]}." if block else "") + theirs + rest[len(ours):]


def pairs(w, heads):
    """Hugging Face's halves of a head as the neighbours that llama.cpp turns; a list of the rows' places."""
    dim = w.shape[0] // heads
    return [h * dim + i // 2 + i % 2 * (dim // 2) for h in range(heads) for i in range(dim)]


def random_blocks(shape, kind, dice):
    """What no quantizer in Python makes: any bits, but scales of a sane size."""
    import gguf
    values, size = gguf.GGML_QUANT_SIZES[kind]
    raw = dice.integers(0, 256, (shape[0] * shape[1] // values, size), dtype=np.uint8)
    for at, most in ((208, 2e-5),) if kind.name == "Q6_K" else ((0, 2e-4), (2, 2e-3)):
        raw[:, at:at + 2] = (dice.random(len(raw)) * most).astype(np.float16).view(np.uint8).reshape(-1, 2)
    return raw.reshape(shape[0], -1)


def write_gguf(path, model, kind):
    """The model as a GGUF file, its matrices of one kind; what these are then becomes the model's."""
    import gguf
    from gguf import quants
    c, dice, is_llama = model.config, np.random.default_rng(1), model.config.model_type == "llama"
    w = gguf.GGUFWriter(path, c.model_type)
    w.add_context_length(c.max_position_embeddings), w.add_embedding_length(c.hidden_size), w.add_block_count(c.num_hidden_layers), w.add_head_count(c.num_attention_heads)
    w.add_feed_forward_length(c.intermediate_size if is_llama else 4 * c.hidden_size)
    if is_llama:
        w.add_head_count_kv(c.num_key_value_heads), w.add_layer_norm_rms_eps(c.rms_norm_eps), w.add_rope_freq_base(c.rope_parameters["rope_theta"])
    else:
        w.add_layer_norm_eps(c.layer_norm_epsilon)
    for name, p in model.named_parameters():
        theirs, a = gguf_name(name, LLAMA_NAMES if is_llama else GPT2_NAMES), p.detach().numpy()
        dense = not is_llama and name.startswith("transformer.h.") and a.ndim == 2
        heads = {"q_proj": c.num_attention_heads, "k_proj": getattr(c, "num_key_value_heads", 0)}.get(name.split(".")[-2])
        rows = pairs(a, heads) if is_llama and heads else slice(None)
        a = a.T if dense else a[rows]
        if a.ndim == 1 or theirs == "position_embd.weight" or kind == gguf.GGMLQuantizationType.F32:
            w.add_tensor(theirs, np.ascontiguousarray(a, np.float32))
            continue
        q = random_blocks(a.shape, kind, dice) if kind.name.endswith("_K") else quants.quantize(np.ascontiguousarray(a), kind)
        w.add_tensor(theirs, q, raw_dtype=kind)
        back = quants.dequantize(q, kind).reshape(a.shape)
        out = np.empty_like(back)
        out[rows] = back
        p.data = torch.from_numpy(np.ascontiguousarray(back.T if dense else out))
    w.write_header_to_file(), w.write_kv_data_to_file(), w.write_tensors_to_file(), w.close()


def of_gguf(ask, folder):
    try:
        from gguf import GGMLQuantizationType as Kinds
    except ImportError:
        return skip("GGUF", "no package gguf")
    out = folder / "gguf"
    out.mkdir()
    write_meta(out)
    for kind in Kinds.F32, Kinds.F16, Kinds.BF16, Kinds.Q8_0, Kinds.Q4_0, Kinds.Q5_0, Kinds.Q5_1, Kinds.Q4_K, Kinds.Q5_K, Kinds.Q6_K:
        for family in gpt2, llama:
            sizes = dict(n_embd=256, n_head=4) if family is gpt2 else dict(hidden_size=256, intermediate_size=512)
            model = family(len(SYMBOLS), 24, 0, **sizes)
            write_gguf(out / "model.gguf", model, kind)
            with torch.no_grad():
                theirs = model(ids_of(TEXT)).logits[0].numpy()
            within(largest(ask(out / "model.gguf", TEXT)[1], theirs), 1e-4, f"GGUF, {model.config.model_type}, {kind.name}")


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
        with part("GGUF"):
            of_gguf(ask, folder)
        with part("weights of transformers in other files"):
            of_transformers(ask, folder)
    finish()
