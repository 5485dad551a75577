/* tokenizer_ranks.c -- vocabularies that say no merges: tiktoken's rank files, llm.c's tokenizer.bin; and minbpe's models, which say
 * nothing but.
 *
 * Where there are no merges, any two neighbours are joined whose bytes together are a token, those first whose token has the
 * lowest rank, which is its id; and a piece that is a token is that token (tiktoken's rule).  So every way to cut a token in two
 * tokens is a merge, and all merges of a token have its rank. */
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/grow.h"
#include "base/utf8.h"
#include "token/tokenizer_core.h"

/* ---- merges ---- */

enum { MOST_BYTES = 512 };                                   /* of a token: it is looked up at every cut */
struct growing { struct merge *at; size_t n, room; };

static int add_merge(struct growing *list, struct merge m, const char *what)
{
    FAIL_IF(list->n == PLACES_MOST, E_DATA, "%s: its tokens can be cut in two in too many ways", what);
    FAIL_IF(!grow(&list->at, &list->room, list->n + 1, sizeof m), E_MEMORY, "%s: no memory for %zu merges", what, list->n);
    list->at[list->n++] = m;
    return 0;
}

static int all_merges(const struct tokenizer *t, struct growing *list, const char *what)
{
    const struct vocab *v = &t->vocab;
    for (uint32_t id = 0; id < v->n; id++) {
        const struct token *token = &v->at[id];
        if (!token->size || token->flags & TOKEN_ADDED) continue;
        FAIL_IF(token->size > MOST_BYTES, E_DATA, "%s: token %u has %u bytes; nib reads up to %d", what, id, token->size, MOST_BYTES);
        for (uint32_t cut = 1; cut < token->size; cut++) {
            int64_t left = vocab_find(v, token->bytes, cut), right = left < 0 ? -1 : vocab_find(v, token->bytes + cut, token->size - cut);
            if (right >= 0) TRY(add_merge(list, (struct merge){ (uint32_t)left, (uint32_t)right, id }, what));
        }
    }
    return 0;
}

int tokenizer_by_rank(struct tokenizer *t, struct parts *p, const char *what)
{
    struct growing list = { 0 };
    struct merges merges = { 0 };
    int failed = all_merges(t, &list, what);
    if (!failed) {
        merges = (struct merges){ take_array(&t->memory, list.n, sizeof *merges.at), list.n };
        if (!merges.at) failed = error_set(E_MEMORY, __FILE__, __LINE__, "%s: no memory for %zu merges", what, list.n);
        else if (list.n) memcpy(merges.at, list.at, list.n * sizeof *merges.at);
    }
    free(list.at);
    if (failed) return failed;
    p->by_rank = p->whole_first = 1;
    return tokenizer_merges(t, p, merges, what);
}

/* ---- what a vocabulary is known by ---- */

/* Rank files say neither where text is cut nor which special tokens there are: their names do.  Special tokens are those of a
 * vocabulary of so many tokens alone. */
static const struct known {
    const char *name;
    enum split_pattern pattern;
    uint32_t tokens;
    struct { const char *bytes; uint32_t id; } special[6];
} known[] = {
    { "gpt2", SPLIT_GPT2, 50256, { { END_OF_TEXT, 50256 } } },
    { "r50k_base", SPLIT_GPT2, 50256, { { END_OF_TEXT, 50256 } } },
    { "p50k_base", SPLIT_GPT2, 50280, { { END_OF_TEXT, 50256 } } },
    { "p50k_edit", SPLIT_GPT2, 50280, { { END_OF_TEXT, 50256 }, { "<|fim_prefix|>", 50281 }, { "<|fim_middle|>", 50282 }, { "<|fim_suffix|>", 50283 } } },
    { "cl100k_base", SPLIT_CL100K, 100256, { { END_OF_TEXT, 100257 }, { "<|fim_prefix|>", 100258 }, { "<|fim_middle|>", 100259 }, { "<|fim_suffix|>", 100260 }, { "<|endofprompt|>", 100276 } } },
    { "o200k_base", SPLIT_O200K, 199998, { { END_OF_TEXT, 199999 }, { "<|endofprompt|>", 200018 } } },
    { "qwen", SPLIT_QWEN2, 151643, { { END_OF_TEXT, 151643 }, { "<|im_start|>", 151644 }, { "<|im_end|>", 151645 } } },
    { "tokenizer.model", SPLIT_LLAMA3, 128000, { { "<|begin_of_text|>", 128000 }, { "<|end_of_text|>", 128001 }, { "<|start_header_id|>", 128006 }, { "<|end_header_id|>", 128007 }, { "<|eot_id|>", 128009 } } },
};

