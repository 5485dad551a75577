/* dump.c -- the plan as the program that a person would have written: what each step computes, where its result lies in
 * the arena and how long it lives. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "graph/core.h"

/* "h.0.attn.c_attn" for the linear on h.0.attn.c_attn.weight; else scope, op and number. */
static void name(struct text *out, const tensor *t)
{
    const tensor *x = t->base;
    const char *from = x->kind == K_OP ? x->n_in > 1 && x->in[1] && x->in[1]->kind == K_PARAM && x->op != OP_head_loss ? x->in[1]->name : NULL : x->name;
    const char *dot = from && x->kind == K_OP ? strrchr(from, '.') : NULL;
    if (dot) text_format(out, "%.*s", (int)(dot - from), from);
    else text_format(out, "%s", from ? from : x->name);
    if (x->kind == K_OP) text_format(out, "#%d", x->id);
}

static void operand_name(struct text *out, const struct operand *o, const tensor *t)
{
    name(out, t);
    if (o->cols != t->base->cols && t->kind != K_PARAM) text_format(out, "[%lld:%lld]", (long long)o->from, (long long)(o->from + o->cols));
}

static void inputs(struct text *out, const struct step *s)
{
    const char *comma = "";
    for (int k = 0; k < s->node->n_in; k++) {
        if (s->in[k].value < 0 && !(s->dir != 'B' && k == s->flow && s->node->in[k])) continue;
        text_add(out, comma);
        operand_name(out, s->in[k].value < 0 ? &(struct operand){ .cols = s->node->in[k]->base->cols } : &s->in[k], s->node->in[k]);
        comma = ", ";
    }
}

static void gradients(struct text *out, const struct step *s)
{
    static const char *const sign[] = { [WRITE] = "=", [ADD] = "+=", [ADD_IF_MICRO] = "(+)=" };
    for (int k = 0; k < s->node->n_in; k++) {
        if (s->d[k].value < 0) continue;
        text_add(out, "d(");
        operand_name(out, &s->d[k], s->node->in[k]);
        text_format(out, ") %s ", sign[s->beta[k]]);
    }
}

static void where(const struct plan *p, struct text *out, const struct operand *o)
{
    if (o->value < 0 || p->value[o->value].where != IN_ARENA) return;
    const struct buffer *b = &p->buffer[p->value[o->value].buffer];
    text_format(out, "  @%zuK+%zuK live %d..%d", b->at >> 10, (b->size + 1023) >> 10, b->first, b->last);
}

static void line(const struct plan *p, struct text *out, const struct step *s)
{
    const tensor *t = s->node;
    switch (s->dir) {
    case 'F':
    case 'A':
        operand_name(out, &s->y, t);
        text_format(out, " = %s(", op_info[t->op].name);
        inputs(out, s);
        text_format(out, ")%s", s->dir == 'A' ? " again" : "");
        where(p, out, &s->y);
        for (int k = 0; k < t->n_in; k++)
            if (s->d[k].value >= 0) {
                text_add(out, "; ");
                gradients(out, s);
                break;
            }
        break;
    case 'B':
        gradients(out, s);
        text_format(out, "%s'(d(", op_info[t->op].name);
        operand_name(out, &s->dy, t);
        text_add(out, ")");
        for (int k = 0; k < t->n_in; k++)
            if (s->in[k].value >= 0) {
                text_add(out, ", ");
                inputs(out, s);
                break;
            }
        text_add(out, ")");
        where(p, out, &s->d[0]);
        break;
    case 'C':
        text_add(out, "d(");
        name(out, p->value[s->d[0].value].of);
        text_format(out, ") %s d(", s->beta[0] == WRITE ? "=" : "+=");
        name(out, p->value[s->dy.value].of);
        text_add(out, ")  copy");
        where(p, out, &s->d[0]);
        break;
    case 'Z':
        text_add(out, "d(");
        operand_name(out, &s->d[0], t);
        text_add(out, ") = 0");
        break;
    default:
        text_add(out, "ready d(");
        name(out, t);
        text_add(out, ")");
    }
    text_add(out, "\n");
}

void plan_print(const struct plan *p, struct text *out)
{
    for (int i = 0; i < p->n_step; i++)
        for (const struct step *s = p->step[i]; s; s = s->then) {
            if (s == p->step[i]) text_format(out, "%4d  ", i);
            else text_add(out, "   +  ");
            line(p, out, s);
        }
    struct plan_memory m = plan_memory(p);
    text_format(out, "%zu steps, %zu buffers, arena %.1f MiB (at most %.1f live at once)\n", m.steps, m.buffers,
                (double)m.arena / 1048576, (double)m.bound / 1048576);
}
