/* retention.c -- old checkpoints go: first their name, then their files. */
#include "train/retention.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"

static const char DRAFT[] = ".tmp", OLD[] = ".old", REJECTED[] = ".rejected";

/* ---- what is kept ---- */

static int keep_word(struct keep *k, const char *word, size_t n)
{
    const char *colon = memchr(word, ':', n);
    size_t name = colon ? (size_t)(colon - word) : n;
    char *end = NULL;
    long long number = colon ? strtoll(colon + 1, &end, 10) : 1;
    int has = colon && end == word + n && end > colon + 1 && number >= 1 && number <= INT_MAX;
    if (name == 4 && !memcmp(word, "last", 4) && (!colon || has)) k->last = number;
    else if (name == 4 && !memcmp(word, "best", 4) && !colon) k->best = 1;
    else if (name == 5 && !memcmp(word, "every", 5) && has) k->every = number;
    else FAIL(E_USAGE, "--keep: \"%.*s\" is not understood; last, last:N, best and every:N are, with commas between them", (int)(n < 80 ? n : 80), word);
    return 0;
}

int keep_parse(struct keep *k, const char *text)
{
    *k = (struct keep){ .last = 1 };                         /* who resumes needs one */
    for (const char *word = text;; word++) {
        size_t n = strcspn(word, ",");
        TRY(keep_word(k, word, n));
        word += n;
        if (!*word) return 0;
    }
}

int64_t keep_most(const struct keep *k, int64_t iterations, int64_t interval)
{
    int64_t saves = iterations / interval + 2, kept = k->last + k->best + (k->every ? iterations / k->every : 0);
    return (kept < saves ? kept : saves) + 1;
}

/* ---- names ---- */

void step_name(char name[32], int64_t iteration, const char *suffix) { snprintf(name, 32, "step-%08lld%s", (long long)iteration, suffix); }

/* "step-00000250" and a suffix -> 250, else -1 */
static int64_t step_of(const char *name, const char *suffix)
{
    char *end;
    if (strncmp(name, "step-", 5) || name[5] < '0' || name[5] > '9') return -1;
    long long n = strtoll(name + 5, &end, 10);
    return strcmp(end, suffix) ? -1 : n;
}

static int ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int steps_of(const char *out, const char *suffix, int64_t **steps, size_t *n)
{
    char **names;
    size_t all;
    TRY(dir_list(out, &names, &all));
    *n = 0;
    *steps = malloc((all + 1) * sizeof **steps);
    for (size_t i = 0; i < all && *steps; i++)
        if (step_of(names[i], suffix) >= 0) (*steps)[(*n)++] = step_of(names[i], suffix);
    free(names);
    FAIL_IF(!*steps, E_MEMORY, "no memory for the checkpoints of %s", out);
    qsort(*steps, *n, sizeof **steps, ascending);
    return 0;
}

int steps_in(const char *out, int64_t **steps, size_t *n) { return steps_of(out, "", steps, n); }

static int step_path(char path[PATH_SIZE], const char *out, int64_t iteration, const char *suffix)
{
    char name[32];
    step_name(name, iteration, suffix);
    return path_join(path, out, name);
}

/* ---- removing ---- */

static int rename_step(const char *out, int64_t iteration, const char *suffix)
{
    char from[PATH_SIZE], to[PATH_SIZE];
    TRY(step_path(from, out, iteration, ""));
    TRY(step_path(to, out, iteration, suffix));
    TRY(dir_remove(to));
    FAIL_IF(rename(from, to) && errno != ENOENT, E_IO, "cannot rename %s: %m", from);
    return 0;
}

int step_remove(const char *out, int64_t iteration)
{
    char path[PATH_SIZE];
    TRY(step_path(path, out, iteration, OLD));
    TRY(rename_step(out, iteration, OLD));
    TRY(file_sync(out));
    return dir_remove(path);
}

/* Folders of a suffix up to an iteration. */
static int remove_others(const char *out, const char *suffix, int64_t most)
{
    char path[PATH_SIZE];
    int64_t *steps;
    size_t n;
    int code = steps_of(out, suffix, &steps, &n);
    if (code) return code;
    for (size_t i = 0; i < n && steps[i] <= most && !code; i++) {
        code = step_path(path, out, steps[i], suffix);
        if (!code) code = dir_remove(path);
    }
    free(steps);
    return code;
}

/* What was not finished, or not quite removed. */
static int remove_unnamed(const char *out)
{
    TRY(remove_others(out, DRAFT, INT64_MAX));
    return remove_others(out, OLD, INT64_MAX);
}

static int is_kept(const struct keep *k, int64_t step, size_t newer, int64_t best)
{
    return newer < (size_t)k->last || (k->best && step == best) || (k->every && step > 0 && step % k->every == 0);
}

int retention_prune(const char *out, const struct keep *k, int64_t newest, int64_t best)
{
    int64_t *steps;
    size_t n;
    TRY(remove_unnamed(out));
    TRY(remove_others(out, REJECTED, newest));
    int code = steps_in(out, &steps, &n);
    if (code) return code;
    for (size_t i = 0; i < n && !code; i++)
        if (!is_kept(k, steps[i], n - 1 - i, best)) code = step_remove(out, steps[i]);
    free(steps);
    return code;
}

int retention_go_back(const char *out, int64_t iteration)
{
    int64_t *steps;
    size_t n;
    TRY(remove_unnamed(out));
    int code = steps_in(out, &steps, &n);
    if (code) return code;
    for (size_t i = 0; i < n && !code; i++)
        if (steps[i] > iteration) code = rename_step(out, steps[i], REJECTED);
    free(steps);
    return code;
}
