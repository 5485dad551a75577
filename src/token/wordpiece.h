/* wordpiece.h -- WordPiece (Schuster and Nakajima 2012; as in BERT, Devlin et al. 2019): a piece becomes the longest token it begins
 * with, then the longest the rest begins with, and so on; the tokens of the rest are those with a prefix ("##"). */
#ifndef TOKEN_WORDPIECE_H
#define TOKEN_WORDPIECE_H
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/text.h"
#include "token/tokenizer.h"
#include "token/vocab.h"

enum { WORDPIECE_MOST_CHARS = 1 << 20, WORDPIECE_MOST_BYTES = 512 };         /* of a word, of a token */

struct wordpiece {
    const struct vocab *vocab;           /* what a piece may begin with */
    struct vocab rest;                   /* what the rest may begin with: the bytes behind the prefix. Its ids are places in rest_id, */
    uint32_t *rest_id;                   /* which has the vocabulary's */
    size_t longest, longest_rest;        /* bytes of the longest token of each */
    uint32_t unknown;
    const char *prefix;
    size_t prefix_size, most_chars;
};

/* Vocabulary and prefix ("" is one, too) are kept.  E_DATA if the unknown token is not in the vocabulary, a token too long, or most_chars
 * not 0 to WORDPIECE_MOST_CHARS. */
int wordpiece_build(struct wordpiece *w, struct arena *memory, const struct vocab *v, const char *unknown_token, const char *prefix, int64_t most_chars,
                    const char *what);

/* Appends the ids of one piece: the unknown token if no token is found somewhere in it, if it has more than most_chars characters, or if
 * it is not UTF-8.  At most n L look-ups of up to L bytes, L the longest token's. */
int wordpiece_encode(const struct wordpiece *w, const char *piece, size_t n, struct ids *out);

/* Appends the text of a token that is not the first: without its prefix, or behind a space if it has none; cleaned up if asked to. */
void wordpiece_shown(struct text *out, const char *bytes, size_t n, const char *prefix, int cleanup);
/* Hugging Face's clean-up, which takes back spaces that English has not, done to what stands at `from` and behind it.  They do it to
 * one token at a time, also to the first. */
void wordpiece_cleanup(struct text *out, size_t from);

#endif
