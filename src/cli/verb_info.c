/* verb_info.c -- nib info [MODEL | DATA | CONFIG ...]: what a model is and what it consists of, what a run needs, and the plan it runs by. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cli/cli.h"
#include "cpu/cpu.h"
#include "file/tensors.h"
#include "infer/engine.h"
#include "model/adapter.h"
#include "model/hub.h"
#include "text/dataset.h"
#include "token/tokenizer.h"
#include "train/train.h"

struct info_options { struct settings s; int plan, tensors, json; const char *phase; };

static const char USAGE[] =
    "nib info [MODEL | DATA | CONFIG ...] [--tensors] [--json] [--plan] [--phase=train|eval|infer] [--key=value ...]\n\n"
    "Describes a model folder or file, an adapter's, or the model that these settings of nib train would make: parameters, memory, with --tensors\n"
    "what it consists of, and with --plan the plan as a program: each step, where its result lies in the arena and how long it lives.\n"
    "Of token files it says what nib data info does.\n\n";

static const struct option own[] = {
    { .name = "tensors", .kind = OPTION_BOOL, .offset = offsetof(struct info_options, tensors), .initial = "false", .group = "info", .help = "list the tensors of MODEL by Hugging Face's names: type, shape, bytes" },
    { .name = "json", .kind = OPTION_BOOL, .offset = offsetof(struct info_options, json), .initial = "false", .group = "info", .help = "one JSON object on standard output: format, config, parameters, tensors, tokenizer" },
    { .name = "plan", .kind = OPTION_BOOL, .offset = offsetof(struct info_options, plan), .initial = "false", .group = "info", .help = "print the plan" },
    { .name = "phase", .kind = OPTION_TEXT, .offset = offsetof(struct info_options, phase), .initial = "train", .choices = "train|eval|infer", .group = "info", .help = "of which graph" },
};

/* ---- the model ---- */

/* path: where it is; empty: nowhere, it would be made.  files: opened only where there is an adapter, its own or the one that settings ask for. */
struct subject { char path[PATH_SIZE]; const char *kind; struct model_files files; };

static int find_subject(const struct info_options *o, int argc, char **argv, struct subject *s)
{
    struct model_files *f = &s->files;
    struct settings as = o->s;
    int adapts = 0;
    if (argc) {
        as.init_from = argv[0];
        TRY(hub_find(s->path, argv[0], screen_transfer, argv[0]));
        screen_clear();
        TRY(model_kind(&s->kind, s->path));
        TRY(adapter_look(s->path, &adapts));
        TRY(adapts || as.lora_rank ? model_open_on(f, s->path, as.base) : model_describe(&f->model, &f->config, s->path, NULL));
        return train_adapter(&as, f);
    }
    FAIL_IF(o->tensors, E_USAGE, "--tensors: of which model? nib info MODEL --tensors");
    train_config(&as, 0, &f->model, &f->config);
    TRY(config_check(f->model, &f->config));
    return train_adapter(&as, f);
}

static enum dtype type_of(const struct info_options *o) { return strcmp(o->s.dtype, "bfloat16") ? F32 : BF16; }

static int open_weights(const struct info_options *o, const struct model_files *f, struct weights **w)
{
    TRY(weights_new(w, &cpu_backend, f->adapter ? MAPPED : strcmp(o->phase, "infer") ? TRAINED : FROZEN));
    if (!f->adapter) return 0;
    weights_lora(*w, &f->adapter->lora);
    (*w)->frozen_type = type_of(o);
    return f->tensors ? model_offer_weights(*w, f->model, f->tensors) : 0;
}

static int plan_it(const struct info_options *o, const struct model_files *f, struct weights *w, struct plan **p)
{
    enum phase phase = !strcmp(o->phase, "infer") ? INFER : !strcmp(o->phase, "eval") ? EVAL : TRAIN;
    int64_t block = o->s.block_size < f->config.context ? o->s.block_size : f->config.context;
    const struct space spaces[] = { { "text", o->s.batch_size * block, o->s.batch_size }, { "wanted", o->s.batch_size, 0 } };
    graph *g;
    TRY(config_fits(&f->config, spaces[0].rows));
    TRY(graph_open(&g, w, phase, type_of(o), spaces, phase == INFER ? 2 : 1));
    tensor *out = f->model->build(g, &f->config);
    TRY(plan_new(p, g, &out, 1, &(struct plan_options){ .recompute = (int)o->s.recompute, .fuse = 1 }));
    return f->adapter ? adapter_check_layers(w, f->model, &f->adapter->lora, "LoRA") : 0;
}

