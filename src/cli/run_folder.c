/* run_folder.c -- metrics.jsonl, run.conf, config.json and .lock. */
#include "cli/run_folder.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "model/model.h"
#include "train/train.h"

static int read_options(struct run_folder *r)
{
    struct options o = { .table = settings_table, .n = settings_count, .values = &r->settings, .memory = &r->memory };
    TRY(options_defaults(&o));
    TRY(train_recorded(&o, r->path));
    r->seen.iterations = r->settings.max_iters;
    return report_options(&o, &r->memory, &r->seen);
}

/* about: "gpt2: 4 layers, ...; data/shakespeare_char" */
static void read_configuration(struct run_folder *r, struct text *notices)
{
    const struct model *m;
    struct config c;
    arena_free(&r->memory);
    text_clear(&r->about);
    if (read_options(r)) {
        r->seen.options = 0;
        text_format(notices, "the configuration is not shown: %s\n", error_text());
    }
    if (!model_describe(&m, &c, r->path, NULL)) config_describe(m, &c, &r->about);
    if (r->seen.options) text_format(&r->about, "%s%s", r->about.size ? "; " : "", r->settings.dataset);
    r->seen.about = r->about.size ? r->about.at : NULL;
}

int run_folder_open(struct run_folder *r, const char *path, struct text *notices)
{
    size_t n = strlen(path);
    *r = (struct run_folder){ .path = path };
    r->seen = (struct report_run){ .name = r->name, .history = &r->history };
    while (n > 1 && path[n - 1] == '/') n--;
    snprintf(r->name, sizeof r->name, "%.*s", (int)n, path);
    FAIL_IF(!path_is_dir(path), E_IO, "%s: there is no such folder", path);
    TRY(path_join(r->conf, path, "run.conf"));
    TRY(run_folder_follow(r, notices));
    FAIL_IF(!r->history.lines && !r->seen.alive, E_IO, "%s has no run: no metrics.jsonl, or nothing in it", path);
    return 0;
}

int run_folder_follow(struct run_folder *r, struct text *notices)
{
    r->seen.alive = dir_locked(r->path);                     /* first: what was written before the lock was given back is read below */
    TRY(r->history.path[0] ? history_follow(&r->history) : history_open(&r->history, r->path));
    if (!r->configured && path_is_file(r->conf)) r->configured = 1, read_configuration(r, notices);      /* of a run that has just begun it may not be there yet */
    return 0;
}

void run_folder_close(struct run_folder *r)
{
    history_close(&r->history);
    text_free(&r->about);
    arena_free(&r->memory);
}
