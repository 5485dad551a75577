/* test_models.c -- every model against its PyTorch twin (tests/twin), on every build of the kernels that runs here: losses,
 * gradients, logits; cached decoding; weights trained, frozen, mapped and adapted. */
#include "rig.h"

enum { MAX_ROWS = 128, MAX_VOCAB = 96, MAX_BYTES = 1 << 20 };

/* Of the largest element of a tensor.  The goldens were computed in f64.
 * f32, unit roundoff 6e-8: some twenty roundings in a row and sums of up to a hundred terms; the worst gradient of any build is
 * off by 2e-6 and the worst logit by 1e-6, and PyTorch's own f32 is off by as much.
 * bf16, unit roundoff 4e-3: every activation and its gradient is rounded; the worst gradient is off by 2.5e-2, the worst logit
 * by 1.5e-2. */
static double value_bound(enum dtype type) { return type == F32 ? 5e-6 : 3e-2; }
static double gradient_bound(enum dtype type) { return type == F32 ? 5e-6 : 5e-2; }

static const struct plan_options plain = { .fuse = 1 };

/* ---- losses, gradients, logits ---- */

static void check_gradients(const struct weights *w, const struct golden *g, enum dtype type)
{
    for (const struct param *p = w->param; p; p = p->next)
        for (int i = 0; i < p->n_block; i++) {
            static float grad[MAX_BYTES / sizeof(float)];
            size_t n = (size_t)(p->block[i].out * p->in);
            assert_true(n * sizeof *grad <= sizeof grad);
            weights_get(w, p, i, w->grad, grad);
            assert_near(grad, golden_data(g, "grad.", p->block[i].name, F32), n, gradient_bound(type), g->name, p->block[i].name);
        }
}

static void check_golden(const struct golden *g, enum dtype type)
{
    size_t rows = (size_t)g->batch.rows;
    const float *losses = golden_data(g, "", "losses", F32), *logits = golden_data(g, "", "logits", F32);
    const struct batch b = with_state(g->batch);
    struct weights *w;
    assert_ok(weights_new(&w, &cpu_backend, TRAINED));
    weights_state_rows(w, g->batch.rows);
    struct plan *train = plan_for(w, g->model, &g->c, TRAIN, type, b, plain);
    struct plan *eval = plan_for(w, g->model, &g->c, EVAL, type, b, plain);
    struct plan *infer = plan_for(w, g->model, &g->c, INFER, type, b, plain);
    float trained[MAX_ROWS];
    load_golden(w, g);
    memcpy(trained, run_plan(train, &g->batch), rows * sizeof *trained);
    assert_near(trained, losses, rows, value_bound(type), g->name, "losses in TRAIN");
    check_gradients(w, g, type);
    assert_same_bits(run_plan(eval, &g->batch), trained, rows * sizeof *trained, g->name, "losses in EVAL");
    assert_near(run_plan(infer, &b), logits, rows * (size_t)g->c.vocab, value_bound(type), g->name, "logits");
    weights_free(w);
}

static void golden_numbers(void **state)
{
    (void)state;
    for_each_model(check_golden);
}

/* ---- dropout ---- */

/* The mean loss where the masters are start + by * slope. */
static double loss_along(struct weights *w, struct plan *p, const struct batch *b, const float *start, const float *slope, double by)
{
    double sum = 0;
    for (size_t i = 0; i < w->n_trained; i++) w->master[i] = start[i] + (float)(by * slope[i]);
    const float *loss = run_plan(p, b);
    for (int r = 0; r < b->rows; r++) sum += loss[r];
    return sum / targets_in(b);
}

/* The twin would draw other masks, so here the gradient is held against the loss itself: along its own direction, the central
 * difference of the loss is its norm.  (bf16 is too coarse for differences.) */
