/* test_ops.c -- the CPU kernels, in every build that runs here.
 *
 * A table of cases covers every op of ops.def: each is proved (see proof.h) at several sizes, in f32 and bf16, plain and as
 * columns of wider rows, with weights of either dtype and layout.  Behind it stand the promises that concern more than one
 * step: fusing, cutting, blocks; and the kernels that belong to no op. */
#include "proof.h"

/* ---- how the nodes of the cases are built ---- */

static const float EPS = 0.05f;          /* large: a kernel that forgets it is found */

static tensor *build_embed(struct bench *b, const int *n) { return t_embed(ids(b), matrix(b, n[1], n[2])); }
static tensor *build_rows(struct bench *b, const int *n) { return t_rows(other(b, "a", n[1]), NULL, ids(b)); }
static tensor *build_rows_over_rows(struct bench *b, const int *n)
{
    tensor *above = other(b, "a", n[1]), *below = input(b, "b", n[1]);
    return t_rows(above, below, ids(b));
}
static tensor *build_rows_over_table(struct bench *b, const int *n)
{
    tensor *above = other(b, "a", n[1]), *below = matrix(b, n[2], n[1]);
    return t_rows(above, below, ids(b));
}

static tensor *build_linear(struct bench *b, const int *n)                   /* n[1] inputs, n[2] outputs */
{
    tensor *x = input(b, "x", n[1]), *w = matrix(b, n[2], n[1]), *bias = vector(b, "bias", n[2]);
    return t_linear(x, w, bias, b->v.type);
}
static tensor *build_logits(struct bench *b, const int *n)                   /* f32 whatever x is, and no bias */
{
    tensor *x = input(b, "x", n[1]), *w = matrix(b, n[2], n[1]);
    return t_linear(x, w, NULL, F32);
}

static tensor *build_add(struct bench *b, const int *n)
{
    tensor *a = input(b, "a", n[1]), *c = input(b, "c", n[1]);
    return t_add(a, c);
}
static tensor *build_mul(struct bench *b, const int *n)
{
    tensor *a = input(b, "a", n[1]), *c = input(b, "c", n[1]);
    return t_mul(a, c);
}
static tensor *build_swiglu(struct bench *b, const int *n)
{
    tensor *gate = input(b, "gate", n[1]), *up = input(b, "up", n[1]);
    return t_swiglu(gate, up);
}
static tensor *build_scale(struct bench *b, const int *n) { return t_scale(input(b, "x", n[1]), -1.7f); }
static tensor *build_gelu(struct bench *b, const int *n) { return t_gelu(input(b, "x", n[1]), 0); }
static tensor *build_gelu_tanh(struct bench *b, const int *n) { return t_gelu(input(b, "x", n[1]), 1); }
static tensor *build_relu(struct bench *b, const int *n) { return t_relu(input(b, "x", n[1])); }
static tensor *build_dropout(struct bench *b, const int *n)
{
    tensor *x = input(b, "x", n[1]);
    return t_dropout(x, row_key(b), (struct chance){ .p = 0.3f, .stream = 12345678901234567u });
}

static tensor *build_layernorm(struct bench *b, const int *n)                /* n[2]: without bias */
{
    tensor *x = input(b, "x", n[1]), *w = vector(b, "w", n[1]), *bias = n[2] ? NULL : vector(b, "bias", n[1]);
    return t_layernorm(x, w, bias, EPS);
}
static tensor *build_rmsnorm(struct bench *b, const int *n)                  /* n[2] groups; 0: one */
{
    tensor *x = input(b, "x", n[1]), *w = vector(b, "w", n[1] / (n[2] ? n[2] : 1));
    return t_rmsnorm(x, w, EPS);
}
static tensor *build_rope(struct bench *b, const int *n)                     /* n[2] heads of n[1] columns; n[3]: which scaling */
{
    static const struct rope kinds[] = {
        { .theta = 1e4f },
        { .theta = 5e5f, .factor = 4, .from = 1, .to = 2 },                  /* all of them, as linear scaling does */
        { .theta = 1e4f, .factor = 8, .from = 0.002f, .to = 0.3f },          /* as llama3's */
        { .theta = 1e6f, .factor = 2.5f, .from = 5.5f, .to = 1.25f, .by_pair = 1, .gain = 1.3f },        /* as yarn's */
    };
    struct rope r = kinds[n[3]];
    r.dim = n[1];
    tensor *x = input(b, "x", (int64_t)n[1] * n[2]);
    return t_rope(x, ids(b), r);
}

