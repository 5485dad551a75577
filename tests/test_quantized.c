/* test_quantized.c -- matrices in blocks run where they lie: as whole numbers where nothing is trained, else as the numbers that they stand for. */
#include "base/quantize.h"
#include "rig.h"

static const enum dtype kinds[] = { Q8_0, Q4_0, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K };
enum { KINDS = sizeof kinds / sizeof *kinds };

/* Blocks of random bytes whose scales, halves, are of a sane size. */
static void *random_blocks(enum dtype type, size_t values, uint64_t key)
{
    static const int halves[DTYPE_COUNT][2] = { [Q5_1] = { 0, 2 }, [Q4_K] = { 0, 2 }, [Q5_K] = { 0, 2 }, [Q6_K] = { 208, 208 } };
    size_t n = dtype_bytes(type, values), size = dtype_size(type);
    uint8_t *b = malloc(n);
    for (size_t i = 0; i < n; i++) b[i] = (uint8_t)(rng_unit(key, i) * 256);
    for (size_t i = 0; i < n; i += size)
        for (int h = 0; h < 2; h++) {
            uint8_t *upper = b + i + halves[type][h] + 1;
            *upper = (*upper & 0x83) | 0x24;
        }
    return b;
}

static float *widened(enum dtype type, const void *blocks, size_t n)
{
    float *x = malloc(n * sizeof *x);
    dequantize(type, blocks, x, n);
    return x;
}

static float *random_floats(size_t n, uint64_t key)
{
    float *x = malloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = (float)rng_normal(key, i);
    return x;
}

/* ---- y = x W^T + b ---- */

/* x as quants.h says that it is rounded: in whole 127ths of the largest of 32. */
static void round_bytes(const float *x, double *to, int64_t n)
{
    for (int64_t i = 0; i < n; i += 32) {
        float most = 0;
        for (int k = 0; k < 32; k++) most = fmaxf(most, fabsf(x[i + k]));
        for (int k = 0; k < 32; k++) to[i + k] = most > 0 ? (double)nearbyintf(x[i + k] * (127 / most)) * (double)(most / 127) : 0;
    }
}

/* Are products of many rows made of bytes in this build? */
static int has_quads(void)
{
#ifdef __x86_64__
    return strstr(cpu_isa(), "avx512") && __builtin_cpu_supports("avx512vnni");
#else
    return 0;
#endif
}

struct product_case { enum phase phase; enum dtype x; int rows, k, n; };

static void check_rows(const struct product_case *c, const float *x, const float *w, const float *bias, const float *y, const char *what)
{
    int bytes = c->phase != TRAIN && ((c->phase == INFER && c->rows <= 8) || has_quads());
    double *left = malloc((size_t)c->k * sizeof *left);
    for (int r = 0; r < c->rows; r++) {
        for (int i = 0; i < c->k; i++) left[i] = (double)x[r * c->k + i];
        if (bytes) round_bytes(x + r * c->k, left, c->k);
        for (int j = 0; j < c->n; j++) {
            double sum = (double)bias[j], size = fabs(sum);
            for (int i = 0; i < c->k; i++) sum += left[i] * (double)w[j * c->k + i], size += fabs(left[i] * (double)w[j * c->k + i]);
            if (!(fabs((double)y[r * c->n + j] - sum) <= 2e-6 * size)) fail_msg("%s, %s: row %d, output %d of %d x %d x %d: %g instead of %g", cpu_isa(), what, r, j, c->rows, c->k, c->n, (double)y[r * c->n + j], sum);
        }
    }
    free(left);
}

