/* graph.c -- nodes, names, row spaces and leaves.  Nothing here computes. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/rng.h"
#include "graph/core.h"

/* ---- open and close ---- */

int graph_open(graph **out, struct weights *w, enum phase phase, enum dtype type, const struct space *s, int n)
{
    assert(type == F32 || type == BF16);
    FAIL_IF(n > MAX_SPACES, E_MODEL, "a graph has at most %d row spaces, not %d", MAX_SPACES, n);
    graph *g = calloc(1, sizeof *g);
    FAIL_IF(!g, E_MEMORY, "no memory for a graph");
    *g = (graph){ .weights = w, .phase = phase, .type = type, .scope = "", .n_rows = n };
    for (int i = 0; i < n; i++)
        g->rows[i] = (struct rows){ .g = g, .name = arena_copy(&g->memory, s[i].name), .capacity = s[i].rows, .seqs = s[i].seqs, .id = i };
    g->next = w->graph;
    *out = w->graph = g;
    return 0;
}

void graph_free(graph *g)
{
    arena_free(&g->memory);
    free(g->node);
    free(g);
}

const char *graph_error(const graph *g) { return g->memory.failed ? "no memory for the graph" : g->error; }
enum phase graph_phase(const graph *g) { return g->phase; }
enum dtype graph_type(const graph *g) { return g->type; }
const struct lora *graph_lora(const graph *g) { return &g->weights->lora; }
struct weights *graph_weights(const graph *g) { return g->weights; }
const char *graph_prefix(const graph *g) { return g->scope; }
void graph_layout(graph *g, enum layout layout) { g->layout = layout; }
enum layout graph_dense_layout(const graph *g) { return g->layout; }

void *graph_fail(graph *g, const char *format, ...)
{
    if (g->error) return NULL;                                /* the first error is the one that explains */
    char text[ERROR_TEXT];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    g->error = arena_copy(&g->memory, text);
    return NULL;
}

/* ---- names ---- */

struct rows *graph_rows(graph *g, const char *name)
{
    for (int i = 0; i < g->n_rows; i++)
        if (!strcmp(g->rows[i].name, name)) return g->rows[i].capacity ? &g->rows[i] : NULL;
    return NULL;
}

void graph_scope(graph *g, const char *format, ...)
{
    char text[128];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const char *scope = arena_copy(&g->memory, text);
    g->scope = scope ? scope : "";
}

uint64_t graph_stream(const graph *g, const char *name)
{
    char text[256];
    snprintf(text, sizeof text, "%s%s", g->scope, name);
    return rng_hash(text);
}

tensor *graph_add(graph *g, enum kind kind, const char *name)
{
    if (g->n == g->room) {
        int room = g->room ? 2 * g->room : 64;
        tensor **node = realloc(g->node, (size_t)room * sizeof *node);
        if (!node) return graph_fail(g, "no memory for a graph of %d nodes", room);
        g->node = node;
        g->room = room;
    }
    tensor *t = arena_take(&g->memory, sizeof *t);
    if (!t) return NULL;
    *t = (tensor){ .g = g, .kind = kind, .id = g->n, .op = -1, .type = g->type, .scope = g->scope, .base = t };
    t->name = arena_format(&g->memory, "%s%s", g->scope, name);
    return g->node[g->n++] = t;
}

/* ---- leaves ---- */

enum { NAME_SIZE = 256 };

static const char *scoped(const graph *g, const char *name, char full[NAME_SIZE])
{
    snprintf(full, NAME_SIZE, "%s%s", g->scope, name);
    return full;
}

/* A leaf is made once; asking again by the same name gives the same node. */
static tensor *find(graph *g, enum kind kind, const char *name)
{
    for (int i = 0; i < g->n; i++)
        if (g->node[i]->kind == kind && !strcmp(g->node[i]->name, name)) return g->node[i];
    return NULL;
}

/* A leaf whose name does not depend on the scope. */
static tensor *unscoped(graph *g, enum kind kind, const char *name)
{
    const char *scope = g->scope;
    g->scope = "";
    tensor *t = graph_add(g, kind, name);
    g->scope = scope;
    return t;
}

tensor *t_input(struct rows *r, const char *name, int64_t cols, enum dtype type)
{
    if (!r) return NULL;
    char full[128];
    snprintf(full, sizeof full, "%s.%s", r->name, name);
    tensor *t = find(r->g, K_INPUT, full);
    if (t && (t->cols != cols || t->type != type))
        return graph_fail(r->g, "input %s: asked for as (%lld) %s and as (%lld) %s", full, (long long)t->cols, dtype_name(t->type),
                          (long long)cols, dtype_name(type));
    if (!t && (t = unscoped(r->g, K_INPUT, full))) {
        t->rows = r;
        t->cols = cols;
        t->type = type;
    }
    return t;
}

tensor *t_seqs(struct rows *q, const char *over)
{
    char name[64];
    snprintf(name, sizeof name, over ? "seqs_over_%s" : "seqs", over);
    return t_input(q, name, sizeof(struct seq) / sizeof(int32_t), I32);
}

static tensor *param_leaf(graph *g, const char *name, enum use use, enum layout layout, int64_t in, int n, const struct block *b)
{
    char full[NAME_SIZE];
    struct param *p;
    if (weights_param(&p, g->weights, scoped(g, name, full), use, layout, in, n, b))
        return graph_fail(g, "%s", error_text());
    tensor *t = find(g, K_PARAM, full);
    if (t || !(t = graph_add(g, K_PARAM, name))) return t;
    t->param = p;
    t->out = p->out;
    t->cols = p->in;
    t->type = p->type;
    return t;
}

tensor *t_param(graph *g, const char *name, enum layout layout, int64_t in, int n, const struct block *out)
{
    return param_leaf(g, name, g->weights->use, layout, in, n, out);
}

tensor *t_vector(graph *g, const char *name, int n, const struct block *out)
{
    return param_leaf(g, name, g->weights->use, OUT_IN, 1, n, out);
}

tensor *t_adapter(graph *g, const char *name, int64_t in, int64_t out)
{
    char full[NAME_SIZE];
    return param_leaf(g, name, TRAINED, OUT_IN, in, 1, &(struct block){ scoped(g, name, full), out });
}

tensor *t_state(graph *g, const char *name, int64_t cols)
{
    if (g->phase != INFER) return NULL;
    char full[NAME_SIZE];
    tensor *t = find(g, K_STATE, scoped(g, name, full));
    if (t) return t;
    struct state *s;
    if (weights_state(&s, g->weights, full, cols, g->type == BF16 ? BF16 : g->weights->state_type))
        return graph_fail(g, "%s", error_text());
    if (!(t = graph_add(g, K_STATE, name))) return NULL;
    t->state = s;
    t->cols = cols;
    t->type = s->type;
    return t;
}

tensor *t_cols(tensor *x, int64_t from, int64_t n)
{
    if (!x) return NULL;
    if (from < 0 || n <= 0 || from + n > x->cols || !x->rows)
        return graph_fail(x->g, "%s: columns %lld .. %lld of %lld", x->name, (long long)from, (long long)(from + n), (long long)x->cols);
    if (from == 0 && n == x->cols) return x;
    tensor *t = graph_add(x->g, K_VIEW, "cols");
    if (!t) return NULL;
    t->base = x->base;
    t->from = x->from + from;
    t->rows = x->rows;
    t->cols = n;
    t->type = x->type;
    return t;
}
