/* safetensors.c -- the format is described in the README of github.com/huggingface/safetensors; its limits, and what is an error,
 * are those of the reference reader (safetensors/src/tensor.rs).
 *
 *     8 bytes    N, the size of the header, little-endian
 *     N bytes    {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ..., "__metadata__": {"key": "value"}}
 *     the rest   the tensors; offsets count from here, and leave out no byte
 *
 * The header is read in one pass, value by value: a document tree would take up to fifty times the memory of hostile text. */
#include "file/safetensors.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensors are used as they lie in the file");

enum { LENGTH_SIZE = 8, MAX_HEADER = 100 * 1000 * 1000, DATA_ALIGN = 64 };

struct entry { struct file_tensor t; size_t begin, end; struct entry *next; };   /* begin, end: data_offsets */
struct pair { const char *key, *value; struct pair *next; };                     /* of the metadata */

/* One file's header. */
struct header {
    struct arena *memory;
    struct entry *entry;                 /* two lists, the last of the header first ... */
    struct pair *pair;
    struct entry **by_data, **by_name;   /* ... and the same in order */
    struct pair **by_key;
    int n, n_pairs, has_metadata;
};

/* ---- types ---- */

static const struct { const char *name; enum dtype type; } types[] = {
#define X(name, values, size, text) { #name, name },
    DTYPES(X)
#undef X
    { "BOOL", U8 },                      /* the causal masks that old GPT-2 files carry along */
};

/* The order of the reference's enumeration, by which its writer sorts, last first. */
static const int rank[DTYPE_COUNT] = { [U8] = 0, [U16] = 1, [F16] = 2, [BF16] = 3, [I32] = 4, [F32] = 5, [F64] = 6, [I64] = 7 };

static int find_type(const char *name, enum dtype *type)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (!strcmp(types[i].name, name) && dtype_values(types[i].type) == 1) {
            *type = types[i].type;
            return 1;
        }
    return 0;
}

/* ---- the JSON of the header: each function takes one thing, or says at which byte of the file what was expected ---- */

struct cursor { const char *start, *at, *end, *what; struct header *s; };

static int unexpected(const struct cursor *c, const char *wanted)
{
    FAIL(E_DATA, "%s: byte %zu: %s was expected", c->what, LENGTH_SIZE + (size_t)(c->at - c->start), wanted);
}

static void skip_space(struct cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\r' || *c->at == '\t')) c->at++;
}

static int next_is(struct cursor *c, char wanted)            /* takes it if so */
{
    skip_space(c);
    if (c->at == c->end || *c->at != wanted) return 0;
    c->at++;
    return 1;
}

static int take(struct cursor *c, char wanted)
{
    if (next_is(c, wanted)) return 0;
    return unexpected(c, (char[]){ '\'', wanted, '\'', 0 });
}

/* What is between the quotes, as a C string in the arena.  jansson knows about escapes and UTF-8; NULL: it does not like them. */
static const char *unquote(struct arena *memory, const char *quoted, size_t n, int plain)
{
    if (plain) {
        char *copy = arena_take(memory, n - 1);              /* zeroed; two quotes less, a final 0 more */
        return copy ? memcpy(copy, quoted + 1, n - 2) : NULL;
    }
    json_t *value = json_loadb(quoted, n, JSON_DECODE_ANY, NULL);
    const char *string = value ? arena_copy(memory, json_string_value(value)) : NULL;
    json_decref(value);
    return string;
}

static int take_string(struct cursor *c, const char **string)
{
    TRY(take(c, '"'));
    const char *open = c->at - 1, *at = c->at;
    int plain = 1;                                           /* printable ASCII without escapes, as nearly all names are */
    for (; at < c->end && *at != '"'; at++) {
        plain &= *at >= ' ' && *at <= '~' && *at != '\\';
        if (*at == '\\' && at + 1 < c->end) at++;
    }
    *string = at < c->end ? unquote(c->s->memory, open, (size_t)(at + 1 - open), plain) : NULL;
    FAIL_IF(c->s->memory->failed, E_MEMORY, "%s: no memory for the names", c->what);
    if (!*string) return unexpected(c, "a JSON string in valid UTF-8, without NUL,");
    c->at = at + 1;
    return 0;
}

