#!/usr/bin/env python3
"""check_tensorboard.py -- what src/file/tfevents.c writes, read by TensorBoard: scalars, texts, what a resumed run takes back, and a file whose end is torn."""
import json
import logging
import struct

import numpy as np
from tensorboard.backend.event_processing import event_accumulator, plugin_event_accumulator
from tensorboard.plugins.text import metadata
from tensorboard.util import tensor_util

from checks import NIB, build, check, finish, largest, part, run, within, workplace

TIME = 1700000000
TEXT = "    ROMEO:\n    <b>&amp; who</b>\n    \n    * not a list: é"


class Writer:
    """tests/twin/events.c"""
    def __init__(self, folder):
        self.program = build(folder, "events")

    def __call__(self, folder, *numbers):
        folder.mkdir(exist_ok=True)
        run(self.program, folder, *numbers)


def read(folder):
    """As TensorBoard's own pages see a folder: everything is a tensor there."""
    events = plugin_event_accumulator.EventAccumulator(str(folder), size_guidance={"tensors": 0})
    events.Reload()
    return events


def curve(events, tag):
    """(step, value, seconds) of a scalar."""
    return [(e.step, float(tensor_util.make_ndarray(e.tensor_proto)), e.wall_time) for e in events.Tensors(tag)]


def texts(events, tag):
    return [(e.step, [s.decode() for s in tensor_util.make_ndarray(e.tensor_proto).flatten()]) for e in events.Tensors(tag)]


def wanted(tag, rows):
    """What events.c writes; rows are (step, time at which its file began)."""
    value = {"loss/train": lambda step: 4 - step / 10, "lr": lambda step: step / 1000}[tag]
    return [(step, float(np.float32(value(step))), time + step) for step, time in rows]


def new_run(write, folder):
    write(folder, TIME, 0, 20)
    events = read(folder)
    for tag in "loss/train", "lr":
        check(curve(events, tag) == wanted(tag, [(step, TIME) for step in range(20)]), f"{tag}: {curve(events, tag)}")
        check(events.SummaryMetadata(tag).plugin_data.plugin_name == "scalars", f"{tag} is no scalar for TensorBoard")
    check(texts(events, "sample") == [(19, [TEXT])], f"sample: {texts(events, 'sample')}")
    check(events.SummaryMetadata("sample").plugin_data.plugin_name == metadata.PLUGIN_NAME, "sample is no text for TensorBoard")
    old = event_accumulator.EventAccumulator(str(folder), size_guidance={"scalars": 0})         # what most scripts use
    old.Reload()
    check(old.Tags()["scalars"] == ["loss/train", "lr"] and old.file_version == 2.0, f"{old.Tags()}")
    loss = [e.value for e in old.Scalars("loss/train")]
    within(max(abs(x - (4 - step / 10)) for step, x in enumerate(loss)), 1e-6, "scalars by EventAccumulator, largest difference")
    check(len(loss) == 20, f"{len(loss)} scalars")


def resumed_run(write, folder):
    """What the first file says of step 12 and later is not shown, whether the run went on in time or a reader had seen it already."""
    rows = [(step, TIME) for step in range(12)] + [(step, TIME + 1000) for step in range(12, 30)]
    write(folder, TIME, 0, 20)
    before = read(folder)
    write(folder, TIME + 1000, 12, 30)
    before.Reload()
    for name, events in ("read at once", read(folder)), ("read on", before):
        check(curve(events, "loss/train") == wanted("loss/train", rows), f"{name}: {curve(events, 'loss/train')}")
        check([step for step, _ in texts(events, "sample")] == [29], f"{name}: {texts(events, 'sample')}")


def lines_of(out):
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def a_run_of_nib(folder):
    """nib train, stopped and gone on with: TensorBoard shows what metrics.jsonl says, and the samples."""
    (folder / "text.txt").write_text("".join(f"what is the answer to {i * i % 997}?\n" for i in range(400)))
    run(NIB, "data", folder / "text.txt", "--tokenizer=char", f"--out={folder / 'data'}")
    out = folder / "out"
    train = ["train", f"--out_dir={out}", f"--dataset={folder / 'data'}", "--n_layer=1", "--n_head=2", "--n_embd=16", "--block_size=16", "--batch_size=2", "--gradient_accumulation_steps=1",
             "--eval_iters=2", "--eval_interval=20", "--sample_interval=10", "--threads=1", "--dtype=float32", "--log_interval=1"]
    run(NIB, *train, "--max_iters=40")
    run(NIB, *train, "--init_from=resume", "--max_iters=60")
    lines, events = lines_of(out), read(out)
    for tag, key in ("train/loss", "loss"), ("train/learning_rate", "lr"), ("train/grad_norm", "grad_norm"), ("evaluation/train_loss", "train_loss"), ("evaluation/val_loss", "val_loss"):
        want = [(line["step"], line[key]) for line in lines if key in line]
        got = [(step, value) for step, value, _ in curve(events, tag)]
        check([step for step, _ in got] == [step for step, _ in want], f"{tag}: steps {[step for step, _ in got]}")
        within(largest([x for _, x in got], [x for _, x in want]), 1e-5, f"{tag}, largest difference from metrics.jsonl")
    samples = [(line["step"], line["sample"]) for line in lines if "sample" in line]
    check(len(samples) == 6, f"{len(samples)} samples")
    shown = [(step, "\n".join(line[4:] for line in text[0].split("\n"))) for step, text in texts(events, "sample")]
    check(shown == samples, f"samples: {shown}")


def torn_file(write, folder):
    """A machine that died within a record: everything before it is read, and the next file too."""
    write(folder, TIME, 0, 10)
    [file] = folder.iterdir()
    whole = file.read_bytes()
    at, ends = 0, []
    while at < len(whole):
        at += 16 + struct.unpack_from("<Q", whole, at)[0]
        ends.append(at)
    check(ends[-1] == len(whole) and len(ends) == 13, f"{len(ends)} records")
    for cut in 1, 8, 11, 13, ends[11] - ends[10] - 1:
        file.write_bytes(whole[:ends[10] + cut])
        check(curve(read(folder), "lr") == wanted("lr", [(step, TIME) for step in range(9)]), f"cut {cut} bytes into a record")
    write(folder, TIME + 1000, 9, 15)
    check(curve(read(folder), "lr") == wanted("lr", [(step, TIME) for step in range(9)] + [(step, TIME + 1000) for step in range(9, 15)]), "resumed behind a torn file")


if __name__ == "__main__":
    logging.getLogger("tensorboard").setLevel(logging.ERROR)        # it says what it purges
    with workplace() as place:
        writer = Writer(place)
        for name, of in ("a new run", new_run), ("a resumed run", resumed_run), ("a torn file", torn_file):
            with part(name):
                of(writer, place / name.replace(" ", "-"))
        with part("a run of nib"):
            a_run_of_nib(place)
    finish()
