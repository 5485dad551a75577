/* quantize.h -- numbers in blocks that share a scale, a few bits each, as llama.cpp's files have them (ggml/src/ggml-quants.c, ggml-common.h).
 * d and m are halves of 16 bits, q whole numbers:
 *
 *     Q8_0   32 values   d, q of 8 bits                        d q
 *     Q4_0   32          d, q of 4                             d (q - 8)
 *     Q5_0   32          d, fifth bits, q                      d (q - 16)
 *     Q5_1   32          d, m, fifth bits, q                   d q + m
 *     Q4_K   256         d, m, 8 pairs (s, t) of 6, q of 4     d s q - m t        a pair for 32 values
 *     Q5_K   256         d, m, 8 pairs, fifth bits, q          d s q - m t
 *     Q6_K   256         q of 6, 16 s of 8, d                  d s (q - 32)       an s for 16 values */
#ifndef BASE_QUANTIZE_H
#define BASE_QUANTIZE_H
#include "base/dtype.h"

static inline int is_quantized(enum dtype t) { return dtype_values(t) > 1; }

/* n values, a multiple of a block's. */
void dequantize(enum dtype t, const void *from, float *to, size_t n);
/* Rounds to the nearest that the scale allows, to the bytes of llama.cpp's reference quantizers: Q8_0 and Q4_0 alone. */
void quantize(enum dtype t, const float *from, void *to, size_t n);

#endif
