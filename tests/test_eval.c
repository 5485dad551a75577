/* test_eval.c -- nib eval: how likely continuations are, what items are made of lines, which answers are right, windows that overlap.
 *
 * In the folder of the test: play.txt, its characters as tokens in data/play, and in run/ a model of 16 positions that learned from it. */
#include "runs.h"

#include <math.h>

#include "cpu/cpu.h"
#include "infer/answers.h"
#include "infer/engine.h"
#include "text/llmc_choices.h"

enum { CONTEXT = 16 };

static int set_up(void **state)
{
    if (enter_program(state)) return -1;
    write_play("play.txt", 100);
    if (run("data play.txt")) return print_error("%s", ERR), -1;
    if (run("train --dataset=play --out_dir=run " TINY " --max_iters=60 --eval_interval=20 --warmup_iters=0 --learning_rate=1e-2")) return print_error("%s", ERR), -1;
    return cpu_init(NULL, 1);
}

static struct engine open_engine(int64_t rows, int64_t scores, int streams)
{
    struct engine e;
    assert_ok(engine_open(&e, "run", &(struct engine_options){ .type = F32, .rows = rows, .scores = scores, .streams = streams }));
    return e;
}

static struct ids encode(const struct engine *e, const char *text)
{
    struct ids ids = { 0 };
    assert_ok(tokenizer_encode(e->tokenizer, text, strlen(text), SPECIALS_AS_TEXT, &ids));
    return ids;
}

/* ---- scores ---- */

static struct score score_of(struct engine *e, const char *context, const char *continuation)
{
    struct score s = { 0 };
    char all[256];
    snprintf(all, sizeof all, "%s%s", context, continuation);
    struct ids ids = encode(e, all);
    assert_ok(scorer_add(&e->scorer, ids.at, ids.n, strlen(context), &s));       /* each character is a token */
    assert_int_equal(s.left, strlen(continuation));
    assert_ok(scorer_finish(&e->scorer));
    assert_int_equal(s.left, 0);
    ids_free(&ids);
    return s;
}

/* What the head's losses say of the same tokens. */
static double loss_of(struct engine *e, const char *text, size_t from)
{
    struct ids ids = encode(e, text);
    int64_t n = (int64_t)ids.n, tokens = 0;
    int32_t targets[64];
    double sum = 0;
    for (int64_t i = 1; i < n; i++) targets[i - 1] = i < (int64_t)from ? NO_TARGET : (int32_t)ids.at[i];
    batch_add_ids(&e->batch, (const int32_t *)ids.at, targets, n - 1, 0);
    assert_ok(evaluate_batch(e->eval, &e->batch, &sum, &tokens));
    assert_int_equal(tokens, n - (int64_t)from);
    ids_free(&ids);
    return sum;
}

static void scores_are_losses(void **state)
{
    static const char *const pairs[][2] = { { "ROMEO:\nI ", "shall" }, { "J", "ULIET" }, { "I never go home", ";" }, { "what is the an", "sw" } };
    struct engine e = open_engine(64, 64, 0);
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char all[64];
        snprintf(all, sizeof all, "%s%s", pairs[i][0], pairs[i][1]);
        struct score s = score_of(&e, pairs[i][0], pairs[i][1]);
        assert_float_equal(-s.log_p, loss_of(&e, all, strlen(pairs[i][0])), 1e-4);
        assert_int_equal(s.tokens, strlen(pairs[i][1]));
        assert_int_equal(s.cut, 0);
    }
    engine_close(&e);
}

/* The model's own choice is greedy, and only that. */
static void greedy_is_what_it_would_write(void **state)
{
    struct engine e = open_engine(0, 64, 1);
    struct ids ids = encode(&e, "ROMEO:\nI");
    struct stream st = { 0 }, *const streams[] = { &st };
    const float *logits;
    const int *whose;
    int got;
    (void)state;
    assert_ok(ids_add(&st.ids, ids.at, ids.n));
    assert_ok(session_step(&e.session, streams, &logits, &whose, &got));
    uint32_t best = 0;
    for (uint32_t i = 1; i < e.config.vocab; i++)
        if (logits[i] > logits[best]) best = i;
    for (uint32_t id = 0; id < tokenizer_vocab(e.tokenizer); id++) {
        struct score s;
        struct ids pair = { 0 };
        assert_ok(ids_add(&pair, ids.at, ids.n));
        assert_ok(ids_add(&pair, &id, 1));
        assert_ok(scorer_add(&e.scorer, pair.at, pair.n, ids.n, &s));
        assert_ok(scorer_finish(&e.scorer));
        assert_int_equal(s.greedy, id == best);
        ids_free(&pair);
    }
    ids_free(&ids);
    ids_free(&st.ids);
    engine_close(&e);
}

