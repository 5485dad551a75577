/* grapheme.c -- the rules of UAX 29 (GB3 to GB999), from the first character of a cluster on. */
#include "token/grapheme.h"

#include "base/utf8.h"

static enum grapheme_kind kind_of(int32_t point)
{
    uint32_t c = (uint32_t)point;
    if (c < GRAPHEME_PAGES * GRAPHEME_PAGE) return (enum grapheme_kind)grapheme_letter[grapheme_page[c / GRAPHEME_PAGE]][c % GRAPHEME_PAGE];
    if (c < 0xe0000 || c >= 0xe1000) return GRAPHEME_OTHER;
    return (c >= 0xe0020 && c < 0xe0080) || (c >= 0xe0100 && c < 0xe01f0) ? GRAPHEME_EXTEND : GRAPHEME_CONTROL;
}

/* What has been read of a cluster: its last character, and what waits for a certain next one. */
struct cluster {
    enum grapheme_kind last;
    enum { NOTHING, CONJUNCT, CONJUNCT_LINKED, PICTOGRAPH, PICTOGRAPH_JOINED, FLAG } waits;
};

/* Does what waits go on with a character?  Of these sequences the first two kinds may hold marks. */
static int is_awaited(const struct cluster *c, enum grapheme_kind next)
{
    return (c->waits == CONJUNCT_LINKED && next == GRAPHEME_CONSONANT) || (c->waits == PICTOGRAPH_JOINED && next == GRAPHEME_PICTOGRAPH) || (c->waits == FLAG && next == GRAPHEME_FLAG);
}

static int is_syllable(enum grapheme_kind last, enum grapheme_kind next)
{
    switch (last) {
    case GRAPHEME_L: return next == GRAPHEME_L || next == GRAPHEME_V || next == GRAPHEME_LV || next == GRAPHEME_LVT;
    case GRAPHEME_V: case GRAPHEME_LV: return next == GRAPHEME_V || next == GRAPHEME_T;
    case GRAPHEME_T: case GRAPHEME_LVT: return next == GRAPHEME_T;
    default: return 0;
    }
}

static int goes_on(const struct cluster *c, enum grapheme_kind next)
{
    if (c->last == GRAPHEME_CONTROL || next == GRAPHEME_CONTROL) return 0;
    switch (next) {
    case GRAPHEME_EXTEND: case GRAPHEME_NON_JOINER: case GRAPHEME_LINKER: case GRAPHEME_JOINER: case GRAPHEME_SPACING: return 1;
    default: return c->last == GRAPHEME_PREPEND || is_syllable(c->last, next) || is_awaited(c, next);
    }
}

static void read_kind(struct cluster *c, enum grapheme_kind next)
{
    int conjunct = c->waits == CONJUNCT || c->waits == CONJUNCT_LINKED, is_flag = next == GRAPHEME_FLAG && c->waits != FLAG;
    c->last = next;
    switch (next) {
    case GRAPHEME_CONSONANT: c->waits = CONJUNCT; break;
    case GRAPHEME_PICTOGRAPH: c->waits = PICTOGRAPH; break;
    case GRAPHEME_LINKER: c->waits = conjunct ? CONJUNCT_LINKED : c->waits == PICTOGRAPH ? PICTOGRAPH : NOTHING; break;
    case GRAPHEME_JOINER: c->waits = c->waits == PICTOGRAPH ? PICTOGRAPH_JOINED : conjunct ? c->waits : NOTHING; break;
    case GRAPHEME_EXTEND: if (!conjunct && c->waits != PICTOGRAPH) c->waits = NOTHING; break;
    case GRAPHEME_NON_JOINER: if (c->waits != PICTOGRAPH) c->waits = NOTHING; break;
    default: c->waits = is_flag ? FLAG : NOTHING;
    }
}

size_t grapheme_next(const char *text, size_t n)
{
    struct cluster c = { 0 };
    size_t at = 0, size;
    for (int32_t before = 0; at < n; at += size) {
        int32_t point = utf8_next(text + at, n - at, &size);
        enum grapheme_kind next = kind_of(point);
        if (at > 0 && !goes_on(&c, next) && !(before == '\r' && point == '\n')) break;
        read_kind(&c, next);
        before = point;
    }
    return at;
}
