/* llmc_choices.c -- the number of bytes of an example is believed only where it is the sum of its parts. */
#include "text/llmc_choices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"

enum { MAGIC = 20240522, VERSION = 1, HEADER = 1024, START = 65535 };

/* ---- reading ---- */

int llmc_choices_look(const char *path, int *is)
{
    struct file_map m;
    *is = 0;
    if (!path_is_file(path)) return 0;
    TRY(file_open_map(&m, path));
    *is = m.size >= 4 && little_u32(m.at) == MAGIC;
    file_close_map(&m);
    return 0;
}

struct place_in { const uint8_t *at, *end; };                /* u16 to read */

static int next(struct place_in *p, size_t *value)
{
    if (p->end - p->at < 2) return 0;
    *value = little_u16(p->at);
    p->at += 2;
    return 1;
}

/* A number and so many ids. */
static int read_ids(struct items *s, struct place_in *p, struct passage *ids, const char *what)
{
    size_t n, id;
    FAIL_IF(!next(p, &n) || n > (size_t)(p->end - p->at) / 2, E_DATA, "%s: its ids go beyond its end", what);
    FAIL_IF(!n, E_DATA, "%s: a context or a choice without ids", what);
    uint32_t *copy = arena_take(&s->memory, n * sizeof *copy);
    FAIL_IF(!copy, E_MEMORY, "%s: no memory for its ids", what);
    for (size_t i = 0; i < n && next(p, &id); i++) copy[i] = (uint32_t)id;
    *ids = (struct passage){ .ids = copy, .n = n };
    return 0;
}

static int read_example(struct items *s, struct place_in *all, uint64_t number, const char *path)
{
    char what[PATH_SIZE + 32];
    size_t start = 0, bytes = 0, index = 0, label = 0, choices = 0;
    struct place_in p = *all;
    struct passage context;
    snprintf(what, sizeof what, "%s: example %llu", path, (unsigned long long)number);
    FAIL_IF(!next(&p, &start) || !next(&p, &bytes) || start != START, E_DATA, "%s does not begin with 65535; is the file cut off?", what);
    FAIL_IF(bytes > (size_t)(all->end - all->at), E_DATA, "%s: %zu bytes, but the file has %zu left", what, bytes, (size_t)(all->end - all->at));
    p.end = all->at + bytes;
    FAIL_IF(!next(&p, &index) || !next(&p, &label) || !next(&p, &choices), E_DATA, "%s: %zu bytes are too few", what, bytes);
    FAIL_IF(index != number, E_DATA, "%s bears number %zu", what, index);
    FAIL_IF(!choices || choices > CHOICES_MOST || label >= choices, E_DATA, "%s: choice %zu of %zu is said to be right", what, label, choices);
    struct item *item = items_new(s, (int)choices);
    FAIL_IF(!item, E_MEMORY, "%s: no memory for it", what);
    item->line = number;
    item->answer = (int)label;
    TRY(read_ids(s, &p, &context, what));
    for (size_t i = 0; i < choices; i++) {
        item->choice[i].context = context;
        TRY(read_ids(s, &p, &item->choice[i].continuation, what));
    }
    FAIL_IF(p.at != p.end, E_DATA, "%s: its parts have %zu bytes, not %zu", what, (size_t)(p.at - all->at), bytes);
    all->at = p.end;
    return 0;
}

static int read_file(struct items *s, const struct file_map *m, const char *path)
{
    struct place_in p = { m->at + HEADER, m->at + m->size };
    FAIL_IF(m->size < HEADER || little_u32(m->at) != MAGIC, E_DATA, "%s is no file of choices as llm.c writes it", path);
    uint32_t version = little_u32(m->at + 4), n = little_u32(m->at + 8);
    FAIL_IF(version != VERSION, E_DATA, "%s: version %u; nib reads 1", path, version);
    FAIL_IF(!n || n > START, E_DATA, "%s: %u examples; from 1 to 65535 are expected", path, n);
    for (uint32_t i = 0; i < n; i++) TRY(read_example(s, &p, i, path));
    FAIL_IF(p.at != p.end, E_DATA, "%s: %zu bytes behind its last example", path, (size_t)(p.end - p.at));
    s->kind = "llm.c's choices";
    return 0;
}

