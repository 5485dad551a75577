/* open.c -- whatever holds a model, as if it were a folder by transformers. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "file/safetensors.h"
#include "file/torch.h"
#include "model/adapter.h"
#include "model/hub.h"
#include "model/model.h"

enum { INDEX_BYTES = 64 << 20 };

/* ---- weights of a folder by transformers ---- */

static int open_safetensors(struct model_files *f, const char *path)
{
    return safetensors_open(&f->tensors, path);
}

/* Each file of the index once.  What the index says of a tensor beyond that, the file says better. */
static int add_shards(struct tensors *t, const json_t *map, const char *folder, const char *what)
{
    const char *name;
    json_t *file, *seen = json_object();
    char path[PATH_SIZE];
    int failed = seen ? 0 : error_set(E_MEMORY, __FILE__, __LINE__, "%s: no memory", what);
    json_object_foreach ((json_t *)(uintptr_t)map, name, file) {
        const char *shard = json_string_value(file);
        if (failed || (shard && json_object_get(seen, shard))) continue;
        if (!shard || strchr(shard, '/') || !path_has_suffix(shard, ".safetensors"))
            failed = error_set(E_DATA, __FILE__, __LINE__, "%s: %.200s lies in no file of this folder that ends in .safetensors", what, name);
        if (!failed) failed = path_join(path, folder, shard);
        if (!failed) failed = safetensors_add(t, path);
        if (!failed && json_object_set_new(seen, shard, json_true())) failed = error_set(E_MEMORY, __FILE__, __LINE__, "%s: no memory", what);
    }
    json_decref(seen);
    return failed;
}

static int check_index(const struct tensors *t, const json_t *map, const char *what)
{
    const char *name;
    json_t *file;
    json_object_foreach ((json_t *)(uintptr_t)map, name, file)
        FAIL_IF(!tensors_find(t, name), E_DATA, "%s: %.200s is not in %.200s", what, name, json_string_value(file));
    return 0;
}

/* {"metadata": {"total_size": n}, "weight_map": {"a tensor": "its file"}} */
static int read_index(struct tensors *t, const json_t *root, const char *folder, const char *what)
{
    const json_t *map = json_object_get(root, "weight_map");
    FAIL_IF(!json_is_object(map), E_DATA, "%s: it has no \"weight_map\"", what);
    TRY(add_shards(t, map, folder, what));
    TRY(tensors_settle(t, what));
    return check_index(t, map, what);
}

static int open_shards(struct model_files *f, const char *path)
{
    char folder[PATH_SIZE];
    json_t *root;
    TRY(model_folder(folder, path));
    TRY(json_read(&root, path, INDEX_BYTES));
    int failed = tensors_new(&f->tensors);
    if (!failed) failed = read_index(f->tensors, root, folder, path);
    json_decref(root);
    return failed;
}

static int open_torch(struct model_files *f, const char *path)
{
    struct torch t;
    TRY(torch_open(&t, path));
    f->tensors = t.tensors;
    return torch_add(&t, t.root);
}

/* ---- files of other tools ---- */

static int read_into(struct model_files *f, struct file_map map, const char *what, model_reader *read)
{
    TRY(tensors_new(&f->tensors));
    if (!map.at) TRY(tensors_map(f->tensors, &map, what));
    return read(f, map.at, map.size, what);
}

int model_read(struct model_files *f, const struct model *m, const uint8_t *bytes, size_t size, const char *what, model_reader *read)
{
    *f = (struct model_files){ .model = m };
    int failed = read_into(f, (struct file_map){ bytes, size }, what, read);
    if (failed) model_close(f);
    return failed;
}

int model_peek(const struct model **m, struct config *c, const struct model *of, const char *path, model_reader *read)
{
    struct model_files f = { .model = of };
    struct file_map map;
    TRY(file_open_map(&map, path));
    int failed = read(&f, map.at, map.size, path);
    file_close_map(&map);
    *m = f.model;
    *c = f.config;
    return failed;
}

/* ---- which it is ---- */

/* starts: the first bytes of a file that is a model by itself; is: says so where these are not enough. */
static const struct form {
    const char *kind, *file;
    int (*open)(struct model_files *f, const char *path);
    int (*describe)(const struct model **m, struct config *c, const char *path);         /* NULL: a config.json beside it does */
    const char *starts;
    int (*is)(const uint8_t *bytes, size_t size);
} forms[] = {
    { "safetensors", "model.safetensors", open_safetensors, NULL, NULL, NULL },
    { "safetensors in several files", "model.safetensors.index.json", open_shards, NULL, NULL, NULL },
    { "PyTorch's pytorch_model.bin", "pytorch_model.bin", open_torch, NULL, NULL, NULL },
    { "nanoGPT's ckpt.pt", "ckpt.pt", nanogpt_open, nanogpt_describe, "PK\3\4", NULL },
    { "llm.c's .bin", NULL, llmc_open, llmc_describe, "\xc6\xd7\x34\x01", NULL },
    { "GGUF", NULL, llamacpp_open, llamacpp_describe, "GGUF", NULL },
    { "llama2.c's .bin", NULL, llama2c_open, llama2c_describe, NULL, llama2c_is },
};
enum { FORMS = sizeof forms / sizeof *forms };

int model_folder(char folder[PATH_SIZE], const char *path)
{
    if (path_is_dir(path)) return snprintf(folder, PATH_SIZE, "%s", path) < PATH_SIZE ? 0 : error_set(E_USAGE, __FILE__, __LINE__, "the name of the model is too long");
    return path_parent(folder, path);
}

