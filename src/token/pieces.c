/* pieces.c -- where the next piece ends, for each pattern in use (split.c has the expressions).
 *
 * All patterns are lists of alternatives, the first that matches wins, and together they match any character.  So a program
 * asks what the next character or two are, takes the alternative that can begin with them, and runs on as far as it goes. */
#define _GNU_SOURCE                                          /* memmem */
#include "token/pieces.h"

#include <stdint.h>
#include <string.h>

#include "token/bert.h"
#include "token/unicode.h"

/* ---- characters ---- */

/* What ASCII characters are; MORE: the first byte of a longer one. */
enum { MORE = 128 };
#define O CHAR_OTHER
#define U CHAR_UPPER
#define L CHAR_LOWER
#define N CHAR_NUMBER
#define S CHAR_SPACE
#define EIGHT(x) x, x, x, x, x, x, x, x
static const uint8_t byte_class[256] = {
    EIGHT(O), O, S, S, S, S, S, O, O, EIGHT(O), EIGHT(O),                                       /* controls */
    S, O, O, O, O, O, O, O, EIGHT(O), EIGHT(N), N, N, O, O, O, O, O, O,                         /* space, signs, digits */
    O, U, U, U, U, U, U, U, EIGHT(U), EIGHT(U), U, U, U, O, O, O, O, O,
    O, L, L, L, L, L, L, L, EIGHT(L), EIGHT(L), L, L, L, O, O, O, O, O,
    EIGHT(MORE), EIGHT(MORE), EIGHT(MORE), EIGHT(MORE), EIGHT(MORE), EIGHT(MORE), EIGHT(MORE), EIGHT(MORE),
    EIGHT(MORE), EIGHT(MORE), EIGHT(MORE), EIGHT(MORE), EIGHT(MORE), EIGHT(MORE), EIGHT(MORE), EIGHT(MORE),
};
#undef O
#undef U
#undef L
#undef N
#undef S

/* The class of the character at `at` < n, and its length. */
static inline unsigned class_at(const char *text, size_t at, size_t *size)
{
    const unsigned char *u = (const unsigned char *)text + at;
    *size = 1;
    if (u[0] < 0x80) return byte_class[u[0]];
    *size = u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4;
    uint32_t point = u[0] & (0x7fu >> *size);
    for (size_t i = 1; i < *size; i++) point = point << 6 | (u[i] & 0x3f);
    return unicode_class(point);
}

static inline unsigned class_of(const char *text, size_t n, size_t at)       /* 0 behind the end */
{
    size_t size;
    return at < n ? class_at(text, at, &size) : 0;
}

/* The end of the run of characters of some classes that begins at `at`, which may be empty. */
static inline size_t run(const char *text, size_t n, size_t at, unsigned classes)
{
    for (size_t size;; at += size) {
        while (at < n && byte_class[(unsigned char)text[at]] & classes) at++;
        if (at == n || byte_class[(unsigned char)text[at]] != MORE || !(class_at(text, at, &size) & classes)) return at;
    }
}

static inline int is_line_end(char c) { return c == '\r' || c == '\n'; }

/* ---- alternatives ---- */

enum { SIGNS = CHAR_ALL & ~(CHAR_LETTERS | CHAR_NUMBER | CHAR_SPACE) };       /* [^\s\p{L}\p{N}] */

/* \s+(?!\S)|\s+ : of spaces before something else, the last is left for what follows. */
static size_t spaces(const char *text, size_t n, size_t at)
{
    size_t end = run(text, n, at, CHAR_SPACE), last = end;
    if (end == n) return end;
    do last--; while (((unsigned char)text[last] & 0xc0) == 0x80);
    return last > at ? last : end;
}

/* The end of what follows the apostrophe of 's, 't, 're, 've, 'm, 'll, 'd, in small letters; 0: something else does. */
static inline size_t clipped(const char *text, size_t n, size_t at)
{
    char a = at + 1 < n ? text[at + 1] : 0, b = at + 2 < n ? text[at + 2] : 0;
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return at + 2;
    return (b == 'e' && (a == 'r' || a == 'v')) || (a == 'l' && b == 'l') ? at + 3 : 0;
}

/* The same without regard to case, by Unicode's simple folding: U+017F is an s. */
static size_t clipped_any_case(const char *text, size_t n, size_t at)
{
    char small[3] = { '\'' };
    size_t some = n - at < sizeof small ? n - at : sizeof small;
    for (size_t i = 1; i < some; i++) small[i] = (char)(text[at + i] >= 'A' && text[at + i] <= 'Z' ? text[at + i] + 'a' - 'A' : text[at + i]);
    size_t end = clipped(small, some, 0);
    if (end) return at + end;
    return n - at >= 3 && !memcmp(text + at + 1, "\xc5\xbf", 2) ? at + 3 : 0;
}

/* \p{N}{1,most} */
static size_t numbers(const char *text, size_t n, size_t at, int most)
{
    for (size_t size; most > 0 && at < n && class_at(text, at, &size) == CHAR_NUMBER; most--) at += size;
    return at;
}

/* A run of signs with a space before it or none, and the line ends behind it, for some also slashes; 0: no sign there. */
static inline size_t signs(const char *text, size_t n, size_t at, int slashes)
{
    size_t from = at + (text[at] == ' '), end = run(text, n, from, SIGNS);
    if (end == from) return 0;
    while (end < n && (is_line_end(text[end]) || (slashes && text[end] == '/'))) end++;
    return end;
}

