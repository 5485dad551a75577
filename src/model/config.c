/* config.c -- config.json to struct config and back, by the keys that a model's page lists. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "model/model.h"

enum { CONFIG_BYTES = 1 << 20, MOST = 1 << 24, MOST_LAYERS = 1 << 12 };              /* of the file; of any number in it; of layers */
static const double MOST_PARAMETERS = 0x1p52, MOST_VALUES = 0x1p52;      /* below these no size overflows */

static const struct model *const models[] = { &model_gpt2, &model_llama, &model_mistral, &model_qwen2, &model_qwen3 };
enum { MODELS = sizeof models / sizeof *models, TABLES = sizeof ((struct model *)0)->keys / sizeof(struct key *) };

const struct model *model_find(const char *name)
{
    for (int i = 0; i < MODELS; i++)
        if (!strcmp(models[i]->name, name)) return models[i];
    return NULL;
}

/* ---- one key ---- */

static const json_t *find(const json_t *object, const char *name)
{
    const char *dot = strchr(name, '.');
    if (!dot) return json_object_get(object, name);
    const json_t *inner = json_object_getn(object, name, (size_t)(dot - name));
    return inner ? json_object_get(inner, dot + 1) : NULL;
}

static void *field(struct config *c, const struct key *k) { return (char *)c + k->field; }

/* "hidden_act is "gelu"; nib knows only "silu"" */
static int refuse(const struct key *k, const json_t *value, const char *words, const char *what)
{
    char *is = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    int code = error_set(E_MODEL, __FILE__, __LINE__, "%s: %s is %.80s; nib knows only %s", what, k->name, is ? is : "?", words);
    free(is);
    return code;
}

static int set_word(struct config *c, const struct key *k, const json_t *value, const char *what)
{
    char all[256] = "";
    for (const struct word *w = k->words; w->text; w++) {
        size_t n = strlen(all);
        if (!strcmp(w->text, json_string_value(value))) return *(int *)field(c, k) = w->value, 0;
        snprintf(all + n, sizeof all - n, "%s\"%s\"", n ? ", " : "", w->text);
    }
    return refuse(k, value, all, what);
}

/* How many layers see all; those behind them see a window. */
static int set_layers(struct config *c, const struct key *k, const json_t *value, const char *what)
{
    size_t n = json_array_size(value), full = 0;
    FAIL_IF((int64_t)n != c->layers, E_DATA, "%s: %s is of %zu layers, the model has %lld", what, k->name, n, (long long)c->layers);
    for (size_t i = 0; i < n; i++) {
        const char *type = json_string_value(json_array_get(value, i));
        if (type && !strcmp(type, "sliding_attention")) continue;
        if (!type || strcmp(type, "full_attention") || full < i) return refuse(k, value, "\"full_attention\" for the first layers and \"sliding_attention\" for the rest", what);
        full++;
    }
    *(int64_t *)field(c, k) = (int64_t)full;
    return 0;
}

static int set(struct config *c, const struct key *k, const json_t *value, const char *what)
{
    if ((k->kind == KEY_INT || k->kind == KEY_COUNT) && json_is_integer(value)) {
        int64_t n = json_integer_value(value);
        FAIL_IF(n < 0 || n > MOST, E_DATA, "%s: %s is %lld; from 0 to %d are possible", what, k->name, (long long)n, MOST);
        *(int64_t *)field(c, k) = n;
        return 0;
    }
    if (k->kind == KEY_REAL && json_is_number(value)) return *(double *)field(c, k) = json_number_value(value), 0;
    if (k->kind == KEY_BOOL && json_is_boolean(value)) return *(int *)field(c, k) = json_is_true(value), 0;
    if (k->kind == KEY_NOT && json_is_boolean(value)) return *(int *)field(c, k) = json_is_false(value), 0;
    if (k->kind == KEY_WORD && json_is_string(value)) return set_word(c, k, value, what);
    if (k->kind == KEY_LAYERS && json_is_array(value)) return set_layers(c, k, value, what);
    static const char *const wanted[] = { [KEY_INT] = "an integer", [KEY_COUNT] = "an integer", [KEY_REAL] = "a number", [KEY_BOOL] = "true or false", [KEY_NOT] = "true or false",
                                          [KEY_WORD] = "a text", [KEY_LAYERS] = "an array" };
    FAIL(E_DATA, "%s: %s should be %s", what, k->name, wanted[k->kind]);
}

