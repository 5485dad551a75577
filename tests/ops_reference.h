/* ops_reference.h -- what each op means, in double and by the textbook: naive loops over the formulas that stand at the
 * head of src/cpu's files.  Nothing here is shared with the kernels but the names of the structs and base/rng.h. */
#ifndef OPS_REFERENCE_H
#define OPS_REFERENCE_H
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "graph/core.h"

/* A node with numbers in it.  Each input is (rows, cols) without gaps, a parameter (out, in) however it lies in memory;
 * integers are doubles too.  y gets (live rows, cols); attention and store also write their state. */
struct problem {
    const tensor *t;
    double *in[MAX_IN], *y;              /* in[i] NULL: absent */
    int64_t rows[MAX_SPACES], seqs;
    uint64_t seed;
};

static inline int64_t rows_of(const struct problem *p, const tensor *t) { return t->rows ? p->rows[t->rows->id] : t->out; }
static inline int64_t n_rows(const struct problem *p) { return rows_of(p, p->t); }
static inline void attribute(const struct problem *p, void *to, size_t size) { memcpy(to, p->t->attr, size); }

/* ---- rows ---- */

static inline void ref_embed(const struct problem *p)
{
    int64_t C = p->t->cols;
    for (int64_t n = 0; n < n_rows(p); n++)
        for (int64_t c = 0; c < C; c++) p->y[n * C + c] = p->in[1][(int64_t)p->in[0][n] * C + c];
}

static inline void ref_rows(const struct problem *p)
{
    int64_t C = p->t->cols, above = rows_of(p, p->t->in[0]);
    for (int64_t n = 0; n < n_rows(p); n++) {
        int64_t at = (int64_t)p->in[1][n];
        for (int64_t c = 0; c < C; c++) p->y[n * C + c] = at < above ? p->in[0][at * C + c] : p->in[2][(at - above) * C + c];
    }
}

static inline void ref_linear(const struct problem *p)
{
    int64_t K = p->t->in[0]->cols, M = p->t->cols;
    for (int64_t n = 0; n < n_rows(p); n++)
        for (int64_t m = 0; m < M; m++) {
            double sum = p->in[2] ? p->in[2][m] : 0;
            for (int64_t k = 0; k < K; k++) sum += p->in[0][n * K + k] * p->in[1][m * K + k];
            p->y[n * M + m] = sum;
        }
}

/* ---- element by element ---- */

/* Dropout's factor for one element: 0, or 1 / (1 - p).  Columns come in groups of 64; counter (16 g + i, extra, key) gives four
 * words, for columns 64 g + i, + 16, + 32, + 48.  Kept is what draws at least p 2^32. */
static inline double dropout_factor(struct chance c, uint64_t seed, double row_key, uint32_t extra, int64_t col)
{
    uint64_t key = (uint64_t)(int64_t)row_key;
    uint32_t counter[4] = { (uint32_t)(col / 64 * 16 + col % 16), extra, (uint32_t)key, (uint32_t)(key >> 32) }, word[4];
    philox(rng_key(seed, c.stream), counter, word);
    return word[col % 64 / 16] >= (double)c.p * 0x1p32 ? 1 / (1 - (double)c.p) : 0;
}

static inline double gelu_exact(double x) { return x / 2 * (1 + erf(x / sqrt(2))); }
static inline double gelu_tanh(double x) { return x / 2 * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x))); }

static inline void ref_elements(const struct problem *p)
{
    int64_t C = p->t->cols;
    int tanh_form;
    float by;
    struct chance chance;
    attribute(p, &tanh_form, sizeof tanh_form);
    attribute(p, &by, sizeof by);
    attribute(p, &chance, sizeof chance);
    for (int64_t i = 0; i < n_rows(p) * C; i++) {
        double a = p->in[0][i], y = NAN;
        if (p->t->op == OP_add) y = a + p->in[1][i];
        if (p->t->op == OP_mul) y = a * p->in[1][i];
        if (p->t->op == OP_scale) y = a * (double)by;
        if (p->t->op == OP_relu) y = a > 0 ? a : 0;
        if (p->t->op == OP_gelu) y = tanh_form ? gelu_tanh(a) : gelu_exact(a);
        if (p->t->op == OP_swiglu) y = a / (1 + exp(-a)) * p->in[1][i];
        if (p->t->op == OP_dropout) y = a * dropout_factor(chance, p->seed, p->in[1][i / C], 0, i % C);
        p->y[i] = y;
    }
}

