/* model_api.c -- nib.h: models. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cpu/cpu.h"
#include "infer/engine.h"
#include "infer/generate.h"
#include "nib.h"

struct nib_model { struct engine e; struct stream stream; };

const char *nib_version(void) { return "0.1.0"; }
const char *nib_error(void) { return error_text(); }
void nib_free(void *p) { free(p); }

int nib_open(nib_model **out, const char *folder, const struct nib_options *o)
{
    static const struct nib_options defaults;
    if (!o) o = &defaults;
    nib_model *m = calloc(1, sizeof *m);
    FAIL_IF(!m, E_MEMORY, "no memory for a model");
    int code = cpu_init(NULL, o->threads);
    if (!code) code = engine_open(&m->e, folder, &(struct engine_options){ .type = o->bf16 ? BF16 : F32, .streams = 1, .context = o->context });
    if (code) {
        free(m);
        return code;
    }
    *out = m;
    return 0;
}

void nib_close(nib_model *m)
{
    if (!m) return;
    ids_free(&m->stream.ids);
    engine_close(&m->e);
    free(m);
}

int64_t nib_vocab(const nib_model *m) { return m->e.config.vocab; }
int64_t nib_context(const nib_model *m) { return m->e.config.context; }
int64_t nib_parameters(const nib_model *m) { return (int64_t)model_parameters(m->e.weights); }
int64_t nib_end_token(const nib_model *m) { return m->e.tokenizer ? tokenizer_end(m->e.tokenizer) : -1; }

static int need_tokenizer(const nib_model *m)
{
    FAIL_IF(!m->e.tokenizer, E_DATA, "the model folder has no tokenizer");
    return 0;
}

int nib_encode(const nib_model *m, const char *text, size_t n, int32_t **ids, size_t *n_ids)
{
    struct ids found = { 0 };
    TRY(need_tokenizer(m));
    int code = tokenizer_encode(m->e.tokenizer, text, n, SPECIALS_AS_TOKENS, &found);
    int32_t *copy = code ? NULL : malloc((found.n ? found.n : 1) * sizeof *copy);
    for (size_t i = 0; copy && i < found.n; i++) copy[i] = (int32_t)found.at[i];
    *ids = copy;
    *n_ids = found.n;
    ids_free(&found);
    FAIL_IF(!code && !copy, E_MEMORY, "no memory for the ids");
    return code;
}

static int check_ids(const nib_model *m, const int32_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        FAIL_IF(ids[i] < 0 || ids[i] >= m->e.config.vocab, E_DATA, "id %d at place %zu is not in 0 .. %lld", ids[i], i, (long long)m->e.config.vocab - 1);
    return 0;
}

int nib_decode(const nib_model *m, const int32_t *ids, size_t n_ids, char **text, size_t *n)
{
    struct text out = { 0 };
    TRY(need_tokenizer(m));
    TRY(check_ids(m, ids, n_ids));
    text_bytes(&out, "", 0);                                 /* no ids are an empty text */
    int code = tokenizer_decode(m->e.tokenizer, (const uint32_t *)ids, n_ids, &out);
    if (!code && out.failed) code = error_set(E_MEMORY, __FILE__, __LINE__, "no memory for the text");
    if (code) text_free(&out);
    *text = out.at;
    *n = out.size;
    return code;
}

/* The stream starts anew with these ids. */
static int restart(nib_model *m, const int32_t *ids, size_t n)
{
    TRY(check_ids(m, ids, n));
    m->stream.ids.n = m->stream.from = m->stream.shown = 0;
    return ids_add(&m->stream.ids, (const uint32_t *)ids, n);
}

int nib_logits(nib_model *m, const int32_t *ids, size_t n_ids, float *logits)
{
    struct stream *const streams[] = { &m->stream };
    const float *row = NULL;
    const int *whose;
    int got = 0;
    FAIL_IF(!n_ids || n_ids > (size_t)m->e.config.context, E_USAGE, "%zu ids; from 1 to %lld fit the context", n_ids, (long long)m->e.config.context);
    TRY(restart(m, ids, n_ids));
    while (!got) TRY(session_step(&m->e.session, streams, &row, &whose, &got));
    memcpy(logits, row, (size_t)m->e.config.vocab * sizeof *logits);
    return 0;
}

void nib_sampling_defaults(struct nib_sampling *s)
{
    *s = (struct nib_sampling){ .temperature = 0.8, .top_k = 200, .top_p = 1, .repetition_penalty = 1, .seed = 1337, .max_new_tokens = 500 };
}

struct listener { int (*on_text)(void *, const char *, size_t); void *context; };

static int on_text(void *context, int stream, const char *text, size_t n, int done)
{
    const struct listener *l = context;
    (void)stream, (void)done;
    FAIL_IF(n && l->on_text(l->context, text, n), E_STOPPED, "stopped by the caller");
    return 0;
}

int nib_generate(nib_model *m, const char *prompt, const struct nib_sampling *s, int (*tell)(void *context, const char *text, size_t n), void *context)
{
    struct nib_sampling defaults;
    struct listener l = { tell, context };
    struct stream *const streams[] = { &m->stream };
    int32_t *ids, end = (int32_t)nib_end_token(m);
    size_t n;
    if (!s) nib_sampling_defaults(&defaults), s = &defaults;
    TRY(need_tokenizer(m));
    if (prompt || end < 0) {
        const char *start = prompt ? prompt : "\n";
        TRY(nib_encode(m, start, strlen(start), &ids, &n));
        int code = n ? restart(m, ids, n) : error_set(E_USAGE, __FILE__, __LINE__, "the prompt is empty");
        nib_free(ids);
        if (code) return code;
    } else {
        TRY(restart(m, &end, 1));
    }
    struct generation g = {
        .tokenizer = m->e.tokenizer, .max_new = s->max_new_tokens, .stop = &s->stop, .n_stop = s->stop && *s->stop, .emit = on_text, .context = &l,
        .sampling = { s->temperature, s->top_k, s->top_p, s->min_p, s->repetition_penalty, s->seed },
    };
    return generate(&m->e.session, &g, streams, 1, 0);
}
