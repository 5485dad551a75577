/* tokenizer_gguf_write.c -- a tokenizer as keys of a GGUF file, so that llama.cpp makes the same ids of a text: byte-level BPE as model "gpt2", BPE over
 * characters as "llama", characters as "rwkv", whose rule is the longest token and which alone needs no end token.  Each is beside them as a
 * whole tokenizer.json, from which nib reads it again. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "token/tokenizer_scores.h"
#include "token/tokenizer_gguf.h"
#include "token/tokenizer_stages.h"

struct put {
    const struct tokenizer *t;
    size_t rows;                         /* of the model's table: so many tokens are listed */
    struct gguf_keys *k;
    struct text *notices;
    struct gguf_bytes *token;
    int32_t *type;
    float *score;
    struct arena memory;
};

/* ---- tokens ---- */

/* Backslash and controls as RWKV's vocabularies have them. */
static void escape(struct text *out, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c == '\\') text_add(out, "\\\\");
        else if (c < ' ' || c == 127) text_format(out, "\\x%02x", c);
        else text_bytes(out, bytes + i, 1);
    }
}

static int is_byte_token(const struct tokenizer *t, uint32_t id)
{
    for (int b = 0; b < 256 && t->kind == MODEL_CHARBPE && t->charbpe.falls_back; b++)
        if (t->charbpe.byte[b] == id) return 1;
    return 0;
}

static enum token_type type_of(const struct tokenizer *t, uint32_t id)
{
    uint32_t flags = t->vocab.at[id].flags;
    if (t->kind == MODEL_CHARBPE && t->charbpe.unknown == (int64_t)id) return TYPE_UNKNOWN;
    if (flags & TOKEN_ADDED) return flags & TOKEN_SPECIAL ? TYPE_CONTROL : TYPE_USER;
    return is_byte_token(t, id) ? TYPE_BYTE : TYPE_NORMAL;
}

/* Ids that stand for nothing, and rows behind the last, have names that no text has. */
static void spell(struct text *out, const struct put *p, size_t id)
{
    const struct tokenizer *t = p->t;
    const struct token *token = id < t->vocab.n ? &t->vocab.at[id] : NULL;
    text_clear(out);
    if (!token || !token->bytes) text_format(out, "[PAD%zu]", id);
    else if (t->kind == MODEL_CHARACTERS && !(token->flags & TOKEN_ADDED)) escape(out, token->bytes, token->size);
    else token_spell(out, t, (uint32_t)id);
}

static int by_bytes(const void *a, const void *b)
{
    const struct gguf_bytes *x = a, *y = b;
    int order = memcmp(x->at, y->at, x->size < y->size ? x->size : y->size);
    return order ? order : (x->size > y->size) - (x->size < y->size);
}

/* llama.cpp stops where two tokens are spelled alike. */
static int check_tokens(const struct put *p)
{
    char shown[QUOTE_SIZE];
    struct gguf_bytes *sorted = calloc(p->rows, sizeof *sorted);
    FAIL_IF(!sorted, E_MEMORY, "no memory for %zu tokens", p->rows);
    memcpy(sorted, p->token, p->rows * sizeof *sorted);
    qsort(sorted, p->rows, sizeof *sorted, by_bytes);
    size_t i = 1;
    while (i < p->rows && by_bytes(&sorted[i - 1], &sorted[i])) i++;
    if (i < p->rows) quote(shown, sorted[i].at, sorted[i].size);
    free(sorted);
    FAIL_IF(i < p->rows, E_DATA, "two tokens would both be spelled %s in a GGUF file", shown);
    return 0;
}

static int list_tokens(struct put *p)
{
    struct text name = { 0 };
    p->token = take_array(&p->memory, p->rows, sizeof *p->token);
    p->type = take_array(&p->memory, p->rows, sizeof *p->type);
    FAIL_IF(p->memory.failed, E_MEMORY, "no memory for %zu tokens", p->rows);
    for (size_t id = 0; id < p->rows; id++) {
        spell(&name, p, id);
        char *copy = arena_take(&p->memory, name.size + 1);
        if (copy && name.size) memcpy(copy, name.at, name.size);
        p->token[id] = (struct gguf_bytes){ copy, name.size };
        p->type[id] = (int32_t)(id < p->t->vocab.n && p->t->vocab.at[id].bytes ? type_of(p->t, (uint32_t)id) : TYPE_UNUSED);
    }
    int failed = name.failed || p->memory.failed;
    text_free(&name);
    FAIL_IF(failed, E_MEMORY, "no memory for %zu tokens", p->rows);
    return check_tokens(p);
}

