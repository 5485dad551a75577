/* charsmap.c -- a map is little-endian: the double array's size in bytes (32 bits), its units, the replacements.
 *
 * A unit's children lie at its own index ^ its offset ^ a byte of the key, if their labels are that byte; the child by byte 0 is no unit
 * but a value, the place of the key's replacement. */
#include "token/charsmap.h"

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/utf8.h"
#include "token/grapheme.h"
#include "token/vocab.h"

enum { BLOCK = 256, CLUSTER = 6 };       /* clusters of so many bytes are not looked up */

static uint32_t offset_of(uint32_t unit) { return (unit >> 10) << ((unit & 1 << 9) >> 6); }       /* bit 9: the lower eight are left out */
static uint32_t label_of(uint32_t unit) { return unit & (1u << 31 | 0xff); }                       /* no byte, if bit 31 says that it is a value */
static int has_value(uint32_t unit) { return unit >> 8 & 1; }
static uint32_t value_of(uint32_t unit) { return unit & ~(1u << 31); }

/* ---- opening ---- */

/* A 0 follows the bytes. */
static int decode(unsigned char **bytes, size_t *size, struct arena *memory, const char *base64, const char *what)
{
    size_t n = strlen(base64);
    *bytes = arena_take(memory, n / 4 * 3 + 4);
    FAIL_IF(!*bytes, E_MEMORY, "%s: no memory for a precompiled_charsmap of %zu bytes", what, n);
    int failed = base64_decode(*bytes, size, base64, n);
    if (failed) return error_prefix(failed, "%s: precompiled_charsmap", what);
    (*bytes)[*size] = 0;
    return 0;
}

static int read_parts(struct charsmap *c, struct arena *memory, const unsigned char *bytes, size_t size, const char *what)
{
    size_t trie = size < 4 ? 0 : little_u32(bytes);
    FAIL_IF(trie == 0 || trie % (BLOCK * 4) || trie > size - 4, E_DATA, "%s: precompiled_charsmap says that its trie has %zu bytes of %zu; it has a multiple of %d", what, trie, size, BLOCK * 4);
    uint32_t *unit = take_array(memory, trie / 4, sizeof *unit);
    FAIL_IF(!unit, E_MEMORY, "%s: no memory for a precompiled_charsmap of %zu bytes", what, size);
    for (size_t i = 0; i < trie / 4; i++) unit[i] = little_u32(bytes + 4 + 4 * i);
    c->unit = unit;
    c->units = trie / 4;
    c->strings = (const char *)bytes + 4 + trie;
    c->size = size - 4 - trie;
    FAIL_IF(utf8_good(c->strings, c->size) < c->size, E_DATA, "%s: the replacements of precompiled_charsmap are not UTF-8", what);
    return 0;
}

/* A unit that some key leads to, whose children lie in the block from ^ byte: are they there, and is its value the place of a replacement? */
static int check_unit(const struct charsmap *c, uint32_t unit, uint32_t from, const char *what)
{
    FAIL_IF(from >= c->units, E_DATA, "%s: the trie of precompiled_charsmap has %zu units, and one of them leads to unit %u", what, c->units, from);
    if (!has_value(unit)) return 0;
    uint32_t value = value_of(c->unit[from]);
    FAIL_IF(value > c->size || ((unsigned char)c->strings[value] & 0xc0) == 0x80, E_DATA, "%s: the trie of precompiled_charsmap leads to byte %u of %zu of the replacements, where none begins", what, value, c->size);
    return 0;
}

/* Goes wherever a text can lead, so that look-ups need not check again.  A hostile trie may have circles: each unit is seen once. */
static int check_trie(const struct charsmap *c, uint32_t *waiting, uint8_t *seen, const char *what)
{
    size_t n = 1;
    for (waiting[0] = 0; n > 0;) {
        uint32_t at = waiting[--n], unit = c->unit[at], from = at ^ offset_of(unit);
        TRY(check_unit(c, unit, from, what));
        for (uint32_t byte = 1; byte < BLOCK; byte++) {
            uint32_t child = from ^ byte;
            if (label_of(c->unit[child]) != byte || seen[child]) continue;
            seen[child] = 1;
            waiting[n++] = child;
        }
    }
    return 0;
}

