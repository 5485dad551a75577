/* foreign.h -- a run that nanoGPT began: out_dir holds its ckpt.pt, and no checkpoint of ours yet. */
#ifndef TRAIN_FOREIGN_H
#define TRAIN_FOREIGN_H
#include "base/options.h"
#include "train/trainer.h"

int foreign_find(char path[PATH_SIZE], const char *out, int *is);        /* where it is */
/* What train.py was set to, as far as the table knows it; where it wrote and how it began is nobody's setting any more. */
int foreign_settings(struct options *o, const char *path);
/* Moments, iterations and updates, into a trainer of its model.  tokens: of an iteration.  The best evaluation is not known: its model is not at hand. */
int foreign_read(const char *path, struct trainer *t, int64_t tokens);

#endif
