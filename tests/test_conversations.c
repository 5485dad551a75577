/* test_conversations.c -- conversations from JSON, the sets they become, and how these are packed. */
#include "text/conversations.h"

#include "text/packing.h"
#include "text/prepare.h"
#include "tokens.h"

/* ---- JSON ---- */

static int read_line(struct conversation *c, const char *line)
{
    const struct document doc = { .text = line, .n = strlen(line), .path = "it", .at.line = 7 };
    return conversation_read(c, &doc);
}

static void shapes(void **state)
{
    static const struct { const char *line, *said; } good[] = {
        { "{\"prompt\": \"Hi\", \"completion\": \"Ho\"}", "user: Hi|assistant: Ho|" },
        { "{\"question\": \"Hi\", \"answer\": \"Ho\", \"level\": 3}", "user: Hi|assistant: Ho|" },
        { "{\"instruction\": \"Add.\", \"input\": \"1 2\", \"output\": \"3\"}", "user: Add.\n\n1 2|assistant: 3|" },
        { "{\"instruction\": \"Add.\", \"input\": \"\", \"output\": \"3\"}", "user: Add.|assistant: 3|" },
        { "{\"instruction\": \"Add.\", \"output\": \"3\", \"system\": \"Be brief.\"}", "system: Be brief.|user: Add.|assistant: 3|" },
        { "{\"messages\": [{\"role\": \"system\", \"content\": \"S\"}, {\"role\": \"user\", \"content\": \"U\"}, {\"role\": \"assistant\", \"content\": \"A\", \"name\": 1}]}", "system: S|user: U|assistant: A|" },
        { "{\"conversations\": [{\"from\": \"human\", \"value\": \"U\"}, {\"from\": \"gpt\", \"value\": \"A\"}, {\"from\": \"human\", \"value\": \"U2\"}]}", "user: U|assistant: A|" },
        { "{\"messages\": [{\"role\": \"user\", \"content\": \"U\"}]}", "" },
        { "{\"messages\": []}", "" },
        { "{\"prompt\": \"Hi\", \"completion\": \"\"}", "" },
    };
    struct conversation c = { 0 };
    struct text said = { 0 };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_ok(read_line(&c, good[i].line));
        text_clear(&said);
        text_add(&said, "");
        for (size_t k = 0; k < c.n; k++) text_format(&said, "%s: %s|", role_names[c.message[k].role], c.message[k].text);
        assert_string_equal(said.at, good[i].said);
    }
    text_free(&said);
    conversation_free(&c);
}

static void no_shapes(void **state)
{
    static const struct { const char *line, *why; } bad[] = {
        { "{\"text\": \"Hi\"}", "it: line 7: no conversation" },
        { "[\"Hi\"]", "it: line 7: no conversation" },
        { "{\"prompt\": \"Hi\"}", "no conversation" },
        { "{\"prompt\": \"Hi\"", "it: line 7: its JSON" },
        { "{\"prompt\": \"Hi\", \"completion\": 3}", "\"completion\" must be a string" },
        { "{\"messages\": {}}", "\"messages\" must be an array" },
        { "{\"messages\": [3]}", "message 1: an object with the key \"role\"" },
        { "{\"messages\": [{\"role\": \"user\"}]}", "\"content\" is missing" },
        { "{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"text\"}]}]}", "\"content\" must be a string" },
        { "{\"messages\": [{\"role\": \"tool\", \"content\": \"3\"}]}", "the role \"tool\" has no place" },
        { "{\"messages\": [{\"role\": \"user\", \"content\": \"U\"}, {\"role\": \"system\", \"content\": \"S\"}]}", "message 2: the system speaks first" },
        { "{\"prompt\": \"\\ud800\", \"completion\": \"x\"}", "it: line 7: its JSON" },
        { "{\"prompt\": \"a\\u0000\", \"completion\": \"x\"}", "it: line 7: its JSON" },
    };
    struct conversation c = { 0 };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_fails(read_line(&c, bad[i].line), E_DATA, bad[i].why);
        assert_ok(read_line(&c, "{\"prompt\": \"Hi\", \"completion\": \"Ho\"}"));       /* and goes on */
    }
    conversation_free(&c);
}

/* ---- arrays ---- */

struct entries { struct text all; int n; };

static int note_entry(void *context, const struct document *doc)
{
    struct entries *e = context;
    assert_int_equal(doc->at.line, ++e->n);
    text_format(&e->all, "%.*s|", (int)doc->n, doc->text);
    return 0;
}

