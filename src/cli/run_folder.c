/* run_folder.c -- metrics.jsonl, run.conf, config.json and .lock. */
#include "cli/run_folder.h"

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

/* "gpt2: 4 layers, ... ; data/shakespeare_char" */
static int read_configuration(struct run_folder *r)
{
    const struct model *m;
    struct config c;
    arena_free(&r->memory);
    text_clear(&r->about);
    int code = read_options(r);
    if (code) r->seen.options = 0;
    if (!config_read(&m, &c, r->path)) config_describe(m, &c, &r->about);
    if (!code) text_format(&r->about, "%s%s", r->about.size ? "; " : "", r->settings.dataset);
    r->seen.about = r->about.size ? r->about.at : NULL;
    return code;
}

int run_folder_open(struct run_folder *r, const char *path, struct text *notices)
{
    char conf[PATH_SIZE];
    *r = (struct run_folder){ .path = path };
    r->seen = (struct report_run){ .name = path, .history = &r->history };
    FAIL_IF(!path_is_dir(path), E_IO, "%s: there is no such folder", path);
    TRY(path_join(conf, path, "run.conf"));
    TRY(run_folder_follow(r));
    FAIL_IF(!r->history.lines && !r->seen.alive, E_IO, "%s has no run: no metrics.jsonl, or nothing in it", path);
    if (read_configuration(r) && path_is_file(conf)) text_format(notices, "the configuration is not shown: %s\n", error_text());
    return 0;
}

int run_folder_follow(struct run_folder *r)
{
    uint64_t version = r->history.version;
    r->seen.alive = dir_locked(r->path);                     /* first: what was written before the lock was given back is read below */
    TRY(r->history.path[0] ? history_follow(&r->history) : history_open(&r->history, r->path));
    if (version && version != r->history.version && !r->seen.options) read_configuration(r);     /* of a run that has just begun it was not there */
    return 0;
}

void run_folder_close(struct run_folder *r)
{
    history_close(&r->history);
    text_free(&r->about);
    arena_free(&r->memory);
}
