/* test_llamacpp.c -- models as GGUF files and back: configurations, tensors, types; and files whose keys or tensors lie. */
#include "model/llamacpp.h"

#include <math.h>

#include "base/quantize.h"
#include "cpu/cpu.h"
#include "folder.h"

/* ---- models ---- */

static struct config sized(const struct model *m, int64_t width, int64_t layers)
{
    struct config c = m->base;
    c.layers = layers, c.heads = 4, c.kv_heads = m->positions ? 4 : 2, c.width = width, c.hidden = 2 * width, c.vocab = 40, c.context = 24, c.windows = 0;
    config_fill_in(&c);
    return c;
}

static void fill_randomly(struct weights *w)
{
    uint64_t r = 1;
    for (struct param *p = w->param; p; p = p->next)
        for (int i = 0; i < p->n_block; i++) {
            size_t n = (size_t)(p->block[i].out * p->in);
            float *x = malloc(n * sizeof *x);
            for (size_t k = 0; k < n; k++) x[k] = (float)(roll(&r, 2001) - 1000) / 4096;
            assert_ok(weights_set(w, p, i, F32, x));
            free(x);
        }
}

/* A model folder of random weights. */
static const char *make(const struct model *m, const struct config *c)
{
    static const struct space text = { "text", 1, 1 };
    static char path[PATH_SIZE];
    struct weights *w;
    struct plan *p;
    graph *g;
    strcpy(path, at("model"));
    assert_ok(dir_make(path));
    assert_ok(weights_new(&w, &cpu_backend, TRAINED));
    assert_ok(graph_open(&g, w, EVAL, F32, &text, 1));
    tensor *losses = m->build(g, c);
    assert_ok(plan_new(&p, g, &losses, 1, &(struct plan_options){ 0 }));
    assert_ok(weights_place(w));
    fill_randomly(w);
    assert_ok(model_save_weights(w, m, c, at("model/model.safetensors"), NULL));
    assert_ok(config_write(m, c, -1, path));
    weights_free(w);
    return path;
}

static int write_as(const struct model_files *f, const char *quantize, struct text *notices, const char *path)
{
    struct text own = { 0 };
    int code = llamacpp_write(f, &(struct llamacpp_options){ .name = "it", .quantize = quantize, .notices = notices ? notices : &own }, path);
    text_free(&own);
    return code;
}

/* ---- there and back ---- */

/* A tensor widened and as its family has it. */
static struct file_tensor plain(const struct file_tensor *t, struct arena *memory)
{
    struct file_tensor one = *t;
    assert_non_null(t);
    assert_ok(t->turned ? file_tensor_turn(&one, memory) : file_tensor_widen(&one, memory));
    return one;
}

static void assert_same_tensors(const struct model_files *a, const struct model_files *b)
{
    struct arena memory = { 0 };
    for (int i = 0; i < tensors_count(a->tensors); i++) {
        const struct file_tensor *t = tensors_at(a->tensors, i);
        struct file_tensor x = plain(t, &memory), y = plain(model_find_tensor(b->model, b->tensors, t->name), &memory);
        if (x.size != y.size || x.type != y.type || x.n_dims != y.n_dims || x.dim[0] != y.dim[0] || memcmp(x.data, y.data, x.size)) fail_msg("%s differs", t->name);
    }
    arena_free(&memory);
}

static void assert_near(double a, double b, const char *what)
{
    if (!(fabs(a - b) <= 1e-4 * fabs(a))) fail_msg("%s: %.9g and %.9g", what, a, b);
}

/* The frequency of a pair, as op rope has it. */
static double turn(struct rope r, int j)
{
    double f = pow((double)r.theta, -2.0 * j / r.dim), s = ((r.by_pair ? j : f) - (double)r.from) / ((double)r.to - (double)r.from);
    s = fmin(fmax(s, 0), 1);
    return r.factor > 0 ? f * (s + (1 - s) / (double)r.factor) : f;
}

