/* llama2c.c -- llama2.c's model files, stories15M.bin and its like: Llama without biases, with theta 10000 and an epsilon of 1e-5.
 *
 *     version 0     seven numbers of 32 bits: width, hidden width, layers, heads, heads of keys and values, vocabulary (negative: the
 *                   head is no table of tokens), positions; f32 to the end
 *     version 1     "24ka", 1, the seven numbers, a byte: the head is the table; from byte 256 on f32
 *     version 2     the same with 2 and, behind the byte, a number: so many values of a matrix have one scale.  Norms are f32, a matrix
 *                   is its values in 8 bits each, then its scales in f32
 *
 * Each kind of parameter follows for all layers; version 0 has them in another order, and before its head tables of cosines and sines,
 * which nobody reads any more.  Rows of q and k turn as neighbours (rotary_row). */
#include <math.h>
#include <string.h>

#include "base/bytes.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/quantize.h"
#include "file/tensors.h"
#include "model/model.h"

static const char MAGIC[] = "24ka";
enum { VERSIONS = 3, NUMBERS = 7, HEADER_0 = 4 * NUMBERS, HEADER = 256 };
static const double THETA = 1e4, EPS = 1e-5;

static const size_t numbers[NUMBERS] = {
    offsetof(struct config, width), offsetof(struct config, hidden), offsetof(struct config, layers), offsetof(struct config, heads),
    offsetof(struct config, kv_heads), offsetof(struct config, vocab), offsetof(struct config, context),
};
enum { VOCAB_AT = 5 };

/* What a dimension is; ONE column: a vector. */
enum size { ONE, WIDTH, HIDDEN, KEYS, VOCAB, CONTEXT, HEAD_DIM, SIZES };

static void measure(int64_t size[SIZES], const struct config *c)
{
    const int64_t all[SIZES] = { [ONE] = 1, [WIDTH] = c->width, [HIDDEN] = c->hidden, [KEYS] = c->kv_heads * c->head_dim, [VOCAB] = c->vocab, [CONTEXT] = c->context, [HEAD_DIM] = c->head_dim };
    memcpy(size, all, sizeof all);
}

/* A name that begins with a dot is a parameter's of each layer. */
enum part { TABLE, NORM1, Q, K, V, O, NORM2, GATE, DOWN, UP, NORM, POSITIONS, HEAD, PARTS };
static const struct { const char *name; enum size rows, cols; } parts[PARTS] = {
    [TABLE] = { "model.embed_tokens.weight", VOCAB, WIDTH },    [NORM1] = { ".input_layernorm.weight", WIDTH, ONE },
    [Q] = { ".self_attn.q_proj.weight", WIDTH, WIDTH },         [K] = { ".self_attn.k_proj.weight", KEYS, WIDTH },
    [V] = { ".self_attn.v_proj.weight", KEYS, WIDTH },          [O] = { ".self_attn.o_proj.weight", WIDTH, WIDTH },
    [NORM2] = { ".post_attention_layernorm.weight", WIDTH, ONE }, [GATE] = { ".mlp.gate_proj.weight", HIDDEN, WIDTH },
    [DOWN] = { ".mlp.down_proj.weight", WIDTH, HIDDEN },        [UP] = { ".mlp.up_proj.weight", HIDDEN, WIDTH },
    [NORM] = { "model.norm.weight", WIDTH, ONE },               [POSITIONS] = { "", CONTEXT, HEAD_DIM },
    [HEAD] = { "lm_head.weight", VOCAB, WIDTH },
};

/* In the order of the file, PARTS at the end; by version. */
static const enum part first[] = { TABLE, NORM1, Q, K, V, O, NORM2, GATE, DOWN, UP, NORM, POSITIONS, HEAD, PARTS };
static const enum part later[] = { NORM1, NORM2, NORM, TABLE, Q, K, V, O, GATE, DOWN, UP, HEAD, PARTS };
static const enum part *const orders[VERSIONS] = { first, later, later };

