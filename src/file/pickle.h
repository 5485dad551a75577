/* pickle.h -- the part of Python's pickle format that data needs, read without executing anything: numbers, strings, bytes,
 * lists, tuples, dicts, as pickle.dump writes them in protocols 2 to 5.  Enough for nanoGPT's meta.pkl.
 *
 * Every opcode that names, calls or builds anything else is refused by its name.  What is read is a tree: a list, tuple or dict
 * that contains itself, or that is there twice, is refused, too.  So whoever walks the tree comes to an end, after at most
 * one step per byte of the file, never deeper than PICKLE_DEPTH. */
#ifndef FILE_PICKLE_H
#define FILE_PICKLE_H
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/text.h"

enum { PICKLE_DEPTH = 64 };

enum pickle_kind { PICKLE_NONE, PICKLE_BOOL, PICKLE_INT, PICKLE_REAL, PICKLE_STRING, PICKLE_LIST, PICKLE_TUPLE, PICKLE_DICT };

struct pickle {
    enum pickle_kind kind;
    int depth;                           /* LIST, TUPLE, DICT: 1, or one more than the deepest item; others: 0 */
    int64_t integer;                     /* INT, BOOL */
    double real;
    const char *string; size_t size;     /* STRING (and bytes): size bytes, unchecked, and a 0 */
    struct pickle **item; size_t n;      /* LIST, TUPLE: n items; DICT: n items, key, value, key, value ... */
};

/* The tree lives in memory, which grows to at most about a hundred times the size of the bytes; the caller limits these. */
int pickle_parse(struct pickle **root, struct arena *memory, const uint8_t *bytes, size_t size, const char *what);

/* The value of a key that is a string: the last one, as in Python.  NULL if it is absent, or if dict is NULL or no dict. */
const struct pickle *pickle_get(const struct pickle *dict, const char *key);

/* Appends nanoGPT's meta.pkl: {"vocab_size": n, "itos": {0: "..."}, "stoi": {"...": 0}}, protocol 4, as pickle.load reads it. */
void pickle_write_meta(struct text *out, const char *const *symbols, size_t n);

#endif
