/* plan.c -- from a graph to steps: what is computed when, which gradients exist, what is kept and what computed again.
 *
 * Forward runs the nodes in the order they were made.  Backward is no second graph: it walks the same nodes in reverse
 * and calls each op's second function.  A step's operands are values; place.c decides afterwards where values lie.
 *
 *     mark    which nodes an output, a state or a loss needs; which of them want a gradient; which are dropped
 *     emit    F steps; then for each node in reverse: A steps for what was dropped, B, and C or Z where needed
 *     ready   a G step after the last writer of each parameter's gradient
 *     overlay y where x lay, when nothing reads x any more */
#include <string.h>

#include "base/error.h"
#include "graph/core.h"

enum { MAX_CUTS = 33 };

/* What is known of each node while steps are emitted. */
struct mark {
    int value, aux, grad;                /* the value that holds it now, or -1 */
    int needed, wants;                   /* will run; its gradient is wanted */
    int reread, aux_reread;              /* some gradient reads the value, the aux */
    int crosses;                         /* is read in another scope than its own */
    int output;                          /* the caller reads it: kept to the end */
    int rebuilt;                         /* not kept for backward: an A step makes it again ... */
    int again;                           /* ... 1: asked for, 2: done */
    uint32_t written;                    /* groups of columns of its gradient that hold something; of a parameter: 1 */
    int n_cut;                           /* columns where a view begins or ends, 0 and cols included: the groups' borders */
    int64_t cut[MAX_CUTS];
};

struct emitter { struct plan *p; struct mark *m; int level, losses; };

static struct mark *mark(const struct emitter *e, const tensor *t) { return &e->m[t->base->id]; }
static int has_grad(const tensor *t, int i) { return t->in[i] && op_info[t->op].grad[i] != NONE; }

/* ---- mark ---- */

static int writes_state(const tensor *t)
{
    if (t->kind != K_OP) return 0;
    return t->op == OP_store || (t->op == OP_attention && t->in[4] && t->in[2]);
}

static void mark_needed(struct emitter *e, tensor *const *outputs, int n)
{
    const graph *g = e->p->g;
    for (int i = 0; i < n; i++) mark(e, outputs[i])->needed = 1;
    for (int i = g->n - 1; i >= 0; i--) {
        const tensor *t = g->node[i];
        if (traits(t) & ROOT || writes_state(t)) mark(e, t)->needed = 1;
        for (int k = 0; k < t->n_in && e->m[i].needed; k++)
            if (t->in[k]) mark(e, t->in[k])->needed = 1;
    }
}

/* A gradient is wanted of what depends on a trained parameter. */
static void mark_wanted(struct emitter *e)
{
    const graph *g = e->p->g;
    for (int i = 0; i < g->n && g->phase == TRAIN; i++) {
        const tensor *t = g->node[i];
        struct mark *m = &e->m[i];
        m->wants = t->kind == K_PARAM && t->param->use == TRAINED;
        for (int k = 0; k < t->n_in; k++)
            if (m->needed && has_grad(t, k)) m->wants |= mark(e, t->in[k])->wants;
    }
}

static void add_cut(struct mark *m, int64_t at)
{
    int i = 0;
    while (i < m->n_cut && m->cut[i] < at) i++;
    if (m->n_cut == MAX_CUTS || (i < m->n_cut && m->cut[i] == at)) return;
    memmove(m->cut + i + 1, m->cut + i, (size_t)(m->n_cut - i) * sizeof *m->cut);
    m->cut[i] = at;
    m->n_cut++;
}

static void mark_cuts(struct emitter *e)
{
    const graph *g = e->p->g;
    for (int i = 0; i < g->n; i++) {
        const tensor *t = g->node[i];
        struct mark *m = mark(e, t);
        add_cut(m, t->from);
        add_cut(m, t->from + t->cols);
        if (m->n_cut == MAX_CUTS) graph_fail(e->p->g, "%s: more than %d borders of views", t->base->name, MAX_CUTS - 2);
    }
}

static unsigned rereads(const struct emitter *e, const tensor *t)    /* what the B step of t will read, as grad bits */
{
    unsigned bits = 0;
    for (int k = 0; k < t->n_in; k++)
        if (has_grad(t, k) && mark(e, t->in[k])->wants) bits |= (unsigned)op_info[t->op].grad[k];
    return bits;
}

