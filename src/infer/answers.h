/* answers.h -- what a model answers to items: of a question's choices the likeliest, of a cloze what it would write itself.
 *
 * Choices differ in length, and three measures of "likeliest" are in use:
 *
 *     BY_SUM        log p                         lm-evaluation-harness's acc
 *     BY_CHARACTER  log p / characters            its acc_norm
 *     BY_TOKEN      log p / tokens                llm.c's accuracy; the acc_norm of its hellaswag.py and of build-nanogpt's */
#ifndef INFER_ANSWERS_H
#define INFER_ANSWERS_H
#include "infer/score.h"
#include "text/items.h"
#include "token/tokenizer.h"

enum measure { BY_SUM, BY_CHARACTER, BY_TOKEN, MEASURES };

struct answer {
    const struct item *item;
    const struct score *score;           /* of each choice */
    int pick[MEASURES];                  /* the choice, of equals the first; -1: the measure is not known */
    int cut;                             /* a choice of it lost its beginning */
};

struct tally {
    size_t items, cut;
    size_t right[MEASURES];              /* of a cloze BY_SUM alone: greedy writing gives the answer */
    int lacks[MEASURES];                 /* some item was not measured so */
    double chance;                       /* the share that is right by chance */
    double log_p, squares; int64_t tokens;       /* of the right answers: sums of log p and of its square, tokens */
};
double tally_share(const struct tally *t, enum measure m, double *error);        /* right answers, and their standard error; NAN: not known */
double tally_loss(const struct tally *t, double *error);                         /* the mean of -log p of the right answers, nats an item */

/* Asks for all items, in order, and hands every answer to visit (may be NULL).  A context and what follows are encoded together; as many of
 * the tokens are the context's as it has by itself, without white space at its end.  Before them stands what the tokenizer puts before a
 * text, or, if the context is empty, the end-of-text token.  tokenizer NULL: items are ids. */
int answers_each(struct scorer *s, const struct tokenizer *tokenizer, const struct items *items, struct tally *tally,
                 int (*visit)(void *context, const struct answer *a), void *context);

#endif
