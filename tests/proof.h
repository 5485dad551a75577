/* proof.h -- proves that the kernels of an op do what its reference says, in every build that runs here:
 *
 *     forward     y against the reference, and against the scalar build; the same bits with and without aux, in any order of
 *                 tasks, and in place
 *     backward    gradients along many directions against differences of the reference, and element by element against
 *                 the scalar build; the same bits in any order, in place, and with other gradients unwanted; what is
 *                 written does not depend on what was there, what is added is
 *
 * SHOW=1 prints how much of its bounds a case used. */
#ifndef PROOF_H
#define PROOF_H
#include "workbench.h"

/* ---- a case: an op in one form ---- */

enum { MATRIX = 1, LAYOUTS = 2, TAILS = 4 };                 /* has weights of either dtype; in either layout; is tried at all widths */

/* n: live rows; two numbers that are the builder's; live rows of "source".  Bounds are parts of the largest element of a
 * tensor; what is rounded to bf16 in the end may be off by half a unit in the last place besides. */
struct op_case {
    const char *name;
    tensor *(*build)(struct bench *, const int *n);
    void (*reference)(const struct problem *);
    enum phase phase;
    int flags;
    double y, d;                         /* bounds: of the result; of gradients */
    double d16;                          /* of gradients in bf16, where they are made of values that were rounded; 0: as d */
    double least;                        /* gradients that cancel are held to the bound of one of this size */
    const struct pattern *pattern;       /* n[2] is its index; NULL: no sequences */
    int n[12][4];                        /* up to n[.][1] == 0 */
};

struct proof {
    const struct op_case *c;
    struct bench b;
    struct direction *direction;
    int n_direction;
    double *y, *scalar_y;                /* by the reference; by the scalar build */
    double *d[MAX_IN], *scalar_d[MAX_IN];        /* by the build at hand; by the scalar build */
    double *state_before, *state_after;
    double used_y, used_d;               /* the largest part of a bound that was needed */
};

/* How far gradients d may be off. */
static inline double allowed_d(const struct proof *f, const double *d, int64_t n)
{
    double bound = f->b.v.type == BF16 && f->c->d16 > 0 ? f->c->d16 : f->c->d;
    return bound * fmax(f->c->least, largest(d, n));
}

/* ---- the reference's slopes ---- */

enum { SINGLES = 6 };                    /* elements of each input that are moved alone */
static const double STEP = 2e-4;

struct direction {
    int input;                           /* which moves; -1: all that have a gradient */
    int64_t at;                          /* which element of it; -1: all, by plus or minus 1 */
    double slope, noise;                 /* of sum dy y; what arithmetic in double leaves uncertain in it */
};

static inline double component(const struct direction *u, int i, int64_t k)
{
    uint64_t r = (uint64_t)(k * MAX_IN + i);
    if (u->input >= 0 && (u->input != i || (u->at >= 0 && u->at != k))) return 0;
    return u->at >= 0 || dice(&r) & 1 ? 1 : -1;
}

/* sum dy y where the inputs are moved by h; *size: the same without signs */
static inline double moved(const struct proof *f, const struct direction *u, double h, double *size)
{
    const struct bench *b = &f->b;
    struct problem p = bench_problem(b);
    double sum = 0;
    for (int i = 0; i < MAX_IN; i++) {
        if (!has_gradient(b, i)) continue;
        p.in[i] = copy_of(&b->in[i]);
        for (int64_t k = 0; k < piece_size(&b->in[i]); k++) p.in[i][k] += h * component(u, i, k);
    }
    f->c->reference(&p);
    for (int i = 0; i < MAX_IN; i++)
        if (has_gradient(b, i)) free(p.in[i]);
    *size = 0;
    for (int64_t k = 0; k < piece_size(&b->y); k++) {
        sum += b->dy.v[k] * p.y[k];
        *size += fabs(b->dy.v[k] * p.y[k]);
    }
    return sum;
}

static inline void add_direction(struct proof *f, int input, int64_t at)
{
    struct direction u = { input, at, 0, 0 };
    double size, near_by = moved(f, &u, STEP, &size) - moved(f, &u, -STEP, &size), far = moved(f, &u, 2 * STEP, &size) - moved(f, &u, -2 * STEP, &size);
    u.slope = (8 * near_by - far) / (12 * STEP);             /* right up to the fourth derivative */
    u.noise = 0x1p-52 * size / STEP;
    f->direction = realloc(f->direction, (size_t)(f->n_direction + 1) * sizeof u);
    assert_non_null(f->direction);
    f->direction[f->n_direction++] = u;
}

static inline void find_slopes(struct proof *f)
{
    uint64_t r = 11;
    if (f->c->phase != TRAIN || traits(f->b.t) & PASS) return;
    add_direction(f, -1, -1);
    for (int i = 0; i < MAX_IN; i++) {
        int64_t n = has_gradient(&f->b, i) ? piece_size(&f->b.in[i]) : 0;
        if (n) add_direction(f, i, -1);
        for (int k = 0; k < SINGLES && k < n; k++) add_direction(f, i, n <= SINGLES ? k : roll(&r, (int)n));
    }
}

