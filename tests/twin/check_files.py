#!/usr/bin/env python3
"""check_files.py -- files of other kinds.  Models: nanoGPT's ckpt.pt, with its optimizer, llm.c's and llama2.c's .bin both ways;
pytorch_model.bin, sharded safetensors and GGUF, in plain types and in blocks, read.  llm.c's shards of tokens and its debug state.  With
NIB_LLAMA2C=FOLDER, a clone of llama2.c, its own programs write and read as well."""
import os
import pickle
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

import llama2c
from checks import Asker, batches, build, check, finish, greedy, largest, nib, options, part, rate, run, skip, step_losses, torch_losses, within, workplace, write_tokens
from hub import gpt2, llama
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


def optimizer_of(model, s):
    """nanoGPT's."""
    params = list(model.parameters())
    return torch.optim.AdamW([dict(params=[p for p in params if p.dim() >= 2], weight_decay=s["weight_decay"]), dict(params=[p for p in params if p.dim() < 2], weight_decay=0.0)],
                             lr=1e-3, betas=(s["beta1"], s["beta2"]))


def steps(model, optimizer, ids, s, first, last):
    """Those from first to last of a run, on the batches that nib draws; their losses."""
    curve = []
    for i, micros in list(enumerate(batches(ids, s | dict(max_iters=last))))[first:]:
        for group in optimizer.param_groups:
            group["lr"] = rate(i, s)
        losses = [F.cross_entropy(model(torch.from_numpy(x)).flatten(0, 1), torch.from_numpy(y).flatten()) / len(micros) for x, y in micros]
        sum(losses).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), s["grad_clip"])
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        curve.append(sum(losses).item())
    return curve


def gone_on(folder):
    """Five steps in PyTorch, five more in nib, five more in PyTorch, the optimizer handed over; and all fifteen in PyTorch.  nib crops the
    table of positions to block_size."""
    for bias, prefix in (True, ""), (False, "_orig_mod."):
        out, s = folder / f"gone on {bias}", RUN | dict(lr_decay_iters=15, weight_decay=0.3, beta2=0.98)
        ids = np.random.default_rng(5).integers(0, len(SYMBOLS), 600)
        out.mkdir()
        write_tokens(out / "data", ids)
        write_meta(out / "data")
        torch.manual_seed(4)
        args = ARGS | dict(bias=bias)
        model = GPT(**args)
        optimizer = optimizer_of(model, s)
        steps(model, optimizer, ids, s, 0, 5)
        config = s | dict(dataset=str(out / "data"), out_dir="elsewhere", init_from="scratch", device="cuda", compile=True, wandb_run_name="it")
        saved = dict(model={prefix + name: w for name, w in model.state_dict().items()}, optimizer=optimizer.state_dict(), model_args=args, iter_num=5, best_val_loss=torch.tensor(2.5), config=config)
        (out / "run").mkdir()
        torch.save(saved, out / "run/ckpt.pt")
        nib("train", "--init_from=resume", f"--out_dir={out}/run")
        within(largest(step_losses(out / "run"), steps(model, optimizer, ids, s, 5, 10)), 1e-4, f"five steps from nanoGPT's run, bias={bias}")
        nib("export", out / "run/step-00000010", "--to=nanogpt", f"--out={out}/back.pt")
        back = torch.load(out / "back.pt", weights_only=True)
        again = GPT(**back["model_args"])
        again.load_state_dict(back["model"])
        theirs = optimizer_of(again, s)
        theirs.load_state_dict(back["optimizer"])
        check(back["iter_num"] == 10 and theirs.param_groups[0]["betas"][1] == 0.98 and theirs.param_groups[0]["weight_decay"] == 0.3, f"nib's run for nanoGPT, bias={bias}: what it says")
        within(largest(steps(again, theirs, ids, s, 10, 15), steps(model, optimizer, ids, s, 10, 15)), 1e-4, f"five steps from nib's run, bias={bias}")


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