static void check_dropout(const struct golden *g, enum dtype type)
{
    const double STEP = 1e-3, BOUND = 2e-4;                   /* the worst of any build is off by 3e-5 */
    struct config c = g->c;
    struct batch b = g->batch;
    struct weights *w;
    int64_t key[MAX_ROWS];
    if (type != F32) return;
    c.dropout = 0.2;
    b.key = key;
    for (int r = 0; r < b.rows; r++) key[r] = (int64_t)1 << 32 | r;
    assert_ok(weights_new(&w, &cpu_backend, TRAINED));
    struct plan *p = plan_for(w, g->model, &c, TRAIN, type, b, plain);
    load_golden(w, g);
    float *start = malloc(w->n_trained * sizeof *start), *slope = malloc(w->n_trained * sizeof *slope);
    assert_true(start && slope);
    run_plan(p, &b);
    double norm = weights_norm(w);
    memcpy(start, w->master, w->n_trained * sizeof *start);
    memcpy(slope, w->grad, w->n_trained * sizeof *slope);
    double rise = (loss_along(w, p, &b, start, slope, STEP / norm) - loss_along(w, p, &b, start, slope, -STEP / norm)) / (2 * STEP);
    if (!(fabs(rise - norm) <= BOUND * norm)) fail_msg("%s kernels, %s with dropout: the loss rises by %.5f, the gradient says %.5f", cpu_isa(), g->name, rise, norm);
    free(start);
    free(slope);
    weights_free(w);
}

static void dropout(void **state)
{
    (void)state;
    for_each_model(check_dropout);
}

/* ---- ten steps of training, as PyTorch runs them in f32 ---- */

enum { STEPS = 10, MICRO = 2 };
static const double CURVE_BOUND = 1e-6, WEIGHT_BOUND = 3e-6;          /* the worst of any build: 2e-7 and 7e-7 */

/* A bias of the keys adds the same to all scores of a query, so softmax does not see it and its gradient is 0.  What is computed
 * is rounding noise, which AdamW scales up to steps of full size: these numbers are nobody's, and are left out. */
static void check_trained(const struct weights *w, const struct golden *g)
{
    for (const struct param *p = w->param; p; p = p->next) {
        const float *got = w->master + p->at, *want = golden_data(g, "trained.", p->name, F32);
        size_t n = param_size(p), part = strstr(p->name, "c_attn.bias") ? n / 3 : n;
        assert_near(got, want, part, WEIGHT_BOUND, g->name, p->name);
        assert_near(got + n - part, want + n - part, part, WEIGHT_BOUND, g->name, p->name);
    }
}

static void check_training(const struct golden *g)
{
    const float *rates = golden_data(g, "", "rates", F32);
    float curve[STEPS], norms[STEPS];
    struct weights *w;
    assert_ok(weights_new(&w, &cpu_backend, TRAINED));
    struct plan *p = plan_for(w, g->model, &g->c, TRAIN, F32, g->batch, plain);
    load_golden(w, g);
    for (int step = 0; step < STEPS; step++) {
        struct batch micro[MICRO] = { g->batch, g->batch };
        double norm;
        for (int i = 0; i < MICRO; i++) {
            micro[i].ids += (step * MICRO + i) * g->batch.rows;
            micro[i].targets += (step * MICRO + i) * g->batch.rows;
        }
        curve[step] = (float)train_step(w, p, micro, MICRO, step, rates[step], &norm);
        norms[step] = (float)norm;
    }
    assert_near(curve, golden_data(g, "", "curve", F32), STEPS, CURVE_BOUND, g->name, "losses");
    assert_near(norms, golden_data(g, "", "norms", F32), STEPS, CURVE_BOUND, g->name, "norms");
    check_trained(w, g);
    weights_free(w);
}

static void training_run(void **state)
{
    (void)state;
    struct golden g = golden_open("training");
    for (int build = 0; use_build(build); build++) check_training(&g);
    tensors_close(g.file);
}

/* ---- cached decoding ---- */

