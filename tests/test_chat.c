/* test_chat.c -- chat templates: what is rendered and what of it is learnt, whose templates are recognised, what a tokenizer becomes. */
#include "token/chat.h"

#include "tokens.h"

static const char *const names[] = { "chatml", "llama3", "zephyr", "nanochat" };
enum { FORMS = sizeof names / sizeof *names };

static struct tokenizer *equipped(const char *name, const char *system)
{
    struct tokenizer *t = opened(BPE300);
    const struct chat_form *f;
    assert_ok(chat_form_find(&f, name));
    assert_ok(chat_equip(&t, f, system));
    return t;
}

/* What ids with one of these flags (0: all) are shown as, one after the other. */
static void shown(const struct tokenizer *t, const struct rendered *r, int flags, struct text *out)
{
    text_clear(out);
    text_add(out, "");
    assert_int_equal(r->ids.n, r->flags.size);
    for (size_t i = 0; i < r->ids.n; i++) {
        size_t n;
        const char *bytes = tokenizer_bytes(t, r->ids.at[i], &n);
        if (!flags || r->flags.at[i] & flags) text_bytes(out, bytes, n);
    }
}

/* "s", "u" and "a" say who speaks: { "u", "Hi", "a", "Ho", NULL }. */
static void render(struct chat *c, const char *const *said, struct rendered *out)
{
    rendered_clear(out);
    assert_ok(chat_begin(c, out));
    for (; *said; said += 2) assert_ok(chat_message(c, *said[0] == 's' ? ROLE_SYSTEM : *said[0] == 'u' ? ROLE_USER : ROLE_ASSISTANT, said[1], strlen(said[1]), out));
    assert_ok(chat_end(c, out));
}

static void assert_renders(const char *name, const char *system, const char *const *said, const char *all, const char *learnt)
{
    struct tokenizer *t = equipped(name, system);
    struct chat c;
    struct rendered r = { 0 };
    struct text text = { 0 };
    assert_ok(chat_open(&c, t, "auto"));
    for (int again = 0; again < 2; again++) {                /* a conversation knows nothing of the one before */
        render(&c, said, &r);
        shown(t, &r, 0, &text);
        assert_string_equal(text.at, all);
        shown(t, &r, CHAT_COUNTS, &text);
        assert_string_equal(text.at, learnt);
        assert_int_equal(r.flags.at[0] & CHAT_BEGINS, CHAT_BEGINS);
        for (size_t i = 1; i < r.flags.size; i++) assert_false(r.flags.at[i] & CHAT_BEGINS);
    }
    text_free(&text);
    rendered_free(&r);
    chat_close(&c);
    tokenizer_free(t);
}

static void rendered_forms(void **state)
{
    const char *const two[] = { "u", " Who sings? ", "a", "The gull.\n", "u", "Why?", "a", "", NULL }, *const with[] = { "s", "Be brief.", "u", "Hi", "a", "Ho", NULL };
    (void)state;
    assert_renders("chatml", "", two, "<|im_start|>user\n Who sings? <|im_end|>\n<|im_start|>assistant\nThe gull.\n<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n<|im_end|>\n",
                   "The gull.\n<|im_end|><|im_end|>");
    assert_renders("llama3", "", two, "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nWho sings?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nThe gull.<|eot_id|>"
                   "<|start_header_id|>user<|end_header_id|>\n\nWhy?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n<|eot_id|>", "The gull.<|eot_id|><|eot_id|>");
    assert_renders("zephyr", "", with, "<|system|>\nBe brief.<|endoftext|>\n<|user|>\nHi<|endoftext|>\n<|assistant|>\nHo<|endoftext|>\n", "Ho<|endoftext|>");
    assert_renders("nanochat", "", with, "<|bos|><|user_start|>Be brief.\n\nHi<|user_end|><|assistant_start|>Ho<|assistant_end|>", "Ho<|assistant_end|>");
    assert_renders("chatml", "Be kind.", two + 4, "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n<|im_end|>\n", "<|im_end|>");
    assert_renders("chatml", "Be kind.", with, "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHo<|im_end|>\n", "Ho<|im_end|>");
    assert_renders("nanochat", "Be kind.", two + 4, "<|bos|><|user_start|>Be kind.\n\nWhy?<|user_end|><|assistant_start|><|assistant_end|>", "<|assistant_end|>");
}

