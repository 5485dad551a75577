/* nanogpt.c -- nanoGPT's ckpt.pt as a GPT-2 model.
 *
 *     {"model": {"transformer.h.0.attn.c_attn.weight": ...}, "model_args": {"n_layer": 12, ...}, "optimizer": ..., "iter_num": n, ...}
 *
 * Its names are Hugging Face's; torch.compile and DDP put words before them.  Its dense layers are (out, in), where GPT-2's files have
 * (in, out): four matrices of a block are used as they lie. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/value.h"
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

/* The causal mask, which models without flash attention carry along. */
static int is_mask(const char *name) { return path_has_suffix(name, ".attn.bias"); }

static int add(struct torch *t, const struct pickle *name, const struct pickle *value)
{
    struct file_tensor one = { 0 };
    FAIL_IF(name->kind != PICKLE_STRING, E_DATA, "%s: a weight without a name", t->what);
    one.name = plain_name(name->string);
    if (is_mask(one.name)) return 0;
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

/* From the caller's bytes, or, where they are NULL, from the file `what`. */
int nanogpt_parse(struct model_files *f, const uint8_t *bytes, size_t size, const char *what)
{
    struct torch t;
    TRY(torch_parse(&t, bytes, size, what));
    *f = (struct model_files){ .model = &model_gpt2, .tensors = t.tensors };
    int failed = read_all(f, &t);
    if (failed) model_close(f);
    return failed;
}

int nanogpt_open(struct model_files *f, const char *path) { return nanogpt_parse(f, NULL, 0, path); }

int nanogpt_describe(const struct model **m, struct config *c, const char *path)
{
    struct torch t;
    TRY(torch_open(&t, path));
    int failed = read_config(c, pickle_get(t.root, "model_args"), path);
    torch_close(&t);
    *m = &model_gpt2;
    return failed;
}

/* ---- what training goes on from ----
 *
 *     "optimizer": {"state": {i: {"step": n, "exp_avg": ..., "exp_avg_sq": ...}}, "param_groups": [...]}, "iter_num": n
 *
 * i counts the parameters that decay, those of two dimensions, then the others, each in the order of "model".  The head is the table. */

static const char *const moments[] = { "exp_avg", "exp_avg_sq" };

static int is_parameter(const char *name) { return !is_mask(name) && strcmp(name, "lm_head.weight"); }

/* A number, or a tensor of one. */
static int read_count(struct torch *t, const struct pickle *value, int64_t *n, const char *name)
{
    static const double MOST = 0x1p52;
    struct file_tensor one;
    double real = -1;
    float f;
    if (value && value->kind == PICKLE_INT) real = (double)value->integer;
    if (value && value->kind == PICKLE_REAL) real = value->real;
    if (value && value->kind == PICKLE_CALL) {
        TRY(torch_tensor(t, value, &one));
        if (one.type == F32 && one.size == sizeof f) memcpy(&f, one.data, sizeof f), real = f;
    }
    FAIL_IF(!(real >= 0 && real <= MOST), E_DATA, "%s: its %s is no number of iterations", t->what, name);
    *n = (int64_t)real;
    return 0;
}

/* The states by their numbers, n of them. */
static int list_states(struct torch *t, const struct pickle *all, const struct pickle **state, size_t n)
{
    for (size_t i = 0; i < all->n; i += 2) {
        const struct pickle *number = all->item[i];
        FAIL_IF(number->kind != PICKLE_INT || number->integer < 0 || (uint64_t)number->integer >= n || state[number->integer], E_DATA, "%s: its optimizer has not one state for each of %zu parameters", t->what, n);
        state[number->integer] = all->item[i + 1];
    }
    for (size_t i = 0; i < n; i++) FAIL_IF(!state[i], E_DATA, "%s: its optimizer has no state of parameter %zu of %zu", t->what, i, n);
    return 0;
}

static int add_moments(struct torch *t, const char *name, const struct file_tensor *weight, const struct pickle *state)
{
    for (int k = 0; k < 2; k++) {
        struct file_tensor one = { 0 };
        const struct pickle *value = pickle_get(state, moments[k]);
        FAIL_IF(!value, E_DATA, "%s: its optimizer has no %s of %.200s", t->what, moments[k], name);
        TRY(torch_tensor(t, value, &one));
        int same = one.n_dims == weight->n_dims && !memcmp(one.dim, weight->dim, (size_t)one.n_dims * sizeof *one.dim);
        FAIL_IF(!same, E_DATA, "%s: its optimizer's %s of %.200s has another shape than that", t->what, moments[k], name);
        one.turned = is_turned(name) && one.n_dims == 2;
        if (one.turned) TRY(file_tensor_turn(&one, tensors_memory(t->tensors)));
        one.name = arena_format(tensors_memory(t->tensors), "%s.%s", moments[k], name);
        FAIL_IF(!one.name, E_MEMORY, "%s: no memory for the names of moments", t->what);
        TRY(tensors_add(t->tensors, &one));
    }
    return 0;
}

/* Those that decay, or the others; *i: the next one's number. */
static int add_group(struct torch *t, const struct pickle *model, const struct pickle *const *state, int decays, size_t *i)
{
    for (size_t k = 0; k < model->n; k += 2) {
        struct file_tensor weight;
        const char *name = plain_name(model->item[k]->string);
        if (!is_parameter(name)) continue;
        TRY(torch_tensor(t, model->item[k + 1], &weight));
        if ((weight.n_dims >= 2) == decays) TRY(add_moments(t, name, &weight, state[(*i)++]));
    }
    return 0;
}

static int read_run(struct nanogpt_run *r, struct torch *t)
{
    const struct pickle *model = pickle_get(t->root, "model"), *all = pickle_get(pickle_get(t->root, "optimizer"), "state"), **state;
    size_t n = 0, i = 0;
    FAIL_IF(!model || model->kind != PICKLE_DICT, E_DATA, "%s: no checkpoint of nanoGPT: it has no \"model\"", t->what);
    FAIL_IF(!all || all->kind != PICKLE_DICT, E_DATA, "%s: it has no optimizer, so its training cannot go on; --init_from=%s begins anew with its weights", t->what, t->what);
    for (size_t k = 0; k < model->n; k += 2) {
        FAIL_IF(model->item[k]->kind != PICKLE_STRING, E_DATA, "%s: a weight without a name", t->what);
        n += is_parameter(plain_name(model->item[k]->string));
    }
    FAIL_IF(!n, E_DATA, "%s: its model has no weights", t->what);
    state = arena_take(tensors_memory(t->tensors), n * sizeof *state);
    FAIL_IF(!state, E_MEMORY, "%s: no memory for %zu states", t->what, n);
    TRY(list_states(t, all, state, n));
    TRY(read_count(t, pickle_get(t->root, "iter_num"), &r->iteration, "iter_num"));
    TRY(read_count(t, pickle_get(state[0], "step"), &r->updates, "step"));
    for (int decays = 1; decays >= 0; decays--) TRY(add_group(t, model, state, decays, &i));
    return tensors_settle(t->tensors, t->what);
}

int nanogpt_resume_parse(struct nanogpt_run *r, const uint8_t *bytes, size_t size, const char *what)
{
    struct torch t;
    *r = (struct nanogpt_run){ 0 };
    TRY(torch_parse(&t, bytes, size, what));
    int failed = read_run(r, &t);
    if (failed) torch_close(&t);
    r->moments = t.tensors;
    return failed;
}

int nanogpt_resume(struct nanogpt_run *r, const char *path) { return nanogpt_resume_parse(r, NULL, 0, path); }

/* What a value of "config" is to a table of options; 0: nothing. */
static int to_value(const struct pickle *p, struct value *v)
{
    *v = (struct value){ VALUE_NONE, p->integer, p->real, p->string };
    if (p->kind == PICKLE_BOOL) v->kind = VALUE_BOOL;
    if (p->kind == PICKLE_INT) v->kind = VALUE_INT;
    if (p->kind == PICKLE_REAL) v->kind = VALUE_REAL;
    if (p->kind == PICKLE_STRING && strlen(p->string) == p->size) v->kind = VALUE_TEXT;
    return v->kind != VALUE_NONE && !(v->kind == VALUE_REAL && !isfinite(p->real)) && !(v->kind == VALUE_INT && p->integer == INT64_MIN);
}

/* What a dict says, but for the shape of the model where `counts` says that, too: a finetuned GPT-2 is not as train.py was set to. */
static int show(const struct pickle *dict, const struct pickle *counts, int (*set)(void *context, const char *name, const struct value *v), void *context)
{
    static const char *const shape[] = { "n_layer", "n_head", "n_embd", "bias" };
    struct value v;
    for (size_t i = 0; dict && dict->kind == PICKLE_DICT && i < dict->n; i += 2) {
        const char *name = dict->item[i]->string;
        int is = dict->item[i]->kind == PICKLE_STRING && to_value(dict->item[i + 1], &v);
        for (int k = 0; k < 4 && is; k++) is = !(pickle_get(counts, name) && !strcmp(name, shape[k]));
        if (is) TRY(set(context, name, &v));
    }
    return 0;
}

int nanogpt_settings(const char *path, int (*set)(void *context, const char *name, const struct value *v), void *context)
{
    struct torch t;
    TRY(torch_open(&t, path));
    const struct pickle *args = pickle_get(t.root, "model_args");
    int failed = show(args, NULL, set, context);
    if (!failed) failed = show(pickle_get(t.root, "config"), args, set, context);
    torch_close(&t);
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

/* ---- the optimizer, written ---- */

static void put_key_real(struct text *out, const char *key, double value)
{
    pickle_put_string(out, key);
    pickle_put_real(out, value);
}

/* from .. from + n - 1 */
static void put_param_group(struct text *out, const struct nanogpt_run *r, int from, int n, double weight_decay)
{
    pickle_open_dict(out);
    pickle_put_string(out, "params");
    pickle_open_list(out);
    for (int i = from; i < from + n; i++) pickle_put_int(out, i);
    pickle_close_list(out);
    pickle_put_string(out, "betas");
    pickle_open_list(out);
    pickle_put_real(out, r->beta1);
    pickle_put_real(out, r->beta2);
    pickle_close_list(out);
    put_key_real(out, "lr", 0);                              /* which its loop sets before each step */
    put_key_real(out, "eps", 1e-8);
    put_key_real(out, "weight_decay", weight_decay);
    pickle_put_string(out, "amsgrad");
    pickle_put_bool(out, 0);
    pickle_close_dict(out);
}

struct saving { struct file_tensor *t; int weights, n; struct arena *memory; };      /* the moments lie behind the weights */

static int put_moments(struct text *out, struct saving *s, const struct nanogpt_run *r, const struct file_tensor *weight)
{
    char name[256];
    for (int k = 0; k < 2; k++) {
        snprintf(name, sizeof name, "%s.%s", moments[k], weight->name);
        const struct file_tensor *found = tensors_find(r->moments, name);
        struct file_tensor *one = &s->t[s->n];
        FAIL_IF(!found || found->type != F32 || found->n_dims != weight->n_dims, E_DATA, "the optimizer has no %s in f32", name);
        *one = *found;
        if (is_turned(weight->name)) TRY(file_tensor_turn(one, s->memory));
        FAIL_IF(memcmp(one->dim, weight->dim, (size_t)one->n_dims * sizeof *one->dim), E_DATA, "the optimizer's %s has another shape than the weight", name);
        pickle_put_string(out, moments[k]);
        torch_put(out, one, s->n++);
    }
    return 0;
}

static int put_states(struct text *out, struct saving *s, const struct nanogpt_run *r, int decays, int *i)
{
    for (int k = 0; k < s->weights; k++) {
        if ((s->t[k].n_dims >= 2) != decays) continue;
        pickle_put_int(out, (*i)++);
        pickle_open_dict(out);
        put_key_real(out, "step", (double)r->updates);
        TRY(put_moments(out, s, r, &s->t[k]));
        pickle_close_dict(out);
    }
    return 0;
}

static int put_run(struct text *out, struct saving *s, const struct nanogpt_run *r)
{
    int decaying = 0, all = 0;
    pickle_put_string(out, "optimizer");
    pickle_open_dict(out);
    pickle_put_string(out, "state");
    pickle_open_dict(out);
    TRY(put_states(out, s, r, 1, &decaying));
    all = decaying;
    TRY(put_states(out, s, r, 0, &all));
    pickle_close_dict(out);
    pickle_put_string(out, "param_groups");
    pickle_open_list(out);
    put_param_group(out, r, 0, decaying, r->weight_decay);
    put_param_group(out, r, decaying, all - decaying, 0);
    pickle_close_list(out);
    pickle_close_dict(out);
    pickle_put_string(out, "iter_num");
    pickle_put_int(out, r->iteration);
    put_key_real(out, "best_val_loss", 1e9);                 /* as at the start: its next evaluation is the best it knows */
    return 0;
}

static int put_all(struct text *out, const struct config *c, const struct nanogpt_run *r, const char *dataset, struct saving *s)
{
    for (int i = 0; i < s->weights; i++)
        if (is_turned(s->t[i].name)) TRY(file_tensor_turn(&s->t[i], s->memory));
    pickle_begin(out);
    pickle_open_dict(out);
    pickle_put_string(out, "model_args");
    put_args(out, c);
    pickle_put_string(out, "model");
    put_model(out, s->t, s->weights);
    if (r) TRY(put_run(out, s, r));
    if (*dataset) {
        pickle_put_string(out, "config");
        pickle_open_dict(out);
        pickle_put_string(out, "dataset");
        pickle_put_string(out, dataset);
        pickle_close_dict(out);
    }
    pickle_close_dict(out);
    pickle_end(out);
    return 0;
}

/* Room for two moments of each weight. */
static int list_all(const struct model_files *f, struct saving *s)
{
    struct file_tensor *weights;
    TRY(model_list(f, s->memory, &weights, &s->weights));
    s->n = s->weights;
    s->t = arena_take(s->memory, 3 * (size_t)s->n * sizeof *s->t);
    FAIL_IF(!s->t, E_MEMORY, "no memory for the names of weights");
    memcpy(s->t, weights, (size_t)s->n * sizeof *s->t);
    return 0;
}

int nanogpt_write(const struct model_files *f, const struct nanogpt_run *r, const char *dataset, const char *path)
{
    struct arena memory = { 0 };
    struct text out = { 0 };
    struct saving s = { .memory = &memory };
    TRY(model_is_plain(f, "nanoGPT"));
    int code = list_all(f, &s);
    if (!code) code = put_all(&out, &f->config, r, dataset, &s);
    if (!code) code = torch_write(path, &out, s.t, s.n, NULL, NULL);
    text_free(&out);
    arena_free(&memory);
    return code;
}

#ifdef FUZZ_NANOGPT
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct model_files f;
    struct nanogpt_run r;
    unsigned sum = 0;
    if (!nanogpt_parse(&f, data, size, "fuzz")) model_close(&f);
    if (nanogpt_resume_parse(&r, data, size, "fuzz")) return 0;
    for (int i = 0; i < tensors_count(r.moments); i++) {
        const struct file_tensor *t = tensors_at(r.moments, i);
        for (size_t k = 0; k < t->size; k++) sum |= ((const uint8_t *)t->data)[k];
    }
    tensors_close(r.moments);
    return sum > 255;
}
#endif