/* How sequences are fed: sequence s brings rows[(s + round) % 3] more rows, all sequences in one run or one after another. */
static const struct pace { const char *name; int together, rows[3]; } paces[] = {
    { "token by token", 0, { 1, 1, 1 } },
    { "in odd chunks", 0, { 7, 1, 13 } },
    { "together with different pasts", 1, { 1, 5, 3 } },
};

struct feed { int32_t ids[MAX_ROWS], pos[MAX_ROWS]; int from[MAX_ROWS]; struct batch b; };       /* from: the golden's row */

/* n more rows of a sequence.  Only the keys that a window still shows are read, if all layers have one. */
static void feed_rows(struct feed *f, const struct golden *g, const struct seq *q, int past, int n)
{
    int key = g->c.window && !g->c.full_layers && past + 1 > g->c.window ? past + 1 - (int)g->c.window : 0;
    f->b.seq[f->b.seqs++] = (struct seq){ .row = f->b.rows, .rows = n, .past = past, .base = q->row, .key = key, .keys = past + n - key };
    for (int r = q->row + past; r < q->row + past + n; r++, f->b.rows++) {
        f->ids[f->b.rows] = g->batch.ids[r];
        f->pos[f->b.rows] = g->batch.pos[r];
        f->from[f->b.rows] = r;
    }
}

static int next_rows(struct feed *f, const struct golden *g, const struct pace *pace, int round, int *past)
{
    f->b = (struct batch){ .ids = f->ids, .pos = f->pos };
    for (int s = 0; s < g->batch.seqs && (pace->together || !f->b.rows); s++) {
        const struct seq *q = &g->batch.seq[s];
        int n = pace->rows[(s + round) % 3];
        if (n > q->rows - past[s]) n = q->rows - past[s];
        if (!n) continue;
        feed_rows(f, g, q, past[s], n);
        past[s] += n;
    }
    return f->b.rows;
}

/* Whatever the pace, each row's logits are those of the whole sequence at once. */
static void check_decoding(const struct golden *g, enum dtype type)
{
    static float whole[MAX_ROWS * MAX_VOCAB];
    const struct batch b = with_state(g->batch);
    size_t V = (size_t)g->c.vocab;
    struct weights *w;
    assert_ok(weights_new(&w, &cpu_backend, FROZEN));
    weights_state_rows(w, g->batch.rows);
    struct plan *p = plan_for(w, g->model, &g->c, INFER, type, b, plain);
    load_golden(w, g);
    memcpy(whole, run_plan(p, &b), (size_t)b.rows * V * sizeof *whole);
    for (size_t k = 0; k < sizeof paces / sizeof *paces; k++) {
        struct feed f;
        int past[MAX_SEQS] = { 0 };
        memset(w->states, 0xff, w->state_bytes);              /* NaN: what is read must have been written */
        for (int round = 0; next_rows(&f, g, &paces[k], round, past); round++) {
            const float *logits = run_plan(p, &f.b);
            for (int r = 0; r < f.b.rows; r++) assert_near(logits + (size_t)r * V, whole + (size_t)f.from[r] * V, V, value_bound(type), g->name, paces[k].name);
        }
    }
    weights_free(w);
}

static void cached_decoding(void **state)
{
    (void)state;
    for_each_model(check_decoding);
}

