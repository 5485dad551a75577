/* adapter_config.c -- adapter_config.json: what PEFT's LoraConfig says, read and written.
 *
 * A key that nib does not know may say nothing (null, false, empty); one that says something could change what the matrices mean, and the
 * adapter is refused by it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/error.h"
#include "base/json.h"
#include "model/adapter.h"
#include "model/model.h"

enum { CONFIG_BYTES = 1 << 20, MOST_RANK = 1 << 16, MOST_PATTERNS = 1024, MATCH_LIMIT = 20000, VALUE_SHOWN = 100 };
static const double MOST_ALPHA = 1e9;

/* ---- which adapters ---- */

/* What these may be.  The other ways to begin (pissa, olora, corda, loftq ...) change the base itself. */
static const struct { const char *key, *values; } musts[] = {
    { "peft_type", "[\"LORA\"]" }, { "task_type", "[\"CAUSAL_LM\", null]" }, { "bias", "[\"none\"]" },
    { "init_lora_weights", "[true, false, null, \"gaussian\", \"eva\", \"orthogonal\"]" },
};

/* These say how it was made, or are read below.  The layers that were chosen are those of the file of tensors. */
static const char *const others[] = {
    "auto_mapping", "base_model_name_or_path", "revision", "inference_mode", "peft_version", "r", "lora_alpha", "lora_dropout", "fan_in_fan_out", "use_rslora", "rank_pattern", "alpha_pattern",
    "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "megatron_core", "megatron_config", "qalora_group_size", "loftq_config", "eva_config", "runtime_config",
    "ensure_weight_tying",
};

static int says_nothing(const json_t *v)
{
    return json_is_null(v) || json_is_false(v) || (json_is_string(v) && !json_string_length(v)) || (json_is_array(v) && !json_array_size(v)) || (json_is_object(v) && !json_object_size(v));
}

static int is_among(const json_t *v, const char *values)
{
    json_t *list = json_loads(values, 0, NULL), *one;
    size_t i;
    int is = 0;
    json_array_foreach (list, i, one) is |= json_equal(v, one);
    json_decref(list);
    return is;
}

static int is_fine(const char *key, const json_t *v)
{
    for (size_t i = 0; i < sizeof musts / sizeof *musts; i++)
        if (!strcmp(musts[i].key, key)) return is_among(v, musts[i].values);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (!strcmp(others[i], key)) return 1;
    return says_nothing(v);
}

static int check_kind(const json_t *root, const char *what)
{
    const char *key;
    json_t *v;
    FAIL_IF(!json_has(root, "peft_type"), E_DATA, "%s: it has no \"peft_type\"; PEFT's adapters do", what);
    json_object_foreach ((json_t *)(uintptr_t)root, key, v) {
        if (is_fine(key, v)) continue;
        char *value = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
        int code = error_set(E_MODEL, __FILE__, __LINE__, "%s: \"%.100s\" is %.*s; nib has LoRA of dense layers alone (no DoRA, no biases, embeddings or whole modules besides): "
                             "merge it by PEFT's merge_and_unload and open the model that comes of it", what, key, VALUE_SHOWN, value ? value : "?");
        free(value);
        return code;
    }
    return 0;
}

/* ---- numbers and names ---- */

static int read_base(struct adapter *a, const json_t *root, const char *what)
{
    const char *base = "";
    if (json_has(root, "base_model_name_or_path")) TRY(json_get_string(root, "base_model_name_or_path", &base, what));
    FAIL_IF(snprintf(a->base, sizeof a->base, "%s", base) >= (int)sizeof a->base, E_DATA, "%s: \"base_model_name_or_path\" is longer than a path can be", what);
    return 0;
}

