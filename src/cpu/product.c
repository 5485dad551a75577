/* product.c -- C = A B by itself, cut into the tasks that it has inside of linear or head_loss. */
#include "cpu/product.h"

#include "cpu/gemm.h"
#include "cpu/row.h"

enum { PACK_COLS = 2 * TILE_COLS };                         /* columns that a task packs */

static struct matrix lies(const struct side *s, int64_t rows, int64_t cols)
{
    return s->turned ? (struct matrix){ s->p, 1, rows, s->type } : (struct matrix){ s->p, cols, 1, s->type };
}

static struct gemm gemm_of(const struct product *p, const float *panels)
{
    return (struct gemm){ p->m, p->n, p->k, lies(&p->a, p->m, p->k), lies(&p->b, p->k, p->n), panels };
}

static size_t work(const struct product *p)
{
    struct gemm g = gemm_of(p, NULL);
    return p->shared ? NAME(panel_floats)(&g) * sizeof(float) : 0;
}

static int tasks(const struct product *p, int phase)
{
    static const float packed;
    struct gemm g = gemm_of(p, work(p) ? &packed : NULL);
    if (phase == 0) return work(p) ? (int)ceil_div(p->n, PACK_COLS) : 0;
    return grid_tasks(NAME(gemm_grid)(&g));
}

static void run(const struct product *p, int phase, int task, void *panels, void *scratch)
{
    struct gemm g = gemm_of(p, work(p) ? panels : NULL);
    if (phase == 0) {
        NAME(pack_panels)(&g, (int64_t)task * PACK_COLS, PACK_COLS, panels);
        return;
    }
    struct area a = NAME(grid_area)(&g, NAME(gemm_grid)(&g), task);
    NAME(gemm)(&g, a.i, a.m, a.j, a.n, p->c + a.i * p->n + a.j, p->n, 0, scratch);
}

extern const struct product_kernel NAME(product);
const struct product_kernel NAME(product) = { .work = work, .scratch = NAME(gemm_scratch), .tasks = tasks, .run = run };
