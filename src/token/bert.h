/* bert.h -- BERT's text before its tokens (Devlin et al. 2019): what is done to characters, and where words and signs are cut apart.
 *
 * All of it as Hugging Face's BertNormalizer, StripAccents and BertPreTokenizer have it (tokenizers 0.23.3), character by character. */
#ifndef TOKEN_BERT_H
#define TOKEN_BERT_H
#include <stddef.h>

#include "base/text.h"

/* BertNormalizer's steps, in this order. */
enum {
    BERT_CLEAN = 1,                      /* white space becomes a space; controls, private characters and U+FFFD go */
    BERT_CHINESE = 2,                    /* a space before and behind each Chinese character */
    BERT_ACCENTS = 4,                    /* NFD, and nonspacing marks go */
    BERT_LOWER = 8                       /* small letters */
};

/* Both append; the text is UTF-8.  E_MEMORY. */
int bert_normalize(unsigned steps, const char *text, size_t n, struct text *out);
int bert_strip_accents(const char *text, size_t n, struct text *out);        /* StripAccents: all marks go, the text is as it was else */

/* Where the piece ends that begins at `at` < n: a run of white space, a punctuation character, or a run of others.  A piece_function
 * (pieces.h), but white space is no piece of BERT's: whoever cuts leaves it out. */
size_t bert_piece(const char *text, size_t n, size_t at);
int bert_is_space(const char *text, size_t n);               /* does the text, n > 0, begin with white space? */

#endif
