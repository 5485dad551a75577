/* unigram.h -- the unigram language model of pieces (Kudo 2018), as SentencePiece and Hugging Face's tokenizers encode by it.
 *
 * Tokens have scores, logarithms of their probabilities; a piece of text becomes the tokens whose scores' sum is largest.  Of sums that are equal
 * the one counts whose last token is longest, and so on from the end.  Sums are made from left to right in doubles, as Hugging Face's
 * library makes them, so that they are equal where its are. */
#ifndef TOKEN_UNIGRAM_H
#define TOKEN_UNIGRAM_H
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "token/tokenizer.h"
#include "token/trie.h"
#include "token/vocab.h"

struct unigram {
    const struct vocab *vocab;
    const double *score;                 /* by id */
    struct trie trie;
    double unknown_score;                /* the least score of all tokens, less 10 */
    uint32_t unknown;                    /* TRIE_NONE: there is none */
    int byte_fallback;
    uint32_t byte[256];                  /* the tokens <0x00> .. <0xFF>, with byte_fallback */
};

/* Vocabulary and scores are kept.  score: by id, of the model's tokens; unknown: a token's id, -1: none; byte_fallback: characters that
 * no token covers become the tokens of their bytes.  E_DATA if a score is not finite, a token not UTF-8, the unknown token
 * not one of the model's, or one of the tokens <0x00> .. <0xFF> not there that byte_fallback asks for. */
int unigram_build(struct unigram *u, struct arena *memory, const struct vocab *v, const double *score, int64_t unknown, int byte_fallback, const char *what);

/* Memory that one encoding uses again and again, one per thread.  Starts zeroed. */
struct unigram_work { struct best *best; size_t room; };
void unigram_work_free(struct unigram_work *w);

/* Appends the ids of one piece of n bytes.  What no token covers is the unknown token, once for all characters in a row, or their bytes' tokens;
 * bytes that are not UTF-8 are such, too.  E_DATA where there is no unknown token, and names the character; a failure appends nothing.
 * Time is n times the longest token at most, memory 16 bytes a byte. */
int unigram_encode(const struct unigram *u, struct unigram_work *w, const char *piece, size_t n, struct ids *out);

#endif
