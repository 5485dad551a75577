/* linear.c -- y = x W^T + b, and its gradients  dx = dy W,  dW = dy^T x,  db = sum over rows of dy.
 * N rows, K inputs, M outputs; W lies as (M, K) or (K, M).
 *
 * Where tiles cannot read the right side of a product as it lies, a first phase packs it for all tasks.  Forward: a task
 * computes an area of y in f32, then finishes it row by row while it is near: bias, rounding to y's type, and what is fused
 * to this step.  A few rows (decoding) go past the blocked product: see skinny.h.  Where nothing is trained, a product with a quantized
 * W is one of whole numbers (quants.h): a first phase rounds the rows of x. */
#include <stdlib.h>

#include "base/quantize.h"
#include "cpu/gemm.h"
#include "cpu/quants.h"
#include "cpu/row.h"
#include "cpu/skinny.h"

extern const struct cpu_table NAME(cpu_table);

/* ---- the operands as matrices ---- */

static struct matrix plain(const struct operand *o) { return (struct matrix){ o->p, o->ld, 1, o->type }; }
static struct matrix turned(const struct operand *o) { return transposed(plain(o)); }
static const struct param *weights_of(const struct step *s) { return s->node->in[1]->param; }
static int in_out(const struct step *s) { return weights_of(s)->layout == IN_OUT; }

/* W as K x M, the right side of y = x W^T, and as M x K, that of dx = dy W.  How W lies is known before its address. */
static struct matrix forward_weights(const struct step *s)
{
    const struct param *w = weights_of(s);
    return (struct matrix){ s->in[1].p, in_out(s) ? w->out : 1, in_out(s) ? 1 : w->in, s->in[1].type };
}
static struct matrix backward_weights(const struct step *s) { return transposed(forward_weights(s)); }

static int64_t inputs(const struct step *s) { return s->node->in[0]->cols; }
static int64_t outputs(const struct step *s) { return s->dir == 'B' ? s->dy.cols : s->y.cols; }

/* ---- the three products, of so many rows ---- */

static struct gemm product_y(const struct step *s, int64_t n) { return (struct gemm){ n, outputs(s), inputs(s), plain(&s->in[0]), forward_weights(s), NULL }; }
static struct gemm product_dx(const struct step *s, int64_t n) { return (struct gemm){ n, inputs(s), outputs(s), plain(&s->dy), backward_weights(s), NULL }; }
static struct gemm product_dw(const struct step *s, int64_t n)
{
    if (in_out(s)) return (struct gemm){ inputs(s), outputs(s), n, turned(&s->in[0]), plain(&s->dy), NULL };
    return (struct gemm){ outputs(s), inputs(s), n, turned(&s->dy), plain(&s->in[0]), NULL };
}

/* Panels of a product at so many floats into the work. */
static size_t panels(const struct step *s, struct gemm *g, size_t at)
{
    size_t n = NAME(panel_floats)(g);
    if (n && s->work.p) g->panels = (float *)s->work.p + at;
    return n;
}

/* ---- forward ---- */

static int is_skinny(const struct step *s) { return graph_phase(s->node->g) == INFER && step_rows(s, s->node) <= SKINNY_ROWS; }

/* v: columns col .. col + n of the finished sum of one row.  A result in f32 that is not v itself goes on where it lies. */
static void finish_row(const struct step *s, int64_t row, int64_t col, int64_t n, float *v)
{
    const float *b = s->in[2].p;
    for (int64_t c = 0; b && c < n; c += VW) v_store_n(v + c, v_load_n(v + c, n - c) + v_load_n(b + col + c, n - c), n - c);
    round_to(s->node->type, v, n);
    if (s->y.p) row_out(&s->y, row, col, n, v);
    for (const struct step *t = s->then, *before = s; t; before = t, t = t->then) {
        if (before->y.p && cell(&before->y, row, col) == v) v = memcpy(cell(&t->y, row, col), v, (size_t)n * sizeof *v);
        NAME(cpu_table).op[t->node->op]->flow(t, row, col, n, v);
        round_to(t->node->type, v, n);
        if (t->y.p) row_out(&t->y, row, col, n, v);
    }
}

static int reads_near(const struct step *s, const struct operand *o)
{
    for (int i = 0; i < s->node->n_in; i++)
        if (s->in[i].p && llabs((const char *)s->in[i].p - (const char *)o->p) < o->ld * (int64_t)sizeof(float)) return 1;
    return 0;
}

/* Where the area may be computed in place: the first result of the chain, if all of it is f32, each later step has a place
 * for its own, and no step reads where one writes. */