/* Whatever stands beside it in a run, in however many runs its logits come, however many threads: the same bits. */
static void scores_stand_alone(void **state)
{
    static const char *const texts[] = { "ROMEO:\nI ", "shall sing", "Nurse:", "\nI never", "J", "U", "the answer ", "to 42?" };
    struct score first[4], s[4];
    (void)state;
    for (int way = 0; way < 5; way++) {
        assert_ok(cpu_init(NULL, 1 + way % 2));
        struct engine e = open_engine(0, way == 1 ? CONTEXT + 4 : 256, 0);
        if (way == 2) e.scorer.max_wanted = 3;
        if (way == 3) e.scorer.max_wanted = 1;
        for (int i = 0; i < 4; i++) {
            char all[64];
            snprintf(all, sizeof all, "%s%s", texts[2 * i], texts[2 * i + 1]);
            struct ids ids = encode(&e, all);
            size_t from = strlen(texts[2 * i]), cut = ids.n > CONTEXT + 1 ? ids.n - (CONTEXT + 1) : 0;
            assert_ok(scorer_add(&e.scorer, ids.at, ids.n, from, &s[i]));
            assert_int_equal(s[i].cut, cut);
            if (way == 4) assert_ok(scorer_finish(&e.scorer));
            ids_free(&ids);
        }
        assert_ok(scorer_finish(&e.scorer));
        if (!way) memcpy(first, s, sizeof s);
        for (int i = 0; i < 4; i++) assert_true(s[i].log_p == first[i].log_p && s[i].greedy == first[i].greedy && !s[i].left && s[i].tokens == first[i].tokens);
        engine_close(&e);
    }
    assert_ok(cpu_init(NULL, 1));
    assert_true(first[0].cut > 0);
}

/* What is too long loses its first ids, but not what is asked. */
static void too_long(void **state)
{
    struct engine e = open_engine(0, 64, 0);
    struct score s;
    uint32_t ids[40] = { 0 };
    (void)state;
    struct score whole = score_of(&e, "the answer to ", "4?"), more = score_of(&e, "JULIET: what is the answer to ", "4?"), kept = score_of(&e, " the answer to ", "4?");
    assert_int_equal(whole.cut, 0);
    assert_int_equal(more.cut, 15);
    assert_true(more.log_p == kept.log_p && more.log_p != whole.log_p);
    assert_ok(scorer_add(&e.scorer, ids, 40, 40 - CONTEXT, &s));
    assert_fails(scorer_add(&e.scorer, ids, 40, 39 - CONTEXT, &s), E_DATA, "its 17 tokens and one before them do not fit into 16 positions");
    ids[0] = (uint32_t)e.config.vocab;
    assert_fails(scorer_add(&e.scorer, ids, 2, 1, &s), E_DATA, "is outside of the model's vocabulary");
    engine_close(&e);
}

/* ---- items ---- */

static const struct line { const char *json; enum prompts prompts; const char *kind, *context, *choice[3]; int answer; size_t characters; } lines[] = {
    { "{\"ctx\": \"A dog runs. it\", \"activity_label\": \"Dogs\", \"endings\": [\"barks.\", \"flies.\"], \"label\": 1}", PROMPTS_HARNESS, "HellaSwag", "Dogs: A dog runs. it", { " barks.", " flies." }, 1, 6 },
    { "{\"ctx\": \"A dog runs. it\", \"activity_label\": \"Dogs\", \"endings\": [\"barks.\", \"flies.\"], \"label\": \"0\"}", PROMPTS_PLAIN, "HellaSwag", "A dog runs. it", { " barks.", " flies." }, 0, 6 },
    { "{\"ctx_a\": \"A dog.\", \"ctx_b\": \"the DOG \xc3\xa9\", \"ctx\": \"x\", \"activity_label\": \"D\", \"endings\": [\" [header] Bark [title] now.  Or [step] not [\", \"b\"], \"label\": 0}", PROMPTS_HARNESS, "HellaSwag",
      "D: A dog. The dog \xc3\xa9", { "  Bark. now. Or not [", " b" }, 0, 20 },
    { "{\"ctx_a\": \"[header] How [title] Go.\", \"ctx_b\": \"\", \"activity_label\": \"\", \"endings\": [\"a\"], \"label\": 0}", PROMPTS_HARNESS, "HellaSwag", " How. Go.", { " a" }, 0, 1 },
    { "{\"goal\": \"Boil\", \"sol1\": \"heat\", \"sol2\": \" cool\", \"label\": 1}", PROMPTS_HARNESS, "PIQA", "Question: Boil\nAnswer:", { " heat", "  cool" }, 1, 4 },
    { "{\"goal\": \"Boil\", \"sol1\": \"heat\", \"sol2\": \"cool\", \"label\": 0}", PROMPTS_PLAIN, "PIQA", "Boil", { " heat", " cool" }, 0, 4 },
    { "{\"sentence\": \"It is _ who sings. \", \"option1\": \"Al\", \"option2\": \"Bo\", \"answer\": \"2\"}", PROMPTS_HARNESS, "WinoGrande", "It is Al", { " who sings.", " who sings." }, 1, 8 },
    { "{\"question\": \"Q?\", \"choices\": {\"text\": [\"x\", \"y\", \"z\"], \"label\": [\"1\", \"2\", \"3\"]}, \"answerKey\": \"3\"}", PROMPTS_HARNESS, "ARC", "Question: Q?\nAnswer:", { " x", " y", " z" }, 2, 1 },
    { "{\"question\": \"Q? \", \"choices\": [\"x\", \"y\"], \"answer\": 1, \"more\": null}", PROMPTS_HARNESS, "choices", "Q? ", { "x", "y" }, 1, 1 },
    { "{\"query\": \"Q%s\", \"choices\": [\"\xe6\xbc\xa2\xe5\xad\x97\", \"\\ty\"], \"gold\": \"0\"}", PROMPTS_PLAIN, "choices", "Q%s", { " \xe6\xbc\xa2\xe5\xad\x97", "\ty" }, 0, 2 },
    { "{\"prompt\": \"One\", \"completion\": \"two\"}", PROMPTS_HARNESS, "cloze", "One", { " two" }, 0, 3 },
    { "{\"context\": \"\", \"target\": \"two\"}", PROMPTS_HARNESS, "cloze", "", { "two" }, 0, 3 },
    { "{\"text\": \"One two  three.\\n\"}", PROMPTS_HARNESS, "LAMBADA", "One two ", { " three." }, 0, 6 },
};

