/* torch.c -- from the tree of a pickle to tensors. */
#include "file/torch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"

#define REBUILD "torch._utils _rebuild_tensor_v2"            /* (storage, offset, shape, strides, requires_grad, hooks) */
#define PARAMETER "torch._utils _rebuild_parameter"          /* (tensor, requires_grad, hooks) */

enum { MOST_PICKLE = 64 << 20, MOST_KEY = 64 };

static const struct { const char *name; enum dtype type; } storages[] = {
    { "torch FloatStorage", F32 }, { "torch HalfStorage", F16 }, { "torch BFloat16Storage", BF16 }, { "torch DoubleStorage", F64 }, { "torch LongStorage", I64 },
    { "torch IntStorage", I32 }, { "torch ByteStorage", U8 }, { "torch BoolStorage", U8 },
};

static const char *const known[] = {
    REBUILD, PARAMETER, "torch FloatStorage", "torch HalfStorage", "torch BFloat16Storage", "torch DoubleStorage", "torch LongStorage", "torch IntStorage", "torch ByteStorage",
    "torch BoolStorage", "torch Size", NULL,
};
static const struct pickle_names names = { "collections OrderedDict", known };

/* ---- the archive ---- */

/* The file NAME of whatever folder the archive has its files in. */
static const struct zip_entry *find_file(const struct zip *z, const char *name)
{
    for (size_t i = 0; i < z->n; i++) {
        const char *slash = strchr(z->entry[i].name, '/');
        if (slash && !strcmp(slash + 1, name)) return &z->entry[i];
    }
    return NULL;
}

static int read_tree(struct torch *t, const uint8_t *bytes, size_t size)
{
    struct pickle *root;
    FAIL_IF(size >= 2 && bytes[0] == 0x80 && bytes[1] == 2, E_DATA, "%s: written by a PyTorch older than 1.6, or a bare pickle; load it there and torch.save it again", t->what);
    TRY(zip_parse(&t->zip, tensors_memory(t->tensors), bytes, size, t->what));
    const struct zip_entry *data = find_file(&t->zip, "data.pkl"), *order = find_file(&t->zip, "byteorder");
    FAIL_IF(!data, E_DATA, "%s: a ZIP archive, but not by torch.save: it has no data.pkl", t->what);
    FAIL_IF(order && (order->size != 6 || memcmp(order->data, "little", 6)), E_DATA, "%s: written on a big-endian machine", t->what);
    FAIL_IF(data->size > MOST_PICKLE, E_DATA, "%s: a pickle of %zu bytes; more than %d are not read", t->what, data->size, MOST_PICKLE);
    TRY(zip_check(data, t->what));
    TRY(pickle_parse(&root, tensors_memory(t->tensors), data->data, data->size, &names, t->what));
    t->root = root;
    return 0;
}

int torch_parse(struct torch *t, const uint8_t *bytes, size_t size, const char *what)
{
    *t = (struct torch){ .what = what };
    TRY(tensors_new(&t->tensors));
    struct file_map map = { bytes, size };
    int failed = bytes ? 0 : tensors_map(t->tensors, &map, what);
    if (!failed) failed = read_tree(t, map.at, map.size);
    if (failed) torch_close(t);
    return failed;
}

int torch_open(struct torch *t, const char *path) { return torch_parse(t, NULL, 0, path); }

void torch_close(struct torch *t)
{
    tensors_close(t->tensors);
    *t = (struct torch){ 0 };
}

/* ---- tensors ---- */

static int refuse(const struct torch *t, const char *why) { FAIL(E_DATA, "%s: %s", t->what, why); }

/* The arguments of a call of this name, of which there are `least`; NULL: it is another value. */
static const struct pickle *arguments(const struct pickle *p, const char *name, size_t least)
{
    if (!p || p->kind != PICKLE_CALL || strcmp(p->item[0]->string, name)) return NULL;
    return p->item[1]->n >= least ? p->item[1] : NULL;
}

struct storage { enum dtype type; const uint8_t *data; size_t n; };              /* n elements */

