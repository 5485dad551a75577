/* save.c -- weights to a file, named and laid out as Hugging Face's are. */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/error.h"
#include "file/safetensors.h"
#include "model/model.h"

/* What each tensor of the file is filled from: a block of a parameter in one of the weights' ranges, or zeros. */
struct source { const struct param *p; int block; const float *range; };
struct saving { const struct weights *w; const struct model *m; struct st_tensor *t; struct source *from; int n; struct arena names; };

static int fill(void *context, int i, void *buffer)
{
    const struct saving *s = context;
    const struct source *from = &s->from[i];
    if (from->p) weights_get(s->w, from->p, from->block, from->range, buffer);
    else memset(buffer, 0, s->t[i].size);
    return 0;
}

static void add(struct saving *s, const char *name, int n_dims, int64_t rows, int64_t cols, struct source from)
{
    s->t[s->n] = (struct st_tensor){ .name = name, .type = F32, .n_dims = n_dims, .dim = { rows, cols }, .size = (size_t)(rows * cols) * sizeof(float) };
    s->from[s->n++] = from;
}

static void add_param(struct saving *s, const struct param *p, const float *range, const char *label)
{
    const char *prefix = strcmp(p->name, "lm_head.weight") ? s->m->prefix : "";
    for (int i = 0; i < p->n_block && p->use == TRAINED; i++) {
        int64_t out = p->block[i].out;
        const char *name = arena_format(&s->names, "%s%s%s", label, prefix, p->block[i].name);
        add(s, name, p->in == 1 ? 1 : 2, p->layout == IN_OUT ? p->in : out, p->layout == IN_OUT ? out : p->in, (struct source){ p, i, range });
    }
}

/* The bias of 0 that files of this family have beside a weight: of norms and of (in, out) matrices, not of tables. */
static void add_zero_bias(struct saving *s, const struct param *p)
{
    size_t n = strlen(p->name), tail = strlen(".weight");
    if (n < tail || strcmp(p->name + n - tail, ".weight") || (p->in > 1 && p->layout == OUT_IN)) return;
    add(s, arena_format(&s->names, "%s%.*s.bias", s->m->prefix, (int)(n - tail), p->name), 1, p->out, 1, (struct source){ 0 });
}

static int open_saving(struct saving *s, const struct weights *w, const struct model *m, int ranges)
{
    size_t room = 0;
    for (const struct param *p = w->param; p; p = p->next) room += (size_t)(ranges * p->n_block + 1);
    *s = (struct saving){ .w = w, .m = m, .t = calloc(room, sizeof *s->t), .from = calloc(room, sizeof *s->from) };
    FAIL_IF(!s->t || !s->from, E_MEMORY, "no memory to save weights");
    return 0;
}

static int finish(struct saving *s, int code, const char *path, char sha256[65])
{
    if (!code && s->names.failed) code = error_set(E_MEMORY, __FILE__, __LINE__, "no memory for the names of weights");
    if (!code) code = safetensors_write(path, s->t, s->n, NULL, fill, s, sha256);
    arena_free(&s->names);
    free(s->t);
    free(s->from);
    return code;
}

int model_save_weights(const struct weights *w, const struct model *m, const struct config *c, const char *path, char sha256[65])
{
    struct saving s;
    int code = open_saving(&s, w, m, 1);
    for (const struct param *p = w->param; p && !code; p = p->next) {
        add_param(&s, p, w->master, "");
        if (m->files_have_biases && !c->bias) add_zero_bias(&s, p);
    }
    return finish(&s, code, path, sha256);
}

int model_save_ranges(const struct weights *w, const struct model *m, const float *const *range, const char *const *label, int n, const char *path, char sha256[65])
{
    struct saving s;
    int code = open_saving(&s, w, m, n);
    for (int i = 0; i < n; i++)
        for (const struct param *p = w->param; p && !code; p = p->next) add_param(&s, p, range[i], label[i]);
    return finish(&s, code, path, sha256);
}
