/* tokenizer_json.c -- Hugging Face's tokenizer.json: what it says.
 *
 * The file is a program: normalizer, pre-tokenizer, model, post-processor, decoder.  tokenizer_stages.c reads what stands around the model.
 * nib does what is asked exactly, or refuses it by its name: an unknown key is fine only if it asks for nothing (null, false, 0, "",
 * [] or {}). */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "token/alphabet.h"
#include "token/tokenizer_core.h"
#include "token/tokenizer_stages.h"

/* ---- tokens ---- */

static int read_added_token(struct tokenizer *t, struct token *out, const json_t *token, const char *what)
{
    static const char *const known[] = { "id", "content", "special", "normalized", "single_word", "lstrip", "rstrip", NULL };
    static const struct { const char *key; uint32_t flag; } flags[] = { { "normalized", TOKEN_NORMALIZED }, { "single_word", TOKEN_SINGLE_WORD }, { "lstrip", TOKEN_LSTRIP }, { "rstrip", TOKEN_RSTRIP } };
    const char *content;
    int64_t id;
    int special;
    TRY(check_keys(token, known, what));
    TRY(json_get_int(token, "id", 0, MAX_IDS - 1, &id, what));
    TRY(json_get_string(token, "content", &content, what));
    TRY(json_get_bool(token, "special", &special, what));
    *out = (struct token){ .bytes = arena_copy(&t->memory, content), .size = (uint32_t)strlen(content), .id = (uint32_t)id, .flags = TOKEN_ADDED | (special ? TOKEN_SPECIAL : 0) };
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        int is = 0;
        TRY(optional_bool(token, flags[i].key, &is, what));
        if (is) out->flags |= flags[i].flag;
    }
    FAIL_IF(!out->bytes, E_MEMORY, "%s: no memory for added tokens", what);
    FAIL_IF(out->size == 0, E_DATA, "%s: the added token with id %u is empty", what, out->id);
    return 0;
}

/* Sorted, so that the vocabulary's keys can be looked up in them. */
static int read_added(struct tokenizer *t, struct parts *p, const json_t *list, const char *what)
{
    char name[QUOTE_SIZE];
    json_t *token;
    size_t i;
    FAIL_IF(list && !json_is_array(list), E_DATA, "%s: \"added_tokens\" must be an array", what);
    p->added.n = json_array_size(list);
    p->added.at = take_array(&t->memory, p->added.n, sizeof *p->added.at);
    FAIL_IF(!p->added.at, E_MEMORY, "%s: no memory for %zu added tokens", what, p->added.n);
    json_array_foreach (list, i, token) TRY(read_added_token(t, &p->added.at[i], token, what));
    qsort(p->added.at, p->added.n, sizeof *p->added.at, token_compare);
    for (i = 1; i < p->added.n; i++) {
        const struct token *a = &p->added.at[i];
        FAIL_IF(!token_compare(a - 1, a), E_DATA, "%s: the token %s is added twice", what, quote(name, a->bytes, a->size));
    }
    return 0;
}

/* What a key of the vocabulary spells, into new memory.  *size = 0 if a character is no byte's. */
static char *unspell(struct arena *memory, const char *key, int is_spelled, size_t *size)
{
    size_t n = strlen(key);
    char *bytes = take_array(memory, n + 1, 1);
    if (!bytes) return NULL;
    *size = n;
    if (!is_spelled) memcpy(bytes, key, n);
    else if (!alphabet_read(bytes, key, n, size)) *size = 0;
    return bytes;
}

/* One token of the vocabulary.  Added tokens are often listed there, too, but as they stand and not spelled: such a one is the
 * model's only if that is the same, as for ASCII without spaces. */
