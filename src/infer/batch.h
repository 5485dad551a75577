/* batch.h -- packed sequences on their way into a plan: the inputs ids, pos, targets, key and seqs of row space "text". */
#ifndef INFER_BATCH_H
#define INFER_BATCH_H
#include "graph/graph.h"
#include "text/packing.h"

enum { NO_TARGET = -1 };                 /* this row has no loss */

struct batch {
    int64_t rows, seqs, valid;           /* now in it; rows whose target counts */
    int64_t max_rows, max_seqs;
    int32_t *ids, *pos, *targets;
    int64_t *key;                        /* sequence number << 32 | position: dropout draws by it */
    struct seq *seq;
};

int  batch_open(struct batch *b, int64_t max_rows, int64_t max_seqs);
void batch_close(struct batch *b);
void batch_clear(struct batch *b);
int  batch_holds(const struct batch *b, int64_t n);          /* is there room for one more sequence, of n rows? */
/* Appends n ids from `at` of a split as one sequence; number: its place in the whole step, whatever the micro-batches. */
void batch_add(struct batch *b, const struct dataset *d, enum split s, size_t at, int64_t n, int64_t number);
/* Appends what is seen of a conversation; only the answers count. */
void batch_add_excerpt(struct batch *b, const struct dataset *d, enum split s, const struct excerpt *e, int64_t number);
/* Appends a sequence given as ids; targets NULL: each row's is the next id, the last row has none. */
void batch_add_ids(struct batch *b, const int32_t *ids, const int32_t *targets, int64_t n, int64_t number);
/* Appends a random sequence, each id's target the next: to measure by.  The same numbers the same ids. */
void batch_add_random(struct batch *b, int64_t vocab, int64_t n, uint64_t key, int64_t number);
/* Makes a sequence of n rows behind the last, whose ids and targets the caller has written there. */
void batch_place(struct batch *b, int64_t n, int64_t number);
int  batch_bind(const struct batch *b, struct plan *p);      /* what the plan wants of it */

#endif
