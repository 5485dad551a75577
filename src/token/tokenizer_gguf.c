/* tokenizer_gguf.c -- the tokenizer in a GGUF file.  Where the file has a whole tokenizer.json, that is read; else its lists are put into the words
 * of one: model "gpt2" is byte-level BPE, whose expression has a name; model "llama" is SentencePiece's BPE by scores. */
#include "token/tokenizer_gguf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "token/alphabet.h"
#include "token/tokenizer_scores.h"
#include "token/tokenizer_stages.h"

#define METASPACE "\xe2\x96\x81"                             /* U+2581, which SentencePiece writes for a space */

/* ---- how text is cut ---- */

/* Mistral's tekken and Qwen 3.5's: as their tokenizer.json have them. */
#define TEKKEN "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*" \
               "|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define QWEN35 "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

const struct pre tokenizer_pres[] = {
    { "gpt-2 phi-2 mpt olmo jais jina-es jina-de jina-v2-es jina-v2-de gigachat a.x-4.0 mellum modern-bert trillion granite-docling exaone4", { { SPLIT_GPT2, NULL } }, 1, 0, 0, 0 },
    { "smollm starcoder refact command-r codeshell exaone minerva-7b mellum2", { { SPLIT_DIGIT, NULL }, { SPLIT_GPT2, NULL } }, 2, 0, 0, 0 },
    { "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano", { { SPLIT_LLAMA3, NULL } }, 1, 1, 1, 0 },
    { "smaug-bpe dbrx chatglm-bpe", { { SPLIT_LLAMA3, NULL } }, 1, 0, 0, 0 },
    { "glm4 glm5", { { SPLIT_LLAMA3, NULL } }, 1, 1, 0, 0 },
    { "qwen2 deepseek-r1-qwen stablelm2 megrez hunyuan grok-2 kormo f2llmv2 solar-open", { { SPLIT_QWEN2, NULL } }, 1, 0, 0, 0 },
    { "gpt-4o llama4 kanana2 talkie minimax-m2", { { SPLIT_O200K, NULL } }, 1, 0, 0, 1 },
    { "tekken", { { SPLIT_REGEX, TEKKEN } }, 1, 1, 1, 1 },
    { "qwen35", { { SPLIT_REGEX, QWEN35 } }, 1, 0, 0, 0 },
    { 0 },
};

static int is_among(const char *names, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = names; n && (at = strstr(at, name)); at++)
        if ((at == names || at[-1] == ' ') && (at[n] == ' ' || !at[n]) && !strchr(name, ' ')) return 1;
    return 0;
}

static int find_pre(const struct pre **found, const char *name, const char *what)
{
    char all[1024] = "";
    for (*found = tokenizer_pres; (*found)->names && !is_among((*found)->names, name); ++*found)
        snprintf(all + strlen(all), sizeof all - strlen(all), " %s", (*found)->names);
    FAIL_IF(!(*found)->names, E_DATA, "%s: " TOKENIZER_KEY "pre is \"%.40s\", and nib does not know how that cuts text; it knows%s", what, name, all);
    return 0;
}

/* ---- what the lists say ---- */

struct lists {
    const struct gguf *g;
    const char *what;
    const struct gguf_bytes *token; size_t n;
    const int32_t *type;                 /* NULL: all are normal */
    int64_t bos, eos;                    /* -1: none */
};

static int id_of(const struct lists *l, const char *key, int64_t otherwise, int64_t *id)
{
    *id = otherwise < (int64_t)l->n ? otherwise : -1;
    if (!gguf_has(l->g, key)) return 0;
    TRY(gguf_int(l->g, key, 0, (int64_t)l->n - 1, id));
    FAIL_IF(!l->token[*id].size, E_DATA, "%s: %s is %lld, which is no token", l->what, key, (long long)*id);
    return 0;
}

