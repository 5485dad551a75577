"""checks.py -- what the checks share: counting, running nib, its batches, and a training run in PyTorch.

A check calls check, within and skip, and at its end finish(), which prints "N passed, N failed, N skipped".  What is larger than
a moment's work is announced by its figures: the largest difference found, and the bound."""
import contextlib
import json
import math
import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent
GOLDEN = ROOT / "tests/golden"
NIB = Path(os.environ.get("NIB", ROOT / "nib")).absolute()
counts = {"passed": 0, "failed": 0, "skipped": 0}


# ---- counting ----

def check(ok, what):
    counts["passed" if ok else "failed"] += 1
    if not ok:
        print("failed:", what)


def within(difference, bound, what):
    """A difference of NaN fails."""
    print(f"  {what}: {difference:.1e} (bound {bound:.0e})")
    check(difference <= bound, f"{what}: {difference:.3e} is over {bound:.0e}")


def skip(name, reason):
    counts["skipped"] += 1
    print(f"skipped: {name}: {reason}")


@contextlib.contextmanager
def part(name):
    """A part that cannot go on fails, and the next one has its turn."""
    print(name)
    try:
        yield
    except Exception as e:
        check(False, f"{name}: {type(e).__name__}: {e}")


def finish():
    print(", ".join(f"{n} {what}" for what, n in counts.items()), flush=True)
    sys.exit(counts["failed"] > 0)


def largest(a, b):
    """The largest difference of two arrays; NaN if they have not one shape."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return float(np.abs(a - b).max()) if a.shape == b.shape else math.nan


# ---- data that a checkout does not carry ----

def data(path):
    """A file or folder of the data sets beside the checkout, or None."""
    path = Path(os.environ.get("NIB_DATA", ROOT / "../shared/data")) / path
    return path.resolve() if path.exists() else None


def gpt2_files():
    """The folder of GPT-2's vocab.bpe and encoder.json: beside the checkout, or where nib keeps what it downloaded; or None."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "nib/gpt2"
    return next((folder for folder in (data("gpt2-bpe"), cache) if folder and (folder / "vocab.bpe").exists()), None)


@contextlib.contextmanager
def workplace():
    """An empty folder to work in, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="nib-twin-") as folder:
        yield Path(folder)


# ---- nib ----

def run(*command, stdin=b"", cwd=None):
    done = subprocess.run([str(c) for c in command], input=stdin, capture_output=True, cwd=cwd)
    if done.returncode:
        raise RuntimeError(f"{' '.join(str(c) for c in command)}: status {done.returncode}: {done.stderr.decode(errors='replace').strip()[-800:]}")
    return done.stdout


def build(folder, name):
    """tests/twin/NAME.c with libnib.a, as a program in the folder."""
    program = folder / name
    run("make", "-s", "libnib.a", cwd=ROOT)
    run("gcc", "-std=gnu17", "-Wall", "-Wextra", "-Werror", "-Isrc", Path(__file__).parent / f"{name}.c", "libnib.a", "-fopenmp", *"-lpcre2-8 -lutf8proc -ljansson -lcurl -lcrypto -lz -lm".split(),
        *os.environ.get("LDFLAGS", "").split(), "-o", program, cwd=ROOT)
    return program


def nib(*arguments):
    """What nib printed, as bytes.  An error of nib's is an exception."""
    return run(NIB, *arguments)


def options(settings):
    return [f"--{key}={value}" for key, value in settings.items()]


def write_tokens(folder, ids):
    """The same ids to train and to validate, as nanoGPT's prepare.py writes them."""
    folder.mkdir()
    for split in "train", "val":
        np.array(ids, np.uint16).tofile(folder / f"{split}.bin")


def step_losses(run_folder):
    """The losses of the steps of a run, from first to last."""
    lines = [json.loads(line) for line in open(run_folder / "metrics.jsonl")]
    return [line["loss"] for line in lines if "loss" in line]


def greedy(folder, start, n):
    """What nib writes after `start`, start included: n tokens, each the likeliest."""
    out = nib("sample", folder, "--greedy", "--num_samples=1", f"--max_new_tokens={n}", "--past_end", f"--start={start}").decode()
    return out.removesuffix("\n---------------\n")


