/* value.c -- a reader by recursive descent, one function per line of the grammar in value.h.
 *
 * The text ends with 0, which is neither blank, digit, quote nor operator, so that no loop needs its length. */
#include "base/value.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

enum { MAX_OPEN = 64, MAX_NUMBER = 64 };

static int is_digit(char c) { return c >= '0' && c <= '9'; }
static int is_quote(char c) { return c == '"' || c == '\''; }
static int starts_name(char c) { return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/* A message may end on a terminal, and a file may hold what terminals obey: so nothing but plain ASCII passes.  No more than
 * EXCERPT bytes are looked at, since a file may be one long line of statements. */
const char *excerpt(char out[EXCERPT], const char *text)
{
    size_t n = 0;
    while (n < EXCERPT && !strchr("\r\n", text[n])) n++;     /* strchr finds the final 0, too */
    int cut = n == EXCERPT;
    if (cut) n -= sizeof "...";
    for (size_t i = 0; i < n; i++) out[i] = text[i] < ' ' || text[i] > '~' ? '?' : text[i];
    while (!cut && n && out[n - 1] == ' ') n--;
    strcpy(out + n, cut ? "..." : "");
    return out;
}

/* ---- what lies between values ---- */

void reader_space(struct reader *r)
{
    for (;; r->at++) {
        if (*r->at == '#' && r->open) r->at += strcspn(r->at, "\n");
        if (r->at[0] == '\\' && r->at[1] == '\n') r->at++;    /* a backslash joins two lines */
        else if (!*r->at || !strchr(r->open ? " \t\r\f\n" : " \t\r\f", *r->at)) return;
        r->line += *r->at == '\n';
    }
}

int reader_ends(struct reader *r)
{
    reader_space(r);
    if (*r->at == '#') r->at += strcspn(r->at, "\n");
    return *r->at == '\n' || !*r->at;
}

size_t reader_name(const struct reader *r)
{
    size_t n = 0;
    while (starts_name(r->at[n]) || (n && is_digit(r->at[n]))) n++;
    return n;
}

/* ---- texts ---- */

static size_t quotes_of(const char *at) { return at[1] == at[0] && at[2] == at[0] ? 3 : 1; }

/* A text in single quotes must end on its line, one in triple quotes need not. */
int reader_skip_text(struct reader *r)
{
    const char quote = *r->at;
    size_t n = quotes_of(r->at);
    for (r->at += n; *r->at; r->at++) {
        if (*r->at == quote && (n == 1 || quotes_of(r->at) == 3)) {
            r->at += n;
            return 1;
        }
        if (*r->at == '\\' && r->at[1]) r->at++;             /* what is escaped is neither quote nor end */
        else if (*r->at == '\n' && n == 1) return 0;
        r->line += *r->at == '\n';
    }
    return 0;
}

/* UTF-8 (RFC 3629): a first byte that says how many follow, which carry six bits each.  0 would end a C string; the surrogates
 * d800 to dfff are halves of characters in UTF-16 and nothing by themselves. */
static int add_utf8(struct text *out, uint32_t code)
{
    FAIL_IF(!code || code > 0x10ffff || (code >= 0xd800 && code < 0xe000), E_USAGE, "a text cannot hold character number 0x%x", code);
    static const uint32_t least[] = { 0, 0x80, 0x800, 0x10000 };
    static const unsigned char lead[] = { 0, 0xc0, 0xe0, 0xf0 };
    int tail = 3;
    while (code < least[tail]) tail--;
    char bytes[4] = { (char)(lead[tail] | code >> 6 * tail) };
    for (int i = 1; i <= tail; i++) bytes[i] = (char)(0x80 | (code >> 6 * (tail - i) & 0x3f));
    text_bytes(out, bytes, (size_t)tail + 1);
    return 0;
}

/* The escape at *at, a backslash; *at moves behind it.  As in Python, an unknown one stands for itself. */
static int escape(const char **at, struct text *out)
{
    /* Each letter of names stands where its meaning does; each of wide, where 2, 4, 8 digits follow. */
    static const char names[] = "\n\\'\"abfnrtv", meanings[] = "\0\\'\"\a\b\f\n\r\t\v", wide[] = "xuU";
    char kind = (*at)[1], hex[9] = "";
    const char *known = strchr(names, kind), *code = strchr(wide, kind);
    *at += 2;
    if (known) {
        text_bytes(out, &meanings[known - names], kind != '\n');     /* an escaped line end is nothing */
    } else if (code) {
        size_t n = (size_t)2 << (code - wide);
        strncat(hex, *at, n);
        FAIL_IF(strspn(hex, "0123456789abcdefABCDEF") != n, E_USAGE, "\\%c is followed by %zu hexadecimal digits", kind, n);
        *at += n;
        return add_utf8(out, (uint32_t)strtoul(hex, NULL, 16));
    } else {
        FAIL_IF(is_digit(kind), E_USAGE, "the escape \\%c is not known here; \\x and two digits are", kind);
        text_bytes(out, *at - 2, 2);
    }
    return 0;
}

/* Texts that follow each other are one. */
static int add_texts(struct reader *r, struct text *out)
{
    text_add(out, "");                                       /* so that out->at is a string even if nothing follows */
    for (; is_quote(*r->at); reader_space(r)) {
        size_t n = quotes_of(r->at);
        const char *at = r->at + n;
        FAIL_IF(!reader_skip_text(r), E_USAGE, "a text is not closed");
        while (at < r->at - n) {
            if (*at == '\\') TRY(escape(&at, out));
            else text_bytes(out, at++, 1);
        }
    }
    return 0;
}

static int read_texts(struct reader *r, struct value *v)
{
    struct text joined = { 0 };
    int code = add_texts(r, &joined);
    v->kind = VALUE_TEXT;
    v->text = code || joined.failed ? NULL : arena_copy(r->memory, joined.at);
    text_free(&joined);
    FAIL_IF(!code && !v->text, E_MEMORY, "no memory for a text");
    return code;
}

/* ---- numbers ---- */

/* Appends the digits at *at to the n characters of number; an underscore counts only between two of them. */
static size_t add_digits(const char **at, char number[MAX_NUMBER], size_t n)
{
    for (; n + 1 < MAX_NUMBER; (*at)++) {
        if (is_digit(**at)) number[n++] = **at;
        else if (**at != '_' || !n || !is_digit((*at)[-1]) || !is_digit((*at)[1])) break;
    }
    return n;
}

/* strtod alone would also take nan, inf, hexadecimal and what stands before junk; so the shape is checked here, and it only converts. */
static int read_number(struct reader *r, struct value *v)
{
    char number[MAX_NUMBER] = "", shown[EXCERPT];
    const char *at = r->at;
    size_t n = add_digits(&at, number, 0);
    int real = *at == '.';
    if (real && n + 1 < MAX_NUMBER) {
        number[n++] = *at++;
        n = add_digits(&at, number, n);
    }
    if ((*at == 'e' || *at == 'E') && n + 2 < MAX_NUMBER) {
        real = 1;
        number[n++] = *at++;
        if (*at == '-' || *at == '+') number[n++] = *at++;
        n = add_digits(&at, number, n);
    }
    char *end;
    *v = (struct value){ .kind = real ? VALUE_REAL : VALUE_INT, .real = strtod(number, &end) };
    FAIL_IF(*end || *at == '.' || is_digit(*at) || starts_name(*at), E_USAGE, "'%s' is not a number", excerpt(shown, r->at));
    FAIL_IF(!isfinite(v->real), E_USAGE, "%s is too large for a number", number);
    errno = 0;
    if (!real) v->whole = strtoll(number, NULL, 10);
    FAIL_IF(errno, E_USAGE, "%s is too large for an integer", number);
    r->at = at;
    return 0;
}

static int apply_real(char op, double x, double y, struct value *result)
{
    FAIL_IF(op == '/' && y == 0, E_USAGE, "division by zero");
    double z = op == '+' ? x + y : op == '-' ? x - y : op == '*' ? x * y : x / y;
    FAIL_IF(!isfinite(z), E_USAGE, "the result is too large for a number");
    *result = (struct value){ VALUE_REAL, .real = z };
    return 0;
}

/* -2^63 counts as too large: it could not be written as minus and a number. */
static int apply_whole(char op, int64_t x, int64_t y, struct value *result)
{
    int64_t z;
    int large = op == '+' ? __builtin_add_overflow(x, y, &z)
              : op == '-' ? __builtin_sub_overflow(x, y, &z)
                          : __builtin_mul_overflow(x, y, &z);
    FAIL_IF(large || z == INT64_MIN, E_USAGE, "the result is too large for an integer");
    *result = (struct value){ VALUE_INT, .whole = z };
    return 0;
}

static double as_real(const struct value *v) { return v->kind == VALUE_INT ? (double)v->whole : v->real; }

static int is_number(const struct value *v) { return v->kind == VALUE_INT || v->kind == VALUE_REAL; }

/* x = x op y.  Python would join texts by + and repeat them by *; a few lines of that make a text as large as memory. */
static int apply(char op, struct value *x, const struct value *y)
{
    FAIL_IF(!is_number(x) || !is_number(y), E_USAGE, "+ - * / take numbers only");
    if (op != '/' && x->kind == y->kind && x->kind == VALUE_INT) return apply_whole(op, x->whole, y->whole, x);
    return apply_real(op, as_real(x), as_real(y), x);
}

/* ---- the grammar ---- */

static int read_word(struct reader *r, struct value *v)
{
    static const struct { const char *name; enum value_kind kind; int whole; } words[] = {
        { "True", VALUE_BOOL, 1 },  { "true", VALUE_BOOL, 1 },
        { "False", VALUE_BOOL, 0 }, { "false", VALUE_BOOL, 0 },
        { "None", VALUE_NONE, 0 },
    };
    const char *name = r->at;
    char shown[EXCERPT];
    size_t n = reader_name(r);
    FAIL_IF(!n, E_USAGE, "a value is expected at '%s'", excerpt(shown, name));
    r->at += n;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i].name) == n && !memcmp(words[i].name, name, n)) {
            *v = (struct value){ words[i].kind, .whole = words[i].whole };
            return 0;
        }
    FAIL_IF(!r->find || !r->find(r->known, name, n, v), E_USAGE, "%.*s has no value", n < EXCERPT ? (int)n : EXCERPT, name);
    return 0;
}

