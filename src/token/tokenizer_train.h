/* tokenizer_train.h -- a byte-level BPE tokenizer learnt from texts. */
#ifndef TOKEN_TOKENIZER_TRAIN_H
#define TOKEN_TOKENIZER_TRAIN_H
#include "token/tokenizer.h"

struct tokenizer_training {
    const char *const *inputs; int n;    /* as of prepare.h */
    const char *field;                   /* of JSON lines: which one is the text */
    int64_t vocab;                       /* ids in all: 256 bytes, merges, special tokens; fewer where nothing is left to merge */
    const char *regex;                   /* "gpt2", "llama3" ... (split.h), or "none": merges go across words */
    const char *const *specials; int n_specials;             /* get the last ids; in the texts they are borders, and nothing is learnt of them */
    int64_t least;                       /* how often a pair must occur to be merged */
    int threads;                         /* 0: one a core */
    struct text *notices;
    void (*reading)(void *context, uint64_t now, uint64_t all);          /* bytes; may be NULL */
    void (*merging)(void *context, uint64_t now, uint64_t all);          /* tokens; may be NULL */
    void *context;
};

struct tokenizer_trained { uint64_t documents, bytes, pieces, kinds; };      /* kinds: pieces that differ */

/* The same tokenizer whatever the number of threads; learn.h says which merges.  E_DATA: no text.  E_USAGE: regex, vocab or specials are not
 * what they may be.  Memory follows the pieces that differ. */
int tokenizer_train(struct tokenizer **t, const struct tokenizer_training *o, struct tokenizer_trained *done);

#endif