static const struct operand *in_place(const struct step *s)
{
    const struct operand *y = NULL;
    for (const struct step *t = s; t; t = t->then) {
        if (t->node->type != F32 || (y && !t->y.p)) return NULL;
        if (!y && t->y.p) y = &t->y;
        for (const struct step *u = s; u && t->y.p; u = u->then)
            if (reads_near(u, &t->y)) return NULL;
    }
    return y;
}

/* What is computed of an area, v, ld apart, is finished where it lies; y: in_place's. */
static void finish_area(const struct step *s, const struct operand *y, struct area a, float *v, int64_t ld)
{
    for (int64_t r = 0; r < a.m && (y != &s->y || s->in[2].p || s->then); r++) finish_row(s, a.i + r, a.j, a.n, v + r * ld);
}

static void forward_area(const struct step *s, const struct gemm *g, int task, float *scratch)
{
    struct area a = NAME(grid_area)(g, NAME(gemm_grid)(g), task);
    const struct operand *y = in_place(s);
    float *c = y ? cell(y, a.i, a.j) : scratch;
    int64_t ld = y ? y->ld : a.n;
    NAME(gemm)(g, a.i, a.m, a.j, a.n, c, ld, 0, area_rest(scratch));
    finish_area(s, y, a, c, ld);
}

/* Columns col .. col + k of a few rows, times W from some row of it on; y is (rows, y_ld).  x in f32: where it lies, or (rows, k) in the buffer. */
static struct skinny few_rows(const struct step *s, int64_t row, int64_t col, int64_t k, float *y, int64_t y_ld, float *buffer)
{
    int64_t ld = in_out(s) ? weights_of(s)->out : inputs(s), rows = step_rows(s, s->node);
    const void *w = (const char *)s->in[1].p + row * ld * (int64_t)dtype_size(s->in[1].type);
    int wide = s->in[0].type == F32;
    for (int64_t r = 0; r < rows && !wide; r++) row_in(&s->in[0], r, col, k, buffer + r * k);
    return (struct skinny){ w, ld, s->in[1].type, SKINNY_AHEAD, wide ? cell(&s->in[0], 0, col) : buffer, wide ? s->in[0].ld : k, rows, y, y_ld };
}

static void forward_dots(const struct step *s, int task, float *scratch)
{
    int64_t j = task * SKINNY_STRIP, n = at_most(SKINNY_STRIP, outputs(s) - j);
    struct skinny few = few_rows(s, j, 0, inputs(s), scratch, SKINNY_STRIP, scratch + SKINNY_ROWS * SKINNY_STRIP);
    NAME(skinny_dots)(&few, inputs(s), n);
    for (int64_t r = 0; r < few.rows; r++) finish_row(s, r, j, n, few.y + r * SKINNY_STRIP);
}

/* (in, out): each task multiplies some rows of W, so that it reads them from end to end; then the parts are added. */
static void forward_parts(const struct step *s, int phase, int task, float *scratch)
{
    int64_t k = inputs(s), n = outputs(s), rows = step_rows(s, s->node), per = ceil_div(k, SKINNY_PARTS);
    float *parts = s->work.p;
    if (phase == 0) {
        int64_t from = at_most(task * per, k), some = at_most(per, k - from);
        struct skinny few = few_rows(s, from, from, some, parts + task * rows * n, n, scratch);
        memset(few.y, 0, (size_t)(rows * n) * sizeof *few.y);
        NAME(skinny_part)(&few, some, n);
        return;
    }
    int64_t j = task * SKINNY_STRIP, cols = at_most(SKINNY_STRIP, n - j);
    for (int64_t r = 0; r < rows; r++) {
        float *sum = parts + r * n + j;
        for (int p = 1; p < SKINNY_PARTS; p++)
            row_add(sum, parts + (p * rows + r) * n + j, cols);
        finish_row(s, r, j, cols, sum);
    }
}

/* ---- forward, in whole numbers ---- */

enum { BYTE_COLS = 64 };                                    /* outputs of a task */

static int may_use_bytes(const struct step *s) { return is_quantized(s->in[1].type) && graph_phase(s->node->g) != TRAIN; }
static int uses_bytes(const struct step *s) { return may_use_bytes(s) && (is_skinny(s) || NAME(has_quads)()); }

static void round_rows(const struct step *s, int task, float *buffer)
{
    int64_t k = inputs(s);
    struct range r = row_range(s, task, k);
    for (int64_t row = r.from; row < r.to; row++) NAME(round_row)(row_in(&s->in[0], row, 0, k, buffer), k, (struct pair *)s->work.p + row * pairs_of(k));
}

