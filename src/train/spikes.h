/* spikes.h -- is a loss far above those before it?  A step that was computed from such a loss is not applied: one bad batch, or
 * weights on their way out, must not spoil what was learnt (Chowdhery et al. 2022, section 5.1, skip such data by hand). */
#ifndef TRAIN_SPIKES_H
#define TRAIN_SPIKES_H

enum { SPIKE_WINDOW = 128 };             /* losses of steps that were applied; fewer: nothing is a spike */

struct spikes { double loss[SPIKE_WINDOW]; int n, next; };       /* next: where the next one goes, the oldest once all are there */

double spikes_loss(const struct spikes *s, int i);                 /* of the n, from the oldest on */

struct spread { double mean, deviation; };
struct spread spikes_spread(const struct spikes *s);             /* of what is in it; of nothing: 0, 0 */

/* Does it lie more than `most` standard deviations above the mean, and more than SPIKE_RISE?  most = 0: never. */
int  spikes_is(const struct spikes *s, double loss, double most);
void spikes_add(struct spikes *s, double loss);
#define SPIKE_RISE 0.2                   /* nats: less is no harm, however even the losses were */

#endif
