/* table.c -- this build's kernels, from the rows of ops.def. */
#include "cpu/cpu.h"

#define OP(name, ...) extern const struct cpu_op NAME(cpu_##name);
#include "graph/ops.def"
#undef OP
extern const struct cpu_kernel NAME(cpu_copy), NAME(cpu_clear), NAME(cpu_ready);
void NAME(adamw)(struct weights *, const struct param *, const struct adamw *, size_t begin, size_t end);
void NAME(narrow_range)(struct weights *, const struct param *, size_t begin, size_t end);
double NAME(peak)(double seconds);
double NAME(peak_bf16)(double seconds);
float NAME(read)(const float *x, size_t n);
extern const struct vec_probe NAME(vec_probe);
extern const struct product_kernel NAME(product);

extern const struct cpu_table NAME(cpu_table);
#define STRING2(x) #x
#define STRING(x) STRING2(x)
const struct cpu_table NAME(cpu_table) = {
    .name = STRING(ISA),
    .op = {
#define OP(name, ...) [OP_##name] = &NAME(cpu_##name),
#include "graph/ops.def"
#undef OP
    },
    .copy = &NAME(cpu_copy), .clear = &NAME(cpu_clear), .ready = &NAME(cpu_ready),
    .adamw = NAME(adamw), .narrow = NAME(narrow_range), .peak = NAME(peak), .peak_bf16 = NAME(peak_bf16), .read = NAME(read),
    .vec = &NAME(vec_probe), .product = &NAME(product),
};