static int take_rules(struct tokenizer *t, struct parts *p, const struct known *k, size_t tokens)
{
    enum { MOST = sizeof k->special / sizeof *k->special };
    p->kind = MODEL_BYTES;
    p->stage[p->stages++].pattern = k->pattern;
    if (tokens != k->tokens) return 0;
    p->added.at = take_array(&t->memory, MOST, sizeof *p->added.at);
    FAIL_IF(!p->added.at, E_MEMORY, "no memory for special tokens");
    for (int i = 0; i < MOST && k->special[i].bytes; i++)
        p->added.at[p->added.n++] = (struct token){ .bytes = k->special[i].bytes, .size = (uint32_t)strlen(k->special[i].bytes), .id = k->special[i].id, .flags = TOKEN_ADDED | TOKEN_SPECIAL };
    qsort(p->added.at, p->added.n, sizeof *p->added.at, token_compare);
    return 0;
}

static int known_by(const struct known **k, const char *path)
{
    const char *base = path_base(path);
    for (*k = known; *k < known + sizeof known / sizeof *known; ++*k)
        if (!strncmp(base, (*k)->name, strlen((*k)->name))) return 0;
    FAIL(E_DATA, "%s: ranks alone do not say how text is cut; nib knows that of gpt2, r50k_base, p50k_base, p50k_edit, cl100k_base, o200k_base, qwen and Llama 3's tokenizer.model, by their names", path);
}

/* ---- tiktoken: "base64 rank" lines ---- */

static int read_rank(struct tokenizer *t, struct parts *p, const char *line, size_t n)
{
    const char *space = memchr(line, ' ', n);
    size_t digits = space ? (size_t)(space - line) : 0, size = 0;
    char *end, *bytes = arena_take(&t->memory, digits + 4);
    FAIL_IF(!bytes, E_MEMORY, "no memory for the vocabulary");
    if (digits % 4 || base64_decode(bytes, &size, line, digits)) size = 0;
    bytes[size] = 0;
    unsigned long long rank = size && space[1] >= '0' && space[1] <= '9' ? strtoull(space + 1, &end, 10) : MAX_IDS;
    FAIL_IF(rank >= MAX_IDS || end != line + n, E_DATA, "base64, a space and a rank below %d were expected", MAX_IDS);
    p->model.at[p->model.n++] = (struct token){ .bytes = bytes, .size = (uint32_t)size, .id = (uint32_t)rank };
    return 0;
}

static int make_of_ranks(struct tokenizer *t, const struct text *all, const char *path)
{
    struct parts p = { 0 };
    const struct known *k;
    size_t lines = 1, number = 1;
    TRY(known_by(&k, path));
    for (size_t i = 0; i < all->size; i++) lines += all->at[i] == '\n';
    p.model.at = take_array(&t->memory, lines, sizeof *p.model.at);
    FAIL_IF(!p.model.at, E_MEMORY, "%s: no memory for %zu tokens", path, lines);
    for (const char *line = all->at, *end = all->at + all->size; line < end; number++) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        size_t n = (size_t)((stop ? stop : end) - line);
        size_t text = n && line[n - 1] == '\r' ? n - 1 : n;
        int failed = text ? read_rank(t, &p, line, text) : 0;
        if (failed) return error_prefix(failed, "%s: line %zu", path, number);
        line += n + 1;
    }
    TRY(take_rules(t, &p, k, p.model.n));
    TRY(tokenizer_vocabulary(t, &p, path));
    TRY(tokenizer_by_rank(t, &p, path));
    tokenizer_ready(t);
    return 0;
}

/* ---- llm.c's tokenizer.bin: 256 numbers, then each token's length and bytes ---- */

enum { LLMC_MAGIC = 20240328, LLMC_HEADER = 1024 };

