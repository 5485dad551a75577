/* verb_tales.c -- nib tales: stories told by the built-in grammar; nib tales judge [FILE]: how many of a model's stories it
 * could have told, and how many of those are not in the training set. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/rng.h"
#include "cli/cli.h"
#include "file/stream.h"
#include "text/prepare.h"
#include "text/tales.h"

struct tales_options { int64_t count, seed, stories; };

#define FIELD(name) #name, .offset = offsetof(struct tales_options, name)
static const struct option table[] = {
    { FIELD(count), .kind = OPTION_INT, .initial = "3", .least = 1, .most = 1 << 30, .group = "tales", .help = "stories to tell" },
    { FIELD(seed), .kind = OPTION_INT, .initial = "1337", .least = 0, .most = 1LL << 53, .group = "tales", .help = "which stories; judge: the seed of the training set" },
    { FIELD(stories), .kind = OPTION_INT, .initial = "0", .least = 0, .most = 1 << 30, .group = "tales", .help = "judge: stories of the training set; 0: the usual number" },
};

static int tell(const struct grammar *g, const struct tales_options *o)
{
    struct text t = { 0 };
    int code = 0;
    for (int64_t i = 0; i < o->count && !code; i++) {
        text_clear(&t);
        code = grammar_tell(g, (uint64_t)o->seed, (uint64_t)i, &t, NULL);
        if (!code) printf("%s%s\n", i ? "\n" : "", t.at);
    }
    text_free(&t);
    return code;
}

/* ---- judging ---- */

struct judged { int samples, accepted, unseen; uint64_t *hash; size_t n; };

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static int hash_training_set(struct judged *j, const struct grammar *g, const struct tales_options *o)
{
    struct text t = { 0 };
    int code = 0;
    j->n = (size_t)(o->stories ? o->stories : PREPARE_TALES);
    j->hash = malloc(j->n * sizeof *j->hash);
    FAIL_IF(!j->hash, E_MEMORY, "no memory for %zu stories", j->n);
    for (size_t i = 0; i < j->n && !code; i++) {
        text_clear(&t);
        code = grammar_tell(g, (uint64_t)o->seed, i, &t, NULL);
        if (!code) j->hash[i] = rng_hash(t.at);
    }
    text_free(&t);
    qsort(j->hash, j->n, sizeof *j->hash, ascending);
    return code;
}

static void judge_one(struct judged *j, const struct grammar *g, const struct text *t)
{
    size_t n = t->size;
    while (n && t->at[n - 1] == '\n') n--;
    if (!n) return;
    t->at[n] = 0;
    j->samples++;
    if (!grammar_accepts(g, t->at, n, NULL, NULL)) return;
    uint64_t h = rng_hash(t->at);
    j->accepted++;
    j->unseen += !bsearch(&h, j->hash, j->n, sizeof h, ascending);
}

/* Samples as nib sample prints them: a line of dashes behind each. */
static int judge_stream(struct judged *j, const struct grammar *g, struct stream *s)
{
    struct text line = { 0 }, story = { 0 };
    int code, got = 1;
    for (;;) {
        text_clear(&line);
        code = stream_line(s, &line, 1 << 20, &got);
        if (code || !got) break;
        if (strncmp(line.at, "-----", 5)) {
            text_add(&story, line.at);
            text_add(&story, "\n");
            continue;
        }
        judge_one(j, g, &story);
        text_clear(&story);
    }
    if (!code) judge_one(j, g, &story);
    text_free(&line);
    text_free(&story);
    return code;
}

static int judge(const struct grammar *g, const struct tales_options *o, const char *path)
{
    struct judged j = { 0 };
    struct stream *s;
    TRY(stream_open(&s, path));
    int code = hash_training_set(&j, g, o);
    if (!code) code = judge_stream(&j, g, s);
    stream_close(s);
    free(j.hash);
    if (code) return code;
    FAIL_IF(!j.samples, E_DATA, "%s: no samples", path);
    printf("%d of %d stories hold together (%.0f%%); %d of these are new (%.0f%%)\n", j.accepted, j.samples, 100.0 * j.accepted / j.samples, j.unseen,
           j.accepted ? 100.0 * j.unseen / j.accepted : 0.0);
    return 0;
}

static int tales(struct options *options, int argc, char **argv)
{
    const struct tales_options *o = options->values;
    struct grammar *g;
    FAIL_IF(argc && strcmp(argv[0], "judge"), E_USAGE, "nib tales %s: only judge is known", argv[0]);
    TRY(tales_open(&g));
    int code = argc ? judge(g, o, argc > 1 ? argv[1] : "-") : tell(g, o);
    grammar_free(g);
    return code;
}

int verb_tales(int argc, char **argv)
{
    struct tales_options o;
    return cli_run(&(struct command){ CLI_TABLE(table), 0, 2, 0, "nib tales [--count=N] [--seed=S]\nnib tales judge [FILE]\n\nTells stories; or says how many of the samples in FILE (or standard input) hold together, and how many are new.\n\n", tales }, &o, argc, argv);
}
