/* chat.h -- conversations as text and as ids: chat templates.
 *
 * A form is a row of a table (chat_forms.c): what stands before and behind what each role says, which of these texts are special
 * tokens ("marks"), and with which mark an answer ends.  Nothing is interpreted: the Jinja text that a model's files hold is recognised by
 * its marks, or refused with the reason; ours, which transformers understands, is made from the row.
 *
 * What people say is encoded as text, whatever it looks like: "<|im_start|>" in a message is some letters and signs, never the mark.
 * (Libraries that render a conversation to one text and encode that cannot tell the two apart.)  Elsewhere the ids are those of the rendered
 * text, but that what the model says is encoded by itself, since it will also say it by itself; so is each user's turn, where a long
 * conversation may be cut. */
#ifndef TOKEN_CHAT_H
#define TOKEN_CHAT_H
#include "token/tokenizer.h"

enum role { ROLE_SYSTEM, ROLE_USER, ROLE_ASSISTANT, ROLES };
extern const char *const role_names[ROLES];

#define CHAT_END "{eos}"                 /* in a form's texts: the tokenizer's end token */
enum { CHAT_MARKS = 6 };
struct chat_form {
    const char *name;
    const char *before;                  /* a conversation */
    struct { const char *open, *close; } by[ROLES];          /* a system without: its text and an empty line go before what the user says first */
    const char *mark[CHAT_MARKS];        /* the special tokens among these texts, the last one NULL */
    const char *stop;                    /* the mark that ends an answer, the first of its close; CHAT_END */
    int trims;                           /* white space around messages is dropped */
};

/* ---- which form (chat_forms.c) ---- */

/* By name: E_USAGE lists the names there are. */
int chat_form_find(const struct chat_form **f, const char *name);
/* By a template's text: the form and the text of the system where a conversation brings none (empty: none).  E_DATA says what it does that no form does. */
int chat_recognise(const struct chat_form **f, struct text *system, const char *jinja, const char *what);
/* What the tokenizer's files ask for (none: *f = NULL), or, if `name` is not "auto", the form of that name. */
int chat_form_of(const struct chat_form **f, struct text *system, const struct tokenizer *t, const char *name);
void chat_jinja(const struct chat_form *f, const char *system, struct text *out);        /* ours, for transformers; system: "" if there is none */

/* *t becomes a tokenizer that has the form's marks, as new ids behind all others where it lacks them, and saves its template; its end token is the
 * one that ends answers.  E_DATA: a mark is a token already, but not a special one. */
int chat_equip(struct tokenizer **t, const struct chat_form *f, const char *system);

/* ---- rendering (chat.c) ---- */

/* Of each id. */
enum { CHAT_COUNTS = 1,                  /* said by the assistant, the mark that ends it included: it is learnt */
       CHAT_BEGINS = 2,                  /* a conversation begins with it */
       CHAT_TURN = 4 };                  /* what a user says begins with it: what is before it can be left out */
struct rendered { struct ids ids; struct text flags; };      /* a byte of flags each */
void rendered_clear(struct rendered *r);
void rendered_free(struct rendered *r);

struct chat {
    const struct chat_form *form;
    const struct tokenizer *tokenizer;
    struct encoder *encoder;
    struct text system;                  /* what goes without saying; may be changed between conversations */
    struct text run, lead;               /* text that is not yet encoded; a system's, waiting for the user */
    int begun, behind;                   /* somebody has said something; the run stands behind a token */
    uint64_t read;                       /* bytes encoded since that token */
    unsigned char pending;               /* flags of the next id */
    size_t mark_id[CHAT_MARKS], end;
};

/* `name`: of a form, or "auto".  E_DATA: the tokenizer has no template, or lacks one of its marks. */
int  chat_open(struct chat *c, const struct tokenizer *t, const char *name);
void chat_close(struct chat *c);

/* All append to *out.  A conversation is begun, then said message by message.  The system speaks first or not at all. */
int chat_begin(struct chat *c, struct rendered *out);
int chat_message(struct chat *c, enum role role, const char *text, size_t n, struct rendered *out);
/* The model has the word: what follows is its answer, and when that is in *out, too, its end. */
int chat_ask(struct chat *c, struct rendered *out);
int chat_answered(struct chat *c, struct rendered *out);
int chat_end(struct chat *c, struct rendered *out);                      /* what stands behind the last message */

#endif
