"""tokenizer_kinds.py -- tokenizer.json of every kind and with everything around the model that nib does, in the manner of known models, made by
Hugging Face's tokenizers from the text of make_tokenizer_golden.py; and the golden cases of tests/test_tokenizer_kinds.c:

    python tests/twin/tokenizer_kinds.py FILE"""
import base64
import copy
import json
import random
import sys
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

import make_charsmap
import make_tokenizer_golden as golden
from make_tokenizer_golden import added

BYTES = [f"<0x{i:02X}>" for i in range(256)]
SPECIAL = ["<unk>", "<s>", "</s>"]


def metaspace(scheme, split=True):
    return {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split}


def sequence(kind, *steps):
    return {"type": "Sequence", kind: list(steps)}


def replace(pattern, content):
    return {"type": "Replace", "pattern": {"Regex" if "{" in pattern else "String": pattern}, "content": content}


def template(before, behind):
    tokens = dict(before + behind)
    special = [[{"SpecialToken": {"id": name, "type_id": 0}} for name, _ in part] for part in (before, behind)]
    return {"type": "TemplateProcessing", "single": special[0] + [{"Sequence": {"id": "A", "type_id": 0}}] + special[1],
            "pair": special[0] + [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}] + special[1],
            "special_tokens": {name: {"id": name, "ids": [i], "tokens": [name]} for name, i in tokens.items()}}


OF_LLAMA2 = sequence("normalizers", {"type": "Prepend", "prepend": "▁"}, replace(" ", "▁"))
TO_SPACES = [replace("▁", " "), {"type": "ByteFallback"}, {"type": "Fuse"}]
STRIP_ONE = {"type": "Strip", "content": " ", "start": 1, "stop": 0}


def lines():
    return golden.TEXT.splitlines()