/* bos, eos: what they are where no key says it. */
static int read_lists(struct lists *l, int64_t bos, int64_t eos)
{
    size_t n;
    TRY(gguf_texts(l->g, TOKENIZER_KEY "tokens", &l->token, &l->n));
    FAIL_IF(!l->n || l->n > MAX_IDS, E_DATA, "%s: %zu tokens", l->what, l->n);
    if (gguf_has(l->g, TOKENIZER_KEY "token_type")) {
        TRY(gguf_ints(l->g, TOKENIZER_KEY "token_type", &l->type, &n));
        FAIL_IF(n != l->n, E_DATA, "%s: types of %zu tokens, of which there are %zu", l->what, n, l->n);
    }
    TRY(id_of(l, TOKENIZER_KEY "bos_token_id", bos, &l->bos));
    return id_of(l, TOKENIZER_KEY "eos_token_id", eos, &l->eos);
}

/* Whether the byte alphabet spells something: no text becomes a token that it does not. */
static int is_spelled(struct gguf_bytes b)
{
    char bytes[512];
    size_t size;
    return b.size > sizeof bytes || alphabet_read(bytes, b.at, b.size, &size);
}

/* A token that begins or ends texts is found in them on request alone, whatever its type says. */
static enum piece_kind kind_of(const struct lists *l, size_t id)
{
    static const enum piece_kind kinds[] = { [TYPE_UNKNOWN] = PIECE_SPECIAL, [TYPE_CONTROL] = PIECE_SPECIAL, [TYPE_USER] = PIECE_ADDED, [TYPE_UNUSED] = PIECE_NONE, [TYPE_BYTE] = PIECE_BYTE };
    int32_t type = l->type ? l->type[id] : TYPE_NORMAL;
    if (!l->token[id].size) return PIECE_NONE;
    if ((int64_t)id == l->bos || (int64_t)id == l->eos) return PIECE_SPECIAL;
    return type > 0 && type <= TYPE_BYTE ? kinds[type] : PIECE_TEXT;
}

/* Whether bos and eos stand around a text by itself. */
static int read_around(const struct lists *l, int begins, int64_t *before, int64_t *behind)
{
    int ends = 0;
    if (gguf_has(l->g, TOKENIZER_KEY "add_bos_token")) TRY(gguf_bool(l->g, TOKENIZER_KEY "add_bos_token", &begins));
    if (gguf_has(l->g, TOKENIZER_KEY "add_eos_token")) TRY(gguf_bool(l->g, TOKENIZER_KEY "add_eos_token", &ends));
    FAIL_IF((begins && l->bos < 0) || (ends && l->eos < 0), E_DATA, "%s: texts %s with a token that is not named: " TOKENIZER_KEY "%s is missing", l->what,
            begins && l->bos < 0 ? "begin" : "end", begins && l->bos < 0 ? "bos_token_id" : "eos_token_id");
    *before = begins ? l->bos : -1;
    *behind = ends ? l->eos : -1;
    return 0;
}

/* ---- "gpt2": byte-level BPE ---- */

static json_t *string_of(struct gguf_bytes b) { return memchr(b.at, 0, b.size) ? NULL : json_stringn(b.at, b.size); }

static int put_token(const struct lists *l, json_t *vocab, json_t *added, size_t id)
{
    enum piece_kind kind = kind_of(l, id);
    if (kind == PIECE_NONE || (kind == PIECE_TEXT && !is_spelled(l->token[id]))) return 0;
    json_t *content = string_of(l->token[id]);
    const char *text = json_string_value(content);
    int twice = text && json_object_get(vocab, text), failed = !text || twice || json_object_set_new(vocab, text, json_integer((json_int_t)id));
    if (!failed && (kind == PIECE_SPECIAL || kind == PIECE_ADDED))
        failed = json_array_append_new(added, added_to_json(&(struct token){ .bytes = text, .id = (uint32_t)id, .flags = kind == PIECE_SPECIAL ? TOKEN_SPECIAL : 0 }));
    json_decref(content);
    FAIL_IF(failed, E_DATA, "%s: token %zu %s", l->what, id, twice ? "has the bytes of one before it" : "is not UTF-8");
    return 0;
}

