/* trie.c -- the double array of a set of tokens.
 *
 * Nodes are given places depth first, so that those of one walk lie near each other: a place for all children of a node is looked for
 * among the free ones that came last.  TRIES bounds how long, whatever the tokens are; who finds none gets a new block. */
#include "token/trie.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/grow.h"

enum { BLOCK = 256, TRIES = 256 };

/* A place; the free ones (parent TRIE_NONE) are a ring through the root, which is never free. */
struct place { struct trie_node node; uint32_t after, before; };
struct building { struct place *at; size_t n, room; };

/* The sorted tokens from .. to - 1 share the bytes that lead to a node. */
struct range { size_t from, to; uint32_t node, depth; };
struct children { unsigned char byte[BLOCK]; size_t from[BLOCK + 1]; int n; };

/* ---- places ---- */

static void put_before(struct building *b, uint32_t place, uint32_t next)
{
    uint32_t last = b->at[next].before;
    b->at[place].after = next;
    b->at[place].before = last;
    b->at[last].after = b->at[next].before = place;
}

static void take_out(struct building *b, uint32_t place)
{
    struct place *p = &b->at[place];
    b->at[p->before].after = p->after;
    b->at[p->after].before = p->before;
}

/* A block's places come first in the ring. */
static int add_block(struct building *b)
{
    if (b->n > UINT32_MAX / 2 || !grow(&b->at, &b->room, b->n + BLOCK, sizeof *b->at)) return 0;
    uint32_t first = (uint32_t)b->n, next = first ? b->at[0].after : 0;
    b->n += BLOCK;
    for (uint32_t i = first; i < b->n; i++) {
        b->at[i].node = (struct trie_node){ 0, i ? TRIE_NONE : 0, TRIE_NONE };
        if (i) put_before(b, i, next);
        else b->at[0].after = b->at[0].before = 0;
    }
    return 1;
}

/* The first child's place is known to be free. */
static int fits(const struct building *b, const struct children *c, uint32_t base)
{
    for (int i = 1; i < c->n; i++)
        if (b->at[base ^ c->byte[i]].node.parent != TRIE_NONE) return 0;
    return 1;
}

/* An only child takes the place that has been free longest, so that few are left over. */
static int find_base(struct building *b, const struct children *c, uint32_t *base)
{
    int tries = 0;
    for (uint32_t place = c->n > 1 ? b->at[0].after : b->at[0].before; place && tries < TRIES; place = b->at[place].after, tries++) {
        *base = place ^ c->byte[0];
        if (fits(b, c, *base)) return 1;
    }
    *base = (uint32_t)b->n;
    return add_block(b);
}

/* ---- nodes ---- */

static struct children children_of(const struct token *sorted, const struct range *r)
{
    struct children c = { .n = 0 };
    for (size_t i = r->from; i < r->to; i++) {
        unsigned char byte = (unsigned char)sorted[i].bytes[r->depth];
        if (c.n && byte == c.byte[c.n - 1]) continue;
        c.byte[c.n] = byte;
        c.from[c.n++] = i;
    }
    c.from[c.n] = r->to;
    return c;
}

/* Tokens that wait have nothing in common, so there are never more ranges than tokens. */
static int build(struct building *b, const struct token *sorted, struct range *waiting, size_t tokens)
{
    size_t n = 0;
    if (!add_block(b)) return 0;
    waiting[n++] = (struct range){ 0, tokens, 0, 0 };
    while (n > 0) {
        struct range r = waiting[--n];
        for (; r.from < r.to && sorted[r.from].size == r.depth; r.from++) b->at[r.node].node.token = sorted[r.from].id;
        if (r.from == r.to) continue;
        struct children c = children_of(sorted, &r);
        uint32_t base;
        if (!find_base(b, &c, &base)) return 0;
        b->at[r.node].node.base = base;
        for (int i = c.n - 1; i >= 0; i--) {
            uint32_t child = base ^ c.byte[i];
            take_out(b, child);
            b->at[child].node.parent = r.node;
            waiting[n++] = (struct range){ c.from[i], c.from[i + 1], child, r.depth + 1 };
        }
    }
    return 1;
}

static int keep(struct trie *t, struct arena *memory, const struct building *b)
{
    t->n = (uint32_t)b->n;
    t->at = take_array(memory, b->n, sizeof *t->at);
    for (uint32_t i = 0; t->at && i < t->n; i++) t->at[i] = b->at[i].node;
    return t->at != NULL;
}

int trie_build(struct trie *t, struct arena *memory, struct tokens list, const char *what)
{
    struct building b = { 0 };
    struct token *sorted = malloc((list.n + 1) * sizeof *sorted);
    struct range *waiting = malloc((list.n + 1) * sizeof *waiting);
    if (sorted && list.n) {
        memcpy(sorted, list.at, list.n * sizeof *sorted);
        qsort(sorted, list.n, sizeof *sorted, token_compare);
    }
    int done = sorted && waiting && build(&b, sorted, waiting, list.n) && keep(t, memory, &b);
    free(b.at);
    free(waiting);
    free(sorted);
    FAIL_IF(!done, E_MEMORY, "%s: no memory for a trie of %zu tokens", what, list.n);
    return 0;
}
