/* pickle.h -- the part of Python's pickle format that data needs, read without executing anything: numbers, strings, bytes,
 * lists, tuples, dicts.  Every opcode that names or calls something is refused.  Enough for nanoGPT's meta.pkl. */
#ifndef FILE_PICKLE_H
#define FILE_PICKLE_H
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/text.h"

enum pickle_kind { PICKLE_NONE, PICKLE_BOOL, PICKLE_INT, PICKLE_REAL, PICKLE_STRING, PICKLE_LIST, PICKLE_TUPLE, PICKLE_DICT };

struct pickle {
    enum pickle_kind kind;
    int64_t integer;                     /* INT, BOOL */
    double real;
    const char *string; size_t size;     /* STRING (and bytes): size bytes and a 0 */
    struct pickle **item; size_t n;      /* LIST, TUPLE: n items; DICT: n items, key, value, key, value ... */
};

int pickle_parse(struct pickle **root, struct arena *memory, const uint8_t *bytes, size_t size, const char *what);
const struct pickle *pickle_get(const struct pickle *dict, const char *key);     /* NULL if absent or not a dict */

/* nanoGPT's meta.pkl: {"vocab_size": n, "itos": {0: "..."}, "stoi": {"...": 0}}, protocol 4, as pickle.load reads it. */
void pickle_write_meta(struct text *out, const char *const *symbols, size_t n);

#endif
