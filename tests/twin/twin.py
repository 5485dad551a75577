"""The models of src/model, written a second time from their papers, as plainly as PyTorch allows.

Nothing here is fast, fused, cached or clever, and nothing is taken from nib or from another library's model code: what the
two agree on is then what the papers say.  check_golden.py also holds the twin itself against Hugging Face's models.

N packed rows, C width, H query heads, K key/value heads, D width of a head, V vocabulary.  Parameters go by nib's names,
which are the checkpoints' own: GPT-2's matrices lie as (in, out), llama's as (out, in).
"""
import math
from dataclasses import dataclass

import torch


@dataclass
class Batch:
    """Packed rows.  Sequences are (first row, rows); a row outside of all of them belongs to none."""
    ids: torch.Tensor
    pos: torch.Tensor
    targets: torch.Tensor                  # -1: no loss
    seqs: list


# ---- the parts ----

def layer_norm(x, weight, bias, eps):
    """Ba, Kiros & Hinton 2016.  The variance is the biased one."""
    mean = x.mean(-1, keepdim=True)
    variance = ((x - mean) ** 2).mean(-1, keepdim=True)
    y = (x - mean) / torch.sqrt(variance + eps) * weight
    return y if bias is None else y + bias


def rms_norm(x, weight, eps):
    """Zhang & Sennrich 2019."""
    return x / torch.sqrt((x ** 2).mean(-1, keepdim=True) + eps) * weight


def gelu(x, tanh):
    """Hendrycks & Gimpel 2016: x Phi(x), or their approximation of it by tanh."""
    if tanh:
        return x / 2 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3)))
    return x / 2 * (1 + torch.erf(x / math.sqrt(2)))


def silu(x):
    return x / (1 + torch.exp(-x))


def yarn(c, frequency):
    """Peng et al. 2023, section 3.2: pairs that turn less than `slow` times within the original context are interpolated, those that
    turn more than `fast` times are not, between them (by their number) mixed."""
    j = torch.arange(len(frequency), dtype=frequency.dtype)
    first, last = (len(frequency) * math.log(c["original"] / (turns * 2 * math.pi)) / math.log(c["theta"]) for turns in (c["fast"], c["slow"]))
    if c["whole_pairs"]:
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, 2 * len(frequency) - 1)
    share = ((j - first) / (last - first)).clamp(0, 1)
    return frequency * (1 - share) + frequency / c["factor"] * share


def llama3(c, frequency):
    """Llama 3.1: the same between `slow` and `fast` turns within the original context."""
    share = ((c["original"] * frequency / (2 * math.pi) - c["slow"]) / (c["fast"] - c["slow"])).clamp(0, 1)
    return frequency * share + frequency / c["factor"] * (1 - share)


SCALINGS = {0: lambda c, frequency: frequency, 3: llama3, 4: yarn}


def rope(x, pos, c):
    """Su et al. 2021, in the order of Llama's checkpoints: columns j and j + D/2 turn together.  x (N, heads, D)."""
    half = x.shape[-1] // 2
    frequency = SCALINGS[c.get("scaling", 0)](c, c["theta"] ** (-torch.arange(half, dtype=x.dtype) / half))
    angle, gain = pos.to(x.dtype)[:, None, None] * frequency, c.get("gain", 1)
    a, b = x[..., :half], x[..., half:]
    return gain * torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