/* The tokens are GPT-2's, the last of them, which ends texts, spelled like the others. */
static int make_of_llmc(struct tokenizer *t, const struct text *all, const char *path)
{
    struct parts p = { 0 };
    FAIL_IF(all->size < LLMC_HEADER, E_DATA, "%s: too short for its header", path);
    uint32_t version = little_u32(all->at + 4), n = little_u32(all->at + 8), end = little_u32(all->at + 12);
    FAIL_IF(version != 2, E_DATA, "%s: version %u of llm.c's tokenizer files; nib reads version 2", path, version);
    FAIL_IF(n > MAX_IDS || end >= n, E_DATA, "%s: %u tokens, of which %u ends texts", path, n, end);
    FAIL_IF(n > (all->size - LLMC_HEADER) / 2, E_DATA, "%s: %u tokens in %zu bytes: is the file cut off?", path, n, all->size);
    TRY(take_rules(t, &p, &known[0], known[0].tokens));
    p.added.at[0].id = end;
    p.model.at = take_array(&t->memory, n, sizeof *p.model.at);
    FAIL_IF(!p.model.at, E_MEMORY, "%s: no memory for %u tokens", path, n);
    size_t at = LLMC_HEADER;
    for (uint32_t id = 0; id < n; id++) {
        size_t size = at < all->size ? (unsigned char)all->at[at++] : 0;
        FAIL_IF(size == 0 || size > all->size - at, E_DATA, "%s: it ends within token %u of %u", path, id, n);
        char *bytes = arena_take(&t->memory, size + 1);
        FAIL_IF(!bytes, E_MEMORY, "%s: no memory for %u tokens", path, n);
        memcpy(bytes, all->at + at, size);
        at += size;
        if (id != end) p.model.at[p.model.n++] = (struct token){ .bytes = bytes, .size = (uint32_t)size, .id = id };
    }
    FAIL_IF(at != all->size, E_DATA, "%s: %zu bytes follow the last token", path, all->size - at);
    TRY(tokenizer_vocabulary(t, &p, path));
    TRY(tokenizer_by_rank(t, &p, path));
    tokenizer_ready(t);
    return 0;
}

/* ---- minbpe's .model: lines of text ---- */

#define MINBPE "minbpe v1"
enum { MINBPE_LEAST = 1 << 20, MINBPE_TIMES = 64 };          /* what all tokens may have: so many bytes, and so many for each of the file */

/* The next line, ended by a 0; NULL behind the last. */
static char *next_line(char **rest)
{
    char *line = *rest, *end = line ? strchr(line, '\n') : NULL;
    if (!line || !*line) return NULL;
    if (end) *end = 0;
    *rest = end ? end + 1 : NULL;
    return line;
}

static int two_numbers(const char *line, unsigned long *a, unsigned long *b)
{
    char *end;
    if (*line < '0' || *line > '9') return 0;
    *a = strtoul(line, &end, 10);
    if (*end != ' ' || end[1] < '0' || end[1] > '9') return 0;
    *b = strtoul(end + 1, &end, 10);
    return !*end;
}

/* Ids are bytes by value, then a merge each, in order.  A line is a special token and its id, or the two ids of a merge. */
static int read_minbpe(struct tokenizer *t, struct parts *p, struct merges *merges, char *rest, size_t lines, const char *path)
{
    const size_t most = MINBPE_LEAST + MINBPE_TIMES * strlen(rest);          /* bytes of all tokens: each line may double one */
    char *pattern = (next_line(&rest), next_line(&rest)), *count = next_line(&rest), *line;
    size_t all = 0, specials = count ? strtoul(count, NULL, 10) : SIZE_MAX, number = 4;
    FAIL_IF(!pattern || specials > lines, E_DATA, "%s: no pattern and number of special tokens", path);
    p->kind = MODEL_BYTES;
    if (*pattern) p->stage[p->stages++] = split_find(pattern);
    for (; p->added.n < specials && (line = next_line(&rest)); number++) {
        char *space = strrchr(line, ' '), *end = line;
        unsigned long id = space ? strtoul(space + 1, &end, 10) : MAX_IDS;
        FAIL_IF(!space || space == line || end == space + 1 || *end || id >= MAX_IDS, E_DATA, "%s: line %zu: a special token and its id were expected", path, number);
        *space = 0;
        p->added.at[p->added.n++] = (struct token){ .bytes = arena_copy(&t->memory, line), .size = (uint32_t)strlen(line), .id = (uint32_t)id, .flags = TOKEN_ADDED | TOKEN_SPECIAL };
    }
    for (int i = 0; i < 256; i++) {
        char *bytes = arena_take(&t->memory, 2);
        if (bytes) *bytes = (char)i;
        p->model.at[p->model.n++] = (struct token){ .bytes = bytes, .size = 1, .id = (uint32_t)i };
    }
    for (; (line = next_line(&rest)); number++) {
        unsigned long left, right;
        int good = two_numbers(line, &left, &right) && left < p->model.n && right < p->model.n;
        FAIL_IF(!good, E_DATA, "%s: line %zu: the ids of two earlier tokens were expected", path, number);
        const struct token *l = &p->model.at[left], *r = &p->model.at[right];
        all += l->size + (size_t)r->size;
        FAIL_IF(all > most, E_DATA, "%s: line %zu: tokens of more than %zu bytes in all, much more than the file has", path, number, most);
        char *bytes = arena_take(&t->memory, l->size + (size_t)r->size + 1);
        FAIL_IF(!bytes, E_MEMORY, "%s: no memory for its tokens", path);
        memcpy(bytes, l->bytes, l->size);
        memcpy(bytes + l->size, r->bytes, r->size);
        merges->at[merges->n++] = (struct merge){ (uint32_t)left, (uint32_t)right, (uint32_t)p->model.n };
        p->model.at[p->model.n] = (struct token){ .bytes = bytes, .size = l->size + r->size, .id = (uint32_t)p->model.n };
        p->model.n++;
    }
    return 0;
}

