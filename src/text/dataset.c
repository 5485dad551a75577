/* dataset.c -- token files, mapped and checked. */
#include "text/dataset.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/grow.h"
#include "base/json.h"
#include "base/rng.h"
#include "base/sums.h"
#include "file/pickle.h"
#include "text/prepare.h"
#include "text/shard_header.h"
#include "token/tokenizer.h"

enum { DESCRIPTION_BYTES = 1 << 20, META_BYTES = 64 << 20, GPT2_VOCAB = 50257 };
static const char *const split_names[2] = { [SPLIT_TRAIN] = "train", [SPLIT_VAL] = "val" };
static const char *const format_names[] = { [TOKENS_NANOGPT] = "nanogpt", [TOKENS_LLMC] = "llmc" };

/* ---- what the files are ---- */

size_t dataset_header(enum token_format f) { return f == TOKENS_LLMC ? SHARD_HEADER : 0; }

int dataset_file(char path[PATH_SIZE], const char *folder, enum token_format f, enum split s, size_t i, size_t shards)
{
    char name[64];
    if (f == TOKENS_LLMC) snprintf(name, sizeof name, "tokens_%s_%06zu.bin", split_names[s], i);
    else if (shards == 1) snprintf(name, sizeof name, "%s.bin", split_names[s]);
    else snprintf(name, sizeof name, "%s_%06zu.bin", split_names[s], i);
    return path_join(path, folder, name);
}

int dataset_add_shard(struct dataset *d, enum split s, size_t n)
{
    struct split_tokens *t = &d->split[s];
    FAIL_IF(!grow(&t->shard, &t->room, t->shards + 1, sizeof *t->shard), E_MEMORY, "no memory for the shards of %s", d->folder);
    t->shard[t->shards++] = (struct shard){ .first = t->n, .n = n };
    t->n += n;
    return 0;
}

/* "train": [100000000, 51234], the ids of each shard.  Without it there is one, of as many as its file holds. */
static int read_shards(struct dataset *d, const json_t *root, enum split s, const char *what)
{
    size_t i;
    json_t *list = json_object_get(root, split_names[s]), *n;
    FAIL_IF(list && !json_is_array(list), E_DATA, "%s: %s is no list of numbers", what, split_names[s]);
    json_array_foreach (list, i, n) {
        FAIL_IF(!json_is_integer(n) || json_integer_value(n) < 1 || json_integer_value(n) > INT64_MAX / 8 - (int64_t)d->split[s].n, E_DATA, "%s: %s: shard %zu has no number of ids", what, split_names[s], i);
        TRY(dataset_add_shard(d, s, (size_t)json_integer_value(n)));
    }
    return 0;
}

static int read_format(struct dataset *d, const json_t *root, const char *what)
{
    const char *name;
    TRY(json_get_string(root, "format", &name, what));
    FAIL_IF(strcmp(name, format_names[TOKENS_LLMC]) && strcmp(name, format_names[TOKENS_NANOGPT]), E_DATA, "%s: format is %.80s; nib knows %s and %s", what, name, format_names[TOKENS_NANOGPT], format_names[TOKENS_LLMC]);
    d->format = strcmp(name, format_names[TOKENS_LLMC]) ? TOKENS_NANOGPT : TOKENS_LLMC;
    return 0;
}

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
    const char *fingerprint = "";
    if (json_has(root, "tokenizer")) TRY(json_get_string(root, "tokenizer", &fingerprint, what));
    snprintf(d->tokenizer, sizeof d->tokenizer, "%s", fingerprint);
    if (json_has(root, "floor")) TRY(json_get_real(root, "floor", &d->floor, what));
    FAIL_IF(d->by_document && d->end < 0, E_DATA, "%s: by_document needs an end token", what);
    if (json_has(root, "format")) TRY(read_format(d, root, what));
    TRY(read_shards(d, root, SPLIT_TRAIN, what));
    return read_shards(d, root, SPLIT_VAL, what);
}

