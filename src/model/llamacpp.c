/* llamacpp.c -- GGUF files of llama.cpp's architectures as models: their keys, and their names of tensors.
 *
 * Two things differ from Hugging Face's files.  GPT-2's dense layers are (out, in), and so they are used.  Architecture llama turns neighbouring
 * pairs (2j, 2j + 1) of a head by position where Hugging Face turns (j, j + D / 2): rows of q and k lie in that order, and go back. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "file/gguf.h"
#include "model/model.h"

enum { MOST_NAME = 96 };

enum change { AS_IT_IS, TURNED, OF_Q, OF_K };
struct name { const char *theirs, *ours; enum change change; };

/* of all; then of a block: theirs begin with blk.N., ours with .block, N and a dot */
struct family { const char *block; struct name all[5], in_block[20]; };

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
      { "attn_v.weight", "self_attn.v_proj.weight", 0 }, { "attn_output.weight", "self_attn.o_proj.weight", 0 }, { "ffn_norm.weight", "post_attention_layernorm.weight", 0 },
      { "ffn_gate.weight", "mlp.gate_proj.weight", 0 }, { "ffn_up.weight", "mlp.up_proj.weight", 0 }, { "ffn_down.weight", "mlp.down_proj.weight", 0 } },
};

static const struct architecture { const char *name; const struct model *model; const struct family *family; const char *eps; } architectures[] = {
    { "gpt2", &model_gpt2, &gpt2, "attention.layer_norm_epsilon" }, { "llama", &model_llama, &llama, "attention.layer_norm_rms_epsilon" },
};

/* ---- its configuration ---- */

struct source { const struct gguf *g; const struct architecture *a; const char *what; };

/* "llama.block_count"; two may be held at once. */
static const char *key(const struct source *s, const char *name)
{
    static _Thread_local char text[2][MOST_NAME];
    static _Thread_local int i;
    i = !i;
    snprintf(text[i], MOST_NAME, "%s.%s", s->a->name, name);
    return text[i];
}

static const struct { const char *key; size_t field; int needed; } sizes[] = {
    { "context_length", offsetof(struct config, context), 1 }, { "embedding_length", offsetof(struct config, width), 1 }, { "block_count", offsetof(struct config, layers), 1 },
    { "feed_forward_length", offsetof(struct config, hidden), 1 }, { "attention.head_count", offsetof(struct config, heads), 1 },
    { "attention.head_count_kv", offsetof(struct config, kv_heads), 0 }, { "attention.key_length", offsetof(struct config, head_dim), 0 },
};

static int refuse_scaling(const struct source *s)
{
    const char *type = "none";
    if (gguf_has(s->g, key(s, "rope.scaling.type"))) TRY(gguf_text(s->g, key(s, "rope.scaling.type"), &type));
    FAIL_IF(strcmp(type, "none") || gguf_find(s->g, "rope_freqs.weight"), E_MODEL, "%s: its rotary positions are scaled (%s), which is not read yet", s->what, type);
    return 0;
}

static int read_config(const struct source *s, struct config *c)
{
    const struct file_tensor *table = gguf_find(s->g, "token_embd.weight");
    *c = s->a->model->base;
    c->bias = s->a->model == &model_gpt2;
    c->activation = GELU_TANH;
    c->theta = 10000;
    c->tied = !gguf_find(s->g, "output.weight");
    FAIL_IF(!table || table->n_dims != 2, E_DATA, "%s: it has no token_embd.weight", s->what);
    c->vocab = table->dim[0];
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int64_t n = 0;
        if (sizes[i].needed || gguf_has(s->g, key(s, sizes[i].key))) TRY(gguf_int(s->g, key(s, sizes[i].key), 1, INT32_MAX, &n));
        memcpy((char *)c + sizes[i].field, &n, sizeof n);
    }
    TRY(gguf_real(s->g, key(s, s->a->eps), &c->eps));
    if (gguf_has(s->g, key(s, "rope.freq_base"))) TRY(gguf_real(s->g, key(s, "rope.freq_base"), &c->theta));
    TRY(refuse_scaling(s));
    config_fill_in(c);
    return config_check(s->a->model, c);
}

/* ---- its tensors ---- */

static int add(const struct source *s, struct tensors *set, const struct config *c, const struct file_tensor *t, const char *name, enum change change)
{
    struct file_tensor one = *t;
    one.turned = change == TURNED && one.n_dims == 2;
    if (change == OF_Q || change == OF_K) TRY(rotary_halves(&one, change == OF_Q ? c->heads : c->kv_heads, tensors_memory(set)));
    one.name = name;
    FAIL_IF(!name, E_MEMORY, "%s: no memory for the names of weights", s->what);
    return tensors_add(set, &one);
}

static const struct name *find_name(const struct name *list, size_t n, const char *theirs)
{
    for (size_t i = 0; i < n && list[i].theirs; i++)
        if (!strcmp(list[i].theirs, theirs)) return &list[i];
    return NULL;
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
        const struct name *n = rest ? find_name(f->in_block, 20, rest) : find_name(f->all, 5, t->name);
        FAIL_IF(!n, E_MODEL, "%s: tensor %s belongs to no %s model that is known here", s->what, t->name, s->a->name);
        TRY(add(s, set, c, t, rest ? arena_format(tensors_memory(set), "%s%u.%s", f->block, block, n->ours) : n->ours, n->change));
    }
    return tensors_settle(set, s->what);
}

/* ---- the whole ---- */

static int find_architecture(struct source *s)
{
    const char *name;
    TRY(gguf_text(s->g, "general.architecture", &name));
    size_t i = 0, n = sizeof architectures / sizeof *architectures;
    while (i < n && strcmp(architectures[i].name, name)) i++;
    FAIL_IF(i == n, E_MODEL, "%s: architecture %.50s; nib has gpt2 and llama", s->what, name);
    s->a = &architectures[i];
    return 0;
}

static int read_all(struct model_files *f, struct source *s)
{
    TRY(find_architecture(s));
    f->model = s->a->model;
    TRY(read_config(s, &f->config));
    return add_all(s, gguf_set(s->g), &f->config);
}

int llamacpp_describe(const struct model **m, struct config *c, const char *path)
{
    struct gguf *g;
    TRY(gguf_open(&g, path));
    struct source s = { .g = g, .what = path };
    int failed = find_architecture(&s);
    if (!failed) failed = read_config(&s, c);
    if (!failed) *m = s.a->model;
    gguf_close(g);
    return failed;
}

int llamacpp_open(struct model_files *f, const char *path)
{
    struct gguf *g;
    TRY(gguf_open(&g, path));
    struct source s = { .g = g, .what = path };
    int code = read_all(f, &s);
    f->tensors = gguf_release(g);
    return code;
}
