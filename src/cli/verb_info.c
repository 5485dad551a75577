/* verb_info.c -- nib info [MODEL | CONFIG ...]: what a model is, what a run needs, and the plan it runs by. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "cli/cli.h"
#include "cpu/cpu.h"
#include "model/hub.h"
#include "train/train.h"

struct info_options { struct settings s; int plan; const char *phase; };

static const char USAGE[] =
    "nib info [MODEL | CONFIG ...] [--plan] [--phase=train|eval|infer] [--key=value ...]\n\n"
    "Describes a model folder, or the model that these settings of nib train would make: parameters, memory, and with --plan\n"
    "the plan as a program: each step, where its result lies in the arena and how long it lives.\n\n";

static const struct option own[] = {
    { .name = "plan", .kind = OPTION_BOOL, .offset = offsetof(struct info_options, plan), .initial = "false", .group = "info", .help = "print the plan" },
    { .name = "phase", .kind = OPTION_TEXT, .offset = offsetof(struct info_options, phase), .initial = "train", .choices = "train|eval|infer", .group = "info", .help = "of which graph" },
};

static int config_of(const struct info_options *o, int argc, char **argv, const struct model **m, struct config *c)
{
    char folder[PATH_SIZE];
    if (argc) {
        TRY(hub_find(folder, argv[0], screen_transfer, argv[0]));
        screen_clear();
        return model_describe(m, c, folder);
    }
    train_config(&o->s, 0, m, c);
    return config_check(*m, c);
}

static int plan_it(const struct info_options *o, const struct model *m, const struct config *c, struct weights *w, struct plan **p)
{
    enum phase phase = !strcmp(o->phase, "infer") ? INFER : !strcmp(o->phase, "eval") ? EVAL : TRAIN;
    int64_t block = o->s.block_size < c->context ? o->s.block_size : c->context;
    const struct space spaces[] = { { "text", o->s.batch_size * block, o->s.batch_size }, { "wanted", o->s.batch_size, 0 } };
    graph *g;
    TRY(config_fits(c, spaces[0].rows));
    TRY(graph_open(&g, w, phase, strcmp(o->s.dtype, "bfloat16") ? F32 : BF16, spaces, phase == INFER ? 2 : 1));
    tensor *out = m->build(g, c);
    return plan_new(p, g, &out, 1, &(struct plan_options){ .recompute = (int)o->s.recompute, .fuse = 1 });
}

static void print(const struct info_options *o, const struct model *m, const struct config *c, struct weights *w, const struct plan *p)
{
    struct text t = { 0 };
    config_describe(m, c, &t);
    text_add(&t, "\n");
    if (o->plan) plan_print(p, &t);
    weights_measure(w);
    screen_number(&t, (double)model_parameters(w));
    text_format(&t, " parameters, %.1f MiB", (double)model_parameters(w) * 4 / 1048576);
    if (!strcmp(o->phase, "train")) text_format(&t, "; gradients and moments %.1f MiB", (double)w->n_trained * 12 / 1048576);
    text_format(&t, "; activations and workspaces %.1f MiB (%s, level %lld)\n", (double)(w->arena_bytes + cpu_scratch()) / 1048576, o->phase, (long long)o->s.recompute);
    fputs(t.at, stdout);
    text_free(&t);
}

static int info(struct options *options, int argc, char **argv)
{
    const struct info_options *o = options->values;
    const struct model *m;
    struct config c;
    struct weights *w;
    struct plan *p;
    TRY(cpu_init(NULL, (int)o->s.threads));
    TRY(config_of(o, argc, argv, &m, &c));
    TRY(weights_new(&w, &cpu_backend, strcmp(o->phase, "infer") ? TRAINED : FROZEN));
    int code = plan_it(o, m, &c, w, &p);
    if (!code) print(o, m, &c, w, p);
    weights_free(w);
    return code;
}

int verb_info(int argc, char **argv)
{
    struct option table[CLI_SETTINGS];
    struct info_options o;
    int n = cli_settings(table, own, sizeof own / sizeof *own);
    return cli_run(&(struct command){ .table = table, .options = n, .most = 1, .configs = 1, .usage = USAGE, .run = info }, &o, argc, argv);
}
