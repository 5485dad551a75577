/* tokenizer_write.c -- tokenizers as Hugging Face's tokenizer.json.
 *
 * Characters and plain byte-level BPE are written in one normal form, whatever file they came from; other tokenizers as their file
 * says it.  jansson's own failures are those of memory; a part that could not be made is NULL, and then so is the whole. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "token/alphabet.h"
#include "token/tokenizer_stages.h"

static json_t *byte_level(int use_regex)
{
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets", 1, "use_regex",
                     use_regex);
}

static json_t *write_stage(const struct split_stage *s)
{
    const char *regex = split_regex(s);
    if (!regex) return json_pack("{s:s, s:b}", "type", "Digits", "individual_digits", s->pattern == SPLIT_DIGIT);
    return json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split", "pattern", "Regex", regex, "behavior", "Isolated", "invert", 0);
}

json_t *pre_tokenizer_to_json(const struct split_stage *stage, int n)
{
    int own = n > 0 && stage[n - 1].pattern == SPLIT_GPT2;   /* ByteLevel's own pattern */
    if (n - own == 0) return byte_level(own);
    json_t *steps = json_array();
    int failed = 0;
    for (int i = 0; i < n - own && !failed; i++) failed = json_array_append_new(steps, write_stage(&stage[i]));
    if (!failed) failed = json_array_append_new(steps, byte_level(own));
    if (!failed) return json_pack("{s:s, s:o}", "type", "Sequence", "pretokenizers", steps);
    json_decref(steps);
    return NULL;
}

static json_t *write_pre_tokenizer(const struct tokenizer *t)
{
    const struct split_stage *stage;
    int n = split_stages(t->splitter, &stage);
    return pre_tokenizer_to_json(stage, n);
}

static void add_around(json_t *single, json_t *specials, const char *name, int64_t id)
{
    if (!name) return;
    json_array_append_new(single, json_pack("{s:{s:s, s:i}}", "SpecialToken", "id", name, "type_id", 0));
    json_object_set_new(specials, name, json_pack("{s:s, s:[I], s:[s]}", "id", name, "ids", (json_int_t)id, "tokens", name));
}

json_t *template_to_json(const char *before, int64_t before_id, const char *behind, int64_t behind_id)
{
    json_t *single = json_array(), *specials = json_object();
    add_around(single, specials, before, before_id);
    json_array_append_new(single, json_pack("{s:{s:s, s:i}}", "Sequence", "id", "A", "type_id", 0));
    add_around(single, specials, behind, behind_id);
    return json_pack("{s:s, s:o, s:[{s:{s:s, s:i}}, {s:{s:s, s:i}}], s:o}", "type", "TemplateProcessing", "single", single,
                     "pair", "Sequence", "id", "A", "type_id", 0, "Sequence", "id", "B", "type_id", 1, "special_tokens", specials);
}

json_t *added_to_json(const struct token *t)
{
    return json_pack("{s:i, s:s, s:b, s:b, s:b, s:b, s:b}", "id", (int)t->id, "content", t->bytes, "single_word", 0, "lstrip", 0,
                     "rstrip", 0, "normalized", (t->flags & TOKEN_NORMALIZED) != 0, "special", (t->flags & TOKEN_SPECIAL) != 0);
}

static int write_added(json_t *list, const struct tokenizer *t)
{
    for (uint32_t id = 0; id < t->vocab.n; id++) {
        const struct token *token = &t->vocab.at[id];        /* of a hole, no flag is set */
        int failed = token->flags & TOKEN_ADDED && json_array_append_new(list, added_to_json(token));
        FAIL_IF(failed, E_MEMORY, "no memory for the JSON of the added tokens");
    }
    return 0;
}

void token_spell(struct text *out, const struct tokenizer *t, uint32_t id)
{
    const struct token *token = &t->vocab.at[id];
    if (t->kind == MODEL_BYTES && !(token->flags & TOKEN_ADDED)) alphabet_spell(out, token->bytes, token->size);
    else text_bytes(out, token->bytes, token->size);
}

/* Added tokens are listed here too: Hugging Face's library numbers those that are not by itself, whatever their "id" says. */
static int write_vocab(json_t *vocab, const struct tokenizer *t)
{
    struct text key = { 0 };
    int failed = 0;
    for (uint32_t id = 0; id < t->vocab.n && !failed; id++) {
        if (!t->vocab.at[id].bytes) continue;
        text_clear(&key);
        token_spell(&key, t, id);
        failed = key.failed || json_object_set_new(vocab, key.at, json_integer(id));
    }
    text_free(&key);
    FAIL_IF(failed, E_MEMORY, "no memory for the vocabulary's JSON");
    return 0;
}

/* The older of the two spellings, which every reader knows.  It always works: no spelled token contains a space. */
static int write_merges(json_t *list, const struct tokenizer *t)
{
    struct text line = { 0 };
    int failed = 0;
    for (size_t i = 0; i < t->bpe.merges.n && !failed; i++) {
        text_clear(&line);
        token_spell(&line, t, t->bpe.merges.at[i].left);
        text_add(&line, " ");
        token_spell(&line, t, t->bpe.merges.at[i].right);
        failed = line.failed || json_array_append_new(list, json_string(line.at));
    }
    text_free(&line);
    FAIL_IF(failed, E_MEMORY, "no memory for the JSON of %zu merges", t->bpe.merges.n);
    return 0;
}

int tokenizer_to_json(const struct tokenizer *t, json_t **root)
{
    if ((*root = json_incref(t->file))) return 0;
    json_t *vocab = json_object(), *merges = json_array(), *added = json_array();
    int bytes = t->kind == MODEL_BYTES, failed = write_vocab(vocab, t);
    if (!failed) failed = write_merges(merges, t);
    if (!failed) failed = write_added(added, t);
    json_t *pre = bytes ? write_pre_tokenizer(t) : json_null(), *post = bytes ? byte_level(1) : json_null();
    json_t *decoder = bytes ? byte_level(1) : json_pack("{s:s}", "type", "Fuse");
    json_t *model = json_pack("{s:s, s:n, s:n, s:n, s:n, s:b, s:b, s:b, s:o, s:o}", "type", "BPE", "dropout", "unk_token",
                              "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 0, "byte_fallback", 0,
                              "ignore_merges", t->bpe.whole_first, "vocab", vocab, "merges", merges);
    *root = json_pack("{s:s, s:n, s:n, s:o, s:o, s:o, s:o, s:o, s:o}", "version", "1.0", "truncation", "padding", "added_tokens",
                      added, "normalizer", json_null(), "pre_tokenizer", pre, "post_processor", post, "decoder", decoder, "model", model);
    if (!*root && !failed) failed = error_set(E_MEMORY, __FILE__, __LINE__, "no memory for the tokenizer's JSON");
    if (!failed && bytes && t->bpe.by_rank && json_object_set_new(*root, "nib", json_pack("{s:b}", "by_rank", 1))) failed = E_MEMORY;
    if (!failed) return 0;
    json_decref(*root);
    *root = NULL;
    return failed;
}
