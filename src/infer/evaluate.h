/* evaluate.h -- the mean loss of text, by a plan of an EVAL graph. */
#ifndef INFER_EVALUATE_H
#define INFER_EVALUATE_H
#include "infer/batch.h"

struct evaluation { double loss; int64_t tokens; };          /* nats a token, over so many targets */

/* Runs what is in a batch, adds to sum and tokens, and empties it. */
int evaluate_batch(struct plan *p, struct batch *b, double *sum, int64_t *tokens);
/* `count` windows of `block` ids drawn at random from a split (nanoGPT's estimate), or, of by_document data, documents; of conversations so many, or
 * all of them once if there are no more, each in at most `block` ids, and of these the answers. */
int evaluate_random(struct plan *p, struct batch *b, const struct dataset *d, enum split s, int64_t block, int64_t count, uint64_t key, struct evaluation *e);
/* The whole split: disjoint windows of `block` ids, every position counted, the last partial window dropped; of by_document
 * data, every document by itself, from its start; of conversations every one.  progress (may be NULL) is told windows done and in all. */
int evaluate_all(struct plan *p, struct batch *b, const struct dataset *d, enum split s, int64_t block, struct evaluation *e,
                 void (*progress)(void *context, size_t now, size_t all), void *context);

#endif
