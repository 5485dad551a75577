/* bench_gemm.c -- nib bench gemm: every product of matrices in a training step of a model, one by one: of each linear layer and
 * of a chunk of the head the forward product, dx and dW, as linear.c and head_loss.c cut them into tasks.
 *
 * Each call takes the next of several sets of operands, SPREAD bytes together: as in a step, they do not lie in a core's caches. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "cli/bench.h"
#include "cli/cli.h"
#include "cpu/cpu.h"
#include "cpu/head_chunk.h"
#include "cpu/product.h"

struct bench_options { const char *model, *dtype, *product; int64_t batch, block, threads, milliseconds; int json; };

enum { LARGE = 1 << 20 };
#define FIELD(name) #name, .offset = offsetof(struct bench_options, name)
static const struct option table[] = {
    { FIELD(model), .kind = OPTION_TEXT, .initial = "all", .choices = "all|" SHAPE_NAMES, .group = "products", .help = "as in nib bench train; all of them" },
    { FIELD(product), .kind = OPTION_TEXT, .initial = "all", .choices = "all|forward|dx|dw", .group = "products", .help = "y = x W^T, dx = dy W, dW = dy^T x" },
    { FIELD(batch), .kind = OPTION_INT, .initial = "0", .least = 0, .most = 1 << 16, .group = "products", .help = "sequences of a step; 0: the model's" },
    { FIELD(block), .kind = OPTION_INT, .initial = "0", .least = 0, .most = LARGE, .group = "products", .help = "tokens of a sequence; 0: the model's" },
    { FIELD(dtype), .kind = OPTION_TEXT, .initial = "float32", .choices = "float32|bfloat16", .group = "machine", .help = "of both operands; results are f32" },
    { FIELD(threads), .kind = OPTION_INT, .initial = "0", .least = 0, .most = 1024, .group = "machine", .help = "0: one a core" },
    { FIELD(milliseconds), .kind = OPTION_INT, .initial = "60", .least = 0, .most = LARGE, .group = "machine", .help = "of calls of each product, five calls at least" },
    { FIELD(json), .kind = OPTION_BOOL, .initial = "false", .group = "output", .help = "one JSON object a product on standard output" },
};

static const char USAGE[] =
    "nib bench gemm [--model=" SHAPE_NAMES "] [--key=value ...]\n\n"
    "Times the products of matrices of a training step, (m, k) by (k, n); best and median of many calls.\n\n";

/* ---- which products ---- */

/* in, out: of the layer.  rows of x; for the head those of a chunk. */
struct layer { const char *name; int64_t in, out, rows; int head; };

enum { FORWARD, DX, DW, PRODUCTS };
static const char *const product_names[PRODUCTS] = { "forward", "dx", "dw" };

/* How linear.c and head_loss.c see them: matrices of layers lie as (in, out), the head's as (out, in). */
static struct product product_of(const struct layer *l, int which, enum dtype t)
{
    struct side x = { NULL, t, 0 }, w = { NULL, t, 0 }, xt = { NULL, t, 1 }, wt = { NULL, t, 1 };
    int64_t n = l->rows, in = l->in, out = l->out;
    if (which == FORWARD) return (struct product){ n, out, in, x, l->head ? wt : w, NULL, !l->head };
    if (which == DX) return (struct product){ n, in, out, x, l->head ? w : wt, NULL, !l->head };
    if (l->head) return (struct product){ out, in, n, xt, x, NULL, 0 };
    return (struct product){ in, out, n, xt, x, NULL, t == BF16 };
}

/* ---- operands ---- */

enum { SPREAD = 128 << 20, MOST_COPIES = 64, LEAST_CALLS = 5, MOST_CALLS = 2000 };

struct ring { char *a, *b, *c, *work; size_t a_bytes, b_bytes, c_bytes; int64_t copies; };

