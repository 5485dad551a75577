/* nn.c -- layers. */
#include "model/nn.h"

#include <stdio.h>
#include <string.h>

#include "graph/graph.h"
#include "model/adapter.h"

enum { MAX_NAME = 192, MAX_BLOCKS = 8 };

/* ---- LoRA (Hu et al. 2021): y + scale * B (A x) ---- */

static tensor *adapt(tensor *x, tensor *y, const char *name)
{
    char full[MAX_NAME], a_name[MAX_NAME], b_name[MAX_NAME];
    if (!y) return NULL;
    const struct lora *l = graph_lora(x->g);
    snprintf(full, sizeof full, "%s%s", graph_prefix(x->g), name);
    const struct low_rank *r = lora_of(l, full);
    if (!r) return y;
    snprintf(a_name, sizeof a_name, "%s.lora_A.weight", name);
    snprintf(b_name, sizeof b_name, "%s.lora_B.weight", name);
    tensor *a = t_adapter(x->g, a_name, x->cols, r->rank), *b = t_adapter(x->g, b_name, r->rank, y->cols);
    if (a && b) a->param->decay = b->param->decay = 1;                             /* matrices also if the rank is 1 */
    tensor *low = t_linear(nn_drop(x, l->dropout, a_name), a, NULL, x->type);      /* (N, rank) */
    low = t_scale(low, r->scale);
    tensor *delta = t_linear(low, b, NULL, y->type);                               /* (N, out) */
    return t_add(y, delta);
}

/* ---- dense ---- */

/* A parameter's blocks bear full names, as files do: scope, layer, ".weight" or ".bias". */
static tensor *param(graph *g, const char *name, const char *kind, int64_t in, enum layout layout, int n, const struct block *b)
{
    char full[MAX_NAME], text[MAX_BLOCKS][MAX_NAME];
    struct block blocks[MAX_BLOCKS];
    if (n > MAX_BLOCKS) return NULL;
    for (int i = 0; i < n; i++) {
        snprintf(text[i], sizeof text[i], "%s%s.%s", graph_prefix(g), b[i].name, kind);
        blocks[i] = (struct block){ text[i], b[i].out };
    }
    snprintf(full, sizeof full, "%s.%s", name, kind);
    return in > 1 ? t_param(g, full, layout, in, n, blocks) : t_vector(g, full, n, blocks);
}

static tensor *product(tensor *x, int bias, const char *name, int n, const struct block *b)
{
    enum layout layout = n == 1 ? graph_dense_layout(x->g) : OUT_IN;
    tensor *w = param(x->g, name, "weight", x->cols, layout, n, b);
    tensor *v = bias ? param(x->g, name, "bias", 1, OUT_IN, n, b) : NULL;
    return t_linear(x, w, v, x->type);
}

tensor *nn_dense(tensor *x, int64_t out, int bias, const char *name)
{
    if (!x) return NULL;
    tensor *y = product(x, bias, name, 1, &(struct block){ name, out });
    return adapt(x, y, name);
}

void nn_split(tensor *x, int bias, const char *name, int n, const struct block *b, tensor **y)
{
    tensor *all = x ? product(x, bias, name, n, b) : NULL;
    int64_t from = 0;
    for (int i = 0; i < n; i++) {
        y[i] = t_cols(all, from, b[i].out);
        y[i] = adapt(x, y[i], b[i].name);
        from += b[i].out;
    }
}

tensor *nn_table(graph *g, int64_t n, int64_t width, const char *name)
{
    char full[MAX_NAME];
    snprintf(full, sizeof full, "%s%s", graph_prefix(g), name);
    return t_param(g, name, OUT_IN, width, 1, &(struct block){ full, n });
}

/* ---- norms, positions, dropout ---- */

static tensor *vector(tensor *x, const char *name, const char *kind, int64_t n)
{
    return param(x->g, name, kind, 1, OUT_IN, 1, &(struct block){ name, n });
}

tensor *nn_layernorm(tensor *x, int bias, float eps, const char *name)
{
    if (!x) return NULL;
    tensor *w = vector(x, name, "weight", x->cols);
    tensor *b = bias ? vector(x, name, "bias", x->cols) : NULL;
    return t_layernorm(x, w, b, eps);
}

tensor *nn_rmsnorm(tensor *x, float eps, const char *name)
{
    return x ? nn_headnorm(x, (int)x->cols, eps, name) : NULL;
}

tensor *nn_headnorm(tensor *x, int dim, float eps, const char *name)
{
    if (!x) return NULL;
    tensor *w = vector(x, name, "weight", dim);
    return t_rmsnorm(x, w, eps);
}

tensor *nn_rope(tensor *x, struct rope r)
{
    if (!x) return NULL;
    tensor *pos = t_input(x->rows, "pos", 1, I32);
    return t_rope(x, pos, r);
}

static tensor *key_of(struct rows *r) { return t_input(r, "key", 1, I64); }

tensor *nn_drop(tensor *x, float p, const char *name)
{
    if (!x || p <= 0 || graph_phase(x->g) != TRAIN) return x;
    tensor *key = key_of(x->rows);
    return t_dropout(x, key, (struct chance){ p, graph_stream(x->g, name) });
}

/* ---- attention ---- */

static int64_t state_width(struct heads h) { return 2 * (int64_t)h.kv * h.dim; }

tensor *nn_attention(tensor *q, tensor *k, tensor *v, struct heads h, const char *name)
{
    if (!q) return NULL;
    tensor *state = h.causal || !k ? t_state(q->g, name, state_width(h)) : NULL;
    tensor *seqs = t_seqs(q->rows, k && k->rows == q->rows ? NULL : name), *key = NULL;
    if (graph_phase(q->g) != TRAIN) h.drop.p = 0;
    if (h.drop.p > 0) {
        h.drop.stream = graph_stream(q->g, name);
        key = key_of(q->rows);
    }
    return t_attention(q, k, v, seqs, state, key, h);
}

tensor *nn_store(tensor *k, tensor *v, const char *name)
{
    if (!k || !v) return NULL;
    tensor *seqs = t_seqs(k->rows, NULL), *state = t_state(k->g, name, k->cols + v->cols);
    return t_store(k, v, seqs, state);
}

/* ---- head ---- */

tensor *nn_head(tensor *x, tensor *w, tensor *b)
{
    if (!x) return NULL;
    struct rows *wanted = graph_rows(x->g, "wanted");
    if (graph_phase(x->g) == TRAIN || (graph_phase(x->g) == EVAL && !wanted)) {
        tensor *targets = t_input(x->rows, "targets", 1, I32);
        return t_head_loss(x, w, b, targets, NULL, (struct loss){ .ignore = -1 });
    }
    if (wanted && wanted != x->rows) {
        tensor *pick = t_input(wanted, "wanted", 1, I32);
        x = t_rows(x, NULL, pick);
    }
    return t_linear(x, w, b, F32);
}
