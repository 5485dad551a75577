#!/usr/bin/env python3
"""check_eval.py -- nib eval against PyTorch, with a small GPT-2 and a small Llama of transformers': HellaSwag as lm-evaluation-harness and as
llm.c ask it, the other kinds of questions, cloze texts, perplexity by sliding windows, bits a byte counted by hand.

What is compared is computed here from the formulas as they are documented: a choice's log-likelihood is the sum of the log-probabilities
of its tokens behind its context's, the last `context` + 1 ids counting; acc takes the largest, acc_norm the largest a character, llm.c the
largest a token."""
import gzip
import json
import math
import re

import numpy as np
import torch
import transformers as hf
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing

import hub
from checks import GOLDEN, check, data, finish, largest, nib, part, skip, within, workplace
from make_tokenizer_golden import TEXT

BOUND = 1e-4                                                 # of log-likelihoods as large as some hundred
ITEMS, CONTEXT = 200, 256


# ---- models ----

def tokenizer_of(begins):
    """bpe300; `begins`: a text by itself has a token before it, as Llama's have."""
    fast = Tokenizer.from_file(str(GOLDEN / "bpe300/tokenizer.json"))
    if begins:
        fast.post_processor = TemplateProcessing(single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", fast.token_to_id("<|endoftext|>"))])
    return hf.PreTrainedTokenizerFast(tokenizer_object=fast, eos_token="<|endoftext|>", bos_token="<|endoftext|>")


def make(family, folder):
    tokenizer = tokenizer_of(family == "llama")
    model = getattr(hub, family)(len(tokenizer), CONTEXT, tokenizer.eos_token_id)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model, tokenizer


def log_p(model, texts):
    """Of each text for each id but the first its log-probability, and whether it is the likeliest.  What pads a text stands behind it."""
    ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(t) for t in texts], batch_first=True)
    with torch.no_grad():
        p = torch.log_softmax(model(ids[:, :-1]).logits.double(), 2)
    likely, top = p.gather(2, ids[:, 1:, None])[..., 0].numpy(), (p.argmax(2) == ids[:, 1:]).numpy()
    return [(likely[i, :len(t) - 1], top[i, :len(t) - 1]) for i, t in enumerate(texts)]


# ---- a pair of texts ----

def pair(tokenizer, before, after):
    """White space at the end of what stands before belongs to what follows; ids are those of both together."""
    stripped = before.rstrip()
    whole, context = tokenizer(before + after)["input_ids"], tokenizer(stripped)["input_ids"]
    if not stripped and not context:
        whole, context = [tokenizer.eos_token_id] + whole, [tokenizer.eos_token_id]
    return whole, len(context)


def scores_of(model, pairs):
    cuts = [max(0, len(whole) - (CONTEXT + 1)) for whole, _ in pairs]
    counts = [len(whole) - n_context for whole, n_context in pairs]
    likely = log_p(model, [whole[cut:] for (whole, _), cut in zip(pairs, cuts)])
    return [dict(log_p=p[-n:].sum(), greedy=bool(top[-n:].all()), tokens=n, cut=cut) for (p, top), n, cut in zip(likely, counts, cuts)]


def best(values):
    return int(np.argmax(values))


