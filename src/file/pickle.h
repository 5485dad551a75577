/* pickle.h -- the part of Python's pickle format that data needs, read without executing anything: numbers, strings, bytes,
 * lists, tuples, dicts, as pickle.dump writes them in protocols 2 to 5.  Enough for nanoGPT's meta.pkl.
 *
 * Every opcode that names, calls or builds anything else is refused by its name, unless the reader lists the names it understands:
 * then what was named, called, or is kept elsewhere is a value like others (GLOBAL, CALL, STORED), for the reader to interpret.
 *
 * What is read is a tree: a list or dict that contains itself, or that is there twice, is refused, too.  (A tuple of scalars may be there
 * again.)  So whoever walks the tree comes to an end, after at most two steps per byte of the file, never deeper than PICKLE_DEPTH. */
#ifndef FILE_PICKLE_H
#define FILE_PICKLE_H
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/text.h"

enum { PICKLE_DEPTH = 64 };

enum pickle_kind { PICKLE_NONE, PICKLE_BOOL, PICKLE_INT, PICKLE_REAL, PICKLE_STRING, PICKLE_LIST, PICKLE_TUPLE, PICKLE_DICT, PICKLE_GLOBAL, PICKLE_CALL, PICKLE_STORED };

struct pickle {
    enum pickle_kind kind;
    int depth;                           /* of what has items: 1, or one more than the deepest of them; others: 0 */
    int64_t integer;                     /* INT, BOOL */
    double real;
    const char *string; size_t size;     /* STRING (and bytes): size bytes, unchecked, and a 0; GLOBAL: "module name", one of the listed */
    struct pickle **item; size_t n;      /* LIST, TUPLE: n items; DICT: n items, key, value, key, value ...; CALL: a GLOBAL, its arguments
                                            as a TUPLE; STORED: by what it is found elsewhere */
};

/* What a reader understands, by "module name", NULL at the end.  Calling the first makes an empty dict; what is built into any value, its
 * attributes, is dropped. */
struct pickle_names { const char *dict, *const *others; };

/* The tree lives in memory, which grows to at most about a hundred times the size of the bytes; the caller limits these.  names NULL:
 * only data. */
int pickle_parse(struct pickle **root, struct arena *memory, const uint8_t *bytes, size_t size, const struct pickle_names *names, const char *what);

/* The value of a key that is a string: the last one, as in Python.  NULL if it is absent, or if dict is NULL or no dict. */
const struct pickle *pickle_get(const struct pickle *dict, const char *key);

/* ---- writing, protocol 2: values one after another; a dict is opened, its keys and values follow, and it is closed; so is a list ---- */

void pickle_begin(struct text *out);
void pickle_put_int(struct text *out, int64_t value);
void pickle_put_real(struct text *out, double value);
void pickle_put_bool(struct text *out, int value);
void pickle_put_string(struct text *out, const char *string);
void pickle_open_dict(struct text *out);
void pickle_close_dict(struct text *out);
void pickle_open_list(struct text *out);
void pickle_close_list(struct text *out);
void pickle_end(struct text *out);

/* Appends nanoGPT's meta.pkl: {"vocab_size": n, "itos": {0: "..."}, "stoi": {"...": 0}}, protocol 4, as pickle.load reads it. */
void pickle_write_meta(struct text *out, const char *const *symbols, size_t n);

#endif