int llmc_choices_read(struct items *s, const char *path)
{
    struct file_map m;
    TRY(file_open_map(&m, path));
    int failed = read_file(s, &m, path);
    file_close_map(&m);
    return failed;
}

/* ---- writing ---- */

static void put(struct text *out, size_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) text_bytes(out, &(char){ (char)(value >> 8 * i & 0xff) }, 1);
}

static int put_ids(struct text *out, const struct tokenizer *t, const struct passage *p, struct ids *ids, const char *what)
{
    ids->n = 0;
    TRY(tokenizer_encode(t, p->text, p->n, SPECIALS_AS_TEXT, ids));
    FAIL_IF(!ids->n, E_DATA, "%s: a context or a choice without tokens", what);
    put(out, ids->n, 2);
    for (size_t i = 0; i < ids->n; i++) {
        FAIL_IF(ids->at[i] >= START, E_DATA, "%s: id %u; llm.c's file has room for those below 65535", what, ids->at[i]);
        put(out, ids->at[i], 2);
    }
    return 0;
}

static int put_example(struct text *out, const struct tokenizer *t, const struct item *item, size_t number, struct ids *ids)
{
    char what[32];
    size_t begin = out->size;
    snprintf(what, sizeof what, "line %llu", (unsigned long long)item->line);
    put(out, START, 2);
    put(out, 0, 2);
    put(out, number, 2);
    put(out, (size_t)item->answer, 2);
    put(out, (size_t)item->choices, 2);
    TRY(put_ids(out, t, &item->choice->context, ids, what));
    for (int i = 0; i < item->choices; i++) TRY(put_ids(out, t, &item->choice[i].continuation, ids, what));
    size_t bytes = out->size - begin;
    FAIL_IF(bytes > START, E_DATA, "%s: %zu bytes; llm.c's file has room for 65535 an example", what, bytes);
    for (int i = 0; i < 2 && !out->failed; i++) out->at[begin + 2 + (size_t)i] = (char)(bytes >> 8 * i & 0xff);
    return 0;
}

static int put_all(struct text *out, const struct items *s, const struct tokenizer *t, struct ids *ids)
{
    size_t longest = 0;
    FAIL_IF(s->n > START, E_DATA, "%zu items; llm.c's file has room for 65535", s->n);
    for (int i = 0; i < HEADER / 4; i++) put(out, i == 0 ? MAGIC : i == 1 ? VERSION : i == 2 ? s->n : 0, 4);
    for (size_t i = 0; i < s->n; i++) {
        size_t begin = out->size;
        TRY(put_example(out, t, &s->at[i], i, ids));
        if (out->size - begin > longest) longest = out->size - begin;
    }
    FAIL_IF(out->failed, E_MEMORY, "no memory for the items");
    for (int i = 0; i < 4; i++) out->at[12 + i] = (char)(longest >> 8 * i & 0xff);
    return 0;
}

int llmc_choices_write(const struct items *s, const struct tokenizer *t, const char *path)
{
    struct text out = { 0 };
    struct ids ids = { 0 };
    int failed = put_all(&out, s, t, &ids);
    if (!failed) failed = file_write(path, out.at, out.size);
    text_free(&out);
    ids_free(&ids);
    return failed;
}

#ifdef FUZZ_LLMC_CHOICES
static void check(const struct item *item, uint64_t number)
{
    if (item->line != number || item->answer < 0 || item->answer >= item->choices) abort();
    for (int c = 0; c < item->choices; c++)
        for (int which = 0; which < 2; which++) {
            const struct passage *p = which ? &item->choice[c].context : &item->choice[c].continuation;
            if (!p->n || !p->ids) abort();
            for (size_t i = 0; i < p->n; i++)
                if (p->ids[i] > START) abort();
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct items s = { 0 };
    if (!read_file(&s, &(struct file_map){ data, size }, "fuzz"))
        for (size_t i = 0; i < s.n; i++) check(&s.at[i], i);
    items_free(&s);
    return 0;
}
#endif
