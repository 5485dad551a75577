/* test_steps.c -- what the CPU kernels promise besides the formulas of their ops (those: test_ops.c), in every build that runs
 * here: fusing, cutting and blocks; the steps that belong to no op; angles; the optimizer. */
#include "workbench.h"

static tensor *build_linear(struct bench *b, const int *n)                   /* n[0] rows, n[1] inputs, n[2] outputs */
{
    tensor *x = input(b, "x", n[1]), *w = matrix(b, n[2], n[1]), *bias = vector(b, "bias", n[2]);
    return t_linear(x, w, bias, b->v.type);
}

/* ---- fused steps give the bits of separate ones ---- */

enum link { GELU, TANH, RELU, SCALE, DROP, ADD_TO, ADDED_TO };       /* ADD_TO: what flows + the residual; ADDED_TO: the other way round */
enum { MAX_LINKS = 3, LAST = MAX_LINKS };

static const struct chain { const char *name; int n; enum link link[MAX_LINKS]; } chains[] = {
    { "gelu", 1, { GELU } }, { "gelu by tanh", 1, { TANH } }, { "relu", 1, { RELU } }, { "scale", 1, { SCALE } }, { "dropout", 1, { DROP } },
    { "add", 1, { ADD_TO } }, { "added", 1, { ADDED_TO } }, { "dropout, add", 2, { DROP, ADD_TO } }, { "dropout, added", 2, { DROP, ADDED_TO } },
    { "gelu, dropout, added", 3, { GELU, DROP, ADDED_TO } },
};

/* A linear, and what follows it, on one bench: its own operands are the bench's, the others are here. */
struct fused {
    struct bench b;
    const struct chain *chain;
    tensor *node[MAX_LINKS];
    struct step step[MAX_LINKS + 1];     /* the linear and the links */
    struct piece residual, key, y[MAX_LINKS];
    double *expected[MAX_LINKS + 1];
};

static tensor *link_node(tensor *x, enum link link, tensor *residual, tensor *key)
{
    switch (link) {
    case GELU: return t_gelu(x, 0);
    case TANH: return t_gelu(x, 1);
    case RELU: return t_relu(x);
    case SCALE: return t_scale(x, 0.3f);
    case DROP: return t_dropout(x, key, (struct chance){ .p = 0.4f, .stream = 77 });
    case ADD_TO: return t_add(x, residual);
    default: return t_add(residual, x);
    }
}

static struct piece *y_of(struct fused *f, int i) { return i ? &f->y[i - 1] : &f->b.y; }

static void fused_open(struct fused *f, const struct chain *chain, const struct variant *v, enum phase phase, const int *n)
{
    struct bench *b = &f->b;
    *f = (struct fused){ .chain = chain };
    bench_open(b, v, phase, n[0], 0, 0);
    bench_place(b, build_linear(b, n));
    fill(b, NULL, 1);
    tensor *residual = input(b, "residual", n[2]), *key = row_key(b), *x = b->t;
    place(b, &f->residual, residual, 0);
    place(b, &f->key, key, 0);
    for (int64_t k = 0; k < piece_size(&f->residual); k++) f->residual.v[k] = rng_normal(3, (uint64_t)k);
    for (int64_t k = 0; k < piece_size(&f->key); k++) f->key.v[k] = (double)(k << 32 | 5);
    piece_write(&f->residual);
    piece_write(&f->key);
    for (int i = 0; i < chain->n; i++) {
        f->node[i] = x = link_node(x, chain->link[i], residual, key);
        place(b, &f->y[i], x, 0);
    }
}

static void fused_close(struct fused *f)
{
    for (int i = 0; i <= f->chain->n; i++) free(f->expected[i]);
    for (int i = 0; i < f->chain->n; i++) piece_free(&f->y[i]);
    piece_free(&f->residual);
    piece_free(&f->key);
    bench_close(&f->b);
}

