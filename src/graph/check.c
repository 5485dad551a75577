/* check.c -- the proof of a plan.  It runs the steps on scalars over the planned addresses and compares all that is read,
 * every gradient and every output with the textbook's reverse mode over the graph.
 *
 * Columns come in cells, as wide as the narrowest view needs, and a cell holds one number.  An op is a made-up function,
 *     y[c] = (1 + c/16) * sum over inputs k of coef(k) * X_k,    X_k = mean over cells c' of (1 + c'/8) x_k[c'],
 * linear, so that its derivative is easy, and different in every place, so that no mistake cancels.  PASS ops are plain
 * sums.  A write into a buffer turns all other buffers at the same addresses into NaN: a life that is too short shows. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/core.h"

struct cells { double *at; int64_t n; };

struct book {                            /* of one node */
    struct cells value, grad;            /* the textbook's */
    double state, state_after;           /* of a state: now; of a node that used one: what it left */
    double param_grad;                   /* of a parameter: what the plan has summed up */
    int readied;                         /* times that it was declared ready */
};

struct proof {
    const struct plan *p;
    int64_t unit;                        /* columns of one cell */
    struct book *book;
    struct cells *memory;                /* what lies in each buffer */
    int at, micro;                       /* the step at hand */
    struct arena arena;
    const char *why;
};

static double coef(const tensor *t, int k) { return (0.6 + 0.011 * ((t->id * 7 + k * 13) % 60)) / t->n_in; }
static double row_weight(int64_t c) { return 1 + (double)c / 16; }
static double cell_weight(int64_t c, int64_t n) { return (1 + (double)c / 8) / (double)n; }
static double leaf(const tensor *t) { return 0.5 + 0.001 * (t->id % 97); }
static int equal(double a, double b) { return fabs(a - b) <= 1e-9 * (fabs(a) + fabs(b)); }

static void fail(struct proof *f, const char *what, const tensor *t, double got, double want)
{
    static _Thread_local char text[512];                     /* outlives the proof */
    if (f->why) return;
    snprintf(text, sizeof text, "step %d, micro-step %d: %s %s is %.17g, should be %.17g", f->at, f->micro, what, t->name, got, want);
    f->why = text;
}

/* ---- cells ---- */

static int64_t gcd(int64_t a, int64_t b) { return b ? gcd(b, a % b) : a; }

/* The cells of columns from .. from + cols of a row of `width` columns. */
static struct cells part(const struct proof *f, struct cells whole, int64_t from, int64_t cols)
{
    return whole.n == 1 ? whole : (struct cells){ whole.at + from / f->unit, cols / f->unit };
}

static struct cells new_cells(struct proof *f, int64_t cols, double x)
{
    int64_t n = cols % f->unit ? 1 : cols / f->unit;
    struct cells c = { arena_take(&f->arena, (size_t)n * sizeof(double)), n };
    for (int64_t i = 0; c.at && i < n; i++) c.at[i] = x;
    return c;
}

static int64_t find_unit(const graph *g)
{
    int64_t unit = 0;
    for (int i = 0; i < g->n; i++) {
        const tensor *t = g->node[i];
        if (t->kind == K_VIEW) unit = gcd(gcd(gcd(unit, t->from), t->cols), t->base->cols);
        for (int b = 0; traits(t) & BLOCKS && !t->in[1]->param->together && b < t->in[1]->param->n_block; b++)
            unit = gcd(gcd(unit, t->in[1]->param->block[b].out), t->cols);
    }
    return unit ? unit : INT64_MAX;
}

static struct cells value(const struct proof *f, const tensor *t) { return part(f, f->book[t->base->id].value, t->from, t->cols); }
static struct cells grad(const struct proof *f, const tensor *t) { return part(f, f->book[t->base->id].grad, t->from, t->cols); }

/* ---- the textbook ---- */

static double gather(const struct proof *f, const tensor *x)         /* X_k */
{
    if (x->kind == K_STATE) return f->book[x->id].state;
    struct cells v = value(f, x);
    double sum = 0;
    for (int64_t c = 0; c < v.n; c++) sum += cell_weight(c, v.n) * v.at[c];
    return sum;
}

