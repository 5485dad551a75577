/* llmc.c -- llm.c's model files, gpt2_124M.bin and its like: GPT-2 with all biases, GELU by tanh.
 *
 *     256 numbers of 32 bits: 20240326; 3 (f32) or 5 (bf16); positions; vocabulary; layers; heads; width; rows of the token table
 *     wte, wpe; then each kind of parameter for all layers, one layer after another; ln_f's two
 *
 * The table has rows of zeros behind the vocabulary, so that their number divides by 128.  Dense layers are (out, in), and so they are used. */
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "file/tensors.h"
#include "model/model.h"

enum { MAGIC = 20240326, IN_F32 = 3, IN_BF16 = 5, NUMBERS = 256, HEADER = 4 * NUMBERS, ROWS = 128 };

/* What stands at which place; the type at 1, the table's rows at 7. */
static const struct { int at; size_t field; } sizes[] = {
    { 2, offsetof(struct config, context) }, { 3, offsetof(struct config, vocab) }, { 4, offsetof(struct config, layers) }, { 5, offsetof(struct config, heads) },
    { 6, offsetof(struct config, width) },
};

/* In the order of the file.  out, in: in widths; in 0: a vector. */
static const struct array { const char *name; int out, in; } arrays[] = {
    { "ln_1.weight", 1, 0 }, { "ln_1.bias", 1, 0 }, { "attn.c_attn.weight", 3, 1 }, { "attn.c_attn.bias", 3, 0 }, { "attn.c_proj.weight", 1, 1 }, { "attn.c_proj.bias", 1, 0 },
    { "ln_2.weight", 1, 0 }, { "ln_2.bias", 1, 0 }, { "mlp.c_fc.weight", 4, 1 }, { "mlp.c_fc.bias", 4, 0 }, { "mlp.c_proj.weight", 1, 4 }, { "mlp.c_proj.bias", 1, 0 },
};
enum { ARRAYS = sizeof arrays / sizeof *arrays };

/* ---- reading ---- */

struct reader { struct model_files *f; const uint8_t *at, *end; enum dtype type; const char *what; };

static int read_header(struct reader *r, int64_t *rows)
{
    struct config *c = &r->f->config;
    const uint8_t *bytes = r->at;
    FAIL_IF(r->end - r->at < HEADER || little_u32(bytes) != MAGIC, E_DATA, "%s: no model of llm.c's, or cut off", r->what);
    uint32_t version = little_u32(bytes + 4);
    FAIL_IF(version != IN_F32 && version != IN_BF16, E_DATA, "%s: version %u of llm.c's model files; nib reads 3 (f32) and 5 (bf16)", r->what, version);
    *c = (struct config){ .tied = 1, .eps = 1e-5, .bias = 1, .activation = GELU_TANH };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int64_t n = little_u32(bytes + 4 * sizes[i].at);
        memcpy((char *)c + sizes[i].field, &n, sizeof n);
    }
    *rows = little_u32(bytes + 28);
    r->type = version == IN_F32 ? F32 : BF16;
    r->at += HEADER;
    config_fill_in(c);
    TRY(config_check(&model_gpt2, c));
    FAIL_IF(*rows < c->vocab, E_DATA, "%s: a table of %lld rows for a vocabulary of %lld", r->what, (long long)*rows, (long long)c->vocab);
    return 0;
}

/* The next rows x cols values, of which the first `used` rows are the tensor; cols 0: a vector. */
static int take(struct reader *r, const char *name, int64_t rows, int64_t used, int64_t cols, int turned)
{
    struct file_tensor all = { .name = name, .type = r->type, .n_dims = cols ? 2 : 1, .dim = { rows, cols }, .data = r->at };
    FAIL_IF(!name, E_MEMORY, "%s: no memory for the names of weights", r->what);
    FAIL_IF(!file_tensor_bytes(&all, &all.size) || all.size > (size_t)(r->end - r->at), E_DATA, "%s: it ends before %s does: cut off?", r->what, name);
    r->at += all.size;
    all.size = all.size / (size_t)rows * (size_t)used;
    all.dim[0] = used;
    all.turned = turned;
    return tensors_add(r->f->tensors, &all);
}

static int take_array(struct reader *r, const struct array *a)
{
    const struct config *c = &r->f->config;
    for (int l = 0; l < c->layers; l++)
        TRY(take(r, arena_format(tensors_memory(r->f->tensors), "transformer.h.%d.%s", l, a->name), a->out * c->width, a->out * c->width, a->in * c->width, a->in > 0));
    return 0;
}

static int read_all(struct reader *r)
{
    const struct config *c = &r->f->config;
    int64_t rows = 0;
    TRY(read_header(r, &rows));
    TRY(take(r, "transformer.wte.weight", rows, c->vocab, c->width, 0));
    TRY(take(r, "transformer.wpe.weight", c->context, c->context, c->width, 0));
    for (int i = 0; i < ARRAYS; i++) TRY(take_array(r, &arrays[i]));
    TRY(take(r, "transformer.ln_f.weight", c->width, c->width, 0, 0));
    TRY(take(r, "transformer.ln_f.bias", c->width, c->width, 0, 0));
    FAIL_IF(r->at != r->end, E_DATA, "%s: %zu bytes follow the end of the model", r->what, (size_t)(r->end - r->at));
    return tensors_settle(r->f->tensors, r->what);
}

