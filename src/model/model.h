/* model.h -- what a model is: a configuration, a page that builds its graph, and how its files spell both.
 *
 * A model folder is Hugging Face's: config.json, model.safetensors, tokenizer files.  Parameters bear the files' names,
 * apart from an optional prefix, and lie in memory as they lie in the file. */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H
#include "base/file.h"
#include "base/text.h"
#include "graph/graph.h"
#include "model/keys.h"

enum activation { GELU_ERF, GELU_TANH, RELU };
enum scaling { ROPE_PLAIN, ROPE_LINEAR, ROPE_DYNAMIC, ROPE_LLAMA3, ROPE_YARN };

struct config {
    int64_t layers, heads, kv_heads;
    int64_t width, hidden, head_dim;     /* of the residual stream, of the MLP, of a head */
    int64_t vocab, context;              /* rows of the token table; positions that exist, or were trained */
    int tied;                            /* the head is the token table */
    double eps, dropout;
    int bias, activation;                /* gpt: biases in every dense and norm; enum activation */
    int unscaled, by_layer;              /* gpt: scores are not divided by sqrt(head_dim); they are by the layer's number, from 1 */
    int qkv_bias, out_bias, mlp_bias;    /* llama: biases of q, k and v; of what follows attention; of the MLP */
    int qk_norm;
    int64_t window, full_layers;         /* llama: positions that a query sees, its own included, 0: all; the first layers, which see all */
    int windows;                         /* ... does the file say that there are any? */
    double theta;                        /* llama: rotary positions (rotary.c) */
    int scaling;                         /* enum scaling */
    double factor, slow, fast, gain;     /* of frequencies; turns within `original` below which all, above which none is scaled; of sines and cosines */
    int64_t original;                    /* positions before they were scaled */
    int whole_pairs;                     /* yarn: its line begins and ends at whole pairs */
};

/* How parameters start: by the first pattern (fnmatch) that fits the name. */
enum start { START_NORMAL, START_ONES, START_ZEROS };
struct init { const char *pattern; enum start start; float std; int residual; };     /* residual: std / sqrt(2 layers) */

struct model {
    const char *name;                    /* Hugging Face's model_type */
    tensor *(*build)(graph *g, const struct config *c);
    const struct init *init;             /* ends with pattern NULL */
    const struct key *keys[3];           /* keys.h; each ends with name NULL */
    struct config base;                  /* what a configuration starts from: fields that are not 0, or that no key can say */
    const char *constants;               /* JSON: what config.json says besides */
    const char *prefix;                  /* "transformer.": files may have it before every name; ours do */
    int files_have_biases;               /* config.bias = 0 is written as biases of 0 */
    const char *table;                   /* of tokens */
    const char *dense, *adapted;         /* the dense layers of a block, "attn.c_attn,..."; those that LoRA adapts if nobody says otherwise */
    enum layout layout;                  /* of dense layers in files */
    const char *positions;               /* the table that may be cropped to a smaller context; NULL: they are rotary */
};

extern const struct model model_gpt2, model_llama, model_mistral, model_qwen2, model_qwen3;
const struct model *model_find(const char *name);                        /* NULL if there is none */

/* ---- config.json (config.c) ---- */

void config_fill_in(struct config *c);                                   /* hidden, kv_heads, head_dim, original where they are 0: the usual */
void config_crop(const struct model *m, struct config *c, int64_t context);          /* a table of positions is cut; what turns goes on turning */
int config_check(const struct model *m, const struct config *c);         /* E_MODEL: heads that do not divide the width, and so on */
int config_fits(const struct config *c, int64_t rows);                   /* E_MEMORY: so many ids at once would overflow what counts bytes */
int config_read(const struct model **m, struct config *c, const char *folder);
struct json_t;
int config_parse(const struct model **m, struct config *c, const struct json_t *root, const char *what);     /* what such a file says */
/* end: id of the end-of-text token, or -1 */
int config_to_json(const struct model *m, const struct config *c, int64_t end, struct json_t **root);        /* E_MEMORY */
int config_write(const struct model *m, const struct config *c, int64_t end, const char *folder);
struct rope config_rope(const struct config *c);                         /* rotary.c */
/* In Hugging Face's files columns (j, j + dim / 2) of a head turn together, in Meta's, llama2.c's and llama.cpp's neighbours (2j, 2j + 1):
 * where row `row` of theirs, of q or k, is in Hugging Face's. */
