/* test_diverge.c -- numbers that are not finite and losses that leap: never applied, counted, named; a run that diverges stops or goes back, and
 * nothing of it lies on the disk that is not finite.  SEED and COUNT (poisoned steps) may be given in the environment. */
#include "runs.h"

#include <math.h>

#include "base/finite.h"
#include "cpu/cpu.h"
#include "file/safetensors.h"
#include "train/checkpoint.h"

static int set_up(void **state)
{
    if (enter_program(state)) return -1;
    write_play("my.txt", 300);
    return run("data my.txt") ? print_error("%s", ERR), -1 : 0;
}

/* ---- steps on poisoned weights ---- */

static struct dataset data;
static struct trainer trainer;

static void open_trainer(void)
{
    struct trainer_options o = { .model = &model_gpt2, .config = { .layers = 2, .heads = 2, .width = 32, .context = 16, .tied = 1, .eps = 1e-5, .bias = 1 }, .batch = 2, .block = 16 };
    assert_ok(cpu_init(NULL, 1));
    assert_ok(dataset_open(&data, "my"));
    o.config.vocab = data.vocab;
    config_fill_in(&o.config);
    assert_ok(trainer_open(&trainer, &o));
    assert_ok(model_init_weights(trainer.weights, o.model, &o.config, 1));
}

static void close_trainer(void)
{
    trainer_close(&trainer);
    dataset_close(&data);
}

static struct step_result step_once(void)
{
    static const struct adam_options a = { 1e-3, 0.9, 0.95, 0.1, 1, 8 };
    struct step_result r;
    assert_ok(trainer_step(&trainer, &data, 2, 1, &a, &r));
    if (r.skipped == NOT_FINITE) assert_ok(trainer_trace(&trainer, &data, 2, 1, &r));
    return r;
}

/* A number of one parameter becomes this; returns the parameter. */
static const struct param *poison(uint64_t *dice_, float with)
{
    const struct param *p = trainer.weights->param;
    for (int k = roll(dice_, trainer.weights->n_param); k > 0; k--) p = p->next;
    trainer.weights->master[p->at + dice(dice_) % param_size(p)] = with;
    cpu_backend.refresh(trainer.weights);
    return p;
}

/* Weights and moments lie one after the other here, to be compared. */
static void copy_state(float *to)
{
    const struct weights *w = trainer.weights;
    const float *const ranges[] = { w->master, w->moment1, w->moment2 };
    for (int i = 0; i < 3; i++) memcpy(to + (size_t)i * w->n_trained, ranges[i], w->n_trained * sizeof *to);
}

static void poisoned_weights(void **state)
{
    static const float poisons[] = { NAN, INFINITY, -INFINITY, 1e38f, -3e38f, 1e-42f };
    (void)state;
    uint64_t dice_ = (uint64_t)number_from("SEED", 1);
    int n = (int)number_from("COUNT", 200), skipped = 0;
    open_trainer();
    size_t size = 3 * trainer.weights->n_trained;
    float *good = malloc(size * sizeof *good), *before = malloc(size * sizeof *before), *after = malloc(size * sizeof *after);
    for (int i = 0; i < n; i++) {
        float with = poisons[i % 6];
        if (step_once().skipped) fail_msg("step %d was not applied", i);             /* it works on */
        copy_state(good);
        const struct param *p = poison(&dice_, with);
        int64_t updates = trainer.progress.updates, count = trainer.progress.skipped;
        copy_state(before);
        struct step_result r = step_once();
        copy_state(after);
        if (!isfinite(with) && !r.skipped && strcmp(p->name, "wpe.weight")) fail_msg("%s has %g, and the step was applied", p->name, with);
        if (r.skipped) {
            skipped++;
            assert_memory_equal(before, after, size * sizeof *before);
            assert_int_equal(trainer.progress.updates, updates);
            assert_int_equal(trainer.progress.skipped, count + 1);
            if (!isfinite(with)) assert_has(r.why, p->name);
        }
        if (isfinite(with)) assert_true(are_finite(after, F32, size));
        memcpy(trainer.weights->master, good, size / 3 * sizeof *good);
        memcpy(trainer.weights->moment1, good + size / 3, size / 3 * sizeof *good);
        memcpy(trainer.weights->moment2, good + 2 * (size / 3), size / 3 * sizeof *good);
        cpu_backend.refresh(trainer.weights);
    }
    assert_true(skipped >= n / 3);
    free(good);
    free(before);
    free(after);
    close_trainer();
}

