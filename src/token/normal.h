/* normal.h -- what is done to text before it is cut, where a tokenizer file asks for it. */
#ifndef TOKEN_NORMAL_H
#define TOKEN_NORMAL_H
#include <stddef.h>

#include "base/text.h"

/* Unicode's normal forms (UAX 15, by utf8proc), of the characters that Hugging Face's library knows, and small letters, character by
 * character; and what else is done to text there.  The numbers go into fingerprints. */
enum normal_form {
    NORMAL_NFC, NORMAL_NFD, NORMAL_NFKC, NORMAL_NFKD, NORMAL_LOWERCASE,
    NORMAL_STRIP_ACCENTS,                /* no marks */
    NORMAL_BERT,                         /* flags: of bert.h */
    NORMAL_STRIP,                        /* flags: no white space at the front (1), at the end (2) */
    NORMAL_REPLACE,                      /* each `from` becomes `to` */
    NORMAL_SPACES,                       /* two spaces and more become `to` */
    NORMAL_PREPEND,                      /* `to` before a text that is not empty; */
    NORMAL_PREPEND_UNLESS,               /* if it does not begin with it */
    NORMAL_WORDS,                        /* white space goes, and `to` stands before each word that does not begin with it */
    NORMAL_CHARSMAP,
    NORMAL_FORMS
};
extern const char *const normal_names[NORMAL_FORMS];         /* of those without flags and texts: as Hugging Face's files have them; else NULL */

struct charsmap;
struct normal_step { enum normal_form form; unsigned flags; const char *from, *to; const struct charsmap *map; };

enum { NORMAL_STEPS = 8 };
struct normalizer { struct normal_step step[NORMAL_STEPS]; int n; };     /* one after the other */

/* Appends what becomes of a text, or of one that goes on with what stands before it: then nothing is changed at its front.  Bytes that are
 * not UTF-8 stay, and what lies between them is a text by itself, whose front is no front. */
int normal_apply(const struct normalizer *f, int is_front, const char *text, size_t n, struct text *out);

#endif
