#!/usr/bin/env python3
"""check_llamacpp.py -- GGUF files by nib export in llama.cpp and in the gguf package: keys, tensors, ids, logits, words; and files that those wrote, in nib."""
import ctypes
import json
import random
import unicodedata

import numpy as np
import torch

import make_tokenizer_golden as golden
from checks import Asker, check, finish, largest, nib, part, skip, within, workplace
from fuzz_tokenizer import texts
from hub import LLAMA3, gpt2, llama, turning

try:
    import gguf
    from gguf import GGMLQuantizationType as Kinds
except ImportError:
    gguf = None
try:
    import llama_cpp
except ImportError:
    llama_cpp = None

silent = llama_cpp and llama_cpp.llama_log_callback(lambda level, text, context: None)
CONTEXT, VOCAB, TEXTS = 64, 512, 400
TEXT = "Once there was a small hedgehog, who didn't"

MODELS = {
    "gpt2": lambda end: gpt2(VOCAB, CONTEXT, end),
    "gpt2, own head, n_inner": lambda end: gpt2(VOCAB, CONTEXT, end, tie_word_embeddings=False, n_inner=52),
    "llama": lambda end: llama(VOCAB, CONTEXT, end),
    "llama, tied, wide heads": lambda end: llama(VOCAB, CONTEXT, end, tie_word_embeddings=True, head_dim=10, **turning("default", 500000.0)),
    "llama, biases": lambda end: llama(VOCAB, CONTEXT, end, attention_bias=True, mlp_bias=True),
    "llama, linear": lambda end: llama(VOCAB, CONTEXT, end, **turning("linear", factor=4.0)),
    "llama, dynamic": lambda end: llama(VOCAB, CONTEXT, end, **turning("dynamic", factor=4.0)),
    "llama, llama3": lambda end: llama(VOCAB, CONTEXT, end, head_dim=16, **turning("llama3", 500.0, **LLAMA3)),
    "llama, yarn": lambda end: llama(VOCAB, CONTEXT, end, head_dim=16, **turning("yarn", 100.0, factor=4.0, original_max_position_embeddings=16)),
    "llama, yarn as it is told": lambda end: llama(VOCAB, CONTEXT, end, head_dim=16, **turning("yarn", 1000.0, factor=4.0, original_max_position_embeddings=16, beta_fast=4,
                                                                                          beta_slow=0.5, attention_factor=1.3)),
    "mistral, a window": lambda end: llama(VOCAB, CONTEXT, end, family="Mistral", sliding_window=48),
    "qwen2": lambda end: llama(VOCAB, CONTEXT, end, family="Qwen2", tie_word_embeddings=True),
    "qwen3": lambda end: llama(VOCAB, CONTEXT, end, family="Qwen3", head_dim=8),
}


def train_tokenizer(folder, regex="gpt2", vocab=VOCAB):
    """By nib, from a text of ours; the id of its end token."""
    (folder / "text.txt").write_text(golden.TEXT * 3)
    nib("tokenizer", "train", folder / "text.txt", f"--vocab={vocab}", f"--regex={regex}", "--out", folder / f"tokenizer-{regex}")
    return json.loads((folder / f"tokenizer-{regex}/tokenizer.json").read_text())["added_tokens"][0]["id"]


def save(model, folder, tokenizer):
    model.save_pretrained(folder)
    for name in "tokenizer.json", "tokenizer_config.json":
        (folder / name).write_bytes((tokenizer / name).read_bytes())


def export(folder, out, *more):
    nib("export", folder, "--to=gguf", f"--out={out}", *more)
    return gguf.GGUFReader(out)


def open_llama(path, **more):
    zero = 0                                                 # f32
    return llama_cpp.Llama(str(path), n_ctx=CONTEXT, n_batch=CONTEXT, n_threads=1, logits_all=True, type_k=zero, type_v=zero, flash_attn=False, verbose=False, **more)


# ---- models ----