static int read_token(struct tokenizer *t, struct parts *p, const char *key, const json_t *value, const char *what)
{
    json_int_t id = json_is_integer(value) ? json_integer_value(value) : -1;
    size_t n = strlen(key), size = 0;
    const struct token *added = tokens_find(p->added, key, n);
    char name[QUOTE_SIZE];
    FAIL_IF(id < 0 || id >= MAX_IDS, E_DATA, "%s: the id of the token %s must be an integer within 0 .. %d", what,
            quote(name, key, n), MAX_IDS - 1);
    FAIL_IF(added && added->id != id, E_DATA, "%s: the token %s has id %u where it is added and id %d in the vocabulary", what,
            quote(name, key, n), added->id, (int)id);
    const char *bytes = unspell(&t->memory, key, p->kind == MODEL_BYTES, &size);
    FAIL_IF(!bytes, E_MEMORY, "%s: no memory for the vocabulary", what);
    if (added && (p->kind == MODEL_CHARACTERS || size != n || memcmp(bytes, key, n))) return 0;
    FAIL_IF(n > 0 && size == 0, E_DATA, "%s: the token %s (id %d) has characters outside of the byte alphabet", what,
            quote(name, key, n), (int)id);
    p->model.at[p->model.n++] = (struct token){ .bytes = bytes, .size = (uint32_t)size, .id = (uint32_t)id };
    return 0;
}

int vocab_from_json(struct tokenizer *t, struct parts *p, const json_t *object, const char *what)
{
    const char *key;
    json_t *value;
    p->model.at = take_array(&t->memory, json_object_size(object), sizeof *p->model.at);
    FAIL_IF(!p->model.at, E_MEMORY, "%s: no memory for %zu tokens", what, json_object_size(object));
    json_object_foreach ((json_t *)object, key, value) TRY(read_token(t, p, key, value, what));
    return 0;
}

/* ---- merges, in both spellings: "left right" and ["left", "right"] ---- */

/* The two parts' bytes are put behind each other, which is what the result must be. */
static int read_merge(const struct tokenizer *t, struct merge *m, const char *left, size_t n, const char *right)
{
    char bytes[4096];
    size_t m_right = strlen(right), n_left = n, n_right = m_right;
    FAIL_IF(n > sizeof bytes || m_right > sizeof bytes - n, E_DATA, "its tokens are longer than %zu bytes", sizeof bytes);
    memcpy(bytes, left, n);
    memcpy(bytes + n, right, m_right);
    int spelled = t->kind != MODEL_BYTES || (alphabet_read(bytes, left, n, &n_left) && alphabet_read(bytes + n_left, right, m_right, &n_right));
    FAIL_IF(!spelled, E_DATA, "it has characters outside of the byte alphabet");
    return bpe_merge_of(m, &t->vocab, bytes, n_left, n_right);
}

int merge_from_line(const struct tokenizer *t, struct merge *m, const char *line)
{
    const char *space = strchr(line, ' ');
    FAIL_IF(!space || strchr(space + 1, ' '), E_DATA, "two tokens and a space between them were expected");
    return read_merge(t, m, line, (size_t)(space - line), space + 1);
}

static int merge_from_json(const struct tokenizer *t, struct merge *m, const json_t *value)
{
    if (json_is_string(value)) return merge_from_line(t, m, json_string_value(value));
    const char *left = json_string_value(json_array_get(value, 0)), *right = json_string_value(json_array_get(value, 1));
    FAIL_IF(json_array_size(value) != 2 || !left || !right, E_DATA, "two tokens were expected");
    return read_merge(t, m, left, strlen(left), right);
}

static int read_merges(struct tokenizer *t, const struct parts *p, const json_t *list, const char *what)
{
    struct merges merges = { .n = json_array_size(list) };
    json_t *value;
    size_t i;
    merges.at = take_array(&t->memory, merges.n, sizeof *merges.at);
    FAIL_IF(!merges.at, E_MEMORY, "%s: no memory for %zu merges", what, merges.n);
    json_array_foreach (list, i, value) {
        int failed = merge_from_json(t, &merges.at[i], value);
        if (failed) return error_prefix(failed, "%s: merge %zu", what, i);
    }
    return tokenizer_merges(t, p, merges, what);
}

/* ---- the whole file ---- */

