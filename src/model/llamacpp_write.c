/* llamacpp_write.c -- models as GGUF files: keys, names, the order of rows, and which tensor gets which type.  Recipes are those of llama.cpp's
 * quantizer (src/llama-quant.cpp).  Tensors are made one at a time, as the file is written. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/quantize.h"
#include "model/llamacpp.h"

/* ---- types ---- */

/* number: general.file_type */
static const struct recipe { const char *name; enum dtype type; uint32_t number; } recipes[] = {
    { "f32", F32, 0 }, { "f16", F16, 1 }, { "bf16", BF16, 32 }, { "q8_0", Q8_0, 7 }, { "q4_0", Q4_0, 2 }, { "q4_k_m", Q4_K, 15 },
    { "q5_0", Q5_0, 8 }, { "q5_1", Q5_1, 9 }, { "q5_k_m", Q5_K, 17 }, { "q6_k", Q6_K, 18 },              /* what a model may be already */
};
enum { RECIPES = sizeof recipes / sizeof *recipes };

/* What is written of a tensor `from`, (out, in) columns of `in`; from NULL: values, or zeros. */
struct piece { const struct file_tensor *from; enum change change; const float *values; };

struct writing {
    const struct model_files *f;
    const struct architecture *a;
    const struct recipe *recipe;         /* NULL: matrices keep their types */
    struct weights *weights;             /* which parameters the model has */
    struct file_tensor *t;
    struct piece *piece;
    size_t n;
    struct arena memory;
};

/* The layers that errors hurt most: the first and last eighth, and every third. */
static int wants_more(int64_t layer, int64_t layers) { return layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2; }

static int is_one_of(const char *name, const char *const *list)
{
    while (*list && strcmp(*list, name)) list++;
    return *list != NULL;
}

/* Rows of blocks must be whole blocks. */
static enum dtype that_fits(enum dtype t, int64_t cols)
{
    static const enum dtype smaller[DTYPE_COUNT] = { [Q4_K] = Q5_0, [Q5_K] = Q5_1, [Q6_K] = Q8_0 };
    if (dtype_values(t) == 256 && cols % 256) t = smaller[t];
    return cols % (int64_t)dtype_values(t) ? F16 : t;
}

/* Of a matrix; layer -1: of none. */
static enum dtype type_of(const struct writing *w, const char *theirs, int64_t layer, enum dtype own, int64_t cols)
{
    static const char *const sensitive[] = { "attn_v.weight", "attn_qkv.weight", "ffn_down.weight", NULL };
    if (!strcmp(theirs, "position_embd.weight")) return F32;
    if (!w->recipe) return own == F64 ? F32 : own;
    enum dtype t = w->recipe->type;
    int is_head = !strcmp(theirs, w->f->config.tied ? "token_embd.weight" : "output.weight");
    if (is_head && is_quantized(t) && t != Q8_0) t = cols % (int64_t)dtype_values(t) ? Q8_0 : Q6_K;
    else if (t == Q4_K && is_one_of(theirs, sensitive) && wants_more(layer, w->f->config.layers)) t = Q6_K;
    return that_fits(t, cols);
}

/* ---- which tensors there are ---- */

static void add(struct writing *w, const char *name, enum dtype type, int64_t rows, int64_t cols, struct piece piece)
{
    w->t[w->n] = (struct file_tensor){ .name = name, .type = type, .n_dims = cols ? 2 : 1, .dim = { rows, cols } };
    w->piece[w->n++] = piece;
}

static const struct param *find_param(const struct writing *w, const char *name)
{
    for (const struct param *p = w->weights->param; p; p = p->next)
        for (int i = 0; i < p->n_block; i++)
            if (!strcmp(p->block[i].name, name)) return p;
    return NULL;
}

static int64_t width_of(const struct writing *w, const struct name *n)
{
    const struct config *c = &w->f->config;
    return strstr(n->ours, "c_attn") ? 3 * c->width : strstr(n->ours, "c_fc") ? c->hidden : c->width;
}

/* What a parameter becomes.  GPT-2's files have all biases: those that the model lacks are zeros. */
static int add_param(struct writing *w, const struct name *n, const char *theirs, const char *ours, int64_t layer)
{
    const struct model *m = w->f->model;
    size_t prefix = strlen(m->prefix);
    const char *name = strncmp(ours, m->prefix, prefix) ? ours : ours + prefix;
    FAIL_IF(w->memory.failed, E_MEMORY, "no memory for the names of weights");
    if (!find_param(w, name)) {
        if (m->files_have_biases && path_has_suffix(theirs, ".bias")) add(w, theirs, F32, width_of(w, n), 0, (struct piece){ 0 });
        return 0;
    }
    const struct file_tensor *t = model_find_tensor(m, w->f->tensors, name);
    FAIL_IF(t->type != F32 && t->type != F16 && t->type != BF16 && t->type != F64 && !is_quantized(t->type), E_DATA, "%s: weights of type %s", t->name, dtype_name(t->type));
    int turns = t->n_dims == 2 && (n->change == TURNED) != t->turned;
    int64_t rows = t->dim[turns], cols = t->n_dims == 2 ? t->dim[!turns] : 0;
    if (m->positions && !strcmp(name, m->positions)) rows = w->f->config.context;
    add(w, theirs, cols ? type_of(w, n->theirs, layer, t->type, cols) : F32, rows, cols, (struct piece){ t, n->change, NULL });
    return 0;
}