static int put_merges(const struct lists *l, json_t *merges)
{
    const struct gguf_bytes *list;
    size_t n;
    TRY(gguf_texts(l->g, TOKENIZER_KEY "merges", &list, &n));
    for (size_t i = 0; i < n; i++) {
        json_t *merge = string_of(list[i]);
        FAIL_IF(!merge || json_array_append_new(merges, merge), E_DATA, "%s: merge %zu is not UTF-8", l->what, i);
    }
    return 0;
}

static json_t *name_of(const struct lists *l, int64_t id) { return id < 0 ? json_null() : string_of(l->token[id]); }

static json_t *file_of(const struct lists *l, const struct pre *pre, int64_t before, int64_t behind, json_t *vocab, json_t *merges, json_t *added)
{
    json_t *first = name_of(l, before), *last = name_of(l, behind);
    json_t *post = before < 0 && behind < 0 ? json_null() : template_to_json(json_string_value(first), before, json_string_value(last), behind);
    json_decref(first);
    json_decref(last);
    return json_pack("{s:s, s:o, s:n, s:o, s:o, s:{s:s, s:b, s:b, s:b}, s:{s:s, s:b, s:o, s:o}}", "version", "1.0", "added_tokens", added, "normalizer", "pre_tokenizer", pre_tokenizer_to_json(pre->stage, pre->stages),
                     "post_processor", post, "decoder", "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets", 1, "use_regex", 1,
                     "model", "type", "BPE", "ignore_merges", pre->whole_first, "vocab", vocab, "merges", merges);
}

static int make_of_gpt2(struct tokenizer *t, struct lists *l)
{
    const struct pre *pre = NULL;
    const char *name = "";
    int64_t before, behind;
    TRY(read_lists(l, -1, -1));
    if (gguf_has(l->g, TOKENIZER_KEY "pre")) TRY(gguf_text(l->g, TOKENIZER_KEY "pre", &name));
    TRY(find_pre(&pre, name, l->what));
    TRY(read_around(l, pre->begins, &before, &behind));
    json_t *vocab = json_object(), *merges = json_array(), *added = json_array();
    int failed = put_merges(l, merges);
    for (size_t id = 0; id < l->n && !failed; id++) failed = put_token(l, vocab, added, id);
    json_t *root = file_of(l, pre, before, behind, vocab, merges, added);
    if (!failed) failed = root ? tokenizer_of_json(t, root, l->what) : error_set(E_MEMORY, __FILE__, __LINE__, "%s: no memory for %zu tokens", l->what, l->n);
    json_decref(root);
    return failed;
}

/* ---- "llama": by scores ---- */

static int take_pieces(const struct lists *l, struct piece *p)
{
    const float *score;
    size_t n;
    TRY(gguf_reals(l->g, TOKENIZER_KEY "scores", &score, &n));
    FAIL_IF(n != l->n, E_DATA, "%s: scores of %zu tokens, of which there are %zu", l->what, n, l->n);
    for (size_t id = 0; id < n; id++) {
        FAIL_IF(l->token[id].size > UINT32_MAX, E_DATA, "%s: token %zu has %zu bytes", l->what, id, l->token[id].size);
        p[id] = (struct piece){ l->token[id].at, (uint32_t)l->token[id].size, score[id], kind_of(l, id) };
    }
    return 0;
}

static int make_of_llama(struct tokenizer *t, struct lists *l)
{
    struct score_rules r = { .space = METASPACE, .prefix = 1, .unknown = -1 };
    TRY(read_lists(l, 1, 2));
    TRY(id_of(l, TOKENIZER_KEY "unknown_token_id", 0, &r.unknown));
    if (gguf_has(l->g, TOKENIZER_KEY "add_space_prefix")) TRY(gguf_bool(l->g, TOKENIZER_KEY "add_space_prefix", &r.prefix));
    TRY(read_around(l, 1, &r.before, &r.behind));
    if (r.unknown >= 0 && kind_of(l, (size_t)r.unknown) == PIECE_NONE) r.unknown = -1;
    struct piece *p = calloc(l->n, sizeof *p);
    FAIL_IF(!p, E_MEMORY, "%s: no memory for %zu tokens", l->what, l->n);
    int failed = take_pieces(l, p);
    if (!failed) failed = tokenizer_of_scores(t, p, l->n, &r, l->what);
    free(p);
    return failed;
}