static int is_same(const json_t *a, const json_t *b)         /* 1 is 1.0 */
{
    return json_equal(a, b) || (json_is_number(a) && json_is_number(b) && json_number_value(a) == json_number_value(b));
}

static int read_value(struct config *c, const struct key *k, const json_t *value, const char *what)
{
    json_t *otherwise = k->otherwise ? json_loads(k->otherwise, JSON_DECODE_ANY, NULL) : NULL;
    int code = 0;
    if (k->kind != KEY_FIXED) code = set(c, k, value ? value : otherwise, what);
    else if (value && !is_same(value, otherwise)) code = refuse(k, value, k->otherwise, what);
    json_decref(otherwise);
    return code;
}

static int read_key(struct config *c, const struct key *k, const json_t *object, const char *what)
{
    if (k->scalings && !(k->scalings & 1u << c->scaling)) return 0;
    const json_t *value = find(object, k->name);
    if (json_is_null(value) && k->kind == KEY_INT) return *(int64_t *)field(c, k) = 0, 0;
    if (json_is_null(value)) value = NULL;
    FAIL_IF(!value && !k->otherwise, E_DATA, "%s: %s is missing", what, k->name);
    return !value && !*k->otherwise ? 0 : read_value(c, k, value, what);
}

static const char *word_of(const struct key *k, int value)
{
    const struct word *w = k->words;
    while (w->text && w->value != value) w++;
    return w->text;
}

static json_t *key_value(const struct config *c, const struct key *k)
{
    const void *at = (const char *)c + k->field;
    switch (k->kind) {
    case KEY_INT: return *(const int64_t *)at ? json_integer(*(const int64_t *)at) : json_null();
    case KEY_COUNT: return json_integer(*(const int64_t *)at);
    case KEY_REAL: return json_real(*(const double *)at);
    case KEY_BOOL: return json_boolean(*(const int *)at);
    case KEY_NOT: return json_boolean(!*(const int *)at);
    case KEY_WORD: return json_string(word_of(k, *(const int *)at));
    default: return NULL;
    }
}

static void write_key(json_t *root, const struct config *c, const struct key *k)
{
    json_t *value = k->scalings && !(k->scalings & 1u << c->scaling) ? NULL : key_value(c, k);
    if (!value) return;
    const char *dot = strchr(k->name, '.');
    json_t *inner = dot ? json_object_getn(root, k->name, (size_t)(dot - k->name)) : NULL;
    if (dot && !inner) {
        inner = json_object();
        json_object_setn_new(root, k->name, (size_t)(dot - k->name), inner);
    }
    json_object_set_new(dot ? inner : root, dot ? dot + 1 : k->name, value);
}

/* ---- the whole ---- */

void config_fill_in(struct config *c)
{
    if (!c->hidden) c->hidden = 4 * c->width;
    if (!c->kv_heads) c->kv_heads = c->heads;
    if (!c->head_dim && c->heads) c->head_dim = c->width / c->heads;
    if (!c->original) c->original = c->context;
    if (!c->windows) c->window = 0;
    c->windows = c->window > 0;
}

void config_crop(const struct model *m, struct config *c, int64_t context)
{
    if (m->positions && context < c->context) c->context = context;
}

/* Can a file of this family say what stands in this field? */
static int has_key(const struct model *m, size_t field)
{
    for (int t = 0; t < TABLES && m->keys[t]; t++)
        for (const struct key *k = m->keys[t]; k->name; k++)
            if (k->kind != KEY_FIXED && k->field == field) return 1;
    return 0;
}

/* About as many values as a layer computes of one id; so many columns its matrices have. */
static double values_of_layer(const struct config *c)
{
    return 2.0 * (double)c->width + 2.0 * (double)(c->heads + c->kv_heads) * (double)c->head_dim + 3.0 * (double)c->hidden;
}

static int check_learnt(const struct model *m, const struct config *c)
{
    FAIL_IF(c->kv_heads != c->heads || c->head_dim * c->heads != c->width, E_MODEL, "a %s model has as many key/value heads as heads (%lld), which fill its width (%lld); "
            "choose model = llama for others", m->name, (long long)c->heads, (long long)c->width);
    FAIL_IF(c->window, E_MODEL, "a %s model has no sliding window; choose model = mistral", m->name);
    return 0;
}