/* ---- for people ---- */

/* "(50257, 768)"; of a scalar "()" */
static void put_shape(struct text *t, const struct file_tensor *one)
{
    text_add(t, "(");
    for (int d = 0; d < one->n_dims; d++) text_format(t, "%s%lld", d ? ", " : "", (long long)one->dim[d]);
    text_add(t, ")");
}

static void put_tensors(struct text *t, const struct tensors *all)
{
    struct text shape = { 0 };
    int widest = 0;
    for (int i = 0; i < tensors_count(all); i++) {
        int n = (int)strlen(tensors_at(all, i)->name);
        if (n > widest && n < 80) widest = n;
    }
    for (int i = 0; i < tensors_count(all); i++) {
        const struct file_tensor *one = tensors_at(all, i);
        text_clear(&shape);
        put_shape(&shape, one);
        text_format(t, "%-*s  %-4s  %-16s %12zu\n", widest, one->name, dtype_name(one->type), shape.at, one->size);
    }
    text_free(&shape);
}

static int print_tensors(const struct subject *s, const char *base)
{
    struct model_files f;
    struct text t = { 0 };
    TRY(model_open_on(&f, s->path, base));
    put_tensors(&t, f.tensors);
    if (f.adapter) put_tensors(&t, f.adapter->tensors);
    for (size_t i = 0; i < t.size; i++) putchar((unsigned char)t.at[i] < ' ' && t.at[i] != '\n' ? '?' : t.at[i]);
    int failed = t.failed;
    text_free(&t);
    model_close(&f);
    FAIL_IF(failed, E_MEMORY, "no memory for a list of tensors");
    return 0;
}

static double mib(size_t bytes) { return (double)bytes / 1048576; }

static void put_adapter(const struct weights *w, struct text *t)
{
    text_add(t, " parameters, of which ");
    screen_number(t, (double)model_trained(w));
    text_format(t, " are of adapters; %.1f MiB, and %.1f that stay in the model's file", mib(w->frozen_bytes + w->n_trained * sizeof(float)), mib(model_mapped(w)));
}

static int print(const struct info_options *o, const struct subject *s, struct weights *w, const struct plan *p)
{
    struct text t = { 0 };
    const struct adapter *a = s->files.adapter;
    config_describe(s->files.model, &s->files.config, &t);
    text_add(&t, "\n");
    if (a) adapter_describe(a, &t), text_add(&t, "\n");
    if (o->plan) plan_print(p, &t);
    screen_number(&t, (double)model_parameters(w));
    if (a) put_adapter(w, &t);
    else text_format(&t, " parameters, %.1f MiB", mib(model_parameters(w) * sizeof(float)));
    if (!strcmp(o->phase, "train")) text_format(&t, "; gradients and moments %.1f MiB", mib(w->n_trained * 3 * sizeof(float)));
    text_format(&t, "; activations and workspaces %.1f MiB (%s, level %lld)\n", mib(w->arena_bytes + cpu_scratch()), o->phase, (long long)o->s.recompute);
    if (s->kind) text_format(&t, "%s: %s\n", s->path, s->kind);
    fputs(t.at, stdout);
    text_free(&t);
    return o->tensors ? print_tensors(s, o->s.base) : 0;
}

/* ---- for programs ---- */

static int add_tensors(json_t *list, const struct tensors *all)
{
    for (int i = 0; i < tensors_count(all); i++) {
        const struct file_tensor *one = tensors_at(all, i);
        json_t *shape = json_array();
        for (int d = 0; d < one->n_dims; d++) json_array_append_new(shape, json_integer(one->dim[d]));
        json_t *object = json_pack("{s:s, s:s, s:o, s:I}", "name", one->name, "type", dtype_name(one->type), "shape", shape, "bytes", (json_int_t)one->size);
        FAIL_IF(json_array_append_new(list, object), E_DATA, "tensor %d has a name that is not UTF-8", i);
    }
    return 0;
}

static json_t *tokenizer_to_object(const struct tokenizer *t)
{
    if (!t) return json_null();
    return json_pack("{s:I, s:s, s:o}", "vocabulary", (json_int_t)tokenizer_vocab(t), "fingerprint", tokenizer_fingerprint(t), "end",
                     tokenizer_end(t) >= 0 ? json_integer(tokenizer_end(t)) : json_null());
}