class Asker:
    """tests/twin/logits.c, which asks libnib: what a model folder makes of a text."""
    def __init__(self, folder):
        self.program = folder / "logits"
        (folder / "libnib.so.0").symlink_to(ROOT / "libnib.so")
        run("gcc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-I", ROOT / "include", Path(__file__).parent / "logits.c",
            folder / "libnib.so.0", f"-Wl,-rpath,{folder}", "-o", self.program)

    def __call__(self, folder, text):
        """The text's ids, for each of them the logits of what comes next, and the text made of the ids again."""
        out = run(self.program, folder, stdin=text.encode())
        n, vocab = struct.unpack_from("<qq", out)
        ids, logits = np.frombuffer(out, np.int32, n, 16), np.frombuffer(out, np.float32, n * vocab, 16 + 4 * n)
        return ids.tolist(), logits.reshape(n, vocab), out[16 + 4 * n + 4 * n * vocab:].decode()


# ---- nib's random numbers (src/base/rng.c): Philox 4x32-10 (Salmon et al. 2011) ----

M32, M64 = 2**32 - 1, 2**64 - 1


def philox(key, index, salt):
    c, k = [index & M32, index >> 32, salt, 0], [key & M32, key >> 32]
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [b >> 32 ^ c[1] ^ k[0], b & M32, a >> 32 ^ c[3] ^ k[1], a & M32]
        k = [(k[0] + 0x9E3779B9) & M32, (k[1] + 0xBB67AE85) & M32]
    return c[1] << 32 | c[0]


def mix(x):
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & M64
    x = (x ^ x >> 27) * 0x94D049BB133111EB & M64
    return x ^ x >> 31


def draw_spread(seed, stream, index, n):
    """Number `index` of a stream, in [0, n): the fractional part of u + index * golden ratio."""
    name = 0xCBF29CE484222325
    for byte in stream.encode():
        name = (name ^ byte) * 0x100000001B3 & M64
    key = mix(mix(seed + 0x9E3779B97F4A7C15 & M64) ^ name)
    return (philox(key, 0, 0) + index * 0x9E3779B97F4A7C15 & M64) * n >> 64


def batches(ids, s):
    """The windows that nib train draws with settings s: for each step and micro-batch the inputs and targets, (batch, block)."""
    block, batch, micros = s["block_size"], s["batch_size"], s["gradient_accumulation_steps"]
    for step in range(s["max_iters"]):
        numbers = [[(step * micros + micro) * batch + i for i in range(batch)] for micro in range(micros)]
        starts = [[draw_spread(s["seed"], "batches", number, len(ids) - block) for number in row] for row in numbers]
        yield [tuple(np.stack([ids[at + off:at + off + block] for at in row]).astype(np.int64) for off in (0, 1)) for row in starts]


# ---- the same run in PyTorch ----

def rate(step, s):
    """nanoGPT's schedule: up in a line, down as a cosine."""
    if step < s["warmup_iters"]:
        return s["learning_rate"] * (step + 1) / (s["warmup_iters"] + 1)
    done = (step - s["warmup_iters"]) / (s["lr_decay_iters"] - s["warmup_iters"])
    return s["min_lr"] + 0.5 * (1 + math.cos(math.pi * done)) * (s["learning_rate"] - s["min_lr"])


def torch_losses(params, mean_loss, ids, s):
    """The loss of each step, by torch.optim.AdamW with nanoGPT's two groups.  mean_loss(inputs, targets) reads params."""
    import torch
    groups = [{"params": [p for p in params if p.dim() > 1], "weight_decay": s["weight_decay"]},
              {"params": [p for p in params if p.dim() == 1], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW([g for g in groups if g["params"]], betas=(s["beta1"], s["beta2"]), eps=1e-8)
    curve = []
    for step, micros in enumerate(batches(ids, s)):
        for group in optimizer.param_groups:
            group["lr"] = rate(step, s)
        total = 0
        for inputs, targets in micros:
            loss = mean_loss(torch.from_numpy(inputs), torch.from_numpy(targets)) / len(micros)
            loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(params, s["grad_clip"])
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        curve.append(total)
    return curve
