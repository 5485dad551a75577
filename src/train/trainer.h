/* trainer.h -- a model that learns: weights, the plans to train, evaluate and sample it, and one step at a time. */
#ifndef TRAIN_TRAINER_H
#define TRAIN_TRAINER_H
#include "infer/evaluate.h"
#include "infer/session.h"
#include "train/spikes.h"

struct trainer_options {
    const struct model *model;
    struct config config;
    enum dtype type;                     /* of activations */
    int64_t batch, block;                /* sequences of one micro-batch; ids of one sequence */
    int recompute;
    int sample_streams;                  /* 0: no session */
    int64_t packed;                      /* at most so many sequences share the rows of one; 0: one */
    struct lora lora;                    /* n > 0: nothing but adapters is trained ... */
    const struct tensors *base;          /* ... and the rest stays where these are, as far as it can run there; NULL: is copied */
};

struct adam_options { double lr, beta1, beta2, weight_decay, clip, spike; };      /* spike: spikes_is' most */

/* What is saved besides weights and moments, so that a run goes on as if it had never stopped. */
struct progress {
    int64_t iteration;                   /* iterations done */
    int64_t updates;                     /* of which changed the weights: AdamW's t */
    int64_t skipped;                     /* of which did not: not finite, or a spike */
    int64_t in_a_row;                    /* the last so many were skipped */
    int64_t left_out;                    /* so many iterations' worth of data was left out, */
    int64_t rollbacks;                   /* going back to a checkpoint so often */
    int64_t tokens;
    int64_t evaluated;                   /* the iteration of the last evaluation, -1: none */
    int64_t best_iteration;              /* of the best evaluation, -1: none */
    double best_loss;
    struct spikes spikes;
};

/* Bytes that lie in memory while it trains.  mapped: not among them, but in files, whose pages the system may take back; activations: with the kernels' workspaces; inputs: of plans and batches; program: what the process had before;
 * available 0: unknown. */
struct memory_table { size_t parameters, mapped, gradients, moments, activations, states, inputs, program, all, available; };

struct trainer {
    struct trainer_options o;
    struct memory_table memory;
    struct weights *weights;
    struct plan *train, *eval;
    struct session session;
    struct batch batch;
    struct progress progress;
};

/* All but the memory: what trainer_open would take is in t->memory.  Closed as others are. */
int  trainer_plan(struct trainer *t, const struct trainer_options *o);
int  trainer_measure(const struct trainer_options *o, struct memory_table *m);           /* that alone */
/* Weights are placed, not yet filled.  What does not fit into memory is refused before anything is allocated. */
int  trainer_open(struct trainer *t, const struct trainer_options *o);
void trainer_close(struct trainer *t);

enum skipped { APPLIED, NOT_FINITE, SPIKE };
struct step_result {
    double loss, norm;                   /* mean over the targets of all micro-batches; of the whole gradient, before clipping */
    int64_t tokens;
    enum skipped skipped;
    char why[256];                       /* skipped: "its loss is not finite", "its gradient of NAME is not finite", "its loss of ... is a spike" */
};

/* One iteration: `accumulate` micro-batches drawn from the training split (of conversations, windows of its packing), one AdamW update, unless loss or gradient is not
 * finite or the loss is a spike: then nothing changes.  The draw depends on seed, iteration and what was left out alone. */
int trainer_step(struct trainer *t, const struct dataset *d, int64_t accumulate, uint64_t seed, const struct adam_options *a, struct step_result *r);

/* The iteration that was just skipped once more, step by step: r->why gets what made the first number that is not finite. */
int trainer_trace(struct trainer *t, const struct dataset *d, int64_t accumulate, uint64_t seed, struct step_result *r);

/* What the loss of an iteration's data would be now, without dropout. */
int trainer_loss(struct trainer *t, const struct dataset *d, int64_t iteration, int64_t accumulate, uint64_t seed, double *loss);

/* The same for sequences that the caller gives: fill() puts micro-batch i of `accumulate` into the batch. */
int trainer_step_on(struct trainer *t, int64_t accumulate, int (*fill)(void *context, int64_t micro, struct batch *b), void *context,
                    uint64_t seed, const struct adam_options *a, struct step_result *r);

double trainer_flops(const struct trainer *t);               /* of one token, forward and backward, as nanoGPT counts (PaLM, appendix B); frozen weights have no dW */

#endif