static int64_t times(enum part k, const struct config *c) { return *parts[k].name == '.' ? c->layers : k == HEAD ? !c->tied : 1; }

static const char *name_of(struct arena *memory, enum part k, int64_t layer)
{
    const char *name = parts[k].name;
    return *name == '.' ? arena_format(memory, "model.layers.%d%s", (int)layer, name) : name;
}

/* ---- reading ---- */

struct reader { struct model_files *f; const uint8_t *at, *end; int64_t size[SIZES], group; unsigned version; const char *what; };

static int read_numbers(struct config *c, const uint8_t *at)
{
    *c = model_llama.base;
    for (int i = 0; i < NUMBERS; i++) {
        int64_t n = (int32_t)little_u32(at + 4 * i);
        FAIL_IF(n < 0 ? i != VOCAB_AT : !n, E_DATA, "number %d of a header of llama2.c's is %lld", i, (long long)n);
        memcpy((char *)c + numbers[i], &n, sizeof n);
    }
    c->tied = c->vocab > 0;
    if (!c->tied) c->vocab = -c->vocab;
    c->theta = THETA;
    c->eps = EPS;
    config_fill_in(c);
    return config_check(&model_llama, c);
}

/* Of version 0; 0: more than can be counted. */
static int count_bytes(const struct config *c, size_t *bytes)
{
    int64_t size[SIZES];
    measure(size, c);
    *bytes = HEADER_0;
    for (const enum part *k = first; *k < PARTS; k++) {
        size_t n = sizeof(float), factors[] = { (size_t)times(*k, c), (size_t)size[parts[*k].rows], (size_t)size[parts[*k].cols] };
        for (int i = 0; i < 3; i++)
            if (!size_mul(n, factors[i], &n)) return 0;
        if (!size_add(*bytes, n, bytes)) return 0;
    }
    return 1;
}

/* Version 0 says nothing of itself: a file is one if it has as many bytes as its first numbers say. */
int llama2c_is(const uint8_t *bytes, size_t size)
{
    struct config c;
    size_t all;
    if (size >= 4 && !memcmp(bytes, MAGIC, 4)) return 1;
    return size >= HEADER_0 && !read_numbers(&c, bytes) && count_bytes(&c, &all) && all == size;
}

static int read_header(struct reader *r)
{
    struct config *c = &r->f->config;
    size_t size = (size_t)(r->end - r->at);
    FAIL_IF(!llama2c_is(r->at, size), E_DATA, "%s: no model of llama2.c's, or cut off", r->what);
    if (memcmp(r->at, MAGIC, 4)) {
        TRY(read_numbers(c, r->at));
        r->at += HEADER_0;
        return 0;
    }
    FAIL_IF(size < HEADER, E_DATA, "%s: %zu bytes, and the header of a model of llama2.c's has %d: cut off?", r->what, size, HEADER);
    r->version = little_u32(r->at + 4);
    FAIL_IF(r->version < 1 || r->version >= VERSIONS, E_DATA, "%s: version %u of llama2.c's model files; nib reads 0, 1 (f32) and 2 (8 bits)", r->what, r->version);
    TRY(read_numbers(c, r->at + 8));
    FAIL_IF((int32_t)little_u32(r->at + 8 + 4 * VOCAB_AT) < 0, E_DATA, "%s: a vocabulary of less than 0", r->what);
    c->tied = r->at[8 + 4 * NUMBERS] != 0;
    r->group = (int32_t)little_u32(r->at + 8 + 4 * NUMBERS + 1);
    FAIL_IF(r->version == 2 && r->group < 1, E_DATA, "%s: groups of %lld values", r->what, (long long)r->group);
    r->at += HEADER;
    return 0;
}

static int cut_off(const struct reader *r, const char *name) { FAIL(E_DATA, "%s: it ends before %s does: cut off?", r->what, name); }

