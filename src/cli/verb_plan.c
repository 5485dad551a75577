/* verb_plan.c -- nib plan CONFIG: what a run would be, before a day is spent on it. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cpu/cpu.h"
#include "model/adapter.h"
#include "train/calibrate.h"
#include "train/checkpoint.h"
#include "train/fit.h"
#include "train/machine.h"
#include "train/retention.h"
#include "train/train.h"

static const char USAGE[] =
    "nib plan CONFIG ... [--key=value ...]\n\n"
    "What nib train would do with these settings: parameters by part, memory, arithmetic, tokens a parameter, and, from some\n"
    "seconds of it, how long it would take here.\n\n";

struct plan_values { struct settings s; double seconds; int json; };

static const struct option own[] = {
    { .name = "seconds", .kind = OPTION_REAL, .offset = offsetof(struct plan_values, seconds), .initial = "6", .least = 0, .most = 3600, .group = "plan", .help = "that measuring may take; 0: nothing is run" },
    { .name = "json", .kind = OPTION_BOOL, .offset = offsetof(struct plan_values, json), .initial = "false", .group = "plan", .help = "one JSON object on standard output" },
};

/* Hoffmann et al. 2022: at the least cost a parameter has seen about so many tokens. */
static const double COMPUTE_OPTIMAL = 20;

struct outlook {
    const struct settings *s;
    struct dataset data; int has_data;
    struct model_files files;            /* opened only where adapters are trained */
    struct trainer_options o;
    struct trainer trainer;              /* planned, not placed */
    struct memory_table level[4];        /* with --recompute=0 .. 3 */
    struct pace pace;
    double tokens, all, parameters, flops;           /* of an iteration, of the run; of a token */
};

/* ---- the model ---- */

static int find_whole(struct outlook *k, const char *from)
{
    if (!strcmp(from, "scratch") || train_known(from, &k->o.config)) return 0;
    TRY(model_describe(&k->o.model, &k->o.config, from, NULL));
    config_crop(k->o.model, &k->o.config, k->s->block_size);
    return 0;
}

/* What stays in the file of its base is known when that is open; of a GPT-2 that is not here nothing does. */
static int find_adapted(struct outlook *k, const char *from)
{
    struct model_files *f = &k->files;
    FAIL_IF(!strcmp(from, "scratch"), E_USAGE, "--lora_rank: adapters need a model that they adapt; --init_from=MODEL names it");
    if (path_is_dir(from) || path_is_file(from)) {
        TRY(model_open_on(f, from, k->s->base));
        config_crop(f->model, &f->config, k->s->block_size);
    } else {
        TRY(find_whole(k, from));
        f->model = k->o.model;
        f->config = k->o.config;
    }
    TRY(train_adapter(k->s, f));
    k->o.model = f->model;
    k->o.config = f->config;
    k->o.lora = f->adapter->lora;
    k->o.base = f->tensors;
    return 0;
}

static int find_model(struct outlook *k, struct text *notices)
{
    int adapts;
    const struct settings *s = k->s;
    const char *from = s->init_from;
    k->has_data = !dataset_open(&k->data, s->dataset);
    if (!k->has_data) text_format(notices, "no data yet: %s; %s vocabulary is assumed\n", error_text(), s->vocab_size ? "that" : "GPT-2's");
    train_config(s, k->has_data ? k->data.vocab : 0, &k->o.model, &k->o.config);
    if (!strcmp(from, "resume")) from = s->out_dir;
    TRY(adapter_look(from, &adapts));
    return adapts || s->lora_rank ? find_adapted(k, from) : find_whole(k, from);
}

static int measure_levels(struct outlook *k)
{
    struct trainer_options o = k->o;
    for (o.recompute = 0; o.recompute < 4; o.recompute++) TRY(trainer_measure(&o, &k->level[o.recompute]));
    return 0;
}