static int is_plain_bpe(const json_t *model)
{
    static const char *const asks[] = { "merges", "unk_token", "byte_fallback" };
    for (size_t i = 0; i < sizeof asks / sizeof *asks; i++)
        if (!asks_nothing(json_object_get(model, asks[i]))) return 0;
    return 1;
}

/* A vocabulary of characters is a BPE without merges, nor anything that stands for unknown ones.  Old files do not say that they are BPE. */
static int find_kind(struct parts *p, const json_t *root, const json_t *model, const char *what)
{
    static const struct { const char *type; enum model kind; } types[] = { { "BPE", MODEL_CHARBPE }, { "Unigram", MODEL_UNIGRAM }, { "WordPiece", MODEL_WORDPIECE } };
    const json_t *type = json_object_get(model, "type");
    size_t i = 0;
    while (type && i < sizeof types / sizeof *types && !is_type(model, types[i].type)) i++;
    int cuts_words = p->stages && p->stage[0].pattern == SPLIT_BERT;
    if (i == sizeof types / sizeof *types || (i && p->kind == MODEL_BYTES) || cuts_words != is_type(model, "WordPiece")) return refuse(type, "model.type", what);
    int nothing_before = asks_nothing(json_object_get(root, "pre_tokenizer")) && asks_nothing(json_object_get(root, "normalizer"));
    if (p->kind == MODEL_BYTES) return 0;
    p->kind = i == 0 && is_plain_bpe(model) && nothing_before && is_type(json_object_get(root, "decoder"), "Fuse") ? MODEL_CHARACTERS : types[i].kind;
    return 0;
}

/* ---- models ---- */

static int read_bpe(struct tokenizer *t, struct parts *p, const json_t *model, const char *what)
{
    /* Byte-level BPE knows every byte, so it never needs the unknown token.  Characters do, and nib reports them instead. */
    static const char *const known[] = { "type", "vocab", "merges", "ignore_merges", "unk_token", "fuse_unk", "byte_fallback", NULL };
    json_t *vocab, *merges;
    TRY(optional_bool(model, "ignore_merges", &p->whole_first, what));
    TRY(optional_bool(model, "fuse_unk", &p->fuses, what));
    TRY(optional_bool(model, "byte_fallback", &p->falls_back, what));
    TRY(check_keys(model, known, what));
    if (p->kind == MODEL_BYTES && p->falls_back) return refuse(json_object_get(model, "byte_fallback"), "byte_fallback", what);
    if (json_is_string(json_object_get(model, "unk_token"))) TRY(keep_string(t, model, "unk_token", &p->unknown, what));
    TRY(json_get_object(model, "vocab", &vocab, what));
    TRY(vocab_from_json(t, p, vocab, what));
    TRY(tokenizer_vocabulary(t, p, what));
    if (p->kind == MODEL_CHARACTERS) return 0;
    TRY(json_get_array(model, "merges", &merges, what));
    return read_merges(t, p, merges, what);
}

/* [["token", score], ...], by id. */
static int read_scores(struct tokenizer *t, struct parts *p, const json_t *list, const char *what)
{
    size_t id, n = json_array_size(list);
    json_t *pair;
    FAIL_IF(n > MAX_IDS, E_DATA, "%s: %zu tokens are too many", what, n);
    p->model.at = take_array(&t->memory, n, sizeof *p->model.at);
    p->score = take_array(&t->memory, n, sizeof *p->score);
    FAIL_IF(!p->model.at || !p->score, E_MEMORY, "%s: no memory for %zu tokens", what, n);
    json_array_foreach (list, id, pair) {
        const char *token = json_string_value(json_array_get(pair, 0));
        const json_t *score = json_array_get(pair, 1);
        FAIL_IF(!token || !json_is_number(score) || json_array_size(pair) != 2, E_DATA, "%s: token %zu: a text and its score were expected", what, id);
        p->score[id] = json_number_value(score);
        p->model.at[p->model.n++] = (struct token){ .bytes = arena_copy(&t->memory, token), .size = (uint32_t)strlen(token), .id = (uint32_t)id };
        FAIL_IF(!p->model.at[id].bytes, E_MEMORY, "%s: no memory for %zu tokens", what, n);
    }
    return 0;
}

