/* adapter.c -- the matrices of an adapter: from its file into weights, back, and into the base's. */
#include "model/adapter.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/quantize.h"
#include "base/rng.h"
#include "file/safetensors.h"
#include "file/torch.h"
#include "model/model.h"

enum { MAX_NAME = 256, MOST_LAYERS = 1 << 13 };
static const char BEFORE[] = "base_model.model.", A[] = ".lora_A.weight", B[] = ".lora_B.weight";

const struct low_rank *lora_of(const struct lora *l, const char *layer)
{
    size_t n = strlen(layer);
    for (int i = 0; i < l->n; i++) {
        const struct low_rank *r = &l->adapt[i];
        size_t m = strlen(r->layer);
        if (m <= n && !strcmp(layer + n - m, r->layer) && (m == n || layer[n - m - 1] == '.')) return r;
    }
    return NULL;
}

int adapter_look(const char *folder, int *is)
{
    char path[PATH_SIZE];
    *is = 0;
    if (!path_is_dir(folder)) return 0;
    TRY(path_join(path, folder, ADAPTER_CONFIG));
    return path_look(path, is);
}

void adapter_close(struct adapter *a)
{
    if (!a) return;
    json_decref(a->config);
    tensors_close(a->tensors);
    arena_free(&a->memory);
    free(a);
}

static int is_adapter(const struct param *p) { return strstr(p->name, ".lora_") != NULL; }

static int ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

/* ---- what it adapts ---- */

void adapter_mark_base(const struct tensors *base, char mark[65])
{
    enum { PLACES = 32, BYTES = 64 };                        /* of each tensor */
    struct sha256 s;
    sha256_start(&s);
    for (int i = 0; i < tensors_count(base); i++) {
        const struct file_tensor *t = tensors_at(base, i);
        sha256_add(&s, t->name, strlen(t->name) + 1);
        sha256_add(&s, &t->type, sizeof t->type);
        sha256_add(&s, t->dim, (size_t)t->n_dims * sizeof *t->dim);
        for (size_t k = 0; k < PLACES && t->size; k++) {
            size_t at = t->size / PLACES * k, left = t->size - at;
            sha256_add(&s, (const char *)t->data + at, left < BYTES ? left : BYTES);
        }
    }
    sha256_end(&s, mark);
}

/* ---- which layers a file adapts ---- */

static const struct file_tensor *find(const struct tensors *t, const struct model *m, const char *layer, const char *which)
{
    char full[MAX_NAME];
    int n = snprintf(full, sizeof full, "%s%s%s%s", BEFORE, m->prefix, layer, which);
    return n < (int)sizeof full ? tensors_find(t, full) : NULL;
}

/* Of "base_model.model.MODULE.lora_A.weight" the module; E_MODEL: a tensor that is no matrix of LoRA. */
static int name_module(struct arena *memory, const struct file_tensor *t, const char **module, const char *what)
{
    size_t before = strlen(BEFORE), n = strlen(t->name), after = strlen(A);
    int is = n > before + after && n < MAX_NAME && !strncmp(t->name, BEFORE, before) && (ends_with(t->name, A) || ends_with(t->name, B));
    FAIL_IF(!is, E_MODEL, "%s: %.200s is no matrix of a LoRA layer, base_model.model.LAYER.lora_A.weight or .lora_B.weight; nib has no others", what, t->name);
    *module = arena_format(memory, "%.*s", (int)(n - before - after), t->name + before);
    FAIL_IF(!*module, E_MEMORY, "%s: no memory", what);
    return 0;
}

static int list_modules(struct adapter *a, const struct model *m, struct module *of, int *n, const char *what)
{
    for (int i = 0; i < tensors_count(a->tensors); i++) {
        const struct file_tensor *t = tensors_at(a->tensors, i), *other;
        const char *module;
        TRY(name_module(&a->memory, t, &module, what));
        size_t prefix = strncmp(module, m->prefix, strlen(m->prefix)) ? 0 : strlen(m->prefix);
        other = find(a->tensors, m, module + prefix, ends_with(t->name, A) ? B : A);
        FAIL_IF(!other, E_DATA, "%s: %.200s has no other half, or is no layer of a %s model", what, t->name, m->name);
        FAIL_IF(t->n_dims != 2 || !t->dim[0] || !t->dim[1], E_DATA, "%s: %.200s is no matrix", what, t->name);
        if (ends_with(t->name, A)) of[(*n)++] = (struct module){ module, t->dim[0], 0 };
    }
    FAIL_IF(!*n, E_DATA, "%s: it has no matrices", what);
    return 0;
}

