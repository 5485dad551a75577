/* run.c -- a plan's life: made, bound to memory, given its inputs, run. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "graph/core.h"

/* ---- make ---- */

/* The inputs that some step reads, and what may stand in them. */
static int collect_inputs(struct plan *p)
{
    for (int i = 0; i < p->g->n; i++) {
        const tensor *t = p->g->node[i];
        if (t->kind != K_INPUT) continue;
        int used = 0;
        struct input in = { .t = t };
        for (int j = 0; j < p->n_step; j++)
            for (const struct step *s = p->step[j]; s; s = s->then)
                for (int k = 0; k < s->node->n_in; k++) {
                    if (s->node->in[k] != t) continue;
                    used = 1;
                    int64_t limit = op_id_limit(s->node, k);
                    if (limit && (!in.limit || limit < in.limit)) in.limit = limit;
                    if (s->node->op == OP_rows) in.limit_rows = s->node->in[0]->rows;
                    if (s->node->op == OP_head_loss && k == 2) {
                        in.may_ignore = 1;
                        memcpy(&in.ignore, s->node->attr, sizeof in.ignore);
                    }
                }
        if (!used) continue;
        struct input *copy = arena_take(&p->memory, sizeof *copy);
        FAIL_IF(!copy, E_MEMORY, "no memory for a plan");
        *copy = in;
        copy->next = p->input;
        p->input = copy;
    }
    return 0;
}

/* A trained matrix is read in the form that the kernel asks for. */
static void choose_form(struct step *s)
{
    for (int k = 0; k < s->node->n_in && s->node->g->type == BF16; k++) {
        const tensor *t = s->node->in[k];
        if (s->in[k].value < 0 || t->kind != K_PARAM || t->param->use != TRAINED || t->cols == 1 || s->kernel->form != BF16) continue;
        t->param->form = 1;
        s->in[k].type = BF16;
    }
}

int plan_pick(struct plan *p)
{
    for (int i = 0; i < p->n_step; i++) {
        struct step *s = p->step[i];
        s->kernel = p->backend->pick(s);
        static const char *const does[] = { ['F'] = "forward", ['A'] = "forward", ['B'] = "backward", ['C'] = "copy", ['Z'] = "clear", ['G'] = "ready" };
        FAIL_IF(!s->kernel, E_MODEL, "%s: the %s backend has no %s %s for %s", s->node->name, p->backend->name,
                s->node->kind == K_OP ? op_info[s->node->op].name : "", does[(int)s->dir], dtype_name(s->node->type));
        choose_form(s);
        size_t work = s->kernel->work ? s->kernel->work(s) : 0;
        if (work) s->work = (struct operand){ .value = plan_value(p, IN_ARENA, s->node, "work", work), .type = U8, .cols = (int64_t)work };
    }
    return 0;
}

static void number_losses(struct plan *p)
{
    int n = 0;
    for (int i = 0; i < p->n_step; i++)
        if (traits(p->step[i]->node) & SEEDS && p->step[i]->dir == 'F') p->step[i]->loss = n++;
}

static int make(struct plan *p, tensor *const *outputs, int n)
{
    const graph *g = p->g;
    FAIL_IF(graph_error(g), E_MODEL, "%s", graph_error(g));
    for (int i = 0; i < n; i++) FAIL_IF(!outputs[i], E_MODEL, "an output of the graph was never built");
    FAIL_IF(n > MAX_IN, E_MODEL, "a plan has at most %d outputs, not %d", MAX_IN, n);
    FAIL_IF(g->n_losses > MAX_LOSSES, E_MODEL, "a graph has at most %d losses, not %d", MAX_LOSSES, g->n_losses);
    FAIL_IF(g->weights->placed, E_MODEL, "the weights are placed already: plan first");
    plan_emit(p, outputs, n);
    FAIL_IF(graph_error(g), E_MODEL, "%s", graph_error(g));
    FAIL_IF(p->memory.failed, E_MEMORY, "no memory for a plan");
    plan_overlay(p);
    if (p->options.fuse) plan_fuse(p);
    TRY(plan_pick(p));
    number_losses(p);
    plan_lives(p);
    plan_place(p);
    TRY(collect_inputs(p));
    FAIL_IF(p->memory.failed, E_MEMORY, "no memory for a plan");
    return 0;
}

