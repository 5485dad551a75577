/* score.h -- how likely a model holds it that one text follows another: of many pairs of texts, packed into runs of one plan.
 *
 * The plan is an EVAL graph with a space `wanted`: a row of logits for each token of the continuations, and none for what stands before
 * them.  Nothing is padded.  Beginnings that pairs share are computed again for each: without a state, the keys of a sequence
 * are rows that lie together. */
#ifndef INFER_SCORE_H
#define INFER_SCORE_H
#include "infer/batch.h"
#include "model/model.h"

struct score {
    double log_p;                        /* nats, summed over the tokens of the continuation */
    int64_t tokens;
    int greedy;                          /* each of them is the likeliest (of equals the lowest id) */
    int64_t cut;                         /* ids that were cut off on the left */
    int64_t left;                        /* tokens that are yet to be run */
};

struct wanted { struct score *score; int32_t target; };
struct scorer {
    struct plan *plan;
    int64_t context, vocab;              /* positions; columns of the logits */
    struct batch batch;
    int64_t n_wanted, max_wanted;        /* rows of logits in this run, and at most */
    int32_t *row;                        /* of the text, whose logits they are */
    struct wanted *wanted;               /* what each is for */
};

/* Plans runs of `rows` rows on w, before weights_place.  No pair has more ids than there are rows. */
int  scorer_plan(struct scorer *s, struct weights *w, const struct model *m, const struct config *c, enum dtype type, int64_t rows);
void scorer_free(struct scorer *s);      /* the plan goes with the weights */

/* The pair of ids 0 .. from - 1 and from .. n - 1, 0 < from < n.  *out is complete when nothing of it is left, at the latest after
 * scorer_finish.  A pair that is too long loses its first ids; E_DATA: even then the continuation has no place. */
int  scorer_add(struct scorer *s, const uint32_t *ids, size_t n, size_t from, struct score *out);
int  scorer_finish(struct scorer *s);    /* E_MODEL: logits are not numbers */

#endif
