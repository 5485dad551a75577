/* tokenizer_stages.c -- what a tokenizer.json asks for before and behind its model.  Done are, by the names of the file:
 *   normalizer      NFC NFD NFKC NFKD Lowercase StripAccents BertNormalizer Strip Replace Prepend Precompiled, Sequence of them
 *   pre_tokenizer   ByteLevel, behind Split and Digits or alone; Metaspace, behind WhitespaceSplit or alone; BertPreTokenizer
 *   post_processor  TemplateProcessing BertProcessing RobertaProcessing ByteLevel, Sequence of them
 *   decoder         ByteLevel; Fuse; Replace ByteFallback Fuse Strip Metaspace, Sequence of them; WordPiece; none */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "token/bert.h"
#include "token/charsmap.h"
#include "token/tokenizer_stages.h"

#define METASPACE "\xe2\x96\x81"                             /* U+2581, which SentencePiece writes for a space */

/* ---- refusing ---- */

int asks_nothing(const json_t *value)
{
    if (!value || json_is_null(value) || json_is_false(value)) return 1;
    if (json_is_string(value)) return json_string_length(value) == 0;
    if (json_is_number(value)) return json_number_value(value) == 0;
    return !json_is_true(value) && json_object_size(value) + json_array_size(value) == 0;
}

int refuse(const json_t *value, const char *key, const char *what)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    int code = error_set(E_DATA, __FILE__, __LINE__, "%s: \"%s\" is %.80s, which nib cannot do, and without it ids would be others",
                         what, key, text ? text : "?");
    free(text);
    return code;
}

/* Every key but the known ones (ending with NULL) asks for nothing. */
int check_keys(const json_t *object, const char *const *known, const char *what)
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
int optional_bool(const json_t *object, const char *key, int *value, const char *what)
{
    return json_has(object, key) ? json_get_bool(object, key, value, what) : 0;
}

int is_type(const json_t *object, const char *type)
{
    const char *own = json_string_value(json_object_get(object, "type"));
    return own && !strcmp(own, type);
}

static int add_step(struct normalizer *f, struct normal_step step, const char *what)
{
    FAIL_IF(f->n == NORMAL_STEPS, E_DATA, "%s: more than %d normalizers in a row", what, NORMAL_STEPS);
    f->step[f->n++] = step;
    return 0;
}

int keep_string(struct tokenizer *t, const json_t *object, const char *key, const char **string, const char *what)
{
    TRY(json_get_string(object, key, string, what));
    *string = arena_copy(&t->memory, *string);
    FAIL_IF(!*string, E_MEMORY, "%s: no memory", what);
    return 0;
}

/* A step, or a Sequence of steps. */
static int each_step(struct tokenizer *t, struct parts *p, const json_t *stage, const char *list, int (*read)(struct tokenizer *, struct parts *, const json_t *, const char *), const char *what)
{
    const char *const known[] = { "type", list, NULL };
    json_t *steps, *step;
    size_t i;
    if (!is_type(stage, "Sequence")) return read(t, p, stage, what);
    TRY(check_keys(stage, known, what));
    TRY(json_get_array(stage, list, &steps, what));
    json_array_foreach (steps, i, step) TRY(read(t, p, step, what));
    return 0;
}

/* ---- the normalizer ---- */

static int read_prepend(struct tokenizer *t, struct normal_step *s, const json_t *step, const char *what)
{
    static const char *const known[] = { "type", "prepend", NULL };
    s->form = NORMAL_PREPEND;
    TRY(check_keys(step, known, what));
    return keep_string(t, step, "prepend", &s->to, what);
}

/* Of expressions only the one that SentencePiece's files have. */
static int read_replace(struct tokenizer *t, struct normal_step *s, const json_t *step, const char *what)
{
    static const char *const known[] = { "type", "pattern", "content", NULL };
    const json_t *pattern = json_object_get(step, "pattern");
    const char *regex = json_string_value(json_object_get(pattern, "Regex"));
    s->form = regex ? NORMAL_SPACES : NORMAL_REPLACE;
    TRY(check_keys(step, known, what));
    if (regex && strcmp(regex, " {2,}")) return refuse(step, "normalizer", what);
    if (!regex) TRY(keep_string(t, pattern, "String", &s->from, what));
    if (s->from && !*s->from) return refuse(step, "normalizer", what);
    return keep_string(t, step, "content", &s->to, what);
}

