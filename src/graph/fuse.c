/* fuse.c -- merges a step with the one before, where a backend has a kernel that does both at once.
 *
 * The second step works elementwise on the result of the first while that is still in registers, so a fused pair
 * computes the same bits as the two.  Nodes stay as they are; only F steps are merged: forward again and backward use
 * the plain ops.  The result in between is written only if somebody else reads it. */
#include "graph/core.h"

static const struct pattern { int first, then; } patterns[] = {
    { OP_linear, OP_gelu },
    { OP_linear, OP_relu },
    { OP_linear, OP_dropout },
    { OP_linear, OP_add },               /* the residual */
};

static int known(int first, int then)
{
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        if (patterns[i].first == first && patterns[i].then == then) return 1;
    return 0;
}

/* Which input of `then` is the whole result of `s`: -1 if none, or if two are. */
static int flows(const struct step *s, const struct step *then)
{
    int flow = -1;
    for (int k = 0; k < then->node->n_in; k++) {
        const struct operand *x = &then->in[k];
        if (x->value != s->y.value) continue;
        if (flow >= 0 || x->from != s->y.from || x->cols != s->y.cols || then->node->in[k]->kind != K_OP) return -1;
        flow = k;
    }
    return flow;
}

/* The later result must not lie over an input of the first step, which is still being read for other rows and columns;
 * and what the later step reads besides the flow must not be made by the same fused step. */
static int safe(const struct plan *p, const struct step *first, const struct step *then, int flow)
{
    for (int k = 0; k < first->node->n_in; k++)
        if (operands_meet(p, &first->in[k], &then->y)) return 0;
    for (const struct step *s = first; s; s = s->then)
        for (int k = 0; k < then->node->n_in; k++)
            if (k != flow && operands_meet(p, &then->in[k], &s->y)) return 0;
    return 1;
}

static int read_elsewhere(const struct plan *p, int value, const struct step *first)
{
    for (int i = 0; i < p->n_output; i++)
        if (p->output[i] == value) return 1;
    for (int i = 0; i < p->n_step; i++)
        for (const struct step *s = p->step[i]; s; s = s->then)
            for (int k = 0; k < MAX_OPERANDS; k++)
                if (s->all[k].value == value && p->step[i] != first && step_reads(s) & 1u << k) return 1;
    return 0;
}

static int fuse_pair(struct plan *p, int at)
{
    struct step *first = p->step[at], *end = first, *then = p->step[at + 1];
    while (end->then) end = end->then;
    if (first->dir != 'F' || then->dir != 'F' || then->then || first->block >= 0 || !known(first->node->op, then->node->op)) return 0;
    int flow = flows(end, then);
    if (flow < 0 || !safe(p, first, then, flow)) return 0;
    then->flow = flow;
    end->then = then;
    if (!p->backend->pick(first)) {
        end->then = NULL;
        return 0;
    }
    for (int i = at + 1; i + 1 < p->n_step; i++) p->step[i] = p->step[i + 1];
    p->n_step--;
    then->in[flow].value = -1;
    if (!read_elsewhere(p, end->y.value, first)) end->y.value = -1;
    return 1;
}

void plan_fuse(struct plan *p)
{
    for (int i = 0; i + 1 < p->n_step; i++)
        while (i + 1 < p->n_step && fuse_pair(p, i)) continue;
}
