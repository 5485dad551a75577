/* test_options.c -- one table of options: flags, .conf files, nanoGPT's Python files, help, and the record of a run. */
#include "test.h"

#include <math.h>
#include <unistd.h>

#include "base/file.h"
#include "base/options.h"

struct settings {
    const char *out_dir, *init_from, *start, *dataset, *schedule, *wandb_project, *wandb_run_name, *entity;
    int64_t batch_size, accumulation, max_iters, lr_decay_iters, seed;
    double learning_rate, min_lr, dropout;
    int bias, eval_only, compile, wandb_log;
};

#define AT(field) offsetof(struct settings, field)
#define COUNT(array) (sizeof(array) / sizeof *(array))
enum { NO = OPTION_NO_EFFECT };
/* The options of nanoGPT that differ in kind, bounds or default; the texts stand first in the struct, see record_reads_back. */
static const struct option table[] = {
    { "out_dir", OPTION_TEXT, AT(out_dir), "out", "the folder of the run", .group = "run" },
    { "init_from", OPTION_TEXT, AT(init_from), "scratch", "where the weights come from", .choices = "scratch|resume|gpt2|gpt2-xl",
      .group = "run" },
    { "start", OPTION_TEXT, AT(start), "\n", "what a sample begins with", .group = "run" },
    { "eval_only", OPTION_BOOL, AT(eval_only), "False", "evaluate once, then stop", .group = "run" },
    { "seed", OPTION_INT, AT(seed), "1337", "of all random numbers", .group = "run" },
    { "dataset", OPTION_TEXT, AT(dataset), "openwebtext", "a folder under data", .group = "data" },
    { "batch_size", OPTION_INT, AT(batch_size), "12", "sequences per micro-step", 1, INFINITY, .group = "data" },
    { "gradient_accumulation_steps", OPTION_INT, AT(accumulation), "5 * 8", "micro-steps per step, over all processes together", 1, 65536,
      .group = "data" },
    { "bias", OPTION_BOOL, AT(bias), "False", "biases in linear layers and norms", .group = "model" },
    { "dropout", OPTION_REAL, AT(dropout), "0.0", "the chance that an activation becomes 0", 0, 1, .group = "model" },
    { "learning_rate", OPTION_REAL, AT(learning_rate), "6e-4", "of AdamW, at its highest", 0, INFINITY, .group = "optimizer" },
    { "min_lr", OPTION_REAL, AT(min_lr), "6e-5", "where the schedule ends", -INFINITY, 1, .group = "optimizer" },
    { "schedule", OPTION_TEXT, AT(schedule), "cosine", "the shape of the decay", .choices = "cosine|linear|constant",
      .group = "optimizer" },
    { "max_iters", OPTION_INT, AT(max_iters), "600_000", "steps", .group = "optimizer" },
    { "lr_decay_iters", OPTION_INT, AT(lr_decay_iters), "600000", "steps until min_lr", .group = "optimizer" },
    { "compile", OPTION_BOOL, AT(compile), "True", "there is nothing to compile", .group = "of nanoGPT", .flags = NO },
    { "wandb_log", OPTION_BOOL, AT(wandb_log), "False", "metrics stay in the run's folder", .group = "of nanoGPT", .flags = NO },
    { "wandb_project", OPTION_TEXT, AT(wandb_project), "owt", "as above", .group = "of nanoGPT", .flags = NO },
    { "wandb_run_name", OPTION_TEXT, AT(wandb_run_name), "gpt2", "as above", .group = "of nanoGPT", .flags = NO },
    { "wandb_entity", OPTION_TEXT, AT(entity), NULL, "as above", .group = "of nanoGPT", .flags = NO },
};
enum { OPTIONS = COUNT(table), MAX_ARGUMENTS = 16 };

/* ---- a test's world: set up at its start, gone at its end ---- */

static struct settings s;
static struct options o;
static struct arena memory;
static struct text notices, out;
static char folder[64];

static int set_up(void **state)
{
    (void)state;
    memset(&s, 0x55, sizeof s);
    o = (struct options){ .table = table, .n = OPTIONS, .values = &s, .memory = &memory, .notices = &notices };
    text_add(&notices, "");
    strcpy(folder, "/tmp/test_options_XXXXXX");
    return !mkdtemp(folder) || options_defaults(&o);
}

