/* items.c -- a table of what lines may be; how each becomes contexts and continuations. */
#include "text/items.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/error.h"
#include "base/file.h"
#include "base/grow.h"
#include "base/json.h"
#include "base/rng.h"
#include "base/utf8.h"
#include "file/stream.h"
#include "text/llmc_choices.h"
#include "token/unicode.h"

enum { LINE_LIMIT = 1 << 20, TEXTS_LIMIT = 1 << 30 };        /* bytes of a line, and of all texts */

struct reader_of_items;
struct kind {
    const char *name;
    const char *needs[4];                /* keys by which it is known; of "a|b" one */
    int is_cloze;
    int blank;                           /* always stands between a context and a choice, whatever they begin and end with */
    const char *question;                /* lm-evaluation-harness's, % standing for the text; NULL: the text as it is */
    int (*read)(struct reader_of_items *r, const json_t *object);
};

struct reader_of_items {
    struct items *items;
    const struct kind *kind;
    enum prompts prompts;
    size_t bytes;                        /* of lines so far */
    const char *path; uint64_t line;
    char what[PATH_SIZE + 32];           /* "file: line 7" */
};

/* ---- items ---- */

struct item *items_new(struct items *s, int choices)
{
    struct choice *c = arena_take(&s->memory, (size_t)choices * sizeof *c);
    if (!c || !grow(&s->at, &s->room, s->n + 1, sizeof *s->at)) return NULL;
    s->at[s->n] = (struct item){ .choice = c, .choices = choices };
    return &s->at[s->n++];
}

void items_free(struct items *s)
{
    free(s->at);
    arena_free(&s->memory);
    *s = (struct items){ 0 };
}

/* Knuth, The Art of Computer Programming 3.4.2, algorithm S: each is taken with the chance that as many of the rest are still wanted. */
void items_limit(struct items *s, size_t count, uint64_t seed)
{
    size_t all = s->n;
    if (count >= all) return;
    s->n = 0;
    for (size_t i = 0; s->n < count; i++)
        if (!seed || rng_below(rng_key(seed, rng_hash("items")), i, all - i) < count - s->n) s->at[s->n++] = s->at[i];
}

int items_show(struct items *s, size_t count)
{
    struct text t = { 0 };
    FAIL_IF(count >= s->n, E_USAGE, "%s has %zu items: %zu cannot be shown with their answers and leave one to ask", s->path, s->n, count);
    FAIL_IF(s->at->choice->context.ids, E_USAGE, "%s: its items are encoded already, so none can stand before another", s->path);
    for (size_t i = 0; i < count; i++) {
        const struct choice *right = &s->at[i].choice[s->at[i].answer];
        text_format(&t, "%s%s\n\n", right->context.text, right->continuation.text);
    }
    char *copy = t.failed ? NULL : arena_copy(&s->memory, t.size ? t.at : "");
    s->shots = (struct passage){ .text = copy, .n = t.size };
    text_free(&t);
    FAIL_IF(!copy, E_MEMORY, "%s: no memory for its items", s->path);
    s->n -= count;
    memmove(s->at, s->at + count, s->n * sizeof *s->at);
    return 0;
}

/* ---- texts ---- */

static int is_blank(char c) { return c && strchr(" \t\n\v\f\r", c); }

/* Without white space around it (Unicode's, as Python's strip has it). */
static struct passage strip(const char *text, size_t n)
{
    size_t size;
    while (n && unicode_is_space(utf8_next(text, n, &size))) text += size, n -= size;
    while (n && unicode_is_space(utf8_last(text, n, &size))) n -= size;
    return (struct passage){ .text = text, .n = n };
}

/* Each `from` becomes `to`, from left to right, once. */
static void replace(struct text *t, const char *from, const char *to)
{
    struct text out = { .failed = t->failed };
    text_add(&out, "");
    for (const char *at = t->at, *found; !out.failed; at = found + strlen(from)) {
        found = strstr(at, from);
        text_bytes(&out, at, found ? (size_t)(found - at) : strlen(at));
        if (!found) break;
        text_add(&out, to);
    }
    text_free(t);
    *t = out;
}