/* The steps as a plan has them before it fuses. */
static void fused_steps(struct fused *f)
{
    f->step[0] = bench_step(&f->b, 'F', 0);
    f->step[0].aux.p = NULL;
    for (int i = 1; i <= f->chain->n; i++) {
        struct step *s = &f->step[i];
        enum link link = f->chain->link[i - 1];
        *s = step_of(f->node[i - 1], 'F');
        s->flow = link == ADDED_TO ? 1 : 0;
        s->in[s->flow] = y_of(f, i - 1)->o;
        if (link == DROP) s->in[1] = f->key.o;
        if (link == ADD_TO || link == ADDED_TO) s->in[!s->flow] = f->residual.o;
        s->y = y_of(f, i)->o;
        s->run = &f->b.run;
    }
}

static void run_separately(struct fused *f, const struct cpu_table *t)
{
    fused_steps(f);
    for (int i = 0; i <= f->chain->n; i++) {
        struct step s = f->step[i];
        s.flow = -1;
        run_step(t, &s, 0);
        piece_read(y_of(f, i));
        free(f->expected[i]);
        f->expected[i] = copy_of(y_of(f, i));
    }
}

/* `kept`: bits of the results in between that somebody reads; the others are not to be written. */
static void run_fused(struct fused *f, const struct cpu_table *t, unsigned kept, int over_residual)
{
    int last = f->chain->n;
    fused_steps(f);
    kept |= 1u << last;
    for (int i = 0; i <= last; i++) {
        struct step *s = &f->step[i];
        if (i) s->in[s->flow].p = NULL, s->in[s->flow].value = -1;
        if (!(kept >> i & 1)) s->y.p = NULL, s->y.value = -1;
        if (i < last) s->then = &f->step[i + 1];
        piece_poison(y_of(f, i));
        piece_remember(y_of(f, i));
    }
    if (over_residual) f->step[last].y = f->residual.o;
    run_step(t, &f->step[0], over_residual ? 31 : 0);
    for (int i = 0; i <= last; i++) piece_check(y_of(f, i), kept >> i & 1 && !(over_residual && i == last), "y of a fused step");
    for (int i = 0; i < last; i++)
        if (kept >> i & 1) same_bits(y_of(f, i), f->expected[i], "a result in between");
    same_bits(over_residual ? &f->residual : y_of(f, last), f->expected[last], "the last result");
}

static void prove_fused(const struct chain *chain, const struct variant *v, enum phase phase, const int *n)
{
    struct fused f;
    const struct cpu_table *t;
    fused_open(&f, chain, v, phase, n);
    int adds = chain->link[chain->n - 1] >= ADD_TO;
    for (int i = 0; (t = cpu_build(i)); i++) {
        snprintf(where, sizeof where, "linear, %s, rows %d, %s, %s", chain->name, n[0], v->name, t->name);
        run_separately(&f, t);
        for (unsigned kept = 0; kept < 1u << chain->n; kept++) run_fused(&f, t, kept, 0);
        if (!adds) continue;
        double *residual = copy_of(&f.residual);
        run_fused(&f, t, 0, 1);
        restore(&f.residual, residual);
        free(residual);
    }
    fused_close(&f);
}

static void fusing(void **state)
{
    (void)state;
    for (const struct chain *c = chains; c < chains + LENGTH(chains); c++)
        for (const struct variant *v = variants; v < variants + LENGTH(variants); v++) {
            prove_fused(c, v, TRAIN, (int[]){ 37, 31, 141 });
            prove_fused(c, v, INFER, (int[]){ 5, 31, 141 });
        }
}

/* ---- however a product is cut into blocks, its bits are the same ---- */

struct cut { int64_t i, m, j, n; };      /* rows i .. i + m, columns j .. j + n */

static void advance(struct operand *o, int64_t r, int64_t c)    /* from row r, column c on */
{
    if (o->value >= 0) o->p = (char *)o->p + (r * o->ld + c) * (int64_t)dtype_size(o->type);
}

