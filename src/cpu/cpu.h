/* cpu.h -- what a CPU kernel is, and what kernels share.
 *
 * Each op has one file.  It is compiled once for every instruction set (ISA=scalar, avx2, avx512 ...): NAME(x) gives x a
 * name of its own in each build, and cpu.c picks one build when the program starts.  The scalar build is the specification.
 *
 * A kernel splits its step into phases with a barrier between them, and a phase into tasks that may run in any order on
 * any thread.  Numbers of phases and tasks depend on live rows and sequences alone, a task sums in a fixed order, and
 * partial sums are combined in the order of tasks: the bits do not depend on the number of threads. */
#ifndef CPU_CPU_H
#define CPU_CPU_H
#include "graph/graph.h"

struct cpu_kernel {
    struct kernel base;                                          /* name, work (bytes shared by the tasks), form */
    int     (*tasks)(const struct step *, int phase);
    void    (*run)(const struct step *, int phase, int task, void *scratch);
    int     (*phases)(const struct step *);                      /* NULL: one */
    size_t  (*scratch)(const struct step *);                     /* bytes of one thread, at capacity; NULL: none */
    int64_t (*cost)(const struct step *);                        /* about how many additions and multiplications; NULL: many */
};

struct cpu_op {
    struct cpu_kernel forward, backward;
    /* The op on columns col .. col + n of one row, in place: for steps that are fused to another.  NULL: cannot be. */
    void (*flow)(const struct step *, int64_t row, int64_t col, int64_t n, float *v);
    int quantized;                                               /* the matrix in in[1] may lie in blocks */
    int fuses;                                                   /* forward applies the flow of the steps fused to it */
};

/* One build's kernels: everything cpu.c needs of an ISA. */
struct cpu_table {
    const char *name;
    const struct cpu_op *op[OP_COUNT];
    const struct cpu_kernel *copy, *clear, *ready;
    /* Elements begin .. end of parameter p: one AdamW step on them, then their bf16 form. */
    void (*adamw)(struct weights *, const struct param *p, const struct adamw *, size_t begin, size_t end);
    void (*narrow)(struct weights *, const struct param *p, size_t begin, size_t end);           /* the bf16 form alone */
    double (*peak)(double seconds);                              /* multiply-adds on registers: FLOP/s of one thread */
    double (*peak_bf16)(double seconds);                         /* the same in bf16 products; 0 if the build has none */
    float (*read)(const float *x, size_t n);                     /* the sum of n floats, n a multiple of 4096: reads, and little else */
    const struct vec_probe *vec;                                 /* vec.h over arrays, for tests: see vec_probe.h */
    const struct product_kernel *product;                        /* a product of matrices by itself: see product.h */
};

extern const struct backend cpu_backend;

int  cpu_init(const char *isa, int threads);                     /* NULL: the best that runs here, or NIB_CPU; 0: one per core.  E_MEMORY: so many cannot be had; one works */
const struct cpu_table *cpu_build(int i);                        /* the builds that run here, scalar first; NULL at the end */
const char *cpu_isa(void);
const char *cpu_model(void);                                     /* "Intel(R) Xeon(R) Processor" */
int  cpu_threads(void);
size_t cpu_taken(size_t bytes);                                          /* what cpu_backend.alloc takes for so many: whole pages */
size_t cpu_scratch(void);                                        /* bytes that kernels planned so far need beside the arena, all threads together */
void cpu_shuffle_tasks(uint64_t seed);                           /* tests: tasks of a phase in a random order; 0: as they come */
double cpu_peak(enum dtype type);                                /* FLOP/s of all threads, measured once; BF16: of bf16 products, 0 if this build has none */
double cpu_peak_now(enum dtype type);                            /* the same, measured again */
double cpu_bandwidth(void);                                      /* bytes/s that all threads together read from memory, measured over 1 GiB; 0: no memory */
double cpu_bf16_gain(const char **isa);                          /* how much faster bf16 products are than f32, at least, of three probes; the build that has them; 0: none */

#define CPU_NAME2(name, isa) name##_##isa
#define CPU_NAME1(name, isa) CPU_NAME2(name, isa)
#define NAME(name) CPU_NAME1(name, ISA)

#endif
