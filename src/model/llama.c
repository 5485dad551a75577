/* llama.c -- RMSNorm, rotary positions, grouped-query attention, SwiGLU (Touvron et al. 2023): Llama, Mistral, Qwen2 and Qwen3.
 * N packed rows, H query heads, K key/value heads of width D, I width of the MLP. */
#include "model/model.h"
#include "model/nn.h"

static tensor *attend(tensor *x, const struct config *c, int layer)
{
    int D = (int)c->head_dim;
    struct heads h = { .q = (int)c->heads, .kv = (int)c->kv_heads, .dim = D, .causal = 1, .window = layer < c->full_layers ? 0 : (int)c->window,
                       .drop = { .p = (float)c->dropout } };
    const struct block parts[] = { { "self_attn.q_proj", (int64_t)h.q * D }, { "self_attn.k_proj", (int64_t)h.kv * D }, { "self_attn.v_proj", (int64_t)h.kv * D } };
    tensor *p[3];
    nn_split(x, c->qkv_bias, "self_attn.qkv", 3, parts, p);                /* q (N, HD), k and v (N, KD) */
    tensor *q = c->qk_norm ? nn_headnorm(p[0], D, (float)c->eps, "self_attn.q_norm") : p[0];
    tensor *k = c->qk_norm ? nn_headnorm(p[1], D, (float)c->eps, "self_attn.k_norm") : p[1];
    struct rope turn = config_rope(c);
    q = nn_rope(q, turn);
    k = nn_rope(k, turn);
    x = nn_attention(q, k, p[2], h, "self_attn");                          /* (N, HD) */
    return nn_dense(x, c->width, c->out_bias, "self_attn.o_proj");
}

static tensor *mlp(tensor *x, const struct config *c)
{
    const struct block parts[] = { { "mlp.gate_proj", c->hidden }, { "mlp.up_proj", c->hidden } };
    tensor *p[2];
    nn_split(x, c->mlp_bias, "mlp.gate_up", 2, parts, p);                  /* (N, I) each */
    tensor *y = t_swiglu(p[0], p[1]);
    return nn_dense(y, c->width, c->mlp_bias, "mlp.down_proj");
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
        x = t_add(x, attend(nn_rmsnorm(x, (float)c->eps, "input_layernorm"), c, l));
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

/* ---- config.json: what the four have in common, then each one's own; what is absent is what transformers then takes ---- */

static const struct key common[] = {
    K_INT("vocab_size", vocab, NULL),
    K_INT("max_position_embeddings", context, NULL),
    K_INT("hidden_size", width, NULL),
    K_INT("intermediate_size", hidden, NULL),
    K_INT("num_hidden_layers", layers, NULL),
    K_INT("num_attention_heads", heads, NULL),
    K_REAL("rms_norm_eps", eps, "1e-6"),
    K_REAL("attention_dropout", dropout, "0.0"),
    K_BOOL("tie_word_embeddings", tied, "false"),
    K_FIXED("hidden_act", "\"silu\""),
    K_FIXED("partial_rotary_factor", "1.0"),
    K_FIXED("quantization_config", "null"),
    { 0 },
};

static const struct key llama_keys[] = {
    K_INT("num_key_value_heads", kv_heads, "0"),                           /* 0: as many as heads */
    K_INT("head_dim", head_dim, "0"),                                      /* 0: width / heads */
    K_BOOL("attention_bias", qkv_bias, "false"),
    K_BOOL("attention_bias", out_bias, "false"),
    K_BOOL("mlp_bias", mlp_bias, "false"),
    { 0 },
};

static const struct key mistral_keys[] = {
    K_INT("num_key_value_heads", kv_heads, "8"),
    K_INT("head_dim", head_dim, "0"),
    K_INT("sliding_window", window, "4096"),
    { 0 },
};

static const struct key qwen2_keys[] = {
    K_INT("num_key_value_heads", kv_heads, "32"),
    K_INT("head_dim", head_dim, "0"),
    K_BOOL("use_sliding_window", windows, "false"),
    K_INT("sliding_window", window, "4096"),
    K_COUNT("max_window_layers", full_layers, "28"),
    { "layer_types", KEY_LAYERS, K_FIELD(full_layers), "", NULL, 0 },
    { 0 },
};

static const struct key qwen3_keys[] = {
    K_INT("num_key_value_heads", kv_heads, "32"),
    K_INT("head_dim", head_dim, "128"),
    K_BOOL("attention_bias", qkv_bias, "false"),
    K_BOOL("attention_bias", out_bias, "false"),
    K_BOOL("use_sliding_window", windows, "false"),
    K_INT("sliding_window", window, "4096"),
    K_COUNT("max_window_layers", full_layers, "28"),
    { "layer_types", KEY_LAYERS, K_FIELD(full_layers), "", NULL, 0 },
    { 0 },
};

#define FAMILY(type, class, own, ...)                                                                                            \
    {                                                                                                                            \
        .name = type, .build = llama, .init = init, .keys = { common, own, rotary_keys }, .prefix = "", .table = "model.embed_tokens.weight", \
        .base = { .tied = 1, .eps = 1e-5, .theta = 1e4, .windows = 1, __VA_ARGS__ },                                             \
        .dense = "q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj", .adapted = "q_proj,v_proj",                              \
        .constants = "{\"architectures\": [\"" class "\"], \"hidden_act\": \"silu\", \"initializer_range\": 0.02, \"torch_dtype\": \"float32\"}", \
    }
const struct model model_llama = FAMILY("llama", "LlamaForCausalLM", llama_keys, .qkv_bias = 0);
const struct model model_mistral = FAMILY("mistral", "MistralForCausalLM", mistral_keys, .qkv_bias = 0);
const struct model model_qwen2 = FAMILY("qwen2", "Qwen2ForCausalLM", qwen2_keys, .qkv_bias = 1);
const struct model model_qwen3 = FAMILY("qwen3", "Qwen3ForCausalLM", qwen3_keys, .qk_norm = 1);
