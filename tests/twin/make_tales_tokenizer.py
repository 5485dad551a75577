#!/usr/bin/env python3
"""Makes src/text/tales_tokenizer.json: a byte-level BPE trained by Hugging Face's tokenizers on stories of src/text/tales.grammar,
to the end, when each word with the space before it has become one token.  Run from the root of the checkout, again whenever the
grammar has got new words; what it prints should say that no word takes more than one token."""
import json
import subprocess
import tempfile

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

END = "<|endoftext|>"
STORIES, ENOUGH = 20000, 10000                      # stories to learn from; a vocabulary that training never reaches

TELLER = """
#include <stdio.h>
#include "text/tales.h"
int main(void)
{
    struct grammar *g;
    struct text t = { 0 };
    if (tales_open(&g)) return 1;
    for (int i = 0; i < %d; i++, text_add(&t, "\\n"))
        if (grammar_tell(g, 0, i, &t, NULL)) return 1;
    return fputs(t.at, stdout) < 0;
}
"""


def stories():
    with tempfile.TemporaryDirectory() as folder:
        with open(folder + "/teller.c", "w") as f:
            f.write(TELLER % STORIES)
        subprocess.run("gcc -O1 -Isrc %s/teller.c src/text/tales.c src/text/grammar*.c src/base/arena.c src/base/error.c src/base/rng.c "
                       "src/base/text.c -lm -o %s/teller" % (folder, folder), shell=True, check=True)
        return subprocess.run([folder + "/teller"], capture_output=True, check=True, text=True).stdout.splitlines()


def train(texts):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    t.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=ENOUGH, min_frequency=1, special_tokens=[END], show_progress=False,
                                                     initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return t


def make(path):
    texts = stories()
    t = train(texts)
    words = {word for text in texts for word, _ in t.pre_tokenizer.pre_tokenize_str(text)}
    longer = sorted(word for word in words if len(t.model.tokenize(word)) > 1)
    file = json.loads(t.to_str())
    file["model"]["merges"] = [" ".join(merge) for merge in file["model"]["merges"]]         # the spelling that all versions read
    with open(path, "w", encoding="utf-8") as f:
        json.dump(file, f, ensure_ascii=False, separators=(",", ":"))
        f.write("\n")
    return "%d words, %d tokens; words of more than one token: %s" % (len(words), t.get_vocab_size(), longer or "none")


if __name__ == "__main__":
    print(make("src/text/tales_tokenizer.json"))
