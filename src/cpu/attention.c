/* attention.c -- y = softmax(scale q k^T) v, head by head, tiled with an online softmax: no matrix of all queries by all
 * keys is ever written (Milakov & Gimelshein 2018; Dao et al. 2022).  aux: log of the sum of exponentials, a head.
 *
 * A tile holds the scores of up to KEYS keys (rows) by QUERIES queries (columns): transposed, so that a vector holds
 * neighbouring queries and no sum runs across lanes.  With P = e^(S - lse), D = sum over columns of dy * y:
 *     dV = P^T dY,   dP = dY V^T,   dS = P (dP - D) scale,   dQ = dS K,   dK = dS^T Q
 * Dropout multiplies P by a mask M in y = (P M) v: then dV = (P M)^T dY and dP = (dY V^T) M.
 *
 * Forward, a task is a head and a block of queries; backward, a sequence and a key/value head, so that the sums over
 * queries of dK and dV need no partial results.  One more task writes zeros where no sequence writes. */
#include "cpu/gemm.h"
#include "cpu/row.h"
#include "cpu/skinny.h"
#include "cpu/vec_random.h"

enum { KEYS = 64, QUERIES = 64, FEW = 4, TOGETHER = 3 };    /* KEYS divides into dropout's groups of columns; heads of a query in a task */
_Static_assert(QUERIES % (int)TILE_COLS == 0 && (int)KEYS == (int)DROP_GROUP, "tiles fit");

/* ---- what the operands mean ---- */

struct head {                                               /* one head of one sequence */
    struct heads h;
    struct seq seq;
    int q, kv;                                              /* which query head, which key/value head */
    int64_t D, Dp;                                          /* width; rounded up to whole tiles */
    int64_t first_key, key_position;                        /* row of k, v or state where key 0 lies; its position */
    struct operand k, v;                                    /* rows as above, columns of this head first */
    float scale;
};

static int64_t round_tile(int64_t n) { return ceil_div(n, TILE_COLS) * TILE_COLS; }
static int stateful(const struct step *s) { return s->node->in[4] != NULL; }

static struct operand columns(const struct operand *o, int64_t from)
{
    struct operand part = *o;
    part.p = cell(o, 0, from);
    return part;
}

static struct head head_of(const struct step *s, int seq, int q)
{
    struct heads h = ATTR(s, struct heads);
    struct head a = { .h = h, .seq = ((const struct seq *)s->in[1].p)[seq], .q = q, .kv = q / (h.q / h.kv), .D = h.dim, .Dp = round_tile(h.dim) };
    int64_t kv = (int64_t)h.kv * h.dim;
    a.scale = h.scale > 0 ? h.scale : 1 / sqrtf((float)h.dim);
    a.first_key = stateful(s) ? a.seq.base + a.seq.key : a.seq.key;
    a.key_position = stateful(s) ? a.seq.key : 0;
    a.k = columns(stateful(s) ? &s->in[4] : &s->in[2], a.kv * h.dim);
    a.v = stateful(s) ? columns(&s->in[4], kv + a.kv * h.dim) : columns(&s->in[3], a.kv * h.dim);
    return a;
}

/* The keys from .. to that queries q .. q + n of the sequence may see. */
static struct range visible(const struct head *a, int64_t q, int64_t n)
{
    int64_t first = a->seq.past + q - a->key_position, last = first + n - 1;         /* keys at the queries' own positions */
    struct range r = { 0, a->seq.keys };
    if (a->h.causal) r.to = at_most(r.to, last + 1);
    if (a->h.window) r.from = at_least(0, first - a->h.window + 1);
    return r;
}

/* ---- tiles at hand: f32, rows padded with zeros to Dp ---- */