def logits_of_llama(model, ids):
    model.reset()
    model.eval(ids)
    return np.array(model.scores[:len(ids)])


def greedy(scores_of, ids, n):
    ids = list(ids)
    for _ in range(n):
        ids.append(int(np.argmax(scores_of(ids))))
    return ids


def each_model(ask, folder):
    end = train_tokenizer(folder)
    for number, (name, make) in enumerate(MODELS.items()):
        out, file = folder / f"model{number}", folder / f"model{number}.gguf"
        save(make(end), out, folder / "tokenizer-gpt2")
        reader = export(out, file)
        check(all(t.data is not None for t in reader.tensors) and reader.fields["tokenizer.ggml.pre"].contents() == "gpt-2", f"{name}: GGUFReader")
        ids, ours, _ = ask(out, TEXT)
        again, same, _ = ask(file, TEXT)
        check(ids == again, f"{name}: other ids")
        within(largest(ours, same), 2e-6 if name.startswith("gpt2") else 1e-4 if "yarn" in name or "llama3" in name else 0, f"{name}: the folder's logits and the file's, in nib")
        if llama_cpp is None:
            continue
        model = open_llama(file)
        within(largest(same, logits_of_llama(model, ids)), 3e-2 if name.startswith("gpt2") else 1e-3, f"{name}: nib's logits and llama.cpp's")     # whose GELU has 11 bits
        theirs = greedy(lambda x: logits_of_llama(model, x)[-1], ids, 12)
        wrote = nib("sample", file, "--greedy", "--num_samples=1", "--max_new_tokens=12", "--past_end", f"--start={TEXT}").decode().removesuffix("\n---------------\n")
        check(wrote == model.detokenize(theirs).decode(errors="replace"), f"{name}: other words: {wrote!r} and {model.detokenize(theirs)!r}")
        model.close()


# ---- numbers in blocks ----

def dense(reader):
    return {t.name: (t.tensor_type, gguf.quants.dequantize(t.data, t.tensor_type).reshape(-1), t.data.tobytes()) for t in reader.tensors}


def same_as_package(file, plain, name):
    """The blocks that gguf's quantizers make, of all tensors that have such."""
    compared = 0
    for tensor, (kind, _, raw) in dense(file).items():
        if kind not in (Kinds.Q8_0, Kinds.Q4_0, Kinds.Q5_0, Kinds.Q5_1):
            continue
        t = next(t for t in plain.tensors if t.name == tensor)
        compared += 1
        check(gguf.quants.quantize(t.data, kind).tobytes() == raw, f"{name}: {tensor} has other {kind.name} blocks than gguf's")
    return compared


def quantize_by_llama(source, out, number):
    p = llama_cpp.llama_model_quantize_default_params()
    p.ftype, p.nthread = number, 1
    return llama_cpp.llama_model_quantize(str(source).encode(), str(out).encode(), ctypes.byref(p))


def spread(x):
    return float(np.sqrt(np.mean(np.square(np.asarray(x, np.float64)))))


def compare_recipes(ours, theirs, exact, name):
    """The same types; and in blocks of K errors that are not larger."""
    other = {n: (ours[n][0].name, theirs[n][0].name) for n in ours if theirs[n][0] != ours[n][0]}
    check(not other and ours.keys() == theirs.keys(), f"{name}: other types than llama.cpp's: {other}")
    ratios = [spread(v - exact[n][1]) / spread(theirs[n][1] - exact[n][1]) for n, (kind, v, _) in ours.items() if kind.name.endswith("_K")]
    if ratios:
        print(f"  {name}: errors of blocks of K are {min(ratios):.3f} to {max(ratios):.3f} of llama.cpp's (bound 1.02)")
        check(max(ratios) <= 1.02, f"{name}: larger errors than llama.cpp's: {max(ratios)}")


