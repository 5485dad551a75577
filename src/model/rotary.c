/* rotary.c -- rotary positions of texts that are longer than those of the training: what files say about them, and what op rope is told.
 *
 * All kinds of scaling are one: of a frequency f a share s stays, f (s + (1 - s) / factor), and s is a line between 0 and 1.
 *     linear (Chen et al. 2023)   s = 0 everywhere
 *     llama3 (Llama 3.1)          the line goes over f: 0 below `slow` turns within the original context, 1 above `fast` turns
 *     yarn (Peng et al. 2023)     it goes over the pairs j, between those that turn just so often; sines and cosines grow besides
 *     dynamic                     nothing is scaled within max_position_embeddings, and nib goes no further */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "file/tensors.h"
#include "model/model.h"

/* ---- what op rope is told ---- */

static const double CIRCLE = 6.283185307179586;

/* The pair, a real, whose frequency turns so often within the original context. */
static double pair_of(const struct config *c, double turns)
{
    return (double)c->head_dim * log((double)c->original / (turns * CIRCLE)) / (2 * log(c->theta));
}

static void yarn(const struct config *c, struct rope *r)
{
    double fast = pair_of(c, c->fast), slow = pair_of(c, c->slow);
    if (c->whole_pairs) fast = floor(fast), slow = ceil(slow);
    fast = fmax(fast, 0);
    slow = fmin(slow, (double)c->head_dim - 1);
    r->to = (float)fast;                                     /* all of f stays up to here, nothing from `slow` on */
    r->from = (float)(slow == fast ? slow + 0.001 : slow);
    r->by_pair = 1;
}

struct rope config_rope(const struct config *c)
{
    struct rope r = { .dim = (int)c->head_dim, .theta = (float)c->theta };
    if (c->scaling == ROPE_PLAIN || c->scaling == ROPE_DYNAMIC) return r;
    r.factor = (float)c->factor;
    r.from = 1, r.to = 2;                                    /* linear: no frequency is over 1 */
    if (c->scaling == ROPE_LLAMA3) r.from = (float)(c->slow * CIRCLE / (double)c->original), r.to = (float)(c->fast * CIRCLE / (double)c->original);
    if (c->scaling == ROPE_YARN) {
        yarn(c, &r);
        r.gain = (float)c->gain;
    }
    return r;
}

int64_t rotary_row(int64_t row, int64_t dim) { return row / dim * dim + row % 2 * (dim / 2) + row % dim / 2; }

int rotary_halves(struct file_tensor *t, int64_t heads, struct arena *memory)
{
    int64_t rows = t->dim[0], dim = rows / heads;
    size_t row = rows ? t->size / (size_t)rows : 0;
    FAIL_IF(t->n_dims != 2 || dim * heads != rows || dim % 2, E_DATA, "%s: its rows are not those of %lld heads", t->name, (long long)heads);
    char *to = arena_take(memory, t->size);
    FAIL_IF(!to, E_MEMORY, "no memory for %s, %zu bytes", t->name, t->size);
    for (int64_t i = 0; i < rows; i++) memcpy(to + (size_t)rotary_row(i, dim) * row, (const char *)t->data + (size_t)i * row, row);
    t->data = to;
    return 0;
}

/* ---- what files say ---- */

static const struct word kinds[] = {
    { "default", ROPE_PLAIN }, { "linear", ROPE_LINEAR }, { "dynamic", ROPE_DYNAMIC }, { "llama3", ROPE_LLAMA3 }, { "yarn", ROPE_YARN }, { 0 },
};

