/* llamacpp.c -- GGUF files of llama.cpp's architectures as models.  What they ask for that nib does not have is refused by its key or tensor. */
#include "model/llamacpp.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"

/* ---- names ---- */

static const struct family gpt2 = {
    "transformer.h.",
    { { "token_embd.weight", "transformer.wte.weight", 0 }, { "position_embd.weight", "transformer.wpe.weight", 0 }, { "output_norm.weight", "transformer.ln_f.weight", 0 },
      { "output_norm.bias", "transformer.ln_f.bias", 0 }, { "output.weight", "lm_head.weight", 0 } },
    { { "attn_norm.weight", "ln_1.weight", 0 }, { "attn_norm.bias", "ln_1.bias", 0 }, { "attn_qkv.weight", "attn.c_attn.weight", TURNED }, { "attn_qkv.bias", "attn.c_attn.bias", 0 },
      { "attn_output.weight", "attn.c_proj.weight", TURNED }, { "attn_output.bias", "attn.c_proj.bias", 0 }, { "ffn_norm.weight", "ln_2.weight", 0 }, { "ffn_norm.bias", "ln_2.bias", 0 },
      { "ffn_up.weight", "mlp.c_fc.weight", TURNED }, { "ffn_up.bias", "mlp.c_fc.bias", 0 }, { "ffn_down.weight", "mlp.c_proj.weight", TURNED }, { "ffn_down.bias", "mlp.c_proj.bias", 0 } },
};

static const struct family llama = {
    "model.layers.",
    { { "token_embd.weight", "model.embed_tokens.weight", 0 }, { "output_norm.weight", "model.norm.weight", 0 }, { "output.weight", "lm_head.weight", 0 } },
    { { "attn_norm.weight", "input_layernorm.weight", 0 }, { "attn_q.weight", "self_attn.q_proj.weight", OF_Q }, { "attn_k.weight", "self_attn.k_proj.weight", OF_K },
      { "attn_v.weight", "self_attn.v_proj.weight", 0 }, { "attn_q.bias", "self_attn.q_proj.bias", OF_Q }, { "attn_k.bias", "self_attn.k_proj.bias", OF_K },
      { "attn_v.bias", "self_attn.v_proj.bias", 0 }, { "attn_q_norm.weight", "self_attn.q_norm.weight", 0 }, { "attn_k_norm.weight", "self_attn.k_norm.weight", 0 },
      { "attn_output.weight", "self_attn.o_proj.weight", 0 }, { "attn_output.bias", "self_attn.o_proj.bias", 0 }, { "ffn_norm.weight", "post_attention_layernorm.weight", 0 },
      { "ffn_gate.weight", "mlp.gate_proj.weight", 0 }, { "ffn_gate.bias", "mlp.gate_proj.bias", 0 }, { "ffn_up.weight", "mlp.up_proj.weight", 0 }, { "ffn_up.bias", "mlp.up_proj.bias", 0 },
      { "ffn_down.weight", "mlp.down_proj.weight", 0 }, { "ffn_down.bias", "mlp.down_proj.bias", 0 } },
};

#define RMS "attention.layer_norm_rms_epsilon"
const struct architecture llamacpp_architectures[] = {
    { "gpt2", &model_gpt2, &gpt2, "attention.layer_norm_epsilon", 0 }, { "llama", &model_llama, &llama, RMS, 1 }, { "qwen2", &model_qwen2, &llama, RMS, 0 },
    { "qwen3", &model_qwen3, &llama, RMS, 0 }, { 0 },
};

const struct size_key llamacpp_sizes[] = {
    { "context_length", offsetof(struct config, context), 1 }, { "embedding_length", offsetof(struct config, width), 1 }, { "block_count", offsetof(struct config, layers), 1 },
    { "feed_forward_length", offsetof(struct config, hidden), 1 }, { "attention.head_count", offsetof(struct config, heads), 1 },
    { "attention.head_count_kv", offsetof(struct config, kv_heads), 0 }, { "attention.key_length", offsetof(struct config, head_dim), 0 }, { 0 },
};

