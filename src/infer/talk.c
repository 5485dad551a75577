/* talk.c -- a stream of ids, and which of them begin a turn. */
#include "infer/talk.h"

#include <string.h>

#include "base/error.h"

enum { LEAST_ANSWER = 4 };               /* a quarter of the context, unless a shorter answer is asked for, is kept free for it */

int talk_open(struct talk *t, struct session *s, const struct tokenizer *tokenizer, const char *name)
{
    *t = (struct talk){ .session = s };
    int code = chat_open(&t->chat, tokenizer, name);
    if (!code) code = talk_reset(t);
    if (code) talk_close(t);
    return code;
}

void talk_close(struct talk *t)
{
    chat_close(&t->chat);
    ids_free(&t->stream.ids);
    text_free(&t->flags);
    rendered_free(&t->turn);
    *t = (struct talk){ 0 };
}

/* What was rendered goes behind what is there. */
static int append(struct talk *t)
{
    text_bytes(&t->flags, t->turn.flags.at, t->turn.flags.size);
    FAIL_IF(t->flags.failed, E_MEMORY, "no memory for a conversation");
    TRY(ids_add(&t->stream.ids, t->turn.ids.at, t->turn.ids.n));
    rendered_clear(&t->turn);
    return 0;
}

int talk_reset(struct talk *t)
{
    t->stream.ids.n = t->stream.shown = 0;
    text_clear(&t->flags);
    rendered_clear(&t->turn);
    return chat_begin(&t->chat, &t->turn);
}

/* ---- room ---- */

static size_t next_turn(const struct talk *t, size_t at)
{
    while (at < t->flags.size && !(t->flags.at[at] & CHAT_TURN)) at++;
    return at;
}

static void forget(struct talk *t, size_t from, size_t to)
{
    struct ids *ids = &t->stream.ids;
    memmove(ids->at + from, ids->at + to, (ids->n - to) * sizeof *ids->at);
    memmove(t->flags.at + from, t->flags.at + to, t->flags.size - to);
    ids->n -= to - from;
    t->flags.size -= to - from;
    if (t->stream.shown > from) t->stream.shown = from;      /* what is behind moves to other positions */
}

/* The oldest turns go until so many positions are free; the last one, which begins at `last`, stays.  What cannot be helped fails before any goes. */
static int make_room(struct talk *t, size_t last, size_t wanted, size_t *left_out)
{
    size_t context = (size_t)t->session->context, first = next_turn(t, 0), least = t->stream.ids.n - last + (first < last ? first : last);
    FAIL_IF(least >= context, E_USAGE, "that takes %zu tokens, and there are %zu positions, answers included; say it shorter", least, context);
    while (t->stream.ids.n + wanted > context && first < last) {
        size_t second = next_turn(t, first + 1);
        forget(t, first, second);
        last -= second - first;
        ++*left_out;
    }
    return 0;
}

/* ---- a turn ---- */

static int ask(struct talk *t, const char *text, size_t n, size_t wanted, size_t *left_out)
{
    size_t before = t->stream.ids.n;
    TRY(chat_message(&t->chat, ROLE_USER, text, n, &t->turn));
    TRY(chat_ask(&t->chat, &t->turn));
    TRY(append(t));
    return make_room(t, before, wanted, left_out);
}

/* As if nothing had been said since then. */
static int take_back(struct talk *t, size_t before, const struct chat *chat, int code)
{
    char why[ERROR_TEXT];
    error_copy(why);
    t->stream.ids.n = t->flags.size = before;
    rendered_clear(&t->turn);
    text_clear(&t->chat.run);
    t->chat.behind = chat->behind, t->chat.read = chat->read, t->chat.pending = chat->pending;
    if (!before) talk_reset(t);
    return error_set(code, __FILE__, __LINE__, "%s", why);
}

static int answer(struct talk *t, const struct generation *g, struct talked *told)
{
    struct generation own = *g;
    struct stream *const streams[] = { &t->stream };
    size_t before = t->stream.ids.n;
    int64_t left = t->session->context - (int64_t)before;
    own.at_special = 1;
    own.max_new = g->max_new < left ? g->max_new : left;
    int code = generate(t->session, &own, streams, 1, t->turns++);
    told->tokens = (int64_t)(t->stream.ids.n - before);
    told->end = told->tokens == own.max_new ? TALK_CUT : TALK_DONE;
    char *flags = text_more(&t->flags, (size_t)told->tokens);
    FAIL_IF(!flags, E_MEMORY, "no memory for a conversation");
    memset(flags, CHAT_COUNTS, (size_t)told->tokens);
    return code;
}

int talk_say(struct talk *t, const char *text, size_t n, const struct generation *g, struct talked *told)
{
    const struct chat chat = t->chat;
    int64_t most = t->session->context / LEAST_ANSWER;
    size_t before = t->stream.ids.n;
    *told = (struct talked){ 0 };
    int code = ask(t, text, n, (size_t)(g->max_new < most ? g->max_new : most), &told->left_out);
    if (code) return take_back(t, before, &chat, code);
    code = answer(t, g, told);
    if (code && code != E_STOPPED) return code;
    TRY(chat_answered(&t->chat, &t->turn));
    TRY(chat_end(&t->chat, &t->turn));
    TRY(append(t));
    return code;
}
