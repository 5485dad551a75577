/* metrics.c -- each line goes out in one write, so that a reader never sees half of one. */
#include "train/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/json.h"

static const char NAME[] = "metrics.jsonl";
enum { MOST_BYTES = 1 << 30 };

/* Does the line belong to what the checkpoint knows? */
static int keeps(const char *line, size_t n, int64_t iteration, int64_t evaluated)
{
    json_t *o;
    int64_t step;
    if (json_parse(&o, line, n, NAME)) return 0;             /* cut off by a crash */
    int keep = !json_get_int(o, "step", 0, INT64_MAX, &step, NAME) && (json_has(o, "val_loss") ? step <= evaluated : step < iteration);
    json_decref(o);
    return keep;
}

static int cut(const char *path, int64_t iteration, int64_t evaluated)
{
    struct text old = { 0 }, kept = { 0 };
    int code = file_read(path, MOST_BYTES, &old);
    for (const char *at = old.at; !code && at && *at;) {
        const char *end = strchr(at, '\n');
        size_t n = end ? (size_t)(end - at) + 1 : strlen(at);
        if (end && keeps(at, n, iteration, evaluated)) text_bytes(&kept, at, n);
        at += n;
    }
    if (!code && (old.failed || kept.failed)) code = error_set(E_MEMORY, __FILE__, __LINE__, "no memory for %s", path);
    if (!code) code = file_write(path, kept.size ? kept.at : "", kept.size);
    text_free(&old);
    text_free(&kept);
    return code;
}

int metrics_open(struct metrics *m, const char *out, int64_t iteration, int64_t evaluated)
{
    char path[PATH_SIZE];
    *m = (struct metrics){ .file = -1 };
    TRY(path_join(path, out, NAME));
    if (path_is_file(path)) TRY(cut(path, iteration, evaluated));
    m->file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    FAIL_IF(m->file < 0, E_IO, "%s: %s", path, strerror(errno));
    return 0;
}

void metrics_close(struct metrics *m)
{
    if (m->file >= 0) close(m->file);
    text_free(&m->line);
    m->file = -1;
}

static int put(struct metrics *m)
{
    FAIL_IF(m->line.failed, E_MEMORY, "no memory for a line of %s", NAME);
    ssize_t n = write(m->file, m->line.at, m->line.size);
    FAIL_IF(n != (ssize_t)m->line.size, E_IO, "%s: %s", NAME, n < 0 ? strerror(errno) : "the disk is full");
    text_clear(&m->line);
    return 0;
}

int metrics_step(struct metrics *m, int64_t step, const struct step_result *r, double lr, double seconds, double flops_share)
{
    if (r->skipped) text_format(&m->line, "{\"step\": %lld, \"skipped\": \"%s\"}\n", (long long)step, r->where);
    else text_format(&m->line, "{\"step\": %lld, \"loss\": %.6f, \"lr\": %.6g, \"grad_norm\": %.6g, \"ms\": %.3f, \"tok_s\": %.0f, \"mfu\": %.4f}\n", (long long)step,
                     r->loss, lr, r->norm, seconds * 1e3, (double)r->tokens / seconds, flops_share);
    return put(m);
}

int metrics_evaluation(struct metrics *m, int64_t step, double train_loss, double val_loss)
{
    text_format(&m->line, "{\"step\": %lld, \"train_loss\": %.6f, \"val_loss\": %.6f}\n", (long long)step, train_loss, val_loss);
    return put(m);
}
