/* checkpoint.c -- written so that nothing is lost. */
#include "train/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/json.h"
#include "cpu/cpu.h"
#include "file/safetensors.h"

static const char MODEL[] = "model.safetensors", OPTIMIZER[] = "optimizer.safetensors", TRAINER[] = "trainer.json", MANIFEST[] = "manifest.json";
static const char *const MOMENT1 = "exp_avg.", *const MOMENT2 = "exp_avg_sq.";
enum { JSON_BYTES = 1 << 20 };

static void step_name(char name[32], int64_t iteration, const char *suffix) { snprintf(name, 32, "step-%08lld%s", (long long)iteration, suffix); }

/* "step-00000250" -> 250, else -1 */
static int64_t step_of(const char *name)
{
    char *end;
    if (strncmp(name, "step-", 5) || name[5] < '0' || name[5] > '9') return -1;
    long long n = strtoll(name + 5, &end, 10);
    return *end ? -1 : n;
}

/* ---- trainer.json ---- */

static json_t *progress_to_json(const struct progress *p)
{
    json_t *o = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "iteration", (json_int_t)p->iteration, "updates", (json_int_t)p->updates, "skipped", (json_int_t)p->skipped,
                          "tokens", (json_int_t)p->tokens, "evaluated", (json_int_t)p->evaluated, "best_iteration", (json_int_t)p->best_iteration);
    if (o) json_object_set_new(o, "best_loss", isfinite(p->best_loss) ? json_real(p->best_loss) : json_null());
    return o;
}

static int progress_from_json(struct progress *p, const json_t *o, const char *what)
{
    const struct { const char *name; int64_t least, *value; } fields[] = {
        { "iteration", 0, &p->iteration }, { "updates", 0, &p->updates }, { "skipped", 0, &p->skipped },
        { "tokens", 0, &p->tokens }, { "evaluated", -1, &p->evaluated }, { "best_iteration", -1, &p->best_iteration },
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) TRY(json_get_int(o, fields[i].name, fields[i].least, INT64_MAX, fields[i].value, what));
    p->best_loss = INFINITY;
    return json_has(o, "best_loss") ? json_get_real(o, "best_loss", &p->best_loss, what) : 0;
}

/* ---- writing ---- */

struct written { const char *name; char sha256[65]; };

static int write_optimizer(const struct trainer *t, const char *path, char sha256[65])
{
    const float *const ranges[] = { t->weights->moment1, t->weights->moment2 };
    const char *const labels[] = { MOMENT1, MOMENT2 };
    return model_save_ranges(t->weights, t->o.model, ranges, labels, 2, path, sha256);
}

static int write_trainer(const struct trainer *t, const char *path, char sha256[65])
{
    json_t *root = progress_to_json(&t->progress);
    FAIL_IF(!root, E_MEMORY, "no memory for %s", path);
    json_object_set_new(root, "isa", json_string(cpu_isa()));
    json_object_set_new(root, "cpu", json_string(cpu_model()));
    json_object_set_new(root, "dtype", json_string(dtype_name(t->o.type)));
    int code = json_write(path, root);
    json_decref(root);
    return code ? code : file_sha256(path, sha256);
}

static int write_manifest(const char *folder, const struct written *files, int n)
{
    char path[PATH_SIZE];
    json_t *root = json_object();
    for (int i = 0; i < n && root; i++) {
        struct file_map map;
        TRY(path_join(path, folder, files[i].name));
        TRY(file_open_map(&map, path));
        json_object_set_new(root, files[i].name, json_pack("{s:I, s:s}", "size", (json_int_t)map.size, "sha256", files[i].sha256));
        file_close_map(&map);
    }
    TRY(path_join(path, folder, MANIFEST));
    int code = root ? json_write(path, root) : error_set(E_MEMORY, __FILE__, __LINE__, "no memory for %s", path);
    json_decref(root);
    return code;
}

static int write_files(const char *folder, const struct trainer *t)
{
    struct written files[] = { { MODEL, "" }, { OPTIMIZER, "" }, { TRAINER, "" } };
    char path[PATH_SIZE];
    TRY(dir_make(folder));
    TRY(path_join(path, folder, MODEL));
    TRY(model_save_weights(t->weights, t->o.model, &t->o.config, path, files[0].sha256));
    TRY(path_join(path, folder, OPTIMIZER));
    TRY(write_optimizer(t, path, files[1].sha256));
    TRY(path_join(path, folder, TRAINER));
    TRY(write_trainer(t, path, files[2].sha256));
    TRY(write_manifest(folder, files, 3));
    return file_sync(folder);
}

int checkpoint_write(const char *out, const struct trainer *t)
{
    char name[32], draft[PATH_SIZE], final[PATH_SIZE];
    step_name(name, t->progress.iteration, ".tmp");
    TRY(path_join(draft, out, name));
    step_name(name, t->progress.iteration, "");
    TRY(path_join(final, out, name));
    TRY(dir_remove(draft));
    int code = write_files(draft, t);
    if (code) {
        dir_remove(draft);
        return error_prefix(code, "checkpoint %s was not written", name);
    }
    TRY(dir_remove(final));                                  /* of the same iteration, from before a resume */
    FAIL_IF(rename(draft, final), E_IO, "%s: %s", final, strerror(errno));
    return file_sync(out);
}

