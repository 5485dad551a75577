/* workbench.h -- one node of a graph, its operands in guarded memory, and a step made by hand: how test_ops.c drives a kernel.
 *
 * Each operand has memory of its own, exactly as large as it says, between canaries.  A run fails the test if it changes
 * a byte that is none of its business: of an input, beyond the live rows, beside a view, a canary.  Canaries are NaN in f32
 * and in bf16, and before a run so are workspace, scratch and whatever is to be written: what reads them shows. */
#ifndef WORKBENCH_H
#define WORKBENCH_H
#include <math.h>

#include "cpu/cpu.h"
#include "ops_reference.h"
#include "test.h"

static char where[256];                  /* what is being tested, for messages */

#define fail_here(...)                                                \
    do {                                                              \
        char why_[256];                                               \
        snprintf(why_, sizeof why_, __VA_ARGS__);                     \
        fail_msg("%s: %s", where, why_);                              \
    } while (0)

#define LENGTH(array) (sizeof array / sizeof *array)

/* ---- guarded memory ---- */

struct guarded { char *whole; size_t size, room; };          /* CANARY bytes, size bytes, CANARY bytes */

static const uint16_t canary_half = 0x7fc5;                  /* a NaN alone and in pairs */

static inline void set_canary(char *at)
{
    for (int i = 0; i < CANARY; i += 2) memcpy(at + i, &canary_half, sizeof canary_half);
}

/* A place for `size` bytes; what is there already is reused, and then holds anything. */
static inline char *guarded_take(struct guarded *g, size_t size)
{
    if (size + 2 * CANARY > g->room) {
        free(g->whole);
        g->room = (size + 2 * CANARY + 63) / 64 * 64;
        g->whole = aligned_alloc(64, g->room);
        assert_non_null(g->whole);
    }
    g->size = size;
    set_canary(g->whole);
    set_canary(g->whole + CANARY + size);
    return g->whole + CANARY;
}

static inline void guarded_check(const struct guarded *g, const char *what)
{
    char fresh[CANARY];
    set_canary(fresh);
    if (memcmp(g->whole, fresh, CANARY)) fail_here("wrote before its %s", what);
    if (memcmp(g->whole + CANARY + g->size, fresh, CANARY)) fail_here("wrote past its %s of %zu bytes", what, g->size);
}

/* ---- operands ---- */

struct piece {
    struct operand o;                    /* o.value < 0: absent */
    int64_t rows, live, cols;            /* as the reference sees it, a parameter as (out, in); live: may be touched */
    int turned;                          /* an (in, out) matrix: row r, column c lies at c * ld + r */
    struct guarded memory, before;       /* before: a copy from before the run */
    double *v;                           /* (live, cols): what it holds */
};

static inline void *element(const struct piece *x, int64_t r, int64_t c)
{
    return (char *)x->o.p + (x->turned ? c * x->o.ld + r : r * x->o.ld + c) * (int64_t)dtype_size(x->o.type);
}

static inline double get(const struct piece *x, int64_t r, int64_t c)
{
    const void *p = element(x, r, c);
    switch (x->o.type) {
    case F32: return (double)*(const float *)p;
    case BF16: return (double)bf16_to_f32(*(const uint16_t *)p);
    case I32: return *(const int32_t *)p;
    default: return (double)*(const int64_t *)p;
    }
}

static inline void put(const struct piece *x, int64_t r, int64_t c, double v)
{
    void *p = element(x, r, c);
    switch (x->o.type) {
    case F32: *(float *)p = (float)v; break;
    case BF16: *(uint16_t *)p = f32_to_bf16((float)v); break;
    case I32: *(int32_t *)p = (int32_t)v; break;
    default: *(int64_t *)p = (int64_t)v;
    }
}

static inline int64_t piece_size(const struct piece *x) { return x->o.value < 0 ? 0 : x->live * x->cols; }

static inline void piece_read(struct piece *x)               /* memory to v */
{
    for (int64_t i = 0; i < piece_size(x); i++) x->v[i] = get(x, i / x->cols, i % x->cols);
}

