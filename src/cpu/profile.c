/* profile.c -- one row a step: time measured, work counted. */
#include "cpu/profile.h"

#include <stdlib.h>

#include "base/clock.h"

static struct {
    int on, n, room;
    struct profile_row *row;
} profile;

void profile_on(int on) { profile.on = on; }

void profile_clear(void)
{
    free(profile.row);
    profile.row = NULL;
    profile.on = profile.n = profile.room = 0;
}

int profile_rows(const struct profile_row **rows)
{
    *rows = profile.row;
    return profile.n;
}

/* The place of n rows that begin with this step, added if it is new; NULL: no memory. */
static struct profile_row *place(const struct step *first, int n)
{
    for (int i = 0; i < profile.n; i++)
        if (profile.row[i].step == first) return profile.row + i;
    if (profile.n + n > profile.room) {
        int room = 2 * (profile.n + n);
        struct profile_row *more = realloc(profile.row, (size_t)room * sizeof *more);
        if (!more) return NULL;
        profile.row = more;
        profile.room = room;
    }
    profile.n += n;
    struct profile_row *r = profile.row + profile.n - n;
    for (int i = 0; i < n; i++) r[i] = (struct profile_row){ 0 };
    return r;
}

/* ---- what a step has to do ---- */

/* Of a table only the rows that are looked up are read. */
static double operand_bytes(const struct step *s, const struct operand *o, const tensor *t)
{
    if (!o->p || !t) return 0;
    double n = t->kind == K_PARAM && s->node->op != OP_embed ? (double)param_size(t->param) : t->rows || t->kind == K_PARAM ? (double)(step_rows(s, t->rows ? t : s->node) * o->cols) : 0;
    return n / (double)dtype_values(o->type) * (double)dtype_size(o->type);
}

static double step_bytes(const struct step *s)
{
    const tensor *t = s->node;
    double sum = operand_bytes(s, &s->y, t) + operand_bytes(s, &s->aux, t) + operand_bytes(s, &s->dy, t);
    if (t->kind != K_OP) return sum + operand_bytes(s, &s->d[0], t);
    for (int i = 0; i < t->n_in; i++) sum += operand_bytes(s, &s->in[i], t->in[i]) + operand_bytes(s, &s->d[i], t->in[i]) * (1 + step_adds(s, i));
    return sum;
}

struct profile_row *profile_of(struct step *const *steps, int n)
{
    struct profile_row *r = profile.on && n > 0 ? place(steps[0], n) : NULL;
    for (int i = 0; r && i < n; i++) {
        const struct cpu_kernel *k = (const struct cpu_kernel *)steps[i]->kernel;
        r[i].step = steps[i];
        r[i].name = k->base.name;
        r[i].flops += k->cost ? (double)k->cost(steps[i]) : 0;
        for (const struct step *s = steps[i]; s; s = s->then) r[i].bytes += step_bytes(s);
    }
    return r;
}

/* The update reads and writes weights and moments and reads gradients: seven numbers a weight, some 14 operations. */
struct profile_row *profile_update(const struct weights *w)
{
    struct profile_row *r = profile.on ? place(NULL, 1) : NULL;
    if (!r) return NULL;
    r->name = "adamw";
    r->flops += 14 * (double)w->n_trained;
    r->bytes += 7 * sizeof(float) * (double)w->n_trained + sizeof(uint16_t) * (double)w->n_form;
    return r;
}

/* ---- time ---- */

void profile_busy(struct profile_row *r, double since)
{
    double spent = clock_seconds() - since;
#pragma omp atomic
    r->busy += spent;
}

void profile_done(struct profile_row *r, double since) { r->seconds += clock_seconds() - since; }
