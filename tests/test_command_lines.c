/* test_command_lines.c -- random command lines for every verb: options that exist and that do not, values and paths of all kinds,
 * configuration files of both.  Whatever they say, nib
 *   ends by itself, within seconds unless it has much to do, and never by a signal,
 *   with 0 or a code of base/error.h, and then with exactly one line that begins with "nib: "; other lines are notes, and all are
 *   UTF-8 without control characters,
 *   changes nothing if the verb only looks, and else nothing whose name is not in the line.
 *
 * The lines run in box/, a copy of template/, with less memory and smaller files than they ask for.  Beside it are things to read, and
 * nothing there may change at all.  SEED and COUNT may be given in the environment. */
#include "program.h"

#include <dirent.h>
#include <zlib.h>

#include "base/rng.h"
#include "base/utf8.h"

enum { FEW = 150, SOON = 60, WORKS = 1, MEMORY = 1 << 30, LARGEST = 1 << 24, MOST_OPTIONS = 8, MOST_LINES = 6 };

/* ---- verbs ---- */

/* usual: what most lines begin with, and it works; last: what keeps the work small, and most lines end in it; works: it may take as
 * long as it is told to; several: it runs others, each of which may fail with a line of its own. */
static const struct verb { const char *words, *usual, *last; int writes, works, several; } verbs[] = {
    { "data", "my.txt", "", 1, 0, 0 },
    { "data info", "data/my", "", 0, 0, 0 },
    { "data choices", "quiz.jsonl --tokenizer=tok", "", 1, 0, 0 },
    { "train", "--dataset=my", TINY " --max_iters=2", 1, 1, 0 },
    { "train", "--dataset=my --init_from=good --lora_rank=2", TINY " --max_iters=2", 1, 1, 0 },
    { "sample", "good", "--max_new_tokens=9", 0, 1, 0 },
    { "chat", "good", "--max_new_tokens=9", 0, 1, 0 },
    { "eval", "good --dataset=my", "", 1, 1, 0 },
    { "eval", "good --text=my.txt", "", 1, 1, 0 },
    { "eval", "good --items=quiz.jsonl", "", 1, 1, 0 },
    { "info", "good", "", 0, 0, 0 },
    { "watch", "good", "", 0, 0, 0 },
    { "report", "good", "", 1, 0, 0 },
    { "plan", "", TINY, 0, 1, 0 },
    { "sweep", "--dataset=my --n_embd=8,16", TINY " --max_iters=1", 1, 1, 1 },
    { "tales", "", "", 0, 1, 0 },
    { "tales judge", "my.txt", "", 0, 0, 0 },
    { "check", "good", "", 0, 0, 0 },
    { "export", "good", "", 1, 0, 0 },
    { "eval", "lora --dataset=my", "", 0, 1, 0 },
    { "tokenizer train", "my.txt --out=new", "", 1, 0, 0 },
    { "tokenizer info", "tok", "", 0, 0, 0 },
    { "tokenizer encode", "tok", "", 0, 0, 0 },
    { "tokenizer decode", "tok", "", 0, 0, 0 },
    { "bench train", "", "--model=tiny --steps=1 --warmup=0", 0, 1, 0 },
    { "bench decode", "good", "--prompt=2 --tokens=2", 0, 1, 0 },
    { "bench gemm", "", "--model=tiny --milliseconds=0", 0, 1, 0 },
    { "bench tokenizer", "tok my.txt", "--seconds=0", 0, 1, 0 },
};
enum { VERBS = sizeof verbs / sizeof *verbs };

/* ---- what they may be given ---- */

