/* loop.c -- iterations, and what comes between them.  Whatever happens to the disk meanwhile, training goes on. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/rng.h"
#include "cpu/cpu.h"
#include "cpu/profile.h"
#include "infer/generate.h"
#include "token/chat.h"
#include "train/run.h"
#include "train/schedule.h"

enum { SKIPPED_MOST = 10 };                                  /* in a row: then something is done about it */
static const double RETRY_FIRST = 10, RETRY_MOST = 3600;     /* seconds, twice as many each time */

/* ---- evaluations ---- */

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
    struct train_event t = run_event(r, TRAIN_EVALUATED);
    t.train_loss = e[SPLIT_TRAIN].loss;
    t.val_loss = e[SPLIT_VAL].loss;
    run_tell(r, t);
    if (!s->eval_only) metrics_evaluation(&r->metrics, p->iteration, t.train_loss, t.val_loss);
    if (*improved) p->best_loss = t.val_loss, p->best_iteration = p->iteration;
    return 0;
}

/* ---- when it goes wrong ---- */

/* Weights, moments and schedule of the newest checkpoint; but the data since then is left out. */
static int roll_back(struct run *r, const char *why)
{
    struct progress *p = &r->trainer.progress;
    int64_t from = p->iteration, left_out = p->left_out, rollbacks = p->rollbacks;
    char folder[PATH_SIZE];
    TRY(checkpoint_find(folder, r->s->out_dir, &r->notices));        /* verified, so it takes a moment */
    TRY(checkpoint_read(folder, &r->trainer));
    p->left_out = left_out + from - p->iteration;
    p->rollbacks = rollbacks + 1;
    TRY(retention_go_back(r->s->out_dir, p->iteration));
    r->saved = p->iteration;
    metrics_close(&r->metrics);
    TRY(metrics_open(&r->metrics, r->s->out_dir, p->iteration, p->evaluated, r->s->tensorboard));
    run_happened(r, "rolled_back", "%s; back from iteration %lld to %lld (rollback %lld of at most %lld), and the data in between is left out", why, (long long)from, (long long)p->iteration,
                 (long long)p->rollbacks, (long long)r->s->rollback);
    return 0;
}

static int give_up(const struct run *r, const char *why)
{
    const struct settings *s = r->s;
    char where[64] = "; nothing was saved yet";
    if (r->saved >= 0) snprintf(where, sizeof where, "; the newest checkpoint is of iteration %lld", (long long)r->saved);
    FAIL(E_DIVERGED, "diverged at iteration %lld: %s%s. Go on with --init_from=resume, or anew, with a lower --learning_rate (now %g), more --warmup_iters (now %lld), "
         "--grad_clip=1 (now %g), or with --rollback=3, which leaves the data in between out", (long long)r->trainer.progress.iteration, why, where,
         s->learning_rate, (long long)s->warmup_iters, s->grad_clip);
}

static int diverged(struct run *r, const char *why)
{
    return r->trainer.progress.rollbacks < r->s->rollback && r->saved >= 0 ? roll_back(r, why) : give_up(r, why);
}

/* ---- checkpoints ---- */

static int write_checkpoint(struct run *r)
{
    const struct progress *p = &r->trainer.progress;
    const char *out = r->s->out_dir;
    metrics_sync(&r->metrics);
    TRY(checkpoint_write(out, &r->trainer, &r->around));
    r->saved = p->iteration;
    r->retry = 0;
    if (p->best_iteration == p->iteration) r->published = 0;
    return 0;
}

/* The newest checkpoint is there; what goes wrong with the others can wait for the next one. */
static void tidy(struct run *r)
{
    const struct progress *p = &r->trainer.progress;
    const char *out = r->s->out_dir;
    if (!r->published) r->published = !checkpoint_publish(out, p->best_iteration >= 0 ? p->best_iteration : p->iteration);
    if (!r->published) run_happened(r, "save_failed", "the model in %s is not yet that of the best checkpoint: %s", out, error_text());
    if (retention_prune(out, &r->keep, p->iteration, p->best_iteration)) run_happened(r, "save_failed", "old checkpoints were not removed: %s", error_text());
}