static json_t *list_shards(const struct split_tokens *t)
{
    json_t *list = json_array();
    for (size_t i = 0; i < t->shards; i++) json_array_append_new(list, json_integer((json_int_t)t->shard[i].n));
    return list;
}

int dataset_write(const struct dataset *d, const char *fingerprint)
{
    char path[PATH_SIZE];
    TRY(path_join(path, d->folder, "dataset.json"));
    json_t *root = json_pack("{s:i, s:I, s:s, s:o, s:o}", "bits", d->width * 8, "vocab", (json_int_t)d->vocab, "tokenizer", fingerprint,
                             split_names[SPLIT_TRAIN], list_shards(&d->split[SPLIT_TRAIN]), split_names[SPLIT_VAL], list_shards(&d->split[SPLIT_VAL]));
    FAIL_IF(!root, E_MEMORY, "no memory for %s", path);
    if (d->end >= 0) json_object_set_new(root, "end", json_integer(d->end));
    if (d->by_document) json_object_set_new(root, "by_document", json_true());
    if (d->longest) json_object_set_new(root, "longest", json_integer(d->longest));
    if (d->floor > 0) json_object_set_new(root, "floor", json_real(d->floor));
    if (d->format) json_object_set_new(root, "format", json_string(format_names[d->format]));
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
    int code = map.size > META_BYTES ? error_set(E_DATA, __FILE__, __LINE__, "%s: too large", path) : pickle_parse(&root, &memory, map.at, map.size, NULL, path);
    const struct pickle *vocab = code ? NULL : pickle_get(root, "vocab_size");
    if (!code && (!vocab || vocab->kind != PICKLE_INT || vocab->integer < 1 || vocab->integer > 1 << 24))
        code = error_set(E_DATA, __FILE__, __LINE__, "%s: no vocab_size", path);
    if (!code) d->vocab = d->needs = vocab->integer;
    arena_free(&memory);
    file_close_map(&map);
    return code;
}

/* ---- what llm.c's files are ---- */

static int read_header(struct shard_header *h, const char *path)
{
    struct file_map map;
    TRY(file_open_map(&map, path));
    int code = shard_header_read(h, map.at, map.size, path);
    file_close_map(&map);
    return code;
}

static int add_file(struct dataset *d, enum split s, const char *name)
{
    char path[PATH_SIZE];
    struct shard_header h;
    TRY(path_join(path, d->folder, name));
    TRY(read_header(&h, path));
    int is_first = !d->split[SPLIT_TRAIN].shards && !d->split[SPLIT_VAL].shards;
    FAIL_IF(!is_first && h.width != d->width, E_DATA, "%s: its ids have %d bytes, those of other files in this folder %d", path, h.width, d->width);
    d->format = TOKENS_LLMC;
    d->width = h.width;
    d->vocab = h.vocab;
    TRY(dataset_add_shard(d, s, h.n));
    char *copy = d->split[s].shard[d->split[s].shards - 1].name = strdup(name);
    FAIL_IF(!copy, E_MEMORY, "no memory for the shards of %s", d->folder);
    return 0;
}

/* The length of the NAME in front of "_train_000001.bin" or "_train.bin"; 0: it is no such file. */
static size_t stem_of(const char *name, enum split s)
{
    char pattern[32];
    size_t n = strlen(name);
    snprintf(pattern, sizeof pattern, "_%s.bin", split_names[s]);
    if (n > strlen(pattern) && !strcmp(name + n - strlen(pattern), pattern)) return n - strlen(pattern);
    snprintf(pattern, sizeof pattern, "*?_%s_*.bin", split_names[s]);
    if (fnmatch(pattern, name, 0)) return 0;
    snprintf(pattern, sizeof pattern, "_%s_", split_names[s]);
    return (size_t)(strstr(name + 1, pattern) - name);
}

