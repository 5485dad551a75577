/* train_api.c -- nib.h: training. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "nib.h"
#include "train/trainer.h"

struct nib_trainer { struct trainer t; uint64_t seed; };

void nib_adamw_defaults(struct nib_adamw *a)
{
    *a = (struct nib_adamw){ .learning_rate = 1e-3, .beta1 = 0.9, .beta2 = 0.99, .weight_decay = 0.1, .grad_clip = 1 };
}

static int open_trainer(nib_trainer **out, const struct trainer_options *o, uint64_t seed)
{
    nib_trainer *t = calloc(1, sizeof *t);
    FAIL_IF(!t, E_MEMORY, "no memory for a trainer");
    t->seed = seed;
    int code = trainer_open(&t->t, o);
    if (code) free(t);
    else *out = t;
    return code;
}

static int check_batch(int64_t sequences, int64_t length, int64_t context)
{
    FAIL_IF(sequences < 1 || length < 1 || length > context, E_USAGE, "batches of %lld sequences of %lld ids do not fit a context of %lld", (long long)sequences, (long long)length, (long long)context);
    return 0;
}

int nib_train_new(nib_trainer **out, const struct nib_shape *s, int64_t sequences, int64_t length)
{
    struct trainer_options o = { .model = &model_gpt2, .batch = sequences, .block = length,
                                 .config = { .layers = s->layers, .heads = s->heads, .width = s->width, .vocab = s->vocab, .context = s->context, .tied = 1, .eps = 1e-5,
                                             .dropout = s->dropout, .bias = 1, .activation = GELU_TANH } };
    config_fill_in(&o.config);
    TRY(check_batch(sequences, length, s->context));
    TRY(open_trainer(out, &o, s->seed));
    int code = model_init_weights((*out)->t.weights, o.model, &o.config, s->seed);
    if (code) nib_train_close(*out);
    return code;
}

static int load(nib_trainer **out, const char *folder, struct trainer_options *o, const struct model_files *files)
{
    FAIL_IF(files->adapter, E_MODEL, "%s is an adapter, which nib.h does not train; merge it with: nib export %s --to=hf --out=MERGED", folder, folder);
    TRY(check_batch(o->batch, o->block, files->config.context));
    o->model = files->model;
    o->config = files->config;
    TRY(open_trainer(out, o, 0));
    int code = model_load_weights((*out)->t.weights, o->model, files->tensors, folder);
    if (code) nib_train_close(*out);
    return code;
}

int nib_train_open(nib_trainer **out, const char *folder, int64_t sequences, int64_t length)
{
    struct trainer_options o = { .batch = sequences, .block = length };
    struct model_files files;
    TRY(model_open(&files, folder));
    int code = load(out, folder, &o, &files);
    model_close(&files);
    return code;
}

void nib_train_close(nib_trainer *t)
{
    if (!t) return;
    trainer_close(&t->t);
    free(t);
}

/* ---- steps ---- */

struct given { const nib_trainer *t; const int32_t *ids, *targets; };

static int fill(void *context, int64_t micro, struct batch *b)
{
    const struct given *g = context;
    const struct trainer_options *o = &g->t->t.o;
    (void)micro;
    for (int64_t i = 0; i < o->batch; i++)
        batch_add_ids(b, g->ids + i * o->block, g->targets + i * o->block, o->block, (g->t->t.progress.iteration * o->batch + i) & INT32_MAX);
    return 0;
}

int nib_train_step(nib_trainer *t, const int32_t *ids, const int32_t *targets, const struct nib_adamw *a, double *loss)
{
    struct given g = { t, ids, targets };
    struct nib_adamw defaults;
    struct step_result r;
    if (!a) nib_adamw_defaults(&defaults), a = &defaults;
    struct adam_options adam = { a->learning_rate, a->beta1, a->beta2, a->weight_decay, a->grad_clip, 0 };
    TRY(trainer_step_on(&t->t, 1, fill, &g, t->seed, &adam, &r));
    if (loss) *loss = r.loss;
    FAIL_IF(r.skipped, E_FAILED, "the step was skipped: %s", r.why);
    return 0;
}

int nib_train_loss(nib_trainer *t, const int32_t *ids, const int32_t *targets, double *loss)
{
    struct given g = { t, ids, targets };
    int64_t valid = 0;
    double sum = 0;
    batch_clear(&t->t.batch);
    TRY(fill(&g, 0, &t->t.batch));
    TRY(evaluate_batch(t->t.eval, &t->t.batch, &sum, &valid));
    *loss = sum / (double)(valid ? valid : 1);
    return 0;
}

int nib_train_save(const nib_trainer *t, const char *folder)
{
    char path[PATH_SIZE];
    TRY(dir_make(folder));
    TRY(config_write(t->t.o.model, &t->t.o.config, -1, folder));
    TRY(path_join(path, folder, "model.safetensors"));
    return model_save_weights(t->t.weights, t->t.o.model, &t->t.o.config, path, NULL);
}
