/* train.c -- the run: a folder, a model, a loop. */
#include "train/train.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/rng.h"
#include "cpu/profile.h"
#include "file/safetensors.h"
#include "infer/generate.h"
#include "model/hub.h"
#include "train/checkpoint.h"
#include "train/hotspots.h"
#include "train/machine.h"
#include "train/metrics.h"
#include "train/schedule.h"

#define OTHER_FOLDER "choose another --out_dir"

struct run {
    struct options *options;
    const struct settings *s;
    void (*tell)(void *, const struct train_event *);
    void *context;
    const volatile sig_atomic_t *interrupted;

    struct dataset data;
    struct tokenizer *tokenizer;         /* NULL: neither the data nor the model brings one */
    const struct model *model;
    struct config config;
    enum dtype type;
    char from[PATH_SIZE];                /* the folder whose weights are taken; empty: none */
    int resumes, lock;
    int64_t first;                       /* the iteration this process began with */
    int64_t saved;                       /* the iteration of the newest checkpoint, -1: none */
    int published;                       /* out/model.safetensors exists */
    struct safetensors *file;
    struct trainer trainer;
    struct metrics metrics;
    struct { int64_t iterations; double seconds; } profiled;
    struct text notices;
};

/* ---- telling ---- */

static struct train_event event(const struct run *r, enum train_kind kind)
{
    return (struct train_event){ .kind = kind, .settings = r->s, .data = &r->data, .trainer = &r->trainer, .iteration = r->trainer.progress.iteration };
}

static void tell(const struct run *r, struct train_event e) { r->tell(r->context, &e); }

static void tell_notices(struct run *r)
{
    for (char *line = r->notices.size ? r->notices.at : NULL, *end; line && *line; line = end) {
        end = line + strcspn(line, "\n");
        if (*end) *end++ = 0;
        struct train_event e = event(r, TRAIN_NOTICE);
        e.text = line;
        tell(r, e);
    }
    text_clear(&r->notices);
}

/* ---- what is trained ---- */

void train_config(const struct settings *s, int64_t vocab, const struct model **m, struct config *c)
{
    int64_t entries = vocab ? vocab : 50257;
    if (entries > 1024) entries = (entries + s->pad_vocab - 1) / s->pad_vocab * s->pad_vocab;
    *m = &model_gpt2;
    *c = (struct config){ .layers = s->n_layer, .heads = s->n_head, .width = s->n_embd, .vocab = s->vocab_size ? s->vocab_size : entries, .context = s->block_size,
                          .tied = 1, .eps = 1e-5, .dropout = s->dropout, .bias = s->bias, .gelu_tanh = !strcmp(s->gelu, "tanh") };
    config_fill_in(c);
}

static int config_from_folder(struct run *r, const char *folder)
{
    TRY(config_read(&r->model, &r->config, folder));
    int64_t block = r->s->block_size;
    FAIL_IF(block > r->config.context, E_USAGE, "block_size %lld is more than the %lld positions of %s", (long long)block, (long long)r->config.context, folder);
    if (!r->resumes) r->config.context = block;              /* cropped, as nanoGPT does */
    return 0;
}

static int open_data(struct run *r)
{
    size_t at;
    TRY(dataset_open(&r->data, r->s->dataset));
    for (int split = 0; split < (r->data.by_document ? 1 : 2); split++)          /* are the texts long enough? */
        TRY(dataset_draw(&r->data, (enum split)split, r->s->block_size, 0, 0, &at));
    return 0;
}

/* That of the data; else that of the model it starts from. */
static int open_tokenizer(struct run *r)
{
    const char *const folders[] = { r->data.folder, r->resumes ? r->s->out_dir : r->from };
    if (*folders[1]) TRY(dataset_suits(&r->data, folders[1]));
    for (int i = 0; i < 2 && *folders[i]; i++)
        if (tokenizer_is_in(folders[i])) return tokenizer_open(&r->tokenizer, folders[i]);
    return 0;
}