static int tear_down(void **state)
{
    (void)state;
    arena_free(&memory);
    text_free(&notices);
    text_free(&out);
    return dir_remove(folder);
}

/* Arguments in one string, separated by |; what is kept comes back the same way. */
static int arguments(const char *joined, char **kept)
{
    char *argv[MAX_ARGUMENTS + 1] = { 0 }, *copy = arena_copy(&memory, joined);
    int argc = 0;
    for (char *a = strsep(&copy, "|"); a && argc < MAX_ARGUMENTS; a = strsep(&copy, "|")) argv[argc++] = a;
    int code = options_arguments(&o, &argc, argv);
    char *all = arena_copy(&memory, "");
    for (int i = 0; i < argc; i++) all = arena_format(&memory, "%s%s%s", all, i ? "|" : "", argv[i]);
    if (kept) *kept = all;
    return code;
}

static const char *write_bytes(const char *name, const void *bytes, size_t n)
{
    const char *path = arena_format(&memory, "%s/%s", folder, name);
    assert_ok(file_write(path, bytes, n));
    return path;
}

static const char *write_text(const char *name, const char *text) { return write_bytes(name, text, strlen(text)); }

/* ---- what must be read ---- */

static void defaults(void **state)
{
    (void)state;
    assert_string_equal(s.out_dir, "out");
    assert_string_equal(s.start, "\n");
    assert_null(s.entity);
    assert_int_equal(s.accumulation, 40);
    assert_int_equal(s.max_iters, 600000);
    assert_true(s.learning_rate == 6e-4 && s.dropout == 0);
    assert_true(s.compile == 1 && s.bias == 0);
    assert_string_equal(notices.at, "");
    assert_null(options_origin(&o, "out_dir"));
}

static void flags(void **state)
{
    (void)state;
    char *kept;
    assert_ok(arguments("--dropout=0|--learning_rate=1|--batch-size=5e3|--gradient_accumulation_steps=2*(3+1)|--seed=-7|--min_lr|.5|"
                        "--eval_only|--bias|True|--start=1+1=|--compile=False|--out_dir|a b", &kept));
    assert_true(s.dropout == 0 && s.learning_rate == 1 && s.min_lr == .5);
    assert_int_equal(s.batch_size, 5000);
    assert_int_equal(s.accumulation, 8);
    assert_int_equal(s.seed, -7);
    assert_true(s.eval_only && s.bias && !s.compile);
    assert_string_equal(s.start, "1+1=");
    assert_string_equal(s.out_dir, "a b");
    assert_string_equal(kept, "");
}

static void flags_to_the_letter(void **state)
{
    (void)state;
    assert_ok(arguments("--start=--x # 'y' \\n|--out_dir=|--wandb_run_name=None|--wandb_entity=me", NULL));
    assert_string_equal(s.start, "--x # 'y' \\n");
    assert_string_equal(s.out_dir, "");
    assert_string_equal(s.wandb_run_name, "None");
    assert_string_equal(s.entity, "me");
    assert_ok(arguments("--wandb_entity=None", NULL));
    assert_null(s.entity);
}

static void other_arguments(void **state)
{
    (void)state;
    char *kept;
    assert_ok(arguments("a.txt|--eval_only|-|b|--seed=3|--|--seed=4|x.conf|--help", &kept));
    assert_string_equal(kept, "a.txt|-|b|--seed=4|x.conf|--help");
    assert_int_equal(s.seed, 3);
    assert_false(o.help);
    assert_ok(arguments("--seed=5|--help|--nonsense", NULL));
    assert_true(o.help);
    o.help = 0;
    assert_ok(arguments("-h", NULL));
    assert_true(o.help);
}

