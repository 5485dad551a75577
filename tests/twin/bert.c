/* bert.c -- what src/token/bert.c and wordpiece.c make of texts:
 *   bert normalize STEPS | strip | pieces | encode VOCABULARY PREFIX MOST [STEPS] | shown PREFIX CLEANUP  <texts >answers
 * Texts and answers are records: size (u32) and bytes.  pieces: the beginning and the end of each that is not white space (u32).
 * encode: ids (u32), of a text that is one piece, or with STEPS of a text that is normalized and cut first.  VOCABULARY has a token a line,
 * the unknown one first. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "token/bert.h"
#include "token/wordpiece.h"

static char text[1 << 24];

static int read_record(size_t *n)
{
    uint32_t size;
    if (fread(&size, sizeof size, 1, stdin) != 1) return 0;
    return size <= sizeof text && (*n = size) == fread(text, 1, size, stdin);
}

static void write_record(const char *bytes, size_t n)
{
    uint32_t size = (uint32_t)n;
    fwrite(&size, sizeof size, 1, stdout);
    if (n) fwrite(bytes, 1, n, stdout);
}

static int normalize(char **arg, const char *t, size_t n, struct text *out) { return bert_normalize((unsigned)atoi(arg[0]), t, n, out); }
static int strip(char **arg, const char *t, size_t n, struct text *out) { return (void)arg, bert_strip_accents(t, n, out); }
static int shown(char **arg, const char *t, size_t n, struct text *out) { return wordpiece_shown(out, t, n, arg[0], atoi(arg[1])), 0; }

static int pieces(char **arg, const char *t, size_t n, struct text *out)
{
    (void)arg;
    for (size_t at = 0, end; at < n; at = end) {
        end = bert_piece(t, n, at);
        if (!bert_is_space(t + at, n - at)) text_bytes(out, (uint32_t[]){ (uint32_t)at, (uint32_t)end }, 2 * sizeof(uint32_t));
    }
    return 0;
}

static int open_vocabulary(struct wordpiece *w, char **arg)
{
    static struct vocab v;
    static struct arena memory;
    static struct text all;
    struct tokens list = { 0 };
    TRY(file_read(arg[0], 1 << 26, &all));
    list.at = take_array(&memory, all.size, sizeof *list.at);
    for (char *line = strtok(all.at, "\n"); line; line = strtok(NULL, "\n"), list.n++)
        list.at[list.n] = (struct token){ .bytes = line, .size = (uint32_t)strlen(line), .id = (uint32_t)list.n };
    TRY(vocab_build(&v, &memory, list, (struct tokens){ 0 }, arg[0]));
    return wordpiece_build(w, &memory, &v, list.at[0].bytes, arg[1], atoll(arg[2]), arg[0]);
}

static int encode_pieces(const struct wordpiece *w, const char *t, size_t n, struct ids *ids)
{
    for (size_t at = 0, end; at < n; at = end) {
        end = bert_piece(t, n, at);
        if (!bert_is_space(t + at, n - at)) TRY(wordpiece_encode(w, t + at, end - at, ids));
    }
    return 0;
}

static int encode(char **arg, const char *t, size_t n, struct text *out)
{
    static struct wordpiece w;
    struct text normal = { 0 };
    struct ids ids = { 0 };
    if (!w.vocab) TRY(open_vocabulary(&w, arg));
    if (arg[3]) TRY(bert_normalize((unsigned)atoi(arg[3]), t, n, &normal));
    TRY(arg[3] ? encode_pieces(&w, normal.at, normal.size, &ids) : wordpiece_encode(&w, t, n, &ids));
    text_bytes(out, ids.at, ids.n * sizeof *ids.at);
    text_free(&normal);
    ids_free(&ids);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct { const char *name; int least; int (*answer)(char **arg, const char *t, size_t n, struct text *out); } rows[] = {
        { "normalize", 1, normalize }, { "strip", 0, strip }, { "pieces", 0, pieces }, { "encode", 3, encode }, { "shown", 2, shown },
    };
    struct text out = { 0 };
    for (size_t i = 0, n; i < sizeof rows / sizeof *rows; i++) {
        if (argc < 2 || strcmp(argv[1], rows[i].name) || argc < 2 + rows[i].least) continue;
        while (read_record(&n)) {
            text_clear(&out);
            if (rows[i].answer(argv + 2, text, n, &out)) return fprintf(stderr, "%s\n", error_text()), 1;
            write_record(out.at, out.size);
        }
        text_free(&out);
        return 0;
    }
    return 2;
}