static void product(const struct product_case *c, enum dtype type, uint64_t key)
{
    size_t n = (size_t)c->k * (size_t)c->n;
    void *blocks = random_blocks(type, n, key);
    float *w = widened(type, blocks, n), *x = random_floats((size_t)(c->rows * c->k), key + 1), *bias = random_floats((size_t)c->n, key + 2);
    uint16_t *half = malloc((size_t)(c->rows * c->k) * sizeof *half);
    for (int i = 0; i < c->rows * c->k && c->x == BF16; i++) half[i] = f32_to_bf16(x[i]), x[i] = bf16_to_f32(half[i]);
    for (int i = 0; i < c->k; i++) x[i] = 0;                 /* a row of zeros is one of zeros */
    for (int i = 0; i < c->k && c->x == BF16; i++) half[i] = 0;
    struct weights *weights;
    graph *g;
    struct plan *p;
    assert_ok(weights_new(&weights, &cpu_backend, MAPPED));
    assert_ok(weights_offer(weights, "w", type, 0, blocks));
    assert_ok(graph_open(&g, weights, c->phase, c->x, &(struct space){ "text", c->rows + 3, 1 }, 1));
    tensor *in = t_input(graph_rows(g, "text"), "x", c->k, c->x), *matrix = t_param(g, "w", OUT_IN, c->k, 1, &(struct block){ "w", c->n }), *b = t_vector(g, "b", 1, &(struct block){ "b", c->n });
    tensor *y = t_linear(in, matrix, b, F32);
    assert_ok(plan_new(&p, g, &y, 1, &(struct plan_options){ 0 }));
    assert_ok(weights_place(weights));
    assert_int_equal(weights->frozen_bytes, ((size_t)c->n * 4 + 63) / 64 * 64);      /* the bias alone: W stays where it is */
    assert_ok(weights_set(weights, weights_find(weights, "b"), 0, F32, bias));
    assert_ok(plan_bind(p, "text.x", c->x == BF16 ? (void *)half : x, c->rows));
    assert_ok(plan_run(p, &(struct run_scalars){ .last_micro = 1 }));
    check_rows(c, x, w, bias, plan_result(p, 0), dtype_name(type));
    weights_free(weights);
    free(half), free(bias), free(x), free(w), free(blocks);
}

static void products(void **state)
{
    static const struct product_case cases[] = {
        { INFER, F32, 1, 256, 67 }, { INFER, F32, 3, 512, 64 }, { INFER, F32, 8, 256, 5 },  { INFER, BF16, 5, 256, 33 }, { INFER, F32, 9, 256, 70 },
        { INFER, F32, 40, 768, 33 }, { INFER, F32, 1, 288, 9 },  { INFER, F32, 7, 32, 4 },   { INFER, BF16, 14, 96, 40 }, { TRAIN, F32, 9, 96, 7 }, { EVAL, F32, 1, 256, 32 },  { EVAL, BF16, 13, 512, 65 }, { EVAL, F32, 600, 256, 9 },  { TRAIN, F32, 21, 256, 50 }, { TRAIN, BF16, 5, 512, 130 },
    };
    (void)state;
    for (int i = 0; use_build(i); i++)
        for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
            for (int t = 0; t < KINDS; t++)
                if ((size_t)cases[c].k % dtype_values(kinds[t]) == 0) product(&cases[c], kinds[t], 1000 * c + 10 * (uint64_t)t);
}

/* What is not finite in x makes its own row so, and no other. */
static void not_finite(void **state)
{
    enum { ROWS = 2, K = 256, N = 7 };
    static const float bad[] = { NAN, INFINITY, -INFINITY };
    (void)state;
    for (int i = 0; use_build(i); i++)
        for (size_t k = 0; k < 3; k++) {
            void *blocks = random_blocks(Q8_0, K * N, k);
            float *x = random_floats((size_t)(ROWS * K), k);
            struct weights *w;
            graph *g;
            struct plan *p;
            x[K / 2] = bad[k];
            x[K] = 1e-42f;                                   /* so small that its inverse is not finite */
            assert_ok(weights_new(&w, &cpu_backend, MAPPED));
            assert_ok(weights_offer(w, "w", Q8_0, 0, blocks));
            assert_ok(graph_open(&g, w, INFER, F32, &(struct space){ "text", ROWS, 1 }, 1));
            tensor *in = t_input(graph_rows(g, "text"), "x", K, F32), *matrix = t_param(g, "w", OUT_IN, K, 1, &(struct block){ "w", N });
            tensor *y = t_linear(in, matrix, NULL, F32);
            assert_ok(plan_new(&p, g, &y, 1, &(struct plan_options){ 0 }));
            assert_ok(weights_place(w));
            assert_ok(plan_bind(p, "text.x", x, ROWS));
            assert_ok(plan_run(p, &(struct run_scalars){ .last_micro = 1 }));
            const float *out = plan_result(p, 0);
            for (int j = 0; j < N; j++) assert_true(!isfinite(out[j]) && isfinite(out[N + j]));
            weights_free(w);
            free(x), free(blocks);
        }
}

