/* encdec.h -- the Transformer of Vaswani et al. 2017, post-norm and tied three ways, as a page for the tests of the core.
 * TRAIN, EVAL: spaces source and target.  INFER: two graphs; source alone fills the cross states, target alone decodes. */
#ifndef ENCDEC_H
#define ENCDEC_H
#include <math.h>

#include "model/model.h"
#include "model/nn.h"

static tensor *encdec_self(tensor *x, const struct config *c, int causal)
{
    int64_t C = c->width;
    struct heads h = { .q = c->heads, .kv = c->heads, .dim = c->width / c->heads, .causal = causal, .drop = { .p = c->dropout } };
    const struct block parts[] = { { "self.q", C }, { "self.k", C }, { "self.v", C } };
    tensor *p[3];
    nn_split(x, 0, "self.qkv", 3, parts, p);
    tensor *y = nn_dense(nn_attention(p[0], p[1], p[2], h, "self"), C, 0, "self.o");
    y = t_add(x, nn_drop(y, c->dropout, "self.drop"));
    return nn_layernorm(y, 1, c->eps, "self.norm");
}

/* x (target rows) looks at memory (source rows); memory NULL: at what the encoder left in the state */
static tensor *encdec_cross(tensor *x, tensor *memory, const struct config *c)
{
    int64_t C = c->width;
    struct heads h = { .q = c->heads, .kv = c->heads, .dim = c->width / c->heads };
    const struct block parts[] = { { "cross.k", C }, { "cross.v", C } };
    tensor *p[2] = { NULL, NULL };
    if (memory) nn_split(memory, 0, "cross.kv", 2, parts, p);
    if (!x) return nn_store(p[0], p[1], "cross");
    tensor *q = nn_dense(x, C, 0, "cross.q");
    tensor *y = nn_dense(nn_attention(q, p[0], p[1], h, "cross"), C, 0, "cross.o");
    y = t_add(x, nn_drop(y, c->dropout, "cross.drop"));
    return nn_layernorm(y, 1, c->eps, "cross.norm");
}

static tensor *encdec_feed(tensor *x, const struct config *c)
{
    tensor *y = t_relu(nn_dense(x, c->hidden, 1, "fc"));
    y = nn_drop(nn_dense(y, c->width, 1, "proj"), c->dropout, "drop");
    return nn_layernorm(t_add(x, y), 1, c->eps, "norm");
}

static tensor *encdec_enter(struct rows *r, tensor *table, tensor *places, const struct config *c)
{
    if (!r) return NULL;
    tensor *ids = t_input(r, "ids", 1, I32), *pos = t_input(r, "pos", 1, I32);
    tensor *x = t_embed(ids, table), *p = t_embed(pos, places);
    x = t_scale(x, sqrtf((float)c->width));
    return nn_drop(t_add(x, p), c->dropout, r->name);
}

static tensor *encdec(graph *g, const struct config *c)
{
    tensor *table = nn_table(g, c->vocab, c->width, "shared.weight"), *places = nn_table(g, c->context, c->width, "positions");
    tensor *m = encdec_enter(graph_rows(g, "source"), table, places, c);
    for (int l = 0; m && l < c->layers; l++) {
        graph_scope(g, "encoder.%d.", l);
        m = encdec_feed(encdec_self(m, c, 0), c);
    }
    tensor *x = encdec_enter(graph_rows(g, "target"), table, places, c), *last = NULL;
    for (int l = 0; l < c->layers; l++) {
        graph_scope(g, "decoder.%d.", l);
        if (x) x = encdec_self(x, c, 1);
        last = encdec_cross(x, m, c);
        if (x) x = encdec_feed(last, c);
    }
    graph_scope(g, "%s", "");
    return x ? nn_head(x, table, NULL) : last;
}

#endif
