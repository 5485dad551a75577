/* tokenizer_extend.c -- a tokenizer with more special tokens, by way of its tokenizer.json, which says all that a tokenizer is. */
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "token/tokenizer_stages.h"

int tokenizer_set_chat(struct tokenizer *t, const char *jinja)
{
    t->chat = arena_copy(&t->memory, jinja);
    FAIL_IF(!t->chat, E_MEMORY, "no memory for a chat template");
    return 0;
}

/* Hugging Face's library numbers added tokens that the vocabulary does not list by itself, from its end on: so do we. */
static int add_tokens(json_t *file, uint32_t first, const char *const *content, size_t n)
{
    json_t *list = json_object_get(file, "added_tokens");
    if (!json_is_array(list)) json_object_set_new(file, "added_tokens", list = json_array());
    for (size_t i = 0; i < n; i++) {
        const struct token one = { .bytes = content[i], .size = (uint32_t)strlen(content[i]), .id = first + (uint32_t)i, .flags = TOKEN_ADDED | TOKEN_SPECIAL };
        FAIL_IF(json_array_append_new(list, added_to_json(&one)), E_MEMORY, "no memory for added tokens");
    }
    return 0;
}

static int make_extended(struct tokenizer **out, const struct tokenizer *t, const char *const *content, size_t n)
{
    json_t *root;
    struct tokenizer *new = NULL;
    TRY(tokenizer_to_json(t, &root));
    json_t *file = json_deep_copy(root);                     /* the old one may be the tokenizer's own */
    json_decref(root);
    FAIL_IF(!file, E_MEMORY, "no memory for a tokenizer");
    int failed = add_tokens(file, t->vocab.n, content, n);
    if (!failed) failed = tokenizer_new(&new);
    if (!failed) failed = tokenizer_of_json(new, file, "a tokenizer with tokens added");
    if (!failed) new->end = t->end;
    if (!failed && t->chat) failed = tokenizer_set_chat(new, t->chat);
    json_decref(file);
    if (failed) tokenizer_free(new);
    else *out = new;
    return failed;
}

int tokenizer_extend(struct tokenizer **t, const char *const *content, size_t n)
{
    struct tokenizer *new;
    TRY(make_extended(&new, *t, content, n));
    tokenizer_free(*t);
    *t = new;
    return 0;
}

int tokenizer_extends(const struct tokenizer *t, const struct tokenizer *other)
{
    enum { MOST = 64 };
    const char *more[MOST];
    struct tokenizer *extended;
    if (!strcmp(t->fingerprint, other->fingerprint)) return 1;
    if (t->vocab.n <= other->vocab.n || t->vocab.n - other->vocab.n > MOST) return 0;
    for (uint32_t id = other->vocab.n; id < t->vocab.n; id++) {
        if (!(t->vocab.at[id].flags & TOKEN_SPECIAL)) return 0;
        more[id - other->vocab.n] = t->vocab.at[id].bytes;
    }
    if (make_extended(&extended, other, more, t->vocab.n - other->vocab.n)) return error_clear(), 0;
    int is = !strcmp(extended->fingerprint, t->fingerprint);
    tokenizer_free(extended);
    return is;
}