static const char *const numbers[] = {
    "0", "1", "2", "3", "16", "64", "-1", "-0", "0.5", "1.5", "1e3", "1e-3", "5 * 8", "1/0", "0/0", "2**63", "10**100", "0x10", "007", "1_000", "1__0", "1e", "1.", "--1", "+1", "1-",
    "2147483647", "2147483648", "-2147483648", "-2147483649", "4294967295", "4294967296", "9007199254740992", "9007199254740993", "9223372036854775807", "9223372036854775808",
    "-9223372036854775808", "-9223372036854775809", "18446744073709551615", "1e18", "1e19", "1e308", "1e309", "-1e309", "1e-400", "nan", "NaN", "-nan", "inf", "-inf",
};
static const char *const texts[] = {
    "", " ", "\t", "a", "a\nb", "a\rb", "\033[31mred\033[0m", "%s%s%s%s%n", "%d", "%*.*f", "\xff\xfe\xfd", "\xc3", "\xf0\x9f\x98", "\xed\xa0\x80", "\xc0\x80", "\302\23331m", "😀", "é",
    "None", "True", "False", "true", "auto", "char", "gpt2", "resume", "scratch", "tiny", "float32", "bfloat16", "float16", "half", "infer", "eval", "'", "\"", "'''", "\\", "\\x", "a=b", "-", "--", "=", "#", "#a",
    "[", "[]", "[\"a\"]", "[1]", "{}", "null", "<|endoftext|>", ",", ",,", "a,a", "*", "?", "$(true)", "`true`", "~", "a b", "file:///etc/passwd", "http://127.0.0.1:1/",
};
/* pipe: somebody writes to it.  No folder outside of the box: there nothing may change, and the user may have any folder written. */
static const char *const paths[] = {
    "my.txt", "notes.jsonl", "quiz.jsonl", "text.gz", "cut.gz", "empty.txt", "latin.txt", "ids.txt", "a.conf", "a.py", "fuzz.conf", "fuzz.py", "good", "lora", "lora/adapter_config.json", "data", "data/my", "my", "tok", "tok/tokenizer.json", "good/config.json",
    "good/model.safetensors", "folder", "loop", "dangling", ".", "./", "absent", "absent/deeper", "my.txt/x", "../pipe", "../outside/secret.txt", "FILE:my.txt", "FILE:../outside/secret.txt",
    "FILE:folder", "FILE:", "/dev/null", "/dev/zero", "/dev/full", "/dev/stdin", "/proc/self/mem", "/proc/self/exe",
};
#define ANY(list) list[roll(&chance, sizeof list / sizeof *list)]

static uint64_t chance;
static struct text options[VERBS];                           /* of each verb, "--name=default\n" each, as its help lists them */

static const char *any_line(const struct text *lines, size_t *n)
{
    size_t most = 0, at = 0;
    for (size_t i = 0; i < lines->size; i++) most += lines->at[i] == '\n';
    for (int skipped = most ? roll(&chance, (int)most) : 0; skipped; at++) skipped -= lines->at[at] == '\n';
    const char *line = most ? lines->at + at : "";
    *n = strcspn(line, "\n");
    return line;
}

static void add_long(struct text *out)
{
    static const char *const parts[] = { "a", "(", "[", "1+", "./", "\xf0\x9f\x98\x80", "9", "%s" };
    static const int sizes[] = { 100, 255, 300, 4095, 5000, 100000 };
    const char *part = ANY(parts);
    for (size_t size = (size_t)ANY(sizes); out->size < size;) text_add(out, part);
}

static void add_value(struct text *out)
{
    int kind = roll(&chance, 20);
    if (kind < 9) text_add(out, ANY(numbers));
    else if (kind < 14) text_add(out, ANY(texts));
    else if (kind < 19) text_add(out, ANY(paths));
    else add_long(out);
}

/* Tame: --name=default, as the help lists it, or another small number. */
static void add_tame_option(struct text *out, int verb)
{
    size_t n;
    const char *known = any_line(&options[verb], &n), *equals = memchr(known, '=', n);
    int changes = equals && equals[1] >= '0' && equals[1] <= '9' && roll(&chance, 2);
    text_bytes(out, known, changes ? (size_t)(equals + 1 - known) : n);
    if (changes) text_format(out, "%d", roll(&chance, 5));
}

/* Wild: any value, or none, or the name is not quite right, or it is no option. */
static void add_wild_option(struct text *out, int verb)
{
    size_t n;
    const char *known = any_line(&options[verb], &n), *equals = memchr(known, '=', n);
    int form = n ? roll(&chance, 12) : 0;
    if (form == 0) add_value(out);
    else text_bytes(out, known, equals ? (size_t)(equals - known) : n);
    if (form == 1) out->at[roll(&chance, (int)out->size)] = "-_a=\xc3"[roll(&chance, 5)];
    if (form < 3) return;
    text_add(out, "=");
    add_value(out);
}

/* ---- the box ---- */

static void write_gz(const char *path, off_t kept)
{
    gzFile z = gzopen(path, "wb");
    assert_true(gzputs(z, "a text of some words\n") > 0);
    gzclose(z);
    if (kept) assert_int_equal(truncate(path, kept), 0);
}

/* Whoever opens the pipe reads a few lines and its end. */
static pid_t write_to_pipe(const char *path)
{
    assert_int_equal(mkfifo(path, 0644), 0);
    pid_t writer = fork();
    if (writer) return writer;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        int fd = open(path, O_WRONLY);
        if (fd < 0 || write(fd, "some\nlines\n", 11) < 0) usleep(1000);
        close(fd);
    }
}

