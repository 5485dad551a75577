/* chat_forms.c -- the forms, how they are recognised in others' templates, and how ours are written. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "token/chat.h"
#include "token/tokenizer_core.h"

/* OpenAI's ChatML (Qwen's, SmolLM's); Llama 3's; Zephyr's (TinyLlama's), whose role marks are plain text; nanochat's. */
static const struct chat_form forms[] = {
    { "chatml", "",
      { { "<|im_start|>system\n", "<|im_end|>\n" }, { "<|im_start|>user\n", "<|im_end|>\n" }, { "<|im_start|>assistant\n", "<|im_end|>\n" } },
      { "<|im_start|>", "<|im_end|>" }, "<|im_end|>", 0 },
    { "llama3", "<|begin_of_text|>",
      { { "<|start_header_id|>system<|end_header_id|>\n\n", "<|eot_id|>" }, { "<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>" },
        { "<|start_header_id|>assistant<|end_header_id|>\n\n", "<|eot_id|>" } },
      { "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>" }, "<|eot_id|>", 1 },
    { "zephyr", "",
      { { "<|system|>\n", CHAT_END "\n" }, { "<|user|>\n", CHAT_END "\n" }, { "<|assistant|>\n", CHAT_END "\n" } },
      { NULL }, CHAT_END, 0 },
    { "nanochat", "<|bos|>",
      { { NULL, NULL }, { "<|user_start|>", "<|user_end|>" }, { "<|assistant_start|>", "<|assistant_end|>" } },
      { "<|bos|>", "<|user_start|>", "<|user_end|>", "<|assistant_start|>", "<|assistant_end|>" }, "<|assistant_end|>", 0 },
};
enum { FORMS = sizeof forms / sizeof *forms };

int chat_form_find(const struct chat_form **f, const char *name)
{
    for (int i = 0; i < FORMS; i++)
        if (!strcmp(forms[i].name, name)) return *f = &forms[i], 0;
    FAIL(E_USAGE, "there is no chat template %s; there are chatml, llama3, zephyr and nanochat", name);
}

/* ---- ours ---- */

#define DEFAULT "default_system = '"

static void quote_jinja(struct text *out, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '\n') text_add(out, "\\n");
        else if (text[i] == '\'' || text[i] == '\\') text_format(out, "\\%c", text[i]);
        else text_bytes(out, text + i, 1);
    }
}

/* A form's text as an expression: '...' + eos_token + '...'. */
static void express(struct text *out, const char *text)
{
    const char *end = strstr(text, CHAT_END);
    size_t n = end ? (size_t)(end - text) : strlen(text);
    if (n) {
        text_add(out, "'");
        quote_jinja(out, text, n);
        text_add(out, "'");
    }
    if (!end) return;
    text_add(out, n ? " + eos_token" : "eos_token");
    if (!end[sizeof CHAT_END - 1]) return;
    text_add(out, " + ");
    express(out, end + sizeof CHAT_END - 1);
}

static void write_said(const struct chat_form *f, enum role role, const char *what, struct text *out)
{
    text_add(out, "{{ ");
    express(out, f->by[role].open);
    text_format(out, " + %s + ", what);
    express(out, f->by[role].close);
    text_add(out, " }}");
}

/* As a role says it, or kept until the user speaks. */
static void write_system(const struct chat_form *f, const char *what, struct text *out)
{
    if (f->by[ROLE_SYSTEM].open) write_said(f, ROLE_SYSTEM, what, out);
    else text_format(out, "{%% set kept.lead = %s + '\\n\\n' %%}", what);
}