/* Digits alone: the reference takes no sign, fraction or exponent either. */
static int take_size(struct cursor *c, size_t *size)
{
    skip_space(c);
    const char *first = c->at;
    for (*size = 0; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++)
        if (!size_mul(*size, 10, size) || !size_add(*size, (size_t)(*c->at - '0'), size)) return unexpected(c, "a smaller number");
    if (c->at == first || (*first == '0' && c->at - first > 1)) return unexpected(c, "a whole number");
    return 0;
}

static int take_sizes(struct cursor *c, size_t *size, int most, int *n)
{
    *n = 0;
    TRY(take(c, '['));
    if (next_is(c, ']')) return 0;
    do {
        if (*n == most) return unexpected(c, "the end of the list");
        TRY(take_size(c, &size[(*n)++]));
    } while (next_is(c, ','));
    return take(c, ']');
}

static int take_type(struct cursor *c, struct entry *e)
{
    const char *name;
    TRY(take_string(c, &name));
    FAIL_IF(!find_type(name, &e->t.type), E_DATA, "%s: tensor %.200s: its type %.20s is not supported", c->what, e->t.name, name);
    return 0;
}

static int take_shape(struct cursor *c, struct entry *e)
{
    size_t dim[MAX_DIMS];
    TRY(take_sizes(c, dim, MAX_DIMS, &e->t.n_dims));
    for (int i = 0; i < e->t.n_dims; i++) {
        FAIL_IF(dim[i] > INT64_MAX, E_DATA, "%s: tensor %.200s: a dimension of %zu", c->what, e->t.name, dim[i]);
        e->t.dim[i] = (int64_t)dim[i];
    }
    return 0;
}

static int take_offsets(struct cursor *c, struct entry *e)
{
    int n;
    size_t offset[2];
    TRY(take_sizes(c, offset, 2, &n));
    if (n < 2) return unexpected(c, "a second offset");
    e->begin = offset[0];
    e->end = offset[1];
    return 0;
}

static const struct { const char *key; int (*take)(struct cursor *, struct entry *); } fields[] = {
    { "dtype", take_type }, { "shape", take_shape }, { "data_offsets", take_offsets },
};
enum { FIELDS = sizeof fields / sizeof *fields };

/* {"dtype": ..., "shape": ..., "data_offsets": ...}, each once, in any order */
static int take_entry(struct cursor *c, struct entry *e)
{
    unsigned seen = 0;
    TRY(take(c, '{'));
    for (int n = 0; n < FIELDS; n++) {
        const char *key;
        int i = 0;
        if (n) TRY(take(c, ','));
        TRY(take_string(c, &key));
        while (i < FIELDS && strcmp(fields[i].key, key)) i++;
        FAIL_IF(i == FIELDS || seen & 1u << i, E_DATA, "%s: tensor %.200s: the key \"%.50s\" is %s", c->what, e->t.name, key,
                i == FIELDS ? "unknown" : "there twice");
        seen |= 1u << i;
        TRY(take(c, ':'));
        TRY(fields[i].take(c, e));
    }
    return take(c, '}');
}

static int no_memory(const struct cursor *c)
{
    FAIL(E_MEMORY, "%s: no memory for a header of %zu bytes", c->what, (size_t)(c->end - c->start));
}

static int take_metadata(struct cursor *c)
{
    struct header *s = c->s;
    FAIL_IF(s->has_metadata++, E_DATA, "%s: __metadata__ is there twice", c->what);
    TRY(take(c, '{'));
    if (next_is(c, '}')) return 0;
    do {
        struct pair *p = arena_take(s->memory, sizeof *p);
        if (!p) return no_memory(c);
        TRY(take_string(c, &p->key));
        TRY(take(c, ':'));
        TRY(take_string(c, &p->value));
        p->next = s->pair;
        s->pair = p;
        s->n_pairs++;
    } while (next_is(c, ','));
    return take(c, '}');
}