static int look_ahead(struct outlook *k, struct options *options)
{
    const struct plan_values *v = options->values;
    const struct settings *s = &v->s;
    TRY(machine_choose(s, "", "", &k->o.type, options->notices));
    TRY(find_model(k, options->notices));
    TRY(config_check(k->o.model, &k->o.config));
    k->o.batch = s->batch_size;
    k->o.block = s->block_size < k->o.config.context ? s->block_size : k->o.config.context;
    k->o.recompute = (int)s->recompute;
    k->o.sample_streams = s->sample_interval > 0;
    TRY(fit(options, &k->o, options->notices));
    TRY(measure_levels(k));
    TRY(trainer_plan(&k->trainer, &k->o));
    TRY(adapter_check_layers(k->trainer.weights, k->o.model, &k->o.lora, "--lora_targets"));
    k->tokens = (double)(s->gradient_accumulation_steps * s->batch_size) * (double)k->o.block;
    k->all = k->tokens * (double)s->max_iters;
    k->parameters = (double)model_parameters(k->trainer.weights);
    k->flops = trainer_flops(&k->trainer);
    if (v->seconds <= 0) return 0;
    if (screen_is_terminal()) fprintf(stderr, "measuring for %.0f s ...\r", v->seconds);
    int code = calibrate(s, &k->o, v->seconds, &k->pace);
    if (screen_is_terminal()) fputs("\033[K", stderr);
    return code;
}

/* ---- parameters by part: those of all layers together ---- */

struct part { char name[128]; int64_t n, each; };

/* "h.0.attn.c_attn.weight" is of "h.*.attn.c_attn.weight". */
static void part_name(char name[128], const char *full)
{
    size_t n = 0;
    for (const char *c = full; *c && n < 126; c++) {
        int begins = c == full || c[-1] == '.';
        size_t digits = begins ? strspn(c, "0123456789") : 0;
        if (digits && (c[digits] == '.' || !c[digits])) name[n++] = '*', c += digits - 1;
        else name[n++] = *c;
    }
    name[n] = 0;
}

enum { PARTS = 64 };

static int parts_of(const struct weights *w, struct part part[PARTS])
{
    char name[128];
    int n = 0;
    for (const struct param *p = w->param; p; p = p->next) {
        part_name(name, p->name);
        int i = 0;
        while (i < n && strcmp(part[i].name, name)) i++;
        if (i == PARTS) continue;
        if (i == n) part[n++] = (struct part){ .each = (int64_t)param_size(p) };
        snprintf(part[i].name, sizeof part[i].name, "%s", name);
        part[i].n++;
    }
    return n;
}

static void print_parts(const struct outlook *k, struct text *t)
{
    struct part part[PARTS];
    int n = parts_of(k->trainer.weights, part);
    text_add(t, "parameters  ");
    screen_number(t, k->parameters);
    text_add(t, "\n");
    for (int i = 0; i < n; i++) {
        double all = (double)(part[i].n * part[i].each);
        text_format(t, "  %-45s %4lld x %12lld %5.1f%%\n", part[i].name, (long long)part[i].n, (long long)part[i].each, 100 * all / k->parameters);
    }
}

/* ---- the rest ---- */

static double mib(size_t bytes) { return (double)bytes / 1048576; }

static void print_trained(const struct outlook *k, struct text *t)
{
    double trained = (double)model_trained(k->trainer.weights);
    if (!k->files.adapter) return;
    text_add(t, "trained     ");
    screen_number(t, trained);
    text_format(t, " of them (%.2f%%): ", 100 * trained / k->parameters);
    adapter_describe(k->files.adapter, t);
    text_add(t, "\n");
}

static void print_memory(const struct outlook *k, struct text *t)
{
    const struct memory_table *m = &k->trainer.memory;
    struct keep keep;
    text_format(t, "memory      %.1f MiB: weights %.1f, gradients %.1f, moments %.1f, activations %.1f", mib(m->all), mib(m->parameters), mib(m->gradients), mib(m->moments), mib(m->activations));
    if (m->states) text_format(t, ", keys and values of samples %.1f", mib(m->states));
    text_format(t, ", the rest %.1f", mib(m->inputs + m->program));
    if (m->mapped) text_format(t, "; %.1f more stay in the model's file", mib(m->mapped));
    text_format(t, "\n            with --recompute=0 to 3 %.1f, %.1f, %.1f, %.1f MiB; %.0f are free\n", mib(k->level[0].all), mib(k->level[1].all), mib(k->level[2].all), mib(k->level[3].all), mib(m->available));
    if (!keep_parse(&keep, k->s->keep))
        text_format(t, "disk        %.1f MiB a checkpoint, %lld at once at most\n", mib(checkpoint_bytes(&k->trainer)), (long long)keep_most(&keep, k->s->max_iters, k->s->eval_interval));
}