static int read_entries(struct entries *e, const char *name, const char *text)
{
    struct documents *d;
    const char *const path[] = { at(name) };
    write_text(path[0], text);
    text_clear(&e->all);
    text_add(&e->all, "");
    e->n = 0;
    TRY(documents_open(&d, path, 1, documents_whole, NULL));
    int code = documents_each(d, NULL, documents_between, note_entry, e);
    documents_close(d);
    return code;
}

static void arrays(void **state)
{
    static const struct { const char *text, *all; } good[] = {
        { "[{\"a\": [1, 2]}, {\"b\": \"]},\\\"[\"}]", "{\"a\": [1, 2]}|{\"b\": \"]},\\\"[\"}|" },
        { " \n[\n  {\"a\": 1}\n, 3]\n", "{\"a\": 1}\n|3|" },
        { "[]", "" },
        { "{\"a\": 1}\n{\"b\": 2}\n", "{\"a\": 1}|{\"b\": 2}|" },
    };
    static const char *const bad[] = { "[{\"a\": 1}", "[{\"a\": 1]", "[{\"a\": 1}}", "[1, 2", "[,]", "[1] 2", "[\"a", "[" };
    struct entries e = { 0 };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_ok(read_entries(&e, "a.json", good[i].text));
        assert_string_equal(e.all.at, good[i].all);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_int_equal(read_entries(&e, "a.json", bad[i]), E_DATA);
    text_free(&e.all);
}