static tensor *build_loss(struct bench *b, const int *n)                     /* vocabulary n[1], n[2] columns */
{
    tensor *x = input(b, "x", n[2]), *w = matrix(b, n[1], n[2]);
    return t_head_loss(x, w, NULL, ids(b), NULL, (struct loss){ .ignore = -1 });
}
static tensor *build_weighted_loss(struct bench *b, const int *n)
{
    tensor *x = input(b, "x", n[2]), *w = matrix(b, n[1], n[2]), *bias = vector(b, "bias", n[1]);
    tensor *weight = t_input(x->rows, "weight", 1, F32), *targets = ids(b);
    return t_head_loss(x, w, bias, targets, weight, (struct loss){ .ignore = -1 });
}

/* ---- attention: heads and patterns of sequences ---- */

static const struct heads heads[] = {
    { .q = 1, .kv = 1, .dim = 1 },
    { .q = 2, .kv = 2, .dim = 5, .causal = 1 },
    { .q = 4, .kv = 2, .dim = 16, .causal = 1, .drop = { .p = 0.3f, .stream = 987654321 } },
    { .q = 6, .kv = 2, .dim = 3, .window = 4, .scale = 0.9f },
    { .q = 3, .kv = 3, .dim = 33, .causal = 1, .window = 5 },
    { .q = 2, .kv = 1, .dim = 64, .causal = 1, .window = 70 },
    { .q = 1, .kv = 1, .dim = 100, .drop = { .p = 0.1f, .stream = 5 } },
};

static const struct pattern patterns[] = {
    { 1, 0, 0, 1, { { 0, 1, 0, 0, 0, 1 } } },
    { 7, 0, 0, 1, { { 0, 7, 0, 0, 0, 7 } } },
    { 5, 0, 0, 0, { { 0 } } },                                                                        /* nobody's rows */
    { 16, 0, 0, 4, { { 2, 3, 0, 0, 2, 3 }, { 6, 0, 0, 0, 6, 0 }, { 7, 4, 0, 0, 7, 4 }, { 13, 1, 0, 0, 13, 1 } } },      /* gaps */
    { 9, 0, 0, 2, { { 0, 4, 2, 0, 0, 6 }, { 4, 5, 0, 0, 6, 0 } } },                                   /* a past, but no state; no keys */
    { 133, 0, 0, 2, { { 1, 65, 0, 0, 1, 65 }, { 68, 64, 0, 0, 68, 64 } } },                           /* a tile and one more, a tile */
    { 9, 80, 0, 3, { { 0, 4, 0, 0, 3, 66 }, { 5, 3, 2, 0, 70, 1 }, { 8, 1, 70, 0, 72, 7 } } },        /* over the rows of another space */
    { 70, 6, 0, 2, { { 0, 68, 0, 0, 1, 2 }, { 69, 1, 3, 0, 3, 3 } } },
};

static const struct pattern cached[] = {
    { 9, 0, 0, 1, { { 0, 9, 0, 10, 0, 9 } } },                                                        /* prefill */
    { 12, 0, 0, 2, { { 0, 5, 4, 0, 0, 9 }, { 6, 6, 70, 20, 0, 76 } } },                               /* and on */
    { 4, 0, 0, 4, { { 0, 1, 20, 0, 0, 21 }, { 1, 1, 0, 30, 0, 1 }, { 2, 1, 65, 50, 0, 66 }, { 3, 1, 64, 120, 0, 65 } } },     /* decode */
    { 4, 0, 0, 2, { { 0, 2, 20, 0, 8, 14 }, { 2, 1, 3, 40, 5, 2 } } },                                /* keys from 8 on; none that is seen */
    { 6, 0, 0, 1, { { 1, 5, 3, 100, 3, 5 } } },
    { 7, 0, 1, 3, { { 0, 3, 0, 40, 0, 66 }, { 3, 2, 30, 0, 10, 21 }, { 5, 1, 0, 7, 0, 0 } } },        /* reads what is there */
    { 3, 0, 0, 0, { { 0 } } },
};

