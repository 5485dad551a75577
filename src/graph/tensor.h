/* tensor.h -- what a model page sees: tensors, row spaces, parameters and ops.  Nothing here computes.
 *
 * Activations are packed rows (N, C).  N is never a number in a page: each tensor lies in a named row space (text,
 * source, target, wanted ...) that has a capacity when the graph is opened and live rows when it runs.  Tensors fit
 * when their spaces are the same.
 *
 * Errors are sticky.  The first constructor whose operands do not fit records why in the graph and returns NULL, and
 * a constructor given NULL for a required operand returns NULL; plan_new reports the record.  Pages check nothing. */
#ifndef GRAPH_TENSOR_H
#define GRAPH_TENSOR_H
#include "base/dtype.h"

typedef struct tensor tensor;
typedef struct graph graph;

enum phase  { TRAIN, EVAL, INFER };      /* backward and dropout | losses a row | logits and states */
enum kind   { K_OP, K_VIEW, K_INPUT, K_PARAM, K_STATE };
enum layout { OUT_IN, IN_OUT };          /* how a matrix lies in memory; its shape is (out, in) in both */

struct rows {
    graph *g;
    const char *name;
    int64_t capacity, seqs;              /* at most so many rows, in at most so many sequences */
    int id;
};

/* A block is a range of a parameter's outputs: what one tensor of a file holds, what LoRA speaks of. */
struct block { const char *name; int64_t out; };

/* One row of a `seqs` input.  Queries are rows row .. row + rows of q, at positions past .. past + rows.
 * Without a state, keys are rows key .. key + keys of k.  With one, the new k and v go to state rows base + past ..
 * and keys are state rows base + key .. base + key + keys.  Key j stands at position key_past + j, where key_past is 0
 * without a state and key with one; causal attention lets query i see it when past + i >= that position. */
struct seq { int32_t row, rows, past, base, key, keys; };

/* Dropout: probability p, and the random stream it draws from.  p = 0 is no dropout. */
struct chance { float p; uint64_t stream; };

struct heads {
    int q, kv, dim;                      /* query heads, key and value heads (q % kv == 0), width of one */
    int causal, window;                  /* window > 0: a query sees only the last `window` positions, its own included */
    float scale;                         /* of the scores; 0 means 1 / sqrt(dim) */
    struct chance drop;                  /* of the probabilities */
};
/* Heads of width dim turn in pairs (j, j + dim / 2) by pos * f_j, f_j = theta^(-2j / dim).  factor > 0: only a share s of f_j
 * stays, f_j (s + (1 - s) / factor), and s rises from 0 to 1 while f_j, or j if by_pair, goes from `from` to `to`. */
struct rope { int dim; float theta, factor, from, to; int by_pair; float gain; };      /* gain: of sines and cosines; 0 means 1 */
struct loss { int ignore; };             /* this target has no loss */

enum { MAX_IN = 6, MAX_SPACES = 4, MAX_LOSSES = 4, MAX_ATTR = 64 };

struct tensor {
    graph *g;
    enum kind kind;
    int id, op;                          /* place in the graph; op if kind is K_OP */
    struct rows *rows;                   /* NULL for parameters and states */
    int64_t out, cols;                   /* parameter: (out, in = cols); else cols alone */
    enum dtype type;
    int n_in;
    tensor *in[MAX_IN];                  /* as the op's row lists them; optional ones may be NULL */
    int64_t aux;                         /* floats a row that forward leaves for backward */
    const char *name, *scope;            /* scope: the prefix in force when it was made */
    tensor *base;                        /* of a view: what it looks at, itself no view; else the tensor itself */
    int64_t from;                        /* a view's first column in base */
    struct param *param;                 /* K_PARAM */
    struct state *state;                 /* K_STATE */
    _Alignas(8) char attr[MAX_ATTR];     /* the op's attribute, of the type its row names */
};

/* ---- the graph ---- */

enum phase   graph_phase(const graph *g);
enum dtype   graph_type(const graph *g);                       /* of activations: F32 or BF16 */
struct rows *graph_rows(graph *g, const char *name);           /* NULL: the opener gave this space no capacity */
void         graph_scope(graph *g, const char *format, ...) __attribute__((format(printf, 2, 3)));   /* names that follow begin so */
uint64_t     graph_stream(const graph *g, const char *name);   /* the random stream of a name in this scope */
const char  *graph_prefix(const graph *g);                     /* the scope in force */
void         graph_layout(graph *g, enum layout layout);       /* how this family's files hold the matrices of dense layers */
enum layout  graph_dense_layout(const graph *g);

/* ---- leaves ---- */

tensor *t_input(struct rows *r, const char *name, int64_t cols, enum dtype type);     /* "text.ids", bound by name */
tensor *t_seqs(struct rows *q, const char *over);              /* sequences of q: "text.seqs"; over other keys: "text.seqs_over_..." */
tensor *t_param(graph *g, const char *name, enum layout layout, int64_t in, int n, const struct block *out);
tensor *t_vector(graph *g, const char *name, int n, const struct block *out);
tensor *t_adapter(graph *g, const char *name, int64_t in, int64_t out);              /* a matrix that is trained whatever the others are */
tensor *t_state(graph *g, const char *name, int64_t cols);     /* NULL outside INFER */
tensor *t_cols(tensor *x, int64_t from, int64_t n);            /* columns from .. from + n of x: a view */

/* ---- ops: one prototype a row of ops.def ---- */

#define OP(name, signature, ...) tensor *t_##name signature;
#include "graph/ops.def"
#undef OP

enum op {
#define OP(name, ...) OP_##name,
#include "graph/ops.def"
#undef OP
    OP_COUNT
};

#endif
