/* head_loss.c -- the head and the cross-entropy in one: loss = -log softmax(x W^T + b)[target], a row.
 * N rows, C columns of x, V entries of the vocabulary; W (V, C).
 *
 * The logits (N, V) never exist as a whole.  Rows come in chunks; for each chunk three phases:
 *     logits   chunk x W^T into the workspace
 *     rows     the loss; in place d logits = (softmax - onehot(target)) times the row's share of the loss
 *     tiles    dx = d logits W for the chunk,  dW += d logits^T x,  db += column sums
 * A chunk streams W and dW through memory once, so it should have hundreds of rows.  Of a large vocabulary dx is summed in parts,
 * each over entries of its own, since all rows together then read W once; a fourth phase adds the parts. */
#include "cpu/gemm.h"
#include "cpu/head_chunk.h"
#include "cpu/row.h"

enum { BIAS_STRIP = 64 };

static int64_t vocabulary(const struct step *s) { return s->node->in[1]->out; }

static int64_t chunk_rows(const struct step *s) { return head_chunk(vocabulary(s)); }

static int grades(const struct step *s) { return s->d[0].p || s->d[1].p || s->d[3].p; }

/* Parts of the vocabulary, of so many entries, over which dx is summed; 1: tasks have rows and columns of it. */
enum { MOST_PARTS = 6, LEAST_PART = 2048 };
static int dx_parts(const struct step *s) { return s->d[0].value < 0 ? 1 : (int)at_least(at_most(vocabulary(s) / LEAST_PART, MOST_PARTS), 1); }
static int64_t part_entries(const struct step *s) { return ceil_div(ceil_div(vocabulary(s), dx_parts(s)), 64) * 64; }

static int per_chunk(const struct step *s) { return grades(s) ? 3 + (dx_parts(s) > 1) : 2; }

static int64_t chunk_most(const struct step *s) { return at_most(chunk_rows(s), s->node->rows->capacity); }
struct chunk { int64_t first, rows; float *logits; };

static struct chunk chunk_of(const struct step *s, int phase)
{
    int64_t first = phase / per_chunk(s) * chunk_rows(s);
    return (struct chunk){ first, at_most(chunk_rows(s), step_rows(s, s->node) - first), s->work.p };
}

/* ---- logits ---- */

static struct gemm logits_product(const struct step *s, struct chunk c)
{
    return (struct gemm){ c.rows, vocabulary(s), s->in[0].cols, { cell(&s->in[0], c.first, 0), s->in[0].ld, 1, s->in[0].type },
                          { s->in[1].p, 1, s->in[1].ld, s->in[1].type }, NULL };
}

static void logits_block(const struct step *s, struct chunk c, int task, float *scratch)
{
    struct gemm g = logits_product(s, c);
    struct area a = NAME(grid_area)(&g, NAME(gemm_grid)(&g), task);
    NAME(gemm)(&g, a.i, a.m, a.j, a.n, c.logits + a.i * g.n + a.j, g.n, 0, scratch);
}

/* ---- rows ---- */

static float most(const float *x, int64_t n)
{
    vf top = v_set(-INFINITY);
    int64_t c = 0;
    for (; c + VW <= n; c += VW) top = v_max(v_load(x + c), top);
    float m = v_most(top);
    for (; c < n; c++) m = x[c] > m ? x[c] : m;
    return m;
}

static float exponentials(float *x, int64_t n, float top)    /* x = e^(x - top), their sum */
{
    vf sum = v_set(0);
    int64_t c = 0;
    for (; c + VW <= n; c += VW) {
        vf e = v_exp(v_load(x + c) - top);
        v_store(x + c, e);
        sum += e;
    }
    float total = v_sum(sum);
    for (; c < n; c++) {
        x[c] = v_exp(v_set(x[c] - top))[0];
        total += x[c];
    }
    return total;
}

/* Where the tiles multiply bf16 pairs, d logits are rounded in place: row r then starts at the same byte. */
static int in_pairs(const struct step *s) { return HAS_DOT && s->in[0].type == BF16; }