def each_recipe(ask, folder):
    end = train_tokenizer(folder)
    sizes = {256: dict(n_embd=256, n_head=4), 96: dict(n_embd=96, n_head=3), 40: dict(n_embd=40, n_head=2)}
    for width, number in [(w, n) for w in sizes for n in ("gpt2", "llama")]:
        family = dict(n_layer=3, **sizes[width]) if number == "gpt2" else dict(hidden_size=width, intermediate_size=2 * width, num_hidden_layers=9)
        model = gpt2(VOCAB, CONTEXT, end, **family) if number == "gpt2" else llama(VOCAB, CONTEXT, end, **family)
        out = folder / f"{number}{width}"
        save(model, out, folder / "tokenizer-gpt2")
        plain = export(out, folder / f"{number}{width}.gguf")
        _, exact, _ = ask(folder / f"{number}{width}.gguf", TEXT)
        for recipe, ftype, loss in ("f16", 1, 2e-3), ("bf16", 32, 3e-2), ("q8_0", 7, 5e-2), ("q4_0", 2, 0.6), ("q4_k_m", 15, 0.6):
            name, file = f"{number}, width {width}, {recipe}", folder / f"{number}{width}-{recipe}.gguf"
            made = export(out, file, f"--quantize={recipe}")
            ids, logits, _ = ask(file, TEXT)
            within(spread(logits - exact) / spread(exact), loss, f"{name}: what logits lose")
            check(same_as_package(made, plain, name) > 0 or width == 40 or recipe not in ("q8_0", "q4_0"), f"{name}: no blocks")
            if llama_cpp is None:
                continue
            loaded = open_llama(file)
            within(spread(logits_of_llama(loaded, ids) - logits) / spread(exact), 1e-1 if recipe[0] == "q" else 1e-2, f"{name}: nib's logits and llama.cpp's, which rounds activations, too")
            loaded.close()
            theirs = folder / "theirs.gguf"
            check(quantize_by_llama(folder / f"{number}{width}.gguf", theirs, ftype) == 0, f"{name}: llama.cpp cannot quantize the file")
            compare_recipes(dense(made), dense(gguf.GGUFReader(theirs)), dense(plain), name)
            within(spread(ask(theirs, TEXT)[1] - exact) / spread(exact), loss, f"{name}: what logits lose by llama.cpp's quantizer, in nib")


# ---- tokenizers ----

PRES = {
    "gpt2": "gpt-2 phi-2 mpt olmo jais jina-es jina-de jina-v2-es jina-v2-de gigachat a.x-4.0 mellum modern-bert trillion granite-docling exaone4 "
            "smollm starcoder refact command-r codeshell exaone minerva-7b mellum2",
    "llama3": "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano smaug-bpe dbrx chatglm-bpe glm4 glm5",
    "qwen2": "qwen2 deepseek-r1-qwen stablelm2 megrez hunyuan grok-2 kormo f2llmv2 solar-open qwen35",
    "o200k": "gpt-4o llama4 kanana2 talkie minimax-m2 tekken",
}


def vocabulary(path, file, pre):
    """A file of nothing but a tokenizer, by the gguf package."""
    vocab, merges = json.loads(file.read_text())["model"]["vocab"], json.loads(file.read_text())["model"]["merges"]
    special = {t["id"] for t in json.loads(file.read_text())["added_tokens"]}
    w = gguf.GGUFWriter(path, "llama")
    w.add_tokenizer_model("gpt2"), w.add_tokenizer_pre(pre), w.add_token_list(sorted(vocab, key=vocab.get)), w.add_token_merges(merges)
    w.add_token_types([3 if i in special else 1 for i in range(len(vocab))])
    w.add_bos_token_id(max(special)), w.add_eos_token_id(max(special)), w.add_add_bos_token(False)
    for add in w.add_context_length, w.add_embedding_length, w.add_block_count, w.add_head_count, w.add_feed_forward_length:
        add(8)
    w.add_layer_norm_rms_eps(1e-5)
    w.write_header_to_file(), w.write_kv_data_to_file(), w.write_tensors_to_file(), w.close()


