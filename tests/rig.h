/* rig.h -- models on the CPU backend, as tests run them: golden files, batches, plans, a step of training. */
#ifndef RIG_H
#define RIG_H
#include <math.h>

#include "base/json.h"
#include "base/rng.h"
#include "cpu/cpu.h"
#include "file/safetensors.h"
#include "model/model.h"
#include "test.h"

/* Makes build i of the kernels the one that runs, on one thread; 0 after the last.  What must hold for each build is
 * tested in a loop:  for (int i = 0; use_build(i); i++) */
static inline int use_build(int i)
{
    const struct cpu_table *t = cpu_build(i);
    if (t) assert_ok(cpu_init(t->name, 1));
    return t != NULL;
}

/* ---- batches ---- */

enum { MAX_SEQS = 8 };

struct batch {
    int rows, seqs;
    const int32_t *ids, *pos, *targets;
    const int64_t *key;                                       /* NULL: nothing drops */
    struct seq seq[MAX_SEQS];                                 /* keys are the sequence's own rows */
};

/* The same batch for a model that keeps keys and values: those of row r lie in state row r. */
static inline struct batch with_state(struct batch b)
{
    for (int i = 0; i < b.seqs; i++) b.seq[i].base = b.seq[i].row, b.seq[i].key = 0;
    return b;
}

static inline int targets_in(const struct batch *b)
{
    int n = 0;
    for (int r = 0; r < b->rows; r++) n += b->targets[r] >= 0;
    return n;
}

static inline void bind(struct plan *p, const struct batch *b)
{
    const struct { const char *name; const void *data; int n; } input[] = {
        { "text.ids", b->ids, b->rows }, { "text.pos", b->pos, b->rows }, { "text.targets", b->targets, b->rows },
        { "text.key", b->key, b->rows }, { "text.seqs", b->seq, b->seqs },
    };
    for (size_t i = 0; i < sizeof input / sizeof *input; i++)
        if (plan_wants(p, input[i].name)) assert_ok(plan_bind(p, input[i].name, input[i].data, input[i].n));
}

/* ---- plans ---- */

static inline struct plan *plan_for(struct weights *w, const struct model *m, const struct config *c, enum phase phase, enum dtype type,
                                    struct batch most, struct plan_options o)
{
    graph *g;
    struct plan *p;
    assert_ok(graph_open(&g, w, phase, type, &(struct space){ "text", most.rows, most.seqs }, 1));
    tensor *out = m->build(g, c);
    assert_ok(plan_new(&p, g, &out, 1, &o));
    return p;
}

/* Losses or logits of a batch, computed with dropout's seed 1 as the only micro-step of step 0. */
static inline const float *run_plan(struct plan *p, const struct batch *b)
{
    bind(p, b);
    assert_ok(plan_run(p, &(struct run_scalars){ .seed = 1, .last_micro = 1, .loss_weight = { 1 / (float)(b->targets ? targets_in(b) : 1) } }));
    return plan_result(p, 0);
}

/* One step of training on some micro-batches, clipped as clip_grad_norm_ of PyTorch does; returns the mean loss. */
static inline double train_step(struct weights *w, struct plan *p, const struct batch *micro, int n, int step, double rate, double *norm)
{
    double sum = 0;
    int targets = 0;
    for (int i = 0; i < n; i++) targets += targets_in(&micro[i]);
    for (int i = 0; i < n; i++) {
        bind(p, &micro[i]);
        struct run_scalars s = { .seed = 1, .step = step, .micro = i, .last_micro = i == n - 1, .loss_weight = { 1 / (float)targets } };
        assert_ok(plan_run(p, &s));
        const float *loss = plan_result(p, 0);
        for (int r = 0; r < micro[i].rows; r++) sum += loss[r];
    }
    *norm = weights_norm(w);
    double clip = 1 / (*norm + 1e-6);
    cpu_backend.update(w, &(struct adamw){ .lr = rate, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .weight_decay = 0.1,
                                           .grad_scale = clip < 1 ? clip : 1, .t = step + 1 });
    return sum / targets;
}

/* ---- golden files: see twin/README.md ---- */

struct golden {
    const char *name;
    struct tensors *file;
    const struct model *model;
    struct config c;
    struct batch batch;
};

static inline const struct file_tensor *golden_find(const struct golden *g, const char *kind, const char *name)
{
    char full[256];
    snprintf(full, sizeof full, "%s%s", kind, name);
    const struct file_tensor *t = tensors_find(g->file, full);
    if (!t) fail_msg("%s: no tensor %s", g->name, full);
    return t;
}

static inline const void *golden_data(const struct golden *g, const char *kind, const char *name, enum dtype type)
{
    const struct file_tensor *t = golden_find(g, kind, name);
    assert_int_equal(t->type, type);
    assert_int_equal((uintptr_t)t->data % dtype_size(type), 0);
    return t->data;
}

