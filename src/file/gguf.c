/* gguf.c -- one pass over keys and tensors; data is checked to lie where the order of the tensors puts it. */
#include "file/gguf.h"

#include <stdlib.h>
#include <string.h>

#include "base/quantize.h"
#include "base/bytes.h"
#include "base/checked.h"
#include "base/error.h"

enum value { VALUE_U8, VALUE_I8, VALUE_U16, VALUE_I16, VALUE_U32, VALUE_I32, VALUE_F32, VALUE_BOOL, VALUE_TEXT, VALUE_ARRAY, VALUE_U64, VALUE_I64, VALUE_F64, VALUES };
enum { MOST_NAME = 63, MOST_DIMS = 4, ALIGNMENT = 32, LEAST_KEY = 14, LEAST_TENSOR = 33 };       /* bytes that a key or a tensor takes at least */
#define MOST_TEXT ((uint64_t)1 << 30)

/* Bytes of a value; 0: of a text or an array its own length. */
static const uint8_t value_size[VALUES] = { 1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8 };

struct pair {
    const char *key;
    enum value type, element;            /* element: of an array */
    const uint8_t *at;                   /* a number, or the numbers of an array */
    struct gguf_bytes text, *texts;
    size_t n;                            /* of an array */
    void *numbers;                       /* those of an array, aligned */
};

struct gguf {
    struct tensors *memory;              /* no tensors: its arena and its map */
    const char *what;
    struct pair *pair; size_t pairs;     /* in the order of keys */
    struct file_tensor *tensor, **by_name; size_t n;
};

struct cursor { const uint8_t *start, *at, *end; const char *what; struct arena *memory; };

static int cut_off(const struct cursor *c) { FAIL(E_DATA, "%s: byte %zu: the file is cut off", c->what, (size_t)(c->at - c->start)); }

static int take(struct cursor *c, uint64_t n, const uint8_t **at)
{
    if (n > (uint64_t)(c->end - c->at)) return cut_off(c);
    *at = c->at;
    c->at += n;
    return 0;
}

static int take_u32(struct cursor *c, uint32_t *value)
{
    const uint8_t *at = NULL;
    TRY(take(c, 4, &at));
    *value = little_u32(at);
    return 0;
}

static int take_u64(struct cursor *c, uint64_t *value)
{
    const uint8_t *at = NULL;
    TRY(take(c, 8, &at));
    *value = little_u64(at);
    return 0;
}

static int take_bytes(struct cursor *c, struct gguf_bytes *b)
{
    const uint8_t *at = NULL;
    uint64_t n = 0;
    TRY(take_u64(c, &n));
    FAIL_IF(n > MOST_TEXT, E_DATA, "%s: a text of %llu bytes", c->what, (unsigned long long)n);
    TRY(take(c, n, &at));
    *b = (struct gguf_bytes){ (const char *)at, (size_t)n };
    return 0;
}

/* A text as a C string. */
static int take_name(struct cursor *c, size_t most, const char **name)
{
    struct gguf_bytes b = { 0 };
    TRY(take_bytes(c, &b));
    FAIL_IF(!b.size || b.size > most || memchr(b.at, 0, b.size), E_DATA, "%s: byte %zu: a name that is empty, too long, or has a NUL in it", c->what, (size_t)(c->at - c->start) - b.size);
    char *copy = arena_take(c->memory, b.size + 1);
    FAIL_IF(!copy, E_MEMORY, "%s: no memory for its names", c->what);
    *name = memcpy(copy, b.at, b.size);
    return 0;
}

/* ---- keys ---- */

static int take_type(struct cursor *c, enum value *type)
{
    uint32_t t = 0;
    TRY(take_u32(c, &t));
    FAIL_IF(t >= VALUES, E_DATA, "%s: byte %zu: a value of type %u", c->what, (size_t)(c->at - c->start) - 4, t);
    *type = (enum value)t;
    return 0;
}

static int take_texts(struct cursor *c, struct pair *p)
{
    if (p->n > (size_t)(c->end - c->at) / 8) return cut_off(c);
    p->texts = arena_take(c->memory, p->n * sizeof *p->texts);
    FAIL_IF(c->memory->failed, E_MEMORY, "%s: no memory for %zu texts", c->what, p->n);
    for (size_t i = 0; i < p->n; i++) TRY(take_bytes(c, &p->texts[i]));
    return 0;
}