static int read_unigram(struct tokenizer *t, struct parts *p, const json_t *model, const char *what)
{
    static const char *const known[] = { "type", "vocab", "unk_id", "byte_fallback", NULL };
    json_t *vocab;
    TRY(optional_bool(model, "byte_fallback", &p->falls_back, what));
    TRY(check_keys(model, known, what));
    TRY(json_get_array(model, "vocab", &vocab, what));
    p->unknown_id = -1;
    if (!json_is_null(json_object_get(model, "unk_id")) && json_has(model, "unk_id")) TRY(json_get_int(model, "unk_id", 0, (int64_t)json_array_size(vocab) - 1, &p->unknown_id, what));
    TRY(read_scores(t, p, vocab, what));
    return tokenizer_vocabulary(t, p, what);
}

static int read_wordpiece(struct tokenizer *t, struct parts *p, const json_t *model, const char *what)
{
    static const char *const known[] = { "type", "vocab", "unk_token", "continuing_subword_prefix", "max_input_chars_per_word", NULL };
    json_t *vocab;
    p->most_chars = 100;
    TRY(check_keys(model, known, what));
    TRY(keep_string(t, model, "unk_token", &p->unknown, what));
    TRY(keep_string(t, model, "continuing_subword_prefix", &p->prefix, what));
    if (json_has(model, "max_input_chars_per_word")) TRY(json_get_int(model, "max_input_chars_per_word", 0, WORDPIECE_MOST_CHARS, &p->most_chars, what));
    TRY(json_get_object(model, "vocab", &vocab, what));
    TRY(vocab_from_json(t, p, vocab, what));
    return tokenizer_vocabulary(t, p, what);
}

static int read_model(struct tokenizer *t, struct parts *p, const json_t *model, const char *what)
{
    if (p->kind == MODEL_UNIGRAM) return read_unigram(t, p, model, what);
    return p->kind == MODEL_WORDPIECE ? read_wordpiece(t, p, model, what) : read_bpe(t, p, model, what);
}

/* What nib adds to a file for itself: other programs take the order of the merges for their ranks, which is nearly the same. */
static int read_own(struct tokenizer *t, struct parts *p, const json_t *own, const char *what)
{
    static const char *const known[] = { "by_rank", "last", NULL };
    json_t *last;
    TRY(check_keys(own, known, what));
    TRY(optional_bool(own, "by_rank", &p->by_rank, what));
    if (!json_has(own, "last")) return 0;
    if (p->kind != MODEL_CHARBPE || !p->by_rank) return refuse(own, "nib", what);
    TRY(json_get_array(own, "last", &last, what));
    uint32_t *id = take_array(&t->memory, json_array_size(last), sizeof *id);
    FAIL_IF(!id, E_MEMORY, "%s: no memory for %zu ids", what, json_array_size(last));
    for (; p->n_last < json_array_size(last); p->n_last++) {
        const json_t *one = json_array_get(last, p->n_last);
        FAIL_IF(!json_is_integer(one) || json_integer_value(one) < 0 || json_integer_value(one) >= MAX_IDS, E_DATA, "%s: \"last\" is no list of ids", what);
        id[p->n_last] = (uint32_t)json_integer_value(one);
    }
    p->last = id;
    return 0;
}

/* Its ids are in the vocabulary. */
static int check_template(const struct tokenizer *t, const char *what)
{
    for (int behind = 0; behind < 2; behind++)
        for (int i = 0; i < t->template.n[behind]; i++) {
            uint32_t id = t->template.id[behind][i];
            FAIL_IF(id >= t->vocab.n || !t->vocab.at[id].bytes, E_DATA, "%s: the post-processor adds the token %u, which is not in the vocabulary", what, id);
        }
    return 0;
}

/* What the file asks for is looked at first, what it contains afterwards: whoever opens a file that is not for nib should
 * learn of it by its kind, not by some token. */
