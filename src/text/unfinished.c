/* unfinished.c -- one JSON file, written when a shard is complete.  What it says of shards is checked when it is read. */
#include "text/unfinished.h"

#include <string.h>

#include "base/error.h"
#include "base/json.h"

enum { RECORD_BYTES = 1 << 16 };
#define RECORD "unfinished.json"

int unfinished_write(const struct unfinished *u, const struct token_files *f)
{
    char path[PATH_SIZE];
    TRY(path_join(path, f->unfinished, RECORD));
    json_t *root = json_pack("{s:s, s:[I,I], s:I, s:I, s:[I,I], s:i, s:[I,I,I], s:[I,I], s:I, s:b}", "job", u->job,
                             "documents", (json_int_t)u->found.documents[SPLIT_TRAIN], (json_int_t)u->found.documents[SPLIT_VAL],
                             "characters", (json_int_t)u->found.characters, "bytes", (json_int_t)u->found.bytes,
                             "complete", (json_int_t)f->set.split[SPLIT_TRAIN].n, (json_int_t)f->set.split[SPLIT_VAL].n, "texts", (int)u->texts,
                             "file_line_byte", (json_int_t)u->at.file, (json_int_t)u->at.line, (json_int_t)u->at.byte,
                             "before", (json_int_t)u->before.documents, (json_int_t)u->before.characters, "ids", (json_int_t)u->ids, "done", u->done);
    FAIL_IF(!root, E_MEMORY, "no memory for %s", path);
    int code = json_write(path, root);
    json_decref(root);
    return code;
}

/* A record that was cut off or is not understood is none. */
static int parse(struct unfinished *u, uint64_t complete[2], const char *path)
{
    json_int_t n[12];
    const char *job;
    int texts, done;
    json_t *root;
    if (!path_is_file(path) || json_read(&root, path, RECORD_BYTES)) return 0;
    int good = !json_unpack(root, "{s:s, s:[I,I], s:I, s:I, s:[I,I], s:i, s:[I,I,I], s:[I,I], s:I, s:b}", "job", &job, "documents", &n[0], &n[1], "characters", &n[2], "bytes", &n[3],
                            "complete", &n[4], &n[5], "texts", &texts, "file_line_byte", &n[6], &n[7], &n[8], "before", &n[9], &n[10], "ids", &n[11], "done", &done);
    good = good && strlen(job) < sizeof u->job && (texts == SPLIT_TRAIN || texts == SPLIT_VAL);
    for (size_t i = 0; good && i < sizeof n / sizeof *n; i++) good = n[i] >= 0;
    if (good) {
        *u = (struct unfinished){ .found = { { (uint64_t)n[0], (uint64_t)n[1] }, (uint64_t)n[2], (uint64_t)n[3] }, .texts = (enum split)texts, .at = { (size_t)n[6], (uint64_t)n[7], (uint64_t)n[8] },
                                  .before = { (uint64_t)n[9], (uint64_t)n[10] }, .ids = (uint64_t)n[11], .done = done };
        strcpy(u->job, job);
        complete[SPLIT_TRAIN] = (uint64_t)n[4];
        complete[SPLIT_VAL] = (uint64_t)n[5];
    }
    json_decref(root);
    return good;
}

int unfinished_read(struct unfinished *u, struct token_files *f, int *is)
{
    char path[PATH_SIZE];
    struct unfinished old;
    uint64_t complete[2];
    *is = 0;
    TRY(path_join(path, f->unfinished, RECORD));
    if (!parse(&old, complete, path) || strcmp(old.job, u->job)) return 0;
    TRY(token_files_resume(f, complete, old.done, is));
    if (*is) *u = old;
    return 0;
}

#ifdef FUZZ_UNFINISHED
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* A folder with shards of five ids, the last of each split shorter, and a record that is written anew each time. */
static char folder[] = "/tmp/nib_fuzz_XXXXXX";
static int record_fd = -1;

static void remove_folder(void) { dir_remove(folder); }

static void make_folder(void)
{
    static const struct { const char *name; size_t size; } shards[] = { { "train_000000.bin", 10 }, { "train_000001.bin", 10 }, { "train_000002.bin", 4 }, { "val_000000.bin", 2 } };
    char path[PATH_SIZE];
    if (!mkdtemp(folder) || atexit(remove_folder)) abort();
    for (size_t i = 0; i < sizeof shards / sizeof *shards; i++)
        if (path_join(path, folder, shards[i].name) || file_write(path, "0123456789", shards[i].size)) abort();
    if (path_join(path, folder, RECORD)) abort();
    record_fd = open(path, O_RDWR | O_CREAT, 0600);
}

/* What a record is believed of is there. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct token_files f = { .set = { .width = 2 }, .shard_size = 5, .file = { .fd = -1 }, .lock = -1 };
    struct unfinished u = { .job = "job" };
    int is;
    if (record_fd < 0) make_folder();
    if (ftruncate(record_fd, (off_t)size) || pwrite(record_fd, data, size, 0) != (ssize_t)size) abort();
    memcpy(f.unfinished, folder, sizeof folder);
    memcpy(f.set.folder, folder, sizeof folder);
    if (unfinished_read(&u, &f, &is) || (is && (f.set.split[SPLIT_TRAIN].n > 12 || f.set.split[SPLIT_VAL].n > 1 || strcmp(u.job, "job")))) abort();
    dataset_close(&f.set);
    return 0;
}
#endif
