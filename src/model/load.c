/* load.c -- weights from a file or from nothing. */
#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/quantize.h"
#include "base/file.h"
#include "base/rng.h"
#include "file/tensors.h"
#include "model/model.h"

enum { MAX_NAME = 256 };

static const struct file_tensor *find(const struct model *m, const struct tensors *file, const char *label, const char *name)
{
    char full[MAX_NAME];
    snprintf(full, sizeof full, "%s%s", label, name);
    const struct file_tensor *t = tensors_find(file, full);
    if (t) return t;
    snprintf(full, sizeof full, "%s%s%s", label, m->prefix, name);
    return tensors_find(file, full);
}

const struct file_tensor *model_find_tensor(const struct model *m, const struct tensors *file, const char *name) { return find(m, file, "", name); }

void model_settle_head(const struct model *m, struct config *c, const struct tensors *file)
{
    const struct file_tensor *head = find(m, file, "", "lm_head.weight"), *table = find(m, file, "", m->table);
    if (!c->tied || !head || !table) return;
    c->tied = head->type == table->type && head->size == table->size && !memcmp(head->data, table->data, head->size);
}

int model_offer_weights(struct weights *w, const struct model *m, const struct tensors *file)
{
    size_t prefix = strlen(m->prefix);
    for (int i = 0; i < tensors_count(file); i++) {
        const struct file_tensor *t = tensors_at(file, i);
        int numbers = (t->type == F32 || t->type == BF16) && (uintptr_t)t->data % dtype_size(t->type) == 0;
        if (!is_quantized(t->type) && !(numbers && (w->frozen_type == F32 || t->type == BF16))) continue;
        if (is_quantized(t->type)) w->state_type = BF16;     /* as fine as what they are made of */
        TRY(weights_offer(w, strncmp(t->name, m->prefix, prefix) ? t->name : t->name + prefix, t->type, t->turned, t->data));
    }
    return 0;
}

/* The shape of block i of p as its family's files have it, or turned; other matrices keep their layout. */
static int shape(const struct param *p, int i, int turned, int64_t dim[2])
{
    int in_out = (p->layout ^ p->turned) == IN_OUT, n = p->in == 1 ? 1 : 2;
    if (n == 2) in_out ^= turned;
    dim[0] = in_out ? p->in : p->block[i].out;
    dim[1] = in_out ? p->block[i].out : p->in;
    return n;
}

static int check_shape(const struct model *m, const struct param *p, int i, const struct file_tensor *t, const char *what)
{
    int64_t dim[2];
    int n = shape(p, i, t->turned, dim);
    int crops = m->positions && !strcmp(p->name, m->positions);
    int fits = t->n_dims == n && (t->dim[0] == dim[0] || (crops && t->dim[0] > dim[0])) && (n == 1 || t->dim[1] == dim[1]);
    FAIL_IF(!fits, E_DATA, "%s: %s is (%lld%s%lld), the model needs (%lld%s%lld)", what, t->name, (long long)t->dim[0], t->n_dims > 1 ? ", " : " x ",
            (long long)(t->n_dims > 1 ? t->dim[1] : 1), (long long)dim[0], n > 1 ? ", " : " x ", (long long)(n > 1 ? dim[1] : 1));
    return 0;
}

static int find_block(const struct model *m, const struct param *p, int i, const struct tensors *file, const char *label, const char *what, const struct file_tensor **t)
{
    *t = find(m, file, label, p->block[i].name);
    FAIL_IF(!*t, E_DATA, "%s: tensor %s%s is missing", what, label, p->block[i].name);
    return check_shape(m, p, i, *t, what);
}

int model_check_weights(const struct weights *w, const struct model *m, const struct tensors *file, const char *what)
{
    const struct file_tensor *t;
    for (const struct param *p = w->param; p; p = p->next)
        for (int i = 0; i < p->n_block && !strstr(p->name, ".lora_"); i++) TRY(find_block(m, p, i, file, "", what, &t));
    return 0;
}

/* A block that does not lie as the parameter does is turned first. */
static int set_block(struct weights *w, struct param *p, int i, const struct file_tensor *t)
{
    struct file_tensor turned = *t;
    struct arena memory = { 0 };
    int failed = t->turned && t->n_dims == 2 ? file_tensor_turn(&turned, &memory) : 0;
    if (!failed) failed = weights_set(w, p, i, turned.type, turned.data);
    arena_free(&memory);
    return failed;
}

int model_load_weights(struct weights *w, const struct model *m, const struct tensors *file, const char *what)
{
    const struct file_tensor *t;
    for (struct param *p = w->param; p; p = p->next) {
        if (strstr(p->name, ".lora_")) continue;
        for (int i = 0; i < p->n_block; i++) {
            TRY(find_block(m, p, i, file, "", what, &t));
            if (p->use != MAPPED) TRY(set_block(w, p, i, t));
        }
    }
    w->backend->refresh(w);
    return 0;
}