static int choose_model(struct run *r)
{
    const char *from = r->s->init_from, *out = r->s->out_dir;
    struct made_with made = { "", "" };
    r->resumes = !strcmp(from, "resume");
    if (r->resumes) {
        TRY(config_from_folder(r, out));
        TRY(checkpoint_find(r->from, out, &r->notices));
        TRY(checkpoint_made_with(r->from, &made));
    } else if (!strcmp(from, "scratch")) {
        train_config(r->s, r->data.vocab, &r->model, &r->config);
    } else {
        TRY(hub_find(r->from, from, NULL, NULL));
        FAIL_IF(!strcmp(r->from, out), E_USAGE, "init_from and out_dir are both %s; choose another out_dir, or --init_from=resume", out);
        TRY(config_from_folder(r, r->from));
    }
    r->config.dropout = r->s->dropout;
    FAIL_IF(r->data.needs > r->config.vocab, E_DATA, "%s has ids up to %lld, the model's vocabulary is %lld", r->data.folder, (long long)r->data.needs - 1, (long long)r->config.vocab);
    return machine_choose(r->s, made.isa, made.dtype, &r->type, &r->notices);
}

/* ---- the folder ---- */

/* A run that is there already is nobody's to overwrite: it moves aside. */
static int move_aside(struct run *r)
{
    char other[PATH_SIZE], path[PATH_SIZE];
    const char *out = r->s->out_dir;
    struct text ignored = { 0 };
    TRY(path_join(path, out, "model.safetensors"));
    int is_run = path_is_file(path) || (path_is_dir(out) && !checkpoint_find(path, out, &ignored));
    text_free(&ignored);
    if (!is_run) return 0;
    for (int i = 1;; i++) {
        FAIL_IF(snprintf(other, sizeof other, "%s.%d", out, i) >= (int)sizeof other, E_USAGE, "the name of out_dir is too long");
        if (!path_is_dir(other) && !path_is_file(other)) break;
    }
    dir_unlock(r->lock);
    r->lock = -1;
    FAIL_IF(rename(out, other), E_IO, "%s: %s", out, strerror(errno));
    text_format(&r->notices, "%s held a run, which is now in %s (--init_from=resume would have gone on with it)\n", out, other);
    TRY(dir_make(out));
    return dir_lock(&r->lock, out, OTHER_FOLDER);
}

static int write_folder(struct run *r)
{
    char path[PATH_SIZE];
    struct text conf = { 0 };
    const char *out = r->s->out_dir;
    int64_t end = r->tokenizer ? tokenizer_end(r->tokenizer) : r->data.end;
    TRY(config_write(r->model, &r->config, end, out));
    if (r->tokenizer) TRY(tokenizer_save(r->tokenizer, out));
    json_t *generation = end >= 0 ? json_pack("{s:I, s:I}", "bos_token_id", (json_int_t)end, "eos_token_id", (json_int_t)end) : json_object();
    TRY(path_join(path, out, "generation_config.json"));
    int code = json_write(path, generation);
    json_decref(generation);
    if (code) return code;
    options_to_text(r->options, &conf);
    TRY(path_join(path, out, "run.conf"));
    code = file_write(path, conf.at, conf.size);
    text_free(&conf);
    return code;
}

int train_recorded(struct options *o, const char *out)
{
    char path[PATH_SIZE];
    TRY(path_join(path, out, "run.conf"));
    FAIL_IF(!path_is_file(path), E_IO, "%s has no run to resume (no run.conf)", out);
    struct text *notices = o->notices;
    o->notices = NULL;                                       /* they were given when the run began */
    int code = options_file(o, path);
    o->notices = notices;
    return code;
}

static int lock_folder(struct run *r)
{
    if (r->s->eval_only || r->lock >= 0) return 0;           /* an evaluation writes nothing */
    TRY(dir_make(r->s->out_dir));
    return dir_lock(&r->lock, r->s->out_dir, OTHER_FOLDER);
}

/* Whoever was killed between saving and publishing has left an older model where the best one belongs. */
static int open_folder(struct run *r)
{
    const struct progress *p = &r->trainer.progress;
    TRY(lock_folder(r));
    if (r->s->eval_only) return 0;
    if (!r->resumes) TRY(move_aside(r));
    TRY(write_folder(r));
    r->saved = r->resumes ? p->iteration : -1;
    r->published = r->resumes && !checkpoint_publish(r->s->out_dir, p->best_iteration >= 0 ? p->best_iteration : p->iteration);
    return metrics_open(&r->metrics, r->s->out_dir, p->iteration, p->evaluated);
}

