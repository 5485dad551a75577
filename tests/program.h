/* program.h -- runs nib as its users do, in a folder of the test's own, and keeps what it prints and how it ends.
 *
 * The program is a copy of $NIB (else of the release build), so that it may be built again meanwhile and anyone may run it.  Its
 * home, caches and current folder lie in the test's folder, and it finds no network.  Command lines are written as one types
 * them, 'quoted' where a word has blanks. */
#ifndef PROGRAM_H
#define PROGRAM_H
#define _GNU_SOURCE                                          /* pipe2 */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "base/json.h"
#include "base/text.h"
#include "folder.h"

enum { MOST_WORDS = 64, WORDS_SIZE = 8192, HANGS = 600, LIMIT = 1 << 26 };       /* HANGS: seconds, after which it is ended by SIGALRM */

struct how {                                                 /* what is not given is as it is here */
    const char *name, *value;                                /* a variable of the environment */
    const char *in, *out;                                    /* files for standard input and output; else none, and kept */
    size_t file_limit, memory_limit;                         /* bytes */
    int user;                                                /* its number */
    int closed;                                              /* standard input and output are */
    int apart;                                               /* with what it starts it is a group of processes, for end_within */
    int sealed;                                              /* SIGSYS ends it if it opens a socket or starts a program */
    int traced;                                              /* it stops for its tracer before it begins (tracer.h) */
    const char *program;                                     /* another one than nib, with its path */
};

struct program { pid_t pid; int pipe[2]; struct text text[2]; int ended, status; };     /* [0] standard output, [1] standard error */

static struct program nib;                                   /* the one that ran last */
static char nib_path[PATH_SIZE];
#define OUT (nib.text[0].at)
#define ERR (nib.text[1].at)

/* ---- the folder ---- */

static inline int enter_program(void **state)
{
    const char *path = getenv("NIB");
    struct text t = { 0 };
    if (!path) path = "build/gcc-release/nib";
    if (enter_folder(state) || file_read(path, LIMIT, &t)) return print_error("no program to test: %s\n", path), -1;
    if (path_join(nib_path, folder, ".nib") || file_write(nib_path, t.at, t.size) || chmod(nib_path, 0755) || chdir(folder)) return -1;
    text_free(&t);
    setenv("HOME", folder, 1);
    setenv("XDG_CACHE_HOME", at("cache"), 1);
    setenv("HF_HUB_CACHE", at("hub"), 1);
    setenv("https_proxy", "http://127.0.0.1:1", 1);          /* nobody listens there */
    setenv("OMP_WAIT_POLICY", "passive", 1);                 /* tests may share the machine */
    /* Of a sanitized build: what is not freed before the end is the system's to free, and what is too large is no fault. */
    setenv("ASAN_OPTIONS", "detect_leaks=0:allocator_may_return_null=1", 0);
    signal(SIGPIPE, SIG_IGN);
    return 0;
}

static inline int leave_program(void **state)
{
    for (int i = 0; i < 2; i++) text_free(&nib.text[i]);
    return chdir("/") ? -1 : leave_folder(state);
}

/* ---- starting ---- */

/* Cuts a line into words, in place. */
static inline void split_words(char *line, char **words)
{
    int n = 0;
    for (char *c = line; *c;) {
        while (*c == ' ') c++;
        if (!*c) break;
        assert_true(n + 1 < MOST_WORDS);
        char *to = words[n++] = c;
        for (int quoted = 0; *c && (quoted || *c != ' '); c++) {
            if (*c == '\'') quoted = !quoted;
            else *to++ = *c;
        }
        if (*c) c++;
        *to = 0;
    }
    words[n] = NULL;
}

static inline int limit(int what, size_t bytes)
{
    struct rlimit r = { bytes, bytes };
    return bytes ? setrlimit((__rlimit_resource_t)what, &r) : 0;
}

/* It is itself started by execveat, which no library calls. */
static inline int start_sealed(char **words)
{
#define ENDS_AT(call) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)
    struct sock_filter filter[] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)), ENDS_AT(socket), ENDS_AT(connect), ENDS_AT(bind), ENDS_AT(listen),
                                    ENDS_AT(execve), ENDS_AT(ptrace), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
    struct sock_fprog program = { sizeof filter / sizeof *filter, filter };
    int fd = open(words[0], O_RDONLY | O_CLOEXEC);
    if (fd < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) return -1;
    return (int)syscall(SYS_execveat, fd, "", words, environ, AT_EMPTY_PATH);
}