static int take_member(struct cursor *c)
{
    struct header *s = c->s;
    const char *name;
    TRY(take_string(c, &name));
    TRY(take(c, ':'));
    if (!strcmp(name, "__metadata__")) return take_metadata(c);
    struct entry *e = arena_take(s->memory, sizeof *e);
    if (!e) return no_memory(c);
    e->t.name = name;
    e->next = s->entry;
    s->entry = e;
    s->n++;
    return take_entry(c, e);
}

static int take_header(struct cursor *c)
{
    TRY(take(c, '{'));
    if (!next_is(c, '}')) {
        do TRY(take_member(c));
        while (next_is(c, ','));
        TRY(take(c, '}'));
    }
    skip_space(c);                                           /* writers pad with it */
    return c->at == c->end ? 0 : unexpected(c, "the end of the header");
}

/* ---- order ---- */

static int by_data(const void *a, const void *b)
{
    const struct entry *x = *(const struct entry *const *)a, *y = *(const struct entry *const *)b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end) return x->end < y->end ? -1 : 1;   /* tensors of no size come before the one that begins there */
    return strcmp(x->t.name, y->t.name);
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const struct entry *const *)a)->t.name, (*(const struct entry *const *)b)->t.name);
}

static int by_key(const void *a, const void *b)
{
    return strcmp((*(const struct pair *const *)a)->key, (*(const struct pair *const *)b)->key);
}

/* Sorting also finds the names that are there twice; the reference keeps the last of them. */
static int put_in_order(struct cursor *c)
{
    struct header *s = c->s;
    size_t n = (size_t)s->n, m = (size_t)s->n_pairs, i = 0;  /* each has its bytes in the header: no overflow */
    s->by_data = arena_take(s->memory, n * sizeof *s->by_data);
    s->by_name = arena_take(s->memory, n * sizeof *s->by_name);
    s->by_key = arena_take(s->memory, m * sizeof *s->by_key);
    if (s->memory->failed) return no_memory(c);
    for (struct entry *e = s->entry; e; e = e->next) s->by_data[i] = s->by_name[i] = e, i++;
    i = 0;
    for (struct pair *p = s->pair; p; p = p->next) s->by_key[i++] = p;
    qsort(s->by_data, n, sizeof *s->by_data, by_data);
    qsort(s->by_name, n, sizeof *s->by_name, by_name);
    qsort(s->by_key, m, sizeof *s->by_key, by_key);
    for (i = 1; i < n; i++)
        FAIL_IF(!by_name(&s->by_name[i - 1], &s->by_name[i]), E_DATA, "%s: two tensors named %.200s", c->what, s->by_name[i]->t.name);
    for (i = 1; i < m; i++)
        FAIL_IF(!by_key(&s->by_key[i - 1], &s->by_key[i]), E_DATA, "%s: __metadata__ has the key %.200s twice", c->what,
                s->by_key[i]->key);
    return 0;
}

/* Tensors follow one another without a gap, each as large as its shape says, to the end of the file.  (data NULL: there is none yet.) */
static int lay_out(struct cursor *c, const uint8_t *data, size_t size)
{
    size_t at = 0, need;
    for (int i = 0; i < c->s->n; i++) {
        struct entry *e = c->s->by_data[i];
        FAIL_IF(e->begin != at || e->end < at, E_DATA, "%s: tensor %.200s: its data_offsets are %zu, %zu; the first should be %zu",
                c->what, e->t.name, e->begin, e->end, at);
        FAIL_IF(!file_tensor_bytes(&e->t, &need) || need != e->end - at, E_DATA, "%s: tensor %.200s: its shape does not fit its %zu bytes",
                c->what, e->t.name, e->end - at);
        FAIL_IF(e->end > size, E_DATA, "%s: tensor %.200s: ends at byte %zu of %zu: the file is cut off", c->what, e->t.name,
                e->end, size);
        e->t.data = data ? data + at : NULL;
        e->t.size = need;
        at = e->end;
    }
    FAIL_IF(at != size, E_DATA, "%s: %zu bytes of data belong to no tensor", c->what, size - at);
    return 0;
}