static void loss_row(const struct step *s, struct chunk c, int64_t r)
{
    int64_t V = vocabulary(s), row = c.first + r;
    int32_t target = *(const int32_t *)cell(&s->in[2], row, 0);
    const float *b = s->in[3].p, weight = s->in[4].p ? *(const float *)cell(&s->in[4], row, 0) : 1;
    float *x = c.logits + r * V, *loss = cell(&s->y, row, 0);
    int counts = target != ATTR(s, struct loss).ignore;
    for (int64_t v = 0; b && v < V; v++) x[v] += b[v];
    if (!counts) {
        *loss = 0;
        memset(x, 0, (size_t)V * sizeof *x);
        return;
    }
    float top = most(x, V), wanted = x[target], sum = exponentials(x, V, top);
    *loss = weight * (v_log(v_set(sum))[0] + top - wanted);
    if (!grades(s)) return;
    float share = weight * s->run->loss_weight[s->loss], each = share / sum;
    for (int64_t v = 0; v < V; v += VW) v_store_n(x + v, v_load_n(x + v, V - v) * each, V - v);
    x[target] -= share;
    if (in_pairs(s)) narrow((uint16_t *)x, x, V);
}

/* ---- tiles ---- */

struct tiles { struct gemm dw, dx; struct grid dw_grid, dx_grid; int n_dw, n_dx, n_db; };

static struct tiles tiles_of(const struct step *s, struct chunk c)
{
    int64_t V = vocabulary(s), C = s->in[0].cols;
    enum dtype type = in_pairs(s) ? BF16 : F32;
    int64_t ld = type == BF16 ? 2 * V : V;
    struct matrix dlogits = { c.logits, ld, 1, type };
    struct tiles t = {
        .dw = { V, C, c.rows, transposed(dlogits), { cell(&s->in[0], c.first, 0), s->in[0].ld, 1, s->in[0].type }, NULL },
        .dx = { c.rows, C, V, dlogits, { s->in[1].p, s->in[1].ld, 1, s->in[1].type }, NULL },
    };
    t.dw_grid = NAME(gemm_grid)(&t.dw);
    t.dx_grid = NAME(gemm_grid)(&t.dx);
    if (s->d[1].p) t.n_dw = grid_tasks(t.dw_grid);
    if (s->d[0].p) t.n_dx = dx_parts(s) > 1 ? dx_parts(s) : grid_tasks(t.dx_grid);
    if (s->d[3].p) t.n_db = (int)ceil_div(V, BIAS_STRIP);
    return t;
}

static void dw_tile(const struct step *s, struct chunk c, const struct tiles *t, int task, float *scratch)
{
    struct area a = NAME(grid_area)(&t->dw, t->dw_grid, task);
    NAME(gemm)(&t->dw, a.i, a.m, a.j, a.n, cell(&s->d[1], a.i, a.j), s->d[1].ld, c.first > 0 || step_adds(s, 1), scratch);
}

static void dx_tile(const struct step *s, struct chunk c, const struct tiles *t, int task, float *scratch)
{
    struct area a = NAME(grid_area)(&t->dx, t->dx_grid, task);
    NAME(gemm)(&t->dx, a.i, a.m, a.j, a.n, scratch, a.n, 0, area_rest(scratch));
    for (int64_t r = 0; r < a.m; r++) gradient_out(s, 0, c.first + a.i + r, a.j, a.n, scratch + r * a.n, area_row(scratch));
}

/* The sums over a part of the vocabulary, (rows, C): behind the logits. */
static float *dx_part(const struct step *s, int part) { return (float *)s->work.p + (chunk_most(s) * (vocabulary(s) + part * s->in[0].cols)); }

static void dx_of_part(const struct step *s, const struct tiles *t, int part, float *scratch)
{
    struct gemm g = t->dx;
    int64_t from = at_most(part * part_entries(s), g.k);
    g.k = at_most(part_entries(s), g.k - from);
    g.a.p = (const char *)g.a.p + (size_t)from * dtype_size(g.a.type);
    g.b.p = (const char *)g.b.p + dtype_bytes(g.b.type, (size_t)(from * g.b.row));
    for (int64_t i = 0; i < g.m; i += GRID_ROWS) NAME(gemm)(&g, i, at_most(GRID_ROWS, g.m - i), 0, g.n, dx_part(s, part) + i * g.n, g.n, 0, scratch);
}