/* Several lines may say the same of few pairs. */
static void assert_same_rope(const struct config *a, const struct config *b)
{
    struct rope x = config_rope(a), y = config_rope(b);
    assert_int_equal(x.dim, y.dim);
    assert_near((double)x.theta, (double)y.theta, "theta");
    assert_near((double)x.gain, (double)y.gain, "gain");
    for (int j = 0; j < x.dim / 2; j++) assert_near(turn(x, j), turn(y, j), "a frequency");
}

static void assert_same_config(const struct config *a, const struct config *b)
{
    static const struct { const char *name; size_t field; } whole[] = {
        { "layers", K_FIELD(layers) }, { "heads", K_FIELD(heads) }, { "kv_heads", K_FIELD(kv_heads) }, { "width", K_FIELD(width) }, { "hidden", K_FIELD(hidden) }, { "head_dim", K_FIELD(head_dim) },
        { "vocab", K_FIELD(vocab) }, { "context", K_FIELD(context) }, { "window", K_FIELD(window) },
    }, truths[] = { { "tied", K_FIELD(tied) }, { "bias", K_FIELD(bias) }, { "activation", K_FIELD(activation) }, { "qkv_bias", K_FIELD(qkv_bias) }, { "out_bias", K_FIELD(out_bias) },
                    { "mlp_bias", K_FIELD(mlp_bias) }, { "qk_norm", K_FIELD(qk_norm) } };
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        if (memcmp((const char *)a + whole[i].field, (const char *)b + whole[i].field, sizeof(int64_t))) fail_msg("%s differs", whole[i].name);
    for (size_t i = 0; i < sizeof truths / sizeof *truths; i++)
        if (memcmp((const char *)a + truths[i].field, (const char *)b + truths[i].field, sizeof(int))) fail_msg("%s differs", truths[i].name);
    assert_near(a->eps, b->eps, "eps");
}

static const struct model *there_and_back(const struct model *m, const struct config *c)
{
    struct model_files f, back;
    struct config described;
    const struct model *of;
    assert_ok(config_check(m, c));
    assert_ok(model_open(&f, make(m, c)));
    assert_ok(write_as(&f, NULL, NULL, at("it.gguf")));
    assert_ok(model_open(&back, at("it.gguf")));
    assert_same_config(&f.config, &back.config);
    if (!m->positions) assert_same_rope(&f.config, &back.config);
    assert_same_tensors(&f, &back);
    assert_ok(model_describe(&of, &described, at("it.gguf"), NULL));
    assert_same_config(&back.config, &described);
    assert_true(of == back.model);
    assert_ok(write_as(&back, NULL, NULL, at("again.gguf")));            /* from a GGUF file: the same again */
    struct text a = { 0 }, b = { 0 };
    assert_ok(file_read(at("it.gguf"), 1 << 24, &a));
    assert_ok(file_read(at("again.gguf"), 1 << 24, &b));
    if (!c->scaling) assert_true(a.size == b.size && !memcmp(a.at, b.at, a.size));
    text_free(&a);
    text_free(&b);
    of = back.model;
    model_close(&f);
    model_close(&back);
    return of;
}

static void architectures(void **state)
{
    static const struct model *const models[] = { &model_gpt2, &model_llama, &model_qwen2, &model_qwen3 };
    (void)state;
    for (int i = 0; i < 4; i++)
        for (int tied = 0; tied < 2; tied++) {
            struct config c = sized(models[i], 32, 3);
            c.tied = tied;
            if (i == 0) c.bias = tied, c.activation = tied ? GELU_TANH : GELU_ERF, c.hidden = 4 * c.width + 8 * tied;
            if (i == 1) c.qkv_bias = c.out_bias = tied, c.mlp_bias = !tied;
            if (i == 3 || tied) c.head_dim = i ? 12 : c.head_dim;
            assert_true(there_and_back(models[i], &c) == models[i]);
        }
    struct config c = sized(&model_mistral, 32, 1);
    assert_true(there_and_back(&model_mistral, &c) == &model_llama);     /* without a window it is one */
}

