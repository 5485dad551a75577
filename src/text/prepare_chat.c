/* prepare_chat.c -- conversations to tokens: as in prepare.c the first pass finds what is wrong and counts, the second writes.  A set of
 * conversations is small, so one that was killed begins anew, and nothing of it is seen before all is there. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/utf8.h"
#include "text/conversations.h"
#include "text/prepare.h"
#include "text/token_files.h"

struct dialogues {
    const struct prepare_options *o;
    struct documents *texts[2];          /* by enum split; SPLIT_VAL may be NULL: then the last of the others validate, */
    double share;                        /* this much of them */
    enum split now;                      /* which of these is read */
    uint64_t found[2], empty, bytes;     /* conversations with an answer, and those without */
    uint64_t train, done;                /* so many of the first texts' train; were written */
    uint64_t learnt;
    uint64_t read, all;                  /* bytes, for progress */
    uint8_t *characters;                 /* for a vocabulary of characters */
    struct conversation talk;
    struct tokenizer *tokenizer;
    struct chat chat;
    struct rendered out; enum split side;            /* what waits to be written, and where */
    struct token_files files;
};

/* ---- the first pass ---- */

static int mark_characters(struct dialogues *p, const char *text, size_t n)
{
    if (!p->characters) return 0;
    FAIL_IF(utf8_mark(p->characters, text, n) < n, E_DATA, "a message has a NUL in it");
    return 0;
}

static void report(const struct dialogues *p, const struct document *doc)
{
    if (p->o->progress) p->o->progress(p->o->context, p->read + doc->read, p->all);
}

static int look_at(void *context, const struct document *doc)
{
    struct dialogues *p = context;
    TRY(conversation_read(&p->talk, doc));
    for (size_t i = 0; i < p->talk.n; i++) {
        TRY(mark_characters(p, p->talk.message[i].text, p->talk.message[i].n));
        p->bytes += p->talk.message[i].n;
    }
    p->found[p->now] += p->talk.n > 0;
    p->empty += !p->talk.n;
    report(p, doc);
    return 0;
}

static int pass(struct dialogues *p, int (*visit)(void *context, const struct document *doc))
{
    for (p->now = SPLIT_TRAIN; p->now <= SPLIT_VAL; p->now++) {
        if (!p->texts[p->now]) continue;
        TRY(documents_each(p->texts[p->now], NULL, documents_between, visit, p));
        p->read += documents_size(p->texts[p->now]);
    }
    return 0;
}

/* At least one on either side. */
static int share_out(struct dialogues *p)
{
    uint64_t n = p->train = p->found[SPLIT_TRAIN];
    FAIL_IF(!n, E_DATA, "%s: no conversation with an answer in it", p->o->inputs[0]);
    FAIL_IF(p->texts[SPLIT_VAL] && !p->found[SPLIT_VAL], E_DATA, "%s: no conversation with an answer in it", p->o->val);
    if (p->texts[SPLIT_VAL]) return 0;
    FAIL_IF(n == 1, E_DATA, "%s: one conversation cannot both train and validate; give others with --val FILE", p->o->inputs[0]);
    p->train = (uint64_t)((double)n * (1 - p->share));
    if (p->train == n) p->train--;
    if (p->train == 0) p->train = 1;
    return 0;
}

/* ---- the second pass ---- */

enum { GATHERED = 1 << 16 };             /* ids that go out at once */

static int put_out(struct dialogues *p)
{
    if (!p->out.ids.n) return 0;
    TRY(token_files_add(&p->files, p->side, p->out.ids.at, p->out.ids.n));
    TRY(token_files_add_flags(&p->files, p->out.flags.at, p->out.flags.size));
    rendered_clear(&p->out);
    return 0;
}

static int render(struct dialogues *p)
{
    TRY(chat_begin(&p->chat, &p->out));
    for (size_t i = 0; i < p->talk.n; i++) TRY(chat_message(&p->chat, p->talk.message[i].role, p->talk.message[i].text, p->talk.message[i].n, &p->out));
    return chat_end(&p->chat, &p->out);
}

static int write(void *context, const struct document *doc)
{
    struct dialogues *p = context;
    enum split s = p->now == SPLIT_VAL || p->done >= p->train ? SPLIT_VAL : SPLIT_TRAIN;
    TRY(conversation_read(&p->talk, doc));
    if (!p->talk.n) return 0;
    if (s != p->side) TRY(put_out(p));
    p->side = s;
    size_t before = p->out.ids.n;
    int failed = render(p);
    if (failed) return document_error(failed, doc);
    for (size_t i = before; i < p->out.flags.size; i++) p->learnt += p->out.flags.at[i] & CHAT_COUNTS;
    if ((int64_t)(p->out.ids.n - before) > p->files.set.longest) p->files.set.longest = (int64_t)(p->out.ids.n - before);
    p->done++;
    report(p, doc);
    return p->out.ids.n < GATHERED ? 0 : put_out(p);
}

/* ---- the tokenizer ---- */