def debug_state(folder):
    """Loss, logits and gradients as llm.c's test_gpt2.c compares them."""
    program = build(folder, "state")
    for vocab, batch in (130, 3), (128, 1):
        model = gpt2(vocab, 24, 0)
        weights = {name: w.detach().numpy() for name, w in model.state_dict().items()}
        (folder / "state_model.bin").write_bytes(model_bytes(model.config, weights))
        dice = torch.Generator().manual_seed(vocab)
        x, y = (torch.randint(vocab, (batch, 24), generator=dice) for _ in range(2))
        (folder / "state.bin").write_bytes(state_bytes(model, x, y))
        for what, off in zip(("loss", "logits", "gradients"), run(program, folder / "state_model.bin", folder / "state.bin").split()):
            within(float(off), 1e-5, f"debug state, vocabulary {vocab}, {batch} sequences: {what}")


def shards(folder):
    """Tokens as llm.c's scripts write them: the same run as on train.bin; and what nib writes."""
    ids = np.random.default_rng(6).integers(0, len(SYMBOLS), 700)
    write_tokens(folder / "bare", ids)
    write_meta(folder / "bare")
    size = ["--n_layer=1", "--n_head=2", "--n_embd=16", "--vocab_size=16"]
    curves = []
    for name, wide in ("bare", None), ("gpt-2", False), ("llama-3", True):
        out = folder / name
        out.mkdir(exist_ok=True)
        if wide is not None:
            for file in "it_train_000001.bin", "it_val_000000.bin":
                (out / file).write_bytes(shard_bytes(ids, wide))
        nib("train", *options(RUN | dict(dataset=out, out_dir=folder / f"run {name}")), *size)
        curves.append(step_losses(folder / f"run {name}"))
    check(curves[0] == curves[1] == curves[2] and len(curves[0]) == RUN["max_iters"], f"shards train as train.bin does: {curves}")
    (folder / "text.txt").write_text("".join(SYMBOLS[i] for i in ids))
    nib("data", folder / "text.txt", "--tokenizer=char", f"--out={folder}/plain")
    nib("data", folder / "text.txt", "--tokenizer=char", "--format=llmc", f"--out={folder}/headed")
    for split in "train", "val":
        plain = np.fromfile(folder / f"plain/{split}.bin", np.uint16)
        check((folder / f"headed/tokens_{split}_000000.bin").read_bytes() == shard_bytes(plain), f"nib data --format=llmc, {split}")


# ---- llama2.c ----

def plain_llama(tied, vocab=len(SYMBOLS), context=24, **more):
    return llama(vocab, context, 0, tie_word_embeddings=tied, rms_norm_eps=1e-5, **more)


def weights_of(model):
    return {name: w.detach().numpy() for name, w in model.state_dict().items()}


def llama2c_models(ask, folder):
    for tied in True, False:
        for version in 0, 1, 2:
            out = folder / f"llama2c {tied} {version}"
            out.mkdir()
            write_meta(out)
            model = plain_llama(tied)
            if version == 2:
                for p in model.parameters():
                    p.data = torch.from_numpy(llama2c.rounded(p.data.numpy(), 8)) if p.dim() > 1 else p.data
            (out / "model.bin").write_bytes(llama2c.model_bytes(model.config, weights_of(model), version))
            with torch.no_grad():
                theirs = model(ids_of(TEXT)).logits[0].numpy()
            what = f"llama2.c's model, version {version}, {'shared' if tied else 'own'} classifier"
            within(largest(ask(out / "model.bin", TEXT)[1], theirs), 1e-4, what)
            nib("export", out / "model.bin", "--to=llama2c", f"--out={out}/again.bin")
            again, wanted = (out / "again.bin").read_bytes(), llama2c.model_bytes(model.config, weights_of(model), 0)
            numbers = [np.frombuffer(b[28:], np.float32) for b in (again, wanted)]
            check(again[:28] == wanted[:28], f"{what}, written: header")
            within(largest(*numbers), 1e-6, f"{what}, written")


