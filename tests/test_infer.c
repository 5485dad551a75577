/* test_infer.c -- writing: what a session says step by step is what a full forward pass says; samples depend on nothing else. */
#include <math.h>

#include "cpu/cpu.h"
#include "drawn.h"
#include "folder.h"
#include "infer/engine.h"
#include "infer/generate.h"

enum { CONTEXT = 12, VOCAB = 95 };

/* A model folder with random weights large enough that texts are lively, and a tokenizer of the printable ASCII characters. */
static void make_model(const char *path)
{
    struct tokenizer *k;
    char text[VOCAB + 1] = "";
    struct trainer_options o = { .model = &model_gpt2, .batch = 1, .block = CONTEXT,
                                 .config = { .layers = 2, .heads = 2, .width = 32, .vocab = VOCAB + 1, .context = CONTEXT, .tied = 1, .eps = 1e-5, .bias = 1, .activation = GELU_TANH } };
    config_fill_in(&o.config);
    for (int i = 0; i < VOCAB; i++) text[i] = (char)(' ' + i);
    assert_ok(tokenizer_of_characters(&k, text, VOCAB));
    write_drawn(path, &o, 6, k);
    tokenizer_free(k);
}

static int setup(void **state)
{
    if (enter_folder(state)) return -1;
    assert_ok(cpu_init(NULL, 1));
    make_model(at("model"));
    return 0;
}

static struct engine open_engine(int streams)
{
    struct engine e;
    assert_ok(engine_open(&e, at("model"), &(struct engine_options){ .type = F32, .streams = streams }));
    return e;
}

/* The last row's logits after these ids, shown at once to an empty stream. */
static const float *fresh_logits(struct engine *e, const uint32_t *ids, size_t n)
{
    static float logits[VOCAB + 1];
    struct stream st = { 0 }, *const streams[] = { &st };
    const float *row;
    const int *whose;
    int got = 0;
    assert_ok(ids_add(&st.ids, ids, n));
    while (!got) assert_ok(session_step(&e->session, streams, &row, &whose, &got));
    memcpy(logits, row, sizeof logits);
    ids_free(&st.ids);
    return logits;
}

static uint32_t most_likely(const float *logits)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < VOCAB; i++)
        if (logits[i] > logits[best]) best = i;
    return best;
}

static int collect(void *context, int stream, const char *text, size_t n, int done)
{
    (void)done;
    text_bytes((struct text *)context + stream, text, n);
    return 0;
}

/* `n` texts from one prompt, side by side; text[i] gets that of stream i. */
static void write_texts(struct engine *e, struct generation g, const char *prompt, struct text *text, int n, uint64_t first, struct stream *stream)
{
    struct stream *streams[8];
    g.tokenizer = e->tokenizer;
    g.emit = collect;
    g.context = text;
    for (int i = 0; i < n; i++) {
        streams[i] = &stream[i];
        assert_ok(tokenizer_encode(e->tokenizer, prompt, strlen(prompt), SPECIALS_AS_TEXT, &stream[i].ids));
    }
    assert_ok(generate(&e->session, &g, streams, n, first));
}

static const struct sampling greedy = { .temperature = 0, .top_p = 1, .repetition = 1 }, lively = { .temperature = 1, .top_p = 1, .repetition = 1, .seed = 5 };

/* Ids come one by one, with keys and values kept; each is what a fresh session makes of the same window. */
static void segments(enum crop crop)
{
    struct engine e = open_engine(1), fresh = open_engine(1);
    struct stream st = { 0 };
    struct text text = { 0 };
    write_texts(&e, (struct generation){ .sampling = greedy, .max_new = 40, .crop = crop }, "Hello", &text, 1, 0, &st);
    assert_int_equal(st.ids.n, 5 + 40);
    size_t from = 0;
    for (size_t i = 5; i < st.ids.n; i++) {                  /* id i was chosen in view of from .. i */
        assert_int_equal(st.ids.at[i], most_likely(fresh_logits(&fresh, st.ids.at + from, i - from)));
        if (i + 1 - from > CONTEXT) from = crop == CROP_EXACT ? i + 1 - CONTEXT : i + 1 - CONTEXT / 2;
    }
    ids_free(&st.ids);
    text_free(&text);
    engine_close(&e);
    engine_close(&fresh);
}

static void half_crop(void **state) { (void)state; segments(CROP_HALF); }
static void exact_crop(void **state) { (void)state; segments(CROP_EXACT); }