/* The gradients that were just read agree with one slope.  Where many elements move, their errors add as their squares: each
 * is uniform within its bound, so that twice the root is 3.5 standard deviations. */
static inline void check_slope(struct proof *f, const struct direction *u)
{
    const struct bench *b = &f->b;
    double sum = 0, square = 0, rounding = 0, spread = u->at < 0 ? 2 : 1;
    for (int i = 0; i < MAX_IN; i++) {
        const struct piece *d = &b->d[i];
        if (!has_gradient(b, i) || (u->input >= 0 && u->input != i)) continue;
        double allowed = allowed_d(f, d->v, piece_size(d));
        for (int64_t k = 0; k < piece_size(d); k++) {
            double by = component(u, i, k), half = d->o.type == BF16 ? 0x1p-8 * fabs(d->v[k] * by) : 0;
            sum += by * d->v[k];
            square += by * allowed * by * allowed;
            rounding += half * half;
        }
    }
    double error = fabs(sum - u->slope), besides = spread * sqrt(rounding) + u->noise, allowed = spread * sqrt(square);
    if (!(error <= allowed + besides))
        fail_here("gradient of input %d along element %lld is %.9g, not %.9g; off by %.3g, allowed are %.3g", u->input, (long long)u->at,
                  sum, u->slope, error, allowed + besides);
    if (error > besides) f->used_d = fmax(f->used_d, (error - besides) / allowed);
}

/* ---- forward ---- */

static inline int state_of(const struct bench *b)
{
    for (int i = 0; i < b->t->n_in; i++)
        if (b->t->in[i] && b->t->in[i]->kind == K_STATE) return i;
    return -1;
}

/* One run from the start: results NaN, the state as it was.  `written` as in bench_run. */
static inline void run_forward(struct proof *f, const struct cpu_table *t, struct step *s, unsigned written, uint64_t seed)
{
    struct bench *b = &f->b;
    int state = state_of(b);
    if (b->y.o.value >= 0) piece_poison(&b->y);
    if (b->aux.o.value >= 0) piece_poison(&b->aux);
    if (state >= 0) restore(&b->in[state], f->state_before);
    bench_run(b, t, s, written, seed);
    if (state >= 0) same_bits(&b->in[state], f->state_after, "state");
}

static inline void forward_in_place(struct proof *f, const struct cpu_table *t, const double *y)
{
    struct bench *b = &f->b;
    struct step s = bench_step(b, 'F', 0);
    double *x = copy_of(&b->in[0]);
    s.y = s.in[0];
    run_forward(f, t, &s, 1, 0);
    same_bits(&b->in[0], y, "y in place");
    restore(&b->in[0], x);
    free(x);
}

/* Leaves y and aux as backward wants to find them. */
static inline void check_forward(struct proof *f, const struct cpu_table *t)
{
    struct bench *b = &f->b;
    struct step s = bench_step(b, 'F', 0);
    double allowed = f->c->y * largest(f->y, piece_size(&b->y));
    s.aux.p = NULL;
    run_forward(f, t, &s, 0, 0);
    near(&b->y, f->y, allowed, 1, "y", &f->used_y);
    if (!f->scalar_y) f->scalar_y = copy_of(&b->y);
    near(&b->y, f->scalar_y, allowed, 2, "y against the scalar build", &f->used_y);
    double *y = copy_of(&b->y);
    s = bench_step(b, 'F', 0);
    if (traits(b->t) & INPLACE) forward_in_place(f, t, y);
    run_forward(f, t, &s, 0, 99);
    same_bits(&b->y, y, "y of shuffled tasks, with aux");
    free(y);
}

/* ---- backward ---- */

enum { ALL = (1 << MAX_IN) - 1 };

static inline void run_backward(struct proof *f, const struct cpu_table *t, unsigned wanted, enum beta beta, int micro, uint64_t seed)
{
    struct bench *b = &f->b;
    struct step s = bench_step(b, traits(b->t) & SEEDS ? 'F' : 'B', wanted);
    for (int i = 0; i < MAX_IN; i++) {
        s.beta[i] = beta;
        if (has_gradient(b, i) && beta != ADD && !micro) piece_poison(&b->d[i]);
    }
    b->run.micro = micro;
    bench_run(b, t, &s, 0, seed);
}

static inline void same_gradients(struct proof *f, unsigned wanted, const char *what)
{
    for (int i = 0; i < MAX_IN; i++)
        if (has_gradient(&f->b, i) && wanted >> i & 1) same_bits(&f->b.d[i], f->d[i], what);
}

/* Adds to `old`, which becomes the expected sum of it and what is written. */
static inline void check_sum(struct proof *f, int i, double *old)
{
    struct piece *d = &f->b.d[i];
    for (int64_t k = 0; k < piece_size(d); k++) old[k] += f->d[i][k];
    double two_roundings = d->o.type == BF16 ? 0x1p-7 * largest(old, piece_size(d)) : 0;
    near(d, old, allowed_d(f, old, piece_size(d)) + two_roundings, 1, "added", &(double){ 0 });
}