static int take_array(struct cursor *c, struct pair *p)
{
    uint64_t n = 0;
    size_t bytes;
    TRY(take_type(c, &p->element));
    FAIL_IF(p->element == VALUE_ARRAY, E_DATA, "%s: %.200s: an array of arrays", c->what, p->key);
    TRY(take_u64(c, &n));
    p->n = (size_t)n;
    if (p->element == VALUE_TEXT) return take_texts(c, p);
    if (!size_mul(p->n, value_size[p->element], &bytes)) return cut_off(c);
    TRY(take(c, bytes, &p->at));
    p->numbers = arena_take(c->memory, bytes);
    FAIL_IF(c->memory->failed, E_MEMORY, "%s: no memory for %zu numbers", c->what, p->n);
    if (bytes) memcpy(p->numbers, p->at, bytes);
    return 0;
}

static int take_pair(struct cursor *c, struct pair *p)
{
    TRY(take_name(c, MOST_TEXT, &p->key));
    TRY(take_type(c, &p->type));
    if (p->type == VALUE_TEXT) return take_bytes(c, &p->text);
    return p->type == VALUE_ARRAY ? take_array(c, p) : take(c, value_size[p->type], &p->at);
}

static int by_key(const void *a, const void *b) { return strcmp(((const struct pair *)a)->key, ((const struct pair *)b)->key); }

static int take_pairs(struct cursor *c, struct gguf *g)
{
    if (g->pairs > (size_t)(c->end - c->at) / LEAST_KEY) return cut_off(c);
    g->pair = arena_take(c->memory, g->pairs * sizeof *g->pair);
    FAIL_IF(c->memory->failed, E_MEMORY, "%s: no memory for %zu keys", c->what, g->pairs);
    for (size_t i = 0; i < g->pairs; i++) TRY(take_pair(c, &g->pair[i]));
    qsort(g->pair, g->pairs, sizeof *g->pair, by_key);
    for (size_t i = 1; i < g->pairs; i++) FAIL_IF(!by_key(&g->pair[i - 1], &g->pair[i]), E_DATA, "%s: the key %.200s is there twice", c->what, g->pair[i].key);
    return 0;
}

/* ---- tensors ---- */

/* ggml's numbers of types. */
static const struct { uint32_t number; enum dtype type; } types[] = {
    { 0, F32 }, { 1, F16 }, { 30, BF16 }, { 28, F64 }, { 26, I32 }, { 27, I64 },
    { 2, Q4_0 }, { 6, Q5_0 }, { 7, Q5_1 }, { 8, Q8_0 }, { 12, Q4_K }, { 13, Q5_K }, { 14, Q6_K },
};

static int take_kind(struct cursor *c, struct file_tensor *t)
{
    uint32_t number = 0;
    size_t i = 0, kinds = sizeof types / sizeof *types;
    TRY(take_u32(c, &number));
    while (i < kinds && types[i].number != number) i++;
    FAIL_IF(i == kinds, E_DATA, "%s: tensor %s has type %u of ggml's; read are F32, F16, BF16, Q8_0, Q4_0, Q5_0, Q5_1, Q4_K, Q5_K and Q6_K", c->what, t->name, number);
    t->type = types[i].type;
    return 0;
}

static int measure(const struct cursor *c, struct file_tensor *t)
{
    size_t block = dtype_values(t->type);
    FAIL_IF(block > 1 && (!t->n_dims || (size_t)t->dim[t->n_dims - 1] % block), E_DATA, "%s: tensor %s: rows of %lld values are not in blocks of %zu", c->what, t->name,
            t->n_dims ? (long long)t->dim[t->n_dims - 1] : 1LL, block);
    FAIL_IF(!file_tensor_bytes(t, &t->size), E_DATA, "%s: tensor %s has too many values", c->what, t->name);
    return 0;
}