static void mark_rereads(struct emitter *e)
{
    const graph *g = e->p->g;
    for (int i = 0; i < g->n; i++) {
        const tensor *t = g->node[i];
        if (t->kind != K_OP || !e->m[i].needed) continue;
        for (int k = 0; k < t->n_in; k++)
            if (t->in[k] && t->in[k]->base->kind == K_OP && strcmp(t->in[k]->base->scope, t->scope)) mark(e, t->in[k])->crosses = 1;
        if (!e->m[i].wants || traits(t) & SEEDS) continue;
        unsigned bits = rereads(e, t);
        for (int k = 0; k < t->n_in; k++)
            if (t->in[k] && bits & (1u << k)) mark(e, t->in[k])->reread = 1;
        e->m[i].reread |= (bits & Y) != 0;
        e->m[i].aux_reread = (bits & A) != 0;
    }
}

/* A value is rebuilt only if everything it is built from is at hand: a leaf, rebuilt too, or kept for another reason. */
static void mark_rebuilt(struct emitter *e)
{
    const graph *g = e->p->g;
    for (int i = 0; i < g->n; i++) {
        const tensor *t = g->node[i];
        struct mark *m = &e->m[i];
        if (t->kind != K_OP || traits(t) & (SEEDS | ROOT) || m->output) continue;
        int may = (e->level >= 1 && traits(t) & CHEAP) || (e->level >= 2 && traits(t) & NORM) || (e->level >= 3 && !m->crosses);
        for (int k = 0; k < t->n_in && may; k++) {
            if (!t->in[k] || t->in[k]->base->kind != K_OP) continue;
            const struct mark *x = mark(e, t->in[k]);
            may = x->rebuilt || x->reread || x->output || (e->level >= 3 && x->crosses);
        }
        m->rebuilt = may;
    }
}

/* ---- operands ---- */

static struct operand operand(const tensor *t, int value)
{
    return (struct operand){ .cols = t->cols, .type = t->type, .value = value, .from = t->from };
}

static size_t bytes(const tensor *t) { return (size_t)(t->rows->capacity * t->cols) * dtype_size(t->type); }

/* The operand for input t of a step: an activation as it stands now, or a leaf. */
static struct operand read_value(struct emitter *e, const tensor *t)
{
    struct mark *m = mark(e, t);
    static const enum where where[] = { [K_INPUT] = IN_INPUT, [K_PARAM] = IN_PARAM, [K_STATE] = IN_STATE };
    if (m->value < 0 && t->base->kind != K_OP) m->value = plan_value(e->p, where[t->base->kind], t->base, "", 0);
    return operand(t, m->value);
}

/* A step on block b of a parameter sees that block's rows of W and b, and those columns of y and dy. */
static void narrow(struct emitter *e, struct step *s, int b)
{
    const struct param *w = s->node->in[1]->param;
    int64_t from = 0;
    for (int i = 0; i < b; i++) from += w->block[i].out;
    s->block = b;
    struct operand *const across[] = { &s->in[2], &s->y, &s->dy, &s->d[2] };
    for (int i = 0; i < 4; i++)
        if (across[i]->value >= 0) across[i]->from += from, across[i]->cols = w->block[b].out;
    if (s->in[1].value < 0) return;
    s->in[1].value = plan_value(e->p, IN_PARAM, s->node->in[1], "", 0);
    e->p->value[s->in[1].value].block = b;
    s->in[1].type = w->block_type[b];
}

static int n_pieces(const tensor *t)
{
    return traits(t) & BLOCKS && !t->in[1]->param->together ? t->in[1]->param->n_block : 1;
}

static void append(struct emitter *e, struct step s) { plan_insert(e->p, s, e->p->n_step); }

/* ---- forward, and forward again ---- */

static void target(struct emitter *e, struct step *s, int k);