static void looked_at(void **state)
{
    static const struct { const char *name, *text; int is; } files[] = {
        { "a.jsonl", "{\"prompt\": \"a\", \"completion\": \"b\"}\n", 1 },
        { "b.json", "[{\"instruction\": \"a\", \"output\": \"b\"}]", 1 },
        { "c.jsonl", "{\"text\": \"a\", \"messages\": []}\n", 0 },
        { "d.jsonl", "{\"title\": \"a\"}\n", 0 },
        { "e.txt", "{\"prompt\": \"a\", \"completion\": \"b\"}\n", 0 },
        { "f.jsonl", "nothing", 0 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const char *const path[] = { at(files[i].name) };
        write_text(path[0], files[i].text);
        assert_int_equal(conversations_look(path, 1, "text"), files[i].is);
    }
    assert_int_equal(conversations_look((const char *const[]){ "nowhere.jsonl" }, 1, "text"), 0);
}

/* What lies beside conversations in a folder is passed over. */
static void in_a_folder(void **state)
{
    struct documents *d;
    struct entries e = { 0 };
    const char *const path[] = { at("many") };
    struct text notices = { 0 };
    (void)state;
    assert_ok(dir_make(at("many")));
    write_text(at("many/README.txt"), "these are some");
    write_text(at("many/b.jsonl"), "{\"a\": 1}\n");
    assert_ok(documents_open(&d, path, 1, documents_whole, &notices));
    assert_ok(documents_each(d, NULL, documents_between, note_entry, &e));
    assert_string_equal(e.all.at, "{\"a\": 1}|");
    assert_non_null(strstr(notices.at, "README.txt is no .json or .jsonl"));
    documents_close(d);
    text_free(&e.all);
    text_free(&notices);
}

/* ---- sets ---- */

/* Conversations of one to four turns, of words; the n-th says its number. */
static void write_talks(const char *path, int n)
{
    struct text t = { 0 };
    uint64_t r = 5;
    for (int i = 0; i < n; i++) {
        int turns = 1 + roll(&r, 4);
        text_add(&t, "{\"messages\": [");
        if (roll(&r, 2)) text_add(&t, "{\"role\": \"system\", \"content\": \"Be kind.\"}, ");
        for (int k = 0; k < turns; k++) {
            text_format(&t, "%s{\"role\": \"user\", \"content\": \"What is %d", k ? ", " : "", i);
            for (int words = roll(&r, 12); words > 0; words--) text_add(&t, " again");
            text_format(&t, "?\"}, {\"role\": \"assistant\", \"content\": \"It is %d.\"}", i + k);
        }
        text_add(&t, "]}\n");
    }
    write_text(path, t.at);
    text_free(&t);
}

static int prepare_talks(const char *input, const char *out, const char *template, struct prepared *done)
{
    struct text notices = { 0 };
    const struct prepare_options o = { .inputs = &input, .n = 1, .out = out, .tokenizer = BPE300, .field = "text", .val = "0.1", .template = template, .notices = &notices };
    int code = prepare(&o, done);
    text_free(&notices);
    return code;
}

static struct dataset talks(int n, const char *template)
{
    struct prepared done;
    struct dataset d;
    write_talks(at("talks.jsonl"), n);
    assert_ok(prepare_talks(at("talks.jsonl"), at("talks"), template, &done));
    assert_int_equal(done.documents, n);
    assert_string_equal(done.chat, template);
    assert_ok(dataset_open(&d, at("talks")));
    assert_string_equal(d.chat, template);
    assert_int_equal(d.split[SPLIT_TRAIN].n_starts + d.split[SPLIT_VAL].n_starts, n);
    return d;
}

/* The text of some rows, of those ids alone whose target counts or of all. */
static void text_of(const struct tokenizer *t, const int32_t *ids, int64_t n, struct text *out)
{
    text_clear(out);
    text_add(out, "");
    for (int64_t i = 0; i < n; i++) {
        size_t size;
        const char *bytes = ids[i] < 0 ? "" : tokenizer_bytes(t, (uint32_t)ids[i], &size);
        if (ids[i] >= 0) text_bytes(out, bytes, size);
    }
}

static void whole_and_cut(void **state)
{
    static const char line[] = "{\"messages\": [{\"role\": \"system\", \"content\": \"S\"}, {\"role\": \"user\", \"content\": \"one\"}, {\"role\": \"assistant\", \"content\": \"1\"}, "
                               "{\"role\": \"user\", \"content\": \"two\"}, {\"role\": \"assistant\", \"content\": \"2\"}, {\"role\": \"user\", \"content\": \"three\"}, {\"role\": \"assistant\", \"content\": \"3\"}]}\n";
    char twice[2 * sizeof line];
    struct prepared done;
    struct dataset d;
    struct excerpt e;
    struct text text = { 0 };
    int32_t ids[256], targets[256];
    (void)state;
    snprintf(twice, sizeof twice, "%s%s", line, line);
    write_text(at("one.jsonl"), twice);
    assert_ok(prepare_talks(at("one.jsonl"), at("one"), "llama3", &done));
    assert_ok(dataset_open(&d, at("one")));
    struct tokenizer *t = opened(at("one"));
    assert_int_equal(dataset_excerpt(&d, SPLIT_TRAIN, 0, 256, &e), EXCERPT_WHOLE);
    int64_t rows = e.rows;
    assert_int_equal(rows, d.split[SPLIT_TRAIN].n - 1);      /* llama3 ends with the mark that is learnt */
    dataset_read_excerpt(&d, SPLIT_TRAIN, &e, ids, targets);
    text_of(t, targets, rows, &text);
    assert_string_equal(text.at, "1<|eot_id|>2<|eot_id|>3<|eot_id|>");
    assert_int_equal(dataset_excerpt(&d, SPLIT_TRAIN, 0, rows, &e), EXCERPT_WHOLE);

#define SYSTEM "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|>"
#define ASKED(what) "<|start_header_id|>user<|end_header_id|>\n\n" what "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
    for (int64_t block = rows - 1; ; block--) {              /* first one turn goes, then two, then all */
        enum excerpt_kind kind = dataset_excerpt(&d, SPLIT_TRAIN, 0, block, &e);
        if (kind == EXCERPT_NONE) break;
        assert_int_equal(kind, EXCERPT_CUT);
        assert_true(e.rows <= block);
        dataset_read_excerpt(&d, SPLIT_TRAIN, &e, ids, targets);
        text_of(t, ids, e.rows, &text);
        int two = strstr(text.at, "two") != NULL;
        assert_string_equal(text.at, two ? SYSTEM ASKED("two") "2<|eot_id|>" ASKED("three") "3" : SYSTEM ASKED("three") "3");
        text_of(t, targets, e.rows, &text);
        assert_string_equal(text.at, two ? "2<|eot_id|>3<|eot_id|>" : "3<|eot_id|>");
    }
    assert_string_equal(text.at, "3<|eot_id|>");             /* the last that fitted */
    assert_int_equal(dataset_excerpt(&d, SPLIT_TRAIN, 0, e.rows ? e.rows : 1, &e), EXCERPT_NONE);
    text_free(&text);
    tokenizer_free(t);
    dataset_close(&d);
}

/* Each round each conversation that fits comes once; no window is too full; the seed decides, and nothing else. */
static void packed(void **state)
{
    struct dataset d = talks(400, "chatml");
    const size_t n = d.split[SPLIT_TRAIN].n_starts;
    int *seen = calloc(n, sizeof *seen);
    (void)state;
    for (int64_t block = 60; block <= 2000; block *= 3) {
        assert_ok(dataset_pack(&d, block, 1));
        const struct packing *p = d.packing;
        size_t fit = 0, rows = 0;
        memset(seen, 0, n * sizeof *seen);
        for (uint64_t w = 0; w < 2 * p->windows; w++) {      /* two rounds */
            size_t window = packing_draw(p, w);
            int64_t used = 0;
            assert_true(window < p->windows && p->first[window + 1] > p->first[window] && p->first[window + 1] - p->first[window] <= PACKING_MOST);
            for (size_t k = p->first[window]; k < p->first[window + 1]; k++) {
                struct excerpt e;
                assert_int_not_equal(dataset_excerpt(&d, SPLIT_TRAIN, p->order[k], block, &e), EXCERPT_NONE);
                assert_int_equal(seen[p->order[k]]++, w >= p->windows);
                used += e.rows;
            }
            assert_true(used <= block);
            rows += (size_t)used;
        }
        for (size_t i = 0; i < n; i++) fit += seen[i] == 2, assert_true(seen[i] == 0 || seen[i] == 2);
        assert_int_equal(fit + p->none, n);
        assert_true(block < 500 || (double)rows > 0.85 * 2 * (double)p->windows * (double)block);   /* where several fit, windows are nearly full */
        uint32_t before = p->order[0], others = 0;
        for (uint64_t key = 2; key < 8; key++) {
            assert_ok(dataset_pack(&d, block, key));
            others += d.packing->order[0] != before;
        }
        assert_true(others > 3);
        assert_ok(dataset_pack(&d, block, 1));
        assert_int_equal(d.packing->order[0], before);
    }
    assert_fails(dataset_pack(&d, 8, 1), E_DATA, "choose a larger one");
    free(seen);
    dataset_close(&d);
}

/* ---- what must not be believed ---- */

static void flip_flags(const char *path, size_t where, uint8_t to)
{
    struct text t = { 0 };
    assert_ok(file_read(path, LIMIT, &t));
    t.at[where] = (char)to;
    assert_ok(file_write(path, t.at, t.size));
    text_free(&t);
}

static void damaged_sets(void **state)
{
    struct dataset d = talks(40, "zephyr"), other;
    struct dataset_mark mark;
    int known;
    (void)state;
    assert_ok(dataset_verify(&d, &known));
    assert_true(known);
    dataset_mark(&d, &mark);
    size_t n = d.split[SPLIT_TRAIN].n, counted = 0;
    while (!(d.split[SPLIT_TRAIN].flags.at[counted] & CHAT_COUNTS)) counted++;
    dataset_close(&d);

    flip_flags(at("talks/train.flags"), counted, 0);         /* another thing to learn is another set */
    assert_ok(dataset_open(&other, at("talks")));
    assert_fails(dataset_is(&other, &mark, "out"), E_USAGE, "a run keeps its data");
    assert_fails(dataset_verify(&other, &known), E_DATA, "train.flags");
    dataset_close(&other);
    flip_flags(at("talks/train.flags"), counted, 8);
    assert_fails(dataset_open(&other, at("talks")), E_DATA, "which says nothing");
    flip_flags(at("talks/train.flags"), counted, CHAT_COUNTS);
    flip_flags(at("talks/train.flags"), 0, 0);
    assert_fails(dataset_open(&other, at("talks")), E_DATA, "no conversation begins");
    assert_ok(file_write(at("talks/train.flags"), "\2\1", 2));
    char wanted[64];
    snprintf(wanted, sizeof wanted, "2 bytes for %zu ids", n);
    assert_fails(dataset_open(&other, at("talks")), E_DATA, wanted);
    remove(at("talks/dataset.json"));
    assert_fails(dataset_open(&other, at("talks")), E_DATA, "without a dataset.json");
    remove(at("talks/train.flags"));
    assert_ok(dataset_open(&other, at("talks")));            /* nothing says that it is more than nanoGPT's own */
    dataset_close(&other);
}

/* A set of texts in the place of one of conversations leaves nothing of it. */
static void replaced(void **state)
{
    struct dataset d = talks(40, "chatml");
    struct prepared done;
    const char *const input = at("plain.txt"), *out = at("talks");
    (void)state;
    dataset_close(&d);
    write_text(input, "What is it that there is to be said of this, and what is not?\nNothing at all.\n");
    const struct prepare_options o = { .inputs = &input, .n = 1, .out = out, .tokenizer = BPE300, .field = "text", .val = "0.4", .template = "auto" };
    assert_ok(prepare(&o, &done));
    assert_false(path_is_file(at("talks/train.flags")) || path_is_file(at("talks/val.flags")));
    assert_ok(dataset_open(&d, out));
    assert_string_equal(d.chat, "");
    dataset_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes), cmocka_unit_test(no_shapes), cmocka_unit_test(arrays), cmocka_unit_test(looked_at), cmocka_unit_test(in_a_folder), cmocka_unit_test(whole_and_cut),
        cmocka_unit_test(packed), cmocka_unit_test(damaged_sets), cmocka_unit_test(replaced),
    };
    return cmocka_run_group_tests_name("conversations", tests, enter_folder, leave_folder);
}
