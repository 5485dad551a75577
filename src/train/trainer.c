/* trainer.c -- one step at a time. */
#include "train/trainer.h"

#include <math.h>
#include <stdio.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/rng.h"
#include "cpu/cpu.h"
#include "train/trace.h"

/* ---- open and close ---- */

static int plan_graph(struct trainer *t, enum phase phase, struct plan **p)
{
    const struct trainer_options *o = &t->o;
    int64_t rows = o->batch * o->block, packed = o->packed ? o->packed : 1;
    const struct space text = { "text", rows, phase == EVAL || packed > o->block ? rows : packed * o->batch };
    struct plan_options po = { .recompute = phase == TRAIN ? o->recompute : 0, .fuse = 1 };
    graph *g;
    TRY(graph_open(&g, t->weights, phase, o->type, &text, 1));
    tensor *losses = o->model->build(g, &o->config);
    return plan_new(p, g, &losses, 1, &po);
}

static void measure(struct trainer *t, size_t program)
{
    enum { OF_A_ROW = 3 * sizeof(int32_t) + sizeof(int64_t) + sizeof(struct seq), COPIES = 3 };      /* one in the batch, one in each plan */
    struct weights *w = t->weights;
    weights_measure(w);
    size_t n = cpu_taken(w->n_trained * sizeof(float));
    struct memory_table m = { .parameters = n + cpu_taken(w->n_form * sizeof(uint16_t)) + cpu_taken(w->frozen_bytes), .mapped = model_mapped(w), .gradients = n, .moments = 2 * n, .activations = cpu_taken(w->arena_bytes) + cpu_scratch(),
                              .states = cpu_taken(w->state_bytes),
                              .inputs = (size_t)(t->o.batch * t->o.block) * OF_A_ROW * COPIES, .program = program, .available = memory_available() };
    m.all = m.parameters + m.gradients + m.moments + m.activations + m.states + m.inputs + m.program;
    t->memory = m;
}

static int check_room(const struct memory_table *m)
{
    size_t needed = m->all - m->program;                     /* what the program has is not available any more */
    FAIL_IF(m->available && needed > m->available, E_MEMORY, "training needs %.0f MiB (weights, gradients and moments %.0f, activations %.0f) and %.0f MiB are free; "
            "try --recompute=3, or a smaller --batch_size; --max_memory=80%% finds what fits", (double)needed / 1048576, (double)(m->parameters + m->gradients + m->moments) / 1048576,
            (double)m->activations / 1048576, (double)m->available / 1048576);
    return 0;
}

/* Weights of which all, or nothing but adapters, are trained. */
static int open_weights(struct trainer *t)
{
    const struct trainer_options *o = &t->o;
    TRY(weights_new(&t->weights, &cpu_backend, o->lora.n ? MAPPED : TRAINED));
    if (!o->lora.n) return 0;
    weights_lora(t->weights, &o->lora);
    t->weights->frozen_type = o->type;
    return o->base ? model_offer_weights(t->weights, o->model, o->base) : 0;
}

static int plan_all(struct trainer *t)
{
    const struct trainer_options *o = &t->o;
    size_t program = memory_used();
    TRY(config_check(o->model, &o->config));
    TRY(config_fits(&o->config, o->batch * o->block));
    TRY(open_weights(t));
    TRY(plan_graph(t, TRAIN, &t->train));
    TRY(plan_graph(t, EVAL, &t->eval));
    struct config sampled = o->config;
    if (!o->model->positions && o->block < sampled.context) sampled.context = o->block;      /* samples stay as short as what is trained on */
    if (o->sample_streams) TRY(session_plan(&t->session, t->weights, o->model, &sampled, o->type, o->sample_streams));
    weights_state_rows(t->weights, o->sample_streams * sampled.context);
    measure(t, program);
    return 0;
}

static int open_all(struct trainer *t)
{
    const struct trainer_options *o = &t->o;
    TRY(plan_all(t));
    TRY(check_room(&t->memory));
    TRY(batch_open(&t->batch, o->batch * o->block, o->batch * o->block));
    return weights_place(t->weights);
}

static void start(struct trainer *t, const struct trainer_options *o)
{
    *t = (struct trainer){ .o = *o, .progress = { .evaluated = -1, .best_iteration = -1, .best_loss = INFINITY } };
}

int trainer_plan(struct trainer *t, const struct trainer_options *o)
{
    start(t, o);
    int code = plan_all(t);
    if (code) trainer_close(t);
    return code;
}