static int take_tensor(struct cursor *c, struct file_tensor *t, uint64_t *offset)
{
    uint32_t n = 0;
    TRY(take_name(c, MOST_NAME, &t->name));
    TRY(take_u32(c, &n));
    FAIL_IF(n > MOST_DIMS, E_DATA, "%s: tensor %s has %u dimensions", c->what, t->name, n);
    t->n_dims = (int)n;
    for (int i = t->n_dims; i-- > 0;) {
        uint64_t dim = 0;
        TRY(take_u64(c, &dim));
        FAIL_IF(dim > INT64_MAX, E_DATA, "%s: tensor %s: a dimension of %llu", c->what, t->name, (unsigned long long)dim);
        t->dim[i] = (int64_t)dim;
    }
    TRY(take_kind(c, t));
    TRY(take_u64(c, offset));
    return measure(c, t);
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const struct file_tensor *const *)a)->name, (*(const struct file_tensor *const *)b)->name);
}

static int sort_tensors(const struct cursor *c, struct gguf *g)
{
    for (size_t i = 0; i < g->n; i++) g->by_name[i] = &g->tensor[i];
    qsort(g->by_name, g->n, sizeof *g->by_name, by_name);
    for (size_t i = 1; i < g->n; i++) FAIL_IF(!by_name(&g->by_name[i - 1], &g->by_name[i]), E_DATA, "%s: two tensors named %s", c->what, g->by_name[i]->name);
    return 0;
}

/* Each begins where the one before ended, at the next multiple of the alignment. */
static int place_tensors(struct cursor *c, struct gguf *g, const uint64_t *offset)
{
    int64_t alignment = ALIGNMENT;
    size_t start, at = 0;
    if (gguf_has(g, "general.alignment")) TRY(gguf_int(g, "general.alignment", 1, 1 << 20, &alignment));
    FAIL_IF(alignment & (alignment - 1), E_DATA, "%s: an alignment of %lld bytes", c->what, (long long)alignment);
    if (!g->n) return 0;
    if (!size_align((size_t)(c->at - c->start), (size_t)alignment, &start) || start > (size_t)(c->end - c->start)) return cut_off(c);
    size_t left = (size_t)(c->end - c->start) - start;
    for (size_t i = 0; i < g->n; i++) {
        struct file_tensor *t = &g->tensor[i];
        FAIL_IF(offset[i] != at, E_DATA, "%s: tensor %s begins at byte %llu of the data instead of %zu", c->what, t->name, (unsigned long long)offset[i], at);
        FAIL_IF(at > left || t->size > left - at, E_DATA, "%s: tensor %s is not there: the file is cut off", c->what, t->name);
        t->data = c->start + start + at;
        if (!size_align(at + t->size, (size_t)alignment, &at)) return cut_off(c);
    }
    return 0;
}

static int take_tensors(struct cursor *c, struct gguf *g)
{
    if (g->n > (size_t)(c->end - c->at) / LEAST_TENSOR) return cut_off(c);
    uint64_t *offset = arena_take(c->memory, g->n * sizeof *offset);
    g->tensor = arena_take(c->memory, g->n * sizeof *g->tensor);
    g->by_name = arena_take(c->memory, g->n * sizeof *g->by_name);
    FAIL_IF(c->memory->failed, E_MEMORY, "%s: no memory for %zu tensors", c->what, g->n);
    for (size_t i = 0; i < g->n; i++) TRY(take_tensor(c, &g->tensor[i], &offset[i]));
    TRY(sort_tensors(c, g));
    return place_tensors(c, g, offset);
}

/* ---- the whole ---- */

static int read_all(struct gguf *g, struct file_map map)
{
    struct cursor c = { .start = map.at, .at = map.at, .end = map.at + map.size, .what = g->what, .memory = tensors_memory(g->memory) };
    const uint8_t *mark = NULL;
    uint32_t version = 0;
    uint64_t tensors = 0, pairs = 0;
    FAIL_IF(map.size < 24 || memcmp(map.at, "GGUF", 4), E_DATA, "%s: no GGUF file, or cut off", g->what);
    TRY(take(&c, 4, &mark));
    TRY(take_u32(&c, &version));
    FAIL_IF(version != 2 && version != 3, E_DATA, "%s: GGUF version %u%s; nib reads 2 and 3", g->what, version, version & 0xffff ? "" : ", or written on a big-endian machine");
    TRY(take_u64(&c, &tensors));
    TRY(take_u64(&c, &pairs));
    g->n = (size_t)tensors;
    g->pairs = (size_t)pairs;
    TRY(take_pairs(&c, g));
    return take_tensors(&c, g);
}

