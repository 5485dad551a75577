/* verb_chat.c -- nib chat [MODEL]: a line is what the user says.  On a terminal with a prompt; from a pipe without, answers and nothing else. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/json.h"
#include "base/utf8.h"
#include "cli/cli.h"
#include "cpu/cpu.h"
#include "infer/engine.h"
#include "infer/talk.h"
#include "model/hub.h"

struct chat_options {
    const char *out_dir, *base, *tokenizer, *template, *system, *dtype;
    int64_t max_new_tokens, top_k, seed, threads;
    double temperature, top_p, min_p, repetition_penalty;
};

static const char USAGE[] =
    "nib chat [MODEL] [--key=value ...]\n\n"
    "Talks with a model that was finetuned on conversations: each line is a message; /help lists what else can be said. MODEL: a run\n"
    "folder, or any model folder. Ctrl-C ends an answer, Ctrl-D the conversation. From a pipe each line is a message, too.\n\n";

#define FIELD(name) #name, .offset = offsetof(struct chat_options, name)
static const struct option table[] = {
    { FIELD(out_dir), .kind = OPTION_TEXT, .initial = "out", .group = "model", .help = "the same as MODEL" },
    { FIELD(base), .kind = OPTION_TEXT, .initial = NULL, .group = "model", .help = "of an adapter: the model that it adapts, if it is not where that says" },
    { FIELD(tokenizer), .kind = OPTION_TEXT, .initial = "auto", .group = "model", .help = "auto: the model folder's own; else gpt2, or a file" },
    { FIELD(template), .kind = OPTION_TEXT, .initial = "auto", .choices = "auto|chatml|llama3|zephyr|nanochat", .group = "model", .help = "how a conversation is written down; auto: as the model's files say" },
    { FIELD(system), .kind = OPTION_TEXT, .initial = NULL, .group = "text", .help = "what the system says at first; by default what the template says, if anything" },
    { FIELD(max_new_tokens), .kind = OPTION_INT, .initial = "512", .least = 1, .most = 1 << 30, .group = "text", .help = "of an answer, at most" },
    { FIELD(temperature), .kind = OPTION_REAL, .initial = "0.8", .least = 0, .most = 1e3, .group = "choice", .help = "below 1 bolder, above 1 wilder; 0: the most likely token" },
    { FIELD(top_k), .kind = OPTION_INT, .initial = "200", .least = 0, .most = 1 << 24, .group = "choice", .help = "only the k most likely tokens; 0: all" },
    { FIELD(top_p), .kind = OPTION_REAL, .initial = "1.0", .least = 0, .most = 1, .group = "choice", .help = "only the fewest tokens that together have this probability" },
    { FIELD(min_p), .kind = OPTION_REAL, .initial = "0.0", .least = 0, .most = 1, .group = "choice", .help = "only tokens with this share of the likeliest one's probability" },
    { FIELD(repetition_penalty), .kind = OPTION_REAL, .initial = "1.0", .least = 0.01, .most = 100, .group = "choice", .help = "above 1: tokens seen before become less likely" },
    { FIELD(seed), .kind = OPTION_INT, .initial = "1337", .least = 0, .most = 1LL << 53, .group = "choice", .help = "of all that is drawn" },
    { FIELD(dtype), .kind = OPTION_TEXT, .initial = "auto", .choices = "auto|float32|bfloat16|float16", .group = "machine", .help = "auto: float32; bfloat16: half the memory" },
    { FIELD(threads), .kind = OPTION_INT, .initial = "0", .least = 0, .most = 1024, .group = "machine", .help = "0: one a core" },
};

struct chatter {
    const struct chat_options *o;
    struct talk talk;
    struct generation how;
    json_t *said;                        /* [{"role", "content"} ...], for /save */
    struct text in, answer;              /* what was read and not yet used; the answer at hand */
    int ended;                           /* there is no more to read, or /quit */
    int terminal, told;                  /* somebody types; it was told that old turns go */
};

/* As all notes are: what a line has in it is shown without control characters. */
__attribute__((format(printf, 1, 2))) static void note(const char *format, ...)
{
    char line[2048];
    struct text t = { 0 };
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    text_add(&t, line);
    fflush(stdout);                                          /* on a terminal both are one text */
    if (!t.failed) cli_notices(&t);
    text_free(&t);
}

/* ---- lines ---- */

static int has_line(const struct chatter *c) { return c->in.size && memchr(c->in.at, '\n', c->in.size); }

static void prompt(const struct chatter *c)
{
    if (c->terminal) fputs("\n> ", stdout);
    fflush(stdout);
}

/* Ctrl-C while nobody answers is no reason to end, for somebody who types. */
static int interrupted_prompt(const struct chatter *c)
{
    interrupted = 0;
    FAIL_IF(!c->terminal, E_STOPPED, "interrupted");
    fputs("\n(/quit or Ctrl-D ends)\n", stdout);
    prompt(c);
    return 0;
}

