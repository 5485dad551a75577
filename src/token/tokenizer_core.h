/* tokenizer_core.h -- what a tokenizer is made of, and how those who read its files make one. */
#ifndef TOKEN_TOKENIZER_CORE_H
#define TOKEN_TOKENIZER_CORE_H
#include <jansson.h>

#include "base/arena.h"
#include "token/added.h"
#include "token/bpe.h"
#include "token/charbpe.h"
#include "token/chars.h"
#include "token/normal.h"
#include "token/split.h"
#include "token/tokenizer.h"
#include "token/unigram.h"
#include "token/vocab.h"
#include "token/wordpiece.h"

enum { ADDED_LISTS = 2 };                                    /* plain ones, then those with TOKEN_NORMALIZED */

/* How pieces become tokens.  The numbers go into fingerprints. */
enum model { MODEL_CHARACTERS, MODEL_BYTES, MODEL_CHARBPE, MODEL_WORDPIECE, MODEL_UNIGRAM, MODELS };

/* What a token is shown as that is not the first of a text, ... */
enum shown { SHOWN_BYTES, SHOWN_SPACED, SHOWN_CLEAN };
/* ... and the first: the same; without one space at its front; without any; as it is in the vocabulary. */
enum opening { OPENING_SAME, OPENING_ONE_SPACE, OPENING_NO_SPACES, OPENING_RAW };

/* Where a text may be cut in two that are encoded by themselves. */
enum apart { APART_NOWHERE, APART_CHARACTERS, APART_SPACES, APART_ASCII_SPACES, APART_PIECES };

/* Ids that stand before and behind a text by itself. */
enum { TEMPLATE_MOST = 8 };
struct template { uint32_t id[2][TEMPLATE_MOST]; int n[2]; };

/* After it is made nothing in it changes: any number of threads may use it. */
struct tokenizer {
    struct arena memory;                 /* of everything below but the splitter and the file */
    struct vocab vocab;
    struct added added[ADDED_LISTS];
    enum model kind;
    struct normalizer normal;            /* what is done to text first; */
    struct normalizer late;              /* what is done between added tokens, */
    int late_once;                       /* or only where the text begins; */
    struct splitter *splitter;           /* and where no token goes across */
    struct bpe bpe;                      /* one of these is the model: bytes, */
    struct chars *chars;                 /* characters, */
    struct charbpe charbpe;              /* characters by `bpe`, */
    struct unigram unigram;
    struct wordpiece wordpiece;
    struct template template;
    enum apart apart;
    enum opening opening;
    json_t *file;                        /* of those that nib does not write by itself: the file; else NULL */
    int64_t end;
    char fingerprint[17];
};

/* What a file says.  Lists and strings are in the tokenizer's arena. */
struct parts {
    struct tokens model, added;          /* added: sorted by bytes */
    enum model kind;
    struct normalizer normal, late;
    int late_once;
    struct split_stage stage[SPLIT_STAGES]; int stages;
    struct template template;
    enum shown shown; enum opening opening;
    const char *space;                   /* what is shown as a space in tokens: "\xe2\x96\x81", NULL: nothing */
    int bytes_shown;                     /* tokens "<0xE2>" are shown as bytes */
    int whole_first, by_rank;            /* BPE: see bpe.h */
    const uint32_t *last; size_t n_last; /* ids; the same */
    int falls_back, fuses;               /* see charbpe.h */
    const char *unknown;                 /* the unknown token */
    const char *prefix, *shown_prefix; int64_t most_chars;       /* WordPiece: see wordpiece.h */
    double *score; int64_t unknown_id;   /* Unigram: scores by id; -1: there is no unknown token */
};

#define END_OF_TEXT "<|endoftext|>"                          /* GPT-2's; the end token unless a file names another */

/* The way of a tokenizer into the world: new, vocabulary, merges if it is bytes, ready.  Whatever fails: tokenizer_free. */
int  tokenizer_new(struct tokenizer **t);
int  tokenizer_vocabulary(struct tokenizer *t, const struct parts *p, const char *what);
int  tokenizer_merges(struct tokenizer *t, const struct parts *p, struct merges merges, const char *what);
void tokenizer_ready(struct tokenizer *t);

/* What tokens are shown as, once the added ones are listed (decode.c). */
int  tokenizer_shown(struct tokenizer *t, const struct parts *p, const char *what);

int64_t tokenizer_added(const struct tokenizer *t, const char *content);     /* the id of an added token, -1 if there is none */

/* ---- tokenizer_ranks.c ---- */

/* The merges of a vocabulary that says none: ids are ranks.  Comes in the place of tokenizer_merges. */
int tokenizer_by_rank(struct tokenizer *t, struct parts *p, const char *what);
/* A file of tiktoken's, llm.c's or minbpe's, whichever it is. */
int tokenizer_of_other(struct tokenizer *t, const struct text *all, const char *path);

/* ---- tokenizer_llama2c.c ---- */

int tokenizer_of_llama2c(struct tokenizer *t, const struct text *all, const char *path);

/* ---- tokenizer_bert.c ---- */

/* A vocab.txt, whose lines are cut in place, and what its config says (NULL: there is none). */
int tokenizer_of_bert(struct tokenizer *t, const struct text *all, const char *path, const json_t *config, const char *config_path);

/* ---- tokenizer_write.c ---- */

int tokenizer_to_json(const struct tokenizer *t, json_t **root);

/* ---- tokenizer_json.c ---- */

/* All of a tokenizer.json, into a new tokenizer, which may keep it. */
int tokenizer_of_json(struct tokenizer *t, json_t *root, const char *what);

/* {"token": id, ...} into p->model.  p->added, which must be there already, says which of them are added tokens. */
int vocab_from_json(struct tokenizer *t, struct parts *p, const json_t *object, const char *what);
/* "left right", spelled in the byte alphabet.  Messages do not say which file and merge: prefix them. */
int merge_from_line(const struct tokenizer *t, struct merge *m, const char *line);

#endif