int trainer_measure(const struct trainer_options *o, struct memory_table *m)
{
    struct trainer t;
    TRY(trainer_plan(&t, o));
    *m = t.memory;
    trainer_close(&t);
    return 0;
}

int trainer_open(struct trainer *t, const struct trainer_options *o)
{
    start(t, o);
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

static const char *not_finite(const struct weights *w)
{
    int i = 0;
    for (const struct param *p = w->param; p; p = p->next, i++)
        if (p->use == TRAINED && p->graded && !isfinite(w->squares[i])) return p->name;
    return "all parameters together";
}

/* Nothing of an iteration that is not applied stays. */
static enum skipped judge(const struct trainer *t, double most, struct step_result *r)
{
    struct spread usual = spikes_spread(&t->progress.spikes);
    if (!isfinite(r->loss)) {
        snprintf(r->why, sizeof r->why, "its loss is not finite");
        return NOT_FINITE;
    }
    if (!isfinite(r->norm)) {
        snprintf(r->why, sizeof r->why, "its gradient of %s is not finite", not_finite(t->weights));
        return NOT_FINITE;
    }
    if (!spikes_is(&t->progress.spikes, r->loss, most)) return APPLIED;
    snprintf(r->why, sizeof r->why, "its loss of %.4f is a spike, %.1f standard deviations above %.4f", r->loss, (r->loss - usual.mean) / usual.deviation, usual.mean);
    return SPIKE;
}

static void update(struct trainer *t, const struct adam_options *a, double norm)
{
    double scale = a->clip > 0 && norm > a->clip ? a->clip / (norm + 1e-6) : 1;      /* PyTorch's clip_grad_norm_ */
    t->progress.updates++;
    cpu_backend.update(t->weights, &(struct adamw){ .lr = a->lr, .beta1 = a->beta1, .beta2 = a->beta2, .eps = 1e-8,
                                                    .weight_decay = a->weight_decay, .grad_scale = scale, .t = t->progress.updates });
}

/* The batch of an iteration in its micro-batches; valid: targets in all of them. */
struct portions { int64_t accumulate, valid; int (*fill)(void *, int64_t, struct batch *); void *context; uint64_t seed; };

/* Every micro-batch is drawn twice: the weight of one row's loss is 1 / (targets of all of them), needed by the first. */
static int count_targets(struct trainer *t, struct portions *w)
{
    for (int64_t m = 0; m < w->accumulate; m++) {
        batch_clear(&t->batch);
        TRY(w->fill(w->context, m, &t->batch));
        w->valid += t->batch.valid;
    }
    return 0;
}

static int bind(struct trainer *t, const struct portions *w, int64_t m, struct run_scalars *run)
{
    batch_clear(&t->batch);
    TRY(w->fill(w->context, m, &t->batch));
    *run = (struct run_scalars){ .seed = w->seed, .step = t->progress.iteration, .micro = (int)m, .last_micro = m + 1 == w->accumulate,
                                 .loss_weight = { w->valid ? 1 / (float)w->valid : 0 } };
    return batch_bind(&t->batch, t->train);
}

static int forward_and_backward(struct trainer *t, const struct portions *w, struct step_result *r)
{
    for (int64_t m = 0; m < w->accumulate; m++) {
        struct run_scalars run;
        TRY(bind(t, w, m, &run));
        TRY(plan_run(t->train, &run));
        const float *losses = plan_result(t->train, 0);
        for (int64_t i = 0; i < t->batch.rows; i++) r->loss += losses[i];
        r->tokens += t->batch.rows;
    }
    r->loss /= (double)(w->valid ? w->valid : 1);
    r->norm = weights_norm(t->weights);
    return 0;
}

int trainer_step_on(struct trainer *t, int64_t accumulate, int (*fill)(void *context, int64_t micro, struct batch *b), void *context,
                    uint64_t seed, const struct adam_options *a, struct step_result *r)
{
    struct portions w = { accumulate, 0, fill, context, seed };
    struct progress *p = &t->progress;
    *r = (struct step_result){ 0 };
    TRY(count_targets(t, &w));
    TRY(forward_and_backward(t, &w, r));
    r->skipped = judge(t, a->spike, r);
    if (!r->skipped) {
        update(t, a, r->norm);
        spikes_add(&p->spikes, r->loss);
    }
    p->in_a_row = r->skipped ? p->in_a_row + 1 : 0;
    p->skipped += r->skipped != APPLIED;
    p->iteration++;
    p->tokens += r->tokens;
    return 0;
}

/* ---- a step on random windows ---- */

struct draw { const struct dataset *d; uint64_t key; int64_t iteration, batch, block, accumulate; };

/* Sequences are numbered as if each window were full of them. */
static void add_window(const struct draw *w, struct batch *b, int64_t number)
{
    const struct packing *p = w->d->packing;
    size_t window = packing_draw(p, (uint64_t)number), first = p->first[window];
    for (size_t k = first; k < p->first[window + 1]; k++) {
        struct excerpt e;
        dataset_excerpt(w->d, SPLIT_TRAIN, p->order[k], w->block, &e);
        batch_add_excerpt(b, w->d, SPLIT_TRAIN, &e, (number * PACKING_MOST + (int64_t)(k - first)) & INT32_MAX);
    }
}

static int fill_random(void *context, int64_t micro, struct batch *b)
{
    const struct draw *w = context;
    for (int64_t i = 0; i < w->batch; i++) {
        int64_t sequence = micro * w->batch + i, number = w->iteration * w->accumulate * w->batch + sequence;
        size_t at;
        if (w->d->packing) {
            add_window(w, b, number);
            continue;
        }
        TRY(dataset_draw_in_turn(w->d, w->block, w->key, (uint64_t)number, &at));
        batch_add(b, w->d, SPLIT_TRAIN, at, w->block, number & INT32_MAX);
    }
    return 0;
}

/* The data of an iteration, whatever was left out before it. */
static struct draw draw_of(const struct trainer *t, const struct dataset *d, int64_t iteration, int64_t accumulate, uint64_t seed)
{
    return (struct draw){ d, rng_key(seed, rng_hash("batches")), iteration + t->progress.left_out, t->o.batch, t->o.block, accumulate };
}

int trainer_step(struct trainer *t, const struct dataset *d, int64_t accumulate, uint64_t seed, const struct adam_options *a, struct step_result *r)
{
    struct draw w = draw_of(t, d, t->progress.iteration, accumulate, seed);
    return trainer_step_on(t, accumulate, fill_random, &w, seed, a, r);
}

int trainer_loss(struct trainer *t, const struct dataset *d, int64_t iteration, int64_t accumulate, uint64_t seed, double *loss)
{
    struct draw w = draw_of(t, d, iteration, accumulate, seed);
    int64_t valid = 0;
    *loss = 0;
    for (int64_t m = 0; m < accumulate; m++) {
        batch_clear(&t->batch);
        TRY(fill_random(&w, m, &t->batch));
        TRY(evaluate_batch(t->eval, &t->batch, loss, &valid));
    }
    *loss /= (double)(valid ? valid : 1);
    return 0;
}

int trainer_trace(struct trainer *t, const struct dataset *d, int64_t accumulate, uint64_t seed, struct step_result *r)
{
    struct draw draw = draw_of(t, d, t->progress.iteration - 1, accumulate, seed);
    struct portions w = { accumulate, 0, fill_random, &draw, seed };
    const char *weights = trace_weights(t->weights);
    struct text found = { 0 };
    int code = count_targets(t, &w);
    t->progress.iteration--;                                 /* dropout draws by it */
    for (int64_t m = 0; m < accumulate && !code && !weights && !found.size; m++) {
        struct run_scalars run;
        code = bind(t, &w, m, &run);
        if (!code) code = trace_run(t->train, &run, &found);
    }
    t->progress.iteration++;
    if (weights) snprintf(r->why, sizeof r->why, "its weights %.200s are not finite", weights);
    else if (found.size) snprintf(r->why, sizeof r->why, "%.200s made the first number that is not finite", found.at);
    text_free(&found);
    return code;
}

/* ---- what it costs ---- */

double trainer_flops(const struct trainer *t)
{
    const struct config *c = &t->o.config;
    const struct param *positions = t->o.model->positions ? weights_find(t->weights, t->o.model->positions) : NULL;
    double looked_up = positions ? (double)param_size(positions) : 0;
    double n = (double)model_parameters(t->weights) - looked_up, trained = (double)model_trained(t->weights) - (t->o.lora.n ? 0 : looked_up);
    return 4 * n + 2 * trained + 12.0 * (double)(c->layers * c->width * t->o.block);
}
