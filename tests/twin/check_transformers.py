#!/usr/bin/env python3
"""check_transformers.py -- transformers reads what nib writes, and nib what transformers writes: logits, ids, text, the loss of a
split, greedy samples.  A warning of anybody's is a failure."""
import contextlib
import json
import logging
import shutil
import warnings

import numpy as np
import torch
import transformers as hf
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from checks import GOLDEN, Asker, check, finish, gpt2_files, greedy, largest, nib, options, part, skip, within, workplace
from hub import MODELS
from make_tokenizer_golden import TEXT

BOUND = 1e-4
CONTEXT = 48
PROMPT = "The lighthouse keeper didn't"


# ---- warnings ----

class Listener(logging.Handler):
    def __init__(self):
        super().__init__(logging.WARNING)
        self.said = []

    def emit(self, record):
        self.said.append(record.getMessage())


@contextlib.contextmanager
def silence(what):
    """Nothing may be said in here: neither by Python's warnings nor by a logger.  Loggers that say things once have forgotten."""
    for once in "warning_once", "info_once":
        getattr(getattr(hf.utils.logging, once, None), "cache_clear", lambda: None)()
    listener, loggers = Listener(), [logging.getLogger()] + [logging.getLogger(name) for name in ("transformers", "py.warnings")]
    for logger in loggers:
        logger.addHandler(listener)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        yield
    for logger in loggers:
        logger.removeHandler(listener)
    said = listener.said + [str(w.message) for w in warned]
    check(not said, f"{what}: {said}")


# ---- the same model in both ----

def load(folder, what):
    with silence(f"{what}: warnings of loading"):
        model, info = hf.AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
        # AutoTokenizer makes Qwen2's own of whatever a folder of model_type qwen2 holds
        tokenizer = (hf.PreTrainedTokenizerFast if model.config.model_type == "qwen2" else hf.AutoTokenizer).from_pretrained(folder)
    check(not any(info.values()), f"{what}: {info}")
    check(model.dtype == torch.float32, f"{what}: is loaded as {model.dtype}")
    return model.eval(), tokenizer


def mean_loss(model, ids, block):
    """As nib eval has it: disjoint windows, every position, the last partial window dropped."""
    n = (len(ids) - 1) // block
    x, y = (torch.from_numpy(ids[off:off + n * block].astype(np.int64)).reshape(n, block) for off in (0, 1))
    with torch.no_grad():
        return torch.nn.functional.cross_entropy(model(x).logits.flatten(0, 1), y.flatten()).item()


def compare(what, folder, dataset, model, tokenizer, ask, block):
    """Everything that both can say about a model folder."""
    text = TEXT[400:430] + " don't\n\n 41"
    ids, logits, again = ask(folder, text)
    check(tokenizer(text, add_special_tokens=False)["input_ids"] == ids, f"{what}: ids")
    check(again == text and tokenizer.decode(ids) == text, f"{what}: decoded text")
    with torch.no_grad():
        theirs = model(torch.tensor([ids])).logits[0]
    within(largest(logits, theirs), BOUND, f"{what}: logits of {len(ids)} positions, as large as {float(theirs.abs().max()):.1f}")

    ids = np.fromfile(dataset / "val.bin", np.uint16)
    ours = json.loads(nib("eval", folder, f"--dataset={dataset}", f"--block_size={block}", "--json"))
    within(abs(ours["loss"] - mean_loss(model, ids, block)), BOUND, f"{what}: loss {ours['loss']:.4f} over {ours['tokens']} tokens")

    inputs = tokenizer(PROMPT, return_tensors="pt", add_special_tokens=False)
    n = CONTEXT - inputs["input_ids"].shape[1]
    with silence(f"{what}: warnings of generation"):
        model.generation_config.eos_token_id = None          # both write on past the end
        out = model.generate(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], max_new_tokens=n, do_sample=False, pad_token_id=0)[0]
    check(len(out) == CONTEXT, f"{what}: {len(out)} tokens")
    ours, theirs = greedy(folder, PROMPT, n), tokenizer.decode(out)
    check(ours == theirs, f"{what}: greedy text {ours!r}, transformers' is {theirs!r}")


# ---- nib's to transformers ----

def written_by_nib(what, tokenizer, ask, kind="GPT2LMHeadModel", **shape):
    with workplace() as folder:
        (folder / "text.txt").write_text(TEXT)
        nib("data", folder / "text.txt", "--out", folder / "data", f"--tokenizer={tokenizer}", f"--val={folder}/text.txt")
        nib("train", *options(dict(n_layer=2, n_head=2, n_embd=24, block_size=CONTEXT, batch_size=4, gradient_accumulation_steps=1, max_iters=60, eval_iters=1,
                                   warmup_iters=5, lr_decay_iters=60, learning_rate=1e-2, dtype="float32", dataset=folder / "data", out_dir=folder / "run") | shape))
        model, read = load(folder / "run", what)
        check(type(model).__name__ == kind, f"{what}: opens as {type(model).__name__}")
        vocab = json.loads((folder / "data/dataset.json").read_text())["vocab"]
        print(f"  {what}: {vocab} tokens, {model.config.vocab_size} logits")
        check(vocab == len(read), f"{what}: {len(read)} tokens in AutoTokenizer")
        compare(what, folder / "run", folder / "data", model, read, ask, CONTEXT)