static void load_rows(const struct operand *o, int64_t row, int64_t n, int64_t col, int64_t D, int64_t Dp, float *to)
{
    for (int64_t r = 0; r < n; r++, to += Dp) {
        const float *x = row_in(o, row + r, col, D, to);
        if (x != to) memcpy(to, x, (size_t)D * sizeof *to);
        for (int64_t c = D; c < Dp; c++) to[c] = 0;
    }
}

/* The same where they lie, if that is f32 in whole tiles; ld: from row to row. */
struct near { const float *p; int64_t ld; };
static struct near near_at(const struct operand *o, int64_t row, int64_t n, int64_t col, const struct head *a, float *buffer)
{
    if (o->type == F32 && a->D == a->Dp) return (struct near){ cell(o, row, col), o->ld };
    load_rows(o, row, n, col, a->D, a->Dp, buffer);
    return (struct near){ buffer, a->Dp };
}

/* to (Dp, QUERIES) = rows (n, Dp) transposed and scaled; columns beyond n are 0 */
static void turn(struct near rows, int64_t n, int64_t Dp, float by, float *to)
{
    vf block[VW];
    for (int64_t d = 0; d < Dp; d += VW)
        for (int64_t q = 0; q < QUERIES; q += VW) {
            for (int i = 0; i < VW; i++) block[i] = q + i < n ? v_load(rows.p + (q + i) * rows.ld + d) * by : v_set(0);
            v_transpose(block);
            for (int i = 0; i < VW; i++) v_store(to + (d + i) * QUERIES + q, block[i]);
        }
}

/* The column of a tile that stands at the position of its first key; key r's is r further on. */
static int64_t own_column(const struct head *a, int64_t key, int64_t q) { return a->key_position + key - a->seq.past - q; }

/* Of a tile's n keys, those that some query of columns c .. c + VW may see: a causal tile is half empty. */
static int64_t seen_keys(const struct head *a, int64_t key, int64_t n, int64_t q, int64_t c)
{
    return a->h.causal ? at_most(n, at_least(c + VW - own_column(a, key, q), 0)) : n;
}

/* A product of a tile, tile of rows by tile of rows of the result, without what a causal mask hides: of the scores of keys the columns
 * of queries before them; of sums over keys those behind the query; of sums over queries those before the key. */
enum half { SCORES, OVER_KEYS, OVER_QUERIES };

static void half_product(const struct head *a, enum half half, int64_t key, int64_t q, int64_t m, int64_t n, int64_t k, struct small s, int add)
{
    int64_t own = own_column(a, key, q);
    for (int64_t i = 0; i < m; i += TILE_ROWS) {
        int64_t rows = at_most(TILE_ROWS, m - i), from = 0, to = k, col = 0;
        if (a->h.causal && half == SCORES) col = at_least(at_most(own + i, n), 0) / TILE_COLS * TILE_COLS;
        if (a->h.causal && half == OVER_KEYS) to = at_least(at_most(i + rows - own, k), 0);
        if (a->h.causal && half == OVER_QUERIES) from = at_least(at_most(own + i, k), 0);
        struct small part = { s.a + i * s.row + from * s.col, s.row, s.col, s.b + from * s.b_ld + col, s.b_ld, s.c + i * s.c_ld + col, s.c_ld };
        if (from < to && col < n) NAME(small_product)(rows, n - col, to - from, part, add);
    }
}

/* scores (n, QUERIES) with -inf where query q + column may not see key + row */
static void mask(const struct head *a, float *scores, int64_t key, int64_t n, int64_t q)
{
    vi lane;
    for (int i = 0; i < VW; i++) lane[i] = i;
    for (int64_t r = 0; r < n; r++) {
        int64_t own = own_column(a, key, q) + r;
        int64_t from = a->h.causal ? at_most(at_least(own, 0), QUERIES) : 0, to = a->h.window ? at_most(at_least(own + a->h.window, 0), QUERIES) : QUERIES;
        for (int c = 0; c < QUERIES; c += VW) {
            float *row = scores + r * QUERIES + c;
            if (c < from || c + VW > to) v_store(row, v_select((lane + c >= (int)from) & (lane + c < (int)to), v_load(row), v_set(-INFINITY)));
        }
    }
}

