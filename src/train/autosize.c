/* autosize.c -- choosing from a short list of shapes that are known to train well. */
#include "train/autosize.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "cpu/cpu.h"
#include "train/settings.h"

/* Shapes in ascending order of cost.  Learning rates fall as width grows (Kaplan et al. 2020, appendix D). */
static const struct shape { int layers, heads, width, block, batch; double lr; } shapes[] = {
    { 2, 2, 64, 64, 16, 2e-3 },
    { 4, 4, 128, 64, 12, 1e-3 },                             /* nanoGPT's recipe for a laptop */
    { 4, 4, 128, 128, 16, 1e-3 },
    { 6, 6, 192, 128, 16, 1e-3 },
    { 6, 6, 256, 192, 16, 1e-3 },
    { 6, 6, 384, 256, 16, 1e-3 },                            /* nanoGPT's recipe for a GPU */
    { 8, 8, 512, 256, 16, 8e-4 },
    { 12, 12, 768, 512, 8, 6e-4 },
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* Of the peak: what training reaches here, a little low so that estimates are kept. */
static const double REACHED = 0.5;
/* A parameter wants so many tokens; a model that sees fewer would have been better smaller (Hoffmann et al. 2022 say 20; a text
 * that is read several times does with less). */
static const double TOKENS_A_PARAMETER = 6;

static double parameters(double layers, double width, double vocab) { return 12 * layers * width * width + vocab * width; }

static double token_flops(double layers, double width, double vocab, double block)
{
    return 6 * parameters(layers, width, vocab) + 12 * layers * width * block;
}

static double flops_a_second(void) { return REACHED * cpu_peak(F32); }

static double vocab_of(const struct dataset *d, const struct settings *s) { return s->vocab_size ? (double)s->vocab_size : (double)d->vocab; }

double estimate_iteration(const struct dataset *d, const struct options *o)
{
    const struct settings *s = o->values;
    double tokens = (double)(s->gradient_accumulation_steps * s->batch_size * s->block_size);
    return tokens * token_flops((double)s->n_layer, (double)s->n_embd, vocab_of(d, s), (double)s->block_size) / flops_a_second();
}

double estimate_evaluation(const struct dataset *d, const struct options *o)
{
    const struct settings *s = o->values;
    return estimate_iteration(d, o) / (double)s->gradient_accumulation_steps / 3 * 2 * (double)s->eval_iters;      /* two splits, forward alone */
}

/* The largest shape that sees enough tokens in the time, and whose block the validation text can fill. */
static const struct shape *choose(const struct dataset *d, const struct settings *s)
{
    double vocab = vocab_of(d, s), seconds = s->minutes * 60 * 0.9;              /* a tenth goes to evaluations */
    const struct shape *best = &shapes[0];
    for (int i = 0; i < SHAPES; i++) {
        const struct shape *p = &shapes[i];
        double tokens = seconds * flops_a_second() / token_flops(p->layers, p->width, vocab, p->block);
        double n = 12.0 * p->layers * p->width * p->width;
        if (tokens < TOKENS_A_PARAMETER * n || (size_t)p->block + 1 > d->split[SPLIT_VAL].n) continue;
        best = p;
    }
    return best;
}

static int set_number(struct options *o, const char *name, double x)
{
    if (options_origin(o, name)) return 0;                   /* the user's word stands */
    const struct option *p = options_find(o, name, strlen(name));
    if (p->kind == OPTION_INT) *(int64_t *)((char *)o->values + p->offset) = (int64_t)x;
    else if (p->kind == OPTION_BOOL) *(int *)((char *)o->values + p->offset) = x != 0;
    else *(double *)((char *)o->values + p->offset) = x;
    return 0;
}

int autosize(struct options *o, const struct dataset *d, struct text *notices)
{
    const struct settings *s = o->values;
    const struct shape *p = choose(d, s);
    const struct { const char *name; double value; } first[] = {
        { "n_layer", p->layers }, { "n_head", p->heads }, { "n_embd", p->width }, { "block_size", p->block }, { "batch_size", p->batch },
        { "gradient_accumulation_steps", 1 }, { "learning_rate", p->lr }, { "min_lr", p->lr / 10 }, { "beta2", 0.99 }, { "eval_iters", 20 },
    };
    for (size_t i = 0; i < sizeof first / sizeof *first; i++) TRY(set_number(o, first[i].name, first[i].value));
    double iterations = fmax(100, floor(s->minutes * 60 * 0.9 / estimate_iteration(d, o)));
    double epochs = iterations * (double)(s->batch_size * s->block_size * s->gradient_accumulation_steps) / (double)d->split[SPLIT_TRAIN].n;
    const struct { const char *name; double value; } then[] = {
        { "max_iters", iterations }, { "lr_decay_iters", iterations }, { "warmup_iters", fmin(100, iterations / 10) },
        { "eval_interval", fmax(50, floor(iterations / 10)) }, { "log_interval", fmax(1, floor(iterations / 200)) },
        { "dropout", epochs > 4 ? 0.2 : 0 }, { "always_save_checkpoint", 0 },
    };
    for (size_t i = 0; i < sizeof then / sizeof *then; i++) TRY(set_number(o, then[i].name, then[i].value));
    text_format(notices, "chosen for %.3g minutes here: --n_layer=%lld --n_head=%lld --n_embd=%lld --block_size=%lld --batch_size=%lld --max_iters=%lld --dropout=%g --learning_rate=%g\n",
                s->minutes, (long long)s->n_layer, (long long)s->n_head, (long long)s->n_embd, (long long)s->block_size, (long long)s->batch_size, (long long)s->max_iters, s->dropout, s->learning_rate);
    return 0;
}
