/* run.c -- a plan's life: made, bound to memory, given its inputs, run. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "graph/core.h"

/* ---- make ---- */

static void note_use(struct input *i, const tensor *node, int k)
{
    int64_t limit = op_id_limit(node, k);
    i->used = 1;
    if (limit && (!i->limit || limit < i->limit)) i->limit = limit;
    if (node->op == OP_rows) i->picks = node;
    if (node->op == OP_head_loss) i->ignores = node;
}

/* The inputs that some step reads, and what may stand in them. */
static void collect_inputs(struct plan *p)
{
    for (int n = 0; n < p->g->n; n++) {
        struct input *i = p->g->node[n]->kind == K_INPUT ? arena_take(&p->memory, sizeof *i) : NULL;
        if (!i) continue;                                    /* no memory: the arena remembers */
        i->t = p->g->node[n];
        for (int j = 0; j < p->n_step; j++)
            for (const struct step *s = p->step[j]; s; s = s->then)
                for (int k = 0; k < s->node->n_in; k++)
                    if (s->node->in[k] == i->t) note_use(i, s->node, k);
        if (!i->used) continue;
        i->next = p->input;
        p->input = i;
    }
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
    plan_lives(p);
    plan_place(p);
    collect_inputs(p);
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
static int64_t live(const struct plan *p, const tensor *t) { return t ? t->rows ? p->scalars.rows[t->rows->id] : t->out : 0; }

static struct input *find_input(const struct plan *p, const char *name)
{
    struct input *i = p->input;
    while (i && strcmp(i->t->name, name)) i = i->next;
    return i;
}

int plan_wants(const struct plan *p, const char *input) { return find_input(p, input) != NULL; }

static int check_ids(const struct input *i, const int32_t *ids, int64_t rows, int64_t limit)
{
    int32_t ignore = 0;
    if (i->ignores) memcpy(&ignore, i->ignores->attr, sizeof ignore);
    for (int64_t r = 0; r < rows; r++)
        FAIL_IF((ids[r] < 0 || ids[r] >= limit) && !(i->ignores && ids[r] == ignore), E_DATA, "input %s: id %d in row %lld is not in 0 .. %lld", i->t->name,
                ids[r], (long long)r, (long long)limit - 1);
    return 0;
}

int plan_bind(struct plan *p, const char *input, const void *data, int64_t rows)
{
    struct input *i = find_input(p, input);
    FAIL_IF(!i, E_MODEL, "the model has no input %s", input);
    const struct rows *space = i->t->rows;
    int64_t capacity = is_seqs(i->t) ? space->seqs : space->capacity;
    FAIL_IF(rows < 0 || rows > capacity, E_MODEL, "input %s: %lld rows, planned for %lld", input, (long long)rows, (long long)capacity);
    if (i->limit) TRY(check_ids(i, data, rows, i->limit));
    p->backend->copy(i->p, data, (size_t)(rows * i->t->cols) * dtype_size(i->t->type));
    *(is_seqs(i->t) ? &p->scalars.seqs[space->id] : &p->scalars.rows[space->id]) = rows;
    i->bound = (int)(rows + 1);
    return 0;
}

/* What is wrong with what one sequence reads and writes at node t, the sequence before it having ended at key `key`: NULL, nothing. */
static const char *wrong_at(const struct plan *p, const tensor *t, const struct seq *q, int64_t key)
{
    int store = t->op == OP_store;
    const tensor *state = t->in[store ? 3 : 4], *k = t->in[store ? 0 : 2];
    int64_t rows = p->g->weights->state_rows;
    if (state && k && (int64_t)q->base + q->past + q->rows > rows) return "it writes past the state's rows";
    if (store) return NULL;
    if ((int64_t)q->key + q->keys > (state ? rows - q->base : live(p, k))) return "it reads past the keys there are";
    return p->g->phase == TRAIN && q->key < key ? "its keys are another's too: their gradient would be lost" : NULL;
}

/* Sequences stay inside the live rows of queries and keys and inside the state, so kernels need not look. */
static int check_seqs(const struct plan *p, const struct input *i)
{
    const struct seq *q = i->p;
    int64_t row = 0, key = 0;
    for (int k = 0; k + 1 < i->bound; row = q->row + q->rows, key = q->key + q->keys, k++, q++) {
        const char *why = NULL;
        if (q->row < row || q->rows < 0 || (int64_t)q->row + q->rows > live(p, i->t)) why = "its rows overlap another's or are not live";
        else if (q->past < 0 || q->base < 0 || q->key < 0 || q->keys < 0) why = "a number is negative";
        for (int j = 0; j < p->n_step && !why; j++) {
            const tensor *t = p->step[j]->node, *seqs = t->op == OP_attention ? t->in[1] : t->op == OP_store ? t->in[2] : NULL;
            if (p->step[j]->dir == 'F' && seqs == i->t) why = wrong_at(p, t, q, key);
        }
        FAIL_IF(why, E_DATA, "input %s: sequence %d (row %d, rows %d, past %d, base %d, key %d, keys %d): %s", i->t->name, k, q->row, q->rows, q->past, q->base, q->key, q->keys, why);
    }
    return 0;
}

static int check_inputs(struct plan *p)
{
    for (const struct input *i = p->input; i; i = i->next) {
        FAIL_IF(!i->bound, E_MODEL, "input %s was not given", i->t->name);
        int64_t now = is_seqs(i->t) ? p->scalars.seqs[i->t->rows->id] : live(p, i->t);
        FAIL_IF(i->bound != now + 1, E_MODEL, "input %s has %d rows, others of %s have %lld", i->t->name, i->bound - 1, i->t->rows->name, (long long)now);
        if (i->picks) TRY(check_ids(i, i->p, now, live(p, i->picks->in[0]) + live(p, i->picks->in[2])));
        if (is_seqs(i->t)) TRY(check_seqs(p, i));
    }
    return 0;
}

/* ---- run ---- */

enum { CANARY_BYTE = 0xA5 };

/* Guarded: everything that is not alive is NaN, and what lies behind a buffer is watched. */
static void poison(struct plan *p, int b)
{
    memset(p->g->weights->arena + p->buffer[b].at, 0xff, p->buffer[b].size);         /* all bits set: a NaN in f32 and in bf16 */
    memset(p->g->weights->arena + p->buffer[b].at + p->buffer[b].size, CANARY_BYTE, CANARY);
}

static int canary_alive(const struct plan *p, int b)
{
    const unsigned char *c = (unsigned char *)p->g->weights->arena + p->buffer[b].at + p->buffer[b].size;
    return c[0] == CANARY_BYTE && !memcmp(c, c + 1, CANARY - 1);
}

static int run_guarded(struct plan *p)
{
    memset(p->g->weights->arena, 0xff, p->arena);
    for (int i = 0; i < p->n_step; i++) {
        for (int b = 0; b < p->n_buffer; b++)
            if (p->buffer[b].first == i) poison(p, b);
        TRY(p->backend->run(&p->step[i], 1));
        for (int b = 0; b < p->n_buffer; b++) {
            if (p->buffer[b].first < 0 || i < p->buffer[b].first || i > p->buffer[b].last) continue;
            FAIL_IF(!canary_alive(p, b), E_FAILED, "step %d, %s: wrote past the end of a buffer", i, p->step[i]->node->name);
            if (p->buffer[b].last == i) poison(p, b);
        }
    }
    return 0;
}

static int begin(struct plan *p, const struct run_scalars *s)
{
    assert(p->g->weights->placed);
    TRY(check_inputs(p));
    struct run_scalars now = *s;
    memcpy(now.rows, p->scalars.rows, sizeof now.rows);
    memcpy(now.seqs, p->scalars.seqs, sizeof now.seqs);
    p->scalars = now;
    return 0;
}

int plan_run(struct plan *p, const struct run_scalars *s)
{
    TRY(begin(p, s));
    if (p->options.guard) return run_guarded(p);
    return p->backend->run(p->step, p->n_step);
}

int plan_run_each(struct plan *p, const struct run_scalars *s, int (*look)(void *context, const struct step *s), void *context)
{
    TRY(begin(p, s));
    for (int i = 0; i < p->n_step; i++) {
        TRY(p->backend->run(&p->step[i], 1));
        for (const struct step *done = p->step[i]; done; done = done->then) TRY(look(context, done));
    }
    return 0;
}

const void *plan_result(const struct plan *p, int output)
{
    assert(output >= 0 && output < p->n_output);
    const struct value *v = &p->value[p->output[output]];
    return p->g->weights->arena + p->buffer[v->buffer].at + (size_t)v->from * dtype_size(v->of->type);
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

const struct backend null_backend = {
    .name = "null", .alloc = null_alloc, .free = free, .copy = null_copy, .zero = null_zero,
    .pick = null_pick, .run = null_run, .update = null_update, .refresh = null_refresh,
};
