/* tokenizer.c -- what all tokenizers do, whatever file they come from. */
#include "token/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/file.h"
#include "token/charsmap.h"
#include "token/tokenizer_core.h"

/* ---- ids ---- */

int ids_reserve(struct ids *ids, size_t more)
{
    size_t need, room = ids->room ? ids->room : 64;
    int fits = size_add(ids->n, more, &need) && need <= SIZE_MAX / 2 / sizeof *ids->at;       /* room is less than twice of it */
    if (fits && need <= ids->room) return 0;
    while (fits && room < need) room *= 2;
    uint32_t *at = fits ? realloc(ids->at, room * sizeof *at) : NULL;
    FAIL_IF(!at, E_MEMORY, "no memory for %zu more ids after %zu", more, ids->n);
    ids->at = at;
    ids->room = room;
    return 0;
}

int ids_add(struct ids *ids, const uint32_t *more, size_t n)
{
    TRY(ids_reserve(ids, n));
    if (n) memcpy(ids->at + ids->n, more, n * sizeof *more);
    ids->n += n;
    return 0;
}

void ids_free(struct ids *ids)
{
    free(ids->at);
    *ids = (struct ids){ 0 };
}

/* ---- made of parts ---- */

int tokenizer_new(struct tokenizer **t)
{
    *t = calloc(1, sizeof **t);
    FAIL_IF(!*t, E_MEMORY, "no memory for a tokenizer");
    return 0;
}

void tokenizer_free(struct tokenizer *t)
{
    if (!t) return;
    split_close(t->splitter);
    json_decref(t->file);
    arena_free(&t->memory);
    free(t);
}

/* NORMALIZED tokens are looked for in the normalized text, so they are themselves normalized. */
static int normalize_added(struct tokenizer *t, struct token *token, const char *what)
{
    struct text normal = { 0 };
    char shown[QUOTE_SIZE];
    int failed = normal_apply(&t->normal, 1, token->bytes, token->size, &normal);
    if (!failed && !normal.size) failed = error_set(E_DATA, __FILE__, __LINE__, "%s: nothing is left of the added token %s, which is \"normalized\"", what, quote(shown, token->bytes, token->size));
    if (!failed) {
        token->bytes = arena_copy(&t->memory, normal.at);
        token->size = (uint32_t)normal.size;
        if (!token->bytes) failed = error_set(E_MEMORY, __FILE__, __LINE__, "%s: no memory for added tokens", what);
    }
    text_free(&normal);
    return failed;
}

/* Plain added tokens and NORMALIZED ones are found one after the other, so each kind has a list. */
static int list_added(struct tokenizer *t, struct tokens all, int list, const char *what)
{
    struct tokens own = { .at = take_array(&t->memory, all.n, sizeof *own.at) };
    char shown[QUOTE_SIZE];
    FAIL_IF(!own.at, E_MEMORY, "no memory for %zu added tokens", all.n);
    for (size_t i = 0; i < all.n; i++) {
        if (!(all.at[i].flags & TOKEN_NORMALIZED) != !list) continue;
        own.at[own.n] = all.at[i];
        if (list && t->normal.n) TRY(normalize_added(t, &own.at[own.n], what));
        own.n++;
    }
    added_build(&t->added[list], own);
    for (size_t i = 1; i < own.n; i++) FAIL_IF(!token_compare(&own.at[i - 1], &own.at[i]), E_DATA, "%s: two added tokens are both %s where text is normalized", what, quote(shown, own.at[i].bytes, own.at[i].size));
    return 0;
}

static int has_words(const struct parts *p) { return p->stages > 0 && (p->stage[p->stages - 1].pattern == SPLIT_BERT || p->stage[p->stages - 1].pattern == SPLIT_METASPACE); }

/* ASCII's letters and the space, each by itself. */
static int keeps_ascii(const struct charsmap *map)
{
    int keeps = map->stays[' '];
    for (int c = 'a'; c <= 'z'; c++) keeps &= map->stays[c] & map->stays[c + 'A' - 'a'];
    return keeps;
}

