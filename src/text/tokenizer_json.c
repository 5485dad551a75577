/* tokenizer_json.c -- Hugging Face's tokenizer.json: what it says and what nib writes.
 *
 * The file is a program of four stages: normalizer, pre-tokenizer, model, decoder.  nib does two such programs, byte-level
 * BPE and characters, and both exactly.  Whatever else a file asks for is refused by its name: an unknown key is fine
 * only if it asks for nothing (null, false, 0, "", [] or {}).  A post-processor that adds tokens is not among what nib does. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "text/alphabet.h"
#include "text/tokenizer_core.h"

/* ---- refusing ---- */

static int asks_nothing(const json_t *value)
{
    if (!value || json_is_null(value) || json_is_false(value)) return 1;
    if (json_is_string(value)) return json_string_length(value) == 0;
    if (json_is_number(value)) return json_number_value(value) == 0;
    return !json_is_true(value) && json_object_size(value) + json_array_size(value) == 0;
}

static int refuse(const json_t *value, const char *key, const char *what)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    int code = error_set(E_DATA, __FILE__, __LINE__, "%s: \"%s\" is %.80s, which nib cannot do, and without it ids would be others",
                         what, key, text ? text : "?");
    free(text);
    return code;
}

/* Every key but the known ones (ending with NULL) asks for nothing. */
static int check_keys(const json_t *object, const char *const *known, const char *what)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)object, key, value) {
        const char *const *k = known;
        while (*k && strcmp(*k, key)) k++;
        if (!*k && !asks_nothing(value)) return refuse(value, key, what);
    }
    return 0;
}

/* Keeps *value if the key is absent. */
static int optional_bool(const json_t *object, const char *key, int *value, const char *what)
{
    return json_has(object, key) ? json_get_bool(object, key, value, what) : 0;
}

static int is_type(const json_t *object, const char *type)
{
    const char *own = json_string_value(json_object_get(object, "type"));
    return own && !strcmp(own, type);
}

/* ---- the pre-tokenizer: null, or patterns followed by ByteLevel ---- */

static int add_stage(struct parts *p, struct split_stage stage, const char *what)
{
    FAIL_IF(p->stages == SPLIT_STAGES, E_DATA, "%s: more than %d pre-tokenizers in a row", what, SPLIT_STAGES);
    p->stage[p->stages++] = stage;
    return 0;
}

/* ByteLevel is two things: GPT-2's pattern, unless "use_regex" is false, and the byte alphabet.  trim_offsets is about where tokens
 * are said to lie in the text, not about ids. */
static int read_byte_level(struct parts *p, const json_t *step, const char *what)
{
    static const char *const known[] = { "type", "add_prefix_space", "trim_offsets", "use_regex", NULL };
    int prefix = 1, regex = 1;                               /* what they are if the file does not say */
    TRY(optional_bool(step, "add_prefix_space", &prefix, what));
    TRY(optional_bool(step, "use_regex", &regex, what));
    TRY(check_keys(step, known, what));
    FAIL_IF(prefix, E_DATA, "%s: the ByteLevel pre-tokenizer must say \"add_prefix_space\": false; nib adds no space", what);
    p->is_bytes = 1;
    return regex ? add_stage(p, (struct split_stage){ SPLIT_GPT2, NULL }, what) : 0;
}

/* Patterns of the table leave nothing between their matches, so it is the same to isolate matches and to remove what is none; others
 * must isolate. */
static int read_split(struct parts *p, const json_t *step, const char *what)
{
    static const char *const known[] = { "type", "pattern", "behavior", "invert", NULL };
    const char *behavior, *regex = json_string_value(json_object_get(json_object_get(step, "pattern"), "Regex"));
    int invert;
    TRY(check_keys(step, known, what));
    TRY(json_get_string(step, "behavior", &behavior, what));
    TRY(json_get_bool(step, "invert", &invert, what));
    if (!regex || strcmp(behavior, invert ? "Removed" : "Isolated")) return refuse(step, "pre_tokenizer", what);
    struct split_stage stage = split_find(regex);
    if (stage.pattern == SPLIT_REGEX && invert) return refuse(step, "pre_tokenizer", what);
    return add_stage(p, stage, what);
}

static int read_digits(struct parts *p, const json_t *step, const char *what)
{
    static const char *const known[] = { "type", "individual_digits", NULL };
    int each;
    TRY(check_keys(step, known, what));
    TRY(json_get_bool(step, "individual_digits", &each, what));
    return add_stage(p, (struct split_stage){ each ? SPLIT_DIGIT : SPLIT_DIGITS, NULL }, what);
}