static void forward_cut(struct bench *b, const struct cpu_table *t, struct cut c, const double *y)
{
    struct step s = bench_step(b, 'F', 0);
    int64_t rows = b->run.rows[0];
    advance(&s.in[0], c.i, 0);
    advance(&s.in[1], b->in[1].turned ? 0 : c.j, b->in[1].turned ? c.j : 0);
    advance(&s.in[2], 0, c.j);
    advance(&s.y, c.i, c.j);
    s.y.cols = c.n;
    piece_poison(&b->y);
    b->run.rows[0] = c.m;
    run_step(t, &s, 0);
    b->run.rows[0] = rows;
    piece_read(&b->y);
    for (int64_t k = 0; k < piece_size(&b->y); k++) {
        int64_t i = k / b->y.cols - c.i, j = k % b->y.cols - c.j;
        if (i < 0 || i >= c.m || j < 0 || j >= c.n) assert_true(isnan(b->y.v[k]));
        else if (b->y.v[k] != y[k]) fail_here("rows %lld + %lld, columns %lld + %lld: other bits", (long long)c.i, (long long)c.m, (long long)c.j, (long long)c.n);
    }
}

/* dx by rows, dW and db by outputs. */
static void backward_cut(struct bench *b, const struct cpu_table *t, struct cut c, double *const d[3])
{
    int64_t rows = b->run.rows[0], in = b->t->in[0]->cols;
    struct step s = bench_step(b, 'B', 1), z = bench_step(b, 'B', 6);
    advance(&s.dy, c.i, 0);
    advance(&s.d[0], c.i, 0);
    for (int i = 0; i < 3; i++) piece_poison(&b->d[i]);
    b->run.rows[0] = c.m;
    run_step(t, &s, 0);
    b->run.rows[0] = rows;
    advance(&z.dy, 0, c.j);
    z.dy.cols = c.n;
    advance(&z.d[1], b->d[1].turned ? 0 : c.j, b->d[1].turned ? c.j : 0);
    advance(&z.d[2], 0, c.j);
    run_step(t, &z, 0);
    for (int i = 0; i < 3; i++) piece_read(&b->d[i]);
    for (int64_t k = c.i * in; k < (c.i + c.m) * in; k++) assert_true(b->d[0].v[k] == d[0][k]);
    for (int64_t k = c.j * in; k < (c.j + c.n) * in; k++) assert_true(b->d[1].v[k] == d[1][k]);
    for (int64_t k = c.j; k < c.j + c.n; k++) assert_true(b->d[2].v[k] == d[2][k]);
}

static void prove_cuts(const struct variant *v, enum phase phase, const int *n, int cuts)
{
    struct bench b;
    const struct cpu_table *t;
    uint64_t r = 9;
    bench_open(&b, v, phase, n[0], 0, 0);
    bench_place(&b, build_linear(&b, n));
    fill(&b, NULL, 1);
    for (int i = 0; (t = cpu_build(i)); i++) {
        snprintf(where, sizeof where, "linear, rows %d, %d to %d, %s, %s", n[0], n[1], n[2], v->name, t->name);
        struct step s = bench_step(&b, 'F', 0), back = bench_step(&b, 'B', 7);
        run_step(t, &s, 0);
        piece_read(&b.y);
        double *y = copy_of(&b.y), *d[3] = { 0 };
        for (int k = 0; k < 3 && phase == TRAIN; k++) {
            if (k == 0) run_step(t, &back, 0);
            piece_read(&b.d[k]);
            d[k] = copy_of(&b.d[k]);
        }
        for (int k = 0; k < cuts; k++) {
            struct cut c = { .i = roll(&r, n[0]), .j = roll(&r, n[2]) };
            c.m = 1 + roll(&r, n[0] - (int)c.i);
            c.n = 1 + roll(&r, n[2] - (int)c.j);
            forward_cut(&b, t, c, y);
            if (phase == TRAIN) backward_cut(&b, t, c, d);
        }
        free(y);
        for (int k = 0; k < 3; k++) free(d[k]);
    }
    bench_close(&b);
}

