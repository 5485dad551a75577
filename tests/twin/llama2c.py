"""llama2c.py -- llama2.c's model files, written as its export.py writes them, of transformers' Llama."""
import struct

import numpy as np

LAYER = {"norm1": "input_layernorm", "q": "self_attn.q_proj", "k": "self_attn.k_proj", "v": "self_attn.v_proj", "o": "self_attn.o_proj",
         "norm2": "post_attention_layernorm", "gate": "mlp.gate_proj", "down": "mlp.down_proj", "up": "mlp.up_proj"}
ALL = {"table": "model.embed_tokens", "norm": "model.norm", "head": "lm_head"}
ORDERS = ("table norm1 q k v o norm2 gate down up norm positions head", *["norm1 norm2 norm table q k v o gate down up head"] * 2)


def neighbours(w, heads):
    """Rows of q or k: pairs (j, j + D / 2) of a head become neighbours."""
    return w.reshape(heads, 2, -1, w.shape[1]).transpose(0, 2, 1, 3).reshape(w.shape)


def positions(c):
    dim = c.hidden_size // c.num_attention_heads
    angles = np.outer(np.arange(c.max_position_embeddings), 10000.0 ** (-np.arange(0, dim, 2) / dim))
    return np.stack([np.cos(angles), np.sin(angles)])


def arrays(c, weights, version):
    """In the order of the file."""
    for kind in ORDERS[version].split():
        if kind == "positions":
            yield positions(c)
        elif kind in ALL:
            if kind != "head" or not c.tie_word_embeddings:
                yield weights[ALL[kind] + ".weight"]
        else:
            for layer in range(c.num_hidden_layers):
                w = weights[f"model.layers.{layer}.{LAYER[kind]}.weight"]
                yield neighbours(w, c.num_attention_heads if kind == "q" else c.num_key_value_heads) if kind in "qk" else w


def quantized(w, group):
    """Whole numbers of 8 bits, and the scale of each group."""
    groups = w.reshape(-1, group)
    scale = np.abs(groups).max(1, keepdims=True) / np.float32(127)
    return np.round(groups / scale).astype(np.int8), scale.astype(np.float32)


def rounded(w, group):
    q, scale = quantized(w, group)
    return (q * scale).reshape(w.shape)


def model_bytes(c, weights, version, group=8):
    sizes = [c.hidden_size, c.intermediate_size, c.num_hidden_layers, c.num_attention_heads, c.num_key_value_heads, c.vocab_size, c.max_position_embeddings]
    if version == 0 and not c.tie_word_embeddings:
        sizes[5] = -sizes[5]
    head = struct.pack("<7i", *sizes)
    if version:
        head = (b"24ka" + struct.pack("<i", version) + head + struct.pack("<Bi", c.tie_word_embeddings, group * (version == 2))).ljust(256, b"\0")
    parts = []
    for w in arrays(c, weights, version):
        w = np.ascontiguousarray(w, np.float32)
        parts += [part.tobytes() for part in (quantized(w, group) if version == 2 and w.ndim == 2 else [w])]
    return head + b"".join(parts)
