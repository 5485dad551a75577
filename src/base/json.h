/* json.h -- JSON from outside, through jansson, with the checks that hostile text needs: valid UTF-8, no duplicate keys, no
 * NUL in strings, bounded depth, typed getters that name the key. */
#ifndef BASE_JSON_H
#define BASE_JSON_H
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

enum { JSON_DEPTH = 64 };                                                /* objects and arrays within each other, at most */

/* The root is an object or an array.  `what` names the text in messages ("gpt2/config.json").  The result is freed by json_decref. */
int json_parse(json_t **root, const char *text, size_t n, const char *what);
int json_parse_reals(json_t **root, const char *text, size_t n, const char *what);       /* integers become reals, which may be larger */
int json_read(json_t **root, const char *path, size_t limit);            /* a file of at most limit bytes */

/* Indented, keys in the order they were set, reals with the fewest digits that read back as the same double; atomic (base/file.h). */
int json_write(const char *path, const json_t *root);
void json_quote(struct text *out, const char *string);                   /* appends "string", escaped; not UTF-8: out->failed */

/* A required key of an object: absent, of another type or out of range is E_DATA.  A real may be written 1 or 1.0; an integer
 * only 1.  `what` as above.  (json_string and json_real are jansson's: they make values.) */
int json_get_int(const json_t *object, const char *key, int64_t least, int64_t most, int64_t *value, const char *what);
int json_get_real(const json_t *object, const char *key, double *value, const char *what);
int json_get_bool(const json_t *object, const char *key, int *value, const char *what);
int json_get_string(const json_t *object, const char *key, const char **value, const char *what);   /* lives as long as object */
int json_get_object(const json_t *object, const char *key, json_t **value, const char *what);       /* borrowed */
int json_get_array(const json_t *object, const char *key, json_t **value, const char *what);

int json_has(const json_t *object, const char *key);                     /* present and not null */

#endif
