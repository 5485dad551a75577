/* tokenizer_core.h -- what a tokenizer is made of, and how those who read its files make one. */
#ifndef TEXT_TOKENIZER_CORE_H
#define TEXT_TOKENIZER_CORE_H
#include <jansson.h>

#include "base/arena.h"
#include "text/added.h"
#include "text/bpe.h"
#include "text/chars.h"
#include "text/normal.h"
#include "text/split.h"
#include "text/tokenizer.h"
#include "text/vocab.h"

enum { ADDED_LISTS = 2 };                                    /* plain ones, then those with TOKEN_NORMALIZED */

/* After it is made nothing in it changes: any number of threads may use it. */
struct tokenizer {
    struct arena memory;                 /* of everything below but the splitter */
    struct vocab vocab;
    struct added added[ADDED_LISTS];
    int is_bytes;
    struct normalizer normal;            /* bytes: what is done to text first, */
    struct bpe bpe;                      /* the merges, */
    struct splitter *splitter;           /* and where no merge goes across */
    struct chars *chars;                 /* characters */
    int64_t end;
    char fingerprint[17];
};

/* What a file says.  Lists and strings are in the tokenizer's arena. */
struct parts {
    struct tokens model, added;          /* added: sorted by bytes */
    int is_bytes;                        /* else characters, and the rest is 0 */
    struct normalizer normal;
    struct split_stage stage[SPLIT_STAGES]; int stages;
    int whole_first, by_rank;            /* see bpe.h */
};

#define END_OF_TEXT "<|endoftext|>"                          /* GPT-2's; the end token unless a file names another */

/* The way of a tokenizer into the world: new, vocabulary, merges if it is bytes, ready.  Whatever fails: tokenizer_free. */
int  tokenizer_new(struct tokenizer **t);
int  tokenizer_vocabulary(struct tokenizer *t, const struct parts *p, const char *what);
int  tokenizer_merges(struct tokenizer *t, const struct parts *p, struct merges merges, const char *what);
void tokenizer_ready(struct tokenizer *t);

int64_t tokenizer_added(const struct tokenizer *t, const char *content);     /* the id of an added token, -1 if there is none */

/* ---- tokenizer_ranks.c ---- */

/* The merges of a vocabulary that says none: ids are ranks.  Comes in the place of tokenizer_merges. */
int tokenizer_by_rank(struct tokenizer *t, struct parts *p, const char *what);
/* A file of tiktoken's, llm.c's or minbpe's, whichever it is. */
int tokenizer_of_other(struct tokenizer *t, const struct text *all, const char *path);

/* ---- tokenizer_json.c ---- */

/* {"token": id, ...} into p->model.  p->added, which must be there already, says which of them are added tokens. */
int vocab_from_json(struct tokenizer *t, struct parts *p, const json_t *object, const char *what);
/* "left right", spelled in the byte alphabet.  Messages do not say which file and merge: prefix them. */
int merge_from_line(const struct tokenizer *t, struct merge *m, const char *line);
int tokenizer_to_json(const struct tokenizer *t, json_t **root);

#endif