def of_one_age(text):
    """Characters that both libraries' tables of Unicode know, and none whose small letter is ASCII's (U+017F, U+212A), which (?i:'s) takes and llama.cpp does not."""
    return "".join(c for c in text if unicodedata.category(c) not in ("Cn", "Co", "Cs") and c not in "\u017f\u212a\u0085\u180e")


def random_texts(ascii_capitals):
    made = [of_one_age(t) for t in texts(random.Random(3), TEXTS, golden.TEXT)] + golden.BY_HAND
    if ascii_capitals:                                       # llama.cpp knows no other large letters in these two patterns, and no marks
        made = ["".join(c for c in t if ord(c) < 128) for t in made]
    return [t for t in made if t and "\0" not in t]


def ids_of_nib(folder, tokenizer, made, end):
    lines = folder / "texts.jsonl"
    lines.write_text("".join(json.dumps({"text": t}) + "\n" for t in made))
    nib("data", lines, "--out", folder / "out", f"--tokenizer={tokenizer}", f"--val={lines}")
    ids = np.fromfile(folder / "out/train.bin", np.uint16)
    return [piece[:-1].tolist() for piece in np.split(ids, np.flatnonzero(ids == end) + 1)[:-1]]


def same_ids(folder, name, tokenizer, model, made, end):
    ours = ids_of_nib(folder, tokenizer, made, end)
    theirs = [model.tokenize(t.encode(), add_bos=False, special=False) for t in made]
    wrong = [(t, a, b) for t, a, b in zip(made, ours, theirs) if a != b]
    check(len(ours) == len(made) and not wrong, f"{name}: {len(wrong)} of {len(made)} texts with other ids, such as {wrong[:1]!r:.400}")


def each_pre(folder):
    for regex, names in PRES.items():
        end = train_tokenizer(folder, regex)
        for pre in names.split():
            file = folder / f"{pre}.gguf"
            vocabulary(file, folder / f"tokenizer-{regex}/tokenizer.json", pre)
            model = llama_cpp.Llama(str(file), vocab_only=True, verbose=False)
            same_ids(folder, pre, file, model, random_texts(regex == "o200k"), end)
            model.close()
        print(f"  {names}", flush=True)


def exported_tokenizers(folder):
    """What nib writes of its tokenizers, and characters."""
    for regex in "gpt2", "llama3", "qwen2", "o200k":
        end, out = train_tokenizer(folder, regex), folder / f"with-{regex}"
        save(llama(VOCAB, CONTEXT, end), out, folder / f"tokenizer-{regex}")
        export(out, folder / f"with-{regex}.gguf")
        model = llama_cpp.Llama(str(folder / f"with-{regex}.gguf"), vocab_only=True, verbose=False)
        same_ids(folder, f"exported, {regex}", folder / f"with-{regex}.gguf", model, random_texts(regex == "o200k"), end)
        check(model.token_eos() == end and model.tokenize(b"<|endoftext|>", add_bos=False, special=True) == [end], f"exported, {regex}: the end token")
        model.close()


def characters(ask, folder):
    text = "Où est le café? \\x41 \\n\n\t« Là-bas », dit-il. 你好 ▁ " * 20
    (folder / "c.txt").write_text(text)
    nib("data", folder / "c.txt", "--out", folder / "c", "--tokenizer=char")
    nib("train", f"--dataset={folder}/c", f"--out_dir={folder}/c-run", "--n_layer=1", "--n_head=2", "--n_embd=16", "--block_size=32", "--batch_size=2", "--max_iters=2", "--eval_iters=1",
        "--gelu=tanh", "--sample_interval=0")
    export(folder / "c-run", folder / "c.gguf")
    ids, logits, back = ask(folder / "c.gguf", text[:30])
    check(back == text[:30], "characters: decoded")
    model = open_llama(folder / "c.gguf")
    check(model.tokenize(text[:30].encode(), add_bos=False, special=False) == ids and model.detokenize(ids).decode() == text[:30], "characters: llama.cpp's ids and text")
    check(not any(llama_cpp.llama_vocab_is_eog(model._model.vocab, i) for i in range(model.n_vocab())), "characters: a character ends texts")
    within(largest(logits_of_llama(model, ids), logits), 1e-2, "characters: logits")
    model.close()