void chat_jinja(const struct chat_form *f, const char *system, struct text *out)
{
    int leads = !f->by[ROLE_SYSTEM].open;
    const char *content = f->trims ? "message['content'] | trim" : "message['content']";
    char spoken[64];
    snprintf(spoken, sizeof spoken, f->trims ? "(%s)" : "%s", content);
    if (*system) {
        text_add(out, "{% set " DEFAULT);
        quote_jinja(out, system, strlen(system));
        text_add(out, "' %}");
    }
    if (leads) text_add(out, "{% set kept = namespace(lead='') %}");
    if (*f->before) {
        text_add(out, "{{ ");
        express(out, f->before);
        text_add(out, " }}");
    }
    text_add(out, "{% for message in messages %}");
    if (*system) {
        text_add(out, "{% if loop.first and message['role'] != 'system' %}");
        write_system(f, f->trims ? "(default_system | trim)" : "default_system", out);
        text_add(out, "{% endif %}");
    }
    text_add(out, "{% if message['role'] == 'system' %}");
    write_system(f, spoken, out);
    text_add(out, "{% elif message['role'] == 'user' %}");
    char user[96];
    snprintf(user, sizeof user, leads ? "kept.lead + %s" : "%s", spoken);
    write_said(f, ROLE_USER, user, out);
    if (leads) text_add(out, "{% set kept.lead = '' %}");
    text_add(out, "{% elif message['role'] == 'assistant' %}");
    write_said(f, ROLE_ASSISTANT, spoken, out);
    text_add(out, "{% else %}{{ raise_exception('roles are system, user and assistant') }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ ");
    express(out, f->by[ROLE_ASSISTANT].open);
    text_add(out, " }}{% endif %}");
}

/* ---- others' ---- */