int model_load_range(const struct weights *w, const struct model *m, float *range, const char *label, const struct tensors *file, const char *what)
{
    const struct file_tensor *t;
    for (const struct param *p = w->param; p; p = p->next) {
        size_t at = p->at;
        for (int i = 0; i < p->n_block && p->use == TRAINED; i++) {
            TRY(find_block(m, p, i, file, label, what, &t));
            FAIL_IF(t->type != F32, E_DATA, "%s: %s is %s, not f32", what, t->name, dtype_name(t->type));
            size_t n = (size_t)(p->block[i].out * p->in);    /* of a larger table of positions its first rows */
            w->backend->copy(range + at, t->data, n * sizeof(float));
            at += n;
        }
    }
    return 0;
}

/* ---- from nothing ---- */

static const struct init *rule_of(const struct model *m, const char *name)
{
    const struct init *r = m->init;
    while (r->pattern && fnmatch(r->pattern, name, 0)) r++;
    return r;
}

static int start(struct weights *w, struct param *p, int block, const struct init *r, float std, uint64_t key)
{
    size_t n = (size_t)(p->block[block].out * p->in);
    float *x = malloc(n * sizeof *x);
    FAIL_IF(!x, E_MEMORY, "no memory to initialise %s", p->block[block].name);
    for (size_t i = 0; i < n; i++) x[i] = r->start == START_ONES ? 1 : r->start == START_ZEROS ? 0 : std * (float)rng_normal(key, i);
    int code = weights_set(w, p, block, F32, x);
    free(x);
    return code;
}

int model_init_weights(struct weights *w, const struct model *m, const struct config *c, uint64_t seed)
{
    for (struct param *p = w->param; p; p = p->next)
        for (int i = 0; i < p->n_block; i++) {
            const struct init *r = rule_of(m, p->block[i].name);
            float std = r->residual ? r->std / sqrtf(2 * (float)c->layers) : r->std;
            TRY(start(w, p, i, r, std, rng_key(seed, rng_hash(p->block[i].name))));
        }
    w->backend->refresh(w);
    return 0;
}

size_t model_parameters(const struct weights *w)
{
    size_t n = 0;
    for (const struct param *p = w->param; p; p = p->next) n += param_size(p);
    return n;
}

size_t model_trained(const struct weights *w)
{
    size_t n = 0;
    for (const struct param *p = w->param; p; p = p->next) n += p->use == TRAINED ? param_size(p) : 0;
    return n;
}

size_t model_mapped(const struct weights *w)
{
    size_t n = 0;
    for (const struct param *p = w->param; p; p = p->next)
        for (int i = 0; i < p->n_block && p->use == MAPPED; i++) n += dtype_bytes(p->block_type[i], (size_t)(p->block[i].out * p->in));
    return n;
}

#ifdef FUZZ_WEIGHTS
#include "base/json.h"
#include "file/safetensors.h"

enum { FEW_LAYERS = 3 };                                     /* more are the same once more */

static int fill(struct weights *w, const struct model *m, const struct config *c, const struct tensors *file)
{
    static const struct space text = { "text", 4, 1 };
    graph *g;
    struct plan *p;
    if (w->use == MAPPED) TRY(model_offer_weights(w, m, file));
    TRY(config_fits(c, text.rows));
    TRY(graph_open(&g, w, w->use == TRAINED ? TRAIN : EVAL, F32, &text, 1));
    tensor *losses = m->build(g, c);
    TRY(plan_new(&p, g, &losses, 1, &(struct plan_options){ 0 }));
    TRY(model_check_weights(w, m, file, "fuzz"));
    TRY(weights_place(w));
    return model_load_weights(w, m, file, "fuzz");
}

/* A config.json, a NUL, and a file of weights for a model of it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
    const struct model *m;
    struct config c;
    struct tensors *file;
    struct weights *w;
    json_t *root;
    if (!nul || json_parse(&root, (const char *)data, (size_t)(nul - data), "fuzz")) return 0;
    int code = config_parse(&m, &c, root, "fuzz");
    json_decref(root);
    if (code || c.layers > FEW_LAYERS || safetensors_parse(&file, nul + 1, size - (size_t)(nul + 1 - data), "fuzz")) return 0;
    model_settle_head(m, &c, file);
    for (enum use use = TRAINED; use <= MAPPED; use++) {
        if (weights_new(&w, &null_backend, use)) abort();
        fill(w, m, &c, file);
        weights_free(w);
    }
    tensors_close(file);
    return 0;
}
#endif