/* Dropout's factors of a tile, (n, QUERIES): keys are the columns of the random stream, queries its rows.  Of keys that no
 * query sees there are none. */
static void draw_factors(const struct step *s, const struct head *a, int64_t key, int64_t n, int64_t q, int64_t queries, float *factor)
{
    const int64_t *row_key = s->in[5].p;
    for (int64_t c = 0; c < QUERIES; c += VW) {
        float drawn[VW][KEYS];
        int64_t seen = seen_keys(a, key, n, q, c);
        for (int i = 0; i < VW; i++) {
            for (int64_t r = 0; r < KEYS; r++) drawn[i][r] = 1;
            if (c + i < queries) drop_columns(a->h.drop, s->run->seed, row_key[a->seq.row + q + c + i], (uint32_t)a->q, a->key_position + key, seen, drawn[i]);
        }
        for (int64_t r = 0; r < seen; r += VW) {
            vf block[VW];
            for (int i = 0; i < VW; i++) block[i] = v_load(drawn[i] + r);
            v_transpose(block);
            for (int i = 0; i < VW; i++) v_store(factor + (r + i) * QUERIES + c, block[i]);
        }
        for (int64_t r = ceil_div(seen, VW) * VW; r < n; r++) v_store(factor + r * QUERIES + c, v_set(0));
    }
}

static void multiply(float *p, const float *by, int64_t n)
{
    for (int64_t i = 0; i < n * QUERIES; i += VW) v_store(p + i, v_load(p + i) * v_load(by + i));
}

/* ---- forward: a block of queries ---- */

struct desk {                                               /* scratch of forward_block */
    float *q, *qt, *k, *v, *p, *y, *top, *sum, *factor;     /* (QUERIES, Dp) (D, QUERIES) (KEYS, Dp) twice (KEYS, QUERIES) (QUERIES, Dp) ... (KEYS, QUERIES) */
};

static struct desk desk_at(float *at, int64_t Dp)
{
    struct desk b;
    b.q = at;
    b.qt = b.q + QUERIES * Dp;
    b.k = b.qt + Dp * QUERIES;
    b.v = b.k + KEYS * Dp;
    b.p = b.v + KEYS * Dp;
    b.y = b.p + KEYS * QUERIES;
    b.top = b.y + QUERIES * Dp;
    b.sum = b.top + QUERIES;
    b.factor = b.sum + QUERIES;
    return b;
}

static size_t desk_floats(int64_t Dp) { return (size_t)(5 * QUERIES * Dp + 2 * KEYS * QUERIES + 2 * QUERIES); }

/* Scores to probabilities that are yet to be divided by their sum; what was summed before shrinks as the top rises. */
static void online_softmax(const struct head *a, struct desk *b, int64_t key, int64_t m, int64_t q)
{
    for (int64_t c = 0; c < QUERIES; c += VW) {
        int64_t n = seen_keys(a, key, m, q, c), Dp = a->Dp;
        vf old = v_load(b->top + c), top = old, sum = v_set(0);
        for (int64_t r = 0; r < n; r++) top = v_max(v_load(b->p + r * QUERIES + c), top);
        vf from = v_select(top == v_set(-INFINITY), v_set(0), top), shrink = v_exp(old - from);
        for (int64_t r = 0; r < n; r++) {
            vf e = v_exp(v_load(b->p + r * QUERIES + c) - from);
            v_store(b->p + r * QUERIES + c, e);
            sum += e;
        }
        for (int64_t r = n; r < m; r++) v_store(b->p + r * QUERIES + c, v_set(0));
        v_store(b->top + c, top);
        v_store(b->sum + c, v_fma(v_load(b->sum + c), shrink, sum));
        for (int i = 0; i < VW; i++)
            for (int64_t d = 0; d < Dp && shrink[i] != 1; d += VW) {
                float *y = b->y + (c + i) * Dp + d;
                v_store(y, v_load(y) * shrink[i]);
            }
    }
}