/* The state that t uses, which it may write first: NULL if none. */
static const tensor *use_state(struct proof *f, const tensor *t)
{
    const tensor *s = t->op == OP_store ? t->in[3] : t->op == OP_attention ? t->in[4] : NULL;
    const tensor *k = t->in[t->op == OP_store ? 0 : 2], *v = t->in[t->op == OP_store ? 1 : 3];
    if (s && k) f->book[s->id].state = 0.5 * f->book[s->id].state + gather(f, k) + 0.7 * gather(f, v);
    return s;
}

static void textbook_forward(struct proof *f, const tensor *t)
{
    struct cells y = f->book[t->id].value;
    const tensor *s = use_state(f, t);
    if (s) f->book[t->id].state_after = f->book[s->id].state;
    double sum = 0;
    for (int k = 0; k < t->n_in; k++)
        if (t->in[k]) sum += coef(t, k) * gather(f, t->in[k]);
    for (int64_t c = 0; c < y.n; c++) {
        y.at[c] = row_weight(c) * sum;
        if (traits(t) & PASS) y.at[c] = value(f, t->in[0]).at[c] + value(f, t->in[1]).at[c];
    }
}

/* What the columns from .. from + cols of y contribute to each cell of d(input k), apart from cell_weight. */
static double slope(const struct proof *f, const tensor *t, int k, int64_t from, int64_t cols)
{
    if (traits(t) & SEEDS) return coef(t, k);
    struct cells dy = part(f, f->book[t->id].grad, from, cols);
    int64_t first = dy.at - f->book[t->id].grad.at;
    double total = 0;
    for (int64_t c = 0; c < dy.n; c++) total += row_weight(first + c) * dy.at[c];
    return coef(t, k) * total;
}

static void textbook_backward(struct proof *f, const tensor *t)
{
    for (int k = 0; k < t->n_in; k++) {
        if (!t->in[k] || op_info[t->op].grad[k] == NONE) continue;
        struct cells d = grad(f, t->in[k]);
        for (int64_t c = 0; c < d.n; c++)
            d.at[c] += traits(t) & PASS ? f->book[t->id].grad.at[c] : slope(f, t, k, 0, t->cols) * cell_weight(c, d.n);
    }
}

/* ---- the plan's memory ---- */

static struct cells place(const struct proof *f, const struct operand *o)
{
    const struct value *v = &f->p->value[o->value];
    struct cells whole = f->memory[v->buffer];
    return *v->what && strcmp(v->what, "d") ? whole : part(f, whole, v->from + o->from, o->cols);      /* aux, work: one cell */
}

/* Whatever else lies at these addresses is gone. */
static void trample(struct proof *f, const struct operand *o)
{
    const struct buffer *b = f->p->buffer, *mine = &b[f->p->value[o->value].buffer];
    for (int i = 0; i < f->p->n_buffer; i++) {
        if (&b[i] == mine || b[i].first < 0 || b[i].at >= mine->at + mine->size || mine->at >= b[i].at + b[i].size) continue;
        for (int64_t c = 0; c < f->memory[i].n; c++) f->memory[i].at[c] = NAN;
    }
}

/* Operand o, which stands for t, holds its columns of the textbook's whole row. */
static void holds(struct proof *f, const char *what, const struct operand *o, const tensor *t, struct cells whole)
{
    if (f->p->value[o->value].where != IN_ARENA) return;
    struct cells now = place(f, o), want = part(f, whole, o->from, o->cols);
    for (int64_t c = 0; c < now.n; c++)
        if (!equal(now.at[c], want.at[c])) fail(f, what, t, now.at[c], want.at[c]);
}

static double aux_of(const struct proof *f, const tensor *t) { return 5 + f->book[t->id].value.at[0]; }

static void aux_holds(struct proof *f, const struct step *s)
{
    double now = place(f, &s->aux).at[0];
    if (!equal(now, aux_of(f, s->node))) fail(f, "aux of", s->node, now, aux_of(f, s->node));
}

/* ---- the plan's steps ---- */

/* Everything that the op's row declares is given, and everything given is right.  `spent` are the operands that the step
 * may have overwritten by now. */