/* Bounds of what turns: no frequency, and no sum in it, is then without bounds. */
static int check_rotary(const struct model *m, const struct config *c)
{
    const int ranged = c->scaling == ROPE_LLAMA3 || c->scaling == ROPE_YARN;
    FAIL_IF(c->head_dim % 2, E_MODEL, "rotary positions turn pairs of columns, and heads of width %lld have an odd one; choose an even width", (long long)c->head_dim);
    FAIL_IF(!(c->theta > 1 && c->theta <= 1e15), E_MODEL, "rotary positions with theta %g, which is not over 1 and up to 1e15", c->theta);
    FAIL_IF(c->scaling && !(c->factor >= 1 && c->factor <= 1e6), E_MODEL, "the factor of scaled positions, %g, is not from 1 to 1e6", c->factor);
    FAIL_IF(ranged && (c->original < 1 || !(c->slow > 1e-6 && c->slow < c->fast && c->fast < 1e9)), E_MODEL, "positions scaled between %g and %g turns within %lld positions; "
            "the first must be less than the second", c->slow, c->fast, (long long)c->original);
    FAIL_IF(c->scaling == ROPE_YARN && !(c->gain > 1e-3 && c->gain < 1e3), E_MODEL, "yarn's attention_factor %g is not between 0.001 and 1000", c->gain);
    FAIL_IF(c->window && !has_key(m, K_FIELD(window)), E_MODEL, "a %s model has no sliding window; choose model = mistral or qwen2", m->name);
    FAIL_IF(c->out_bias && !has_key(m, K_FIELD(out_bias)), E_MODEL, "a %s model has no biases of one's choice; leave out bias", m->name);
    return 0;
}

