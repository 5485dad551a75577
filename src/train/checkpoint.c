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
#include "base/sums.h"
#include "cpu/cpu.h"
#include "file/safetensors.h"
#include "model/adapter.h"
#include "train/retention.h"
#include "train/trace.h"

static const char MODEL[] = "model.safetensors", OPTIMIZER[] = "optimizer.safetensors", TRAINER[] = "trainer.json";
static const char *const MOMENT1 = "exp_avg.", *const MOMENT2 = "exp_avg_sq.";
/* All that a checkpoint may consist of; what there is of the first few is a model folder. */
static const char *const files[] = { "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "meta.pkl", ADAPTER_CONFIG, ADAPTER_MODEL, MODEL, OPTIMIZER, TRAINER };
enum { FILES = sizeof files / sizeof *files, OF_MODEL = FILES - 2, JSON_BYTES = 1 << 20 };

/* ---- trainer.json ---- */

static json_t *losses_to_json(const struct spikes *s)
{
    json_t *list = json_array();
    for (int i = 0; i < s->n; i++) json_array_append_new(list, json_real(spikes_loss(s, i)));
    return list;
}

static const double MOST_LOSS = 1e30;                        /* the sum of a window is finite */

static int losses_from_json(struct spikes *s, const json_t *o, const char *what)
{
    size_t i;
    json_t *list, *x;
    TRY(json_get_array(o, "losses", &list, what));
    *s = (struct spikes){ 0 };
    json_array_foreach (list, i, x) {
        FAIL_IF(!json_is_number(x) || fabs(json_number_value(x)) > MOST_LOSS, E_DATA, "%s: \"losses\" is no list of losses", what);
        spikes_add(s, json_number_value(x));
    }
    return 0;
}

static json_t *mark_to_json(const struct dataset_mark *m)
{
    return json_pack("{s:I, s:I, s:I, s:s, s:s}", "train", (json_int_t)m->train, "val", (json_int_t)m->val, "vocab", (json_int_t)m->vocab,
                     "tokenizer", m->tokenizer, "sample", m->sample);
}

static int text_from_json(const json_t *o, const char *key, char *to, size_t size, const char *what)
{
    const char *text = "";
    if (json_has(o, key)) TRY(json_get_string(o, key, &text, what));
    FAIL_IF(strlen(text) >= size, E_DATA, "%s: \"%s\" is longer than it can be", what, key);
    strcpy(to, text);
    return 0;
}

static int mark_from_json(struct dataset_mark *m, const json_t *root, const char *what)
{
    json_t *o;
    TRY(json_get_object(root, "data", &o, what));
    TRY(json_get_int(o, "train", 0, INT64_MAX, &m->train, what));
    TRY(json_get_int(o, "val", 0, INT64_MAX, &m->val, what));
    TRY(json_get_int(o, "vocab", 0, INT64_MAX, &m->vocab, what));
    TRY(text_from_json(o, "tokenizer", m->tokenizer, sizeof m->tokenizer, what));
    return text_from_json(o, "sample", m->sample, sizeof m->sample, what);
}

/* Whole numbers of a progress and the least they may be. */
static const struct { const char *name; size_t at; int64_t least; } counts[] = {
#define COUNT(name, least) { #name, offsetof(struct progress, name), least }
    COUNT(iteration, 0), COUNT(updates, 0), COUNT(skipped, 0), COUNT(in_a_row, 0), COUNT(left_out, 0), COUNT(rollbacks, 0), COUNT(tokens, 0),
    COUNT(evaluated, -1), COUNT(best_iteration, -1),
#undef COUNT
};
enum { COUNTS = sizeof counts / sizeof *counts };

static json_t *progress_to_json(const struct progress *p)
{
    json_t *o = json_object();
    for (int i = 0; i < COUNTS; i++) {
        int64_t n;
        memcpy(&n, (const char *)p + counts[i].at, sizeof n);
        json_object_set_new(o, counts[i].name, json_integer(n));
    }
    json_object_set_new(o, "best_loss", isfinite(p->best_loss) ? json_real(p->best_loss) : json_null());
    json_object_set_new(o, "losses", losses_to_json(&p->spikes));
    return o;
}

static int progress_from_json(struct progress *p, const json_t *o, const char *what)
{
    for (int i = 0; i < COUNTS; i++) {
        int64_t n;
        TRY(json_get_int(o, counts[i].name, counts[i].least, INT64_MAX / 4, &n, what));
        memcpy((char *)p + counts[i].at, &n, sizeof n);
    }
    p->best_loss = INFINITY;
    if (json_has(o, "best_loss")) TRY(json_get_real(o, "best_loss", &p->best_loss, what));
    return losses_from_json(&p->spikes, o, what);
}

/* ---- writing ---- */

int checkpoint_describe(const char *folder, const struct model *m, const struct config *c, const struct surroundings *s)
{
    char path[PATH_SIZE];
    if (s->tokenizer) TRY(tokenizer_save(s->tokenizer, folder));
    if (s->adapter) return adapter_write(s->adapter, folder);        /* the rest is the base's to say */
    TRY(config_write(m, c, s->end, folder));
    TRY(path_join(path, folder, "generation_config.json"));
    json_t *generation = s->end >= 0 ? json_pack("{s:I, s:I}", "bos_token_id", (json_int_t)s->end, "eos_token_id", (json_int_t)s->end) : json_object();
    int code = json_write(path, generation);
    json_decref(generation);
    return code;
}

/* Their checksums are taken of what goes out, not of what the disk has made of it. */
static int write_weights(const char *folder, const struct trainer *t, struct sums *sums)
{
    const float *const ranges[] = { t->weights->moment1, t->weights->moment2 };
    const char *const labels[] = { MOMENT1, MOMENT2 };
    const char *name = t->o.lora.n ? ADAPTER_MODEL : MODEL;
    char path[PATH_SIZE], sha256[65];
    TRY(path_join(path, folder, name));
    if (t->o.lora.n) TRY(adapter_save(t->weights, t->o.model, path, sha256));
    else TRY(model_save_weights(t->weights, t->o.model, &t->o.config, path, sha256));
    TRY(sums_add(sums, name, sha256));
    TRY(path_join(path, folder, OPTIMIZER));
    TRY(model_save_ranges(t->weights, t->o.model, ranges, labels, 2, path, sha256));
    return sums_add(sums, OPTIMIZER, sha256);
}

static int write_trainer(const char *folder, const struct trainer *t, const struct surroundings *s)
{
    char path[PATH_SIZE];
    json_t *root = progress_to_json(&t->progress);
    json_object_set_new(root, "isa", json_string(cpu_isa()));
    json_object_set_new(root, "cpu", json_string(cpu_model()));
    json_object_set_new(root, "dtype", json_string(dtype_name(t->o.type)));
    if (s->adapter) json_object_set_new(root, "base", json_string(s->base));
    json_object_set_new(root, "data", mark_to_json(&s->data));
    int code = path_join(path, folder, TRAINER);
    if (!code && !json_object_get(root, "data")) code = error_set(E_MEMORY, __FILE__, __LINE__, "no memory for %s", path);
    if (!code) code = json_write(path, root);
    json_decref(root);
    return code;
}

static int write_files(const char *folder, const struct trainer *t, const struct surroundings *s, struct sums *sums)
{
    TRY(dir_make(folder));
    TRY(write_weights(folder, t, sums));
    TRY(checkpoint_describe(folder, t->o.model, &t->o.config, s));
    TRY(write_trainer(folder, t, s));
    for (int i = 0; i < FILES; i++) {
        char path[PATH_SIZE];
        int is;
        TRY(path_join(path, folder, files[i]));
        TRY(path_look(path, &is));
        if (is && !sums_find(sums, files[i])) TRY(sums_add_file(sums, folder, files[i]));
    }
    TRY(sums_write(sums, folder));
    return file_sync(folder);
}

static int write_checked(const char *folder, const struct trainer *t, const struct surroundings *s)
{
    struct sums sums = { 0 };
    const char *name = trace_weights(t->weights);
    FAIL_IF(name, E_DIVERGED, "%s is not finite", name);
    int code = write_files(folder, t, s, &sums);
    sums_free(&sums);
    return code;
}

int checkpoint_write(const char *out, const struct trainer *t, const struct surroundings *s)
{
    char name[32], draft[PATH_SIZE], final[PATH_SIZE];
    step_name(name, t->progress.iteration, ".tmp");
    TRY(path_join(draft, out, name));
    step_name(name, t->progress.iteration, "");
    TRY(path_join(final, out, name));
    TRY(dir_remove(draft));
    int code = write_checked(draft, t, s);
    if (!code) code = step_remove(out, t->progress.iteration);       /* of the same iteration, from before a resume */
    if (!code && rename(draft, final)) code = error_set(E_IO, __FILE__, __LINE__, "cannot rename %s: %m", draft);
    if (code) {
        error_prefix(code, "checkpoint %s was not written", name);
        dir_remove(draft);
        return code;
    }
    return file_sync(out);
}

size_t checkpoint_bytes(const struct trainer *t)
{
    enum { A_TOKEN = 64, SMALL_FILES = 1 << 16 };            /* of JSON */
    return 3 * sizeof(float) * model_trained(t->weights) + A_TOKEN * (size_t)t->o.config.vocab + SMALL_FILES;
}

/* ---- the run folder's own model ---- */

static int link_file(const char *out, const char *folder, const char *name)
{
    char from[PATH_SIZE], draft[PATH_SIZE], to[PATH_SIZE];
    TRY(path_join(from, folder, name));
    TRY(path_join(to, out, name));
    FAIL_IF(snprintf(draft, sizeof draft, "%s.tmp", to) >= (int)sizeof draft, E_USAGE, "path too long: %.200s...", to);
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
    return 0;
}

/* While files are exchanged nothing says what they are. */
static int publish(const char *out, const char *folder, const struct sums *of_step, struct sums *of_model)
{
    char path[PATH_SIZE];
    TRY(path_join(path, out, SUMS_FILE));
    FAIL_IF(unlink(path) && errno != ENOENT, E_IO, "cannot remove %s: %m", path);
    TRY(file_sync(out));
    for (int i = 0; i < OF_MODEL; i++) {
        const char *sha256 = sums_find(of_step, files[i]);
        if (!sha256) continue;
        TRY(link_file(out, folder, files[i]));
        TRY(sums_add(of_model, files[i], sha256));
    }
    TRY(file_sync(out));
    return sums_write(of_model, out);
}

int checkpoint_publish(const char *out, int64_t iteration)
{
    char name[32], folder[PATH_SIZE];
    struct sums of_step = { 0 }, of_model = { 0 };
    step_name(name, iteration, "");
    TRY(path_join(folder, out, name));
    int code = sums_read(&of_step, folder);
    if (!code) code = publish(out, folder, &of_step, &of_model);
    sums_free(&of_step);
    sums_free(&of_model);
    return code;
}

/* ---- reading ---- */

int checkpoint_verify(const char *folder)
{
    static const char *const of_model[] = { "config.json", MODEL, OPTIMIZER, TRAINER, NULL }, *const of_adapter[] = { ADAPTER_CONFIG, ADAPTER_MODEL, OPTIMIZER, TRAINER, NULL };
    int adapts;
    TRY(adapter_look(folder, &adapts));
    return sums_verify_folder(folder, adapts ? of_adapter : of_model);
}

int checkpoint_find(char folder[PATH_SIZE], const char *out, struct text *notices)
{
    char name[32];
    int64_t *steps;
    size_t n;
    TRY(steps_in(out, &steps, &n));
    int code = E_IO;
    while (n > 0 && code) {                                  /* from the newest down */
        step_name(name, steps[--n], "");
        code = path_join(folder, out, name);
        if (!code) code = checkpoint_verify(folder);
        if (code) text_format(notices, "checkpoint rejected: %s\n", error_text());
    }
    free(steps);
    FAIL_IF(code, E_IO, "%s has no checkpoint that can be resumed", out);
    return 0;
}

static int from_json(const json_t *root, struct progress *p, struct made_with *m, const char *what)
{
    TRY(progress_from_json(p, root, what));
    TRY(text_from_json(root, "isa", m->isa, sizeof m->isa, what));
    TRY(text_from_json(root, "dtype", m->dtype, sizeof m->dtype, what));
    TRY(text_from_json(root, "base", m->base, sizeof m->base, what));
    return mark_from_json(&m->data, root, what);
}

static int read_trainer(const char *folder, struct progress *p, struct made_with *m)
{
    char path[PATH_SIZE];
    json_t *root;
    TRY(path_join(path, folder, TRAINER));
    TRY(json_read(&root, path, JSON_BYTES));
    int code = from_json(root, p, m, path);
    json_decref(root);
    return code;
}

int checkpoint_made_with(const char *folder, struct made_with *m)
{
    struct progress p;
    return read_trainer(folder, &p, m);
}

static int read_weights(const char *folder, struct trainer *t)
{
    char path[PATH_SIZE];
    struct tensors *file;
    if (t->o.lora.n) return adapter_load_file(t->weights, t->o.model, folder);
    TRY(path_join(path, folder, MODEL));
    TRY(safetensors_open(&file, path));
    int code = model_load_weights(t->weights, t->o.model, file, path);
    tensors_close(file);
    return code;
}

int checkpoint_progress(const char *folder, struct progress *p)
{
    struct made_with ignored;
    return read_trainer(folder, p, &ignored);
}

int checkpoint_moments(const char *folder, struct tensors **t)
{
    char path[PATH_SIZE];
    TRY(path_join(path, folder, OPTIMIZER));
    return safetensors_open(t, path);
}

int checkpoint_read(const char *folder, struct trainer *t)
{
    char path[PATH_SIZE];
    struct made_with ignored;
    struct tensors *file;
    TRY(read_weights(folder, t));
    TRY(path_join(path, folder, OPTIMIZER));
    TRY(safetensors_open(&file, path));
    int code = model_load_range(t->weights, t->o.model, t->weights->moment1, MOMENT1, file, path);
    if (!code) code = model_load_range(t->weights, t->o.model, t->weights->moment2, MOMENT2, file, path);
    tensors_close(file);
    return code ? code : read_trainer(folder, &t->progress, &ignored);
}

#ifdef FUZZ_TRAINER
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *root, *again;
    struct progress p, q;
    struct made_with m;
    if (json_parse(&root, (const char *)data, size, "fuzz")) return 0;
    if (!from_json(root, &p, &m, "fuzz")) {                  /* what is read is written as the same */
        again = progress_to_json(&p);
        if (progress_from_json(&q, again, "again") || q.iteration != p.iteration || q.spikes.n != p.spikes.n || spikes_spread(&q.spikes).mean != spikes_spread(&p.spikes).mean) abort();
        json_decref(again);
    }
    json_decref(root);
    return 0;
}
#endif
