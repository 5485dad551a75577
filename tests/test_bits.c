/* test_bits.c -- what must not change a bit of losses, gradients and weights: threads, the order of tasks, recomputing, fusing, how
 * a batch is cut.  That a run touches only what is alive and allocates nothing.  And the loss curve that the plain C kernels
 * must give on every machine. */
#include "rig.h"

enum { MAX_ROWS = 640 };

/* ---- a text to learn, and weights to start from ---- */

struct page { int32_t ids[MAX_ROWS], pos[MAX_ROWS], targets[MAX_ROWS]; int64_t key[MAX_ROWS]; };

/* Sequences number first, first + 1 ... of the text, packed: each of a random first letter, each letter ruled by the last. */
static struct batch page_of(struct page *p, const int *length, int seqs, int first, int64_t vocab)
{
    struct batch b = { .ids = p->ids, .pos = p->pos, .targets = p->targets, .key = p->key, .seqs = seqs };
    for (int s = 0; s < seqs; s++) {
        int64_t letter = (int64_t)rng_below(7, (uint64_t)(first + s), (uint64_t)vocab);
        b.seq[s] = (struct seq){ .row = b.rows, .rows = length[s], .key = b.rows, .keys = length[s] };
        for (int t = 0; t < length[s]; t++, b.rows++) {
            assert_true(b.rows < MAX_ROWS);
            p->ids[b.rows] = (int32_t)letter;
            p->targets[b.rows] = (int32_t)(letter = (5 * letter + 3) % vocab);
            p->pos[b.rows] = t;
            p->key[b.rows] = (int64_t)(first + s) << 32 | t;
        }
    }
    return b;
}

static void place_and_start(struct weights *w)
{
    assert_ok(weights_place(w));
    for (const struct param *p = w->param; p; p = p->next) {
        float mean = strstr(p->name, "ln_") || strstr(p->name, "norm") ? 1 : 0;
        for (size_t i = 0; i < param_size(p); i++) w->master[p->at + i] = mean + 0.1f * (float)rng_normal(rng_hash(p->name), i);
    }
    cpu_backend.refresh(w);
}

/* Large enough that every kernel has several tasks: blocks of queries, chunks of the head, strips and tiles. */
static const struct config gpt = { .layers = 2, .heads = 4, .kv_heads = 4, .head_dim = 8, .width = 32, .hidden = 96, .vocab = 131, .context = 256, .tied = 1,
                                   .eps = 1e-5, .dropout = 0.1, .bias = 1, .activation = GELU_TANH };
static const struct config llama = { .layers = 2, .heads = 4, .kv_heads = 2, .head_dim = 8, .width = 32, .hidden = 96, .vocab = 131, .context = 256, .eps = 1e-5,
                                     .qkv_bias = 1, .qk_norm = 1, .window = 70, .theta = 1e4 };
static const struct { const struct model *model; const struct config *c; } kinds[] = { { &model_gpt2, &gpt }, { &model_llama, &llama } };
enum { KINDS = sizeof kinds / sizeof *kinds };

/* ---- ways to compute the same ---- */

static const struct way { const char *name; int level, fuse, threads; uint64_t shuffle; } ways[] = {
    { "the plain way", 0, 0, 1, 0 },                          /* with which the others are compared */
    { "level 3, fused, 7 threads", 3, 1, 7, 0 },
    { "level 1, tasks shuffled", 1, 0, 1, 1 },
    { "fused, tasks shuffled", 0, 1, 1, 2 },                  /* so far on every build; the rest on the best */
    { "level 2", 2, 0, 1, 0 },
    { "level 3", 3, 0, 1, 0 },
    { "level 1, fused", 1, 1, 1, 0 },
    { "level 2, fused, tasks shuffled", 2, 1, 1, 3 },
    { "2 threads", 0, 0, 2, 0 },
    { "fused, 3 threads", 0, 1, 3, 0 },
    { "4 threads", 0, 0, 4, 0 },
};
enum { WAYS = sizeof ways / sizeof *ways, WAYS_EVERYWHERE = 4 };

struct bits { uint64_t losses, gradients, weights; };

static uint64_t hash(uint64_t h, const void *data, size_t n)              /* FNV-1a, two bytes at a time */
{
    for (size_t i = 0; i < n; i += 2) {
        uint16_t half;
        memcpy(&half, (const char *)data + i, sizeof half);
        h = (h ^ half) * 0x100000001b3u;
    }
    return h;
}