static void print_arithmetic(const struct outlook *k, struct text *t)
{
    text_format(t, "FLOPs       %.3g a token, %.3g an iteration of ", k->flops, k->flops * k->tokens);
    screen_number(t, k->tokens);
    text_format(t, " tokens, %.3g in all\n", k->flops * k->all);
}

static void print_optimum(const struct outlook *k, struct text *t)
{
    double optimal = COMPUTE_OPTIMAL * k->parameters;
    text_format(t, ": %.3g a parameter, where %.0f are compute-optimal (", k->all / k->parameters, COMPUTE_OPTIMAL);
    screen_number(t, optimal);
    text_format(t, " tokens, %.0f iterations)\n", ceil(optimal / k->tokens));
}

static void print_tokens(const struct outlook *k, struct text *t)
{
    text_add(t, "tokens      ");
    screen_number(t, k->all);
    text_format(t, " in %lld iterations", (long long)k->s->max_iters);
    if (k->files.adapter) text_add(t, "\n");
    else print_optimum(k, t);
    if (k->has_data) text_format(t, "            %.3g times through %s\n", k->all / (double)k->data.split[SPLIT_TRAIN].n, k->data.folder);
}

static void print_time(const struct outlook *k, struct text *t)
{
    const struct pace *p = &k->pace;
    if (!p->measured) return;
    text_add(t, "time        ");
    screen_time(t, pace_of_run(k->s, p));
    text_format(t, ": an iteration %.3g s (%.1f%% of the peak), an evaluation %.3g s, a checkpoint about %.2g s; from %lld steps%s\n", p->iteration,
                100 * k->flops * k->tokens / p->iteration / cpu_peak(F32), p->evaluation, p->save, (long long)p->measured, p->scaled ? " of smaller micro-batches" : "");
}

static void print(const struct outlook *k, struct text *t)
{
    text_add(t, "model       ");
    config_describe(k->o.model, &k->o.config, t);
    text_add(t, "\n");
    print_parts(k, t);
    print_trained(k, t);
    print_memory(k, t);
    print_arithmetic(k, t);
    print_tokens(k, t);
    print_time(k, t);
}

static void print_json(const struct outlook *k, struct text *t)
{
    const struct memory_table *m = &k->trainer.memory;
    text_format(t, "{\"parameters\": %.0f, \"memory_mib\": %.1f, \"checkpoint_mib\": %.1f, \"flops_token\": %.6g, \"tokens_iteration\": %.0f, \"tokens\": %.0f, \"tokens_parameter\": %.4g, "
                "\"iteration_s\": %.6g, \"evaluation_s\": %.6g, \"run_s\": %.6g}\n", k->parameters, mib(m->all), mib(checkpoint_bytes(&k->trainer)), k->flops, k->tokens, k->all,
                k->all / k->parameters, k->pace.iteration, k->pace.evaluation, k->pace.measured ? pace_of_run(k->s, &k->pace) : 0);
}

static int plan(struct options *options, int argc, char **argv)
{
    const struct plan_values *v = options->values;
    struct outlook k = { .s = &v->s };
    struct text t = { 0 };
    (void)argc, (void)argv;
    int code = look_ahead(&k, options);
    cli_notices(options->notices);
    if (!code) (v->json ? print_json : print)(&k, &t);
    if (t.size) fputs(t.at, stdout);
    text_free(&t);
    trainer_close(&k.trainer);
    model_close(&k.files);
    dataset_close(&k.data);
    return code;
}

int verb_plan(int argc, char **argv)
{
    struct option table[CLI_SETTINGS];
    struct plan_values values;
    int n = cli_settings(table, own, sizeof own / sizeof *own);
    return cli_run(&(struct command){ .table = table, .options = n, .configs = 1, .usage = USAGE, .run = plan }, &values, argc, argv);
}