#define KIND(name) (1u << ROPE_##name)
#define SCALED(name, kind, field, otherwise, when) { "rope_parameters." name, kind, K_FIELD(field), otherwise, NULL, when }
const struct key rotary_keys[] = {
    K_WORD("rope_parameters.rope_type", scaling, "\"default\"", kinds),
    K_REAL("rope_parameters.rope_theta", theta, "10000.0"),
    K_FIXED("rope_parameters.partial_rotary_factor", "1.0"),
    K_FIXED("rope_parameters.full_attention", "null"),                     /* positions that differ from layer to layer */
    K_FIXED("rope_parameters.sliding_attention", "null"),
    SCALED("factor", KEY_REAL, factor, NULL, KIND(LINEAR) | KIND(DYNAMIC) | KIND(LLAMA3) | KIND(YARN)),
    SCALED("original_max_position_embeddings", KEY_INT, original, "0", KIND(LLAMA3) | KIND(YARN)),         /* 0: max_position_embeddings */
    SCALED("low_freq_factor", KEY_REAL, slow, NULL, KIND(LLAMA3)),
    SCALED("high_freq_factor", KEY_REAL, fast, NULL, KIND(LLAMA3)),
    SCALED("beta_slow", KEY_REAL, slow, "1.0", KIND(YARN)),
    SCALED("beta_fast", KEY_REAL, fast, "32.0", KIND(YARN)),
    SCALED("attention_factor", KEY_REAL, gain, NULL, KIND(YARN)),
    SCALED("truncate", KEY_BOOL, whole_pairs, "true", KIND(YARN)),
    { 0 },
};

/* ---- the spelling of transformers 4 ---- */

static double number(const json_t *object, const char *name, double otherwise)
{
    const json_t *value = json_object_get(object, name);
    return json_is_number(value) ? json_number_value(value) : otherwise;
}

static void set_default(json_t *object, const char *name, json_t *value)
{
    const json_t *is = json_object_get(object, name);
    if (value && (!is || json_is_null(is))) json_object_set(object, name, value);
}

static double growth(double factor, double scale) { return factor > 1 ? 0.1 * scale * log(factor) + 1 : 1; }

/* What yarn's keys leave open: the factor follows from the contexts, the growth of sines and cosines from the factor. */
static void complete_yarn(json_t *rope, const json_t *root)
{
    double context = number(root, "max_position_embeddings", 0), original = number(rope, "original_max_position_embeddings", context);
    json_t *factor = json_real(original > 0 ? context / original : 0);
    set_default(rope, "factor", factor);
    json_decref(factor);
    double by = number(rope, "factor", 0), all = number(rope, "mscale_all_dim", 0), one = number(rope, "mscale", 0);
    json_t *gain = json_real(all != 0 && one != 0 ? growth(by, one) / growth(by, all) : growth(by, 1));
    set_default(rope, "attention_factor", gain);
    json_decref(gain);
}

/* As transformers 5 reads it: rope_scaling counts before rope_parameters where a file has both, what stands in them before what stands
 * beside them. */
int rotary_modern(json_t *root, const char *what)
{
    json_t *old = json_object_get(root, "rope_scaling"), *now = json_object_get(root, "rope_parameters");
    if (json_is_null(old)) old = NULL;
    if (json_is_null(now)) now = NULL;
    FAIL_IF(old && !json_is_object(old), E_DATA, "%s: rope_scaling should be an object or null", what);
    FAIL_IF(now && !json_is_object(now), E_DATA, "%s: rope_parameters should be an object or null", what);
    json_t *rope = old || now ? json_copy(old ? old : now) : json_object();
    FAIL_IF(!rope, E_MEMORY, "no memory for %s", what);
    set_default(rope, "rope_type", json_object_get(rope, "type"));
    set_default(rope, "rope_theta", json_object_get(root, "rope_theta"));
    json_t *original = json_object_get(root, "original_max_position_embeddings");
    if (original && !json_is_null(original)) json_object_set(rope, "original_max_position_embeddings", original);
    const char *type = json_string_value(json_object_get(rope, "rope_type"));
    if (type && !strcmp(type, "yarn")) complete_yarn(rope, root);
    FAIL_IF(json_object_set_new(root, "rope_parameters", rope), E_MEMORY, "no memory for %s", what);
    return 0;
}

void rotary_older(json_t *root)
{
    json_t *rope = json_object_get(root, "rope_parameters");
    const char *type = json_string_value(json_object_get(rope, "rope_type"));
    json_object_set(root, "rope_theta", json_object_get(rope, "rope_theta"));
    if (!type || !strcmp(type, "default")) return;
    json_t *old = json_copy(rope);
    json_object_del(old, "rope_theta");
    json_object_set_new(root, "rope_scaling", old);
}
