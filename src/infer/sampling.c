/* sampling.c -- penalties and temperature on logits; then the candidates, best first, are cut and one is drawn. */
#include "infer/sampling.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/rng.h"

struct choice { double p; uint32_t id; };                   /* p: the logit, later the probability */

int sampler_open(struct sampler *s, int64_t vocab)
{
    *s = (struct sampler){ .choice = malloc((size_t)vocab * sizeof *s->choice), .seen = calloc((size_t)vocab, 1), .vocab = vocab };
    if (s->choice && s->seen) return 0;
    sampler_close(s);
    FAIL(E_MEMORY, "no memory to sample from a vocabulary of %lld", (long long)vocab);
}

void sampler_close(struct sampler *s)
{
    free(s->choice);
    free(s->seen);
    *s = (struct sampler){ 0 };
}

static int better(const struct choice *a, const struct choice *b) { return a->p != b->p ? a->p > b->p : a->id < b->id; }

static int best_first(const void *a, const void *b)
{
    if (better(a, b)) return -1;
    return better(b, a);
}

/* Moves the k best to the front, in any order (Hoare's selection). */
static void select_best(struct choice *c, int64_t n, int64_t k)
{
    int64_t low = 0, high = n - 1;
    while (low < high) {
        struct choice pivot = c[low + (high - low) / 2];
        int64_t i = low, j = high;
        while (i <= j) {
            while (better(&c[i], &pivot)) i++;
            while (better(&pivot, &c[j])) j--;
            if (i > j) break;
            struct choice swap = c[i];
            c[i++] = c[j];
            c[j--] = swap;
        }
        if (k - 1 <= j) high = j;
        else if (k - 1 >= i) low = i;
        else return;
    }
}

static void penalise(struct sampler *s, double by, int64_t n, const uint32_t *seen, size_t n_seen)
{
    for (size_t i = 0; i < n_seen; i++) {
        uint32_t id = seen[i];
        if (id >= n || s->seen[id]) continue;
        s->seen[id] = 1;
        s->choice[id].p = s->choice[id].p > 0 ? s->choice[id].p / by : s->choice[id].p * by;
    }
    for (size_t i = 0; i < n_seen; i++)
        if (seen[i] < n) s->seen[seen[i]] = 0;
}

/* Logits to probabilities that sum to 1. */
static void softmax(struct choice *c, int64_t n)
{
    double top = c[0].p, sum = 0;
    for (int64_t i = 1; i < n; i++) top = c[i].p > top ? c[i].p : top;
    for (int64_t i = 0; i < n; i++) sum += c[i].p = exp(c[i].p - top);
    for (int64_t i = 0; i < n; i++) c[i].p /= sum;
}

static int64_t cut(const struct choice *c, int64_t n, double top_p, double min_p)
{
    double sum = 0;
    int64_t keep = 0;
    while (keep < n && (keep == 0 || (sum < top_p && c[keep].p >= min_p * c[0].p))) sum += c[keep++].p;
    return keep;
}

uint32_t sampler_pick(struct sampler *s, const struct sampling *how, const float *logits, int64_t allowed, const uint32_t *seen, size_t n_seen,
                      uint64_t stream, uint64_t index)
{
    int64_t n = allowed < s->vocab ? allowed : s->vocab;
    struct choice *c = s->choice;
    for (int64_t i = 0; i < n; i++) c[i] = (struct choice){ isnan(logits[i]) ? -INFINITY : (double)logits[i], (uint32_t)i };
    if (how->repetition > 0 && how->repetition != 1) penalise(s, how->repetition, n, seen, n_seen);
    int64_t k = how->temperature <= 0 ? 1 : how->top_k > 0 && how->top_k < n ? how->top_k : n;
    select_best(c, n, k);
    if (k == 1) return c[0].id;
    if (how->top_p < 1 || how->min_p > 0) qsort(c, (size_t)k, sizeof *c, best_first);
    for (int64_t i = 0; i < k; i++) c[i].p /= how->temperature;
    softmax(c, k);
    if (how->top_p < 1 || how->min_p > 0) k = cut(c, k, how->top_p, how->min_p);
    double sum = 0, at = rng_unit(rng_key(how->seed, stream), index);
    for (int64_t i = 0; i < k; i++) sum += c[i].p;
    for (int64_t i = 0; i < k; i++)
        if ((at -= c[i].p / sum) < 0) return c[i].id;
    return c[k - 1].id;
}
