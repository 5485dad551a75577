/* pickle.c -- a pickle is a program for a stack machine (Lib/pickletools.py of CPython documents it opcode by opcode).
 *
 * Each opcode is one byte and perhaps an argument.  Containers are pushed empty; items follow, often above a mark, and are then
 * moved into it.  A memo remembers values, so that a string that is there twice is written once. */
#include "file/pickle.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

struct machine {
    const uint8_t *start, *at, *end;
    size_t op_at;                        /* where the current opcode is */
    const char *op, *what;
    struct arena *memory;
    const struct pickle_names *names;    /* NULL: nothing may be named */
    size_t again;                        /* items of tuples that are there again */
    struct pickle **stack, **memo;       /* `room` of each; NULL in stack: a mark, in memo: nothing stored */
    size_t n, n_memo, room;
};

/* ---- stack ---- */

static int refuse(const struct machine *m, const char *why)
{
    FAIL(E_DATA, "%s: byte %zu: %s: %s", m->what, m->op_at, m->op, why);
}

/* An opcode pushes one value at most, so that the stack has room for a value for each byte of the file. */
static int push(struct machine *m, struct pickle value)
{
    struct pickle *v = arena_take(m->memory, sizeof *v);
    FAIL_IF(!v, E_MEMORY, "%s: no memory for its values", m->what);
    *v = value;
    m->stack[m->n++] = v;
    return 0;
}

static struct pickle *top(const struct machine *m)
{
    return m->n ? m->stack[m->n - 1] : NULL;
}

static int take_bytes(struct machine *m, uint64_t n, const uint8_t **bytes)
{
    *bytes = m->at;
    if (n > (uint64_t)(m->end - m->at)) return refuse(m, "the file is cut off");
    m->at += n;
    return 0;
}

/* Pops the last `count` items, or with TO_MARK those above the last mark, and the mark.  They stay valid until the next push. */
enum { TO_MARK = 255 };

static int pop(struct machine *m, uint64_t count, struct pickle ***items, size_t *n)
{
    size_t from = m->n, most = count == TO_MARK ? m->n : count;
    while (from > 0 && m->stack[from - 1] && m->n - from < most) from--;
    *items = m->stack + from;
    *n = m->n - from;
    if (count != TO_MARK && *n < count) return refuse(m, "too few values on the stack");
    if (count == TO_MARK && from == 0) return refuse(m, "no mark on the stack");
    m->n = from - (count == TO_MARK);
    return 0;
}

/* ---- scalars.  n is the opcode's argument, or the constant that its row in the table gives it ---- */

static int op_none(struct machine *m, uint64_t n) { return push(m, (struct pickle){ .kind = PICKLE_NONE, .integer = (int64_t)n }); }
static int op_bool(struct machine *m, uint64_t n) { return push(m, (struct pickle){ .kind = PICKLE_BOOL, .integer = (int64_t)n }); }
static int op_int(struct machine *m, uint64_t n) { return push(m, (struct pickle){ .kind = PICKLE_INT, .integer = (int64_t)n }); }
static int op_int32(struct machine *m, uint64_t n) { return op_int(m, (uint64_t)(int32_t)n); }

static int op_long(struct machine *m, uint64_t n)            /* n bytes, little-endian, two's complement */
{
    const uint8_t *bytes;
    TRY(take_bytes(m, n, &bytes));
    if (n > sizeof(int64_t)) return refuse(m, "an integer of more than 64 bits");
    uint64_t value = n && bytes[n - 1] & 0x80 ? UINT64_MAX : 0;
    while (n > 0) value = value << 8 | bytes[--n];
    return op_int(m, value);
}

static int op_real(struct machine *m, uint64_t n)            /* the only big-endian one */
{
    struct pickle value = { .kind = PICKLE_REAL };
    n = __builtin_bswap64(n);
    memcpy(&value.real, &n, sizeof n);
    return push(m, value);
}

static int op_string(struct machine *m, uint64_t n)
{
    const uint8_t *bytes;
    TRY(take_bytes(m, n, &bytes));
    char *copy = arena_take(m->memory, (size_t)n + 1);       /* zeroed */
    FAIL_IF(!copy, E_MEMORY, "%s: no memory for its strings", m->what);
    memcpy(copy, bytes, (size_t)n);
    return push(m, (struct pickle){ .kind = PICKLE_STRING, .string = copy, .size = (size_t)n });
}

/* ---- containers ---- */

static int op_mark(struct machine *m, uint64_t n)
{
    (void)n;
    m->stack[m->n++] = NULL;
    return 0;
}