static int print_object(json_t *root)
{
    FAIL_IF(!root, E_MEMORY, "no memory for JSON");
    json_dumpf(root, stdout, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(15));
    putchar('\n');
    json_decref(root);
    return 0;
}

/* Of a file: its tensors, and the tokenizer that goes with it. */
static int add_contents(json_t *root, const struct subject *s, const char *base, struct tokenizer **t)
{
    struct model_files f;
    json_t *list = json_array();
    json_object_set_new(root, "tensors", list);
    TRY(model_open_on(&f, s->path, base));
    int code = engine_tokenizer(t, &f, s->path, NULL);
    if (!code) json_object_set_new(root, "tokenizer", tokenizer_to_object(*t));
    if (!code) code = add_tensors(list, f.tensors);
    if (!code && f.adapter) code = add_tensors(list, f.adapter->tensors);
    model_close(&f);
    return code;
}

static int print_json(const struct subject *s, const char *base, const struct weights *w)
{
    json_t *root = json_pack("{s:s?, s:I}", "format", s->kind, "parameters", (json_int_t)model_parameters(w)), *config;
    struct tokenizer *t = NULL;
    int code = *s->path ? add_contents(root, s, base, &t) : 0;
    if (!code) code = config_to_json(s->files.model, &s->files.config, t ? tokenizer_end(t) : -1, &config);
    tokenizer_free(t);
    if (code) json_decref(root);
    else json_object_set_new(root, "config", config);
    return code ? code : print_object(root);
}

/* ---- data ---- */

/* A folder of token files, one of llm.c's, or one of nanoGPT's or ours, which stands for its folder. */
static int is_data(char folder[PATH_SIZE], const char *path)
{
    const char *name = path_base(path);
    if (dataset_look(path)) return snprintf(folder, PATH_SIZE, "%s", path) < PATH_SIZE;
    int named = (!strncmp(name, "train", 5) || !strncmp(name, "val", 3)) && path_has_suffix(name, ".bin");
    if (!named || !path_is_file(path) || path_parent(folder, path)) return 0;
    size_t n = strlen(folder);
    if (n > 1 && folder[n - 1] == '/') folder[n - 1] = 0;
    return dataset_look(folder);
}

static int tell_data(const char *folder, int as_json)
{
    static const char *const formats[] = { [TOKENS_NANOGPT] = "nanoGPT's token files", [TOKENS_LLMC] = "llm.c's token files" };
    struct dataset d;
    if (!as_json) return cli_tell_data(folder);
    TRY(dataset_open(&d, folder));
    const struct split_tokens *a = &d.split[SPLIT_TRAIN], *b = &d.split[SPLIT_VAL];
    json_t *root = json_pack("{s:s, s:I, s:I, s:[I,I], s:i, s:I, s:o, s:s}", "format", formats[d.format], "train", (json_int_t)a->n, "val", (json_int_t)b->n,
                             "shards", (json_int_t)a->shards, (json_int_t)b->shards, "bits", 8 * d.width, "vocabulary", (json_int_t)d.vocab,
                             "end", d.end >= 0 ? json_integer(d.end) : json_null(), "tokenizer", d.tokenizer);
    dataset_close(&d);
    return print_object(root);
}

/* ---- the verb ---- */

static int info(struct options *options, int argc, char **argv)
{
    const struct info_options *o = options->values;
    struct subject s = { 0 };
    struct weights *w = NULL;
    struct plan *p;
    char folder[PATH_SIZE];
    if (argc && is_data(folder, argv[0])) return tell_data(folder, o->json);
    TRY(cpu_init(NULL, (int)o->s.threads));
    int code = find_subject(o, argc, argv, &s);
    if (!code) code = open_weights(o, &s.files, &w);
    if (!code) code = plan_it(o, &s.files, w, &p);
    if (!code) weights_measure(w);
    if (!code) code = o->json ? print_json(&s, o->s.base, w) : print(o, &s, w, p);
    weights_free(w);
    model_close(&s.files);
    return code;
}

int verb_info(int argc, char **argv)
{
    struct option table[CLI_SETTINGS];
    struct info_options o;
    int n = cli_settings(table, own, sizeof own / sizeof *own);
    return cli_run(&(struct command){ .table = table, .options = n, .most = 1, .configs = 1, .usage = USAGE, .run = info }, &o, argc, argv);
}