static int put_off(struct run *r)
{
    r->retry = fmin(r->retry ? 2 * r->retry : RETRY_FIRST, RETRY_MOST);
    r->retry_at = clock_seconds() + r->retry;
    run_happened(r, "save_failed", "%s; training goes on, and it is tried again at the next evaluation, or in %.0f s", error_text(), r->retry);
    return 0;
}

/* The best evaluation is the best of those that lie on the disk. */
static int save(struct run *r, const struct progress *before, int needed)
{
    struct progress *p = &r->trainer.progress;
    char why[ERROR_TEXT];
    int code = write_checkpoint(r);
    if (code == E_DIVERGED) return diverged(r, error_copy(why));
    if (code && p->best_iteration == p->iteration) p->best_loss = before->best_loss, p->best_iteration = before->best_iteration;
    if (code) return needed ? code : put_off(r);
    tidy(r);
    metrics_event(&r->metrics, p->iteration, "saved", "");
    run_tell(r, run_event(r, TRAIN_SAVED));
    return 0;
}

/* ---- samples ---- */

static int collect(void *context, int stream, const char *text, size_t n, int done)
{
    (void)stream, (void)done;
    text_bytes(context, text, n);
    return 0;
}

/* What a sample goes on from: of conversations the first that validates, up to its answer; else the end token, or a line end. */
static int sample_start(const struct run *r, struct ids *ids)
{
    const struct split_tokens *t = &r->data.split[SPLIT_VAL];
    int64_t end = tokenizer_end(r->tokenizer);
    uint32_t first = end >= 0 ? (uint32_t)end : 0;
    for (size_t i = 0; *r->data.chat && i < t->n && !(t->flags.at[i] & CHAT_COUNTS); i++) TRY(ids_add(ids, &(uint32_t){ dataset_id(&r->data, SPLIT_VAL, i) }, 1));
    if (ids->n) return 0;
    int code = end >= 0 ? ids_add(ids, &first, 1) : tokenizer_encode(r->tokenizer, "\n", 1, SPECIALS_AS_TEXT, ids);
    return code ? ids_add(ids, &first, 1) : 0;               /* a vocabulary without a newline: any id will do */
}

static int sample(struct run *r)
{
    enum { LENGTH = 200 };
    struct text text = { 0 };
    struct stream st = { 0 }, *const streams[] = { &st };
    struct generation g = { .tokenizer = r->tokenizer, .sampling = { .temperature = 0.8, .top_k = 200, .top_p = 1, .repetition = 1, .seed = (uint64_t)r->s->seed },
                            .max_new = LENGTH, .emit = collect, .context = &text };
    int code = sample_start(r, &st.ids);
    if (!code) code = generate(&r->trainer.session, &g, streams, 1, (uint64_t)r->trainer.progress.iteration);
    if (!code && text.size) {
        struct train_event e = run_event(r, TRAIN_SAMPLE);
        e.text = text.at;
        run_tell(r, e);
        metrics_sample(&r->metrics, r->trainer.progress.iteration, text.at);
    }
    ids_free(&st.ids);
    text_free(&text);
    return code;
}

/* ---- an iteration ---- */

/* Skipped ones are told whatever log_interval is. */
static void tell_step(struct run *r, int64_t it, const struct step_result *result, double lr, double seconds)
{
    if (!result->skipped && it % r->s->log_interval) return;
    struct train_event e = run_event(r, TRAIN_STEP);
    e.iteration = it;
    e.step = result;
    e.lr = lr;
    e.seconds = seconds;
    e.share = trainer_flops(&r->trainer) * (double)result->tokens / seconds / cpu_peak(F32);
    metrics_step(&r->metrics, it, result, lr, seconds, e.share);
    run_tell(r, e);
}

/* After so many iterations nobody does worse who has not lost everything: a guess among V tokens costs log V. */
static int look_at_mean(struct run *r)
{
    static const double HOPELESS = 1.5;
    const struct spikes *recent = &r->trainer.progress.spikes;
    char why[256];
    double guess = log((double)r->config.vocab), mean = spikes_spread(recent).mean;
    if (recent->n < SPIKE_WINDOW || mean <= HOPELESS * guess) return 0;
    snprintf(why, sizeof why, "the mean loss of the last %d iterations is %.4g, and a guess among %lld tokens has %.4g", SPIKE_WINDOW, mean, (long long)r->config.vocab, guess);
    return diverged(r, why);
}