static void forward(struct emitter *e, const tensor *t, char dir)
{
    struct mark *m = mark(e, t);
    m->value = t->cols ? plan_value(e->p, IN_ARENA, t, "", bytes(t)) : -1;
    if (m->aux_reread && m->rebuilt == (dir == 'A')) m->aux = plan_value(e->p, IN_ARENA, t, "aux", (size_t)(t->rows->capacity * t->aux) * sizeof(float));
    for (int b = 0; b < n_pieces(t); b++) {
        struct step s = step_of(t, dir);
        for (int k = 0; k < t->n_in; k++)
            if (t->in[k]) s.in[k] = read_value(e, t->in[k]);
        s.y = operand(t, m->value);
        if (m->aux >= 0) s.aux = (struct operand){ .cols = t->aux, .type = F32, .value = m->aux };
        for (int k = 0; k < t->n_in && traits(t) & SEEDS; k++)
            if (has_grad(t, k) && mark(e, t->in[k])->wants) target(e, &s, k);
        if (traits(t) & SEEDS) s.loss = e->losses++;
        if (n_pieces(t) > 1) narrow(e, &s, b);
        append(e, s);
    }
}

/* Everything that the B step of t reads is at hand afterwards.  Nodes stand in an order they can run in, so one walk
 * down collects what must be made again and one walk up makes it. */
static void rebuild(struct emitter *e, const tensor *t, unsigned bits)
{
    const graph *g = e->p->g;
    for (int k = 0; k < t->n_in; k++)
        if (t->in[k] && bits & (1u << k) && mark(e, t->in[k])->again == 0) mark(e, t->in[k])->again = 1;
    if (bits & (Y | A) && mark(e, t)->again == 0) mark(e, t)->again = 1;
    for (int i = t->id; i >= 0; i--) {
        const tensor *u = g->node[i];
        if (!e->m[i].rebuilt && e->m[i].again == 1) e->m[i].again = 0;
        if (e->m[i].again != 1) continue;
        for (int k = 0; k < u->n_in; k++)
            if (u->in[k] && mark(e, u->in[k])->again == 0) mark(e, u->in[k])->again = 1;
    }
    for (int i = 0; i <= t->id; i++) {
        if (e->m[i].again != 1) continue;
        e->m[i].again = 2;
        forward(e, g->node[i], 'A');
    }
}

/* ---- where gradients go ---- */

static uint32_t groups(const struct mark *m, int64_t from, int64_t cols)    /* bit i: columns cut[i] .. cut[i + 1] */
{
    uint32_t bits = 0;
    for (int i = 0; i + 1 < m->n_cut; i++)
        if (m->cut[i] >= from && m->cut[i + 1] <= from + cols) bits |= 1u << i;
    return bits;
}

static uint32_t all_groups(const struct mark *m) { return (uint32_t)((1ull << (m->n_cut - 1)) - 1); }

static void clear(struct emitter *e, const tensor *t, uint32_t bits)        /* Z steps for these groups of d(t) */
{
    struct mark *m = mark(e, t);
    for (int i = 0; i + 1 < m->n_cut; i++) {
        if (!(bits & 1u << i)) continue;
        struct step s = step_of(t->base, 'Z');
        s.d[0] = operand(t->base, m->grad);
        s.d[0].from = m->cut[i];
        s.d[0].cols = m->cut[i + 1] - m->cut[i];
        append(e, s);
    }
    m->written |= bits;
}

static int new_grad(struct emitter *e, const tensor *t) { return plan_value(e->p, IN_ARENA, t, "d", bytes(t)); }

/* The operand that a contribution to d(x) is written to, and whether it is the first there. */
static struct operand contribution(struct emitter *e, const tensor *x, enum beta *beta)
{
    struct mark *m = mark(e, x);
    if (x->kind == K_PARAM) {
        if (m->grad < 0) m->grad = plan_value(e->p, IN_GRAD, x, "d", 0);
        *beta = m->written ? ADD : ADD_IF_MICRO;
        m->written = 1;
        return operand(x, m->grad);
    }
    if (m->grad < 0) m->grad = new_grad(e, x->base);
    uint32_t bits = groups(m, x->from, x->cols);
    if (m->written & bits && bits & ~m->written) clear(e, x, bits & ~m->written);
    *beta = m->written & bits ? ADD : WRITE;
    m->written |= bits;
    return operand(x, m->grad);
}

static int share_columns(const tensor *x, const tensor *y)
{
    return x->base == y->base && x->from < y->from + y->cols && y->from < x->from + x->cols;
}

/* Where step s writes the gradient of its node's input k.  Kernels may count on it that the gradients of one step do not
 * overlap: of an input that comes twice, the later gradient goes through a buffer of its own and a C step. */