/* All that is in the messages, and what the template puts around them. */
static int find_characters(struct dialogues *p, const struct chat_form *f, const struct text *system)
{
    TRY(mark_characters(p, f->before, strlen(f->before)));
    for (int r = 0; r < ROLES; r++) {
        if (!f->by[r].open) continue;
        TRY(mark_characters(p, f->by[r].open, strlen(f->by[r].open)));
        TRY(mark_characters(p, f->by[r].close, strlen(f->by[r].close)));
    }
    TRY(mark_characters(p, "\n", 1));
    TRY(mark_characters(p, system->size ? system->at : "", system->size));
    return tokenizer_of_marked(&p->tokenizer, p->characters);
}

static int choose_form(const struct dialogues *p, const struct chat_form **f, struct text *system)
{
    *f = NULL;
    if (p->tokenizer) TRY(chat_form_of(f, system, p->tokenizer, p->o->template));
    else if (strcmp(p->o->template, "auto")) TRY(chat_form_find(f, p->o->template));
    if (!*f) TRY(chat_form_find(f, "chatml"));
    if (p->o->system) text_clear(system), text_add(system, p->o->system);
    FAIL_IF(system->failed, E_MEMORY, "no memory for a chat template");
    return 0;
}

static void tell_tokens(const struct dialogues *p, uint32_t before, const struct chat_form *f)
{
    uint32_t now = tokenizer_vocab(p->tokenizer);
    if (!p->o->notices || now == before) return;
    text_format(p->o->notices, "the tokenizer has got %u special tokens for the chat template %s: ids %u to %u\n", now - before, f->name, before, now - 1);
}

static int equip(struct dialogues *p, struct text *system)
{
    const struct chat_form *f;
    TRY(choose_form(p, &f, system));
    if (p->characters) TRY(find_characters(p, f, system));
    uint32_t before = tokenizer_vocab(p->tokenizer);
    TRY(chat_equip(&p->tokenizer, f, system->size ? system->at : ""));
    tell_tokens(p, before, f);
    token_files_use(&p->files, p->tokenizer);
    strcpy(p->files.set.chat, f->name);
    return chat_open(&p->chat, p->tokenizer, "auto");
}

/* ---- all of it ---- */

static int start(struct dialogues *p)
{
    const struct prepare_options *o = p->o;
    TRY(documents_open(&p->texts[SPLIT_TRAIN], o->inputs, o->n, documents_whole, o->notices));
    TRY(prepare_validation(o, documents_whole, &p->texts[SPLIT_VAL], &p->share));
    for (int s = 0; s < 2; s++)
        if (p->texts[s]) p->all += 2 * documents_size(p->texts[s]);
    if (strcmp(o->tokenizer, "char")) return tokenizer_find(&p->tokenizer, o->tokenizer, o->out);
    p->characters = calloc(UTF8_POINTS / 8, 1);
    FAIL_IF(!p->characters, E_MEMORY, "no memory to count characters");
    return 0;
}

static int write_files(struct dialogues *p)
{
    struct text system = { 0 };
    TRY(token_files_clear(&p->files));
    TRY(pass(p, look_at));
    TRY(share_out(p));
    int failed = equip(p, &system);
    text_free(&system);
    if (failed) return failed;
    TRY(pass(p, write));
    TRY(put_out(p));
    return token_files_commit(&p->files, p->tokenizer);
}

static void tell_done(const struct dialogues *p, struct prepared *done)
{
    *done = (struct prepared){ .train = token_files_all(&p->files, SPLIT_TRAIN), .val = token_files_all(&p->files, SPLIT_VAL), .documents = p->done, .bytes = p->bytes,
                               .learnt = p->learnt, .vocab = p->files.set.vocab };
    strcpy(done->chat, p->files.set.chat);
    if (p->empty && p->o->notices) text_format(p->o->notices, "%llu entries without an answer were left out\n", (unsigned long long)p->empty);
}

static int run(struct dialogues *p, struct prepared *done)
{
    FAIL_IF(p->o->format != TOKENS_NANOGPT, E_USAGE, "llm.c's files have no place for what is learnt of conversations; leave out --format, or give --template=none");
    TRY(start(p));
    TRY(token_files_create(&p->files, p->o->out, TOKENS_NANOGPT, 0));
    int failed = write_files(p);
    if (!failed) tell_done(p, done);
    token_files_discard(&p->files);
    return failed;
}

int prepare_conversations(const struct prepare_options *o, struct prepared *done)
{
    struct dialogues p = { .o = o };
    int failed = run(&p, done);
    chat_close(&p.chat);
    tokenizer_free(p.tokenizer);
    for (int s = 0; s < 2; s++) documents_close(p.texts[s]);
    conversation_free(&p.talk);
    rendered_free(&p.out);
    free(p.characters);
    return failed;
}

int prepare_is_chat(const struct prepare_options *o)
{
    if (!o->template || !strcmp(o->template, "none")) return 0;
    return strcmp(o->template, "auto") || conversations_look(o->inputs, o->n, o->field ? o->field : "");
}
