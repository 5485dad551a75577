/* json.c -- what jansson leaves to its caller. */
#include "base/json.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"

/* ---- reading ---- */

/* jansson recurses, up to 2,048 deep; a server thread's stack should not depend on a stranger's brackets.  And it passes over
 * NUL bytes.  Text that is not JSON may be counted wrongly, but only behind the place where jansson stops. */
static int scan(const char *text, size_t n, const char *what)
{
    int depth = 0, quoted = 0;
    FAIL_IF(memchr(text, 0, n), E_DATA, "%s: not JSON, there are NUL bytes in it", what);
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (c == '"') quoted = !quoted;
        else if (quoted) i += c == '\\';                     /* whatever it escapes, it is no quote */
        else if (c == '}' || c == ']') depth--;
        else if (c == '{' || c == '[') depth++;
        FAIL_IF(depth > JSON_DEPTH, E_DATA, "%s: byte %zu: JSON nested deeper than %d", what, i, JSON_DEPTH);
    }
    return 0;
}

static int parse(json_t **root, const char *text, size_t n, size_t flags, const char *what)
{
    json_error_t e;
    *root = NULL;
    TRY(scan(text, n, what));
    *root = json_loadb(text, n, JSON_REJECT_DUPLICATES | flags, &e);
    if (*root) return 0;
    FAIL_IF(!e.text[0], E_MEMORY, "%s: no memory for its JSON", what);       /* the one failure that jansson has no words for */
    FAIL(E_DATA, "%s: line %d, column %d: %s", what, e.line, e.column, e.text);
}

int json_parse(json_t **root, const char *text, size_t n, const char *what) { return parse(root, text, n, 0, what); }
int json_parse_reals(json_t **root, const char *text, size_t n, const char *what) { return parse(root, text, n, JSON_DECODE_INT_AS_REAL, what); }

int json_read(json_t **root, const char *path, size_t limit)
{
    struct text all = { 0 };
    *root = NULL;
    int failed = file_read(path, limit, &all);
    if (!failed) failed = json_parse(root, all.at, all.size, path);
    text_free(&all);
    return failed;
}

/* ---- writing: json_dumps would print 0.1 as 0.10000000000000001 ---- */

static void print_dumped(struct text *out, char *dumped)
{
    if (dumped) text_add(out, dumped);
    else out->failed = 1;
    free(dumped);
}

void json_quote(struct text *out, const char *string)
{
    json_t *value = json_string(string);
    print_dumped(out, json_dumps(value, JSON_ENCODE_ANY));
    json_decref(value);
}

/* Every double of at most 15 digits survives being printed with 15; 17 are enough for all. */
static void print_real(struct text *out, const json_t *value)
{
    for (size_t digits = 15;; digits++) {
        char *dumped = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(digits));
        json_t *back = dumped ? json_loads(dumped, JSON_DECODE_ANY, NULL) : NULL;
        int same = back && json_real_value(back) == json_real_value(value);
        json_decref(back);
        if (same || digits == 17) {
            print_dumped(out, dumped);
            return;
        }
        free(dumped);
    }
}

static void new_line(struct text *out, int depth)
{
    text_format(out, "\n%*s", 2 * depth, "");
}

static void print(struct text *out, const json_t *value, int depth)
{
    const char *open = json_is_object(value) ? "{" : "[", *close = json_is_object(value) ? "}" : "]", *key;
    size_t n = json_object_size(value) + json_array_size(value), i;
    json_t *member;
    if (json_is_real(value)) {
        print_real(out, value);
        return;
    }
    if (n == 0) {                                            /* {}, [] and scalars */
        print_dumped(out, json_dumps(value, JSON_ENCODE_ANY));
        return;
    }
    text_add(out, open);
    json_object_foreach ((json_t *)value, key, member) {
        new_line(out, depth + 1);
        json_quote(out, key);
        text_add(out, ": ");
        print(out, member, depth + 1);
        if (--n) text_add(out, ",");
    }
    json_array_foreach (value, i, member) {
        new_line(out, depth + 1);
        print(out, member, depth + 1);
        if (--n) text_add(out, ",");
    }
    new_line(out, depth);
    text_add(out, close);
}

