#!/usr/bin/env python3
"""check_peft.py -- LoRA adapters: PEFT reads what nib has trained, nib reads what PEFT saves, both train alike, and both merge alike."""
import json
import warnings

import gguf
import peft
import torch
import transformers as hf
from safetensors.torch import load_file
from tokenizers import Tokenizer

from check_files import write_gguf
from check_training import BLOCK, MACHINE, SETTINGS, VOCAB, token_stream
from checks import GOLDEN, Asker, check, finish, largest, nib, options, part, step_losses, torch_losses, within, workplace, write_tokens
from hub import MODELS, gpt2, llama

BOUND = 1e-4
TEXT = "The lighthouse keeper didn't know, in 1841, what it was."
FAMILIES = ["GPT-2", "GPT-2, own head, exact GELU, n_inner", "Llama", "Llama, biases everywhere, a key/value head each", "Mistral, a window of 7", "Qwen2", "Qwen3"]


def base_model(folder, name, vocab, context):
    """A random model of transformers', with a tokenizer, in folder/base."""
    fast = Tokenizer.from_file(str(GOLDEN / "bpe300/tokenizer.json"))
    hf.PreTrainedTokenizerFast(tokenizer_object=fast, eos_token="<|endoftext|>", bos_token="<|endoftext|>").save_pretrained(folder / "base")
    model = MODELS[name](vocab or fast.get_vocab_size(), context, 0)
    model.save_pretrained(folder / "base")
    return model


def opened(folder):
    return hf.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def logits_of(model, ids):
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0]


# ---- both use it alike ----

def compare(what, adapter, base, ask, folder):
    """Logits beside the base and merged into it; the merged matrices."""
    ids, ours, _ = ask(adapter, TEXT)
    plain = logits_of(opened(base), ids)
    model = peft.PeftModel.from_pretrained(opened(base), adapter).eval()
    theirs = logits_of(model, ids)
    within(largest(ours, theirs), BOUND, f"{what}: logits, as large as {float(theirs.abs().max()):.1f}; the base's are {largest(plain, theirs):.2f} away")
    check(largest(plain, theirs) > 0.05, f"{what}: it adapts next to nothing")
    nib("export", adapter, "--to=hf", f"--out={folder}/merged")
    within(largest(ask(folder / "merged", TEXT)[1], theirs), BOUND, f"{what}: logits of nib's merged model")
    merged, one = model.merge_and_unload().state_dict(), load_file(folder / "merged/model.safetensors")
    off = max(largest(w, merged[name]) for name, w in one.items())
    within(off, 1e-6, f"{what}: {len(one)} tensors of the merged model")


def written_by_nib(name, ask, **lora):
    with workplace() as folder:
        base_model(folder, name, None, 48)
        (folder / "text.txt").write_text(TEXT * 40)
        nib("data", folder / "text.txt", "--out", folder / "data", f"--tokenizer={GOLDEN}/bpe300", f"--val={folder}/text.txt")
        nib("train", *options(dict(init_from=folder / "base", out_dir=folder / "run", dataset=folder / "data", block_size=32, batch_size=2, gradient_accumulation_steps=1, max_iters=20,
                                   eval_iters=1, warmup_iters=0, lr_decay_iters=20, learning_rate=1e-2, dtype="float32") | lora))
        compare(f"written by nib: {name}", folder / "run", folder / "base", ask, folder)
        both = opened(folder / "run")                        # transformers opens the base that an adapter's folder names
        ids, ours, _ = ask(folder / "run", TEXT)
        within(largest(ours, logits_of(both, ids)), BOUND, f"written by nib: {name}: logits of what AutoModelForCausalLM makes of the folder")
        fast = hf.PreTrainedTokenizerFast.from_pretrained(folder / "run")
        check(fast(TEXT, add_special_tokens=False)["input_ids"] == ids, f"written by nib: {name}: ids of the tokenizer beside it")


def saved_by_peft(what, name, ask, binary=False, **config):
    with workplace() as folder:
        model = base_model(folder, name, None, 48)
        model.name_or_path = str(folder / "base")
        adapted = peft.get_peft_model(model, peft.LoraConfig(**(dict(task_type="CAUSAL_LM", r=4, lora_alpha=8, fan_in_fan_out=name.startswith("GPT-2")) | config)))
        dice = torch.Generator().manual_seed(2)
        for key, p in adapted.named_parameters():
            if "lora_B" in key:
                p.data = 0.2 * torch.randn(p.shape, generator=dice)
        adapted.peft_config["default"].base_model_name_or_path = str(folder / "base")
        adapted.save_pretrained(folder / "adapter", safe_serialization=not binary)
        if binary and not (folder / "adapter/adapter_model.bin").exists():
            torch.save(load_file(folder / "adapter/adapter_model.safetensors"), folder / "adapter/adapter_model.bin")
            (folder / "adapter/adapter_model.safetensors").unlink()
        compare(f"saved by PEFT: {what}", folder / "adapter", folder / "base", ask, folder)


