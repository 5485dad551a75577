/* schedule.h -- the learning rate of an iteration. */
#ifndef TRAIN_SCHEDULE_H
#define TRAIN_SCHEDULE_H
#include "train/settings.h"

/* nanoGPT's: up to learning_rate over warmup_iters, then down to min_lr at lr_decay_iters along a cosine (or a line, or not at
 * all); decay_lr = false: learning_rate always. */
double schedule_lr(const struct settings *s, int64_t iteration);

#endif
