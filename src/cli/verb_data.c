/* verb_data.c -- nib data INPUT ... --out DIR, or nib data NAME: text to tokens. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "cli/cli.h"
#include "text/dataset.h"
#include "text/prepare.h"

struct data_options { const char *out, *tokenizer, *field, *val, *file, *format; int64_t count, seed, threads, shard_size; };

#define FIELD(name) #name, .offset = offsetof(struct data_options, name)
static const struct option table[] = {
    { FIELD(out), .kind = OPTION_TEXT, .initial = NULL, .group = "output", .help = "the folder to write; by default data/NAME, NAME being that of the set or of the first input" },
    { FIELD(shard_size), .kind = OPTION_INT, .initial = "100000000", .least = 0, .most = 1LL << 40, .group = "output", .help = "tokens of a shard: a set of more becomes several files, which train in turn; 0: one file, as nanoGPT has it" },
    { FIELD(format), .kind = OPTION_TEXT, .initial = "nanogpt", .choices = "nanogpt|llmc", .group = "output", .help = "nanogpt: train.bin and val.bin; llmc: tokens_train_000000.bin ..., with a header, for its -i and -j" },
    { FIELD(tokenizer), .kind = OPTION_TEXT, .initial = "auto", .group = "tokens", .help = "char: one token a character; gpt2; or a tokenizer file or folder; auto: that of a named set, char for one small text, gpt2 else" },
    { FIELD(field), .kind = OPTION_TEXT, .initial = "text", .group = "input", .help = "which field of JSON lines is the text" },
    { FIELD(val), .kind = OPTION_TEXT, .initial = "0.1", .group = "input", .help = "the share of the text that validates, its end; or a file that does" },
    { FIELD(threads), .kind = OPTION_INT, .initial = "0", .least = 0, .most = 1024, .group = "machine", .help = "that encode; 0: one a core" },
    { FIELD(file), .kind = OPTION_TEXT, .initial = NULL, .group = "named sets", .help = "shakespeare, shakespeare_char: take the text from here instead of downloading it" },
    { FIELD(count), .kind = OPTION_INT, .initial = "0", .least = 0, .most = 1 << 30, .group = "named sets", .help = "tales: how many stories; 0: the usual number" },
    { FIELD(seed), .kind = OPTION_INT, .initial = "1337", .least = 0, .most = 1LL << 53, .group = "named sets", .help = "tales: which stories" },
};
enum { SMALL_TEXT = 4 << 20 };

static const char *choose_tokenizer(const struct data_options *o, int argc, char **argv, int named)
{
    struct file_map map;
    if (strcmp(o->tokenizer, "auto")) return o->tokenizer;
    if (named) return NULL;
    if (argc != 1 || !path_is_file(argv[0]) || file_open_map(&map, argv[0])) return "gpt2";
    int small = map.size <= SMALL_TEXT;
    file_close_map(&map);
    return small ? "char" : "gpt2";
}

static int prepare_all(const struct data_options *o, int argc, char **argv, struct text *notices)
{
    char stem[128], folder[PATH_SIZE];
    const char *base = path_base(argv[0]);
    int named = argc == 1 && prepare_is_named(argv[0]);
    snprintf(stem, sizeof stem, "%.*s", (int)strcspn(base, "."), base);
    TRY(path_join(folder, "data", *stem ? stem : "text"));
    struct prepare_options p = { .inputs = (const char *const *)argv, .n = argc, .out = o->out ? o->out : folder, .tokenizer = choose_tokenizer(o, argc, argv, named), .field = o->field, .val = o->val, .threads = o->threads, .shard_size = (uint64_t)o->shard_size,
                                 .format = strcmp(o->format, "llmc") ? TOKENS_NANOGPT : TOKENS_LLMC,
                                 .notices = notices, .progress = screen_transfer, .context = (void *)(uintptr_t)(named ? "preparing" : "reading") };
    struct prepared done;
    if (named) TRY(prepare_named(argv[0], o->file, p.out, o->count, (uint64_t)o->seed, &p, &done));
    else TRY(prepare(&p, &done));
    cli_notices(notices);
    printf("%s: %llu tokens to train on, %llu to validate, vocabulary %lld", p.out, (unsigned long long)done.train, (unsigned long long)done.val, (long long)done.vocab);
    if (done.documents > 1) printf(", %llu documents", (unsigned long long)done.documents);
    printf("\n");
    return 0;
}

int cli_tell_data(const char *name)
{
    struct dataset d;
    struct text out = { 0 };
    TRY(dataset_open(&d, name));
    int code = dataset_tell(&d, &out);
    for (size_t i = 0; i < out.size && !code; i++) putchar((unsigned char)out.at[i] < ' ' && !strchr("\n\t", out.at[i]) ? '?' : out.at[i]);
    text_free(&out);
    dataset_close(&d);
    return code;
}

static int data(struct options *options, int argc, char **argv)
{
    FAIL_IF(!argc, E_USAGE, "nib data INPUT ...: which text?");
    FAIL_IF(!strcmp(argv[0], "info") && argc != 2, E_USAGE, "nib data info DIR: which folder?");
    return strcmp(argv[0], "info") ? prepare_all(options->values, argc, argv, options->notices) : cli_tell_data(argv[1]);
}

int verb_data(int argc, char **argv)
{
    struct data_options o;
    return cli_run(&(struct command){ CLI_TABLE(table), 0, 1 << 20, 0, "nib data INPUT ... [--out DIR]\nnib data shakespeare_char|shakespeare|tales [--out DIR]\nnib data info DIR\n\n"
                                      "Prepares text for training: files or folders of text or JSON lines, plain or .gz; info says what was prepared.\n\n", data }, &o, argc, argv);
}
