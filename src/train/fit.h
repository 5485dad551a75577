/* fit.h -- nib train --max_memory: the micro-batch and the recompute level that are fastest of those that fit. */
#ifndef TRAIN_FIT_H
#define TRAIN_FIT_H
#include "base/options.h"
#include "train/trainer.h"

/* Sets batch_size, gradient_accumulation_steps, recompute and eval_iters of settings so that what `t` describes takes at most s->max_memory, and as
 * many sequences an iteration and an evaluation as before.  What was chosen goes to notices.  Nothing fits: E_MEMORY, with the numbers. */
int fit(struct options *o, struct trainer_options *t, struct text *notices);

#endif