static int read_sum(struct reader *r, struct value *v);

/* The only recursion: parentheses within parentheses. */
static int read_parentheses(struct reader *r, struct value *v)
{
    char shown[EXCERPT];
    FAIL_IF(r->open == MAX_OPEN, E_USAGE, "more than %d parentheses are open", MAX_OPEN);
    r->at++;
    r->open++;
    TRY(read_sum(r, v));
    FAIL_IF(*r->at != ')', E_USAGE, "')' is expected at '%s'", excerpt(shown, r->at));
    r->at++;
    r->open--;
    return 0;
}

static int read_factor(struct reader *r, struct value *v)
{
    int sign = 0;                                            /* 0: there is none, and v may be a text */
    for (reader_space(r); *r->at == '-' || *r->at == '+'; reader_space(r)) sign = (sign ? sign : 1) * (*r->at++ == '-' ? -1 : 1);
    if (is_quote(*r->at)) TRY(read_texts(r, v));
    else if (*r->at == '(') TRY(read_parentheses(r, v));
    else if (*r->at == '.' || is_digit(*r->at)) TRY(read_number(r, v));
    else TRY(read_word(r, v));
    reader_space(r);
    return sign ? apply('*', v, &(struct value){ VALUE_INT, .whole = sign }) : 0;
}