static void lines_become_items(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        const struct line *l = &lines[i];
        struct items s;
        char two[2048];
        snprintf(two, sizeof two, "\n%s\n%s", l->json, l->json);
        write_text("items.jsonl", two);
        assert_ok(items_read(&s, "items.jsonl", l->prompts));
        assert_int_equal(s.n, 2);
        assert_string_equal(s.kind, l->kind);
        assert_int_equal(s.is_cloze, !l->choice[1] && strcmp(l->kind, "HellaSwag"));
        assert_int_equal(s.at[1].line, 3);
        assert_int_equal(s.at[0].answer, l->answer);
        assert_string_equal(s.at[0].choice->context.text, l->context);
        assert_int_equal(s.at[0].choice->characters, l->characters);
        int n = 0;
        for (; n < 3 && l->choice[n]; n++) {
            assert_string_equal(s.at[0].choice[n].continuation.text, l->choice[n]);
            assert_int_equal(s.at[0].choice[n].continuation.n, strlen(l->choice[n]));
        }
        assert_int_equal(s.at[0].choices, n);
        items_free(&s);
    }
}

static void lines_that_are_no_items(void **state)
{
    static const struct { const char *text, *says; } bad[] = {
        { "", "no item in it" },
        { "\n \n", "no item in it" },
        { "{", "line 1" },
        { "[]", "line 1: an object was expected" },
        { "{\"a\": 1, \"b\": 2}", "line 1: its keys (a, b) are those of no kind of item: HellaSwag (ctx|ctx_a, endings, label); PIQA" },
        { "{\"text\": \"word\"}", "\"text\" has less than two words" },
        { "{\"text\": 5}", "line 1: \"text\" must be a string" },
        { "{\"text\": \"a b\"}\n{\"txt\": \"a b\"}", "line 2: the key \"text\" is missing; the lines before are of LAMBADA" },
        { "{\"prompt\": \"a\", \"completion\": \"\"}", "a text to be foretold is empty" },
        { "{\"query\": \"a\", \"choices\": \"b\", \"gold\": 0}", "\"choices\" must be a list of texts" },
        { "{\"query\": \"a\", \"choices\": [], \"gold\": 0}", "0 choices" },
        { "{\"query\": \"a\", \"choices\": [\"b\", 1], \"gold\": 0}", "number 1 is none" },
        { "{\"query\": \"a\", \"choices\": [\"b\"], \"gold\": 1}", "\"gold\" is 1, but there are 1 choices, from 0 on" },
        { "{\"query\": \"a\", \"choices\": [\"b\"], \"gold\": -1}", "\"gold\" is -1" },
        { "{\"query\": \"a\", \"choices\": [\"b\"], \"gold\": 9223372036854775807}", "\"gold\" is 9223372036854775807" },
        { "{\"query\": \"a\", \"choices\": [\"b\"], \"gold\": \"99999999999999999999\"}", "\"gold\" is" },
        { "{\"query\": \"a\", \"choices\": [\"b\"], \"gold\": \"\"}", "must be the number of a choice, not \"\"" },
        { "{\"query\": \"a\", \"choices\": [\"b\"], \"gold\": \"0x\"}", "must be the number of a choice, not \"0x\"" },
        { "{\"query\": \"a\", \"choices\": [\"b\"], \"gold\": 0.5}", "\"answer|label|gold\" must be the number of a choice" },
        { "{\"sentence\": \"no gap\", \"option1\": \"a\", \"option2\": \"b\", \"answer\": \"1\"}", "\"sentence\" has no _" },
        { "{\"sentence\": \"the _\", \"option1\": \"a\", \"option2\": \"b\", \"answer\": \"1\"}", "a text to be foretold is empty" },
        { "{\"sentence\": \"a _ b\", \"option1\": \"a\", \"option2\": \"b\", \"answer\": \"-9223372036854775808\"}", "\"answer\" is -9223372036854775808, but there are 2 choices, from 1 on" },
        { "{\"question\": \"q\", \"choices\": {\"text\": [\"x\"], \"label\": [\"A\", \"B\"]}, \"answerKey\": \"B\"}", "\"answerKey\" is none of the labels" },
        { "{\"question\": \"q\", \"choices\": [\"x\"], \"answerKey\": \"A\"}", "\"choices\" must be an object" },
        { "{\"ctx\": \"a\", \"endings\": [\"b\"], \"label\": 0, \"activity_label\": 3}", "\"activity_label\" must be a string" },
        { "{\"ctx_a\": \"a\", \"endings\": [\"b\"], \"label\": 0}", "the key \"ctx\" is missing" },
        { "{\"text\": \"a b\", \"text\": \"c d\"}", "line 1" },
        { "{\"text\": \"a \\u0000b\"}", "line 1" },
        { "{\"text\": \"a \xff\"}", "line 1" },
    };
    struct items s;
    struct text many = { 0 };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_text("bad.jsonl", bad[i].text);
        assert_fails(items_read(&s, "bad.jsonl", PROMPTS_HARNESS), E_DATA, bad[i].says);
        assert_true(strstr(error_text(), "bad.jsonl") && !s.at);
    }
    text_add(&many, "{\"query\": \"a\", \"gold\": 0, \"choices\": [\"b\"");
    for (int i = 0; i < CHOICES_MOST; i++) text_add(&many, ", \"b\"");
    text_add(&many, "]}");
    write_text("bad.jsonl", many.at);
    assert_fails(items_read(&s, "bad.jsonl", PROMPTS_HARNESS), E_DATA, "257 choices; from 1 to 256 are expected");
    text_clear(&many);
    text_add(&many, "{\"text\": \"");
    for (int i = 0; i < 1 << 19; i++) text_add(&many, "a ");
    text_add(&many, "b\"}");
    write_text("bad.jsonl", many.at);
    assert_fails(items_read(&s, "bad.jsonl", PROMPTS_HARNESS), E_DATA, "line 1 is longer than 1048576 bytes");
    assert_fails(items_read(&s, "absent.jsonl", PROMPTS_HARNESS), E_IO, "absent.jsonl");
    text_free(&many);
}