/* All files of the folder that are named so, in order.  d NULL: *n counts them. */
static int add_files(struct dataset *d, const char *folder, size_t *n)
{
    char **names;
    const char *first = NULL;
    size_t count, first_stem = 0;
    TRY(dir_list(folder, &names, &count));
    int code = 0;
    *n = 0;
    for (size_t i = 0; i < count && !code; i++)
        for (enum split s = SPLIT_TRAIN; s <= SPLIT_VAL && !code; s++) {
            size_t stem = stem_of(names[i], s);
            if (!stem) continue;
            if (!first) first = names[i], first_stem = stem;
            ++*n;
            if (!d) continue;
            if (stem != first_stem || strncmp(first, names[i], stem))
                code = error_set(E_DATA, __FILE__, __LINE__, "%s: %s and %s are of two sets; give each a folder, or name one file", folder, first, names[i]);
            if (!code) code = add_file(d, s, names[i]);
        }
    free(names);
    return code;
}

/* Where there is no train.bin: files of llm.c's, if there are any. */
static int find_files(struct dataset *d)
{
    char path[PATH_SIZE];
    size_t n = 0;
    int bare;
    TRY(dataset_file(path, d->folder, TOKENS_NANOGPT, SPLIT_TRAIN, 0, 1));
    TRY(path_look(path, &bare));
    if (bare || !path_is_dir(d->folder)) return 0;
    TRY(add_files(d, d->folder, &n));
    for (int s = 0; s < 2 && n; s++)
        FAIL_IF(!d->split[s].shards, E_DATA, "%s: none of its files is *_%s.bin or *_%s_*.bin; name one file to take it for both", d->folder, split_names[s], split_names[s]);
    return 0;
}

static int describe(struct dataset *d)
{
    char path[PATH_SIZE];
    int is;
    TRY(path_join(path, d->folder, "dataset.json"));
    TRY(path_look(path, &is));
    if (is) {
        json_t *root;
        TRY(json_read(&root, path, DESCRIPTION_BYTES));
        int code = read_description(d, root, path);
        json_decref(root);
        return code;
    }
    d->vocab = GPT2_VOCAB;
    TRY(find_files(d));
    TRY(path_join(path, d->folder, "meta.pkl"));
    TRY(path_look(path, &is));
    return is ? read_meta(d, path) : 0;
}

/* ---- the files ---- */

/* The last shard that begins at id i or before. */
static const struct shard *shard_of(const struct split_tokens *t, size_t i)
{
    size_t low = 0, high = t->shards;
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (t->shard[middle].first <= i) low = middle;
        else high = middle;
    }
    return &t->shard[low];
}

static uint32_t id_at(const struct dataset *d, const struct shard *h, size_t i)
{
    const uint8_t *p = h->ids + i * (size_t)d->width;
    return d->width == 4 ? little_u32(p) : (uint32_t)(p[0] | p[1] << 8);
}

uint32_t dataset_id(const struct dataset *d, enum split s, size_t i)
{
    const struct shard *h = shard_of(&d->split[s], i);
    return id_at(d, h, i - h->first);
}

/* The largest id: two loops, so that neither asks for the width. */
static uint32_t largest_id(const struct dataset *d, const struct shard *h)
{
    const uint8_t *p = h->ids;
    uint32_t most = 0;
    if (d->width == 2) {
        for (size_t i = 0; i < h->n; i++) {
            uint32_t id = (uint32_t)(p[2 * i] | p[2 * i + 1] << 8);
            most = id > most ? id : most;
        }
        return most;
    }
    for (size_t i = 0; i < h->n; i++) {
        uint32_t id = little_u32(p + 4 * i);
        most = id > most ? id : most;
    }
    return most;
}

