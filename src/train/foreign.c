/* foreign.c -- nanoGPT's ckpt.pt is read by model/nanogpt.c. */
#include "train/foreign.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "file/tensors.h"
#include "train/retention.h"

int foreign_find(char path[PATH_SIZE], const char *out, int *is)
{
    int64_t *steps;
    size_t n;
    *is = 0;
    if (!path_is_dir(out)) return 0;
    TRY(steps_in(out, &steps, &n));
    free(steps);
    TRY(path_join(path, out, "ckpt.pt"));
    return n ? 0 : path_look(path, is);
}

struct setting { struct options *o; const char *path; };

static int set(void *context, const char *name, const struct value *v)
{
    const struct setting *s = context;
    const struct option *p = options_find(s->o, name, strlen(name));
    struct value kept = *v;
    if (!p || !strcmp(name, "out_dir") || !strcmp(name, "init_from")) return 0;
    if (v->kind == VALUE_TEXT) kept.text = arena_copy(s->o->memory, v->text);
    FAIL_IF(s->o->memory->failed, E_MEMORY, "%s: no memory for its settings", s->path);
    return options_assign(s->o, p, kept, s->path);
}

int foreign_settings(struct options *o, const char *path)
{
    struct text *notices = o->notices;
    o->notices = NULL;                                       /* they were given when the run began */
    int code = nanogpt_settings(path, set, &(struct setting){ o, path });
    o->notices = notices;
    return code;
}

int foreign_read(const char *path, struct trainer *t, int64_t tokens)
{
    struct nanogpt_run r;
    const struct model *m = t->o.model;
    TRY(nanogpt_resume(&r, path));
    int code = model_load_range(t->weights, m, t->weights->moment1, "exp_avg.", r.moments, path);
    if (!code) code = model_load_range(t->weights, m, t->weights->moment2, "exp_avg_sq.", r.moments, path);
    tensors_close(r.moments);
    t->progress.iteration = r.iteration;
    t->progress.updates = r.updates;
    t->progress.tokens = r.iteration * tokens;
    return code;
}
