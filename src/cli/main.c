/* main.c -- nib VERB ... */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "base/utf8.h"
#include "cli/cli.h"

#define VERSION "0.1.0"

/* Those that look at `interrupted` end well; the others have nothing to finish. */
static const struct { const char *name; int (*run)(int argc, char **argv); int looks; const char *help; } verbs[] = {
    { "data", verb_data, 0, "text to tokens: nib data my.txt --out data/my" },
    { "train", verb_train, 1, "train or finetune: nib train my.txt, nib train config/shakespeare_char.conf" },
    { "sample", verb_sample, 1, "let a model write: nib sample out --start=\"Once\"" },
    { "chat", verb_chat, 1, "talk with a model that was finetuned on conversations: nib chat out" },
    { "eval", verb_eval, 0, "the loss of a model on data, or its answers: nib eval out --dataset=data/my" },
    { "info", verb_info, 0, "what a model or configuration is, and the plan it runs by" },
    { "watch", verb_watch, 1, "a run's curves in the terminal, as they grow: nib watch out" },
    { "report", verb_report, 0, "a run as a page, or several beside each other: nib report out" },
    { "tokenizer", verb_tokenizer, 0, "learn a tokenizer, use or describe one: nib tokenizer train my.txt --out my" },
    { "tales", verb_tales, 0, "stories from the built-in grammar, and its judgement of a model's" },
    { "plan", verb_plan, 0, "what a run would need and how long it would take here: nib plan config/gpt2.conf" },
    { "sweep", verb_sweep, 1, "a run for each of some values: nib sweep config/gpt2.conf --learning_rate=1e-3,3e-4" },
    { "export", verb_export, 0, "a model as other tools have it: nib export out --to=nanogpt" },
    { "check", verb_check, 0, "whether a run, a model or prepared data is what was written" },
    { "bench", verb_bench, 0, "the speed of training and of writing: nib bench train --model=tiny" },
};
enum { VERBS = sizeof verbs / sizeof *verbs };

volatile sig_atomic_t interrupted;

static void on_interrupt(int signal)
{
    (void)signal;
    if (interrupted) _exit(E_STOPPED);
    interrupted = 1;
}

static void watch_interrupts(void)
{
    struct sigaction act = { .sa_handler = on_interrupt, .sa_flags = SA_RESTART };       /* what is being written arrives whole */
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
}

/* A file that was mapped lost pages, and reading them ends here.  Nothing may be called but write and _exit. */
static void on_lost_pages(int signal)
{
    static const char message[] = "nib: a file that is being read was cut off meanwhile; start again when no other program writes to it\n";
    ssize_t written = write(STDERR_FILENO, message, sizeof message - 1);
    (void)signal, (void)written;
    _exit(E_IO);
}

static int usage(void)
{
    printf("nib %s -- GPTs in plain C: prepare text, train, finetune, evaluate, sample\n\n", VERSION);
    for (int i = 0; i < VERBS; i++) printf("  nib %-9s %s\n", verbs[i].name, verbs[i].help);
    printf("\nnib VERB --help lists the options of a verb.\n");
    return 0;
}

/* A message may quote what stands in files, and may have been cut within a character: what reaches the terminal is UTF-8 without
 * control characters (C0, DEL, C1). */
static void print_message(const char *what, const char *text, size_t n)
{
    fputs(what, stderr);
    for (size_t i = 0, size; i < n; i += size) {
        int32_t point = utf8_next(text + i, n - i, &size);
        if (point < ' ' || (point >= 0x7f && point < 0xa0)) fputc('?', stderr);
        else fwrite(text + i, 1, size, stderr);
    }
    fputc('\n', stderr);
}

void cli_notices(struct text *notices)
{
    screen_clear();
    for (const char *line = notices->size ? notices->at : ""; *line;) {
        size_t n = strcspn(line, "\n");
        print_message("note: ", line, n);
        line += n + (line[n] != 0);
    }
    text_clear(notices);
}

int cli_options(struct options *o, int *argc, char **argv, int most, const char *text, int *done)
{
    struct text help = { 0 };
    *done = 0;
    TRY(options_arguments(o, argc, argv));
    cli_notices(o->notices);
    if (o->help) {
        text_add(&help, text);
        options_help(o, &help, 100);
        fputs(help.at, stdout);
        text_free(&help);
        *done = 1;
        return 0;
    }
    FAIL_IF(*argc > most, E_USAGE, "unexpected argument %s", argv[most]);
    return 0;
}

int cli_run(const struct command *c, void *values, int argc, char **argv)
{
    struct arena memory = { 0 };
    struct text notices = { 0 };
    struct options o = { .table = c->table, .n = c->options, .values = values, .memory = &memory, .notices = &notices };
    int done = 0, configs = 0, code = options_defaults(&o);
    if (!code && c->configs) code = cli_find_configs(argc, argv, &memory, &notices, &configs);
    if (!code) code = cli_options(&o, &argc, argv, c->most, c->usage, &done);
    if (!code && !done && argc < c->least) code = error_set(E_USAGE, __FILE__, __LINE__, "%.*s: what is missing stands in capitals", (int)strcspn(c->usage, "\n"), c->usage);
    if (!code && !done) code = c->run(&o, argc, argv);
    cli_notices(&notices);
    text_free(&notices);
    arena_free(&memory);
    return code;
}

static int run(int argc, char **argv)
{
    if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) return usage();
    if (!strcmp(argv[1], "--version")) return printf("nib %s\n", VERSION) < 0;
    for (int i = 0; i < VERBS; i++) {
        if (strcmp(argv[1], verbs[i].name)) continue;
        if (verbs[i].looks) watch_interrupts();
        return verbs[i].run(argc - 2, argv + 2);
    }
    FAIL(E_USAGE, "nib has no verb %s; nib --help lists them", argv[1]);
}

/* Where one of the three is closed, the next file would take its place, and what is printed would go there. */
static void open_descriptors(void)
{
    int fd;
    do fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0) close(fd);
}

int cli_finish(int code)
{
    screen_clear();
    if ((fflush(stdout) || ferror(stdout)) && !code) code = error_set(E_IO, __FILE__, __LINE__, "standard output could not be written: is the disk full?");
    if (code && strcmp(error_text(), "no error")) print_message("nib: ", error_text(), strlen(error_text()));
    return code;
}

int main(int argc, char **argv)
{
    open_descriptors();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGBUS, on_lost_pages);
    return cli_finish(run(argc, argv));
}
