/* schedule.c -- warmup, then decay. */
#include "train/schedule.h"

#include <math.h>
#include <string.h>

double schedule_lr(const struct settings *s, int64_t it)
{
    if (!s->decay_lr) return s->learning_rate;
    if (it < s->warmup_iters) return s->learning_rate * (double)(it + 1) / (double)(s->warmup_iters + 1);
    if (!strcmp(s->schedule, "constant")) return s->learning_rate;
    if (it >= s->lr_decay_iters) return s->min_lr;           /* also where warmup ends after decay would */
    double done = (double)(it - s->warmup_iters) / (double)(s->lr_decay_iters - s->warmup_iters);
    double left = strcmp(s->schedule, "linear") ? 0.5 * (1 + cos(3.14159265358979324 * done)) : 1 - done;
    return s->min_lr + left * (s->learning_rate - s->min_lr);
}
