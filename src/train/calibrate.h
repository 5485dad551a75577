/* calibrate.h -- how long a run takes on this machine, by running a little of it. */
#ifndef TRAIN_CALIBRATE_H
#define TRAIN_CALIBRATE_H
#include "train/settings.h"
#include "train/trainer.h"

struct pace {
    double iteration, evaluation, save;  /* seconds of one: all its micro-batches and the update; both splits; a checkpoint, by its bytes */
    int64_t measured;                    /* steps that were run for it */
    int scaled;                          /* on fewer sequences than a micro-batch has, so a guess more */
};

/* Trains a trainer of its own, of o's model with any weights on any ids, for about so many seconds. */
int calibrate(const struct settings *s, const struct trainer_options *o, double seconds, struct pace *p);

/* The whole run: iterations, evaluations and the checkpoints behind them. */
double pace_of_run(const struct settings *s, const struct pace *p);

#endif