/* Whether steps leave a space between letters what it is, the end of a word: all letters, or at least those of ASCII. */
struct words { int kept, kept_ascii, replaces, prepends; };

static void look_at_steps(struct words *w, const struct normalizer *f)
{
    for (const struct normal_step *s = f->step; s < f->step + f->n; s++) {
        int spaces = s->form == NORMAL_REPLACE && !strcmp(s->from, " "), others = s->form == NORMAL_REPLACE && !spaces;
        w->kept &= !others && s->form != NORMAL_CHARSMAP;
        w->kept_ascii &= !others && (s->form != NORMAL_CHARSMAP || keeps_ascii(s->map));
        w->replaces |= spaces || s->form == NORMAL_WORDS;
        w->prepends |= s->form == NORMAL_PREPEND || s->form == NORMAL_PREPEND_UNLESS;
    }
}

/* An added token must not lie across a cut, nor end before it, where something is put before what follows it. */
static void find_apart(struct tokenizer *t, const struct parts *p)
{
    int crosses = 0, ends = 0, added = 0;
    struct words w = { .kept = 1, .kept_ascii = 1 };
    for (int list = 0; list < ADDED_LISTS; list++) {
        crosses |= t->added[list].crosses;
        ends |= t->added[list].ends_words;
        added |= t->added[list].list.n > 0;
    }
    look_at_steps(&w, &t->normal);
    look_at_steps(&w, &t->late);
    int words_end = t->kind == MODEL_BYTES || has_words(p) || (t->kind == MODEL_CHARBPE && t->charbpe.cuts && (w.replaces || t->charbpe.space[0] == ' '));
    if (t->kind == MODEL_CHARACTERS) t->apart = added ? APART_NOWHERE : APART_CHARACTERS;
    else if (crosses || (w.prepends && ends) || !w.kept_ascii || !words_end) t->apart = APART_NOWHERE;
    else if (!w.kept) t->apart = APART_ASCII_SPACES;
    else t->apart = t->kind == MODEL_BYTES && !w.prepends ? APART_PIECES : APART_SPACES;
}

/* ---- all of it ---- */

int tokenizer_vocabulary(struct tokenizer *t, const struct parts *p, const char *what)
{
    TRY(vocab_build(&t->vocab, &t->memory, p->model, p->added, what));
    t->kind = p->kind;
    t->normal = p->normal;
    t->late = p->late;
    t->late_once = p->late_once;
    t->template = p->template;
    t->opening = p->opening;
    for (int list = 0; list < ADDED_LISTS; list++) TRY(list_added(t, p->added, list, what));
    TRY(tokenizer_shown(t, p, what));
    TRY(t->kind == MODEL_CHARACTERS ? chars_build(&t->chars, &t->memory, &t->vocab, 0, what) : split_open(&t->splitter, p->stage, p->stages));
    if (t->kind == MODEL_UNIGRAM) TRY(unigram_build(&t->unigram, &t->memory, &t->vocab, p->score, p->unknown_id, p->falls_back, what));
    if (t->kind == MODEL_WORDPIECE) TRY(wordpiece_build(&t->wordpiece, &t->memory, &t->vocab, p->unknown, p->prefix, p->most_chars, what));
    find_apart(t, p);
    return 0;
}

/* What stands for a space where text is encoded. */
static const char *written_space(const struct parts *p)
{
    const struct normalizer *const both[] = { &p->normal, &p->late };
    for (int i = 0; i < 2; i++)
        for (const struct normal_step *s = both[i]->step; s < both[i]->step + both[i]->n; s++)
            if (s->form == NORMAL_REPLACE && !strcmp(s->from, " ")) return s->to;
    return " ";
}

static int mark_last(struct tokenizer *t, const struct parts *p, const char *what)
{
    if (!p->n_last) return 0;
    uint8_t *last = take_array(&t->memory, t->vocab.n, 1);
    FAIL_IF(!last, E_MEMORY, "%s: no memory for %u tokens", what, t->vocab.n);
    for (size_t i = 0; i < p->n_last; i++) {
        FAIL_IF(p->last[i] >= t->vocab.n, E_DATA, "%s: the token %u, whose merges come last, is not in the vocabulary", what, p->last[i]);
        last[p->last[i]] = 1;
    }
    t->bpe.last = last;
    return 0;
}

