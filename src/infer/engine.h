/* engine.h -- a model folder opened for use: configuration, tokenizer, weights in place, and the plans that were asked for. */
#ifndef INFER_ENGINE_H
#define INFER_ENGINE_H
#include "infer/evaluate.h"
#include "infer/score.h"
#include "infer/session.h"

struct engine_options {
    enum dtype type;                     /* of activations; BF16 also keeps the matrices so */
    int streams;                         /* a session of so many texts; 0: none */
    int64_t rows;                        /* an evaluation plan of so many rows; 0: none */
    int64_t scores;                      /* a scorer by runs of so many rows; 0: none */
    int64_t context;                     /* at most so many positions; 0: all the model has */
    const char *tokenizer;               /* engine_tokenizer's name */
    const char *base;                    /* of an adapter, if not what that says; NULL: that */
};

struct engine {
    const struct model *model;
    struct config config;                /* as files.config, but for what engine_options ask */
    struct tokenizer *tokenizer;         /* NULL: the model has none */
    struct model_files files;
    struct weights *weights;
    struct session session;
    struct scorer scorer;
    struct plan *eval;
    struct batch batch;                  /* of the evaluation plan's size */
};

/* That of a model opened from `path`: by `name`, a path or "gpt2"; NULL: the model's own (tokenizer_of_model), or the base's of an adapter that has none.
 * *t is NULL: there is none. */
int  engine_tokenizer(struct tokenizer **t, const struct model_files *f, const char *path, const char *name);
int  engine_open(struct engine *e, const char *path, const struct engine_options *o);
/* The same without a folder: weights drawn by the seed, no tokenizer; to measure speed by. */
int  engine_make(struct engine *e, const struct model *m, const struct config *c, uint64_t seed, const struct engine_options *o);
void engine_close(struct engine *e);

#endif