static void hash_weights(struct bits *bits, const struct weights *w)
{
    for (const struct param *p = w->param; p; p = p->next) {
        size_t n = param_size(p);
        bits->gradients = hash(bits->gradients, w->grad + p->at, n * sizeof(float));
        bits->weights = hash(bits->weights, w->master + p->at, n * sizeof(float));
        if (p->form) bits->weights = hash(bits->weights, w->form + p->form_at, n * sizeof(uint16_t));
    }
}

/* Two steps of two micro-batches, with clipping and weight decay. */
static struct bits train_in(const struct way *way, const struct model *m, const struct config *c, enum dtype type)
{
    static const int length[2][5] = { { 150, 96, 200, 33, 65 }, { 1, 64, 128, 3, 200 } };
    static struct page page[2];
    struct bits bits = { 1, 1, 1 };
    struct batch micro[2];
    struct weights *w;
    double norm;
    assert_ok(cpu_init(cpu_isa(), way->threads));
    cpu_shuffle_tasks(way->shuffle);
    for (int i = 0; i < 2; i++) micro[i] = page_of(&page[i], length[i], 5, 5 * i, c->vocab);
    assert_ok(weights_new(&w, &cpu_backend, TRAINED));
    struct plan *p = plan_for(w, m, c, TRAIN, type, micro[0], (struct plan_options){ .recompute = way->level, .fuse = way->fuse });
    place_and_start(w);
    for (int step = 0; step < 2; step++) {
        double loss = train_step(w, p, micro, 2, step, 1e-2, &norm);
        bits.losses = hash(hash(bits.losses, &loss, sizeof loss), &norm, sizeof norm);
        bits.losses = hash(bits.losses, plan_result(p, 0), (size_t)micro[1].rows * sizeof(float));
        hash_weights(&bits, w);
    }
    weights_free(w);
    cpu_shuffle_tasks(0);
    return bits;
}

static void check_way(const struct way *way, struct bits got, struct bits want, const char *model)
{
    const char *what = got.losses != want.losses ? "losses" : got.gradients != want.gradients ? "gradients" : got.weights != want.weights ? "weights" : NULL;
    if (what) fail_msg("%s, %s kernels, %s: other bits in %s", model, cpu_isa(), way->name, what);
}

static void same_bits(void **state)
{
    (void)state;
    assert_ok(cpu_init(NULL, 1));
    const char *best = cpu_isa();
    for (int build = 0; use_build(build); build++) {
        int n = strcmp(cpu_isa(), best) ? WAYS_EVERYWHERE : WAYS;
        for (int k = 0; k < KINDS; k++)
            for (enum dtype type = F32; type <= BF16; type++) {
                struct bits plain = train_in(&ways[0], kinds[k].model, kinds[k].c, type);
                for (int i = 1; i < n; i++) check_way(&ways[i], train_in(&ways[i], kinds[k].model, kinds[k].c, type), plain, kinds[k].model->name);
            }
    }
}

/* ---- a batch in one piece or in several ---- */

enum { CUT_SEQS = 4, CUT_ROWS = 543 };                        /* more than the head takes at once */
struct cut { float losses[CUT_ROWS], *grad; };

/* The gradients of four sequences, `per` at a time. */
static struct weights *train_cut(struct cut *cut, int k, enum dtype type, int per)
{
    static const int length[CUT_SEQS] = { 150, 200, 160, 33 };
    static struct page page[CUT_SEQS];
    struct batch micro[CUT_SEQS];
    struct weights *w;
    int n = CUT_SEQS / per, rows = 0;
    for (int i = 0; i < n; i++) micro[i] = page_of(&page[i], length + i * per, per, i * per, kinds[k].c->vocab);
    assert_ok(weights_new(&w, &cpu_backend, TRAINED));
    struct plan *p = plan_for(w, kinds[k].model, kinds[k].c, TRAIN, type, (struct batch){ .rows = CUT_ROWS, .seqs = per }, (struct plan_options){ .recompute = 1, .fuse = 1 });
    place_and_start(w);
    for (int i = 0; i < n; rows += micro[i++].rows) {
        bind(p, &micro[i]);
        assert_ok(plan_run(p, &(struct run_scalars){ .seed = 1, .micro = i, .last_micro = i == n - 1, .loss_weight = { 1.f / CUT_ROWS } }));
        memcpy(cut->losses + rows, plan_result(p, 0), (size_t)micro[i].rows * sizeof(float));
    }
    assert_int_equal(rows, CUT_ROWS);
    return w;
}