int64_t rotary_row(int64_t row, int64_t dim);
void config_describe(const struct model *m, const struct config *c, struct text *out);      /* "gpt2, 12 layers of 12 heads, ..." */

/* ---- files (open.c and a page for each foreign kind) ---- */

struct tensors;
struct file_tensor;
struct adapter;
struct model_files {
    const struct model *model;
    struct config config;
    struct tensors *tensors;             /* named and laid out as Hugging Face's */
    const char *kind;                    /* of file: "safetensors" */
    struct adapter *adapter;             /* NULL, or what is opened on top of it (adapter.h) */
};

/* Whatever holds a model: a folder by transformers, its weights in one safetensors file, in several, or in pytorch_model.bin; a folder
 * or file by nanoGPT (ckpt.pt); a file by llm.c or llama2.c, or one in GGUF; a folder by PEFT, with the model that it adapts.  E_DATA says what a file
 * is that cannot be used; E_IO: there is none. */
int  model_open(struct model_files *f, const char *path);
int  model_open_on(struct model_files *f, const char *path, const char *base);           /* base: of an adapter, wherever it says that is; NULL: there */
void model_close(struct model_files *f);
int  model_describe(const struct model **m, struct config *c, const char *path, const char *base);       /* its configuration alone, at once */
int  model_kind(const char **kind, const char *path);                    /* model_files' kind, at once */
int  model_folder(char folder[PATH_SIZE], const char *path);             /* where its other files are: path, or where that file lies */

/* The parameters of a model by the names and in the layout of its files, data in these; in memory. */
int  model_list(const struct model_files *f, struct arena *memory, struct file_tensor **t, int *n);
/* The parameters that it has, all of which are in the files, without memory for them. */
int  model_sketch(struct weights **w, const struct model_files *f);
/* Its tables of tokens get more rows, each the mean of those that are there, in f32.  E_MODEL: they are none. */
int  model_grow(struct model_files *f, int64_t vocab);
/* A model.safetensors, its types those of the files. */
int  model_write(const struct model_files *f, const char *path, char sha256[65]);
/* E_MODEL: no GPT-2 as such tools have it, head and table in one, an MLP of four widths. */
int  model_is_plain(const struct model_files *f, const char *tool);

/* nanogpt.c.  E_MODEL: another kind of model, or one that nanoGPT's has no words for. */
int  nanogpt_open(struct model_files *f, const char *path);
int  nanogpt_describe(const struct model **m, struct config *c, const char *path);
int  nanogpt_parse(struct model_files *f, const uint8_t *bytes, size_t size, const char *what);      /* of memory that outlives it */
/* Where its train.py stopped: iterations done, of which so many changed the weights; AdamW's moments, "exp_avg." and "exp_avg_sq." before
 * the names of the weights and laid out as these; what it was told. */
struct nanogpt_run { int64_t iteration, updates; struct tensors *moments; double beta1, beta2, weight_decay; };
int  nanogpt_resume(struct nanogpt_run *r, const char *path);            /* all but the last three; closed by tensors_close.  E_DATA: it has no optimizer */
int  nanogpt_resume_parse(struct nanogpt_run *r, const uint8_t *bytes, size_t size, const char *what);
/* What it was set to: numbers, words and truths of its "model_args" and "config", one after another. */
struct value;
int  nanogpt_settings(const char *path, int (*set)(void *context, const char *name, const struct value *v), void *context);
/* dataset: where sample.py looks for characters; may be empty.  r: what train.py goes on from; may be NULL. */
int  nanogpt_write(const struct model_files *f, const struct nanogpt_run *r, const char *dataset, const char *path);