static void positions(void **state)
{
    static const struct { enum scaling kind; double factor, slow, fast, gain; int64_t original; } rows[] = {
        { ROPE_LINEAR, 4, 0, 0, 0, 0 }, { ROPE_YARN, 4, 1, 32, 1.1386294, 8 }, { ROPE_YARN, 8, 0.5, 4, 1.5, 4 }, { ROPE_LLAMA3, 8, 1, 4, 0, 8192 }, { ROPE_LLAMA3, 32, 1, 4, 0, 8192 },
        { ROPE_LLAMA3, 4, 2, 3, 0, 2048 }, { ROPE_LLAMA3, 16, 0.5, 32, 0, 4096 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct config c = sized(&model_llama, 32, 1);
        c.head_dim = 64, c.theta = 500000;
        c.scaling = (int)rows[i].kind, c.factor = rows[i].factor, c.slow = rows[i].slow, c.fast = rows[i].fast, c.gain = rows[i].gain, c.whole_pairs = 1;
        if (rows[i].original) c.original = rows[i].original;
        there_and_back(&model_llama, &c);
    }
    struct config c = sized(&model_llama, 32, 1);
    c.scaling = ROPE_DYNAMIC, c.factor = 2;
    struct model_files f;
    struct gguf *g;
    assert_ok(model_open(&f, make(&model_llama, &c)));
    assert_ok(write_as(&f, NULL, NULL, at("it.gguf")));
    assert_ok(gguf_open(&g, at("it.gguf")));
    assert_false(gguf_has(g, "llama.rope.scaling.type"));    /* within the context nothing is scaled */
    gguf_close(g);
    model_close(&f);
}

/* Few pairs, none of them, or all of them lie on the line that llama3's settings are found from. */
static void few_divisors(void **state)
{
    static const struct { double factor, slow, fast; int64_t original, dim; double theta; } rows[] = {
        { 8, 1, 4, 8, 16, 500 }, { 8, 1, 1.01, 64, 8, 10000 }, { 8, 0.001, 1000, 512, 8, 10 }, { 4, 3, 4, 16, 4, 100 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct config c = sized(&model_llama, 32, 1), read;
        const struct model *m;
        struct model_files f;
        c.head_dim = rows[i].dim, c.theta = rows[i].theta, c.scaling = ROPE_LLAMA3, c.factor = rows[i].factor, c.slow = rows[i].slow, c.fast = rows[i].fast, c.original = rows[i].original;
        assert_ok(model_open(&f, make(&model_llama, &c)));
        assert_ok(write_as(&f, NULL, NULL, at("it.gguf")));
        assert_ok(model_describe(&m, &read, at("it.gguf"), NULL));
        assert_same_rope(&c, &read);
        model_close(&f);
    }
}

static void windows(void **state)
{
    struct model_files f;
    struct text notices = { 0 };
    struct gguf *g;
    int64_t n;
    (void)state;
    struct config c = sized(&model_mistral, 32, 1);
    c.window = 7, c.windows = 1;
    assert_ok(model_open(&f, make(&model_mistral, &c)));
    assert_ok(write_as(&f, NULL, &notices, at("it.gguf")));
    assert_non_null(strstr(notices.at, "the context is written no longer than this model's: 7 instead of 24"));
    assert_ok(gguf_open(&g, at("it.gguf")));
    assert_ok(gguf_int(g, "llama.context_length", 0, 99, &n));
    assert_int_equal(n, 7);
    gguf_close(g);
    model_close(&f);
    text_free(&notices);
}

/* ---- types ---- */

static enum dtype type_in(const char *path, const char *name)
{
    struct gguf *g;
    assert_ok(gguf_open(&g, path));
    const struct file_tensor *t = gguf_find(g, name);
    if (!t) fail_msg("no %s", name);
    enum dtype type = t->type;
    gguf_close(g);
    return type;
}

static void types(void **state)
{
    static const struct { const struct model *m; int64_t width; const char *recipe, *name; enum dtype type; } rows[] = {
        { &model_gpt2, 256, "q4_k_m", "blk.4.attn_qkv.weight", Q4_K }, { &model_gpt2, 256, "q4_k_m", "blk.3.attn_qkv.weight", Q6_K }, { &model_gpt2, 256, "q4_k_m", "blk.4.ffn_down.weight", Q4_K },
        { &model_gpt2, 256, "q4_k_m", "blk.8.ffn_down.weight", Q6_K }, { &model_gpt2, 256, "q4_k_m", "token_embd.weight", Q6_K }, { &model_gpt2, 256, "q4_k_m", "position_embd.weight", F32 },
        { &model_gpt2, 256, "q4_k_m", "blk.4.attn_qkv.bias", F32 }, { &model_gpt2, 256, "q4_k_m", "output_norm.weight", F32 }, { &model_gpt2, 96, "q4_k_m", "blk.4.ffn_up.weight", Q5_0 },
        { &model_gpt2, 96, "q4_k_m", "blk.3.attn_qkv.weight", Q8_0 }, { &model_gpt2, 96, "q4_k_m", "token_embd.weight", Q8_0 }, { &model_gpt2, 40, "q4_k_m", "blk.4.ffn_up.weight", F16 },
        { &model_gpt2, 40, "q8_0", "blk.4.ffn_up.weight", F16 }, { &model_gpt2, 96, "q4_0", "blk.4.ffn_up.weight", Q4_0 }, { &model_gpt2, 96, "q4_0", "token_embd.weight", Q8_0 },
        { &model_llama, 256, "q4_k_m", "blk.3.attn_v.weight", Q6_K }, { &model_llama, 256, "q4_k_m", "blk.1.attn_q.weight", Q4_K }, { &model_llama, 256, "q4_k_m", "output.weight", Q6_K },
        { &model_llama, 256, "q4_k_m", "token_embd.weight", Q4_K }, { &model_llama, 256, "q4_0", "output.weight", Q6_K }, { &model_llama, 256, "q8_0", "output.weight", Q8_0 },
        { &model_llama, 256, "bf16", "output.weight", BF16 }, { &model_llama, 256, "f16", "blk.0.attn_norm.weight", F32 }, { &model_llama, 256, "f16", "blk.0.attn_k.weight", F16 },
        { &model_llama, 256, NULL, "blk.0.attn_k.weight", F32 },
    };
    struct model_files f = { 0 };
    const struct model *m = NULL;
    int64_t width = 0;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].m != m || rows[i].width != width) {
            struct config c = sized(m = rows[i].m, width = rows[i].width, 9);
            c.tied = m == &model_gpt2, c.bias = 1;
            model_close(&f);
            assert_ok(model_open(&f, make(m, &c)));
        }
        assert_ok(write_as(&f, rows[i].recipe, NULL, at("it.gguf")));
        enum dtype is = type_in(at("it.gguf"), rows[i].name);
        if (is != rows[i].type) fail_msg("%s, %s, width %lld: %s instead of %s", rows[i].recipe, rows[i].name, (long long)width, dtype_name(is), dtype_name(rows[i].type));
    }
    assert_fails(write_as(&f, "q3", NULL, at("it.gguf")), E_USAGE, "q3 is no type of GGUF's that nib writes");
    model_close(&f);
}