/* A million brackets that nobody closes, and as many blanks, take a moment: each is looked at once or twice. */
static void long_lines(void **state)
{
    struct text t = { 0 };
    struct items s;
    (void)state;
    text_add(&t, "{\"ctx\": \"a\", \"label\": 0, \"endings\": [\"");
    for (int i = 0; i < 500000; i++) text_add(&t, "[");
    for (int i = 0; i < 500000; i++) text_add(&t, " ");
    text_add(&t, "b\"]}");
    write_text("long.jsonl", t.at);
    assert_ok(items_read(&s, "long.jsonl", PROMPTS_HARNESS));
    assert_int_equal(s.at->choice->characters, 500000 + 250000 + 1);
    items_free(&s);
    text_free(&t);
}

static void write_numbered(const char *path, int n)
{
    struct text t = { 0 };
    for (int i = 0; i < n; i++) text_format(&t, "{\"text\": \"word %d\"}\n", i);
    write_text(path, t.at);
    text_free(&t);
}

/* The first, or a random choice: of 1000 choices of 5 from 20 each has had its turn about 250 times. */
static void some_of_the_items(void **state)
{
    int times[20] = { 0 };
    struct items s;
    (void)state;
    write_numbered("20.jsonl", 20);
    for (uint64_t seed = 0; seed <= 1000; seed++) {
        assert_ok(items_read(&s, "20.jsonl", PROMPTS_PLAIN));
        items_limit(&s, 5, seed);
        assert_int_equal(s.n, 5);
        for (size_t i = 0; i < s.n; i++) {
            assert_true(i == 0 || s.at[i].line > s.at[i - 1].line);
            if (seed) times[s.at[i].line - 1]++;
            else assert_int_equal(s.at[i].line, i + 1);
        }
        items_limit(&s, 7, 1);
        assert_int_equal(s.n, 5);
        items_free(&s);
    }
    for (int i = 0; i < 20; i++) assert_in_range(times[i], 180, 320);
}

/* ---- llm.c's file ---- */

static void put_u16s(const char *path, const uint32_t header[4], const uint16_t *body, size_t n)
{
    struct text t = { 0 };
    for (int i = 0; i < 256; i++) text_bytes(&t, i < 4 ? &header[i] : &(uint32_t){ 0 }, 4);
    text_bytes(&t, body, n * sizeof *body);
    assert_ok(file_write(path, t.at, t.size));
    text_free(&t);
}

enum { BODY = 24 };
static const uint32_t good_header[4] = { 20240522, 1, 2, 24 };
static const uint16_t good_body[BODY] = { 65535, 24, 0, 1, 2, 2, 7, 8, 1, 9, 1, 10, 65535, 24, 1, 0, 2, 1, 5, 2, 6, 7, 1, 8 };

