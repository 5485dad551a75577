/* gpt.c -- GPT-2 (Radford et al. 2019) with nanoGPT's options.  N packed rows, C width, V vocabulary. */
#include "model/model.h"
#include "model/nn.h"

static tensor *attend(tensor *x, const struct config *c)
{
    int64_t C = c->width;
    struct heads h = { .q = c->heads, .kv = c->heads, .dim = c->width / c->heads, .causal = 1, .drop = { .p = c->dropout } };
    tensor *qkv = nn_dense(x, 3 * C, c->bias, "attn.c_attn");              /* (N, 3C) */
    tensor *q = t_cols(qkv, 0, C), *k = t_cols(qkv, C, C), *v = t_cols(qkv, 2 * C, C);
    x = nn_attention(q, k, v, h, "attn");                                  /* (N, C) */
    x = nn_dense(x, C, c->bias, "attn.c_proj");
    return nn_drop(x, c->dropout, "attn.drop");
}

static tensor *mlp(tensor *x, const struct config *c)
{
    x = nn_dense(x, c->hidden, c->bias, "mlp.c_fc");                       /* (N, 4C) */
    x = t_gelu(x, c->gelu_tanh);
    x = nn_dense(x, c->width, c->bias, "mlp.c_proj");
    return nn_drop(x, c->dropout, "mlp.drop");
}

/* TRAIN, EVAL: losses (N, 1).  INFER: logits (wanted, V). */
static tensor *gpt(graph *g, const struct config *c)
{
    graph_layout(g, IN_OUT);                                               /* Hugging Face's Conv1D */
    struct rows *text = graph_rows(g, "text");
    tensor *wte = nn_table(g, c->vocab, c->width, "wte.weight");           /* (V, C) */
    tensor *wpe = nn_table(g, c->context, c->width, "wpe.weight");         /* (T, C) */
    tensor *ids = t_input(text, "ids", 1, I32), *pos = t_input(text, "pos", 1, I32);

    tensor *x = t_embed(ids, wte), *p = t_embed(pos, wpe);
    x = nn_drop(t_add(x, p), c->dropout, "drop");
    for (int l = 0; l < c->layers; l++) {
        graph_scope(g, "h.%d.", l);
        x = t_add(x, attend(nn_layernorm(x, c->bias, c->eps, "ln_1"), c));
        x = t_add(x, mlp(nn_layernorm(x, c->bias, c->eps, "ln_2"), c));
    }
    graph_scope(g, "%s", "");
    x = nn_layernorm(x, c->bias, c->eps, "ln_f");
    return nn_head(x, c->tied ? wte : nn_table(g, c->vocab, c->width, "lm_head.weight"), NULL);
}

static const struct init init[] = {
    { "*.bias", START_ZEROS, 0, 0 },
    { "*ln_*.weight", START_ONES, 0, 0 },
    { "*.c_proj.weight", START_NORMAL, 0.02f, 1 },                         /* onto the residual stream */
    { "*", START_NORMAL, 0.02f, 0 },
    { 0 },
};

const struct model model_gpt2 = { .name = "gpt2", .build = gpt, .init = init };