static int take_layers(struct adapter *a, const struct model *m, const char *what)
{
    int most = tensors_count(a->tensors), n = 0;
    FAIL_IF(most > 2 * MOST_LAYERS, E_DATA, "%s: %d tensors; nib adapts at most %d layers", what, most, MOST_LAYERS);
    struct module *of = arena_take(&a->memory, ((size_t)most + 1) * sizeof *of);
    struct low_rank *rules = arena_take(&a->memory, ((size_t)most + 1) * sizeof *rules);
    FAIL_IF(!of || !rules, E_MEMORY, "%s: no memory", what);
    TRY(list_modules(a, m, of, &n, what));
    TRY(adapter_scales(a, of, n, what));
    for (int i = 0; i < n; i++) {
        size_t prefix = strncmp(of[i].name, m->prefix, strlen(m->prefix)) ? 0 : strlen(m->prefix);
        rules[i] = (struct low_rank){ of[i].name + prefix, (int)of[i].rank, of[i].scale };
    }
    a->lora.adapt = rules;
    a->lora.n = n;
    return 0;
}

static int open_bin(struct tensors **tensors, const char *path)
{
    struct torch t;
    TRY(torch_open(&t, path));
    *tensors = t.tensors;
    return torch_add(&t, t.root);
}

int adapter_open_tensors(struct adapter *a, const struct model *m, const char *folder)
{
    char path[PATH_SIZE];
    int is;
    TRY(path_join(path, folder, ADAPTER_MODEL));
    TRY(path_look(path, &is));
    if (is) {
        TRY(safetensors_open(&a->tensors, path));
    } else {
        TRY(path_join(path, folder, "adapter_model.bin"));
        TRY(path_look(path, &is));
        FAIL_IF(!is, E_IO, "%s has an adapter_config.json, but neither adapter_model.safetensors nor adapter_model.bin", folder);
        TRY(open_bin(&a->tensors, path));
    }
    return take_layers(a, m, path);
}

/* ---- do they fit the model? ---- */

int adapter_check_layers(const struct weights *w, const struct model *m, const struct lora *l, const char *what)
{
    for (int i = 0; i < l->n; i++) {
        const struct low_rank *r = &l->adapt[i];
        int found = 0;
        for (const struct param *p = w->param; p && !found; p = p->next) {
            char layer[MAX_NAME];
            if (!is_adapter(p) || !ends_with(p->name, A)) continue;
            snprintf(layer, sizeof layer, "%.*s", (int)(strlen(p->name) - strlen(A)), p->name);
            found = lora_of(&(struct lora){ .adapt = r, .n = 1 }, layer) != NULL;
        }
        FAIL_IF(!found, E_USAGE, "%s: the model has no dense layer %.200s in its blocks; those of %s are %s", what, r->layer, m->name, m->dense);
    }
    return 0;
}

/* The tensor for a parameter of an adapter. */
static int find_matrix(const struct param *p, const struct model *m, const struct tensors *t, const char *what, const struct file_tensor **found)
{
    const struct file_tensor *f = *found = find(t, m, p->name, "");
    FAIL_IF(!f, E_DATA, "%s: tensor %s%s%s is missing", what, BEFORE, m->prefix, p->name);
    FAIL_IF(f->n_dims != 2 || f->dim[0] != p->out || f->dim[1] != p->in, E_DATA, "%s: %s is (%lld, %lld), the model needs (%lld, %lld)", what, f->name, (long long)f->dim[0],
            (long long)(f->n_dims > 1 ? f->dim[1] : 1), (long long)p->out, (long long)p->in);
    return 0;
}

int adapter_check(const struct weights *w, const struct model *m, const struct tensors *t, const char *what)
{
    const struct file_tensor *f;
    for (const struct param *p = w->param; p; p = p->next)
        if (is_adapter(p)) TRY(find_matrix(p, m, t, what, &f));
    return 0;
}

/* ---- into weights and back ---- */

int adapter_load(struct weights *w, const struct model *m, const struct tensors *t, const char *what)
{
    const struct file_tensor *f;
    for (struct param *p = w->param; p; p = p->next) {
        if (!is_adapter(p)) continue;
        TRY(find_matrix(p, m, t, what, &f));
        TRY(weights_set(w, p, 0, f->type, f->data));
    }
    w->backend->refresh(w);
    return 0;
}

