/* chars.c -- one character, one id. */
#include "token/chars.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

/* NUL is the one character that could be encoded but not stored: JSON strings with it are refused (base/json.h). */
int chars_build(struct chars **out, struct arena *memory, const struct vocab *v, int some, const char *what)
{
    struct chars *c = *out = arena_take(memory, sizeof *c);
    FAIL_IF(!c, E_MEMORY, "%s: no memory for its characters", what);
    for (size_t i = 0; i < v->model.n; i++) {
        const struct token *t = &v->model.at[i];
        size_t size;
        int32_t point = utf8_next(t->bytes, t->size, &size);
        char text[QUOTE_SIZE];
        if (some && (point <= 0 || size != t->size)) continue;
        /* Without a pre-tokenizer a file may also be a BPE over whole texts, which nobody trains and nib does not read. */
        FAIL_IF(point < 0 || size != t->size, E_DATA, "%s: the token %s (id %u) is not one character, as it must be where there is no "
                "pre-tokenizer", what, quote(text, t->bytes, t->size), t->id);
        FAIL_IF(point == 0, E_DATA, "%s: a character vocabulary cannot hold NUL (id %u)", what, t->id);
        uint32_t **page = &c->page[point >> 8];
        if (!*page) *page = take_array(memory, 256, sizeof **page);
        FAIL_IF(!*page, E_MEMORY, "%s: no memory for its characters", what);
        (*page)[point & 255] = t->id + 1;
    }
    return 0;
}

int chars_encode(const struct chars *c, const char *text, size_t n, uint64_t offset, struct ids *out)
{
    for (size_t at = 0, size; at < n; at += size) {
        int32_t point = utf8_next(text + at, n - at, &size);
        FAIL_IF(point < 0, E_DATA, "byte %llu (0x%02x) is not UTF-8; a character vocabulary encodes characters only", (unsigned long long)(offset + at),
                (unsigned char)text[at]);
        int64_t id = chars_find(c, point);
        char shown[QUOTE_SIZE];
        FAIL_IF(id < 0, E_DATA, "the character U+%04X (%s) at byte %llu is not in the vocabulary; a character model knows only those "
                "of its training text", (unsigned)point, quote(shown, text + at, size), (unsigned long long)(offset + at));
        TRY(ids_add(out, &(uint32_t){ (uint32_t)id }, 1));
    }
    return 0;
}

/* ---- the characters of a text ---- */

int chars_of(struct tokens *list, struct arena *memory, const uint8_t *seen)
{
    size_t n = 0;
    for (uint32_t i = 0; i < UTF8_POINTS / 8; i++) n += (size_t)__builtin_popcount(seen[i]);
    FAIL_IF(n == 0, E_DATA, "an empty text has no characters to make a vocabulary of");
    list->at = take_array(memory, n, sizeof *list->at);
    for (uint32_t point = 0; list->at && point < UTF8_POINTS; point++) {
        if (!(seen[point >> 3] >> (point & 7) & 1)) continue;
        char utf8[5] = { 0 };
        uint32_t size = (uint32_t)utf8_put(utf8, point), id = (uint32_t)list->n++;
        list->at[id] = (struct token){ .bytes = arena_copy(memory, utf8), .size = size, .id = id };
    }
    FAIL_IF(memory->failed, E_MEMORY, "no memory for a vocabulary of %zu characters", n);
    return 0;
}