def refused(what, name, says, **config):
    with workplace() as folder:
        model = base_model(folder, name, None, 48)
        adapted = peft.get_peft_model(model, peft.LoraConfig(**(dict(task_type="CAUSAL_LM", r=4) | config)))
        adapted.peft_config["default"].base_model_name_or_path = str(folder / "base")
        adapted.save_pretrained(folder / "adapter")
        try:
            nib("info", folder / "adapter")
            check(False, f"{what}: was not refused")
        except RuntimeError as e:
            check(says in str(e), f"{what}: {e}")


# ---- both train alike ----

def trained(name, stored=torch.float32, bound=BOUND, **lora):
    """From the same A and B, by the optimizer of check_training.py.  stored: how the base lies in its file; PEFT computes in f32."""
    ids = token_stream()
    with workplace() as folder:
        write_tokens(folder / "data", ids)
        base_model(folder, name, VOCAB, BLOCK).to(stored).save_pretrained(folder / "base")
        arguments = options(dict(SETTINGS, **MACHINE, learning_rate=1e-2, dropout=0.0, dataset=folder / "data") | dict(init_from=folder / "base", lora_rank=4, lora_alpha=8) | lora)
        nib("train", *arguments, "--max_iters=0", f"--out_dir={folder}/start")
        nib("train", *arguments, f"--out_dir={folder}/run")
        ours = step_losses(folder / "run")
        model = peft.PeftModel.from_pretrained(opened(folder / "base"), folder / "start", is_trainable=True).eval()
        params = [p for p in model.parameters() if p.requires_grad]
        crossed = torch.nn.functional.cross_entropy
        theirs = torch_losses(params, lambda x, y: crossed(model(x).logits.flatten(0, 1), y.flatten()), ids, SETTINGS | dict(learning_rate=1e-2))
        within(largest(ours, theirs), bound, f"trained: {name}, from {theirs[0]:.3f} to {theirs[-1]:.3f}: largest difference of a step's loss")
        end, now = load_file(folder / "run/step-00000010/adapter_model.safetensors"), peft.get_peft_model_state_dict(model)
        within(max(largest(w, now[key].detach()) for key, w in end.items()), bound, f"trained: {name}: {len(end)} matrices after ten steps")
        check(sorted(end) == sorted(now), f"trained: {name}: names of matrices")
        check(all(float(w.abs().max()) > 1e-2 for key, w in end.items()), f"trained: {name}: a matrix has not moved from 0")


def trained_on_blocks(name, model, kind):
    """On a base whose matrices are quantized, where they lie in their file; PEFT's base has what they stand for."""
    ids = token_stream()
    with workplace() as folder:
        write_tokens(folder / "data", ids)
        write_gguf(str(folder / "base.gguf"), model, kind)
        model.save_pretrained(folder / "base")
        arguments = options(dict(SETTINGS, **MACHINE, learning_rate=1e-2, dropout=0.0, dataset=folder / "data", init_from=folder / "base.gguf", lora_rank=4, lora_alpha=8, lora_targets="all"))
        nib("train", *arguments, "--max_iters=0", f"--out_dir={folder}/start")
        nib("train", *arguments, f"--out_dir={folder}/run")
        ours = step_losses(folder / "run")
        adapted = peft.PeftModel.from_pretrained(opened(folder / "base"), folder / "start", is_trainable=True).eval()
        crossed = torch.nn.functional.cross_entropy
        theirs = torch_losses([p for p in adapted.parameters() if p.requires_grad], lambda x, y: crossed(adapted(x).logits.flatten(0, 1), y.flatten()), ids, SETTINGS | dict(learning_rate=1e-2))
        within(largest(ours, theirs), BOUND, f"trained: {name} in {kind.name}, from {theirs[0]:.3f} to {theirs[-1]:.3f}: largest difference of a step's loss")