/* ---- norms and positions ---- */

static inline void ref_layernorm(const struct problem *p)
{
    int64_t C = p->t->cols;
    float eps;
    attribute(p, &eps, sizeof eps);
    for (int64_t n = 0; n < n_rows(p); n++) {
        const double *x = p->in[0] + n * C;
        double mean = 0, variance = 0;
        for (int64_t c = 0; c < C; c++) mean += x[c] / (double)C;
        for (int64_t c = 0; c < C; c++) variance += (x[c] - mean) * (x[c] - mean) / (double)C;
        for (int64_t c = 0; c < C; c++)
            p->y[n * C + c] = (x[c] - mean) / sqrt(variance + (double)eps) * p->in[1][c] + (p->in[2] ? p->in[2][c] : 0);
    }
}

static inline void ref_rmsnorm(const struct problem *p)
{
    int64_t width = p->t->in[1]->out;
    float eps;
    attribute(p, &eps, sizeof eps);
    for (int64_t at = 0; at < n_rows(p) * p->t->cols; at += width) {
        double square = 0;
        for (int64_t c = 0; c < width; c++) square += p->in[0][at + c] * p->in[0][at + c] / (double)width;
        for (int64_t c = 0; c < width; c++) p->y[at + c] = p->in[0][at + c] / sqrt(square + (double)eps) * p->in[1][c];
    }
}

/* The share of pair j's frequency that stays, by the two points of its line: 0 at `from`, 1 at `to`. */
static inline double ref_share(const struct rope *r, int64_t j, double frequency)
{
    double x = r->by_pair ? (double)j : frequency, from = (double)r->from, to = (double)r->to;
    if (to > from ? x >= to : x <= to) return 1;
    if (to > from ? x <= from : x >= from) return 0;
    return (x - from) / (to - from);
}

/* Frequency and angle are f32 on purpose: so the models that use them were trained. */
static inline void ref_rope(const struct problem *p)
{
    struct rope r;
    attribute(p, &r, sizeof r);
    int64_t C = p->t->cols, half = r.dim / 2;
    for (int64_t n = 0; n < n_rows(p); n++)
        for (int64_t head = 0; head < C; head += r.dim)
            for (int64_t j = 0; j < half; j++) {
                double f = pow((double)r.theta, -2.0 * (double)j / r.dim), s = r.factor > 0 ? ref_share(&r, j, f) : 1;
                float frequency = (float)(s < 1 ? s * f + (1 - s) * f / (double)r.factor : f), angle = frequency * (float)p->in[1][n];
                double a = p->in[0][n * C + head + j], b = p->in[0][n * C + head + half + j], gain = r.gain > 0 ? (double)r.gain : 1;
                p->y[n * C + head + j] = gain * (a * cos((double)angle) - b * sin((double)angle));
                p->y[n * C + head + half + j] = gain * (b * cos((double)angle) + a * sin((double)angle));
            }
}

/* ---- attention ---- */

static inline struct seq seq_at(const double *seqs, int64_t i)
{
    const double *q = seqs + 6 * i;
    return (struct seq){ (int32_t)q[0], (int32_t)q[1], (int32_t)q[2], (int32_t)q[3], (int32_t)q[4], (int32_t)q[5] };
}

/* The new keys (of K columns) and values (V) to rows base + past .. of the state. */
static inline void ref_fill_state(const struct problem *p, const double *k, int64_t K, const double *v, int64_t V, const double *seqs, double *state)
{
    for (int64_t i = 0; i < p->seqs; i++) {
        struct seq s = seq_at(seqs, i);
        for (int64_t r = 0; r < s.rows; r++) {
            double *to = state + (s.base + s.past + r) * (K + V);
            for (int64_t c = 0; c < K; c++) to[c] = k[(s.row + r) * K + c];
            for (int64_t c = 0; c < V; c++) to[K + c] = v[(s.row + r) * V + c];
        }
    }
}