def compare_choices(what, folder, model, asked, lines, lengths, answers, *options):
    """asked: of each item the pairs of ids; lengths: in characters, or None."""
    total = json.loads(nib("eval", folder / "model", f"--items={lines}", f"--out={folder}/answers.jsonl", "--json", *options))
    ours = [json.loads(line) for line in open(folder / "answers.jsonl")]
    check(len(ours) == len(asked), f"{what}: {len(ours)} answers to {len(asked)} items")
    differences, right, cuts = [], dict(acc=0, acc_norm=0, acc_token=0), 0
    for i, (line, pairs, answer) in enumerate(zip(ours, asked, answers)):
        scores = scores_of(model, pairs)
        p, n = np.array([s["log_p"] for s in scores]), np.array([s["tokens"] for s in scores])
        picks = dict(acc=best(p), acc_token=best(p / n)) | (dict(acc_norm=best(p / np.array(lengths[i]))) if lengths else {})
        differences.append(largest(line["log_p"], p))
        check(line["tokens"] == list(n) and line["cut"] == [s["cut"] for s in scores], f"{what}: item {i}: tokens {line['tokens']} cut {line['cut']}")
        check(line["answer"] == answer and all(line[key] == pick for key, pick in picks.items()), f"{what}: item {i}: {line} should pick {picks}")
        for key, pick in picks.items():
            right[key] += pick == answer
        cuts += any(s["cut"] for s in scores)
    within(np.max(differences), BOUND, f"{what}: log-likelihoods of {sum(map(len, asked))} choices")
    for key in ("acc", "acc_token") + (("acc_norm",) if lengths else ()):
        share = right[key] / len(asked)
        check(abs(total[key] - share) < 1e-6, f"{what}: {key} {total[key]} is {share}")
        if len(asked) > 1:
            error = np.std(np.arange(len(asked)) < right[key], ddof=1) / math.sqrt(len(asked))
            check(abs(total[key + "_stderr"] - error) < 1e-6, f"{what}: the standard error of {key}")
    check(total["cut"] == cuts, f"{what}: {total['cut']} items cut, {cuts} were")
    print(f"  {what}: {right} of {len(asked)}, {cuts} cut")


# ---- HellaSwag ----

def hellaswag():
    """Each 50th item, some of them as the raw file has them: ctx in two parts, WikiHow's marks, labels that are texts."""
    items = []
    for i, line in enumerate(list(gzip.open(data("hellaswag/hellaswag_val.clean.jsonl.gz")))[::50][:ITEMS]):
        item = json.loads(line)
        if i % 3 == 1 and ". " in item["ctx"]:
            a, b = item["ctx"].rsplit(". ", 1)
            item["ctx_a"], item["ctx_b"] = a + ".", b
        if i % 3 == 1 and i % 4 == 0:
            item["ctx_a"] = "[header] How to " + item.get("ctx_a", item["ctx"]) + " [title] Get ready.   [step] "
            item["ctx_b"] = item.get("ctx_b", "")
            item["ctx"] = item["ctx_a"] + " " + item["ctx_b"]
            item["endings"][2] = " [substeps] " + item["endings"][2] + " [title] Rest. [open"
        if i % 5 == 0:
            item["label"] = str(item["label"])
        items.append(item)
    return items


def cleaned(text):
    text = text.strip().replace(" [title]", ". ")
    return re.sub(r"\[.*?\]", "", text).replace("  ", " ")


def as_harness(item):
    context = item["ctx_a"] + " " + item["ctx_b"].capitalize() if "ctx_a" in item and "ctx_b" in item else item["ctx"]
    return cleaned(item["activity_label"] + ": " + context), [cleaned(e) for e in item["endings"]]


def write_lines(path, items):
    path.write_text("".join(json.dumps(item) + "\n" for item in items))
    return path


def write_llmc(path, examples):
    """write_evalfile's layout: see dev/data/data_common.py of llm.c."""
    stream = []
    longest = 0
    for i, (context, endings, label) in enumerate(examples):
        one = [65535, 0, i, label, len(endings), len(context), *context]
        for ending in endings:
            one += [len(ending), *ending]
        one[1] = 2 * len(one)
        longest = max(longest, one[1])
        stream += one
    header = np.zeros(256, np.int32)
    header[:4] = 20240522, 1, len(examples), longest
    path.write_bytes(header.tobytes() + np.array(stream, np.uint16).tobytes())
    return path