static void target(struct emitter *e, struct step *s, int k)
{
    const tensor *x = s->node->in[k];
    int twice = 0;
    for (int j = 0; j < k; j++) twice |= s->d[j].value >= 0 && share_columns(s->node->in[j], x);
    if (!twice) s->d[k] = contribution(e, x, &s->beta[k]);
    else s->d[k] = (struct operand){ .cols = x->cols, .type = x->type, .value = new_grad(e, x) };
}

static void copy(struct emitter *e, const tensor *t, struct operand from, int k)     /* C: add `from` to d of input k of t */
{
    struct step s = step_of(t->in[k], 'C');
    s.dy = from;
    s.d[0] = contribution(e, t->in[k], &s.beta[0]);
    append(e, s);
}

static void copy_doubled(struct emitter *e, const struct step *s)
{
    for (int k = 0; k < s->node->n_in; k++)
        if (s->d[k].value >= 0 && s->d[k].value != mark(e, s->node->in[k])->grad) copy(e, s->node, s->d[k], k);
}

/* The next node below pos, walking backward, that adds to d(x): -1 if none. */
static int next_contribution(const struct emitter *e, const tensor *x, int pos)
{
    const graph *g = e->p->g;
    for (int i = pos - 1; i >= 0; i--)
        for (int k = 0; k < g->node[i]->n_in && e->m[i].wants; k++)
            if (has_grad(g->node[i], k) && g->node[i]->in[k]->base == x) return i;
    return -1;
}

/* Other tensors whose gradient lies in this buffer and is still to be read when the walk stands at pos. */
static int waits_in(const struct emitter *e, int i, int buffer)
{
    return e->m[i].grad >= 0 && e->p->g->node[i]->kind == K_OP && e->p->value[e->m[i].grad].buffer == buffer;
}

/* May d(x) lie in the buffer of d(y), one of y's inputs being x?  Only if, for each other tensor u that shares it, neither is
 * added to before the other was read. */
static int may_share(const struct emitter *e, const tensor *x, const tensor *y)
{
    const graph *g = e->p->g;
    int buffer = e->p->value[mark(e, y)->grad].buffer, count = 0;
    if (x->kind != K_OP || mark(e, x)->grad >= 0 || x->type != y->type) return 0;
    for (int k = 0; k < y->n_in; k++) count += y->in[k] && y->in[k]->base == x;
    if (count > 1) return 0;
    int x_next = next_contribution(e, x, y->id);
    for (int i = 0; i < y->id; i++) {
        if (!waits_in(e, i, buffer)) continue;
        int u_next = next_contribution(e, g->node[i], y->id);
        if (x_next >= i || u_next >= x->id) return 0;
    }
    return 1;
}

static void share(struct emitter *e, const tensor *x, const tensor *y)       /* d(x) in the buffer of d(y) */
{
    struct mark *m = mark(e, x);
    m->grad = plan_value(e->p, IN_ARENA, x, "d", 0);
    if (m->grad < 0) return;
    e->p->value[m->grad].buffer = e->p->value[mark(e, y)->grad].buffer;
    m->written = all_groups(m);
}

/* ---- backward ---- */

static void pass(struct emitter *e, const tensor *t)         /* y = a + b: alias, or copy */
{
    for (int k = 0; k < t->n_in; k++) {
        const tensor *x = t->in[k];
        if (!mark(e, x)->wants) continue;
        if (may_share(e, x, t)) share(e, x, t);
        else copy(e, t, operand(t, mark(e, t)->grad), k);
    }
}

/* dx over dy: nobody else may wait for what lies there. */
static void overlay_gradient(struct emitter *e, const tensor *t)
{
    const tensor *x = t->in[0];
    const struct mark *m = mark(e, x);
    if (!(traits(t) & INPLACE) || x->kind != K_OP || m->grad >= 0 || x->type != t->type) return;
    for (int i = 0; i < t->id; i++)
        if (waits_in(e, i, e->p->value[mark(e, t)->grad].buffer)) return;
    share(e, x, t);
    mark(e, x)->written = 0;                                 /* the B step itself will be the first writer */
}