/* Where space `wanted` is open, only its rows get logits: in the order asked for, twice if asked twice. */
static void check_wanted_in(enum phase phase, const struct golden *g, enum dtype type)
{
    const struct batch b = phase == INFER ? with_state(g->batch) : g->batch;
    const struct space spaces[] = { { "text", b.rows, b.seqs }, { "wanted", 4, 0 } };
    const int32_t wanted[] = { b.rows - 1, 2, 2, 0 };
    const float *logits = golden_data(g, "", "logits", F32);
    size_t V = (size_t)g->c.vocab;
    struct weights *w;
    graph *own;
    struct plan *p;
    assert_ok(weights_new(&w, &cpu_backend, FROZEN));
    weights_state_rows(w, b.rows);
    assert_ok(graph_open(&own, w, phase, type, spaces, 2));
    tensor *out = g->model->build(own, &g->c);
    assert_ok(plan_new(&p, own, &out, 1, &plain));
    load_golden(w, g);
    for (int n = 1; n <= 4; n++) {
        assert_ok(plan_bind(p, "wanted.wanted", wanted, n));
        const float *got = run_plan(p, &b);
        for (int i = 0; i < n; i++) assert_near(got + (size_t)i * V, logits + (size_t)wanted[i] * V, V, value_bound(type), g->name, "wanted logits");
    }
    weights_free(w);
}

static void check_wanted(const struct golden *g, enum dtype type)
{
    check_wanted_in(INFER, g, type);
    check_wanted_in(EVAL, g, type);
}

static void wanted_rows(void **state)
{
    (void)state;
    for_each_model(check_wanted);
}

/* ---- weights that are not trained ---- */

/* The goldens' weights are numbers that bf16 holds, so each of these is the same model: with f32 activations to the bit. */
static const struct home { const char *name; enum use use; enum dtype frozen; size_t gap; enum dtype file[2]; } homes[] = {
    { "trained", TRAINED, F32, 0, { 0 } },                    /* with which the others are compared */
    { "frozen", FROZEN, F32, 0, { 0 } },
    { "frozen in bf16", FROZEN, BF16, 0, { 0 } },
    { "mapped, blocks together", MAPPED, F32, 0, { F32, F32 } },
    { "mapped, blocks apart", MAPPED, F32, 64, { F32, F32 } },
    { "mapped in bf16, blocks together", MAPPED, F32, 0, { BF16, BF16 } },
    { "mapped in bf16, blocks apart", MAPPED, F32, 32, { BF16, BF16 } },
    { "mapped, blocks of two types", MAPPED, F32, 0, { BF16, F32 } },
};

/* Lays the matrices of `like` into memory as a file would hold them, and offers them to w. */
static void offer(struct weights *w, const struct weights *like, const struct golden *g, const struct home *h)
{
    static _Alignas(64) char file[MAX_BYTES];
    size_t at = 0;
    int turn = 0;
    for (const struct param *p = like->param; p; p = p->next)
        for (int i = 0; i < p->n_block && p->in > 1; i++) {
            const struct file_tensor *t = golden_find(g, "param.", p->block[i].name);
            enum dtype type = h->file[turn++ % 2];
            size_t n = t->size / sizeof(uint16_t);
            assert_true(at + n * sizeof(float) <= sizeof file);
            assert_ok(weights_offer(w, p->block[i].name, type, 0, file + at));
            for (size_t k = 0; k < n; k++, at += dtype_size(type)) {
                uint16_t half = ((const uint16_t *)t->data)[k];
                float f = bf16_to_f32(half);
                memcpy(file + at, type == BF16 ? (void *)&half : &f, dtype_size(type));
            }
            at += h->gap;
        }
}

struct numbers { float losses[MAX_ROWS], logits[MAX_ROWS * MAX_VOCAB], few[3 * MAX_VOCAB]; };

/* Losses and logits of the batch, and logits of a few rows, which take another path through the kernels.  Returns the weights,
 * after which mapped ones are laid out. */
