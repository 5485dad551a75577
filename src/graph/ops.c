/* ops.c -- the rows of ops.def become constructors and a table.  This is the only macro machinery in nib. */
#include <stdio.h>
#include <string.h>

#include "graph/core.h"

/* ---- the words of the column "what must hold" ---- */

static int same(const tensor *a, const tensor *b) { return a->rows == b->rows && a->cols == b->cols; }
static int is_ids(const tensor *t) { return t->type == I32 && t->cols == 1; }
static int is_param(const tensor *t) { return t->kind == K_PARAM; }
static int is_vector(const tensor *t, int64_t n) { return is_param(t) && t->cols == 1 && t->out == n; }

static int fits_heads(const tensor *q, const tensor *k, const tensor *v, const tensor *state, const struct heads *h)
{
    int64_t kv = (int64_t)h->kv * h->dim;
    if (h->dim <= 0 || h->kv <= 0 || h->q % h->kv || q->cols != (int64_t)h->q * h->dim) return 0;
    if (!k != !v || (!k && !state)) return 0;
    if (k && (k->cols != kv || v->cols != kv || k->rows != v->rows)) return 0;
    return !state || state->cols == 2 * kv;
}

/* ---- constructors ---- */

static int present(tensor *const *in, int required)
{
    for (int i = 0; i < required; i++)
        if (!in[i]) return 0;
    return 1;
}

static void describe(char *text, size_t size, const tensor *t)
{
    size_t n = strlen(text);
    if (!t) snprintf(text + n, size - n, " none");
    else if (t->rows) snprintf(text + n, size - n, " (%s, %lld)", t->rows->name, (long long)t->cols);
    else snprintf(text + n, size - n, " (%lld, %lld)", (long long)(t->out ? t->out : -1), (long long)t->cols);
}

/* "h.3.attn.c_attn: linear: (text, 4096) does not fit (2304, 1024); needs x->cols == w->cols" */
static tensor *misfit(int op, tensor *const *in, int n)
{
    char first[64] = "", rest[MAX_IN * 64] = "";
    describe(first, sizeof first, in[0]);
    for (int i = 1; i < n; i++) describe(rest, sizeof rest, in[i]);
    const char *name = in[0]->g->scope;
    for (int i = 0; i < n; i++)
        if (in[i] && in[i]->kind == K_PARAM) name = in[i]->name;
    return graph_fail(in[0]->g, "%s: %s:%s does not fit%s; needs %s", name, op_info[op].name, first, rest, op_info[op].fits);
}

static tensor *node(int op, tensor *const *in, int n, const void *attr, size_t size, struct rows *rows, int64_t cols, int64_t aux)
{
    graph *g = in[0]->g;
    tensor *t = graph_add(g, K_OP, op_info[op].name);
    if (!t) return NULL;
    t->op = op;
    t->rows = rows;
    t->cols = cols;
    t->aux = aux;
    t->type = op_info[op].traits & SEEDS ? F32 : g->type;
    if (op == OP_linear) memcpy(&t->type, attr, sizeof t->type);
    if (op_info[op].traits & SEEDS) g->n_losses++;
    t->n_in = n;
    memcpy(t->in, in, (size_t)n * sizeof *in);
    memcpy(t->attr, attr, size);
    return t;
}

#define IN(...) { __VA_ARGS__ }
#define OP(name, signature, inputs, required, attribute, rows, cols, fits, grads, aux, traits)         \
    tensor *t_##name signature                                                                         \
    {                                                                                                  \
        tensor *in[] = inputs;                                                                         \
        const int n = sizeof in / sizeof *in;                                                          \
        __typeof__(attribute) attr = attribute;                                                        \
        _Static_assert(sizeof in <= sizeof(tensor *[MAX_IN]) && sizeof attr <= MAX_ATTR, "see tensor.h"); \
        if (!present(in, required)) return NULL;                                                       \
        if (!(fits)) return misfit(OP_##name, in, n);                                                  \
        return node(OP_##name, in, n, &attr, sizeof attr, rows, cols, aux);                            \
    }
#include "graph/ops.def"
#undef OP

#define GRAD(...) { __VA_ARGS__ }
const struct op_info op_info[OP_COUNT] = {
#define OP(name, signature, inputs, required, attribute, rows, cols, fits, grads, aux, traits) { #name, #fits, grads, traits },
#include "graph/ops.def"
#undef OP
};

int64_t op_id_limit(const tensor *t, int i)
{
    int picks = t->kind == K_OP && (t->op == OP_embed ? i == 0 : t->op == OP_head_loss && i == 2);
    return picks ? t->in[1]->out : 0;
}
