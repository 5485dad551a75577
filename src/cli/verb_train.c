/* verb_train.c -- nib train [CONFIG ...] [TEXT] [--key=value ...]: a run, and what its owner sees of it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "cli/cli.h"
#include "cpu/cpu.h"
#include "model/adapter.h"
#include "text/packing.h"
#include "text/prepare.h"
#include "train/autosize.h"
#include "train/train.h"

static const char USAGE[] =
    "nib train [CONFIG ...] [TEXT] [--key=value ...]\n\n"
    "Trains a GPT. CONFIG is a .conf file or one of nanoGPT's .py files; TEXT is any text file, for which a model is chosen\n"
    "that is good after --minutes. Later arguments override earlier ones.\n\n";

/* ---- the curve: at most CURVE points, each the mean of as many losses as it takes ---- */

enum { CURVE = 32 };
struct curve { double value[CURVE], sum; int n, each, count; };

static void curve_add(struct curve *c, double x)
{
    if (!c->each) c->each = 1;
    c->sum += x;
    if (++c->count < c->each) return;
    if (c->n == CURVE) {
        for (int i = 0; i < CURVE / 2; i++) c->value[i] = (c->value[2 * i] + c->value[2 * i + 1]) / 2;
        c->n = CURVE / 2;
        c->each *= 2;
        return;                                              /* this point is only half full now */
    }
    c->value[c->n++] = c->sum / c->count;
    c->sum = c->count = 0;
}

/* ---- what is shown ---- */

struct show { const struct options *options; struct curve curve; double val, seconds_a_step, shown; struct text line; };

static double mib(size_t bytes) { return (double)bytes / 1048576; }

static void show_adapters(struct text *t, const struct train_event *e)
{
    const struct weights *w = e->trainer->weights;
    double all = (double)model_parameters(w), trained = (double)model_trained(w);
    text_add(t, "\n         ");
    adapter_describe(e->adapter, t);
    text_add(t, "\n         ");
    screen_number(t, trained);
    text_add(t, " parameters are trained, ");
    screen_number(t, all - trained);
    text_format(t, " stay as they are (%.2f%%)\n", 100 * trained / all);
}

static void show_model(struct text *t, const struct train_event *e)
{
    const struct trainer *r = e->trainer;
    size_t matrices = 0, vectors = 0;
    int n_matrices = 0, n_vectors = 0;
    for (const struct param *p = r->weights->param; p; p = p->next) {
        *(p->decay ? &matrices : &vectors) += param_size(p);
        *(p->decay ? &n_matrices : &n_vectors) += 1;
    }
    text_add(t, "model    ");
    config_describe(r->o.model, &r->o.config, t);
    if (e->adapter) {
        show_adapters(t, e);
        return;
    }
    text_add(t, "\n         ");
    screen_number(t, (double)(matrices + vectors));
    text_add(t, " parameters: ");
    screen_number(t, (double)matrices);
    text_format(t, " in %d matrices, which decay, ", n_matrices);
    screen_number(t, (double)vectors);
    text_format(t, " in %d vectors, which do not\n", n_vectors);
}

static void show_data(struct text *t, const struct train_event *e)
{
    const struct settings *s = e->settings;
    double windows = (double)(s->gradient_accumulation_steps * s->batch_size), tokens = windows * (double)s->block_size, all = (double)e->data->split[SPLIT_TRAIN].n;
    text_format(t, "data     %s: ", dataset_name(e->data));
    screen_number(t, all);
    text_add(t, " tokens to train on, ");
    screen_number(t, (double)e->data->split[SPLIT_VAL].n);
    text_add(t, " to validate\n         ");
    screen_number(t, tokens);
    if (e->data->packing) text_format(t, " tokens an iteration at most, %lld iterations, %.3g times through the conversations\n", (long long)s->max_iters, windows * (double)s->max_iters / (double)e->data->packing->windows);
    else text_format(t, " tokens an iteration, %lld iterations, %.3g times through the text\n", (long long)s->max_iters, tokens * (double)s->max_iters / all);
    if (e->data->floor > 0) text_format(t, "         no model can reach a validation loss below %.4f\n", e->data->floor);
}

