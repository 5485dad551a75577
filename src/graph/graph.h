/* graph.h -- what a trainer or a sampler sees: weights, graphs, plans and runs; and what a backend sees: steps.
 *
 * Order of life:  weights_new  ->  graph_open and a model page, for each graph  ->  plan_new  ->  weights_place  ->
 * fill the weights  ->  plan_bind, plan_run, again and again  ->  weights_free.
 * Functions that return int return 0 or an error code (base/error.h). */
#ifndef GRAPH_GRAPH_H
#define GRAPH_GRAPH_H
#include <stddef.h>

#include "base/arena.h"
#include "graph/tensor.h"

struct plan;
struct step;

/* ---- what changes from run to run; kernels read it through their step ---- */

struct run_scalars {
    uint64_t seed;                       /* of dropout: rng_key(seed, stream) */
    int64_t step;
    int micro, last_micro;               /* micro-step of this step; is it the last one? */
    float loss_weight[MAX_LOSSES];       /* by SEEDS node, in graph order: what one row's loss counts in the gradients */
    int64_t rows[MAX_SPACES];            /* live rows of each space: set by plan_bind */
    int64_t seqs[MAX_SPACES];            /* live sequences with queries in it: set by plan_bind */
};

/* One AdamW step (Loshchilov & Hutter 2019).  t counts from 1. */
struct adamw { double lr, beta1, beta2, eps, weight_decay, grad_scale; int64_t t; };

/* ---- steps ---- */

enum beta { WRITE, ADD, ADD_IF_MICRO };  /* WRITE never reads what was there; ADD_IF_MICRO: WRITE in micro-step 0, else ADD */

struct operand {
    void *p;                             /* NULL: absent, undeclared or unwanted */
    int64_t cols, ld;                    /* columns; elements from one row to the next */
    enum dtype type;
    int value;                           /* the plan's own: which value, -1 if absent ... */
    int64_t from;                        /* ... and the first of its columns that is meant */
};

/* F forward, A forward again, B backward, C copy or add dy into d[0], Z clear d[0], G a parameter's gradient is complete */
enum { MAX_OPERANDS = 2 * MAX_IN + 3 };
struct step {
    const tensor *node;                  /* G: the parameter */
    char dir;
    int block;                           /* BLOCKS ops: which block of W, or -1 for all of it */
    union {
        struct {
            struct operand in[MAX_IN], y, aux, dy, d[MAX_IN];
        };
        struct operand all[MAX_OPERANDS];
    };
    enum beta beta[MAX_IN];              /* of d[] */
    struct operand work;                 /* bytes the kernel asked for, shared by the tasks of this step */
    int loss;                            /* SEEDS: which loss_weight */
    struct step *then;                   /* fused: an elementwise step on y while it is at hand; its flow-th input is y */
    int flow;
    const struct kernel *kernel;
    const struct run_scalars *run;
};

/* live rows of a row space, of a tensor; live sequences of a seqs input */
static inline int64_t step_rows(const struct step *s, const tensor *t) { return s->run->rows[t->rows->id]; }
static inline int64_t step_seqs(const struct step *s, const tensor *seqs) { return s->run->seqs[seqs->rows->id]; }
static inline int step_adds(const struct step *s, int i)      /* does d[i] add to what is there? */
{
    return s->beta[i] == ADD || (s->beta[i] == ADD_IF_MICRO && s->run->micro > 0);
}

/* ---- backends ---- */

struct kernel {
    const char *name;
    size_t (*work)(const struct step *);             /* bytes at capacity; NULL: none */
    enum dtype form;                                 /* of trained matrices in a bf16 graph: F32 the master, BF16 a copy kept in step */
};

struct weights;
struct backend {
    const char *name;
    void *(*alloc)(size_t bytes);                                    /* NULL: no memory */
    void  (*free)(void *);
    void  (*copy)(void *to, const void *from, size_t bytes);         /* host to device, device to host, or within */
    void  (*zero)(void *, size_t bytes);
    const struct kernel *(*pick)(const struct step *);               /* for op, direction and dtypes (and what follows); NULL: none */
    int   (*run)(struct step *const *, int n);
    void  (*update)(struct weights *, const struct adamw *);         /* one optimizer step over all trained parameters, forms refreshed */
    void  (*refresh)(struct weights *);                              /* forms after the masters were loaded */
};

extern const struct backend null_backend;            /* runs everything without kernels: for tests and `nib info` */

/* ---- weights ---- */

enum use { TRAINED, FROZEN, MAPPED };    /* has a gradient | in memory as it is | in a file, where it lies */

