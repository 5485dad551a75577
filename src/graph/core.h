/* core.h -- what the files of src/graph share and nobody else needs: the graph's and the plan's insides. */
#ifndef GRAPH_CORE_H
#define GRAPH_CORE_H
#include "graph/graph.h"

/* ---- what a row of ops.def says ---- */

enum { I0 = 1, I1 = 2, I2 = 4, I3 = 8, I4 = 16, I5 = 32, Y = 64, A = 128, NONE = -1 };
enum { CHEAP = 1, NORM = 2, PASS = 4, INPLACE = 8, SEEDS = 16, ROOT = 32, BLOCKS = 64 };

struct op_info {
    const char *name, *fits;
    int grad[MAX_IN];                    /* what the gradient of each input re-reads; NONE: it has none */
    int traits;
};
extern const struct op_info op_info[OP_COUNT];

/* The ids that input i of t may hold, as far as the graph tells: 0 .. limit - 1; 0: any. */
int64_t op_id_limit(const tensor *t, int i);

static inline int traits(const tensor *t) { return t->kind == K_OP ? op_info[t->op].traits : 0; }

/* ---- the graph: nodes in the order they were made, which is an order they can run in ---- */

struct graph {
    struct weights *weights;
    enum phase phase;
    enum dtype type;
    enum layout layout;
    struct rows rows[MAX_SPACES];
    int n_rows, n_losses;
    struct arena memory;
    tensor **node;
    int n, room;
    const char *scope;
    const char *error;
    graph *next;
};

void    graph_free(graph *g);
tensor *graph_add(graph *g, enum kind kind, const char *name);           /* a new node, or NULL and the sticky error */
void   *graph_fail(graph *g, const char *format, ...) __attribute__((format(printf, 2, 3)));           /* NULL */
int weights_param(struct param **p, struct weights *w, const char *name, enum use use, enum layout layout, int64_t in, int n, const struct block *out);
int weights_state(struct state **s, struct weights *w, const char *name, int64_t cols, enum dtype type);

/* ---- the plan ---- */

/* A buffer is a range of the arena during a life.  A value is what one step writes and others read: an activation, its
 * gradient, aux, a workspace.  Several values share a buffer when one is written over another. */
struct buffer { size_t size, at; int first, last, canary; };
enum { CANARY = 64 };                    /* bytes behind each buffer of a guarded plan */

enum where { IN_ARENA, IN_PARAM, IN_GRAD, IN_STATE, IN_INPUT };
struct value {
    enum where where;
    const tensor *of;
    const char *what;                    /* "" the tensor itself, "d" its gradient, "aux", "work" */
    int buffer;                          /* IN_ARENA */
    int64_t from, ld;                    /* IN_ARENA: where its column 0 lies in a row of the buffer, and how long that row is */
    int block;                           /* IN_PARAM: which block of the parameter, -1 for all */
};

struct input {
    const tensor *t;
    void *p;                             /* the plan's own copy, at capacity */
    int64_t limit;                       /* ids lie in 0 .. limit - 1; 0: any */
    const tensor *picks, *ignores;       /* the rows node that counts its limit from live rows; the loss that lets one id more pass */
    int used, bound;                     /* bound: rows + 1 */
    struct input *next;
};

struct plan {
    graph *g;
    const struct backend *backend;
    struct plan_options options;
    struct step **step;                  /* in the order they run; fused ones hang on the one before */
    struct value *value;
    struct buffer *buffer;
    int n_step, room_step, n_value, room_value, n_buffer, room_buffer;
    int output[MAX_IN], n_output;        /* values */
    struct input *input;
    struct run_scalars scalars;
    size_t arena;                        /* bytes */
    struct arena memory;
    struct plan *next;
};

/* plan.c: what happens when.  Memory that runs out is recorded in p->memory.failed. */
void plan_emit(struct plan *p, tensor *const *outputs, int n);       /* steps: forward, backward, recompute */
void plan_overlay(struct plan *p);                                   /* results over operands that are done with */

/* place.c: where things lie. */
struct step step_of(const tensor *node, char dir);                   /* all operands absent */
void plan_insert(struct plan *p, struct step s, int at);             /* before step `at` */
int  plan_value(struct plan *p, enum where where, const tensor *of, const char *what, size_t size);
void plan_lives(struct plan *p);
void plan_place(struct plan *p);

void plan_fuse(struct plan *p);                                      /* fuse.c */
int  plan_pick(struct plan *p);                                      /* run.c: kernels and their workspaces */
int  plan_resolve(struct plan *p);                                   /* run.c: pointers, once the weights are placed */
void plan_free(struct plan *p);

/* Which operands a step reads and writes, not counting what is fused to it: bits by index into step->all. */
unsigned step_reads(const struct step *s);
unsigned step_writes(const struct step *s);
int operands_meet(const struct plan *p, const struct operand *a, const struct operand *b);    /* share columns of a buffer */

/* check.c: runs the plan with one number per group of columns over the planned addresses, two micro-steps, and compares
 * every value read, every gradient and every output with textbook reverse mode.  NULL: proved; else what is wrong. */
const char *plan_prove(const struct plan *p);

#endif
