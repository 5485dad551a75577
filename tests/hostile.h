/* hostile.h -- for files that are made by hand to do harm: readers of each kind, called on a stack of 256 KB and with 16 MB of memory.
 *
 * In the folder of the test (program.h) there are my.txt, its tokens in my/, a run in good/ with two checkpoints, and bad/, which is empty. */
#ifndef HOSTILE_H
#define HOSTILE_H
#include "program.h"

#include <malloc.h>
#include <pthread.h>

#include "base/arena.h"
#include "base/options.h"
#include "cpu/cpu.h"
#include "file/documents.h"
#include "file/pickle.h"
#include "file/safetensors.h"
#include "file/stream.h"
#include "infer/engine.h"
#include "text/dataset.h"
#include "text/grammar.h"
#include "token/regex.h"

enum { STACK = 256 << 10, MEMORY = 16 << 20 };

/* ---- readers: each reads all there is, and uses it a little ---- */

typedef int reader(const char *path);

static const char *folder_of(const char *path)
{
    static _Thread_local char of[PATH_SIZE];
    snprintf(of, sizeof of, "%.*s", (int)(path_base(path) - path), path);
    return of;
}

static inline int of_tensors(const char *path)
{
    struct tensors *s;
    uint64_t sum = 0;
    TRY(safetensors_open(&s, path));
    for (int i = 0; i < tensors_count(s); i++) {
        const struct file_tensor *t = tensors_at(s, i);
        if (t->size) sum += ((const uint8_t *)t->data)[0] + ((const uint8_t *)t->data)[t->size - 1];
    }
    tensors_close(s);
    return sum == UINT64_MAX;
}

static inline int of_tokenizer(const char *path)
{
    struct tokenizer *t;
    struct ids ids = { 0 };
    struct text back = { 0 };
    TRY(tokenizer_open(&t, path));
    if (!tokenizer_encode(t, "some text\xff", 10, SPECIALS_AS_TOKENS, &ids)) tokenizer_decode(t, ids.at, ids.n, &back);
    ids_free(&ids);
    text_free(&back);
    tokenizer_free(t);
    return 0;
}

static inline int of_dataset(const char *path)
{
    struct dataset d;
    size_t at;
    TRY(dataset_open(&d, folder_of(path)));
    int code = dataset_draw(&d, SPLIT_TRAIN, 1, 1, 0, &at);
    dataset_close(&d);
    return code;
}

static inline int of_config(const char *path)
{
    const struct model *m;
    struct config c;
    return config_read(&m, &c, folder_of(path));
}

static inline int of_model(const char *path)
{
    struct engine e;
    TRY(engine_open(&e, folder_of(path), &(struct engine_options){ .type = F32, .rows = 8 }));
    engine_close(&e);
    return 0;
}

static inline int of_pickle(const char *path)
{
    struct arena memory = { 0 };
    struct text all = { 0 };
    struct pickle *root;
    int code = file_read(path, LIMIT, &all);
    if (!code) code = pickle_parse(&root, &memory, (const uint8_t *)all.at, all.size, NULL, path);
    arena_free(&memory);
    text_free(&all);
    return code;
}

static inline int of_grammar(const char *path)
{
    struct grammar *g;
    struct text all = { 0 };
    int code = file_read(path, LIMIT, &all);
    if (!code) code = grammar_parse(&g, all.at, all.size, path);
    text_free(&all);
    if (!code) grammar_free(g);
    return code;
}

static inline int visit(void *bytes, const struct document *doc) { *(size_t *)bytes += doc->n; return 0; }

static inline int of_documents(const char *path)
{
    struct documents *d;
    size_t bytes = 0;
    TRY(documents_open(&d, &path, 1, "text", NULL));
    int code = documents_each(d, NULL, documents_between, visit, &bytes);
    documents_close(d);
    return code;
}

static inline int of_line(const char *path)
{
    struct stream *s;
    struct text line = { 0 };
    int got;
    TRY(stream_open(&s, path));
    int code = stream_line(s, &line, 1 << 16, &got);
    stream_close(s);
    text_free(&line);
    return code;
}

static inline int of_options(const char *path)                      /* .conf and .py */
{
    struct { int64_t n; const char *text; } values;
    static const struct option table[] = {
        { "n", OPTION_INT, 0, "1", .help = "", .least = 0, .most = 9 }, { "text", OPTION_TEXT, sizeof(int64_t), NULL, .help = "" },
    };
    struct arena memory = { 0 };
    struct options o = { .table = table, .n = 2, .values = &values, .memory = &memory };
    int code = options_defaults(&o);
    if (!code) code = options_file(&o, path);
    arena_free(&memory);
    return code;
}

