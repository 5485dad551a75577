/* checkpoint.h -- the state of a run on disk, such that a crash at any instant leaves a checkpoint that verifies.
 *
 *     out/step-00000250.tmp/    model.safetensors  optimizer.safetensors  trainer.json, each written, checksummed, fsynced
 *                               manifest.json last: sizes and SHA-256 of the others; then the folder is fsynced ...
 *     out/step-00000250/        ... and renamed, and out/ is fsynced
 *     out/model.safetensors     a hard link to the best step's
 *
 * A reader takes the newest folder whose manifest and files verify.  Deleting removes the manifest first. */
#ifndef TRAIN_CHECKPOINT_H
#define TRAIN_CHECKPOINT_H
#include "train/trainer.h"

int checkpoint_write(const char *out, const struct trainer *t);          /* of t->progress.iteration */
int checkpoint_publish(const char *out, int64_t iteration);              /* that step's weights become out/model.safetensors */
int checkpoint_prune(const char *out, int64_t newest, int64_t best);     /* all other steps go; -1: none */

/* The newest that verifies, as a path; what was rejected and why goes to `notices`, a line each.  None: E_IO. */
int checkpoint_find(char folder[PATH_SIZE], const char *out, struct text *notices);
int checkpoint_read(const char *folder, struct trainer *t);              /* into a trainer of the same model */
int checkpoint_verify(const char *folder);                               /* E_DATA names the file that is not what it was */
/* The kernels and the activations' type that a run was made with, to make the same bits; empty if unknown. */
struct made_with { char isa[32], dtype[32]; };
int checkpoint_made_with(const char *folder, struct made_with *m);


#endif