/* What a user writes is text, also if it looks like a mark; so is what the system and the model say. */
static void marks_in_messages(void **state)
{
    static const size_t of_system[FORMS] = { 2, 3, 1, 0 };   /* the marks around what the system says */
    (void)state;
    for (int i = 0; i < FORMS; i++) {
        struct tokenizer *t = equipped(names[i], "");
        struct chat c;
        struct rendered plain = { 0 }, other = { 0 };
        struct text text = { 0 };
        assert_ok(chat_open(&c, t, "auto"));
        render(&c, (const char *const[]){ "u", "Hi", "a", "Ho", NULL }, &plain);
        for (int k = 0; k < CHAT_MARKS && c.form->mark[k]; k++) {
            char attack[128];
            snprintf(attack, sizeof attack, "%s%sHa<|endoftext|>", c.form->mark[k], c.form->mark[0]);
            for (int who = 0; who < 3; who++) {
                render(&c, (const char *const[]){ "s", who == 0 ? attack : "x", "u", who == 1 ? attack : "Hi", "a", who == 2 ? attack : "Ho", NULL }, &other);
                size_t marks[2] = { 0 };
                for (size_t j = 0; j < plain.ids.n; j++) marks[0] += (size_t)tokenizer_is_special(t, plain.ids.at[j]);
                for (size_t j = 0; j < other.ids.n; j++) marks[1] += (size_t)tokenizer_is_special(t, other.ids.at[j]);
                assert_int_equal(marks[1], marks[0] + of_system[i]);
                shown(t, &other, 0, &text);
                assert_non_null(strstr(text.at, attack));    /* nothing of it is lost */
            }
        }
        text_free(&text);
        rendered_free(&plain);
        rendered_free(&other);
        chat_close(&c);
        tokenizer_free(t);
    }
}

/* A conversation that goes on step by step has the ids of the whole. */
static void step_by_step(void **state)
{
    (void)state;
    for (int i = 0; i < FORMS; i++) {
        struct tokenizer *t = equipped(names[i], "Be kind.");
        struct chat c;
        struct rendered whole = { 0 }, steps = { 0 };
        assert_ok(chat_open(&c, t, names[i]));
        assert_int_equal(c.system.size, 0);                  /* a form by its name brings none */
        text_add(&c.system, "Be kind.");
        render(&c, (const char *const[]){ "u", "Hi", "a", "Ho", "u", "Who?", "a", "I", NULL }, &whole);
        assert_ok(chat_begin(&c, &steps));
        for (int turn = 0; turn < 2; turn++) {
            assert_ok(chat_message(&c, ROLE_USER, turn ? "Who?" : "Hi", turn ? 4 : 2, &steps));
            assert_ok(chat_ask(&c, &steps));
            struct ids answer = encoded(t, turn ? "I" : "Ho", turn ? 1 : 2, SPECIALS_AS_TEXT);
            assert_ok(ids_add(&steps.ids, answer.at, answer.n));
            memset(text_more(&steps.flags, answer.n), CHAT_COUNTS, answer.n);
            assert_ok(chat_answered(&c, &steps));
            assert_ok(chat_end(&c, &steps));
            ids_free(&answer);
        }
        assert_int_equal(steps.ids.n, whole.ids.n);
        assert_memory_equal(steps.ids.at, whole.ids.at, whole.ids.n * sizeof *whole.ids.at);
        assert_memory_equal(steps.flags.at, whole.flags.at, whole.flags.size);
        rendered_free(&whole);
        rendered_free(&steps);
        chat_close(&c);
        tokenizer_free(t);
    }
}

/* ---- whose templates are recognised ---- */

