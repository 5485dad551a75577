/* bench_tokenizer.c -- nib bench tokenizer TOKENIZER FILE: text to ids and back, in MB (10^6 bytes) of text a second; the best of
 * some rounds.  Memory is that of the round before, but words are met anew. */
#include <stdio.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "cli/bench.h"
#include "cli/cli.h"
#include "token/tokenizer.h"

struct bench_options { int64_t threads; double seconds; int json; };

enum { LEAST_ROUNDS = 3 };
#define FIELD(name) #name, .offset = offsetof(struct bench_options, name)
static const struct option table[] = {
    { FIELD(threads), .kind = OPTION_INT, .initial = "1", .least = 0, .most = 1024, .group = "machine", .help = "that encode; 0: one a core" },
    { FIELD(seconds), .kind = OPTION_REAL, .initial = "2", .least = 0, .most = 3600, .group = "rounds", .help = "at least so long, and at least three rounds" },
    { FIELD(json), .kind = OPTION_BOOL, .initial = "false", .group = "output", .help = "one JSON object on standard output" },
};

static const char USAGE[] =
    "nib bench tokenizer TOKENIZER FILE [--key=value ...]\n\n"
    "Times encoding and decoding of a text. TOKENIZER is a file or folder as in nib data --tokenizer, or gpt2.\n\n";

struct speed { double encode, decode; size_t ids; };         /* seconds */
struct work { struct encoders *encoders; struct ids ids; struct text back; };       /* memory that all rounds use */

static int one_round(const struct tokenizer *t, const struct file_map *text, struct work *w, struct speed *v)
{
    w->ids.n = 0;
    text_clear(&w->back);
    encoders_forget(w->encoders);
    double start = clock_seconds();
    TRY(encoders_add(w->encoders, (const char *)text->at, text->size, &w->ids));
    double middle = clock_seconds();
    TRY(tokenizer_decode(t, w->ids.at, w->ids.n, &w->back));
    v->decode = clock_seconds() - middle;
    v->encode = middle - start;
    v->ids = w->ids.n;
    return 0;
}

static int all_rounds(const struct bench_options *o, const struct tokenizer *t, const struct file_map *text, struct work *w, struct speed *best)
{
    double start = clock_seconds();
    for (int round = 0; round < LEAST_ROUNDS || clock_seconds() - start < o->seconds; round++) {
        struct speed v;
        TRY(one_round(t, text, w, &v));
        if (!round || v.encode < best->encode) best->encode = v.encode;
        if (!round || v.decode < best->decode) best->decode = v.decode;
        best->ids = v.ids;
    }
    return 0;
}

static int measure(const struct bench_options *o, const struct tokenizer *t, const struct file_map *text, struct speed *best)
{
    struct work w = { 0 };
    TRY(encoders_open(&w.encoders, t, SPECIALS_AS_TEXT, (int)o->threads, text->size));
    int code = all_rounds(o, t, text, &w, best);
    encoders_close(w.encoders);
    ids_free(&w.ids);
    text_free(&w.back);
    return code;
}

static void print(const struct bench_options *o, const char *path, const struct file_map *text, const struct speed *v)
{
    double mb = (double)text->size / 1e6, encode = mb / v->encode, decode = mb / v->decode, each = (double)text->size / (double)v->ids;
    if (o->json)
        printf("{\"threads\": %lld, \"bytes\": %zu, \"ids\": %zu, \"bytes_per_id\": %.6g, \"encode_mb_s\": %.6g, \"decode_mb_s\": %.6g}\n", (long long)o->threads, text->size, v->ids, each, encode, decode);
    else printf("%s  %.1f MB  encoding %.1f MB/s  decoding %.0f MB/s  %zu ids, %.3f bytes each\n", path, mb, encode, decode, v->ids, each);
}

static int bench(struct options *options, int argc, char **argv)
{
    const struct bench_options *o = options->values;
    struct tokenizer *t;
    struct file_map text;
    struct speed v = { 0 };
    FAIL_IF(argc != 2, E_USAGE, "nib bench tokenizer TOKENIZER FILE: which tokenizer, and which text?");
    TRY(tokenizer_find(&t, argv[0], NULL));
    int code = file_open_map(&text, argv[1]);
    if (!code) {
        code = text.size ? measure(o, t, &text, &v) : error_set(E_DATA, __FILE__, __LINE__, "%s is empty", argv[1]);
        if (!code) print(o, argv[1], &text, &v);
        file_close_map(&text);
    }
    tokenizer_free(t);
    return code;
}

int bench_tokenizer(int argc, char **argv)
{
    struct bench_options o;
    return cli_run(&(struct command){ CLI_TABLE(table), 0, 2, 0, USAGE, bench }, &o, argc, argv);
}