int  llmc_open(struct model_files *f, const char *path);                 /* llmc.c; errors as above */
int  llmc_describe(const struct model **m, struct config *c, const char *path);
int  llmc_parse(struct model_files *f, const uint8_t *bytes, size_t size, const char *what);     /* of memory that outlives it */
int  llmc_write(const struct model_files *f, const char *path);
int  llamacpp_open(struct model_files *f, const char *path);             /* llamacpp.c; errors as above */
int  llamacpp_describe(const struct model **m, struct config *c, const char *path);
int  llamacpp_parse(struct model_files *f, const uint8_t *bytes, size_t size, const char *what);
/* quantize: f32, f16, bf16, q8_0, q4_0 or q4_k_m for matrices, NULL: as they are.  more: keys behind the model's, such as a tokenizer's.
 * E_MODEL: what no architecture of llama.cpp's has. */
struct gguf_keys;
struct llamacpp_options { const char *name, *quantize; const struct gguf_keys *more; struct text *notices; };
int  llamacpp_write(const struct model_files *f, const struct llamacpp_options *o, const char *path);

int  llama2c_is(const uint8_t *bytes, size_t size);                      /* llama2c.c; a file of so many bytes that begins so; errors as above */
int  llama2c_open(struct model_files *f, const char *path);
int  llama2c_describe(const struct model **m, struct config *c, const char *path);
int  llama2c_parse(struct model_files *f, const uint8_t *bytes, size_t size, const char *what);
int  llama2c_write(const struct model_files *f, const char *path);       /* E_MODEL also names what the format has no place for */
int  rotary_halves(struct file_tensor *t, int64_t heads, struct arena *memory);          /* for those two: q or k, its rows by rotary_row; new data in memory */

/* ---- for such pages ---- */

/* Reads the bytes of a file into f, which has its model: for model_read all of it, into the empty set there is; for model_peek the configuration alone. */
typedef int model_reader(struct model_files *f, const uint8_t *bytes, size_t size, const char *what);
/* Of memory that outlives it, or, where bytes is NULL, of the file `what`. */
int  model_read(struct model_files *f, const struct model *m, const uint8_t *bytes, size_t size, const char *what, model_reader *read);
int  model_peek(const struct model **m, struct config *c, const struct model *of, const char *path, model_reader *read);

/* ---- weights (blocks.c, load.c, save.c) ---- */

/* Fills block i of p from contiguous data in the parameter's layout; f32, bf16, f16 and f64 are converted.  Not for MAPPED. */
int  weights_set(struct weights *w, struct param *p, int i, enum dtype type, const void *data);
/* Reads block i of a trained p back from one of the ranges of the weights: master, grad, a moment. */
void weights_get(const struct weights *w, const struct param *p, int i, const float *from_range, float *data);

/* By a parameter's name; NULL if it is not there. */
const struct file_tensor *model_find_tensor(const struct model *m, const struct tensors *file, const char *name);
/* A file may have a head of its own although its configuration says tied: then c->tied becomes 0. */
void model_settle_head(const struct model *m, struct config *c, const struct tensors *file);
/* Before graphs are built on w, use MAPPED: what can run where it lies in the file is offered; what is quantized always, else what computes in f32. */
int  model_offer_weights(struct weights *w, const struct model *m, const struct tensors *file);
/* Before or after weights_place: are all of them there, in their shapes? */
int  model_check_weights(const struct weights *w, const struct model *m, const struct tensors *file, const char *what);
/* After weights_place: everything that is not mapped is filled.  A position table larger than ours is cropped. */
int  model_load_weights(struct weights *w, const struct model *m, const struct tensors *file, const char *what);
int  model_init_weights(struct weights *w, const struct model *m, const struct config *c, uint64_t seed);
int  model_save_weights(const struct weights *w, const struct model *m, const struct config *c, const char *path, char sha256[65]);
/* Other ranges of the trained weights, such as moments, in one file: label[i] stands before the names of range[i]. */
int  model_save_ranges(const struct weights *w, const struct model *m, const float *const *range, const char *const *label, int n, const char *path, char sha256[65]);
int  model_load_range(const struct weights *w, const struct model *m, float *range, const char *label, const struct tensors *file, const char *what);
size_t model_parameters(const struct weights *w);                        /* elements */
size_t model_trained(const struct weights *w);                           /* ... of those that are trained */
size_t model_mapped(const struct weights *w);                            /* bytes of those that stay in a file */

#endif
