/* debug_state.h -- llm.c's debug state, gpt2_124M_debug_state.bin and its like, by which train_gpt2.py lets others check themselves:
 *
 *     256 numbers of 32 bits: 20240327; 2; B; T; then x and y, B T numbers each; f32: logits of each vocabulary entry, the mean loss,
 *     and the gradients, which lie as the weights do in a model's file
 *
 * The model and what is said of it are two files.  Tests alone read them. */
#ifndef DEBUG_STATE_H
#define DEBUG_STATE_H
#include <math.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/error.h"
#include "cpu/cpu.h"
#include "file/tensors.h"
#include "infer/batch.h"
#include "model/model.h"

enum { STATE_HEADER = 1024 };

/* The largest differences; of logits and gradients as parts of the largest element of each tensor. */
struct off_by { double loss, logits, gradient; };

struct debug_state {
    struct file_map map;
    struct model_files model, gradients;
    uint8_t *as_model;                   /* the gradients behind the header of the model */
    int64_t B, T;
    const int32_t *x, *y;
    const float *logits, *loss;
};

static inline double part_off(const float *got, const float *want, size_t n)
{
    double worst = 0, scale = 0;
    for (size_t i = 0; i < n; i++) {
        double off = fabs((double)got[i] - want[i]);
        if (!(off <= worst)) worst = off;                    /* also if it is NaN */
        scale = fmax(scale, fabs(want[i]));
    }
    return worst / (scale > 0 ? scale : 1);
}

static inline int state_open(struct debug_state *s, const char *model, const char *path)
{
    struct file_map weights;
    TRY(llmc_open(&s->model, model));
    TRY(file_open_map(&weights, model));
    TRY(file_open_map(&s->map, path));
    FAIL_IF(s->map.size < STATE_HEADER || little_u32(s->map.at) != 20240327 || little_u32(s->map.at + 4) != 2, E_DATA, "%s: no debug state of llm.c's, version 2", path);
    s->B = little_u32(s->map.at + 8);
    s->T = little_u32(s->map.at + 12);
    size_t rows = (size_t)(s->B * s->T), before = STATE_HEADER + 4 * (2 * rows + rows * (size_t)s->model.config.vocab + 1);
    FAIL_IF(s->map.size != before + weights.size - STATE_HEADER, E_DATA, "%s: %zu bytes; for this model and %zu rows there should be %zu", path, s->map.size, rows, before + weights.size - STATE_HEADER);
    s->x = (const int32_t *)(s->map.at + STATE_HEADER);
    s->y = s->x + rows;
    s->logits = (const float *)(s->y + rows);
    s->loss = s->logits + rows * (size_t)s->model.config.vocab;
    s->as_model = malloc(weights.size);
    FAIL_IF(!s->as_model, E_MEMORY, "no memory for %s", path);
    memcpy(s->as_model, weights.at, STATE_HEADER);
    memcpy(s->as_model + STATE_HEADER, s->loss + 1, weights.size - STATE_HEADER);
    size_t size = weights.size;
    file_close_map(&weights);
    return llmc_parse(&s->gradients, s->as_model, size, path);
}

static inline void state_close(struct debug_state *s)
{
    model_close(&s->model);
    model_close(&s->gradients);
    file_close_map(&s->map);
    free(s->as_model);
    *s = (struct debug_state){ 0 };
}

static inline int state_plan(const struct debug_state *s, struct weights *w, enum phase phase, struct plan **p)
{
    graph *g;
    TRY(graph_open(&g, w, phase, F32, &(struct space){ "text", s->B * s->T, s->B }, 1));
    tensor *out = s->model.model->build(g, &s->model.config);
    return plan_new(p, g, &out, 1, &(struct plan_options){ .fuse = 1 });
}

/* The largest difference of any tensor's gradient. */
static inline int state_gradients(const struct debug_state *s, const struct weights *w, double *worst)
{
    *worst = 0;
    for (const struct param *p = w->param; p; p = p->next) {
        struct file_tensor t = *model_find_tensor(s->model.model, s->gradients.tensors, p->name);
        struct arena memory = { 0 };
        float *grad = arena_take(&memory, param_size(p) * sizeof *grad);
        FAIL_IF(!grad || (t.turned && file_tensor_turn(&t, &memory)), E_MEMORY, "no memory for the gradient of %s", p->name);
        weights_get(w, p, 0, w->grad, grad);                 /* GPT-2's parameters are of one block */
        double off = part_off(grad, t.data, param_size(p));
        if (!(off <= *worst)) *worst = off;
        arena_free(&memory);
    }
    return 0;
}

static inline int state_run(const struct debug_state *s, struct weights *w, struct batch *b, struct off_by *off)
{
    struct plan *train, *infer;
    double sum = 0;
    TRY(state_plan(s, w, TRAIN, &train));
    TRY(state_plan(s, w, INFER, &infer));
    weights_state_rows(w, b->rows);
    TRY(weights_place(w));
    TRY(model_load_weights(w, s->model.model, s->model.tensors, "the model"));
    TRY(batch_bind(b, train));
    TRY(plan_run(train, &(struct run_scalars){ .last_micro = 1, .loss_weight = { 1 / (float)b->rows } }));
    for (int64_t i = 0; i < b->rows; i++) sum += ((const float *)plan_result(train, 0))[i];
    off->loss = fabs(sum / (double)b->rows - *s->loss);
    TRY(state_gradients(s, w, &off->gradient));
    for (int64_t i = 0; i < b->seqs; i++) b->seq[i].base = b->seq[i].row, b->seq[i].key = 0;
    TRY(batch_bind(b, infer));
    TRY(plan_run(infer, &(struct run_scalars){ .last_micro = 1 }));
    off->logits = part_off(plan_result(infer, 0), s->logits, (size_t)(b->rows * s->model.config.vocab));
    return 0;
}

static inline int state_check_all(const char *model, const char *path, struct debug_state *s, struct weights **w, struct batch *b, struct off_by *off)
{
    TRY(state_open(s, model, path));
    TRY(batch_open(b, s->B * s->T, s->B));
    for (int64_t i = 0; i < s->B; i++) batch_add_ids(b, s->x + i * s->T, s->y + i * s->T, s->T, i);
    TRY(weights_new(w, &cpu_backend, TRAINED));
    return state_run(s, *w, b, off);
}

static inline int state_check(const char *model, const char *path, struct off_by *off)
{
    struct debug_state s = { 0 };
    struct weights *w = NULL;
    struct batch b = { 0 };
    int code = state_check_all(model, path, &s, &w, &b, off);
    batch_close(&b);
    weights_free(w);
    state_close(&s);
    return code;
}

#endif