/* y divided by the sums, and their logarithms.  A query without keys has a sum of 0. */
static void write_block(const struct step *s, const struct head *a, struct desk *b, int64_t q, int64_t n)
{
    float lse[QUERIES];
    for (int64_t c = 0; c < QUERIES; c += VW) {
        vf sum = v_load(b->sum + c), some = v_select(sum > 0, sum, v_set(1));
        v_store(lse + c, v_select(sum > 0, v_load(b->top + c) + v_log(some), v_set(INFINITY)));
    }
    for (int64_t r = 0; r < n; r++) {
        float *y = b->y + r * a->Dp, *to = s->y.type == F32 ? cell(&s->y, a->seq.row + q + r, a->q * a->D) : y, sum = b->sum[r];
        if (sum <= 0) memset(y, 0, (size_t)a->D * sizeof *y);
        for (int64_t c = 0; c < a->D; c += VW) v_store_n(to + c, v_load(y + c) / (sum > 0 ? sum : 1), a->D - c);
        if (to == y) row_out(&s->y, a->seq.row + q + r, a->q * a->D, a->D, y);
        if (s->aux.p) *(float *)cell(&s->aux, a->seq.row + q + r, a->q) = lse[r];
    }
}

static void forward_block(const struct step *s, const struct head *a, int64_t q, int64_t n, float *scratch)
{
    struct desk b = desk_at(scratch, a->Dp);
    struct range keys = visible(a, q, n);
    turn(near_at(&s->in[0], a->seq.row + q, n, a->q * a->D, a, b.q), n, a->Dp, a->scale, b.qt);
    memset(b.y, 0, (size_t)(QUERIES * a->Dp) * sizeof *b.y);
    for (int c = 0; c < QUERIES; c++) b.top[c] = -INFINITY, b.sum[c] = 0;
    for (int64_t k = keys.from / KEYS * KEYS; k < keys.to; k += KEYS) {
        int64_t m = at_most(KEYS, keys.to - k);
        struct near key = near_at(&a->k, a->first_key + k, m, 0, a, b.k), value = near_at(&a->v, a->first_key + k, m, 0, a, b.v);
        half_product(a, SCORES, k, q, m, QUERIES, a->D, (struct small){ key.p, key.ld, 1, b.qt, QUERIES, b.p, QUERIES }, 0);
        mask(a, b.p, k, m, q);
        online_softmax(a, &b, k, m, q);
        if (a->h.drop.p > 0) {
            draw_factors(s, a, k, m, q, n, b.factor);
            multiply(b.p, b.factor, m);
        }
        half_product(a, OVER_KEYS, k, q, n, a->Dp, m, (struct small){ b.p, 1, QUERIES, value.p, value.ld, b.y, a->Dp }, 1);
    }
    write_block(s, a, &b, q, n);
}

/* ---- forward: a query or two, as in decoding ----
 * Never outside of INFER: it sums in another order, and training has the same bits whether or not it recomputes. */

struct query { struct head head; float *x, *y, top, sum; };          /* what a head knows of the keys so far */

static void see(struct query *z, int64_t k, int64_t m)        /* keys k .. k + m, asking for those that this head sees next */
{
    const struct head *a = &z->head;
    float p[KEYS], old = z->top;
    struct skinny keys = { cell(&a->k, a->first_key + k, 0), a->k.ld, a->k.type, KEYS, z->x, a->D, 1, p, KEYS };
    struct skinny values = { cell(&a->v, a->first_key + k, 0), a->v.ld, a->v.type, KEYS, p, KEYS, 1, z->y, a->D };
    NAME(skinny_dots)(&keys, a->D, m);
    for (int64_t r = 0; r < m; r++) z->top = p[r] > z->top ? p[r] : z->top;
    for (int64_t r = m; r < KEYS; r++) p[r] = -INFINITY;
    vf more = v_set(0);
    for (int r = 0; r < KEYS; r += VW) {
        vf e = v_exp(v_load(p + r) - z->top);
        v_store(p + r, e);
        more += e;
    }
    float shrink = v_exp(v_set(old - z->top))[0];
    z->sum = z->sum * shrink + v_sum(more);
    for (int64_t c = 0; c < a->D; c++) z->y[c] *= shrink;
    NAME(skinny_part)(&values, m, a->D);
}

