/* retention.h -- which checkpoints of a run stay. */
#ifndef TRAIN_RETENTION_H
#define TRAIN_RETENTION_H
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

/* "last:2,best,every:1000": the newest so many (at least one), the one of the best evaluation, those of each so manieth iteration. */
struct keep { int64_t last, every; int best; };
int keep_parse(struct keep *k, const char *text);                        /* E_USAGE */
/* So many checkpoints there may be at once, the one being written included, in a run of so many iterations that saves at each interval. */
int64_t keep_most(const struct keep *k, int64_t iterations, int64_t interval);

/* The checkpoints in a run folder, in ascending order of iteration; names by step_name.  Freed by free(). */
int  steps_in(const char *out, int64_t **steps, size_t *n);
void step_name(char name[32], int64_t iteration, const char *suffix);    /* "step-00000250", or "step-00000250.tmp" */

/* After `newest` was saved: what nobody keeps goes, and what kills and failures left.  -1: there is no best. */
int retention_prune(const char *out, const struct keep *k, int64_t newest, int64_t best);
/* Those behind an iteration that the run goes back to are set aside as rejected; the drafts of killed runs go. */
int retention_go_back(const char *out, int64_t iteration);

/* Removes a checkpoint under another name (step-00000250.old), so that what a crash leaves of it is not taken for one.  Absent is fine. */
int step_remove(const char *out, int64_t iteration);

#endif