static int op_empty(struct machine *m, uint64_t kind)
{
    return push(m, (struct pickle){ .kind = (enum pickle_kind)kind, .depth = 1 });
}

static size_t room_for(size_t n)                             /* the least power of two that holds n items; none for none */
{
    size_t room = n > 0;
    while (room < n) room *= 2;
    return room;
}

static int add(struct machine *m, struct pickle *to, struct pickle **items, size_t n)
{
    size_t room = room_for(to->n + n);                       /* of pointers that lie on the stack: no overflow */
    if (room > room_for(to->n)) {
        struct pickle **more = arena_take(m->memory, room * sizeof *more);
        FAIL_IF(!more, E_MEMORY, "%s: no memory for its lists", m->what);
        if (to->n) memcpy(more, to->item, to->n * sizeof *more);
        to->item = more;
    }
    for (size_t i = 0; i < n; i++) {
        to->item[to->n++] = items[i];
        if (to->depth <= items[i]->depth) to->depth = items[i]->depth + 1;
    }
    if (to->depth > PICKLE_DEPTH) return refuse(m, "lists, tuples and dicts nested deeper than 64");
    return 0;
}

static int op_tuple(struct machine *m, uint64_t count)
{
    struct pickle **items, tuple = { .kind = PICKLE_TUPLE, .depth = 1 };
    size_t n;
    TRY(pop(m, count, &items, &n));
    TRY(add(m, &tuple, items, n));
    return push(m, tuple);
}

static int op_append(struct machine *m, uint64_t count)
{
    struct pickle **items;
    size_t n;
    TRY(pop(m, count, &items, &n));
    if (!top(m) || top(m)->kind != PICKLE_LIST) return refuse(m, "there is no list to add to");
    return add(m, top(m), items, n);
}

static int op_set(struct machine *m, uint64_t count)
{
    struct pickle **items;
    size_t n;
    TRY(pop(m, count, &items, &n));
    if (!top(m) || top(m)->kind != PICKLE_DICT) return refuse(m, "there is no dict to add to");
    if (n % 2) return refuse(m, "a key without a value");
    return add(m, top(m), items, n);
}

/* ---- memo ---- */

static int op_put(struct machine *m, uint64_t n)
{
    /* Python numbers what it stores from 0 (Python 2: from 1), so that a number never reaches the count of bytes. */
    if (n >= m->room) return refuse(m, "a place that pickle.dump would not have used");
    if (!top(m)) return refuse(m, "there is no value to store");
    m->n_memo += !m->memo[n];
    m->memo[n] = top(m);
    return 0;
}

static int op_memoize(struct machine *m, uint64_t n)
{
    (void)n;
    return op_put(m, m->n_memo);
}

/* A container never leaves the place where it was put first: this makes the result a tree.  A tuple of scalars, which nothing can be added
 * to any more, may be there again, as long as all these items are not more than the bytes of the file. */
static int op_get(struct machine *m, uint64_t n)
{
    if (n >= m->room || !m->memo[n]) return refuse(m, "nothing was stored there");
    struct pickle *p = m->memo[n];
    if (p->depth && (p->kind != PICKLE_TUPLE || p->depth > 1)) return refuse(m, "a list, tuple or dict that is there twice or contains itself is not supported");
    m->again += p->n;
    if (m->again > m->room) return refuse(m, "one tuple is there too often");
    m->stack[m->n++] = p;
    return 0;
}

/* ---- names and calls: noted, never followed ---- */

#define DATA_ONLY "refused: only dicts, lists, tuples, strings and numbers are read, and nothing is executed"

static int may_name(const struct machine *m) { return m->names ? 0 : refuse(m, DATA_ONLY); }

static int take_line(struct machine *m, const char **line, size_t *n)
{
    const uint8_t *end = memchr(m->at, '\n', (size_t)(m->end - m->at));
    if (!end) return refuse(m, "the file is cut off");
    *line = (const char *)m->at;
    *n = (size_t)(end - m->at);
    m->at = end + 1;
    return 0;
}

/* The one of the listed names that this is. */
static const char *listed(const struct pickle_names *names, const char *module, size_t m, const char *name, size_t n)
{
    for (int i = -1; i < 0 || names->others[i]; i++) {
        const char *one = i < 0 ? names->dict : names->others[i];
        if (strlen(one) == m + 1 + n && !memcmp(one, module, m) && one[m] == ' ' && !memcmp(one + m + 1, name, n)) return one;
    }
    return NULL;
}