static inline void piece_write(struct piece *x)              /* v to memory, and v to what memory can hold of it */
{
    for (int64_t i = 0; i < piece_size(x); i++) put(x, i / x->cols, i % x->cols, x->v[i]);
    piece_read(x);
}

static inline void piece_poison(struct piece *x) { memset(x->memory.whole + CANARY, 0xff, x->memory.size); }

/* Whole rows of ld elements from its `from`-th on; everything NaN. */
static inline void piece_new(struct piece *x, int64_t rows, int64_t live, int64_t cols, enum dtype type, int turned, int64_t from, int64_t ld)
{
    *x = (struct piece){ .o = { .cols = cols, .ld = ld, .type = type }, .rows = rows, .live = live, .cols = cols, .turned = turned };
    char *p = guarded_take(&x->memory, (size_t)((turned ? cols : rows) * ld) * dtype_size(type));
    x->o.p = p + from * (int64_t)dtype_size(type);
    x->v = calloc((size_t)(live * cols + 1), sizeof *x->v);
    assert_non_null(x->v);
    piece_poison(x);
}

static inline void piece_free(struct piece *x)
{
    free(x->memory.whole);
    free(x->before.whole);
    free(x->v);
}

static inline void piece_remember(struct piece *x)
{
    if (x->o.value >= 0) memcpy(guarded_take(&x->before, x->memory.size), x->memory.whole + CANARY, x->memory.size);
}

/* Nothing has changed but, where that is allowed, the live elements. */
static inline void piece_check(struct piece *x, int written, const char *what)
{
    if (x->o.value < 0) return;
    guarded_check(&x->memory, what);
    struct piece old = *x;
    old.o.p = x->before.whole + ((char *)x->o.p - x->memory.whole);
    for (int64_t i = 0; i < piece_size(x) && written; i++)
        memcpy(element(&old, i / x->cols, i % x->cols), element(x, i / x->cols, i % x->cols), dtype_size(x->o.type));
    if (memcmp(x->before.whole + CANARY, x->memory.whole + CANARY, x->memory.size)) fail_here("changed %s where it must not", what);
}

/* ---- comparing ---- */

static inline double *copy_of(const struct piece *x)
{
    double *copy = malloc((size_t)(piece_size(x) + 1) * sizeof *copy);
    assert_non_null(copy);
    if (x->v) memcpy(copy, x->v, (size_t)piece_size(x) * sizeof *copy);
    return copy;
}

static inline void restore(struct piece *x, const double *v)
{
    memcpy(x->v, v, (size_t)piece_size(x) * sizeof *v);
    piece_write(x);
}

static inline double largest(const double *v, int64_t n)
{
    double most = 0;
    for (int64_t i = 0; i < n; i++) most = fmax(most, fabs(v[i]));
    return most;
}

/* What is in memory is near `expected`: within `allowed`, and `roundings` of each element to bf16.  Raises *used to the part of
 * `allowed` that was needed. */
static inline void near(struct piece *x, const double *expected, double allowed, double roundings, const char *what, double *used)
{
    piece_read(x);
    for (int64_t i = 0; i < piece_size(x); i++) {
        double rounding = x->o.type == BF16 ? roundings * 0x1p-8 * fabs(expected[i]) : 0, error = fabs(x->v[i] - expected[i]);
        if (!(error <= allowed + rounding))
            fail_here("%s: row %lld, column %lld is %.9g, not %.9g; off by %.3g, allowed are %.3g", what, (long long)(i / x->cols),
                      (long long)(i % x->cols), x->v[i], expected[i], error, allowed + rounding);
        if (error > rounding) *used = fmax(*used, (error - rounding) / allowed);
    }
}

static inline void same_bits(struct piece *x, const double *expected, const char *what)
{
    piece_read(x);
    if (x->v && memcmp(x->v, expected, (size_t)piece_size(x) * sizeof *expected)) fail_here("%s: other bits", what);
}

/* ---- the bench ---- */

struct variant {
    const char *name;
    enum dtype type, weights;            /* of activations, of matrices */
    enum layout layout;
    int views;                           /* operands are columns of wider rows, and more rows than live ones */
};

