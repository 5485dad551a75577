/* verb_tokenizer.c -- nib tokenizer train|info|encode|decode. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "cli/cli.h"
#include "file/stream.h"
#include "token/tokenizer.h"
#include "token/tokenizer_train.h"

struct tokenizer_options { const char *out, *regex, *special, *field, *specials; int64_t vocab, min_frequency, threads; int show, add_special_tokens; };

#define FIELD(name) #name, .offset = offsetof(struct tokenizer_options, name)
static const struct option for_train[] = {
    { FIELD(vocab), .kind = OPTION_INT, .initial = "4096", .least = 256, .most = 1 << 24, .group = "tokens", .help = "ids in all: 256 bytes, merges, special tokens" },
    { FIELD(regex), .kind = OPTION_TEXT, .initial = "gpt2", .choices = "gpt2|llama3|qwen2|nanochat|cl100k|o200k|none", .group = "tokens", .help = "where text is cut before merging; none: merges go across words" },
    { FIELD(special), .kind = OPTION_TEXT, .initial = "<|endoftext|>", .group = "tokens", .help = "special tokens, separated by commas; the first ends a text" },
    { FIELD(min_frequency), .kind = OPTION_INT, .initial = "0", .least = 0, .most = 1LL << 53, .group = "tokens", .help = "how often a pair must occur to be merged" },
    { FIELD(field), .kind = OPTION_TEXT, .initial = "text", .group = "input", .help = "which field of JSON lines is the text" },
    { FIELD(threads), .kind = OPTION_INT, .initial = "0", .least = 0, .most = 1024, .group = "machine", .help = "0: one a core" },
    { FIELD(out), .kind = OPTION_TEXT, .initial = NULL, .group = "output", .help = "the folder to write" },
};
static const struct option for_encode[] = {
    { FIELD(specials), .kind = OPTION_TEXT, .initial = "text", .choices = "text|tokens|refused", .group = "tokens", .help = "what special tokens in the text are: text like any, tokens, or an error" },
    { FIELD(add_special_tokens), .kind = OPTION_BOOL, .initial = "true", .group = "tokens", .help = "those that the tokenizer's file puts before and behind a text" },
    { FIELD(show), .kind = OPTION_BOOL, .initial = "false", .group = "output", .help = "the text in its pieces instead of ids: coloured on a terminal, else one a line, quoted" },
    { FIELD(threads), .kind = OPTION_INT, .initial = "0", .least = 0, .most = 1024, .group = "machine", .help = "0: one a core" },
};
enum { TEXT_LIMIT = 1 << 30 };

/* ---- train ---- */

/* Cuts a list at its commas.  Returns how many there are, at most `most`. */
static int cut_list(char *list, const char **items, int most)
{
    int n = 0;
    for (char *at = *list ? list : NULL; at && n < most; n++) {
        items[n] = at;
        at = strchr(at, ',');
        if (at) *at++ = 0;
    }
    return n;
}

static void show_merging(void *context, uint64_t now, uint64_t all)
{
    char line[80];
    (void)context;
    snprintf(line, sizeof line, "merging  %llu of %llu tokens", (unsigned long long)now, (unsigned long long)all);
    screen_line(line, 0);
}

static int train(struct options *options, int argc, char **argv)
{
    const struct tokenizer_options *o = options->values;
    enum { MOST = 256 };
    const char *specials[MOST];
    struct tokenizer *t;
    struct tokenizer_trained done;
    FAIL_IF(!o->out, E_USAGE, "nib tokenizer train INPUT ... --out DIR: where to?");
    char *list = strdup(o->special);
    FAIL_IF(!list, E_MEMORY, "no memory for special tokens");
    struct tokenizer_training training = { .inputs = (const char *const *)argv, .n = argc, .field = o->field, .vocab = o->vocab, .regex = o->regex, .specials = specials,
                                           .n_specials = cut_list(list, specials, MOST), .least = o->min_frequency, .threads = (int)o->threads, .notices = options->notices,
                                           .reading = screen_transfer, .merging = show_merging, .context = (void *)(uintptr_t)"reading" };
    int code = tokenizer_train(&t, &training, &done);
    free(list);
    cli_notices(options->notices);
    if (code) return code;
    code = dir_make(o->out);
    if (!code) code = tokenizer_save(t, o->out);
    if (!code)
        printf("%s: vocabulary %u of %.1f MB of text, %llu pieces of %llu kinds; fingerprint %s\n", o->out, tokenizer_vocab(t), (double)done.bytes / 1e6, (unsigned long long)done.pieces,
               (unsigned long long)done.kinds, tokenizer_fingerprint(t));
    tokenizer_free(t);
    return code;
}

