/* weights.c -- what outlives graphs: parameters, gradients, optimizer moments and key/value states, by name.
 *
 * Trained parameters lie one after another in four parallel f32 ranges, each starting on a cache line:
 *
 *     master   | wte ............ | pad | wpe ... | pad | h.0.ln_1.weight | ...
 *     grad     | the same places, then moment1 and moment2
 *     form     bf16 copies of the matrices that some kernel wants so, refreshed by every update
 *
 * Frozen ones lie in a range of bytes of their own, mapped ones stay in their file. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "graph/core.h"

enum { LINE = 64 };                                          /* bytes; parameters, states and blocks of them start on one */

size_t param_size(const struct param *p) { return (size_t)(p->out * p->in); }

/* ---- names ---- */

int weights_new(struct weights **out, const struct backend *b, enum use use)
{
    struct weights *w = calloc(1, sizeof *w);
    FAIL_IF(!w, E_MEMORY, "no memory for weights");
    w->backend = b;
    w->use = use;
    w->last_param = &w->param;
    *out = w;
    return 0;
}

void weights_lora(struct weights *w, const struct lora *l) { w->lora = *l; }
void weights_state_rows(struct weights *w, int64_t rows) { w->state_rows = rows; }

int weights_offer(struct weights *w, const char *block, enum dtype type, int turned, const void *p)
{
    struct found *f = arena_take(&w->names, sizeof *f);
    const char *name = arena_copy(&w->names, block);
    FAIL_IF(!f || !name, E_MEMORY, "no memory for the names of weights");
    *f = (struct found){ .name = name, .type = type, .turned = turned, .p = p, .next = w->found };
    w->found = f;
    return 0;
}

struct param *weights_find(const struct weights *w, const char *name)
{
    for (struct param *p = w->param; p; p = p->next)
        if (!strcmp(p->name, name)) return p;
    return NULL;
}

static const struct found *offered(const struct weights *w, const char *block)
{
    for (const struct found *f = w->found; f; f = f->next)
        if (!strcmp(f->name, block)) return f;
    return NULL;
}

static int same_shape(const struct param *p, enum layout layout, int64_t in, int n, const struct block *b)
{
    if ((p->layout ^ p->turned) != layout || p->in != in || p->n_block != n) return 0;
    for (int i = 0; i < n; i++)
        if (p->block[i].out != b[i].out) return 0;
    return 1;
}

/* Mapped if a file offers every block.  The blocks of one file may happen to touch: then one pointer serves them all. */
static int map_blocks(struct weights *w, struct param *p)
{
    size_t n = (size_t)p->n_block;
    const void **at = arena_take(&w->names, n * sizeof *at);
    enum dtype *type = arena_take(&w->names, n * sizeof *type);
    if (!at || !type) return 0;
    int together = 1, turned = 0;
    for (int i = 0; i < p->n_block; i++) {
        const struct found *f = offered(w, p->block[i].name);
        if (!f || (f->turned && p->n_block > 1)) return 0;
        at[i] = f->p;
        type[i] = f->type;
        if (i && (type[i] != type[0] || (const char *)at[i] != (const char *)at[i - 1] + dtype_bytes(type[0], (size_t)(p->block[i - 1].out * p->in))))
            together = 0;
        turned = f->turned;
    }
    p->together = together;
    p->mapped = at;
    p->block_type = type;
    p->layout ^= (enum layout)(p->turned = turned);
    return 1;
}

int weights_param(struct param **out_p, struct weights *w, const char *name, enum use use, enum layout layout, int64_t in, int n, const struct block *b)
{
    struct param *p = *out_p = weights_find(w, name);
    int64_t out = 0;
    if (p && same_shape(p, layout, in, n, b)) return 0;
    for (int i = 0; i < n; i++) out += b[i].out;
    const char *why = p ? "asked for in two shapes" : w->placed ? "new after the weights were placed" : in <= 0 || out <= 0 ? "has no elements"
                        : n > 1 && layout == IN_OUT ? "an (in, out) matrix has one block" : NULL;
    FAIL_IF(why, E_MODEL, "parameter %s (%lld, %lld): %s", name, (long long)out, (long long)in, why);
    *out_p = p = arena_take(&w->names, sizeof *p);
    struct block *blocks = arena_take(&w->names, (size_t)n * sizeof *blocks);
    FAIL_IF(!p || !blocks, E_MEMORY, "no memory for parameter %s", name);
    for (int i = 0; i < n; i++) blocks[i] = (struct block){ arena_copy(&w->names, b[i].name), b[i].out };
    *p = (struct param){ .name = arena_copy(&w->names, name), .layout = layout, .out = out, .in = in, .n_block = n, .block = blocks,
                         .together = 1, .use = use, .type = F32, .index = w->n_param++, .lr_scale = 1, .decay = in > 1 };
    if (use == MAPPED) {
        if (in > 1 && map_blocks(w, p)) p->type = p->block_type[0];
        else p->use = FROZEN;                                /* vectors are f32 in memory whatever the file says */
    }
    if (p->use == FROZEN && in > 1) p->type = w->frozen_type;
    *w->last_param = p;
    w->last_param = &p->next;
    return 0;
}