/* Heads first .. first + n of one query.  All of them look at some keys before any goes on: a row of keys lies in one piece. */
static void forward_query(const struct step *s, int seq, int first, int n, int64_t q, float *scratch)
{
    struct query of[TOGETHER] = { 0 };
    for (int h = 0; h < n; h++) {
        struct head a = head_of(s, seq, first + h);
        of[h] = (struct query){ a, scratch + 2 * h * a.Dp, scratch + (2 * h + 1) * a.Dp, -INFINITY, 0 };
        load_rows(&s->in[0], a.seq.row + q, 1, a.q * a.D, a.D, a.Dp, of[h].x);
        for (int64_t c = 0; c < a.D; c++) of[h].x[c] *= a.scale, of[h].y[c] = 0;
    }
    struct range keys = visible(&of[0].head, q, 1);           /* of all heads alike */
    for (int64_t k = keys.from; k < keys.to; k += KEYS)
        for (int h = 0; h < n; h++) see(&of[h], k, at_most(KEYS, keys.to - k));
    for (int h = 0; h < n; h++) {
        const struct head *a = &of[h].head;
        for (int64_t c = 0; c < a->D; c++) of[h].y[c] = of[h].sum > 0 ? of[h].y[c] / of[h].sum : 0;
        row_out(&s->y, a->seq.row + q, a->q * a->D, a->D, of[h].y);
    }
}

/* ---- rows that belong to no sequence ---- */

/* Clears the rows of o, of `rows`, that no sequence claims; `keys`: as keys, else as queries. */
static void clear_gaps(const struct step *s, const struct operand *o, int64_t rows, int keys)
{
    const struct seq *q = s->in[1].p;
    int64_t at = 0, n = step_seqs(s, s->node->in[1]);
    for (int64_t i = 0; i <= n; i++) {
        int64_t from = i == n ? rows : keys ? q[i].key : q[i].row;
        for (; at < from; at++) row_clear(o, at, 0, o->cols);
        if (i < n) at = at_least(at, keys ? q[i].key + q[i].keys : q[i].row + q[i].rows);
    }
}

/* ---- forward: the kernel ---- */

/* The sequence that task t falls to, when a sequence has count_of() tasks; *t becomes the number within it.  -1: past the last. */
static int find_seq(const struct step *s, int *t, int (*count_of)(const struct step *, const struct seq *))
{
    const struct seq *q = s->in[1].p;
    int n = (int)step_seqs(s, s->node->in[1]);
    for (int i = 0; i < n; i++) {
        int count = count_of(s, &q[i]);
        if (*t < count) return i;
        *t -= count;
    }
    return -1;
}

static void store_rows(const struct step *s, int seq)       /* the new k and v of a sequence, to its state rows */
{
    struct seq q = ((const struct seq *)s->in[1].p)[seq];
    for (int64_t r = 0; r < q.rows; r++)
        for (int i = 0; i < 2; i++) row_copy(&s->in[4], (int64_t)q.base + q.past + r, i ? s->in[2].cols : 0, &s->in[2 + i], q.row + r);
}

static int stores(const struct step *s) { return stateful(s) && s->in[2].p; }
static int forward_phases(const struct step *s) { return stores(s) ? 2 : 1; }

