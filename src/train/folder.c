/* folder.c -- the run's folder: whose it is, what it says of the run, whether the disk has room for it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "model/adapter.h"
#include "train/foreign.h"
#include "train/run.h"

#define OTHER_FOLDER "choose another --out_dir"

int folder_lock(struct run *r)
{
    if (r->s->eval_only || r->lock >= 0) return 0;
    TRY(dir_make(r->s->out_dir));
    return dir_lock(&r->lock, r->s->out_dir, OTHER_FOLDER);
}

/* ---- an older run ---- */

static int is_run(const char *out, int *is)
{
    char path[PATH_SIZE];
    int64_t *steps;
    size_t n;
    *is = 0;
    if (!path_is_dir(out)) return 0;
    TRY(adapter_look(out, is));
    TRY(path_join(path, out, "model.safetensors"));
    if (!*is) TRY(path_look(path, is));
    TRY(steps_in(out, &steps, &n));
    free(steps);
    *is = *is || n > 0;
    return 0;
}

/* A run that is there already is nobody's to overwrite: it moves aside. */
static int move_aside(struct run *r)
{
    char other[PATH_SIZE];
    const char *out = r->s->out_dir;
    int is;
    TRY(is_run(out, &is));
    if (!is) return 0;
    for (int i = 1;; i++) {
        FAIL_IF(snprintf(other, sizeof other, "%s.%d", out, i) >= (int)sizeof other, E_USAGE, "the name of out_dir is too long");
        if (!path_is_dir(other) && !path_is_file(other)) break;
    }
    dir_unlock(r->lock);
    r->lock = -1;
    FAIL_IF(rename(out, other), E_IO, "%s: %s", out, strerror(errno));
    text_format(&r->notices, "%s held a run, which is now in %s (--init_from=resume would have gone on with it)\n", out, other);
    TRY(dir_make(out));
    return dir_lock(&r->lock, out, OTHER_FOLDER);
}

/* ---- run.conf ---- */

int train_recorded(struct options *o, const char *out)
{
    char path[PATH_SIZE], other[PATH_SIZE];
    int is;
    TRY(path_join(path, out, "run.conf"));
    TRY(foreign_find(other, out, &is));
    if (is && !path_is_file(path)) return foreign_settings(o, other);
    FAIL_IF(!path_is_file(path), E_IO, "%s has no run to resume (no run.conf)", out);
    struct text *notices = o->notices;
    o->notices = NULL;                                       /* they were given when the run began */
    int code = options_file(o, path);
    o->notices = notices;
    return code;
}

static int record(const struct run *r)
{
    char path[PATH_SIZE];
    struct text conf = { 0 };
    options_to_text(r->options, &conf);
    int code = conf.failed ? error_set(E_MEMORY, __FILE__, __LINE__, "no memory for run.conf") : path_join(path, r->s->out_dir, "run.conf");
    if (!code) code = file_write(path, conf.at, conf.size);
    text_free(&conf);
    return code;
}

/* What is set otherwise than when the run was last started. */
static int find_changes(const struct run *r, struct text *changes)
{
    struct settings before;
    struct arena memory = { 0 };
    struct options o = { .table = r->options->table, .n = r->options->n, .values = &before, .memory = &memory };
    int code = options_defaults(&o);
    if (!code) code = train_recorded(&o, r->s->out_dir);
    before.init_from = r->s->init_from;                      /* where a run lies and that it goes on is no change of it */
    before.out_dir = r->s->out_dir;
    if (!code) options_differences(&o, r->options, changes);
    arena_free(&memory);
    return code;
}

/* ---- the disk ---- */