static inline int of_regex(const char *path)
{
    struct text all = { 0 };
    struct regex *r = NULL;
    int code = file_read(path, LIMIT, &all);
    if (!code) code = regex_open(&r, all.at);
    text_free(&all);
    if (!code) regex_close(r);
    return code;
}

/* ---- on a small stack, with little memory ---- */

struct job { reader *read; const char *path; int code; char says[ERROR_TEXT]; };

static inline void *do_job(void *job_)
{
    struct job *job = job_;
    job->code = job->read(job->path);
    snprintf(job->says, sizeof job->says, "%s", job->code ? error_text() : "");
    return NULL;
}

/* So much more than is mapped now; 0: as much as there is. */
static inline void limit_memory(size_t more)
{
    size_t pages = 0;
    struct rlimit r;
    if (SANITIZED) return;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_true(f && fscanf(f, "%zu", &pages) == 1);
    fclose(f);
    getrlimit(RLIMIT_AS, &r);
    r.rlim_cur = more ? pages * (size_t)sysconf(_SC_PAGESIZE) + more : r.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_AS, &r), 0);
}

static inline int job_done(struct job *job)
{
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    assert_int_equal(pthread_attr_setstacksize(&attributes, STACK), 0);
    malloc_trim(0);
    limit_memory(MEMORY);
    int failed = pthread_create(&thread, &attributes, do_job, job);
    if (!failed) pthread_join(thread, NULL);
    limit_memory(0);
    assert_int_equal(failed, 0);
    pthread_attr_destroy(&attributes);
    return job->code;
}

static inline void accepted(reader *read, const char *path)
{
    struct job job = { read, path, 0, "" };
    if (job_done(&job)) fail_msg("%s: %d: %s", path, job.code, job.says);
}

static inline void refused(reader *read, const char *path, int code, const char *part)
{
    struct job job = { read, path, 0, "" };
    job_done(&job);
    if (job.code != code || !strstr(job.says, part) || strchr(job.says, '\n')) fail_msg("%s: %d, not %d for \"%s\": %s", path, job.code, code, part, job.says);
}

/* ---- files ---- */

static inline void put(const char *path, const void *bytes, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0 && write(fd, bytes, n) == (ssize_t)n);
    close(fd);
}

static inline void put_text(const char *path, const char *text) { put(path, text, strlen(text)); }

/* A safetensors file of a header and so many bytes of zeros. */
static inline void put_tensors(const char *path, const char *json, size_t data)
{
    struct text t = { 0 };
    uint64_t n = strlen(json);
    text_bytes(&t, &n, sizeof n);
    text_add(&t, json);
    memset(text_more(&t, data), 0, data);
    put(path, t.at, t.size);
    text_free(&t);
}

/* Many of one thing, between two others. */
static inline void put_many(const char *path, const char *before, const char *one, int n, const char *behind)
{
    struct text t = { 0 };
    text_add(&t, before);
    for (int i = 0; i < n; i++) text_add(&t, one);
    text_add(&t, behind);
    put(path, t.at, t.size);
    text_free(&t);
}

static inline void copy_good(void)                           /* to bad/good */
{
    assert_ok(dir_remove("bad/good"));
    copy_folder("good", "bad/good");
}

/* From the checkout: good files that the fuzzers begin with. */
static struct text seeds[4];
enum { SEED_META, SEED_GRAMMAR, SEED_CONF, SEED_BPE };

static inline int set_up(void **state)
{
    static const char *const paths[] = { "tests/fuzz/pickle/meta4", "tests/fuzz/grammar/pets", "tests/fuzz/conf/quoted", "tests/golden/bpe300/tokenizer.json" };
    mallopt(M_ARENA_MAX, 1);                                 /* one that is new takes 64 MB of addresses */
    for (int i = 0; i < 4; i++)
        if (file_read(paths[i], LIMIT, &seeds[i])) return -1;
    if (enter_program(state) || cpu_init(NULL, 1)) return -1;
    write_play("my.txt", 30);
    if (run("data my.txt --out my") || run("train --dataset=my --out_dir=good " TINY " --max_iters=2 --eval_interval=1")) return print_error("%s", ERR), -1;
    return mkdir("bad", 0755);
}

static inline int tear_down(void **state)
{
    for (int i = 0; i < 4; i++) text_free(&seeds[i]);
    return leave_program(state);
}

#endif