int adapter_load_file(struct weights *w, const struct model *m, const char *folder)
{
    char path[PATH_SIZE];
    struct tensors *t;
    TRY(path_join(path, folder, ADAPTER_MODEL));
    TRY(safetensors_open(&t, path));
    int code = adapter_load(w, m, t, path);
    tensors_close(t);
    return code;
}

/* kaiming_uniform_ with a = sqrt(5) is uniform within sqrt(6 / (1 + 5) / in). */
int adapter_init(struct weights *w, uint64_t seed)
{
    for (struct param *p = w->param; p; p = p->next) {
        if (!is_adapter(p)) continue;
        size_t n = param_size(p);
        double bound = ends_with(p->name, A) ? 1 / sqrt((double)p->in) : 0;
        uint64_t key = rng_key(seed, rng_hash(p->name));
        float *x = malloc(n * sizeof *x);
        FAIL_IF(!x, E_MEMORY, "no memory to initialise %s", p->name);
        for (size_t i = 0; i < n; i++) x[i] = (float)(bound * (2 * rng_unit(key, i) - 1));
        int code = weights_set(w, p, 0, F32, x);
        free(x);
        if (code) return code;
    }
    w->backend->refresh(w);
    return 0;
}

struct saving { const struct weights *w; struct file_tensor *t; const struct param **from; int n; struct arena names; };

static int fill(void *context, int i, void *buffer)
{
    const struct saving *s = context;
    weights_get(s->w, s->from[i], 0, s->w->master, buffer);
    return 0;
}

static void list_matrices(struct saving *s, const struct model *m)
{
    for (const struct param *p = s->w->param; p; p = p->next) {
        if (!is_adapter(p)) continue;
        s->from[s->n] = p;
        s->t[s->n++] = (struct file_tensor){ .name = arena_format(&s->names, "%s%s%s", BEFORE, m->prefix, p->name), .type = F32, .n_dims = 2, .dim = { p->out, p->in },
                                             .size = param_size(p) * sizeof(float) };
    }
}

int adapter_save(const struct weights *w, const struct model *m, const char *path, char sha256[65])
{
    size_t room = (size_t)w->n_param + 1;
    struct saving s = { .w = w, .t = calloc(room, sizeof *s.t), .from = calloc(room, sizeof *s.from) };
    int code = s.t && s.from ? 0 : error_set(E_MEMORY, __FILE__, __LINE__, "no memory to save an adapter");
    if (!code) list_matrices(&s, m);
    if (!code && s.names.failed) code = error_set(E_MEMORY, __FILE__, __LINE__, "no memory for the names of weights");
    if (!code) code = safetensors_write(path, s.t, s.n, NULL, fill, &s, sha256);
    arena_free(&s.names);
    free(s.t);
    free(s.from);
    return code;
}

/* ---- into the base's matrices ---- */

static const struct low_rank *rule_of(const struct adapter *a, const char *block, char layer[MAX_NAME])
{
    if (!a || !ends_with(block, ".weight") || strlen(block) >= MAX_NAME) return NULL;
    snprintf(layer, MAX_NAME, "%.*s", (int)(strlen(block) - strlen(".weight")), block);
    return lora_of(&a->lora, layer);
}

int adapter_has(const struct adapter *a, const char *block)
{
    char layer[MAX_NAME];
    return rule_of(a, block, layer) != NULL;
}

/* W (rows, cols) + scale * left (rows, R) right (R, cols), as W lies: B A, or A^T B^T. */
struct merging { int64_t rows, cols, R; float scale, *w, *left, *right; };

static void take_matrix(float *to, const struct file_tensor *t, int turned)
{
    size_t rows = (size_t)t->dim[0], cols = (size_t)t->dim[1];
    for (size_t i = 0; i < rows; i++)
        for (size_t k = 0; k < cols && turned; k++) numbers_widen(t->type, (const char *)t->data + dtype_bytes(t->type, i * cols + k), &to[k * rows + i], 1);
    if (!turned) numbers_widen(t->type, t->data, to, rows * cols);
}

static void add_product(const struct merging *g)
{
    for (int64_t i = 0; i < g->rows; i++)
        for (int64_t j = 0; j < g->R; j++) {
            float by = g->scale * g->left[i * g->R + j], *w = g->w + i * g->cols;
            const float *right = g->right + j * g->cols;
            for (int64_t k = 0; k < g->cols; k++) w[k] += by * right[k];
        }
}