/* Losses, and so dropout's masks, have the same bits; gradients are sums over rows in another order, off by 1e-6 at the worst. */
static void check_cuts(int k, enum dtype type)
{
    static struct cut whole, cut;
    const char *model = kinds[k].model->name;
    struct weights *one = train_cut(&whole, k, type, CUT_SEQS);
    for (int per = 2; per >= 1; per--) {
        struct weights *w = train_cut(&cut, k, type, per);
        assert_same_bits(cut.losses, whole.losses, sizeof cut.losses, model, "losses of a batch in pieces");
        for (const struct param *p = w->param; p; p = p->next) assert_near(w->grad + p->at, one->grad + p->at, param_size(p), 5e-6, model, p->name);
        weights_free(w);
    }
    weights_free(one);
}

static void batch_in_pieces(void **state)
{
    (void)state;
    for (int build = 0; use_build(build); build++)
        for (int k = 0; k < KINDS; k++) {
            check_cuts(k, F32);
            check_cuts(k, BF16);
        }
}

/* ---- guarded runs: what is not alive is NaN, and nothing is written past an end ---- */

enum { MAX_LOGITS = 10000 };

/* One run of a plan of its own, guarded or not: its result, n numbers, and in the weights its gradients. */
static struct weights *run_once(const struct golden *g, enum phase phase, enum dtype type, int level, int guard, float *result, size_t n)
{
    const struct batch b = phase == INFER ? with_state(g->batch) : g->batch;
    struct weights *w;
    assert_ok(weights_new(&w, &cpu_backend, TRAINED));
    weights_state_rows(w, b.rows);
    struct plan *p = plan_for(w, g->model, &g->c, phase, type, b, (struct plan_options){ .recompute = level, .fuse = 1, .guard = guard });
    load_golden(w, g);
    memcpy(result, run_plan(p, &b), n * sizeof *result);
    return w;
}

static void check_guarded_run(const struct golden *g, enum phase phase, enum dtype type, int level)
{
    static float plain[MAX_LOGITS], guarded[MAX_LOGITS];
    size_t n = (size_t)g->batch.rows * (size_t)(phase == INFER ? g->c.vocab : 1);
    assert_true(n <= MAX_LOGITS);
    struct weights *w = run_once(g, phase, type, level, 0, plain, n), *v = run_once(g, phase, type, level, 1, guarded, n);
    assert_same_bits(guarded, plain, n * sizeof *plain, g->name, "result of a guarded run");
    if (phase == TRAIN) assert_same_bits(v->grad, w->grad, w->n_trained * sizeof(float), g->name, "gradients of a guarded run");
    weights_free(w);
    weights_free(v);
}

static void check_guarded(const struct golden *g, enum dtype type)
{
    for (int level = 0; level < 4; level++) check_guarded_run(g, TRAIN, type, level);
    check_guarded_run(g, EVAL, type, 0);
    check_guarded_run(g, INFER, type, 0);
}

static void guarded_runs(void **state)
{
    (void)state;
    for_each_model(check_guarded);
}

/* ---- nothing inside a run allocates ---- */

static _Atomic int allocations;

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined __SANITIZE_ADDRESS__ || __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
enum { COUNTS = 0 };
#else
enum { COUNTS = 1 };
/* In front of glibc's: counts what this program asks for.  The OpenMP runtime's own housekeeping is not ours. */
extern const char __executable_start, etext;
void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t), *__libc_memalign(size_t, size_t);
#define COUNT_OURS() (allocations += (const char *)__builtin_return_address(0) >= &__executable_start && (const char *)__builtin_return_address(0) < &etext)
void *malloc(size_t size) { COUNT_OURS(); return __libc_malloc(size); }
void *calloc(size_t n, size_t size) { COUNT_OURS(); return __libc_calloc(n, size); }
void *realloc(void *p, size_t size) { COUNT_OURS(); return __libc_realloc(p, size); }
void *aligned_alloc(size_t align, size_t size) { COUNT_OURS(); return __libc_memalign(align, size); }
#endif

static void check_allocations(const struct golden *g, enum phase phase, int threads)
{
    const struct batch b = phase == INFER ? with_state(g->batch) : g->batch;
    int start = allocations;
    struct weights *w;
    assert_ok(cpu_init(NULL, threads));
    assert_ok(weights_new(&w, &cpu_backend, TRAINED));
    weights_state_rows(w, b.rows);
    struct plan *p = plan_for(w, g->model, &g->c, phase, F32, b, (struct plan_options){ .recompute = 3, .fuse = 1 });
    load_golden(w, g);
    run_plan(p, &b);                                          /* the first may: scratch for the threads, and the threads */
    int before = allocations;
    assert_true(before > start);                              /* they are counted at all */
    run_plan(p, &b);
    assert_int_equal(allocations, before);
    weights_free(w);
}

