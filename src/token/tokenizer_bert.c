/* tokenizer_bert.c -- BERT's vocab.txt, a token a line in the order of ids, and the tokenizer_config.json beside it.
 *
 * They are put into the words of a tokenizer.json, those of transformers' BertTokenizerFast (5.23).  As there, white space at the end of
 * a line is no part of the token, and a line of nothing else is a hole.  [PAD] and [MASK] that the file lacks are not added to it. */
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/utf8.h"
#include "token/bert.h"
#include "token/tokenizer_stages.h"

/* ---- vocab.txt ---- */

static int read_line(json_t *vocab, char *line, size_t n, size_t id)
{
    char shown[QUOTE_SIZE];
    size_t end = 0, size;
    for (size_t at = 0; at < n; at += size) {
        FAIL_IF(utf8_next(line + at, n - at, &size) <= 0, E_DATA, "byte %zu is %s", at, line[at] ? "not UTF-8" : "NUL, which no token contains");
        if (!bert_is_space(line + at, n - at)) end = at + size;
    }
    if (!end) return 0;
    line[end] = 0;
    const json_t *before = json_object_get(vocab, line);
    FAIL_IF(before, E_DATA, "the token %s is on line %lld, too", quote(shown, line, end), (long long)json_integer_value(before) + 1);
    FAIL_IF(json_object_set_new(vocab, line, json_integer((json_int_t)id)), E_MEMORY, "no memory for its token");
    return 0;
}

static int read_lines(json_t *vocab, const struct text *all, const char *path)
{
    size_t id = 0;
    for (char *line = all->at, *end = all->at + all->size, *stop; line < end; line = stop + 1, id++) {
        if (!(stop = memchr(line, '\n', (size_t)(end - line)))) stop = end;
        int failed = read_line(vocab, line, (size_t)(stop - line), id);
        if (failed) return error_prefix(failed, "%s: line %zu", path, id + 1);
    }
    FAIL_IF(!json_object_size(vocab), E_DATA, "%s: the vocabulary is empty", path);
    return 0;
}

static const struct { const char *key, *token; } specials[] = {
    { "unk_token", "[UNK]" }, { "cls_token", "[CLS]" }, { "sep_token", "[SEP]" }, { "pad_token", "[PAD]" }, { "mask_token", "[MASK]" },
};
enum { NEEDED = 3, SPECIALS = sizeof specials / sizeof *specials };

static int add_specials(json_t *list, const json_t *vocab, const char *path)
{
    for (int i = 0; i < SPECIALS; i++) {
        const json_t *id = json_object_get(vocab, specials[i].token);
        FAIL_IF(!id && i < NEEDED, E_DATA, "%s: no line is %s, which every vocabulary of BERT's has", path, specials[i].token);
        struct token token = { .bytes = specials[i].token, .id = (uint32_t)json_integer_value(id), .flags = TOKEN_SPECIAL };
        FAIL_IF(id && json_array_append_new(list, added_to_json(&token)), E_MEMORY, "%s: no memory for its special tokens", path);
    }
    return 0;
}

/* ---- tokenizer_config.json ---- */

/* Special tokens of other names would be others in the text. */
static int read_rules(json_t **normalizer, const json_t *config, const char *path)
{
    int lower = 1, chinese = 1, accents;
    TRY(optional_bool(config, "do_lower_case", &lower, path));
    TRY(optional_bool(config, "tokenize_chinese_chars", &chinese, path));
    TRY(optional_bool(config, "strip_accents", &accents, path));
    if (json_has(config, "never_split")) return refuse(json_object_get(config, "never_split"), "never_split", path);
    for (int i = 0; i < SPECIALS; i++) {
        const char *name = token_in_config(config, specials[i].key);
        if (name && strcmp(name, specials[i].token)) return refuse(json_object_get(config, specials[i].key), specials[i].key, path);
    }
    *normalizer = json_pack("{s:s, s:b, s:b, s:O?, s:b}", "type", "BertNormalizer", "clean_text", 1, "handle_chinese_chars", chinese, "strip_accents", json_object_get(config, "strip_accents"), "lowercase", lower);
    return 0;
}

/* ---- both ---- */

/* What is passed is used up, also where it fails. */
static json_t *file_of(json_t *vocab, json_t *added, json_t *normalizer)
{
    json_t *post = json_pack("{s:s, s:[s, O], s:[s, O]}", "type", "BertProcessing", "sep", "[SEP]", json_object_get(vocab, "[SEP]"), "cls", "[CLS]", json_object_get(vocab, "[CLS]"));
    return json_pack("{s:s, s:n, s:n, s:o, s:o, s:{s:s}, s:o, s:{s:s, s:s, s:b}, s:{s:s, s:s, s:s, s:i, s:o}}", "version", "1.0", "truncation", "padding", "added_tokens", added, "normalizer", normalizer,
                     "pre_tokenizer", "type", "BertPreTokenizer", "post_processor", post, "decoder", "type", "WordPiece", "prefix", "##", "cleanup", 1,
                     "model", "type", "WordPiece", "unk_token", "[UNK]", "continuing_subword_prefix", "##", "max_input_chars_per_word", 100, "vocab", vocab);
}

int tokenizer_of_bert(struct tokenizer *t, const struct text *all, const char *path, const json_t *config, const char *config_path)
{
    json_t *vocab = json_object(), *added = json_array(), *normalizer = NULL;
    int failed = read_rules(&normalizer, config, config_path);
    if (!failed) failed = read_lines(vocab, all, path);
    if (!failed) failed = add_specials(added, vocab, path);
    json_t *root = file_of(vocab, added, normalizer);
    if (!failed) failed = root ? tokenizer_of_json(t, root, path) : error_set(E_MEMORY, __FILE__, __LINE__, "%s: no memory for its tokens", path);
    json_decref(root);
    return failed;
}