static int read_header(struct header *s, const char *header, size_t n, const uint8_t *data, size_t size, const char *what)
{
    struct cursor c = { .start = header, .at = header, .end = header + n, .what = what, .s = s };
    FAIL_IF(memchr(header, 0, n), E_DATA, "%s: NUL bytes in its header", what);      /* jansson passes over them */
    TRY(take_header(&c));
    TRY(put_in_order(&c));
    return lay_out(&c, data, size);
}

/* ---- reading ---- */

static int parse(struct header *s, const uint8_t *bytes, size_t size, const char *what)
{
    uint64_t n;
    FAIL_IF(size < LENGTH_SIZE, E_DATA, "%s: %zu bytes are too few for a safetensors file", what, size);
    memcpy(&n, bytes, sizeof n);
    FAIL_IF(n > MAX_HEADER, E_DATA, "%s: a header of %llu bytes, at most %d are allowed: not a safetensors file?", what,
            (unsigned long long)n, MAX_HEADER);
    FAIL_IF(n > size - LENGTH_SIZE, E_DATA, "%s: a header of %llu bytes in a file of %zu: not a safetensors file, or cut off", what,
            (unsigned long long)n, size);
    const uint8_t *header = bytes + LENGTH_SIZE, *data = header + n;
    return read_header(s, (const char *)header, n, data, size - LENGTH_SIZE - n, what);
}

static int add_all(struct tensors *t, const uint8_t *bytes, size_t size, const char *what)
{
    struct header s = { .memory = tensors_memory(t) };
    TRY(parse(&s, bytes, size, what));
    for (int i = 0; i < s.n; i++) TRY(tensors_add(t, &s.by_data[i]->t));
    for (int i = 0; i < s.n_pairs; i++) TRY(tensors_note(t, s.by_key[i]->key, s.by_key[i]->value));
    return 0;
}

int safetensors_add(struct tensors *t, const char *path)
{
    struct file_map map;
    TRY(tensors_map(t, &map, path));
    return add_all(t, map.at, map.size, path);
}

/* From the caller's bytes, or, where they are NULL, from the file `what`. */
static int open_set(struct tensors *t, const uint8_t *bytes, size_t size, const char *what)
{
    TRY(bytes ? add_all(t, bytes, size, what) : safetensors_add(t, what));
    return tensors_settle(t, what);
}

int safetensors_parse(struct tensors **t, const uint8_t *bytes, size_t size, const char *what)
{
    TRY(tensors_new(t));
    int failed = open_set(*t, bytes, size, what);
    if (failed) {
        tensors_close(*t);
        *t = NULL;
    }
    return failed;
}

int safetensors_open(struct tensors **t, const char *path) { return safetensors_parse(t, NULL, 0, path); }

/* ---- writing ---- */

static int by_rank(const void *a, const void *b)
{
    const struct file_tensor *x = *(const struct file_tensor *const *)a, *y = *(const struct file_tensor *const *)b;
    return x->type == y->type ? strcmp(x->name, y->name) : rank[y->type] - rank[x->type];
}

static void print_metadata(struct text *h, const char *const *pair)
{
    text_add(h, "{\"__metadata__\":{\"format\":\"pt\"");
    for (; pair && *pair; pair += 2) {
        text_add(h, ",");
        json_quote(h, pair[0]);
        text_add(h, ":");
        json_quote(h, pair[1]);
    }
    text_add(h, "}");
}

static void print_entry(struct text *h, const struct file_tensor *t, size_t begin)
{
    text_add(h, ",");
    json_quote(h, t->name);
    text_format(h, ":{\"dtype\":\"%s\",\"shape\":[", types[t->type].name);
    for (int i = 0; i < t->n_dims; i++) text_format(h, i ? ",%lld" : "%lld", (long long)t->dim[i]);
    text_format(h, "],\"data_offsets\":[%zu,%zu]}", begin, begin + t->size);
}

/* h: the length and the JSON, which spaces pad so that the data is aligned.  It must pass our own reader: then names are unique,
 * sizes fit their shapes, and the file can be read again. */