int tokenizer_merges(struct tokenizer *t, const struct parts *p, struct merges merges, const char *what)
{
    TRY(bpe_build(&t->bpe, &t->memory, &t->vocab, merges, t->kind == MODEL_BYTES ? BPE_OVER_BYTES : BPE_OVER_CHARACTERS, p->by_rank, what));
    t->bpe.whole_first = p->whole_first;
    TRY(mark_last(t, p, what));
    if (t->kind == MODEL_CHARBPE) {
        struct charbpe_options o = { p->falls_back, p->fuses, p->unknown ? vocab_find(&t->vocab, p->unknown, strlen(p->unknown)) : -1, written_space(p) };
        TRY(charbpe_build(&t->charbpe, &t->memory, &t->bpe, &o, what));
    }
    find_apart(t, p);
    return 0;
}

int64_t tokenizer_added(const struct tokenizer *t, const char *content)
{
    for (uint32_t id = 0; id < t->vocab.n; id++)
        if (t->vocab.at[id].flags & TOKEN_ADDED && !strcmp(t->vocab.at[id].bytes, content)) return id;
    return -1;
}

/* ---- the fingerprint ---- */

static void hash_number(struct sha256 *s, uint32_t x)        /* the same on machines of either byte order */
{
    unsigned char bytes[4] = { (unsigned char)x, (unsigned char)(x >> 8), (unsigned char)(x >> 16), (unsigned char)(x >> 24) };
    sha256_add(s, bytes, sizeof bytes);
}

static void hash_text(struct sha256 *s, const char *text)
{
    hash_number(s, (uint32_t)strlen(text));
    sha256_add(s, text, strlen(text));
}

static void hash_steps(struct sha256 *s, const struct normalizer *f)
{
    for (const struct normal_step *step = f->step; step < f->step + f->n; step++) {
        hash_number(s, (uint32_t)step->form);
        if (step->flags) hash_number(s, step->flags);
        if (step->from) hash_text(s, step->from);
        if (step->to) hash_text(s, step->to);
        if (step->map) sha256_add(s, step->map->unit, step->map->units * sizeof *step->map->unit), sha256_add(s, step->map->strings, step->map->size);
    }
}

/* All that decides about ids: tokens, which of them are found in the text as they stand, merges, where text is cut.  Each list has
 * its length before it or follows from what came before, so no two tokenizers give the same bytes to hash. */
static void take_fingerprint(struct tokenizer *t)
{
    const struct vocab *v = &t->vocab;
    const struct split_stage *stage = NULL;
    int stages = t->splitter ? split_stages(t->splitter, &stage) : 0;
    char hex[65];
    struct sha256 s;
    sha256_start(&s);
    hash_number(&s, (uint32_t)t->kind);
    hash_number(&s, v->n);
    for (uint32_t id = 0; id < v->n; id++) {
        hash_number(&s, v->at[id].size);
        hash_number(&s, v->at[id].flags & (uint32_t)~TOKEN_NORMALIZED);
        sha256_add(&s, v->at[id].bytes ? v->at[id].bytes : "", v->at[id].size);
    }
    hash_number(&s, (uint32_t)t->bpe.merges.n);
    for (size_t i = 0; i < t->bpe.merges.n; i++) {
        hash_number(&s, t->bpe.merges.at[i].left);
        hash_number(&s, t->bpe.merges.at[i].right);
    }
    hash_number(&s, (uint32_t)stages);
    for (int i = 0; i < stages; i++) {
        const char *regex = stage[i].regex ? stage[i].regex : "";
        hash_number(&s, (uint32_t)stage[i].pattern);
        if (*regex) hash_number(&s, (uint32_t)strlen(regex));
        sha256_add(&s, regex, strlen(regex));
    }
    hash_steps(&s, &t->normal);
    hash_number(&s, (uint32_t)(t->bpe.whole_first | t->bpe.by_rank << 1));
    if (t->bpe.last) sha256_add(&s, t->bpe.last, v->n);
    if (t->late.n) hash_number(&s, (uint32_t)t->late_once);
    hash_steps(&s, &t->late);
    for (size_t i = 0; t->kind == MODEL_UNIGRAM && i < v->model.n; i++) {
        uint64_t bits;
        memcpy(&bits, &t->unigram.score[v->model.at[i].id], sizeof bits);
        hash_number(&s, (uint32_t)bits);
        hash_number(&s, (uint32_t)(bits >> 32));
    }
    if (t->kind == MODEL_UNIGRAM) hash_number(&s, t->unigram.unknown), hash_number(&s, (uint32_t)t->unigram.byte_fallback);
    if (t->kind == MODEL_WORDPIECE) hash_number(&s, t->wordpiece.unknown), hash_number(&s, (uint32_t)t->wordpiece.most_chars), hash_text(&s, t->wordpiece.prefix);
    if (t->kind == MODEL_CHARBPE) hash_number(&s, (uint32_t)(t->charbpe.falls_back | t->charbpe.fuses << 1)), hash_number(&s, (uint32_t)(t->charbpe.unknown + 1));
    sha256_end(&s, hex);
    memcpy(t->fingerprint, hex, sizeof t->fingerprint - 1);
}

