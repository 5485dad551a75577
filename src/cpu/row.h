/* row.h -- rows of operands, and the splitting of rows into tasks.  Kernels compute in f32: a bf16 row is widened into the
 * thread's scratch on its way in and rounded on its way out. */
#ifndef CPU_ROW_H
#define CPU_ROW_H
#include "cpu/cpu.h"
#include "cpu/vec.h"

static inline int64_t at_least(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t at_most(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* ---- rows ---- */

static inline void widen(float *to, const uint16_t *from, int64_t n)
{
    int64_t c = 0;
    for (; c + VW <= n; c += VW) v_store(to + c, v_load_bf16(from + c));
    for (; c < n; c++) to[c] = bf16_to_f32(from[c]);
}

static inline void narrow(uint16_t *to, const float *from, int64_t n)
{
    int64_t c = 0;
    for (; c + VW <= n; c += VW) v_store_bf16(to + c, v_load(from + c));
    for (; c < n; c++) to[c] = f32_to_bf16(from[c]);
}

static inline void round_to(enum dtype type, float *v, int64_t n)       /* what a value of this type would be */
{
    int64_t c = 0;
    if (type != BF16) return;
    for (; c + VW <= n; c += VW) v_store(v + c, v_round_bf16(v_load(v + c)));
    for (; c < n; c++) v[c] = bf16_to_f32(f32_to_bf16(v[c]));
}

/* n elements (whole vectors: any n >= VW) of an array as f32, the other lanes 0.  type is a constant where speed matters. */
static inline __attribute__((always_inline)) vf vector_at(const void *p, int64_t at, int64_t n, const enum dtype type)
{
    if (type == BF16) return n >= VW ? v_load_bf16((const uint16_t *)p + at) : v_load_bf16_n((const uint16_t *)p + at, n);
    return n >= VW ? v_load((const float *)p + at) : v_load_n((const float *)p + at, n);
}

/* Asks for what vector_at will read later. */
static inline __attribute__((always_inline)) void vector_soon(const void *p, int64_t at, const enum dtype type)
{
    __builtin_prefetch((const char *)p + at * (type == F32 ? 4 : 2), 0, 2);
}

static inline void *cell(const struct operand *o, int64_t row, int64_t col)
{
    return (char *)o->p + (row * o->ld + col) * (int64_t)dtype_size(o->type);
}

/* Columns col .. col + n of a row as f32: where it lies, or widened into buffer. */
static inline const float *row_in(const struct operand *o, int64_t row, int64_t col, int64_t n, float *buffer)
{
    const void *p = cell(o, row, col);
    if (o->type == F32) return p;
    widen(buffer, p, n);
    return buffer;
}

static inline void row_out(const struct operand *o, int64_t row, int64_t col, int64_t n, const float *v)
{
    void *p = cell(o, row, col);
    if (o->type == BF16) narrow(p, v, n);
    else if (p != v) memcpy(p, v, (size_t)n * sizeof *v);
}

/* A whole row of `from` to a row of `to`, from column col on, rounded or widened where their types differ. */
static inline void row_copy(const struct operand *to, int64_t row, int64_t col, const struct operand *from, int64_t from_row)
{
    void *p = cell(to, row, col);
    const void *x = cell(from, from_row, 0);
    if (to->type == from->type) memcpy(p, x, (size_t)from->cols * dtype_size(from->type));
    else if (to->type == BF16) narrow(p, x, from->cols);
    else widen(p, x, from->cols);
}

static inline void row_add(float *sum, const float *v, int64_t n)
{
    for (int64_t c = 0; c < n; c += VW) v_store_n(sum + c, v_load_n(sum + c, n - c) + v_load_n(v + c, n - c), n - c);
}

/* A gradient row: d += v, or d = v. */
static inline void gradient_out(const struct step *s, int i, int64_t row, int64_t col, int64_t n, float *v, float *buffer)
{
    if (step_adds(s, i)) row_add(v, row_in(&s->d[i], row, col, n, buffer), n);
    row_out(&s->d[i], row, col, n, v);
}

static inline void row_clear(const struct operand *o, int64_t row, int64_t col, int64_t n)
{
    memset(cell(o, row, col), 0, (size_t)n * dtype_size(o->type));
}

/* The op's attribute, of the type that its row in ops.def names. */
#define ATTR(s, type)                                                             \
    ({                                                                            \
        type attr_;                                                               \
        memcpy(&attr_, (s)->node->attr, sizeof attr_);                            \
        attr_;                                                                    \
    })

/* ---- tasks over rows ---- */

enum { TASK_ELEMENTS = 1 << 14 };

static inline int64_t task_rows(int64_t cols) { return at_least(TASK_ELEMENTS / at_least(cols, 1), 1); }
static inline int row_tasks(const struct step *s, int64_t cols) { return (int)ceil_div(step_rows(s, s->node), task_rows(cols)); }

struct range { int64_t from, to; };
static inline struct range row_range(const struct step *s, int task, int64_t cols)
{
    int64_t n = task_rows(cols);
    return (struct range){ task * n, at_most((task + 1) * n, step_rows(s, s->node)) };
}

/* ---- ops that work on each element by itself ---- */

typedef void row_flow(const struct step *, int64_t row, int64_t col, int64_t n, float *v);

/* Forward by way of the op's flow, so that fused and plain give the same bits. */
static inline void flow_forward(const struct step *s, int task, float *v, row_flow *apply)
{
    int64_t cols = s->y.cols;
    struct range r = row_range(s, task, cols);
    for (int64_t row = r.from; row < r.to; row++) {
        const float *x = row_in(&s->in[0], row, 0, cols, v);
        if (x != v) memcpy(v, x, (size_t)cols * sizeof *v);
        apply(s, row, 0, cols, v);
        row_out(&s->y, row, 0, cols, v);
    }
}

/* Of an op that is linear and its own transpose, the gradient flows as the values did: dx = flow(dy). */
static inline void flow_backward(const struct step *s, int task, float *d, row_flow *apply)
{
    int64_t cols = s->dy.cols;
    struct range r = row_range(s, task, cols);
    for (int64_t row = r.from; row < r.to; row++) {
        const float *dy = row_in(&s->dy, row, 0, cols, d);
        if (dy != d) memcpy(d, dy, (size_t)cols * sizeof *d);
        apply(s, row, 0, cols, d);
        gradient_out(s, 0, row, 0, cols, d, d + cols + VW);
    }
}

/* The usual sizes: tasks over the rows of the result, three rows of scratch, a few operations an element. */
static inline int plain_tasks(const struct step *s, int phase) { (void)phase; return row_tasks(s, s->node->cols); }
static inline size_t plain_scratch(const struct step *s) { return 3 * ((size_t)s->node->cols + VW) * sizeof(float); }
static inline int64_t plain_cost(const struct step *s) { return step_rows(s, s->node) * s->node->cols * 8; }

#endif