static int read_file(struct model_files *f, const uint8_t *bytes, size_t size, const char *what)
{
    return read_all(&(struct reader){ .f = f, .at = bytes, .end = bytes + size, .what = what });
}

static int read_front(struct model_files *f, const uint8_t *bytes, size_t size, const char *what)
{
    int64_t rows;
    return read_header(&(struct reader){ .f = f, .at = bytes, .end = bytes + size, .what = what }, &rows);
}

int llmc_parse(struct model_files *f, const uint8_t *bytes, size_t size, const char *what) { return model_read(f, &model_gpt2, bytes, size, what, read_file); }
int llmc_open(struct model_files *f, const char *path) { return model_read(f, &model_gpt2, NULL, 0, path, read_file); }
int llmc_describe(const struct model **m, struct config *c, const char *path) { return model_peek(m, c, &model_gpt2, path, read_front); }

/* ---- writing ---- */

struct writer { const struct config *c; struct file_tensor *t; int n; struct arena memory; struct file_writer file; enum dtype type; };

static const struct file_tensor *find(const struct writer *w, const char *name)
{
    for (int i = 0; i < w->n; i++)
        if (!strcmp(w->t[i].name, name)) return &w->t[i];
    return NULL;
}

static int put_zeros(struct writer *w, size_t n)
{
    static const char zeros[4096];
    for (size_t part; n > 0; n -= part) {
        part = n < sizeof zeros ? n : sizeof zeros;
        TRY(file_append(&w->file, zeros, part));
    }
    return 0;
}

/* A parameter as llm.c has it; a bias that the model does not have is zeros, n of them. */
static int put(struct writer *w, const char *name, int turned, int64_t n)
{
    const struct file_tensor *found = find(w, name);
    if (!found) return put_zeros(w, (size_t)n * dtype_size(w->type));
    struct file_tensor t = *found;
    struct arena memory = { 0 };
    int failed = turned ? file_tensor_turn(&t, &memory) : 0;
    if (!failed) failed = file_append(&w->file, t.data, t.size);
    arena_free(&memory);
    return failed;
}

static int put_header(struct writer *w, int64_t rows)
{
    int32_t header[NUMBERS] = { MAGIC, w->type == F32 ? IN_F32 : IN_BF16 };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int64_t n;
        memcpy(&n, (const char *)w->c + sizes[i].field, sizeof n);
        header[sizes[i].at] = (int32_t)n;
    }
    header[7] = (int32_t)rows;
    return file_append(&w->file, header, sizeof header);
}

static int put_all(struct writer *w)
{
    const struct config *c = w->c;
    int64_t rows = (c->vocab + ROWS - 1) / ROWS * ROWS;
    char name[128];
    TRY(put_header(w, rows));
    TRY(put(w, "transformer.wte.weight", 0, 0));
    TRY(put_zeros(w, (size_t)((rows - c->vocab) * c->width) * dtype_size(w->type)));
    TRY(put(w, "transformer.wpe.weight", 0, 0));
    for (int i = 0; i < ARRAYS; i++)
        for (int l = 0; l < c->layers; l++) {
            snprintf(name, sizeof name, "transformer.h.%d.%s", l, arrays[i].name);
            TRY(put(w, name, arrays[i].in > 0, arrays[i].out * c->width));
        }
    TRY(put(w, "transformer.ln_f.weight", 0, c->width));
    TRY(put(w, "transformer.ln_f.bias", 0, c->width));
    return file_commit(&w->file);
}

static int write_all(struct writer *w, const struct model_files *f, const char *path)
{
    TRY(model_list(f, &w->memory, &w->t, &w->n));
    w->type = w->t[0].type;
    for (int i = 0; i < w->n; i++)
        FAIL_IF(w->t[i].type != w->type || (w->type != F32 && w->type != BF16), E_MODEL, "llm.c's files are all f32 or all bf16; %s is %s", w->t[i].name, dtype_name(w->t[i].type));
    TRY(file_create(&w->file, path));
    return put_all(w);
}

int llmc_write(const struct model_files *f, const char *path)
{
    struct writer w = { .c = &f->config, .file.fd = -1 };
    TRY(model_is_plain(f, "llm.c"));
    int code = write_all(&w, f, path);
    file_discard(&w.file);
    arena_free(&w.memory);
    return code;
}

#ifdef FUZZ_LLMC
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct model_files f;
    unsigned sum = 0;
    if (llmc_parse(&f, data, size, "fuzz")) return 0;
    for (int i = 0; i < tensors_count(f.tensors); i++) {
        const struct file_tensor *t = tensors_at(f.tensors, i);
        for (size_t k = 0; k < t->size; k++) sum |= ((const uint8_t *)t->data)[k];
    }
    model_close(&f);
    return sum > 255;
}
#endif
