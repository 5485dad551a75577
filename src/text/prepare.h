/* prepare.h -- text to tokens: train.bin, val.bin, dataset.json and the tokenizer, in a folder that trains here and in nanoGPT. */
#ifndef TEXT_PREPARE_H
#define TEXT_PREPARE_H
#include <stdint.h>

#include "base/text.h"
#include "text/dataset.h"

struct prepare_options {
    const char *const *inputs; int n;    /* files or folders; each .txt, .md ... or JSON lines (.jsonl, .json), plain or .gz; "-" is standard input */
    const char *out;                     /* the folder; made if absent */
    const char *tokenizer;               /* "char", "gpt2", or a path (tokenizer_find); NULL: a named set's own */
    const char *field;                   /* of JSON lines: which one is the text */
    const char *val;                     /* "0.1": the last tenth of the text, or of the documents; or a file of its own */
    int64_t threads;                     /* that encode; 0: one a core */
    uint64_t shard_size;                 /* ids of a shard, about 4 bytes of text each; 0: one file for all */
    enum token_format format;
    struct text *notices;                /* what was skipped and why, a line each */
    void (*progress)(void *context, uint64_t now, uint64_t all);     /* bytes of the inputs; may be NULL */
    void *context;
};

struct prepared { uint64_t train, val, documents, bytes; int64_t vocab; };

/* What was killed goes on behind its last complete shard, if nothing has changed: texts, tokenizer, options.
 *
 * One plain file is one text, cut into train and val by characters, as nanoGPT cuts it.  Of several files and of JSON lines each
 * file, each line is a document, closed by the end-of-text token where the tokenizer has one. */
int prepare(const struct prepare_options *o, struct prepared *p);

/* A set by name: "shakespeare_char", "shakespeare" (downloaded and checksummed, or taken from `file`), "tales" (made here: `count`
 * stories, 0: the usual number, of `seed`).  E_USAGE names the sets there are. */
int prepare_named(const char *name, const char *file, const char *out, int64_t count, uint64_t seed, const struct prepare_options *o, struct prepared *p);
int prepare_is_named(const char *name);
enum { PREPARE_TALES = 45000 };      /* the usual number of stories: 4 million tokens, told in a second or two */

#endif