int json_write(const char *path, const json_t *root)
{
    struct text out = { 0 };
    print(&out, root, 0);
    text_add(&out, "\n");
    int failed = out.failed ? E_MEMORY : file_write(path, out.at, out.size);
    text_free(&out);
    FAIL_IF(failed == E_MEMORY, E_MEMORY, "no memory for the text of %s", path);
    return failed;
}

/* ---- typed getters ---- */

static const char *type_name(const json_t *value)
{
    static const char *const name[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array",     [JSON_STRING] = "a string",   [JSON_INTEGER] = "an integer",
        [JSON_REAL] = "a real",      [JSON_TRUE] = "true or false", [JSON_FALSE] = "true or false", [JSON_NULL] = "null",
    };
    return name[json_typeof(value)];
}

static int find(const json_t *object, const char *key, json_t **value, const char *what)
{
    FAIL_IF(!json_is_object(object), E_DATA, "%s: an object with the key \"%s\" was expected", what, key);
    *value = json_object_get(object, key);
    FAIL_IF(!*value, E_DATA, "%s: the key \"%s\" is missing", what, key);
    return 0;
}

static int check_type(int fits, const json_t *value, const char *key, const char *wanted, const char *what)
{
    FAIL_IF(!fits, E_DATA, "%s: \"%s\" must be %s, not %s", what, key, wanted, type_name(value));
    return 0;
}

int json_get_int(const json_t *object, const char *key, int64_t least, int64_t most, int64_t *value, const char *what)
{
    json_t *v;
    TRY(find(object, key, &v, what));
    TRY(check_type(json_is_integer(v), v, key, "an integer", what));
    *value = json_integer_value(v);
    FAIL_IF(*value < least || *value > most, E_DATA, "%s: \"%s\" is %lld, which is not within %lld .. %lld", what, key,
            (long long)*value, (long long)least, (long long)most);
    return 0;
}

int json_get_real(const json_t *object, const char *key, double *value, const char *what)
{
    json_t *v;
    TRY(find(object, key, &v, what));
    TRY(check_type(json_is_number(v), v, key, "a number", what));
    *value = json_number_value(v);
    return 0;
}

int json_get_bool(const json_t *object, const char *key, int *value, const char *what)
{
    json_t *v;
    TRY(find(object, key, &v, what));
    TRY(check_type(json_is_boolean(v), v, key, "true or false", what));
    *value = json_is_true(v);
    return 0;
}

int json_get_string(const json_t *object, const char *key, const char **value, const char *what)
{
    json_t *v;
    TRY(find(object, key, &v, what));
    TRY(check_type(json_is_string(v), v, key, "a string", what));
    *value = json_string_value(v);
    return 0;
}

int json_get_object(const json_t *object, const char *key, json_t **value, const char *what)
{
    TRY(find(object, key, value, what));
    return check_type(json_is_object(*value), *value, key, "an object", what);
}

int json_get_array(const json_t *object, const char *key, json_t **value, const char *what)
{
    TRY(find(object, key, value, what));
    return check_type(json_is_array(*value), *value, key, "an array", what);
}

int json_has(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return value && !json_is_null(value);
}

#ifdef FUZZ_JSON
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *root, *again;
    struct text out = { 0 };
    if (json_parse(&root, (const char *)data, size, "fuzz")) return 0;
    print(&out, root, 0);                                    /* what is written reads back as the same */
    if (out.failed || json_parse(&again, out.at, out.size, "fuzz") || !json_equal(root, again)) abort();
    json_decref(again);
    json_decref(root);
    text_free(&out);
    return 0;
}
#endif
