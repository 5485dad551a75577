/* autosize.h -- nib train TEXT: a model and a schedule that are good after some minutes on this machine. */
#ifndef TRAIN_AUTOSIZE_H
#define TRAIN_AUTOSIZE_H
#include "base/options.h"
#include "text/dataset.h"

/* Sets those options that nobody has set (sizes, batch, iterations, rates, intervals), by the size of the data, the minutes that
 * may pass and the machine's speed.  What was chosen goes to notices. */
int autosize(struct options *o, const struct dataset *d, struct text *notices);

/* About how many seconds an iteration takes here, and an evaluation: before anything has run. */
double estimate_iteration(const struct dataset *d, const struct options *o);
double estimate_evaluation(const struct dataset *d, const struct options *o);

#endif
