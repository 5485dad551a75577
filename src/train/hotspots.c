/* hotspots.c -- rows of the profile, added up by kernel, sorted by time. */
#include "train/hotspots.h"

#include <stdlib.h>
#include <string.h>

#include "cpu/profile.h"
#include "graph/graph.h"

enum { STEPS_SHOWN = 24 };

struct line { const char *name, *of; struct profile_row sum; int steps; };

static int by_time(const void *a, const void *b)
{
    double x = ((const struct line *)a)->sum.seconds, y = ((const struct line *)b)->sum.seconds;
    return (x < y) - (x > y);
}

static void add(struct line *l, const struct profile_row *r)
{
    l->sum.seconds += r->seconds;
    l->sum.busy += r->busy;
    l->sum.flops += r->flops;
    l->sum.bytes += r->bytes;
    l->steps++;
}

/* What a step is about: the matrix it multiplies, if there is one. */
static const char *subject(const struct step *s)
{
    for (int i = 0; s && i < s->node->n_in; i++)
        if (s->node->in[i] && s->node->in[i]->kind == K_PARAM) return s->node->in[i]->name;
    return s ? s->node->name : "";
}

static int by_kernel(const struct profile_row *row, int n, struct line *line)
{
    int lines = 0;
    for (int i = 0; i < n; i++) {
        int k = 0;
        while (k < lines && strcmp(line[k].name, row[i].name)) k++;
        if (k == lines) line[lines++] = (struct line){ .name = row[i].name, .of = "" };
        add(&line[k], &row[i]);
    }
    qsort(line, (size_t)lines, sizeof *line, by_time);
    return lines;
}

struct limits { double flops, bytes; };                      /* a second, of this machine */

static void print_line(struct text *t, const struct line *l, int64_t iterations, double seconds, struct limits most)
{
    double s = l->sum.seconds;
    text_format(t, "%-12s %5d %10.3f %6.1f%%", l->name, l->steps, 1e3 * s / (double)iterations, 100 * s / seconds);
    if (l->sum.busy > 0) text_format(t, " %5.0f%%", 100 * l->sum.busy / (s * cpu_threads()));
    else text_add(t, "       ");
    text_format(t, " %9.1f %4.0f%% %8.1f %4.0f%%  %s\n", l->sum.flops / s / 1e9, 100 * l->sum.flops / s / most.flops, l->sum.bytes / s / 1e9, 100 * l->sum.bytes / s / most.bytes, l->of);
}

static const char HEAD[] = "%-12s %5s %10s %7s %6s %9s %5s %8s %5s\n";

void hotspots_print(struct text *t, int64_t iterations, double seconds)
{
    const struct profile_row *row;
    int n = profile_rows(&row);
    struct line *line = calloc((size_t)n + 1, sizeof *line);
    if (!line || !iterations) {
        free(line);
        return;
    }
    int lines = by_kernel(row, n, line);
    struct limits most = { cpu_peak(F32), cpu_bandwidth() };
    double rest = seconds;
    text_format(t, "where the time of %lld iterations went, %.2f ms each; this machine does %.0f GFLOP/s and reads %.1f GB/s\n\n", (long long)iterations, 1e3 * seconds / (double)iterations,
                most.flops / 1e9, most.bytes / 1e9);
    text_format(t, HEAD, "kernel", "steps", "ms", "share", "busy", "GFLOP/s", "peak", "GB/s", "peak");
    for (int i = 0; i < lines; i++) {
        print_line(t, &line[i], iterations, seconds, most);
        rest -= line[i].sum.seconds;
    }
    text_format(t, "%-12s %5s %10.3f %6.1f%%         batches, norm, reading the loss\n\n", "between", "", 1e3 * rest / (double)iterations, 100 * rest / seconds);
    for (int i = 0; i < n; i++) {
        line[i] = (struct line){ .name = row[i].name, .of = subject(row[i].step) };
        add(&line[i], &row[i]);
    }
    qsort(line, (size_t)n, sizeof *line, by_time);
    text_format(t, HEAD, "step", "", "ms", "share", "busy", "GFLOP/s", "peak", "GB/s", "peak");
    for (int i = 0; i < n && i < STEPS_SHOWN; i++) print_line(t, &line[i], iterations, seconds, most);
    free(line);
}
