/* product.h -- one product of matrices by itself, for those who measure: C (m, n) = A (m, k) B (k, n). */
#ifndef CPU_PRODUCT_H
#define CPU_PRODUCT_H
#include "base/dtype.h"

struct side { const void *p; enum dtype type; int turned; };          /* F32 or BF16, rows end to end; turned: the transpose lies there */

/* c: (m, n) f32.  shared: B is packed once for all tasks where they cannot read it as it lies, as linear does it. */
struct product { int64_t m, n, k; struct side a, b; float *c; int shared; };

/* Of one build.  work: bytes that the tasks share; scratch: of a thread.  First the tasks of phase 0, then those of phase 1. */
struct product_kernel {
    size_t (*work)(const struct product *);
    size_t (*scratch)(void);
    int    (*tasks)(const struct product *, int phase, void *work);
    void   (*run)(const struct product *, int phase, int task, void *work, void *scratch);
};

size_t cpu_product_work(const struct product *);             /* bytes of work for all threads */
void   cpu_product(const struct product *, void *work);

#endif