static int find_documents(struct dataset *d, enum split s, const struct shard *h, size_t *room)
{
    struct split_tokens *t = &d->split[s];
    for (size_t i = 0; i < h->n; i++) {
        if (id_at(d, h, i) != d->end || h->first + i + 1 == t->n) continue;
        FAIL_IF(!grow(&t->start, room, t->n_starts + 1, sizeof *t->start), E_MEMORY, "no memory for the documents of %s", d->folder);
        t->start[t->n_starts++] = h->first + i;
    }
    return 0;
}

static int scan(struct dataset *d, enum split s, const struct shard *h, size_t *room, const char *path)
{
    uint32_t most = largest_id(d, h);
    size_t at = 0;
    while (most >= d->vocab && id_at(d, h, at) < d->vocab) at++;
    FAIL_IF(most >= d->vocab, E_DATA, "%s: id %u at position %zu is outside of the vocabulary of %lld", path, id_at(d, h, at), at, (long long)d->vocab);
    if (most >= d->needs) d->needs = (int64_t)most + 1;
    return d->by_document ? find_documents(d, s, h, room) : 0;
}

static int no_file(const struct dataset *d, const char *path)
{
    char unfinished[PATH_SIZE];
    TRY(path_join(unfinished, d->folder, DATASET_UNFINISHED));
    FAIL_IF(path_is_dir(unfinished), E_IO, "%s: no such file; its preparation was not finished: run the same nib data again, and it goes on", path);
    FAIL(E_IO, "%s: no such file; prepare data with: nib data TEXT --out %s", path, d->folder);
}

/* It says the same as dataset.json, or as when it was looked at first. */
static int check_header(const struct dataset *d, const struct shard *h, const char *path)
{
    struct shard_header is;
    TRY(shard_header_read(&is, h->map.at, h->map.size, path));
    FAIL_IF(is.n != h->n || is.width != d->width, E_DATA, "%s: its header says %zu ids of %d bytes, but %zu of %d belong into it", path, is.n, is.width, h->n, d->width);
    return 0;
}

static int open_shard(struct dataset *d, enum split s, size_t i, size_t *room)
{
    char path[PATH_SIZE];
    struct shard *h = &d->split[s].shard[i];
    TRY(h->name ? path_join(path, d->folder, h->name) : dataset_file(path, d->folder, d->format, s, i, d->split[s].shards));
    if (!path_is_file(path)) return no_file(d, path);
    TRY(file_open_map(&h->map, path));
    if (d->format == TOKENS_LLMC) TRY(check_header(d, h, path));
    size_t header = dataset_header(d->format);
    FAIL_IF(h->map.size - header != h->n * (size_t)d->width, E_DATA, "%s: %zu bytes, but %zu ids of %d bytes belong into it; is the file cut off?", path, h->map.size, h->n, d->width);
    h->ids = h->map.at + header;
    return scan(d, s, h, room, path);
}

/* One file that nothing is said about. */
static int count_ids(struct dataset *d, enum split s)
{
    char path[PATH_SIZE];
    struct file_map map;
    TRY(dataset_file(path, d->folder, d->format, s, 0, 1));
    if (!path_is_file(path)) return no_file(d, path);
    TRY(file_open_map(&map, path));
    size_t bytes = map.size;
    file_close_map(&map);
    FAIL_IF(bytes == 0, E_DATA, "%s is empty", path);
    FAIL_IF(bytes % (size_t)d->width, E_DATA, "%s: %zu bytes are no whole number of %d-byte ids; is the file cut off?", path, bytes, d->width);
    return dataset_add_shard(d, s, bytes / (size_t)d->width);
}

static int open_split(struct dataset *d, enum split s)
{
    size_t room = 0;
    FAIL_IF(!d->split[s].shards && d->format == TOKENS_LLMC, E_DATA, "%s: dataset.json lists no shards of %s", d->folder, split_names[s]);
    if (!d->split[s].shards) TRY(count_ids(d, s));
    for (size_t i = 0; i < d->split[s].shards; i++) TRY(open_shard(d, s, i, &room));
    FAIL_IF(d->by_document && !d->split[s].n_starts, E_DATA, "%s: no end token stands before a document of %s", d->folder, split_names[s]);
    return 0;
}