def its_own_llama2c(ask, folder, clone):
    """run.c writes what nib writes, by the tokenizer.bin that every user has; export.py's three versions are opened."""
    run("gcc", "-O2", "-w", clone / "run.c", "-lm", "-o", folder / "run")
    model = plain_llama(False, vocab=32000, context=96)
    model.lm_head.weight.data[:259] = 0                      # run.c prints no bytes that are not letters by themselves
    model.save_pretrained(folder / "big")
    shutil.copy(clone / "tokenizer.bin", folder / "big")
    (folder / "out").mkdir()
    nib("export", folder / "big", "--to=llama2c", f"--out={folder}/out/model.bin")
    check(nib("tokenizer", "encode", folder / "out/tokenizer.bin", clone / "README.md") == nib("tokenizer", "encode", clone / "tokenizer.bin", clone / "README.md"), "tokenizer.bin, written: ids of a text")
    for start in "Once upon a time", "a  b   c    d          e", "def f(x):\n        return [x,  x]", "Zażółć gęślą jaźń", "日本 語", "  two before", "nine         nine":
        theirs = run(folder / "run", folder / "out/model.bin", "-t", "0", "-n", "60", "-z", folder / "out/tokenizer.bin", "-i", start).decode(errors="replace")[:-1]
        ours = greedy(folder / "out/model.bin", start, 60)
        check(len(theirs) > 40 and ours.startswith(theirs), f"llama2.c's run, {start!r}: {theirs!r}, and nib: {ours!r}")
    sys.path.insert(0, str(clone))
    import export
    small = plain_llama(False, num_key_value_heads=4, hidden_size=64, intermediate_size=128)
    small.save_pretrained(folder / "small")
    write_meta(folder / "small")
    with torch.no_grad():
        logits = small(ids_of(TEXT)).logits[0].numpy()
    for version in 0, 1, 2:
        with open(os.devnull, "w") as sys.stdout:
            export.model_export(export.load_hf_model(folder / "small"), folder / f"small/{version}.bin", version)
        sys.stdout = sys.__stdout__
        within(largest(ask(folder / f"small/{version}.bin", TEXT)[1], logits), 1e-4 if version < 2 else 0.1, f"llama2.c's export.py, version {version}")
    nib("export", folder / "small", "--to=llama2c", f"--out={folder}/small/ours.bin")
    within(largest(*(np.fromfile(folder / f"small/{name}.bin", np.float32)[7:] for name in ("ours", "0"))), 1e-6, "llama2.c's export.py and nib export")


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
            name = f"GGUF, {model.config.model_type}, {kind.name}"
            if kind in (Kinds.F32, Kinds.F16, Kinds.BF16):
                within(largest(ask(out / "model.gguf", TEXT)[1], theirs), 1e-4, name)
                continue
            wide = folder / f"{name}, as numbers"
            nib("export", out / "model.gguf", "--to=hf", f"--out={wide}")
            write_meta(wide)
            within(largest(ask(wide, TEXT)[1], theirs), 1e-4, f"{name}, as numbers")
            ours = ask(out / "model.gguf", TEXT)[1]  # as it is: rows of x are rounded to eight bits
            within(float(np.sqrt(np.mean((ours - theirs) ** 2) / np.mean(theirs**2))), 3e-2, f"{name}, part of the logits' root mean square")


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
        with part("a nanoGPT's run, gone on with"):
            gone_on(folder)
        with part("llm.c's models"):
            llmc(ask, folder)
        with part("GGUF"):
            of_gguf(ask, folder)
        with part("llm.c's debug state"):
            debug_state(folder)
        with part("llm.c's tokens"):
            shards(folder)
        with part("llama2.c's models"):
            llama2c_models(ask, folder)
        if os.environ.get("NIB_LLAMA2C"):
            with part("llama2.c's own programs"), workplace() as own:
                its_own_llama2c(ask, own, Path(os.environ["NIB_LLAMA2C"]).resolve())
        with part("weights of transformers in other files"):
            of_transformers(ask, folder)
    finish()
