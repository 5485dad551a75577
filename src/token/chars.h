/* chars.h -- character vocabularies: from code points to ids. */
#ifndef TOKEN_CHARS_H
#define TOKEN_CHARS_H
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/utf8.h"
#include "token/tokenizer.h"
#include "token/vocab.h"

/* A table in pages of 256 code points, which are made when first needed: most texts need fewer than ten. */
struct chars { uint32_t *page[UTF8_POINTS / 256]; };         /* id + 1; 0: not in the vocabulary */

/* Of the model's tokens; one that is not exactly one character is E_DATA, or with `some` no part of it. */
int chars_build(struct chars **c, struct arena *memory, const struct vocab *v, int some, const char *what);

static inline int64_t chars_find(const struct chars *c, int32_t point)   /* the id of a character, -1 if there is none */
{
    const uint32_t *page = c->page[point >> 8];
    return page ? (int64_t)page[point & 255] - 1 : -1;
}

/* Appends one id a character.  For messages: the text begins `offset` bytes into what the user knows as the text. */
int chars_encode(const struct chars *c, const char *text, size_t n, uint64_t offset, struct ids *out);

/* The characters that utf8_mark has marked as tokens, ids in order of code points.  E_DATA if there are none. */
int chars_of(struct tokens *list, struct arena *memory, const uint8_t *seen);

#endif
