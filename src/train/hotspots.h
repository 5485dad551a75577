/* hotspots.h -- nib train --profile: the table of where the time went, by op and by step of the plan. */
#ifndef TRAIN_HOTSPOTS_H
#define TRAIN_HOTSPOTS_H
#include <stdint.h>

#include "base/text.h"

/* Of all that ran while profile_on(1): `iterations` that took `seconds` in all.  Rates are of the time shown; a share beside
 * each says how near that is to what this machine can do. */
void hotspots_print(struct text *t, int64_t iterations, double seconds);

#endif