static int few(const struct step *s, const struct seq *q) { return q->rows <= FEW && graph_phase(s->node->g) == INFER && ATTR(s, struct heads).drop.p == 0; }

static int blocks(const struct step *s, const struct seq *q)          /* a block of queries of a head, or the few queries of some heads */
{
    int heads = ATTR(s, struct heads).q;
    return few(s, q) ? (int)ceil_div(heads, TOGETHER) : heads * (int)ceil_div(q->rows, QUERIES);
}

static int forward_tasks(const struct step *s, int phase)
{
    const struct seq *q = s->in[1].p;
    int n = (int)step_seqs(s, s->node->in[1]), tasks = 1;    /* the gaps */
    if (stores(s) && phase == 0) return n;
    for (int i = 0; i < n; i++) tasks += blocks(s, &q[i]);
    return tasks;
}

static void forward(const struct step *s, int phase, int task, void *scratch)
{
    int heads = ATTR(s, struct heads).q;
    if (stores(s) && phase == 0) {
        store_rows(s, task);
        return;
    }
    int i = find_seq(s, &task, blocks);
    if (i < 0) {
        clear_gaps(s, &s->y, step_rows(s, s->node), 0);
        return;
    }
    const struct seq *seq = (const struct seq *)s->in[1].p + i;
    if (few(s, seq)) {
        int first = task * TOGETHER;
        for (int64_t r = 0; r < seq->rows; r++) forward_query(s, i, first, (int)at_most(TOGETHER, heads - first), r, scratch);
        return;
    }
    struct head a = head_of(s, i, task % heads);
    int64_t q = task / heads * QUERIES;
    forward_block(s, &a, q, at_most(QUERIES, a.seq.rows - q), scratch);
}

static size_t forward_scratch(const struct step *s) { return desk_floats(round_tile(ATTR(s, struct heads).dim)) * sizeof(float); }

/* ---- backward: a key/value head of a sequence ---- */

struct back {                                               /* scratch of backward_head */
    struct desk b;                                         /* q, qt, k, v, p as in forward; y holds the block's dy */
    float *dyt, *dp, *pd;                                   /* (D, QUERIES), (KEYS, QUERIES) twice: dP and dropped P */
    float *dk, *dv;                                         /* (KEYS, Dp) */
    float *dq, *dot;                                        /* (heads of the group, rows, Dp), (heads, rows): sums of dy * y */
};

static size_t back_floats(int64_t Dp) { return desk_floats(Dp) + (size_t)(Dp * QUERIES + 2 * KEYS * QUERIES + 2 * KEYS * Dp); }

static struct back back_at(float *at, int64_t Dp, int64_t rows, int group)
{
    struct back k = { .b = desk_at(at, Dp), .dyt = at + desk_floats(Dp) };
    k.dp = k.dyt + Dp * QUERIES;
    k.pd = k.dp + KEYS * QUERIES;
    k.dk = k.pd + KEYS * QUERIES;
    k.dv = k.dk + KEYS * Dp;
    k.dq = k.dv + KEYS * Dp;
    k.dot = k.dq + group * rows * Dp;
    return k;
}

static void dots(const struct step *s, const struct head *a, float *dot, float *scratch)      /* D of each query */
{
    float *x = scratch, *z = scratch + a->Dp;
    for (int64_t r = 0; r < a->seq.rows; r++) {
        const float *y = row_in(&s->y, a->seq.row + r, a->q * a->D, a->D, x), *dy = row_in(&s->dy, a->seq.row + r, a->q * a->D, a->D, z);
        vf sum = v_set(0);
        for (int64_t c = 0; c < a->D; c += VW) sum = v_fma(v_load_n(y + c, a->D - c), v_load_n(dy + c, a->D - c), sum);
        dot[r] = v_sum(sum);
    }
}

