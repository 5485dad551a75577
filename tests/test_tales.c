/* test_tales.c -- the grammar machinery on small grammars of which everything is known, then the built-in stories. */
#include "test.h"

#include <ctype.h>
#include <math.h>

#include "base/text.h"
#include "text/grammar_core.h"
#include "text/tales.h"

static struct grammar *parse(const char *text)
{
    struct grammar *g;
    assert_ok(grammar_parse(&g, text, strlen(text), "toy"));
    return g;
}

static int accepts(const struct grammar *g, const char *text)
{
    return grammar_accepts(g, text, strlen(text), NULL, NULL);
}

/* ---- small grammars ---- */

static const char toy[] =
    "# a comment\n"
    "table hero, friend   # two variables\n"
    "    name | they | home\n"
    "    Ada  | she  | tall tower\n"
    "    Bo   | he   | hut\n"
    "    Cy   | he   | cave\n"
    "table hat\n"
    "    colour\n"
    "    red\n"
    "    blue\n"
    "rule where\n"
    "    | here | there\n"
    "rule story\n"
    "    | {new hero.name} met {new friend.name}. \"{hero.They} lives {where},\" said {friend.name}.\n"
    "    | {new hero.name} met {new friend.name} in a {friend.home}.   # parts from the first after \"met\"\n"
    "    | {new hero.name} has a {new hat.colour} (hat | cap). It is {hat.colour}!\n";

enum { TOY_TEXTS = 6 * 2 + 6 + 3 * 2 * 2 };

/* Telling often enough finds every text; they are as many as foretold, their probabilities sum to 1, and entropy and
 * mean length, computed from the list, are those that were computed from the rules. */
static void test_facts_are_exact(void **state)
{
    (void)state;
    struct grammar *g = parse(toy);
    struct text list[TOY_TEXTS] = { 0 };
    double sum = 0, nats = 0, words = 0, same = 0;
    size_t longest = 0;
    int n = 0;
    for (uint64_t i = 0; i < 4000; i++) {
        struct text t = { 0 };
        double log_p;
        int k = 0;
        assert_ok(grammar_tell(g, 3, i, &t, &log_p));
        while (k < n && strcmp(list[k].at, t.at)) k++;
        if (k < n) {
            text_free(&t);
            continue;
        }
        assert_int_not_equal(n, TOY_TEXTS);
        list[n++] = t;
        sum += exp(log_p);
        nats -= exp(log_p) * log_p;
        same += exp(2 * log_p);
        for (size_t at = 0; at < t.size; at++)              /* a word, or a mark, ends where the next byte is of another kind */
            words += exp(log_p) * (t.at[at] != ' ' && !(is_letter(t.at[at]) && is_letter(t.at[at + 1])));
        if (t.size > longest) longest = t.size;
    }
    const struct grammar_facts *f = grammar_facts(g);
    assert_int_equal(n, TOY_TEXTS);
    assert_float_equal(f->log_texts, log(TOY_TEXTS), 1e-12);
    assert_float_equal(sum, 1, 1e-12);
    assert_float_equal(f->nats, nats, 1e-12);
    assert_float_equal(f->words, words, 1e-12);
    assert_float_equal(f->log_same, log(same), 1e-12);
    assert_in_range(f->most_bytes, longest, longest + 4);   /* one space too many at the start and in quotes; Ada is not also Bo */
    assert_int_equal(f->least_words, 7);
    assert_int_equal(f->most_words, 13);
    for (int k = 0; k < n; k++) text_free(&list[k]);
    grammar_free(g);
}

