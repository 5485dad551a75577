/* trace.c -- after each step, a look at what it wrote.  Gradients of parameters, which several steps may add to, are looked at when they are
 * complete. */
#include "train/trace.h"

#include <math.h>

#include "base/error.h"
#include "base/finite.h"

enum { FOUND = -1 };                     /* no error code: ends the run */

const char *trace_weights(const struct weights *w)
{
    for (const struct param *p = w->param; p; p = p->next)
        if (p->use == TRAINED && !are_finite(w->master + p->at, F32, param_size(p))) return p->name;
    return NULL;
}

/* An operand is what `of` is, or its gradient. */
static int is_finite(const struct step *s, const struct operand *o, const tensor *of)
{
    if (!o->p || !of->rows || (o->type != F32 && o->type != BF16)) return 1;
    for (int64_t r = 0; r < step_rows(s, of); r++)
        if (!are_finite((const char *)o->p + r * o->ld * (int64_t)dtype_size(o->type), o->type, (size_t)o->cols)) return 0;
    return 1;
}

static int made_finite(const struct step *s)
{
    const tensor *t = s->node;
    if (s->dir == 'G') return !s->run->last_micro || isfinite(graph_weights(t->g)->squares[t->param->index]);
    if ((s->dir == 'F' || s->dir == 'A') && !is_finite(s, &s->y, t)) return 0;
    for (int i = 0; i < t->n_in; i++)
        if (t->in[i] && t->in[i]->kind != K_PARAM && !is_finite(s, &s->d[i], t->in[i])) return 0;
    return 1;
}

/* The weights it multiplies with tell a reader more than a number would. */
static const char *name_of(const tensor *t)
{
    for (int i = 0; i < t->n_in; i++)
        if (t->in[i] && t->in[i]->kind == K_PARAM) return t->in[i]->name;
    return t->name;
}

static int look(void *out, const struct step *s)
{
    if (made_finite(s)) return 0;
    if (s->dir == 'G') text_format(out, "the gradient of %s", s->node->name);
    else text_format(out, "%s of %s, %s", s->kernel->name, name_of(s->node), s->dir == 'B' || s->dir == 'C' ? "backward" : "forward");
    return FOUND;
}

int trace_run(struct plan *p, const struct run_scalars *s, struct text *out)
{
    int code = plan_run_each(p, s, look, out);
    return code == FOUND ? 0 : code;
}