/* The same for a file of bf16; what has another type goes on as f32. */
enum dtype adapter_merged_type(enum dtype t) { return t == BF16 ? BF16 : F32; }

static int merge(struct merging *g, enum layout layout, const struct file_tensor *t, const struct file_tensor *a, const struct file_tensor *b, void *to)
{
    size_t n = (size_t)(g->rows * g->cols), n_left = (size_t)(g->rows * g->R), n_right = (size_t)(g->R * g->cols);
    float *memory = malloc((n + n_left + n_right) * sizeof *memory);
    FAIL_IF(!memory, E_MEMORY, "no memory to merge %.200s", t->name);
    g->w = memory, g->left = g->w + n, g->right = g->left + n_left;
    numbers_widen(t->type, t->data, g->w, n);
    take_matrix(g->left, layout == IN_OUT ? a : b, layout == IN_OUT);
    take_matrix(g->right, layout == IN_OUT ? b : a, layout == IN_OUT);
    add_product(g);
    for (size_t i = 0; i < n && t->type == BF16; i++) ((uint16_t *)to)[i] = f32_to_bf16(g->w[i]);
    if (t->type != BF16) memcpy(to, g->w, n * sizeof *g->w);
    free(memory);
    return 0;
}

static int is_float(enum dtype t) { return t == F32 || t == BF16 || t == F16 || t == F64; }

int adapter_merge(const struct adapter *a, const struct model *m, const struct param *p, int block, const struct file_tensor *t, void *to)
{
    char layer[MAX_NAME];
    const struct low_rank *r = rule_of(a, p->block[block].name, layer);
    const struct file_tensor *fa = find(a->tensors, m, layer, A), *fb = find(a->tensors, m, layer, B);
    int64_t out = p->block[block].out, in = p->in;
    FAIL_IF(fa->dim[1] != in || fb->dim[0] != out || fb->dim[1] != fa->dim[0], E_DATA, "%.200s (%lld, %lld) does not fit the model's %s, (%lld, %lld)", fa->name, (long long)fa->dim[0],
            (long long)fa->dim[1], layer, (long long)out, (long long)in);
    FAIL_IF(!is_float(t->type) || !is_float(fa->type) || !is_float(fb->type), E_MODEL, "%.200s is of type %s, and an adapter is merged into floats alone", t->name, dtype_name(t->type));
    struct merging g = { .rows = p->layout == IN_OUT ? in : out, .cols = p->layout == IN_OUT ? out : in, .R = r->rank, .scale = r->scale };
    return merge(&g, p->layout, t, fa, fb, to);
}

#ifdef FUZZ_ADAPTER
static int fill_model(struct weights *w, const struct model *m, const struct adapter *a)
{
    static const struct space text = { "text", 4, 1 };
    struct config c = m->base;
    graph *g;
    struct plan *p;
    c.layers = 2, c.heads = 2, c.width = 8, c.vocab = 11, c.context = 4, c.bias = 1;
    config_fill_in(&c);
    weights_lora(w, &a->lora);
    TRY(graph_open(&g, w, TRAIN, F32, &text, 1));
    tensor *losses = m->build(g, &c);
    TRY(plan_new(&p, g, &losses, 1, &(struct plan_options){ 0 }));
    TRY(adapter_check_layers(w, m, &a->lora, "fuzz"));
    TRY(adapter_check(w, m, a->tensors, "fuzz"));
    TRY(weights_place(w));
    return adapter_load(w, m, a->tensors, "fuzz");
}

/* An adapter_config.json, a NUL, and a file of tensors for a small model. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct model *const models[] = { &model_gpt2, &model_llama };
    const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
    struct adapter a = { 0 };
    struct weights *w;
    if (!nul || json_parse(&a.config, (const char *)data, (size_t)(nul - data), "fuzz")) return 0;
    int code = adapter_parse(&a, a.config, "fuzz");
    if (!code) code = safetensors_parse(&a.tensors, nul + 1, size - (size_t)(nul + 1 - data), "fuzz");
    for (int i = 0; i < 2 && !code; i++) {
        if (weights_new(&w, &null_backend, FROZEN)) abort();
        if (!take_layers(&a, models[i], "fuzz")) fill_model(w, models[i], &a);
        weights_free(w);
    }
    tensors_close(a.tensors);
    json_decref(a.config);
    arena_free(&a.memory);
    return 0;
}
#endif
