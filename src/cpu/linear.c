/* linear.c -- y = x W^T + b, and its gradients  dx = dy W,  dW = dy^T x,  db = sum over rows of dy.
 * N rows, K inputs, M outputs; W lies as (M, K) or (K, M).
 *
 * Forward: a task computes a block of y in f32, then finishes it row by row while it is near: bias, rounding to y's type,
 * and what is fused to this step.  A few rows (decoding) go past the blocked product: see skinny.h. */
#include "cpu/gemm.h"
#include "cpu/row.h"
#include "cpu/skinny.h"

extern const struct cpu_table NAME(cpu_table);

/* ---- the operands as matrices ---- */

static struct matrix plain(const struct operand *o) { return (struct matrix){ o->p, o->ld, 1, o->type }; }
static struct matrix turned(const struct operand *o) { return (struct matrix){ o->p, 1, o->ld, o->type }; }
static int in_out(const struct step *s) { return s->node->in[1]->param->layout == IN_OUT; }

/* W as K x M, the right side of y = x W^T, and as M x K, that of dx = dy W */
static struct matrix forward_weights(const struct step *s) { return in_out(s) ? plain(&s->in[1]) : turned(&s->in[1]); }
static struct matrix backward_weights(const struct step *s) { return in_out(s) ? turned(&s->in[1]) : plain(&s->in[1]); }

/* ---- forward ---- */

static int64_t inputs(const struct step *s) { return s->node->in[0]->cols; }
static int is_skinny(const struct step *s) { return graph_phase(s->node->g) == INFER && step_rows(s, s->node) <= SKINNY_ROWS; }
static int64_t outputs(const struct step *s) { return s->y.cols; }

/* v: columns col .. col + n of the finished sum of one row */
static void finish_row(const struct step *s, int64_t row, int64_t col, int64_t n, float *v)
{
    const float *b = s->in[2].p;
    for (int64_t c = 0; b && c < n; c += VW) v_store_n(v + c, v_load_n(v + c, n - c) + v_load_n(b + col + c, n - c), n - c);
    round_to(s->node->type, v, n);
    if (s->y.p) row_out(&s->y, row, col, n, v);
    for (const struct step *t = s->then; t; t = t->then) {
        NAME(cpu_table).op[t->node->op]->flow(t, row, col, n, v);
        round_to(t->node->type, v, n);
        if (t->y.p) row_out(&t->y, row, col, n, v);
    }
}

static void forward_block(const struct step *s, int task, float *scratch)
{
    struct gemm g = { step_rows(s, s->node), outputs(s), inputs(s), plain(&s->in[0]), forward_weights(s) };
    struct grid grid = NAME(gemm_grid)(g.m, g.n);
    int64_t i = task / grid.across * grid.rows, j = task % grid.across * grid.cols;
    int64_t m = at_most(grid.rows, g.m - i), n = at_most(grid.cols, g.n - j);
    NAME(gemm)(&g, i, m, j, n, scratch, n, 0, grid_rest(grid, scratch));
    for (int64_t r = 0; r < m; r++) finish_row(s, i + r, j, n, scratch + r * n);
}

/* x of a few rows in f32: (rows, K) */
static const float *few_rows(const struct step *s, float *buffer)
{
    int64_t k = inputs(s);
    for (int64_t r = 0; r < step_rows(s, s->node); r++) {
        const float *x = row_in(&s->in[0], r, 0, k, buffer + r * k);
        if (x != buffer + r * k) memcpy(buffer + r * k, x, (size_t)k * sizeof *x);
    }
    return buffer;
}

static void forward_dots(const struct step *s, int task, float *scratch)
{
    int64_t k = inputs(s), rows = step_rows(s, s->node), j = task * SKINNY_STRIP, n = at_most(SKINNY_STRIP, outputs(s) - j);
    struct matrix w = forward_weights(s);
    float *y = scratch, *x = y + SKINNY_ROWS * SKINNY_STRIP;
    NAME(skinny_dots)(&w, few_rows(s, x), rows, k, j, n, y, SKINNY_STRIP);
    for (int64_t r = 0; r < rows; r++) finish_row(s, r, j, n, y + r * SKINNY_STRIP);
}

/* (in, out): each task multiplies some rows of W, so that it reads them from end to end; then the parts are added. */
static void forward_parts(const struct step *s, int phase, int task, float *scratch)
{
    int64_t k = inputs(s), n = outputs(s), rows = step_rows(s, s->node), per = ceil_div(k, SKINNY_PARTS);
    float *parts = s->work.p;
    struct matrix w = forward_weights(s);
    if (phase == 0) {
        int64_t from = at_most(task * per, k), to = at_most(from + per, k);
        NAME(skinny_part)(&w, few_rows(s, scratch), rows, k, from, to, n, parts + task * rows * n);
        return;
    }
    int64_t j = task * SKINNY_STRIP, cols = at_most(SKINNY_STRIP, n - j);
    for (int64_t r = 0; r < rows; r++) {
        float *sum = parts + r * n + j;
        for (int p = 1; p < SKINNY_PARTS; p++)
            for (int64_t c = 0; c < cols; c++) sum[c] += parts[(p * rows + r) * n + j + c];
        finish_row(s, r, j, cols, sum);
    }
}

static void forward(const struct step *s, int phase, int task, void *scratch)
{
    if (!is_skinny(s)) forward_block(s, task, scratch);
    else if (in_out(s)) forward_parts(s, phase, task, scratch);
    else forward_dots(s, task, scratch);
}

