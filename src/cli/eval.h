/* eval.h -- what nib eval is asked, and its half for items. */
#ifndef CLI_EVAL_H
#define CLI_EVAL_H
#include "infer/answers.h"
#include "infer/engine.h"

struct eval_options {
    const char *dataset, *text, *items, *split, *field, *prompts, *tokenizer, *base, *dtype, *out;
    int64_t block_size, stride, limit, seed, shots, batch_size, threads;
    int json;
};

/* A number as JSON has it: null if it is not finite.  Returns out. */
enum { NUMBER_SIZE = 352 };              /* the largest double has 309 digits before the point */
const char *eval_number(char out[NUMBER_SIZE], int digits, double value);

/* Asks the model for its answers, prints how many are right, and writes them to o->out. */
int eval_items(const struct eval_options *o, struct engine *e, const struct items *items, int64_t block);

#endif