/* What is in blocks already stays so, its rows turned back into their order; and is made smaller or larger. */
static void from_blocks(void **state)
{
    struct model_files f, q, again;
    (void)state;
    struct config c = sized(&model_llama, 256, 2);
    assert_ok(model_open(&f, make(&model_llama, &c)));
    assert_ok(write_as(&f, "q8_0", NULL, at("q.gguf")));
    assert_ok(model_open(&q, at("q.gguf")));
    assert_ok(write_as(&q, NULL, NULL, at("again.gguf")));
    struct text a = { 0 }, b = { 0 };
    assert_ok(file_read(at("q.gguf"), 1 << 24, &a));
    assert_ok(file_read(at("again.gguf"), 1 << 24, &b));
    assert_true(a.size == b.size && !memcmp(a.at, b.at, a.size));
    assert_ok(write_as(&q, "f32", NULL, at("wide.gguf")));
    assert_ok(model_open(&again, at("wide.gguf")));
    assert_same_tensors(&q, &again);
    text_free(&a);
    text_free(&b);
    model_close(&f);
    model_close(&q);
    model_close(&again);
}

/* ---- what is not written ---- */

static void not_written(void **state)
{
    static const struct { const char *says; const struct model *m; int activation, unscaled, by_layer, bias, truncated; } rows[] = {
        { "this model has relu", &model_gpt2, RELU, 0, 0, 0, 0 }, { "this model does not", &model_gpt2, GELU_TANH, 1, 0, 0, 0 }, { "this model does not", &model_gpt2, GELU_TANH, 0, 1, 0, 0 },
        { "qwen3 has no biases", &model_qwen3, 0, 0, 0, 1, 0 }, { "\"truncate\": false", &model_llama, 0, 0, 0, 0, 1 },
    };
    struct model_files f;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct config c = sized(rows[i].m, 32, 1);
        c.activation = rows[i].activation, c.unscaled = rows[i].unscaled, c.by_layer = rows[i].by_layer, c.out_bias = rows[i].bias, c.qkv_bias |= rows[i].bias;
        if (rows[i].truncated) c.scaling = ROPE_YARN, c.factor = 2, c.slow = 1, c.fast = 32, c.gain = 1, c.original = 12;
        assert_ok(model_open(&f, make(rows[i].m, &c)));
        assert_fails(write_as(&f, NULL, NULL, at("none.gguf")), E_MODEL, rows[i].says);
        assert_false(path_is_file(at("none.gguf")));
        model_close(&f);
    }
}

