/* dataset.c -- token files, mapped and checked. */
#include "text/dataset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/grow.h"
#include "base/json.h"
#include "base/rng.h"
#include "file/pickle.h"
#include "text/prepare.h"
#include "text/tokenizer.h"

enum { DESCRIPTION_BYTES = 1 << 20, META_BYTES = 64 << 20, GPT2_VOCAB = 50257 };
const char *const split_files[2] = { [SPLIT_TRAIN] = "train.bin", [SPLIT_VAL] = "val.bin" };

/* ---- what the files are ---- */

static int read_description(struct dataset *d, const json_t *root, const char *what)
{
    int64_t bits;
    TRY(json_get_int(root, "bits", 16, 32, &bits, what));
    FAIL_IF(bits != 16 && bits != 32, E_DATA, "%s: bits is %lld; ids have 16 or 32", what, (long long)bits);
    d->width = (int)bits / 8;
    TRY(json_get_int(root, "vocab", 1, 1 << 30, &d->vocab, what));
    d->needs = d->vocab;
    if (json_has(root, "end")) TRY(json_get_int(root, "end", 0, d->vocab - 1, &d->end, what));
    if (json_has(root, "by_document")) TRY(json_get_bool(root, "by_document", &d->by_document, what));
    if (json_has(root, "longest")) TRY(json_get_int(root, "longest", 0, INT32_MAX, &d->longest, what));
    const char *fingerprint = json_string_value(json_object_get(root, "tokenizer"));
    if (fingerprint) snprintf(d->tokenizer, sizeof d->tokenizer, "%s", fingerprint);
    if (json_has(root, "floor")) TRY(json_get_real(root, "floor", &d->floor, what));
    FAIL_IF(d->by_document && d->end < 0, E_DATA, "%s: by_document needs an end token", what);
    return 0;
}

int dataset_write(const struct dataset *d, const char *fingerprint)
{
    char path[PATH_SIZE];
    TRY(path_join(path, d->folder, "dataset.json"));
    json_t *root = json_pack("{s:i, s:I, s:s}", "bits", d->width * 8, "vocab", (json_int_t)d->vocab, "tokenizer", fingerprint);
    FAIL_IF(!root, E_MEMORY, "no memory for %s", path);
    if (d->end >= 0) json_object_set_new(root, "end", json_integer(d->end));
    if (d->by_document) json_object_set_new(root, "by_document", json_true());
    if (d->longest) json_object_set_new(root, "longest", json_integer(d->longest));
    if (d->floor > 0) json_object_set_new(root, "floor", json_real(d->floor));
    int code = json_write(path, root);
    json_decref(root);
    return code;
}

static int read_meta(struct dataset *d, const char *path)    /* nanoGPT's */
{
    struct file_map map;
    struct arena memory = { 0 };
    struct pickle *root;
    TRY(file_open_map(&map, path));
    int code = map.size > META_BYTES ? error_set(E_DATA, __FILE__, __LINE__, "%s: too large", path) : pickle_parse(&root, &memory, map.at, map.size, path);
    const struct pickle *vocab = code ? NULL : pickle_get(root, "vocab_size");
    if (!code && (!vocab || vocab->kind != PICKLE_INT || vocab->integer < 1 || vocab->integer > 1 << 24))
        code = error_set(E_DATA, __FILE__, __LINE__, "%s: no vocab_size", path);
    if (!code) d->vocab = d->needs = vocab->integer;
    arena_free(&memory);
    file_close_map(&map);
    return code;
}

static int describe(struct dataset *d)
{
    char path[PATH_SIZE];
    TRY(path_join(path, d->folder, "dataset.json"));
    if (path_is_file(path)) {
        json_t *root;
        TRY(json_read(&root, path, DESCRIPTION_BYTES));
        int code = read_description(d, root, path);
        json_decref(root);
        return code;
    }
    TRY(path_join(path, d->folder, "meta.pkl"));
    if (path_is_file(path)) return read_meta(d, path);
    d->vocab = GPT2_VOCAB;
    return 0;
}

/* ---- the files ---- */