static void test_reads_what_it_tells(void **state)
{
    (void)state;
    struct grammar *g = parse(toy);
    assert_true(accepts(g, "Ada met Bo. \"She lives here,\" said Bo."));
    assert_true(accepts(g, "Bo met Ada in a tall tower."));
    assert_true(accepts(g, "Cy has a red cap. It is red!"));
    static const char *const wrong[] = {
        "Ada met Bo. \"He lives here,\" said Bo.", "Ada met Bo. \"She lives here,\" said Cy.", "Ada met Ada in a tall tower.",
        "Cy has a red cap. It is blue!", "Bo met Ada in a hut.", "Bo met Ada in a tower.", "", " ", "Bo met Ada in a tall tower",
        "Bo met Ada in a tall tower. ", " Bo met Ada in a tall tower.", "Bo met Ada in a tall  tower.", "Bo met Ada in a tall tower .",
        "Bo met Ada in a talltower.", "Bo met Ada in a tall tower..", "Bo met Ada in a tall\ntower.", "bo met Ada in a tall tower.",
        "Ada met Bo.\" She lives here,\" said Bo.", "Ada met Bo. \"She lives here, \"said Bo.", "Ada met Bo. \" She lives here,\" said Bo.",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (accepts(g, wrong[i])) fail_msg("accepted: %s", wrong[i]);
    assert_false(grammar_accepts(g, "Cy has a red cap. It is red!\0", 29, NULL, NULL));
    grammar_free(g);
}

/* A capital goes to the first word, also of what begins with a quote; quotes alone have none. */
static void test_capitals_in_quotes(void **state)
{
    (void)state;
    struct grammar *g = parse("table pet\n name | cry\n Tom | \"mew\" twice\n Rex | \"\"\nrule story\n {new pet.name} came. {pet.Cry}!\n");
    assert_true(accepts(g, "Tom came. \"Mew\" twice!"));
    assert_true(accepts(g, "Rex came. \"\"!"));
    assert_false(accepts(g, "Tom came. \"mew\" twice!"));
    grammar_free(g);
}

static void test_says_how_far_it_understood(void **state)
{
    (void)state;
    struct grammar *g = parse(toy);
    static const struct { const char *text; size_t understood; } sample[] = {
        { "Cy has a red cap. It is red!", 28 }, { "Cy has a red cap. It is blue!", 23 }, { "Cy has a red", 12 }, { "Cy has a re", 8 },
        { "Ada met Ada in a hut.", 7 }, { "Ada met  Bo.", 7 }, { "", 0 }, { "x", 0 }, { "Cy has a red cap. It is red! The end.", 28 },
    };
    for (size_t i = 0; i < sizeof sample / sizeof *sample; i++) {
        size_t understood;
        double log_p;
        int told = grammar_accepts(g, sample[i].text, strlen(sample[i].text), &log_p, &understood);
        assert_int_equal(understood, sample[i].understood);
        assert_int_equal(told, i == 0);
        assert_true(told ? fabs(log_p + log(3) + log(3) + log(2) + log(2)) < 1e-12 : isinf(log_p));
    }
    grammar_free(g);
}

static void test_same_everywhere(void **state)              /* a text is a function of seed and index on every machine */
{
    (void)state;
    struct grammar *g = parse(toy);
    struct text t = { 0 };
    for (uint64_t i = 0; i < 3; i++) assert_ok(grammar_tell(g, 42, i, &t, NULL));
    assert_string_equal(t.at, "Ada met Cy. \"She lives here,\" said Cy.Ada met Bo in a hut.Ada has a blue hat. It is blue!");
    text_free(&t);
    grammar_free(g);
}

/* What a variable is bound to in one way only is forgotten after it, and its row is free again. */
static void test_scope(void **state)
{
    (void)state;
    struct grammar *g = parse("table a, b\n  x\n  one\n  two\nrule story\n  go (left | {new a.x}) {new b.x} and {new a.x}.");
    assert_true(accepts(g, "go one one and two."));
    assert_true(accepts(g, "go left two and one."));
    assert_false(accepts(g, "go one two and two."));
    grammar_free(g);
}

static void test_refuses_bad_grammars(void **state)
{
    (void)state;
#define PEOPLE "table hero, friend\n  name | they\n  Ada | she\n  Bo | he\n"
    static const struct { const char *text, *message; } bad[] = {
        { "", "there is no rule" },
        { "  hello", "first column" },
        { "story\n  hello", "story: a definition begins with rule or table" },
        { "rule\n  hello", "name of a rule" },
        { "rule a\n", "has no words" },
        { "rule a\n  b | | c", "line 2: this way has no words" },
        { "rule a\n  ()", "has no words" },
        { "rule a\n  b (c | d", ") is missing" },
        { "rule a\n  b ) c", "')' stands here without its partner" },
        { "rule a\n  b } c", "'}' cannot stand here" },
        { "rule a\n  caf\xc3\xa9", "byte 0xc3 cannot stand here" },
        { "rule a\n  don't", "''' cannot stand here" },
        { "rule a\n  {b}", "there is no rule b above" },
        { "rule a\n  {a}", "there is no rule a above" },
        { "rule a\n  b\nrule a\n  c", "there is a rule a already" },
        { "rule a\n  b\nrule c\n  d", "line 1: no rule uses a" },
        { "rule a\n  \"b", "a quote that opens in this way" },
        { "rule a\n  \"b (c\" | d\")", "a quote that opens in this way" },
        /* the next word must decide */
        { "rule a\n  b | b", "a whole way already" },
        { "rule a\n  b c | b", "another way begins with the whole of this one" },
        { "rule a\n  b | b c", "a whole way already" },
        { "rule a\n  | b\n  | (b | c)", "go on with the same word, \"b\"" },
        { "rule b\n  x y | z\nrule a\n  u {b} | u x", "go on with the same word, \"x\"" },
        { PEOPLE "rule a\n  {new hero.name} ({hero.they} | she)", "go on with the same word, \"she\"" },
        { PEOPLE "rule a\n  {new hero.name} | {new friend.name}", "go on with the same word, \"Ada\"" },
        { "table a\n  x | y\n  one | red hat\n  two | red cap\nrule s\n {new a.y}", "two rows of a.y begin with \"red\"" },
        /* variables */
        { PEOPLE "rule a\n  {hero.name}", "hero has not been drawn" },
        { PEOPLE "rule a\n  {new hero.name} {new hero.name}", "hero has been drawn already" },
        { PEOPLE "rule a\n  ({new hero.name} | x) {hero.they}", "line 6: on some way to here hero has not been drawn" },
        { "table a, b, c\n  x\n  one\n  two\nrule s\n  {new a.x} {new b.x} {new c.x}", "no row left" },
        { PEOPLE "rule a\n  {new hero.home}", "hero has no column home" },
        { PEOPLE "rule a\n  {new hero}", "what of hero?" },
        { PEOPLE "rule a\n  {new villain.name}", "there is no variable villain above" },
        { PEOPLE "rule a\n  {new hero.name x", "} is missing" },
        /* tables */
        { "table", "name of a variable" },
        { "table a b\n", "a table begins" },
        { "table a, a\n", "there is a variable a already" },
        { "table a\n", "an indented line of columns" },
        { "table a\n  x | x\n", "there is a column x already" },
        { "table a\n  x, y\n", "columns are separated by |" },
        { "table a\n  x\n", "no rows" },
        { "table a\n  x | y\n  one\n", "fewer cells" },
        { "table a\n  x | y\n  one | two | three\n", "more cells" },
        { "table a\n  x | y\n  one |\n", "empty cell" },
        { "table a\n  x\n  \"one\n", "does not close" },
        { "table a\n  x\n  a a a a a a a a a a a a a a a a a\n", "more than 16 words in a cell" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct grammar *g;
        assert_fails(grammar_parse(&g, bad[i].text, strlen(bad[i].text), "toy"), E_DATA, bad[i].message);
        assert_non_null(strstr(error_text(), "toy: line "));
    }
}

/* Rules that double each other's length, or ways within ways: refused, quickly and without deep recursion. */
static void test_refuses_monsters(void **state)
{
    (void)state;
    struct grammar *g;
    struct text twice = { 0 }, wide = { 0 }, deep = { 0 };
    text_add(&twice, "rule a\n  x\n");
    for (int i = 0; i < 40; i++) text_format(&twice, "rule a%.*s\n  {a%.*s} {a%.*s}\n", i + 1, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", i,
                                             "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", i, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    assert_fails(grammar_parse(&g, twice.at, twice.size, "toy"), E_DATA, "longer than 4096 words");
    text_add(&wide, "rule a\n  x\n");
    for (int i = 0; i < 40; i++) text_format(&wide, "rule a%.*s\n  | x {a%.*s}\n  | y {a%.*s}\n", i + 1, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", i,
                                             "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", i, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    assert_fails(grammar_parse(&g, wide.at, wide.size, "toy"), E_DATA, "use each other so often");
    text_add(&deep, "rule a\n  ");
    for (int i = 0; i < 100000; i++) text_add(&deep, "(x ");
    assert_fails(grammar_parse(&g, deep.at, deep.size, "toy"), E_DATA, "parentheses in each other");
    text_free(&twice);
    text_free(&wide);
    text_free(&deep);
}

/* ---- the built-in stories ---- */

enum { STORIES = 10000, SEED = 1 };

static struct grammar *tales;
static struct text story[STORIES];
static double log_p[STORIES];

static int open_tales(void **state)
{
    (void)state;
    if (tales_open(&tales)) {
        fprintf(stderr, "%s\n", error_text());
        return -1;
    }
    for (int i = 0; i < STORIES; i++)
        if (grammar_tell(tales, SEED, (uint64_t)i, &story[i], &log_p[i])) return -1;
    return 0;
}

static int close_tales(void **state)
{
    (void)state;
    for (int i = 0; i < STORIES; i++) text_free(&story[i]);
    grammar_free(tales);
    return 0;
}

/* The words that an item may begin with, from the rules themselves and not from what the reading of the grammar kept. */
static void first_words(const struct grammar *g, const struct item *item, struct set *s)
{
    const struct table *t = item->kind == SAY || item->kind == DRAW ? g->variable[item->id].table : NULL;
    if (item->kind == WORD) set_put(s, item->id);
    for (int i = 0; t && i < t->rows; i++) set_put(s, t->cell[item->column][i].word[0]);
    if (item->kind == RULE)
        for (const struct node *n = g->rule[item->id].first; n; n = n->next) first_words(g, &n->item, s);
}

/* How many ways part here; no two of them go on with the same word. */
static int partings(const struct node *n)
{
    struct set seen = { 0 };
    int ways = 0;
    for (; n; n = n->next, ways++) {
        struct set mine = { 0 };
        first_words(tales, &n->item, &mine);
        for (int w = 0; w < tales->words; w++) {
            assert_false(set_has(&seen, w) && set_has(&mine, w));
            if (set_has(&mine, w)) set_put(&seen, w);
        }
    }
    return ways > 1 ? ways : 0;
}

/* The proof that a story has one derivation: wherever ways part, the next word belongs to one of them only; and what is
 * said first of a drawn row belongs to one row only. */
static void test_next_word_decides(void **state)
{
    (void)state;
    int ways = 0, rows = 0;
    for (int r = 0; r < tales->rules; r++) {
        ways += partings(tales->rule[r].first);
        for (const struct node *n = tales->rule[r].nodes; n; n = n->older) {
            ways += partings(n->child);
            if (n->item.kind != DRAW) continue;
            const struct table *t = tales->variable[n->item.id].table;
            for (int i = 0; i < t->rows; i++)
                for (int k = 0; k < i; k++, rows++)
                    assert_int_not_equal(t->cell[n->item.column][i].word[0], t->cell[n->item.column][k].word[0]);
        }
    }
    assert_true(ways > 100 && rows > 100);                  /* there was something to prove */
}

static void test_each_is_accepted(void **state)
{
    (void)state;
    for (int i = 0; i < STORIES; i++) {
        double read;
        size_t understood;
        if (!grammar_accepts(tales, story[i].at, story[i].size, &read, &understood))
            fail_msg("not accepted from byte %zu on: %s", understood, story[i].at);
        assert_int_equal(understood, story[i].size);
        assert_true(fabs(read - log_p[i]) < 1e-9);
    }
}

static void test_numbers(void **state)
{
    (void)state;
    const struct grammar_facts *f = grammar_facts(tales);
    double nats = 0, squares = 0, words = 0;
    size_t most = 0;
    for (int i = 0; i < STORIES; i++) {
        nats -= log_p[i] / STORIES;
        squares += log_p[i] * log_p[i] / STORIES;
        for (const char *c = story[i].at; *c; c++) words += *c != ' ' && *c != '\'' && !(is_letter(*c) && is_letter(c[1]));
        if (story[i].size > most) most = story[i].size;
    }
    double error = sqrt((squares - nats * nats) / STORIES);
    assert_true(fabs(nats - f->nats) < 4 * error);
    assert_true(fabs(words / STORIES - f->words) < 0.5);
    assert_true(f->log_texts > log(1e12));
    assert_true(most <= f->most_bytes && f->most_bytes <= 520);
    assert_true(f->least_words >= 40 && f->most_words <= 110);
    assert_true(f->vocabulary <= 500);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct text *)a)->at, ((const struct text *)b)->at);
}

static void test_hardly_any_two_alike(void **state)         /* no more pairs than foretold, within five standard deviations */
{
    (void)state;
    struct text *sorted = malloc(sizeof story);
    assert_non_null(sorted);
    memcpy(sorted, story, sizeof story);
    qsort(sorted, STORIES, sizeof *sorted, by_text);
    int alike = 0;
    for (int i = 1; i < STORIES; i++) alike += !strcmp(sorted[i - 1].at, sorted[i].at);
    free(sorted);
    double foretold = 0.5 * STORIES * (STORIES - 1) * exp(grammar_facts(tales)->log_same);
    assert_true(foretold < 1);
    assert_true(alike <= foretold + 5 * sqrt(foretold));
}

static void test_pure_function(void **state)
{
    (void)state;
    struct text again = { 0 }, other = { 0 };
    for (int i = STORIES - 1; i >= 0; i -= 999) {
        text_clear(&again);
        text_clear(&other);
        assert_ok(grammar_tell(tales, SEED, (uint64_t)i, &again, NULL));
        assert_ok(grammar_tell(tales, SEED + 1, (uint64_t)i, &other, NULL));
        assert_string_equal(again.at, story[i].at);
        assert_string_not_equal(other.at, story[i].at);
    }
    text_free(&again);
    text_free(&other);
}

/* ---- good English, as far as a program can see it ---- */

static int is_vowel(char c) { return strchr("aeiou", tolower((unsigned char)c)) != NULL; }

static void check_form(const char *s)
{
    size_t n = strlen(s);
    int quotes = 0;
    if (!isupper((unsigned char)s[0])) fail_msg("begins without a capital: %s", s);
    if (!strchr(".!\"", s[n - 1])) fail_msg("ends without an end: %s", s);
    for (size_t i = 0; i < n; i++) {
        const char *c = s + i;
        quotes += *c == '"';
        if (c[0] == ' ' && !is_letter(c[1]) && c[1] != '"') fail_msg("space before \"%.9s\": %s", c, s);
        if (strchr(".!?", c[0]) && c[1] && c[1] != ' ' && c[1] != '"') fail_msg("no space after \"%.9s\": %s", c, s);
        /* A sentence begins with a capital; after a question or an exclamation in quotes it may go on. */
        if (c[0] == '.' && c[1 + (c[1] == '"')] == ' ' && islower((unsigned char)c[2 + (c[1] == '"')])) fail_msg("small letter at \"%.9s\": %s", c, s);
        if (i && c[-1] == ' ' && !strncmp(c, "a ", 2) && is_vowel(c[2])) fail_msg("a before a vowel, \"%.9s\": %s", c, s);
        if (i && c[-1] == ' ' && !strncmp(c, "an ", 3) && !is_vowel(c[3])) fail_msg("an before no vowel, \"%.9s\": %s", c, s);
    }
    if (quotes % 2) fail_msg("a quote is not closed: %s", s);
}

static void test_form(void **state)
{
    (void)state;
    for (int i = 0; i < STORIES; i++) check_form(story[i].at);
}

/* ---- a story with one wrong word ---- */

enum { LONGEST = 600 };

/* The `nth` (from 1) whole word `word` of s, or NULL. */
static const char *find_word(const char *s, const char *word, int nth)
{
    size_t n = strlen(word);
    for (const char *c = strstr(s, word); c; c = strstr(c + 1, word))
        if ((c == s || !is_letter(c[-1])) && !is_letter(c[n]) && !--nth) return c;
    return NULL;
}

/* Is s still accepted when the word at c becomes `instead`? */
static int accepts_with(const char *s, const char *c, size_t old, const char *instead)
{
    char changed[LONGEST];
    int n = snprintf(changed, sizeof changed, "%.*s%s%s", (int)(c - s), s, instead, c + old);
    assert_in_range(n, 1, LONGEST - 1);
    size_t understood;
    int told = grammar_accepts(tales, changed, (size_t)n, NULL, &understood);
    if (!told) assert_in_range(understood, c - s - 1, n);   /* it is not refused before the change, save for the space */
    return told;
}

static void test_wrong_pronoun_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[][2] = { { "he", "she" }, { "she", "he" }, { "He", "She" }, { "She", "He" }, { "him", "her" }, { "his", "her" },
                                            { "her", "his" }, { "her", "him" }, { "her", "hers" } };
    int tried = 0;
    for (int i = 0; i < STORIES / 5; i++)
        for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++)
            for (int nth = 1;; nth++, tried++) {
                const char *c = find_word(story[i].at, wrong[k][0], nth);
                if (!c) break;
                if (accepts_with(story[i].at, c, strlen(wrong[k][0]), wrong[k][1])) fail_msg("%s for %s: %s", wrong[k][1], wrong[k][0], story[i].at);
            }
    assert_true(tried > STORIES / 5);
}