def check_hellaswag(folder, model, tokenizer):
    items = hellaswag()
    answers = [int(item["label"]) for item in items]
    lines = write_lines(folder / "hellaswag.jsonl", items)
    questions = [as_harness(item) for item in items]
    compare_choices("HellaSwag as the harness asks", folder, model, [[pair(tokenizer, q, " " + c) for c in cs] for q, cs in questions], lines,
                    [[len(c) for c in cs] for _, cs in questions], answers)
    plain = [[pair(tokenizer, item["ctx"], " " + e) for e in item["endings"]] for item in items]
    compare_choices("HellaSwag, plain", folder, model, plain, lines, [[len(e) for e in item["endings"]] for item in items], answers, "--prompts=plain", "--batch_size=1", "--threads=1")

    encode = lambda text: tokenizer(text, add_special_tokens=False)["input_ids"]
    examples = [(encode(item["ctx"].rstrip()), [encode(" " + e) for e in item["endings"]], int(item["label"])) for item in items]
    theirs = write_llmc(folder / "theirs.bin", examples)
    compare_choices("HellaSwag as llm.c has it", folder, model, [[(c + e, len(c)) for e in es] for c, es, _ in examples], theirs, None, answers)
    same = [item for item in items if item["ctx"] == item["ctx"].rstrip()]
    nib("data", "choices", write_lines(folder / "same.jsonl", same), f"--tokenizer={GOLDEN}/bpe300", f"--out={folder}/ours.bin")
    write_llmc(folder / "theirs.bin", [(encode(i["ctx"]), [encode(" " + e) for e in i["endings"]], int(i["label"])) for i in same])
    check((folder / "ours.bin").read_bytes() == (folder / "theirs.bin").read_bytes(), "nib data choices writes llm.c's file")


# ---- other questions ----

QUESTIONS = [("Why does a kettle sing?", ["Steam hurries through it.", "It is happy", "Somebody taught it", "naïve – it cannot"]),
             ("Where do ships sleep? ", ["in harbours", " under the sea", "on Monday"]),
             ("Who bakes the bread?", ["the baker", "a goat"])]


def check_questions(folder, model, tokenizer):
    asked = [(q, c, i % len(c)) for i, (q, c) in enumerate(QUESTIONS)]
    lengths = [[len(c) for c in cs] for _, cs, _ in asked]
    answers = [a for _, _, a in asked]
    between = lambda q, c: c if q[-1:].isspace() or c[:1].isspace() else " " + c
    general = [dict(query=q, choices=c, gold=a) for q, c, a in asked]
    pairs = [[pair(tokenizer, q, between(q, c)) for c in cs] for q, cs, _ in asked]
    compare_choices("choices", folder, model, pairs, write_lines(folder / "choices.jsonl", general), lengths, answers)

    shown = "".join(q + between(q, c[a]) + "\n\n" for q, c, a in asked[:2])
    compare_choices("choices, two shown before", folder, model, [[pair(tokenizer, shown + q, between(q, c)) for c in cs] for q, cs, _ in asked[2:]], folder / "choices.jsonl",
                    lengths[2:], answers[2:], "--shots=2")

    pairs = [[pair(tokenizer, f"Question: {q}\nAnswer:", " " + c) for c in cs] for q, cs, _ in asked]
    arc = [dict(question=q, choices=dict(text=c, label=list("ABCD")[:len(c)]), answerKey="ABCD"[a]) for q, c, a in asked]
    compare_choices("ARC", folder, model, pairs, write_lines(folder / "arc.jsonl", arc), lengths, answers)
    piqa = [dict(goal=q, sol1=c[0], sol2=c[1], label=a % 2) for q, c, a in asked]
    compare_choices("PIQA", folder, model, [p[:2] for p in pairs], write_lines(folder / "piqa.jsonl", piqa), [n[:2] for n in lengths], [a % 2 for a in answers])

    sentences = [dict(sentence="The cup did not fit into the box because the _ was too small. ", option1="cup", option2="box", answer="2"),
                 dict(sentence="_ asked her neighbour for salt.", option1="Ann", option2="Mrs. Bell", answer="1")]
    pairs, lengths = [], []
    for s in sentences:
        before, after = s["sentence"].split("_")
        choices = [before + s["option1"], before + s["option2"]]
        pairs.append([pair(tokenizer, c, " " + after.strip()) for c in choices])
        lengths.append([len(c) for c in choices])
    compare_choices("WinoGrande", folder, model, pairs, write_lines(folder / "wino.jsonl", sentences), lengths, [1, 0])