int plan_new(struct plan **out, graph *g, tensor *const *outputs, int n, const struct plan_options *o)
{
    struct plan *p = calloc(1, sizeof *p);
    FAIL_IF(!p, E_MEMORY, "no memory for a plan");
    *p = (struct plan){ .g = g, .backend = g->weights->backend, .options = *o };
    int code = make(p, outputs, n);
    if (code) {
        plan_free(p);
        return code;
    }
    p->next = g->weights->plan;
    *out = g->weights->plan = p;
    return 0;
}

void plan_free(struct plan *p)
{
    for (const struct input *i = p->input; i; i = i->next)
        if (i->p) p->backend->free(i->p);
    arena_free(&p->memory);
    free(p->step);
    free(p->value);
    free(p->buffer);
    free(p);
}

/* ---- addresses ---- */

static void *param_address(const struct weights *w, const struct operand *o, const struct value *v)
{
    const struct param *q = v->of->param;
    if (v->where == IN_GRAD) return w->grad ? w->grad + q->at + o->from : NULL;
    if (q->use == MAPPED) return (void *)(uintptr_t)q->mapped[v->block < 0 ? 0 : v->block];
    if (q->use == FROZEN) return w->frozen + q->at + (size_t)o->from * dtype_size(q->type);
    return o->type == BF16 ? (void *)(w->form + q->form_at + o->from) : (void *)(w->master + q->at + o->from);
}

static void resolve(const struct plan *p, struct operand *o)
{
    if (o->value < 0) return;
    const struct weights *w = p->g->weights;
    const struct value *v = &p->value[o->value];
    o->ld = v->ld;
    switch (v->where) {
    case IN_ARENA:
        o->p = w->arena ? w->arena + p->buffer[v->buffer].at + (size_t)(v->from + o->from) * dtype_size(o->type) : NULL;
        break;
    case IN_PARAM:
    case IN_GRAD:
        o->p = param_address(w, o, v);
        if (v->of->param->layout == IN_OUT) o->ld = v->of->out;
        break;
    case IN_STATE: o->p = w->states + v->of->state->at; break;
    case IN_INPUT:
        for (const struct input *i = p->input; i; i = i->next)
            if (i->t == v->of) o->p = i->p;
        break;
    }
}

int plan_resolve(struct plan *p)
{
    for (struct input *i = p->input; i; i = i->next) {
        int64_t rows = i->t->type == I32 && i->t->cols > 1 ? i->t->rows->seqs : i->t->rows->capacity;
        i->p = p->backend->alloc((size_t)((rows ? rows : 1) * i->t->cols) * dtype_size(i->t->type));
        FAIL_IF(!i->p, E_MEMORY, "no memory for input %s", i->t->name);
    }
    for (int k = 0; k < p->n_step; k++)
        for (struct step *s = p->step[k]; s; s = s->then) {
            for (int j = 0; j < MAX_OPERANDS; j++) resolve(p, &s->all[j]);
            resolve(p, &s->work);
            s->run = &p->scalars;
        }
    return 0;
}

/* ---- inputs ---- */

static int is_seqs(const tensor *t) { return t->type == I32 && t->cols == sizeof(struct seq) / sizeof(int32_t); }

static struct input *find_input(const struct plan *p, const char *name)
{
    struct input *i = p->input;
    while (i && strcmp(i->t->name, name)) i = i->next;
    return i;
}

int plan_wants(const struct plan *p, const char *input) { return find_input(p, input) != NULL; }