/* An area of y, as forward_area does it. */
static void forward_bytes(const struct step *s, int task, float *scratch)
{
    int64_t rows = step_rows(s, s->node), across = ceil_div(outputs(s), BYTE_COLS), i = task / across * GRID_ROWS, j = task % across * BYTE_COLS, k = inputs(s);
    const struct operand *y = in_place(s), *w = &s->in[1];
    struct quants q = { w->type, (const char *)w->p + dtype_bytes(w->type, (size_t)(j * k)), (const struct pair *)s->work.p + i * pairs_of(k), at_most(GRID_ROWS, rows - i), k,
                        at_most(BYTE_COLS, outputs(s) - j), y ? cell(y, i, j) : scratch, y ? y->ld : BYTE_COLS };
    if (is_skinny(s)) NAME(quant_dots)(&q);
    else NAME(quant_tiles)(&q, area_rest(scratch));
    finish_area(s, y, (struct area){ i, q.rows, j, q.n }, q.y, q.y_ld);
}

static int byte_tasks(const struct step *s, int phase)
{
    return phase == 0 ? row_tasks(s, inputs(s)) : (int)(ceil_div(step_rows(s, s->node), GRID_ROWS) * ceil_div(outputs(s), BYTE_COLS));
}

/* ---- forward ---- */

static void forward(const struct step *s, int phase, int task, void *scratch)
{
    struct gemm g = product_y(s, step_rows(s, s->node));
    if (uses_bytes(s)) {
        if (phase == 0) round_rows(s, task, scratch);
        else forward_bytes(s, task, scratch);
    } else if (is_skinny(s)) {
        if (in_out(s)) forward_parts(s, phase, task, scratch);
        else forward_dots(s, task, scratch);
    } else if (panels(s, &g, 0) && phase == 0) {
        NAME(pack_panels)(&g, task);
    } else {
        forward_area(s, &g, task, scratch);
    }
}

static int forward_phases(const struct step *s)
{
    struct gemm g = product_y(s, step_rows(s, s->node));
    if (uses_bytes(s)) return 2;
    return 1 + (is_skinny(s) ? in_out(s) : panels(s, &g, 0) > 0);
}

static int forward_tasks(const struct step *s, int phase)
{
    struct gemm g = product_y(s, step_rows(s, s->node));
    if (uses_bytes(s)) return byte_tasks(s, phase);
    if (is_skinny(s)) return in_out(s) && phase == 0 ? SKINNY_PARTS : (int)ceil_div(outputs(s), SKINNY_STRIP);
    return panels(s, &g, 0) && phase == 0 ? NAME(pack_tasks)(&g) : grid_tasks(NAME(gemm_grid)(&g));
}

static size_t forward_work(const struct step *s)
{
    struct gemm g = product_y(s, s->node->rows->capacity);
    size_t parts = in_out(s) && graph_phase(s->node->g) == INFER ? SKINNY_PARTS * SKINNY_ROWS * (size_t)outputs(s) : 0;
    size_t rounded = may_use_bytes(s) ? (size_t)s->node->rows->capacity * rounded_bytes(inputs(s)) : 0;
    return (size_t)at_least((int64_t)rounded, at_least((int64_t)parts, (int64_t)panels(s, &g, 0)) * (int64_t)sizeof(float));
}

static size_t forward_scratch(const struct step *s)
{
    size_t skinny = SKINNY_ROWS * ((size_t)inputs(s) + SKINNY_STRIP) * sizeof(float);
    size_t quads = may_use_bytes(s) ? NAME(quads_scratch)(inputs(s)) : 0;
    return at_least((int64_t)skinny, (int64_t)(area_scratch() + quads));
}

/* ---- backward: tiles of dW and of dx side by side, then strips of db ---- */

enum { BIAS_STRIP = 64 };
struct jobs { struct gemm dw, dx; struct grid dw_grid, dx_grid; int n_dw, n_dx, n_db, packs; };

static size_t find_panels(const struct step *s, struct gemm *dw, struct gemm *dx)     /* floats of work */
{
    size_t n = s->d[0].value >= 0 ? panels(s, dx, 0) : 0;
    return n + (s->d[1].value >= 0 && dw->b.type == BF16 ? panels(s, dw, n) : 0);
}