# ---- cloze ----

def greedy_items(model, tokenizer):
    """Prompts with what the model itself would write, where its text gives its ids again."""
    words = TEXT.split()
    for i in range(0, len(words) - 8):
        prompt = " ".join(words[i:i + 8])
        ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
        out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=2, do_sample=False, eos_token_id=None, pad_token_id=0)[0].tolist()
        completion = tokenizer.decode(out[ids.shape[1]:])
        if completion[:1] == " " and pair(tokenizer, prompt, completion)[0] == out:
            yield dict(prompt=prompt, completion=completion)


def check_cloze(folder, model, tokenizer):
    words = TEXT.split()
    mixed = [item for item, _ in zip(greedy_items(model, tokenizer), range(8))] + [dict(prompt=" ".join(words[i:i + 20]), completion=words[i + 20]) for i in range(0, 60, 10)]
    mixed.append(dict(prompt="", completion="Nothing stands before this."))
    lambada = [" ".join(words[i:i + 30]) for i in range(0, 100, 10)]
    kinds = {"cloze": (mixed, [(m["prompt"], m["completion"] if m["completion"][0] == " " or not m["prompt"] else " " + m["completion"]) for m in mixed]),
             "LAMBADA": ([dict(text=t) for t in lambada], [(t[:t.rindex(" ")], t[t.rindex(" "):]) for t in lambada])}
    for what, (items, pairs) in kinds.items():
        total = json.loads(nib("eval", folder / "model", f"--items={write_lines(folder / 'cloze.jsonl', items)}", f"--out={folder}/answers.jsonl", "--json"))
        ours, scores = [json.loads(line) for line in open(folder / "answers.jsonl")], scores_of(model, [pair(tokenizer, *p) for p in pairs])
        within(largest([o["log_p"] for o in ours], [s["log_p"] for s in scores]), BOUND, f"{what}: log-likelihoods of {len(items)} continuations")
        check([o["right"] for o in ours] == [s["greedy"] for s in scores], f"{what}: what greedy writing gives")
        right = sum(s["greedy"] for s in scores)
        check(abs(total["acc"] - right / len(items)) < 1e-6, f"{what}: acc {total['acc']}, {right} are right")
        perplexity = math.exp(-np.mean([s["log_p"] for s in scores]))
        within(abs(total["perplexity"] / perplexity - 1), BOUND, f"{what}: perplexity {perplexity:.4g} of an answer, {right} right")
        within(abs(total["token_loss"] + sum(s["log_p"] for s in scores) / sum(s["tokens"] for s in scores)), 1e-4, f"{what}: loss of a token")


# ---- the loss of text ----

def windows(ids, block, stride):
    """Inputs from ids[at] on, and how many of the window's targets were targets before."""
    at = done = 0
    while done < len(ids) - 1:
        n = min(block, len(ids) - 1 - at)
        yield ids[at:at + n + 1], done - at
        done, at = at + n, at + stride


def stride_loss(model, texts, block, stride):
    seen = [w for ids in texts for w in windows(ids, block, stride)]
    sums = [(p[known:].sum(), len(p) - known) for (p, _), (_, known) in zip(log_p(model, [w for w, _ in seen]), seen)]
    w, n = -np.array([s for s, _ in sums]), np.array([n for _, n in sums])
    loss = w.sum() / n.sum()
    error = math.sqrt(((w - n * loss) ** 2).sum() * len(w) / (len(w) - 1)) / n.sum() if len(w) > 1 else math.nan
    return loss, error, n.sum()