/* All checkpoints that will be there at once, before the first is written. */
static int check_room(const struct run *r)
{
    const struct settings *s = r->s;
    uint64_t free_bytes, each = checkpoint_bytes(&r->trainer);
    int64_t *steps, most = keep_most(&r->keep, s->max_iters, s->eval_interval);
    size_t there;
    TRY(steps_in(s->out_dir, &steps, &there));
    free(steps);
    if (dir_free(s->out_dir, &free_bytes)) return 0;         /* nobody knows */
    uint64_t wanted = (uint64_t)most > there ? ((uint64_t)most - there) * each : 0;
    FAIL_IF(wanted > free_bytes, E_IO, "%s has room for %.1f MiB, and checkpoints need %.1f more: %lld of %.1f MiB each, the one being written included, of which %zu are there; "
            "make room, or keep fewer (--keep=last; now %s)", s->out_dir, (double)free_bytes / 1048576, (double)wanted / 1048576, (long long)most, (double)each / 1048576, there, s->keep);
    return 0;
}

/* ---- all of it ---- */

static int begin(struct run *r)
{
    TRY(move_aside(r));
    TRY(dir_sweep(r->s->out_dir));
    TRY(check_room(r));
    TRY(record(r));                                          /* first: now it is a run */
    TRY(checkpoint_describe(r->s->out_dir, r->model, &r->config, &r->around));
    r->saved = -1;
    int64_t first = r->trainer.progress.iteration;           /* of a run of nanoGPT's not 0 */
    TRY(metrics_open(&r->metrics, r->s->out_dir, first, -1, r->s->tensorboard));
    metrics_event(&r->metrics, first, "started", first ? r->from : "");
    return 0;
}

static void tell_resumption(struct run *r, const struct text *changes)
{
    for (const char *line = r->rejected.size ? r->rejected.at : ""; *line; line += strcspn(line, "\n") + 1)
        run_happened(r, "rejected", "%.*s", (int)strcspn(line, "\n"), line);
    text_clear(&r->rejected);
    metrics_event(&r->metrics, r->trainer.progress.iteration, "resumed", "");
    if (changes->size) run_happened(r, "changed", "set otherwise than before: %s", changes->at);
}

/* Whoever was killed between saving and publishing has left an older model where the best one belongs. */
static int go_on(struct run *r)
{
    const struct progress *p = &r->trainer.progress;
    const char *out = r->s->out_dir;
    struct text changes = { 0 };
    int code = find_changes(r, &changes);
    if (!code) code = dir_sweep(out);
    if (!code) code = retention_go_back(out, p->iteration);
    if (!code) code = check_room(r);
    if (!code) code = record(r);
    if (!code) code = metrics_open(&r->metrics, out, p->iteration, p->evaluated, r->s->tensorboard);
    r->saved = p->iteration;
    r->published = !code && !checkpoint_publish(out, p->best_iteration >= 0 ? p->best_iteration : p->iteration);
    if (!code) tell_resumption(r, &changes);
    text_free(&changes);
    return code;
}

static int draw(struct run *r, int alive)
{
    struct report_run page = { .name = r->s->out_dir, .history = &r->history, .alive = alive, .iterations = r->s->max_iters };
    struct arena memory = { 0 };
    struct text about = { 0 };
    char path[PATH_SIZE];
    config_describe(r->model, &r->config, &about);
    if (r->around.adapter) text_add(&about, "; "), adapter_describe(r->around.adapter, &about);
    text_format(&about, "; %s", dataset_name(&r->data));
    page.about = about.at;
    int code = r->history.path[0] ? history_follow(&r->history) : history_open(&r->history, r->s->out_dir);
    if (!code) code = report_options(r->options, &memory, &page);
    if (!code) code = path_join(path, r->s->out_dir, "report.html");
    if (!code) code = report_write(&page, 1, path);
    text_free(&about);
    arena_free(&memory);
    return code;
}

void folder_report(struct run *r, int alive)
{
    char why[ERROR_TEXT];
    if (!r->s->report || r->metrics.file < 0 || !draw(r, alive) || r->undrawn) return;
    r->undrawn = 1;
    run_happened(r, "report_failed", "report.html was not drawn: %s", error_copy(why));
}

int folder_open(struct run *r)
{
    TRY(folder_lock(r));
    if (r->s->eval_only) return 0;
    return r->resumes ? go_on(r) : begin(r);
}
