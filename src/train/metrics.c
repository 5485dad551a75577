/* metrics.c -- each line goes out in one write, so that a reader never sees half of one. */
#include "train/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"

static const char NAME[] = "metrics.jsonl";
enum { MOST_BYTES = 1 << 30, MOST_WAITING = 1 << 20 };

/* ---- TensorBoard ---- */

static void show(struct metrics *m, double time, int64_t step, const struct tfevents_scalar *scalar, int n)
{
    if (m->board.file >= 0) tfevents_scalars(&m->board, time, step, scalar, n);
}

static void show_evaluation(struct metrics *m, double time, int64_t step, double train_loss, double val_loss, double mib)
{
    show(m, time, step, (const struct tfevents_scalar[]){ { "evaluation/train_loss", train_loss }, { "evaluation/val_loss", val_loss }, { "evaluation/memory_mib", mib } }, 3);
}

/* ---- opening ---- */

struct cutting { struct metrics *m; int64_t iteration, evaluated; };

/* TensorBoard forgets all from the iteration on that a run goes on at, also what was evaluated and sampled when so many were done. */
static void show_again(struct metrics *m, int64_t step, const json_t *o)
{
    double time = clock_unix(), train, val, mib;
    const char *text;
    json_get_real(o, "time", &time, NAME);
    if (!json_get_string(o, "sample", &text, NAME)) tfevents_text(&m->board, time, step, "sample", text);
    if (!json_get_real(o, "train_loss", &train, NAME) && !json_get_real(o, "val_loss", &val, NAME) && !json_get_real(o, "mib", &mib, NAME)) show_evaluation(m, time, step, train, val, mib);
}

/* Does the line belong to what the checkpoint knows?  What happened has happened; all else will be done again. */
static int keeps(const struct cutting *c, const char *line, size_t n)
{
    json_t *o;
    int64_t step, before = c->iteration - 1;
    if (json_parse(&o, line, n, NAME)) return 0;             /* cut off by a crash */
    if (json_has(o, "event")) before = INT64_MAX;
    if (json_has(o, "val_loss")) before = c->evaluated;
    if (json_has(o, "sample")) before = c->iteration;        /* taken when so many iterations were done */
    int keep = !json_get_int(o, "step", 0, INT64_MAX, &step, NAME) && step <= before;
    if (keep && step >= c->iteration && c->m->board.file >= 0) show_again(c->m, step, o);
    json_decref(o);
    return keep;
}

static int cut(const char *path, const struct cutting *c)
{
    struct text old = { 0 }, kept = { 0 };
    int code = file_read(path, MOST_BYTES, &old);
    for (const char *at = old.at; !code && at && *at;) {
        const char *end = strchr(at, '\n');
        size_t n = end ? (size_t)(end - at) + 1 : strlen(at);
        if (end && keeps(c, at, n)) text_bytes(&kept, at, n);
        at += n;
    }
    if (!code && (old.failed || kept.failed)) code = error_set(E_MEMORY, __FILE__, __LINE__, "no memory for %s", path);
    if (!code) code = file_write(path, kept.size ? kept.at : "", kept.size);
    text_free(&old);
    text_free(&kept);
    return code;
}

int metrics_open(struct metrics *m, const char *out, int64_t iteration, int64_t evaluated, int tensorboard)
{
    char path[PATH_SIZE];
    int is;
    *m = (struct metrics){ .file = -1, .board.file = -1 };
    TRY(path_join(path, out, NAME));
    TRY(path_look(path, &is));
    if (tensorboard) TRY(tfevents_open(&m->board, out, clock_unix(), iteration));
    if (is) TRY(cut(path, &(struct cutting){ m, iteration, evaluated }));
    m->file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    FAIL_IF(m->file < 0, E_IO, "%s: %s", path, strerror(errno));
    return 0;
}

/* ---- writing ---- */

/* What was written of a line whose rest the disk refused stays there, and the rest follows when it can. */
static void flush(struct metrics *m)
{
    ssize_t n;
    do n = write(m->file, m->waiting.at, m->waiting.size);
    while (n < 0 && errno == EINTR);
    int error = n < 0 ? errno : ENOSPC;
    if (n > 0) text_drop(&m->waiting, (size_t)n);
    if (m->waiting.size) snprintf(m->why, sizeof m->why, "%s", strerror(error));
    else m->why[0] = 0;
}

static void begin(struct metrics *m, int64_t step)
{
    if (m->line.failed) text_free(&m->line);
    text_clear(&m->line);
    text_format(&m->line, "{\"step\": %lld, \"time\": %.3f", (long long)step, clock_unix());
}

static void end(struct metrics *m)
{
    if (m->file < 0) return;
    text_add(&m->line, "}\n");
    if (m->line.failed || m->waiting.size + m->line.size > MOST_WAITING) m->lost++;
    else text_bytes(&m->waiting, m->line.at, m->line.size);
    if (m->waiting.size) flush(m);
}

void metrics_sync(struct metrics *m)
{
    if (m->waiting.size) flush(m);
    if (!m->why[0] && fsync(m->file)) snprintf(m->why, sizeof m->why, "%s", strerror(errno));
}

void metrics_close(struct metrics *m)
{
    if (m->file >= 0 && m->waiting.size) flush(m);
    if (m->file >= 0) close(m->file);
    tfevents_close(&m->board);
    text_free(&m->line);
    text_free(&m->waiting);
    *m = (struct metrics){ .file = -1, .board.file = -1 };
}

/* ---- lines ---- */

void metrics_step(struct metrics *m, int64_t step, const struct step_result *r, double lr, double seconds, double flops_share)
{
    double speed = (double)r->tokens / seconds;
    begin(m, step);
    if (r->skipped) {
        text_add(&m->line, ", \"skipped\": ");
        json_quote(&m->line, r->why);
    } else {
        text_format(&m->line, ", \"loss\": %.6f, \"lr\": %.6g, \"grad_norm\": %.6g, \"ms\": %.3f, \"tok_s\": %.0f, \"mfu\": %.4f", r->loss, lr, r->norm, seconds * 1e3, speed, flops_share);
        show(m, clock_unix(), step, (const struct tfevents_scalar[]){ { "train/loss", r->loss }, { "train/learning_rate", lr }, { "train/grad_norm", r->norm }, { "train/tokens_per_second", speed } }, 4);
    }
    end(m);
}

void metrics_evaluation(struct metrics *m, int64_t step, double train_loss, double val_loss)
{
    double used = (double)memory_used() / 1048576;
    begin(m, step);
    text_format(&m->line, ", \"train_loss\": %.6f, \"val_loss\": %.6f, \"mib\": %.1f", train_loss, val_loss, used);
    show_evaluation(m, clock_unix(), step, train_loss, val_loss, used);
    end(m);
}

void metrics_sample(struct metrics *m, int64_t step, const char *text)
{
    begin(m, step);
    text_add(&m->line, ", \"sample\": ");
    json_quote(&m->line, text);
    if (m->board.file >= 0) tfevents_text(&m->board, clock_unix(), step, "sample", text);
    end(m);
}

void metrics_event(struct metrics *m, int64_t step, const char *kind, const char *text)
{
    begin(m, step);
    text_format(&m->line, ", \"event\": \"%s\"", kind);
    if (*text) {
        text_add(&m->line, ", \"text\": ");
        json_quote(&m->line, text);
    }
    end(m);
}