def begins_alike(name):
    """A and B begin as PEFT's do: the same bounds, the same spread, zeros."""
    with workplace() as folder:
        write_tokens(folder / "data", token_stream())
        model = base_model(folder, name, VOCAB, BLOCK)
        nib("train", *options(dict(SETTINGS, **MACHINE, dataset=folder / "data", init_from=folder / "base", out_dir=folder / "run", lora_rank=64, lora_targets="all", max_iters=0)))
        ours = load_file(folder / "run/adapter_model.safetensors")
        targets = json.loads((folder / "run/adapter_config.json").read_text())["target_modules"]
        theirs = peft.get_peft_model_state_dict(peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", r=64, target_modules=targets, fan_in_fan_out=name == "GPT-2")))
        check(sorted(ours) == sorted(theirs), f"{name}: the matrices of all layers")
        for key, w in ours.items():
            a, b = w.double(), theirs[key].double()
            check(a.shape == b.shape and abs(float(a.abs().max() - b.abs().max())) < 0.02 and abs(float(a.std() - b.std())) < 0.01, f"{name}: {key} begins otherwise")


if __name__ == "__main__":
    torch.set_num_threads(2)
    hf.utils.logging.set_verbosity_error()
    warnings.simplefilter("ignore")                          # PEFT's, of what is to be refused
    PATTERNS = dict(target_modules=r".*\.(q_proj|down_proj|o_proj)", rank_pattern={"down_proj": 3, r"layers\.1\.self_attn\..*": 6}, alpha_pattern={"^model.layers.0.self_attn.q_proj": 5, "o_proj": 2})
    with workplace() as workshop:
        asker = Asker(workshop)
        for family in FAMILIES:
            for targets in "auto", "all":
                with part(f"written by nib: {family}, {targets}"):
                    written_by_nib(family, asker, lora_rank=5, lora_alpha=10, lora_targets=targets, lora_dropout=0.1)
        for case, family, config in [
                ("GPT-2, what it takes by itself", "GPT-2", dict()), ("GPT-2, all-linear", "GPT-2", dict(target_modules="all-linear")),
                ("GPT-2, names, rslora", "GPT-2", dict(target_modules=["attn.c_proj", "c_fc"], use_rslora=True)),
                ("Llama, what it takes by itself", "Llama", dict()), ("Llama, all-linear", "Llama", dict(target_modules="all-linear")), ("Llama, an expression and patterns", "Llama", PATTERNS),
                ("Llama, one layer", "Llama", dict(target_modules=["q_proj", "k_proj"], layers_to_transform=[1])),
                ("Llama, without v_proj", "Llama", dict(target_modules="all-linear", exclude_modules=["v_proj"], init_lora_weights="gaussian")),
                ("Qwen3, rank 1, rslora", "Qwen3", dict(r=1, use_rslora=True, target_modules=["gate_proj", "v_proj"])), ("Mistral in .bin", "Mistral, a window of 7", dict(binary=True))]:
            with part(f"saved by PEFT: {case}"):
                saved_by_peft(case, family, asker, **config)
        for case, says, config in [("DoRA", "use_dora", dict(use_dora=True)), ("biases", '"bias" is "all"', dict(bias="all")), ("saved modules", "modules_to_save", dict(modules_to_save=["norm"])),
                                   ("tokens", "trainable_token_indices", dict(trainable_token_indices=[1, 2])), ("embeddings", "embed_tokens", dict(target_modules=["embed_tokens"])),
                                   ("the head", "lm_head", dict(target_modules=["lm_head"])), ("PiSSA", "init_lora_weights", dict(init_lora_weights="pissa"))]:
            with part(f"refused: {case}"):
                refused(case, "Llama", says, **config)
        for family in FAMILIES:
            with part(f"trained: {family}"):
                trained(family)
        with part("trained: Llama, all layers, rank 1"):
            trained("Llama", lora_targets="all", lora_rank=1)
        for family in "GPT-2", "Llama":
            with part(f"trained: {family}, its base in bf16"):
                trained(family, torch.bfloat16, lora_targets="all")
            with part(f"trained: {family}, its base and activations in bf16"):
                trained(family, torch.bfloat16, 0.05, lora_targets="all", dtype="bfloat16")
        for kind in gguf.GGMLQuantizationType.Q8_0, gguf.GGMLQuantizationType.Q4_0:
            with part(f"trained: bases in {kind.name}"):
                trained_on_blocks("GPT-2", gpt2(VOCAB, BLOCK, 0, n_embd=96), kind)
                trained_on_blocks("Llama", llama(VOCAB, BLOCK, 0, hidden_size=64, intermediate_size=96), kind)
        for family in "GPT-2", "Llama":
            with part(f"begins alike: {family}"):
                begins_alike(family)
    finish()