# ---- transformers' to nib ----

def same_in_older_words(what, model, ask):
    """The folder as older versions wrote it: rope_theta and rope_scaling for rope_parameters; GPT-2's masks among its weights, and no prefix."""
    config, weights = json.loads((model / "config.json").read_text()), load_file(model / "model.safetensors")
    older = model.parent / "older"
    shutil.copytree(model, older)
    if rope := config.pop("rope_parameters", None):
        config["rope_theta"] = rope.pop("rope_theta")
        kind = rope.pop("rope_type")
        config["rope_scaling"] = None if kind == "default" else {"type": kind} | rope
        config.pop("layer_types", None)
    else:
        weights = {name.removeprefix("transformer."): w for name, w in weights.items()}
        for layer in range(config["n_layer"]):
            weights[f"h.{layer}.attn.bias"] = torch.ones(1, 1, CONTEXT, CONTEXT, dtype=torch.uint8).tril()
            weights[f"h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
    (older / "config.json").write_text(json.dumps(config))
    save_file(weights, older / "model.safetensors")
    check(np.array_equal(ask(model, PROMPT)[1], ask(older, PROMPT)[1]), f"{what}: the same in the words of transformers 4")


def written_by_transformers(what, make, dtype, ask):
    fast = Tokenizer.from_file(str(GOLDEN / "bpe300/tokenizer.json"))
    tokenizer = hf.PreTrainedTokenizerFast(tokenizer_object=fast, eos_token="<|endoftext|>", bos_token="<|endoftext|>")
    vocab = fast.get_vocab_size()
    with workplace() as folder:
        (folder / "text.txt").write_text(TEXT)
        nib("data", folder / "text.txt", "--out", folder / "data", f"--tokenizer={GOLDEN}/bpe300", f"--val={folder}/text.txt")
        model = make(vocab, CONTEXT, tokenizer.eos_token_id).to(dtype)
        model.save_pretrained(folder / "model")
        tokenizer.save_pretrained(folder / "model")
        compare(what, folder / "model", folder / "data", model.float(), tokenizer, ask, CONTEXT)
        same_in_older_words(what, folder / "model", ask)

        # finetuned by nib, it is transformers' again
        nib("train", *options(dict(init_from=folder / "model", out_dir=folder / "run", dataset=folder / "data", block_size=CONTEXT, batch_size=2,
                                   gradient_accumulation_steps=1, max_iters=5, eval_iters=1, warmup_iters=0, lr_decay_iters=5, dtype="float32")))
        kind = type(model)
        model, read = load(folder / "run", f"{what}, finetuned")
        check(type(model) is kind, f"{what}, finetuned: opens as {type(model).__name__}")
        compare(f"{what}, finetuned", folder / "run", folder / "data", model, read, ask, CONTEXT)


if __name__ == "__main__":
    torch.set_num_threads(2)
    with workplace() as workshop:
        asker = Asker(workshop)
        cases = [("characters", "char", dict()), ("characters, biases, tanh, dropout", "char", dict(bias=True, gelu="tanh", dropout=0.1)),
                 ("bpe300", GOLDEN / "bpe300", dict()), ("bpe300, biases, padded", GOLDEN / "bpe300", dict(bias=True, vocab_size=600))]
        cases += [("Llama", "char", dict(model="llama", kind="LlamaForCausalLM", n_kv_head=1)),
                  ("Llama, biases, own head, n_inner, head_dim, theta", "char", dict(model="llama", kind="LlamaForCausalLM", bias=True, tie_word_embeddings=False, n_inner=44,
                                                                                     head_dim=8, rope_theta=5e5)),
                  ("Mistral, a window", GOLDEN / "bpe300", dict(model="mistral", kind="MistralForCausalLM", sliding_window=9, dropout=0.1)),
                  ("Mistral", "char", dict(model="mistral", kind="MistralForCausalLM")),
                  ("Qwen2", "char", dict(model="qwen2", kind="Qwen2ForCausalLM", n_kv_head=1)),
                  ("Qwen2, a window", "char", dict(model="qwen2", kind="Qwen2ForCausalLM", sliding_window=11)),
                  ("Qwen3", "char", dict(model="qwen3", kind="Qwen3ForCausalLM", head_dim=16, bias=True, tie_word_embeddings=False))]
        if gpt2_files():
            cases += [("gpt2, padded", gpt2_files(), dict()), ("gpt2, not padded", gpt2_files(), dict(pad_vocab=1))]
        else:
            skip("gpt2, padded and not", "no vocab.bpe and encoder.json of GPT-2 in ../shared/data/gpt2-bpe")
        for case, tokens, sizes in cases:
            with part(f"written by nib: {case}"):
                written_by_nib(case, tokens, asker, **sizes)
        for case, maker in MODELS.items():
            with part(f"written by transformers: {case}"):
                written_by_transformers(case, maker, torch.float32, asker)
        with part("written by transformers: GPT-2 in bf16"):
            written_by_transformers("GPT-2 in bf16", MODELS["GPT-2"], torch.bfloat16, asker)
    finish()