static inline void check_adding(struct proof *f, const struct cpu_table *t)
{
    struct bench *b = &f->b;
    double *sum[MAX_IN] = { 0 };
    for (int micro = 0; micro < 2; micro++) {                /* ADD, then the same in a later micro-step */
        double *old[MAX_IN] = { 0 };
        for (int i = 0; i < MAX_IN; i++) {
            if (!has_gradient(b, i)) continue;
            for (int64_t k = 0; k < piece_size(&b->d[i]); k++) b->d[i].v[k] = rng_normal(5, (uint64_t)k);
            piece_write(&b->d[i]);
            old[i] = copy_of(&b->d[i]);
        }
        run_backward(f, t, ALL, micro ? ADD_IF_MICRO : ADD, micro, 0);
        for (int i = 0; i < MAX_IN; i++) {
            if (!has_gradient(b, i)) continue;
            check_sum(f, i, old[i]);
            if (micro) same_bits(&b->d[i], sum[i], "added in a later micro-step");
            else sum[i] = copy_of(&b->d[i]);
            free(old[i]);
        }
    }
    for (int i = 0; i < MAX_IN; i++) free(sum[i]);
}

static inline void backward_in_place(struct proof *f, const struct cpu_table *t)
{
    struct bench *b = &f->b;
    struct step s = bench_step(b, 'B', 1);
    double *dy = copy_of(&b->dy);
    s.d[0] = s.dy;
    bench_run(b, t, &s, 1u << (&b->dy - b->all), 0);
    same_bits(&b->dy, f->d[0], "d[0] over dy");
    restore(&b->dy, dy);
    free(dy);
}

static inline void check_backward(struct proof *f, const struct cpu_table *t)
{
    struct bench *b = &f->b;
    if (!f->n_direction) return;
    run_backward(f, t, ALL, WRITE, 0, 0);
    for (int i = 0; i < MAX_IN; i++) {
        if (!has_gradient(b, i)) continue;
        int64_t n = piece_size(&b->d[i]);
        piece_read(&b->d[i]);
        f->d[i] = copy_of(&b->d[i]);
        if (!f->scalar_d[i]) f->scalar_d[i] = copy_of(&b->d[i]);
        near(&b->d[i], f->scalar_d[i], allowed_d(f, f->scalar_d[i], n), 2, "gradient against the scalar build", &f->used_d);
    }
    for (int i = 0; i < f->n_direction; i++) check_slope(f, &f->direction[i]);
    run_backward(f, t, ALL, ADD_IF_MICRO, 0, 77);
    same_gradients(f, ALL, "gradient of shuffled tasks in micro-step 0");
    for (int i = 0; i < MAX_IN; i++) {
        if (!has_gradient(b, i)) continue;
        run_backward(f, t, 1u << i, WRITE, 0, 0);
        same_gradients(f, 1u << i, "gradient wanted alone");
    }
    check_adding(f, t);
    if (traits(b->t) & INPLACE) backward_in_place(f, t);
    for (int i = 0; i < MAX_IN; i++) free(f->d[i]);
}

/* ---- the proof of one case at one size in one variant ---- */

static int proved[OP_COUNT];

static inline void prove(const struct op_case *c, const int *n, const struct variant *v, double used[2])
{
    struct proof f = { .c = c };
    struct bench *b = &f.b;
    const struct cpu_table *t;
    snprintf(where, sizeof where, "%s", c->name);
    bench_open(b, v, c->phase, n[0], n[3], c->pattern ? c->pattern[n[2]].n : 0);
    bench_place(b, c->build(b, n));
    fill(b, c->pattern ? &c->pattern[n[2]] : NULL, (uint64_t)(n[0] * 1000003 + n[1] * 1009 + n[2]));
    int state = state_of(b);
    if (state >= 0) f.state_before = copy_of(&b->in[state]);
    struct problem p = bench_problem(b);
    c->reference(&p);
    f.y = copy_of(&b->y);
    if (state >= 0) f.state_after = copy_of(&b->in[state]);
    find_slopes(&f);
    for (int i = 0; (t = cpu_build(i)); i++) {
        snprintf(where, sizeof where, "%s, rows %d, %d, %d, other rows %d, %s, %s", c->name, n[0], n[1], n[2], n[3], v->name, t->name);
        check_forward(&f, t);
        check_backward(&f, t);
    }
    proved[b->t->op] = 1;
    used[0] = fmax(used[0], f.used_y);
    used[1] = fmax(used[1], f.used_d);
    for (int i = 0; i < MAX_IN; i++) free(f.scalar_d[i]);
    double *const all[] = { f.y, f.scalar_y, f.state_before, f.state_after };
    for (int i = 0; i < 4; i++) free(all[i]);
    free(f.direction);
    bench_close(b);
}

#endif