/* Numbers that a type cannot hold are named; f32 holds them. */
static void too_large(void **state)
{
    static const float values[] = { INFINITY, NAN, 70000 };
    struct model_files f;
    (void)state;
    struct config c = sized(&model_gpt2, 32, 1);
    c.tied = 1;
    assert_ok(model_open(&f, make(&model_gpt2, &c)));
    struct file_tensor *t = (struct file_tensor *)(uintptr_t)model_find_tensor(f.model, f.tensors, "wte.weight");
    for (size_t i = 0; i < 3; i++) {
        float *x = calloc(1, t->size);
        x[33] = values[i];
        t->data = x;
        assert_fails(write_as(&f, "q8_0", NULL, at("none.gguf")), E_DATA, "token_embd.weight has a value of");
        assert_fails(write_as(&f, "f16", NULL, at("none.gguf")), E_DATA, "which f16 cannot hold; choose --quantize=bf16 or f32");
        assert_false(path_is_file(at("none.gguf")));
        assert_ok(write_as(&f, "f32", NULL, at("it.gguf")));
        free(x);
    }
    model_close(&f);
}

/* ---- files that lie ---- */

/* A GGUF file of a llama of one layer, but for one key or tensor. */
enum { OF_INT, OF_REAL, OF_TEXT, OF_BOOL, OF_INTS, ABSENT };
struct lie { const char *key; int kind; double value; const char *text; int code; const char *says; };

static void put(struct gguf_keys *k, const struct lie *l, const char *key, int kind, double value, const char *text)
{
    if (l && !strcmp(l->key, key)) kind = l->kind, value = l->value, text = l->text;
    if (kind == OF_INT) gguf_put_int(k, key, (uint32_t)(int64_t)value);
    if (kind == OF_REAL) gguf_put_real(k, key, (float)value);
    if (kind == OF_TEXT) gguf_put_text(k, key, text);
    if (kind == OF_BOOL) gguf_put_bool(k, key, value != 0);
    if (kind == OF_INTS) gguf_put_ints(k, key, (int32_t[]){ 1, 1 }, 2);
}

