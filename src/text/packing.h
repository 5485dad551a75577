/* packing.h -- conversations on their way into a model: cut where they are too long, and packed into windows.
 *
 * A conversation is a sequence of its own, from position 0.  A window holds several, whole, in at most `block` rows; there is no padding: what a
 * window does not fill is not there.  Which conversations share a window is settled once, by the run's seed (first fit over a random order);
 * each round goes through all windows in another order.  So window w is a function of the data, the block, the seed and w. */
#ifndef TEXT_PACKING_H
#define TEXT_PACKING_H
#include "text/dataset.h"

enum { PACKING_MOST = 64 };              /* conversations of a window */

/* What of a conversation is seen: `rows` ids, the first `head` of them from `start` on (the system's words), the others from `rest` on, up to the
 * one before the last that is learnt. */
struct excerpt { size_t start, rest; int64_t head, rows; };

/* Conversation i in at most `block` rows.  A longer one loses its oldest turns, from the first user's on (with which nanochat's system goes); *e has no rows if even its last answer, with
 * what was asked, is too long: an answer is never cut. */
enum excerpt_kind { EXCERPT_WHOLE, EXCERPT_CUT, EXCERPT_NONE } dataset_excerpt(const struct dataset *d, enum split s, size_t i, int64_t block, struct excerpt *e);
/* Its ids, and for each row what is to be learnt, or -1. */
void dataset_read_excerpt(const struct dataset *d, enum split s, const struct excerpt *e, int32_t *ids, int32_t *targets);

struct packing {
    int64_t block;
    uint64_t key;
    size_t windows, *first;              /* window i holds conversations order[first[i]] .. order[first[i + 1] - 1] */
    uint32_t *order;
    size_t cut, none;                    /* conversations that lost turns; that are left out */
};

/* Sets d->packing.  E_DATA: no conversation fits into the block. */
int  dataset_pack(struct dataset *d, int64_t block, uint64_t key);
void packing_free(struct packing *p);    /* NULL is fine */
/* Which window is the w-th to train. */
size_t packing_draw(const struct packing *p, uint64_t w);

#endif