static inline void read_golden_config(struct golden *g)
{
    const char *text = tensors_metadata(g->file, "config");
    json_t *json;
    assert_non_null(text);
    assert_ok(json_parse(&json, text, strlen(text), g->name));
#define READ(field) g->c.field = json_number_value(json_object_get(json, #field));
    READ(layers) READ(heads) READ(kv_heads) READ(width) READ(hidden) READ(head_dim) READ(vocab) READ(context) READ(tied) READ(eps)
    READ(bias) READ(unscaled) READ(by_layer) READ(qkv_bias) READ(out_bias) READ(mlp_bias) READ(qk_norm) READ(window) READ(full_layers)
    READ(theta) READ(scaling) READ(factor) READ(slow) READ(fast) READ(gain) READ(original) READ(whole_pairs)
#undef READ
    g->c.activation = json_integer_value(json_object_get(json, "gelu_tanh")) ? GELU_TANH : GELU_ERF;
    g->model = strcmp(json_string_value(json_object_get(json, "model")), "llama") ? &model_gpt2 : &model_llama;
    json_decref(json);
}

static inline struct golden golden_open(const char *name)
{
    struct golden g = { .name = name };
    char path[128];
    snprintf(path, sizeof path, "tests/golden/%s.safetensors", name);
    assert_ok(safetensors_open(&g.file, path));
    read_golden_config(&g);
    const struct file_tensor *seqs = golden_find(&g, "", "seqs");
    const int32_t *seq = golden_data(&g, "", "seqs", I32);
    assert_in_range(seqs->dim[0], 1, MAX_SEQS);
    g.batch = (struct batch){ .rows = (int)golden_find(&g, "", "pos")->dim[0], .seqs = (int)seqs->dim[0], .ids = golden_data(&g, "", "ids", I32),
                              .pos = golden_data(&g, "", "pos", I32), .targets = golden_data(&g, "", "targets", I32) };
    for (int i = 0; i < g.batch.seqs; i++)
        g.batch.seq[i] = (struct seq){ .row = seq[2 * i], .rows = seq[2 * i + 1], .key = seq[2 * i], .keys = seq[2 * i + 1] };
    return g;
}

/* Places the weights and fills all that are not mapped, adapters aside. */
static inline void load_golden(struct weights *w, const struct golden *g)
{
    assert_ok(weights_place(w));
    for (struct param *p = w->param; p; p = p->next)
        for (int i = 0; i < p->n_block && p->use != MAPPED && !strstr(p->name, "lora_"); i++) {
            const struct file_tensor *t = golden_find(g, "param.", p->block[i].name);
            assert_int_equal(t->size, (size_t)(p->block[i].out * p->in) * dtype_size(t->type));
            assert_ok(weights_set(w, p, i, t->type, t->data));
        }
    cpu_backend.refresh(w);
}

enum { MODELS = 9 };
static const char *const model_names[MODELS] = { "gpt2", "gpt2_plain", "gpt2_odd", "llama", "llama_window", "llama_norm", "gpt2_layered", "llama_yarn", "llama_3" };
static struct golden models[MODELS];

static inline int open_models(void **state)
{
    (void)state;
    for (int i = 0; i < MODELS; i++) models[i] = golden_open(model_names[i]);
    return 0;
}

static inline int close_models(void **state)
{
    (void)state;
    for (int i = 0; i < MODELS; i++) tensors_close(models[i].file);
    return 0;
}

/* Calls check for each build of the kernels, golden model and type of activations. */
static inline void for_each_model(void (*check)(const struct golden *g, enum dtype type))
{
    for (int build = 0; use_build(build); build++)
        for (int i = 0; i < MODELS; i++) {
            check(&models[i], F32);
            check(&models[i], BF16);
        }
}

/* ---- comparison ---- */

/* Everywhere |got - want| <= bound * max |want|. */
static inline void assert_near(const float *got, const float *want, size_t n, double bound, const char *model, const char *what)
{
    double worst = 0, scale = 0;
    for (size_t i = 0; i < n; i++) {
        double off = fabs((double)got[i] - want[i]);
        if (!(off <= worst)) worst = off;
        scale = fmax(scale, fabs(want[i]));
    }
if (!(worst <= bound * scale)) fail_msg("%s kernels, %s, %s: off by %.2e of the largest, more than %.0e", cpu_isa(), model, what, worst / scale, bound);
}

static inline void assert_same_bits(const void *got, const void *want, size_t size, const char *model, const char *what)
{
    if (memcmp(got, want, size)) fail_msg("%s kernels, %s, %s: other bits", cpu_isa(), model, what);
}

#endif
