/* chat.c -- messages to ids: marks are looked up, the text between them is encoded in runs. */
#include "token/chat.h"

#include <string.h>

#include "base/error.h"
#include "base/utf8.h"
#include "token/encoders.h"
#include "token/tokenizer_core.h"
#include "token/unicode.h"

const char *const role_names[ROLES] = { "system", "user", "assistant" };

void rendered_clear(struct rendered *r)
{
    r->ids.n = 0;
    text_clear(&r->flags);
}

void rendered_free(struct rendered *r)
{
    ids_free(&r->ids);
    text_free(&r->flags);
}

/* ---- ids and their flags ---- */

static int flag(struct chat *c, size_t n, unsigned char flags, struct rendered *out)
{
    char *to = text_more(&out->flags, n);
    FAIL_IF(!to, E_MEMORY, "no memory for a conversation");
    memset(to, flags, n);
    if (n) *to = (char)(flags | c->pending), c->pending = 0;
    return 0;
}

/* The run, which begins behind a token or goes on with a text. */
static int flush(struct chat *c, unsigned char flags, struct rendered *out)
{
    size_t before = out->ids.n;
    FAIL_IF(c->run.failed, E_MEMORY, "no memory for a conversation");
    if (!c->run.size) return 0;
    TRY((c->behind ? encoder_add_behind : encoder_add)(c->encoder, c->run.at, c->run.size, c->read, &out->ids));
    c->read += c->run.size;
    c->behind = 0;
    text_clear(&c->run);
    return flag(c, out->ids.n - before, flags, out);
}

static int put_token(struct chat *c, uint32_t id, unsigned char flags, struct rendered *out)
{
    TRY(flush(c, 0, out));
    TRY(ids_add(&out->ids, &id, 1));
    c->behind = 1;
    c->read = 0;
    return flag(c, 1, flags, out);
}

/* ---- a form's texts ---- */

/* The mark that a text begins with, and its id; 0: it begins with none. */
static size_t mark_at(const struct chat *c, const char *text, uint32_t *id)
{
    const struct chat_form *f = c->form;
    if (!strncmp(text, CHAT_END, sizeof CHAT_END - 1)) return *id = (uint32_t)c->end, sizeof CHAT_END - 1;
    for (int i = 0; i < CHAT_MARKS && f->mark[i]; i++) {
        size_t n = strlen(f->mark[i]);
        if (!strncmp(text, f->mark[i], n)) return *id = (uint32_t)c->mark_id[i], n;
    }
    return 0;
}

/* first: the flags of its first mark. */
static int put(struct chat *c, const char *text, unsigned char first, struct rendered *out)
{
    while (*text) {
        uint32_t id;
        size_t n = mark_at(c, text, &id);
        if (!n) text_bytes(&c->run, text++, 1);
        else TRY(put_token(c, id, first, out));
        if (n) text += n, first = 0;
    }
    return 0;
}

/* ---- what is said ---- */

/* Python's str.strip, which Jinja's trim is, takes four controls more than Unicode calls white space. */
static int is_blank(int32_t point) { return unicode_is_space(point) || (point >= 0x1c && point <= 0x1f); }

static void trim(const char **text, size_t *n)
{
    size_t size;
    while (*n && is_blank(utf8_next(*text, *n, &size))) *text += size, *n -= size;
    while (*n && is_blank(utf8_last(*text, *n, &size))) *n -= size;
}

static int say(struct chat *c, enum role role, const char *text, size_t n, struct rendered *out)
{
    const struct chat_form *f = c->form;
    if (f->trims) trim(&text, &n);
    if (!f->by[role].open) {                                 /* the system of a form that has no place for it */
        text_bytes(&c->lead, text, n);
        text_add(&c->lead, "\n\n");
        return 0;
    }
    if (role == ROLE_USER) {
        TRY(flush(c, 0, out));
        c->pending |= CHAT_TURN;
    }
    TRY(put(c, f->by[role].open, 0, out));
    if (role == ROLE_USER && c->lead.size) {
        text_bytes(&c->run, c->lead.at, c->lead.size);
        text_clear(&c->lead);
    }
    if (role == ROLE_ASSISTANT) TRY(flush(c, 0, out));
    text_bytes(&c->run, text, n);
    if (role == ROLE_ASSISTANT) TRY(flush(c, CHAT_COUNTS, out));
    return put(c, f->by[role].close, role == ROLE_ASSISTANT ? CHAT_COUNTS : 0, out);
}

int chat_begin(struct chat *c, struct rendered *out)
{
    text_clear(&c->run);
    text_clear(&c->lead);
    c->begun = c->behind = 0;
    c->read = 0;
    c->pending = CHAT_BEGINS;
    return put(c, c->form->before, 0, out);
}

static int begin_saying(struct chat *c, enum role role, struct rendered *out)
{
    if (c->begun) return 0;
    c->begun = 1;
    return role != ROLE_SYSTEM && c->system.size ? say(c, ROLE_SYSTEM, c->system.at, c->system.size, out) : 0;
}

int chat_message(struct chat *c, enum role role, const char *text, size_t n, struct rendered *out)
{
    TRY(begin_saying(c, role, out));
    return say(c, role, text, n, out);
}

int chat_ask(struct chat *c, struct rendered *out)
{
    TRY(begin_saying(c, ROLE_ASSISTANT, out));
    TRY(put(c, c->form->by[ROLE_ASSISTANT].open, 0, out));
    return flush(c, 0, out);
}

int chat_answered(struct chat *c, struct rendered *out) { return put(c, c->form->by[ROLE_ASSISTANT].close, CHAT_COUNTS, out); }

int chat_end(struct chat *c, struct rendered *out) { return flush(c, 0, out); }

/* ---- open and close ---- */

static int look_up(struct chat *c)
{
    const struct chat_form *f = c->form;
    int64_t end = tokenizer_end(c->tokenizer);
    for (int i = 0; i < CHAT_MARKS && f->mark[i]; i++) {
        int64_t id = tokenizer_added(c->tokenizer, f->mark[i]);
        FAIL_IF(id < 0 || !tokenizer_is_special(c->tokenizer, (uint32_t)id), E_DATA, "the tokenizer has no special token %s, which the chat template %s needs; finetune on conversations first (nib data), or choose another --template", f->mark[i], f->name);
        c->mark_id[i] = (size_t)id;
    }
    FAIL_IF(end < 0 && !strcmp(f->stop, CHAT_END), E_DATA, "the tokenizer has no end token, by which the chat template %s ends answers", f->name);
    c->end = (size_t)end;
    return 0;
}

int chat_open(struct chat *c, const struct tokenizer *t, const char *name)
{
    *c = (struct chat){ .tokenizer = t };
    int code = chat_form_of(&c->form, &c->system, t, name);
    if (!code && !c->form) code = error_set(E_DATA, __FILE__, __LINE__, "the model's files name no chat template, so it was hardly made for conversations; --template=chatml uses that one");
    if (!code) code = look_up(c);
    if (!code) code = encoder_open(&c->encoder, t, SPECIALS_AS_TEXT, 1 << 16);
    if (code) chat_close(c);
    return code;
}

void chat_close(struct chat *c)
{
    encoder_close(c->encoder);
    text_free(&c->system);
    text_free(&c->run);
    text_free(&c->lead);
    *c = (struct chat){ 0 };
}