/* ---- encode, decode ---- */

static int read_input(const char *path, struct text *out)
{
    struct stream *s;
    int more;
    TRY(stream_open(&s, path ? path : "-"));
    int code = stream_append(s, out, TEXT_LIMIT + (size_t)1, &more);
    stream_close(s);
    FAIL_IF(!code && out->size > TEXT_LIMIT, E_DATA, "%s: more than 1 GiB", path ? path : "standard input");
    return code;
}

/* A piece as it stands between two colours, or quoted on a line of its own. */
static void show(const struct tokenizer *t, const struct ids *ids, int colours)
{
    static const char *const ground[] = { "\033[48;5;153m", "\033[48;5;194m", "\033[48;5;223m", "\033[48;5;225m", "\033[48;5;189m" };
    size_t n;
    for (size_t i = 0; i < ids->n; i++) {
        const char *bytes = tokenizer_bytes(t, ids->at[i], &n);
        if (colours) printf("\033[38;5;16m%s", ground[i % (sizeof ground / sizeof *ground)]);
        else printf("%u \"", ids->at[i]);
        for (size_t k = 0; k < n; k++) {
            unsigned char c = (unsigned char)bytes[k];
            if (colours && c == '\n') printf("\033[0m\n");
            else if (c < ' ' || c == 127 || (!colours && (c == '"' || c == '\\'))) printf("\\x%02x", c);
            else putchar(c);
        }
        printf(colours ? "\033[0m" : "\"\n");
    }
    if (colours) printf("\n");
}

static int add_template(const struct tokenizer *t, int behind, struct ids *ids)
{
    size_t n;
    const uint32_t *around = tokenizer_template(t, behind, &n);
    return ids_add(ids, around, n);
}

static int encode(struct options *options, int argc, char **argv)
{
    const struct tokenizer_options *o = options->values;
    static const char *const choices[] = { [SPECIALS_AS_TEXT] = "text", [SPECIALS_AS_TOKENS] = "tokens", [SPECIALS_REFUSED] = "refused" };
    struct tokenizer *t;
    struct text text = { 0 };
    struct ids ids = { 0 };
    enum specials s = SPECIALS_AS_TEXT;
    while (strcmp(choices[s], o->specials)) s++;
    TRY(tokenizer_find(&t, argv[0], NULL));
    int code = read_input(argc > 1 ? argv[1] : NULL, &text);
    if (!code && o->add_special_tokens) code = add_template(t, 0, &ids);
    if (!code) code = tokenizer_encode_by(t, text.at ? text.at : "", text.size, s, (int)o->threads, &ids);
    if (!code && o->add_special_tokens) code = add_template(t, 1, &ids);
    if (!code && o->show) show(t, &ids, isatty(STDOUT_FILENO));
    for (size_t i = 0; i < ids.n && !code && !o->show; i++) printf("%u%c", ids.at[i], i + 1 < ids.n ? ' ' : '\n');
    ids_free(&ids);
    text_free(&text);
    tokenizer_free(t);
    return code;
}

/* Ids, separated by white space. */
static int read_ids(const struct text *text, struct ids *ids)
{
    for (const char *p = text->size ? text->at : "";;) {
        char *end;
        p += strspn(p, " \t\r\n");
        if (!*p) return 0;
        unsigned long id = strtoul(p, &end, 10);
        FAIL_IF(end == p || *p == '-' || *p == '+' || id > UINT32_MAX || !strchr(" \t\r\n", *end), E_DATA, "\"%.20s\" is no id", p);
        TRY(ids_add(ids, &(uint32_t){ (uint32_t)id }, 1));
        p = end;
    }
}