static void conf(void **state)
{
    (void)state;
    assert_ok(options_conf(&o, "# a comment with = in it\n\n"
                               "out_dir = run of C#1 # bare\n"
                               "  start=\"# \\\"q\\\" \\x41\\u00e9\\U0001F600\\\\\\n\" 'and' # quoted\r\n"
                               "dataset =\n"
                               "wandb_entity = \"None\"\n"
                               "wandb_project = # nothing\n"
                               "wandb-run-name = 'it''s'\n"
                               "batch_size = 1_000\n"
                               "max_iters = 5 * 8   # forty\n"
                               "lr_decay_iters = (1 +   # over\n 2)\n"
                               "learning_rate = 1e-3\n"
                               "dropout = 1\n"
                               "bias = true\n"
                               "eval_only = True\n"
                               "compile = false", "a.conf"));
    assert_string_equal(s.out_dir, "run of C#1");
    assert_string_equal(s.start, "# \"q\" A\xc3\xa9\xf0\x9f\x98\x80\\\nand");
    assert_string_equal(s.dataset, "");
    assert_string_equal(s.entity, "None");
    assert_string_equal(s.wandb_project, "");
    assert_string_equal(s.wandb_run_name, "its");
    assert_int_equal(s.batch_size, 1000);
    assert_int_equal(s.max_iters, 40);
    assert_int_equal(s.lr_decay_iters, 3);
    assert_true(s.learning_rate == 1e-3 && s.dropout == 1);
    assert_true(s.bias && s.eval_only && !s.compile);
    assert_string_equal(options_origin(&o, "compile"), "a.conf line 17");
}

static void python(void **state)
{
    (void)state;
    assert_ok(options_python(&o, "\"\"\"A text that stands alone,\nover 'two' lines.\"\"\"\n"
                                 "import time; import os\n"
                                 "from math import (sqrt,\n  floor)  # brackets\n"
                                 "batch_size = 12 ; max_iters=5_000;\n"
                                 "lr_decay_iters = max_iters # equal\n"
                                 "min_lr = learning_rate / 10\n"
                                 "gradient_accumulation_steps = \\\n  (1 + 1) * -(-2) - 1\n"
                                 "out_dir = ('out-' # joined\n   \"shakespeare\"\n )\n"
                                 "start = '''a\n'b\\\n\\t\\q'''\n"
                                 "wandb_project = dataset\n"
                                 "wandb_entity = None\n"
                                 "bias = True\n"
                                 "'done'", "a.py"));
    assert_int_equal(s.batch_size, 12);
    assert_int_equal(s.max_iters, 5000);
    assert_int_equal(s.lr_decay_iters, 5000);
    assert_true(s.min_lr == 6e-4 / 10);
    assert_int_equal(s.accumulation, 3);
    assert_string_equal(s.out_dir, "out-shakespeare");
    assert_string_equal(s.start, "a\n'b\t\\q");
    assert_string_equal(s.wandb_project, "openwebtext");
    assert_null(s.entity);
    assert_true(s.bias);
    assert_string_equal(options_origin(&o, "wandb_project"), "a.py line 17");
}

/* As the files that come with nanoGPT are written, in our own words. */
static void nanogpt_files(void **state)
{
    (void)state;
    assert_ok(options_python(&o, "# GPT-2 124M\n\nwandb_log = True\nwandb_project = 'owt'\nwandb_run_name='gpt2-124M'\n\n"
                                 "# 12 * 1024 * 40 = 491,520\nbatch_size = 12\ngradient_accumulation_steps = 5 * 8\n"
                                 "max_iters = 600000\nlr_decay_iters = 600000\n", "train_gpt2.py"));
    assert_string_equal(s.wandb_run_name, "gpt2-124M");
    assert_int_equal(s.accumulation, 40);
    assert_string_equal(notices.at, "train_gpt2.py line 3: wandb_log has no effect here\n"
                                    "train_gpt2.py line 4: wandb_project has no effect here\n"
                                    "train_gpt2.py line 5: wandb_run_name has no effect here\n");
    text_clear(&notices);
    assert_ok(options_python(&o, "import time\n\nout_dir = 'out-shakespeare'\nwandb_log = False # feel free\n"
                                 "wandb_run_name = 'ft-' + str(time.time())\n\ninit_from = \"gpt2-xl\" # the largest\n"
                                 "learning_rate = 3e-5\n# device = 'cpu'\n", "finetune.py"));
    assert_string_equal(s.init_from, "gpt2-xl");
    assert_true(s.learning_rate == 3e-5);
    assert_string_equal(s.wandb_run_name, "gpt2-124M");
    assert_string_equal(notices.at,
                        "finetune.py line 5: wandb_run_name is left out: 'ft-' + str(time.time()) would have to be executed\n");
}

