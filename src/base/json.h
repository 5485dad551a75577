/* json.h -- JSON from outside, through jansson, with the checks that hostile text needs: valid UTF-8, no duplicate keys,
 * bounded depth, typed getters that name the key. */
#ifndef BASE_JSON_H
#define BASE_JSON_H
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/* `what` names the text in messages ("gpt2/config.json").  The result is freed by json_decref. */
int json_parse(json_t **root, const char *text, size_t n, const char *what);
int json_read(json_t **root, const char *path, size_t limit);            /* a file of at most limit bytes */
int json_write(const char *path, const json_t *root);                    /* indented, keys in the order they were set; atomic (base/file.h) */

/* A required key of an object: absent, of another type or out of range is E_DATA.  A value that JSON may write as 1 or 1.0 is
 * fine for a real.  `what` as above. */
int json_int(const json_t *object, const char *key, int64_t least, int64_t most, int64_t *value, const char *what);
int json_real(const json_t *object, const char *key, double *value, const char *what);
int json_bool(const json_t *object, const char *key, int *value, const char *what);
int json_string(const json_t *object, const char *key, const char **value, const char *what);   /* lives as long as object */
int json_object_of(const json_t *object, const char *key, json_t **value, const char *what);    /* borrowed */
int json_array_of(const json_t *object, const char *key, json_t **value, const char *what);

int json_has(const json_t *object, const char *key);                     /* present and not null */

#endif
