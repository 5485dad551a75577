/* product.c -- C = A B by itself, cut into the tasks that it has inside of linear or head_loss. */
#include "cpu/product.h"

#include "cpu/gemm.h"

static struct matrix lies(const struct side *s, int64_t rows, int64_t cols)
{
    return s->turned ? (struct matrix){ s->p, 1, rows, s->type } : (struct matrix){ s->p, cols, 1, s->type };
}

static struct gemm gemm_of(const struct product *p) { return (struct gemm){ p->m, p->n, p->k, lies(&p->a, p->m, p->k), lies(&p->b, p->k, p->n), NULL }; }

static size_t work(const struct product *p)
{
    struct gemm g = gemm_of(p);
    return p->shared ? NAME(panel_floats)(&g) * sizeof(float) : 0;
}

static struct gemm with_panels(const struct product *p, void *panels)
{
    struct gemm g = gemm_of(p);
    if (work(p)) g.panels = panels;
    return g;
}

static int tasks(const struct product *p, int phase, void *panels)
{
    struct gemm g = with_panels(p, panels);
    return phase ? grid_tasks(NAME(gemm_grid)(&g)) : NAME(pack_tasks)(&g);
}

static void run(const struct product *p, int phase, int task, void *panels, void *scratch)
{
    struct gemm g = with_panels(p, panels);
    if (phase == 0) {
        NAME(pack_panels)(&g, task);
        return;
    }
    struct area a = NAME(grid_area)(&g, NAME(gemm_grid)(&g), task);
    NAME(gemm)(&g, a.i, a.m, a.j, a.n, p->c + a.i * p->n + a.j, p->n, 0, scratch);
}

extern const struct product_kernel NAME(product);
const struct product_kernel NAME(product) = { .work = work, .scratch = NAME(gemm_scratch), .tasks = tasks, .run = run };