/* A folder of prepared text, whole or not. */
static int is_prepared(const char *folder)
{
    char path[PATH_SIZE];
    size_t n = 0;
    if (!path_join(path, folder, "dataset.json") && path_is_file(path)) return 1;
    if (!dataset_file(path, folder, TOKENS_NANOGPT, SPLIT_TRAIN, 0, 1) && path_is_file(path)) return 1;
    return path_is_dir(folder) && !add_files(NULL, folder, &n) && n > 0;
}

static int has_header(const char *path)
{
    struct file_map map;
    if (!path_is_file(path) || file_open_map(&map, path)) return 0;
    int is = shard_header_is(map.at, map.size);
    file_close_map(&map);
    return is;
}

int dataset_look(const char *path) { return is_prepared(path) || has_header(path); }

int dataset_find(char folder[PATH_SIZE], const char *name)
{
    TRY(path_join(folder, "data", name));
    if (!strchr(name, '/') && is_prepared(folder)) return 0;
    FAIL_IF(snprintf(folder, PATH_SIZE, "%s", name) >= PATH_SIZE, E_USAGE, "the name of the data folder is too long");
    FAIL_IF(!path_is_dir(folder) && prepare_is_named(name), E_IO, "no prepared data in %s, nor in data/%s; prepare it with: nib data %s", name, name, name);
    FAIL_IF(!path_is_dir(folder), E_IO, "no prepared data in %s, nor in data/%s; prepare a text with: nib data TEXT --out data/NAME", name, name);
    return 0;
}

static int open_file(struct dataset *d, const char *path)
{
    FAIL_IF(snprintf(d->file, PATH_SIZE, "%s", path) >= PATH_SIZE, E_USAGE, "the name of the data is too long");
    TRY(path_parent(d->folder, path));
    for (enum split s = SPLIT_TRAIN; s <= SPLIT_VAL; s++) TRY(add_file(d, s, path_base(path)));
    return 0;
}

static int open_all(struct dataset *d, const char *name)
{
    int is_file = has_header(name);
    if (is_file) TRY(open_file(d, name));
    else TRY(dataset_find(d->folder, name));
    if (!is_file) TRY(describe(d));
    TRY(open_split(d, SPLIT_TRAIN));
    return open_split(d, SPLIT_VAL);
}

/* dataset.json says it; else the tokenizer that lies there is taken for the one. */
static int know_tokenizer(struct dataset *d)
{
    struct tokenizer *t;
    int is;
    TRY(tokenizer_look(d->folder, &is));
    if (*d->tokenizer || !is) return 0;
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
        for (size_t i = 0; i < d->split[s].shards; i++) {
            file_close_map(&d->split[s].shard[i].map);
            free(d->split[s].shard[i].name);
        }
        free(d->split[s].shard);
        free(d->split[s].start);
        d->split[s] = (struct split_tokens){ 0 };
    }
}

/* ---- tokenizers ---- */