static void show_machine(struct text *t, const struct trainer *r)
{
    const struct memory_table *m = &r->memory;
    text_format(t, "memory   %.1f MiB: weights %.1f, gradients %.1f, moments %.1f, activations %.1f", mib(m->all), mib(m->parameters), mib(m->gradients), mib(m->moments), mib(m->activations));
    if (m->states) text_format(t, ", keys and values of samples %.1f", mib(m->states));
    text_format(t, ", the rest %.1f", mib(m->inputs + m->program));
    if (m->mapped) text_format(t, "; %.1f more stay in the model's file", mib(m->mapped));
    if (m->available) text_format(t, "; %.0f free", mib(m->available));
    text_format(t, "\nmachine  %s, %d thread%s, %s kernels, %s activations, peak %.0f GFLOP/s\n", cpu_model(), cpu_threads(), cpu_threads() > 1 ? "s" : "", cpu_isa(),
                dtype_name(r->o.type), cpu_peak(F32) / 1e9);
}

static void show_time(struct text *t, const struct show *w, const struct train_event *e)
{
    const struct settings *s = e->settings;
    double step = estimate_iteration(e->data, w->options), evaluation = estimate_evaluation(e->data, w->options);
    int64_t left = s->max_iters - e->trainer->progress.iteration;
    text_add(t, "time     about ");
    screen_time(t, (double)left * step + (double)(left / s->eval_interval + 1) * evaluation);
    text_add(t, "\n");
    if (step + evaluation < 60) return;
    text_add(t, "         the first line comes in about ");
    screen_time(t, step + evaluation);
    text_format(t, "; this would be quick:\n         nib train --dataset=%s --n_layer=4 --n_head=4 --n_embd=128 --block_size=64 --batch_size=12 "
                "--gradient_accumulation_steps=1 --eval_iters=20 --max_iters=2000 --lr_decay_iters=2000 --warmup_iters=100 --learning_rate=1e-3 --min_lr=1e-4\n", s->dataset);
}

static void show_start(struct show *w, const struct train_event *e)
{
    struct text t = { 0 };
    show_model(&t, e);
    show_data(&t, e);
    show_machine(&t, e->trainer);
    show_time(&t, w, e);
    if (e->trainer->progress.iteration) text_format(&t, "resumed at iteration %lld\n", (long long)e->trainer->progress.iteration);
    fputs(t.at, stdout);
    fflush(stdout);
    text_free(&t);
}

/* Into a file or a pipe: each of those that were asked for; nobody having asked, the first and then one in a while. */
static void show_line(struct show *w, const char *line)
{
    static const double SECONDS = 10;
    double now = clock_seconds();
    if (!options_origin(w->options, "log_interval") && w->shown > 0 && now - w->shown < SECONDS) return;
    w->shown = now;
    puts(line);
    fflush(stdout);
}

/* "step 1200/5000  loss 2.4512  val 2.4703  lr 1.0e-03  norm 1.21  51,891 tok/s  41% of peak  ETA 2 min  curve" */
static void show_step(struct show *w, const struct train_event *e)
{
    struct text *t = &w->line;
    const struct step_result *r = e->step;
    text_clear(t);
    text_format(t, "step %lld/%lld  loss %.4f", (long long)e->iteration, (long long)e->settings->max_iters, r->loss);
    if (!isnan(w->val)) text_format(t, "  val %.4f", w->val);
    text_format(t, "  lr %.2e  norm %.3g  ", e->lr, r->norm);
    screen_number(t, (double)r->tokens / e->seconds);
    text_format(t, " tok/s  %.1f%% of peak  ETA ", 100 * e->share);
    w->seconds_a_step = w->seconds_a_step ? 0.95 * w->seconds_a_step + 0.05 * e->seconds : e->seconds;
    screen_time(t, w->seconds_a_step * (double)(e->settings->max_iters - e->iteration));
    if (r->skipped) {
        screen_clear();
        printf("iteration %lld was not applied: %s\n", (long long)e->iteration, r->why);
        return;
    }
    curve_add(&w->curve, r->loss);
    if (!screen_is_terminal()) {
        show_line(w, t->at);
        return;
    }
    if (w->curve.n > 1) {
        text_add(t, "  ");
        screen_spark(t, w->curve.value, w->curve.n);
    }
    screen_line(t->at, 0);
}