static int read_strip(struct tokenizer *t, struct normal_step *s, const json_t *step, const char *what)
{
    static const char *const known[] = { "type", "strip_left", "strip_right", NULL };
    int left = 0, right = 0;
    (void)t;
    TRY(check_keys(step, known, what));
    TRY(optional_bool(step, "strip_left", &left, what));
    TRY(optional_bool(step, "strip_right", &right, what));
    *s = (struct normal_step){ .form = NORMAL_STRIP, .flags = (unsigned)left | (unsigned)right << 1 };
    return 0;
}

static int read_precompiled(struct tokenizer *t, struct normal_step *s, const json_t *step, const char *what)
{
    static const char *const known[] = { "type", "precompiled_charsmap", NULL };
    const char *base64;
    struct charsmap *map = arena_take(&t->memory, sizeof *map);
    FAIL_IF(!map, E_MEMORY, "%s: no memory for its normalizer", what);
    TRY(check_keys(step, known, what));
    TRY(json_get_string(step, "precompiled_charsmap", &base64, what));
    TRY(charsmap_open(map, &t->memory, base64, what));
    *s = (struct normal_step){ .form = NORMAL_CHARSMAP, .map = map };
    return 0;
}

/* Accents go with capitals, unless the file says otherwise. */
static int read_bert_normalizer(struct tokenizer *t, struct normal_step *s, const json_t *step, const char *what)
{
    static const char *const known[] = { "type", "clean_text", "handle_chinese_chars", "strip_accents", "lowercase", NULL };
    int clean = 1, chinese = 1, lower = 1;
    (void)t;
    TRY(check_keys(step, known, what));
    TRY(optional_bool(step, "clean_text", &clean, what));
    TRY(optional_bool(step, "handle_chinese_chars", &chinese, what));
    TRY(optional_bool(step, "lowercase", &lower, what));
    int accents = lower;
    if (!json_is_null(json_object_get(step, "strip_accents"))) TRY(optional_bool(step, "strip_accents", &accents, what));
    *s = (struct normal_step){ .form = NORMAL_BERT, .flags = (clean ? BERT_CLEAN : 0) | (chinese ? BERT_CHINESE : 0) | (accents ? BERT_ACCENTS : 0) | (lower ? BERT_LOWER : 0) };
    return 0;
}

static int read_form(struct tokenizer *t, struct normal_step *s, const json_t *step, const char *what)
{
    static const char *const known[] = { "type", NULL };
    const char *type = json_string_value(json_object_get(step, "type"));
    (void)t;
    for (int form = 0; type && form < NORMAL_FORMS; form++) {
        if (!normal_names[form] || strcmp(type, normal_names[form])) continue;
        s->form = (enum normal_form)form;
        return check_keys(step, known, what);
    }
    return refuse(step, "normalizer", what);
}

static int read_normal_step(struct tokenizer *t, struct parts *p, const json_t *step, const char *what)
{
    static const struct { const char *type; int (*read)(struct tokenizer *, struct normal_step *, const json_t *, const char *); } types[] = {
        { "Prepend", read_prepend }, { "Replace", read_replace }, { "Strip", read_strip }, { "Precompiled", read_precompiled }, { "BertNormalizer", read_bert_normalizer },
    };
    struct normal_step s = { 0 };
    size_t i = 0;
    while (i < sizeof types / sizeof *types && !is_type(step, types[i].type)) i++;
    TRY(i < sizeof types / sizeof *types ? types[i].read(t, &s, step, what) : read_form(t, &s, step, what));
    return add_step(&p->normal, s, what);
}

int read_normalizer(struct tokenizer *t, struct parts *p, const json_t *normalizer, const char *what)
{
    return asks_nothing(normalizer) ? 0 : each_step(t, p, normalizer, "normalizers", read_normal_step, what);
}

/* ---- the pre-tokenizer ---- */

static int add_stage(struct parts *p, struct split_stage stage, const char *what)
{
    FAIL_IF(p->stages == SPLIT_STAGES, E_DATA, "%s: more than %d pre-tokenizers in a row", what, SPLIT_STAGES);
    p->stage[p->stages++] = stage;
    return 0;
}

/* ByteLevel is two things: GPT-2's pattern, unless "use_regex" is false, and the byte alphabet.  trim_offsets is about where tokens
 * are said to lie in the text, not about ids.  A space before each stretch is only asked for where nothing was cut before. */