/* ---- the whole ---- */

static int make_of_json(struct tokenizer *t, const struct gguf *g, const char *what)
{
    const char *text;
    json_t *root;
    TRY(gguf_text(g, TOKENIZER_JSON, &text));
    TRY(json_parse(&root, text, strlen(text), what));
    int failed = tokenizer_of_json(t, root, what);
    json_decref(root);
    return failed ? error_prefix(failed, "%s: " TOKENIZER_JSON, what) : 0;
}

static int make_of_lists(struct tokenizer *t, struct lists *l)
{
    static const struct { const char *name; int (*make)(struct tokenizer *t, struct lists *l); } models[] = { { "gpt2", make_of_gpt2 }, { "llama", make_of_llama } };
    const char *model;
    TRY(gguf_text(l->g, TOKENIZER_KEY "model", &model));
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        if (!strcmp(models[i].name, model)) return models[i].make(t, l);
    FAIL(E_DATA, "%s: " TOKENIZER_KEY "model is \"%.40s\"; nib knows gpt2 and llama", l->what, model);
}

/* What ends texts is one of the tokens that are listed, perhaps one that the tokenizer.json does not have: then none of its own does. */
static int set_end(struct tokenizer *t, const struct gguf *g, int64_t eos)
{
    const struct gguf_bytes *tokens;
    size_t n = t->vocab.n;
    if (gguf_has(g, TOKENIZER_KEY "tokens")) TRY(gguf_texts(g, TOKENIZER_KEY "tokens", &tokens, &n));
    if (gguf_has(g, TOKENIZER_KEY "eos_token_id")) TRY(gguf_int(g, TOKENIZER_KEY "eos_token_id", 0, (int64_t)n - 1, &eos));
    if (eos >= 0) t->end = eos < t->vocab.n && t->vocab.at[eos].bytes ? eos : -1;
    return 0;
}

static int set_chat(struct tokenizer *t, const struct gguf *g)
{
    const char *jinja;
    if (!gguf_has(g, CHAT_KEY)) return 0;
    TRY(gguf_text(g, CHAT_KEY, &jinja));
    return tokenizer_set_chat(t, jinja);
}

int tokenizer_of_gguf(struct tokenizer *t, const struct gguf *g)
{
    struct lists l = { .g = g, .what = gguf_name(g), .eos = -1 };
    TRY(gguf_has(g, TOKENIZER_JSON) ? make_of_json(t, g, l.what) : make_of_lists(t, &l));
    TRY(set_end(t, g, l.eos));
    return set_chat(t, g);
}

int tokenizer_in_gguf(const struct gguf *g) { return gguf_has(g, TOKENIZER_KEY "tokens") || gguf_has(g, TOKENIZER_JSON); }

#ifdef FUZZ_TOKENIZER_GGUF
/* What a file says encodes any bytes, and what it decodes to is known. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text back = { 0 };
    struct ids ids = { 0 };
    struct tokenizer *t;
    struct gguf *g;
    if (gguf_parse(&g, data, size, "fuzz")) return 0;
    if (tokenizer_new(&t)) abort();
    if (!tokenizer_of_gguf(t, g)) {
        int failed = tokenizer_encode(t, (const char *)data, size, SPECIALS_AS_TOKENS, &ids);
        if ((failed && t->kind == MODEL_BYTES && !t->normal.n && !t->bpe.lacks) || (!failed && tokenizer_decode(t, ids.at, ids.n, &back))) abort();
        if (!failed && t->kind == MODEL_BYTES && !gguf_has(g, TOKENIZER_JSON) && (back.size != size || memcmp(back.at, data, size))) abort();
        if (t->end >= 0 && !t->vocab.at[t->end].bytes) abort();
    }
    gguf_close(g);
    tokenizer_free(t);
    ids_free(&ids);
    text_free(&back);
    return 0;
}
#endif