/* Takes out what stands in brackets, from each [ to the next ] of the line.  That or the line's end is looked for once, however many [ stand before it. */
static void remove_brackets(struct text *t)
{
    size_t to = 0, end = 0;
    for (size_t i = 0; !t->failed && i < t->size;) {
        if (t->at[i] == '[' && end <= i) end = i + strcspn(t->at + i, "]\n");
        if (t->at[i] == '[' && t->at[end] == ']') i = end + 1;
        else t->at[to++] = t->at[i++];
    }
    if (!t->failed) t->at[t->size = to] = 0;
}

/* HellaSwag's texts from WikiHow have marks of their own: [title], [header], [step], [substeps]. */
static void clean(struct text *t)
{
    if (t->failed) return;
    struct passage p = strip(t->at, t->size);
    memmove(t->at, p.text, p.n);
    t->at[t->size = p.n] = 0;
    replace(t, " [title]", ". ");
    remove_brackets(t);
    replace(t, "  ", " ");
}

/* As Python's capitalize: the first character in title case, the others small. */
static void add_capitalized(struct text *out, const char *text)
{
    for (size_t n = strlen(text), size, i = 0; i < n; i += size) {
        char bytes[4];
        int32_t point = utf8_next(text + i, n - i, &size);
        if (point < 0) text_bytes(out, text + i, size);
        else text_bytes(out, bytes, utf8_put(bytes, (uint32_t)(i ? utf8proc_tolower(point) : utf8proc_totitle(point))));
    }
}

/* Moves a text to where items keep theirs. */
static int keep(struct reader_of_items *r, struct text *t, struct passage *p)
{
    char *copy = t->failed ? NULL : arena_copy(&r->items->memory, t->size ? t->at : "");
    *p = (struct passage){ .text = copy, .n = t->size };
    text_free(t);
    FAIL_IF(!copy, E_MEMORY, "%s: no memory for its items", r->path);
    return 0;
}

/* The text stands where the % is. */
static int keep_within(struct reader_of_items *r, struct passage *p, const char *frame, const char *text)
{
    struct text t = { 0 };
    size_t before = strcspn(frame, "%");
    text_bytes(&t, frame, before);
    text_add(&t, text);
    text_add(&t, frame + before + 1);
    return keep(r, &t, p);
}

/* What may follow c's context. */
static int keep_continuation(struct reader_of_items *r, struct choice *c, const char *text)
{
    int apart = !c->context.n || is_blank(c->context.text[c->context.n - 1]) || is_blank(*text);
    FAIL_IF(!*text, E_DATA, "%s: a text to be foretold is empty", r->what);
    c->characters = utf8_count(text, strlen(text));
    return keep_within(r, &c->continuation, apart && !r->kind->blank ? "%" : " %", text);
}

static int new_item(struct reader_of_items *r, int choices, struct item **item)
{
    FAIL_IF(choices < 1 || choices > CHOICES_MOST, E_DATA, "%s: %d choices; from 1 to %d are expected", r->what, choices, CHOICES_MOST);
    *item = items_new(r->items, choices);
    FAIL_IF(!*item, E_MEMORY, "%s: no memory for its items", r->path);
    (*item)->line = r->line;
    return 0;
}

/* ---- keys ---- */

/* Of keys "query|context|question" the first that the object has; NULL: none. */
static const char *key_of(const json_t *object, const char *keys, char name[32])
{
    for (size_t n; *keys; keys += n + (keys[n] == '|')) {
        n = strcspn(keys, "|");
        snprintf(name, 32, "%.*s", (int)n, keys);
        if (json_has(object, name)) return name;
    }
    return NULL;
}