void tokenizer_ready(struct tokenizer *t)
{
    t->end = tokenizer_added(t, END_OF_TEXT);
    if (t->end < 0) t->end = tokenizer_added(t, "</s>");     /* llama 2's */
    take_fingerprint(t);
}

/* ---- what it is ---- */

uint32_t tokenizer_vocab(const struct tokenizer *t) { return t->vocab.n; }
int64_t tokenizer_end(const struct tokenizer *t) { return t->end; }
int tokenizer_is_bytes(const struct tokenizer *t) { return t->kind != MODEL_CHARACTERS; }
const char *tokenizer_fingerprint(const struct tokenizer *t) { return t->fingerprint; }

int tokenizer_is_special(const struct tokenizer *t, uint32_t id) { return id < t->vocab.n && t->vocab.at[id].flags & TOKEN_SPECIAL; }

const uint32_t *tokenizer_template(const struct tokenizer *t, int behind, size_t *n)
{
    *n = (size_t)t->template.n[behind];
    return t->template.id[behind];
}

int tokenizer_of_marked(struct tokenizer **out, const uint8_t *seen)
{
    struct tokenizer *t;
    struct parts p = { 0 };
    TRY(tokenizer_new(&t));
    int failed = chars_of(&p.model, &t->memory, seen);
    if (!failed) failed = tokenizer_vocabulary(t, &p, "the characters of a text");
    if (failed) {
        tokenizer_free(t);
        return failed;
    }
    tokenizer_ready(t);
    *out = t;
    return 0;
}

/* ---- for people ---- */

static void describe_cuts(const struct tokenizer *t, struct text *out)
{
    static const char *const cuts[SPLIT_PATTERNS] = { [SPLIT_DIGIT] = "at each digit", [SPLIT_DIGITS] = "at runs of digits", [SPLIT_BERT] = "at white space and punctuation", [SPLIT_METASPACE] = "before spaces" };
    const struct split_stage *stage;
    int n = split_stages(t->splitter, &stage);
    text_add(out, n ? "text is cut" : "text is not cut before merging");
    for (int i = 0; i < n; i++) {
        const char *name = split_name(stage[i].pattern);
        text_add(out, i ? ", then " : " ");
        if (name) text_format(out, "as for %s", name);
        else if (stage[i].pattern == SPLIT_REGEX) text_format(out, "by %s", stage[i].regex);
        else text_add(out, cuts[stage[i].pattern]);
    }
    text_add(out, t->bpe.whole_first ? "; pieces that are tokens are not merged\n" : "\n");
    if (t->kind == MODEL_CHARBPE && t->charbpe.falls_back) text_add(out, "characters that are not in the vocabulary are written as bytes\n");
}