static int list_all(struct writing *w)
{
    const struct config *c = &w->f->config;
    const struct family *f = w->a->family;
    size_t most = sizeof f->all / sizeof *f->all + (size_t)c->layers * (sizeof f->in_block / sizeof *f->in_block);
    w->t = arena_take(&w->memory, most * sizeof *w->t);
    w->piece = arena_take(&w->memory, most * sizeof *w->piece);
    FAIL_IF(w->memory.failed, E_MEMORY, "no memory for %zu tensors", most);
    for (const struct name *n = f->all; n->theirs; n++) TRY(add_param(w, n, n->theirs, n->ours, -1));
    for (int l = 0; l < c->layers; l++)
        for (const struct name *n = f->in_block; n->theirs; n++)
            TRY(add_param(w, n, arena_format(&w->memory, "blk.%d.%s", l, n->theirs), arena_format(&w->memory, "%s%d.%s", f->block, l, n->ours), l));
    return 0;
}

/* ---- their bytes ---- */

/* Row 2j + i of a head is row i D / 2 + j of Hugging Face's. */
static int64_t source_row(const struct writing *w, enum change change, int64_t row)
{
    int64_t dim = w->f->config.head_dim, in_head = row % dim;
    return w->a->by_pairs && (change == OF_Q || change == OF_K) ? row - in_head + in_head % 2 * dim / 2 + in_head / 2 : row;
}

static int check_range(const float *x, size_t n, enum dtype type, const char *name)
{
    for (size_t i = 0; i < n && (is_quantized(type) || type == F16); i++)
        FAIL_IF(!(fabsf(x[i]) <= 65504), E_DATA, "%s has a value of %g, which %s cannot hold; choose --quantize=bf16 or f32", name, (double)x[i], dtype_name(type));
    return 0;
}

static int convert(const struct writing *w, const struct file_tensor *to, const struct file_tensor *from, enum change change, char *out, float *wide)
{
    int by_rows = to->n_dims == 2 || (w->a->by_pairs && (change == OF_Q || change == OF_K));
    int64_t rows = by_rows ? to->dim[0] : 1;
    size_t cols = (size_t)(to->n_dims == 2 ? to->dim[1] : by_rows ? 1 : to->dim[0]), row = dtype_bytes(from->type, cols);
    for (int64_t r = 0; r < rows; r++, out += dtype_bytes(to->type, cols)) {
        const char *at = (const char *)from->data + (size_t)source_row(w, change, r) * row;
        if (from->type == to->type) {
            memcpy(out, at, row);
            continue;
        }
        numbers_widen(from->type, at, wide, cols);
        TRY(check_range(wide, cols, to->type, to->name));
        numbers_narrow(to->type, wide, out, cols);
    }
    return 0;
}

static int fill_from(const struct writing *w, size_t i, void *buffer, struct arena *memory)
{
    const struct piece *p = &w->piece[i];
    const struct file_tensor *to = &w->t[i];
    struct file_tensor from = *p->from;
    size_t cols = (size_t)to->dim[to->n_dims - 1];
    if (from.n_dims == 2 && (p->change == TURNED) != from.turned) TRY(file_tensor_turn(&from, memory));
    float *wide = arena_take(memory, cols * sizeof *wide);
    FAIL_IF(!wide, E_MEMORY, "no memory for a row of %s", to->name);
    return convert(w, to, &from, p->change, buffer, wide);
}

static int fill(void *writing, size_t i, void *buffer)
{
    const struct writing *w = writing;
    const struct piece *p = &w->piece[i];
    size_t size;
    struct arena memory = { 0 };
    if (!p->from) {
        if (!file_tensor_bytes(&w->t[i], &size)) size = 0;
        if (p->values) memcpy(buffer, p->values, size);
        else memset(buffer, 0, size);
        return 0;
    }
    int failed = fill_from(w, i, buffer, &memory);
    arena_free(&memory);
    return failed;
}

/* ---- keys ---- */