/* A text at one of these keys, of which the line has one. */
static int get_text(const struct reader_of_items *r, const json_t *object, const char *keys, const char **text)
{
    char name[32];
    const char *key = key_of(object, keys, name);
    FAIL_IF(!key, E_DATA, "%s: the key \"%s\" is missing", r->what, keys);
    return json_get_string(object, key, text, r->what);
}

/* The number of the answer, from 0; the first is called `first`. */
static int get_answer(const struct reader_of_items *r, const json_t *object, const char *keys, int first, struct item *item)
{
    char name[32];
    const char *key = key_of(object, keys, name), *text = NULL;
    const json_t *value = json_object_get(object, key ? key : "");
    char *end = NULL;
    FAIL_IF(!json_is_integer(value) && !json_is_string(value), E_DATA, "%s: \"%s\" must be the number of a choice", r->what, keys);
    if (json_is_string(value)) text = json_string_value(value);
    int64_t number = text ? strtoll(text, &end, 10) : json_integer_value(value);
    FAIL_IF(text && (*end || end == text), E_DATA, "%s: \"%s\" must be the number of a choice, not \"%.40s\"", r->what, key, text);
    FAIL_IF(number < first || number - first >= item->choices, E_DATA, "%s: \"%s\" is %lld, but there are %d choices, from %d on", r->what, key, (long long)number, item->choices, first);
    item->answer = (int)(number - first);
    return 0;
}

/* A list of texts. */
static int check_list(const struct reader_of_items *r, const json_t *list, const char *key)
{
    size_t i;
    json_t *text;
    FAIL_IF(!json_is_array(list), E_DATA, "%s: \"%s\" must be a list of texts", r->what, key);
    json_array_foreach (list, i, text) FAIL_IF(!json_is_string(text), E_DATA, "%s: \"%s\" must be a list of texts; number %zu is none", r->what, key, i);
    return 0;
}

static const char *text_at(const json_t *list, size_t i) { return json_string_value(json_array_get(list, i)); }

/* ---- kinds ---- */

/* One context and a list of choices. */
static int add_choices(struct reader_of_items *r, const char *context, const json_t *list, struct item **item)
{
    struct passage before;
    TRY(new_item(r, (int)json_array_size(list), item));
    TRY(keep_within(r, &before, "%", context));
    for (int i = 0; i < (*item)->choices; i++) {
        (*item)->choice[i].context = before;
        TRY(keep_continuation(r, &(*item)->choice[i], text_at(list, (size_t)i)));
    }
    return 0;
}

static int put_question(struct reader_of_items *r, const char *text, struct passage *p)
{
    return keep_within(r, p, r->kind->question && r->prompts == PROMPTS_HARNESS ? r->kind->question : "%", text);
}

/* ctx is ctx_a and ctx_b with a blank between; lm-evaluation-harness begins ctx_b with a capital. */
static int hellaswag_context(const struct reader_of_items *r, const json_t *object, struct text *out)
{
    const char *activity = "", *a, *b;
    if (json_has(object, "activity_label")) TRY(json_get_string(object, "activity_label", &activity, r->what));
    if (*activity) text_format(out, "%s: ", activity);
    if (!json_has(object, "ctx_a") || !json_has(object, "ctx_b")) {
        TRY(get_text(r, object, "ctx", &a));
        text_add(out, a);
    } else {
        TRY(json_get_string(object, "ctx_a", &a, r->what));
        TRY(json_get_string(object, "ctx_b", &b, r->what));
        text_format(out, "%s ", a);
        add_capitalized(out, b);
    }
    clean(out);
    return 0;
}

