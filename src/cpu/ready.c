/* ready.c -- a parameter's gradient is complete: the sum of its squares, for the global norm.  Blocks of fixed size are
 * summed in double and then added in order. */
#include "cpu/row.h"

enum { BLOCK = 1 << 13 };

static int64_t size(const struct step *s) { return (int64_t)param_size(s->node->param); }

static double squares(const float *x, int64_t n)
{
    vd sum = { 0 };
    for (int64_t c = 0; c < n; c += VW) {
        vd v = __builtin_convertvector(v_load_n(x + c, n - c), vd);
        sum += v * v;
    }
    double total = 0;
    for (int i = 0; i < VW; i++) total += sum[i];
    return total;
}

static void run(const struct step *s, int phase, int task, void *scratch)
{
    (void)scratch;
    double *part = s->work.p;
    const float *x = s->d[0].p;
    if (phase == 0) {
        part[task] = squares(x + (int64_t)task * BLOCK, at_most(BLOCK, size(s) - (int64_t)task * BLOCK));
        return;
    }
    double sum = 0;
    for (int64_t i = 0; i < ceil_div(size(s), BLOCK); i++) sum += part[i];
    graph_weights(s->node->g)->squares[s->node->param->index] = sum;
}

static int phases(const struct step *s) { return s->run->last_micro ? 2 : 0; }
static int tasks(const struct step *s, int phase) { return phase ? 1 : (int)ceil_div(size(s), BLOCK); }
static size_t work(const struct step *s) { return (size_t)ceil_div(size(s), BLOCK) * sizeof(double); }
static int64_t cost(const struct step *s) { return size(s); }

const struct cpu_kernel NAME(cpu_ready) = { .base = { .name = "ready", .work = work }, .phases = phases, .tasks = tasks, .run = run, .cost = cost };