static int open_all(struct gguf *g, struct file_map map)
{
    TRY(tensors_new(&g->memory));
    if (!map.at) TRY(tensors_map(g->memory, &map, g->what));
    return read_all(g, map);
}

int gguf_parse(struct gguf **out, const uint8_t *bytes, size_t size, const char *what)
{
    struct gguf *g = calloc(1, sizeof *g);
    FAIL_IF(!g, E_MEMORY, "%s: no memory", what);
    g->what = what;
    int failed = open_all(g, (struct file_map){ bytes, size });
    if (failed) gguf_close(g);
    *out = failed ? NULL : g;
    return failed;
}

int gguf_open(struct gguf **g, const char *path) { return gguf_parse(g, NULL, 0, path); }

void gguf_close(struct gguf *g)
{
    if (!g) return;
    tensors_close(g->memory);
    free(g);
}

struct tensors *gguf_release(struct gguf *g)
{
    struct tensors *memory = g->memory;
    free(g);
    return memory;
}

struct tensors *gguf_set(const struct gguf *g) { return g->memory; }

/* ---- asking ---- */

static const struct pair *find(const struct gguf *g, const char *key)
{
    return g->pairs ? bsearch(&(struct pair){ .key = key }, g->pair, g->pairs, sizeof *g->pair, by_key) : NULL;
}

int gguf_has(const struct gguf *g, const char *key) { return find(g, key) != NULL; }

static int refuse(const struct gguf *g, const char *key, const char *wanted)
{
    FAIL(E_DATA, "%s: %s is %s; %s is needed", g->what, key, gguf_has(g, key) ? "of another type" : "missing", wanted);
}

/* Its value as 64 bits, the sign carried on; wide: an unsigned one that they do not hold. */
static int integer(const struct pair *p, int64_t *value, int *wide)
{
    static const int8_t is_signed[VALUES] = { [VALUE_I8] = 1, [VALUE_I16] = 1, [VALUE_I32] = 1, [VALUE_I64] = 1 };
    if (!p || p->type == VALUE_F32 || p->type == VALUE_F64 || p->type == VALUE_BOOL || !value_size[p->type]) return 0;
    uint64_t bits = 0;
    int size = value_size[p->type];
    for (int i = size; i-- > 0;) bits = bits << 8 | p->at[i];
    if (is_signed[p->type] && size < 8 && bits >> (8 * size - 1)) bits |= UINT64_MAX << 8 * size;
    memcpy(value, &bits, sizeof bits);
    *wide = p->type == VALUE_U64 && bits > INT64_MAX;
    return 1;
}

int gguf_int(const struct gguf *g, const char *key, int64_t least, int64_t most, int64_t *value)
{
    int wide = 0;
    if (!integer(find(g, key), value, &wide)) return refuse(g, key, "a whole number");
    FAIL_IF(wide || *value < least || *value > most, E_DATA, "%s: %s is %lld, not in %lld to %lld", g->what, key, (long long)*value, (long long)least, (long long)most);
    return 0;
}

int gguf_real(const struct gguf *g, const char *key, double *value)
{
    const struct pair *p = find(g, key);
    float f;
    if (p && p->type == VALUE_F32) {
        memcpy(&f, p->at, sizeof f);
        *value = (double)f;
    } else if (p && p->type == VALUE_F64) {
        memcpy(value, p->at, sizeof *value);
    } else {
        return refuse(g, key, "a real number");
    }
    return 0;
}

int gguf_bool(const struct gguf *g, const char *key, int *value)
{
    const struct pair *p = find(g, key);
    if (!p || p->type != VALUE_BOOL) return refuse(g, key, "true or false");
    *value = *p->at != 0;
    return 0;
}