static int find_in_folder(const struct form **k, char file[PATH_SIZE], const char *path)
{
    int is;
    for (*k = forms; *k < forms + FORMS; ++*k) {
        if (!(*k)->file) continue;
        TRY(path_join(file, path, (*k)->file));
        TRY(path_look(file, &is));
        if (is) return 0;
    }
    FAIL(E_IO, "%s holds no model: a config.json with model.safetensors, or with its index or pytorch_model.bin, or nanoGPT's ckpt.pt", path);
}

/* By the name that it would have in a folder, else by its first bytes. */
static int find_of_file(const struct form **k, const char *path)
{
    struct file_map map;
    for (*k = forms; *k < forms + FORMS; ++*k)
        if ((*k)->file && !strcmp(path_base(path), (*k)->file)) return 0;
    TRY(file_open_map(&map, path));
    for (*k = forms; *k < forms + FORMS; ++*k) {
        if ((*k)->starts && map.size >= 4 && !memcmp(map.at, (*k)->starts, 4)) break;
        if ((*k)->is && (*k)->is(map.at, map.size)) break;
    }
    file_close_map(&map);
    FAIL_IF(*k == forms + FORMS, E_DATA, "%s: no kind of model that is known; give the folder of a model, a GGUF file, nanoGPT's ckpt.pt, or a whole file by llm.c or llama2.c", path);
    return 0;
}

static int find_form(const struct form **k, char file[PATH_SIZE], const char *path)
{
    int is;
    if (path_is_dir(path)) return find_in_folder(k, file, path);
    TRY(path_look(path, &is));
    FAIL_IF(!is || snprintf(file, PATH_SIZE, "%s", path) >= PATH_SIZE, E_IO, "%s: no such model folder or file", path);
    return find_of_file(k, path);
}

static int open_form(struct model_files *f, const struct form *k, const char *file)
{
    char folder[PATH_SIZE];
    TRY(model_folder(folder, file));
    if (!k->describe) TRY(config_read(&f->model, &f->config, folder));
    TRY(k->open(f, file));
    f->kind = k->kind;
    model_settle_head(f->model, &f->config, f->tensors);
    return 0;
}

/* ---- an adapter, and the model that it adapts ---- */

/* Where the base is: as somebody asks, else where its maker had it. */
static int find_base(struct adapter *a, const char *path, const char *base)
{
    const char *name = base ? base : a->base;
    int adapts;
    FAIL_IF(!*name, E_USAGE, "%s is an adapter that does not say of which model; --base=MODEL says it", path);
    int code = hub_find(a->home, name, NULL, NULL);
    if (code) return error_prefix(code, "%s adapts a model that was not found; --base=MODEL says where it is", path);
    TRY(adapter_look(a->home, &adapts));
    FAIL_IF(adapts, E_MODEL, "%s, which %s adapts, is an adapter itself; merge it: nib export %s --to=hf --out=MERGED, then give --base=MERGED", name, path, name);
    return 0;
}

static int open_whole(struct model_files *f, const char *path)
{
    const struct form *k = NULL;
    char file[PATH_SIZE];
    TRY(find_form(&k, file, path));
    return open_form(f, k, file);
}

static int open_base(struct model_files *f, struct adapter *a, const char *path, const char *base)
{
    TRY(find_base(a, path, base));
    TRY(open_whole(f, a->home));
    return adapter_open_tensors(a, f->model, path);
}

static int open_adapted(struct model_files *f, const char *path, const char *base)
{
    struct adapter *a;
    TRY(adapter_read(&a, path));
    int failed = open_base(f, a, path, base);
    f->adapter = a;                                          /* not before: whoever opens a base begins with an empty f */
    return failed;
}

int model_open_on(struct model_files *f, const char *path, const char *base)
{
    int adapts;
    *f = (struct model_files){ 0 };
    TRY(adapter_look(path, &adapts));
    int failed = adapts ? open_adapted(f, path, base) : open_whole(f, path);
    if (failed) model_close(f);
    return failed;
}

int model_open(struct model_files *f, const char *path) { return model_open_on(f, path, NULL); }

int model_kind(const char **kind, const char *path)
{
    const struct form *k = NULL;
    char file[PATH_SIZE];
    int adapts;
    TRY(adapter_look(path, &adapts));
    if (!adapts) TRY(find_form(&k, file, path));
    *kind = adapts ? "PEFT's adapter" : k->kind;
    return 0;
}

void model_close(struct model_files *f)
{
    tensors_close(f->tensors);
    adapter_close(f->adapter);
    *f = (struct model_files){ 0 };
}

static int describe_whole(const struct model **m, struct config *c, const char *path)
{
    const struct form *k = NULL;
    char file[PATH_SIZE], folder[PATH_SIZE];
    TRY(path_join(file, path, "config.json"));
    if (path_is_file(file)) return config_read(m, c, path);
    TRY(find_form(&k, file, path));
    if (k->describe) return k->describe(m, c, file);
    TRY(model_folder(folder, file));
    return config_read(m, c, folder);
}

int model_describe(const struct model **m, struct config *c, const char *path, const char *base)
{
    struct adapter *a;
    int adapts;
    TRY(adapter_look(path, &adapts));
    if (!adapts) return describe_whole(m, c, path);
    TRY(adapter_read(&a, path));
    int code = find_base(a, path, base);
    if (!code) code = describe_whole(m, c, a->home);
    adapter_close(a);
    return code;
}