/* The last mention of what was named before, by another of its kind.  Words that plots also use by themselves are no test. */
static void check_last_mention(const char *variable, const char *column, const char *const *but, size_t n_but)
{
    const struct table *t = NULL;
    int c = 0, tried = 0;
    for (int v = 0; v < tales->variables; v++)
        if (!strcmp(tales->variable[v].name, variable)) t = tales->variable[v].table;
    assert_non_null(t);
    while (strcmp(t->column[c], column)) c++;
    for (int i = 0; i < STORIES / 5; i++)
        for (int row = 0; row < t->rows; row++) {
            char word[32], other[32];
            const struct word *w = &tales->word[t->cell[c][row].word[0]], *o = &tales->word[t->cell[c][(row + 1) % t->rows].word[0]];
            snprintf(word, sizeof word, "%.*s", (int)w->size, w->text);
            snprintf(other, sizeof other, "%.*s", (int)o->size, o->text);
            size_t k = 0;
            while (k < n_but && strcmp(but[k], word)) k++;
            int nth = 1;
            while (k == n_but && find_word(story[i].at, word, nth + 1)) nth++;
            if (nth == 1) continue;
            if (accepts_with(story[i].at, find_word(story[i].at, word, nth), w->size, other)) fail_msg("%s for %s: %s", other, word, story[i].at);
            tried++;
        }
    assert_true(tried > 100);
}