static int read_patterns(const json_t *root, const char *key, double least, double most, const char *what)
{
    const char *pattern;
    json_t *patterns, *v;
    double x;
    if (!json_has(root, key)) return 0;
    TRY(json_get_object(root, key, &patterns, what));
    FAIL_IF(json_object_size(patterns) > MOST_PATTERNS, E_DATA, "%s: more than %d patterns in \"%s\"", what, MOST_PATTERNS, key);
    json_object_foreach (patterns, pattern, v) {
        TRY(json_get_real(patterns, pattern, &x, what));
        FAIL_IF(!(x >= least && x <= most), E_DATA, "%s: \"%s\" of \"%.100s\" is %g, not within %g and %g", what, key, pattern, x, least, most);
    }
    return 0;
}

static int read_targets(const json_t *root, const char *what)
{
    const json_t *targets = json_object_get(root, "target_modules"), *one;
    size_t i;
    int is = json_is_array(targets) || json_is_string(targets);
    json_array_foreach (targets, i, one) is &= json_is_string(one);
    FAIL_IF(!is, E_DATA, "%s: \"target_modules\" is neither a text nor a list of texts", what);
    return 0;
}

int adapter_parse(struct adapter *a, const json_t *root, const char *what)
{
    FAIL_IF(!json_is_object(root), E_DATA, "%s: it is no JSON object", what);
    TRY(check_kind(root, what));
    a->rank = 8, a->alpha = 8, a->dropout = 0, a->by_root = 0;               /* PEFT's, where a file does not say */
    if (json_has(root, "r")) TRY(json_get_int(root, "r", 1, MOST_RANK, &a->rank, what));
    if (json_has(root, "lora_alpha")) TRY(json_get_real(root, "lora_alpha", &a->alpha, what));
    if (json_has(root, "lora_dropout")) TRY(json_get_real(root, "lora_dropout", &a->dropout, what));
    if (json_has(root, "use_rslora")) TRY(json_get_bool(root, "use_rslora", &a->by_root, what));
    FAIL_IF(!(fabs(a->alpha) <= MOST_ALPHA), E_DATA, "%s: \"lora_alpha\" is %g", what, a->alpha);
    FAIL_IF(!(a->dropout >= 0 && a->dropout < 1), E_DATA, "%s: \"lora_dropout\" is %g, not a probability below 1", what, a->dropout);
    a->lora.dropout = (float)a->dropout;
    TRY(read_base(a, root, what));
    TRY(read_targets(root, what));
    TRY(read_patterns(root, "rank_pattern", 1, MOST_RANK, what));
    return read_patterns(root, "alpha_pattern", -MOST_ALPHA, MOST_ALPHA, what);
}

static int allocate(struct adapter **a)
{
    *a = calloc(1, sizeof **a);
    FAIL_IF(!*a, E_MEMORY, "no memory for an adapter");
    return 0;
}

static int give_up(struct adapter **a, int code)
{
    adapter_close(*a);
    *a = NULL;
    return code;
}

int adapter_read(struct adapter **a, const char *folder)
{
    char path[PATH_SIZE];
    TRY(path_join(path, folder, ADAPTER_CONFIG));
    TRY(allocate(a));
    int code = json_read(&(*a)->config, path, CONFIG_BYTES);
    if (!code) code = adapter_parse(*a, (*a)->config, path);
    return code ? give_up(a, code) : 0;
}

/* ---- patterns: of the end of a module's name, as re.match(r"(.*\.)?(PATTERN)$", name) in Python; the first that fits counts ---- */

struct pattern { pcre2_code *code; pcre2_match_data *match; pcre2_match_context *context; };

static void close_pattern(struct pattern *p)
{
    pcre2_code_free(p->code);
    pcre2_match_data_free(p->match);
    pcre2_match_context_free(p->context);
}

