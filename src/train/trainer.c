/* trainer.c -- one step at a time. */
#include "train/trainer.h"

#include <math.h>
#include <stdio.h>

#include "base/error.h"
#include "base/rng.h"
#include "cpu/cpu.h"

/* ---- open and close ---- */

static int plan_graph(struct trainer *t, enum phase phase, struct plan **p)
{
    const struct trainer_options *o = &t->o;
    const struct space text = { "text", o->batch * o->block, phase == EVAL ? o->batch * o->block : o->batch };
    struct plan_options po = { .recompute = phase == TRAIN ? o->recompute : 0, .fuse = 1 };
    graph *g;
    TRY(graph_open(&g, t->weights, phase, o->type, &text, 1));
    tensor *losses = o->model->build(g, &o->config);
    return plan_new(p, g, &losses, 1, &po);
}

static size_t memory_available(void)                         /* bytes, as the kernel estimates it; 0: unknown */
{
    FILE *f = fopen("/proc/meminfo", "r");
    char line[128];
    unsigned long long kib = 0;
    while (f && !kib && fgets(line, sizeof line, f)) sscanf(line, "MemAvailable: %llu kB", &kib);
    if (f) fclose(f);
    return (size_t)kib << 10;
}

static int measure(struct trainer *t)
{
    struct weights *w = t->weights;
    weights_measure(w);
    size_t n = w->n_trained * sizeof(float);
    struct memory_table m = { .parameters = n + w->n_form * sizeof(uint16_t), .gradients = n, .moments = 2 * n, .activations = w->arena_bytes + cpu_scratch(),
                              .states = w->state_bytes, .available = memory_available() };
    m.all = m.parameters + m.gradients + m.moments + m.activations + m.states;
    t->memory = m;
    FAIL_IF(m.available && m.all > m.available, E_MEMORY, "training needs %.0f MiB (weights, gradients and moments %.0f, activations %.0f) and %.0f MiB are free; "
            "try --recompute=3, or a smaller --batch_size", (double)m.all / 1048576, (double)(m.all - m.activations) / 1048576, (double)m.activations / 1048576,
            (double)m.available / 1048576);
    return 0;
}

static int open_all(struct trainer *t)
{
    const struct trainer_options *o = &t->o;
    TRY(config_check(o->model, &o->config));
    TRY(config_fits(&o->config, o->batch * o->block));
    TRY(weights_new(&t->weights, &cpu_backend, TRAINED));
    TRY(plan_graph(t, TRAIN, &t->train));
    TRY(plan_graph(t, EVAL, &t->eval));
    if (o->sample_streams) TRY(session_plan(&t->session, t->weights, o->model, &o->config, o->type, o->sample_streams));
    weights_state_rows(t->weights, o->sample_streams * o->config.context);
    TRY(measure(t));
    TRY(batch_open(&t->batch, o->batch * o->block, o->batch * o->block));
    return weights_place(t->weights);
}

int trainer_open(struct trainer *t, const struct trainer_options *o)
{
    *t = (struct trainer){ .o = *o, .progress = { .evaluated = -1, .best_iteration = -1, .best_loss = INFINITY } };
    int code = open_all(t);
    if (code) trainer_close(t);
    return code;
}

void trainer_close(struct trainer *t)
{
    session_free(&t->session);
    batch_close(&t->batch);
    weights_free(t->weights);
    *t = (struct trainer){ 0 };
}

/* ---- a step ---- */

/* Every micro-batch is drawn twice: the weight of one row's loss is 1 / (targets of all of them), needed by the first. */
static int count_targets(struct trainer *t, int64_t accumulate, int (*fill)(void *, int64_t, struct batch *), void *context, int64_t *valid)
{
    *valid = 0;
    for (int64_t m = 0; m < accumulate; m++) {
        batch_clear(&t->batch);
        TRY(fill(context, m, &t->batch));
        *valid += t->batch.valid;
    }
    return 0;
}

static const char *not_finite(const struct weights *w)
{
    int i = 0;
    for (const struct param *p = w->param; p; p = p->next, i++)
        if (p->use == TRAINED && p->graded && !isfinite(w->squares[i])) return p->name;
    return "gradient norm";
}

static void update(struct trainer *t, const struct adam_options *a, double norm)
{
    double scale = a->clip > 0 && norm > a->clip ? a->clip / (norm + 1e-6) : 1;      /* PyTorch's clip_grad_norm_ */
    t->progress.updates++;
    cpu_backend.update(t->weights, &(struct adamw){ .lr = a->lr, .beta1 = a->beta1, .beta2 = a->beta2, .eps = 1e-8,
                                                    .weight_decay = a->weight_decay, .grad_scale = scale, .t = t->progress.updates });
}

int trainer_step_on(struct trainer *t, int64_t accumulate, int (*fill)(void *context, int64_t micro, struct batch *b), void *context,
                    uint64_t seed, const struct adam_options *a, struct step_result *r)
{
    int64_t valid;
    *r = (struct step_result){ 0 };
    TRY(count_targets(t, accumulate, fill, context, &valid));
    for (int64_t m = 0; m < accumulate; m++) {
        batch_clear(&t->batch);
        TRY(fill(context, m, &t->batch));
        TRY(batch_bind(&t->batch, t->train));
        struct run_scalars run = { .seed = seed, .step = t->progress.iteration, .micro = (int)m, .last_micro = m + 1 == accumulate,
                                   .loss_weight = { valid ? 1 / (float)valid : 0 } };
        TRY(plan_run(t->train, &run));
        const float *losses = plan_result(t->train, 0);
        for (int64_t i = 0; i < t->batch.rows; i++) r->loss += losses[i];
        r->tokens += t->batch.rows;
    }
    r->loss /= (double)(valid ? valid : 1);
    r->norm = weights_norm(t->weights);
    if (!isfinite(r->loss)) r->where = "loss";
    else if (!isfinite(r->norm)) r->where = not_finite(t->weights);
    r->skipped = r->where != NULL;
    if (!r->skipped) update(t, a, r->norm);
    t->progress.skipped += r->skipped;
    t->progress.iteration++;
    t->progress.tokens += r->tokens;
    return 0;
}

/* ---- a step on random windows ---- */

struct draw { const struct dataset *d; uint64_t key; int64_t iteration, batch, block, accumulate; };

static int fill_random(void *context, int64_t micro, struct batch *b)
{
    const struct draw *w = context;
    for (int64_t i = 0; i < w->batch; i++) {
        int64_t sequence = micro * w->batch + i, number = w->iteration * w->accumulate * w->batch + sequence;
        size_t at;
        TRY(dataset_draw_in_turn(w->d, w->block, w->key, (uint64_t)number, &at));
        batch_add(b, w->d, SPLIT_TRAIN, at, w->block, number & INT32_MAX);
    }
    return 0;
}

int trainer_step(struct trainer *t, const struct dataset *d, int64_t accumulate, uint64_t seed, const struct adam_options *a, struct step_result *r)
{
    struct draw w = { d, rng_key(seed, rng_hash("batches")), t->progress.iteration, t->o.batch, t->o.block, accumulate };
    return trainer_step_on(t, accumulate, fill_random, &w, seed, a, r);
}

/* ---- what it costs ---- */

double trainer_flops(const struct trainer *t)
{
    const struct config *c = &t->o.config;
    const struct param *positions = t->o.model->positions ? weights_find(t->weights, t->o.model->positions) : NULL;
    double n = (double)model_parameters(t->weights) - (positions ? (double)param_size(positions) : 0);
    return 6 * n + 12.0 * (double)(c->layers * c->width * t->o.block);
}