static tensor *build_attention(struct bench *b, const int *n)                /* n[1] - 1: which heads */
{
    struct heads h = heads[n[1] - 1];
    int64_t C = (int64_t)h.q * h.dim, K = (int64_t)h.kv * h.dim;
    int infer = graph_phase(b->g) == INFER, brings = !(infer && cached[n[2]].reads);
    tensor *q = input(b, "q", C), *state = infer ? t_state(b->g, "state", 2 * K) : NULL, *key = h.drop.p > 0 ? row_key(b) : NULL;
    tensor *k = !brings ? NULL : n[3] ? other(b, "k", K) : input(b, "k", K), *v = !brings ? NULL : n[3] ? other(b, "v", K) : input(b, "v", K);
    return t_attention(q, k, v, t_seqs(q->rows, n[3] ? "source" : NULL), state, key, h);
}
static tensor *build_store(struct bench *b, const int *n)                    /* n[1] columns of v, 5 of k */
{
    tensor *k = input(b, "k", 5), *v = input(b, "v", n[1]), *state = t_state(b->g, "state", 5 + n[1]);
    return t_store(k, v, t_seqs(k->rows, NULL), state);
}

/* ---- the table ---- */

static const struct op_case cases[] = {
    { "embed", build_embed, ref_embed, TRAIN, MATRIX, 0, 2e-7, 0, 0, NULL, { { 1, 1, 1 }, { 7, 5, 33 }, { 40, 13, 130 }, { 0, 3, 7 } } },
    { "rows", build_rows, ref_rows, TRAIN, TAILS, 0, 2e-7, 0, 0, NULL, { { 1, 1, 0, 1 }, { 9, 67, 0, 5 }, { 0, 5, 0, 3 } } },
    { "rows over rows", build_rows_over_rows, ref_rows, TRAIN, 0, 0, 2e-7, 0, 0, NULL, { { 8, 19, 0, 6 }, { 30, 130, 0, 4 } } },
    { "rows over a table", build_rows_over_table, ref_rows, TRAIN, MATRIX, 0, 2e-7, 0, 0, NULL, { { 13, 35, 4, 6 }, { 3, 64, 1, 1 } } },
    { "linear", build_linear, ref_linear, TRAIN, MATRIX | LAYOUTS, 1e-6, 1e-6, 0, 0, NULL,
      { { 1, 1, 1 }, { 1, 7, 5 }, { 5, 17, 3 }, { 37, 31, 67 }, { 3, 521, 35 }, { 2, 5, 523 }, { 523, 5, 7 }, { 61, 67, 130 }, { 0, 5, 3 } } },
    { "linear to f32", build_logits, ref_linear, TRAIN, MATRIX | LAYOUTS, 1e-6, 1e-6, 0, 0, NULL, { { 3, 5, 7 }, { 19, 65, 33 } } },
    { "linear, decoding", build_linear, ref_linear, INFER, MATRIX | LAYOUTS, 1e-6, 0, 0, 0, NULL,
      { { 1, 1, 1 }, { 1, 67, 131 }, { 2, 31, 64 }, { 3, 259, 65 }, { 8, 130, 35 }, { 9, 33, 35 }, { 5, 16, 3 }, { 0, 5, 3 } } },
    { "linear to f32, decoding", build_logits, ref_linear, INFER, MATRIX | LAYOUTS, 1e-6, 0, 0, 0, NULL, { { 1, 35, 67 }, { 7, 17, 66 } } },
    { "add", build_add, ref_elements, TRAIN, TAILS, 1e-7, 0, 0, 0, NULL, { { 1, 1 }, { 5, 257 }, { 0, 4 } } },
    { "mul", build_mul, ref_elements, TRAIN, TAILS, 1e-7, 1e-7, 0, 0, NULL, { { 1, 1 }, { 5, 257 }, { 0, 4 } } },
    { "scale", build_scale, ref_elements, TRAIN, TAILS, 1e-7, 1e-7, 0, 0, NULL, { { 1, 1 }, { 5, 257 }, { 0, 4 } } },
    { "dropout", build_dropout, ref_elements, TRAIN, TAILS, 2e-7, 2e-7, 0, 0, NULL, { { 1, 1 }, { 9, 63 }, { 9, 64 }, { 9, 65 }, { 5, 257 }, { 0, 4 } } },
    { "gelu", build_gelu, ref_elements, TRAIN, TAILS, 4e-7, 4e-7, 0, 0, NULL, { { 1, 1 }, { 17, 257 }, { 0, 4 } } },
    { "gelu by tanh", build_gelu_tanh, ref_elements, TRAIN, TAILS, 4e-7, 4e-7, 0, 0, NULL, { { 1, 1 }, { 17, 257 }, { 0, 4 } } },
    { "relu", build_relu, ref_elements, TRAIN, TAILS, 0, 1e-7, 0, 0, NULL, { { 1, 1 }, { 17, 257 }, { 0, 4 } } },
    { "swiglu", build_swiglu, ref_elements, TRAIN, TAILS, 4e-7, 4e-7, 0, 0, NULL, { { 1, 1 }, { 17, 257 }, { 0, 4 } } },
    { "layernorm", build_layernorm, ref_layernorm, TRAIN, TAILS, 1e-6, 1e-6, 0, 0, NULL, { { 1, 1 }, { 3, 2 }, { 70, 130 }, { 1100, 3 }, { 0, 4 } } },
    { "layernorm without bias", build_layernorm, ref_layernorm, TRAIN, 0, 1e-6, 1e-6, 0, 0, NULL, { { 5, 67, 1 }, { 0, 4, 1 } } },
    { "rmsnorm", build_rmsnorm, ref_rmsnorm, TRAIN, TAILS, 5e-7, 1e-6, 0, 0, NULL, { { 1, 1 }, { 70, 130 }, { 1100, 3 }, { 0, 4 } } },
    { "rmsnorm of heads", build_rmsnorm, ref_rmsnorm, TRAIN, 0, 5e-7, 1e-6, 0, 0, NULL, { { 1, 4, 4 }, { 9, 35, 5 }, { 20, 132, 4 }, { 0, 4, 2 } } },
    { "rope", build_rope, ref_rope, TRAIN, 0, 2e-7, 2e-7, 0, 0, NULL, { { 1, 2, 1 }, { 3, 4, 3 }, { 9, 34, 2 }, { 20, 64, 3 }, { 5, 128, 1 }, { 0, 4, 1 } } },
    { "rope, scaled", build_rope, ref_rope, TRAIN, 0, 2e-7, 2e-7, 0, 0, NULL,
      { { 1, 2, 1, 1 }, { 9, 34, 2, 1 }, { 9, 16, 2, 2 }, { 5, 128, 1, 2 }, { 1, 2, 1, 3 }, { 9, 16, 3, 3 }, { 5, 128, 1, 3 } } },
    { "head_loss", build_loss, ref_head_loss, TRAIN, MATRIX, 1e-6, 1e-6, 1e-2, 0, NULL,
      { { 1, 1, 1 }, { 3, 5, 2 }, { 37, 67, 19 }, { 9, 523, 33 }, { 5, 3, 521 }, { 0, 5, 3 } } },
    { "head_loss of a large vocabulary", build_loss, ref_head_loss, TRAIN, MATRIX, 1e-6, 1.5e-5, 1e-2, 0, NULL, { { 3, 4099, 40 }, { 520, 4100, 3 }, { 0, 4200, 3 } } },   /* f32 sums of V terms, in any order: sqrt(V) 2^-24, four times at most */
    { "head_loss, bias and weights", build_weighted_loss, ref_head_loss, TRAIN, MATRIX, 1e-6, 1e-6, 1e-2, 0, NULL,
      { { 6, 7, 3 }, { 21, 130, 35 }, { 1100, 11, 5 }, { 0, 5, 3 } } },
};