int dataset_suits(const struct dataset *d, const char *model)
{
    struct tokenizer *t;
    int is;
    TRY(tokenizer_look(model, &is));
    if (!*d->tokenizer || !is) return 0;
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
    for (const struct shard *h = d->split[s].shard; h < d->split[s].shard + d->split[s].shards; h++)
        for (size_t i = 0; i < h->n; i++) n += id_at(d, h, i) == d->end;
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
    int is;
    TRY(tokenizer_look(d->folder, &is));
    text_format(out, "%s: %zu tokens to train on, %zu to validate, %d bits each, vocabulary %lld%s\n", dataset_name(d), d->split[SPLIT_TRAIN].n, d->split[SPLIT_VAL].n, 8 * d->width, (long long)d->vocab,
                d->needs < d->vocab && !*d->tokenizer ? " (a guess)" : "");
    if (d->format == TOKENS_LLMC) text_format(out, "llm.c's token files%s\n", *d->file ? ", of which this one is for both" : "");
    if (d->split[SPLIT_TRAIN].shards > 1) text_format(out, "in %zu and %zu shards\n", d->split[SPLIT_TRAIN].shards, d->split[SPLIT_VAL].shards);
    if (d->end >= 0) text_format(out, "%zu and %zu end-of-text tokens (%lld)\n", ends_in(d, SPLIT_TRAIN), ends_in(d, SPLIT_VAL), (long long)d->end);
    if (!is) {
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

/* ---- is it what it was? ---- */

static void sample_split(const struct dataset *d, enum split s, struct sha256 *sum)
{
    enum { PLACES = 64, STRETCH = 1024 };
    size_t n = d->split[s].n, most = n > PLACES * STRETCH ? PLACES * STRETCH : n;
    for (size_t i = 0; i < most; i++) {
        size_t at = most < n ? i / STRETCH * (n - STRETCH) / (PLACES - 1) + i % STRETCH : i;
        uint32_t id = dataset_id(d, s, at);
        sha256_add(sum, (const uint8_t[]){ (uint8_t)id, (uint8_t)(id >> 8), (uint8_t)(id >> 16), (uint8_t)(id >> 24) }, 4);
    }
}

void dataset_mark(const struct dataset *d, struct dataset_mark *m)
{
    struct sha256 sum;
    *m = (struct dataset_mark){ .train = (int64_t)d->split[SPLIT_TRAIN].n, .val = (int64_t)d->split[SPLIT_VAL].n, .vocab = d->vocab };
    snprintf(m->tokenizer, sizeof m->tokenizer, "%s", d->tokenizer);
    sha256_start(&sum);
    sample_split(d, SPLIT_TRAIN, &sum);
    sample_split(d, SPLIT_VAL, &sum);
    sha256_end(&sum, m->sample);
}

int dataset_is(const struct dataset *d, const struct dataset_mark *m, const char *whose)
{
    struct dataset_mark now;
    dataset_mark(d, &now);
    FAIL_IF(strcmp(now.tokenizer, m->tokenizer), E_USAGE, "%s was trained on ids by tokenizer %s; those of %s are by %s: a run keeps its data; choose another --out_dir and --init_from=%s for a new one",
            whose, *m->tokenizer ? m->tokenizer : "unknown", d->folder, *now.tokenizer ? now.tokenizer : "an unknown one", whose);
    int same = now.train == m->train && now.val == m->val && now.vocab == m->vocab && !strcmp(now.sample, m->sample);
    FAIL_IF(!same, E_USAGE, "%s was trained on %lld tokens, validated on %lld, vocabulary %lld (sample %.8s); %s has %lld, %lld, %lld (%.8s): a run keeps its data; "
            "choose another --out_dir and --init_from=%s for a new one", whose, (long long)m->train, (long long)m->val, (long long)m->vocab, m->sample, d->folder, (long long)now.train,
            (long long)now.val, (long long)now.vocab, now.sample, whose);
    return 0;
}

static int list_files(const struct dataset *d, enum split s, const struct sums *sums)
{
    char path[PATH_SIZE];
    for (size_t i = 0; i < d->split[s].shards; i++) {
        TRY(dataset_file(path, d->folder, d->format, s, i, d->split[s].shards));
        FAIL_IF(!sums_find(sums, path_base(path)), E_DATA, "%s/%s does not list %s", d->folder, SUMS_FILE, path_base(path));
    }
    return 0;
}

int dataset_verify(const struct dataset *d, int *known)
{
    struct sums sums;
    char path[PATH_SIZE];
    int described;
    TRY(path_join(path, d->folder, "dataset.json"));
    TRY(path_look(path, &described));                        /* if it is not, nanoGPT has made the folder its own */
    TRY(sums_look(d->folder, known));
    *known = *known && described;
    if (!*known) return 0;
    int code = sums_read(&sums, d->folder);
    if (!code && !sums_find(&sums, "dataset.json")) code = error_set(E_DATA, __FILE__, __LINE__, "%s/%s does not list dataset.json", d->folder, SUMS_FILE);
    if (!code) code = list_files(d, SPLIT_TRAIN, &sums);
    if (!code) code = list_files(d, SPLIT_VAL, &sums);
    if (!code) code = sums_verify(&sums, d->folder);
    sums_free(&sums);
    if (!code) return 0;
    return error_prefix(code, "prepare the data again (--verify=false trains on it as it is)");
}

/* ---- windows ---- */

/* The last window that fits begins there. */
static int last_window(const struct dataset *d, enum split s, int64_t length, size_t *last)
{
    const struct split_tokens *t = &d->split[s];
    FAIL_IF(t->n < (size_t)length + 1, E_DATA, "%s: %s has %zu tokens; a block_size of %lld needs one more than that: choose a smaller block_size or more text",
            d->folder, split_names[s], t->n, (long long)length);
    *last = t->n - (size_t)length - 1;
    return 0;
}

int dataset_draw(const struct dataset *d, enum split s, int64_t length, uint64_t key, uint64_t w, size_t *at)
{
    const struct split_tokens *t = &d->split[s];
    size_t last = 0, fit = t->n_starts;
    TRY(last_window(d, s, length, &last));
    while (fit > 1 && t->start[fit - 1] > last) fit--;
    *at = d->by_document ? t->start[rng_spread(key, w, fit)] : rng_spread(key, w, last + 1);
    if (*at > last) *at = last;
    return 0;
}

/* As many windows as cover a shard: so long its turn lasts. */
static uint64_t turn_of(const struct shard *h, int64_t length)
{
    return (h->n + (size_t)length - 1) / (size_t)length;
}

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
    while (b) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* The shards of a round are visited by steps of one size, which has no divisor in common with their number, from any of them on. */
int dataset_draw_in_turn(const struct dataset *d, int64_t length, uint64_t key, uint64_t w, size_t *at)
{
    const struct split_tokens *t = &d->split[SPLIT_TRAIN];
    uint64_t windows = 0, step = (uint64_t)((double)t->shards * 0.618);
    size_t last = 0;
    if (d->by_document || t->shards == 1) return dataset_draw(d, SPLIT_TRAIN, length, key, w, at);
    TRY(last_window(d, SPLIT_TRAIN, length, &last));
    for (size_t i = 0; i < t->shards; i++) windows += turn_of(&t->shard[i], length);
    uint64_t round = w / windows, left = w % windows, i = rng_below(key, round, t->shards);
    while (common_divisor(step, t->shards) > 1) step++;
    for (; left >= turn_of(&t->shard[i], length); i = (i + step) % t->shards) left -= turn_of(&t->shard[i], length);
    *at = t->shard[i].first + rng_spread(rng_key(key, round * t->shards + i), left, t->shard[i].n);
    if (*at > last) *at = last;
    return 0;
}

void dataset_window(const struct dataset *d, enum split s, size_t at, int64_t n, int32_t *ids, int32_t *targets)
{
    const struct shard *h = shard_of(&d->split[s], at);
    for (int64_t i = 0; i <= n; i++) {
        size_t k = at + (size_t)i - h->first;
        if (k == h->n) h++, k = 0;
        int32_t id = (int32_t)id_at(d, h, k);
        if (i < n) ids[i] = id;
        if (i > 0) targets[i - 1] = id;
    }
}

#ifdef FUZZ_DATASET
#include <fcntl.h>
#include <unistd.h>

/* Folders of each kind, with links to two files that are written anew each time: a description, and ids that are every shard's. */
enum { DESCRIBED, META, BARE, HEADED, BOTH, KINDS };         /* BOTH: described, with headers */
static char folders[] = "/tmp/nib_fuzz_XXXXXX", folder[KINDS][PATH_SIZE], text_path[PATH_SIZE], ids_path[PATH_SIZE];
static int text_fd, ids_fd;

static void remove_folders(void) { dir_remove(folders); }

static void make_folders(void)
{
    static const char *const shards[2][6] = { { "train.bin", "val.bin", "train_000000.bin", "train_000001.bin", "val_000000.bin", "val_000001.bin" },
                                              { "tokens_train_000000.bin", "tokens_train_000001.bin", "tokens_val_000000.bin", "tokens_val.bin" } };
    static const char *const kinds[] = { "described", "meta", "bare", "headed", "both" }, *const descriptions[] = { "dataset.json", "meta.pkl", NULL, NULL, "dataset.json" };
    char path[PATH_SIZE];
    if (!mkdtemp(folders) || atexit(remove_folders) || path_join(text_path, folders, "text") || path_join(ids_path, folders, "ids")) abort();
    text_fd = open(text_path, O_RDWR | O_CREAT, 0600);
    ids_fd = open(ids_path, O_RDWR | O_CREAT, 0600);
    for (int k = 0; k < KINDS; k++) {
        if (path_join(folder[k], folders, kinds[k]) || dir_make(folder[k])) abort();
        if (descriptions[k] && (path_join(path, folder[k], descriptions[k]) || link(text_path, path))) abort();
        for (const char *const *name = shards[k >= HEADED]; name < shards[k >= HEADED] + 6 && *name; name++)
            if (path_join(path, folder[k], *name) || link(ids_path, path)) abort();
    }
}

static void put(int fd, const void *bytes, size_t n)
{
    if (ftruncate(fd, (off_t)n) || pwrite(fd, bytes, n, 0) != (ssize_t)n) abort();
}

static void look_at_window(const struct dataset *d, enum split s, int64_t length, size_t at)
{
    int32_t *ids = malloc((size_t)length * sizeof *ids), *targets = malloc((size_t)length * sizeof *targets);
    if (!ids || !targets) abort();
    dataset_window(d, s, at, length, ids, targets);
    for (int64_t i = 0; i < length; i++)
        if (ids[i] < 0 || ids[i] >= d->needs || (i && ids[i] != targets[i - 1])) abort();
    free(ids);
    free(targets);
}

/* A description's last character: the first with a NUL behind it. */
static const uint8_t *last_of(int kind, const uint8_t *at, const uint8_t *end)
{
    for (; end - at > 1; at++)
        if (at[0] == (kind == META ? '.' : '}') && !at[1]) return at;
    return NULL;
}

/* A byte that says the kind, a description and a NUL, ids. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dataset d;
    struct text told = { 0 };
    int kind = size ? data[0] % KINDS : BARE;
    const uint8_t *text = data + (size > 0), *end = data + size, *ids = text;
    if (!*folder[0]) make_folders();
    if (kind != BARE && kind != HEADED) {
        const uint8_t *last = last_of(kind, text, end);
        if (!last) return 0;
        put(text_fd, text, (size_t)(last + 1 - text));
        ids = last + 2;
    }
    put(ids_fd, ids, (size_t)(end - ids));
    if (dataset_open(&d, folder[kind])) return 0;
    for (uint64_t w = 0; w < 12; w++) {
        size_t at;
        int64_t length = 1 + 3 * (int64_t)(w % 3);
        if (!dataset_draw(&d, SPLIT_TRAIN, length, 1, w, &at)) look_at_window(&d, SPLIT_TRAIN, length, at);
        if (!dataset_draw_in_turn(&d, length, 1, w, &at)) look_at_window(&d, SPLIT_TRAIN, length, at);
        if (!dataset_draw(&d, SPLIT_VAL, length, 1, w, &at)) look_at_window(&d, SPLIT_VAL, length, at);
    }
    dataset_tell(&d, &told);
    text_free(&told);
    dataset_close(&d);
    return 0;
}
#endif
