/* vec_probe.h -- a build's vec.h and vec_random.h over arrays: for tests, which cannot include them once for every ISA. */
#ifndef CPU_VEC_PROBE_H
#define CPU_VEC_PROBE_H
#include <stdint.h>

struct vec_probe {
    int width;                                                   /* VW */
    /* n elements, a multiple of width */
    void (*exp)(const float *x, float *y, int64_t n);
    void (*log)(const float *x, float *y, int64_t n);
    void (*sigmoid)(const float *x, float *y, int64_t n);
    void (*phi)(const float *x, float *y, int64_t n);
    void (*root)(const float *x, float *y, int64_t n);
    void (*widen)(const uint16_t *x, float *y, int64_t n);       /* bf16 */
    void (*narrow)(const float *x, uint16_t *y, int64_t n);
    void (*philox)(uint64_t key, const uint32_t first[4], uint32_t (*y)[4], int64_t n);      /* of counters first[0], + 1, + 2 ... */
    /* one vector or, to be transposed, width of them */
    void (*max)(const float *a, const float *b, float *y);
    void (*min)(const float *a, const float *b, float *y);
    void (*load_n)(const float *x, int64_t n, float *y);         /* y: all lanes */
    void (*store_n)(const float *x, int64_t n, float *y);        /* x: all lanes */
    void (*transpose)(float *x);
    float (*sum)(const float *x);
    float (*most)(const float *x);
};

#endif