const char *llamacpp_key(const struct architecture *a, const char *name)
{
    static _Thread_local char text[2][MOST_KEY];
    static _Thread_local int i;
    i = !i;
    snprintf(text[i], MOST_KEY, "%s.%s", a->name, name);
    return text[i];
}

/* ---- its configuration ---- */

struct source { const struct gguf *g; const struct architecture *a; const char *what; };

static const char *key(const struct source *s, const char *name) { return llamacpp_key(s->a, name); }

/* A number of any type, or a truth. */
static int read_number(const struct gguf *g, const char *name, double *value)
{
    int64_t whole;
    int truth;
    if (!gguf_real(g, name, value)) return 0;
    if (!gguf_bool(g, name, &truth)) return *value = truth, 0;
    TRY(gguf_int(g, name, INT64_MIN, INT64_MAX, &whole));
    *value = (double)whole;
    return 0;
}

/* What models may have that nib's do not: any value but the one that means nothing. */
static int refuse_others(const struct source *s)
{
    static const struct { const char *key; double nothing; } others[] = {
        { "expert_count", 0 }, { "attention.causal", 1 }, { "attention.scale", 0 }, { "attention.clamp_kqv", 0 }, { "attention.max_alibi_bias", 0 }, { "logit_scale", 0 },
        { "residual_scale", 0 }, { "embedding_scale", 0 }, { "attn_logit_softcapping", 0 }, { "final_logit_softcapping", 0 }, { "use_parallel_residual", 0 },
    };
    double value = 0, parts = 1;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (!gguf_has(s->g, key(s, others[i].key))) continue;
        TRY(read_number(s->g, key(s, others[i].key), &value));
        FAIL_IF(value != others[i].nothing, E_MODEL, "%s: %s is %g; nib has only models where it is %g", s->what, key(s, others[i].key), value, others[i].nothing);
    }
    if (gguf_has(s->g, "split.count")) TRY(read_number(s->g, "split.count", &parts));
    FAIL_IF(parts > 1, E_MODEL, "%s: it is one of %g parts of a model; llama-gguf-split --merge makes one file of them", s->what, parts);
    return 0;
}

/* Widths that must be those of a head. */
static int check_widths(const struct source *s, const struct config *c)
{
    static const char *const widths[] = { "rope.dimension_count", "attention.value_length" };
    for (size_t i = 0; i < 2; i++) {
        int64_t n = c->head_dim;
        if (gguf_has(s->g, key(s, widths[i]))) TRY(gguf_int(s->g, key(s, widths[i]), 0, INT32_MAX, &n));
        FAIL_IF(n != c->head_dim, E_MODEL, "%s: %s is %lld; nib has only models where it is the width of a head, %lld", s->what, key(s, widths[i]), (long long)n, (long long)c->head_dim);
    }
    return 0;
}

/* Of all layers, which Hugging Face calls mistral. */
static int read_window(const struct source *s, const struct model **m, struct config *c)
{
    const char *name = key(s, "attention.sliding_window");
    if (!gguf_has(s->g, name)) return 0;
    TRY(gguf_int(s->g, name, 0, INT32_MAX, &c->window));
    if (c->window >= c->context) c->window = 0;
    FAIL_IF(c->window && *m != &model_llama, E_MODEL, "%s: %s is %lld, but not which layers have it", s->what, name, (long long)c->window);
    if (c->window) *m = &model_mistral, c->windows = 1;
    return 0;
}

