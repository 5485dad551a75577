/* calibrate.c -- steps of one and of two micro-batches tell what a micro-batch costs and what is done once a step. */
#include "train/calibrate.h"

#include <math.h>

#include "base/clock.h"
#include "base/error.h"
#include "cpu/cpu.h"
#include "model/adapter.h"
#include "train/checkpoint.h"

enum { LEAST_STEPS = 3 };
static const double DISK = 4e8;          /* bytes a second into a checkpoint, checksums included: a disk of today, no fast one */

static int fill_random(void *context, int64_t micro, struct batch *b)
{
    const struct trainer *t = context;
    for (int64_t i = 0; i < t->o.batch; i++) batch_add_random(b, t->o.config.vocab, t->o.block, 1, micro * t->o.batch + i);
    return 0;
}

static int one_step(struct trainer *t, int64_t accumulate, double *seconds)
{
    static const struct adam_options a = { 1e-6, 0.9, 0.99, 0, 1, 0 };
    struct step_result r;
    double start = clock_seconds();
    int code = trainer_step_on(t, accumulate, fill_random, t, 1, &a, &r);
    *seconds = clock_seconds() - start;
    return code;
}

/* The mean: what a long run will see, slow moments included. */
static int mean_step(struct trainer *t, int64_t accumulate, double budget, double *seconds, int64_t *steps)
{
    double sum = 0, now;
    int64_t n = 0;
    while (n < LEAST_STEPS || sum < budget) {
        TRY(one_step(t, accumulate, &now));
        sum += now;
        n++;
    }
    *seconds = sum / (double)n;
    *steps += n;
    return 0;
}

static int forward_only(struct trainer *t, double budget, double *seconds)
{
    double start = clock_seconds(), sum = 0;
    int64_t n = 0, tokens = 0;
    for (; n < LEAST_STEPS || clock_seconds() - start < budget; n++) {
        batch_clear(&t->batch);
        TRY(fill_random(t, n, &t->batch));
        TRY(evaluate_batch(t->eval, &t->batch, &sum, &tokens));
    }
    *seconds = (clock_seconds() - start) / (double)n;
    return 0;
}

static int measure(struct trainer *t, const struct settings *s, double seconds, struct pace *p)
{
    double first, one, two = 0, forward, batches = (double)s->batch_size / (double)t->o.batch;
    int64_t accumulate = s->gradient_accumulation_steps;
    if (t->o.base) TRY(model_load_weights(t->weights, t->o.model, t->o.base, "the model"));
    else TRY(model_init_weights(t->weights, t->o.model, &t->o.config, 1));
    if (t->o.lora.n) TRY(adapter_init(t->weights, 1));
    TRY(one_step(t, 1, &first));                             /* its memory comes to it */
    TRY(mean_step(t, 1, seconds / 2, &one, &p->measured));
    if (accumulate * batches > 1) TRY(mean_step(t, 2, seconds / 4, &two, &p->measured));
    TRY(forward_only(t, seconds / 4, &forward));
    double micro = accumulate * batches > 1 ? fmax(two - one, 0) : one, update = fmax(one - micro, 0);
    p->iteration = (double)accumulate * batches * micro + update;
    p->evaluation = 2 * (double)s->eval_iters * batches * forward;
    p->save = (double)checkpoint_bytes(t) / DISK;
    p->scaled = batches > 1;
    return 0;
}

int calibrate(const struct settings *s, const struct trainer_options *o, double seconds, struct pace *p)
{
    struct trainer_options few = *o;
    struct trainer t;
    double flops = 6.0 * 12 * (double)(o->config.layers * o->config.width * o->config.width) + 6.0 * (double)(o->config.vocab * o->config.width);
    double guess = flops * (double)o->block / cpu_peak(F32) * 2;         /* seconds of a sequence */
    *p = (struct pace){ 0 };
    for (few.batch = s->batch_size; few.batch > 1 && guess * (double)few.batch > seconds / 4;) few.batch = (few.batch + 1) / 2;
    TRY(trainer_open(&t, &few));
    int code = measure(&t, s, seconds, p);
    trainer_close(&t);
    return code;
}

double pace_of_run(const struct settings *s, const struct pace *p)
{
    double evaluations = (double)(s->max_iters / s->eval_interval + 1);
    return (double)s->max_iters * p->iteration + evaluations * (p->evaluation + p->save);
}