/* Values of 8 bits and their scales become f32. */
static int take_groups(struct reader *r, struct file_tensor *t)
{
    size_t n = t->size / sizeof(float), group = (size_t)r->group, left = (size_t)(r->end - r->at);
    FAIL_IF(n % group, E_DATA, "%s: %s has %zu values, which are no groups of %zu", r->what, t->name, n, group);
    if (n > left || n / group > (left - n) / sizeof(float)) return cut_off(r, t->name);
    const uint8_t *scales = r->at + n;
    float *to = arena_take(tensors_memory(r->f->tensors), t->size), scale;
    FAIL_IF(!to, E_MEMORY, "%s: no memory for %s, %zu bytes", r->what, t->name, t->size);
    for (size_t i = 0; i < n; i++) {
        memcpy(&scale, scales + i / group * sizeof scale, sizeof scale);
        to[i] = scale * (float)(int8_t)r->at[i];
    }
    t->data = to;
    r->at = scales + n / group * sizeof scale;
    return 0;
}

static int take_floats(struct reader *r, struct file_tensor *t)
{
    if (t->size > (size_t)(r->end - r->at)) return cut_off(r, t->name);
    t->data = r->at;
    r->at += t->size;
    return 0;
}

static int take(struct reader *r, enum part k, const char *name)
{
    struct file_tensor t = { .name = name, .type = F32, .n_dims = parts[k].cols == ONE ? 1 : 2, .dim = { r->size[parts[k].rows], r->size[parts[k].cols] } };
    FAIL_IF(!name, E_MEMORY, "%s: no memory for the names of weights", r->what);
    if (!file_tensor_bytes(&t, &t.size)) return cut_off(r, name);
    TRY(r->version == 2 && t.n_dims == 2 ? take_groups(r, &t) : take_floats(r, &t));
    if (k == POSITIONS) return 0;
    if (k == Q || k == K) TRY(rotary_halves(&t, t.dim[0] / r->size[HEAD_DIM], tensors_memory(r->f->tensors)));
    return tensors_add(r->f->tensors, &t);
}

static int read_all(struct reader *r)
{
    const struct config *c = &r->f->config;
    TRY(read_header(r));
    measure(r->size, c);
    for (const enum part *k = orders[r->version]; *k < PARTS; k++)
        for (int64_t i = 0; i < times(*k, c); i++) TRY(take(r, *k, name_of(tensors_memory(r->f->tensors), *k, i)));
    FAIL_IF(r->at != r->end, E_DATA, "%s: %zu bytes follow the end of the model", r->what, (size_t)(r->end - r->at));
    return tensors_settle(r->f->tensors, r->what);
}

static int read_file(struct model_files *f, const uint8_t *bytes, size_t size, const char *what)
{
    return read_all(&(struct reader){ .f = f, .at = bytes, .end = bytes + size, .what = what });
}

static int read_front(struct model_files *f, const uint8_t *bytes, size_t size, const char *what)
{
    return read_header(&(struct reader){ .f = f, .at = bytes, .end = bytes + size, .what = what });
}

int llama2c_parse(struct model_files *f, const uint8_t *bytes, size_t size, const char *what) { return model_read(f, &model_llama, bytes, size, what, read_file); }
int llama2c_open(struct model_files *f, const char *path) { return model_read(f, &model_llama, NULL, 0, path, read_file); }
int llama2c_describe(const struct model **m, struct config *c, const char *path) { return model_peek(m, c, &model_llama, path, read_front); }

/* ---- writing, version 0 ---- */

static int check(const struct model *m, const struct config *c)
{
    const struct { int is; const char *what; } others[] = {
        { c->qkv_bias || c->out_bias || c->mlp_bias, "biases" }, { c->qk_norm, "norms of queries and keys" }, { c->window > 0, "a sliding window" },
        { c->scaling != ROPE_PLAIN, "scaled positions" }, { c->theta != THETA, "a theta of positions other than 10000" }, { c->head_dim * c->heads != c->width, "heads that are not width / heads wide" },
        { (float)c->eps != (float)EPS, "an epsilon of norms other than 1e-5" },
    };
    FAIL_IF(m->positions, E_MODEL, "llama2.c has only Llama's models, not %s", m->name);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) FAIL_IF(others[i].is, E_MODEL, "llama2.c's files cannot say what this model has: %s", others[i].what);
    return 0;
}