/* \s*[\r\n]+ : white space up to its last line end; then as above. */
static size_t spaces_by_line(const char *text, size_t n, size_t at)
{
    size_t last = run(text, n, at, CHAR_SPACE);
    while (last > at && !is_line_end(text[last - 1])) last--;
    return last > at ? last : spaces(text, n, at);
}

/* ---- GPT-2: '(s|t|re|ve|m|ll|d)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ ---- */

static size_t gpt2(const char *text, size_t n, size_t at)
{
    size_t end, from = at + (text[at] == ' ');
    if (text[at] == '\'' && (end = clipped(text, n, at))) return end;
    unsigned class = class_of(text, n, from);
    if (class & CHAR_LETTERS) return run(text, n, from, CHAR_LETTERS);
    if (class & CHAR_NUMBER) return run(text, n, from, CHAR_NUMBER);
    return class & SIGNS ? run(text, n, from, SIGNS) : spaces(text, n, at);
}

/* ---- GPT-4 and those that followed it ---- */

/* [^\r\n\p{L}\p{N}]?\p{L}+ : any sign or space goes with the word behind it.  0: no word there. */
static inline size_t word(const char *text, size_t n, size_t at)
{
    size_t size;
    unsigned class = class_at(text, at, &size);
    if (class & CHAR_LETTERS) return run(text, n, at, CHAR_LETTERS);
    if (class & CHAR_NUMBER || is_line_end(text[at]) || !(class_of(text, n, at + size) & CHAR_LETTERS)) return 0;
    return run(text, n, at + size, CHAR_LETTERS);
}

/* all_at_end: white space at the end of the text is one piece, line ends or not. */
static inline size_t later(const char *text, size_t n, size_t at, int digits, int all_at_end)
{
    size_t end;
    if (text[at] == '\'' && (end = clipped_any_case(text, n, at))) return end;
    if ((end = word(text, n, at)) || (end = numbers(text, n, at, digits)) > at || (end = signs(text, n, at, 0))) return end;
    return all_at_end && run(text, n, at, CHAR_SPACE) == n ? n : spaces_by_line(text, n, at);
}

static size_t llama3(const char *text, size_t n, size_t at) { return later(text, n, at, 3, 0); }
static size_t qwen2(const char *text, size_t n, size_t at) { return later(text, n, at, 1, 0); }
static size_t nanochat(const char *text, size_t n, size_t at) { return later(text, n, at, 2, 0); }
static size_t cl100k(const char *text, size_t n, size_t at) { return later(text, n, at, 3, 1); }

/* ---- GPT-4o: words end where small letters are followed by large ones ---- */

enum { LARGE = CHAR_UPPER | CHAR_LETTER | CHAR_MARK, SMALL = CHAR_LOWER | CHAR_LETTER | CHAR_MARK, EITHER = CHAR_LETTER | CHAR_MARK };

/* [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+ : where no small letter follows the first run, it gives back down to the last
 * character that is neither large nor small.  0: there is none. */
static size_t ends_small(const char *text, size_t n, size_t at)
{
    size_t last = 0;
    for (size_t size; at < n; at += size) {
        unsigned class = class_at(text, at, &size);
        if (class & CHAR_LOWER) return run(text, n, at, SMALL);
        if (!(class & LARGE)) break;
        if (class & EITHER) last = at + size;
    }
    return last;
}

/* [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]* */
static size_t begins_large(const char *text, size_t n, size_t at)
{
    size_t end = run(text, n, at, LARGE);
    return end > at ? run(text, n, end, SMALL) : 0;
}

/* Either of these, each first with a sign or space before it, if there is one, then without. */
static size_t cased_word(const char *text, size_t n, size_t at)
{
    size_t size, end;
    int has_sign = !(class_at(text, at, &size) & (CHAR_LETTERS | CHAR_NUMBER)) && !is_line_end(text[at]);
    if (has_sign && (end = ends_small(text, n, at + size))) return end;
    if ((end = ends_small(text, n, at))) return end;
    if (has_sign && (end = begins_large(text, n, at + size))) return end;
    return begins_large(text, n, at);
}

static size_t o200k(const char *text, size_t n, size_t at)
{
    size_t end = cased_word(text, n, at), behind;
    if (end) return end < n && text[end] == '\'' && (behind = clipped_any_case(text, n, end)) ? behind : end;
    if ((end = numbers(text, n, at, 3)) > at || (end = signs(text, n, at, 1))) return end;
    return spaces_by_line(text, n, at);
}

/* ---- Hugging Face's Digits, which isolates them, one by one or in runs ---- */

static size_t digits(const char *text, size_t n, size_t at) { return run(text, n, at, class_of(text, n, at) & CHAR_NUMBER ? CHAR_NUMBER : CHAR_ALL & ~CHAR_NUMBER); }

static size_t digit(const char *text, size_t n, size_t at)
{
    size_t end = numbers(text, n, at, 1);
    return end > at ? end : digits(text, n, at);
}

/* ---- SentencePiece's and BERT's ---- */

static size_t metaspace(const char *text, size_t n, size_t at)
{
    const char *next = memmem(text + at + 1, n - at - 1, "\xe2\x96\x81", 3);
    return next ? (size_t)(next - text) : n;
}

piece_function *const piece_end[SPLIT_PATTERNS] = {
    [SPLIT_GPT2] = gpt2, [SPLIT_LLAMA3] = llama3, [SPLIT_QWEN2] = qwen2, [SPLIT_NANOCHAT] = nanochat, [SPLIT_DIGIT] = digit, [SPLIT_DIGITS] = digits,
    [SPLIT_CL100K] = cl100k, [SPLIT_O200K] = o200k, [SPLIT_BERT] = bert_piece, [SPLIT_METASPACE] = metaspace,
};