static const struct { const char *name; int64_t rows, cols; } tensors_of[] = {
    { "token_embd.weight", 6, 8 }, { "output_norm.weight", 8, 0 }, { "blk.0.attn_norm.weight", 8, 0 }, { "blk.0.attn_q.weight", 8, 8 }, { "blk.0.attn_k.weight", 4, 8 }, { "blk.0.attn_v.weight", 4, 8 },
    { "blk.0.attn_output.weight", 8, 8 }, { "blk.0.ffn_norm.weight", 8, 0 }, { "blk.0.ffn_gate.weight", 12, 8 }, { "blk.0.ffn_up.weight", 12, 8 }, { "blk.0.ffn_down.weight", 8, 12 },
};

/* Its first number is 1, if it has any; the others are 0. */
static int begin_with_one(void *context, size_t i, void *buffer)
{
    const struct file_tensor *t = (const struct file_tensor *)context + i;
    float one = 1;
    if (t->dim[0]) memcpy(buffer, &one, sizeof one);
    return 0;
}

/* A lie of kind ABSENT about a tensor leaves it out; of kind OF_INT gives it so many rows; OF_TEXT: it has this name. */
static void write_lying(const char *path, const struct lie *l)
{
    static const struct { const char *key; int kind; double value; const char *text; } keys[] = {
        { "general.architecture", OF_TEXT, 0, "llama" }, { "general.type", OF_TEXT, 0, "model" }, { "llama.context_length", OF_INT, 16, NULL }, { "llama.embedding_length", OF_INT, 8, NULL },
        { "llama.block_count", OF_INT, 1, NULL }, { "llama.feed_forward_length", OF_INT, 12, NULL }, { "llama.attention.head_count", OF_INT, 2, NULL },
        { "llama.attention.head_count_kv", OF_INT, 1, NULL }, { "llama.attention.layer_norm_rms_epsilon", OF_REAL, 1e-5, NULL },
    };
    struct gguf_keys k = { 0 };
    struct file_tensor t[16];
    size_t n = 0, known = 0;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        known |= l && !strcmp(l->key, keys[i].key);
        put(&k, l, keys[i].key, keys[i].kind, keys[i].value, keys[i].text);
    }
    for (size_t i = 0; i < sizeof tensors_of / sizeof *tensors_of; i++) {
        int lies = l && !strcmp(l->key, tensors_of[i].name);
        known |= (size_t)lies;
        if (lies && l->kind == ABSENT) continue;
        t[n++] = (struct file_tensor){ .name = lies && l->kind == OF_TEXT ? l->text : tensors_of[i].name, .type = F32, .n_dims = tensors_of[i].cols ? 2 : 1,
                                       .dim = { lies && l->kind == OF_INT ? (int64_t)l->value : tensors_of[i].rows, tensors_of[i].cols } };
    }
    if (l && !known && l->kind == ABSENT) t[n++] = (struct file_tensor){ .name = l->key, .type = F32, .n_dims = 1, .dim = { (int64_t)l->value } };       /* one more */
    else if (l && !known) put(&k, l, l->key, OF_INT, 0, NULL);
    assert_ok(gguf_write(path, &k, t, n, begin_with_one, t));
    text_free(&k.text);
}

static int load(const char *path)
{
    struct model_files f;
    struct weights *w = NULL;
    TRY(model_open(&f, path));
    int code = model_sketch(&w, &f);
    weights_free(w);
    model_close(&f);
    return code;
}