/* A sample does not depend on how many are written beside it, on the number of threads, or on being written again. */
static void samples_stand_alone(void **state)
{
    (void)state;
    struct generation g = { .sampling = lively, .max_new = 30 };
    struct text all[4] = { 0 };
    struct stream together[4] = { 0 };
    struct engine e = open_engine(4);
    write_texts(&e, g, "So it", all, 4, 0, together);
    engine_close(&e);
    assert_string_not_equal(all[0].at, all[1].at);
    for (int i = 0; i < 4; i++) {
        struct text alone = { 0 };
        struct stream st = { 0 };
        assert_ok(cpu_init(NULL, 1 + i % 2));
        e = open_engine(1);
        write_texts(&e, g, "So it", &alone, 1, (uint64_t)i, &st);
        assert_string_equal(alone.at, all[i].at);
        engine_close(&e);
        text_free(&alone);
        text_free(&all[i]);
        ids_free(&st.ids);
        ids_free(&together[i].ids);
    }
}

/* A text ends before a stop string, wherever tokens cut it. */
static void stop_strings(void **state)
{
    (void)state;
    struct engine e = open_engine(1);
    struct text whole = { 0 }, cut = { 0 };
    struct stream a = { 0 }, b = { 0 };
    struct generation g = { .sampling = lively, .max_new = 60 };
    write_texts(&e, g, "Q", &whole, 1, 0, &a);
    char stop[4];
    snprintf(stop, sizeof stop, "%.3s", whole.at + 20);
    const char *const stops[] = { "never to be seen", stop };
    g.stop = stops;
    g.n_stop = 2;
    write_texts(&e, g, "Q", &cut, 1, 0, &b);
    size_t n = (size_t)(strstr(whole.at, stop) - whole.at);
    assert_int_equal(cut.size, n);
    assert_memory_equal(cut.at, whole.at, n);
    ids_free(&a.ids);
    ids_free(&b.ids);
    text_free(&whole);
    text_free(&cut);
    engine_close(&e);
}

/* ---- the sampler ---- */

static uint32_t pick(struct sampling how, const float *logits, int64_t allowed, const uint32_t *seen, size_t n_seen, uint64_t index)
{
    struct sampler s;
    assert_ok(sampler_open(&s, 6));
    uint32_t id = sampler_pick(&s, &how, logits, allowed, seen, n_seen, 0, index);
    sampler_close(&s);
    return id;
}

/* How often each id comes in 4,000 draws, against what it should be. */
static void frequencies(struct sampling how, const float *logits, int64_t allowed, const double *want)
{
    int count[6] = { 0 };
    for (uint64_t i = 0; i < 4000; i++) count[pick(how, logits, allowed, NULL, 0, i)]++;
    for (int k = 0; k < 6; k++) assert_true(fabs(count[k] / 4000.0 - want[k]) < 4 * sqrt(want[k] * (1 - want[k]) / 4000) + 1e-12);
}

static void choices(void **state)
{
    (void)state;
    const float logits[] = { logf(0.4f), logf(0.1f), logf(0.3f), logf(0.15f), logf(0.05f), 5 };      /* 5: padding, never allowed */
    struct sampling s = { .temperature = 1, .top_p = 1, .repetition = 1 };
    frequencies(s, logits, 5, (const double[]){ 0.4, 0.1, 0.3, 0.15, 0.05, 0 });
    s.top_k = 2;
    frequencies(s, logits, 5, (const double[]){ 4 / 7.0, 0, 3 / 7.0, 0, 0, 0 });
    s.top_k = 0, s.top_p = 0.8;
    frequencies(s, logits, 5, (const double[]){ 0.4 / 0.85, 0, 0.3 / 0.85, 0.15 / 0.85, 0, 0 });
    s.top_p = 1, s.min_p = 0.3;
    frequencies(s, logits, 5, (const double[]){ 0.4 / 0.85, 0, 0.3 / 0.85, 0.15 / 0.85, 0, 0 });
    s.min_p = 0, s.temperature = 0.5;                        /* squares */
    frequencies(s, logits, 5, (const double[]){ 0.16 / 0.285, 0.01 / 0.285, 0.09 / 0.285, 0.0225 / 0.285, 0.0025 / 0.285, 0 });
    s.temperature = 0;
    assert_int_equal(pick(s, logits, 5, NULL, 0, 0), 0);
    assert_int_equal(pick(s, (const float[]){ 1, 2, 2, 2, 0, 0 }, 5, NULL, 0, 0), 1);                /* the lowest of equals */
    assert_int_equal(pick(s, (const float[]){ NAN, -1, NAN, NAN, NAN, NAN }, 5, NULL, 0, 0), 1);
    s.repetition = 2;                                        /* 3 / 2 < 2: a second time it is no longer the first */
    assert_int_equal(pick(s, (const float[]){ 3, 2, 0, 0, 0, 0 }, 5, (const uint32_t[]){ 0, 0 }, 2, 0), 1);
    assert_int_equal(pick(s, (const float[]){ -1, -1.5f, -9, -9, -9, 0 }, 5, (const uint32_t[]){ 0 }, 1, 0), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_crop), cmocka_unit_test(exact_crop), cmocka_unit_test(samples_stand_alone), cmocka_unit_test(stop_strings), cmocka_unit_test(choices),
    };
    return cmocka_run_group_tests(tests, setup, leave_folder);
}