/* All that there are; the first four are enough where there is no matrix. */
static const struct variant variants[] = {
    { "f32", F32, F32, OUT_IN, 0 },
    { "f32 in views", F32, F32, OUT_IN, 1 },
    { "bf16", BF16, BF16, OUT_IN, 0 },
    { "bf16 in views", BF16, BF16, OUT_IN, 1 },
    { "f32 by bf16", F32, BF16, OUT_IN, 1 },
    { "bf16 by f32", BF16, F32, OUT_IN, 0 },
    { "f32 by (in, out)", F32, F32, IN_OUT, 1 },
    { "bf16 by (in, out)", BF16, BF16, IN_OUT, 0 },
    { "f32 by bf16 (in, out)", F32, BF16, IN_OUT, 0 },
    { "bf16 by f32 (in, out)", BF16, F32, IN_OUT, 1 },
};

struct bench {
    struct variant v;
    struct weights *w;
    graph *g;
    tensor *t;                           /* the node under test */
    struct run_scalars run;
    union {
        struct {
            struct piece in[MAX_IN], y, aux, dy, d[MAX_IN];
        };
        struct piece all[MAX_OPERANDS];  /* in the order of struct step's */
    };
};

static const char *const operand_names[] = { "in[0]", "in[1]", "in[2]", "in[3]", "in[4]", "in[5]", "y", "aux", "dy", "d[0]", "d[1]", "d[2]", "d[3]", "d[4]", "d[5]" };

enum { STATE_ROWS = 200, SPARE_ROWS = 3, MOST_SEQS = 8, LOSS = 1 };      /* LOSS: which loss weight a loss takes */

/* A graph with `rows` live rows of "text", `other` of "source", `seqs` sequences. */
static inline void bench_open(struct bench *b, const struct variant *v, enum phase phase, int rows, int other, int seqs)
{
    *b = (struct bench){ .v = *v };
    int spare = v->views ? SPARE_ROWS : 0;
    struct space s[] = { { "text", rows + spare > 0 ? rows + spare : 1, MOST_SEQS }, { "source", other + spare > 0 ? other + spare : 1, MOST_SEQS } };
    assert_ok(weights_new(&b->w, &null_backend, TRAINED));
    weights_state_rows(b->w, STATE_ROWS);
    assert_ok(graph_open(&b->g, b->w, phase, v->type, s, 2));
    b->run = (struct run_scalars){ .seed = 42, .loss_weight = { NAN, [LOSS] = 0.7f }, .rows = { rows, other }, .seqs = { seqs, seqs } };
    for (int k = 0; k < MAX_OPERANDS; k++) b->all[k].o.value = -1;
}

static inline void bench_close(struct bench *b)
{
    for (int k = 0; k < MAX_OPERANDS; k++) piece_free(&b->all[k]);
    weights_free(b->w);
}

/* Memory for tensor t, or for its gradient. */
static inline void place(const struct bench *b, struct piece *x, const tensor *t, int gradient)
{
    int whole = t->type != F32 && t->type != BF16;
    if (t->kind == K_PARAM) {
        int turned = t->param->layout == IN_OUT;
        piece_new(x, t->out, t->out, t->cols, gradient || t->cols == 1 ? F32 : b->v.weights, turned, 0, turned ? t->out : t->cols);
    } else if (t->kind == K_STATE) {
        piece_new(x, STATE_ROWS, STATE_ROWS, t->cols, t->type, 0, 0, t->cols);
    } else if (t->cols == sizeof(struct seq) / sizeof(int32_t) && t->type == I32) {
        piece_new(x, MOST_SEQS, b->run.seqs[t->rows->id], t->cols, I32, 0, 0, t->cols);
    } else {
        int from = b->v.views && !whole ? 3 : 0, more = b->v.views && !whole ? 5 : 0;
        piece_new(x, t->rows->capacity, b->run.rows[t->rows->id], t->cols, t->type, 0, from, t->cols + more);
    }
}