static void add_dx_parts(const struct step *s, struct chunk c, int task, float *scratch)
{
    int64_t C = s->in[0].cols, per = task_rows(C);
    for (int64_t r = task * per; r < c.rows && r < (task + 1) * per; r++) {
        float *sum = dx_part(s, 0) + r * C;
        for (int p = 1; p < dx_parts(s); p++) row_add(sum, dx_part(s, p) + r * C, C);
        gradient_out(s, 0, c.first + r, 0, C, sum, scratch);
    }
}

static void db_strip(const struct step *s, struct chunk c, int task)
{
    int64_t V = vocabulary(s), at = task * BIAS_STRIP, n = at_most(BIAS_STRIP, V - at);
    float *db = (float *)s->d[3].p + at, row[BIAS_STRIP];
    for (int64_t v = 0; v < n && c.first == 0 && !step_adds(s, 3); v++) db[v] = 0;
    for (int64_t r = 0; r < c.rows; r++) {
        const float *x = c.logits + r * V + at;
        if (in_pairs(s)) widen(row, (const uint16_t *)(c.logits + r * V) + at, n), x = row;
        for (int64_t v = 0; v < n; v++) db[v] += x[v];
    }
}

/* ---- the kernel ---- */

/* Without rows there is one empty chunk, which writes the zeros of dW and db. */
static int phases(const struct step *s) { return per_chunk(s) * (int)ceil_div(at_least(step_rows(s, s->node), 1), chunk_rows(s)); }

static int tasks(const struct step *s, int phase)
{
    struct chunk c = chunk_of(s, phase);
    struct gemm g = logits_product(s, c);
    struct tiles t;
    switch (phase % per_chunk(s)) {
    case 0: return grid_tasks(NAME(gemm_grid)(&g));
    case 1: return (int)ceil_div(c.rows, task_rows(vocabulary(s)));
    case 3: return s->d[0].p ? (int)ceil_div(c.rows, task_rows(s->in[0].cols)) : 0;
    default:
        t = tiles_of(s, c);
        return t.n_dw + t.n_dx + t.n_db;
    }
}

static void run(const struct step *s, int phase, int task, void *scratch)
{
    struct chunk c = chunk_of(s, phase);
    int64_t per = task_rows(vocabulary(s));
    if (phase % per_chunk(s) == 0) {
        logits_block(s, c, task, scratch);
    } else if (phase % per_chunk(s) == 1) {
        for (int64_t r = task * per; r < c.rows && r < (task + 1) * per; r++) loss_row(s, c, r);
    } else if (phase % per_chunk(s) == 3) {
        add_dx_parts(s, c, task, scratch);
    } else {
        struct tiles t = tiles_of(s, c);
        if (task < t.n_dx && dx_parts(s) > 1) dx_of_part(s, &t, task, scratch);          /* the largest tasks come first */
        else if (task < t.n_dx) dx_tile(s, c, &t, task, scratch);
        else if (task < t.n_dx + t.n_dw) dw_tile(s, c, &t, task - t.n_dx, scratch);
        else db_strip(s, c, task - t.n_dx - t.n_dw);
    }
}

static size_t work(const struct step *s)
{
    int64_t parts = dx_parts(s) > 1 ? dx_parts(s) : 0;
    return (size_t)(chunk_most(s) * (vocabulary(s) + parts * s->in[0].cols)) * sizeof(float);
}

static size_t scratch(const struct step *s)
{
    (void)s;
    return area_scratch();
}

static int64_t cost(const struct step *s) { return 2 * (1 + !!s->d[0].p + !!s->d[1].p) * step_rows(s, s->node) * s->in[0].cols * vocabulary(s); }

const struct cpu_op NAME(cpu_head_loss) = {
    .forward = { .base = { .name = "head_loss", .work = work, .form = BF16 }, .phases = phases, .tasks = tasks, .run = run, .scratch = scratch, .cost = cost },
    .quantized = 1,
};