int gguf_text(const struct gguf *g, const char *key, const char **text)
{
    const struct pair *p = find(g, key);
    if (!p || p->type != VALUE_TEXT || memchr(p->text.at, 0, p->text.size)) return refuse(g, key, "a text");
    char *copy = arena_take(tensors_memory(g->memory), p->text.size + 1);
    FAIL_IF(!copy, E_MEMORY, "%s: no memory for %s", g->what, key);
    *text = memcpy(copy, p->text.at, p->text.size);
    return 0;
}

int gguf_texts(const struct gguf *g, const char *key, const struct gguf_bytes **texts, size_t *n)
{
    const struct pair *p = find(g, key);
    if (!p || p->type != VALUE_ARRAY || p->element != VALUE_TEXT) return refuse(g, key, "an array of texts");
    *texts = p->texts;
    *n = p->n;
    return 0;
}

int gguf_ints(const struct gguf *g, const char *key, const int32_t **ints, size_t *n)
{
    const struct pair *p = find(g, key);
    if (!p || p->type != VALUE_ARRAY || (p->element != VALUE_I32 && p->element != VALUE_U32)) return refuse(g, key, "an array of whole numbers");
    *ints = p->numbers;
    *n = p->n;
    return 0;
}

int gguf_reals(const struct gguf *g, const char *key, const float **reals, size_t *n)
{
    const struct pair *p = find(g, key);
    if (!p || p->type != VALUE_ARRAY || p->element != VALUE_F32) return refuse(g, key, "an array of real numbers");
    *reals = p->numbers;
    *n = p->n;
    return 0;
}

size_t gguf_count(const struct gguf *g) { return g->n; }
const struct file_tensor *gguf_at(const struct gguf *g, size_t i) { return &g->tensor[i]; }

const struct file_tensor *gguf_find(const struct gguf *g, const char *name)
{
    const struct file_tensor key = { .name = name }, *wanted = &key;
    struct file_tensor **found = g->n ? bsearch(&wanted, g->by_name, g->n, sizeof *g->by_name, by_name) : NULL;
    return found ? *found : NULL;
}

/* ---- writing ---- */

static void put_number(struct text *out, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) text_bytes(out, &(char){ (char)(value >> 8 * i) }, 1);
}

static void put_bytes(struct text *out, const char *at, size_t n)
{
    put_number(out, n, 8);
    text_bytes(out, at, n);
}

static void put_key(struct gguf_keys *k, const char *key, enum value type)
{
    put_bytes(&k->text, key, strlen(key));
    put_number(&k->text, type, 4);
    k->n++;
}

void gguf_put_int(struct gguf_keys *k, const char *key, uint32_t value)
{
    put_key(k, key, VALUE_U32);
    put_number(&k->text, value, 4);
}

void gguf_put_real(struct gguf_keys *k, const char *key, float value)
{
    put_key(k, key, VALUE_F32);
    text_bytes(&k->text, &value, sizeof value);
}

void gguf_put_bool(struct gguf_keys *k, const char *key, int value)
{
    put_key(k, key, VALUE_BOOL);
    put_number(&k->text, value != 0, 1);
}

void gguf_put_text(struct gguf_keys *k, const char *key, const char *text)
{
    put_key(k, key, VALUE_TEXT);
    put_bytes(&k->text, text, strlen(text));
}

static void put_array(struct gguf_keys *k, const char *key, enum value type, size_t n)
{
    put_key(k, key, VALUE_ARRAY);
    put_number(&k->text, type, 4);
    put_number(&k->text, n, 8);
}

void gguf_put_texts(struct gguf_keys *k, const char *key, const struct gguf_bytes *texts, size_t n)
{
    put_array(k, key, VALUE_TEXT, n);
    for (size_t i = 0; i < n; i++) put_bytes(&k->text, texts[i].at, texts[i].size);
}

void gguf_put_ints(struct gguf_keys *k, const char *key, const int32_t *ints, size_t n)
{
    put_array(k, key, VALUE_I32, n);
    text_bytes(&k->text, ints, n * sizeof *ints);
}

static uint32_t number_of(enum dtype type)
{
    size_t i = 0;
    while (types[i].type != type) i++;
    return types[i].number;
}

static size_t padding(size_t at) { return (ALIGNMENT - at % ALIGNMENT) % ALIGNMENT; }

