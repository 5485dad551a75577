/* fit.c -- every micro-batch that divides the batch, at every level, by planning alone. */
#include "train/fit.h"

#include <math.h>

#include "base/error.h"
#include "base/memory.h"
#include "train/settings.h"

/* Seconds of a step at each level, of those at level 0; `nib bench train --recompute=` says it. */
static const double cost_of_level[] = { 1, 1.03, 1.08, 1.33 };
/* Products of few rows are slower: as if each micro-batch had so many more. */
static const double ROWS_OF_OVERHEAD = 64;

struct choice { int64_t batch, accumulate; int recompute; struct memory_table memory; double cost; };

static double cost_of(const struct choice *c, int64_t block)
{
    return cost_of_level[c->recompute] * (1 + ROWS_OF_OVERHEAD / (double)(c->batch * block));
}

/* The cheapest that fits; least: the smallest of all. */
static int choose(const struct settings *s, struct trainer_options t, size_t most, struct choice *best, struct choice *least)
{
    int64_t sequences = s->batch_size * s->gradient_accumulation_steps;
    *best = (struct choice){ .cost = INFINITY };
    for (int64_t batch = s->batch_size; batch >= 1; batch--)
        for (int level = (int)s->recompute; level < 4 && sequences % batch == 0; level++) {
            struct choice now = { .batch = batch, .accumulate = sequences / batch, .recompute = level };
            t.batch = batch;
            t.recompute = level;
            TRY(trainer_measure(&t, &now.memory));
            now.cost = cost_of(&now, t.block);
            if (now.memory.all <= most && now.cost < best->cost) *best = now;
            if (!least->batch || now.memory.all < least->memory.all) *least = now;
        }
    return 0;
}

static double mib(size_t bytes) { return (double)bytes / 1048576; }

int fit(struct options *o, struct trainer_options *t, struct text *notices)
{
    struct settings *s = o->values;
    struct choice best, least = { 0 };
    size_t most;
    if (!s->max_memory) return 0;
    TRY(memory_parse(s->max_memory, &most));
    TRY(choose(s, *t, most, &best, &least));
    const struct memory_table *m = &least.memory;
    FAIL_IF(!best.batch, E_MEMORY, "--max_memory=%s is %.1f MiB, and training needs at least %.1f: weights, gradients and moments %.1f, activations %.1f at --batch_size=%lld --recompute=%d, the rest %.1f; "
            "take a smaller model or block_size", s->max_memory, mib(most), mib(m->all), mib(m->parameters + m->gradients + m->moments), mib(m->activations), (long long)least.batch, least.recompute,
            mib(m->states + m->inputs + m->program));
    if (best.batch == s->batch_size && best.recompute == s->recompute) return 0;
    text_format(notices, "for --max_memory=%s: --batch_size=%lld --gradient_accumulation_steps=%lld --recompute=%d, %.1f MiB\n", s->max_memory, (long long)best.batch, (long long)best.accumulate,
                best.recompute, mib(best.memory.all));
    s->eval_iters = (s->eval_iters * s->batch_size + best.batch - 1) / best.batch;
    s->batch_size = t->batch = best.batch;
    s->gradient_accumulation_steps = best.accumulate;
    s->recompute = t->recompute = best.recompute;
    return 0;
}
