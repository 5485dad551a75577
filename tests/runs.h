/* runs.h -- a run that takes a moment, and whether two runs of it have ended with the same bits. */
#ifndef RUNS_H
#define RUNS_H
#include "program.h"

#define LEARNS TINY " --gradient_accumulation_steps=2 --dropout=0.2 --eval_interval=5 --warmup_iters=5 --lr_decay_iters=60 --learning_rate=1e-2 --max_iters=60"

/* Everything that metrics.jsonl says of losses, rates and norms; not of times. */
static inline void read_metrics(const char *out, struct text *facts)
{
    char path[PATH_SIZE], *rest;
    struct text all = { 0 };
    assert_ok(path_join(path, out, "metrics.jsonl"));
    assert_ok(file_read(path, LIMIT, &all));
    for (char *line = strtok_r(all.at, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        const char *time_ = strstr(line, ", \"time\""), *ms = strstr(line, ", \"ms\""), *mib = strstr(line, ", \"mib\""), *end_ = ms ? ms : mib ? mib : line + strlen(line);
        assert_non_null(time_);
        const char *rest_ = strchr(time_ + 1, ',');
        if (strstr(line, "\"event\"")) continue;             /* it was interrupted, or not */
        text_format(facts, "%.*s%.*s\n", (int)(time_ - line), line, (int)(end_ - rest_), rest_);
    }
    text_free(&all);
}

/* A file of one folder and of another. */
static inline void assert_same_in(const char *a, const char *b, const char *name)
{
    char x[PATH_SIZE], y[PATH_SIZE];
    assert_ok(path_join(x, a, name));
    assert_ok(path_join(y, b, name));
    assert_same_file(x, y);
}

/* Both runs have ended with this iteration, with the same weights and moments; what lies there is sound. */
static inline void assert_same_weights(const char *a, const char *b, int iteration)
{
    static const char *const files[] = { "model.safetensors", "optimizer.safetensors" };
    char name[64];
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "step-%08d/%s", iteration, files[i]);
        assert_same_in(a, b, name);
    }
    runs("check %s", b);
}

/* ... and went the same way. */
static inline void assert_same_runs(const char *a, const char *b, int iteration)
{
    struct text one = { 0 }, other = { 0 };
    char name[64];
    assert_same_weights(a, b, iteration);
    snprintf(name, sizeof name, "step-%08d/trainer.json", iteration);
    assert_same_in(a, b, name);
    assert_same_in(a, b, "model.safetensors");
    assert_same_in(a, b, "config.json");
    read_metrics(a, &one);
    read_metrics(b, &other);
    assert_string_equal(one.at, other.at);
    text_free(&one);
    text_free(&other);
}

/* ---- memory: MiB ---- */

static inline double memory_said(void)                              /* "memory   98.1 MiB: weights ..." */
{
    const char *line = strstr(OUT, "\nmemory   ");
    assert_non_null(line);
    return strtod(line + strlen("\nmemory   "), NULL);
}

static inline double memory_measured(const char *out)               /* at the last evaluation */
{
    char path[PATH_SIZE];
    struct text t = { 0 };
    double last = 0;
    assert_ok(path_join(path, out, "metrics.jsonl"));
    assert_ok(file_read(path, LIMIT, &t));
    for (const char *at_ = t.at; (at_ = strstr(at_, "\"mib\": ")); at_++) last = strtod(at_ + strlen("\"mib\": "), NULL);
    text_free(&t);
    return last;
}

#endif
