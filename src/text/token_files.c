/* token_files.c -- ids become little-endian numbers of 2 or 4 bytes, as in nanoGPT's files. */
#include "text/token_files.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/error.h"

enum { PIECE = 1 << 14, MOST_U16 = 1 << 16 };                /* ids written at once; the largest vocabulary of 2-byte ids */

static int create(struct token_files *f, enum split s)
{
    char path[PATH_SIZE];
    TRY(path_join(path, f->set.folder, split_files[s]));
    return file_create(&f->file[s], path);
}

int token_files_create(struct token_files *f, const char *folder)
{
    *f = (struct token_files){ .set = { .end = -1 }, .file = { { .fd = -1 }, { .fd = -1 } } };
    FAIL_IF(snprintf(f->set.folder, PATH_SIZE, "%s", folder) >= PATH_SIZE, E_USAGE, "path too long: %.200s...", folder);
    TRY(dir_make(folder));
    TRY(create(f, SPLIT_TRAIN));
    int failed = create(f, SPLIT_VAL);
    if (failed) token_files_discard(f);
    return failed;
}

void token_files_use(struct token_files *f, const struct tokenizer *t)
{
    f->set.vocab = tokenizer_vocab(t);
    f->set.end = tokenizer_end(t);
    f->set.width = f->set.vocab <= MOST_U16 ? 2 : 4;
}

int token_files_add(struct token_files *f, enum split s, const uint32_t *ids, size_t n)
{
    uint8_t bytes[4 * PIECE];
    f->n[s] += n;
    while (n > 0) {
        size_t now = n < PIECE ? n : PIECE;
        uint8_t *to = bytes;
        for (size_t i = 0; i < now; i++)
            for (int b = 0; b < f->set.width; b++) *to++ = (uint8_t)(ids[i] >> 8 * b);
        TRY(file_append(&f->file[s], bytes, (size_t)(to - bytes)));
        ids += now;
        n -= now;
    }
    return 0;
}

/* An old description of new tokens would be a lie.  So would be an old meta.pkl, which a new byte-level vocabulary does not
 * replace: nanoGPT takes the size of the vocabulary from it. */
static int remove_old(const struct token_files *f)
{
    const char *const old[] = { "dataset.json", split_files[SPLIT_TRAIN], split_files[SPLIT_VAL], "meta.pkl" };
    char path[PATH_SIZE];
    for (size_t i = 0; i < sizeof old / sizeof *old; i++) {
        TRY(path_join(path, f->set.folder, old[i]));
        FAIL_IF(unlink(path) && errno != ENOENT, E_IO, "cannot replace %s: %m", path);
    }
    return 0;
}

/* The tokenizer goes first: where there are tokens there is what they mean. */
int token_files_commit(struct token_files *f, const struct tokenizer *t)
{
    TRY(remove_old(f));
    TRY(tokenizer_save(t, f->set.folder));
    TRY(file_commit(&f->file[SPLIT_TRAIN]));
    TRY(file_commit(&f->file[SPLIT_VAL]));
    return dataset_write(&f->set, tokenizer_fingerprint(t));
}

void token_files_discard(struct token_files *f)
{
    file_discard(&f->file[SPLIT_TRAIN]);
    file_discard(&f->file[SPLIT_VAL]);
}