static inline void ref_store(const struct problem *p)
{
    ref_fill_state(p, p->in[0], p->t->in[0]->cols, p->in[1], p->t->in[1]->cols, p->in[2], p->in[3]);
}

/* Where one head's keys and values lie: key j of the sequence at k + j * ld, its value at v + j * ld. */
struct ref_keys { const double *k, *v; int64_t ld, position; };

static inline struct ref_keys ref_keys(const struct problem *p, struct heads h, struct seq s, int head)
{
    int64_t C = (int64_t)h.kv * h.dim, at = head / (h.q / h.kv) * h.dim;
    if (!p->in[4]) return (struct ref_keys){ p->in[2] + s.key * C + at, p->in[3] + s.key * C + at, C, 0 };
    const double *row = p->in[4] + (int64_t)(s.base + s.key) * 2 * C;
    return (struct ref_keys){ row + at, row + C + at, 2 * C, s.key };
}

/* One query of one head: softmax over all keys that it sees, then their values' mean. */
static inline void ref_query(const struct problem *p, struct heads h, struct seq s, int64_t i, int head)
{
    struct ref_keys keys = ref_keys(p, h, s, head);
    int64_t C = p->t->cols, own = s.past + i;
    const double *q = p->in[0] + (s.row + i) * C + head * h.dim;
    double weight[1024], top = -INFINITY, sum = 0, *y = p->y + (s.row + i) * C + head * h.dim;
    double scale = h.scale > 0 ? (double)h.scale : 1 / sqrt(h.dim);
    for (int64_t j = 0; j < s.keys; j++) {
        int64_t position = keys.position + j;
        weight[j] = 0;
        for (int d = 0; d < h.dim; d++) weight[j] += q[d] * keys.k[j * keys.ld + d] * scale;
        if ((h.causal && position > own) || (h.window && own - position >= h.window)) weight[j] = -INFINITY;
        top = fmax(top, weight[j]);
    }
    for (int64_t j = 0; j < s.keys && top > -INFINITY; j++) sum += weight[j] = exp(weight[j] - top);
    for (int64_t j = 0; j < s.keys && sum > 0; j++) {
        double factor = h.drop.p > 0 ? dropout_factor(h.drop, p->seed, p->in[5][s.row + i], (uint32_t)head, keys.position + j) : 1;
        for (int d = 0; d < h.dim; d++) y[d] += weight[j] / sum * factor * keys.v[j * keys.ld + d];
    }
}

static inline void ref_attention(const struct problem *p)
{
    struct heads h;
    attribute(p, &h, sizeof h);
    int64_t C = (int64_t)h.kv * h.dim;
    for (int64_t i = 0; i < n_rows(p) * p->t->cols; i++) p->y[i] = 0;
    if (p->in[4] && p->in[2]) ref_fill_state(p, p->in[2], C, p->in[3], C, p->in[1], p->in[4]);
    for (int64_t n = 0; n < p->seqs; n++)
        for (int64_t i = 0; i < seq_at(p->in[1], n).rows; i++)
            for (int head = 0; head < h.q; head++) ref_query(p, h, seq_at(p->in[1], n), i, head);
}

/* ---- the loss ---- */

static inline void ref_head_loss(const struct problem *p)
{
    int64_t C = p->t->in[0]->cols, V = p->t->in[1]->out;
    struct loss l;
    attribute(p, &l, sizeof l);
    for (int64_t n = 0; n < n_rows(p); n++) {
        int64_t target = (int64_t)p->in[2][n];
        double sum = 0, wanted = 0;
        for (int64_t v = 0; v < V && target != l.ignore; v++) {
            double logit = p->in[3] ? p->in[3][v] : 0;
            for (int64_t c = 0; c < C; c++) logit += p->in[0][n * C + c] * p->in[1][v * C + c];
            if (v == target) wanted = logit;
            sum += exp(logit);
        }
        p->y[n] = target == l.ignore ? 0 : (log(sum) - wanted) * (p->in[4] ? p->in[4][n] : 1);
    }
}

#endif