static void on_event(void *context, const struct train_event *e)
{
    struct show *w = context;
    if (e->kind == TRAIN_STEP) {
        show_step(w, e);
        return;
    }
    screen_clear();
    switch (e->kind) {
    case TRAIN_NOTICE: fprintf(stderr, "note: %s\n", e->text); break;
    case TRAIN_START: show_start(w, e); break;
    case TRAIN_EVALUATED:
        w->val = e->val_loss;
        printf("step %lld: train loss %.4f, val loss %.4f\n", (long long)e->iteration, e->train_loss, e->val_loss);
        break;
    case TRAIN_SAVED: printf("saved %s/step-%08lld\n", e->settings->out_dir, (long long)e->iteration); break;
    case TRAIN_PROFILE: fputs(e->text, stdout); break;
    case TRAIN_SAMPLE: printf("---------------\n%s\n---------------\n", e->text); break;
    default:
        if (e->trainer->progress.skipped) printf("%lld iterations were not applied\n", (long long)e->trainer->progress.skipped);
        if (!e->settings->eval_only && e->settings->report) printf("its curves are in %s/report.html\n", e->settings->out_dir);
        if (!e->settings->eval_only) printf("done: nib sample %s\n", e->settings->out_dir);
    }
    fflush(stdout);
}

/* ---- arguments ---- */

/* The arguments are read twice: first only to see whether a run is to be resumed, whose recorded settings then come before them. */
static int peek(struct options *o, int argc, char **argv)
{
    char **copy = calloc((size_t)argc + 1, sizeof *copy);
    FAIL_IF(!copy, E_MEMORY, "no memory for arguments");
    memcpy(copy, argv, (size_t)argc * sizeof *copy);
    int code = options_arguments(o, &argc, copy);
    free(copy);
    return code;
}

static int read_arguments(struct options *o, int *argc, char **argv, int *done)
{
    const struct settings *s = o->values;
    struct text *notices = o->notices;
    o->notices = NULL;
    TRY(options_defaults(o));
    TRY(peek(o, *argc, argv));
    const char *out = strcmp(s->init_from, "resume") || o->help ? NULL : s->out_dir;
    TRY(options_defaults(o));
    if (out) TRY(train_recorded(o, out));
    o->notices = notices;
    struct settings recorded = *s;
    TRY(cli_options(o, argc, argv, 1, USAGE, done));
    if (out && !*done) TRY(settings_keep(o, &recorded));
    return 0;
}

/* A text file as dataset: prepared into data/NAME, once. */
static int prepare_text(struct settings *s, struct arena *memory, struct text *notices)
{
    char stem[128], folder[PATH_SIZE];
    const char *base = path_base(s->dataset);
    snprintf(stem, sizeof stem, "%.*s", (int)strcspn(base, "."), base);
    TRY(path_join(folder, "data", stem));
    struct prepare_options o = { .inputs = &s->dataset, .n = 1, .out = folder, .tokenizer = strcmp(s->tokenizer, "auto") ? s->tokenizer : "char", .field = "text", .val = "0.1",
                                 .notices = notices, .progress = screen_transfer, .context = (void *)(uintptr_t)"reading" };
    struct prepared p;
    TRY(prepare(&o, &p));
    screen_clear();
    printf("%s: %llu tokens to train on, %llu to validate, vocabulary %lld, in %s\n", s->dataset, (unsigned long long)p.train, (unsigned long long)p.val, (long long)p.vocab, folder);
    s->dataset = arena_copy(memory, folder);
    FAIL_IF(!s->dataset, E_MEMORY, "no memory for a name");
    return 0;
}

static int choose_sizes(struct options *o, struct text *notices)
{
    const struct settings *s = o->values;
    struct dataset d;
    TRY(cpu_init(NULL, (int)s->threads));
    TRY(dataset_open(&d, s->dataset));
    int code = autosize(o, &d, notices);
    dataset_close(&d);
    return code;
}

static int train(struct options *o, int argc, char **argv)
{
    struct settings *s = o->values;
    struct show show = { .options = o, .val = NAN };
    int configs = 0, done, is_text;
    TRY(cli_find_configs(argc, argv, o->memory, o->notices, &configs));
    TRY(read_arguments(o, &argc, argv, &done));
    if (done) return 0;
    if (argc) s->dataset = argv[0];
    is_text = path_is_file(s->dataset) && !dataset_look(s->dataset);
    if (is_text) TRY(prepare_text(s, o->memory, o->notices));
    if (is_text && !configs && !strcmp(s->init_from, "scratch")) TRY(choose_sizes(o, o->notices));
    cli_notices(o->notices);
    int code = train_run(o, on_event, &show, &interrupted);
    text_free(&show.line);
    return code;
}

int verb_train(int argc, char **argv)
{
    struct settings s;
    struct arena memory = { 0 };
    struct text notices = { 0 };
    struct options o = { .table = settings_table, .n = settings_count, .values = &s, .memory = &memory, .notices = &notices };
    int code = train(&o, argc, argv);
    text_free(&notices);
    arena_free(&memory);
    return code;
}