static int make_of_minbpe(struct tokenizer *t, const struct text *all, const char *path)
{
    struct parts p = { 0 };
    struct merges merges = { 0 };
    size_t lines = 1;
    FAIL_IF(memchr(all->at, 0, all->size), E_DATA, "%s: a NUL, which no minbpe model contains", path);
    for (size_t i = 0; i < all->size; i++) lines += all->at[i] == '\n';
    p.model.at = take_array(&t->memory, lines + 256, sizeof *p.model.at);
    p.added.at = take_array(&t->memory, lines, sizeof *p.added.at);
    merges.at = take_array(&t->memory, lines, sizeof *merges.at);
    FAIL_IF(!p.model.at || !p.added.at || !merges.at, E_MEMORY, "%s: no memory for %zu tokens", path, lines);
    TRY(read_minbpe(t, &p, &merges, all->at, lines, path));
    FAIL_IF(t->memory.failed, E_MEMORY, "%s: no memory for its tokens", path);
    qsort(p.added.at, p.added.n, sizeof *p.added.at, token_compare);
    TRY(tokenizer_vocabulary(t, &p, path));
    TRY(tokenizer_merges(t, &p, merges, path));
    tokenizer_ready(t);
    return 0;
}

/* ---- one of them ---- */

int tokenizer_of_other(struct tokenizer *t, const struct text *all, const char *path)
{
    if (all->size >= 8 && little_u32(all->at) == LLMC_MAGIC) return make_of_llmc(t, all, path);
    if (all->size >= sizeof MINBPE && !strncmp(all->at, MINBPE "\n", sizeof MINBPE)) return make_of_minbpe(t, all, path);
    return path_has_suffix(path, ".bin") ? tokenizer_of_llama2c(t, all, path) : make_of_ranks(t, all, path);
}

#ifdef FUZZ_TOKENIZER_OTHER
/* A file by any of the names; what it says encodes any bytes and gives them back. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = { "gpt2.tiktoken", "tokenizer.model", "my.model", "tokenizer.bin", "vocab.txt" };
    struct text all = { 0 }, back = { 0 };
    struct ids ids = { 0 };
    struct tokenizer *t;
    if (size < 1 || tokenizer_new(&t)) return 0;
    text_bytes(&all, data + 1, size - 1);
    const char *name = names[data[0] % 5];
    if (!(strcmp(name, "vocab.txt") ? tokenizer_of_other(t, &all, name) : tokenizer_of_bert(t, &all, name, NULL, name))) {
        if (tokenizer_encode(t, (const char *)data, size, SPECIALS_AS_TOKENS, &ids) || tokenizer_decode(t, ids.at, ids.n, &back)) abort();
        int gives_back = t->kind != MODEL_WORDPIECE && (utf8_good((const char *)data, size) == size || strcmp(name, "tokenizer.bin"));       /* a space is put before text, not before odd bytes */
        if (gives_back && (back.size != size || memcmp(back.at, data, size))) abort();
    }
    tokenizer_free(t);
    ids_free(&ids);
    text_free(&all);
    text_free(&back);
    return 0;
}
#endif
