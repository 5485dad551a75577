/* spikes.c -- mean and deviation are summed anew each time, from the oldest loss on: a resumed run has the same bits. */
#include "train/spikes.h"

#include <math.h>

double spikes_loss(const struct spikes *s, int i) { return s->loss[(s->next + SPIKE_WINDOW - s->n + i) % SPIKE_WINDOW]; }

struct spread spikes_spread(const struct spikes *s)
{
    double sum = 0, squares = 0;
    for (int i = 0; i < s->n; i++) sum += spikes_loss(s, i);
    double mean = s->n ? sum / s->n : 0;
    for (int i = 0; i < s->n; i++) {
        double off = spikes_loss(s, i) - mean;
        squares += off * off;
    }
    return (struct spread){ mean, s->n ? sqrt(squares / s->n) : 0 };
}

int spikes_is(const struct spikes *s, double loss, double most)
{
    if (most <= 0 || s->n < SPIKE_WINDOW) return 0;
    struct spread now = spikes_spread(s);
    return loss > now.mean + fmax(most * now.deviation, SPIKE_RISE);
}

void spikes_add(struct spikes *s, double loss)
{
    s->loss[s->next] = loss;
    s->next = (s->next + 1) % SPIKE_WINDOW;
    if (s->n < SPIKE_WINDOW) s->n++;
}