static void backward(struct emitter *e, const tensor *t)
{
    struct mark *m = mark(e, t);
    clear(e, t, all_groups(m) & ~m->written);
    if (traits(t) & PASS) {
        pass(e, t);
        return;
    }
    unsigned bits = rereads(e, t);
    rebuild(e, t, bits);
    overlay_gradient(e, t);
    for (int b = 0; b < n_pieces(t); b++) {
        struct step s = step_of(t, 'B');
        for (int k = 0; k < t->n_in; k++)
            if (t->in[k] && bits & (1u << k)) s.in[k] = read_value(e, t->in[k]);
        if (bits & Y) s.y = operand(t, m->value);
        if (bits & A) s.aux = (struct operand){ .cols = t->aux, .type = F32, .value = m->aux };
        s.dy = operand(t, m->grad);
        for (int k = 0; k < t->n_in; k++)
            if (has_grad(t, k) && mark(e, t->in[k])->wants) target(e, &s, k);
        if (n_pieces(t) > 1) narrow(e, &s, b);
        append(e, s);
        copy_doubled(e, &s);
    }
}

/* ---- the whole ---- */

static int last_writer(const struct plan *p, int value)
{
    int last = -1;
    for (int i = 0; i < p->n_step; i++)
        for (int k = 0; k < MAX_IN; k++)
            if (p->step[i]->d[k].value == value) last = i;
    return last;
}

/* A parameter's gradient is complete after its last writer: the norm is taken there, and an all-reduce may start. */
static void ready(struct emitter *e)
{
    for (int i = 0; i < e->p->g->n; i++) {
        const tensor *t = e->p->g->node[i];
        if (t->kind != K_PARAM || e->m[i].grad < 0) continue;
        struct step s = step_of(t, 'G');
        s.d[0] = operand(t, e->m[i].grad);
        plan_insert(e->p, s, last_writer(e->p, e->m[i].grad) + 1);
        t->param->graded = 1;
    }
}

void plan_emit(struct plan *p, tensor *const *outputs, int n)
{
    graph *g = p->g;
    struct emitter e = { .p = p, .m = arena_take(&p->memory, (size_t)(g->n ? g->n : 1) * sizeof *e.m), .level = p->options.recompute };
    if (!e.m) return;
    for (int i = 0; i < g->n; i++) e.m[i].value = e.m[i].aux = e.m[i].grad = -1;
    mark_needed(&e, outputs, n);
    mark_wanted(&e);
    mark_cuts(&e);
    mark_rereads(&e);
    for (int i = 0; i < n; i++) mark(&e, outputs[i])->output = 1;
    mark_rebuilt(&e);
    if (graph_error(g) || p->memory.failed) return;
    for (int i = 0; i < g->n; i++)
        if (g->node[i]->kind == K_OP && e.m[i].needed) forward(&e, g->node[i], 'F');
    for (int i = 0; i < n; i++) p->output[i] = mark(&e, outputs[i])->value;
    p->n_output = n;
    for (int i = g->n - 1; i >= 0; i--)
        if (g->node[i]->kind == K_OP && e.m[i].grad >= 0 && !(traits(g->node[i]) & SEEDS)) backward(&e, g->node[i]);
    ready(&e);
}

/* y where x lay.  x may be a view: then y's columns lie among its base's. */
static int may_overlay(const struct plan *p, int at)
{
    const struct step *s = p->step[at];
    const struct operand *x = &s->in[0];
    if ((s->dir != 'F' && s->dir != 'A') || !(traits(s->node) & INPLACE)) return 0;
    if (p->value[x->value].where != IN_ARENA || x->type != s->y.type) return 0;
    for (int k = 1; k < s->node->n_in; k++)
        if (operands_meet(p, x, &s->in[k])) return 0;
    for (int i = 0; i < p->n_output; i++)
        if (p->output[i] == x->value) return 0;
    for (int i = at + 1; i < p->n_step; i++)
        for (int k = 0; k < MAX_OPERANDS; k++)
            if (p->step[i]->all[k].value == x->value && operands_meet(p, x, &p->step[i]->all[k])) return 0;
    return 1;
}

void plan_overlay(struct plan *p)
{
    for (int i = 0; i < p->n_step; i++) {
        if (!may_overlay(p, i)) continue;
        const struct step *s = p->step[i];
        const struct value *x = &p->value[s->in[0].value];
        struct value *y = &p->value[s->y.value];
        y->buffer = x->buffer;
        y->from = x->from + s->in[0].from;
        y->ld = x->ld;
    }
}
