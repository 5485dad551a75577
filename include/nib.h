/* nib.h -- nib in your own program: open a model, turn text into ids, ask for logits, let it write, train it.
 *
 *     nib_model *m;
 *     if (nib_open(&m, "out", NULL)) puts(nib_error());
 *     nib_generate(m, "Once upon a time", NULL, print, NULL);
 *     nib_close(m);
 *
 * Link with -lnib (pkg-config --cflags --libs nib).  Functions that return int return 0 (NIB_OK) or one of the codes below, and
 * then nib_error() says what went wrong, where, and what to do.  Nothing here prints or exits.  One thread at a time may use
 * the library; it uses all cores itself.  Pointers that it hands out belong to it, unless nib_free is named. */
#ifndef NIB_H
#define NIB_H
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum nib_code {
    NIB_OK = 0,
    NIB_FAILED = 1,
    NIB_USAGE = 2,                       /* an argument is wrong */
    NIB_DATA = 3,                        /* a file is not what it should be */
    NIB_MEMORY = 4,
    NIB_IO = 5,                          /* reading, writing or the network failed */
    NIB_MODEL = 6,                       /* the model cannot be built, or its parts do not fit */
    NIB_STOPPED = 130,                   /* a callback said stop */
};

const char *nib_version(void);           /* "0.1.0" */
const char *nib_error(void);             /* the last error of this thread, one line; never NULL */
void nib_free(void *p);

/* ---- models ---- */

typedef struct nib_model nib_model;

struct nib_options {
    int threads;                         /* 0: one a core */
    int bf16;                            /* weights and activations in bf16: half the memory */
    int64_t context;                     /* at most so many positions; 0: all the model has */
};

/* folder: a run folder of nib, any Hugging Face folder that nib reads, or an adapter's by PEFT.  o may be NULL. */
int  nib_open(nib_model **m, const char *folder, const struct nib_options *o);
void nib_close(nib_model *m);            /* NULL is fine */

int64_t nib_vocab(const nib_model *m);           /* columns of the logits; the tokenizer may know fewer ids */
int64_t nib_context(const nib_model *m);         /* positions */
int64_t nib_parameters(const nib_model *m);
int64_t nib_end_token(const nib_model *m);       /* -1: there is none */

/* Text to ids and back; the results are freed by nib_free.  A character that the vocabulary lacks is NIB_DATA; bytes that are no
 * UTF-8 come back as they were.  n counts bytes of text, and ids. */
int nib_encode(const nib_model *m, const char *text, size_t n, int32_t **ids, size_t *n_ids);
int nib_decode(const nib_model *m, const int32_t *ids, size_t n_ids, char **text, size_t *n);

/* What comes after these ids: nib_vocab(m) logits, f32.  n_ids from 1 to nib_context(m). */
int nib_logits(nib_model *m, const int32_t *ids, size_t n_ids, float *logits);

struct nib_sampling {
    double temperature;                  /* 0: always the most likely */
    int64_t top_k;                       /* 0: all */
    double top_p, min_p;                 /* 1 and 0: all */
    double repetition_penalty;           /* 1: none */
    uint64_t seed;
    int64_t max_new_tokens;
    const char *stop;                    /* ends the text where this appears; NULL: nothing does */
};
void nib_sampling_defaults(struct nib_sampling *s);      /* 0.8, 200, 1, 0, 1, 1337, 500, NULL */

/* Writes on from the prompt (NULL: from the end-of-text token, or a line break).  on_text gets whole characters as they come; if
 * it returns nonzero, writing stops with NIB_STOPPED.  s may be NULL: the defaults. */
int nib_generate(nib_model *m, const char *prompt, const struct nib_sampling *s, int (*on_text)(void *context, const char *text, size_t n), void *context);

/* ---- training ---- */

typedef struct nib_trainer nib_trainer;

struct nib_shape {                       /* of a new GPT */
    int64_t layers, heads, width, vocab, context;
    double dropout;
    uint64_t seed;                       /* of weights and dropout */
};
struct nib_adamw { double learning_rate, beta1, beta2, weight_decay, grad_clip; };
void nib_adamw_defaults(struct nib_adamw *a);            /* 1e-3, 0.9, 0.99, 0.1, 1.0 */

/* A trainer for batches of `sequences` by `length` ids (length up to the context), new or on the weights of a model folder. */
int  nib_train_new(nib_trainer **t, const struct nib_shape *shape, int64_t sequences, int64_t length);
int  nib_train_open(nib_trainer **t, const char *folder, int64_t sequences, int64_t length);
void nib_train_close(nib_trainer *t);

/* One step of AdamW.  ids and targets: (sequences, length), row by row; a target of -1 does not count.  loss (may be NULL): nats a
 * target, before the step.  A step whose loss or gradient is not finite changes nothing and is NIB_FAILED. */
int  nib_train_step(nib_trainer *t, const int32_t *ids, const int32_t *targets, const struct nib_adamw *a, double *loss);
/* The loss alone, without dropout. */
int  nib_train_loss(nib_trainer *t, const int32_t *ids, const int32_t *targets, double *loss);
/* config.json and model.safetensors into a folder, as nib_open and transformers read them (bring your own tokenizer files). */
int  nib_train_save(const nib_trainer *t, const char *folder);

#ifdef __cplusplus
}
#endif
#endif