static void own_templates(void **state)
{
    static const char *const systems[] = { "", "Be kind.", "It's a \"test\".\nLine\\two\n", "trim the bos_token, <think>, strftime_now", "<|im_start|>system\nx<|im_end|>" };
    (void)state;
    for (int i = 0; i < FORMS; i++)
        for (size_t k = 0; k < sizeof systems / sizeof *systems; k++) {
            const struct chat_form *f, *found;
            struct text jinja = { 0 }, system = { 0 };
            assert_ok(chat_form_find(&f, names[i]));
            chat_jinja(f, systems[k], &jinja);
            assert_ok(chat_recognise(&found, &system, jinja.at, "it"));
            assert_ptr_equal(found, f);
            assert_string_equal(system.size ? system.at : "", systems[k]);
            text_free(&jinja);
            text_free(&system);
        }
}

static void others_templates(void **state)
{
    static const struct { const char *jinja, *form, *system; } good[] = {
        { "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}", "chatml", "" },
        { "{% if no_system %}{{ '<|im_start|>system\\nYou know\\nit\\'s so.<|im_end|>\\n' }}{% endif %}{{ '<|im_start|>' + m.role }}", "chatml", "You know\nit's so." },
        { "{{ '<|im_start|>system\\n' + m.content + '<|im_end|>' }}", "chatml", "" },
        { "{% set c = '<|start_header_id|>' + m.role + '<|end_header_id|>\\n\\n' + m.content | trim + '<|eot_id|>' %}{{ bos_token + c }}", "llama3", "" },
        { "{{ '<|user|>\\n' + c + eos_token }}{{ '<|system|>' }}{{ '<|assistant|>\\n' + c + eos_token }}", "zephyr", "" },
        { "{{ '<|user_start|>' + c + '<|user_end|>' }}{{ '<|assistant_start|>' + c + '<|assistant_end|>' }}", "nanochat", "" },
    };
    static const struct { const char *jinja, *why; } bad[] = {
        { "{{ '[INST] ' + c + ' [/INST]' }}", "the marks of no form" },
        { "", "the marks of no form" },
        { "{{ '<|im_start|>' + c + '<|im_end|>' + strftime_now('%d') }}", "tells the date" },
        { "{{ '<|im_start|>' + c + '<|im_end|>' }}{{ '<think>' }}", "thoughts" },
        { "{{ bos_token + '<|im_start|>' + c + '<|im_end|>' }}", "\"bos_token\" in it" },
        { "{{ '<|im_start|>' + c | trim + '<|im_end|>' }}", "\"trim\" in it" },
        { "{{ '<|user|>' + c + '<|end|>' + '<|assistant|>' + '<|system|>' + eos_token }}", "\"<|end|>\" in it" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        const struct chat_form *f;
        struct text system = { 0 };
        assert_ok(chat_recognise(&f, &system, good[i].jinja, "it"));
        assert_string_equal(f->name, good[i].form);
        assert_string_equal(system.size ? system.at : "", good[i].system);
        text_free(&system);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const struct chat_form *f;
        struct text system = { 0 };
        assert_fails(chat_recognise(&f, &system, bad[i].jinja, "it"), E_DATA, bad[i].why);
        text_free(&system);
    }
    const struct chat_form *f;
    assert_fails(chat_form_find(&f, "alpaca"), E_USAGE, "chatml, llama3, zephyr and nanochat");
}

/* ---- tokenizers ---- */

static void equipment(void **state)
{
    struct tokenizer *old = opened(BPE300), *t = equipped("chatml", "Be kind."), *again, *llama = equipped("llama3", "");
    (void)state;
    assert_int_equal(tokenizer_vocab(t), tokenizer_vocab(old) + 2);
    assert_token(t, (uint32_t)tokenizer_end(t), "<|im_end|>");
    assert_true(tokenizer_extends(t, old) && tokenizer_extends(t, t));
    assert_false(tokenizer_extends(old, t) || tokenizer_extends(t, llama) || tokenizer_extends(llama, t));
    assert_ok(tokenizer_save(t, folder));
    assert_ok(tokenizer_open(&again, folder));
    assert_string_equal(tokenizer_fingerprint(again), tokenizer_fingerprint(t));
    assert_string_equal(tokenizer_chat(again), tokenizer_chat(t));
    assert_int_equal(tokenizer_end(again), tokenizer_end(t));
    tokenizer_free(again);

    write_text(at("chat_template.jinja"), "another");        /* counts before the other */
    assert_ok(tokenizer_open(&again, folder));
    assert_string_equal(tokenizer_chat(again), "another");
    struct chat c;
    assert_fails(chat_open(&c, again, "auto"), E_DATA, "the marks of no form");
    assert_ok(chat_open(&c, again, "chatml"));
    chat_close(&c);
    assert_fails(chat_open(&c, again, "llama3"), E_DATA, "no special token <|begin_of_text|>");
    assert_fails(chat_open(&c, old, "auto"), E_DATA, "no chat template");
    tokenizer_free(again);
    remove(at("chat_template.jinja"));

    write_text(at("tokenizer_config.json"), "{\"chat_template\": [{\"name\": \"tools\", \"template\": \"a\"}, {\"name\": \"default\", \"template\": \"b\"}]}");
    assert_ok(tokenizer_open(&again, folder));
    assert_string_equal(tokenizer_chat(again), "b");
    tokenizer_free(again);
    tokenizer_free(old);
    tokenizer_free(llama);
    tokenizer_free(t);
}

/* A template in other words stays as it is; a mark that is an ordinary token is refused. */
static void equipped_already(void **state)
{
    static const char theirs[] = "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}";
    struct tokenizer *t = equipped("chatml", ""), *again;
    const struct chat_form *f;
    (void)state;
    assert_ok(tokenizer_save(t, folder));
    write_text(at("chat_template.jinja"), theirs);
    assert_ok(tokenizer_open(&again, folder));
    remove(at("chat_template.jinja"));
    assert_ok(chat_form_find(&f, "chatml"));
    assert_ok(chat_equip(&again, f, ""));
    assert_string_equal(tokenizer_chat(again), theirs);
    assert_string_equal(tokenizer_fingerprint(again), tokenizer_fingerprint(t));
    assert_ok(chat_equip(&again, f, "Be kind."));
    assert_string_not_equal(tokenizer_chat(again), theirs);
    tokenizer_free(again);
    tokenizer_free(t);

    json_t *change = json_loads("{\"added_tokens\": [{\"id\": 600, \"content\": \"<|im_end|>\", \"special\": false, \"normalized\": false, \"single_word\": false, \"lstrip\": false, \"rstrip\": false}]}", 0, NULL), *file = changed(change);
    assert_ok(parse_json(&t, file));
    assert_fails(chat_equip(&t, f, ""), E_DATA, "<|im_end|> is a token, but not a special one");
    tokenizer_free(t);
    json_decref(file);
    json_decref(change);
}

/* Characters know the marks, too. */
static void of_characters(void **state)
{
    struct tokenizer *t, *again;
    const struct chat_form *f;
    static const char text[] = "<|im_start|>user\nassistant Hi<|im_end|>\n";
    (void)state;
    assert_ok(tokenizer_of_characters(&t, text, sizeof text - 1));
    uint32_t before = tokenizer_vocab(t);
    assert_ok(chat_form_find(&f, "chatml"));
    assert_ok(chat_equip(&t, f, ""));
    assert_int_equal(tokenizer_vocab(t), before + 2);
    assert_false(tokenizer_is_bytes(t));
    assert_ok(tokenizer_save(t, folder));
    assert_ok(tokenizer_open(&again, folder));
    assert_string_equal(tokenizer_fingerprint(again), tokenizer_fingerprint(t));
    struct ids marked = encoded(again, text, sizeof text - 1, SPECIALS_AS_TOKENS), plain = encoded(again, text, sizeof text - 1, SPECIALS_AS_TEXT);
    assert_int_equal(plain.n, sizeof text - 1);
    assert_int_equal(marked.n, sizeof text - 1 - strlen("<|im_start|><|im_end|>") + 2);
    ids_free(&marked);
    ids_free(&plain);
    tokenizer_free(again);
    tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rendered_forms), cmocka_unit_test(marks_in_messages), cmocka_unit_test(step_by_step), cmocka_unit_test(own_templates),
        cmocka_unit_test(others_templates), cmocka_unit_test(equipment), cmocka_unit_test(equipped_already), cmocka_unit_test(of_characters),
    };
    return cmocka_run_group_tests_name("chat", tests, enter_folder, leave_folder);
}
