/* gpt.c -- GPT-2 (Radford et al. 2019) with nanoGPT's options.  N packed rows, C width, V vocabulary. */
#include "model/model.h"
#include "model/nn.h"

static tensor *attend(tensor *x, const struct config *c)
{
    int64_t C = c->width;
    struct heads h = { .q = (int)c->heads, .kv = (int)c->heads, .dim = (int)c->head_dim, .causal = 1, .drop = { .p = (float)c->dropout } };
    tensor *qkv = nn_dense(x, 3 * C, c->bias, "attn.c_attn");              /* (N, 3C) */
    tensor *q = t_cols(qkv, 0, C), *k = t_cols(qkv, C, C), *v = t_cols(qkv, 2 * C, C);
    x = nn_attention(q, k, v, h, "attn");                                  /* (N, C) */
    x = nn_dense(x, C, c->bias, "attn.c_proj");
    return nn_drop(x, (float)c->dropout, "attn.drop");
}

static tensor *mlp(tensor *x, const struct config *c)
{
    x = nn_dense(x, c->hidden, c->bias, "mlp.c_fc");                       /* (N, 4C) */
    x = t_gelu(x, c->gelu_tanh);
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
        x = t_add(x, attend(nn_layernorm(x, c->bias, (float)c->eps, "ln_1"), c));
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

#define FIELD(name) offsetof(struct config, name)
static const struct key keys[] = {
    { "vocab_size", KEY_INT, FIELD(vocab), NULL, { 0 } },
    { "n_positions", KEY_INT, FIELD(context), NULL, { 0 } },
    { "n_embd", KEY_INT, FIELD(width), NULL, { 0 } },
    { "n_layer", KEY_INT, FIELD(layers), NULL, { 0 } },
    { "n_head", KEY_INT, FIELD(heads), NULL, { 0 } },
    { "n_inner", KEY_INT, FIELD(hidden), "0", { 0 } },                     /* 0: four times the width */
    { "activation_function", KEY_TEXT, FIELD(gelu_tanh), "\"gelu_new\"", { "gelu", "gelu_new", "gelu_pytorch_tanh" } },
    { "layer_norm_epsilon", KEY_REAL, FIELD(eps), "1e-5", { 0 } },
    { "resid_pdrop", KEY_REAL, FIELD(dropout), "0.1", { 0 } },
    { "embd_pdrop", KEY_REAL, FIELD(dropout), "0.1", { 0 } },
    { "attn_pdrop", KEY_REAL, FIELD(dropout), "0.1", { 0 } },
    { "tie_word_embeddings", KEY_BOOL, FIELD(tied), "true", { 0 } },
    { "scale_attn_weights", KEY_FIXED, 0, "true", { 0 } },
    { "scale_attn_by_inverse_layer_idx", KEY_FIXED, 0, "false", { 0 } },
    { "add_cross_attention", KEY_FIXED, 0, "false", { 0 } },
    { "nib.bias", KEY_BOOL, FIELD(bias), "true", { 0 } },
    { 0 },
};

const struct model model_gpt2 = {
    .name = "gpt2", .build = gpt, .init = init, .keys = keys, .prefix = "transformer.", .files_have_biases = 1, .table = "wte.weight", .positions = "wpe.weight",
    .constants = "{\"architectures\": [\"GPT2LMHeadModel\"], \"initializer_range\": 0.02, \"torch_dtype\": \"float32\"}",
};