/* ---- the model ---- */

static int open_trainer(struct run *r)
{
    const struct settings *s = r->s;
    struct trainer_options o = { .model = r->model, .config = r->config, .type = r->type, .batch = s->batch_size, .block = s->block_size,
                                 .recompute = (int)s->recompute, .sample_streams = s->sample_interval && r->tokenizer ? 1 : 0 };
    if (r->from[0] && !r->resumes) {
        TRY(model_open_weights(&r->file, r->from));
        model_settle_head(r->model, &o.config, r->file);
        r->config.tied = o.config.tied;
    }
    TRY(trainer_open(&r->trainer, &o));
    if (r->resumes) return checkpoint_read(r->from, &r->trainer);
    if (r->file) return model_load_weights(r->trainer.weights, r->model, r->file, r->from);
    return model_init_weights(r->trainer.weights, r->model, &r->config, (uint64_t)s->seed);
}

/* ---- the loop ---- */

static int evaluate(struct run *r, int *improved)
{
    struct progress *p = &r->trainer.progress;
    const struct settings *s = r->s;
    struct evaluation e[2];
    for (int split = 0; split < 2; split++) {
        uint64_t key = rng_key(rng_key((uint64_t)s->seed, rng_hash(split == SPLIT_TRAIN ? "evaluate train" : "evaluate val")), (uint64_t)p->iteration);
        TRY(evaluate_random(r->trainer.eval, &r->trainer.batch, &r->data, (enum split)split, s->block_size, s->eval_iters * s->batch_size, key, &e[split]));
    }
    p->evaluated = p->iteration;
    *improved = p->iteration > 0 && e[SPLIT_VAL].loss < p->best_loss;
    if (*improved) p->best_loss = e[SPLIT_VAL].loss, p->best_iteration = p->iteration;
    struct train_event t = event(r, TRAIN_EVALUATED);
    t.train_loss = e[SPLIT_TRAIN].loss;
    t.val_loss = e[SPLIT_VAL].loss;
    tell(r, t);
    return s->eval_only ? 0 : metrics_evaluation(&r->metrics, p->iteration, t.train_loss, t.val_loss);
}

static int save(struct run *r)
{
    const struct progress *p = &r->trainer.progress;
    const char *out = r->s->out_dir;
    TRY(checkpoint_write(out, &r->trainer));
    r->saved = p->iteration;
    if (p->best_iteration == p->iteration || !r->published) TRY(checkpoint_publish(out, p->iteration));
    r->published = 1;
    TRY(checkpoint_prune(out, p->iteration, p->best_iteration));
    tell(r, event(r, TRAIN_SAVED));
    return 0;
}

static int collect(void *context, int stream, const char *text, size_t n, int done)
{
    (void)stream, (void)done;
    text_bytes(context, text, n);
    return 0;
}

static int sample(struct run *r)
{
    enum { LENGTH = 200 };
    struct text text = { 0 };
    struct stream st = { 0 }, *const streams[] = { &st };
    int64_t end = tokenizer_end(r->tokenizer);
    uint32_t first = end >= 0 ? (uint32_t)end : 0;
    struct generation g = { .tokenizer = r->tokenizer, .sampling = { .temperature = 0.8, .top_k = 200, .top_p = 1, .repetition = 1, .seed = (uint64_t)r->s->seed },
                            .max_new = LENGTH, .emit = collect, .context = &text };
    int code = end >= 0 ? ids_add(&st.ids, &first, 1) : tokenizer_encode(r->tokenizer, "\n", 1, SPECIALS_AS_TEXT, &st.ids);
    if (code) code = ids_add(&st.ids, &first, 1);            /* a vocabulary without a newline: any id will do */
    if (!code) code = generate(&r->trainer.session, &g, streams, 1, (uint64_t)r->trainer.progress.iteration);
    if (!code && text.size) {
        struct train_event e = event(r, TRAIN_SAMPLE);
        e.text = text.at;
        tell(r, e);
    }
    ids_free(&st.ids);
    text_free(&text);
    return code;
}

