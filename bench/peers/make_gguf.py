#!/usr/bin/env python3
"""make_gguf.py -- a GPT-2 of random weights as GGUF, to time llama.cpp with: they run as fast as trained ones.

    make_gguf.py OUT f32|f16|bf16|q8_0|q4_0 [layers heads width]

The vocabulary has GPT-2's size and made-up entries: ids go in and logits come out."""
import sys

import gguf
import numpy as np

Q = gguf.GGMLQuantizationType
KINDS = {"f32": (Q.F32, 0), "f16": (Q.F16, 1), "bf16": (Q.BF16, 32), "q8_0": (Q.Q8_0, 7), "q4_0": (Q.Q4_0, 2)}  # and general.file_type
VOCAB, CONTEXT = 50257, 1024


def header(w, L, H, C, file_type):
    w.add_block_count(L)
    w.add_context_length(CONTEXT)
    w.add_embedding_length(C)
    w.add_feed_forward_length(4 * C)
    w.add_head_count(H)
    w.add_layer_norm_eps(1e-5)
    w.add_file_type(file_type)
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("gpt-2")
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    letters = [chr(b) for b in plain] + [chr(0x100 + i) for i in range(256 - len(plain))]  # how GPT-2 spells bytes
    w.add_token_list(letters + ["ab"] + [f"<{i}>" for i in range(257, VOCAB)])
    w.add_token_types([1] * VOCAB)
    w.add_token_merges(["a b"])
    w.add_bos_token_id(VOCAB - 1)
    w.add_eos_token_id(VOCAB - 1)


def weights(w, L, C, kind):
    rng = np.random.default_rng(0)

    def put(name, *shape):
        x = rng.standard_normal(shape, dtype=np.float32) * 0.02
        if "norm.weight" in name:
            x = np.ones_like(x)
        if kind == Q.F32 or len(shape) == 1 or "position" in name:
            w.add_tensor(name, x)
        elif kind == Q.F16:
            w.add_tensor(name, x.astype(np.float16))
        else:
            w.add_tensor(name, gguf.quants.quantize(x, kind), raw_dtype=kind)

    put("token_embd.weight", VOCAB, C)
    put("position_embd.weight", CONTEXT, C)
    put("output_norm.weight", C)
    put("output_norm.bias", C)
    for i in range(L):
        for name, shape in dict(attn_qkv=(3 * C, C), attn_output=(C, C), ffn_up=(4 * C, C), ffn_down=(C, 4 * C)).items():
            put(f"blk.{i}.{name}.weight", *shape)
            put(f"blk.{i}.{name}.bias", shape[0])
        for name in "attn_norm", "ffn_norm":
            put(f"blk.{i}.{name}.weight", C)
            put(f"blk.{i}.{name}.bias", C)


def main():
    out, (kind, file_type) = sys.argv[1], KINDS[sys.argv[2]]
    L, H, C = map(int, sys.argv[3:6]) if len(sys.argv) > 3 else (12, 12, 768)
    w = gguf.GGUFWriter(out, "gpt2")
    header(w, L, H, C, file_type)
    weights(w, L, C, kind)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


main()