static void describe_steps(const char *when, const struct normalizer *f, struct text *out)
{
    static const char *const what[NORMAL_FORMS] = {
        [NORMAL_BERT] = "cleaned as for BERT", [NORMAL_STRIP] = "stripped of white space", [NORMAL_SPACES] = "spaces joined", [NORMAL_WORDS] = "cut at white space", [NORMAL_CHARSMAP] = "characters mapped by a table",
    };
    char from[QUOTE_SIZE], to[QUOTE_SIZE];
    for (const struct normal_step *s = f->step; s < f->step + f->n; s++) {
        text_add(out, s == f->step ? when : ", ");
        if (s->form == NORMAL_REPLACE) text_format(out, "%s becomes %s", quote(from, s->from, strlen(s->from)), quote(to, s->to, strlen(s->to)));
        else if (s->form == NORMAL_PREPEND || s->form == NORMAL_PREPEND_UNLESS) text_format(out, "%s stands before it", quote(to, s->to, strlen(s->to)));
        else text_add(out, normal_names[s->form] ? normal_names[s->form] : what[s->form]);
    }
    if (f->n) text_add(out, "\n");
}

static void describe_template(const struct tokenizer *t, struct text *out)
{
    char shown[QUOTE_SIZE];
    if (!t->template.n[0] && !t->template.n[1]) return;
    text_add(out, "a text by itself is");
    for (int behind = 0; behind < 2; behind++) {
        for (int i = 0; i < t->template.n[behind]; i++) text_format(out, " %s", quote(shown, t->vocab.at[t->template.id[behind][i]].bytes, t->vocab.at[t->template.id[behind][i]].size));
        if (!behind) text_add(out, " ...");
    }
    text_add(out, "\n");
}

void tokenizer_describe(const struct tokenizer *t, struct text *out)
{
    enum { MOST = 16 };
    static const char *const kinds[MODELS] = { "characters", "byte-level BPE", "BPE over characters", "WordPiece", "Unigram" };
    char shown[QUOTE_SIZE];
    size_t added = 0;
    for (int list = 0; list < ADDED_LISTS; list++) added += t->added[list].list.n;
    text_format(out, "%s, vocabulary %u", kinds[t->kind], t->vocab.n);
    if (t->bpe.merges.n) text_format(out, ", %zu merges", t->bpe.merges.n);
    text_add(out, "\n");
    describe_steps("text is normalized first: ", &t->normal, out);
    describe_steps("then, between added tokens: ", &t->late, out);
    if (t->splitter) describe_cuts(t, out);
    describe_template(t, out);
    if (added) text_add(out, "added tokens:");
    for (uint32_t id = 0, n = 0; id < t->vocab.n; id++) {
        const struct token *token = &t->vocab.at[id];
        if (!(token->flags & TOKEN_ADDED) || n++ >= MOST) continue;
        text_format(out, " %s %u%s%s", quote(shown, token->bytes, token->size), id, token->flags & TOKEN_SPECIAL ? " special" : "", id == t->end ? " ends texts" : "");
    }
    if (added) text_add(out, added > MOST ? " ...\n" : "\n");
    text_format(out, "fingerprint %s\n", t->fingerprint);
}

/* ---- of characters ---- */

#define USE_BYTES "or use a byte-level vocabulary such as gpt2"

static int mark(uint8_t *seen, const char *text, size_t n)
{
    size_t at = utf8_mark(seen, text, n);
    FAIL_IF(at < n && text[at], E_DATA, "byte %zu (0x%02x) is not UTF-8; convert the text, " USE_BYTES, at, (unsigned char)text[at]);
    FAIL_IF(at < n, E_DATA, "byte %zu is NUL, which has no place in a character vocabulary; remove it, " USE_BYTES, at);
    return 0;
}

int tokenizer_of_characters(struct tokenizer **t, const char *text, size_t n)
{
    uint8_t *seen = calloc(UTF8_POINTS / 8, 1);
    FAIL_IF(!seen, E_MEMORY, "no memory to count characters");
    int failed = mark(seen, text, n);
    if (!failed) failed = tokenizer_of_marked(t, seen);
    free(seen);
    return failed;
}