static void cutting(void **state)
{
    (void)state;
    for (const struct variant *v = variants; v < variants + LENGTH(variants); v++) {
        prove_cuts(v, TRAIN, (int[]){ 67, 150, 133 }, 6);
        prove_cuts(v, INFER, (int[]){ 8, 150, 133 }, 6);
    }
    prove_cuts(&variants[0], TRAIN, (int[]){ 150, 530, 540 }, 3);
    prove_cuts(&variants[3], TRAIN, (int[]){ 530, 300, 530 }, 3);
}

/* ---- a parameter whose blocks lie apart: one step each, into columns of y and onto dx ---- */

enum { BLOCKS_APART = 3 };
static const struct block apart[BLOCKS_APART] = { { "q", 70 }, { "k", 5 }, { "v", 33 } };
static const enum dtype apart_type[BLOCKS_APART] = { F32, BF16, F32 };

/* The bench's W holds the numbers for the reference; the steps read the blocks. */
static void place_blocks(struct bench *b, struct piece *block)
{
    struct piece *w = &b->in[1];
    for (int64_t i = 0, from = 0; i < BLOCKS_APART; from += apart[i++].out) {
        piece_new(&block[i], apart[i].out, apart[i].out, w->cols, apart_type[i], 0, 0, w->cols);
        memcpy(block[i].v, w->v + from * w->cols, (size_t)piece_size(&block[i]) * sizeof(double));
        piece_write(&block[i]);
        memcpy(w->v + from * w->cols, block[i].v, (size_t)piece_size(&block[i]) * sizeof(double));
    }
}

static void run_blocks(struct bench *b, const struct piece *block, const struct cpu_table *t, char dir)
{
    piece_poison(dir == 'F' ? &b->y : &b->d[0]);
    for (int64_t i = 0, from = 0; i < BLOCKS_APART; from += apart[i++].out) {
        struct step s = bench_step(b, dir, 1);
        struct operand *const across[] = { &s.in[2], &s.y, &s.dy };
        for (int k = 0; k < 3; k++) {
            advance(across[k], 0, from);
            across[k]->cols = apart[i].out;
        }
        if (dir == 'F') s.d[0] = (struct operand){ .value = -1 };
        s.in[1] = block[i].o;
        s.block = (int)i;
        s.beta[0] = i ? ADD : WRITE;
        run_step(t, &s, 0);
    }
}

static void prove_blocks(const struct variant *v, enum phase phase, int rows)
{
    enum { IN_COLS = 37 };
    struct bench b;
    struct piece block[BLOCKS_APART];
    static const char mapped[BLOCKS_APART][8];
    const struct cpu_table *t;
    bench_open(&b, v, phase, rows, 0, 0);
    b.w->use = MAPPED;
    for (int i = 0; i < BLOCKS_APART; i++) assert_ok(weights_offer(b.w, apart[i].name, apart_type[i], 0, mapped[i]));
    tensor *x = input(&b, "x", IN_COLS), *w = t_param(b.g, "w", OUT_IN, IN_COLS, BLOCKS_APART, apart), *bias = t_vector(b.g, "bias", BLOCKS_APART, apart);
    bench_place(&b, t_linear(x, w, bias, v->type));
    fill(&b, NULL, 1);
    place_blocks(&b, block);
    struct problem p = bench_problem(&b);
    ref_linear(&p);
    double *y = copy_of(&b.y), dx[16 * IN_COLS] = { 0 }, none = 0;
    for (int64_t k = 0; k < rows * IN_COLS; k++)
        for (int64_t m = 0; m < b.y.cols; m++) dx[k] += b.dy.v[k / IN_COLS * b.y.cols + m] * b.in[1].v[m * IN_COLS + k % IN_COLS];
    double y_size = largest(y, piece_size(&b.y)), dx_size = largest(dx, rows * IN_COLS), thrice_rounded = v->type == BF16 ? 3 * 0x1p-8 : 0;
    for (int i = 0; (t = cpu_build(i)); i++) {
        snprintf(where, sizeof where, "linear by blocks, rows %d, %s, %s", rows, v->name, t->name);
        run_blocks(&b, block, t, 'F');
        near(&b.y, y, 1e-6 * y_size, 1, "y", &none);
        if (phase != TRAIN) continue;
        run_blocks(&b, block, t, 'B');
        near(&b.d[0], dx, (1e-6 + thrice_rounded) * dx_size, 0, "dx", &none);
    }
    for (int i = 0; i < BLOCKS_APART; i++) piece_free(&block[i]);
    free(y);
    bench_close(&b);
}