/* Those of the first block are those of all.  A llama with biases of q, k and v alone is what Hugging Face calls qwen2. */
static int read_biases(const struct source *s, const struct model **m, struct config *c)
{
    if (s->a->model == &model_gpt2) {
        int is_erf = 0;
        if (gguf_has(s->g, KEY_BIAS)) TRY(gguf_bool(s->g, KEY_BIAS, &c->bias));
        if (gguf_has(s->g, KEY_GELU_ERF)) TRY(gguf_bool(s->g, KEY_GELU_ERF, &is_erf));
        c->activation = is_erf ? GELU_ERF : GELU_TANH;
        return 0;
    }
    c->qkv_bias = gguf_find(s->g, "blk.0.attn_q.bias") != NULL;
    c->out_bias = gguf_find(s->g, "blk.0.attn_output.bias") != NULL;
    c->mlp_bias = gguf_find(s->g, "blk.0.ffn_up.bias") != NULL;
    if (*m == &model_llama && c->qkv_bias && !c->out_bias && !c->mlp_bias) *m = &model_qwen2;
    int fits = *m == &model_llama ? c->qkv_bias == c->out_bias : !c->mlp_bias && c->out_bias == (*m == &model_qwen3 && c->qkv_bias);
    FAIL_IF(!fits || (*m == &model_qwen2 && !c->qkv_bias) || (*m == &model_mistral && c->qkv_bias), E_MODEL, "%s: no %s model has biases of %s and of no other layer", s->what, (*m)->name,
            c->qkv_bias ? "q, k and v" : c->out_bias ? "attn_output" : c->mlp_bias ? "the MLP" : "norms");
    return 0;
}

static int is_same(const struct file_tensor *a, const struct file_tensor *b) { return a->type == b->type && a->size == b->size && !memcmp(a->data, b->data, a->size); }

static int read_tables(const struct source *s, struct config *c)
{
    const struct file_tensor *table = gguf_find(s->g, "token_embd.weight"), *head = gguf_find(s->g, "output.weight");
    const struct gguf_bytes *tokens;
    size_t n;
    FAIL_IF(!table || table->n_dims != 2, E_DATA, "%s: it has no token_embd.weight", s->what);
    c->vocab = table->dim[0];
    c->tied = !head || is_same(table, head);
    if (!gguf_has(s->g, "tokenizer.ggml.tokens")) return 0;
    TRY(gguf_texts(s->g, "tokenizer.ggml.tokens", &tokens, &n));
    FAIL_IF(n != (size_t)c->vocab, E_DATA, "%s: it has %zu tokens, and token_embd.weight %lld rows", s->what, n, (long long)c->vocab);
    return 0;
}

static int read_config(const struct source *s, const struct model **m, struct config *c)
{
    *m = s->a->model;
    *c = (*m)->base;
    TRY(refuse_others(s));
    TRY(read_tables(s, c));
    for (const struct size_key *k = llamacpp_sizes; k->key; k++) {
        int64_t n = 0;
        if (k->needed || gguf_has(s->g, key(s, k->key))) TRY(gguf_int(s->g, key(s, k->key), 1, INT32_MAX, &n));
        memcpy((char *)c + k->field, &n, sizeof n);
    }
    TRY(gguf_real(s->g, key(s, s->a->eps), &c->eps));
    c->windows = 0;
    config_fill_in(c);
    if (!(*m)->positions) {
        TRY(read_window(s, m, c));
        TRY(check_widths(s, c));
        TRY(llamacpp_read_scaling(s->g, s->a, c));
    }
    TRY(read_biases(s, m, c));
    int code = config_check(*m, c);
    return code ? error_prefix(code, "%s", s->what) : 0;
}

/* ---- its tensors ---- */

static int add(const struct source *s, struct tensors *set, const struct config *c, const struct file_tensor *t, const char *name, enum change change)
{
    struct file_tensor one = *t;
    one.turned = change == TURNED && one.n_dims == 2;
    if (s->a->by_pairs && (change == OF_Q || change == OF_K)) TRY(rotary_halves(&one, change == OF_Q ? c->heads : c->kv_heads, tensors_memory(set)));
    one.name = name;
    FAIL_IF(!name, E_MEMORY, "%s: no memory for the names of weights", s->what);
    return tensors_add(set, &one);
}

static const struct name *find_name(const struct name *list, const char *theirs)
{
    while (list->theirs && strcmp(list->theirs, theirs)) list++;
    return list->theirs ? list : NULL;
}

/* "blk.3.attn_q.weight": the block's number, and what follows it. */
static const char *behind_block(const char *name, unsigned *block)
{
    int n = 0;
    return sscanf(name, "blk.%4u.%n", block, &n) == 1 && n ? name + n : NULL;
}