int tokenizer_of_json(struct tokenizer *t, json_t *root, const char *what)
{
    static const char *const known[] = { "version", "added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder", "model", "nib", NULL };
    const json_t *version = json_object_get(root, "version");
    struct parts p = { 0 };
    json_t *model;
    TRY(check_keys(root, known, what));
    if (json_is_string(version) && strcmp(json_string_value(version), "1.0")) return refuse(version, "version", what);
    TRY(read_normalizer(t, &p, json_object_get(root, "normalizer"), what));
    TRY(read_pre_tokenizer(t, &p, json_object_get(root, "pre_tokenizer"), what));
    TRY(json_get_object(root, "model", &model, what));
    TRY(find_kind(&p, root, model, what));
    TRY(read_post_processor(&p, json_object_get(root, "post_processor"), what));
    TRY(read_decoder(t, &p, json_object_get(root, "decoder"), what));
    if (json_has(root, "nib")) TRY(read_own(t, &p, json_object_get(root, "nib"), what));
    TRY(read_added(t, &p, json_object_get(root, "added_tokens"), what));
    TRY(read_model(t, &p, model, what));
    TRY(check_template(t, what));
    int is_plain = p.kind <= MODEL_BYTES && !p.normal.n && !p.late.n && !p.template.n[0] && !p.template.n[1];
    for (size_t i = 0; i < p.added.n; i++) is_plain = is_plain && !(p.added.at[i].flags & (TOKEN_SINGLE_WORD | TOKEN_LSTRIP | TOKEN_RSTRIP));
    if (!is_plain) t->file = json_incref(root);
    tokenizer_ready(t);
    return 0;
}

int tokenizer_parse(struct tokenizer **out, const char *json, size_t n, const char *what)
{
    json_t *root;
    struct tokenizer *t = NULL;
    TRY(json_parse(&root, json, n, what));
    int failed = tokenizer_new(&t);
    if (!failed) failed = tokenizer_of_json(t, root, what);
    json_decref(root);
    if (failed) tokenizer_free(t);
    else *out = t;
    return failed;
}

#ifdef FUZZ_TOKENIZER_JSON
static void encode_and_back(const struct tokenizer *t, const char *bytes, size_t n, enum specials s)
{
    struct ids ids = { 0 };
    struct text text = { 0 };
    int failed = tokenizer_encode(t, bytes, n, s, &ids);
    if (failed && t->kind == MODEL_BYTES && !t->normal.n) abort();
    if (!failed && tokenizer_decode(t, ids.at, ids.n, &text)) abort();
    int gives_back = t->kind <= MODEL_BYTES && !t->normal.n && !t->late.n;
    for (size_t i = 0; i < t->vocab.n; i++) gives_back = gives_back && !(t->vocab.at[i].flags & (TOKEN_LSTRIP | TOKEN_RSTRIP));
    if (!failed && gives_back && (text.size != n || (n && memcmp(text.at, bytes, n)))) abort();
    ids_free(&ids);
    text_free(&text);
}

static void write_and_back(const struct tokenizer *t)
{
    json_t *root;
    struct tokenizer *again;
    if (tokenizer_to_json(t, &root)) abort();
    char *json = json_dumps(root, JSON_COMPACT);
    if (!json || tokenizer_parse(&again, json, strlen(json), "again")) abort();
    if (strcmp(tokenizer_fingerprint(again), tokenizer_fingerprint(t))) abort();
    tokenizer_free(again);
    free(json);
    json_decref(root);
}

/* A tokenizer.json, a NUL, and a text to encode by it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *json = (const char *)data, *nul = size ? memchr(json, 0, size) : NULL;
    size_t n = nul ? (size_t)(nul - json) : size, after = nul ? n + 1 : size;
    struct tokenizer *t;
    if (tokenizer_parse(&t, json, n, "fuzz")) return 0;
    encode_and_back(t, json + after, size - after, SPECIALS_AS_TEXT);
    encode_and_back(t, json + after, size - after, SPECIALS_AS_TOKENS);
    write_and_back(t);
    tokenizer_free(t);
    return 0;
}
#endif
