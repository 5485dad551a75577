/* save.c -- weights to a file, named and laid out as Hugging Face's are. */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/error.h"
#include "file/safetensors.h"
#include "model/adapter.h"
#include "model/model.h"

/* What each tensor of the file is filled from: a block of a parameter in one of the weights' ranges, or in a base, if that has data, with the adapter, or zeros. */
struct source { const struct param *p; int block; const float *range; struct file_tensor base; };
struct saving { const struct weights *w; const struct model *m; const struct adapter *adapter; struct file_tensor *t; struct source *from; int n; struct arena names; };

static int fill(void *context, int i, void *buffer)
{
    const struct saving *s = context;
    const struct source *from = &s->from[i];
    if (from->base.data) return adapter_merge(s->adapter, s->m, from->p, from->block, &from->base, buffer);
    if (from->p) weights_get(s->w, from->p, from->block, from->range, buffer);
    else memset(buffer, 0, s->t[i].size);
    return 0;
}

static void add(struct saving *s, const char *name, int n_dims, int64_t rows, int64_t cols, struct source from)
{
    s->t[s->n] = (struct file_tensor){ .name = name, .type = F32, .n_dims = n_dims, .dim = { rows, cols }, .size = (size_t)(rows * cols) * sizeof(float) };
    s->from[s->n++] = from;
}

static void add_param(struct saving *s, const struct param *p, const float *range, const char *label)
{
    const char *prefix = strcmp(p->name, "lm_head.weight") ? s->m->prefix : "";
    for (int i = 0; i < p->n_block && p->use == TRAINED; i++) {
        int64_t out = p->block[i].out;
        const char *name = arena_format(&s->names, "%s%s%s", label, prefix, p->block[i].name);
        add(s, name, p->in == 1 ? 1 : 2, p->layout == IN_OUT ? p->in : out, p->layout == IN_OUT ? out : p->in, (struct source){ .p = p, .block = i, .range = range });
    }
}

/* The bias of 0 that files of this family have beside a weight: of norms and of (in, out) matrices, not of tables. */
static void add_zero_bias(struct saving *s, const struct param *p)
{
    size_t n = strlen(p->name), tail = strlen(".weight");
    if (n < tail || strcmp(p->name + n - tail, ".weight") || (p->in > 1 && p->layout == OUT_IN)) return;
    add(s, arena_format(&s->names, "%s%.*s.bias", s->m->prefix, (int)(n - tail), p->name), 1, p->out, 1, (struct source){ 0 });
}

static int open_saving(struct saving *s, const struct weights *w, const struct model *m, int ranges)
{
    size_t room = 0;
    for (const struct param *p = w->param; p; p = p->next) room += (size_t)(ranges * p->n_block + 1);
    *s = (struct saving){ .w = w, .m = m, .t = calloc(room, sizeof *s->t), .from = calloc(room, sizeof *s->from) };
    FAIL_IF(!s->t || !s->from, E_MEMORY, "no memory to save weights");
    return 0;
}

static void close_saving(struct saving *s)
{
    arena_free(&s->names);
    free(s->t);
    free(s->from);
}

static int finish(struct saving *s, int code, const char *path, char sha256[65])
{
    if (!code && s->names.failed) code = error_set(E_MEMORY, __FILE__, __LINE__, "no memory for the names of weights");
    if (!code) code = safetensors_write(path, s->t, s->n, NULL, fill, s, sha256);
    close_saving(s);
    return code;
}

/* ---- from file to file ---- */

int model_sketch(struct weights **w, const struct model_files *f)
{
    static const struct space text = { "text", 1, 1 };
    graph *g;
    struct plan *p;
    TRY(weights_new(w, &null_backend, TRAINED));
    TRY(graph_open(&g, *w, EVAL, F32, &text, 1));
    tensor *losses = f->model->build(g, &f->config);
    TRY(plan_new(&p, g, &losses, 1, &(struct plan_options){ 0 }));
    return model_check_weights(*w, f->model, f->tensors, "the model");
}

/* Tensor i is made of t and the adapter when its turn comes. */
static void add_adapter(struct saving *s, int i, const struct file_tensor *t)
{
    s->from[i].base = *t;
    s->t[i].data = NULL;
    s->t[i].type = adapter_merged_type(t->type);
    s->t[i].size = (size_t)(s->from[i].p->block[s->from[i].block].out * s->from[i].p->in) * dtype_size(s->t[i].type);
}