/* ---- training over quantized matrices: the bits of training over the numbers that they stand for ---- */

enum { VOCAB = 70, WIDTH = 256, INNER = 512, ROWS = 24 };

/* Loss of  head(W2(W1(A(table[ids])))), the gradient of A, which is trained. */
static void train(const void *const data[4], const enum dtype type[4], const float *a, float losses[ROWS], float *grad)
{
    static const char *const names[] = { "table", "w1", "w2", "head" };
    static const int shape[][2] = { { VOCAB, WIDTH }, { INNER, WIDTH }, { WIDTH, INNER }, { VOCAB, WIDTH } };
    int32_t ids[ROWS], targets[ROWS];
    struct weights *w;
    graph *g;
    struct plan *p;
    tensor *m[4];
    for (int r = 0; r < ROWS; r++) ids[r] = r * 31 % VOCAB, targets[r] = r * 17 % VOCAB;
    assert_ok(weights_new(&w, &cpu_backend, MAPPED));
    for (int i = 0; i < 4; i++) assert_ok(weights_offer(w, names[i], type[i], 0, data[i]));
    assert_ok(graph_open(&g, w, TRAIN, F32, &(struct space){ "text", ROWS, 1 }, 1));
    struct rows *text = graph_rows(g, "text");
    for (int i = 0; i < 4; i++) m[i] = t_param(g, names[i], OUT_IN, shape[i][1], 1, &(struct block){ names[i], shape[i][0] });
    tensor *id = t_input(text, "ids", 1, I32), *target = t_input(text, "targets", 1, I32), *adapter = t_adapter(g, "a", WIDTH, WIDTH);
    tensor *x = t_linear(t_embed(id, m[0]), adapter, NULL, F32);
    x = t_linear(t_linear(x, m[1], NULL, F32), m[2], NULL, F32);
    tensor *loss = t_head_loss(x, m[3], NULL, target, NULL, (struct loss){ -1 });
    assert_ok(plan_new(&p, g, &loss, 1, &(struct plan_options){ 0 }));
    assert_ok(weights_place(w));
    assert_ok(weights_set(w, weights_find(w, "a"), 0, F32, a));
    assert_ok(plan_bind(p, "text.ids", ids, ROWS));
    assert_ok(plan_bind(p, "text.targets", targets, ROWS));
    assert_ok(plan_run(p, &(struct run_scalars){ .last_micro = 1, .loss_weight = { 1.0f / ROWS } }));
    memcpy(losses, plan_result(p, 0), ROWS * sizeof *losses);
    weights_get(w, weights_find(w, "a"), 0, w->grad, grad);
    weights_free(w);
}

static void trained_over(void **state)
{
    static const size_t sizes[] = { VOCAB * WIDTH, INNER * WIDTH, WIDTH * INNER, VOCAB * WIDTH };
    static float grad[2][WIDTH * WIDTH], losses[2][ROWS];
    (void)state;
    float *a = random_floats(WIDTH * WIDTH, 5);
    for (int i = 0; i < WIDTH * WIDTH; i++) a[i] *= 1e-5f;
    for (int build = 0; use_build(build); build++)
        for (int t = 0; t < KINDS; t++) {
            void *blocks[4];
            float *wide[4];
            enum dtype type[4], f32[4] = { F32, F32, F32, F32 };
            for (int i = 0; i < 4; i++) {
                type[i] = kinds[(t + i) % KINDS];
                blocks[i] = random_blocks(type[i], sizes[i], (uint64_t)(10 * t + i));
                wide[i] = widened(type[i], blocks[i], sizes[i]);
            }
            train((const void *const *)blocks, type, a, losses[0], grad[0]);
            train((const void *const *)wide, f32, a, losses[1], grad[1]);
            assert_true(grad[0][0] != 0 && isfinite(grad[0][0]));
            assert_memory_equal(losses[0], losses[1], sizeof *losses);
            assert_memory_equal(grad[0], grad[1], sizeof *grad);
            for (int i = 0; i < 4; i++) free(blocks[i]), free(wide[i]);
        }
    free(a);
}