static int open_pattern(struct pattern *p, const char *text, const char *what)
{
    struct text whole = { 0 };
    int why = 0;
    size_t where;
    text_format(&whole, "(.*\\.)?(%s)$", text);
    *p = (struct pattern){ 0 };
    if (!whole.failed) p->code = pcre2_compile((PCRE2_SPTR)whole.at, whole.size, PCRE2_ANCHORED | PCRE2_NEVER_BACKSLASH_C, &why, &where, NULL);
    text_free(&whole);
    FAIL_IF(!p->code, E_DATA, "%s: the pattern \"%.100s\" is no regular expression that nib can use", what, text);
    p->match = pcre2_match_data_create(1, NULL);
    p->context = pcre2_match_context_create(NULL);
    if (!p->match || !p->context) {
        close_pattern(p);
        FAIL(E_MEMORY, "%s: no memory for a pattern", what);
    }
    pcre2_set_match_limit(p->context, MATCH_LIMIT);
    return 0;
}

/* values[i] becomes what the first pattern that fits of[i] says. */
static int apply_patterns(const json_t *patterns, const struct module *of, int n, double *values, const char *what)
{
    const char *key;
    json_t *v;
    char *taken = calloc((size_t)n + 1, 1);
    int code = taken ? 0 : error_set(E_MEMORY, __FILE__, __LINE__, "%s: no memory", what);
    json_object_foreach ((json_t *)(uintptr_t)patterns, key, v) {
        struct pattern p;
        if (code || (code = open_pattern(&p, key, what))) break;
        for (int i = 0; i < n && !code; i++) {
            int found = taken[i] ? PCRE2_ERROR_NOMATCH : pcre2_match(p.code, (PCRE2_SPTR)of[i].name, strlen(of[i].name), 0, 0, p.match, p.context);
            if (found >= 0) values[i] = json_number_value(v), taken[i] = 1;
            else if (found != PCRE2_ERROR_NOMATCH) code = error_set(E_DATA, __FILE__, __LINE__, "%s: the pattern \"%.100s\" takes too long on \"%.100s\"", what, key, of[i].name);
        }
        close_pattern(&p);
    }
    free(taken);
    return code;
}

static int is_target(const json_t *targets, const char *module)
{
    const json_t *one;
    size_t i;
    int is = !json_is_array(targets);                        /* an expression, or all-linear: what it has chosen is in the file */
    json_array_foreach (targets, i, one) {
        struct low_rank r = { .layer = json_string_value(one) };
        is |= lora_of(&(struct lora){ .adapt = &r, .n = 1 }, module) != NULL;
    }
    return is;
}

static int settle_scales(const struct adapter *a, struct module *of, int n, double *ranks, double *alphas, const char *what)
{
    for (int i = 0; i < n; i++) ranks[i] = (double)a->rank, alphas[i] = a->alpha;
    TRY(apply_patterns(json_object_get(a->config, "rank_pattern"), of, n, ranks, what));
    TRY(apply_patterns(json_object_get(a->config, "alpha_pattern"), of, n, alphas, what));
    for (int i = 0; i < n; i++) {
        FAIL_IF((double)of[i].rank != ranks[i], E_DATA, "%s: %.200s has matrices of rank %lld, and adapter_config.json says %g", what, of[i].name, (long long)of[i].rank, ranks[i]);
        FAIL_IF(!is_target(json_object_get(a->config, "target_modules"), of[i].name), E_DATA, "%s: %.200s is adapted, and adapter_config.json's target_modules do not name it", what, of[i].name);
        of[i].scale = (float)(alphas[i] / (a->by_root ? sqrt(ranks[i]) : ranks[i]));
    }
    return 0;
}

int adapter_scales(const struct adapter *a, struct module *of, int n, const char *what)
{
    double *values = calloc(2 * (size_t)n + 1, sizeof *values);
    FAIL_IF(!values, E_MEMORY, "%s: no memory", what);
    int code = settle_scales(a, of, n, values, values + n, what);
    free(values);
    return code;
}

/* ---- a new one ---- */

static json_t *number(double x) { return x == rint(x) && fabs(x) < 1e15 ? json_integer((json_int_t)x) : json_real(x); }