/* What is saved of the sketch, each tensor with the type and the data that the files have, but widened and in the family's layout; in memory. */
static int list(struct saving *s, const struct model_files *f, struct arena *memory)
{
    int adapted = 0;
    for (const struct param *p = s->w->param; p; p = p->next) {
        int from = s->n;
        add_param(s, p, NULL, "");
        for (int i = from; i < s->n; i++) {
            struct file_tensor t = *model_find_tensor(f->model, f->tensors, p->block[i - from].name);
            TRY(t.turned ? file_tensor_turn(&t, memory) : file_tensor_widen(&t, memory));
            s->t[i].type = t.type;
            s->t[i].data = t.data;
            s->t[i].size = t.size;
            if (f->model->positions && !strcmp(p->name, f->model->positions)) s->t[i].size = param_size(p) * dtype_size(t.type);
            if (adapter_has(f->adapter, p->block[i - from].name)) add_adapter(s, i, &t), adapted++;
        }
    }
    FAIL_IF(f->adapter && adapted < f->adapter->lora.n, E_DATA, "the adapter adapts layers that the model does not have: its are %s", f->model->dense);
    FAIL_IF(s->names.failed, E_MEMORY, "no memory for the names of weights");
    return 0;
}

int model_is_plain(const struct model_files *f, const char *tool)
{
    const struct config *c = &f->config;
    FAIL_IF(f->model != &model_gpt2, E_MODEL, "%s has only GPT-2's models, not %s", tool, f->model->name);
    FAIL_IF(c->activation == RELU || c->unscaled || c->by_layer, E_MODEL, "%s has GELU, and scores divided by the root of a head's width; this model has %s", tool, c->activation == RELU ? "relu" : "other scores");
    FAIL_IF(!c->tied, E_MODEL, "%s's head is the token table; this model has one of its own", tool);
    FAIL_IF(c->hidden != 4 * c->width, E_MODEL, "%s's MLP is four times as wide as the model, %lld; this one's is %lld", tool, (long long)(4 * c->width), (long long)c->hidden);
    return 0;
}

static int open_list(struct saving *s, struct weights **w, const struct model_files *f, struct arena *memory)
{
    TRY(model_sketch(w, f));
    TRY(open_saving(s, *w, f->model, 1));
    s->adapter = f->adapter;
    return list(s, f, memory);
}

/* What would be made while it is written. */
static int make_now(const struct saving *s, int i, struct arena *memory, struct file_tensor *t)
{
    void *data = s->from[i].base.data ? arena_take(memory, t->size) : NULL;
    if (!data) return 0;                                     /* memory says so if there is none */
    t->data = data;
    return fill((void *)(uintptr_t)s, i, data);
}

int model_write(const struct model_files *f, const char *path, char sha256[65])
{
    struct saving s = { 0 };
    struct weights *w = NULL;
    struct arena memory = { 0 };
    int code = open_list(&s, &w, f, &memory), zeros = f->model->files_have_biases && !f->config.bias;
    for (const struct param *p = w ? w->param : NULL; p && !code && zeros; p = p->next) add_zero_bias(&s, p);
    code = finish(&s, code, path, sha256);
    weights_free(w);
    arena_free(&memory);
    return code;
}

int model_list(const struct model_files *f, struct arena *memory, struct file_tensor **t, int *n)
{
    struct saving s = { 0 };
    struct weights *w = NULL;
    int code = open_list(&s, &w, f, memory);
    *n = code ? 0 : s.n;
    *t = arena_take(memory, (size_t)*n * sizeof **t);
    for (int i = 0; *t && i < *n && !code; i++) {
        (*t)[i] = s.t[i];
        (*t)[i].name = arena_copy(memory, s.t[i].name);
        code = make_now(&s, i, memory, &(*t)[i]);
    }
    if (!code && memory->failed) code = error_set(E_MEMORY, __FILE__, __LINE__, "no memory for the names of weights");
    close_saving(&s);
    weights_free(w);
    return code;
}

/* ---- from memory ---- */

int model_save_weights(const struct weights *w, const struct model *m, const struct config *c, const char *path, char sha256[65])
{
    struct saving s;
    int code = open_saving(&s, w, m, 1);
    for (const struct param *p = w->param; p && !code; p = p->next) {
        add_param(&s, p, w->master, "");
        if (m->files_have_biases && !c->bias) add_zero_bias(&s, p);
    }
    return finish(&s, code, path, sha256);
}

int model_save_ranges(const struct weights *w, const struct model *m, const float *const *range, const char *const *label, int n, const char *path, char sha256[65])
{
    struct saving s;
    int code = open_saving(&s, w, m, n);
    for (int i = 0; i < n; i++)
        for (const struct param *p = w->param; p && !code; p = p->next) add_param(&s, p, range[i], label[i]);
    return finish(&s, code, path, sha256);
}