/* Memory for everything that t reads, writes and has gradients of. */
static inline void bench_place(struct bench *b, tensor *t)
{
    if (!t) fail_here("no node: %s", graph_error(b->g));
    b->t = t;
    for (int i = 0; i < t->n_in; i++) {
        if (!t->in[i]) continue;
        place(b, &b->in[i], t->in[i], 0);
        if (op_info[t->op].grad[i] != NONE) place(b, &b->d[i], t->in[i], 1);
    }
    if (t->cols) place(b, &b->y, t, 0), place(b, &b->dy, t, 0);
    if (t->aux) piece_new(&b->aux, t->rows->capacity, b->run.rows[t->rows->id], t->aux, F32, 0, 0, t->aux);
}

static inline int has_gradient(const struct bench *b, int i) { return b->d[i].o.value >= 0; }

static inline struct problem bench_problem(const struct bench *b)
{
    struct problem p = { .t = b->t, .y = b->y.v, .seqs = b->run.seqs[0], .seed = b->run.seed };
    memcpy(p.rows, b->run.rows, sizeof p.rows);
    for (int i = 0; i < MAX_IN; i++) p.in[i] = b->in[i].v;
    return p;
}

/* ---- leaves ---- */

static inline tensor *input(struct bench *b, const char *name, int64_t cols) { return t_input(graph_rows(b->g, "text"), name, cols, b->v.type); }
static inline tensor *other(struct bench *b, const char *name, int64_t cols) { return t_input(graph_rows(b->g, "source"), name, cols, b->v.type); }
static inline tensor *ids(struct bench *b) { return t_input(graph_rows(b->g, "text"), "ids", 1, I32); }
static inline tensor *row_key(struct bench *b) { return t_input(graph_rows(b->g, "text"), "key", 1, I64); }
static inline tensor *vector(struct bench *b, const char *name, int64_t n) { return t_vector(b->g, name, 1, &(struct block){ name, n }); }
static inline tensor *matrix(struct bench *b, int64_t out, int64_t in)
{
    return in > 1 ? t_param(b->g, "w", b->v.layout, in, 1, &(struct block){ "w", out }) : vector(b, "w", out);
}

/* ---- numbers ---- */

/* Queries, keys (0: the queries' own rows) and the sequences in them. */
struct pattern {
    int rows, other;
    int reads;                           /* with a state: brings no new keys and values */
    int n;
    struct seq seq[4];                   /* row, rows, past, base, key, keys */
};

static inline double integer(const struct bench *b, int i, int64_t row, uint64_t *r)
{
    const tensor *t = b->t;
    struct problem p = bench_problem(b);
    if (t->in[i]->type == I64) return (double)((row / 3 + 5) << 32 | row % 3 * 7);       /* dropout's: sequence and position */
    switch (t->op) {
    case OP_embed: return roll(r, (int)t->in[1]->out);
    case OP_rows: return roll(r, (int)(rows_of(&p, t->in[0]) + (t->in[2] ? rows_of(&p, t->in[2]) : 0)));
    case OP_rope: return roll(r, 4000);
    case OP_head_loss: return row % 4 == 1 ? -1 : roll(r, (int)t->in[1]->out);
    default: return NAN;
    }
}

static inline void fill_sequences(struct piece *x, const struct pattern *p)
{
    for (int64_t i = 0; i < x->live; i++) {
        const struct seq *s = &p->seq[i];
        const int32_t q[] = { s->row, s->rows, s->past, s->base, s->key, s->keys };
        for (int c = 0; c < 6; c++) x->v[i * 6 + c] = q[c];
    }
}

/* Numbers for the inputs and dy; `sequences` may be NULL where there are none. */
static inline void fill(struct bench *b, const struct pattern *sequences, uint64_t seed)
{
    uint64_t r = seed;
    for (int i = 0; i < b->t->n_in; i++) {
        struct piece *x = &b->in[i];
        int integers = x->o.type == I32 || x->o.type == I64;
        if (integers && x->cols > 1) fill_sequences(x, sequences);
        else for (int64_t k = 0; k < piece_size(x); k++) x->v[k] = integers ? integer(b, i, k, &r) : rng_normal(r, (uint64_t)k);
        for (int64_t k = 0; k < piece_size(x) && b->t->op == OP_relu; k++) x->v[k] += x->v[k] > 0 ? 0.01 : -0.01;    /* off the kink */
        dice(&r);
        piece_write(x);
    }
    for (int64_t k = 0; k < piece_size(&b->dy); k++) b->dy.v[k] = traits(b->t) & SEEDS ? (double)b->run.loss_weight[LOSS] : rng_normal(r, (uint64_t)k);
    piece_write(&b->dy);
}