static void choices_of_llmc(void **state)
{
    struct items s;
    (void)state;
    put_u16s("good.bin", good_header, good_body, BODY);
    assert_ok(items_read(&s, "good.bin", PROMPTS_HARNESS));
    assert_int_equal(s.n, 2);
    assert_int_equal(s.at[0].answer, 1);
    assert_int_equal(s.at[1].line, 1);
    assert_int_equal(s.at[1].choice[0].continuation.n, 2);
    assert_int_equal(s.at[1].choice[0].continuation.ids[1], 7);
    assert_int_equal(s.at[1].choice[1].context.ids[0], 5);
    items_free(&s);
}

/* Cut off anywhere, with each number too large or too small by one, or as large as can be. */
static void bad_choices_of_llmc(void **state)
{
    static const struct { int where; uint32_t value; const char *says; } header[] = {
        { 1, 2, "version 2" }, { 2, 0, "0 examples" }, { 2, 1, "24 bytes behind its last example" }, { 2, 3, "example 2 does not begin with 65535" }, { 2, 0xffffffff, "4294967295 examples" },
    };
    struct items s;
    (void)state;
    for (size_t i = 0; i < sizeof header / sizeof *header; i++) {
        uint32_t h[4];
        memcpy(h, good_header, sizeof h);
        h[header[i].where] = header[i].value;
        put_u16s("bad.bin", h, good_body, BODY);
        assert_fails(items_read(&s, "bad.bin", PROMPTS_PLAIN), E_DATA, header[i].says);
    }
    for (size_t n = 0; n < BODY; n++) {
        put_u16s("bad.bin", good_header, good_body, n);
        assert_fails(items_read(&s, "bad.bin", PROMPTS_PLAIN), E_DATA, "bad.bin: example");
    }
    for (size_t i = 0; i < 6; i++)                           /* all that is no id */
        for (int off = -1; off <= 2; off++) {
            uint16_t b[BODY];
            memcpy(b, good_body, sizeof b);
            b[i] = off == 2 ? 65535 : (uint16_t)(b[i] + off);
            if (b[i] == good_body[i] || (i == 3 && b[i] == 0)) continue;         /* the other choice may be the right one */
            put_u16s("bad.bin", good_header, b, BODY);
            assert_fails(items_read(&s, "bad.bin", PROMPTS_PLAIN), E_DATA, "bad.bin: example");
        }
    assert_null(s.at);
}

/* What nib data choices encodes is asked as the lines are. */
static void choices_are_written(void **state)
{
    char hex[2][65];
    (void)state;
    write_text("q.jsonl", "{\"ctx\": \"ROMEO:\", \"endings\": [\"I go\", \"I\", \"go\", \"sing\"], \"label\": 2}\n{\"ctx\": \"Nurse\", \"endings\": [\"b\", \"u\", \"e\", \"s\"], \"label\": 0}\n");
    runs("data choices q.jsonl --tokenizer=run --out=q.bin");
    assert_string_equal(OUT, "q.bin: 2 items of HellaSwag\n");
    runs("eval run --items=q.bin --json");
    json_t *bin = printed();
    runs("eval run --items=q.jsonl --prompts=plain --json");
    json_t *text = printed();
    for (int i = 0; i < 2; i++) assert_true(number(bin, i ? "acc" : "acc_token") == number(text, i ? "acc" : "acc_token"));
    assert_null(json_object_get(bin, "acc_norm"));
    assert_string_equal(json_string_value(json_object_get(bin, "prompts")), "plain");
    json_decref(bin);
    json_decref(text);
    hash_of("q.bin", hex[0]);
    fails(E_DATA, "its items have no choices that could be encoded", "data choices q.bin --tokenizer=run --out=q.bin");
    fails(E_DATA, "line 1: a context or a choice without tokens", "data choices empty.jsonl --tokenizer=run --out=q.bin");
    fails(E_USAGE, "which file is to be written?", "data choices q.jsonl");
    fails(E_USAGE, "which items?", "data choices");
    hash_of("q.bin", hex[1]);
    assert_string_equal(hex[0], hex[1]);
}

/* ---- answers ---- */

/* Picks by hand from what is written of each item. */
static void check_answers(const char *path, const json_t *total, size_t items)
{
    struct text all = { 0 };
    char *rest, key[32];
    size_t n = 0, right[MEASURES] = { 0 };
    static const char *const keys[MEASURES] = { "acc", "acc_norm", "acc_token" }, *const per[MEASURES] = { NULL, "characters", "tokens" };
    assert_ok(file_read(path, LIMIT, &all));
    for (char *line = strtok_r(all.at, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest), n++) {
        json_t *o, *log_p;
        assert_ok(json_parse(&o, line, strlen(line), path));
        assert_ok(json_get_array(o, "log_p", &log_p, path));
        for (int m = 0; m < MEASURES; m++) {
            double best = -INFINITY;
            size_t pick = 0;
            for (size_t c = 0; c < json_array_size(log_p); c++) {
                double by = per[m] ? json_number_value(json_array_get(json_object_get(o, per[m]), c)) : 1, p = json_number_value(json_array_get(log_p, c)) / by;
                if (p > best) best = p, pick = c;
            }
            assert_int_equal(number(o, keys[m]), pick);
            right[m] += pick == (size_t)number(o, "answer");
        }
        json_decref(o);
    }
    assert_int_equal(n, items);
    for (int m = 0; m < MEASURES; m++) {
        double p = (double)right[m] / (double)n;
        assert_float_equal(number(total, keys[m]), p, 1e-6);
        snprintf(key, sizeof key, "%s_stderr", keys[m]);
        assert_float_equal(number(total, key), sqrt(p * (1 - p) / (double)(n - 1)), 1e-6);
    }
    text_free(&all);
}