/* The same item as lm-evaluation-harness makes of it: always a blank before an ending. */
static int clean_hellaswag(struct reader_of_items *r, const json_t *object, const json_t *endings, struct item **item)
{
    struct text t = { 0 };
    struct passage before, ending;
    TRY(new_item(r, (int)json_array_size(endings), item));
    int failed = hellaswag_context(r, object, &t);
    if (failed) {
        text_free(&t);
        return failed;
    }
    TRY(keep(r, &t, &before));
    for (int i = 0; i < (*item)->choices; i++) {
        text_add(&t, text_at(endings, (size_t)i));
        clean(&t);
        TRY(keep(r, &t, &ending));
        (*item)->choice[i] = (struct choice){ .context = before, .characters = utf8_count(ending.text, ending.n) };
        TRY(keep_within(r, &(*item)->choice[i].continuation, " %", ending.text));
    }
    return 0;
}

static int read_hellaswag(struct reader_of_items *r, const json_t *object)
{
    const json_t *endings = json_object_get(object, "endings");
    struct item *item;
    const char *ctx;
    TRY(check_list(r, endings, "endings"));
    if (r->prompts == PROMPTS_HARNESS) {
        TRY(clean_hellaswag(r, object, endings, &item));
    } else {
        TRY(get_text(r, object, "ctx", &ctx));
        TRY(add_choices(r, ctx, endings, &item));
    }
    return get_answer(r, object, "label", 0, item);
}

static int read_piqa(struct reader_of_items *r, const json_t *object)
{
    static const char *const keys[] = { "sol1", "sol2" };
    const char *goal, *solution;
    struct item *item;
    TRY(get_text(r, object, "goal", &goal));
    TRY(new_item(r, 2, &item));
    for (int i = 0; i < 2; i++) {
        TRY(put_question(r, goal, &item->choice[i].context));
        TRY(get_text(r, object, keys[i], &solution));
        TRY(keep_continuation(r, &item->choice[i], solution));
    }
    return get_answer(r, object, "label", 0, item);
}

/* The options stand where the _ is, and what follows it is to be foretold. */
static int read_winogrande(struct reader_of_items *r, const json_t *object)
{
    static const char *const keys[] = { "option1", "option2" };
    const char *sentence, *option;
    struct item *item;
    TRY(get_text(r, object, "sentence", &sentence));
    const char *gap = strchr(sentence, '_');
    FAIL_IF(!gap, E_DATA, "%s: \"sentence\" has no _", r->what);
    TRY(new_item(r, 2, &item));
    struct passage behind = strip(gap + 1, strlen(gap + 1)), rest;
    struct text t = { 0 };
    text_bytes(&t, behind.text, behind.n);
    TRY(keep(r, &t, &rest));
    for (int i = 0; i < 2; i++) {
        struct choice *c = &item->choice[i];
        TRY(get_text(r, object, keys[i], &option));
        text_bytes(&t, sentence, (size_t)(gap - sentence));
        text_add(&t, option);
        TRY(keep(r, &t, &c->context));
        TRY(keep_continuation(r, c, rest.text));
        c->characters = utf8_count(c->context.text, c->context.n);
    }
    return get_answer(r, object, "answer", 1, item);
}

static int read_arc(struct reader_of_items *r, const json_t *object)
{
    json_t *choices, *texts, *labels;
    const char *question, *right;
    struct item *item;
    struct passage before;
    TRY(json_get_object(object, "choices", &choices, r->what));
    TRY(json_get_array(choices, "text", &texts, r->what));
    TRY(json_get_array(choices, "label", &labels, r->what));
    TRY(check_list(r, texts, "text"));
    TRY(check_list(r, labels, "label"));
    TRY(get_text(r, object, "question", &question));
    TRY(get_text(r, object, "answerKey", &right));
    TRY(put_question(r, question, &before));
    TRY(add_choices(r, before.text, texts, &item));
    size_t i = 0, n = json_array_size(labels);
    while (i < n && strcmp(text_at(labels, i), right)) i++;
    FAIL_IF(i == n || i >= (size_t)item->choices, E_DATA, "%s: \"answerKey\" is none of the labels", r->what);
    item->answer = (int)i;
    return 0;
}