def attention(q, k, v, seqs, window=0, scale=None):
    """Vaswani et al. 2017, causal, each sequence by itself; each group of H / K query heads shares a key/value head
    (Ainslie et al. 2023); window > 0: a query sees that many positions, its own included (Beltagy et al. 2020).
    q (N, H, D), k and v (N, K, D) -> (N, H D); rows of no sequence are 0.  Scores are multiplied by 1 / sqrt(D), or by scale."""
    scale = scale or 1 / math.sqrt(q.shape[-1])
    group = q.shape[1] // k.shape[1]
    out = [torch.zeros_like(q[n]) for n in range(len(q))]
    for row, rows in seqs:
        for i in range(row, row + rows):
            first = max(row, i - window + 1) if window else row
            heads = []
            for h in range(q.shape[1]):
                keys, values = k[first:i + 1, h // group], v[first:i + 1, h // group]
                p = torch.softmax(keys @ q[i, h] * scale, 0)
                heads.append(p @ values)
            out[i] = torch.stack(heads)
    return torch.stack(out).flatten(1)


def losses(logits, targets):
    """-log softmax(logits)[target], a row; 0 where there is no target."""
    log_p = logits - torch.logsumexp(logits, -1, keepdim=True)
    counts = targets >= 0
    return torch.where(counts, -log_p.gather(1, targets.clamp(min=0)[:, None])[:, 0], 0.0)


# ---- GPT-2 (Radford et al. 2019), with nanoGPT's options ----

def gpt2(c, p, batch):
    """Logits (N, V)."""
    def dense(x, name):
        y = x @ p[name + ".weight"]
        return y + p[name + ".bias"] if c["bias"] else y

    def norm(x, name):
        return layer_norm(x, p[name + ".weight"], p[name + ".bias"] if c["bias"] else None, c["eps"])

    x = p["wte.weight"][batch.ids] + p["wpe.weight"][batch.pos]
    def scale(layer):
        return (1 if c.get("unscaled") else c["head_dim"] ** -0.5) / (layer + 1 if c.get("by_layer") else 1)

    for l, h in ((l, f"h.{l}.") for l in range(c["layers"])):
        q, k, v = dense(norm(x, h + "ln_1"), h + "attn.c_attn").unflatten(1, (3, c["heads"], -1)).unbind(1)
        x = x + dense(attention(q, k, v, batch.seqs, scale=scale(l)), h + "attn.c_proj")
        x = x + dense(gelu(dense(norm(x, h + "ln_2"), h + "mlp.c_fc"), c["gelu_tanh"]), h + "mlp.c_proj")
    return norm(x, "ln_f") @ p["wte.weight" if c["tied"] else "lm_head.weight"].T


def gpt2_shapes(c):
    """Every parameter's name and shape."""
    C, M = c["width"], c["hidden"]
    shapes = {"wte.weight": (c["vocab"], C), "wpe.weight": (c["context"], C)}

    def add(name, *shape):
        shapes[name + ".weight"] = shape
        if c["bias"]:
            shapes[name + ".bias"] = shape[-1:]

    for h in (f"h.{l}." for l in range(c["layers"])):
        add(h + "ln_1", C)
        add(h + "attn.c_attn", C, 3 * C)
        add(h + "attn.c_proj", C, C)
        add(h + "ln_2", C)
        add(h + "mlp.c_fc", C, M)
        add(h + "mlp.c_proj", M, C)
    add("ln_f", C)
    if not c["tied"]:
        shapes["lm_head.weight"] = (c["vocab"], C)
    return shapes


# ---- Llama and its kin (Touvron et al. 2023; Mistral, Qwen) ----

def llama(c, p, batch):
    """Logits (N, V)."""
    def dense(x, name):
        y = x @ p[name + ".weight"].T
        return y + p[name + ".bias"] if name + ".bias" in p else y

    def norm(x, name):
        return rms_norm(x, p[name + ".weight"], c["eps"])

    x = p["model.embed_tokens.weight"][batch.ids]
    for l, h in ((l, f"model.layers.{l}.") for l in range(c["layers"])):
        y = norm(x, h + "input_layernorm")
        q, k, v = (dense(y, h + f"self_attn.{part}_proj").unflatten(1, (-1, c["head_dim"])) for part in "qkv")
        if c["qk_norm"]:
            q, k = norm(q, h + "self_attn.q_norm"), norm(k, h + "self_attn.k_norm")
        q, k = rope(q, batch.pos, c), rope(k, batch.pos, c)
        x = x + dense(attention(q, k, v, batch.seqs, c["window"] if l >= c.get("full_layers", 0) else 0), h + "self_attn.o_proj")
        y = norm(x, h + "post_attention_layernorm")
        x = x + dense(silu(dense(y, h + "mlp.gate_proj")) * dense(y, h + "mlp.up_proj"), h + "mlp.down_proj")
    return norm(x, "model.norm") @ p["model.embed_tokens.weight" if c["tied"] else "lm_head.weight"].T


def llama_shapes(c):
    """Every parameter's name and shape."""
    C, M, D = c["width"], c["hidden"], c["head_dim"]
    shapes = {"model.embed_tokens.weight": (c["vocab"], C)}
    for h in (f"model.layers.{l}." for l in range(c["layers"])):
        shapes[h + "input_layernorm.weight"] = (C,)
        for part, heads in ("q", c["heads"]), ("k", c["kv_heads"]), ("v", c["kv_heads"]):
            shapes[h + f"self_attn.{part}_proj.weight"] = (heads * D, C)
            if c["qkv_bias"]:
                shapes[h + f"self_attn.{part}_proj.bias"] = (heads * D,)
            if c["qk_norm"] and part in "qk":
                shapes[h + f"self_attn.{part}_norm.weight"] = (D,)
        shapes[h + "self_attn.o_proj.weight"] = (C, c["heads"] * D)
        if c.get("out_bias"):
            shapes[h + "self_attn.o_proj.bias"] = (C,)
        shapes[h + "post_attention_layernorm.weight"] = (C,)
        shapes[h + "mlp.gate_proj.weight"] = shapes[h + "mlp.up_proj.weight"] = (M, C)
        shapes[h + "mlp.down_proj.weight"] = (C, M)
        if c.get("mlp_bias"):
            shapes |= {h + "mlp.gate_proj.bias": (M,), h + "mlp.up_proj.bias": (M,), h + "mlp.down_proj.bias": (C,)}
    shapes["model.norm.weight"] = (C,)
    if not c["tied"]:
        shapes["lm_head.weight"] = (c["vocab"], C)
    return shapes


FAMILIES = {"gpt2": (gpt2, gpt2_shapes), "llama": (llama, llama_shapes)}
