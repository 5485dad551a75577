/* answers.c -- items become pairs of ids, and scores become answers, in the order of the items. */
#include "infer/answers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/utf8.h"
#include "token/unicode.h"

struct asking {
    struct scorer *scorer;
    const struct tokenizer *tokenizer;
    const struct items *items;
    struct tally *tally;
    int (*visit)(void *context, const struct answer *a);
    void *context;
    struct score *score, *told;          /* of all choices; the first whose item was not yet told of */
    size_t next;                         /* that item */
    struct text text; struct ids ids, before;
};

/* ---- pairs ---- */

static size_t without_blanks(const char *text, size_t n)
{
    size_t size;
    while (n && unicode_is_space(utf8_last(text, n, &size))) n -= size;
    return n;
}

/* The ids of both texts together; *from: how many are the context's. */
static int encode_pair(struct asking *a, const struct choice *c, size_t *from)
{
    const struct tokenizer *t = a->tokenizer;
    size_t n, context;
    const uint32_t *front = tokenizer_template(t, 0, &n);
    int64_t end = tokenizer_end(t);
    text_clear(&a->text);
    text_bytes(&a->text, a->items->shots.text ? a->items->shots.text : "", a->items->shots.n);
    text_bytes(&a->text, c->context.text, c->context.n);
    context = a->text.failed ? 0 : without_blanks(a->text.at, a->text.size);
    text_bytes(&a->text, c->continuation.text, c->continuation.n);
    FAIL_IF(a->text.failed, E_MEMORY, "no memory for a question");
    a->ids.n = a->before.n = 0;
    if (n) TRY(ids_add(&a->ids, front, n));
    else if (!context && end >= 0) TRY(ids_add(&a->ids, &(uint32_t){ (uint32_t)end }, 1));
    TRY(tokenizer_encode(t, a->text.at, context, SPECIALS_AS_TEXT, &a->before));
    *from = a->ids.n + a->before.n;
    return tokenizer_encode(t, a->text.at, a->text.size, SPECIALS_AS_TEXT, &a->ids);
}

static int join_pair(struct asking *a, const struct choice *c, size_t *from)
{
    a->ids.n = 0;
    TRY(ids_add(&a->ids, c->context.ids, c->context.n));
    *from = a->ids.n;
    return ids_add(&a->ids, c->continuation.ids, c->continuation.n);
}

static int ask(struct asking *a, const struct choice *c, struct score *score)
{
    size_t from = 0;
    TRY(c->context.ids ? join_pair(a, c, &from) : encode_pair(a, c, &from));
    FAIL_IF(!from, E_DATA, "nothing stands before what is to be foretold, and the tokenizer has no token that begins a text");
    FAIL_IF(from >= a->ids.n, E_DATA, "the tokenizer makes no tokens of a choice");
    return scorer_add(a->scorer, a->ids.at, a->ids.n, from, score);
}

/* ---- answers ---- */

static double measured(const struct score *s, const struct choice *c, enum measure m)
{
    return m == BY_SUM ? s->log_p : s->log_p / (m == BY_TOKEN ? (double)s->tokens : (double)c->characters);
}

static int pick(const struct answer *a, enum measure m)
{
    int best = 0;
    for (int i = 0; i < a->item->choices; i++) {
        const struct choice *c = a->item->choice;
        if (m == BY_CHARACTER && !c[i].characters && c[i].context.ids) return -1;
        if (measured(&a->score[i], &c[i], m) > measured(&a->score[best], &c[best], m)) best = i;
    }
    return best;
}

static void count(struct tally *t, const struct answer *a, int is_cloze)
{
    const struct score *right = &a->score[a->item->answer];
    t->items++;
    t->cut += (size_t)a->cut;
    for (int m = 0; m < MEASURES; m++) {
        t->right[m] += is_cloze ? (size_t)right->greedy : (size_t)(a->pick[m] == a->item->answer);
        t->lacks[m] |= a->pick[m] < 0;
    }
    t->chance += (1.0 / a->item->choices - t->chance) / (double)t->items;
    t->log_p += right->log_p;
    t->squares += right->log_p * right->log_p;
    t->tokens += right->tokens;
}

/* Of the next items, as far as they are complete and asked for. */
static int tell(struct asking *a, size_t asked)
{
    for (; a->next < asked; a->next++) {
        struct answer answer = { .item = &a->items->at[a->next], .score = a->told };
        for (int i = 0; i < answer.item->choices; i++) {
            if (a->told[i].left) return 0;
            answer.cut |= a->told[i].cut > 0;
        }
        for (int m = 0; m < MEASURES; m++) answer.pick[m] = pick(&answer, m);
        count(a->tally, &answer, a->items->is_cloze);
        if (a->visit) TRY(a->visit(a->context, &answer));
        a->told += answer.item->choices;
    }
    return 0;
}

static int ask_all(struct asking *a)
{
    struct score *score = a->score;
    for (size_t i = 0; i < a->items->n; i++) {
        const struct item *item = &a->items->at[i];
        for (int c = 0; c < item->choices; c++) {
            int failed = ask(a, &item->choice[c], score++);
            if (failed) return error_prefix(failed, "%s: %s %llu, choice %d", a->items->path, item->choice->context.ids ? "example" : "line", (unsigned long long)item->line, c);
        }
        TRY(tell(a, i));
    }
    TRY(scorer_finish(a->scorer));
    return tell(a, a->items->n);
}

int answers_each(struct scorer *s, const struct tokenizer *tokenizer, const struct items *items, struct tally *tally,
                 int (*visit)(void *context, const struct answer *a), void *context)
{
    struct asking a = { .scorer = s, .tokenizer = tokenizer, .items = items, .tally = tally, .visit = visit, .context = context };
    size_t n = 0;
    *tally = (struct tally){ 0 };
    for (size_t i = 0; i < items->n; i++) n += (size_t)items->at[i].choices;
    a.score = a.told = calloc(n, sizeof *a.score);
    FAIL_IF(!a.score, E_MEMORY, "no memory for the scores of %zu choices", n);
    int failed = ask_all(&a);
    free(a.score);
    text_free(&a.text);
    ids_free(&a.ids);
    ids_free(&a.before);
    return failed;
}

/* ---- what comes of them ---- */

double tally_share(const struct tally *t, enum measure m, double *error)
{
    double n = (double)t->items, p = (double)t->right[m] / n;
    *error = n > 1 ? sqrt(p * (1 - p) / (n - 1)) : NAN;
    return t->lacks[m] ? NAN : p;
}

double tally_loss(const struct tally *t, double *error)
{
    double n = (double)t->items, mean = -t->log_p / n, variance = t->squares / n - mean * mean;
    *error = n > 1 ? sqrt((variance < 0 ? 0 : variance) / (n - 1)) : NAN;
    return mean;
}
