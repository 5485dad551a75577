/* tensors.c -- a list, sorted by name once it is whole. */
#include "file/tensors.h"

#include <stdlib.h>
#include <string.h>

#include "base/quantize.h"
#include "base/checked.h"
#include "base/error.h"

struct entry { struct file_tensor t; struct entry *next; };
struct map { struct file_map map; struct map *next; };
struct note { const char *key, *value; struct note *next; };

struct tensors {
    struct arena memory;                 /* for all that follows */
    struct map *map;
    struct note *note, **last_note;
    struct entry *entry, **last;         /* a list until it is settled */
    int n;
    const struct file_tensor **at, **by_name;
};

int file_tensor_bytes(const struct file_tensor *t, size_t *size)
{
    size_t block = dtype_values(t->type);
    *size = dtype_size(t->type);
    for (int i = 0; i < t->n_dims; i++) {
        size_t values = i == t->n_dims - 1 ? block : 1;
        if (t->dim[i] < 0 || (size_t)t->dim[i] % values || !size_mul(*size, (size_t)t->dim[i] / values, size)) return 0;
    }
    return t->n_dims > 0 || block == 1;
}

int file_tensor_widen(struct file_tensor *t, struct arena *memory)
{
    size_t values = dtype_values(t->type), n = t->size / dtype_size(t->type) * values, bytes;
    if (values == 1) return 0;
    float *to = size_mul(n, sizeof *to, &bytes) ? arena_take(memory, bytes) : NULL;
    FAIL_IF(!to, E_MEMORY, "no memory for %.200s, %zu numbers", t->name, n);
    dequantize(t->type, t->data, to, n);
    t->data = to;
    t->type = F32;
    t->size = bytes;
    return 0;
}

int file_tensor_turn(struct file_tensor *t, struct arena *memory)
{
    enum { TILE = 32 };                                      /* rows whose lines stay in the cache while they are read */
    TRY(file_tensor_widen(t, memory));
    size_t rows = (size_t)t->dim[0], cols = (size_t)t->dim[1], size = dtype_size(t->type);
    char *to = arena_take(memory, t->size);
    FAIL_IF(!to, E_MEMORY, "no memory for %.200s, %zu bytes", t->name, t->size);
    for (size_t from = 0; from < rows; from += TILE)
        for (size_t c = 0; c < cols; c++)
            for (size_t r = from; r < rows && r < from + TILE; r++) memcpy(to + (c * rows + r) * size, (const char *)t->data + (r * cols + c) * size, size);
    t->data = to;
    t->dim[0] = (int64_t)cols;
    t->dim[1] = (int64_t)rows;
    t->turned = !t->turned;
    return 0;
}

/* ---- filling ---- */

int tensors_new(struct tensors **t)
{
    *t = calloc(1, sizeof **t);
    FAIL_IF(!*t, E_MEMORY, "no memory for tensors");
    (*t)->last = &(*t)->entry;
    (*t)->last_note = &(*t)->note;
    return 0;
}

struct arena *tensors_memory(struct tensors *t) { return &t->memory; }

int tensors_map(struct tensors *t, struct file_map *map, const char *path)
{
    struct map *m = arena_take(&t->memory, sizeof *m);
    FAIL_IF(!m, E_MEMORY, "%s: no memory", path);
    TRY(file_open_map(&m->map, path));
    m->next = t->map;
    t->map = m;
    *map = m->map;
    return 0;
}

int tensors_add(struct tensors *t, const struct file_tensor *one)
{
    struct entry *e = arena_take(&t->memory, sizeof *e);
    FAIL_IF(!e || t->n == INT32_MAX, E_MEMORY, "no memory for tensor %.200s", one->name);
    e->t = *one;
    *t->last = e;
    t->last = &e->next;
    t->n++;
    return 0;
}

int tensors_note(struct tensors *t, const char *key, const char *value)
{
    struct note *n = arena_take(&t->memory, sizeof *n);
    FAIL_IF(!n, E_MEMORY, "no memory for metadata");
    *n = (struct note){ key, value, NULL };
    *t->last_note = n;
    t->last_note = &n->next;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const struct file_tensor *const *)a)->name, (*(const struct file_tensor *const *)b)->name);
}

int tensors_settle(struct tensors *t, const char *what)
{
    size_t n = (size_t)t->n, i = 0;
    t->at = arena_take(&t->memory, n * sizeof *t->at);
    t->by_name = arena_take(&t->memory, n * sizeof *t->by_name);
    FAIL_IF(t->memory.failed, E_MEMORY, "%s: no memory for %zu tensors", what, n);
    for (struct entry *e = t->entry; e; e = e->next) t->at[i] = t->by_name[i] = &e->t, i++;
    qsort(t->by_name, n, sizeof *t->by_name, by_name);
    for (i = 1; i < n; i++) FAIL_IF(!by_name(&t->by_name[i - 1], &t->by_name[i]), E_DATA, "%s: two tensors named %.200s", what, t->by_name[i]->name);
    return 0;
}

void tensors_close(struct tensors *t)
{
    if (!t) return;
    for (struct map *m = t->map; m; m = m->next) file_close_map(&m->map);
    arena_free(&t->memory);
    free(t);
}

/* ---- asking ---- */

int tensors_count(const struct tensors *t) { return t->n; }

const struct file_tensor *tensors_at(const struct tensors *t, int i) { return t->at[i]; }

const struct file_tensor *tensors_find(const struct tensors *t, const char *name)
{
    const struct file_tensor key = { .name = name }, *wanted = &key;
    const struct file_tensor **found = bsearch(&wanted, t->by_name, (size_t)t->n, sizeof *t->by_name, by_name);
    return found ? *found : NULL;
}

const char *tensors_metadata(const struct tensors *t, const char *key)
{
    const struct note *n = t->note;
    while (n && strcmp(n->key, key)) n = n->next;
    return n ? n->value : NULL;
}