static void blocks_apart(void **state)
{
    (void)state;
    for (const struct variant *v = variants; v < variants + 4; v++) {
        prove_blocks(v, TRAIN, 13);
        prove_blocks(v, INFER, 5);
    }
}

/* ---- steps without an op ---- */

/* C: dy to d[0] or onto it; Z: zeros.  To the bit. */
static void copies(void **state)
{
    (void)state;
    static const int widths[] = { 1, 7, 35, 257 };
    const struct cpu_table *t;
    double none = 0;
    for (const struct variant *v = variants; v < variants + 4; v++)
        for (int n = 0; n < (int)LENGTH(widths) * 2; n++) {
            struct bench b;
            bench_open(&b, v, TRAIN, n % 2 ? 300 : 1, 0, 0);
            bench_place(&b, input(&b, "x", widths[n / 2]));
            place(&b, &b.d[0], b.t, 1);
            for (int64_t k = 0; k < piece_size(&b.dy); k++) b.dy.v[k] = rng_normal(1, (uint64_t)k), b.d[0].v[k] = rng_normal(2, (uint64_t)k);
            piece_write(&b.dy);
            piece_write(&b.d[0]);
            double *old = copy_of(&b.d[0]), *sum = copy_of(&b.dy), *zero = calloc((size_t)piece_size(&b.dy), sizeof *zero);
            for (int64_t k = 0; k < piece_size(&b.dy); k++) {
                float f = (float)old[k] + (float)sum[k];
                sum[k] = (double)(v->type == BF16 ? bf16_to_f32(f32_to_bf16(f)) : f);
            }
            for (int i = 0; (t = cpu_build(i)); i++) {
                struct step c = step_of(b.t, 'C'), z = step_of(b.t, 'Z');
                c.dy = b.dy.o, c.d[0] = z.d[0] = b.d[0].o, c.run = z.run = &b.run;
                snprintf(where, sizeof where, "copy, %d columns, %s, %s", widths[n / 2], v->name, t->name);
                restore(&b.d[0], old);
                c.beta[0] = ADD;
                bench_run(&b, t, &c, 0, 0);
                near(&b.d[0], sum, 0, 0, "sum", &none);
                piece_poison(&b.d[0]);
                c.beta[0] = WRITE;
                bench_run(&b, t, &c, 0, 5);
                same_bits(&b.d[0], b.dy.v, "copy");
                piece_poison(&b.d[0]);
                bench_run(&b, t, &z, 0, 5);
                same_bits(&b.d[0], zero, "zeros");
            }
            free(old), free(sum), free(zero);
            bench_close(&b);
        }
}