static void no_allocation(void **state)
{
    (void)state;
    if (!COUNTS) {
        printf("skipped: no_allocation: a sanitizer brings its own malloc\n");
        skip();
    }
    for (int i = 0; i < MODELS; i++)
        for (int threads = 1; threads <= 3; threads += 2)
            for (enum phase phase = TRAIN; phase <= INFER; phase++) check_allocations(&models[i], phase, threads);
}

/* ---- the loss curve of the plain C kernels, to the bit ---- */

enum { CURVE = 10 };

static void curve_of(double *loss)
{
    static const struct config letters = { .layers = 2, .heads = 2, .kv_heads = 2, .head_dim = 8, .width = 16, .hidden = 64, .vocab = 13, .context = 16, .tied = 1,
                                           .eps = 1e-5, .dropout = 0.1, .bias = 1, .activation = GELU_TANH };
    static const int length[8] = { 16, 16, 16, 16, 16, 16, 16, 16 };
    static struct page page;
    struct batch b = page_of(&page, length, 8, 0, letters.vocab);
    struct weights *w;
    assert_ok(weights_new(&w, &cpu_backend, TRAINED));
    struct plan *p = plan_for(w, &model_gpt2, &letters, TRAIN, F32, b, (struct plan_options){ .recompute = 1, .fuse = 1 });
    place_and_start(w);
    for (int step = 0; step < CURVE; step++) {
        double norm;
        b = page_of(&page, length, 8, 8 * step, letters.vocab);
        loss[step] = train_step(w, p, &b, 1, step, 1e-2, &norm);
    }
    weights_free(w);
}

/* These bits are a promise to users of nib (a run can be repeated anywhere), so whoever must change them says so in CHANGELOG.md.
 * The other builds sum in another order and with fused multiply-adds: they are within 1e-6 of it. */
static void golden_curve(void **state)
{
    (void)state;
    static const double golden[CURVE] = { 0x1.496b7caep+1, 0x1.5594b29p+1, 0x1.526c13dep+1, 0x1.401fbbe4p+1, 0x1.323024c6p+1,
                                           0x1.25d7429ep+1, 0x1.3cf7c0acp+1, 0x1.539ec6aep+1, 0x1.189dc68ep+1, 0x1.2e29dap+1 };
    double loss[CURVE];
    for (int build = 0; use_build(build); build++) {
        curve_of(loss);
        for (int i = 0; i < CURVE; i++) {
            double most = strcmp(cpu_isa(), "scalar") ? 1e-6 : 0;
            if (!(fabs(loss[i] - golden[i]) <= most * golden[i])) fail_msg("%s kernels, step %d: loss %a, not %a", cpu_isa(), i, loss[i], golden[i]);
        }
    }
}

/* ---- memory ---- */

/* Activations and everything a kernel asks for, threads' own buffers included, of GPT-2 124M at B = 4, T = 1024 in bf16: MiB at
 * levels 0-3.  llm.c needs 1590, 1326 and 1182, and has no level 3. */
static void gpt2_124m_memory(void **state)
{
    (void)state;
    static const double most[] = { 1250, 986, 842, 300 };
    const struct config c = { .layers = 12, .heads = 12, .kv_heads = 12, .head_dim = 64, .width = 768, .hidden = 3072, .vocab = 50304, .context = 1024, .tied = 1,
                              .eps = 1e-5f, .bias = 1, .activation = GELU_TANH };
    const struct space s = { "text", 4096, 4 };
    for (int build = 0; use_build(build); build++)
        for (int level = 0; level < 4; level++) {
            struct weights *w;
            graph *g;
            struct plan *p;
            assert_ok(cpu_init(cpu_isa(), 4));
            assert_ok(weights_new(&w, &cpu_backend, TRAINED));
            assert_ok(graph_open(&g, w, TRAIN, BF16, &s, 1));
            tensor *out = model_gpt2.build(g, &c);
            assert_ok(plan_new(&p, g, &out, 1, &(struct plan_options){ .recompute = level, .fuse = 1 }));
            double mib = (double)(plan_memory(p).arena + cpu_scratch()) / 1048576;
            if (mib > most[level]) fail_msg("%s kernels, level %d: %.1f MiB, not %.0f", cpu_isa(), level, mib, most[level]);
            weights_free(w);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gpt2_124m_memory),
        cmocka_unit_test(same_bits), cmocka_unit_test(batch_in_pieces), cmocka_unit_test(guarded_runs), cmocka_unit_test(no_allocation),
        cmocka_unit_test(golden_curve),
    };
    return cmocka_run_group_tests(tests, open_models, close_models);
}