static int read_choices(struct reader_of_items *r, const json_t *object)
{
    const json_t *list = json_object_get(object, "choices");
    const char *context;
    struct item *item;
    TRY(check_list(r, list, "choices"));
    TRY(get_text(r, object, r->kind->needs[0], &context));
    TRY(add_choices(r, context, list, &item));
    return get_answer(r, object, r->kind->needs[2], 0, item);
}

static int read_cloze(struct reader_of_items *r, const json_t *object)
{
    const char *context, *continuation;
    struct item *item;
    TRY(get_text(r, object, r->kind->needs[0], &context));
    TRY(get_text(r, object, r->kind->needs[1], &continuation));
    TRY(new_item(r, 1, &item));
    TRY(keep_within(r, &item->choice->context, "%", context));
    return keep_continuation(r, item->choice, continuation);
}

/* The last word, with the blank before it. */
static int read_lambada(struct reader_of_items *r, const json_t *object)
{
    const char *text;
    struct item *item;
    struct text before = { 0 }, word = { 0 };
    TRY(get_text(r, object, "text", &text));
    struct passage all = strip(text, strlen(text));
    size_t at = all.n;
    while (at && !is_blank(all.text[at - 1])) at--;
    FAIL_IF(!at, E_DATA, "%s: \"text\" has less than two words", r->what);
    TRY(new_item(r, 1, &item));
    text_bytes(&before, all.text, at - 1);
    text_bytes(&word, all.text + at - 1, all.n - at + 1);
    item->choice->characters = utf8_count(all.text + at, all.n - at);
    TRY(keep(r, &before, &item->choice->context));
    return keep(r, &word, &item->choice->continuation);
}