/* G: the sum of squares, in the last micro-step. */
static void squares(void **state)
{
    (void)state;
    static const int sizes[] = { 1, 35, 1 << 16, (1 << 16) + 1, 200003 };
    const struct cpu_table *t;
    for (int n = 0; n < (int)LENGTH(sizes); n++) {
        struct bench b;
        bench_open(&b, &variants[0], TRAIN, 1, 0, 0);
        tensor *first = vector(&b, "first", 1), *w = vector(&b, "w", sizes[n]);
        bench_place(&b, t_layernorm(input(&b, "x", sizes[n]), w, NULL, 0.05f));
        b.w->squares = malloc(2 * sizeof(double));
        long double sum = 0;
        for (int64_t k = 0; k < sizes[n]; k++) b.d[1].v[k] = rng_normal(n ? 1 : 2, (uint64_t)k) * 1e-3;
        piece_write(&b.d[1]);
        for (int64_t k = 0; k < sizes[n]; k++) sum += (long double)b.d[1].v[k] * b.d[1].v[k];
        for (int i = 0; (t = cpu_build(i)); i++)
            for (int last = 0; last < 2; last++) {
                struct step s = step_of(w, 'G');
                s.d[0] = b.d[1].o, s.run = &b.run;
                snprintf(where, sizeof where, "ready, %d elements, %s", sizes[n], t->name);
                b.run.last_micro = last;
                b.w->squares[first->param->index] = b.w->squares[w->param->index] = -1;
                bench_run(&b, t, &s, 0, (uint64_t)last * 5);
                assert_true(b.w->squares[first->param->index] == -1);
                double is = b.w->squares[w->param->index], should = last ? (double)sum : -1;
                if (!(fabs(is - should) <= 2e-13 * fabs(should))) fail_here("%.17g is not %.17g", is, should);
            }
        bench_close(&b);
    }
}

/* ---- positions: the sine and cosine of every position, which stand alone where (1, 0) is turned ---- */

static void angles(void **state)
{
    (void)state;
    enum { POSITIONS = 1 << 17 };
    const struct cpu_table *t;
    struct bench b;
    bench_open(&b, &variants[0], INFER, POSITIONS, 0, 0);
    bench_place(&b, t_rope(input(&b, "x", 2), ids(&b), (struct rope){ .dim = 2, .theta = 1e4f }));
    for (int i = 0; i < POSITIONS; i++) b.in[0].v[2 * i] = 1, b.in[1].v[i] = i;
    piece_write(&b.in[0]);
    piece_write(&b.in[1]);
    for (int k = 0; (t = cpu_build(k)); k++) {
        struct step s = bench_step(&b, 'F', 0);
        snprintf(where, sizeof where, "rope, %s", t->name);
        bench_run(&b, t, &s, 0, 0);
        piece_read(&b.y);
        for (int i = 0; i < 2 * POSITIONS; i++) {
            double exact = i % 2 ? sin(i / 2) : cos(i / 2);
            if (!(fabs(b.y.v[i] - exact) <= 0x1p-23 * fabs(exact))) fail_here("of position %d: %.9g is not %.9g", i / 2, b.y.v[i], exact);
        }
    }
    bench_close(&b);
}

/* ---- the optimizer ---- */

enum { ADAM_SIZE = 149, ADAM_FIRST = 3, ADAM_END = 140, ADAM_STEPS = 10 };   /* the range that is updated, of a parameter at element 5 */

struct adam { struct weights w; struct param p; struct piece x, g, m, v, form; double exact_x[ADAM_SIZE], exact_m[ADAM_SIZE], exact_v[ADAM_SIZE]; };

static void adam_open(struct adam *a, int decay)
{
    enum { AT = 5 };
    struct piece *const all[] = { &a->x, &a->g, &a->m, &a->v, &a->form };
    *a = (struct adam){ .p = { .out = ADAM_SIZE, .in = 1, .at = AT, .form = 1, .form_at = AT + 1, .lr_scale = 0.5f, .decay = decay } };
    for (int i = 0; i < 5; i++) piece_new(all[i], 1, 1, ADAM_SIZE, i < 4 ? F32 : BF16, 0, AT + i / 4, ADAM_SIZE + AT + i / 4);
    for (int i = 0; i < ADAM_SIZE; i++) a->x.v[i] = rng_normal(1, (uint64_t)i);
    for (int i = 0; i < 4; i++) piece_write(all[i]);
    memcpy(a->exact_x, a->x.v, sizeof a->exact_x);
    a->w.master = (float *)a->x.o.p - AT, a->w.grad = (float *)a->g.o.p - AT;
    a->w.moment1 = (float *)a->m.o.p - AT, a->w.moment2 = (float *)a->v.o.p - AT;
    a->w.form = (uint16_t *)a->form.o.p - AT - 1;
}