static void skipped_expressions(void **state)
{
    (void)state;
    assert_ok(options_python(&o, "wandb_run_name = f\"{dataset}; # {time.time()}\"; seed = 1\n"
                                 "wandb_project = run([1,\n  {'a)': \"]\"}],\n  2) or '''\n''' # until here\nbatch_size = 3", "a.py"));
    assert_int_equal(s.seed, 1);
    assert_int_equal(s.batch_size, 3);
    assert_string_equal(options_origin(&o, "batch_size"), "a.py line 6");
    assert_string_equal(notices.at,
                        "a.py line 1: wandb_run_name is left out: f\"{dataset}; # {time.time()}\"; seed = 1 would have to be executed\n"
                        "a.py line 2: wandb_project is left out: run([1, would have to be executed\n");
}

static void numbers(void **state)
{
    static const struct { const char *text; enum value_kind kind; double value; } cases[] = {
        { "0", VALUE_INT, 0 },          { "007", VALUE_INT, 7 },           { "1_000_000", VALUE_INT, 1e6 },   { "-3", VALUE_INT, -3 },
        { "--3", VALUE_INT, 3 },        { "+-+3", VALUE_INT, -3 },         { "5 * 8", VALUE_INT, 40 },        { "2+3*4-1", VALUE_INT, 13 },
        { "8-3-2", VALUE_INT, 3 },      { "2*-3", VALUE_INT, -6 },         { "(2+3)*(4)", VALUE_INT, 20 },    { "10/4", VALUE_REAL, 2.5 },
        { "10/2", VALUE_REAL, 5 },      { "8/2/2", VALUE_REAL, 2 },        { "1.", VALUE_REAL, 1 },           { ".5", VALUE_REAL, .5 },
        { "1e-3", VALUE_REAL, 1e-3 },   { "1E+3", VALUE_REAL, 1000 },      { "1_0.2_5e0_1", VALUE_REAL, 102.5 }, { "2*0.5", VALUE_REAL, 1 },
        { "9223372036854775807", VALUE_INT, 0x1p63 },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct reader r = { .at = cases[i].text, .line = 1, .memory = &memory };
        struct value v;
        assert_ok(value_read(&r, &v));
        double x = v.kind == VALUE_INT ? (double)v.whole : v.real;
        if (v.kind != cases[i].kind || x != cases[i].value || *r.at) fail_msg("%s is not %g", cases[i].text, x);
    }
}

static void excerpts(void **state)
{
    (void)state;
    char shown[EXCERPT];
    const char *digits = "0123456789012345678901234567890123456789012345678901234567890123456789";
    assert_string_equal(excerpt(shown, ""), "");
    assert_string_equal(excerpt(shown, "a \x1b[2J\t\xc3\xa9  \r\nb"), "a ?[2J???");
    assert_string_equal(excerpt(shown, digits + 7), digits + 7);                              /* 63 bytes: they just fit */
    assert_string_equal(excerpt(shown, digits + 6), "678901234567890123456789012345678901234567890123456789012345...");
}

/* ---- what must not ---- */