/* Beginnings of lines of the play, and what may follow them. */
static void write_questions(const char *path, int n)
{
    static const char *const who[] = { "ROMEO", "JULIET", "Nurse", "MERCUTIO" }, *const what[] = { "sing", "wait", "fence", "go home", "be quiet" };
    struct text t = { 0 };
    uint64_t dice_ = 5;
    for (int i = 0; i < n; i++) {
        int choices = 2 + roll(&dice_, 3);
        text_format(&t, "{\"question\": \"%s:\\nI will\", \"answer\": %d, \"choices\": [", who[roll(&dice_, 4)], roll(&dice_, choices));
        for (int c = 0; c < choices; c++) text_format(&t, "%s\"%s\"", c ? ", " : "", what[roll(&dice_, 5)]);
        text_add(&t, "]}\n");
    }
    write_text(path, t.at);
    text_free(&t);
}

static void answers_of_choices(void **state)
{
    (void)state;
    write_questions("many.jsonl", 100);
    runs("eval run --items=many.jsonl --json --out=a.jsonl");
    json_t *o = printed();
    check_answers("a.jsonl", o, 100);
    assert_true(number(o, "items") == 100 && number(o, "cut") > 0 && number(o, "chance") > 0.25 && number(o, "chance") < 0.5);
    json_decref(o);
    runs("eval run --items=many.jsonl --batch_size=1 --threads=2 --out=b.jsonl");
    assert_has(OUT, "100 items of many.jsonl (choices, as lm-evaluation-harness asks), ");
    assert_has(OUT, "lm-evaluation-harness's acc");
    assert_same_file("a.jsonl", "b.jsonl");
    runs("eval run --items=many.jsonl --limit=7 --seed=3 --json --out=c.jsonl");
    o = printed();
    check_answers("c.jsonl", o, 7);
    json_decref(o);
}

/* Two items shown are those two by hand in the context of all others. */
static void answers_behind_examples(void **state)
{
    struct items s;
    (void)state;
    write_text("abc.jsonl", "{\"query\": \"I\", \"choices\": [\"a\", \"b\"], \"gold\": 1}\n{\"query\": \"s\", \"choices\": [\"u\", \"e\"], \"gold\": 0}\n{\"query\": \"I\", \"choices\": [\"shall\", \"never\"], \"gold\": 0}\n");
    write_text("c.jsonl", "{\"query\": \"I b\\n\\ns u\\n\\nI\", \"choices\": [\"shall\", \"never\"], \"gold\": 0}\n");
    assert_ok(items_read(&s, "abc.jsonl", PROMPTS_PLAIN));
    assert_ok(items_show(&s, 2));
    assert_string_equal(s.shots.text, "I b\n\ns u\n\n");
    assert_int_equal(s.at->line, 3);
    assert_fails(items_show(&s, 1), E_USAGE, "abc.jsonl has 1 items");
    items_free(&s);
    runs("eval run --items=abc.jsonl --shots=2 --out=a.jsonl");
    runs("eval run --items=c.jsonl --out=b.jsonl");
    struct text a = { 0 }, b = { 0 };
    assert_ok(file_read("a.jsonl", LIMIT, &a));
    assert_ok(file_read("b.jsonl", LIMIT, &b));
    assert_has(a.at, "{\"line\": 3, ");
    assert_string_equal(strchr(a.at, ','), strchr(b.at, ','));
    text_free(&a);
    text_free(&b);
    fails(E_USAGE, "abc.jsonl has 3 items", "eval run --items=abc.jsonl --shots=3");
    put_u16s("good.bin", good_header, good_body, BODY);
    fails(E_USAGE, "its items are encoded already", "eval run --items=good.bin --shots=1");
    fails(E_USAGE, "--out, --limit and --shots are for --items", "eval run --dataset=play --shots=1");
    fails(E_USAGE, "--stride is for --text and --dataset", "eval run --items=abc.jsonl --stride=1");
}

