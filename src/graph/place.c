/* place.c -- steps, values and buffers; and where in the arena each buffer lies. */
#include <stdlib.h>
#include <string.h>

#include "graph/core.h"

enum { ALIGN = 256 };

/* ---- tables that grow ---- */

static int grow(struct plan *p, void *table, int n, int *room, size_t size)      /* table: the address of a pointer */
{
    if (n < *room) return 1;
    void *old, *bigger;
    memcpy(&old, table, sizeof old);
    int more = *room ? 2 * *room : 64;
    bigger = realloc(old, (size_t)more * size);
    if (!bigger) {
        p->memory.failed = 1;
        return 0;
    }
    memcpy(table, &bigger, sizeof bigger);
    *room = more;
    return 1;
}

struct step step_of(const tensor *node, char dir)
{
    struct step s = { .node = node, .dir = dir, .block = -1, .flow = -1, .work = { .value = -1 } };
    for (int k = 0; k < MAX_OPERANDS; k++) s.all[k].value = -1;
    return s;
}

void plan_insert(struct plan *p, struct step s, int at)
{
    struct step *copy = arena_take(&p->memory, sizeof *copy);
    if (!copy || !grow(p, &p->step, p->n_step, &p->room_step, sizeof *p->step)) return;
    *copy = s;
    memmove(p->step + at + 1, p->step + at, (size_t)(p->n_step++ - at) * sizeof *p->step);
    p->step[at] = copy;
}

/* A new value; in the arena with a buffer of its own, unless size is 0 and the caller names one.  When memory runs out
 * the answer is value 0, which exists, and p->memory.failed is set. */
int plan_value(struct plan *p, enum where where, const tensor *of, const char *what, size_t size)
{
    if (!grow(p, &p->value, p->n_value, &p->room_value, sizeof *p->value)) return 0;
    struct value *v = &p->value[p->n_value];
    *v = (struct value){ .where = where, .of = of, .what = what, .buffer = -1, .ld = strcmp(what, "aux") ? of->cols : of->aux, .block = -1 };
    if (size) {
        if (!grow(p, &p->buffer, p->n_buffer, &p->room_buffer, sizeof *p->buffer)) return 0;
        v->buffer = p->n_buffer++;
        p->buffer[v->buffer] = (struct buffer){ .size = size, .canary = p->options.guard };
    }
    return p->n_value++;
}

/* ---- what a step touches ---- */

enum { IN_BITS = (1 << MAX_IN) - 1, Y_BIT = 1 << MAX_IN, AUX_BIT = Y_BIT << 1, DY_BIT = AUX_BIT << 1, D_BITS = IN_BITS << (MAX_IN + 3) };

static unsigned present(const struct step *s)
{
    unsigned bits = 0;
    for (int k = 0; k < MAX_OPERANDS; k++)
        if (s->all[k].value >= 0) bits |= 1u << k;
    return bits;
}

unsigned step_writes(const struct step *s)
{
    if (s->dir == 'F' || s->dir == 'A') return present(s) & (Y_BIT | AUX_BIT | D_BITS);
    return s->dir == 'G' ? 0 : present(s) & D_BITS;
}

unsigned step_reads(const struct step *s)
{
    unsigned bits = present(s) & ~step_writes(s);
    for (int k = 0; k < MAX_IN; k++)
        if (s->d[k].value >= 0 && s->beta[k] != WRITE) bits |= 1u << (MAX_IN + 3 + k);
    return bits;
}

int operands_meet(const struct plan *p, const struct operand *a, const struct operand *b)
{
    if (a->value < 0 || b->value < 0) return 0;
    const struct value *v = &p->value[a->value], *w = &p->value[b->value];
    if (v->where != IN_ARENA || w->where != IN_ARENA || v->buffer != w->buffer) return 0;
    int64_t x = v->from + a->from, y = w->from + b->from;
    return x < y + b->cols && y < x + a->cols;
}

/* ---- lives ---- */

static void touch(struct plan *p, const struct operand *o, int at)
{
    if (o->value < 0 || p->value[o->value].where != IN_ARENA) return;
    struct buffer *b = &p->buffer[p->value[o->value].buffer];
    if (b->first < 0 || at < b->first) b->first = at;
    if (at > b->last) b->last = at;
}

void plan_lives(struct plan *p)
{
    for (int i = 0; i < p->n_buffer; i++) p->buffer[i].first = p->buffer[i].last = -1;
    for (int i = 0; i < p->n_step; i++)
        for (const struct step *s = p->step[i]; s; s = s->then) {
            for (int k = 0; k < MAX_OPERANDS; k++) touch(p, &s->all[k], i);
            touch(p, &s->work, i);
        }
    for (int i = 0; i < p->n_output; i++)
        if (p->output[i] >= 0) touch(p, &(struct operand){ .value = p->output[i] }, p->n_step);
}

/* ---- places: the largest first, each at the lowest offset that is free for its whole life ---- */

static int larger_first(const void *a, const void *b)
{
    const struct buffer *x = *(struct buffer *const *)a, *y = *(struct buffer *const *)b;
    if (x->size != y->size) return x->size < y->size ? 1 : -1;
    if (x->first != y->first) return x->first < y->first ? -1 : 1;
    return x < y ? -1 : x > y;
}

static size_t room_of(const struct buffer *b)
{
    return (b->size + (b->canary ? CANARY : 0) + ALIGN - 1) / ALIGN * ALIGN;
}

/* placed[0 .. n) is sorted by offset */
static size_t lowest_gap(const struct buffer *b, struct buffer *const *placed, int n)
{
    size_t at = 0;
    for (int i = 0; i < n; i++) {
        const struct buffer *o = placed[i];
        int apart = o->first > b->last || b->first > o->last;
        if (apart || o->at + room_of(o) <= at) continue;
        if (at + room_of(b) <= o->at) break;
        at = o->at + room_of(o);
    }
    return at;
}

void plan_place(struct plan *p)
{
    size_t n = (size_t)p->n_buffer;
    struct buffer **todo = arena_take(&p->memory, n * sizeof(void *)), **placed = arena_take(&p->memory, n * sizeof(void *));
    if (!todo || !placed) return;
    int live = 0;
    for (size_t i = 0; i < n; i++)
        if (p->buffer[i].first >= 0) todo[live++] = &p->buffer[i];
    qsort(todo, (size_t)live, sizeof *todo, larger_first);
    for (int i = 0; i < live; i++) {
        struct buffer *b = todo[i];
        b->at = lowest_gap(b, placed, i);
        int k = i;
        for (; k > 0 && placed[k - 1]->at > b->at; k--) placed[k] = placed[k - 1];
        placed[k] = b;
        if (b->at + room_of(b) > p->arena) p->arena = b->at + room_of(b);
    }
}

struct plan_memory plan_memory(const struct plan *p)
{
    struct plan_memory m = { .arena = p->arena, .steps = (size_t)p->n_step };
    for (int i = 0; i < p->n_step; i++) {
        size_t now = 0;
        for (int k = 0; k < p->n_buffer; k++)
            if (p->buffer[k].first >= 0 && p->buffer[k].first <= i && i <= p->buffer[k].last) now += room_of(&p->buffer[k]);
        if (now > m.bound) m.bound = now;
    }
    for (int k = 0; k < p->n_buffer; k++) m.buffers += p->buffer[k].first >= 0;
    return m;
}