static int read_byte_level(struct tokenizer *t, struct parts *p, const json_t *step, const char *what)
{
    static const char *const known[] = { "type", "add_prefix_space", "trim_offsets", "use_regex", NULL };
    int prefix = 1, regex = 1;                               /* what they are if the file does not say */
    (void)t;
    TRY(optional_bool(step, "add_prefix_space", &prefix, what));
    TRY(optional_bool(step, "use_regex", &regex, what));
    TRY(check_keys(step, known, what));
    if (prefix && p->stages) return refuse(step, "pre_tokenizer", what);
    if (prefix) TRY(add_step(&p->late, (struct normal_step){ .form = NORMAL_PREPEND_UNLESS, .to = " " }, what));
    p->kind = MODEL_BYTES;
    return regex ? add_stage(p, (struct split_stage){ SPLIT_GPT2, NULL }, what) : 0;
}

/* A pattern of one space, where the normalizer has left none. */
static int finds_nothing(const struct parts *p, const json_t *step)
{
    const char *string = json_string_value(json_object_get(json_object_get(step, "pattern"), "String"));
    int gone = 0;
    for (const struct normal_step *s = p->normal.step; s < p->normal.step + p->normal.n; s++) gone = (gone || (s->form == NORMAL_REPLACE && !strcmp(s->from, " "))) && !(s->to && strchr(s->to, ' '));
    return gone && string && !strcmp(string, " ");
}

/* Patterns of the table leave nothing between their matches, so it is the same to isolate matches and to remove what is none; others
 * must isolate. */
static int read_split(struct tokenizer *t, struct parts *p, const json_t *step, const char *what)
{
    static const char *const known[] = { "type", "pattern", "behavior", "invert", NULL };
    const char *behavior, *regex = json_string_value(json_object_get(json_object_get(step, "pattern"), "Regex"));
    int invert;
    (void)t;
    TRY(check_keys(step, known, what));
    TRY(json_get_string(step, "behavior", &behavior, what));
    TRY(json_get_bool(step, "invert", &invert, what));
    if (finds_nothing(p, step)) return 0;
    if (!regex || strcmp(behavior, invert ? "Removed" : "Isolated")) return refuse(step, "pre_tokenizer", what);
    struct split_stage stage = split_find(regex);
    if (stage.pattern == SPLIT_REGEX && invert) return refuse(step, "pre_tokenizer", what);
    return add_stage(p, stage, what);
}

static int read_digits(struct tokenizer *t, struct parts *p, const json_t *step, const char *what)
{
    static const char *const known[] = { "type", "individual_digits", NULL };
    int each;
    (void)t;
    TRY(check_keys(step, known, what));
    TRY(json_get_bool(step, "individual_digits", &each, what));
    return add_stage(p, (struct split_stage){ each ? SPLIT_DIGIT : SPLIT_DIGITS, NULL }, what);
}

static int is_metaspace(const json_t *object)
{
    const char *replacement = json_string_value(json_object_get(object, "replacement"));
    return replacement && !strcmp(replacement, METASPACE);
}

/* When a U+2581 is put before the text; older files say add_prefix_space instead. */
static int read_scheme(const json_t *step, const char **scheme, const char *what)
{
    int prefix = 1;
    TRY(optional_bool(step, "add_prefix_space", &prefix, what));
    *scheme = prefix ? "always" : "never";
    return json_has(step, "prepend_scheme") ? json_get_string(step, "prepend_scheme", scheme, what) : 0;
}

static int read_metaspace(struct tokenizer *t, struct parts *p, const json_t *step, const char *what)
{
    static const char *const known[] = { "type", "replacement", "prepend_scheme", "split", "add_prefix_space", "str_rep", NULL };
    const char *scheme;
    int split = 1;
    (void)t;
    TRY(check_keys(step, known, what));
    TRY(optional_bool(step, "split", &split, what));
    TRY(read_scheme(step, &scheme, what));
    int once = !strcmp(scheme, "first"), always = !strcmp(scheme, "always"), words = p->late.n > 0;
    if (!is_metaspace(step) || p->stages || (!once && !always && strcmp(scheme, "never")) || (words && !always)) return refuse(step, "pre_tokenizer", what);
    if (!words) TRY(add_step(&p->late, (struct normal_step){ .form = NORMAL_REPLACE, .from = " ", .to = METASPACE }, what));
    if (!words && (once || always)) TRY(add_step(&p->late, (struct normal_step){ .form = NORMAL_PREPEND_UNLESS, .to = METASPACE }, what));
    p->late_once = once;
    return split ? add_stage(p, (struct split_stage){ SPLIT_METASPACE, NULL }, what) : words ? refuse(step, "pre_tokenizer", what) : 0;
}