static int read_step(struct parts *p, const json_t *step, const char *what)
{
    static const struct { const char *type; int (*read)(struct parts *, const json_t *, const char *); } types[] = {
        { "ByteLevel", read_byte_level }, { "Split", read_split }, { "Digits", read_digits },
    };
    for (size_t i = 0; !p->is_bytes && i < sizeof types / sizeof *types; i++)                  /* nothing may follow ByteLevel */
        if (is_type(step, types[i].type)) return types[i].read(p, step, what);
    return refuse(step, "pre_tokenizer", what);
}

static int read_pre_tokenizer(struct parts *p, const json_t *pre, const char *what)
{
    static const char *const known[] = { "type", "pretokenizers", NULL };
    json_t *steps, *step;
    size_t i;
    if (asks_nothing(pre)) return 0;
    if (is_type(pre, "Sequence")) {
        TRY(check_keys(pre, known, what));
        TRY(json_get_array(pre, "pretokenizers", &steps, what));
        json_array_foreach (steps, i, step) TRY(read_step(p, step, what));
    } else {
        TRY(read_step(p, pre, what));
    }
    return p->is_bytes ? 0 : refuse(pre, "pre_tokenizer", what);
}

/* ---- the normalizer: null, a normal form, or several ---- */

static int read_form(struct parts *p, const json_t *step, const char *what)
{
    static const char *const known[] = { "type", NULL };
    for (int form = 0; form < NORMAL_FORMS && p->normal.n < NORMAL_STEPS; form++) {
        if (!is_type(step, normal_names[form])) continue;
        p->normal.step[p->normal.n++] = (enum normal_form)form;
        return check_keys(step, known, what);
    }
    return refuse(step, "normalizer", what);
}

static int read_normalizer(struct parts *p, const json_t *normalizer, const char *what)
{
    static const char *const known[] = { "type", "normalizers", NULL };
    json_t *steps, *step;
    size_t i;
    if (asks_nothing(normalizer)) return 0;
    if (!p->is_bytes) return refuse(normalizer, "normalizer", what);
    if (!is_type(normalizer, "Sequence")) return read_form(p, normalizer, what);
    TRY(check_keys(normalizer, known, what));
    TRY(json_get_array(normalizer, "normalizers", &steps, what));
    json_array_foreach (steps, i, step) TRY(read_form(p, step, what));
    return 0;
}

/* Hugging Face's library normalizes these tokens, too; nib looks for them as they are. */
static int check_normalized(const struct parts *p, const char *what)
{
    char shown[QUOTE_SIZE];
    for (size_t i = 0; i < p->added.n && p->normal.n; i++) {
        const struct token *t = &p->added.at[i];
        struct text normal = { 0 };
        if (!(t->flags & TOKEN_NORMALIZED)) continue;
        int failed = normal_apply(&p->normal, t->bytes, t->size, &normal), same = normal.size == t->size && !memcmp(normal.at, t->bytes, t->size);
        text_free(&normal);
        if (failed) return failed;
        FAIL_IF(!same, E_DATA, "%s: the added token %s is \"normalized\", and that would change it", what, quote(shown, t->bytes, t->size));
    }
    return 0;
}

/* ---- tokens ---- */

