#!/usr/bin/env python3
"""check_golden.py -- makes the golden files of the models anew and compares them with those in tests/golden; then holds the
twin against Hugging Face's models, wherever they have the same one.

PyTorch promises no bits from one version to the next, so tensors are compared within bounds, as parts of the largest element:
what is computed in f64 and stored as f32 within ROUNDING, ten steps of training in f32 within TRAINED."""
import json
import struct

import torch
import transformers as hf
from safetensors.torch import load_file

import make_golden
from checks import GOLDEN, check, finish, part, workplace
from twin import FAMILIES, Batch

ROUNDING, TRAINED = 1e-6, 1e-5


def near(a, b, bound):
    if a.shape != b.shape or a.is_floating_point() != b.is_floating_point():
        return False
    return bool((a.double() - b.double()).abs().max() <= bound * b.double().abs().max()) if a.is_floating_point() else torch.equal(a, b)


def config(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    return json.loads(header["__metadata__"]["config"])


def without_keys(bias):
    """A bias of the keys has gradient 0 but for rounding noise, which AdamW scales up: it is not the same twice."""
    q, _, v = bias.chunk(3)
    return torch.cat([q, v])


def check_files():
    tensors = same = 0
    with workplace() as folder:
        make_golden.make_all(folder)
        for path in sorted(folder.glob("*.bin")):
            a, b = (torch.frombuffer(bytearray(p.read_bytes()[1024:]), dtype=torch.float32) for p in (path, GOLDEN / path.name))
            check(path.read_bytes()[:1024] == (GOLDEN / path.name).read_bytes()[:1024] and near(a, b, ROUNDING), path.name)
        for path in sorted(folder.glob("*.safetensors")):
            old, new = GOLDEN / path.name, load_file(path)
            if not old.exists():
                check(False, f"{path.name}: is not in {GOLDEN}")
                continue
            check(config(old) == config(path), f"{path.name}: config")
            old = load_file(old)
            check(old.keys() == new.keys(), f"{path.name}: names of tensors")
            for name in sorted(old.keys() & new.keys()):
                trained = name.startswith("trained.")
                a, b = (without_keys(t[name]) if trained and name.endswith("c_attn.bias") else t[name] for t in (new, old))
                check(near(a, b, TRAINED if trained else ROUNDING), f"{path.name}: {name}")
                tensors, same = tensors + 1, same + torch.equal(a, b)
    print(f"  PyTorch {torch.__version__}: {same} of {tensors} tensors have the same bits")


def hugging_face(c):
    """The same architecture in transformers, with weights of its own; None: it has none without biases."""
    if c["model"] == "gpt2":
        if not c["bias"]:
            return None
        return hf.GPT2LMHeadModel(hf.GPT2Config(
            vocab_size=c["vocab"], n_positions=c["context"], n_embd=c["width"], n_layer=c["layers"], n_head=c["heads"], n_inner=c["hidden"],
            layer_norm_epsilon=c["eps"], activation_function="gelu_new" if c["gelu_tanh"] else "gelu",
            scale_attn_weights=not c.get("unscaled"), scale_attn_by_inverse_layer_idx=bool(c.get("by_layer")), tie_word_embeddings=bool(c["tied"]),
            attn_implementation="eager", bos_token_id=None, eos_token_id=None))
    kind = "Qwen3" if c["qk_norm"] else "Qwen2" if c["qkv_bias"] else "Llama"
    more = {"use_sliding_window": True, "sliding_window": c["window"], "max_window_layers": c.get("full_layers", 0)} if c["window"] else {}
    if c.get("out_bias"):
        kind, more = "Llama", {"attention_bias": True, "mlp_bias": bool(c["mlp_bias"])}
    turning = {"rope_type": "default", "rope_theta": c["theta"]}
    if c.get("scaling") == 3:
        turning |= {"rope_type": "llama3", "low_freq_factor": c["slow"], "high_freq_factor": c["fast"]}
    if c.get("scaling") == 4:
        turning |= {"rope_type": "yarn", "beta_slow": c["slow"], "beta_fast": c["fast"], "attention_factor": c["gain"], "truncate": bool(c["whole_pairs"])}
    if c.get("scaling"):
        turning |= {"factor": c["factor"], "original_max_position_embeddings": c["original"]}
    return getattr(hf, kind + "ForCausalLM")(getattr(hf, kind + "Config")(
        vocab_size=c["vocab"], max_position_embeddings=c["context"], hidden_size=c["width"], intermediate_size=c["hidden"],
        num_hidden_layers=c["layers"], num_attention_heads=c["heads"], num_key_value_heads=c["kv_heads"], head_dim=c["head_dim"],
        rms_norm_eps=c["eps"], rope_parameters=turning, tie_word_embeddings=bool(c["tied"]),
        attn_implementation="eager", bos_token_id=None, eos_token_id=None, pad_token_id=None, **more))


def check_twin(name):
    """Logits of each sequence by itself, in f64, from the same parameters."""
    path = GOLDEN / f"{name}.safetensors"
    c, t = config(path), load_file(path)
    other = hugging_face(c)
    if other is None:                    # Hugging Face has no GPT-2 without biases
        return
    params = {key[6:]: w.double() for key, w in t.items() if key.startswith("param.")}
    prefix = "transformer." if c["model"] == "gpt2" else ""
    missing, unexpected = other.double().load_state_dict({key if key.startswith("lm_head") else prefix + key: w for key, w in params.items()}, strict=False)
    check(not unexpected and (not missing or (c["tied"] and missing == ["lm_head.weight"])), f"{name}: names of Hugging Face {missing} {unexpected}")
    other.tie_weights()
    for row, n in t["seqs"].tolist():
        ids, pos = t["ids"][row:row + n].long(), t["pos"][row:row + n].long()
        with torch.no_grad():
            ours = FAMILIES[c["model"]][0](c, params, Batch(ids, pos, None, [(0, n)]))
            theirs = other.eval()(input_ids=ids[None], position_ids=pos[None], attention_mask=torch.ones(1, n, dtype=torch.long)).logits[0]
        check(near(ours, theirs, 1e-5), f"{name}: Hugging Face's logits, sequence at row {row}")        # they turn in f32


if __name__ == "__main__":
    torch.set_num_threads(1)
    with part("files"):
        check_files()
    for model in make_golden.MODELS:
        with part(f"twin of {model}"):
            check_twin(model)
    finish()