static inline void become(const struct how *h, char **words, const int to[2])
{
    int in = open(h->in ? h->in : "/dev/null", O_RDONLY), out = h->out ? open(h->out, O_WRONLY) : to[0];
    if (in < 0 || out < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(to[1], 2) < 0) _exit(99);
    for (int fd = h->closed ? 0 : 3; fd < 64; fd += fd == 1 ? 2 : 1) close(fd);
    if (h->name) setenv(h->name, h->value, 1);
    signal(SIGXFSZ, SIG_IGN);                                /* a full disk is an error, not a signal */
    signal(SIGPIPE, SIG_DFL);
    signal(SIGINT, SIG_DFL);                                 /* which a shell's job in the background ignores */
    alarm(HANGS);
    if (h->apart) setpgid(0, 0);
    if (limit(RLIMIT_FSIZE, h->file_limit) || limit(RLIMIT_AS, h->memory_limit)) _exit(98);
    if (h->user && (setgid((gid_t)h->user) || setuid((uid_t)h->user))) _exit(97);
    if (h->sealed) start_sealed(words), _exit(94);
    if (h->traced && (ptrace(PTRACE_TRACEME, 0, NULL, NULL) || raise(SIGSTOP))) _exit(95);
    execv(words[0], words);
    _exit(96);
}

static inline void start_words(struct program *p, const struct how *h, char **words)
{
    int out[2], err[2];
    assert_int_equal(pipe2(out, O_CLOEXEC) | pipe2(err, O_CLOEXEC), 0);
    fcntl(out[1], F_SETPIPE_SZ, 4096);                       /* who is not read soon stands still */
    p->pid = fork();
    assert_true(p->pid >= 0);
    if (!p->pid) become(h, words, (const int[2]){ out[1], err[1] });
    close(out[1]);
    close(err[1]);
    p->pipe[0] = out[0];
    p->pipe[1] = err[0];
    p->ended = 0;
    for (int i = 0; i < 2; i++) {
        text_clear(&p->text[i]);
        text_add(&p->text[i], "");
    }
}

/* ---- reading and ending ---- */

static inline long microseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Waits for more of its text, so long or (-1) until it comes; 0: there is no more. */
static inline int read_within(struct program *p, int milliseconds)
{
    struct pollfd f[2] = { { p->pipe[0], POLLIN, 0 }, { p->pipe[1], POLLIN, 0 } };
    char bytes[4096];
    if (p->pipe[0] < 0 && p->pipe[1] < 0) return 0;
    assert_true(poll(f, 2, milliseconds) >= 0);
    for (int i = 0; i < 2; i++) {
        ssize_t n = f[i].revents ? read(p->pipe[i], bytes, sizeof bytes) : -1;
        if (n > 0) text_bytes(&p->text[i], bytes, (size_t)n);
        if (n) continue;
        close(p->pipe[i]);
        p->pipe[i] = -1;
    }
    return 1;
}

static inline int read_more(struct program *p) { return read_within(p, -1); }

static inline void await(struct program *p, const char *text)            /* until it has printed this */
{
    while (!strstr(p->text[0].at, text))
        if (!read_more(p)) fail_msg("\"%s\" was never printed; but:\n%s%s", text, p->text[0].at, p->text[1].at);
}

/* Its exit status; negative: the signal that ended it.  After so many seconds (0: never) its group gets SIGALRM. */
static inline int end_within(struct program *p, int seconds)
{
    int status;
    for (long until = microseconds() + seconds * 1000000L; read_within(p, seconds ? 100 : -1);)
        if (seconds && microseconds() > until) kill(-p->pid, SIGALRM);
    assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
    p->status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    p->ended = 1;
    return p->status;
}

static inline int end(struct program *p) { return end_within(p, 0); }

/* ---- command lines ---- */

static inline void start_line(struct program *p, const struct how *h, const char *format, va_list args)
{
    char line[WORDS_SIZE], *words[MOST_WORDS + 1] = { (char *)(uintptr_t)(h->program ? h->program : nib_path) };
    assert_true(vsnprintf(line, sizeof line, format, args) < (int)sizeof line);
    split_words(line, words + 1);
    start_words(p, h, words);
}

__attribute__((format(printf, 2, 3))) static inline void starts(struct program *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    start_line(p, &(struct how){ 0 }, format, args);
    va_end(args);
}

/* The exit status of nib, or of another program. */
__attribute__((format(printf, 2, 3))) static inline int run_how(const struct how *h, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    start_line(&nib, h, format, args);
    va_end(args);
    return end(&nib);
}
#define HOW(...) (&(const struct how){ __VA_ARGS__ })
#define run(...) run_how(HOW(0), __VA_ARGS__)

#define runs_how(how, ...)                                                                                       \
    do {                                                                                                         \
        int code_ = run_how(how, __VA_ARGS__);                                                                   \
        if (code_) fail_msg("nib ended with %d:\n%s%s", code_, OUT, ERR);                                        \
    } while (0)
#define runs(...) runs_how(HOW(0), __VA_ARGS__)

/* nib ended with this code and one line of error, which names this part; besides there may be notes. */
static inline int has_failed(int code, const char *part)
{
    int errors = 0, others = 0;
    const char *message = NULL;
    for (const char *l = ERR; *l; l += strcspn(l, "\n") + (strchr(l, '\n') != NULL)) {
        if (!strncmp(l, "nib: ", 5)) message = l, errors++;
        else others += strncmp(l, "note: ", 6) != 0;
    }
    return nib.status == code && errors == 1 && !others && strstr(message, part);
}