/* The sum of all names and rights, and of files' sizes and times, of a path within a folder. */
static uint64_t state_of(int within, const char *name)
{
    struct stat st;
    uint64_t sum = rng_hash(name);
    if (fstatat(within, name, &st, AT_SYMLINK_NOFOLLOW)) return 0;
    sum = rng_key(sum, (uint64_t)st.st_mode);
    if (S_ISREG(st.st_mode)) return rng_key(rng_key(sum, (uint64_t)st.st_size), (uint64_t)st.st_mtim.tv_nsec);
    if (!S_ISDIR(st.st_mode)) return sum;                    /* a pipe's time changes when it is read */
    int fd = openat(within, name, O_RDONLY | O_DIRECTORY);
    DIR *dir = fdopendir(fd);
    assert_non_null(dir);
    uint64_t all = 0;                                        /* in any order */
    for (struct dirent *e; (e = readdir(dir));)
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..")) all ^= state_of(fd, e->d_name);
    closedir(dir);
    return rng_key(sum, all);
}

static uint64_t box_state, outside_state;

static void fill_box(void)
{
    assert_ok(dir_remove("box"));
    if (run_how(HOW(.program = "/bin/cp"), "-a template box")) fail_msg("cp: %s", ERR);
}

/* All but the box, and the cache, which is nib's own. */
static uint64_t state_outside(void)
{
    static const char *const names[] = { "template", "outside", "tmp", "pipe", ".nib" };
    uint64_t all = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) all ^= state_of(AT_FDCWD, names[i]);
    return rng_key(all, names_in(".") - (size_t)path_is_dir("cache"));
}

static pid_t pipe_writer;

static void find_options(void)
{
    for (int v = 0; v < VERBS; v++) {
        runs("%s --help", verbs[v].words);
        if (strstr(OUT, "nib train --help lists them")) runs("train --help");
        for (const char *at = OUT; (at = strstr(at, "\n  --"));) {
            at += 3;
            text_bytes(&options[v], at, strcspn(at, " \n"));
            text_add(&options[v], "\n");
        }
    }
}

static int set_up(void **state)
{
    if (enter_program(state)) return -1;
    write_play("my.txt", 30);
    write_text("quiz.jsonl", "{\"query\": \"I\", \"choices\": [\"shall\", \"never\"], \"gold\": 0}\n");
    write_text("notes.jsonl", "{\"text\": \"one\"}\n{\"text\": \"two\"}\n");
    write_text("empty.txt", "");
    write_text("latin.txt", "caf\xe9\n");
    write_text("ids.txt", "1 2 3\n");
    write_text("a.conf", "max_iters = 2 # few\nbatch_size = 2\n");
    write_text("a.py", "max_iters = 2\nblock_size = 4 * 4\n");
    write_gz("text.gz", 0);
    write_gz("cut.gz", 20);
    assert_int_equal(mkdir("folder", 0755) | symlink("loop", "loop") | symlink("nowhere", "dangling"), 0);
    if (run("data my.txt") || run("tokenizer train my.txt --out tok --vocab=300") || run("train --dataset=my --out_dir=good " TINY " --max_iters=1") ||
        run("train --dataset=my --init_from=good --lora_rank=2 --out_dir=lora " TINY " --max_iters=1")) return print_error("%s", ERR), -1;
    static const char *const inside[] = { "my.txt", "notes.jsonl", "quiz.jsonl", "empty.txt", "latin.txt", "ids.txt", "a.conf", "a.py", "text.gz", "cut.gz", "folder", "loop", "dangling", "data", "tok", "good", "lora" };
    assert_int_equal(mkdir("template", 0755) | mkdir("outside", 0755) | mkdir("tmp", 0755), 0);
    for (size_t i = 0; i < sizeof inside / sizeof *inside; i++) {
        char to[64];
        snprintf(to, sizeof to, "template/%s", inside[i]);
        assert_int_equal(rename(inside[i], to), 0);
    }
    write_text("template/fuzz.conf", "");
    write_text("template/fuzz.py", "");
    write_text("outside/secret.txt", "a secret\n");
    setenv("TMPDIR", at("tmp"), 1);
    setenv("ASAN_OPTIONS", "exitcode=99:detect_leaks=0:allocator_may_return_null=1:max_allocation_size_mb=1024", 1);
    pipe_writer = write_to_pipe("pipe");
    find_options();
    fill_box();
    outside_state = state_outside();
    return 0;
}

