/* vocab.h -- tokens: which bytes an id stands for, and which id bytes have.
 *
 * All memory is the caller's arena. */
#ifndef TOKEN_VOCAB_H
#define TOKEN_VOCAB_H
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/checked.h"
#include "base/text.h"
#include "token/places.h"

enum { MAX_IDS = 1 << 24, VOCAB_SLACK = 16 };

/* What is known of a token beside its bytes.  Added tokens are found in the text as they stand, before anything else; special
 * ones only on request.  NORMALIZED ones are looked for after the others (in the normalized text, as Hugging Face puts it). */
enum { TOKEN_ADDED = 1, TOKEN_SPECIAL = 2, TOKEN_NORMALIZED = 4 };
/* White space before or behind an added token is taken with it; and it must be no part of a word. */
enum { TOKEN_LSTRIP = 8, TOKEN_RSTRIP = 16, TOKEN_SINGLE_WORD = 32 };

struct token {
    const char *bytes;                   /* size bytes and a 0; NULL: a hole, an id that stands for nothing */
    uint32_t size, id, flags;
};
struct tokens { struct token *at; size_t n; };

struct vocab {
    struct token *at;                    /* by id; n of them */
    uint32_t n;
    char *bytes; uint32_t *start;        /* what tokens are shown as, by id: i has bytes[start[i]] .. [start[i + 1] - 1]; behind them VOCAB_SLACK more */
    struct tokens model;                 /* what the model makes: the results of merges, or the characters */
    struct places places;                /* of them, by bytes */
    struct tokens crowded;               /* those that got none, sorted */
};

/* Zeroed room for n things of a size; NULL if there is no memory or no such number of bytes. */
static inline void *take_array(struct arena *memory, size_t n, size_t size)
{
    size_t bytes;
    return size_mul(n, size, &bytes) ? arena_take(memory, bytes) : NULL;
}

int token_compare(const void *a, const void *b);             /* by bytes, for qsort and bsearch */
const struct token *tokens_find(struct tokens sorted, const char *bytes, size_t n);      /* NULL if there is none */

/* Takes the model's tokens, which it keeps, and the added ones, some of which may be the model's too.  E_DATA if an
 * id stands for two tokens, bytes have two ids within the model, a token has no bytes, or more ids are holes than not. */
int vocab_build(struct vocab *v, struct arena *memory, struct tokens model, struct tokens added, const char *what);
/* show() appends what a token is shown as; NULL: its bytes.  Also E_DATA if that is more than 4 GiB in all. */
int vocab_show(struct vocab *v, struct arena *memory, void (*show)(const void *context, const struct token *t, struct text *out), const void *context, const char *what);
int64_t vocab_find(const struct vocab *v, const char *bytes, size_t n);          /* the model's id, -1 if there is none */

/* The tokens of bytes, "<0x00>" .. "<0xFF>".  E_DATA names one that is not there. */
int vocab_bytes(const struct vocab *v, uint32_t byte[256], const char *what);

/* A token's bytes for a message: in quotes, what is not printable ASCII as \xNN, the end of long ones left out. */
enum { QUOTE_SIZE = 64 };
const char *quote(char out[QUOTE_SIZE], const char *bytes, size_t n);

#endif