/* Backward takes sum dy y from the rounded y: in bf16, what should cancel does so to about 2^-8 of it. */
static const struct op_case attention = { "attention", build_attention, ref_attention, TRAIN, 0, 1e-6, 3e-6, 1e-2, 1, patterns, { { 0 } } };
static const struct op_case attention_cached = { "attention with a state", build_attention, ref_attention, INFER, 0, 1e-6, 0, 0, 0, cached, { { 0 } } };
static const struct op_case store = { "store", build_store, ref_store, INFER, 0, 0, 0, 0, 0, cached, { { 0 } } };

static void prove_variants(const struct op_case *c, const int *n, double used[2])
{
    for (const struct variant *v = variants; v < variants + LENGTH(variants); v++) {
        if (v->type != v->weights && !(c->flags & MATRIX)) continue;
        if (v->layout != OUT_IN && !(c->flags & LAYOUTS)) continue;
        prove(c, n, v, used);
    }
}

static void show(const char *name, const double used[2])
{
    if (getenv("SHOW")) printf("%-28s %3.0f %% of the bound on y, %3.0f %% of that on gradients\n", name, 100 * used[0], 100 * used[1]);
}

/* ---- the table's tests ---- */

static void every_case(void **state)
{
    (void)state;
    for (const struct op_case *c = cases; c < cases + LENGTH(cases); c++) {
        double used[2] = { 0 };
        for (int i = 0; c->n[i][1]; i++) prove_variants(c, c->n[i], used);
        show(c->name, used);
    }
}