static void test_wrong_name_is_refused(void **state)
{
    (void)state;
    check_last_mention("hero", "name", NULL, 0);
}

static void test_wrong_object_is_refused(void **state)
{
    (void)state;
    static const char *const but[] = { "pie", "soup", "scarf", "button", "boat", "hat", "table", "chair", "drum", "pillow" };
    check_last_mention("food", "name", but, 10);
    check_last_mention("thing", "name", but, 10);
}

/* Cut anywhere between words, all that is left is understood, and it is no story. */
static void test_part_of_a_story(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++)
        for (size_t n = 1; n < story[i].size; n++) {
            size_t understood;
            assert_false(grammar_accepts(tales, story[i].at, n, NULL, &understood));
            if (story[i].at[n] == ' ') assert_int_equal(understood, n);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_facts_are_exact),
        cmocka_unit_test(test_reads_what_it_tells),
        cmocka_unit_test(test_capitals_in_quotes),
        cmocka_unit_test(test_says_how_far_it_understood),
        cmocka_unit_test(test_same_everywhere),
        cmocka_unit_test(test_scope),
        cmocka_unit_test(test_refuses_bad_grammars),
        cmocka_unit_test(test_refuses_monsters),
        cmocka_unit_test(test_next_word_decides),
        cmocka_unit_test(test_each_is_accepted),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_hardly_any_two_alike),
        cmocka_unit_test(test_pure_function),
        cmocka_unit_test(test_form),
        cmocka_unit_test(test_wrong_pronoun_is_refused),
        cmocka_unit_test(test_wrong_name_is_refused),
        cmocka_unit_test(test_wrong_object_is_refused),
        cmocka_unit_test(test_part_of_a_story),
    };
    return cmocka_run_group_tests(tests, open_tales, close_tales);
}