static const struct kind kinds[] = {                         /* the first that fits */
    { "HellaSwag", { "ctx|ctx_a", "endings", "label" }, 0, 1, NULL, read_hellaswag },
    { "PIQA", { "goal", "sol1", "sol2", "label" }, 0, 1, "Question: %\nAnswer:", read_piqa },
    { "WinoGrande", { "sentence", "option1", "option2", "answer" }, 0, 1, NULL, read_winogrande },
    { "ARC", { "question", "choices", "answerKey" }, 0, 1, "Question: %\nAnswer:", read_arc },
    { "choices", { "query|context|question", "choices", "answer|label|gold" }, 0, 0, NULL, read_choices },
    { "cloze", { "prompt|context", "completion|target" }, 1, 0, NULL, read_cloze },
    { "LAMBADA", { "text" }, 1, 0, NULL, read_lambada },
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static int fits(const struct kind *k, const json_t *object)
{
    char name[32];
    for (int i = 0; i < 4 && k->needs[i]; i++)
        if (!key_of(object, k->needs[i], name)) return 0;
    return 1;
}

/* The first line says what the file is. */
static int find_kind(struct reader_of_items *r, const json_t *object)
{
    struct text all = { 0 }, known = { 0 };
    char shown[256];
    const char *key;
    json_t *value;
    for (int i = 0; i < KINDS && !r->kind; i++)
        if (fits(&kinds[i], object)) r->kind = &kinds[i];
    if (r->kind) return 0;
    json_object_foreach ((json_t *)object, key, value) text_format(&all, "%s%s", all.size ? ", " : "", key);
    for (int i = 0; i < KINDS; i++) {
        text_format(&known, "%s%s (", i ? "; " : "", kinds[i].name);
        for (int n = 0; n < 4 && kinds[i].needs[n]; n++) text_format(&known, "%s%s", n ? ", " : "", kinds[i].needs[n]);
        text_add(&known, ")");
    }
    snprintf(shown, sizeof shown, "%s", all.size ? all.at : "none");
    int code = error_set(E_DATA, __FILE__, __LINE__, "%s: its keys (%s) are those of no kind of item: %s", r->what, shown, known.failed ? "" : known.at);
    text_free(&all);
    text_free(&known);
    return code;
}

static int read_object(struct reader_of_items *r, const json_t *object)
{
    char name[32];
    FAIL_IF(!json_is_object(object), E_DATA, "%s: an object was expected", r->what);
    if (!r->kind) TRY(find_kind(r, object));
    for (int i = 0; i < 4 && r->kind->needs[i]; i++)
        FAIL_IF(!key_of(object, r->kind->needs[i], name), E_DATA, "%s: the key \"%s\" is missing; the lines before are of %s", r->what, r->kind->needs[i], r->kind->name);
    return r->kind->read(r, object);
}

/* ---- files ---- */

static int read_line(struct reader_of_items *r, const struct text *line)
{
    json_t *object;
    snprintf(r->what, sizeof r->what, "%s: line %llu", r->path, (unsigned long long)r->line);
    FAIL_IF(r->items->n == ITEMS_MOST || line->size > TEXTS_LIMIT - r->bytes, E_DATA, "%s: more than a million items or a gigabyte of them; make several files of it", r->path);
    r->bytes += line->size;
    TRY(json_parse(&object, line->at, line->size, r->what));
    int failed = read_object(r, object);
    json_decref(object);
    return failed;
}

static int read_lines(struct reader_of_items *r, struct stream *in)
{
    struct text line = { 0 };
    int failed = 0;
    for (int got = 1; !failed && got;) {
        failed = stream_line(in, &line, LINE_LIMIT, &got);
        r->line++;
        if (!failed && got && strspn(line.at, " \t\r") < line.size) failed = read_line(r, &line);
    }
    text_free(&line);
    return failed;
}

static int read_json_lines(struct items *s, const char *path, enum prompts prompts)
{
    struct reader_of_items r = { .items = s, .prompts = prompts, .path = path };
    struct stream *in;
    TRY(stream_open(&in, path));
    int failed = read_lines(&r, in);
    stream_close(in);
    if (failed) return failed;
    FAIL_IF(!r.kind, E_DATA, "%s: no item in it", path);
    s->kind = r.kind->name;
    s->is_cloze = r.kind->is_cloze;
    return 0;
}

int items_read(struct items *s, const char *path, enum prompts prompts)
{
    *s = (struct items){ .path = path };
    int is_llmc = 0, failed = llmc_choices_look(path, &is_llmc);
    if (!failed) failed = is_llmc ? llmc_choices_read(s, path) : read_json_lines(s, path, prompts);
    if (failed) items_free(s);
    return failed;
}

#ifdef FUZZ_ITEMS
#include <sys/syscall.h>
#include <unistd.h>

static void check(const struct items *s)
{
    if (!s->kind || !s->n) abort();
    for (size_t i = 0; i < s->n; i++) {
        const struct item *item = &s->at[i];
        if (item->choices < 1 || item->answer < 0 || item->answer >= item->choices || (s->is_cloze && item->choices != 1)) abort();
        for (int c = 0; c < item->choices; c++) {
            const struct choice *o = &item->choice[c];
            if (!o->continuation.n || (!o->context.ids && (strlen(o->context.text) != o->context.n || strlen(o->continuation.text) != o->continuation.n))) abort();
        }
    }
}

/* JSON lines, both ways: what is accepted holds together, and a choice of it keeps its order. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    char path[32];
    if (fd < 0) fd = (int)syscall(SYS_memfd_create, "fuzz", 0);
    if (fd < 0 || ftruncate(fd, (off_t)size) || pwrite(fd, data, size, 0) != (ssize_t)size) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    for (enum prompts prompts = PROMPTS_HARNESS; prompts <= PROMPTS_PLAIN; prompts++) {
        struct items s;
        if (items_read(&s, path, prompts)) continue;
        check(&s);
        items_limit(&s, s.n / 2 + 1, size);
        for (size_t i = 1; i < s.n; i++)
            if (s.at[i].line <= s.at[i - 1].line) abort();
        items_free(&s);
    }
    return 0;
}
#endif