def check_text(folder, model, tokenizer):
    texts = [TEXT[:3000], "Ein kurzer Text – naïve, 漢字.", TEXT[3000:3700]]
    (folder / "text.txt").write_text(texts[0])
    write_lines(folder / "texts.jsonl", [dict(text=t) for t in texts])
    front = [] if tokenizer("")["input_ids"] else [tokenizer.eos_token_id]
    for name, several in ("text.txt", texts[:1]), ("texts.jsonl", texts):
        ids, size = [front + tokenizer(t)["input_ids"] for t in several], sum(len(t.encode()) for t in several)
        for block, stride in (CONTEXT, 0), (64, 32), (64, 7), (100, 100), (CONTEXT, 200):
            ours = json.loads(nib("eval", folder / "model", f"--text={folder / name}", f"--block_size={block}", f"--stride={stride}", "--json"))
            loss, error, n = stride_loss(model, ids, block, stride or block)
            what = f"{name}, block {block}, stride {stride}"
            within(abs(ours["loss"] - loss), 1e-4, f"{what}: loss {loss:.4f} over {n} tokens")
            check(ours["tokens"] == n == sum(map(len, ids)) - len(ids) and ours["bytes"] == size, f"{what}: {ours['tokens']} tokens, {ours['bytes']} bytes")
            check(abs(ours["bits_per_byte"] - loss * n / math.log(2) / size) < 2e-4, f"{what}: {ours['bits_per_byte']} bits a byte")
            check(abs(ours.get("loss_stderr", 0) - (error if error == error else 0)) < 1e-4, f"{what}: standard error {ours.get('loss_stderr')}, {error}")

    nib("data", folder / "text.txt", "--out", folder / "set", f"--tokenizer={GOLDEN}/bpe300")
    ids = np.fromfile(folder / "set/val.bin", np.uint16).astype(int)
    size = lambda last: sum(len(bytes_of(tokenizer, i)) for i in ids[1:last] if i != tokenizer.eos_token_id)
    for stride in 0, 50:
        ours = json.loads(nib("eval", folder / "model", f"--dataset={folder / 'set'}", "--block_size=100", f"--stride={stride}", "--json"))
        last = len(ids) if stride else (len(ids) - 1) // 100 * 100 + 1
        loss, _, n = stride_loss(model, [ids[:last].tolist()], 100, stride or 100)
        within(abs(ours["loss"] - loss), 1e-4, f"a split, stride {stride}: loss {loss:.4f} over {n} tokens")
        check(ours["tokens"] == n and ours["bytes"] == size(last), f"a split, stride {stride}: {ours['bytes']} bytes, {size(last)} by hand")
        check(abs(ours["bits_per_byte"] - loss * n / math.log(2) / size(last)) < 2e-4, f"a split, stride {stride}: bits a byte")


def bytes_of(tokenizer, i):
    """GPT-2's letters for bytes."""
    letters = {c: b for b, c in byte_letters().items()}
    return bytes(letters[c] for c in tokenizer.convert_ids_to_tokens(int(i)))


def byte_letters():
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    other = [b for b in range(256) if b not in plain]
    return {b: chr(b) for b in plain} | {b: chr(256 + i) for i, b in enumerate(other)}


if __name__ == "__main__":
    torch.set_num_threads(2)
    for family in "gpt2", "llama":
        with workplace() as folder:
            made = make(family, folder / "model")
            if data("hellaswag/hellaswag_val.clean.jsonl.gz"):
                with part(f"{family}: HellaSwag"):
                    check_hellaswag(folder, *made)
            else:
                skip(f"{family}: HellaSwag", "no hellaswag/hellaswag_val.clean.jsonl.gz in ../shared/data")
            for name, one in ("other questions", check_questions), ("cloze", check_cloze), ("text", check_text):
                with part(f"{family}: {name}"):
                    one(folder, *made)
    finish()