/* What all templates of a form have in them, and what none has that says the same. */
enum { MOST_WORDS = 4 };
static const struct { const char *form, *has[MOST_WORDS], *never[MOST_WORDS]; } marks[] = {
    { "chatml", { "<|im_start|>", "<|im_end|>" }, { "bos_token", "trim" } },
    { "llama3", { "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "trim" }, { NULL } },
    { "zephyr", { "<|user|>", "<|assistant|>", "<|system|>", "eos_token" }, { "<|end|>", "bos_token", "trim" } },
    { "nanochat", { "<|user_start|>", "<|user_end|>", "<|assistant_start|>", "<|assistant_end|>" }, { "trim" } },
};
static const struct { const char *word, *does; } foreign[] = {
    { "strftime_now", "tells the date" }, { "Today Date", "tells the date" }, { "<think>", "writes or removes thoughts" }, { "enable_thinking", "writes or removes thoughts" },
};

static int has_all(const char *jinja, const char *const *words)
{
    for (int i = 0; i < MOST_WORDS && words[i]; i++)
        if (!strstr(jinja, words[i])) return 0;
    return 1;
}

/* A text with escapes: up to `quote`, or, without one, up to `behind`, where it has no quote in it. */
static int unquote(const char *text, char quote, const char *behind, struct text *out)
{
    text_clear(out);
    for (const char *c = text; *c; c++) {
        if (quote ? *c == quote : !strncmp(c, behind, strlen(behind))) return 1;
        if (!quote && strchr("'\"", *c)) return 0;
        if (*c == '\\' && c[1]) c++, text_bytes(out, *c == 'n' ? "\n" : c, 1);
        else text_bytes(out, c, 1);
    }
    return 0;
}

/* Ours says it in so many words; others write the whole message, as Qwen's do: '<|im_start|>system\nYou are ...<|im_end|>\n'. */
static void find_system(const struct chat_form *f, const char *jinja, struct text *system)
{
    struct text open = { 0 };
    const char *at = strstr(jinja, DEFAULT);
    int found = at && unquote(at + sizeof DEFAULT - 1, '\'', NULL, system);
    if (!found && f->by[ROLE_SYSTEM].open && *f->by[ROLE_SYSTEM].close == '<') {
        quote_jinja(&open, f->by[ROLE_SYSTEM].open, strlen(f->by[ROLE_SYSTEM].open));
        for (at = jinja; open.at && !found && (at = strstr(at, open.at)); at++) found = unquote(at + open.size, 0, f->stop, system);
    }
    if (!found) text_clear(system);
    text_free(&open);
}

/* Word for word ours, which may speak of anything in the system's text. */
static int is_ours(const struct chat_form *f, struct text *system, const char *jinja)
{
    struct text own = { 0 };
    find_system(f, jinja, system);
    chat_jinja(f, system->size ? system->at : "", &own);
    int is = !own.failed && !strcmp(own.at, jinja);
    text_free(&own);
    return is;
}

#define PLAIN "--template=%s uses the plain form"

int chat_recognise(const struct chat_form **f, struct text *system, const char *jinja, const char *what)
{
    size_t i = 0, n = sizeof marks / sizeof *marks;
    for (int k = 0; k < FORMS; k++)
        if (is_ours(&forms[k], system, jinja)) return *f = &forms[k], 0;
    while (i < n && !has_all(jinja, marks[i].has)) i++;
    FAIL_IF(i == n, E_DATA, "%s: its chat template has the marks of no form that nib knows (chatml, llama3, zephyr, nanochat); --template=NAME uses one of these", what);
    const char *name = marks[i].form, *const *never = marks[i].never;
    for (size_t k = 0; k < sizeof foreign / sizeof *foreign; k++)
        FAIL_IF(strstr(jinja, foreign[k].word), E_DATA, "%s: its chat template is like %s, but %s (\"%s\"), which nib does not; " PLAIN, what, name, foreign[k].does, foreign[k].word, name);
    for (int k = 0; k < MOST_WORDS && never[k]; k++)
        FAIL_IF(strstr(jinja, never[k]), E_DATA, "%s: its chat template is like %s, but \"%s\" in it changes what it says; " PLAIN, what, name, never[k], name);
    TRY(chat_form_find(f, name));
    find_system(*f, jinja, system);
    FAIL_IF(system->failed, E_MEMORY, "no memory for a chat template");
    return 0;
}

int chat_form_of(const struct chat_form **f, struct text *system, const struct tokenizer *t, const char *name)
{
    *f = NULL;
    if (strcmp(name, "auto")) return chat_form_find(f, name);
    return t->chat ? chat_recognise(f, system, t->chat, "the tokenizer") : 0;
}

/* Its template says the same already, perhaps in other words: then these stay. */
static int is_equipped(const struct tokenizer *t, const struct chat_form *f, const char *system)
{
    const struct chat_form *own = NULL;
    struct text said = { 0 };
    int is = t->chat && !chat_recognise(&own, &said, t->chat, "") && own == f && !strcmp(said.size ? said.at : "", system);
    text_free(&said);
    error_clear();
    return is;
}

static int write_template(struct tokenizer *t, const struct chat_form *f, const char *system)
{
    struct text jinja = { 0 };
    chat_jinja(f, system, &jinja);
    int code = jinja.failed ? error_set(E_MEMORY, __FILE__, __LINE__, "no memory for a chat template") : tokenizer_set_chat(t, jinja.at);
    text_free(&jinja);
    return code;
}

int chat_equip(struct tokenizer **t, const struct chat_form *f, const char *system)
{
    const char *lacks[CHAT_MARKS];
    size_t n = 0;
    for (int i = 0; i < CHAT_MARKS && f->mark[i]; i++) {
        int64_t id = tokenizer_added(*t, f->mark[i]);
        FAIL_IF(id >= 0 && !tokenizer_is_special(*t, (uint32_t)id), E_DATA, "%s is a token, but not a special one, so it could not be told from what people write; choose another --template", f->mark[i]);
        if (id < 0) lacks[n++] = f->mark[i];
    }
    if (n) TRY(tokenizer_extend(t, lacks, n));
    if (!is_equipped(*t, f, system)) TRY(write_template(*t, f, system));
    if (strcmp(f->stop, CHAT_END)) (*t)->end = tokenizer_added(*t, f->stop);
    return 0;
}

#ifdef FUZZ_CHAT_FORMS
/* A template that is recognised says a form and a system's text; ours of these two is recognised as the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct chat_form *f, *again;
    struct text jinja = { 0 }, system = { 0 }, own = { 0 }, same = { 0 };
    text_add(&jinja, "");
    text_bytes(&jinja, data, size);
    if (!chat_recognise(&f, &system, jinja.at, "fuzz")) {
        const char *said = system.size ? system.at : "";
        chat_jinja(f, said, &own);
        if (chat_recognise(&again, &same, own.at, "own") || again != f || strcmp(same.size ? same.at : "", said)) abort();
    }
    text_free(&jinja);
    text_free(&system);
    text_free(&own);
    text_free(&same);
    return 0;
}
#endif
