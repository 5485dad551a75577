/* token_files.c -- ids become little-endian numbers of 2 or 4 bytes, as in nanoGPT's files. */
#include "text/token_files.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/sums.h"
#include "text/shard_header.h"

enum { PIECE = 1 << 14, MOST_U16 = 1 << 16 };                /* ids written at once; the largest vocabulary of 2-byte ids */

int token_files_create(struct token_files *f, const char *folder, enum token_format format, uint64_t shard_size)
{
    if (format == TOKENS_LLMC && (!shard_size || shard_size > SHARD_MOST)) shard_size = SHARD_MOST;
    *f = (struct token_files){ .set = { .end = -1, .format = format }, .shard_size = shard_size ? shard_size : UINT64_MAX, .file = { .fd = -1 }, .lock = -1 };
    FAIL_IF(snprintf(f->set.folder, PATH_SIZE, "%s", folder) >= PATH_SIZE, E_USAGE, "path too long: %.200s...", folder);
    TRY(path_join(f->unfinished, folder, DATASET_UNFINISHED));
    TRY(dir_make(f->unfinished));
    return dir_lock(&f->lock, f->unfinished, "wait for it, or choose another --out");
}

void token_files_use(struct token_files *f, const struct tokenizer *t)
{
    f->set.vocab = tokenizer_vocab(t);
    f->set.end = tokenizer_end(t);
    f->set.width = f->set.vocab <= MOST_U16 ? 2 : 4;
}

/* ---- shards: until all are there they have the names of several ---- */

static int shard_path(char path[PATH_SIZE], const struct token_files *f, enum split s, size_t i) { return dataset_file(path, f->unfinished, f->set.format, s, i, 0); }

static int begin(struct token_files *f)
{
    char path[PATH_SIZE];
    uint8_t header[SHARD_HEADER];
    TRY(shard_path(path, f, f->split, f->set.split[f->split].shards));
    f->n = 0;
    TRY(file_create(&f->file, path));
    if (f->set.format != TOKENS_LLMC) return 0;
    shard_header_make(header, f->set.width, 0);
    return file_append(&f->file, header, sizeof header);
}

int token_files_complete(struct token_files *f)
{
    uint8_t header[SHARD_HEADER];
    if (f->file.fd < 0) return 0;
    if (f->set.format == TOKENS_LLMC) {
        shard_header_make(header, f->set.width, f->n);
        TRY(file_begin_with(&f->file, header, sizeof header));
    }
    TRY(file_commit(&f->file));
    TRY(dataset_add_shard(&f->set, f->split, f->n));
    f->n = 0;
    return 0;
}

static int append(struct token_files *f, const uint32_t *ids, size_t n)
{
    uint8_t bytes[4 * PIECE], *to = bytes;
    for (size_t i = 0; i < n; i++)
        for (int b = 0; b < f->set.width; b++) *to++ = (uint8_t)(ids[i] >> 8 * b);
    f->n += n;
    return file_append(&f->file, bytes, (size_t)(to - bytes));
}

int token_files_add(struct token_files *f, enum split s, const uint32_t *ids, size_t n)
{
    if (s != f->split) TRY(token_files_complete(f));
    f->split = s;
    for (size_t now; n > 0; ids += now, n -= now) {
        if (f->file.fd < 0) TRY(begin(f));
        now = n < PIECE ? n : PIECE;
        if (now > f->shard_size - f->n) now = f->shard_size - f->n;
        TRY(append(f, ids, now));
        if (f->n == f->shard_size) TRY(token_files_complete(f));
    }
    return 0;
}

uint64_t token_files_all(const struct token_files *f, enum split s)
{
    return f->set.split[s].n + (s == f->split ? f->n : 0);
}

/* ---- going on ---- */

/* What ends so, all but the lock. */
static int remove_made(const struct token_files *f, const char *suffix)
{
    char **names, path[PATH_SIZE];
    size_t n;
    int failed = dir_list(f->unfinished, &names, &n);
    if (failed) return failed;
    for (size_t i = 0; i < n && !failed; i++) {
        if (!strcmp(names[i], ".lock") || !path_has_suffix(names[i], suffix)) continue;
        failed = path_join(path, f->unfinished, names[i]);
        if (!failed) failed = dir_remove(path);
    }
    free(names);
    return failed;
}

int token_files_clear(struct token_files *f) { return remove_made(f, ""); }

static int has_ids(const struct token_files *f, const char *path, size_t n)
{
    struct stat st;
    size_t size;
    return size_mul(n, (size_t)f->set.width, &size) && size_add(size, dataset_header(f->set.format), &size) && !stat(path, &st) && S_ISREG(st.st_mode) && (uint64_t)st.st_size == size;
}

/* Its file is still to be moved. */
static int is_waiting(const struct token_files *f, enum split s, size_t i)
{
    char path[PATH_SIZE];
    return !shard_path(path, f, s, i) && path_is_file(path);
}

/* Where it was made, or, where a commit of so many shards has begun, in its place. */
static int is_there(const struct token_files *f, enum split s, size_t i, size_t n, int committing, size_t shards)
{
    char path[PATH_SIZE];
    int failed = committing && !is_waiting(f, s, i) ? dataset_file(path, f->set.folder, f->set.format, s, i, shards) : shard_path(path, f, s, i);
    return !failed && has_ids(f, path, n);
}