/* Is it the data or the weights?  Data that were learnt from before all this tell: if their loss is as usual, those since then are of another kind,
 * and how high their losses are is the usual from now on. */
static int look_at_losses(struct run *r, const struct step_result *last)
{
    const struct settings *s = r->s;
    struct progress *p = &r->trainer.progress;
    char why[512];
    double then;
    if (p->in_a_row < SKIPPED_MOST) return look_at_mean(r);
    int n = snprintf(why, sizeof why, "%d iterations in a row were not applied, the last because %s", SKIPPED_MOST, last->why);
    if (last->skipped == NOT_FINITE) return diverged(r, why);
    TRY(trainer_loss(&r->trainer, &r->data, p->iteration - p->in_a_row - 1, s->gradient_accumulation_steps, (uint64_t)s->seed, &then));
    snprintf(why + n, sizeof why - (size_t)n, "; what was learnt from before that has a loss of %.4f now", then);
    if (!isfinite(then) || spikes_is(&p->spikes, then, s->max_spike)) return diverged(r, why);
    run_happened(r, "higher", "%s: the text has changed, and such losses are the usual from now on", why);
    p->spikes = (struct spikes){ 0 };
    p->in_a_row = 0;
    return 0;
}

static int step(struct run *r)
{
    const struct settings *s = r->s;
    int64_t it = r->trainer.progress.iteration;
    struct adam_options a = { schedule_lr(s, it), s->beta1, s->beta2, s->weight_decay, s->grad_clip, s->max_spike };
    struct step_result result;
    int warm = it > r->first;                                /* the first iteration touches its memory for the first time */
    double start = clock_seconds();
    profile_on(s->profile && warm);
    TRY(trainer_step(&r->trainer, &r->data, s->gradient_accumulation_steps, (uint64_t)s->seed, &a, &result));
    double seconds = clock_seconds() - start;
    profile_on(0);
    if (warm) r->profiled.iterations++, r->profiled.seconds += seconds;
    if (result.skipped == NOT_FINITE && s->debug_nan) TRY(trainer_trace(&r->trainer, &r->data, s->gradient_accumulation_steps, (uint64_t)s->seed, &result));
    tell_step(r, it, &result, a.lr, seconds);
    if (s->sample_interval && r->tokenizer && (it + 1) % s->sample_interval == 0) TRY(sample(r));
    return look_at_losses(r, &result);
}

/* ---- the loop ---- */

/* Once when lines begin to wait, and once when they no longer do. */
static void tell_of_metrics(struct run *r)
{
    int waits = r->metrics.why[0] != 0;
    if (waits == r->waits) return;
    r->waits = waits;
    if (waits) text_format(&r->notices, "metrics.jsonl cannot be written (%s); training goes on, and its lines wait until it can\n", r->metrics.why);
    else text_format(&r->notices, "metrics.jsonl is written again; %lld lines were lost\n", (long long)r->metrics.lost);
    run_tell_notices(r);
}

int loop(struct run *r)
{
    const struct settings *s = r->s;
    const struct progress *p = &r->trainer.progress;
    for (;;) {
        struct progress before = *p;
        int improved = 0, last = p->iteration >= s->max_iters, due = p->iteration % s->eval_interval == 0 || last || s->eval_only;
        if (due && p->evaluated != p->iteration) TRY(evaluate(r, &improved));
        if (s->eval_only) return 0;
        if (due) folder_report(r, 1);
        int stop = *r->interrupted != 0;
        int wanted = (due && p->iteration > 0 && (improved || s->always_save_checkpoint)) || last || stop || (r->retry && clock_seconds() >= r->retry_at);
        if (wanted && r->saved != p->iteration) TRY(save(r, &before, last || stop));
        last = p->iteration >= s->max_iters;                 /* unless saving has found that the run must go back */
        FAIL_IF(stop && !last, E_STOPPED, "stopped at iteration %lld of %lld; go on with: nib train --init_from=resume --out_dir=%s", (long long)p->iteration, (long long)s->max_iters, s->out_dir);
        if (last) return 0;
        TRY(step(r));
        tell_of_metrics(r);
    }
}