static void lies(void **state)
{
    static const struct lie rows[] = {
        { "general.architecture", OF_TEXT, 0, "mamba", E_MODEL, "architecture mamba is not one of nib's (gpt2, llama, qwen2, qwen3)" }, { "general.architecture", OF_INT, 1, NULL, E_DATA, "a text is needed" },
        { "general.architecture", ABSENT, 0, NULL, E_DATA, "general.architecture is missing" }, { "general.type", OF_TEXT, 0, "adapter", E_MODEL, "its general.type is adapter" },
        { "llama.context_length", OF_TEXT, 0, "16", E_DATA, "llama.context_length is of another type; a whole number is needed" }, { "llama.context_length", OF_REAL, 16, NULL, E_DATA, "of another type" },
        { "llama.context_length", ABSENT, 0, NULL, E_DATA, "llama.context_length is missing" }, { "llama.context_length", OF_INT, 0, NULL, E_DATA, "not in 1 to" },
        { "llama.context_length", OF_INT, 4294967295.0, NULL, E_DATA, "not in 1 to" }, { "llama.embedding_length", OF_INT, 2147483647.0, NULL, E_MODEL, "width of 1 to" },
        { "llama.embedding_length", OF_INT, 4, NULL, E_DATA, "the model needs" }, { "llama.block_count", OF_INT, 2, NULL, E_DATA, "is missing" }, { "llama.block_count", OF_INT, 16777216, NULL, E_MODEL, "layers" },
        { "llama.block_count", OF_INT, 2147483647.0, NULL, E_MODEL, "layers of 1 to" }, { "llama.feed_forward_length", OF_INTS, 0, NULL, E_DATA, "of another type" },
        { "llama.attention.head_count", OF_INT, 3, NULL, E_MODEL, "does not divide" }, { "llama.attention.head_count", OF_INTS, 0, NULL, E_DATA, "of another type" },
        { "llama.attention.head_count_kv", OF_INT, 2147483647.0, NULL, E_MODEL, "key/value heads" }, { "llama.attention.head_count_kv", OF_INT, 2, NULL, E_DATA, "the model needs" },
        { "llama.attention.key_length", OF_INT, 6, NULL, E_DATA, "the model needs (12, 8)" }, { "llama.attention.key_length", OF_INT, 5, NULL, E_MODEL, "an odd one" },
        { "llama.attention.value_length", OF_INT, 6, NULL, E_MODEL, "llama.attention.value_length is 6; nib has only models where it is the width of a head, 4" },
        { "llama.rope.dimension_count", OF_INT, 2, NULL, E_MODEL, "llama.rope.dimension_count is 2" }, { "llama.attention.layer_norm_rms_epsilon", OF_INT, 0, NULL, E_DATA, "a real number is needed" },
        { "llama.attention.layer_norm_rms_epsilon", OF_REAL, 2, NULL, E_MODEL, "epsilon of norms" }, { "llama.attention.layer_norm_rms_epsilon", OF_REAL, NAN, NULL, E_MODEL, "epsilon of norms" },
        { "llama.expert_count", OF_INT, 8, NULL, E_MODEL, "llama.expert_count is 8; nib has only models where it is 0" }, { "llama.attention.causal", OF_BOOL, 0, NULL, E_MODEL, "llama.attention.causal is 0" },
        { "llama.expert_count", OF_TEXT, 0, "8", E_DATA, "llama.expert_count" }, { "llama.attention.sliding_window", OF_TEXT, 0, "4", E_DATA, "llama.attention.sliding_window is of another type" },
        { "split.count", OF_INT, 3, NULL, E_MODEL, "it is one of 3 parts of a model" }, { "llama.rope.freq_base", OF_REAL, -1, NULL, E_MODEL, "theta -1" }, { "llama.rope.freq_base", OF_REAL, NAN, NULL, E_MODEL, "theta" },
        { "llama.rope.scaling.type", OF_TEXT, 0, "longrope", E_MODEL, "llama.rope.scaling.type is longrope; nib knows none, linear and yarn" },
        { "llama.rope.scaling.type", OF_TEXT, 0, "yarn", 0, "" }, { "llama.rope.scaling.factor", OF_REAL, 2, NULL, 0, "" }, { "llama.rope.scaling.factor", OF_REAL, 0.5, NULL, E_MODEL, "the factor of scaled positions, 0.5" },
        { "llama.rope.scaling.factor", OF_REAL, NAN, NULL, E_MODEL, "the factor of scaled positions" }, { "llama.rope.scale_linear", OF_REAL, 2, NULL, 0, "" },
        { "rope_freqs.weight", ABSENT, 2, NULL, E_MODEL, "rope_freqs.weight scales positions as none of" }, { "rope_freqs.weight", ABSENT, 3, NULL, E_DATA, "rope_freqs.weight should be 2 numbers in f32" },
        { "tokenizer.ggml.tokens", OF_INTS, 0, NULL, E_DATA, "tokenizer.ggml.tokens is of another type" }, { "tokenizer.ggml.tokens", OF_INT, 0, NULL, E_DATA, "an array of texts is needed" },
        { "token_embd.weight", ABSENT, 0, NULL, E_DATA, "it has no token_embd.weight" }, { "token_embd.weight", OF_INT, 0, NULL, E_MODEL, "vocabulary" }, { "output_norm.weight", ABSENT, 0, NULL, E_DATA, "model.norm.weight is missing" },
        { "blk.0.attn_q.weight", OF_INT, 7, NULL, E_DATA, "its rows are not those of 2 heads" }, { "blk.0.attn_q.weight", OF_INT, 0, NULL, E_DATA, "is (0, 8), the model needs (8, 8)" }, { "blk.0.attn_v.weight", OF_INT, 5, NULL, E_DATA, "the model needs" },
        { "blk.0.attn_v.weight", OF_TEXT, 0, "blk.0.attn_z.weight", E_MODEL, "tensor blk.0.attn_z.weight belongs to no llama model" }, { "blk.0.attn_v.weight", OF_TEXT, 0, "blk.99999.attn_v.weight", E_MODEL, "belongs to no llama model" },
        { "blk.0.attn_v.weight", OF_TEXT, 0, "blk.00.attn_q.weight", E_DATA, "two tensors named" }, { "blk.0.attn_v.weight", OF_TEXT, 0, "blk.1.attn_v.weight", E_DATA, "is missing" },
        { "blk.0.attn_q.bias", ABSENT, 8, NULL, E_DATA, "k_proj.bias is missing" }, { "blk.0.attn_output.bias", ABSENT, 8, NULL, E_MODEL, "no llama model has biases of attn_output and of no other layer" },
        { "blk.0.ffn_gate_inp.weight", ABSENT, 8, NULL, E_MODEL, "belongs to no llama model" },
    };
    (void)state;
    write_lying(at("it.gguf"), NULL);
    assert_ok(load(at("it.gguf")));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        write_lying(at("it.gguf"), &rows[i]);
        int code = load(at("it.gguf"));
        if (code != rows[i].code || (code && !strstr(error_text(), rows[i].says))) fail_msg("lie %zu, %s: %d, %s", i, rows[i].key, code, code ? error_text() : "");
    }
}