static int make_header(struct text *h, const struct file_tensor *const *order, int n, const char *const *metadata, const char *path)
{
    size_t begin = 0;
    text_bytes(h, (char[LENGTH_SIZE]){ 0 }, LENGTH_SIZE);
    print_metadata(h, metadata);
    for (int i = 0; i < n; i++) {
        print_entry(h, order[i], begin);
        begin += order[i]->size;
    }
    text_add(h, "}");
    text_format(h, "%*s", (int)((DATA_ALIGN - h->size % DATA_ALIGN) % DATA_ALIGN), "");
    FAIL_IF(h->failed, E_MEMORY, "%s: no memory for its header, or a name in it is not UTF-8", path);
    uint64_t length = h->size - LENGTH_SIZE;
    FAIL_IF(length > MAX_HEADER, E_MODEL, "%s: its header would have %zu bytes, more than the %d that are allowed", path, h->size,
            MAX_HEADER);
    memcpy(h->at, &length, sizeof length);
    struct arena memory = { 0 };
    struct header check = { .memory = &memory };
    int failed = read_header(&check, h->at + LENGTH_SIZE, length, NULL, begin, path);
    arena_free(&memory);
    return failed;
}

struct output {
    struct file_writer file;
    struct sha256 sum;
    struct text header;
    const struct file_tensor *t, **order;
    int n;
    int (*fill)(void *context, int i, void *buffer);
    void *context, *buffer;              /* buffer: as large as the largest tensor that fill makes */
};

/* All that can fail before the first byte is written. */
static int prepare(struct output *o, const char *const *metadata, const char *path)
{
    size_t largest = 0;
    for (int i = 0; i < o->n; i++)
        if (!o->t[i].data && o->t[i].size > largest) largest = o->t[i].size;
    o->order = calloc((size_t)o->n + 1, sizeof *o->order);
    o->buffer = largest ? malloc(largest) : NULL;
    FAIL_IF(!o->order || (largest && !o->buffer), E_MEMORY, "%s: no memory to write a tensor of %zu bytes", path, largest);
    for (int i = 0; i < o->n; i++) o->order[i] = &o->t[i];
    qsort(o->order, (size_t)o->n, sizeof *o->order, by_rank);
    return make_header(&o->header, o->order, o->n, metadata, path);
}

static int put(struct output *o, const void *bytes, size_t n)
{
    sha256_add(&o->sum, bytes, n);
    return file_append(&o->file, bytes, n);
}

static int write_all(struct output *o)
{
    sha256_start(&o->sum);
    TRY(put(o, o->header.at, o->header.size));
    for (int i = 0; i < o->n; i++) {
        const struct file_tensor *t = o->order[i];
        if (t->size == 0) continue;
        if (!t->data) TRY(o->fill(o->context, (int)(t - o->t), o->buffer));
        TRY(put(o, t->data ? t->data : o->buffer, t->size));
    }
    return file_commit(&o->file);
}

int safetensors_write(const char *path, const struct file_tensor *t, int n, const char *const *metadata,
                      int (*fill)(void *context, int i, void *buffer), void *context, char sha256[65])
{
    struct output o = { .file.fd = -1, .t = t, .n = n, .fill = fill, .context = context };
    int failed = prepare(&o, metadata, path);
    if (!failed) failed = file_create(&o.file, path);
    if (!failed) failed = write_all(&o);
    if (!failed && sha256) sha256_end(&o.sum, sha256);
    file_discard(&o.file);                                   /* nothing after a commit */
    text_free(&o.header);
    free(o.order);
    free(o.buffer);
    return failed;
}

#ifdef FUZZ_SAFETENSORS
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tensors *s;
    if (safetensors_parse(&s, data, size, "fuzz")) return 0;
    const uint8_t *at = NULL;
    for (int i = 0; i < tensors_count(s); i++) {         /* tensors tile the rest of the file, and are found by name */
        const struct file_tensor *t = tensors_at(s, i);
        if (tensors_find(s, t->name) != t || (at && t->data != at)) abort();
        at = (const uint8_t *)t->data + t->size;
    }
    if (at && at != data + size) abort();
    tensors_metadata(s, "format");
    tensors_close(s);
    return 0;
}
#endif
