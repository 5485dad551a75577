"""llmc.py -- llm.c's files, written as its train_gpt2.py and dev/data write them: models, the debug state, shards of tokens."""
import numpy as np
import torch

KINDS = ["ln_1.weight", "ln_1.bias", "attn.c_attn.weight", "attn.c_attn.bias", "attn.c_proj.weight", "attn.c_proj.bias",
         "ln_2.weight", "ln_2.bias", "mlp.c_fc.weight", "mlp.c_fc.bias", "mlp.c_proj.weight", "mlp.c_proj.bias"]


def header(*numbers):
    out = np.zeros(256, np.int32)
    out[:len(numbers)] = numbers
    return out.tobytes()


def arrays(c, weights):
    """Hugging Face's GPT-2, weights or their gradients, in llm.c's order and layout: dense layers are (out, in)."""
    rows = -(-c.vocab_size // 128) * 128
    yield np.concatenate([weights["transformer.wte.weight"], np.zeros((rows - c.vocab_size, c.n_embd), np.float32)])
    yield weights["transformer.wpe.weight"]
    for kind in KINDS:
        for layer in range(c.n_layer):
            w = weights[f"transformer.h.{layer}.{kind}"]
            yield w.T if w.ndim == 2 else w
    yield weights["transformer.ln_f.weight"]
    yield weights["transformer.ln_f.bias"]


def numbers(c, weights, bf16):
    flat = [torch.from_numpy(np.ascontiguousarray(a, np.float32)) for a in arrays(c, weights)]
    return b"".join((a.bfloat16().view(torch.int16) if bf16 else a).numpy().tobytes() for a in flat)


def model_bytes(c, weights, bf16=False):
    return header(20240326, 5 if bf16 else 3, c.n_positions, c.vocab_size, c.n_layer, c.n_head, c.n_embd, -(-c.vocab_size // 128) * 128) + numbers(c, weights, bf16)


def state_bytes(model, x, y):
    """What a model of Hugging Face's makes of a batch, and the gradients of the mean loss."""
    model.zero_grad()
    logits = model(x).logits
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten())
    loss.backward()
    gradients = {name: p.grad.numpy() for name, p in model.named_parameters()}
    parts = [t.detach().numpy().astype(kind).tobytes() for t, kind in ((x, np.int32), (y, np.int32), (logits, np.float32), (loss, np.float32))]
    return header(20240327, 2, *x.shape) + b"".join(parts) + numbers(model.config, gradients, False)


def shard_bytes(ids, wide=False):
    return header(*(20240801, 7) if wide else (20240520, 1), len(ids)) + np.asarray(ids, np.uint32 if wide else np.uint16).tobytes()