uint32_t dataset_id(const struct dataset *d, enum split s, size_t i)
{
    const uint8_t *p = d->split[s].map.at + i * (size_t)d->width;
    uint32_t id = (uint32_t)(p[0] | p[1] << 8);
    return d->width == 4 ? id | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24 : id;
}

/* One pass over a split: every id is in the vocabulary; where documents start. */
static int scan(struct dataset *d, enum split s)
{
    struct split_tokens *t = &d->split[s];
    size_t room = 0;
    for (size_t i = 0; i < t->n; i++) {
        uint32_t id = dataset_id(d, s, i);
        FAIL_IF(id >= d->vocab, E_DATA, "%s/%s: id %u at position %zu is outside of the vocabulary of %lld", d->folder, split_files[s], id, i, (long long)d->vocab);
        if (id >= d->needs) d->needs = (int64_t)id + 1;
        if (!d->by_document || id != d->end || i + 1 == t->n) continue;
        FAIL_IF(!grow(&t->start, &room, t->n_starts + 1, sizeof *t->start), E_MEMORY, "no memory for the documents of %s", d->folder);
        t->start[t->n_starts++] = i;
    }
    FAIL_IF(d->by_document && !t->n_starts, E_DATA, "%s/%s: no end token stands before a document", d->folder, split_files[s]);
    return 0;
}

static int open_split(struct dataset *d, enum split s)
{
    char path[PATH_SIZE];
    TRY(path_join(path, d->folder, split_files[s]));
    FAIL_IF(!path_is_file(path), E_IO, "%s: no such file; prepare data with: nib data TEXT --out %s", path, d->folder);
    TRY(file_open_map(&d->split[s].map, path));
    size_t bytes = d->split[s].map.size;
    FAIL_IF(bytes == 0, E_DATA, "%s is empty", path);
    FAIL_IF(bytes % (size_t)d->width, E_DATA, "%s: %zu bytes are no whole number of %d-byte ids; is the file cut off?", path, bytes, d->width);
    d->split[s].n = bytes / (size_t)d->width;
    return scan(d, s);
}

int dataset_find(char folder[PATH_SIZE], const char *name)
{
    char path[PATH_SIZE];
    TRY(path_join(folder, "data", name));
    TRY(path_join(path, folder, split_files[SPLIT_TRAIN]));
    if (!strchr(name, '/') && path_is_file(path)) return 0;
    FAIL_IF(snprintf(folder, PATH_SIZE, "%s", name) >= PATH_SIZE, E_USAGE, "the name of the data folder is too long");
    FAIL_IF(!path_is_dir(folder) && prepare_is_named(name), E_IO, "no prepared data in %s, nor in data/%s; prepare it with: nib data %s", name, name, name);
    FAIL_IF(!path_is_dir(folder), E_IO, "no prepared data in %s, nor in data/%s; prepare a text with: nib data TEXT --out data/NAME", name, name);
    return 0;
}

static int open_all(struct dataset *d, const char *name)
{
    TRY(dataset_find(d->folder, name));
    TRY(describe(d));
    TRY(open_split(d, SPLIT_TRAIN));
    return open_split(d, SPLIT_VAL);
}

/* dataset.json says it; else the tokenizer that lies there is taken for the one. */
static int know_tokenizer(struct dataset *d)
{
    struct tokenizer *t;
    if (*d->tokenizer || !tokenizer_is_in(d->folder)) return 0;
    TRY(tokenizer_open(&t, d->folder));
    snprintf(d->tokenizer, sizeof d->tokenizer, "%s", tokenizer_fingerprint(t));
    tokenizer_free(t);
    return 0;
}

int dataset_open(struct dataset *d, const char *name)
{
    *d = (struct dataset){ .width = 2, .end = -1 };
    int code = open_all(d, name);
    if (!code) code = know_tokenizer(d);
    if (code) dataset_close(d);
    return code;
}

void dataset_close(struct dataset *d)
{
    for (int s = 0; s < 2; s++) {
        if (d->split[s].map.at) file_close_map(&d->split[s].map);
        free(d->split[s].start);
        d->split[s] = (struct split_tokens){ 0 };
    }
}

