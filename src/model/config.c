/* config.c -- config.json to struct config and back, by the keys that a model's page lists. */
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "model/model.h"

enum { CONFIG_BYTES = 1 << 20, MOST = 1 << 24, MOST_LAYERS = 1 << 12 };              /* of the file; of any number in it; of layers */
static const double MOST_PARAMETERS = 0x1p52, MOST_VALUES = 0x1p52;      /* below these no size overflows */

const struct model *model_find(const char *name)
{
    static const struct model *const models[] = { &model_gpt2, &model_llama };
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
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

static int set_text(struct config *c, const struct key *k, const char *text, const char *what)
{
    for (int i = 0; i < 4 && k->texts[i]; i++)
        if (!strcmp(k->texts[i], text)) {
            *(int *)field(c, k) = i > 0;
            return 0;
        }
    FAIL(E_MODEL, "%s: %s is \"%s\", which nib does not have", what, k->name, text);
}

static int set(struct config *c, const struct key *k, const json_t *value, const char *what)
{
    if (k->kind == KEY_INT && json_is_integer(value)) {
        int64_t n = json_integer_value(value);
        FAIL_IF(n < 0 || n > MOST, E_DATA, "%s: %s is %lld", what, k->name, (long long)n);
        *(int64_t *)field(c, k) = n;
        return 0;
    }
    if (k->kind == KEY_REAL && json_is_number(value)) return *(double *)field(c, k) = json_number_value(value), 0;
    if (k->kind == KEY_BOOL && json_is_boolean(value)) return *(int *)field(c, k) = json_is_true(value), 0;
    if (k->kind == KEY_TEXT && json_is_string(value)) return set_text(c, k, json_string_value(value), what);
    static const char *const wanted[] = { [KEY_INT] = "an integer", [KEY_REAL] = "a number", [KEY_BOOL] = "true or false", [KEY_TEXT] = "a text" };
    FAIL(E_DATA, "%s: %s should be %s", what, k->name, wanted[k->kind]);
}

static int read_key(struct config *c, const struct key *k, const json_t *object, const char *what)
{
    const json_t *value = find(object, k->name);
    if (value && json_is_null(value)) value = NULL;
    FAIL_IF(!value && !k->otherwise, E_DATA, "%s: %s is missing", what, k->name);
    if (!value && !*k->otherwise) return 0;
    json_t *otherwise = k->otherwise ? json_loads(k->otherwise, JSON_DECODE_ANY, NULL) : NULL;
    int code = 0;
    if (k->kind != KEY_FIXED) code = set(c, k, value ? value : otherwise, what);
    else if (value && !json_equal(value, otherwise))
        code = error_set(E_MODEL, __FILE__, __LINE__, "%s: %s must be %s: nib has no other", what, k->name, k->otherwise);
    json_decref(otherwise);
    return code;
}

static json_t *key_value(const struct config *c, const struct key *k)
{
    const void *at = (const char *)c + k->field;
    switch (k->kind) {
    case KEY_INT: return json_integer(*(const int64_t *)at);
    case KEY_REAL: return json_real(*(const double *)at);
    case KEY_BOOL: return json_boolean(*(const int *)at);
    case KEY_TEXT: return json_string(k->texts[*(const int *)at]);
    default: return json_loads(k->otherwise, JSON_DECODE_ANY, NULL);
    }
}

static void write_key(json_t *root, const struct config *c, const struct key *k)
{
    const char *dot = strchr(k->name, '.');
    json_t *inner = dot ? json_object_getn(root, k->name, (size_t)(dot - k->name)) : NULL;
    if (dot && !inner) {
        inner = json_object();
        json_object_setn_new(root, k->name, (size_t)(dot - k->name), inner);
    }
    json_object_set_new(dot ? inner : root, dot ? dot + 1 : k->name, key_value(c, k));
}

/* ---- the whole ---- */

void config_fill_in(struct config *c)
{
    if (!c->hidden) c->hidden = 4 * c->width;
    if (!c->kv_heads) c->kv_heads = c->heads;
    if (!c->head_dim && c->heads) c->head_dim = c->width / c->heads;
}

/* About as many values as a layer computes of one id; so many columns its matrices have. */
static double values_of_layer(const struct config *c)
{
    return 2.0 * (double)c->width + 2.0 * (double)(c->heads + c->kv_heads) * (double)c->head_dim + 3.0 * (double)c->hidden;
}

int config_check(const struct model *m, const struct config *c)
{
    const struct { const char *name; int64_t value; } sizes[] = {
        { "layers", c->layers }, { "heads", c->heads }, { "width", c->width }, { "hidden width", c->hidden }, { "vocabulary", c->vocab }, { "context", c->context },
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        FAIL_IF(sizes[i].value < 1 || sizes[i].value > MOST, E_MODEL, "a %s model has %s of 1 to %d, not %lld", m->name, sizes[i].name, MOST, (long long)sizes[i].value);
    FAIL_IF(c->head_dim == c->width / c->heads && c->width % c->heads, E_MODEL, "width %lld does not divide by %lld heads: choose n_embd as a multiple of n_head",
            (long long)c->width, (long long)c->heads);
    FAIL_IF(c->kv_heads < 1 || c->heads % c->kv_heads, E_MODEL, "%lld heads do not divide by %lld key/value heads", (long long)c->heads, (long long)c->kv_heads);
    FAIL_IF(c->head_dim < 1, E_MODEL, "%lld heads in a width of %lld", (long long)c->heads, (long long)c->width);
    FAIL_IF(c->dropout < 0 || c->dropout >= 1, E_MODEL, "dropout %g is not in [0, 1)", c->dropout);
    FAIL_IF(c->eps < 0 || c->eps >= 1, E_MODEL, "the epsilon of norms, %g, is not in [0, 1)", c->eps);
    FAIL_IF(m == &model_llama && c->theta < 1, E_MODEL, "rotary positions with theta %g, which is below 1", c->theta);
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

int config_parse(const struct model **model, struct config *c, const json_t *root, const char *what)
{
    const char *type;
    TRY(json_get_string(root, "model_type", &type, what));
    const struct model *m = model_find(type);
    FAIL_IF(!m, E_MODEL, "%s: model_type \"%s\" is not one of nib's (gpt2, llama)", what, type);
    *c = (struct config){ .theta = 1e4, .bias = 1 };
    for (const struct key *k = m->keys; k->name; k++) TRY(read_key(c, k, root, what));
    config_fill_in(c);
    *model = m;
    int code = config_check(m, c);
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
    for (const struct key *k = m->keys; root && k->name; k++) write_key(root, c, k);
    json_object_set_new(root, "bos_token_id", end >= 0 ? json_integer(end) : json_null());       /* absent would mean GPT-2's */
    json_object_set_new(root, "eos_token_id", end >= 0 ? json_integer(end) : json_null());
    return root;
}

int config_write(const struct model *m, const struct config *c, int64_t end, const char *folder)
{
    char path[PATH_SIZE];
    TRY(path_join(path, folder, "config.json"));
    json_t *root = file_of(m, c, end);
    FAIL_IF(!root, E_MEMORY, "no memory for %s", path);
    int code = json_write(path, root);
    json_decref(root);
    return code;
}

void config_describe(const struct model *m, const struct config *c, struct text *out)
{
    text_format(out, "%s: %lld layers, %lld heads, width %lld, context %lld, vocabulary %lld", m->name, (long long)c->layers, (long long)c->heads,
                (long long)c->width, (long long)c->context, (long long)c->vocab);
}

#ifdef FUZZ_CONFIG
#include <stdlib.h>

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
