/* keys.h -- what a page says about config.json: which key stands for which field of struct config, in the words of transformers 5. */
#ifndef MODEL_KEYS_H
#define MODEL_KEYS_H
#include <stddef.h>

struct word { const char *text; int value; };                /* ends with text NULL */

/* "nib.bias" is key bias in object nib.  A KEY_INT of 0 is null in the file: there is none, or the usual one; a KEY_COUNT of 0 is 0. */
enum key_kind { KEY_INT, KEY_COUNT, KEY_REAL, KEY_BOOL, KEY_NOT, KEY_WORD, KEY_LAYERS, KEY_FIXED };
struct key {
    const char *name;
    enum key_kind kind;
    size_t field;                        /* offset in struct config; int64_t, int64_t, double, int, int, int, int64_t */
    const char *otherwise;               /* the value, as JSON, where the file has none; NULL: it must have one; "": what a key before this one says */
    const struct word *words;            /* KEY_WORD; of several with one value the first is written */
    unsigned scalings;                   /* read and written only where positions are scaled so: bits by enum scaling; 0: always */
};
/* KEY_NOT: a bool whose opposite is the field.
 * KEY_LAYERS: "full_attention" a number of times, which is the field, then "sliding_attention"; not written.
 * KEY_FIXED: only `otherwise` is understood, which is what absent means; anything else is refused; not written. */

#define K_FIELD(name) offsetof(struct config, name)
#define K_INT(name, field, otherwise) { name, KEY_INT, K_FIELD(field), otherwise, NULL, 0 }
#define K_COUNT(name, field, otherwise) { name, KEY_COUNT, K_FIELD(field), otherwise, NULL, 0 }
#define K_REAL(name, field, otherwise) { name, KEY_REAL, K_FIELD(field), otherwise, NULL, 0 }
#define K_BOOL(name, field, otherwise) { name, KEY_BOOL, K_FIELD(field), otherwise, NULL, 0 }
#define K_NOT(name, field, otherwise) { name, KEY_NOT, K_FIELD(field), otherwise, NULL, 0 }
#define K_WORD(name, field, otherwise, words) { name, KEY_WORD, K_FIELD(field), otherwise, words, 0 }
#define K_FIXED(name, value) { name, KEY_FIXED, 0, value, NULL, 0 }

/* ---- rotary positions (rotary.c) ---- */

extern const struct key rotary_keys[];   /* rope_parameters, as transformers 5 has it */
/* What transformers 4 says by rope_theta and rope_scaling becomes rope_parameters; and the other way round, for its readers. */
struct json_t;
int  rotary_modern(struct json_t *root, const char *what);
void rotary_older(struct json_t *root);

#endif