/* ---- tokenizers ---- */

int dataset_suits(const struct dataset *d, const char *model)
{
    struct tokenizer *t;
    if (!*d->tokenizer || !tokenizer_is_in(model)) return 0;
    TRY(tokenizer_open(&t, model));
    int same = !strcmp(tokenizer_fingerprint(t), d->tokenizer);
    int code = same ? 0 : error_set(E_DATA, __FILE__, __LINE__, "%s was made by another tokenizer (%s) than that of %s (%s, vocabulary %u), so its ids mean other things; prepare it with: nib data TEXT --tokenizer=%s",
                                    d->folder, d->tokenizer, model, tokenizer_fingerprint(t), tokenizer_vocab(t), model);
    tokenizer_free(t);
    return code;
}

static size_t ends_in(const struct dataset *d, enum split s)
{
    size_t n = 0;
    for (size_t i = 0; i < d->split[s].n; i++) n += dataset_id(d, s, i) == d->end;
    return n;
}

/* The first tokens of the training text. */
static int tell_start(const struct dataset *d, const struct tokenizer *t, struct text *out)
{
    enum { MOST = 64 };
    struct ids ids = { 0 };
    int code = 0;
    for (size_t i = 0; i < MOST && i < d->split[SPLIT_TRAIN].n && !code; i++) code = ids_add(&ids, &(uint32_t){ dataset_id(d, SPLIT_TRAIN, i) }, 1);
    text_add(out, "it begins:\n");
    if (!code) code = tokenizer_decode(t, ids.at, ids.n, out);
    text_add(out, "\n");
    ids_free(&ids);
    return code;
}

int dataset_tell(const struct dataset *d, struct text *out)
{
    struct tokenizer *t;
    text_format(out, "%s: %zu tokens to train on, %zu to validate, %d bits each, vocabulary %lld%s\n", d->folder, d->split[SPLIT_TRAIN].n, d->split[SPLIT_VAL].n, 8 * d->width, (long long)d->vocab,
                d->needs < d->vocab && !*d->tokenizer ? " (a guess)" : "");
    if (d->end >= 0) text_format(out, "%zu and %zu end-of-text tokens (%lld)\n", ends_in(d, SPLIT_TRAIN), ends_in(d, SPLIT_VAL), (long long)d->end);
    if (!tokenizer_is_in(d->folder)) {
        text_add(out, "no tokenizer lies there\n");
        return 0;
    }
    TRY(tokenizer_open(&t, d->folder));
    tokenizer_describe(t, out);
    if (strcmp(tokenizer_fingerprint(t), d->tokenizer)) text_format(out, "another tokenizer made the ids: %s\n", d->tokenizer);
    int code = strcmp(tokenizer_fingerprint(t), d->tokenizer) ? 0 : tell_start(d, t, out);
    tokenizer_free(t);
    return code;
}

/* ---- windows ---- */

int dataset_draw(const struct dataset *d, enum split s, int64_t length, uint64_t key, uint64_t w, size_t *at)
{
    const struct split_tokens *t = &d->split[s];
    FAIL_IF(t->n < (size_t)length + 1, E_DATA, "%s/%s has %zu tokens; a block_size of %lld needs one more than that: choose a smaller block_size or more text",
            d->folder, split_files[s], t->n, (long long)length);
    if (!d->by_document) {
        *at = rng_spread(key, w, t->n - (size_t)length);
        return 0;
    }
    size_t fit = t->n_starts;
    while (fit > 1 && t->start[fit - 1] + (size_t)length + 1 > t->n) fit--;
    *at = t->start[rng_spread(key, w, fit)];
    if (*at + (size_t)length + 1 > t->n) *at = t->n - (size_t)length - 1;
    return 0;
}

void dataset_window(const struct dataset *d, enum split s, size_t at, int64_t n, int32_t *ids, int32_t *targets)
{
    for (int64_t i = 0; i < n; i++) {
        ids[i] = (int32_t)dataset_id(d, s, at + (size_t)i);
        targets[i] = (int32_t)dataset_id(d, s, at + (size_t)i + 1);
    }
}