static int check_model(const struct model_files *f)
{
    const struct config *c = &f->config;
    FAIL_IF(c->activation == RELU && f->model == &model_gpt2, E_MODEL, "llama.cpp's gpt2 has GELU; this model has relu");
    FAIL_IF(c->unscaled || c->by_layer, E_MODEL, "llama.cpp's gpt2 divides scores by the root of a head's width; this model does not");
    FAIL_IF(f->model == &model_qwen3 && c->out_bias, E_MODEL, "llama.cpp's qwen3 has no biases; this model has \"attention_bias\": true");
    return 0;
}

static int find_architecture(struct writing *w)
{
    const struct model *m = w->f->model == &model_mistral ? &model_llama : w->f->model;
    for (w->a = llamacpp_architectures; w->a->name && w->a->model != m; w->a++) continue;
    FAIL_IF(!w->a->name, E_MODEL, "nib writes no GGUF files of %s models", w->f->model->name);
    return check_model(w->f);
}

/* llama.cpp knows no window in these architectures: within one, a model with it is a model without. */
static int64_t context_of(const struct config *c, struct text *notices)
{
    if (!c->window || c->window >= c->context) return c->context;
    text_format(notices, "note: llama.cpp sees no window here, so the context is written no longer than this model's: %lld instead of %lld\n", (long long)c->window, (long long)c->context);
    return c->window;
}

static uint32_t file_type(const struct writing *w)
{
    const struct recipe *r = w->recipe ? w->recipe : recipes;
    for (size_t i = 0; i < w->n && !w->recipe; i++)
        if (path_has_suffix(w->t[i].name, "attn_output.weight"))
            for (r = recipes; r < recipes + RECIPES - 1 && r->type != w->t[i].type;) r++;
    return r->number;
}

static int put_general(struct gguf_keys *k, const struct writing *w, const char *name)
{
    int blocks = 0;
    for (size_t i = 0; i < w->n; i++) blocks |= is_quantized(w->t[i].type);
    gguf_put_text(k, "general.architecture", w->a->name);
    gguf_put_text(k, "general.type", "model");
    gguf_put_text(k, "general.name", name);
    gguf_put_int(k, "general.file_type", file_type(w));
    if (blocks) gguf_put_int(k, "general.quantization_version", 2);
    return 0;
}

static int put_config(struct gguf_keys *k, struct writing *w, struct text *notices)
{
    struct config c = w->f->config;
    float *divisors;
    int is_usual = c.head_dim * c.heads == c.width;
    c.context = context_of(&c, notices);
    for (const struct size_key *s = llamacpp_sizes; s->key; s++) {
        int64_t n;
        memcpy(&n, (const char *)&c + s->field, sizeof n);
        if (s->field != offsetof(struct config, head_dim) || !is_usual) gguf_put_int(k, llamacpp_key(w->a, s->key), (uint32_t)n);
    }
    gguf_put_real(k, llamacpp_key(w->a, w->a->eps), (float)c.eps);
    gguf_put_int(k, llamacpp_key(w->a, "vocab_size"), (uint32_t)c.vocab);
    if (w->f->model->positions) {
        if (!c.bias) gguf_put_bool(k, KEY_BIAS, 0);
        if (c.activation == GELU_ERF) gguf_put_bool(k, KEY_GELU_ERF, 1);
        return 0;
    }
    if (!is_usual) gguf_put_int(k, llamacpp_key(w->a, "attention.value_length"), (uint32_t)c.head_dim);
    gguf_put_int(k, llamacpp_key(w->a, "rope.dimension_count"), (uint32_t)c.head_dim);
    gguf_put_real(k, llamacpp_key(w->a, "rope.freq_base"), (float)c.theta);
    TRY(llamacpp_put_scaling(k, w->a, &c, &divisors, &w->memory));
    if (divisors) add(w, ROPE_DIVISORS, F32, c.head_dim / 2, 0, (struct piece){ .values = divisors });
    return 0;
}

/* ---- the whole ---- */

static int write_all(struct writing *w, const struct llamacpp_options *o, struct gguf_keys *k, const char *path)
{
    TRY(find_architecture(w));
    TRY(model_sketch(&w->weights, w->f));
    TRY(list_all(w));
    TRY(put_general(k, w, o->name));
    TRY(put_config(k, w, o->notices));
    if (o->more) gguf_put_keys(k, o->more);
    return gguf_write(path, k, w->t, w->n, fill, w);
}

int llamacpp_write(const struct model_files *f, const struct llamacpp_options *o, const char *path)
{
    struct writing w = { .f = f };
    struct gguf_keys k = { 0 };
    for (const struct recipe *r = recipes; r < recipes + RECIPES && o->quantize; r++)
        if (!strcmp(r->name, o->quantize)) w.recipe = r;
    FAIL_IF(o->quantize && !w.recipe, E_USAGE, "%s is no type of GGUF's that nib writes", o->quantize);
    int code = write_all(&w, o, &k, path);
    weights_free(w.weights);
    arena_free(&w.memory);
    text_free(&k.text);
    return code;
}