static int push_global(struct machine *m, const char *module, size_t m_size, const char *name, size_t n_size)
{
    const char *one = listed(m->names, module, m_size, name, n_size);
    FAIL_IF(!one, E_DATA, "%s: byte %zu: %s: %.*s.%.*s is not known here, and nothing is executed", m->what, m->op_at, m->op, (int)(m_size < 100 ? m_size : 100), module,
            (int)(n_size < 100 ? n_size : 100), name);
    return push(m, (struct pickle){ .kind = PICKLE_GLOBAL, .string = one, .size = strlen(one) });
}

static int op_global(struct machine *m, uint64_t unused)
{
    const char *module = "", *name = "";
    size_t m_size = 0, n_size = 0;
    (void)unused;
    TRY(may_name(m));
    TRY(take_line(m, &module, &m_size));
    TRY(take_line(m, &name, &n_size));
    return push_global(m, module, m_size, name, n_size);
}

static int op_stack_global(struct machine *m, uint64_t count)
{
    struct pickle **items;
    size_t n;
    TRY(may_name(m));
    TRY(pop(m, count, &items, &n));
    if (items[0]->kind != PICKLE_STRING || items[1]->kind != PICKLE_STRING) return refuse(m, "a module and a name were expected");
    return push_global(m, items[0]->string, items[0]->size, items[1]->string, items[1]->size);
}

static int op_call(struct machine *m, uint64_t count)
{
    struct pickle **items, call = { .kind = PICKLE_CALL, .depth = 1 };
    size_t n;
    TRY(may_name(m));
    TRY(pop(m, count, &items, &n));
    if (items[0]->kind != PICKLE_GLOBAL || items[1]->kind != PICKLE_TUPLE) return refuse(m, "a name and its arguments were expected");
    if (items[0]->string == m->names->dict) return items[1]->n ? refuse(m, "arguments of a dict") : op_empty(m, PICKLE_DICT);
    TRY(add(m, &call, items, n));
    return push(m, call);
}

static int op_stored(struct machine *m, uint64_t count)
{
    struct pickle **items, stored = { .kind = PICKLE_STORED, .depth = 1 };
    size_t n;
    TRY(may_name(m));
    TRY(pop(m, count, &items, &n));
    TRY(add(m, &stored, items, n));
    return push(m, stored);
}

static int op_build(struct machine *m, uint64_t count)
{
    struct pickle **items;
    size_t n;
    TRY(may_name(m));
    TRY(pop(m, count, &items, &n));
    return top(m) && top(m)->depth ? 0 : refuse(m, "there is no value that could have attributes");
}

/* ---- opcodes ---- */

static int op_proto(struct machine *m, uint64_t version)
{
    return version >= 2 && version <= 5 ? 0 : refuse(m, "only protocols 2 to 5 are read");
}

static int op_frame(struct machine *m, uint64_t n)           /* a hint for whoever reads from a file in pieces */
{
    return n <= (uint64_t)(m->end - m->at) ? 0 : refuse(m, "the file is cut off");
}

static int op_stop(struct machine *m, uint64_t n)
{
    (void)n;
    if (m->n != 1 || !top(m)) return refuse(m, "there is not exactly one value on the stack");
    return m->at == m->end ? 0 : refuse(m, "bytes follow the end");
}