static void every_width(void **state)
{
    (void)state;
    for (const struct op_case *c = cases; c < cases + LENGTH(cases); c++) {
        double used[2] = { 0 };
        for (int cols = 1; cols <= 40 && c->flags & TAILS; cols++) prove_variants(c, (int[]){ 3, cols, 0, 5 }, used);
        if (c->flags & TAILS) show(c->name, used);
    }
}

static const struct op_case *case_of(tensor *(*build)(struct bench *, const int *))
{
    const struct op_case *c = cases;
    while (c->build != build) c++;
    return c;
}

/* Every number of rows and of columns around the tiles, and every depth around vectors and pairs. */
static void every_tile(void **state)
{
    (void)state;
    double used[2] = { 0 };
    const struct op_case *linear = case_of(build_linear);
    for (int rows = 1; rows <= 30; rows++) prove_variants(linear, (int[]){ rows, 5, 33, 0 }, used);
    for (int cols = 1; cols <= 67; cols++) prove_variants(linear, (int[]){ 15, 3, cols, 0 }, used);
    for (int depth = 1; depth <= 35; depth++) prove_variants(linear, (int[]){ 5, depth, 17, 0 }, used);
    show("linear, around the tiles", used);
}

static void attentions(void **state)
{
    (void)state;
    double used[2] = { 0 }, used_cached[2] = { 0 };
    for (int h = 0; h < (int)LENGTH(heads); h++) {
        for (int p = 0; p < (int)LENGTH(patterns); p++) prove_variants(&attention, (int[]){ patterns[p].rows, h + 1, p, patterns[p].other }, used);
        for (int p = 0; p < (int)LENGTH(cached); p++) prove_variants(&attention_cached, (int[]){ cached[p].rows, h + 1, p, 0 }, used_cached);
    }
    for (int p = 0; p < (int)LENGTH(cached); p++) prove_variants(&store, (int[]){ cached[p].rows, 3, p, 0 }, used_cached);
    show(attention.name, used);
    show(attention_cached.name, used_cached);
}

static void every_op(void **state)                           /* stands last of these: counts what they proved */
{
    (void)state;
    for (int op = 0; op < OP_COUNT; op++)
        if (!proved[op]) fail_msg("no case for %s", op_info[op].name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case), cmocka_unit_test(every_width), cmocka_unit_test(every_tile), cmocka_unit_test(attentions),
        cmocka_unit_test(every_op),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