/* Weights that are finite, but too large for what is made of them: the op is named, not only where it was noticed. */
static void first_op(void **state)
{
    static const struct { const char *name, *why; } cases[] = {
        { "h.1.mlp.c_fc.weight", "linear of h.1.mlp.c_fc.weight, forward made the first number that is not finite" },
        { "h.0.attn.c_proj.weight", "layernorm of h.0.ln_2.weight, forward" }, { "h.0.attn.c_attn.weight", "linear of h.0.attn.c_attn.weight, forward" },
    };
    (void)state;
    for (int i = 0; i < 3; i++) {
        open_trainer();
        const struct param *p = weights_find(trainer.weights, cases[i].name);
        for (size_t k = 0; k < param_size(p); k++) trainer.weights->master[p->at + k] = k % 2 ? 3e38f : 2e38f;
        cpu_backend.refresh(trainer.weights);
        struct step_result r = step_once();
        assert_int_equal(r.skipped, NOT_FINITE);
        assert_has(r.why, cases[i].why);
        close_trainer();
    }
}

/* ---- spikes ---- */

static void spikes(void **state)
{
    (void)state;
    struct spikes s = { 0 };
    for (int i = 0; i < SPIKE_WINDOW; i++) {
        assert_false(spikes_is(&s, 1e9, 8));                 /* nothing is known yet */
        spikes_add(&s, 3 + (i % 2 ? 0.1 : -0.1));
    }
    assert_float_equal(spikes_spread(&s).mean, 3, 1e-12);
    assert_float_equal(spikes_spread(&s).deviation, 0.1, 1e-12);
    assert_false(spikes_is(&s, 3.79, 8));
    assert_true(spikes_is(&s, 3.81, 8));
    assert_false(spikes_is(&s, 3.81, 0));                    /* nobody asks */
    assert_false(spikes_is(&s, 3.15, 1));                    /* too little to matter */
    assert_true(spikes_is(&s, 3.21, 1));
    for (int i = 0; i < SPIKE_WINDOW; i++) spikes_add(&s, 5);
    assert_float_equal(spikes_spread(&s).mean, 5, 1e-12);
    assert_false(spikes_is(&s, 5.19, 8));
}

/* The losses of a run that goes on and those of one that was resumed lie at other places of the window: what is said of them has the same bits. */
static void spikes_of_a_resumed_run(void **state)
{
    (void)state;
    struct spikes on = { 0 }, resumed = { 0 };
    for (int i = 0; i < 300; i++) spikes_add(&on, 2 + sin(i) / 3);
    for (int i = 0; i < on.n; i++) spikes_add(&resumed, spikes_loss(&on, i));
    assert_true(on.next != resumed.next);
    assert_true(spikes_spread(&on).mean == spikes_spread(&resumed).mean && spikes_spread(&on).deviation == spikes_spread(&resumed).deviation);
}

/* ---- whole runs ---- */

static void assert_finite_model(const char *out)
{
    struct tensors *s;
    char path[PATH_SIZE];
    assert_ok(path_join(path, out, "model.safetensors"));
    assert_ok(safetensors_open(&s, path));
    for (int i = 0; i < tensors_count(s); i++) assert_true(are_finite(tensors_at(s, i)->data, F32, tensors_at(s, i)->size / 4));
    tensors_close(s);
}

static int events(const char *out, const char *kind)         /* of a kind in its metrics */
{
    char path[PATH_SIZE], key[64];
    struct text t = { 0 };
    int n = 0;
    assert_ok(path_join(path, out, "metrics.jsonl"));
    assert_ok(file_read(path, LIMIT, &t));
    snprintf(key, sizeof key, "\"event\": \"%s\"", kind);
    for (const char *at_ = t.at; (at_ = strstr(at_, key)); at_++) n++;
    text_free(&t);
    return n;
}

#define STEEP TINY " --dtype=float32 --decay_lr=False --weight_decay=0 --grad_clip=0 --eval_interval=20 --log_interval=1000"

/* Every step makes it worse, until nothing is finite: it stops, with advice; what it saved before can be gone on with. */
static void a_rate_far_too_high(void **state)
{
    (void)state;
    runs("train --dataset=my --out_dir=steep " STEEP " --max_iters=20 --learning_rate=1e-3");
    fails(E_DIVERGED, "10 iterations in a row were not applied, the last because ", "train --init_from=resume --out_dir=steep --max_iters=1000 --eval_interval=1000 --learning_rate=1000 --weight_decay=1000");
    assert_has(ERR, "; the newest checkpoint is of iteration 20. Go on with --init_from=resume, or anew, with a lower --learning_rate (now 1000)");
    assert_has(OUT, "is not finite");
    assert_int_equal(events("steep", "stopped"), 1);
    runs("check steep");
    assert_finite_model("steep");
    runs("train --init_from=resume --out_dir=steep --max_iters=40 --eval_interval=20 --learning_rate=1e-3 --weight_decay=0");
    assert_has(ERR, "learning_rate 1000.0 -> 0.001");
    assert_finite_model("steep");
}