/* ("storage", its class, the name of its file, where it was, elements) */
static int find_storage(const struct torch *t, const struct pickle *p, struct storage *s)
{
    char name[MOST_KEY + 8];
    const struct pickle *id = p->kind == PICKLE_STORED ? p->item[0] : NULL;
    if (!id || id->kind != PICKLE_TUPLE || id->n != 5 || id->item[1]->kind != PICKLE_GLOBAL || id->item[2]->kind != PICKLE_STRING || id->item[2]->size > MOST_KEY)
        return refuse(t, "a tensor without a storage");
    size_t i = 0, kinds = sizeof storages / sizeof *storages;
    while (i < kinds && strcmp(storages[i].name, id->item[1]->string)) i++;
    FAIL_IF(i == kinds, E_DATA, "%s: a storage of class %s", t->what, id->item[1]->string);
    snprintf(name, sizeof name, "data/%s", id->item[2]->string);
    const struct zip_entry *e = find_file(&t->zip, name);
    FAIL_IF(!e, E_DATA, "%s: its file %s is missing", t->what, name);
    TRY(zip_check(e, t->what));
    *s = (struct storage){ storages[i].type, e->data, e->size / dtype_size(storages[i].type) };
    return 0;
}

/* A tuple of sizes, as torch.Size or bare; E_DATA: negative, or too many. */
static int take_sizes(const struct torch *t, const struct pickle *p, int64_t *size, int *n)
{
    const struct pickle *inner = arguments(p, "torch Size", 1);
    if (inner) p = inner->item[0];
    if (p->kind != PICKLE_TUPLE || p->n > MAX_DIMS) return refuse(t, "a tensor whose shape or strides are not up to eight numbers");
    *n = (int)p->n;
    for (size_t i = 0; i < p->n; i++) {
        if (p->item[i]->kind != PICKLE_INT || p->item[i]->integer < 0) return refuse(t, "a tensor whose shape or strides are not up to eight numbers");
        size[i] = p->item[i]->integer;
    }
    return 0;
}

static int is_contiguous(const struct file_tensor *one, const int64_t *stride)
{
    int64_t next = 1;
    for (int i = one->n_dims; i-- > 0; next *= one->dim[i])
        if (one->dim[i] != 1 && stride[i] != next) return 0;
    return 1;
}

/* The last element lies in the storage, and there are no more of them than it has: nothing there is repeated. */
static int fits(const struct file_tensor *one, const int64_t *stride, size_t first, size_t n)
{
    size_t bytes, last = first, step;
    if (!file_tensor_bytes(one, &bytes) || bytes / dtype_size(one->type) > n) return 0;
    if (!bytes) return 1;
    for (int i = 0; i < one->n_dims; i++)
        if (!size_mul((size_t)one->dim[i] - 1, (size_t)stride[i], &step) || !size_add(last, step, &last)) return 0;
    return last < n;
}

/* Elements in order, the last dimension fastest. */
static void gather(char *to, const struct file_tensor *one, const int64_t *stride, const uint8_t *from)
{
    size_t size = dtype_size(one->type), n = one->size / size;
    for (size_t i = 0; i < n; i++) {
        size_t left = i, at = 0;
        for (int d = one->n_dims; d-- > 0; left /= (size_t)one->dim[d]) at += left % (size_t)one->dim[d] * (size_t)stride[d];
        memcpy(to + i * size, from + at * size, size);
    }
}

int torch_tensor(struct torch *t, const struct pickle *value, struct file_tensor *one)
{
    struct storage s = { 0 };
    int64_t stride[MAX_DIMS];
    int n;
    const struct pickle *parameter = arguments(value, PARAMETER, 1), *a = arguments(parameter ? parameter->item[0] : value, REBUILD, 4);
    if (!a || a->item[1]->kind != PICKLE_INT || a->item[1]->integer < 0) return refuse(t, "a tensor was expected");
    TRY(find_storage(t, a->item[0], &s));
    TRY(take_sizes(t, a->item[2], one->dim, &one->n_dims));
    TRY(take_sizes(t, a->item[3], stride, &n));
    one->type = s.type;
    size_t first = (size_t)a->item[1]->integer;
    if (n != one->n_dims || !fits(one, stride, first, s.n) || !file_tensor_bytes(one, &one->size)) return refuse(t, "a tensor that does not lie in its storage");
    if (!one->size) first = 0;
    const uint8_t *data = s.data + first * dtype_size(s.type);
    char *copy = is_contiguous(one, stride) ? NULL : arena_take(tensors_memory(t->tensors), one->size);
    FAIL_IF(tensors_memory(t->tensors)->failed, E_MEMORY, "%s: no memory for a tensor of %zu bytes", t->what, one->size);
    if (copy) gather(copy, one, stride, data);
    one->data = copy ? (void *)copy : data;
    return 0;
}

