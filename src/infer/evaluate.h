/* evaluate.h -- the mean loss of text, by a plan of an EVAL graph: of windows drawn at random, of a whole split, of texts from anywhere.
 *
 * A text is seen in windows of at most `block` ids, each id foretelling the next.  The next window begins `stride` ids behind; of one that
 * overlaps the one before only what is new counts, so that each id but the first of a text counts once, and sees at least block - stride
 * ids before it (after the first window).  Perplexities of GPT-2 on WikiText are usually those of stride = block / 2; stride = block is quickest, but the
 * first ids of each window see little, so that its perplexity is higher. */
#ifndef INFER_EVALUATE_H
#define INFER_EVALUATE_H
#include "file/documents.h"
#include "infer/batch.h"
#include "token/tokenizer.h"

struct evaluation {
    double loss;                         /* nats a token */
    double error;                        /* its standard error, windows taken for independent; NAN: there was one */
    int64_t tokens, windows;             /* so many targets in so many windows */
    int64_t bytes;                       /* of text that the targets stand for; 0: not known */
};
double evaluation_bits(const struct evaluation *e);          /* of information a byte of text; NAN: not known */

/* Runs what is in a batch, adds to sum and tokens, and empties it. */
int evaluate_batch(struct plan *p, struct batch *b, double *sum, int64_t *tokens);
/* `count` windows of `block` ids drawn at random from a split (nanoGPT's estimate), or, of by_document data, documents; of conversations so many, or
 * all of them once if there are no more, each in at most `block` ids, and of these the answers. */
int evaluate_random(struct plan *p, struct batch *b, const struct dataset *d, enum split s, int64_t block, int64_t count, uint64_t key, struct evaluation *e);

/* ---- all of a text ---- */

struct loss_sums { double nats, squares, products, sizes; int64_t tokens, windows, bytes; };     /* of windows: see evaluate.c */

/* Start with the plan, a batch that holds a window, and block; add texts; finish. */
struct evaluator {
    struct plan *plan;
    struct batch *batch;
    int64_t block, stride;               /* 1 <= stride <= block; 0: disjoint windows */
    const struct tokenizer *tokenizer;   /* counts the bytes of a split's ids, special tokens having none; NULL: nobody does */
    void (*progress)(void *context, size_t now, size_t all);             /* windows of this text; may be NULL */
    void *context;
    size_t texts;                        /* so many were begun */
    struct loss_sums sums;               /* zero at first */
};

/* A split.  Without a stride its last partial window is dropped; with by_document each document is a text by itself, and without a stride cut at `block`;
 * of conversations each counts, its answers alone. */
int evaluator_add_split(struct evaluator *v, const struct dataset *d, enum split s);
int evaluator_add_ids(struct evaluator *v, const uint32_t *ids, size_t n, size_t bytes);     /* a text whose ids but the first stand for so many bytes */
/* Each document is a text, all of which counts: before it stands what the tokenizer puts before a text by itself, else the end-of-text token.  Where
 * it has neither, the first token has nothing to be foretold from. */
int evaluator_add_documents(struct evaluator *v, const struct documents *d, const struct tokenizer *t);
/* E_DATA: nothing was counted; `what` says of what. */
int evaluator_finish(struct evaluator *v, struct evaluation *e, const char *what);

#endif