static json_t *config_of(const struct model *m, const struct adapter_settings *s, json_t *targets)
{
    json_t *o = json_pack("{s:s, s:s, s:s, s:n, s:b, s:I, s:o, s:o, s:{}, s:{}, s:o, s:b, s:s, s:b, s:b, s:b, s:n}",
                          "peft_type", "LORA", "task_type", "CAUSAL_LM", "base_model_name_or_path", s->base, "revision", "inference_mode", 1,
                          "r", (json_int_t)s->rank, "lora_alpha", number(s->alpha), "lora_dropout", json_real(s->dropout), "rank_pattern", "alpha_pattern",
                          "target_modules", targets, "fan_in_fan_out", m->layout == IN_OUT, "bias", "none", "use_rslora", 0, "use_dora", 0, "init_lora_weights", 1, "modules_to_save");
    return o;
}

/* One of a list between commas, or layer by layer what the model page names. */
static json_t *list_targets(const struct model *m, const char *targets)
{
    json_t *list = json_array();
    const char *text = !strcmp(targets, "all") ? m->dense : !strcmp(targets, "auto") ? m->adapted : targets;
    for (const char *at = text; *at; at += strcspn(at, ",")) {
        at += strspn(at, ", ");
        size_t n = strcspn(at, ", ");
        if (n) json_array_append_new(list, json_stringn(at, n));
    }
    return list;
}

static int take_targets(struct adapter *a, const struct model *m)
{
    const json_t *targets = json_object_get(a->config, "target_modules");
    size_t n = json_array_size(targets);
    FAIL_IF(!n, E_USAGE, "no layers to adapt; --lora_targets=%s names those of %s, and \"all\" means all of them", m->dense, m->name);
    struct low_rank *rules = arena_take(&a->memory, n * sizeof *rules);
    FAIL_IF(!rules, E_MEMORY, "no memory for an adapter");
    for (size_t i = 0; i < n; i++) rules[i] = (struct low_rank){ json_string_value(json_array_get(targets, i)), (int)a->rank, (float)(a->alpha / (double)a->rank) };
    a->lora.adapt = rules;
    a->lora.n = (int)n;
    return 0;
}

int adapter_new(struct adapter **a, const struct model *m, const struct adapter_settings *s)
{
    TRY(allocate(a));
    (*a)->config = config_of(m, s, list_targets(m, s->targets));
    int code = (*a)->config ? adapter_parse(*a, (*a)->config, ADAPTER_CONFIG) : error_set(E_USAGE, __FILE__, __LINE__, "the name of the model, or those of --lora_targets, are no UTF-8");
    if (!code) code = take_targets(*a, m);
    return code ? give_up(a, code) : 0;
}

int adapter_change(struct adapter *a, const char *base, double dropout)
{
    FAIL_IF(base && snprintf(a->base, sizeof a->base, "%s", base) >= (int)sizeof a->base, E_USAGE, "the name of the base is too long");
    a->dropout = dropout;
    a->lora.dropout = (float)dropout;
    FAIL_IF(json_object_set_new(a->config, "base_model_name_or_path", json_string(a->base)) || json_object_set_new(a->config, "lora_dropout", json_real(dropout)) ||
            json_object_set_new(a->config, "inference_mode", json_true()), E_USAGE, "the name of the base is no UTF-8");
    return 0;
}

int adapter_write(const struct adapter *a, const char *folder)
{
    char path[PATH_SIZE];
    TRY(path_join(path, folder, ADAPTER_CONFIG));
    return json_write(path, a->config);
}

void adapter_describe(const struct adapter *a, struct text *out)
{
    const json_t *targets = json_object_get(a->config, "target_modules"), *one;
    size_t i;
    text_format(out, "LoRA of rank %lld, alpha %g, on ", (long long)a->rank, a->alpha);
    if (json_is_string(targets)) text_add(out, json_string_value(targets));
    json_array_foreach (targets, i, one) text_format(out, "%s%s", i ? ", " : "", json_string_value(one));
    text_format(out, " of %s", *a->base ? a->base : "an unnamed base");
}