/* The header, padded so that data may follow; sizes[i]: bytes of tensor i. */
static int put_header(struct text *out, const struct gguf_keys *k, const struct file_tensor *t, size_t n, size_t *sizes, const char *path)
{
    size_t at = 0;
    text_add(out, "GGUF");
    put_number(out, 3, 4), put_number(out, n, 8), put_number(out, k->n, 8);
    text_bytes(out, k->text.at, k->text.size);
    for (size_t i = 0; i < n; i++) {
        struct file_tensor one = t[i];
        TRY(measure(&(struct cursor){ .what = path }, &one));
        put_bytes(out, one.name, strlen(one.name));
        put_number(out, (uint64_t)one.n_dims, 4);
        for (int d = one.n_dims; d-- > 0;) put_number(out, (uint64_t)one.dim[d], 8);
        put_number(out, number_of(one.type), 4);
        put_number(out, at, 8);
        sizes[i] = one.size;
        at += one.size + padding(one.size);
    }
    text_format(out, "%*s", (int)padding(out->size), "");
    FAIL_IF(out->failed || k->text.failed, E_MEMORY, "no memory to write %s", path);
    return 0;
}

static int write_data(struct file_writer *w, const size_t *sizes, size_t n, int (*fill)(void *, size_t, void *), void *context)
{
    for (size_t i = 0; i < n; i++) {
        size_t size = sizes[i] + padding(sizes[i]);
        char *buffer = calloc(1, size + 1);
        FAIL_IF(!buffer, E_MEMORY, "no memory to write a tensor of %zu bytes", size);
        int failed = fill(context, i, buffer);
        if (!failed) failed = file_append(w, buffer, size);
        free(buffer);
        if (failed) return failed;
    }
    return file_commit(w);
}

int gguf_write(const char *path, const struct gguf_keys *k, const struct file_tensor *t, size_t n, int (*fill)(void *context, size_t i, void *buffer), void *context)
{
    struct file_writer w = { .fd = -1 };
    struct text header = { 0 };
    size_t *sizes = calloc(n + 1, sizeof *sizes);
    int failed = sizes ? put_header(&header, k, t, n, sizes, path) : error_set(E_MEMORY, __FILE__, __LINE__, "no memory to write %s", path);
    if (!failed) failed = file_create(&w, path);
    if (!failed) failed = file_append(&w, header.at, header.size);
    if (!failed) failed = write_data(&w, sizes, n, fill, context);
    file_discard(&w);
    text_free(&header);
    free(sizes);
    return failed;
}

#ifdef FUZZ_GGUF
static void ask(const struct gguf *g, const char *key)
{
    int64_t i;
    double r;
    int b;
    const char *text;
    const struct gguf_bytes *texts;
    const int32_t *ints;
    const float *reals;
    size_t n, sum = 0;
    if (!gguf_int(g, key, -5, 5, &i) && (i < -5 || i > 5)) abort();
    gguf_real(g, key, &r);
    gguf_bool(g, key, &b);
    if (!gguf_text(g, key, &text)) sum += strlen(text);
    if (!gguf_texts(g, key, &texts, &n))
        for (size_t k = 0; k < n; k++) sum += texts[k].size ? (uint8_t)texts[k].at[texts[k].size - 1] : 0;
    if (!gguf_ints(g, key, &ints, &n) && n) sum |= (uint32_t)ints[n - 1];
    if (!gguf_reals(g, key, &reals, &n) && n) sum |= reals[n - 1] > 0;
    if (sum == SIZE_MAX) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gguf *g;
    if (gguf_parse(&g, data, size, "fuzz")) return 0;
    for (size_t i = 0; i < g->pairs; i++) ask(g, g->pair[i].key);
    ask(g, "absent");
    for (size_t i = 0; i < gguf_count(g); i++) {
        const struct file_tensor *t = gguf_at(g, i);
        const uint8_t *at = t->data;
        if (gguf_find(g, t->name) != t || at < data || t->size > (size_t)(data + size - at)) abort();
        size_t n = t->size / dtype_size(t->type) * dtype_values(t->type);
        float *values = is_quantized(t->type) ? malloc(n * sizeof *values + 1) : NULL;
        if (values) dequantize(t->type, t->data, values, n);
        free(values);
    }
    gguf_close(g);
    return 0;
}
#endif