int plan_bind(struct plan *p, const char *input, const void *data, int64_t rows)
{
    struct input *i = find_input(p, input);
    FAIL_IF(!i, E_MODEL, "the model has no input %s", input);
    const struct rows *space = i->t->rows;
    int64_t capacity = is_seqs(i->t) ? space->seqs : space->capacity;
    FAIL_IF(rows < 0 || rows > capacity, E_MODEL, "input %s: %lld rows, planned for %lld", input, (long long)rows, (long long)capacity);
    const int32_t *ids = data;
    for (int64_t r = 0; i->limit && r < rows; r++)
        FAIL_IF((ids[r] < 0 || ids[r] >= i->limit) && !(i->may_ignore && ids[r] == i->ignore), E_DATA,
                "input %s: id %d in row %lld is not in 0 .. %lld", input, ids[r], (long long)r, (long long)i->limit - 1);
    p->backend->copy(i->p, data, (size_t)(rows * i->t->cols) * dtype_size(i->t->type));
    if (is_seqs(i->t)) p->scalars.seqs[space->id] = rows;
    else p->scalars.rows[space->id] = rows;
    i->bound = (int)(rows + 1);
    return 0;
}

static int check_picks(const struct plan *p, const struct input *i)
{
    const int32_t *pick = i->p;
    int64_t limit = p->scalars.rows[i->limit_rows->id] + i->limit;
    for (int64_t r = 0; r + 1 < i->bound; r++)
        FAIL_IF(pick[r] < 0 || pick[r] >= limit, E_DATA, "input %s: row %d is not in 0 .. %lld", i->t->name, pick[r], (long long)limit - 1);
    return 0;
}

/* What one sequence reads and writes where node t uses it. */
static int check_seq(const struct plan *p, const tensor *t, const struct seq *q)
{
    const tensor *state = t->op == OP_store ? t->in[3] : t->in[4], *k = t->op == OP_store ? t->in[0] : t->in[2];
    int64_t rows = p->g->weights->state_rows;
    FAIL_IF(state && k && (int64_t)q->base + q->past + q->rows > rows, E_DATA, "it writes past the %lld rows of %s", (long long)rows, state->name);
    int64_t limit = state ? rows - q->base : p->scalars.rows[k->rows->id];
    FAIL_IF(t->op == OP_attention && (int64_t)q->key + q->keys > limit, E_DATA, "it reads past the %lld keys of %s", (long long)limit, t->name);
    return 0;
}

/* Sequences stay inside the live rows of queries and keys and inside the state, so kernels need not look. */
static int check_seqs(const struct plan *p, const struct input *i)
{
    const struct seq *q = i->p;
    int64_t n = p->scalars.rows[i->t->rows->id], last = 0;
    for (int k = 0; k + 1 < i->bound; k++, q++) {
        int code = 0;
        if (q->row < last || q->rows < 0 || (int64_t)q->row + q->rows > n) code = error_set(E_DATA, __FILE__, __LINE__, "its rows overlap another's or are not live");
        else if (q->past < 0 || q->base < 0 || q->key < 0 || q->keys < 0) code = error_set(E_DATA, __FILE__, __LINE__, "a number is negative");
        for (int j = 0; j < p->n_step && !code; j++) {
            const tensor *t = p->step[j]->node, *seqs = t->op == OP_attention ? t->in[1] : t->op == OP_store ? t->in[2] : NULL;
            if (p->step[j]->dir == 'F' && seqs == i->t) code = check_seq(p, t, q);
        }
        if (code)
            return error_prefix(code, "input %s: sequence %d (row %d, rows %d, past %d, base %d, key %d, keys %d)", i->t->name, k,
                                q->row, q->rows, q->past, q->base, q->key, q->keys);
        last = q->row + q->rows;
    }
    return 0;
}

static int check_inputs(struct plan *p)
{
    for (const struct input *i = p->input; i; i = i->next) {
        FAIL_IF(!i->bound, E_MODEL, "input %s was not given", i->t->name);
        int64_t live = is_seqs(i->t) ? p->scalars.seqs[i->t->rows->id] : p->scalars.rows[i->t->rows->id];
        FAIL_IF(i->bound != live + 1, E_MODEL, "input %s has %d rows, others of %s have %lld", i->t->name, i->bound - 1, i->t->rows->name, (long long)live);
        if (i->limit_rows) TRY(check_picks(p, i));
        if (is_seqs(i->t)) TRY(check_seqs(p, i));
    }
    return 0;
}

