/* nanogpt.c -- nanoGPT's ckpt.pt as a GPT-2 model.
 *
 *     {"model": {"transformer.h.0.attn.c_attn.weight": ...}, "model_args": {"n_layer": 12, ...}, "optimizer": ..., "iter_num": n, ...}
 *
 * Its names are Hugging Face's; torch.compile and DDP put words before them.  Its dense layers are (out, in), where GPT-2's files have
 * (in, out): four matrices of a block are used as they lie. */
#include <string.h>

#include "base/error.h"
#include "file/torch.h"
#include "model/model.h"

static const struct { const char *name; size_t field; } sizes[] = {
    { "n_layer", offsetof(struct config, layers) }, { "n_head", offsetof(struct config, heads) }, { "n_embd", offsetof(struct config, width) },
    { "block_size", offsetof(struct config, context) }, { "vocab_size", offsetof(struct config, vocab) },
};

static int read_config(struct config *c, const struct pickle *args, const char *what)
{
    *c = (struct config){ .tied = 1, .eps = 1e-5, .bias = 1 };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const struct pickle *p = pickle_get(args, sizes[i].name);
        FAIL_IF(!p || p->kind != PICKLE_INT, E_DATA, "%s: no checkpoint of nanoGPT: it has no model_args with %s", what, sizes[i].name);
        memcpy((char *)c + sizes[i].field, &p->integer, sizeof p->integer);
    }
    const struct pickle *bias = pickle_get(args, "bias"), *dropout = pickle_get(args, "dropout");
    if (bias && bias->kind == PICKLE_BOOL) c->bias = (int)bias->integer;
    if (dropout && dropout->kind == PICKLE_REAL) c->dropout = dropout->real;
    config_fill_in(c);
    return config_check(&model_gpt2, c);
}

static const char *plain_name(const char *name)
{
    static const char *const before[] = { "_orig_mod.", "module." };
    for (int i = 0; i < 2; i++) {
        size_t n = strlen(before[i]);
        if (!strncmp(name, before[i], n)) name += n, i = -1;
    }
    return name;
}

static int is_turned(const char *name)
{
    static const char *const dense[] = { ".attn.c_attn.weight", ".attn.c_proj.weight", ".mlp.c_fc.weight", ".mlp.c_proj.weight" };
    for (size_t i = 0; i < sizeof dense / sizeof *dense; i++)
        if (path_has_suffix(name, dense[i])) return 1;
    return 0;
}

static int add(struct torch *t, const struct pickle *name, const struct pickle *value)
{
    struct file_tensor one = { 0 };
    FAIL_IF(name->kind != PICKLE_STRING, E_DATA, "%s: a weight without a name", t->what);
    one.name = plain_name(name->string);
    if (path_has_suffix(one.name, ".attn.bias")) return 0;   /* the causal mask, which models without flash attention carry along */
    TRY(torch_tensor(t, value, &one));
    one.turned = is_turned(one.name) && one.n_dims == 2;
    return tensors_add(t->tensors, &one);
}

static int read_all(struct model_files *f, struct torch *t)
{
    const struct pickle *model = pickle_get(t->root, "model");
    TRY(read_config(&f->config, pickle_get(t->root, "model_args"), t->what));
    FAIL_IF(!model || model->kind != PICKLE_DICT, E_DATA, "%s: no checkpoint of nanoGPT: it has no \"model\"", t->what);
    for (size_t i = 0; i < model->n; i += 2) TRY(add(t, model->item[i], model->item[i + 1]));
    return tensors_settle(t->tensors, t->what);
}

int nanogpt_open(struct model_files *f, const char *path)
{
    struct torch t;
    TRY(torch_open(&t, path));
    f->model = &model_gpt2;
    f->tensors = t.tensors;
    return read_all(f, &t);
}

int nanogpt_describe(const struct model **m, struct config *c, const char *path)
{
    struct torch t;
    TRY(torch_open(&t, path));
    int failed = read_config(c, pickle_get(t.root, "model_args"), path);
    torch_close(&t);
    *m = &model_gpt2;
    return failed;
}

/* ---- writing ---- */

static void put_args(struct text *out, const struct config *c)
{
    pickle_open_dict(out);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int64_t n;
        memcpy(&n, (const char *)c + sizes[i].field, sizeof n);
        pickle_put_string(out, sizes[i].name);
        pickle_put_int(out, n);
    }
    pickle_put_string(out, "bias");
    pickle_put_bool(out, c->bias);
    pickle_put_string(out, "dropout");
    pickle_put_real(out, c->dropout);
    pickle_close_dict(out);
}

/* The head is the table again, as state_dict() has it. */
static void put_model(struct text *out, const struct file_tensor *t, int n)
{
    int table = 0;
    pickle_open_dict(out);
    for (int i = 0; i < n; i++) {
        if (path_has_suffix(t[i].name, model_gpt2.table)) table = i;
        pickle_put_string(out, t[i].name);
        torch_put(out, &t[i], i);
    }
    pickle_put_string(out, "lm_head.weight");
    torch_put(out, &t[table], table);
    pickle_close_dict(out);
}

static int write_all(const struct config *c, const char *dataset, struct file_tensor *t, int n, struct arena *memory, const char *path)
{
    struct text out = { 0 };
    for (int i = 0; i < n; i++)
        if (is_turned(t[i].name)) TRY(file_tensor_turn(&t[i], memory));
    pickle_begin(&out);
    pickle_open_dict(&out);
    pickle_put_string(&out, "model_args");
    put_args(&out, c);
    pickle_put_string(&out, "model");
    put_model(&out, t, n);
    if (*dataset) {
        pickle_put_string(&out, "config");
        pickle_open_dict(&out);
        pickle_put_string(&out, "dataset");
        pickle_put_string(&out, dataset);
        pickle_close_dict(&out);
    }
    pickle_close_dict(&out);
    pickle_end(&out);
    int code = torch_write(path, &out, t, n, NULL, NULL);
    text_free(&out);
    return code;
}

int nanogpt_write(const struct model_files *f, const char *dataset, const char *path)
{
    struct arena memory = { 0 };
    struct file_tensor *t;
    int n;
    TRY(model_is_plain(f, "nanoGPT"));
    int code = model_list(f, &memory, &t, &n);
    if (!code) code = write_all(&f->config, dataset, t, n, &memory, path);
    arena_free(&memory);
    return code;
}