/* P and dS of one tile, from its scores and dP; returns the dropped P. */
static const float *tile_gradients(const struct step *s, const struct head *a, struct back *k, const float *dot, int64_t key, int64_t m, int64_t q, int64_t n)
{
    float lse[QUERIES], D[QUERIES];
    for (int64_t c = 0; c < QUERIES; c++) {
        lse[c] = c < n ? *(const float *)cell(&s->aux, a->seq.row + q + c, a->q) : INFINITY;
        D[c] = c < n ? dot[q + c] : 0;
    }
    for (int64_t c = 0; c < QUERIES; c += VW)
        for (int64_t r = 0, seen = seen_keys(a, key, m, q, c); r < m; r++) {
            float *p = k->b.p + r * QUERIES + c;
            v_store(p, r < seen ? v_exp(v_load(p) - v_load(lse + c)) : v_set(0));
        }
    const float *kept = k->b.p;
    if (a->h.drop.p > 0) {
        memcpy(k->pd, kept, (size_t)(m * QUERIES) * sizeof *kept);
        draw_factors(s, a, key, m, q, n, k->b.factor);
        multiply(k->pd, k->b.factor, m);
        multiply(k->dp, k->b.factor, m);
        kept = k->pd;
    }
    for (int64_t c = 0; c < QUERIES; c += VW)
        for (int64_t r = 0, seen = seen_keys(a, key, m, q, c); r < m; r++) {
            int64_t at = r * QUERIES + c;
            v_store(k->dp + at, r < seen ? v_load(k->b.p + at) * (v_load(k->dp + at) - v_load(D + c)) * a->scale : v_set(0));
        }
    return kept;
}

/* One tile: keys key .. key + m, at hand, against queries q .. q + n. */
static void backward_tile(const struct step *s, const struct head *a, struct back *k, struct near keys, struct near values, float *dq, const float *dot, int64_t key, int64_t m, int64_t q, int64_t n)
{
    struct desk *b = &k->b;
    int64_t D = a->D, Dp = a->Dp;
    struct near x = near_at(&s->in[0], a->seq.row + q, n, a->q * D, a, b->q), dy = near_at(&s->dy, a->seq.row + q, n, a->q * D, a, b->y);
    turn(x, n, Dp, a->scale, b->qt);
    turn(dy, n, Dp, 1, k->dyt);
    half_product(a, SCORES, key, q, m, QUERIES, D, (struct small){ keys.p, keys.ld, 1, b->qt, QUERIES, b->p, QUERIES }, 0);
    mask(a, b->p, key, m, q);
    half_product(a, SCORES, key, q, m, QUERIES, D, (struct small){ values.p, values.ld, 1, k->dyt, QUERIES, k->dp, QUERIES }, 0);
    const float *pd = tile_gradients(s, a, k, dot, key, m, q, n);
    half_product(a, OVER_QUERIES, key, q, m, Dp, n, (struct small){ pd, QUERIES, 1, dy.p, dy.ld, k->dv, Dp }, 1);
    half_product(a, OVER_QUERIES, key, q, m, Dp, n, (struct small){ k->dp, QUERIES, 1, x.p, x.ld, k->dk, Dp }, 1);
    half_product(a, OVER_KEYS, key, q, n, Dp, m, (struct small){ k->dp, 1, QUERIES, keys.p, keys.ld, dq + q * Dp, Dp }, 1);
}

static void give_rows(const struct step *s, int i, int64_t row, int64_t n, int64_t col, int64_t D, int64_t Dp, float *v, float *buffer)
{
    for (int64_t r = 0; r < n && s->d[i].p; r++) gradient_out(s, i, row + r, col, D, v + r * Dp, buffer);
}