static int add_all(const struct source *s, struct tensors *set, const struct config *c)
{
    const struct family *f = s->a->family;
    for (size_t i = 0; i < gguf_count(s->g); i++) {
        const struct file_tensor *t = gguf_at(s->g, i);
        unsigned block = 0;
        const char *rest = behind_block(t->name, &block);
        const struct name *n = rest ? find_name(f->in_block, rest) : find_name(f->all, t->name);
        if (!n && !strcmp(t->name, ROPE_DIVISORS) && !s->a->model->positions) continue;
        FAIL_IF(!n, E_MODEL, "%s: tensor %s belongs to no %s model that is known here", s->what, t->name, s->a->name);
        TRY(add(s, set, c, t, rest ? arena_format(tensors_memory(set), "%s%u.%s", f->block, block, n->ours) : n->ours, n->change));
    }
    return tensors_settle(set, s->what);
}

/* ---- the whole ---- */

static int find_architecture(struct source *s)
{
    const char *name, *type = "model";
    char all[128] = "";
    TRY(gguf_text(s->g, "general.architecture", &name));
    if (gguf_has(s->g, "general.type")) TRY(gguf_text(s->g, "general.type", &type));
    FAIL_IF(strcmp(type, "model"), E_MODEL, "%s: its general.type is %.50s, which is no model", s->what, type);
    for (s->a = llamacpp_architectures; s->a->name && strcmp(s->a->name, name); s->a++) snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", *all ? ", " : "", s->a->name);
    FAIL_IF(!s->a->name, E_MODEL, "%s: architecture %.50s is not one of nib's (%s)", s->what, name, all);
    return 0;
}

static int read_all(struct model_files *f, struct source *s)
{
    TRY(find_architecture(s));
    TRY(read_config(s, &f->model, &f->config));
    return add_all(s, gguf_set(s->g), &f->config);
}

int llamacpp_describe(const struct model **m, struct config *c, const char *path)
{
    struct gguf *g;
    TRY(gguf_open(&g, path));
    struct source s = { .g = g, .what = path };
    int failed = find_architecture(&s);
    if (!failed) failed = read_config(&s, m, c);
    gguf_close(g);
    return failed;
}

/* The file's names, and what is made of them, live as long as the set. */
static int take_over(struct model_files *f, struct gguf *g, const char *what)
{
    struct source s = { .g = g, .what = what };
    int failed = read_all(f, &s);
    f->tensors = gguf_release(g);
    if (failed) model_close(f);
    return failed;
}

int llamacpp_parse(struct model_files *f, const uint8_t *bytes, size_t size, const char *what)
{
    struct gguf *g;
    *f = (struct model_files){ 0 };
    TRY(gguf_parse(&g, bytes, size, what));
    return take_over(f, g, what);
}

int llamacpp_open(struct model_files *f, const char *path) { return llamacpp_parse(f, NULL, 0, path); }

#ifdef FUZZ_LLAMACPP
#include <stdlib.h>

enum { FEW_LAYERS = 3 };                                     /* more are the same once more */

/* What is accepted can be planned and loaded, or is refused. */
static int load(struct weights *w, const struct model_files *f)
{
    static const struct space text = { "text", 4, 1 };
    graph *g;
    struct plan *p;
    TRY(config_fits(&f->config, text.rows));
    TRY(graph_open(&g, w, EVAL, F32, &text, 1));
    tensor *losses = f->model->build(g, &f->config);
    TRY(plan_new(&p, g, &losses, 1, &(struct plan_options){ 0 }));
    TRY(model_check_weights(w, f->model, f->tensors, "fuzz"));
    TRY(weights_place(w));
    return model_load_weights(w, f->model, f->tensors, "fuzz");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct model_files f;
    struct weights *w;
    if (llamacpp_parse(&f, data, size, "fuzz")) return 0;
    if (config_check(f.model, &f.config)) abort();
    if (f.config.layers <= FEW_LAYERS && !weights_new(&w, &null_backend, TRAINED)) {
        load(w, &f);
        weights_free(w);
    }
    model_close(&f);
    return 0;
}
#endif
