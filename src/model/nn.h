/* nn.h -- layers: an op and its named parameters.
 *
 * A layer takes what the paper says.  The rest it finds by itself: the phase decides about dropout and what the head
 * gives; sequences, dropout keys and key/value states go with the row space and the scope; LoRA with the weights.
 * Every function returns NULL if a required argument is NULL. */
#ifndef MODEL_NN_H
#define MODEL_NN_H
#include "graph/tensor.h"

/* x (N, in) -> (N, out); parameters name.weight and, if bias, name.bias */
tensor *nn_dense(tensor *x, int64_t out, int bias, const char *name);

/* One product for several layers on the same x: y[i] (N, b[i].out) from b[i].name.weight and, if bias, b[i].name.bias. */
void nn_split(tensor *x, int bias, const char *name, int n, const struct block *b, tensor **y);

tensor *nn_layernorm(tensor *x, int bias, float eps, const char *name);
tensor *nn_rmsnorm(tensor *x, float eps, const char *name);          /* over the whole row */
tensor *nn_headnorm(tensor *x, int dim, float eps, const char *name);        /* rmsnorm of each head of width dim */
tensor *nn_rope(tensor *x, struct rope r);                           /* by the space's positions */
tensor *nn_drop(tensor *x, float p, const char *name);               /* dropout in TRAIN, x itself elsewhere */

/* q (N, h.q * h.dim), k and v (M, h.kv * h.dim), perhaps of another space; k = v = NULL: what the state holds.
 * In INFER causal attention keeps keys and values in state `name`. */
tensor *nn_attention(tensor *q, tensor *k, tensor *v, struct heads h, const char *name);
tensor *nn_store(tensor *k, tensor *v, const char *name);            /* k and v to state `name`: an encoder's graph ends so */

tensor *nn_table(graph *g, int64_t n, int64_t width, const char *name);      /* (n, width) */

/* TRAIN, EVAL: losses a row (N, 1) against input `targets`, -1 ignored.  INFER, and EVAL with a space `wanted`: logits (wanted, V), f32. */
tensor *nn_head(tensor *x, tensor *w, tensor *b);

#endif