int weights_state(struct state **out, struct weights *w, const char *name, int64_t cols, enum dtype type)
{
    struct state *s = w->state;
    while (s && strcmp(s->name, name)) s = s->next;
    FAIL_IF(s && (s->cols != cols || s->type != type), E_MODEL, "state %s: asked for in two shapes", name);
    FAIL_IF(!s && w->placed, E_MODEL, "state %s: new after the weights were placed", name);
    *out = s ? s : arena_take(&w->names, sizeof **out);
    FAIL_IF(!*out, E_MEMORY, "no memory for state %s", name);
    if (s) return 0;
    **out = (struct state){ .name = arena_copy(&w->names, name), .cols = cols, .type = type, .next = w->state };
    w->state = *out;
    return 0;
}

/* ---- memory ---- */

static size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

void weights_measure(struct weights *w)
{
    w->n_trained = w->n_form = w->frozen_bytes = w->state_bytes = w->arena_bytes = 0;
    for (struct param *p = w->param; p; p = p->next) {
        if (p->use == TRAINED) {
            p->at = w->n_trained;
            w->n_trained += round_up(param_size(p), LINE / sizeof(float));
            if (p->form) {
                p->form_at = w->n_form;
                w->n_form += round_up(param_size(p), LINE / sizeof(uint16_t));
            }
        } else if (p->use == FROZEN) {
            p->at = w->frozen_bytes;
            w->frozen_bytes += round_up(param_size(p) * dtype_size(p->type), LINE);
        }
    }
    for (struct state *s = w->state; s; s = s->next) {
        s->at = w->state_bytes;
        w->state_bytes += round_up((size_t)w->state_rows * (size_t)s->cols * dtype_size(s->type), LINE);
    }
    for (const struct plan *p = w->plan; p; p = p->next)
        if (p->arena > w->arena_bytes) w->arena_bytes = p->arena;    /* graphs that never run at once share one arena */
}

int weights_place(struct weights *w)
{
    assert(!w->placed);
    FAIL_IF(w->names.failed, E_MEMORY, "no memory for the names of weights");
    weights_measure(w);
    int training = 0;
    for (const struct plan *p = w->plan; p; p = p->next) training |= p->g->phase == TRAIN;
    size_t n = w->n_trained * sizeof(float), m = training ? n : 0, squares = training ? (size_t)w->n_param * sizeof(double) : 0;
    const struct { void *to; size_t bytes; } ranges[] = {    /* to: the address of a pointer */
        { &w->master, n }, { &w->grad, m }, { &w->moment1, m }, { &w->moment2, m }, { &w->squares, squares }, { &w->form, w->n_form * sizeof *w->form },
        { &w->frozen, w->frozen_bytes }, { &w->states, w->state_bytes }, { &w->arena, w->arena_bytes },
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        void *p = ranges[i].bytes ? w->backend->alloc(ranges[i].bytes) : NULL;
        FAIL_IF(ranges[i].bytes && !p, E_MEMORY, "no memory for %.1f MiB of weights and activations", (double)ranges[i].bytes / 1048576);
        if (p && ranges[i].to != &w->arena) w->backend->zero(p, ranges[i].bytes);
        memcpy(ranges[i].to, &p, sizeof p);
    }
    w->placed = 1;
    for (struct plan *p = w->plan; p; p = p->next) TRY(plan_resolve(p));
    return 0;
}

void weights_free(struct weights *w)
{
    if (!w) return;
    for (struct plan *p = w->plan, *next; p; p = next) next = p->next, plan_free(p);
    for (graph *g = w->graph, *next; g; g = next) next = g->next, graph_free(g);
    void *const all[] = { w->master, w->grad, w->moment1, w->moment2, w->squares, w->form, w->frozen, w->states, w->arena };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i]) w->backend->free(all[i]);
    arena_free(&w->names);
    free(w);
}

double weights_norm(const struct weights *w)
{
    double sum = 0;
    int i = 0;
    double *squares = malloc((size_t)w->n_param * sizeof *squares);
    if (!squares) return NAN;
    w->backend->copy(squares, w->squares, (size_t)w->n_param * sizeof *squares);
    for (const struct param *p = w->param; p; p = p->next, i++)
        if (p->use == TRAINED && p->graded) sum += squares[i];
    free(squares);
    return sqrt(sum);
}