static int forward_phases(const struct step *s) { return is_skinny(s) && in_out(s) ? 2 : 1; }

static int forward_tasks(const struct step *s, int phase)
{
    struct grid g = NAME(gemm_grid)(step_rows(s, s->node), outputs(s));
    if (!is_skinny(s)) return g.down * g.across;
    return in_out(s) && phase == 0 ? SKINNY_PARTS : (int)ceil_div(outputs(s), SKINNY_STRIP);
}

static size_t forward_work(const struct step *s)
{
    return in_out(s) && graph_phase(s->node->g) == INFER ? SKINNY_PARTS * SKINNY_ROWS * (size_t)outputs(s) * sizeof(float) : 0;
}

/* Fewer live rows may mean other grids: the largest block that a task can have is what counts. */
static size_t block_scratch(void) { return grid_scratch(NAME(gemm_grid)(INT32_MAX, INT32_MAX)); }

static size_t forward_scratch(const struct step *s)
{
    size_t skinny = SKINNY_ROWS * ((size_t)inputs(s) + SKINNY_STRIP) * sizeof(float);
    return at_least((int64_t)skinny, (int64_t)block_scratch());
}

/* ---- backward: tiles of dW, then tiles of dx, then strips of db ---- */

enum { BIAS_STRIP = 64 };
struct jobs { struct grid dw, dx; int n_dw, n_dx, n_db; };

static struct jobs backward_jobs(const struct step *s)
{
    const struct operand *dw = &s->d[1], *dx = &s->d[0];
    int64_t k = s->node->in[0]->cols, m = s->dy.cols;
    struct jobs j = { 0 };
    j.dw = in_out(s) ? NAME(gemm_grid)(k, m) : NAME(gemm_grid)(m, k);
    j.dx = NAME(gemm_grid)(step_rows(s, s->node), k);
    if (dw->p) j.n_dw = j.dw.down * j.dw.across;
    if (dx->p) j.n_dx = j.dx.down * j.dx.across;
    if (s->d[2].p) j.n_db = (int)ceil_div(m, BIAS_STRIP);
    return j;
}

/* Task t of the grid over the product, into d[i]. */
static void gradient_block(const struct step *s, int k, const struct gemm *g, struct grid grid, int t, float *scratch)
{
    int64_t i = t / grid.across * grid.rows, j = t % grid.across * grid.cols;
    int64_t m = at_most(grid.rows, g->m - i), n = at_most(grid.cols, g->n - j);
    if (s->d[k].type == F32) {
        NAME(gemm)(g, i, m, j, n, cell(&s->d[k], i, j), s->d[k].ld, step_adds(s, k), scratch);
        return;
    }
    NAME(gemm)(g, i, m, j, n, scratch, n, 0, grid_rest(grid, scratch));
    for (int64_t r = 0; r < m; r++) gradient_out(s, k, i + r, j, n, scratch + r * n, grid_row(grid, scratch));
}

static void bias_strip(const struct step *s, int task)
{
    float *db = s->d[2].p, row[BIAS_STRIP], sum[BIAS_STRIP] = { 0 };
    int64_t col = task * BIAS_STRIP, n = at_most(BIAS_STRIP, s->dy.cols - col);
    for (int64_t r = 0; r < step_rows(s, s->node); r++) {
        const float *dy = row_in(&s->dy, r, col, n, row);
        for (int64_t c = 0; c < n; c++) sum[c] += dy[c];
    }
    for (int64_t c = 0; c < n; c++) db[col + c] = step_adds(s, 2) ? db[col + c] + sum[c] : sum[c];
}

static void backward(const struct step *s, int phase, int task, void *scratch)
{
    (void)phase;
    int64_t n = step_rows(s, s->node), k = s->node->in[0]->cols, m = s->dy.cols;
    struct jobs jobs = backward_jobs(s);
    if (task < jobs.n_dw) {
        struct gemm g = { m, k, n, turned(&s->dy), plain(&s->in[0]) };
        if (in_out(s)) g = (struct gemm){ k, m, n, turned(&s->in[0]), plain(&s->dy) };
        gradient_block(s, 1, &g, jobs.dw, task, scratch);
    } else if (task < jobs.n_dw + jobs.n_dx) {
        struct gemm g = { n, k, m, plain(&s->dy), backward_weights(s) };
        gradient_block(s, 0, &g, jobs.dx, task - jobs.n_dw, scratch);
    } else {
        bias_strip(s, task - jobs.n_dw - jobs.n_dx);
    }
}

static int backward_tasks(const struct step *s, int phase)
{
    (void)phase;
    struct jobs j = backward_jobs(s);
    return j.n_dw + j.n_dx + j.n_db;
}

static size_t backward_scratch(const struct step *s)
{
    (void)s;
    return block_scratch();
}

static int64_t cost(const struct step *s) { return 2 * step_rows(s, s->node) * s->node->in[0]->cols * s->node->cols; }

const struct cpu_op NAME(cpu_linear) = {
    .forward = { .base = { .name = "linear", .work = forward_work, .form = BF16 }, .phases = forward_phases, .tasks = forward_tasks, .run = forward, .scratch = forward_scratch, .cost = cost },
    .backward = { .base = { .name = "linear'", .form = BF16 }, .tasks = backward_tasks, .run = backward, .scratch = backward_scratch, .cost = cost },
    .fuses = 1,
};
