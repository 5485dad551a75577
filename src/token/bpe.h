/* bpe.h -- byte pair encoding (Sennrich, Haddow, Birch 2016; on bytes: Radford et al. 2019, section 2.2).
 *
 * A piece of text starts as one token a byte, or a character.  Of all neighbours that some merge joins, the ones whose merge was learnt
 * first are joined, the leftmost first among equals; and again, until no merge applies. */
#ifndef TOKEN_BPE_H
#define TOKEN_BPE_H
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "token/places.h"
#include "token/tokenizer.h"
#include "token/vocab.h"

struct merge { uint32_t left, right, result; };
struct merges { struct merge *at; size_t n; };               /* by rank: the order in which they were learnt */

struct bpe {
    const struct vocab *vocab;
    struct merges merges;
    struct places places;                /* of merges, by what they join */
    uint32_t *crowded; size_t n_crowded; /* the merges that got none, sorted by what they join */
    uint32_t *first;                     /* over bytes: the ranks of pairs of them, [left][right] */
    uint32_t byte[256];                  /* over bytes: the token of each */
    uint8_t *whole;                      /* by token: a piece of its bytes is merged to it and nothing else */
    int by_rank;                         /* a merge's rank is its result's id, and several may have it; else its place among the merges */
    const uint8_t *last;                 /* by_rank: tokens, by id, whose merges come behind all others and are equals; NULL: there are none */
    int whole_first;                     /* a piece that is a token is that token, whatever the merges say ("ignore_merges") */
};

/* The merge of two tokens by their bytes, which follow each other at `bytes`.  E_DATA if a part or the result is not in the
 * vocabulary; the message does not say which file and which merge, so prefix it. */
int bpe_merge_of(struct merge *m, const struct vocab *v, const char *bytes, size_t left, size_t right);

/* Vocabulary and merges are kept.  E_DATA if a pair occurs twice or, over bytes, some byte has no token. */
enum bpe_over { BPE_OVER_BYTES, BPE_OVER_CHARACTERS };
int bpe_build(struct bpe *b, struct arena *memory, const struct vocab *v, struct merges merges, enum bpe_over over, int by_rank, const char *what);

/* Memory that one encoding uses again and again, one per thread.  Starts zeroed. */
struct bpe_work { struct symbol *symbol; uint64_t *heap; size_t room; };
void bpe_work_free(struct bpe_work *w);

/* The token that a piece is, and that is all there is to encoding it; -1: it must be merged. */
int64_t bpe_whole(const struct bpe *b, const char *piece, size_t n);
/* Appends the ids of one piece of n > 0 bytes, or of what starts as n > 0 tokens.  Time O(n log n), memory 28 bytes a byte. */
int bpe_encode(const struct bpe *b, struct bpe_work *w, const char *piece, size_t n, struct ids *out);
int bpe_merge(const struct bpe *b, struct bpe_work *w, const uint32_t *token, size_t n, struct ids *out);

#endif