static size_t whole_lines(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

static char *filled(size_t bytes, enum dtype type)           /* with numbers like 0.0107, so that none is special */
{
    char *p = cpu_backend.alloc(bytes);
    for (size_t i = 0; p && i < bytes / dtype_size(type); i++) {
        float x = 0.01f + 0.0001f * (float)(i * 7919 % 97);
        uint16_t narrow = f32_to_bf16(x);
        memcpy(p + i * dtype_size(type), type == BF16 ? (void *)&narrow : (void *)&x, dtype_size(type));
    }
    return p;
}

static int open_ring(struct ring *r, const struct product *p)
{
    r->a_bytes = whole_lines((size_t)(p->m * p->k) * dtype_size(p->a.type));
    r->b_bytes = whole_lines((size_t)(p->k * p->n) * dtype_size(p->b.type));
    r->c_bytes = whole_lines((size_t)(p->m * p->n) * sizeof(float));
    r->copies = (int64_t)(SPREAD / (r->a_bytes + r->b_bytes + r->c_bytes)) + 1;
    if (r->copies > MOST_COPIES) r->copies = MOST_COPIES;
    r->a = filled(r->a_bytes * (size_t)r->copies, p->a.type);
    r->b = filled(r->b_bytes * (size_t)r->copies, p->b.type);
    r->c = filled(r->c_bytes * (size_t)r->copies, F32);
    r->work = filled(cpu_product_work(p), F32);
    FAIL_IF(!r->a || !r->b || !r->c || !r->work, E_MEMORY, "no memory for a product of %lld x %lld x %lld", (long long)p->m, (long long)p->n, (long long)p->k);
    return 0;
}

static void close_ring(struct ring *r)
{
    cpu_backend.free(r->a);
    cpu_backend.free(r->b);
    cpu_backend.free(r->c);
    cpu_backend.free(r->work);
}

/* ---- measuring ---- */

static double call(struct ring *r, struct product p, int64_t i)
{
    size_t copy = (size_t)(i % r->copies);
    p.a.p = r->a + copy * r->a_bytes;
    p.b.p = r->b + copy * r->b_bytes;
    p.c = (float *)(r->c + copy * r->c_bytes);
    double start = clock_seconds();
    cpu_product(&p, r->work);
    return clock_seconds() - start;
}

static void print(const struct bench_options *o, const struct layer *l, int which, const struct product *p, int64_t copies, double best, double median)
{
    double flops = 2.0 * (double)p->m * (double)p->n * (double)p->k, peak = cpu_peak(F32);
    if (!o->json) {
        printf("%-4s  %-4s  %-7s  %s  %5lld x %5lld x %5lld  %8.3f ms (median %8.3f)  %6.1f GFLOP/s  %5.1f%% of the f32 peak of %.0f\n", o->model, l->name, product_names[which], dtype_name(p->a.type),
               (long long)p->m, (long long)p->n, (long long)p->k, best * 1e3, median * 1e3, flops / best / 1e9, 100 * flops / best / peak, peak / 1e9);
        return;
    }
    printf("{\"model\": \"%s\", \"layer\": \"%s\", \"product\": \"%s\", \"dtype\": \"%s\", \"isa\": \"%s\", \"threads\": %d, \"m\": %lld, \"n\": %lld, \"k\": %lld, ", o->model, l->name,
           product_names[which], dtype_name(p->a.type), cpu_isa(), cpu_threads(), (long long)p->m, (long long)p->n, (long long)p->k);
    printf("\"a_turned\": %d, \"b_turned\": %d, \"copies\": %lld, \"ms_best\": %.6g, \"ms_median\": %.6g, \"gflops_best\": %.6g, \"gflops_median\": %.6g, \"peak_gflops\": %.6g}\n", p->a.turned, p->b.turned,
           (long long)copies, best * 1e3, median * 1e3, flops / best / 1e9, flops / median / 1e9, peak / 1e9);
}

static int measure(const struct bench_options *o, const struct layer *l, int which)
{
    struct product p = product_of(l, which, strcmp(o->dtype, "bfloat16") ? F32 : BF16);
    struct ring r = { 0 };
    double seconds[MOST_CALLS], all = 0;
    int64_t n = 0;
    int code = open_ring(&r, &p);
    for (int64_t i = 0; !code && i < r.copies; i++) call(&r, p, i);      /* pages, threads, clock rates */
    for (; !code && n < MOST_CALLS && (n < LEAST_CALLS || all * 1e3 < (double)o->milliseconds); n++) all += seconds[n] = call(&r, p, n);
    bench_sort(seconds, n);
    if (!code) print(o, l, which, &p, r.copies, seconds[0], seconds[n / 2]);
    close_ring(&r);
    return code;
}

static int measure_model(struct bench_options o, const struct shape *s)
{
    int64_t width = s->width, rows = (o.batch ? o.batch : s->batch) * (o.block ? o.block : s->block), chunk = head_chunk(s->vocab);
    const struct layer layers[] = {
        { "qkv", width, 3 * width, rows, 0 }, { "proj", width, width, rows, 0 }, { "up", width, 4 * width, rows, 0 }, { "down", 4 * width, width, rows, 0 },
        { "head", width, s->vocab, rows < chunk ? rows : chunk, 1 },
    };
    o.model = s->name;
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++)
        for (int which = 0; which < PRODUCTS; which++)
            if (!strcmp(o.product, "all") || !strcmp(o.product, product_names[which])) TRY(measure(&o, &layers[i], which));
    return 0;
}

/* ---- the whole ---- */

static int bench(struct options *options, int argc, char **argv)
{
    const struct bench_options *o = options->values;
    const struct shape *s;
    int code = 0;
    (void)argc;
    (void)argv;
    TRY(cpu_init(NULL, (int)o->threads));
    for (int i = 0; !code && (s = bench_shape_at(i)); i++)
        if (!strcmp(o->model, "all") || !strcmp(o->model, s->name)) code = measure_model(*o, s);
    return code;
}

int bench_gemm(int argc, char **argv)
{
    struct bench_options o;
    return cli_run(&(struct command){ CLI_TABLE(table), 0, 0, 0, USAGE, bench }, &o, argc, argv);
}
