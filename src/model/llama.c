/* llama.c -- RMSNorm, rotary positions, grouped-query attention, SwiGLU (Touvron et al. 2023; Llama, Mistral, Qwen).
 * N packed rows, H query heads, K key/value heads of width D. */
#include "model/model.h"
#include "model/nn.h"

static tensor *attend(tensor *x, const struct config *c)
{
    int D = (int)c->head_dim;
    struct heads h = { .q = (int)c->heads, .kv = (int)c->kv_heads, .dim = D, .causal = 1, .window = (int)c->window };
    const struct block parts[] = { { "self_attn.q_proj", (int64_t)h.q * D }, { "self_attn.k_proj", (int64_t)h.kv * D }, { "self_attn.v_proj", (int64_t)h.kv * D } };
    tensor *p[3];
    nn_split(x, c->qkv_bias, "self_attn.qkv", 3, parts, p);                /* q (N, HD), k and v (N, KD) */
    tensor *q = c->qk_norm ? nn_headnorm(p[0], D, (float)c->eps, "self_attn.q_norm") : p[0];
    tensor *k = c->qk_norm ? nn_headnorm(p[1], D, (float)c->eps, "self_attn.k_norm") : p[1];
    struct rope turn = { .dim = D, .theta = (float)c->theta };
    q = nn_rope(q, turn);
    k = nn_rope(k, turn);
    x = nn_attention(q, k, p[2], h, "self_attn");                          /* (N, HD) */
    return nn_dense(x, c->width, 0, "self_attn.o_proj");
}

static tensor *mlp(tensor *x, const struct config *c)
{
    const struct block parts[] = { { "mlp.gate_proj", c->hidden }, { "mlp.up_proj", c->hidden } };
    tensor *p[2];
    nn_split(x, 0, "mlp.gate_up", 2, parts, p);
    tensor *y = t_swiglu(p[0], p[1]);
    return nn_dense(y, c->width, 0, "mlp.down_proj");
}

/* TRAIN, EVAL: losses (N, 1).  INFER: logits (wanted, V). */
static tensor *llama(graph *g, const struct config *c)
{
    struct rows *text = graph_rows(g, "text");
    tensor *table = nn_table(g, c->vocab, c->width, "model.embed_tokens.weight");
    tensor *ids = t_input(text, "ids", 1, I32);
    tensor *x = t_embed(ids, table);
    for (int l = 0; l < c->layers; l++) {
        graph_scope(g, "model.layers.%d.", l);
        x = t_add(x, attend(nn_rmsnorm(x, (float)c->eps, "input_layernorm"), c));
        x = t_add(x, mlp(nn_rmsnorm(x, (float)c->eps, "post_attention_layernorm"), c));
    }
    graph_scope(g, "%s", "");
    x = nn_rmsnorm(x, (float)c->eps, "model.norm");
    return nn_head(x, c->tied ? table : nn_table(g, c->vocab, c->width, "lm_head.weight"), NULL);
}

static const struct init init[] = {
    { "*.bias", START_ZEROS, 0, 0 },
    { "*norm.weight", START_ONES, 0, 0 },
    { "*", START_NORMAL, 0.02f, 0 },
    { 0 },
};

#define FIELD(name) offsetof(struct config, name)
static const struct key keys[] = {
    { "vocab_size", KEY_INT, FIELD(vocab), NULL, { 0 } },
    { "max_position_embeddings", KEY_INT, FIELD(context), NULL, { 0 } },
    { "hidden_size", KEY_INT, FIELD(width), NULL, { 0 } },
    { "intermediate_size", KEY_INT, FIELD(hidden), NULL, { 0 } },
    { "num_hidden_layers", KEY_INT, FIELD(layers), NULL, { 0 } },
    { "num_attention_heads", KEY_INT, FIELD(heads), NULL, { 0 } },
    { "num_key_value_heads", KEY_INT, FIELD(kv_heads), "0", { 0 } },       /* 0: as many as heads */
    { "head_dim", KEY_INT, FIELD(head_dim), "0", { 0 } },                  /* 0: width / heads */
    { "hidden_act", KEY_FIXED, 0, "\"silu\"", { 0 } },
    { "rms_norm_eps", KEY_REAL, FIELD(eps), "1e-6", { 0 } },
    { "rope_theta", KEY_REAL, FIELD(theta), "10000.0", { 0 } },            /* transformers to version 4 */
    { "rope_parameters.rope_theta", KEY_REAL, FIELD(theta), "", { 0 } },   /* and from version 5 */
    { "rope_parameters.rope_type", KEY_FIXED, 0, "\"default\"", { 0 } },
    { "rope_scaling", KEY_FIXED, 0, "null", { 0 } },
    { "attention_bias", KEY_FIXED, 0, "false", { 0 } },
    { "mlp_bias", KEY_FIXED, 0, "false", { 0 } },
    { "tie_word_embeddings", KEY_BOOL, FIELD(tied), "false", { 0 } },
    { 0 },
};

const struct model model_llama = {
    .name = "llama", .build = llama, .init = init, .keys = keys, .prefix = "", .table = "model.embed_tokens.weight",
    .constants = "{\"architectures\": [\"LlamaForCausalLM\"], \"initializer_range\": 0.02, \"torch_dtype\": \"float32\"}",
};