def spm_pieces():
    """A vocabulary as SentencePiece writes it: scores fall with ids."""
    words = {}
    for word in ("▁" + golden.TEXT.replace(" ", "▁")).split("▁"):
        if word.isascii():
            words["▁" + word] = 1
    pieces = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)]
    parts = sorted({w[:n] for w in words for n in range(2, min(len(w), 6))} | {w[i:i + 2] for w in words for i in range(1, len(w) - 1)}, key=lambda p: (len(p), p))
    letters = sorted({c for p in parts for c in p})
    return pieces + parts + letters, [2, 3, 3] + [6] * 256 + [1] * (len(parts) + len(letters))


def by_scores(folder):
    for prefix in True, False:
        pieces, types = spm_pieces()
        file = folder / f"spm{prefix}.gguf"
        w = gguf.GGUFWriter(file, "llama")
        w.add_tokenizer_model("llama"), w.add_tokenizer_pre("default"), w.add_token_list(pieces), w.add_token_types(types), w.add_add_space_prefix(prefix), w.add_add_bos_token(False)
        w.add_token_scores([0.0 if t != 1 else -float(i - 259) for i, t in enumerate(types)])
        w.add_bos_token_id(1), w.add_eos_token_id(2), w.add_unk_token_id(0)
        for add in w.add_context_length, w.add_embedding_length, w.add_block_count, w.add_head_count, w.add_feed_forward_length:
            add(8)
        w.add_layer_norm_rms_eps(1e-5)
        w.write_header_to_file(), w.write_kv_data_to_file(), w.write_tensors_to_file(), w.close()
        model = llama_cpp.Llama(str(file), vocab_only=True, verbose=False)
        same_ids(folder, f"by scores, a space before text: {prefix}", file, model, [t for t in random_texts(False)], 2)
        model.close()
        # the same tokenizer, exported by nib again
        nib("data", folder / "texts.jsonl", "--out", folder / f"spm-data{prefix}", f"--tokenizer={file}", "--val=0.1")
        nib("train", f"--dataset={folder}/spm-data{prefix}", f"--out_dir={folder}/spm-run{prefix}", "--model=llama", "--n_layer=1", "--n_head=2", "--n_embd=16", "--block_size=16",
            "--batch_size=2", "--max_iters=1", "--eval_iters=1", "--sample_interval=0")
        export(folder / f"spm-run{prefix}", folder / f"spm-again{prefix}.gguf")
        model = llama_cpp.Llama(str(folder / f"spm-again{prefix}.gguf"), vocab_only=True, verbose=False)
        same_ids(folder, f"by scores, exported, a space before text: {prefix}", folder / f"spm-again{prefix}.gguf", model, [t for t in random_texts(False)], 2)
        model.close()


def main():
    if gguf is None:
        skip("GGUF", "no package gguf")
        return finish()
    if llama_cpp is None:
        skip("what llama.cpp makes of GGUF files", "no package llama-cpp-python (pip install llama-cpp-python, which compiles for some minutes)")
    with workplace() as folder:
        ask = Asker(folder)
        torch.set_num_threads(1)
        if llama_cpp is not None:
            llama_cpp.llama_log_set(silent, ctypes.c_void_p(0))
        with part("models"):
            each_model(ask, folder)
        with part("types of numbers"):
            each_recipe(ask, folder)
        if llama_cpp is not None:
            with part("tokenizers by name"):
                each_pre(folder)
            with part("tokenizers that nib exports"):
                exported_tokenizers(folder)
            with part("characters"):
                characters(ask, folder)
            with part("tokenizers by scores"):
                by_scores(folder)
    finish()


if __name__ == "__main__":
    main()