int config_check(const struct model *m, const struct config *c)
{
    const struct { const char *name; int64_t value; } sizes[] = {
        { "layers", c->layers }, { "heads", c->heads }, { "width", c->width }, { "hidden width", c->hidden }, { "vocabulary", c->vocab }, { "context", c->context },
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        FAIL_IF(sizes[i].value < 1 || sizes[i].value > MOST, E_MODEL, "a %s model has %s of 1 to %d, not %lld", m->name, sizes[i].name, MOST, (long long)sizes[i].value);
    FAIL_IF((m == &model_gpt2 || m == &model_llama || c->head_dim == c->width / c->heads) && c->width % c->heads, E_MODEL,
            "width %lld does not divide by %lld heads: choose n_embd as a multiple of n_head", (long long)c->width, (long long)c->heads);
    FAIL_IF(c->kv_heads < 1 || c->heads % c->kv_heads, E_MODEL, "%lld heads do not divide by %lld key/value heads", (long long)c->heads, (long long)c->kv_heads);
    FAIL_IF(c->head_dim < 1, E_MODEL, "%lld heads in a width of %lld", (long long)c->heads, (long long)c->width);
    FAIL_IF(c->dropout < 0 || c->dropout >= 1, E_MODEL, "dropout %g is not in [0, 1)", c->dropout);
    FAIL_IF(c->eps < 0 || c->eps >= 1, E_MODEL, "the epsilon of norms, %g, is not in [0, 1)", c->eps);
    TRY((m->positions ? check_learnt : check_rotary)(m, c));
    FAIL_IF(c->layers > MOST_LAYERS, E_MODEL, "%lld layers; nib has at most %d", (long long)c->layers, MOST_LAYERS);
    double n = (double)c->layers * values_of_layer(c) * (double)c->width + (double)(c->vocab + c->context) * (double)c->width;
    FAIL_IF(n > MOST_PARAMETERS, E_MODEL, "about %.2g parameters, more than any machine holds; choose a smaller model", n);
    return 0;
}

int config_fits(const struct config *c, int64_t rows)
{
    FAIL_IF((double)rows * (double)c->layers * values_of_layer(c) > MOST_VALUES, E_MEMORY, "%lld ids in %lld layers of width %lld are more than any memory holds; "
            "choose a smaller --batch_size or --block_size", (long long)rows, (long long)c->layers, (long long)c->width);
    return 0;
}

static int no_model(const char *type, const char *what)
{
    char all[128] = "";
    for (int i = 0; i < MODELS; i++) snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", i ? ", " : "", models[i]->name);
    FAIL(E_MODEL, "%s: model_type \"%s\" is not one of nib's (%s)", what, type, all);
}

static int read_keys(const struct model *m, struct config *c, const json_t *root, const char *what)
{
    for (int t = 0; t < TABLES && m->keys[t]; t++)
        for (const struct key *k = m->keys[t]; k->name; k++) TRY(read_key(c, k, root, what));
    return 0;
}

int config_parse(const struct model **model, struct config *c, const json_t *root, const char *what)
{
    const char *type;
    TRY(json_get_string(root, "model_type", &type, what));
    const struct model *m = model_find(type);
    if (!m) return no_model(type, what);
    json_t *modern = json_object();
    int code = modern && !json_object_update(modern, (json_t *)(uintptr_t)root) ? 0 : error_set(E_MEMORY, __FILE__, __LINE__, "no memory for %s", what);
    if (!code && !m->positions) code = rotary_modern(modern, what);
    *c = m->base;
    if (!code) code = read_keys(m, c, modern, what);
    json_decref(modern);
    if (code) return code;
    config_fill_in(c);
    *model = m;
    code = config_check(m, c);
    return code ? error_prefix(code, "%s", what) : 0;
}

int config_read(const struct model **m, struct config *c, const char *folder)
{
    char path[PATH_SIZE];
    json_t *root;
    TRY(path_join(path, folder, "config.json"));
    TRY(json_read(&root, path, CONFIG_BYTES));
    int code = config_parse(m, c, root, path);
    json_decref(root);
    return code;
}

static json_t *file_of(const struct model *m, const struct config *c, int64_t end)
{
    json_t *root = json_pack("{s:s}", "model_type", m->name), *constants = json_loads(m->constants, 0, NULL);
    if (!constants || json_object_update(root, constants)) {
        json_decref(root);
        root = NULL;
    }
    json_decref(constants);
    for (int t = 0; root && t < TABLES && m->keys[t]; t++)
        for (const struct key *k = m->keys[t]; k->name; k++) write_key(root, c, k);
    if (root && !m->positions) rotary_older(root);
    json_object_set_new(root, "bos_token_id", end >= 0 ? json_integer(end) : json_null());       /* absent would mean GPT-2's */
    json_object_set_new(root, "eos_token_id", end >= 0 ? json_integer(end) : json_null());
    return root;
}

int config_to_json(const struct model *m, const struct config *c, int64_t end, json_t **root)
{
    *root = file_of(m, c, end);
    FAIL_IF(!*root, E_MEMORY, "no memory for a configuration");
    return 0;
}

int config_write(const struct model *m, const struct config *c, int64_t end, const char *folder)
{
    char path[PATH_SIZE];
    json_t *root;
    TRY(path_join(path, folder, "config.json"));
    TRY(config_to_json(m, c, end, &root));
    int code = json_write(path, root);
    json_decref(root);
    return code;
}

void config_describe(const struct model *m, const struct config *c, struct text *out)
{
    text_format(out, "%s: %lld layers, %lld heads", m->name, (long long)c->layers, (long long)c->heads);
    if (c->kv_heads != c->heads) text_format(out, " (%lld of keys and values)", (long long)c->kv_heads);
    text_format(out, ", width %lld, context %lld, vocabulary %lld", (long long)c->width, (long long)c->context, (long long)c->vocab);
}

#ifdef FUZZ_CONFIG
enum { FEW_LAYERS = 3 };                                     /* more are the same once more */

static int plan_it(struct weights *w, const struct model *m, const struct config *c, enum phase phase)
{
    static const struct space spaces[] = { { "text", 8, 2 }, { "wanted", 2, 0 } };
    graph *g;
    struct plan *p;
    TRY(config_fits(c, spaces[0].rows));
    TRY(graph_open(&g, w, phase, F32, spaces, phase == INFER ? 2 : 1));
    tensor *out = m->build(g, c);
    return plan_new(&p, g, &out, 1, &(struct plan_options){ .fuse = 1 });
}

/* What a file says is written and read again, and a model of it is planned. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *root, *again;
    const struct model *m, *same;
    struct config c, read;
    struct weights *w;
    if (json_parse(&root, (const char *)data, size, "fuzz")) return 0;
    int code = config_parse(&m, &c, root, "fuzz");
    json_decref(root);
    if (code) return 0;
    if (!(root = file_of(m, &c, -1)) || config_parse(&same, &read, root, "again") || !(again = file_of(same, &read, -1)) || !json_equal(root, again)) abort();
    json_decref(again);
    json_decref(root);
    if (c.layers > FEW_LAYERS) return 0;
    if (weights_new(&w, &null_backend, size % 2 ? TRAINED : FROZEN)) abort();
    plan_it(w, m, &c, size % 2 ? TRAIN : INFER);
    weights_measure(w);
    weights_free(w);
    return 0;
}
#endif
