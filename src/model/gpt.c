/* gpt.c -- GPT-2 (Radford et al. 2019) with nanoGPT's options.  N packed rows, C width, V vocabulary. */
#include <math.h>

#include "model/model.h"
#include "model/nn.h"

/* 0: as usual, 1 / sqrt(head_dim). */
static float score_scale(const struct config *c, int layer)
{
    double scale = c->unscaled ? 1 : 1 / sqrt((double)c->head_dim);
    return c->unscaled || c->by_layer ? (float)(scale / (c->by_layer ? layer + 1 : 1)) : 0;
}

static tensor *attend(tensor *x, const struct config *c, int layer)
{
    int64_t C = c->width;
    struct heads h = { .q = (int)c->heads, .kv = (int)c->heads, .dim = (int)c->head_dim, .causal = 1, .scale = score_scale(c, layer), .drop = { .p = (float)c->dropout } };
    tensor *qkv = nn_dense(x, 3 * C, c->bias, "attn.c_attn");              /* (N, 3C) */
    tensor *q = t_cols(qkv, 0, C), *k = t_cols(qkv, C, C), *v = t_cols(qkv, 2 * C, C);
    x = nn_attention(q, k, v, h, "attn");                                  /* (N, C) */
    x = nn_dense(x, C, c->bias, "attn.c_proj");
    return nn_drop(x, (float)c->dropout, "attn.drop");
}

static tensor *mlp(tensor *x, const struct config *c)
{
    x = nn_dense(x, c->hidden, c->bias, "mlp.c_fc");                       /* (N, 4C) */
    x = c->activation == RELU ? t_relu(x) : t_gelu(x, c->activation == GELU_TANH);
    x = nn_dense(x, c->width, c->bias, "mlp.c_proj");
    return nn_drop(x, (float)c->dropout, "mlp.drop");
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
    x = nn_drop(t_add(x, p), (float)c->dropout, "drop");
    for (int l = 0; l < c->layers; l++) {
        graph_scope(g, "h.%d.", l);
        x = t_add(x, attend(nn_layernorm(x, c->bias, (float)c->eps, "ln_1"), c, l));
        x = t_add(x, mlp(nn_layernorm(x, c->bias, (float)c->eps, "ln_2"), c));
    }
    graph_scope(g, "%s", "");
    x = nn_layernorm(x, c->bias, (float)c->eps, "ln_f");
    return nn_head(x, c->tied ? wte : nn_table(g, c->vocab, c->width, "lm_head.weight"), NULL);
}

static const struct init init[] = {
    { "*.bias", START_ZEROS, 0, 0 },
    { "*ln_*.weight", START_ONES, 0, 0 },
    { "*.c_proj.weight", START_NORMAL, 0.02f, 1 },                         /* onto the residual stream */
    { "*", START_NORMAL, 0.02f, 0 },
    { 0 },
};

static const struct word activations[] = {
    { "gelu_new", GELU_TANH }, { "gelu_pytorch_tanh", GELU_TANH }, { "gelu_fast", GELU_TANH }, { "gelu_accurate", GELU_TANH }, { "gelu_python_tanh", GELU_TANH },
    { "gelu", GELU_ERF }, { "gelu_python", GELU_ERF }, { "relu", RELU }, { 0 },
};

static const struct key keys[] = {
    K_INT("vocab_size", vocab, NULL),
    K_INT("n_positions", context, NULL),
    K_INT("n_embd", width, NULL),
    K_INT("n_layer", layers, NULL),
    K_INT("n_head", heads, NULL),
    K_INT("n_inner", hidden, "0"),                                         /* 0: four times the width */
    K_WORD("activation_function", activation, "\"gelu_new\"", activations),
    K_REAL("layer_norm_epsilon", eps, "1e-5"),
    K_REAL("resid_pdrop", dropout, "0.1"),
    K_REAL("embd_pdrop", dropout, "0.1"),
    K_REAL("attn_pdrop", dropout, "0.1"),
    K_BOOL("tie_word_embeddings", tied, "true"),
    K_NOT("scale_attn_weights", unscaled, "true"),
    K_BOOL("scale_attn_by_inverse_layer_idx", by_layer, "false"),          /* reorder_and_upcast_attn only says how to round */
    K_FIXED("add_cross_attention", "false"),
    K_FIXED("quantization_config", "null"),
    K_BOOL("nib.bias", bias, "true"),
    { 0 },
};

const struct model model_gpt2 = {
    .name = "gpt2", .build = gpt, .init = init, .keys = { keys }, .prefix = "transformer.", .files_have_biases = 1, .table = "wte.weight",
    .dense = "attn.c_attn,attn.c_proj,mlp.c_fc,mlp.c_proj", .adapted = "c_attn", .layout = IN_OUT, .positions = "wpe.weight",
    .base = { .tied = 1, .eps = 1e-5, .bias = 1, .activation = GELU_TANH },
    .constants = "{\"architectures\": [\"GPT2LMHeadModel\"], \"initializer_range\": 0.02, \"torch_dtype\": \"float32\"}",
};