/* Factors joined by * and /, or, one level up, products joined by + and -; computed from left to right. */
static int read_chain(struct reader *r, struct value *v, const char *ops, int (*part)(struct reader *, struct value *))
{
    TRY(part(r, v));
    while (*r->at && strchr(ops, *r->at)) {
        struct value right;
        char op = *r->at++;
        TRY(part(r, &right));
        TRY(apply(op, v, &right));
    }
    return 0;
}

static int read_product(struct reader *r, struct value *v) { return read_chain(r, v, "*/", read_factor); }
static int read_sum(struct reader *r, struct value *v) { return read_chain(r, v, "+-", read_product); }
int value_read(struct reader *r, struct value *v) { return read_sum(r, v); }

/* ---- writing ---- */

/* With as few digits as read back the same: 17 always do, 15 mostly, and then 0.1 is not 0.10000000000000001.  A point or an
 * exponent tells a real from an int: nanoGPT wants a default's own type. */
static void write_real(double x, struct text *out)
{
    char number[32];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(number, sizeof number, "%.*g", digits, x);
        if (strtod(number, NULL) == x) break;
    }
    text_format(out, "%s%s", number, strpbrk(number, ".e") ? "" : ".0");
}

static void write_text(const char *text, struct text *out)
{
    text_add(out, "\"");
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '\n') text_add(out, "\\n");
        else if (c < ' ' || c == 0x7f) text_format(out, "\\x%02x", c);
        else text_format(out, c == '"' || c == '\\' ? "\\%c" : "%c", c);
    }
    text_add(out, "\"");
}

void value_write(struct value v, struct text *out)
{
    switch (v.kind) {
    case VALUE_NONE: text_add(out, "None"); break;
    case VALUE_BOOL: text_add(out, v.whole ? "True" : "False"); break;
    case VALUE_INT:  text_format(out, "%lld", (long long)v.whole); break;
    case VALUE_REAL: write_real(v.real, out); break;
    case VALUE_TEXT: write_text(v.text, out); break;
    }
}
