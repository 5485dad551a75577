/* learn.h -- merges learnt from pieces of text (Sennrich, Haddow, Birch 2016; on bytes: Radford et al. 2019).
 *
 * Every piece starts as its bytes.  Again and again, of all pairs of neighbours the one that occurs most often, over all pieces
 * and as often as they occur, becomes a token.  Of pairs that occur equally often it is the one with the lower left id, then
 * with the lower right id, where bytes have GPT-2's ids (alphabet.h) and each new token the next: this is the order of Hugging
 * Face's trainer.  In a run such as aaa overlapping pairs count each. */
#ifndef TOKEN_LEARN_H
#define TOKEN_LEARN_H
#include "token/bpe.h"
#include "token/tally.h"

struct learnt {
    struct tally tokens;                 /* by id, bytes first; counts mean nothing */
    struct merge *merge; size_t n;
};

struct learning {
    const struct tally *pieces;
    size_t tokens;                       /* how many there should be in all; fewer come out where no pair is left */
    uint64_t least;                      /* how often a pair must occur */
    void (*progress)(void *context, uint64_t now, uint64_t all); void *context;  /* may be NULL */
};

int  learn(struct learnt *out, const struct learning *l);    /* out starts zeroed; freed by learnt_free, whatever comes back */
void learnt_free(struct learnt *l);

#endif