/* Weights that are not finite are not saved, whoever asks. */
static void weights_that_are_not_saved(void **state)
{
    (void)state;
    uint64_t dice_ = 1;
    struct surroundings around = { .end = -1 };
    open_trainer();
    assert_ok(dir_make("brink"));
    dataset_mark(&data, &around.data);
    assert_ok(checkpoint_write("brink", &trainer, &around));
    trainer.progress.iteration = 1;
    const struct param *p = poison(&dice_, INFINITY);
    assert_fails(checkpoint_write("brink", &trainer, &around), E_DIVERGED, "checkpoint step-00000001 was not written: ");
    assert_has(error_text(), p->name);
    assert_int_equal(names_in("brink"), 1);
    close_trainer();
}

static void worse_than_a_guess(void **state)
{
    (void)state;
    fails(E_DIVERGED, "the mean loss of the last 128 iterations is ", "train --dataset=my --out_dir=lost " STEEP " --max_iters=1000 --learning_rate=30");
    assert_has(ERR, ", and a guess among ");
    runs("check lost");
}

/* Going back helps where it was the data; the same run, interrupted, goes the same way.  The plain C kernels have the same bits everywhere. */
static void goes_back(void **state)
{
    (void)state;
    const struct how scalar = { .name = "NIB_CPU", .value = "scalar" };
    static const char options[] = STEEP " --learning_rate=1 --max_spike=0.3 --rollback=30";
    runs_how(&scalar, "train --dataset=my --out_dir=back %s --max_iters=400", options);
    assert_has(ERR, "10 iterations in a row were not applied, the last because its loss of ");
    assert_has(ERR, "; what was learnt from before that has a loss of ");
    assert_has(ERR, ", and the data in between is left out");
    int rollbacks = events("back", "rolled_back");
    assert_in_range(rollbacks, 1, 30);
    runs_how(&scalar, "train --dataset=my --out_dir=back2 %s --max_iters=200", options);
    runs_how(&scalar, "train --init_from=resume --out_dir=back2 --max_iters=400");
    assert_same_runs("back", "back2", 400);
    assert_int_equal(events("back2", "rolled_back"), rollbacks);
    run_how(&scalar, "train --dataset=my --out_dir=back3 %s --rollback=0 --max_iters=400", options);
    if (!has_failed(E_DIVERGED, "or with --rollback=3, which leaves the data in between out")) fail_msg("%d: %s%s", nib.status, OUT, ERR);
}

/* A text that changes in its midst (shards are read one after the other) is no reason to stop. */
static void another_text(void **state)
{
    (void)state;
    struct text t = { 0 };
    for (int i = 0; i < 500; i++) text_format(&t, "%s", i < 250 ? "we sing and we sing and " : "9 7 5 3 1 8 6 4 2 0 ! ? ");
    assert_ok(dir_make("two"));
    write_text("two/a.txt", t.at);
    write_text("two/b.txt", t.at);
    text_free(&t);
    runs("data two/a.txt --tokenizer=char --val=two/b.txt --shard_size=6000 --out=changing");
    int changed = 0;
    for (int seed = 1; seed <= 4 && !changed; seed++) {      /* which comes first is drawn */
        runs("train --dataset=changing --out_dir=changing%d --seed=%d " STEEP " --learning_rate=1e-2 --max_iters=400", seed, seed);
        changed = strstr(ERR, ": the text has changed, and such losses are the usual from now on") != NULL;
        assert_null(strstr(ERR, "diverged"));
    }
    assert_true(changed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(poisoned_weights), cmocka_unit_test(first_op), cmocka_unit_test(spikes), cmocka_unit_test(spikes_of_a_resumed_run), cmocka_unit_test(a_rate_far_too_high), cmocka_unit_test(weights_that_are_not_saved),
        cmocka_unit_test(worse_than_a_guess), cmocka_unit_test(goes_back), cmocka_unit_test(another_text),
    };
    return cmocka_run_group_tests(tests, set_up, leave_program);
}