/* ---- run ---- */

enum { CANARY_BYTE = 0xA5 };

/* Guarded: everything that is not alive is NaN, and what lies behind a buffer is watched. */
static void fill(struct plan *p, int b, int byte)
{
    memset(p->g->weights->arena + p->buffer[b].at, byte, p->buffer[b].size);
    memset(p->g->weights->arena + p->buffer[b].at + p->buffer[b].size, CANARY_BYTE, CANARY);
}

static int canary_alive(const struct plan *p, int b)
{
    const unsigned char *c = (unsigned char *)p->g->weights->arena + p->buffer[b].at + p->buffer[b].size;
    for (int i = 0; i < CANARY; i++)
        if (c[i] != CANARY_BYTE) return 0;
    return 1;
}

static int run_guarded(struct plan *p)
{
    memset(p->g->weights->arena, 0xff, p->arena);            /* all bits set: a NaN in f32 and in bf16 */
    for (int i = 0; i < p->n_step; i++) {
        for (int b = 0; b < p->n_buffer; b++)
            if (p->buffer[b].first == i) fill(p, b, 0xff);
        TRY(p->backend->run(&p->step[i], 1));
        for (int b = 0; b < p->n_buffer; b++) {
            if (p->buffer[b].first < 0 || i < p->buffer[b].first || i > p->buffer[b].last) continue;
            FAIL_IF(!canary_alive(p, b), E_FAILED, "step %d, %s: wrote past the end of a buffer", i, p->step[i]->node->name);
            if (p->buffer[b].last == i) fill(p, b, 0xff);
        }
    }
    return 0;
}

int plan_run(struct plan *p, const struct run_scalars *s)
{
    assert(p->g->weights->placed);
    TRY(check_inputs(p));
    struct run_scalars now = *s;
    memcpy(now.rows, p->scalars.rows, sizeof now.rows);
    memcpy(now.seqs, p->scalars.seqs, sizeof now.seqs);
    p->scalars = now;
    if (p->options.guard) return run_guarded(p);
    return p->backend->run(p->step, p->n_step);
}

const void *plan_result(const struct plan *p, int output)
{
    assert(output >= 0 && output < p->n_output);
    const struct value *v = &p->value[p->output[output]];
    return p->g->weights->arena + p->buffer[v->buffer].at + (size_t)v->from * dtype_size(v->of->type);
}

int plan_states_copy(struct weights *w, int64_t to, int64_t from, int64_t rows)
{
    FAIL_IF(rows < 0 || to < 0 || from < 0 || to + rows > w->state_rows || from + rows > w->state_rows, E_MODEL, "states have %lld rows", (long long)w->state_rows);
    for (const struct state *s = w->state; s; s = s->next) {
        size_t row = (size_t)s->cols * dtype_size(s->type);
        w->backend->copy(w->states + s->at + (size_t)to * row, w->states + s->at + (size_t)from * row, (size_t)rows * row);
    }
    return 0;
}

/* ---- the null backend: everything but arithmetic ---- */

static const struct kernel null_kernel = { .name = "null", .form = F32 };
static const struct kernel *null_pick(const struct step *s) { (void)s; return &null_kernel; }
static void *null_alloc(size_t bytes) { return calloc(1, bytes); }
static void null_copy(void *to, const void *from, size_t bytes) { memmove(to, from, bytes); }
static void null_zero(void *p, size_t bytes) { memset(p, 0, bytes); }
static int null_run(struct step *const *s, int n) { (void)s; (void)n; return 0; }
static void null_update(struct weights *w, const struct adamw *a) { (void)w; (void)a; }
static void null_refresh(struct weights *w) { (void)w; }
static void null_sync(void) { }

const struct backend null_backend = {
    .name = "null", .alloc = null_alloc, .free = free, .copy = null_copy, .zero = null_zero,
    .pick = null_pick, .run = null_run, .update = null_update, .refresh = null_refresh, .sync = null_sync,
};