/* Words without the white space around them.  What follows is Metaspace, which puts its mark before each. */
static int read_whitespace_split(struct tokenizer *t, struct parts *p, const json_t *step, const char *what)
{
    static const char *const known[] = { "type", NULL };
    (void)t;
    TRY(check_keys(step, known, what));
    if (p->late.n || p->stages) return refuse(step, "pre_tokenizer", what);
    return add_step(&p->late, (struct normal_step){ .form = NORMAL_WORDS, .to = METASPACE }, what);
}

static int read_bert_pieces(struct tokenizer *t, struct parts *p, const json_t *step, const char *what)
{
    static const char *const known[] = { "type", NULL };
    (void)t;
    TRY(check_keys(step, known, what));
    if (p->late.n || p->stages) return refuse(step, "pre_tokenizer", what);
    return add_stage(p, (struct split_stage){ SPLIT_BERT, NULL }, what);
}

static int read_pre_step(struct tokenizer *t, struct parts *p, const json_t *step, const char *what)
{
    static const struct { const char *type; int (*read)(struct tokenizer *, struct parts *, const json_t *, const char *); } types[] = {
        { "ByteLevel", read_byte_level }, { "Split", read_split }, { "Digits", read_digits }, { "Metaspace", read_metaspace }, { "WhitespaceSplit", read_whitespace_split },
        { "BertPreTokenizer", read_bert_pieces },
    };
    for (size_t i = 0; p->kind != MODEL_BYTES && i < sizeof types / sizeof *types; i++)                  /* nothing may follow ByteLevel */
        if (is_type(step, types[i].type)) return types[i].read(t, p, step, what);
    return refuse(step, "pre_tokenizer", what);
}

/* Patterns are followed by ByteLevel, words by Metaspace; BERT's is alone. */
int read_pre_tokenizer(struct tokenizer *t, struct parts *p, const json_t *pre, const char *what)
{
    if (asks_nothing(pre)) return 0;
    TRY(each_step(t, p, pre, "pretokenizers", read_pre_step, what));
    int marked = p->stages == 1 && p->stage[0].pattern == SPLIT_METASPACE, words = p->late.n && p->late.step[0].form == NORMAL_WORDS, of_bert = p->stages == 1 && p->stage[0].pattern == SPLIT_BERT;
    if (p->kind == MODEL_BYTES ? p->stages && p->stage[0].pattern >= SPLIT_BERT : (p->stages && !marked && !of_bert) || (words && !marked)) return refuse(pre, "pre_tokenizer", what);
    return 0;
}

/* ---- the post-processor: ids before and behind the text ---- */

static int add_id(struct parts *p, int behind, const json_t *id, const json_t *post, const char *what)
{
    struct template *t = &p->template;
    if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) >= MAX_IDS || t->n[behind] == TEMPLATE_MOST) return refuse(post, "post_processor", what);
    t->id[behind][t->n[behind]++] = (uint32_t)json_integer_value(id);
    return 0;
}

/* Its single: special tokens around $A. */
static int read_template(struct parts *p, const json_t *post, const char *what)
{
    static const char *const known[] = { "type", "single", "pair", "special_tokens", NULL };
    json_t *single, *part, *id;
    size_t i, k;
    int behind = 0;
    TRY(check_keys(post, known, what));
    TRY(json_get_array(post, "single", &single, what));
    json_array_foreach (single, i, part) {
        const char *name = json_string_value(json_object_get(json_object_get(part, "SpecialToken"), "id"));
        const json_t *ids = json_object_get(name ? json_object_get(json_object_get(post, "special_tokens"), name) : NULL, "ids");
        if (json_object_get(part, "Sequence") ? behind++ : !json_array_size(ids)) return refuse(post, "post_processor", what);
        json_array_foreach ((json_t *)ids, k, id) TRY(add_id(p, behind, id, post, what));
    }
    return behind == 1 ? 0 : refuse(post, "post_processor", what);
}

/* BERT's and RoBERTa's: "cls" before, "sep" behind, each a token and its id. */
static int read_around(struct parts *p, const json_t *post, const char *what)
{
    static const char *const known[] = { "type", "sep", "cls", "trim_offsets", "add_prefix_space", NULL };
    TRY(check_keys(post, known, what));
    TRY(add_id(p, 0, json_array_get(json_object_get(post, "cls"), 1), post, what));
    return add_id(p, 1, json_array_get(json_object_get(post, "sep"), 1), post, what);
}

