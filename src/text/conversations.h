/* conversations.h -- conversations from JSON: one object a line, or the entries of an array (file/documents.h).
 *
 *     {"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}, ...]}       also {"conversations": [{"from", "value"} ...]}
 *     {"prompt": "...", "completion": "..."}                               also {"question", "answer"}
 *     {"instruction": "...", "input": "...", "output": "..."}              input: may be missing or empty; else it follows the instruction
 *
 * Others of an object's keys are passed over, "system" but in the first kind: it is a text. */
#ifndef TEXT_CONVERSATIONS_H
#define TEXT_CONVERSATIONS_H
#include "base/json.h"
#include "file/documents.h"
#include "token/chat.h"

enum { MOST_MESSAGES = 4096 };
struct message { enum role role; const char *text; size_t n; };

struct conversation {
    json_t *root;                        /* what the texts lie in */
    struct text joined;                  /* and what was put together */
    struct message *message; size_t n, room;
};

/* What a document says, in *c (zeroed at first, used again, freed by conversation_free), up to the last answer: what follows that nobody learns from.
 * n = 0: nobody answers.  E_DATA names file and line: it is not JSON, no conversation, a role that templates do not know, a system that speaks late. */
int  conversation_read(struct conversation *c, const struct document *doc);
void conversation_free(struct conversation *c);

/* Is the first text of these inputs a conversation?  Only by files named .json or .jsonl; what cannot be read is none. */
int conversations_look(const char *const *inputs, int n, const char *field);

#endif