def llama2():
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    t.train_from_iterator(lines(), trainers.BpeTrainer(vocab_size=470, show_progress=False, special_tokens=SPECIAL + BYTES, limit_alphabet=60))
    file = json.loads(t.to_str())
    file |= {"added_tokens": [added(i, c) for i, c in enumerate(SPECIAL)], "normalizer": OF_LLAMA2, "pre_tokenizer": None,
             "post_processor": template([("<s>", 1)], []), "decoder": sequence("decoders", *TO_SPACES, STRIP_ONE)}
    file["model"] |= {"unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True}
    return file


def unigram(fallback=False):
    t = Tokenizer(models.Unigram())
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    special = SPECIAL + BYTES * fallback
    t.train_from_iterator(lines(), trainers.UnigramTrainer(vocab_size=180 + len(special), show_progress=False, special_tokens=special, unk_token="<unk>"))
    file = json.loads(t.to_str())
    file["model"]["byte_fallback"] = fallback
    return file | {"added_tokens": [added(i, c) for i, c in enumerate(SPECIAL)], "post_processor": template([], [("</s>", 2)]), "decoder": metaspace("always")}


def bert(**normalizer):
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer, t.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    t.train_from_iterator(lines(), trainers.WordPieceTrainer(vocab_size=400, show_progress=False, special_tokens=special))
    file = json.loads(t.to_str())
    file["normalizer"] |= normalizer
    return file | {"added_tokens": [added(i, c) for i, c in enumerate(special)], "post_processor": template([("[CLS]", 2)], [("[SEP]", 3)]),
                   "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True}}


def changed(file, model=None, more=(), **change):
    file = copy.deepcopy(file) | change
    file["model"] |= model or {}
    size = len(file["model"]["vocab"])
    file["added_tokens"] += [added(size + i, content, special=False, **flags) for i, (content, flags) in enumerate(more)]
    return file


MORE = [("<left>", {"lstrip": True}), ("<right>", {"rstrip": True}), ("lamp", {"single_word": True}), ("<both>", {"lstrip": True, "rstrip": True, "single_word": True}),
        ("tide", {"normalized": True}), (" x", {})]


def kinds():
    """Names and files."""
    base, best, fallen, words = llama2(), unigram(), unigram(True), bert()
    all_normal = copy.deepcopy(base)
    for token in all_normal["added_tokens"]:
        token["normalized"] = True
    made = {
        "llama2": base,
        "llama2, normalized specials": all_normal,
        "llama2, added": changed(base, more=MORE),
        "gemma": changed(base, normalizer=replace(" ", "▁"), post_processor=None, decoder=sequence("decoders", *TO_SPACES),
                         pre_tokenizer={"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}),
        "unknown, fused": changed(base, {"byte_fallback": False}),
        "unknown": changed(base, {"byte_fallback": False, "fuse_unk": False}),
        "whole first": changed(base, {"ignore_merges": True}),
        "many normalizers": changed(base, normalizer=sequence("normalizers", {"type": "NFKC"}, {"type": "Strip", "strip_left": True, "strip_right": True}, replace(" {2,}", "▁"), {"type": "NFD"},
                                                              {"type": "StripAccents"}, {"type": "Lowercase"}, *OF_LLAMA2["normalizers"])),
        "no decoder": changed(base, decoder=None),
        "t5": changed(best, normalizer=sequence("normalizers", {"type": "NFKC"}, replace(" {2,}", " ")), pre_tokenizer=sequence("pretokenizers", {"type": "WhitespaceSplit"}, metaspace("always"))),
        "t5, by a map": changed(best, normalizer=sequence("normalizers", {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(make_charsmap.charsmap(make_charsmap.replacements())).decode()}, replace(" {2,}", " "))),
        "unigram, uncut": changed(best, pre_tokenizer=metaspace("always", False)),
        "bert": words,
        "bert, cased": bert(lowercase=False),
        "bert, accents": bert(strip_accents=False),
        "bert, as it is": bert(clean_text=False, handle_chinese_chars=False, lowercase=False) | {"decoder": {"type": "WordPiece", "prefix": "##", "cleanup": False}},
        "bert, short words": changed(words, {"max_input_chars_per_word": 6}, more=[("[X]", {"lstrip": True})]),
    }
    for scheme in "first", "always", "never":
        for cut in True, False:
            made[f"metaspace {scheme}{'' if cut else ', uncut'}"] = changed(base, normalizer=None, pre_tokenizer=metaspace(scheme, cut), more=[("lamp", {"normalized": cut})],
                                                                             decoder=sequence("decoders", {"type": "ByteFallback"}, metaspace(scheme)))
        made[f"unigram {scheme}"] = changed(best, pre_tokenizer=metaspace(scheme), decoder=metaspace(scheme))
        made[f"unigram {scheme}, bytes"] = changed(fallen, pre_tokenizer=metaspace(scheme), decoder=sequence("decoders", {"type": "ByteFallback"}, metaspace(scheme)))
    return made


def point(dice):
    c = dice.randint(1, dice.choice([0x80, 0x250, 0x3100, 0xFFFF, 0x1FFFF, 0x10FFFF]))
    return chr(c) if not 0xD800 <= c < 0xE000 else "▁"


def texts(dice, count, file):
    """Words and signs of the text, changed; what the file adds; single characters."""
    signs = [" ", "  ", "\n", "\t", "\u00a0", "▁", "_", "x", "1", "é", "e\u0301", "漢", "😀", "don't", " n't", "<0x41>", "lamp", " lamp", "tide", "##ing", "a" * 8] + [t["content"] for t in file["added_tokens"]]
    made = []
    while len(made) < count:
        if dice.random() < 0.3:
            text = "".join(point(dice) for _ in range(dice.randint(1, 20)))
        elif dice.random() < 0.4:
            text = "".join(dice.choice(signs) for _ in range(dice.randint(1, 14)))
        else:
            at = dice.randrange(len(golden.TEXT))
            text = list(golden.TEXT[at:at + dice.randint(1, 80)])
            for _ in range(dice.randint(0, 6)):
                text.insert(dice.randint(0, len(text)), dice.choice([point(dice), dice.choice(signs)]))
            text = "".join(text)
        made.append(text)
    return made


def cases(file, count):
    """[text, ids, what is decoded of them]; special tokens are text."""
    t = Tokenizer.from_str(json.dumps(file))
    t.encode_special_tokens = True
    made = texts(random.Random(11), count, file)
    ids = [e.ids for e in t.encode_batch(made, add_special_tokens=False)]
    return [[text, i, t.decode(i, skip_special_tokens=False)] for text, i in zip(made, ids)]


def make(path, count=12):
    """Files share their models, which are stored once."""
    files, stored, all_cases = kinds(), [], {}
    for name, file in files.items():
        vocab = {key: file["model"][key] for key in ("vocab", "merges") if key in file["model"]}
        if vocab not in stored:
            stored.append(vocab)
        all_cases[name] = {"vocabulary": stored.index(vocab), "file": {**file, "model": {k: v for k, v in file["model"].items() if k not in vocab}}, "cases": cases(file, count)}
    Path(path).write_text(json.dumps({"vocabularies": stored, "kinds": all_cases}, ensure_ascii=False, separators=(",", ":")) + "\n")


def differing(path):
    """Kinds of a golden file whose cases the library has otherwise.  Its vocabularies are as they were trained once: Unigram's trainer makes others
    each time."""
    all_kinds = json.loads(Path(path).read_text())
    wrong = []
    for name, kind in all_kinds["kinds"].items():
        file = copy.deepcopy(kind["file"])
        file["model"] |= all_kinds["vocabularies"][kind["vocabulary"]]
        if cases(file, len(kind["cases"])) != kind["cases"]:
            wrong.append(name)
    return wrong


if __name__ == "__main__":
    make(sys.argv[1])