struct param {
    const char *name;
    enum layout layout;
    int turned;                          /* MAPPED: layout is the file's, not the one that was asked for */
    int64_t out, in;                     /* a vector: in = 1 */
    int n_block, together;               /* together: one pointer and one dtype serve all blocks */
    const struct block *block;           /* names as in files */
    const void **mapped;                 /* MAPPED: where each block lies */
    enum dtype *block_type;
    enum use use;
    enum dtype type;                     /* F32 if trained */
    int form;                            /* a kernel wants the BF16 form */
    int graded;                          /* a planned TRAIN graph writes its gradient */
    size_t at, form_at;                  /* trained: element offset in master, grad, moments; in form.  FROZEN: byte offset */
    int index;                           /* place in the order of first use */
    float lr_scale; int decay;           /* the optimizer's */
    struct param *next;
};

struct state { const char *name; int64_t cols; enum dtype type; size_t at; struct state *next; };

/* LoRA: y of a layer gains scale * B (A x), by the first whose `layer` is its name or the last words of it; the base is not trained. */
struct lora { const struct low_rank { const char *layer; int rank; float scale; } *adapt; int n; float dropout; };

struct weights {
    const struct backend *backend;
    struct arena names;
    struct param *param, **last_param;   /* in order of first use */
    struct state *state;
    struct graph *graph;                 /* every graph and every plan on these weights */
    struct plan *plan;
    enum use use;                        /* of new parameters */
    enum dtype frozen_type;              /* of frozen matrices: F32 or BF16; vectors are f32 always */
    enum dtype state_type;               /* of states of f32 graphs: F32 or BF16 */
    struct lora lora;
    struct found { const char *name; enum dtype type; int turned; const void *p; struct found *next; } *found;   /* weights_offer */
    int64_t state_rows;
    size_t n_trained, n_form, frozen_bytes, state_bytes, arena_bytes;
    float *master, *grad, *moment1, *moment2;        /* n_trained each */
    uint16_t *form;
    double *squares;                     /* sum of squares of each parameter's gradient, by param order: left by G steps */
    char *frozen, *states, *arena;
    int n_param, placed;
};

int  weights_new(struct weights **w, const struct backend *b, enum use use);
void weights_free(struct weights *w);                                /* its graphs and plans too */
void weights_lora(struct weights *w, const struct lora *l);          /* before graphs are opened; what it points to is kept by reference */
/* A tensor that lies in a file: parameters made after this call whose blocks are all offered run where the blocks lie.
 * turned: a matrix that lies the other way round than it will be asked for. */
int  weights_offer(struct weights *w, const char *block, enum dtype type, int turned, const void *p);
void weights_state_rows(struct weights *w, int64_t rows);
void weights_measure(struct weights *w);                             /* sets the sizes that weights_place will allocate */
int  weights_place(struct weights *w);                               /* allocates everything and resolves every plan */
struct param *weights_find(const struct weights *w, const char *name);        /* by name of parameter; NULL if absent */
double weights_norm(const struct weights *w);                        /* global 2-norm of the gradient after the last micro-step */
size_t param_size(const struct param *p);                            /* elements */

/* ---- graphs ---- */

struct space { const char *name; int64_t rows, seqs; };

int  graph_open(graph **g, struct weights *w, enum phase phase, enum dtype type, const struct space *s, int n);
const char *graph_error(const graph *g);             /* the sticky error, or NULL */
const struct lora *graph_lora(const graph *g);
struct weights *graph_weights(const graph *g);

/* ---- plans ---- */

struct plan_options {
    int recompute;                       /* level 0-3 */
    int fuse;                            /* merge steps where the backend can */
    int guard;                           /* poison what is dead, keep canaries: for tests, slow */
};

/* Graph and plan live as long as the weights.  Reports the graph's sticky error. */
int  plan_new(struct plan **p, graph *g, tensor *const *outputs, int n, const struct plan_options *o);
/* data: rows * cols elements of the input's type, copied.  All inputs of one space bring the same number of rows;
 * ids are checked against the tables that read them, sequences against rows, keys and state. */
int  plan_bind(struct plan *p, const char *input, const void *data, int64_t rows);
int  plan_wants(const struct plan *p, const char *input);            /* does the plan read this input? */
int  plan_run(struct plan *p, const struct run_scalars *s);
/* The same step by step: each is shown when it is done, while what it wrote is still there.  A code that look returns ends it. */
int  plan_run_each(struct plan *p, const struct run_scalars *s, int (*look)(void *context, const struct step *s), void *context);
const void *plan_result(const struct plan *p, int output);           /* on the host; valid until the next run of any plan */

struct text;
void plan_print(const struct plan *p, struct text *out);             /* the plan as a program */
struct plan_memory { size_t arena, steps, buffers, bound; };
struct plan_memory plan_memory(const struct plan *p);                /* bytes; bound: the most that is ever live at once */

#endif