static int tear_down(void **state)
{
    for (int v = 0; v < VERBS; v++) text_free(&options[v]);
    kill(pipe_writer, SIGKILL);
    waitpid(pipe_writer, NULL, 0);
    return leave_program(state);
}

/* ---- a line ---- */

struct line {
    int verb, n;                         /* its number; words */
    struct text word[MOST_WORDS], files; /* what fuzz.conf and fuzz.py say */
};

static void add_words(struct line *l, const char *words)
{
    for (size_t n; *words; words += n + (words[n] != 0)) {
        n = strcspn(words, " ");
        text_bytes(&l->word[l->n++], words, n);
    }
}

static void make_line(struct line *l)
{
    l->n = 0;
    text_clear(&l->files);
    text_add(&l->files, "");
    for (int i = 0; i < MOST_WORDS; i++) {
        text_clear(&l->word[i]);
        text_add(&l->word[i], "");
    }
    int verb = l->verb = roll(&chance, VERBS), wild = roll(&chance, 3), odd = !roll(&chance, 8);
    add_words(l, verbs[verb].words);
    if (!roll(&chance, 60)) add_value(&l->word[l->n - 1]);   /* a verb or part that there is not */
    if (roll(&chance, 10)) add_words(l, verbs[verb].usual);
    for (int left = wild + (options[verb].size ? roll(&chance, MOST_OPTIONS) : 0); left; left--) {
        if (roll(&chance, left) >= wild) add_tame_option(&l->word[l->n++], verb);
        else add_wild_option(&l->word[l->n++], verb), wild--;
        if (odd && !roll(&chance, 4)) add_value(&l->word[l->n++]);       /* perhaps that option's value, perhaps one too many */
    }
    if (roll(&chance, 10)) add_words(l, verbs[verb].last);
    for (int i = 0; i < l->n; i++) assert_false(l->word[i].failed);
}

static void make_config(const char *path, int verb, struct text *said)
{
    struct text t = { 0 };
    for (int i = roll(&chance, MOST_LINES); i; i--) {
        struct text o = { 0 };
        if (roll(&chance, 4) && options[verb].size) add_tame_option(&o, verb);
        else add_wild_option(&o, verb);
        text_add(&t, o.size > 2 ? o.at + 2 : "");            /* without its dashes */
        text_add(&t, "\n");
        text_free(&o);
    }
    int fd = open(path, O_WRONLY | O_TRUNC);                 /* in place, and not brought to the disk */
    assert_true(fd >= 0 && write(fd, t.at ? t.at : "", t.size) == (ssize_t)t.size);
    close(fd);
    text_bytes(said, t.at, t.size);
    text_free(&t);
}

/* ---- and what nib makes of it ---- */

static int is_code(int status)
{
    return status >= 0 && (status == E_OK || strcmp(error_name(status), "unknown error"));
}

static const char *fault_of_output(const struct verb *v)
{
    int errors = 0;
    size_t size;
    for (const char *l = ERR; *l; l += strcspn(l, "\n") + (strchr(l, '\n') != NULL)) {
        static const char no_memory[] = "WARNING: AddressSanitizer failed to allocate";      /* ==1234== before it */
        size_t n = strcspn(l, "W");
        if (!strncmp(l, "nib: ", 5)) errors++;
        else if (strncmp(l, "note: ", 6) && strncmp(l + n, no_memory, sizeof no_memory - 1)) return "a line that is neither error nor note";
    }
    for (const char *c = ERR, *end = ERR + strlen(ERR); c < end; c += size) {
        int32_t point = utf8_next(c, (size_t)(end - c), &size);
        if (point < 0) return "a message that is not UTF-8";
        if (point != '\n' && (point < ' ' || (point >= 0x7f && point < 0xa0))) return "a control character in a message";
    }
    if (v->several) return NULL;
    if (nib.status == E_OK) return errors ? "an error, but it ended well" : NULL;
    return errors == 1 ? NULL : "not exactly one line of error";
}

/* The name is in the line: a value, or the first folder of one, or what is moved out of its way (NAME.1); or in its files. */
static int is_named(const struct line *l, const char *name)
{
    size_t n = strcspn(name, ".");
    for (int i = 0; i < l->n; i++)
        for (const char *w = l->word[i].at; w; w = strchr(w, '=') ? strchr(w, '=') + 1 : NULL) {
            while (!strncmp(w, "./", 2)) w += 2;
            size_t first = strcspn(w, "/");
            if (!*w || !strcmp(w, ".") || (!strncmp(w, name, first) && !name[first]) || (first == n && !strncmp(w, name, n))) return 1;
        }
    return !strcmp(name, "data") || !strncmp(name, "out", 3) || memmem(l->files.at, l->files.size, name, n);
}