static void values_fail(void **state)
{
    static const struct { const char *text, *why; } cases[] = {
        { "", "a value is expected at ''" },
        { "1__0", "'1__0' is not a number" },
        { "1_", "not a number" },
        { ".", "not a number" },
        { "1e", "not a number" },
        { "1.2.3", "not a number" },
        { "0x10", "not a number" },
        { "5j", "not a number" },
        { "9223372036854775808", "9223372036854775808 is too large for an integer" },
        { "1e999", "1e999 is too large for a number" },
        { "1111111111111111111111111111111111111111111111111111111111111111", "not a number" },
        { "9223372036854775807 + 1", "the result is too large for an integer" },
        { "-9223372036854775807 - 1", "the result is too large for an integer" },
        { "4294967296 * 4294967296", "the result is too large for an integer" },
        { "1e308 * 10", "the result is too large for a number" },
        { "1 / 0", "division by zero" },
        { "1 / (0.5 - 0.5)", "division by zero" },
        { "'a' + 'b'", "+ - * / take numbers only" },
        { "-'a'", "+ - * / take numbers only" },
        { "1 * True", "+ - * / take numbers only" },
        { "(1, 2)", "')' is expected at ', 2)'" },
        { "(1", "')' is expected at ''" },
        { "'a", "a text is not closed" },
        { "'a\nb'", "a text is not closed" },
        { "'''a''", "a text is not closed" },
        { "'a\\", "a text is not closed" },
        { "'\\x4'", "\\x is followed by 2 hexadecimal digits" },
        { "'\\u12g4'", "\\u is followed by 4 hexadecimal digits" },
        { "'\\U0001'", "\\U is followed by 8 hexadecimal digits" },
        { "'\\x00'", "a text cannot hold character number 0x0" },
        { "'\\ud800'", "character number 0xd800" },
        { "'\\U00110000'", "character number 0x110000" },
        { "'\\033'", "the escape \\0 is not known here" },
        { "name", "name has no value" },
        { "=", "a value is expected at '='" },
        { "\x1b[2J", "a value is expected at '?[2J'" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct reader r = { .at = cases[i].text, .line = 1, .memory = &memory };
        struct value v;
        assert_fails(value_read(&r, &v), E_USAGE, cases[i].why);
    }
}

static void depth(void **state)
{
    (void)state;
    char deep[2 * 100000 + 2];
    for (int n = 64; n <= 65; n++) {
        snprintf(deep, sizeof deep, "%.*s1%.*s", n, "((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((", n,
                 "))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))");
        struct reader r = { .at = deep, .line = 1, .memory = &memory };
        struct value v;
        if (n == 64) assert_ok(value_read(&r, &v));
        else assert_fails(value_read(&r, &v), E_USAGE, "more than 64 parentheses are open");
    }
    memset(deep, '-', sizeof deep);                          /* signs do not nest */
    memcpy(deep + sizeof deep - 2, "7", 2);
    struct reader r = { .at = deep, .line = 1, .memory = &memory };
    struct value v;
    assert_ok(value_read(&r, &v));
    assert_int_equal(v.whole, 7);
}

static void flags_fail(void **state)
{
    static const struct { const char *arguments, *why; } cases[] = {
        { "--learnin_rate=1", "unknown option --learnin_rate; did you mean --learning_rate?" },
        { "--learning-rat|1", "unknown option --learning-rat; did you mean --learning_rate?" },
        { "--wandb_loj", "unknown option --wandb_loj; did you mean --wandb_log?" },
        { "--max_lr=1", "unknown option --max_lr; did you mean --min_lr?" },
        { "--wandb_en_log=1", "did you mean --wandb_log or --wandb_entity?" },
        { "--quux=1", "unknown option --quux; --help lists all" },
        { "--=1", "unknown option --; --help lists all" },
        { "--a\033\nb", "unknown option --a?; --help lists all" },
        { "-x", "unknown option -x; options begin with two dashes" },
        { "--seed", "--seed needs a value: --seed=VALUE" },
        { "--seed|-1", "--seed needs a value: --seed=VALUE" },
        { "--seed|--bias", "--seed needs a value: --seed=VALUE" },
        { "--batch_size=abc", "--batch_size=abc: an integer is expected" },
        { "--batch_size=", "--batch_size=: an integer is expected" },
        { "--batch_size=5.5", "--batch_size=5.5: an integer is expected" },
        { "--batch_size=1e300", "an integer is expected" },
        { "--batch_size=True", "an integer is expected" },
        { "--batch_size='4'", "an integer is expected" },
        { "--batch_size=4 # 5", "an integer is expected" },
        { "--batch_size=4\n5", "an integer is expected" },
        { "--lr_decay_iters=max_iters", "an integer is expected" },
        { "--batch_size=0", "--batch_size=0: an integer of at least 1 is expected" },
        { "--gradient_accumulation_steps=65537", "an integer from 1 to 65536 is expected" },
        { "--dropout=1.5", "--dropout=1.5: a number from 0 to 1 is expected" },
        { "--min_lr=2", "a number of at most 1 is expected" },
        { "--dropout=nan", "--dropout=nan: a number is expected" },
        { "--bias=1", "--bias=1: true or false is expected" },
        { "--bias=yes", "--bias=yes: true or false is expected" },
        { "--schedule=cos", "--schedule=cos: one of cosine|linear|constant is expected" },
        { "--schedule=cosine|--schedule=", "--schedule=: one of cosine" },
        { "--out_dir=x|missing.conf", "missing.conf" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        int code = arguments(cases[i].arguments, NULL);
        assert_fails(code, strstr(cases[i].arguments, "missing") ? E_IO : E_USAGE, cases[i].why);
    }
    assert_int_equal(s.batch_size, 12);                      /* what is refused changes nothing */
}

static void conf_fails(void **state)
{
    static const struct { const char *text, *why; } cases[] = {
        { "\nseed", "a.conf line 2: 'seed' is not of the form key = value" },
        { "[model]\nseed = 1", "a.conf line 1: '[model]' is not of the form key = value" },
        { "seed # = 1", "a.conf line 1: 'seed # = 1' is not of the form key = value" },
        { "drop_out = 0.1", "a.conf line 1: unknown option drop_out; did you mean dropout?" },
        { " = 1", "a.conf line 1: unknown option ; --help lists all" },
        { "batch_size = abc  ", "a.conf line 1: batch_size = abc: an integer is expected" },
        { "batch_size =\nseed = 1", "a.conf line 1: batch_size = : an integer is expected" },
        { "seed = 1 2", "a.conf line 1: seed = 1 2: an integer is expected" },
        { "lr_decay_iters = max_iters", "an integer is expected" },
        { "seed = (1\n+\n1)\ndropout = 2", "a.conf line 4: dropout = 2: a number from 0 to 1 is expected" },
        { "out_dir = 'x", "a.conf line 1: out_dir = 'x: a text is not closed" },
        { "out_dir = 'x' y", "a.conf line 1: out_dir = 'x' y: a text is expected" },
        { "schedule = sine", "a.conf line 1: schedule = sine: one of cosine|linear|constant is expected" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_fails(options_conf(&o, cases[i].text, "a.conf"), E_USAGE, cases[i].why);
}

static void python_fails(void **state)
{
    static const struct { const char *text, *why; } cases[] = {
        { "seed = 1\nif seed: seed = 2", "a.py line 2: 'if seed: seed = 2' is not of the form name = value, and the file is not executed" },
        { "def f():\n  pass", "a.py line 1: 'def f():' is not of the form name = value" },
        { "seed == 1", "is not of the form name = value" },
        { "seed += 1", "is not of the form name = value" },
        { "print('x')", "is not of the form name = value" },
        { "n_layers = 1\n", "a.py line 1: unknown option n_layers; --help lists all" },
        { "batchsize = 1\n", "a.py line 1: unknown option batchsize; did you mean batch_size?" },
        { "\nseed = int(time.time())", "a.py line 2: seed = int(time.time()): int has no value; the file is read and not executed" },
        { "seed = 1 if bias else 2", "a.py line 1: seed = 1 if bias else 2: 'if bias else 2' is too much; the file is read" },
        { "seed = batch_size = 1", "'= 1' is too much" },
        { "seed = 7 // 2", "a value is expected at '/ 2'" },
        { "out_dir = f'{dataset}'", "a.py line 1: out_dir = f'{dataset}': f has no value" },
        { "out_dir = 'a' + str(1)", "a.py line 1: out_dir = 'a' + str(1): str has no value" },
        { "out_dir = 5", "a.py line 1: out_dir = 5: a text is expected" },
        { "out_dir = None", "a.py line 1: out_dir = None: a text is expected" },
        { "seed = 'a'", "a.py line 1: seed = 'a': an integer is expected" },
        { "seed = None", "an integer is expected" },
        { "wandb_log = 'a'", "a.py line 1: wandb_log = 'a': true or false is expected" },
        { "wandb_run_name = str(", "a.py line 1: wandb_run_name = str(: str has no value" },
        { "wandb_run_name = str)", "a.py line 1: wandb_run_name = str): str has no value" },
        { "wandb_run_name = 'a", "a.py line 1: wandb_run_name = 'a: a text is not closed" },
        { "wandb_run_name = f('a", "f has no value" },
        { "from x import (a", "a.py line 1: 'from x import (a' does not end as it should" },
        { "'''a\n", "a.py line 1: ''''a' does not end as it should" },
        { "'a'.join(seed)", "a.py line 1: ''a'.join(seed)' does not end as it should" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_fails(options_python(&o, cases[i].text, "a.py"), E_USAGE, cases[i].why);
}

static void a_wrong_table(void **state)
{
    (void)state;
    static const struct option wrong[] = { { "seed", OPTION_INT, AT(seed), "many", .help = "" } };
    struct options w = { .table = wrong, .n = 1, .values = &s, .memory = &memory };
    assert_fails(options_defaults(&w), E_USAGE, "the default of seed: an integer is expected");
}

/* ---- files, in their order ---- */

static void files(void **state)
{
    (void)state;
    char *kept;
    const char *a = write_text("a.conf", "\xef\xbb\xbf" "seed = 1\r\nbatch_size = 2\r\nmax_iters = 3\r\n");
    const char *b = write_text("b.py", "batch_size = 20\nmax_iters = 30\n");
    assert_ok(arguments(arena_format(&memory, "--seed=0|--max_iters=0|%s|%s|data.txt|--max_iters=300", a, b), &kept));
    assert_int_equal(s.seed, 1);
    assert_int_equal(s.batch_size, 20);
    assert_int_equal(s.max_iters, 300);
    assert_string_equal(kept, "data.txt");
    assert_string_equal(options_origin(&o, "seed"), arena_format(&memory, "%s line 1", a));
    assert_string_equal(options_origin(&o, "batch_size"), arena_format(&memory, "%s line 1", b));
    assert_string_equal(options_origin(&o, "max_iters"), "command line");
    assert_null(options_origin(&o, "dropout"));
    assert_null(options_origin(&o, "no such name"));
}

static void files_fail(void **state)
{
    (void)state;
    assert_fails(options_file(&o, "no/such.conf"), E_IO, "no/such.conf");
    assert_fails(options_file(&o, folder), E_DATA, folder);
    assert_fails(options_file(&o, write_bytes("zero.conf", "seed = 1\0 2\n", 12)), E_USAGE, "zero.conf is not a text: byte 8 is 0");
    assert_fails(options_file(&o, write_text("c.py", "seed = x")), E_USAGE, "c.py line 1: seed = x: x has no value");
    assert_ok(options_file(&o, write_text("empty.conf", "")));
    size_t n = (1 << 20) + 1;
    char *large = arena_take(&memory, n + 1);
    memset(large, '\n', n);
    assert_fails(options_file(&o, write_bytes("large.conf", large, n)), E_DATA, "large.conf");
    assert_ok(options_file(&o, write_bytes("large.conf", large, n - 1)));
}

static void notices_once(void **state)
{
    (void)state;
    assert_ok(arguments("--compile|--compile=false|--wandb_entity=x|--seed=1", NULL));
    assert_string_equal(notices.at, "command line: compile has no effect here\ncommand line: wandb_entity has no effect here\n");
    o.notices = NULL;
    assert_ok(options_python(&o, "wandb_log = True; wandb_project = f()", "a.py"));
}

/* ---- record and help ---- */

static const char *random_text(uint64_t *seed)
{
    static const char bytes[] = "ab #'\"\\\n\r\t\x01\x7f\xc3\xa9=|None";
    char *text = arena_take(&memory, 16);
    for (int i = 0, n = roll(seed, 16); i < n; i++) text[i] = bytes[roll(seed, sizeof bytes - 1)];
    return text;
}

static double random_real(uint64_t *seed)
{
    uint64_t bits = dice(seed);
    double x;
    memcpy(&x, &bits, sizeof x);
    return isfinite(x) && x > 0 ? x : roll(seed, 2) ? roll(seed, 1000) / 100.0 : 0;
}

static void record_reads_back(void **state)
{
    (void)state;
    int (*const read[])(struct options *, const char *, const char *) = { options_conf, options_python };
    uint64_t seed = 1;
    for (int i = 0; i < 2000; i++) {
        assert_ok(options_defaults(&o));
        s.out_dir = random_text(&seed), s.start = random_text(&seed), s.entity = roll(&seed, 2) ? random_text(&seed) : NULL;
        s.schedule = "linear";
        s.seed = (int64_t)dice(&seed) | 1, s.max_iters = roll(&seed, 1000) - 500;            /* odd: -2^63 cannot be written */
        s.learning_rate = random_real(&seed), s.min_lr = -random_real(&seed), s.dropout = roll(&seed, 100) / 100.0;
        s.bias = roll(&seed, 2), s.compile = roll(&seed, 2);
        struct settings was = s;
        text_clear(&out);
        options_to_text(&o, &out);
        assert_ok(options_defaults(&o));
        assert_ok(read[i % 2](&o, out.at, "record"));
        const char **old = &was.out_dir, **new = &s.out_dir;                                  /* the texts stand first */
        for (int k = 0; k < 8; k++) assert_true(old[k] == new[k] || !strcmp(old[k], new[k]));
        assert_memory_equal(&was.batch_size, &s.batch_size, sizeof s - offsetof(struct settings, batch_size));
    }
}

static void record(void **state)
{
    (void)state;
    assert_ok(arguments("--start=a\"\n|--learning_rate=1|--wandb_log", NULL));
    options_to_text(&o, &out);
    assert_string_equal(out.at, "# run\nout_dir = \"out\"\ninit_from = \"scratch\"\nstart = \"a\\\"\\n\"\n"
                                "eval_only = False\nseed = 1337\n\n"
                                "# data\ndataset = \"openwebtext\"\nbatch_size = 12\ngradient_accumulation_steps = 40\n\n"
                                "# model\nbias = False\ndropout = 0.0\n\n"
                                "# optimizer\nlearning_rate = 1.0\nmin_lr = 6e-05\nschedule = \"cosine\"\n"
                                "max_iters = 600000\nlr_decay_iters = 600000\n\n"
                                "# of nanoGPT\ncompile = True\nwandb_log = True\nwandb_project = \"owt\"\n"
                                "wandb_run_name = \"gpt2\"\nwandb_entity = None\n");
}

static void help(void **state)
{
    (void)state;
    options_help(&o, &out, 64);
    assert_non_null(strstr(out.at, "run\n"
                                   "  --out_dir=out                 the folder of the run\n"
                                   "  --init_from=scratch           where the weights come from:\n"
                                   "                                scratch | resume | gpt2 |\n"
                                   "                                gpt2-xl\n"
                                   "  --start=\"\\n\"                  what a sample begins with\n"));
    assert_non_null(strstr(out.at, "\n\ndata\n"
                                   "  --dataset=openwebtext         a folder under data\n"
                                   "  --batch_size=12               sequences per micro-step\n"
                                   "  --gradient_accumulation_steps=\"5 * 8\"\n"
                                   "                                micro-steps per step, over all\n"
                                   "                                processes together\n"));
    assert_non_null(strstr(out.at, "  --wandb_entity=None           as above; no effect here\n"));
    for (const char *line = out.at; *line; line += strcspn(line, "\n") + 1) assert_true(strcspn(line, "\n") <= 64);
    text_clear(&out);
    options_help(&o, &out, 0);                               /* no width: a word a line, but all of them */
    assert_non_null(strstr(out.at, "together\n"));
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(defaults), T(flags), T(flags_to_the_letter), T(other_arguments), T(conf), T(python), T(nanogpt_files), T(skipped_expressions),
        T(numbers), T(excerpts), T(values_fail), T(depth), T(flags_fail), T(conf_fails), T(python_fails), T(a_wrong_table),
        T(files), T(files_fail), T(notices_once), T(record_reads_back), T(record), T(help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