static void backward_head(const struct step *s, int seq, int kv, float *scratch)
{
    struct heads h = ATTR(s, struct heads);
    int group = h.q / h.kv;
    struct head a = head_of(s, seq, kv * group);
    int64_t D = a.D, Dp = a.Dp, rows = a.seq.rows;
    struct back k = back_at(scratch, Dp, rows, group);
    memset(k.dq, 0, (size_t)(group * rows * Dp) * sizeof *k.dq);
    for (int g = 0; g < group; g++, a.q++) dots(s, &a, k.dot + g * rows, k.b.q);
    for (int64_t key = 0; key < a.seq.keys; key += KEYS) {
        int64_t m = at_most(KEYS, a.seq.keys - key);
        struct near keys = near_at(&a.k, a.first_key + key, m, 0, &a, k.b.k), values = near_at(&a.v, a.first_key + key, m, 0, &a, k.b.v);
        memset(k.dk, 0, (size_t)(KEYS * Dp) * sizeof *k.dk);
        memset(k.dv, 0, (size_t)(KEYS * Dp) * sizeof *k.dv);
        for (int g = 0; g < group; g++)
            for (int64_t q = 0; q < rows; q += QUERIES) {
                int64_t n = at_most(QUERIES, rows - q);
                struct range seen = visible(&a, q, n);
                a.q = kv * group + g;
                if (key < seen.to && key + m > seen.from) backward_tile(s, &a, &k, keys, values, k.dq + g * rows * Dp, k.dot + g * rows, key, m, q, n);
            }
        give_rows(s, 2, a.first_key + key, m, kv * D, D, Dp, k.dk, k.b.q);
        give_rows(s, 3, a.first_key + key, m, kv * D, D, Dp, k.dv, k.b.q);
    }
    for (int g = 0; g < group; g++) give_rows(s, 0, a.seq.row, rows, (kv * group + g) * D, D, Dp, k.dq + g * rows * Dp, k.b.q);
}

static void backward_gaps(const struct step *s)
{
    for (int i = 0; i < 4; i++)
        if (i != 1 && s->d[i].p && !step_adds(s, i)) clear_gaps(s, &s->d[i], step_rows(s, s->node->in[i]), i != 0);
}

static int kv_heads(const struct step *s, const struct seq *q) { (void)q; return ATTR(s, struct heads).kv; }

static int backward_tasks(const struct step *s, int phase)
{
    (void)phase;
    return 1 + (int)step_seqs(s, s->node->in[1]) * ATTR(s, struct heads).kv;
}

static void backward(const struct step *s, int phase, int task, void *scratch)
{
    (void)phase;
    int i = find_seq(s, &task, kv_heads);
    if (i < 0) backward_gaps(s);
    else backward_head(s, i, task, scratch);
}

static size_t backward_scratch(const struct step *s)         /* one sequence may have all rows */
{
    struct heads h = ATTR(s, struct heads);
    int64_t Dp = round_tile(h.dim), rows = s->node->rows->capacity;
    return (back_floats(Dp) + (size_t)(h.q / h.kv * rows * (Dp + 1))) * sizeof(float);
}

/* Two products forward and five backward, of every tile that is not wholly masked. */
static int64_t cost(const struct step *s)
{
    int64_t scores = 0;
    for (int i = 0; i < step_seqs(s, s->node->in[1]); i++) {
        struct head a = head_of(s, i, 0);
        for (int64_t q = 0; q < a.seq.rows; q += QUERIES) {
            int64_t n = at_most(QUERIES, a.seq.rows - q);
            struct range keys = visible(&a, q, n);
            scores += n * (at_least(keys.to, 0) - keys.from / KEYS * KEYS);
        }
    }
    return 2 * (s->dir == 'B' ? 5 : 2) * scores * ATTR(s, struct heads).q * ATTR(s, struct heads).dim;
}

const struct cpu_op NAME(cpu_attention) = {
    .forward = { .base = { .name = "attention" }, .phases = forward_phases, .tasks = forward_tasks, .run = forward, .scratch = forward_scratch, .cost = cost },
    .backward = { .base = { .name = "attention'" }, .tasks = backward_tasks, .run = backward, .scratch = backward_scratch, .cost = cost },
};