/* Until there is something to read.  A signal between the look at it and poll, or one that another thread takes, is seen within a second. */
static int wait_for_input(const struct chatter *c)
{
    struct pollfd f = { STDIN_FILENO, POLLIN, 0 };
    for (;;) {
        if (interrupted) TRY(interrupted_prompt(c));
        int ready = poll(&f, 1, 1000);
        FAIL_IF(ready < 0 && errno != EINTR, E_IO, "standard input: %m");
        if (ready > 0) return 0;
    }
}

static int read_more(struct chatter *c)
{
    enum { LINE_LIMIT = 1 << 20 };
    char bytes[4096];
    FAIL_IF(c->in.size > LINE_LIMIT, E_USAGE, "a line of more than a megabyte");
    TRY(wait_for_input(c));
    ssize_t n = read(STDIN_FILENO, bytes, sizeof bytes);
    FAIL_IF(n < 0 && errno != EINTR, E_IO, "standard input: %m");
    if (n == 0) c->ended = 1;
    if (n > 0) text_bytes(&c->in, bytes, (size_t)n);
    FAIL_IF(c->in.failed, E_MEMORY, "no memory for a line");
    return 0;
}

/* The next line, without its end; the last needs none. */
static int read_line(struct chatter *c, struct text *line, int *got)
{
    text_clear(line);
    if (!has_line(c)) prompt(c);
    while (!has_line(c) && !c->ended) TRY(read_more(c));
    *got = c->in.size > 0;
    if (!*got) return 0;
    size_t n = has_line(c) ? (size_t)((char *)memchr(c->in.at, '\n', c->in.size) - c->in.at) : c->in.size, used = n + (n < c->in.size);
    if (n && c->in.at[n - 1] == '\r') n--;
    text_add(line, "");
    text_bytes(line, c->in.at, n);
    text_drop(&c->in, used);
    FAIL_IF(line->failed, E_MEMORY, "no memory for a line");
    return 0;
}

/* ---- what is said ---- */

static json_t *message(enum role role, const char *text) { return json_pack("{s:s, s:s}", "role", role_names[role], "content", text); }

/* A model may write anything: what would move a terminal's cursor is shown as '?'. */
static int on_text(void *context, int stream, const char *text, size_t n, int done)
{
    struct chatter *c = context;
    (void)stream, (void)done;
    text_bytes(&c->answer, text, n);
    for (size_t i = 0, size; i < n; i += size) {
        int32_t point = utf8_next(text + i, n - i, &size);
        int moves = (point < ' ' && point != '\n' && point != '\t') || (point >= 0x7f && point < 0xa0);
        if (c->terminal && moves) fputc('?', stdout);
        else fwrite(text + i, 1, size, stdout);
    }
    FAIL_IF(fflush(stdout) || ferror(stdout), E_IO, "standard output: %s", strerror(errno));
    return 0;
}

static void tell_end(struct chatter *c, int code, const struct talked *told)
{
    fputs(code ? " ...\n" : "\n", stdout);
    if (!code && told->end == TALK_CUT) note("the answer was cut at %lld tokens (--max_new_tokens, or the context of %lld)", (long long)told->tokens, (long long)c->talk.session->context);
    if (told->left_out && !c->told) note("the context of %lld tokens is full; from now on the oldest turns are left out", (long long)c->talk.session->context);
    c->told |= told->left_out > 0;
}

static int say(struct chatter *c, const char *text, size_t n)
{
    struct talked told;
    if (utf8_good(text, n) < n) return note("that is not UTF-8; it was not sent"), 0;
    text_clear(&c->answer);
    text_add(&c->answer, "");
    interrupted = 0;
    int code = talk_say(&c->talk, text, n, &c->how, &told);
    if (code == E_USAGE || code == E_DATA) return note("%s", error_text()), 0;
    if (code && code != E_STOPPED) return code;
    tell_end(c, code, &told);
    json_array_append_new(c->said, message(ROLE_USER, text));
    json_array_append_new(c->said, message(ROLE_ASSISTANT, c->answer.at));
    if (code && !c->terminal) return code;                   /* who feeds it by a pipe wants it to end */
    interrupted = 0;
    return 0;
}

/* ---- commands ---- */

static int help(struct chatter *c, const char *argument);

static int reset(struct chatter *c, const char *argument)
{
    (void)argument;
    json_array_clear(c->said);
    return talk_reset(&c->talk);
}

static int set_system(struct chatter *c, const char *argument)
{
    struct text *system = &c->talk.chat.system;
    text_clear(system);
    text_add(system, argument);
    FAIL_IF(system->failed, E_MEMORY, "no memory for the system's text");
    return reset(c, "");
}