static int decode(struct options *options, int argc, char **argv)
{
    struct tokenizer *t;
    struct text text = { 0 }, out = { 0 };
    struct ids ids = { 0 };
    (void)options;
    TRY(tokenizer_find(&t, argv[0], NULL));
    int code = read_input(argc > 1 ? argv[1] : NULL, &text);
    if (!code) code = read_ids(&text, &ids);
    if (!code) code = tokenizer_decode(t, ids.at, ids.n, &out);
    if (!code && out.size) fwrite(out.at, 1, out.size, stdout);
    ids_free(&ids);
    text_free(&out);
    text_free(&text);
    tokenizer_free(t);
    return code;
}

/* ---- info ---- */

static void print_rules(const struct tokenizer *t)
{
    struct text rules = { 0 };
    tokenizer_describe(t, &rules);
    if (rules.size) fputs(rules.at, stdout);
    text_free(&rules);
}

static int print_rate(const struct tokenizer *t, const char *name, const struct text *text)
{
    struct ids ids = { 0 };
    TRY(tokenizer_encode_by(t, text->at, text->size, SPECIALS_AS_TEXT, 0, &ids));
    printf("%s: %zu bytes are %zu ids, %.3f bytes each\n", name, text->size, ids.n, ids.n ? (double)text->size / (double)ids.n : 0);
    ids_free(&ids);
    return 0;
}

/* With a text, what becomes of it, and what GPT-2's tokenizer makes of it where that is at hand. */
static int info(struct options *options, int argc, char **argv)
{
    struct tokenizer *t, *gpt2;
    struct text text = { 0 };
    (void)options;
    TRY(tokenizer_find(&t, argv[0], NULL));
    print_rules(t);
    int code = argc > 1 ? read_input(argv[1], &text) : 0;
    if (!code && text.size) code = print_rate(t, argv[0], &text);
    if (!code && text.size && (gpt2 = tokenizer_gpt2_at_hand())) {
        if (strcmp(tokenizer_fingerprint(gpt2), tokenizer_fingerprint(t))) code = print_rate(gpt2, "gpt2", &text);
        tokenizer_free(gpt2);
    }
    text_free(&text);
    tokenizer_free(t);
    return code;
}

/* ---- the verb ---- */

static const struct part { const char *name; struct command command; } parts[] = {
    { "train", { CLI_TABLE(for_train), 1, 1 << 20, 0, "nib tokenizer train INPUT ... --out DIR [--vocab=4096] [--key=value ...]\n\nLearns byte-level BPE from files or folders of text or JSON lines, plain or .gz.\n\n", train } },
    { "info", { NULL, 0, 1, 2, 0, "nib tokenizer info TOKENIZER [FILE]\n\nWhat a tokenizer is, and what it makes of a text.\n\n", info } },
    { "encode", { CLI_TABLE(for_encode), 1, 2, 0, "nib tokenizer encode TOKENIZER [FILE] [--key=value ...]\n\nIds of a text or of standard input, separated by spaces.\n\n", encode } },
    { "decode", { NULL, 0, 1, 2, 0, "nib tokenizer decode TOKENIZER [FILE]\n\nThe text of ids, separated by white space, from a file or standard input.\n\n", decode } },
};
enum { PARTS = sizeof parts / sizeof *parts };
int verb_tokenizer(int argc, char **argv)
{
    struct tokenizer_options o = { 0 };
    if (argc && (!strcmp(argv[0], "--help") || !strcmp(argv[0], "-h"))) {
        for (int i = 0; i < PARTS; i++) printf("%s", parts[i].command.usage);
        printf("TOKENIZER is gpt2, a file or a folder. nib tokenizer PART --help lists the options of a part.\n");
        return 0;
    }
    for (int i = 0; i < PARTS && argc; i++)
        if (!strcmp(argv[0], parts[i].name)) return cli_run(&parts[i].command, &o, argc - 1, argv + 1);
    FAIL_IF(!argc, E_USAGE, "nib tokenizer PART: which part? One of train, info, encode, decode");
    FAIL(E_USAGE, "nib tokenizer has no part %s; it has train, info, encode, decode", argv[0]);
}
