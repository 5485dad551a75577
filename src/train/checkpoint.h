/* checkpoint.h -- the state of a run on disk, such that a crash at any instant leaves a checkpoint that verifies.
 *
 *     out/step-00000250.tmp/    a model folder (config.json, tokenizer.json, model.safetensors ...), optimizer.safetensors and
 *                               trainer.json, each written and fsynced; SHA256SUMS last; then the folder is fsynced ...
 *     out/step-00000250/        ... and renamed, and out/ is fsynced
 *                               of an adapter: adapter_config.json, adapter_model.safetensors and tokenizer.json, and moments of that alone
 *     out/model.safetensors     a hard link to the best step's, as are config.json and all else of a model folder; SHA256SUMS of them
 *
 * A reader takes the newest folder that is what its SHA256SUMS says.  One that goes is renamed to out/step-00000250.old before its
 * files are removed.  What was found damaged becomes out/step-00000300.rejected, until the run has come so far again. */
#ifndef TRAIN_CHECKPOINT_H
#define TRAIN_CHECKPOINT_H
#include "text/dataset.h"
#include "token/tokenizer.h"
#include "train/trainer.h"

/* What a checkpoint holds besides the trainer. */
struct surroundings {
    const struct tokenizer *tokenizer;   /* NULL: none */
    int64_t end;                         /* the end-of-text token, -1: none */
    struct dataset_mark data;            /* what it is trained on */
    const struct adapter *adapter;       /* NULL: the whole model is trained ... */
    char base[65];                       /* ... else what its base is known by */
};

/* The files that make a folder of weights a model folder, or an adapter's. */
int checkpoint_describe(const char *folder, const struct model *m, const struct config *c, const struct surroundings *s);

/* Of t->progress.iteration.  Weights that are not finite are never written: E_DIVERGED. */
int checkpoint_write(const char *out, const struct trainer *t, const struct surroundings *s);
int checkpoint_publish(const char *out, int64_t iteration);              /* that step's model becomes the run folder's */
size_t checkpoint_bytes(const struct trainer *t);                        /* about what one takes on the disk */

/* The newest that verifies, as a path; what was rejected and why goes to `notices`, a line each.  None: E_IO. */
int checkpoint_find(char folder[PATH_SIZE], const char *out, struct text *notices);
int checkpoint_read(const char *folder, struct trainer *t);              /* into a trainer of the same model */
int checkpoint_verify(const char *folder);                               /* E_DATA names the file that is not what it was */
/* What a run was made with, to make the same bits and of the same data; a text is empty where nothing is known. */
struct made_with { char isa[32], dtype[32], base[65]; struct dataset_mark data; };
int checkpoint_made_with(const char *folder, struct made_with *m);
int checkpoint_progress(const char *folder, struct progress *p);
/* The moments, by "exp_avg." and "exp_avg_sq." before the names of the weights; closed by tensors_close. */
int checkpoint_moments(const char *folder, struct tensors **t);

#endif