static int add(struct torch *t, const struct pickle *name, const struct pickle *value)
{
    struct file_tensor one = { 0 };
    if (name->kind != PICKLE_STRING || strlen(name->string) != name->size) return refuse(t, "a state dict whose keys are not names");
    one.name = name->string;
    int failed = torch_tensor(t, value, &one);
    return failed ? failed : tensors_add(t->tensors, &one);
}

int torch_add(struct torch *t, const struct pickle *dict)
{
    if (!dict || dict->kind != PICKLE_DICT) return refuse(t, "a state dict was expected");
    for (size_t i = 0; i < dict->n; i += 2) TRY(add(t, dict->item[i], dict->item[i + 1]));
    return tensors_settle(t->tensors, t->what);
}

/* ---- writing ---- */

static void put_sizes(struct text *out, const int64_t *size, int n)
{
    text_add(out, "(");
    for (int i = 0; i < n; i++) pickle_put_int(out, size[i]);
    text_add(out, "t");
}

void torch_put(struct text *out, const struct file_tensor *one, int i)
{
    char key[16];
    size_t kind = 0;
    int64_t stride[MAX_DIMS], n = 1;
    while (storages[kind].type != one->type) kind++;
    for (int d = one->n_dims; d-- > 0; n *= one->dim[d]) stride[d] = n;
    snprintf(key, sizeof key, "%d", i);
    text_add(out, "ctorch._utils\n_rebuild_tensor_v2\n((");
    pickle_put_string(out, "storage");
    text_format(out, "ctorch\n%s\n", storages[kind].name + strlen("torch "));
    pickle_put_string(out, key);
    pickle_put_string(out, "cpu");
    pickle_put_int(out, n);
    text_add(out, "tQ");
    pickle_put_int(out, 0);
    put_sizes(out, one->dim, one->n_dims);
    put_sizes(out, stride, one->n_dims);
    pickle_put_bool(out, 0);
    text_add(out, "ccollections\nOrderedDict\n)RtR");
}

static int put_data(struct zip_writer *z, const char *stem, const struct file_tensor *one, int i, int (*fill)(void *, int, void *), void *context)
{
    char name[PATH_SIZE];
    void *buffer = one->data ? NULL : malloc(one->size + !one->size);
    FAIL_IF(!one->data && !buffer, E_MEMORY, "no memory to write a tensor of %zu bytes", one->size);
    int failed = one->data ? 0 : fill(context, i, buffer);
    snprintf(name, sizeof name, "%s/data/%d", stem, i);
    if (!failed) failed = zip_put(z, name, one->data ? one->data : buffer, one->size);
    free(buffer);
    return failed;
}

/* The order is torch.save's. */
static int put_all(struct zip_writer *z, const char *stem, const struct text *pickle, const struct file_tensor *t, int n, int (*fill)(void *, int, void *), void *context)
{
    char name[PATH_SIZE];
    snprintf(name, sizeof name, "%s/data.pkl", stem);
    TRY(zip_put(z, name, pickle->at, pickle->size));
    snprintf(name, sizeof name, "%s/byteorder", stem);
    TRY(zip_put(z, name, "little", 6));
    for (int i = 0; i < n; i++) TRY(put_data(z, stem, &t[i], i, fill, context));
    snprintf(name, sizeof name, "%s/version", stem);
    TRY(zip_put(z, name, "3\n", 2));
    return zip_commit(z);
}

int torch_write(const char *path, const struct text *pickle, const struct file_tensor *t, int n, int (*fill)(void *context, int i, void *buffer), void *context)
{
    char stem[64];
    struct zip_writer z;
    const char *base = path_base(path);
    FAIL_IF(pickle->failed, E_MEMORY, "no memory to write %s", path);
    snprintf(stem, sizeof stem, "%.*s", (int)strcspn(base, "."), base);
    int failed = zip_create(&z, path);
    if (!failed) failed = put_all(&z, *stem ? stem : "archive", pickle, t, n, fill, context);
    zip_discard(&z);
    return failed;
}

#ifdef FUZZ_TORCH
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct torch t;
    if (torch_parse(&t, data, size, "fuzz")) return 0;
    const struct pickle *model = pickle_get(t.root, "model");
    unsigned sum = 0;
    if (!torch_add(&t, model ? model : t.root))
        for (int i = 0; i < tensors_count(t.tensors); i++) {
            const struct file_tensor *one = tensors_at(t.tensors, i);
            for (size_t k = 0; k < one->size; k++) sum |= ((const uint8_t *)one->data)[k];
        }
    torch_close(&t);
    return sum > 255;
}
#endif