/* ---- byte-level BPE ---- */

/* Where merges make every token of its own bytes, it is the same whether whole pieces are merged. */
static int merges_reach_all(const struct tokenizer *t)
{
    int all = 1;
    for (size_t i = 0; i < t->vocab.model.n; i++) all &= t->bpe.whole[t->vocab.model.at[i].id];
    return all;
}

static int same_stages(const struct pre *pre, const struct split_stage *stage, int n)
{
    int same = pre->stages == n;
    for (int i = 0; i < n && same; i++)
        same = pre->stage[i].pattern == stage[i].pattern && (stage[i].pattern != SPLIT_REGEX || !strcmp(pre->stage[i].regex, stage[i].regex));
    return same;
}

static int find_pre(const struct pre **pre, const struct tokenizer *t)
{
    const struct split_stage *stage;
    int n = split_stages(t->splitter, &stage), moot = merges_reach_all(t);
    for (*pre = tokenizer_pres; (*pre)->names; ++*pre)
        if (same_stages(*pre, stage, n) && ((*pre)->whole_first == t->bpe.whole_first || moot)) return 0;
    FAIL(E_MODEL, "llama.cpp cuts no text as this tokenizer does (nib tokenizer info shows it); one learnt by nib tokenizer train --regex=gpt2, llama3, qwen2 or o200k can be exported");
}

static int put_merges(const struct put *p)
{
    const struct merges *m = &p->t->bpe.merges;
    struct arena memory = { 0 };
    struct text line = { 0 };
    struct gguf_bytes *list = take_array(&memory, m->n, sizeof *list);
    for (size_t i = 0; i < m->n && list; i++) {
        text_clear(&line);
        token_spell(&line, p->t, m->at[i].left);
        text_add(&line, " ");
        token_spell(&line, p->t, m->at[i].right);
        list[i] = (struct gguf_bytes){ line.failed ? NULL : arena_copy(&memory, line.at), line.size };
    }
    int failed = line.failed || memory.failed || !list;
    if (!failed) gguf_put_texts(p->k, TOKENIZER_KEY "merges", list, m->n);
    text_free(&line);
    arena_free(&memory);
    FAIL_IF(failed, E_MEMORY, "no memory for %zu merges", m->n);
    return 0;
}

static int put_gpt2(struct put *p)
{
    const struct tokenizer *t = p->t;
    const struct pre *pre;
    int is_nfc = t->normal.n == 1 && t->normal.step[0].form == NORMAL_NFC;
    FAIL_IF((t->normal.n && !is_nfc) || t->late.n, E_MODEL, "llama.cpp encodes text as it stands; this tokenizer changes it first (nib tokenizer info shows how)");
    TRY(find_pre(&pre, t));
    if (is_nfc) text_add(p->notices, "note: llama.cpp does not compose characters first (NFC), as this tokenizer does: text with letters and accents apart becomes other ids there\n");
    if (pre->by_ascii) text_add(p->notices, "note: llama.cpp tells large letters from small ones in ASCII alone: words that begin with others become other ids there\n");
    size_t n = strcspn(pre->names, " ");
    char *name = arena_format(&p->memory, "%.*s", (int)n, pre->names);
    FAIL_IF(!name, E_MEMORY, "no memory for a tokenizer");
    gguf_put_text(p->k, TOKENIZER_KEY "model", "gpt2");
    gguf_put_text(p->k, TOKENIZER_KEY "pre", name);
    return put_merges(p);
}

/* ---- BPE over characters ---- */

/* A space becomes U+2581, and one stands before text or not: as SentencePiece does it. */
static int puts_space(const struct tokenizer *t, int *prefix)
{
    const struct normal_step *s = t->normal.step;
    int n = t->normal.n;
    *prefix = n == 2 && s[0].form == NORMAL_PREPEND && !strcmp(s[0].to, "\xe2\x96\x81");
    return n == 1 + *prefix && s[n - 1].form == NORMAL_REPLACE && !strcmp(s[n - 1].from, " ") && !strcmp(s[n - 1].to, "\xe2\x96\x81");
}