/* What nib sample writes is what a cloze is right about. */
static void answers_of_a_cloze(void **state)
{
    struct text t = { 0 };
    (void)state;
    runs("sample run --greedy --num_samples=1 --max_new_tokens=3 --start=ROMEO:");
    char *end_ = strstr(OUT, "\n---------------\n");
    assert_true(end_ && end_ - OUT == 9);
    *end_ = 0;
    text_add(&t, "{\"prompt\": \"ROMEO:\", \"completion\": ");
    json_quote(&t, OUT + 6);
    text_add(&t, "}\n{\"prompt\": \"ROMEO:\", \"completion\": \"\\neee\"}\n");
    write_text("cloze.jsonl", t.at);
    text_free(&t);
    assert_true(OUT[6] == '\n');                             /* no blank comes between */
    runs("eval run --items=cloze.jsonl --json --out=a.jsonl");
    json_t *o = printed();
    assert_float_equal(number(o, "acc"), 0.5, 1e-6);
    assert_true(number(o, "items") == 2 && number(o, "tokens") == 7);
    assert_float_equal(log(number(o, "perplexity")), number(o, "token_loss") * 7 / 2, 1e-3);
    json_decref(o);
    assert_ok(file_read("a.jsonl", LIMIT, &t));
    assert_has(t.at, "{\"line\": 1, \"right\": true, \"log_p\": -");
    assert_has(t.at, "{\"line\": 2, \"right\": false, \"log_p\": -");
    text_free(&t);
    runs("eval run --items=cloze.jsonl");
    assert_has(OUT, "acc        50.0% +- 50.0  of what the model would write");
}

static void what_cannot_be_asked(void **state)
{
    (void)state;
    write_text("one.jsonl", "{\"prompt\": \"ROMEO:\", \"completion\": \"I shall never be quiet\"}\n");
    write_text("unknown.jsonl", "{\"prompt\": \"ROMEO:\", \"completion\": \"#\"}\n");
    write_text("empty.jsonl", "{\"query\": \"\", \"choices\": [\"a\", \"b\"], \"gold\": 0}\n");
    write_text("old.jsonl", "old\n");
    fails(E_USAGE, "one of the three says on which data", "eval run");
    fails(E_USAGE, "one of the three says on which data", "eval run --items=a.jsonl --dataset=play");
    fails(E_USAGE, "which model?", "eval");
    fails(E_DATA, "one.jsonl: line 1, choice 0: its 23 tokens and one before them do not fit into 16 positions", "eval run --items=one.jsonl --out=old.jsonl");
    assert_holds("old.jsonl", "old\n");
    fails(E_DATA, "unknown.jsonl: line 1, choice 0: ", "eval run --items=unknown.jsonl");
    fails(E_DATA, "nothing stands before what is to be foretold", "eval run --items=empty.jsonl");
    fails(E_DATA, "no item in it", "eval run --items=/dev/null");
    fails(E_USAGE, "block_size 17 is more than the 16 positions", "eval run --items=one.jsonl --block_size=17");
    fails(E_USAGE, "stride 17 is more than the block_size of 16", "eval run --text=play.txt --stride=17");
    fails(E_IO, "absent.txt", "eval run --text=absent.txt");
    put_u16s("large.bin", (const uint32_t[]){ 20240522, 1, 1, 24 }, (const uint16_t[]){ 65535, 24, 0, 1, 2, 2, 7, 8, 1, 9, 1, 1000 }, 12);
    fails(E_DATA, "large.bin: example 0, choice 1: id 1000 is outside of the model's vocabulary", "eval run --items=large.bin");
    fails_how(HOW(.file_limit = 8), E_IO, "cannot write a.jsonl", "eval run --items=many.jsonl --out=a.jsonl --threads=1");
}

/* A model without numbers has no answers; of text its loss is said as it is, which JSON calls null. */
static void damaged_weights(void **state)
{
    struct text t = { 0 };
    (void)state;
    copy_folder("run", "damaged");
    assert_ok(file_read("damaged/model.safetensors", LIMIT, &t));
    memset(t.at + t.size - 64, 0xff, 64);
    assert_ok(file_write("damaged/model.safetensors", t.at, t.size));
    text_free(&t);
    fails(E_MODEL, "the model's logits are not numbers", "eval damaged --items=many.jsonl --out=a.jsonl");
    runs("eval damaged --text=play.txt --json");
    json_t *o = printed();
    assert_true(json_is_null(json_object_get(o, "loss")) && !json_object_get(o, "loss_stderr") && json_is_null(json_object_get(o, "perplexity")));
    json_decref(o);
}

/* ---- windows ---- */

/* The loss of ids by windows that are cut by hand, a run each. */
static double loss_by_hand(struct engine *e, const struct ids *ids, size_t block, size_t stride, double *error, int64_t *windows)
{
    double w[256], n[256], sum = 0, count = 0, off = 0;
    int k = 0;
    for (size_t at = 0, done = 0; done < ids->n - 1; at += stride, k++) {
        size_t size = ids->n - 1 - at < block ? ids->n - 1 - at : block;
        int32_t targets[CONTEXT];
        int64_t tokens = 0;
        for (size_t i = 0; i < size; i++) targets[i] = at + i < done ? NO_TARGET : (int32_t)ids->at[at + i + 1];
        batch_add_ids(&e->batch, (const int32_t *)ids->at + at, targets, (int64_t)size, 0);
        w[k] = 0;
        assert_ok(evaluate_batch(e->eval, &e->batch, &w[k], &tokens));
        n[k] = (double)tokens;
        done = at + size;
    }
    for (int i = 0; i < k; i++) sum += w[i], count += n[i];
    assert_true(count == (double)(ids->n - 1));
    for (int i = 0; i < k; i++) off += pow(w[i] - n[i] * sum / count, 2);
    *error = sqrt(off * k / (k - 1)) / count;
    *windows = k;
    return sum / count;
}

