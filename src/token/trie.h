/* trie.h -- which tokens begin at a place of a text: a walk over the text's bytes, one step a byte.
 *
 * A double array (Aoe 1989; on bytes by exclusive or, as in Darts-clone): the child of a node by a byte lies at base ^ byte, if what lies
 * there says that it is the node's.  Node 0 is the root. */
#ifndef TOKEN_TRIE_H
#define TOKEN_TRIE_H
#include <stdint.h>

#include "base/arena.h"
#include "token/vocab.h"

#define TRIE_NONE UINT32_MAX

struct trie_node {
    uint32_t base, parent;
    uint32_t token;                      /* the id of the token that ends here, TRIE_NONE if none does */
};
struct trie { struct trie_node *at; uint32_t n; };           /* n: a multiple of 256, so that every base ^ byte is one of them */

/* The child of a node, 0 if it has none by this byte. */
static inline uint32_t trie_child(const struct trie *t, uint32_t node, unsigned char byte)
{
    uint32_t child = t->at[node].base ^ byte;
    return t->at[child].parent == node ? child : 0;
}

/* All bytes of all tokens; of equal tokens one counts.  Time is linear in the bytes, but for sorting the tokens. */
int trie_build(struct trie *t, struct arena *memory, struct tokens list, const char *what);

#endif