static int save(struct chatter *c, const char *argument)
{
    json_t *all = json_copy(c->said), *root = json_pack("{s:o}", "messages", all);
    if (c->talk.chat.system.size) json_array_insert_new(all, 0, message(ROLE_SYSTEM, c->talk.chat.system.at));
    char *line = json_dumps(root, JSON_COMPACT);
    FILE *f = *argument && line ? fopen(argument, "a") : NULL;
    int failed = !f || fprintf(f, "%s\n", line) < 0;
    if (f && fclose(f)) failed = 1;
    if (!*argument) note("/save FILE: to which file?");
    else if (failed) note("%s: %s", argument, strerror(errno));
    else note("%zu messages are a line of %s more; nib data reads it", json_array_size(all), argument);
    free(line);
    json_decref(root);
    return 0;
}

static int quit(struct chatter *c, const char *argument)
{
    (void)argument;
    c->ended = 1;
    text_clear(&c->in);
    return 0;
}

static const struct { const char *name; int (*run)(struct chatter *c, const char *argument); const char *what; } commands[] = {
    { "/help", help, "this list" },
    { "/reset", reset, "a new conversation" },
    { "/system", set_system, "TEXT: a new conversation, in which the system says this at first" },
    { "/save", save, "FILE: what was said becomes a line of JSON there, as nib data reads it" },
    { "/quit", quit, "the end, as Ctrl-D" },
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static int help(struct chatter *c, const char *argument)
{
    (void)c, (void)argument;
    for (int i = 0; i < COMMANDS; i++) printf("%-8s %s\n", commands[i].name, commands[i].what);
    printf("//       a message that begins with a slash\n");
    return 0;
}

static int command(struct chatter *c, const char *line)
{
    size_t n = strcspn(line, " ");
    for (int i = 0; i < COMMANDS; i++)
        if (strlen(commands[i].name) == n && !strncmp(commands[i].name, line, n)) return commands[i].run(c, line + n + strspn(line + n, " "));
    note("there is no %.*s; /help lists what there is", (int)n, line);
    return 0;
}

static int obey(struct chatter *c, const struct text *line)
{
    if (strspn(line->at, " \t") == line->size) return 0;
    if (line->at[0] == '/' && line->at[1] == '/') return say(c, line->at + 1, line->size - 1);
    return line->at[0] == '/' ? command(c, line->at) : say(c, line->at, line->size);
}

/* ---- all of it ---- */

static int converse(struct chatter *c)
{
    struct text line = { 0 };
    int code = c->o->system ? set_system(c, c->o->system) : 0, got = 1;
    if (c->terminal) printf("%s, %lld tokens of context; /help lists commands\n", c->talk.chat.form->name, (long long)c->talk.session->context);
    while (!code && got) {
        code = read_line(c, &line, &got);
        if (!code && got) code = obey(c, &line);
    }
    if (c->terminal) fputs("\n", stdout);
    text_free(&line);
    return code;
}

static int open_and_converse(struct chatter *c, const char *folder, struct text *notices)
{
    const struct chat_options *o = c->o;
    const struct model *m;
    struct config config;
    struct engine e;
    TRY(model_describe(&m, &config, folder, o->base));
    struct engine_options eo = { .type = strcmp(o->dtype, "bfloat16") ? F32 : BF16, .streams = 1, .context = cli_context(&config, notices), .base = o->base,
                                 .tokenizer = strcmp(o->tokenizer, "auto") ? o->tokenizer : NULL };
    cli_notices(notices);
    TRY(engine_open(&e, folder, &eo));
    c->how.tokenizer = e.tokenizer;
    int code = e.tokenizer ? talk_open(&c->talk, &e.session, e.tokenizer, o->template) : error_set(E_DATA, __FILE__, __LINE__, "%s has no tokenizer; give one with --tokenizer", folder);
    if (!code) code = converse(c);
    talk_close(&c->talk);
    engine_close(&e);
    return code;
}

static int chat(struct options *options, int argc, char **argv)
{
    const struct chat_options *o = options->values;
    char folder[PATH_SIZE];
    const char *model = argc ? argv[0] : o->out_dir;
    struct chatter c = { .o = o, .said = json_array(), .terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) };
    c.how = (struct generation){ .max_new = o->max_new_tokens, .emit = on_text, .context = &c, .interrupted = &interrupted,
                                 .sampling = { .temperature = o->temperature, .top_k = o->top_k, .top_p = o->top_p, .min_p = o->min_p, .repetition = o->repetition_penalty, .seed = (uint64_t)o->seed } };
    signal(SIGTERM, SIG_DFL);                                /* that ends the program at once; there is nothing to save */
    int code = cpu_init(NULL, (int)o->threads);
    if (!code) code = hub_find(folder, model, screen_transfer, (void *)(uintptr_t)model);
    screen_clear();
    if (!code) code = open_and_converse(&c, folder, options->notices);
    json_decref(c.said);
    text_free(&c.in);
    text_free(&c.answer);
    return code;
}

int verb_chat(int argc, char **argv)
{
    struct chat_options o;
    return cli_run(&(struct command){ CLI_TABLE(table), 0, 1, 0, USAGE, chat }, &o, argc, argv);
}