static void windows_that_overlap(void **state)
{
    static const int64_t sizes[][2] = { { 16, 16 }, { 16, 8 }, { 16, 5 }, { 16, 1 }, { 7, 3 }, { 1, 1 } };
    static const char text[] = "ROMEO:\nI shall sing; what is the answer to 12?\n\nNurse:\nI never wait";
    struct engine e = open_engine(64, 0, 0);
    struct ids ids = encode(&e, text);
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct evaluator v = { .plan = e.eval, .batch = &e.batch, .block = sizes[i][0], .stride = sizes[i][1] };
        struct evaluation r;
        double error;
        int64_t windows;
        double loss = loss_by_hand(&e, &ids, (size_t)v.block, (size_t)v.stride, &error, &windows);
        assert_ok(evaluator_add_ids(&v, ids.at, ids.n, ids.n - 1));
        assert_ok(evaluator_finish(&v, &r, "text"));
        assert_float_equal(r.loss, loss, 1e-9);
        assert_float_equal(r.error, error, 1e-9);
        assert_int_equal(r.windows, windows);
        assert_int_equal(r.tokens, ids.n - 1);
        assert_float_equal(evaluation_bits(&r), loss / log(2), 1e-9);            /* a token is a byte */
    }
    struct evaluator none = { .plan = e.eval, .batch = &e.batch, .block = 4 };
    struct evaluation r;
    assert_ok(evaluator_add_ids(&none, ids.at, 1, 0));
    assert_fails(evaluator_finish(&none, &r, "text"), E_DATA, "text: too short to be evaluated");
    ids_free(&ids);
    engine_close(&e);
}

/* A text and a set of the same characters have the same loss, and say so in both ways. */
static void texts_and_sets(void **state)
{
    char part[64];
    (void)state;
    write_text("short.txt", "ROMEO:\nI shall sing; what is the answer to 12?\n");
    write_text("lines.jsonl", "{\"text\": \"ROMEO:\\nI shall\"}\n{\"text\": \"\"}\n{\"text\": \"N\"}\n{\"text\": \"Nurse\"}\n");
    runs("data short.txt --tokenizer=run --val=short.txt --out=short");
    runs("eval run --text=short.txt --stride=4 --json");
    json_t *text = printed();
    runs("eval run --dataset=short --stride=4 --json");
    json_t *set = printed();
    assert_true(number(text, "tokens") == 46 && number(text, "bytes") == 46 && number(set, "bytes") == 46 && number(text, "windows") == number(set, "windows"));
    assert_true(number(text, "loss") == number(set, "loss"));
    assert_float_equal(number(text, "bits_per_byte"), number(text, "loss") / log(2), 1e-5);
    assert_float_equal(number(text, "perplexity_stderr"), number(text, "perplexity") * number(text, "loss_stderr"), 1e-4);
    runs("eval run --text=short.txt --stride=4");
    snprintf(part, sizeof part, "loss %.4f +- %.4f  perplexity", number(text, "loss"), number(text, "loss_stderr"));
    assert_has(OUT, part);
    snprintf(part, sizeof part, "bits per byte %.4f +- ", number(text, "bits_per_byte"));
    assert_has(OUT, part);
    assert_has(OUT, "\nover 46 tokens (46 bytes) of short.txt, block_size 16, stride 4\n");
    json_decref(text);
    json_decref(set);
    runs("eval run --text=lines.jsonl --json");              /* of each text all but the first character; of one character nothing */
    text = printed();
    assert_true(number(text, "tokens") == 13 + 4 && number(text, "bytes") == 17 && number(text, "windows") == 2);
    json_decref(text);
    fails(E_DATA, "no field \"body\"", "eval run --text=lines.jsonl --field=body");
    runs("eval run --dataset=short --json");                 /* the last partial window is dropped */
    set = printed();
    assert_true(number(set, "tokens") == 32 && number(set, "bytes") == 32);
    json_decref(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_are_losses),
        cmocka_unit_test(greedy_is_what_it_would_write),
        cmocka_unit_test(scores_stand_alone),
        cmocka_unit_test(too_long),
        cmocka_unit_test(lines_become_items),
        cmocka_unit_test(lines_that_are_no_items),
        cmocka_unit_test(long_lines),
        cmocka_unit_test(some_of_the_items),
        cmocka_unit_test(choices_of_llmc),
        cmocka_unit_test(bad_choices_of_llmc),
        cmocka_unit_test(answers_of_choices),
        cmocka_unit_test(answers_behind_examples),
        cmocka_unit_test(answers_of_a_cloze),
        cmocka_unit_test(what_cannot_be_asked),
        cmocka_unit_test(choices_are_written),
        cmocka_unit_test(damaged_weights),
        cmocka_unit_test(windows_that_overlap),
        cmocka_unit_test(texts_and_sets),
    };
    return cmocka_run_group_tests_name("eval", tests, set_up, leave_program);
}
