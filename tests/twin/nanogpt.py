"""nanogpt.py -- a GPT with the names and shapes of nanoGPT's model.py, and checkpoints as its train.py writes them."""
import torch
import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def __init__(self, width, heads, bias):
        super().__init__()
        self.c_attn, self.c_proj, self.heads = nn.Linear(width, 3 * width, bias=bias), nn.Linear(width, width, bias=bias), heads

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = (y.view(b, t, self.heads, c // self.heads).transpose(1, 2) for y in self.c_attn(x).split(c, dim=2))
        return self.c_proj(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(b, t, c))


class Norm(nn.Module):
    def __init__(self, width, bias):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width)) if bias else None

    def forward(self, x):
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, 1e-5)


class Block(nn.Module):
    def __init__(self, width, heads, bias):
        super().__init__()
        self.ln_1, self.attn, self.ln_2 = Norm(width, bias), Attention(width, heads, bias), Norm(width, bias)
        self.mlp = nn.ModuleDict(dict(c_fc=nn.Linear(width, 4 * width, bias=bias), c_proj=nn.Linear(4 * width, width, bias=bias)))

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp.c_proj(F.gelu(self.mlp.c_fc(self.ln_2(x))))


class GPT(nn.Module):
    def __init__(self, n_layer, n_head, n_embd, block_size, vocab_size, bias, dropout):
        super().__init__()
        self.transformer = nn.ModuleDict(dict(wte=nn.Embedding(vocab_size, n_embd), wpe=nn.Embedding(block_size, n_embd),
                                              h=nn.ModuleList(Block(n_embd, n_head, bias) for _ in range(n_layer)), ln_f=Norm(n_embd, bias)))
        self.lm_head = nn.Linear(n_embd, vocab_size, bias=False)
        self.transformer.wte.weight = self.lm_head.weight
        for p in self.parameters():                          # nothing is symmetric, or hidden by a scale of 1 or a bias of 0
            nn.init.normal_(p, 1 if p.dim() == 1 else 0, 0.2)

    def forward(self, ids):
        x = self.transformer.wte(ids) + self.transformer.wpe(torch.arange(ids.shape[1]))
        for block in self.transformer.h:
            x = block(x)
        return self.lm_head(self.transformer.ln_f(x))


def checkpoint(model, model_args, steps=2, prefix=""):
    """After some steps of AdamW with nanoGPT's two groups: the dict that its train.py saves."""
    params = list(model.parameters())
    optimizer = torch.optim.AdamW([dict(params=[p for p in params if p.dim() >= 2], weight_decay=0.1), dict(params=[p for p in params if p.dim() < 2], weight_decay=0.0)],
                                  lr=1e-3, betas=(0.9, 0.95))
    ids = torch.arange(2 * model_args["block_size"]).view(2, -1) * 7 % model_args["vocab_size"]
    for _ in range(steps):
        loss = F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    state = model.state_dict()
    for name in list(state):
        state[prefix + name] = state.pop(name)
    return dict(model=state, optimizer=optimizer.state_dict(), model_args=model_args, iter_num=steps, best_val_loss=loss.detach(),
                config=dict(out_dir="out", dataset="it", learning_rate=1e-3, compile=True, device="cpu", betas=None))
