/* sampling.h -- from logits to the next id. */
#ifndef INFER_SAMPLING_H
#define INFER_SAMPLING_H
#include <stddef.h>
#include <stdint.h>

struct sampling {
    double temperature;                  /* 0: the most likely id (the lowest of equals) */
    int64_t top_k;                       /* only the k most likely; 0: all */
    double top_p;                        /* only the fewest that together have this probability (Holtzman et al. 2019); 1: all */
    double min_p;                        /* only those with at least this share of the best one's probability; 0: all */
    double repetition;                   /* logits of ids seen before are divided by it, or multiplied if negative; 1: not */
    uint64_t seed;
};

struct sampler { struct choice *choice; uint8_t *seen; int64_t vocab; };
int  sampler_open(struct sampler *s, int64_t vocab);
void sampler_close(struct sampler *s);

/* The next id of those below `allowed` (padding is never sampled).  `seen`: the ids written so far.  The number drawn is a
 * function of seed, stream and index: nothing else that runs beside it changes a text. */
uint32_t sampler_pick(struct sampler *s, const struct sampling *how, const float *logits, int64_t allowed, const uint32_t *seen, size_t n_seen,
                      uint64_t stream, uint64_t index);

#endif