/* single_word, lstrip and rstrip make an added token depend on its surroundings; they are not among the known keys. */
static int read_added_token(struct tokenizer *t, struct token *out, const json_t *token, const char *what)
{
    static const char *const known[] = { "id", "content", "special", "normalized", NULL };
    const char *content;
    int64_t id;
    int special, normalized = 0;
    TRY(check_keys(token, known, what));
    TRY(json_get_int(token, "id", 0, MAX_IDS - 1, &id, what));
    TRY(json_get_string(token, "content", &content, what));
    TRY(json_get_bool(token, "special", &special, what));
    TRY(optional_bool(token, "normalized", &normalized, what));
    *out = (struct token){ .bytes = arena_copy(&t->memory, content), .size = (uint32_t)strlen(content), .id = (uint32_t)id,
                           .flags = TOKEN_ADDED | (special ? TOKEN_SPECIAL : 0) | (normalized ? TOKEN_NORMALIZED : 0) };
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
static char *unspell(struct arena *memory, const char *key, int is_bytes, size_t *size)
{
    size_t n = strlen(key);
    char *bytes = take_array(memory, n + 1, 1);
    if (!bytes) return NULL;
    *size = n;
    if (!is_bytes) memcpy(bytes, key, n);
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
    const char *bytes = unspell(&t->memory, key, p->is_bytes, &size);
    FAIL_IF(!bytes, E_MEMORY, "%s: no memory for the vocabulary", what);
    if (added && (!p->is_bytes || size != n || memcmp(bytes, key, n))) return 0;
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
    size_t m_right = strlen(right), n_left, n_right;
    FAIL_IF(n > sizeof bytes || m_right > sizeof bytes - n, E_DATA, "its tokens are longer than %zu bytes", sizeof bytes);
    int spelled = alphabet_read(bytes, left, n, &n_left) && alphabet_read(bytes + n_left, right, m_right, &n_right);
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

/* ByteLevel moves offsets, not ids; transformers also writes a template of the text alone, with no token before or behind it. */
static int adds_nothing(const json_t *post)
{
    const json_t *single = json_object_get(post, "single");
    if (asks_nothing(post) || is_type(post, "ByteLevel")) return 1;
    return is_type(post, "TemplateProcessing") && json_array_size(single) == 1 && json_object_get(json_array_get(single, 0), "Sequence");
}

/* What follows the model must undo what came before it, no more. */
static int check_after(const json_t *root, int is_bytes, const char *what)
{
    const json_t *post = json_object_get(root, "post_processor"), *decoder = json_object_get(root, "decoder");
    if (!adds_nothing(post)) return refuse(post, "post_processor", what);
    FAIL_IF(!is_type(decoder, is_bytes ? "ByteLevel" : "Fuse"), E_DATA, "%s: the decoder must be %s, as the pre-tokenizer %s",
            what, is_bytes ? "ByteLevel" : "Fuse", is_bytes ? "ends with ByteLevel" : "is null");
    return 0;
}

static int check_model(const json_t *model, int is_bytes, const char *what)
{
    /* Byte-level BPE knows every byte, so it never needs the unknown token.  Characters do, and nib reports them instead. */
    static const char *const bytes_know[] = { "type", "vocab", "merges", "ignore_merges", "unk_token", "fuse_unk", NULL };
    static const char *const chars_know[] = { "type", "vocab", "ignore_merges", "fuse_unk", NULL };
    const json_t *type = json_object_get(model, "type");     /* old files do not say */
    if (type && !is_type(model, "BPE")) return refuse(type, "model.type", what);
    return check_keys(model, is_bytes ? bytes_know : chars_know, what);
}

/* What nib adds to a file for itself: other programs take the order of the merges for their ranks, which is nearly the same. */
static int read_own(struct parts *p, const json_t *own, const char *what)
{
    static const char *const known[] = { "by_rank", NULL };
    TRY(check_keys(own, known, what));
    return optional_bool(own, "by_rank", &p->by_rank, what);
}

/* What the file asks for is looked at first, what it contains afterwards: whoever opens a file that is not for nib should
 * learn of it by its kind, not by some token. */
static int read_root(struct tokenizer *t, const json_t *root, const char *what)
{
    static const char *const known[] = { "version", "added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder", "model", "nib", NULL };
    const json_t *version = json_object_get(root, "version");
    struct parts p = { 0 };
    json_t *model, *vocab, *merges;
    TRY(check_keys(root, known, what));
    if (json_is_string(version) && strcmp(json_string_value(version), "1.0")) return refuse(version, "version", what);
    TRY(read_pre_tokenizer(&p, json_object_get(root, "pre_tokenizer"), what));
    TRY(read_normalizer(&p, json_object_get(root, "normalizer"), what));
    TRY(check_after(root, p.is_bytes, what));
    TRY(json_get_object(root, "model", &model, what));
    TRY(check_model(model, p.is_bytes, what));
    TRY(optional_bool(model, "ignore_merges", &p.whole_first, what));
    if (json_has(root, "nib")) TRY(read_own(&p, json_object_get(root, "nib"), what));
    TRY(read_added(t, &p, json_object_get(root, "added_tokens"), what));
    TRY(check_normalized(&p, what));
    TRY(json_get_object(model, "vocab", &vocab, what));
    TRY(vocab_from_json(t, &p, vocab, what));
    TRY(tokenizer_vocabulary(t, &p, what));
    if (p.is_bytes) {
        TRY(json_get_array(model, "merges", &merges, what));
        TRY(read_merges(t, &p, merges, what));
    }
    tokenizer_ready(t);
    return 0;
}

int tokenizer_parse(struct tokenizer **out, const char *json, size_t n, const char *what)
{
    json_t *root;
    struct tokenizer *t = NULL;
    TRY(json_parse(&root, json, n, what));
    int failed = tokenizer_new(&t);
    if (!failed) failed = read_root(t, root, what);
    json_decref(root);
    if (failed) tokenizer_free(t);
    else *out = t;
    return failed;
}

/* ---- writing: what was read, in one normal form ----
 *
 * jansson's own failures are those of memory; a part that could not be made is NULL, and then so is the whole. */

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

static json_t *write_pre_tokenizer(const struct tokenizer *t)
{
    const struct split_stage *stage;
    int n = split_stages(t->splitter, &stage), own = n > 0 && stage[n - 1].pattern == SPLIT_GPT2;   /* ByteLevel's own pattern */
    if (n - own == 0) return byte_level(own);
    json_t *steps = json_array();
    int failed = 0;
    for (int i = 0; i < n - own && !failed; i++) failed = json_array_append_new(steps, write_stage(&stage[i]));
    if (!failed) failed = json_array_append_new(steps, byte_level(own));
    if (!failed) return json_pack("{s:s, s:o}", "type", "Sequence", "pretokenizers", steps);
    json_decref(steps);
    return NULL;
}

static json_t *write_normalizer(const struct normalizer *f)
{
    json_t *steps = json_array();
    int failed = 0;
    for (int i = 0; i < f->n && !failed; i++) failed = json_array_append_new(steps, json_pack("{s:s}", "type", normal_names[f->step[i]]));
    if (!failed && f->n) return json_pack("{s:s, s:o}", "type", "Sequence", "normalizers", steps);
    json_decref(steps);
    return failed ? NULL : json_null();
}

static json_t *write_added_token(const struct token *t)
{
    return json_pack("{s:i, s:s, s:b, s:b, s:b, s:b, s:b}", "id", (int)t->id, "content", t->bytes, "single_word", 0, "lstrip", 0,
                     "rstrip", 0, "normalized", (t->flags & TOKEN_NORMALIZED) != 0, "special", (t->flags & TOKEN_SPECIAL) != 0);
}

static int write_added(json_t *list, const struct tokenizer *t)
{
    for (uint32_t id = 0; id < t->vocab.n; id++) {
        const struct token *token = &t->vocab.at[id];        /* of a hole, no flag is set */
        int failed = token->flags & TOKEN_ADDED && json_array_append_new(list, write_added_token(token));
        FAIL_IF(failed, E_MEMORY, "no memory for the JSON of the added tokens");
    }
    return 0;
}

/* A token as the vocabulary lists it: added tokens as they stand. */
static void spell(struct text *out, const struct tokenizer *t, uint32_t id)
{
    const struct token *token = &t->vocab.at[id];
    if (t->is_bytes && !(token->flags & TOKEN_ADDED)) alphabet_spell(out, token->bytes, token->size);
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
        spell(&key, t, id);
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
        spell(&line, t, t->bpe.merges.at[i].left);
        text_add(&line, " ");
        spell(&line, t, t->bpe.merges.at[i].right);
        failed = line.failed || json_array_append_new(list, json_string(line.at));
    }
    text_free(&line);
    FAIL_IF(failed, E_MEMORY, "no memory for the JSON of %zu merges", t->bpe.merges.n);
    return 0;
}

int tokenizer_to_json(const struct tokenizer *t, json_t **root)
{
    json_t *vocab = json_object(), *merges = json_array(), *added = json_array();
    int bytes = t->is_bytes, failed = write_vocab(vocab, t);
    if (!failed) failed = write_merges(merges, t);
    if (!failed) failed = write_added(added, t);
    json_t *pre = bytes ? write_pre_tokenizer(t) : json_null(), *post = bytes ? byte_level(1) : json_null();
    json_t *decoder = bytes ? byte_level(1) : json_pack("{s:s}", "type", "Fuse");
    json_t *model = json_pack("{s:s, s:n, s:n, s:n, s:n, s:b, s:b, s:b, s:o, s:o}", "type", "BPE", "dropout", "unk_token",
                              "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 0, "byte_fallback", 0,
                              "ignore_merges", t->bpe.whole_first, "vocab", vocab, "merges", merges);
    *root = json_pack("{s:s, s:n, s:n, s:o, s:o, s:o, s:o, s:o, s:o}", "version", "1.0", "truncation", "padding", "added_tokens",
                      added, "normalizer", write_normalizer(&t->normal), "pre_tokenizer", pre, "post_processor", post, "decoder", decoder, "model", model);
    if (!*root && !failed) failed = error_set(E_MEMORY, __FILE__, __LINE__, "no memory for the tokenizer's JSON");
    if (!failed && bytes && t->bpe.by_rank && json_object_set_new(*root, "nib", json_pack("{s:b}", "by_rank", 1))) failed = E_MEMORY;
    if (!failed) return 0;
    json_decref(*root);
    *root = NULL;
    return failed;
}

#ifdef FUZZ_TOKENIZER_JSON
static void encode_and_back(const struct tokenizer *t, const char *bytes, size_t n, enum specials s)
{
    struct ids ids = { 0 };
    struct text text = { 0 };
    int failed = tokenizer_encode(t, bytes, n, s, &ids);
    if (failed && tokenizer_is_bytes(t)) abort();
    if (!failed && tokenizer_decode(t, ids.at, ids.n, &text)) abort();
    if (!failed && !t->normal.n && (text.size != n || (n && memcmp(text.at, bytes, n)))) abort();
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