int checkpoint_publish(const char *out, int64_t iteration)
{
    char name[32], folder[PATH_SIZE], from[PATH_SIZE], draft[PATH_SIZE], to[PATH_SIZE];
    step_name(name, iteration, "");
    TRY(path_join(folder, out, name));
    TRY(path_join(from, folder, MODEL));
    TRY(path_join(draft, out, "model.safetensors.tmp"));
    TRY(path_join(to, out, MODEL));
    unlink(draft);
    if (link(from, draft)) {                                 /* a file system without hard links */
        struct file_map map;
        TRY(file_open_map(&map, from));
        int code = file_write(to, map.at, map.size);
        file_close_map(&map);
        return code;
    }
    FAIL_IF(rename(draft, to), E_IO, "%s: %s", to, strerror(errno));
    unlink(draft);                                           /* rename leaves it where both names are one file already */
    return file_sync(out);
}

/* Without its manifest a checkpoint is none: what is left after a crash is not taken for one. */
static int delete(const char *out, const char *name)
{
    char folder[PATH_SIZE], path[PATH_SIZE];
    TRY(path_join(folder, out, name));
    TRY(path_join(path, folder, MANIFEST));
    FAIL_IF(unlink(path) && errno != ENOENT, E_IO, "%s: %s", path, strerror(errno));
    TRY(file_sync(folder));
    return dir_remove(folder);
}

int checkpoint_prune(const char *out, int64_t newest, int64_t best)
{
    char **names;
    size_t n;
    int code = 0;
    TRY(dir_list(out, &names, &n));
    for (size_t i = 0; i < n && !code; i++) {
        int64_t step = step_of(names[i]);
        if (step >= 0 && step != newest && step != best) code = delete(out, names[i]);
    }
    free(names);
    return code;
}

/* ---- reading ---- */

static int verify_file(const char *folder, const char *name, const json_t *entry, const char *what)
{
    char path[PATH_SIZE], now[65];
    const char *then;
    int64_t size;
    struct file_map map;
    FAIL_IF(strchr(name, '/'), E_DATA, "%s: a file named %s", what, name);
    TRY(json_get_string(entry, "sha256", &then, what));
    TRY(json_get_int(entry, "size", 0, INT64_MAX, &size, what));
    TRY(path_join(path, folder, name));
    TRY(file_open_map(&map, path));
    int64_t real = (int64_t)map.size;
    file_close_map(&map);
    FAIL_IF(real != size, E_DATA, "%s has %lld bytes, not %lld", path, (long long)real, (long long)size);
    TRY(file_sha256(path, now));
    FAIL_IF(strcmp(now, then), E_DATA, "%s has changed: its SHA-256 is not the manifest's", path);
    return 0;
}

static int verify(const char *folder, const json_t *root, const char *what)
{
    const char *const needed[] = { MODEL, OPTIMIZER, TRAINER };
    const char *name;
    json_t *entry;
    for (int i = 0; i < 3; i++) FAIL_IF(!json_has(root, needed[i]), E_DATA, "%s does not list %s", what, needed[i]);
    json_object_foreach((json_t *)(uintptr_t)root, name, entry) TRY(verify_file(folder, name, entry, what));
    return 0;
}

int checkpoint_verify(const char *folder)
{
    char path[PATH_SIZE];
    json_t *root;
    TRY(path_join(path, folder, MANIFEST));
    TRY(json_read(&root, path, JSON_BYTES));
    int code = verify(folder, root, path);
    json_decref(root);
    return code;
}

int checkpoint_find(char folder[PATH_SIZE], const char *out, struct text *notices)
{
    char **names, best[64] = "";
    size_t n;
    TRY(dir_list(out, &names, &n));
    int64_t below = INT64_MAX;
    do {                                                     /* from the newest down */
        int64_t top = -1;
        for (size_t i = 0; i < n; i++) {
            int64_t step = step_of(names[i]);
            if (step > top && step < below) top = step, snprintf(best, sizeof best, "%s", names[i]);
        }
        below = top;
        if (top < 0) break;
        int code = path_join(folder, out, best);
        if (!code && !checkpoint_verify(folder)) {
            free(names);
            return 0;
        }
        text_format(notices, "checkpoint rejected: %s\n", error_text());
    } while (1);
    free(names);
    FAIL(E_IO, "%s has no checkpoint that can be resumed", out);
}

static int read_text(const json_t *o, const char *key, char to[32], const char *what)
{
    const char *text = "";
    if (json_has(o, key)) TRY(json_get_string(o, key, &text, what));
    snprintf(to, 32, "%s", text);
    return 0;
}

static int read_trainer(const char *folder, struct progress *p, struct made_with *m)
{
    char path[PATH_SIZE];
    json_t *root;
    TRY(path_join(path, folder, TRAINER));
    TRY(json_read(&root, path, JSON_BYTES));
    int code = progress_from_json(p, root, path);
    if (!code) code = read_text(root, "isa", m->isa, path);
    if (!code) code = read_text(root, "dtype", m->dtype, path);
    json_decref(root);
    return code;
}

int checkpoint_made_with(const char *folder, struct made_with *m)
{
    struct progress p;
    return read_trainer(folder, &p, m);
}

int checkpoint_read(const char *folder, struct trainer *t)
{
    char path[PATH_SIZE];
    struct made_with ignored;
    struct safetensors *file;
    TRY(path_join(path, folder, MODEL));
    TRY(safetensors_open(&file, path));
    int code = model_load_weights(t->weights, t->o.model, file, path);
    safetensors_close(file);
    if (code) return code;
    TRY(path_join(path, folder, OPTIMIZER));
    TRY(safetensors_open(&file, path));
    code = model_load_range(t->weights, t->o.model, t->weights->moment1, MOMENT1, file, path);
    if (!code) code = model_load_range(t->weights, t->o.model, t->weights->moment2, MOMENT2, file, path);
    safetensors_close(file);
    return code ? code : read_trainer(folder, &t->progress, &ignored);
}
