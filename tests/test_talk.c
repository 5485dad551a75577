/* test_talk.c -- a conversation kept turn by turn says what one says that is shown at once; what happens when the context is full. */
#include "infer/talk.h"

#include "cpu/cpu.h"
#include "drawn.h"
#include "folder.h"
#include "infer/engine.h"

enum { CONTEXT = 160 };

/* Any weights, large enough that answers are lively; characters and the marks of ChatML. */
static void make_model(const char *path)
{
    struct tokenizer *k;
    const struct chat_form *f;
    char text[97] = "\n";
    for (int i = 0; i < 95; i++) text[1 + i] = (char)(' ' + i);
    assert_ok(tokenizer_of_characters(&k, text, 96));
    assert_ok(chat_form_find(&f, "chatml"));
    assert_ok(chat_equip(&k, f, ""));
    struct trainer_options o = { .model = &model_llama, .batch = 1, .block = CONTEXT, .config = model_llama.base };
    o.config.layers = 2, o.config.heads = 2, o.config.width = 32, o.config.vocab = tokenizer_vocab(k), o.config.context = CONTEXT, o.config.hidden = 64, o.config.theta = 10000, o.config.tied = 1;
    config_fill_in(&o.config);
    write_drawn(path, &o, 3, k);
    tokenizer_free(k);
}

static int setup(void **state)
{
    if (enter_folder(state)) return -1;
    assert_ok(cpu_init(NULL, 1));
    make_model(at("model"));
    return 0;
}

static struct engine open_engine(void)
{
    struct engine e;
    assert_ok(engine_open(&e, at("model"), &(struct engine_options){ .type = F32, .streams = 2 }));
    return e;
}

static int collect(void *context, int stream, const char *text, size_t n, int done)
{
    (void)stream, (void)done;
    text_bytes(context, text, n);
    return 0;
}

static struct generation greedy(const struct engine *e, struct text *answer, int64_t most)
{
    text_clear(answer);
    text_add(answer, "");
    return (struct generation){ .tokenizer = e->tokenizer, .sampling = { .repetition = 1, .top_p = 1 }, .max_new = most, .emit = collect, .context = answer };
}

static struct talked say(struct talk *t, const struct engine *e, const char *what, int64_t most, struct text *answer)
{
    struct generation g = greedy(e, answer, most);
    struct talked told;
    assert_ok(talk_say(t, what, strlen(what), &g, &told));
    return told;
}

/* The answer to the last turn from a stream that has seen nothing yet of these ids, up to where that answer begins. */
static void anew(struct engine *e, const struct talk *t, int64_t most, struct text *answer)
{
    struct generation g = greedy(e, answer, most);
    struct stream st = { 0 }, *const streams[] = { &st };
    size_t n = t->stream.ids.n;
    while (n && !(t->flags.at[n - 1] & CHAT_COUNTS)) n--;
    while (n && t->flags.at[n - 1] & CHAT_COUNTS) n--;
    assert_ok(ids_add(&st.ids, t->stream.ids.at, n));
    g.at_special = 1;
    assert_ok(generate(&e->session, &g, streams, 1, 0));
    ids_free(&st.ids);
}

/* Also behind turns that were left out: what is behind them is computed anew at its new places. */
static void kept_or_shown_anew(void **state)
{
    struct engine e = open_engine(), other = open_engine();
    struct talk t;
    struct text answer = { 0 }, again = { 0 };
    size_t left_out = 0, said = 0;
    (void)state;
    assert_ok(talk_open(&t, &e.session, e.tokenizer, "auto"));
    text_add(&t.chat.system, "Be kind.");
    assert_ok(talk_reset(&t));
    for (int turn = 0; turn < 12; turn++) {
        char what[32];
        snprintf(what, sizeof what, "What is %d?", turn * turn);
        struct talked told = say(&t, &e, what, 12, &answer);
        left_out += told.left_out;
        said += answer.size;
        assert_true(t.stream.ids.n <= CONTEXT + 2 && t.flags.size == t.stream.ids.n && told.tokens <= 12);
        anew(&other, &t, 12, &again);
        assert_string_equal(answer.at, again.at);
        struct text all = { 0 };
        assert_ok(tokenizer_decode(e.tokenizer, t.stream.ids.at, t.stream.ids.n, &all));
        assert_ptr_equal(strstr(all.at, "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nWhat is "), all.at);      /* what the system said stays */
        assert_non_null(strstr(all.at, what));
        text_free(&all);
    }
    assert_true(left_out > 5 && said > 60);
    text_free(&answer);
    text_free(&again);
    talk_close(&t);
    engine_close(&e);
    engine_close(&other);
}