/* The replacement that a text begins with, NULL if it begins with no key.  The root has no value, whatever its unit says: no key is empty. */
static const char *find(const struct charsmap *c, const char *text, size_t n)
{
    uint32_t at = offset_of(c->unit[0]);
    for (size_t i = 0; i < n && text[i]; i++) {
        at ^= (unsigned char)text[i];
        uint32_t unit = c->unit[at];
        if (label_of(unit) != (unsigned char)text[i]) return NULL;
        at ^= offset_of(unit);
        if (has_value(unit)) return c->strings + value_of(c->unit[at]);
    }
    return NULL;
}

static int open_bytes(struct charsmap *c, struct arena *memory, const unsigned char *bytes, size_t size, const char *what)
{
    *c = (struct charsmap){ 0 };
    TRY(read_parts(c, memory, bytes, size, what));
    uint32_t *waiting = malloc((c->units + 1) * sizeof *waiting);
    uint8_t *seen = calloc(c->units, 1);
    int code = waiting && seen ? check_trie(c, waiting, seen, what) : error_set(E_MEMORY, __FILE__, __LINE__, "%s: no memory for a precompiled_charsmap of %zu bytes", what, size);
    free(waiting);
    free(seen);
    for (int i = 0; i < 0x80 && !code; i++) c->stays[i] = i != '\r' && !find(c, &(char){ (char)i }, 1);       /* CR may go on with LF */
    return code;
}

int charsmap_open(struct charsmap *c, struct arena *memory, const char *base64, const char *what)
{
    unsigned char *bytes = NULL;
    size_t size = 0;
    TRY(decode(&bytes, &size, memory, base64, what));
    return open_bytes(c, memory, bytes, size, what);
}

/* ---- applying ---- */

/* Bytes at the start of a text that are clusters of one ASCII character each, and stay. */
static size_t plain(const struct charsmap *c, const char *text, size_t n)
{
    size_t i = 0;
    while (i < n && c->stays[(unsigned char)text[i]]) i++;
    return i > 0 && i < n && (unsigned char)text[i] >= 0x80 ? i - 1 : i;
}

/* What lies between `kept` and here stays. */
struct pass { const struct charsmap *map; const char *text; size_t kept; struct text *out; };

static int replace(struct pass *p, size_t at, size_t size)
{
    const char *new = find(p->map, p->text + at, size);
    if (!new) return 0;
    text_bytes(p->out, p->text + p->kept, at - p->kept);
    text_add(p->out, new);
    p->kept = at + size;
    return 1;
}

static void replace_each(struct pass *p, size_t at, size_t end)
{
    for (size_t size; at < end; at += size) {
        utf8_next(p->text + at, end - at, &size);
        replace(p, at, size);
    }
}

int charsmap_apply(const struct charsmap *c, const char *text, size_t n, struct text *out)
{
    struct pass p = { c, text, 0, out };
    for (size_t at = plain(c, text, n), size; at < n; at += size, at += plain(c, text + at, n - at)) {
        size = grapheme_next(text + at, n - at);
        if (size >= CLUSTER || !replace(&p, at, size)) replace_each(&p, at, at + size);
    }
    text_bytes(out, text + p.kept, n - p.kept);
    FAIL_IF(out->failed, E_MEMORY, "no memory to normalize %zu bytes of text", n);
    return 0;
}

#ifdef FUZZ_CHARSMAP
/* A map, and its own replacements as a text; once more as base64. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena memory = { 0 };
    struct charsmap c;
    struct text out = { 0 };
    char *copy = arena_take(&memory, size + 1);
    memcpy(copy, data, size);
    copy[size] = 0;
    if (!open_bytes(&c, &memory, (const unsigned char *)copy, size, "fuzz") && charsmap_apply(&c, c.strings, c.size, &out)) abort();
    text_clear(&out);
    if (!charsmap_open(&c, &memory, copy, "fuzz") && charsmap_apply(&c, c.strings, c.size, &out)) abort();
    text_free(&out);
    arena_free(&memory);
    return 0;
}
#endif