struct writer { const struct config *c; struct file_tensor *t; int n; struct arena memory; struct file_writer file; };

static int put_header(struct writer *w)
{
    int32_t header[NUMBERS];
    for (int i = 0; i < NUMBERS; i++) {
        int64_t n;
        memcpy(&n, (const char *)w->c + numbers[i], sizeof n);
        header[i] = (int32_t)(i == VOCAB_AT && !w->c->tied ? -n : n);
    }
    return file_append(&w->file, header, sizeof header);
}

/* So many values of a tensor, as f32. */
static int put_values(struct writer *w, const struct file_tensor *t, size_t from, size_t n)
{
    enum { PIECE = 4096 };
    float wide[PIECE];
    for (size_t now; n > 0; from += now, n -= now) {
        now = n < PIECE ? n : PIECE;
        numbers_widen(t->type, (const char *)t->data + dtype_bytes(t->type, from), wide, now);
        TRY(file_append(&w->file, wide, now * sizeof *wide));
    }
    return 0;
}

static int put(struct writer *w, enum part k, const char *name)
{
    const struct file_tensor *t = w->t;
    FAIL_IF(!name, E_MEMORY, "no memory for the names of weights");
    while (strcmp(t->name, name)) t++;                       /* model_list has all that the model is built of */
    size_t row = t->n_dims > 1 ? (size_t)t->dim[1] : 1;
    if (k != Q && k != K) return put_values(w, t, 0, (size_t)t->dim[0] * row);
    for (int64_t i = 0; i < t->dim[0]; i++) TRY(put_values(w, t, (size_t)rotary_row(i, w->c->head_dim) * row, row));
    return 0;
}

/* Cosines of every position and pair, then sines. */
static int put_positions(struct writer *w)
{
    int64_t pairs = w->c->head_dim / 2;
    float *row = arena_take(&w->memory, (size_t)pairs * sizeof *row);
    FAIL_IF(!row, E_MEMORY, "no memory for a table of positions");
    for (int sines = 0; sines < 2; sines++)
        for (int64_t i = 0; i < w->c->context; i++) {
            for (int64_t j = 0; j < pairs; j++) {
                double angle = (double)i * pow(THETA, -(double)j / (double)pairs);
                row[j] = (float)(sines ? sin(angle) : cos(angle));
            }
            TRY(file_append(&w->file, row, (size_t)pairs * sizeof *row));
        }
    return 0;
}

static int put_all(struct writer *w)
{
    TRY(put_header(w));
    for (const enum part *k = first; *k < PARTS; k++)
        for (int64_t i = 0; i < times(*k, w->c); i++) TRY(*k == POSITIONS ? put_positions(w) : put(w, *k, name_of(&w->memory, *k, i)));
    return file_commit(&w->file);
}

static int write_all(struct writer *w, const struct model_files *f, const char *path)
{
    TRY(check(f->model, &f->config));
    TRY(model_list(f, &w->memory, &w->t, &w->n));
    TRY(file_create(&w->file, path));
    return put_all(w);
}

int llama2c_write(const struct model_files *f, const char *path)
{
    struct writer w = { .c = &f->config, .file.fd = -1 };
    int code = write_all(&w, f, path);
    file_discard(&w.file);
    arena_free(&w.memory);
    return code;
}

#ifdef FUZZ_LLAMA2C
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct model_files f;
    unsigned sum = 0;
    if (llama2c_parse(&f, data, size, "fuzz")) return 0;
    for (int i = 0; i < tensors_count(f.tensors); i++) {
        const struct file_tensor *t = tensors_at(f.tensors, i);
        for (size_t k = 0; k < t->size; k++) sum |= ((const uint8_t *)t->data)[k];
    }
    model_close(&f);
    return sum > 255;
}
#endif