static struct jobs backward_jobs(const struct step *s)
{
    int64_t n = step_rows(s, s->node);
    struct jobs j = { .dw = product_dw(s, n), .dx = product_dx(s, n) };
    find_panels(s, &j.dw, &j.dx);
    j.dw_grid = NAME(gemm_grid)(&j.dw);
    j.dx_grid = NAME(gemm_grid)(&j.dx);
    if (s->d[1].p) j.n_dw = grid_tasks(j.dw_grid);
    if (s->d[0].p) j.n_dx = grid_tasks(j.dx_grid);
    if (s->d[2].p) j.n_db = (int)ceil_div(outputs(s), BIAS_STRIP);
    j.packs = NAME(pack_tasks)(&j.dw) + NAME(pack_tasks)(&j.dx);
    return j;
}

/* A task of the product, into d[i]. */
static void gradient_area(const struct step *s, int k, const struct gemm *g, struct grid grid, int task, float *scratch)
{
    struct area a = NAME(grid_area)(g, grid, task);
    if (s->d[k].type == F32) {
        NAME(gemm)(g, a.i, a.m, a.j, a.n, cell(&s->d[k], a.i, a.j), s->d[k].ld, step_adds(s, k), area_rest(scratch));
        return;
    }
    NAME(gemm)(g, a.i, a.m, a.j, a.n, scratch, a.n, 0, area_rest(scratch));
    for (int64_t r = 0; r < a.m; r++) gradient_out(s, k, a.i + r, a.j, a.n, scratch + r * a.n, area_row(scratch));
}

static void bias_strip(const struct step *s, int task)
{
    float *db = s->d[2].p, row[BIAS_STRIP], sum[BIAS_STRIP] = { 0 };
    int64_t col = task * BIAS_STRIP, n = at_most(BIAS_STRIP, outputs(s) - col);
    for (int64_t r = 0; r < step_rows(s, s->node); r++) {
        const float *dy = row_in(&s->dy, r, col, n, row);
        for (int64_t c = 0; c < n; c++) sum[c] += dy[c];
    }
    for (int64_t c = 0; c < n; c++) db[col + c] = step_adds(s, 2) ? db[col + c] + sum[c] : sum[c];
}

/* Tasks of both products are dealt out evenly along the list, so that a thread's part of it has its part of the rows of dx. */
static void tile_task(const struct step *s, const struct jobs *j, int task, float *scratch)
{
    int both = j->n_dw + j->n_dx, before = (int)((int64_t)task * j->n_dw / at_least(both, 1)), after = (int)((int64_t)(task + 1) * j->n_dw / at_least(both, 1));
    if (task >= both) bias_strip(s, task - both);
    else if (after > before) gradient_area(s, 1, &j->dw, j->dw_grid, before, scratch);
    else gradient_area(s, 0, &j->dx, j->dx_grid, task - before, scratch);
}

static void backward(const struct step *s, int phase, int task, void *scratch)
{
    struct jobs j = backward_jobs(s);
    int first = NAME(pack_tasks)(&j.dx);
    if (phase || !j.packs) tile_task(s, &j, task, scratch);
    else if (task < first) NAME(pack_panels)(&j.dx, task);
    else NAME(pack_panels)(&j.dw, task - first);
}

static int backward_phases(const struct step *s) { return backward_jobs(s).packs ? 2 : 1; }

static int backward_tasks(const struct step *s, int phase)
{
    struct jobs j = backward_jobs(s);
    return phase || !j.packs ? j.n_dw + j.n_dx + j.n_db : j.packs;
}

static size_t backward_work(const struct step *s)
{
    struct gemm dw = product_dw(s, s->node->rows->capacity), dx = product_dx(s, s->node->rows->capacity);
    return find_panels(s, &dw, &dx) * sizeof(float);
}

static size_t backward_scratch(const struct step *s)
{
    (void)s;
    return area_scratch();
}

static int64_t cost(const struct step *s)
{
    int products = s->dir == 'B' ? (s->d[0].value >= 0) + (s->d[1].value >= 0) : 1;
    return 2 * products * step_rows(s, s->node) * inputs(s) * outputs(s);
}

const struct cpu_op NAME(cpu_linear) = {
    .forward = { .base = { .name = "linear", .work = forward_work, .form = BF16 }, .phases = forward_phases, .tasks = forward_tasks, .run = forward, .scratch = forward_scratch, .cost = cost },
    .backward = { .base = { .name = "linear'", .work = backward_work, .form = BF16 }, .phases = backward_phases, .tasks = backward_tasks, .run = backward, .scratch = backward_scratch, .cost = cost },
    .quantized = 1,
    .fuses = 1,
};