static int put_llama(struct put *p)
{
    const struct tokenizer *t = p->t;
    const struct split_stage *stage;
    int prefix;
    p->score = take_array(&p->memory, p->rows, sizeof *p->score);
    FAIL_IF(!p->score, E_MEMORY, "no memory for %zu scores", p->rows);
    FAIL_IF(!puts_space(t, &prefix) || t->late.n || split_stages(t->splitter, &stage) || !t->charbpe.falls_back || t->bpe.whole_first || !tokenizer_scores(t, p->score), E_MODEL,
            "llama.cpp has SentencePiece's BPE by scores; this tokenizer cuts, changes or merges text in another way (nib tokenizer info shows it)");
    gguf_put_text(p->k, TOKENIZER_KEY "model", "llama");
    gguf_put_text(p->k, TOKENIZER_KEY "pre", "default");
    gguf_put_reals(p->k, TOKENIZER_KEY "scores", p->score, p->rows);
    gguf_put_bool(p->k, TOKENIZER_KEY "add_space_prefix", prefix);
    if (t->charbpe.unknown >= 0) gguf_put_int(p->k, TOKENIZER_KEY "unknown_token_id", (uint32_t)t->charbpe.unknown);
    return 0;
}

/* ---- characters ---- */

static int put_characters(struct put *p)
{
    gguf_put_text(p->k, TOKENIZER_KEY "model", "rwkv");
    return 0;
}

/* ---- all kinds ---- */

/* What stands around a text by itself is at most one token at either side, the last of which ends texts. */
static int put_ends(struct put *p)
{
    const struct tokenizer *t = p->t;
    const struct template *f = &t->template;
    int64_t end = t->end >= 0 ? t->end : p->rows > t->vocab.n && t->kind != MODEL_CHARACTERS ? (int64_t)t->vocab.n : -1;
    FAIL_IF(f->n[0] > 1 || f->n[1] > 1 || (f->n[1] && (int64_t)f->id[1][0] != end), E_MODEL, "llama.cpp puts bos before and eos behind a text; this tokenizer puts other tokens there (nib tokenizer info shows it)");
    FAIL_IF(end < 0 && t->kind != MODEL_CHARACTERS, E_MODEL, "the tokenizer has no end token, and llama.cpp would take any for one; one learnt by nib tokenizer train has <|endoftext|>");
    if (end >= 0) gguf_put_int(p->k, TOKENIZER_KEY "bos_token_id", f->n[0] ? f->id[0][0] : (uint32_t)end);
    if (end >= 0) gguf_put_int(p->k, TOKENIZER_KEY "eos_token_id", (uint32_t)end);
    gguf_put_bool(p->k, TOKENIZER_KEY "add_bos_token", f->n[0] > 0);
    gguf_put_bool(p->k, TOKENIZER_KEY "add_eos_token", f->n[1] > 0);
    return 0;
}

static int put_json(const struct put *p)
{
    json_t *root;
    TRY(tokenizer_to_json(p->t, &root));
    char *text = json_dumps(root, JSON_COMPACT);
    json_decref(root);
    FAIL_IF(!text, E_MEMORY, "no memory for the tokenizer's JSON");
    gguf_put_text(p->k, TOKENIZER_JSON, text);
    free(text);
    return 0;
}

static int put_all(struct put *p)
{
    static int (*const by_kind[MODELS])(struct put *p) = { [MODEL_CHARACTERS] = put_characters, [MODEL_BYTES] = put_gpt2, [MODEL_CHARBPE] = put_llama };
    FAIL_IF(!by_kind[p->t->kind], E_MODEL, "models that write go with BPE in GGUF files; this tokenizer is a %s", p->t->kind == MODEL_UNIGRAM ? "Unigram" : "WordPiece");
    FAIL_IF(p->t->vocab.n > p->rows, E_DATA, "the tokenizer has %u tokens, the model %zu", p->t->vocab.n, p->rows);
    TRY(by_kind[p->t->kind](p));
    TRY(list_tokens(p));
    gguf_put_texts(p->k, TOKENIZER_KEY "tokens", p->token, p->rows);
    gguf_put_ints(p->k, TOKENIZER_KEY "token_type", p->type, p->rows);
    TRY(put_ends(p));
    return put_json(p);
}

int tokenizer_to_gguf(const struct tokenizer *t, int64_t rows, struct gguf_keys *k, struct text *notices)
{
    struct put p = { .t = t, .rows = (size_t)rows, .k = k, .notices = notices };
    int failed = put_all(&p);
    if (!failed && t->chat) gguf_put_text(k, CHAT_KEY, t->chat);
    arena_free(&p.memory);
    return failed;
}