/* ---- a whole model: how far rounding moves its logits ---- */

enum { TEXT = 40 };

/* A plan of logits over matrices given by name in `type`, made of those of `drawn`: as they are (F32), widened again, or in blocks. */
static const float *logits(struct weights **w, const struct config *c, const struct weights *drawn, enum dtype type, int in_blocks)
{
    int32_t ids[TEXT], pos[TEXT];
    assert_ok(weights_new(w, &cpu_backend, MAPPED));
    (*w)->state_type = in_blocks ? BF16 : F32;
    for (const struct param *p = drawn->param; p; p = p->next) {
        size_t n = param_size(p);
        if (p->in == 1) continue;
        void *blocks = arena_take(&(*w)->names, dtype_bytes(type, n));
        float *wide = arena_take(&(*w)->names, n * sizeof *wide);
        quantize(type, (const float *)(const void *)(drawn->frozen + p->at), blocks, n);
        dequantize(type, blocks, wide, n);
        for (int i = 0, row = 0; i < p->n_block; row += (int)p->block[i++].out) {
            size_t at = (size_t)(row * p->in);
            assert_ok(weights_offer(*w, p->block[i].name, in_blocks ? type : F32, 0, in_blocks ? (void *)((char *)blocks + dtype_bytes(type, at)) : (void *)(wide + at)));
        }
    }
    struct batch b = { .rows = TEXT, .seqs = 1, .ids = ids, .pos = pos, .seq = { { .rows = TEXT, .keys = TEXT } } };
    weights_state_rows(*w, TEXT);
    struct plan *p = plan_for(*w, &model_llama, c, INFER, F32, b, (struct plan_options){ 0 });
    assert_ok(weights_place(*w));
    for (struct param *q = (*w)->param; q; q = q->next)
        if (q->in == 1) assert_ok(weights_set(*w, q, 0, F32, drawn->frozen + weights_find(drawn, q->name)->at));
    for (int i = 0; i < TEXT; i++) ids[i] = i * 37 % (int)c->vocab, pos[i] = i;
    return run_plan(p, &b);
}

/* The root of the mean square of the difference, as a part of that of the logits: under 2 % (README says what trained models lose). */
static void whole_models(void **state)
{
    static const struct { enum dtype type; double least, most; } kind[] = { { Q8_0, 1e-4, 0.02 }, { Q4_0, 1e-4, 0.02 } };
    struct config c = { .layers = 4, .heads = 4, .kv_heads = 2, .width = 256, .hidden = 512, .vocab = 300, .context = TEXT, .eps = 1e-5, .theta = 10000, .tied = 1 };
    struct weights *drawn;
    (void)state;
    config_fill_in(&c);
    for (int build = 0; use_build(build); build++) {
        assert_ok(weights_new(&drawn, &cpu_backend, FROZEN));
        plan_for(drawn, &model_llama, &c, EVAL, F32, (struct batch){ .rows = 1, .seqs = 1 }, (struct plan_options){ 0 });
        assert_ok(weights_place(drawn));
        assert_ok(model_init_weights(drawn, &model_llama, &c, 7));
        for (size_t k = 0; k < 2; k++) {
            struct weights *a, *b;
            const float *x = logits(&a, &c, drawn, kind[k].type, 1), *y = logits(&b, &c, drawn, kind[k].type, 0);
            double sum = 0, difference = 0;
            for (int64_t i = 0; i < TEXT * c.vocab; i++) sum += (double)y[i] * (double)y[i], difference += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
            double part = sqrt(difference / sum);
            if (!(part > kind[k].least && part < kind[k].most)) fail_msg("%s, %s: logits differ by %.5f of their size", cpu_isa(), dtype_name(kind[k].type), part);
            weights_free(a);
            weights_free(b);
        }
        weights_free(drawn);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(products), cmocka_unit_test(not_finite), cmocka_unit_test(trained_over), cmocka_unit_test(whole_models) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