static void check_reads(struct proof *f, const struct step *s, unsigned spent)
{
    const tensor *t = s->node;
    for (int k = 0; k < t->n_in; k++)
        if (s->in[k].value >= 0 && !(spent & 1u << k)) holds(f, "reads", &s->in[k], t->in[k], value(f, t->in[k]->base));
    if (s->dir == 'B' && s->y.value >= 0) holds(f, "rereads", &s->y, t, value(f, t));
    if (s->dir == 'B' && s->aux.value >= 0) aux_holds(f, s);
    if (s->dy.value >= 0 && !(spent & Y)) holds(f, "reads the gradient of", &s->dy, t, grad(f, t));
}

static void check_given(struct proof *f, const struct step *s)
{
    const tensor *t = s->node;
    unsigned need = s->dir == 'B' ? 0 : (1u << t->n_in) - 1;
    if (s->dir == 'B' && s->dy.value < 0) fail(f, "not given: the gradient of", t, NAN, 0);
    if (s->block >= 0 && s->in[1].value >= 0 && f->p->value[s->in[1].value].block != s->block) fail(f, "another block: W of", t, NAN, s->block);
    for (int k = 0; k < t->n_in && s->dir == 'B'; k++)
        if (s->d[k].value >= 0) need |= (unsigned)op_info[t->op].grad[k];
    for (int k = 0; k < t->n_in; k++)
        if (t->in[k] && need & 1u << k && s->in[k].value < 0 && k != s->flow) fail(f, "not given:", t->in[k], NAN, 0);
    if (need & Y && s->y.value < 0) fail(f, "not given: result of", t, NAN, 0);
    if (need & A && s->aux.value < 0) fail(f, "not given: aux of", t, NAN, 0);
}

static void write_value(struct proof *f, const struct step *s)
{
    const tensor *t = s->node;
    const tensor *state = use_state(f, t);
    if (state && !equal(f->book[state->id].state, f->book[t->id].state_after)) fail(f, "the state of", t, f->book[state->id].state, f->book[t->id].state_after);
    if (s->aux.value >= 0) {
        trample(f, &s->aux);
        place(f, &s->aux).at[0] = aux_of(f, t);
    }
    if (s->y.value < 0) return;
    trample(f, &s->y);
    struct cells y = place(f, &s->y), want = part(f, f->book[t->id].value, s->y.from, s->y.cols);
    for (int64_t c = 0; c < y.n; c++) y.at[c] = want.at[c];
}

static void write_gradient(struct proof *f, const struct step *s, int k)
{
    const tensor *t = s->node;
    const struct operand *from = s->dir == 'F' ? &s->y : &s->dy;
    double by = slope(f, t, k, from->from, from->cols);
    if (f->p->value[s->d[k].value].where == IN_GRAD) {
        double *sum = &f->book[t->in[k]->id].param_grad;
        int add = s->beta[k] == ADD || (s->beta[k] == ADD_IF_MICRO && f->micro);
        *sum = (add ? *sum : 0) + by;
        return;
    }
    trample(f, &s->d[k]);
    struct cells d = place(f, &s->d[k]);
    for (int64_t c = 0; c < d.n; c++) d.at[c] = (s->beta[k] == WRITE ? 0 : d.at[c]) + by * cell_weight(c, d.n);
}

/* C carries a whole gradient on to an input of its op; or a part of one, from a buffer of its own, to the rest: what that
 * adds up to shows later. */
static void copy_or_clear(struct proof *f, const struct step *s)
{
    const tensor *from_of = s->dir == 'C' ? f->p->value[s->dy.value].of : s->node;
    if (from_of->base != s->node->base) holds(f, "copies the gradient of", &s->dy, from_of, grad(f, from_of->base));
    struct cells to = place(f, &s->d[0]), from = s->dir == 'C' ? place(f, &s->dy) : to;
    trample(f, &s->d[0]);
    for (int64_t c = 0; c < to.n; c++) to.at[c] = s->dir == 'Z' ? 0 : (s->beta[0] == WRITE ? 0 : to.at[c]) + from.at[c];
}

static void still_there(struct proof *f, const struct step *s)
{
    for (int k = 0; k < s->node->n_in; k++)
        for (int64_t c = 0; s->d[k].value >= 0 && f->p->value[s->d[k].value].where == IN_ARENA && c < place(f, &s->d[k]).n; c++)
            if (isnan(place(f, &s->d[k]).at[c])) fail(f, "overwritten at once: a gradient of", s->node->in[k], NAN, 0);
    if (s->dir == 'B') return;
    if (s->y.value >= 0) holds(f, "overwritten at once:", &s->y, s->node, value(f, s->node));
    if (s->aux.value >= 0) aux_holds(f, s);
}