/* What does not fit, or has no tokens, is as if it had not been said. */
static void taken_back(void **state)
{
    struct engine e = open_engine();
    struct talk t, same;
    struct text answer = { 0 }, plain = { 0 };
    struct talked told;
    char large[CONTEXT + 1];
    (void)state;
    memset(large, 'x', CONTEXT);
    large[CONTEXT] = 0;
    for (int first = 0; first < 2; first++) {                /* behind nothing; behind a turn */
        assert_ok(talk_open(&t, &e.session, e.tokenizer, "auto"));
        assert_ok(talk_open(&same, &e.session, e.tokenizer, "auto"));
        for (int i = 0; i < first; i++) say(&t, &e, "Hi", 5, &answer);
        struct generation g = greedy(&e, &answer, 8);
        assert_fails(talk_say(&t, large, CONTEXT, &g, &told), E_USAGE, "say it shorter");
        assert_fails(talk_say(&t, "\xc3\xa4", 2, &g, &told), E_DATA, "not in the vocabulary");
        say(&t, &e, "Who?", 8, &answer);
        for (int i = 0; i < first; i++) say(&same, &e, "Hi", 5, &plain);
        same.stream.shown = 0;                               /* both have the session's first stream */
        say(&same, &e, "Who?", 8, &plain);
        assert_string_equal(answer.at, plain.at);
        assert_int_equal(t.stream.ids.n, same.stream.ids.n);
        assert_memory_equal(t.stream.ids.at, same.stream.ids.at, t.stream.ids.n * sizeof *t.stream.ids.at);
        talk_close(&t);
        talk_close(&same);
    }
    text_free(&answer);
    text_free(&plain);
    engine_close(&e);
}

/* An answer that is stopped is part of the conversation, as far as it came. */
static void stopped(void **state)
{
    struct engine e = open_engine();
    struct talk t;
    struct text answer = { 0 };
    volatile sig_atomic_t now = 1;
    struct talked told;
    (void)state;
    assert_ok(talk_open(&t, &e.session, e.tokenizer, "auto"));
    struct generation g = greedy(&e, &answer, 8);
    g.interrupted = &now;
    assert_int_equal(talk_say(&t, "Hi", 2, &g, &told), E_STOPPED);
    struct text all = { 0 };
    assert_ok(tokenizer_decode(e.tokenizer, t.stream.ids.at, t.stream.ids.n, &all));
    assert_string_equal(all.at, "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<|im_end|>\n");
    say(&t, &e, "Go on.", 8, &answer);
    text_free(&all);
    text_free(&answer);
    talk_close(&t);
    engine_close(&e);
}

/* An answer is no longer than it may be, nor than the context. */
static void long_answers(void **state)
{
    struct engine e = open_engine();
    struct talk t;
    struct text answer = { 0 };
    (void)state;
    assert_ok(talk_open(&t, &e.session, e.tokenizer, "auto"));
    for (int turn = 0; turn < 3; turn++) {
        struct talked told = say(&t, &e, "And then?", 1000, &answer);
        assert_true(told.tokens < CONTEXT);
        if (told.end == TALK_CUT) assert_int_equal(t.stream.ids.n, CONTEXT + 2);         /* full, and the answer's end */
        told = say(&t, &e, "So?", 3, &answer);
        assert_true(told.tokens <= 3 && (told.end == TALK_CUT) == (told.tokens == 3));
    }
    text_free(&answer);
    talk_close(&t);
    engine_close(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(kept_or_shown_anew), cmocka_unit_test(taken_back), cmocka_unit_test(stopped), cmocka_unit_test(long_answers) };
    return cmocka_run_group_tests_name("talk", tests, setup, leave_folder);
}