static void adam_exact(struct adam *a, const struct adamw *o)
{
    double lr = o->lr * (double)a->p.lr_scale, decay = a->p.decay ? o->weight_decay : 0;
    for (int i = ADAM_FIRST; i < ADAM_END; i++) {
        double g = o->grad_scale * a->g.v[i];
        a->exact_m[i] = o->beta1 * a->exact_m[i] + (1 - o->beta1) * g;
        a->exact_v[i] = o->beta2 * a->exact_v[i] + (1 - o->beta2) * g * g;
        double m = a->exact_m[i] / (1 - pow(o->beta1, (double)o->t)), v = a->exact_v[i] / (1 - pow(o->beta2, (double)o->t));
        a->exact_x[i] -= lr * decay * a->exact_x[i] + lr * m / (sqrt(v) + o->eps);
    }
}

/* Some gradients are 0, some so small that eps counts. */
static void adam_gradients(struct adam *a, int64_t step)
{
    for (int i = 0; i < ADAM_SIZE; i++) a->g.v[i] = rng_normal((uint64_t)step, (uint64_t)i) * (i % 7 == 0 ? 0 : i % 5 == 0 ? 1e-8 : 1);
    piece_write(&a->g);
}

static void prove_adamw(const struct cpu_table *t, int decay)
{
    struct adam a;
    double none = 0;
    adam_open(&a, decay);
    struct piece *const all[] = { &a.x, &a.m, &a.v, &a.form };
    for (int64_t step = 1; step <= ADAM_STEPS; step++) {
        const struct adamw o = { .lr = 0.01, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1, .grad_scale = 0.37, .t = step };
        adam_gradients(&a, step);
        piece_remember(&a.g);
        t->adamw(&a.w, &a.p, &o, ADAM_FIRST, 64);
        t->adamw(&a.w, &a.p, &o, 64, ADAM_END);
        piece_check(&a.g, 0, "gradient");
        adam_exact(&a, &o);
        for (int i = 0; i < 4; i++) guarded_check(&all[i]->memory, "parameter");
        near(&a.m, a.exact_m, 4e-7 * largest(a.exact_m, ADAM_SIZE), 0, "moment 1", &none);
        near(&a.v, a.exact_v, 4e-7 * largest(a.exact_v, ADAM_SIZE), 0, "moment 2", &none);
        near(&a.x, a.exact_x, (double)step * 1e-7 * largest(a.exact_x, ADAM_SIZE), 0, "parameter", &none);
        for (int i = 0; i < ADAM_SIZE; i++) {
            int updated = i >= ADAM_FIRST && i < ADAM_END;
            uint16_t form = *(uint16_t *)element(&a.form, 0, i);
            if (form != (updated ? f32_to_bf16((float)a.x.v[i]) : 0xffff)) fail_here("bf16 form of element %d", i);
        }
    }
    piece_poison(&a.form);
    t->narrow(&a.w, &a.p, 0, ADAM_SIZE);
    for (int i = 0; i < ADAM_SIZE; i++) assert_int_equal(*(uint16_t *)element(&a.form, 0, i), f32_to_bf16((float)a.x.v[i]));
    struct piece *const pieces[] = { &a.x, &a.g, &a.m, &a.v, &a.form };
    for (int i = 0; i < 5; i++) piece_free(pieces[i]);
}

static void optimizer(void **state)
{
    (void)state;
    const struct cpu_table *t;
    for (int i = 0; (t = cpu_build(i)); i++)
        for (int decay = 0; decay < 2; decay++) {
            snprintf(where, sizeof where, "adamw, decay %d, %s", decay, t->name);
            prove_adamw(t, decay);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fusing), cmocka_unit_test(cutting), cmocka_unit_test(blocks_apart), cmocka_unit_test(copies),
        cmocka_unit_test(squares), cmocka_unit_test(angles), cmocka_unit_test(optimizer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