static void compute(struct proof *f, const struct step *first)
{
    for (const struct step *s = first; s; s = s->then) {
        check_given(f, s);
        check_reads(f, s, 0);
    }
    if (first->work.value >= 0) trample(f, &first->work);
    for (const struct step *s = first; s; s = s->then) {
        if (s->dir != 'B') write_value(f, s);
        for (int k = 0; k < s->node->n_in; k++)
            if (s->d[k].value >= 0) write_gradient(f, s, k);
    }
    int over = traits(first->node) & INPLACE;
    check_reads(f, first, over ? (first->dir == 'B' ? Y : I0) : 0);
    for (const struct step *s = first; s; s = s->then)
        if (!s->then) still_there(f, s);
}

static void run_step(struct proof *f, const struct step *s)
{
    struct book *b = &f->book[s->node->id];
    if (s->dir == 'G') {
        b->readied++;
        if (!equal(b->param_grad, (f->micro + 1) * b->grad.at[0])) fail(f, "declared ready: the gradient of", s->node, b->param_grad, (f->micro + 1) * b->grad.at[0]);
    } else if (s->dir == 'C' || s->dir == 'Z') {
        copy_or_clear(f, s);
    } else {
        compute(f, s);
    }
}

/* ---- the whole ---- */

static int take_memory(struct proof *f)
{
    const graph *g = f->p->g;
    f->book = arena_take(&f->arena, ((size_t)g->n + 1) * sizeof *f->book);
    f->memory = arena_take(&f->arena, ((size_t)f->p->n_buffer + 1) * sizeof *f->memory);
    if (f->arena.failed) return 0;
    for (int i = 0; i < g->n; i++) {
        int64_t cols = g->node[i]->kind == K_OP ? g->node[i]->cols : 1;
        f->book[i] = (struct book){ .value = new_cells(f, cols, leaf(g->node[i])), .grad = new_cells(f, cols, 0), .param_grad = NAN };
    }
    for (int i = 0; i < f->p->n_value; i++) {
        const struct value *v = &f->p->value[i];
        if (v->where != IN_ARENA || f->memory[v->buffer].at) continue;
        f->memory[v->buffer] = new_cells(f, *v->what && strcmp(v->what, "d") ? 1 : v->ld, NAN);
    }
    return !f->arena.failed;
}

static void read_textbook(struct proof *f)
{
    const graph *g = f->p->g;
    for (int i = 0; i < g->n; i++)
        if (g->node[i]->kind == K_OP) textbook_forward(f, g->node[i]);
    for (int i = g->n - 1; i >= 0 && g->phase == TRAIN; i--)
        if (g->node[i]->kind == K_OP) textbook_backward(f, g->node[i]);
}

static void check_results(struct proof *f)
{
    const struct plan *p = f->p;
    for (int i = 0; i < p->n_output; i++)
        if (p->output[i] >= 0) {
            const tensor *t = p->value[p->output[i]].of;
            holds(f, "the output", &(struct operand){ .value = p->output[i], .cols = t->cols }, t, value(f, t));
        }
    for (int i = 0; i < p->g->n; i++) {
        const tensor *t = p->g->node[i];
        const struct book *b = &f->book[i];
        if (t->kind != K_PARAM) continue;
        double want = t->param->use == TRAINED ? 2 * b->grad.at[0] : 0, got = isnan(b->param_grad) ? 0 : b->param_grad;
        if (!equal(got, want)) fail(f, "after two micro-steps, the gradient of", t, got, want);
        if (b->readied != 2 * !isnan(b->param_grad)) fail(f, "times that the gradient was declared ready, of", t, b->readied, 2);
    }
}

const char *plan_prove(const struct plan *p)
{
    struct proof f = { .p = p, .unit = find_unit(p->g), .why = "no memory for the proof" };
    if (take_memory(&f)) {
        f.why = NULL;
        read_textbook(&f);
        for (f.micro = 0; f.micro < 2; f.micro++) {
            for (int i = 0; i < p->g->n; i++) f.book[i].state = 0;
            for (f.at = 0; f.at < p->n_step; f.at++) run_step(&f, p->step[f.at]);
        }
        check_results(&f);
    }
    arena_free(&f.arena);
    return f.why;
}