static struct weights *compute(struct numbers *n, const struct golden *g, enum dtype type, const struct home *h, const struct weights *like)
{
    struct weights *w;
    const struct batch b = with_state(g->batch);
    struct batch few = b;
    memset(n, 0, sizeof *n);
    few.seqs = 1;
    few.rows = few.seq[0].rows = few.seq[0].keys = 3;
    few.seq[0].row = 0;
    assert_ok(weights_new(&w, &cpu_backend, h->use));
    w->frozen_type = h->frozen;
    if (h->use == MAPPED) offer(w, like, g, h);
    weights_state_rows(w, g->batch.rows);
    struct plan *eval = plan_for(w, g->model, &g->c, EVAL, type, b, plain), *infer = plan_for(w, g->model, &g->c, INFER, type, b, plain);
    load_golden(w, g);
    size_t rows = (size_t)b.rows, V = (size_t)g->c.vocab;
    memcpy(n->losses, run_plan(eval, &g->batch), rows * sizeof(float));
    memcpy(n->logits, run_plan(infer, &b), rows * V * sizeof(float));
    memcpy(n->few, run_plan(infer, &few), 3 * V * sizeof(float));
    return w;
}

static void check_homes(const struct golden *g, enum dtype type)
{
    static struct numbers trained, other;
    size_t rows = (size_t)g->batch.rows, V = (size_t)g->c.vocab;
    struct weights *like = compute(&trained, g, type, &homes[0], NULL);
    for (size_t k = 1; k < sizeof homes / sizeof *homes; k++) {
        weights_free(compute(&other, g, type, &homes[k], like));
        assert_near(other.losses, trained.losses, rows, value_bound(type), g->name, homes[k].name);
        assert_near(other.logits, trained.logits, rows * V, value_bound(type), g->name, homes[k].name);
        assert_near(other.few, trained.few, 3 * V, value_bound(type), g->name, homes[k].name);
        if (type == F32) assert_same_bits(&other, &trained, sizeof other, g->name, homes[k].name);
    }
    weights_free(like);
}

static void weights_at_home(void **state)
{
    (void)state;
    for_each_model(check_homes);
}

/* ---- LoRA ---- */

enum { RANK = 3, LORA_STEPS = 15 };
#define ALPHA 6.0f

static struct weights *new_adapted(const struct golden *g)
{
    static const struct low_rank gpt[] = { { "c_attn", RANK, ALPHA / RANK } }, llama[] = { { "q_proj", RANK, ALPHA / RANK }, { "v_proj", RANK, ALPHA / RANK } };
    const int is_gpt = g->model == &model_gpt2;
    struct weights *w;
    assert_ok(weights_new(&w, &cpu_backend, FROZEN));
    weights_lora(w, &(struct lora){ .adapt = is_gpt ? gpt : llama, .n = is_gpt ? 1 : 2, .dropout = 0.1f });
    weights_state_rows(w, g->batch.rows);
    return w;
}

/* A at random, B zero: adapters that do nothing yet. */
static void start_adapters(struct weights *w)
{
    float values[RANK * MAX_ROWS];
    int adapters = 0;
    for (struct param *p = w->param; p; p = p->next) {
        assert_int_equal(p->use, strstr(p->name, ".lora_") ? TRAINED : FROZEN);
        if (p->use == FROZEN) continue;
        assert_true(param_size(p) <= sizeof values / sizeof *values);
        for (size_t i = 0; i < param_size(p); i++) values[i] = strstr(p->name, "lora_A") ? 0.3f * (float)rng_normal(rng_hash(p->name), i) : 0;
        assert_ok(weights_set(w, p, 0, F32, values));
        adapters++;
    }
    assert_true(adapters > 0);
    cpu_backend.refresh(w);
}

/* Some steps on one batch: the loss falls, and not a bit of the base changes. */
static void train_adapters(struct weights *w, struct plan *p, const struct golden *g)
{
    int64_t key[MAX_ROWS];
    struct batch b = g->batch;
    for (int r = 0; r < b.rows; r++) key[r] = r;
    b.key = key;
    char *base = malloc(w->frozen_bytes);
    assert_non_null(base);
    memcpy(base, w->frozen, w->frozen_bytes);
    double norm, first = train_step(w, p, &b, 1, 0, 2e-2, &norm), last = first;
    for (int step = 1; step < LORA_STEPS; step++) last = train_step(w, p, &b, 1, step, 2e-2, &norm);
    if (!(last < 0.8 * first)) fail_msg("%s kernels, %s, LoRA: the loss went from %.3f to %.3f", cpu_isa(), g->name, first, last);
    assert_same_bits(w->frozen, base, w->frozen_bytes, g->name, "frozen base");
    free(base);
}

