/* added.h -- finding added tokens ("<|endoftext|>") in text: the leftmost, and the longest of those that begin there. */
#ifndef TOKEN_ADDED_H
#define TOKEN_ADDED_H
#include <stddef.h>

#include "token/vocab.h"

struct added {
    struct tokens list;                  /* sorted by bytes */
    unsigned char starts[256];           /* whether some token begins with this byte */
    int only;                            /* the byte that all begin with, -1 if there are several */
    int crosses;                         /* some token, with its white space, might lie across a place where split_apart cuts: at a space, at the start of a line */
    int ends_words;                      /* some token ends like a word */
};

void added_build(struct added *a, struct tokens list);       /* sorts and keeps it; none of its tokens is empty */
/* Also passes over those that should be single words and are not. */
const struct token *added_next(const struct added *a, const char *text, size_t n, size_t *at);   /* from *at on; NULL: none */

/* How much white space before text[at], or from there on, goes with the token that stands there. */
size_t added_before(const struct token *t, const char *text, size_t at);
size_t added_behind(const struct token *t, const char *text, size_t n, size_t at);

#endif
