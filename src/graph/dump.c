/* dump.c -- the plan as the program that a person would have written: what each step computes, where its result lies in
 * the arena and how long it lives. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "graph/core.h"

/* "h.0.attn.c_attn#12" for the linear on h.0.attn.c_attn.weight; else scope, op and number. */
static void name(struct text *out, const tensor *t)
{
    const tensor *x = t->base, *w = x->kind == K_OP && x->n_in > 1 && x->op != OP_head_loss ? x->in[1] : NULL;
    const char *from = w && w->kind == K_PARAM ? w->name : x->name, *dot = from == x->name ? NULL : strrchr(from, '.');
    text_format(out, "%.*s", dot ? (int)(dot - from) : (int)strlen(from), from);
    if (x->kind == K_OP) text_format(out, "#%d", x->id);
}

static void operand(struct text *out, const struct operand *o, const tensor *t)
{
    name(out, t);
    if (o->value >= 0 && o->cols != t->base->cols && t->kind != K_PARAM) text_format(out, "[%lld:%lld]", (long long)o->from, (long long)(o->from + o->cols));
}

/* What the step reads of its node's inputs; what flows into a fused step has no operand. */
static void inputs(struct text *out, const struct step *s, const char *comma)
{
    for (int k = 0; k < s->node->n_in; k++) {
        if (s->in[k].value < 0 && k != s->flow) continue;
        text_add(out, comma);
        operand(out, &s->in[k], s->node->in[k]);
        comma = ", ";
    }
}

static void gradients(struct text *out, const struct step *s, const char *before)
{
    static const char *const sign[] = { [WRITE] = "=", [ADD] = "+=", [ADD_IF_MICRO] = "(+)=" };
    for (int k = 0; k < s->node->n_in; k++) {
        if (s->d[k].value < 0) continue;
        text_format(out, "%sd(", before);
        operand(out, &s->d[k], s->node->in[k]);
        text_format(out, ") %s ", sign[s->beta[k]]);
        before = "";
    }
}

static void place(const struct plan *p, struct text *out, const struct operand *o)
{
    if (o->value < 0 || p->value[o->value].where != IN_ARENA) return;
    const struct buffer *b = &p->buffer[p->value[o->value].buffer];
    text_format(out, "  @%zuK+%zuK live %d..%d", b->at >> 10, (b->size + 1023) >> 10, b->first, b->last);
}

static void line(const struct plan *p, struct text *out, const struct step *s)
{
    const tensor *t = s->node;
    if (s->dir == 'F' || s->dir == 'A') {
        operand(out, &s->y, t);
        text_format(out, " = %s(", op_info[t->op].name);
        inputs(out, s, "");
        text_add(out, s->dir == 'A' ? ") again" : ")");
        place(p, out, &s->y);
        gradients(out, s, "; ");
    } else if (s->dir == 'B') {
        gradients(out, s, "");
        text_format(out, "%s'(d(", op_info[t->op].name);
        operand(out, &s->dy, t);
        text_add(out, ")");
        inputs(out, s, ", ");
        text_add(out, ")");
        place(p, out, &s->d[0]);
    } else if (s->dir == 'G') {
        text_add(out, "ready d(");
        name(out, t);
        text_add(out, ")");
    } else {
        text_add(out, "d(");
        operand(out, &s->d[0], t);
        text_add(out, s->dir == 'Z' ? ") = 0" : s->beta[0] == WRITE ? ") = d(" : ") += d(");
        if (s->dir == 'C') name(out, p->value[s->dy.value].of);
        if (s->dir == 'C') text_add(out, ")");
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
