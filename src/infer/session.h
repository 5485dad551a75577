/* session.h -- decoding: several texts written side by side, each with its keys and values kept in state rows of its own. */
#ifndef INFER_SESSION_H
#define INFER_SESSION_H
#include "model/model.h"
#include "token/tokenizer.h"

struct session {
    struct plan *plan;
    int64_t context, vocab;              /* positions; columns of the logits */
    int streams;
    int64_t rows;                        /* of one run: prompts longer than this take several */
    struct seq *seq;
    int32_t *ids, *pos, *wanted;
    int *whose;
};

/* Plans a session on w, before weights_place; its states need streams * context rows (weights_state_rows). */
int  session_plan(struct session *s, struct weights *w, const struct model *m, const struct config *c, enum dtype type, int streams);
void session_free(struct session *s);    /* the plan goes with the weights */

/* One text.  Ids from .. from + shown are in the state, at positions 0 .. shown; the ids behind them are yet to be shown. */
struct stream { struct ids ids; size_t from, shown; };

/* One run: each stream (st[i] uses state i; NULL: none) brings ids it has not shown, as far as a run holds.  Of those that have
 * shown all, whose[k] is the stream of row k of the logits (*got rows, vocab columns), valid until the next run. */
int session_step(struct session *s, struct stream *const *st, const float **logits, const int **whose, int *got);

/* Makes room in a stream whose context is full: keeps the last `keep` ids, to be shown again from position 0. */
void stream_crop(struct stream *st, size_t keep);

#endif
