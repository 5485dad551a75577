#!/usr/bin/env python3
"""train_torch.py -- training steps of nanoGPT's model in PyTorch, as its users run them: SDPA attention, fused AdamW, clipping.

    train_torch.py --model tiny|baby|124m [--dtype float32|bfloat16] [--compile] [--threads N] [--batch B] [--block T] [--dropout P]
                   [--steps N] [--warmup N] [--json]

The options mean what they mean to nib bench train, and so do the names in what is printed.  Shapes: idx, targets (B, T), logits
(B, T, V).  FLOPs a token are 6 N + 12 L C T (PaLM, appendix B; N without the position table), causal attention counted whole,
as nanoGPT does."""
import argparse
import json
import math
import resource
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

SHAPES = {  # layers, heads, width, block, batch, vocabulary, dropout
    "tiny": (4, 4, 128, 64, 12, 65, 0.0),
    "baby": (6, 6, 384, 256, 12, 65, 0.2),
    "124m": (12, 12, 768, 256, 4, 50304, 0.0),
}


class Block(nn.Module):
    def __init__(self, H, C, p):
        super().__init__()
        self.H, self.p = H, p
        self.n1, self.n2 = nn.LayerNorm(C, bias=False), nn.LayerNorm(C, bias=False)
        self.qkv, self.out = nn.Linear(C, 3 * C, bias=False), nn.Linear(C, C, bias=False)
        self.up, self.down = nn.Linear(C, 4 * C, bias=False), nn.Linear(4 * C, C, bias=False)

    def forward(self, x):
        B, T, C = x.shape
        q, k, v = (t.view(B, T, self.H, C // self.H).transpose(1, 2) for t in self.qkv(self.n1(x)).split(C, 2))
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=self.p if self.training else 0.0, is_causal=True)
        x = x + F.dropout(self.out(y.transpose(1, 2).reshape(B, T, C)), self.p, self.training)
        return x + F.dropout(self.down(F.gelu(self.up(self.n2(x)))), self.p, self.training)


class GPT(nn.Module):
    def __init__(self, L, H, C, T, V, p):
        super().__init__()
        self.p = p
        self.tok, self.pos = nn.Embedding(V, C), nn.Embedding(T, C)
        self.blocks, self.norm = nn.ModuleList(Block(H, C, p) for _ in range(L)), nn.LayerNorm(C, bias=False)
        for m in self.modules():
            if isinstance(m, (nn.Linear, nn.Embedding)):
                nn.init.normal_(m.weight, std=0.02)
        for b in self.blocks:
            nn.init.normal_(b.out.weight, std=0.02 / math.sqrt(2 * L))
            nn.init.normal_(b.down.weight, std=0.02 / math.sqrt(2 * L))

    def forward(self, idx, targets):
        x = F.dropout(self.tok(idx) + self.pos.weight[: idx.shape[1]], self.p, self.training)
        for b in self.blocks:
            x = b(x)
        logits = F.linear(self.norm(x), self.tok.weight)
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.view(-1))


def arguments():
    a = argparse.ArgumentParser()
    a.add_argument("--model", choices=SHAPES, default="tiny")
    a.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    a.add_argument("--compile", action="store_true")
    a.add_argument("--threads", type=int, default=0)
    a.add_argument("--batch", type=int)
    a.add_argument("--block", type=int)
    a.add_argument("--dropout", type=float)
    a.add_argument("--steps", type=int, default=10)
    a.add_argument("--warmup", type=int, default=3)
    a.add_argument("--json", action="store_true")
    return a.parse_args()


def optimizer(model):
    decay = [x for x in model.parameters() if x.dim() >= 2]
    rest = [x for x in model.parameters() if x.dim() < 2]
    return torch.optim.AdamW([{"params": decay, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}], lr=1e-3, betas=(0.9, 0.99), fused=True)


def draw(data, B, T):
    at = torch.randint(len(data) - T - 1, (B,))
    return torch.stack([data[j:j + T] for j in at]), torch.stack([data[j + 1:j + T + 1] for j in at])


def timed_steps(a, model, B, T, V):
    """Seconds of each step behind the warm-up, in ascending order."""
    adam, run = optimizer(model), torch.compile(model) if a.compile else model
    data = torch.randint(V, (B * T * 64 + 1,))
    times = []
    for _ in range(a.warmup + a.steps):
        start = time.perf_counter()
        x, y = draw(data, B, T)
        with torch.autocast("cpu", torch.bfloat16, enabled=a.dtype == "bfloat16"):
            loss = run(x, y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        adam.zero_grad(set_to_none=True)
        loss.item()
        times.append(time.perf_counter() - start)
    return sorted(times[a.warmup:])


def main():
    a = arguments()
    if a.threads:
        torch.set_num_threads(a.threads)
    L, H, C, T, B, V, p = SHAPES[a.model]
    T, B, p = a.block or T, a.batch or B, p if a.dropout is None else a.dropout
    torch.manual_seed(1337)
    model = GPT(L, H, C, T, V, p)
    N = sum(x.numel() for x in model.parameters()) - model.pos.weight.numel()
    times = timed_steps(a, model, B, T, V)
    best, median, flops = times[0], times[len(times) // 2], (6 * N + 12 * L * C * T) * B * T
    r = dict(peer=f"torch {torch.__version__} {'compile' if a.compile else 'eager'}", model=a.model, dtype="bf16" if a.dtype == "bfloat16" else "f32",
             threads=torch.get_num_threads(), batch=B, block=T, dropout=p, params=N, ms_best=best * 1e3, ms_median=median * 1e3,
             tok_s_best=B * T / best, tok_s_median=B * T / median, gflops_best=flops / best / 1e9, gflops_median=flops / median / 1e9,
             rss_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    print(json.dumps(r) if a.json else " ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in r.items()))


main()