/* Every shard of a split but the last is full.  The first that is not there ends it: a record may speak of any number. */
static int resume_split(struct token_files *f, enum split s, uint64_t ids, int committing, int *is)
{
    uint64_t shards = ids / f->shard_size + (ids % f->shard_size > 0);
    for (uint64_t i = 0, n; i < shards && *is; i++, ids -= n) {
        n = ids < f->shard_size ? ids : f->shard_size;
        *is = is_there(f, s, i, n, committing, shards);
        TRY(dataset_add_shard(&f->set, s, n));
        f->split = s;
    }
    return 0;
}

int token_files_resume(struct token_files *f, const uint64_t ids[2], int committing, int *is)
{
    *is = 1;
    TRY(resume_split(f, SPLIT_TRAIN, ids[SPLIT_TRAIN], committing, is));
    TRY(resume_split(f, SPLIT_VAL, ids[SPLIT_VAL], committing, is));
    f->keep = *is;
    if (*is) return remove_made(f, ".tmp");                  /* of a shard that was begun nothing says how far it is good */
    dataset_close(&f->set);
    return 0;
}

/* ---- all in place ---- */

/* A file that an earlier commit of the same preparation moved here. */
static int is_moved(const struct token_files *f, const char *path)
{
    char mine[PATH_SIZE];
    for (enum split s = SPLIT_TRAIN; s <= SPLIT_VAL; s++)
        for (size_t i = 0; i < f->set.split[s].shards; i++)
            if (!dataset_file(mine, f->set.folder, f->set.format, s, i, f->set.split[s].shards) && !strcmp(path, mine)) return !is_waiting(f, s, i);
    return 0;
}

/* An old description of new tokens would be a lie.  So would be an old meta.pkl, which a new byte-level vocabulary does not
 * replace: nanoGPT takes the size of the vocabulary from it.  Temporary files are left where a commit was killed. */
static int is_of_preparation(const char *name)
{
#define NUMBER "[0-9][0-9][0-9][0-9][0-9][0-9]"
    static const char *const patterns[] = { SUMS_FILE, SUMS_FILE ".*.tmp", "dataset.json", "meta.pkl", "dataset.json.*.tmp", "meta.pkl.*.tmp", "tokenizer*.json.*.tmp", "train.bin", "val.bin", "train_" NUMBER ".bin", "val_" NUMBER ".bin",
                                           "tokens_train_" NUMBER ".bin", "tokens_val_" NUMBER ".bin" };
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        if (!fnmatch(patterns[i], name, 0)) return 1;
    return 0;
}

static int remove_old(const struct token_files *f)
{
    char **names, path[PATH_SIZE];
    size_t n;
    int failed = dir_list(f->set.folder, &names, &n);
    if (failed) return failed;
    for (size_t i = 0; i < n && !failed; i++) {
        if (!is_of_preparation(names[i])) continue;
        failed = path_join(path, f->set.folder, names[i]);
        if (!failed && !is_moved(f, path) && unlink(path) && errno != ENOENT) failed = error_set(E_IO, __FILE__, __LINE__, "cannot replace %s: %m", path);
    }
    free(names);
    return failed;
}

static int move_shards(const struct token_files *f, enum split s)
{
    char from[PATH_SIZE], to[PATH_SIZE];
    const struct split_tokens *t = &f->set.split[s];
    for (size_t i = 0; i < t->shards; i++) {
        TRY(shard_path(from, f, s, i));
        TRY(dataset_file(to, f->set.folder, f->set.format, s, i, t->shards));
        FAIL_IF(rename(from, to) && errno != ENOENT, E_IO, "cannot write %s: %m", to);      /* what an earlier commit moved is there */
    }
    return 0;
}

static int sum_shards(const struct token_files *f, enum split s, struct sums *sums)
{
    char path[PATH_SIZE];
    for (size_t i = 0; i < f->set.split[s].shards; i++) {
        TRY(dataset_file(path, f->set.folder, f->set.format, s, i, f->set.split[s].shards));
        TRY(sums_add_file(sums, f->set.folder, path_base(path)));
    }
    return 0;
}

static int sum_all(const struct token_files *f, struct sums *sums)
{
    static const char *const others[] = { "dataset.json", "tokenizer.json", "tokenizer_config.json", "meta.pkl" };
    char path[PATH_SIZE];
    int is;
    TRY(sum_shards(f, SPLIT_TRAIN, sums));
    TRY(sum_shards(f, SPLIT_VAL, sums));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        TRY(path_join(path, f->set.folder, others[i]));
        TRY(path_look(path, &is));
        if (is) TRY(sums_add_file(sums, f->set.folder, others[i]));
    }
    return sums_write(sums, f->set.folder);
}

/* The tokenizer goes first: where there are tokens there is what they mean. */
int token_files_commit(struct token_files *f, const struct tokenizer *t)
{
    TRY(token_files_complete(f));
    for (enum split s = SPLIT_TRAIN; s <= SPLIT_VAL; s++) FAIL_IF(!f->set.split[s].shards, E_DATA, "%s: no tokens to %s", f->set.folder, s ? "validate on" : "train on");
    TRY(remove_old(f));
    TRY(tokenizer_save(t, f->set.folder));
    TRY(move_shards(f, SPLIT_TRAIN));
    TRY(move_shards(f, SPLIT_VAL));
    TRY(file_sync(f->set.folder));
    TRY(dataset_write(&f->set, tokenizer_fingerprint(t)));
    struct sums sums = { 0 };
    int failed = sum_all(f, &sums);
    sums_free(&sums);
    return failed ? failed : dir_remove(f->unfinished);
}

void token_files_discard(struct token_files *f)
{
    file_discard(&f->file);
    if (f->lock >= 0 && !f->keep) dir_remove(f->unfinished);
    dir_unlock(f->lock);
    f->lock = -1;
    dataset_close(&f->set);
}