#define fails_how(how, code, part, ...)                                                                                             \
    do {                                                                                                                            \
        run_how(how, __VA_ARGS__);                                                                                                  \
        if (!has_failed(code, part)) fail_msg("nib ended with %d, not %d for \"%s\":\n%s%s", nib.status, code, part, OUT, ERR);      \
    } while (0)
#define fails(code, part, ...) fails_how(HOW(0), code, part, __VA_ARGS__)

/* ThreadSanitizer and clang's OpenMP keep files of their own: where files may have so few bytes, neither starts. */
static inline void needs_files_of(size_t bytes)
{
    if (!run_how(HOW(.file_limit = bytes), "bench gemm --model=tiny --product=dw --milliseconds=0 --threads=2")) return;
    print_message("skipped: %s does not start where a file may have %zu bytes\n", nib_path, bytes);
    skip();
}

/* ---- kills ---- */

static inline long number_from(const char *name, long otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtol(text, NULL, 10) : otherwise;
}

/* ---- looking at what it wrote ---- */

static inline void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part)) fail_msg("\"%s\" is not in:\n%s", part, text);
}

static inline json_t *printed(void)                          /* the one JSON object on standard output, and nothing elsewhere */
{
    json_t *o;
    assert_ok(json_parse(&o, OUT, strlen(OUT), "standard output"));
    assert_string_equal(ERR, "");
    return o;
}

static inline double number(const json_t *o, const char *key)
{
    double x;
    assert_ok(json_get_real(o, key, &x, "standard output"));
    return x;
}

static inline void hash_of(const char *path, char hex[65]) { assert_ok(file_sha256(path, hex)); }

static inline void assert_same_file(const char *a, const char *b)
{
    char one[65], other[65];
    hash_of(a, one);
    hash_of(b, other);
    if (strcmp(one, other)) fail_msg("%s and %s differ", a, b);
}

/* One byte of a file becomes another. */
static inline void flip(const char *path, size_t where)
{
    struct text t = { 0 };
    assert_ok(file_read(path, LIMIT, &t));
    int fd = open(path, O_WRONLY);                           /* in place: other names of the file see it too */
    t.at[where] ^= 1;
    assert_int_equal(pwrite(fd, t.at + where, 1, (off_t)where), 1);
    close(fd);
    text_free(&t);
}

static inline void copy_file(const char *from, const char *to)
{
    struct text t = { 0 };
    assert_ok(file_read(from, LIMIT, &t));
    assert_ok(file_write(to, t.at, t.size));
    text_free(&t);
}

/* A file of one folder, copied into another. */
static inline void copy_into(const char *to, const char *from, const char *name)
{
    char a[PATH_SIZE], b[PATH_SIZE];
    assert_ok(path_join(a, from, name));
    assert_ok(path_join(b, to, name));
    copy_file(a, b);
}

/* GPT-2's tokenizer into the cache, from a folder that has it; empty: nobody has, and the test is skipped. */
static inline void bring_gpt2(const char *bpe)
{
    if (!*bpe) {
        print_message("skipped: ../shared/data/gpt2-bpe is not there\n");
        skip();
    }
    assert_ok(dir_make("cache/nib/gpt2"));
    copy_into("cache/nib/gpt2", bpe, "vocab.bpe");
    copy_into("cache/nib/gpt2", bpe, "encoder.json");
}

static inline void copy_folder(const char *from, const char *to)
{
    char **names, a[PATH_SIZE], b[PATH_SIZE];
    size_t n;
    assert_ok(dir_make(to));
    assert_ok(dir_list(from, &names, &n));
    for (size_t i = 0; i < n; i++) {
        assert_ok(path_join(a, from, names[i]));
        assert_ok(path_join(b, to, names[i]));
        if (path_is_dir(a)) copy_folder(a, b);
        else copy_file(a, b);
    }
    free(names);
}

/* Speeches of changing words, each line another. */
static inline void write_play(const char *path, int lines)
{
    static const char *const who[] = { "ROMEO", "JULIET", "Nurse", "MERCUTIO" }, *const what[] = { "shall", "would", "never", "must" },
                      *const how[] = { "sing", "wait", "fence", "go home", "be quiet" };
    struct text t = { 0 };
    uint64_t dice_ = 1;
    for (int i = 0; i < lines; i++) {
        const char *name = who[roll(&dice_, 4)], *will = what[roll(&dice_, 4)], *act = how[roll(&dice_, 5)];
        text_format(&t, "%s:\nI %s %s; what is the answer to %d?\n\n", name, will, act, roll(&dice_, 1000));
    }
    write_text(path, t.at);
    text_free(&t);
}

/* A model, steps and evaluations so small that a run takes a moment. */
#define TINY "--n_layer=1 --n_head=2 --n_embd=16 --block_size=16 --batch_size=2 --gradient_accumulation_steps=1 --eval_iters=1 --threads=1"

#endif