/* Windows and biases say which family of Hugging Face's it is. */
static void families(void **state)
{
    static const struct lie window = { "llama.attention.sliding_window", OF_INT, 4, NULL, 0, "" }, wide = { "llama.attention.sliding_window", OF_INT, 16, NULL, 0, "" };
    struct config c;
    const struct model *m;
    (void)state;
    write_lying(at("it.gguf"), &window);
    assert_ok(model_describe(&m, &c, at("it.gguf"), NULL));
    assert_true(m == &model_mistral && c.window == 4);
    write_lying(at("it.gguf"), &wide);
    assert_ok(model_describe(&m, &c, at("it.gguf"), NULL));
    assert_true(m == &model_llama && c.window == 0);
    struct config biased = sized(&model_qwen2, 32, 1);
    struct model_files f;
    assert_ok(model_open(&f, make(&model_qwen2, &biased)));
    assert_ok(write_as(&f, NULL, NULL, at("qwen2.gguf")));
    assert_ok(model_describe(&m, &c, at("qwen2.gguf"), NULL));
    assert_true(m == &model_qwen2 && c.qkv_bias && !c.out_bias);
    model_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(architectures), cmocka_unit_test(positions), cmocka_unit_test(few_divisors), cmocka_unit_test(windows), cmocka_unit_test(types), cmocka_unit_test(from_blocks),
        cmocka_unit_test(not_written), cmocka_unit_test(too_large), cmocka_unit_test(lies), cmocka_unit_test(families),
    };
    if (cpu_init(NULL, 1)) return 1;
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
