/* verb_info.c -- nib info [MODEL | CONFIG ...]: what a model is, what a run needs, and the plan it runs by. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "cli/cli.h"
#include "cpu/cpu.h"
#include "model/adapter.h"
#include "model/hub.h"
#include "train/train.h"

struct info_options { struct settings s; int plan; const char *phase; };

static const char USAGE[] =
    "nib info [MODEL | CONFIG ...] [--plan] [--phase=train|eval|infer] [--key=value ...]\n\n"
    "Describes a model folder, also an adapter's, or the model that these settings of nib train would make: parameters, memory, and with --plan\n"
    "the plan as a program: each step, where its result lies in the arena and how long it lives.\n\n";

static const struct option own[] = {
    { .name = "plan", .kind = OPTION_BOOL, .offset = offsetof(struct info_options, plan), .initial = "false", .group = "info", .help = "print the plan" },
    { .name = "phase", .kind = OPTION_TEXT, .offset = offsetof(struct info_options, phase), .initial = "train", .choices = "train|eval|infer", .group = "info", .help = "of which graph" },
};

/* A model alone, or with an adapter: its own, or the one that settings ask for. */
static int find_model(const struct info_options *o, int argc, char **argv, struct model_files *f)
{
    char folder[PATH_SIZE];
    struct settings s = o->s;
    int adapts = 0;
    *f = (struct model_files){ 0 };
    if (argc) {
        s.init_from = argv[0];
        TRY(hub_find(folder, argv[0], screen_transfer, argv[0]));
        screen_clear();
        TRY(adapter_look(folder, &adapts));
        TRY(adapts || o->s.lora_rank ? model_open_on(f, folder, o->s.base) : model_describe(&f->model, &f->config, folder, NULL));
    } else {
        train_config(&o->s, 0, &f->model, &f->config);
        TRY(config_check(f->model, &f->config));
    }
    return train_adapter(&s, f);
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

static double mib(size_t bytes) { return (double)bytes / 1048576; }

static void print_adapter(const struct weights *w, struct text *t)
{
    text_add(t, " parameters, of which ");
    screen_number(t, (double)model_trained(w));
    text_format(t, " are of adapters; %.1f MiB, and %.1f that stay in the model's file", mib(w->frozen_bytes + w->n_trained * sizeof(float)), mib(model_mapped(w)));
}

static void print(const struct info_options *o, const struct model_files *f, struct weights *w, const struct plan *p)
{
    struct text t = { 0 };
    config_describe(f->model, &f->config, &t);
    text_add(&t, "\n");
    if (f->adapter) adapter_describe(f->adapter, &t), text_add(&t, "\n");
    if (o->plan) plan_print(p, &t);
    weights_measure(w);
    screen_number(&t, (double)model_parameters(w));
    if (f->adapter) print_adapter(w, &t);
    else text_format(&t, " parameters, %.1f MiB", mib(model_parameters(w) * sizeof(float)));
    if (!strcmp(o->phase, "train")) text_format(&t, "; gradients and moments %.1f MiB", mib(w->n_trained * 3 * sizeof(float)));
    text_format(&t, "; activations and workspaces %.1f MiB (%s, level %lld)\n", mib(w->arena_bytes + cpu_scratch()), o->phase, (long long)o->s.recompute);
    fputs(t.at, stdout);
    text_free(&t);
}

static int info(struct options *options, int argc, char **argv)
{
    const struct info_options *o = options->values;
    struct model_files f;
    struct weights *w = NULL;
    struct plan *p;
    TRY(cpu_init(NULL, (int)o->s.threads));
    int code = find_model(o, argc, argv, &f);
    if (!code) code = open_weights(o, &f, &w);
    if (!code) code = plan_it(o, &f, w, &p);
    if (!code) print(o, &f, w, p);
    weights_free(w);
    model_close(&f);
    return code;
}

int verb_info(int argc, char **argv)
{
    struct option table[CLI_SETTINGS];
    struct info_options o;
    int n = cli_settings(table, own, sizeof own / sizeof *own);
    return cli_run(&(struct command){ .table = table, .options = n, .most = 1, .configs = 1, .usage = USAGE, .run = info }, &o, argc, argv);
}