/* argument: bytes of a little-endian number; if none, the constant.  Without a function: refused. */
static const struct op { const char *name; uint8_t argument, constant; int (*run)(struct machine *, uint64_t); } ops[256] = {
    [0x80] = { "PROTO", 1, 0, op_proto },
    [0x95] = { "FRAME", 8, 0, op_frame },
    ['.'] = { "STOP", 0, 0, op_stop },

    ['N'] = { "NONE", 0, 0, op_none },
    [0x88] = { "NEWTRUE", 0, 1, op_bool },
    [0x89] = { "NEWFALSE", 0, 0, op_bool },
    ['K'] = { "BININT1", 1, 0, op_int },
    ['M'] = { "BININT2", 2, 0, op_int },
    ['J'] = { "BININT", 4, 0, op_int32 },
    [0x8a] = { "LONG1", 1, 0, op_long },
    [0x8b] = { "LONG4", 4, 0, op_long },
    ['G'] = { "BINFLOAT", 8, 0, op_real },
    [0x8c] = { "SHORT_BINUNICODE", 1, 0, op_string },
    ['X'] = { "BINUNICODE", 4, 0, op_string },
    [0x8d] = { "BINUNICODE8", 8, 0, op_string },
    ['C'] = { "SHORT_BINBYTES", 1, 0, op_string },
    ['B'] = { "BINBYTES", 4, 0, op_string },
    [0x8e] = { "BINBYTES8", 8, 0, op_string },

    ['('] = { "MARK", 0, 0, op_mark },
    [']'] = { "EMPTY_LIST", 0, PICKLE_LIST, op_empty },
    ['a'] = { "APPEND", 0, 1, op_append },
    ['e'] = { "APPENDS", 0, TO_MARK, op_append },
    ['}'] = { "EMPTY_DICT", 0, PICKLE_DICT, op_empty },
    ['s'] = { "SETITEM", 0, 2, op_set },
    ['u'] = { "SETITEMS", 0, TO_MARK, op_set },
    [')'] = { "EMPTY_TUPLE", 0, PICKLE_TUPLE, op_empty },
    [0x85] = { "TUPLE1", 0, 1, op_tuple },
    [0x86] = { "TUPLE2", 0, 2, op_tuple },
    [0x87] = { "TUPLE3", 0, 3, op_tuple },
    ['t'] = { "TUPLE", 0, TO_MARK, op_tuple },

    ['q'] = { "BINPUT", 1, 0, op_put },
    ['r'] = { "LONG_BINPUT", 4, 0, op_put },
    [0x94] = { "MEMOIZE", 0, 0, op_memoize },
    ['h'] = { "BINGET", 1, 0, op_get },
    ['j'] = { "LONG_BINGET", 4, 0, op_get },

    /* These name classes and functions, call them, or ask the reader for objects: only for a reader that lists names. */
    ['c'] = { "GLOBAL", 0, 0, op_global },
    [0x93] = { "STACK_GLOBAL", 0, 2, op_stack_global },
    ['R'] = { "REDUCE", 0, 2, op_call },
    ['b'] = { "BUILD", 0, 1, op_build },
    ['Q'] = { "BINPERSID", 0, 1, op_stored },

    /* These do, too, or belong to them. */
    ['i'] = { .name = "INST" },
    ['o'] = { .name = "OBJ" },
    [0x81] = { .name = "NEWOBJ" },
    [0x92] = { .name = "NEWOBJ_EX" },
    ['P'] = { .name = "PERSID" },
    [0x82] = { .name = "EXT1" },
    [0x83] = { .name = "EXT2" },
    [0x84] = { .name = "EXT4" },
    [0x97] = { .name = "NEXT_BUFFER" },
    [0x98] = { .name = "READONLY_BUFFER" },

    /* These are sets and bytearrays, belong to protocols 0 and 1 or to Python 2, or only serve objects that contain themselves. */
    [0x8f] = { .name = "EMPTY_SET" },
    [0x90] = { .name = "ADDITEMS" },
    [0x91] = { .name = "FROZENSET" },
    [0x96] = { .name = "BYTEARRAY8" },
    ['F'] = { .name = "FLOAT" },
    ['I'] = { .name = "INT" },
    ['L'] = { .name = "LONG" },
    ['S'] = { .name = "STRING" },
    ['T'] = { .name = "BINSTRING" },
    ['U'] = { .name = "SHORT_BINSTRING" },
    ['V'] = { .name = "UNICODE" },
    ['d'] = { .name = "DICT" },
    ['l'] = { .name = "LIST" },
    ['g'] = { .name = "GET" },
    ['p'] = { .name = "PUT" },
    ['0'] = { .name = "POP" },
    ['1'] = { .name = "POP_MARK" },
    ['2'] = { .name = "DUP" },
};

static int step(struct machine *m, const struct op **op)
{
    const uint8_t *bytes;
    uint64_t n = 0;
    m->op_at = (size_t)(m->at - m->start);
    FAIL_IF(m->at == m->end, E_DATA, "%s: byte %zu: no STOP: the file is cut off, or empty", m->what, m->op_at);
    *op = &ops[*m->at];
    FAIL_IF(!(*op)->name, E_DATA, "%s: byte %zu: 0x%02x is no opcode: not a pickle, or damaged", m->what, m->op_at, *m->at);
    m->at++;
    m->op = (*op)->name;
    if (!(*op)->run) return refuse(m, DATA_ONLY);
    TRY(take_bytes(m, (*op)->argument, &bytes));
    memcpy(&n, bytes, (*op)->argument);
    return (*op)->run(m, (*op)->argument ? n : (*op)->constant);
}