static int read_post_step(struct tokenizer *t, struct parts *p, const json_t *post, const char *what)
{
    (void)t;
    if (is_type(post, "ByteLevel")) return 0;                /* it moves offsets, not ids */
    if (p->template.n[0] + p->template.n[1]) return refuse(post, "post_processor", what);
    if (is_type(post, "TemplateProcessing")) return read_template(p, post, what);
    return is_type(post, "BertProcessing") || is_type(post, "RobertaProcessing") ? read_around(p, post, what) : refuse(post, "post_processor", what);
}

int read_post_processor(struct parts *p, const json_t *post, const char *what) { return asks_nothing(post) ? 0 : each_step(NULL, p, post, "processors", read_post_step, what); }

/* ---- the decoder ---- */

static int decode_metaspace(struct parts *p, const json_t *decoder, const char *what)
{
    static const char *const known[] = { "type", "replacement", "prepend_scheme", "split", "add_prefix_space", "str_rep", NULL };
    const char *scheme;
    TRY(check_keys(decoder, known, what));
    TRY(read_scheme(decoder, &scheme, what));
    if (!is_metaspace(decoder)) return refuse(decoder, "decoder", what);
    p->space = METASPACE;
    p->opening = strcmp(scheme, "never") ? OPENING_NO_SPACES : OPENING_SAME;
    return 0;
}

/* One space, at the front. */
static int decode_strip(struct parts *p, const json_t *decoder, const char *what)
{
    static const char *const known[] = { "type", "content", "start", "stop", NULL };
    const char *content;
    int64_t start, stop;
    TRY(check_keys(decoder, known, what));
    TRY(json_get_string(decoder, "content", &content, what));
    TRY(json_get_int(decoder, "start", 0, INT32_MAX, &start, what));
    TRY(json_get_int(decoder, "stop", 0, INT32_MAX, &stop, what));
    if (strcmp(content, " ") || start > 1 || stop) return refuse(decoder, "decoder", what);
    p->opening = start ? OPENING_ONE_SPACE : OPENING_SAME;
    return 0;
}

static int decode_replace(struct tokenizer *t, struct parts *p, const json_t *decoder, const char *what)
{
    static const char *const known[] = { "type", "pattern", "content", NULL };
    const char *content = json_string_value(json_object_get(decoder, "content"));
    TRY(check_keys(decoder, known, what));
    if (!content || strcmp(content, " ") || p->space) return refuse(decoder, "decoder", what);
    TRY(keep_string(t, json_object_get(decoder, "pattern"), "String", &p->space, what));
    return *p->space ? 0 : refuse(decoder, "decoder", what);
}

static int decode_wordpiece(struct tokenizer *t, struct parts *p, const json_t *decoder, const char *what)
{
    static const char *const known[] = { "type", "prefix", "cleanup", NULL };
    int clean = 1;
    TRY(check_keys(decoder, known, what));
    TRY(optional_bool(decoder, "cleanup", &clean, what));
    TRY(keep_string(t, decoder, "prefix", &p->shown_prefix, what));
    if (clean) p->shown = SHOWN_CLEAN;
    p->opening = OPENING_RAW;
    return 0;
}

static int read_decode_step(struct tokenizer *t, struct parts *p, const json_t *decoder, const char *what)
{
    if (is_type(decoder, "Fuse")) return 0;
    if (is_type(decoder, "ByteFallback")) return p->bytes_shown = 1, 0;
    if (is_type(decoder, "Replace")) return decode_replace(t, p, decoder, what);
    if (is_type(decoder, "Strip")) return decode_strip(p, decoder, what);
    if (is_type(decoder, "WordPiece") && !p->space && !p->bytes_shown) return decode_wordpiece(t, p, decoder, what);
    return is_type(decoder, "Metaspace") ? decode_metaspace(p, decoder, what) : refuse(decoder, "decoder", what);
}

/* What follows the model must undo what came before it, no more. */
int read_decoder(struct tokenizer *t, struct parts *p, const json_t *decoder, const char *what)
{
    const char *must = p->kind == MODEL_BYTES ? "ByteLevel" : p->kind == MODEL_CHARACTERS ? "Fuse" : NULL;
    FAIL_IF(must && !is_type(decoder, must), E_DATA, "%s: the decoder must be %s, as the pre-tokenizer %s", what, must, p->kind == MODEL_BYTES ? "ends with ByteLevel" : "is null");
    if (must) return 0;
    if (asks_nothing(decoder)) {                             /* then tokens have spaces between them */
        p->shown = SHOWN_SPACED;
        p->opening = OPENING_RAW;
        return 0;
    }
    return each_step(t, p, decoder, "decoders", read_decode_step, what);
}
