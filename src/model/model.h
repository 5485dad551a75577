/* model.h -- what a model is: a configuration, and a page that builds its graph. */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H
#include "graph/tensor.h"

struct config {
    int layers, heads, kv_heads;
    int width, hidden;                   /* of the residual stream, of the MLP */
    int head_dim;                        /* width / heads, unless a file says otherwise */
    int vocab, context;                  /* rows of the token table, of the position table (or the longest context trained) */
    int tied;                            /* the head is the token table */
    float eps, dropout;
    int bias, gelu_tanh;                 /* gpt: biases in every dense and norm; GELU by tanh or by erf */
    int qkv_bias, qk_norm, window;       /* llama */
    float theta;
};

/* How parameters start, by the first pattern (fnmatch) that fits the name. */
enum start { START_NORMAL, START_ONES, START_ZEROS };
struct init { const char *pattern; enum start start; float std; int residual; };      /* residual: std / sqrt(2 layers) */

struct model {
    const char *name;                    /* Hugging Face's model_type */
    tensor *(*build)(graph *g, const struct config *c);
    const struct init *init;             /* ends with pattern NULL */
};

extern const struct model model_gpt2, model_llama;

#endif