/* The adapter's matrix A or B of a block, if it has one. */
static struct param *adapter(const struct weights *w, const struct block *b, char which)
{
    char name[256];
    snprintf(name, sizeof name, "%.*s.lora_%c.weight", (int)(strlen(b->name) - strlen(".weight")), b->name, which);
    return weights_find(w, name);
}

/* Adds alpha / rank * B A to the matrix of block i of p. */
static void merge_block(struct weights *merged, struct param *p, int i, const struct weights *w)
{
    static float a[RANK * MAX_ROWS], b[RANK * MAX_ROWS], x[MAX_BYTES / sizeof(float)];
    const struct param *pa = adapter(w, &p->block[i], 'A'), *pb = adapter(w, &p->block[i], 'B');
    if (p->in == 1 || !pa) return;
    weights_get(w, pa, 0, w->master, a);
    weights_get(w, pb, 0, w->master, b);
    weights_get(merged, p, i, merged->master, x);
    int64_t in = p->in, out = p->block[i].out;
    for (int64_t o = 0; o < out; o++)
        for (int64_t k = 0; k < in; k++) {
            float *at = x + (p->layout == IN_OUT ? k * out + o : o * in + k);
            for (int r = 0; r < RANK; r++) *at += ALPHA / RANK * b[o * RANK + r] * a[r * in + k];
        }
    assert_ok(weights_set(merged, p, i, F32, x));
}

/* `logits` of the model whose matrices have the adapters of w added in. */
static void compute_merged(float *logits, const struct weights *w, const struct golden *g)
{
    const struct batch b = with_state(g->batch);
    struct weights *merged;
    assert_ok(weights_new(&merged, &cpu_backend, TRAINED));
    weights_state_rows(merged, b.rows);
    struct plan *p = plan_for(merged, g->model, &g->c, INFER, F32, b, plain);
    load_golden(merged, g);
    for (struct param *q = merged->param; q; q = q->next)
        for (int i = 0; i < q->n_block; i++) merge_block(merged, q, i, w);
    cpu_backend.refresh(merged);
    memcpy(logits, run_plan(p, &b), (size_t)(b.rows * g->c.vocab) * sizeof *logits);
    weights_free(merged);
}

static void check_lora(const struct golden *g, enum dtype type)
{
    static struct numbers base;
    static float merged[MAX_ROWS * MAX_VOCAB];
    const struct batch b = with_state(g->batch);
    size_t n = (size_t)(b.rows * g->c.vocab);
    weights_free(compute(&base, g, type, &homes[1], NULL));
    struct weights *w = new_adapted(g);
    struct plan *train = plan_for(w, g->model, &g->c, TRAIN, type, b, plain), *infer = plan_for(w, g->model, &g->c, INFER, type, b, plain);
    load_golden(w, g);
    start_adapters(w);
    assert_same_bits(run_plan(infer, &b), base.logits, n * sizeof(float), g->name, "LoRA with B = 0");
    train_adapters(w, train, g);
    if (type == F32) {                                        /* bf16 would round the sums W + B A, which are nowhere else */
        compute_merged(merged, w, g);
        assert_near(run_plan(infer, &b), merged, n, value_bound(F32), g->name, "LoRA and the merged matrices");
    }
    weights_free(w);
}

static void lora(void **state)
{
    (void)state;
    for_each_model(check_lora);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_numbers), cmocka_unit_test(dropout), cmocka_unit_test(training_run), cmocka_unit_test(cached_decoding),
        cmocka_unit_test(wanted_rows), cmocka_unit_test(weights_at_home), cmocka_unit_test(lora),
    };
    return cmocka_run_group_tests(tests, open_models, close_models);
}
