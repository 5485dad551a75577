/* conversations.c -- the shapes in which people keep conversations, a row each. */
#include "text/conversations.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/grow.h"

/* An object with these keys; the one that may be missing stands between. */
static const struct pair { const char *user, *more, *assistant; } pairs[] = {
    { "prompt", NULL, "completion" },
    { "instruction", "input", "output" },
    { "question", NULL, "answer" },
};
static const struct list { const char *key, *role, *text; } lists[] = {
    { "messages", "role", "content" },
    { "conversations", "from", "value" },
};
enum { PAIRS = sizeof pairs / sizeof *pairs, LISTS = sizeof lists / sizeof *lists };

static const struct { const char *name; enum role role; } roles[] = {
    { "system", ROLE_SYSTEM }, { "user", ROLE_USER }, { "human", ROLE_USER }, { "assistant", ROLE_ASSISTANT }, { "gpt", ROLE_ASSISTANT },
};

static const struct list *list_of(const json_t *root)
{
    for (const struct list *l = lists; l < lists + LISTS; l++)
        if (json_object_get(root, l->key)) return l;
    return NULL;
}

static const struct pair *pair_of(const json_t *root)
{
    for (const struct pair *p = pairs; p < pairs + PAIRS; p++)
        if (json_object_get(root, p->user) && json_object_get(root, p->assistant)) return p;
    return NULL;
}

/* ---- messages ---- */

static int add(struct conversation *c, enum role role, const char *text)
{
    FAIL_IF(!grow(&c->message, &c->room, c->n + 1, sizeof *c->message), E_MEMORY, "no memory for a conversation");
    c->message[c->n++] = (struct message){ role, text, strlen(text) };
    return 0;
}

static int find_role(enum role *role, const char *name, size_t i)
{
    for (size_t k = 0; k < sizeof roles / sizeof *roles; k++)
        if (!strcmp(roles[k].name, name)) return *role = roles[k].role, 0;
    FAIL(E_DATA, "message %zu: the role \"%.40s\" has no place in a chat template; there are system, user and assistant", i + 1, name);
}

static int read_message(struct conversation *c, const struct list *l, const json_t *one, size_t i)
{
    const char *name, *text;
    char what[48];
    enum role role = ROLE_USER;
    snprintf(what, sizeof what, "message %zu", i + 1);
    TRY(json_get_string(one, l->role, &name, what));
    TRY(json_get_string(one, l->text, &text, what));
    TRY(find_role(&role, name, i));
    FAIL_IF(role == ROLE_SYSTEM && i, E_DATA, "message %zu: the system speaks first or not at all", i + 1);
    return add(c, role, text);
}

static int read_list(struct conversation *c, const struct list *l)
{
    size_t i;
    json_t *all, *one;
    TRY(json_get_array(c->root, l->key, &all, "a conversation"));
    FAIL_IF(json_array_size(all) > MOST_MESSAGES, E_DATA, "%zu messages are too many; there may be %d", json_array_size(all), MOST_MESSAGES);
    json_array_foreach (all, i, one) TRY(read_message(c, l, one, i));
    return 0;
}

static int read_pair(struct conversation *c, const struct pair *p)
{
    const char *user, *more = "", *assistant;
    TRY(json_get_string(c->root, p->user, &user, "a conversation"));
    TRY(json_get_string(c->root, p->assistant, &assistant, "a conversation"));
    if (p->more && json_has(c->root, p->more)) TRY(json_get_string(c->root, p->more, &more, "a conversation"));
    if (*more) {
        text_format(&c->joined, "%s\n\n%s", user, more);
        FAIL_IF(c->joined.failed, E_MEMORY, "no memory for a conversation");
        user = c->joined.at;
    }
    if (json_has(c->root, "system")) {
        const char *system;
        TRY(json_get_string(c->root, "system", &system, "a conversation"));
        if (*system) TRY(add(c, ROLE_SYSTEM, system));
    }
    TRY(add(c, ROLE_USER, user));
    return add(c, ROLE_ASSISTANT, assistant);
}

/* ---- an object ---- */

static int read_object(struct conversation *c)
{
    const struct list *l = list_of(c->root);
    const struct pair *p = pair_of(c->root);
    FAIL_IF(!l && !p, E_DATA, "no conversation: neither \"messages\", nor \"prompt\" and \"completion\", nor \"instruction\" and \"output\"");
    TRY(l ? read_list(c, l) : read_pair(c, p));
    while (c->n && (c->message[c->n - 1].role != ROLE_ASSISTANT || !c->message[c->n - 1].n)) c->n--;
    return 0;
}

static int parse(struct conversation *c, const char *text, size_t n)
{
    json_decref(c->root);
    text_clear(&c->joined);
    c->n = 0;
    TRY(json_parse(&c->root, text, n, "its JSON"));
    return read_object(c);
}

int conversation_read(struct conversation *c, const struct document *doc)
{
    int failed = parse(c, doc->text, doc->n);
    return failed ? document_error(failed, doc) : 0;
}

void conversation_free(struct conversation *c)
{
    json_decref(c->root);
    text_free(&c->joined);
    free(c->message);
    *c = (struct conversation){ 0 };
}

/* ---- is it one? ---- */

enum { SEEN = -1 };                      /* the first document was; it ends the visit */
struct look { const char *field; int is; };

static int look_at(void *context, const struct document *doc)
{
    struct look *l = context;
    json_t *root;
    if (json_parse(&root, doc->text, doc->n, "")) return SEEN;
    l->is = (list_of(root) || pair_of(root)) && !json_is_string(json_object_get(root, l->field));
    json_decref(root);
    return SEEN;
}

int conversations_look(const char *const *inputs, int n, const char *field)
{
    static const char *const suffixes[] = { ".json", ".jsonl", ".json.gz", ".jsonl.gz" };
    struct look l = { .field = field };
    struct documents *d;
    int named = 0;
    for (size_t i = 0; n && i < sizeof suffixes / sizeof *suffixes; i++) named |= path_is_file(inputs[0]) && path_has_suffix(inputs[0], suffixes[i]);
    if (named && !documents_open(&d, inputs, 1, documents_whole, NULL)) {
        documents_each(d, NULL, documents_between, look_at, &l);
        documents_close(d);
    }
    error_clear();
    return l.is;
}

#ifdef FUZZ_CONVERSATIONS
/* What is read ends with an answer, begins with the system or has none, and is UTF-8 that ends where it should. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct conversation c = { 0 };
    const struct document doc = { .text = (const char *)data, .n = size, .path = "fuzz", .at.line = 1 };
    for (int again = 0; again < 2; again++) {
        if (conversation_read(&c, &doc)) continue;
        if (c.n && (c.message[c.n - 1].role != ROLE_ASSISTANT || c.n > MOST_MESSAGES)) abort();
        for (size_t i = 0; i < c.n; i++)
            if ((i && c.message[i].role == ROLE_SYSTEM) || strlen(c.message[i].text) != c.message[i].n) abort();
    }
    conversation_free(&c);
    return 0;
}
#endif