/* ---- steps ---- */

/* The step that a plan would make: a backward step sees only what the op's row declares, and d[i] is there for the bits of
 * `wanted`. */
static inline struct step bench_step(const struct bench *b, char dir, unsigned wanted)
{
    const struct op_info *info = &op_info[b->t->op];
    struct step s = step_of(b->t, dir);
    unsigned reads = dir == 'B' ? 0 : (1u << MAX_IN) - 1;
    for (int i = 0; i < MAX_IN; i++) {
        if (!(wanted & 1u << i) || b->d[i].o.value < 0) continue;
        s.d[i] = b->d[i].o;
        if (dir == 'B') reads |= (unsigned)info->grad[i];
    }
    for (int i = 0; i < MAX_IN; i++)
        if (reads & 1u << i) s.in[i] = b->in[i].o;
    if (dir != 'B' || reads & Y) s.y = b->y.o;
    if (dir == 'B' ? reads & A : graph_phase(b->g) == TRAIN) s.aux = b->aux.o;
    if (dir == 'B') s.dy = b->dy.o;
    s.run = &b->run;
    s.loss = LOSS;
    return s;
}

static inline const struct cpu_kernel *kernel_of(const struct cpu_table *t, const struct step *s)
{
    switch (s->dir) {
    case 'C': return t->copy;
    case 'Z': return t->clear;
    case 'G': return t->ready;
    case 'B': return &t->op[s->node->op]->backward;
    default: return &t->op[s->node->op]->forward;
    }
}

static inline void shuffle(int *order, int n, uint64_t seed)
{
    for (int i = 0; i < n; i++) order[i] = i;
    for (int i = n - 1; i > 0 && seed; i--) {
        int j = roll(&seed, i + 1), swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
}

/* As cpu.c does on one thread, with the tasks of each phase in the order of `seed`, 0: as they come. */
static inline void run_step(const struct cpu_table *t, struct step *s, uint64_t seed)
{
    static struct guarded work, scratch;
    const struct cpu_kernel *k = kernel_of(t, s);
    size_t work_size = k->base.work ? k->base.work(s) : 0, scratch_size = k->scratch ? k->scratch(s) : 0;
    char *desk = guarded_take(&scratch, scratch_size);
    s->work = (struct operand){ .p = guarded_take(&work, work_size), .cols = (int64_t)work_size, .type = U8 };
    memset(s->work.p, 0xff, work_size);
    if (!seed) memset(desk, 0xff, scratch_size);             /* later runs find what the last one left, as in life */
    int phases = k->phases ? k->phases(s) : 1;
    for (int phase = 0; phase < phases; phase++) {
        int n = k->tasks(s, phase), *order = malloc(sizeof *order * (size_t)(n + 1));
        assert_non_null(order);
        shuffle(order, n, seed);
        for (int i = 0; i < n; i++) k->run(s, phase, order[i], desk);
        free(order);
    }
    guarded_check(&work, "workspace");
    guarded_check(&scratch, "scratch");
}

/* Runs a step of the bench's node; `written`: bits of operands that may change, on top of what the step itself says. */
static inline void bench_run(struct bench *b, const struct cpu_table *t, struct step *s, unsigned written, uint64_t seed)
{
    written |= step_writes(s);
    for (int i = 0; i < MAX_IN && s->dir == 'F'; i++)
        if (b->t->in[i] && b->t->in[i]->kind == K_STATE) written |= 1u << i;
    for (int k = 0; k < MAX_OPERANDS; k++) piece_remember(&b->all[k]);
    run_step(t, s, seed);
    for (int k = 0; k < MAX_OPERANDS; k++) piece_check(&b->all[k], written >> k & 1, operand_names[k]);
}

#endif