static const char *fault_of_box(const struct line *l)
{
    if (state_outside() != outside_state) return "something changed beside the box";
    if (state_of(AT_FDCWD, "box") == box_state) return NULL;
    if (!verbs[l->verb].writes) return "it changed something";
    char **names, was[PATH_SIZE], is[PATH_SIZE];
    size_t n;
    const char *fault = NULL;
    assert_ok(dir_list("box", &names, &n));
    int a = open("template", O_RDONLY | O_DIRECTORY), b = open("box", O_RDONLY | O_DIRECTORY);
    for (size_t i = 0; i < n && !fault; i++) {
        assert_ok(path_join(was, "template", names[i]));
        assert_ok(path_join(is, "box", names[i]));
        if (state_of(a, names[i]) != state_of(b, names[i]) && strncmp(names[i], "fuzz.", 5) && !is_named(l, names[i])) fault = "it changed what it was not told to";
    }
    close(a);
    close(b);
    free(names);
    fill_box();
    return fault;
}

static const char *fault_of(const struct line *l)
{
    if (nib.status == -SIGALRM) return verbs[l->verb].works ? NULL : "it hangs";
    if (nib.status < 0) return "it was ended by a signal";
    if (!is_code(nib.status)) return "it ended with another code than those of error.h";
    return fault_of_output(&verbs[l->verb]);
}

static void print_line(const struct line *l)
{
    struct text t = { 0 };
    for (int i = 0; i < l->n; i++) {
        text_add(&t, " $'");
        for (const char *c = l->word[i].at; *c && t.size < 4000; c++) text_format(&t, *c >= ' ' && *c < 127 && *c != '\'' && *c != '\\' ? "%c" : "\\x%02x", (unsigned char)*c);
        text_add(&t, "'");
    }
    print_error("nib%s\nended with %d:\n%.2000s%.2000s\n", t.at, nib.status, OUT, ERR);
    text_free(&t);
}

static void random_lines(void **state)
{
    static struct line l;
    static const char *const inputs[] = { NULL, "my.txt", "ids.txt", "latin.txt", "/dev/zero" };
    long seed = number_from("SEED", 1), count = number_from("COUNT", FEW), ended[256] = { 0 }, stopped = 0;
    (void)state;
    int limited = !run_how(HOW(.memory_limit = MEMORY), "--version");        /* not so a sanitized one, which is bounded by ASAN_OPTIONS */
    for (long i = 0; i < count; i++) {
        char *words[MOST_WORDS + 1] = { nib_path };
        chance = (uint64_t)seed * 1000003 + (uint64_t)i;
        make_line(&l);
        for (int w = 0; w < l.n; w++) words[w + 1] = l.word[w].at;
        make_config("box/fuzz.conf", l.verb, &l.files);
        make_config("box/fuzz.py", l.verb, &l.files);
        box_state = state_of(AT_FDCWD, "box");
        assert_int_equal(chdir("box"), 0);
        start_words(&nib, HOW(.in = ANY(inputs), .apart = 1, .file_limit = LARGEST, .memory_limit = limited ? MEMORY : 0), words);
        end_within(&nib, verbs[l.verb].works ? WORKS : SOON);
        assert_int_equal(chdir(".."), 0);
        const char *fault = fault_of(&l);
        if (!fault) fault = fault_of_box(&l);
        if (fault) {
            print_line(&l);
            fail_msg("SEED=%ld, line %ld: %s", seed, i, fault);
        }
        if (nib.status < 0) stopped++;
        else ended[nib.status]++;
    }
    for (int i = 0; i < 256; i++)
        if (ended[i]) print_message("%6ld ended with %d, %s\n", ended[i], i, error_name(i));
    print_message("%6ld had much to do and were stopped\n", stopped);
    for (int i = 0; i < MOST_WORDS; i++) text_free(&l.word[i]);
    text_free(&l.files);
}

/* A verb that is not in the table is not tried. */
static void all_verbs(void **state)
{
    (void)state;
    runs("--help");
    for (const char *at_ = OUT; (at_ = strstr(at_, "\n  nib "));) {
        int known = 0;
        at_ += 7;
        for (int v = 0; v < VERBS; v++) known |= !strncmp(at_, verbs[v].words, strcspn(at_, " ")) && strcspn(at_, " ") == strcspn(verbs[v].words, " ");
        if (!known) fail_msg("nib %.*s has no row in the table above", (int)strcspn(at_, " "), at_);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(all_verbs), cmocka_unit_test(random_lines) };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