int pickle_parse(struct pickle **root, struct arena *memory, const uint8_t *bytes, size_t size, const struct pickle_names *names, const char *what)
{
    struct machine m = { .start = bytes, .at = bytes, .end = bytes + size, .what = what, .memory = memory, .names = names, .room = size };
    const struct op *op = NULL;
    *root = NULL;
    m.stack = calloc(size + 1, sizeof *m.stack);
    m.memo = calloc(size + 1, sizeof *m.memo);
    int failed = m.stack && m.memo ? 0 : error_set(E_MEMORY, __FILE__, __LINE__, "%s: no memory to read it", what);
    while (!failed && (!op || op->run != op_stop)) failed = step(&m, &op);
    if (!failed) *root = top(&m);
    free(m.stack);
    free(m.memo);
    return failed;
}

const struct pickle *pickle_get(const struct pickle *dict, const char *key)
{
    size_t size = strlen(key);
    if (!dict || dict->kind != PICKLE_DICT) return NULL;
    for (size_t i = dict->n; i > 0; i -= 2) {
        const struct pickle *k = dict->item[i - 2];
        if (k->kind == PICKLE_STRING && k->size == size && !memcmp(k->string, key, size)) return dict->item[i - 1];
    }
    return NULL;
}

/* ---- writing ---- */

static void put_number(struct text *out, char op, size_t n)  /* BININT and BINUNICODE: four bytes, little-endian */
{
    char bytes[5] = { op, (char)n, (char)(n >> 8), (char)(n >> 16), (char)(n >> 24) };
    text_bytes(out, bytes, sizeof bytes);
}

void pickle_begin(struct text *out) { text_bytes(out, "\x80\2", 2); }
void pickle_put_bool(struct text *out, int value) { text_add(out, value ? "\x88" : "\x89"); }
void pickle_open_dict(struct text *out) { text_add(out, "}("); }
void pickle_close_dict(struct text *out) { text_add(out, "u"); }
void pickle_open_list(struct text *out) { text_add(out, "]("); }
void pickle_close_list(struct text *out) { text_add(out, "e"); }
void pickle_end(struct text *out) { text_add(out, "."); }

void pickle_put_int(struct text *out, int64_t value)         /* LONG1 of eight bytes where four do not hold it */
{
    text_bytes(out, value == (int32_t)value ? "J" : "\x8a\x8", value == (int32_t)value ? 1 : 2);
    text_bytes(out, &value, value == (int32_t)value ? 4 : sizeof value);
}

void pickle_put_real(struct text *out, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits = __builtin_bswap64(bits);
    text_add(out, "G");
    text_bytes(out, &bits, sizeof bits);
}

void pickle_put_string(struct text *out, const char *string)
{
    put_number(out, 'X', strlen(string));
    text_add(out, string);
}

void pickle_write_meta(struct text *out, const char *const *symbols, size_t n)
{
    text_add(out, "\x80\x04}(");                             /* PROTO 4, EMPTY_DICT, MARK */
    pickle_put_string(out, "vocab_size");
    put_number(out, 'J', n);
    pickle_put_string(out, "itos");
    text_add(out, "}(");
    for (size_t i = 0; i < n; i++) {
        put_number(out, 'J', i);
        pickle_put_string(out, symbols[i]);
    }
    text_add(out, "u");                                      /* SETITEMS */
    pickle_put_string(out, "stoi");
    text_add(out, "}(");
    for (size_t i = 0; i < n; i++) {
        pickle_put_string(out, symbols[i]);
        put_number(out, 'J', i);
    }
    text_add(out, "uu.");                                    /* SETITEMS twice, STOP */
}

#ifdef FUZZ_PICKLE
static size_t count(const struct pickle *p, int depth)
{
    size_t n = 1;
    if (depth > PICKLE_DEPTH || (p->kind == PICKLE_DICT && p->n % 2)) abort();
    if (p->kind == PICKLE_STRING && p->string[p->size]) abort();
    for (size_t i = 0; i < p->n; i++) n += count(p->item[i], depth + 1);
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const others[] = { "torch FloatStorage", "torch._utils _rebuild_tensor_v2", NULL };
    static const struct pickle_names names = { "collections OrderedDict", others };
    for (int may = 0; may < 2; may++) {
        struct arena memory = { 0 };
        struct pickle *root;
        if (!pickle_parse(&root, &memory, data, size, may ? &names : NULL, "fuzz")) {
            if (count(root, 0) > 2 * size) abort();          /* a tree: each value has an opcode of its own, or is counted */
            pickle_get(root, "itos");
        }
        arena_free(&memory);
    }
    return 0;
}
#endif