static int step(struct run *r)
{
    const struct settings *s = r->s;
    int64_t it = r->trainer.progress.iteration;
    struct adam_options a = { schedule_lr(s, it), s->beta1, s->beta2, s->weight_decay, s->grad_clip };
    struct step_result result;
    int warm = it > r->first;                                /* the first iteration touches its memory for the first time */
    double start = clock_seconds();
    profile_on(s->profile && warm);
    TRY(trainer_step(&r->trainer, &r->data, s->gradient_accumulation_steps, (uint64_t)s->seed, &a, &result));
    struct train_event e = event(r, TRAIN_STEP);
    e.iteration = it;
    e.step = &result;
    e.lr = a.lr;
    e.seconds = clock_seconds() - start;
    profile_on(0);
    if (warm) r->profiled.iterations++, r->profiled.seconds += e.seconds;
    e.share = trainer_flops(&r->trainer) * (double)result.tokens / e.seconds / cpu_peak(F32);
    if (result.skipped || it % s->log_interval == 0) {
        TRY(metrics_step(&r->metrics, it, &result, e.lr, e.seconds, e.share));
        tell(r, e);
    }
    if (s->sample_interval && r->tokenizer && (it + 1) % s->sample_interval == 0) TRY(sample(r));
    return 0;
}

static void tell_profile(const struct run *r)
{
    struct text t = { 0 };
    hotspots_print(&t, r->profiled.iterations, r->profiled.seconds);
    struct train_event e = event(r, TRAIN_PROFILE);
    e.text = t.at;
    if (t.size) tell(r, e);
    text_free(&t);
}

static int loop(struct run *r)
{
    const struct settings *s = r->s;
    const struct progress *p = &r->trainer.progress;
    for (;;) {
        int improved = 0, last = p->iteration >= s->max_iters, due = p->iteration % s->eval_interval == 0 || last || s->eval_only;
        if (due && p->evaluated != p->iteration) TRY(evaluate(r, &improved));
        if (s->eval_only) return 0;
        int stop = *r->interrupted != 0;
        int wanted = (due && p->iteration > 0 && (improved || s->always_save_checkpoint)) || last || stop;
        if (wanted && r->saved != p->iteration) TRY(save(r));
        FAIL_IF(stop && !last, E_STOPPED, "stopped at iteration %lld of %lld; go on with: nib train --init_from=resume --out_dir=%s", (long long)p->iteration, (long long)s->max_iters, s->out_dir);
        if (last) return 0;
        TRY(step(r));
    }
}

/* ---- the whole ---- */

static int run_all(struct run *r)
{
    TRY(open_data(r));
    if (path_is_dir(r->s->out_dir)) TRY(lock_folder(r));     /* before anybody looks at its checkpoints */
    TRY(choose_model(r));
    TRY(open_tokenizer(r));
    TRY(config_check(r->model, &r->config));
    TRY(open_trainer(r));
    TRY(open_folder(r));                                     /* not before all else has worked: nothing was touched until now */
    tell_notices(r);
    tell(r, event(r, TRAIN_START));
    r->first = r->trainer.progress.iteration;
    TRY(loop(r));
    if (r->s->profile) tell_profile(r);
    tell(r, event(r, TRAIN_DONE));
    return 0;
}

int train_run(struct options *o, void (*tell_)(void *context, const struct train_event *e), void *context, const volatile sig_atomic_t *interrupted)
{
    struct run r = { .options = o, .s = o->values, .tell = tell_, .context = context, .interrupted = interrupted, .lock = -1, .metrics = { .file = -1 } };
    int code = run_all(&r);
    tell_notices(&r);                                        /* also of a run that failed */
    metrics_close(&r.metrics);
    profile_clear();
    trainer_close(&r.trainer);
    safetensors_close(r.file);
    tokenizer_free(r.tokenizer);
    dataset_close(&r.data);
    dir_unlock(r.lock);
    text_free(&r.notices);
    return code;
}
