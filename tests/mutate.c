/* mutate.c -- mutants of a C file: `mutate FILE` prints how many there are, `mutate FILE N` the file with its N-th condition
 * negated and, to stderr, "line: condition".
 *
 * Conditions are what decides an if, a while, a for or a ?:, and in each of them every operand of && and || by itself.  It is
 * no parser: it counts brackets and knows comments and quotes, which our own style makes enough. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 1 << 20, MOST_CONDITIONS = 4096 };
static char text[MOST], blank[MOST];                         /* blank: the same with comments and quotes made blanks */
static struct { int from, to; } condition[MOST_CONDITIONS];
static int n;

static void blank_out(void)
{
    enum { CODE, LINE, BLOCK, QUOTE } in = CODE;
    char quote = 0;
    for (int i = 0; text[i]; i++) {
        char c = text[i];
        blank[i] = c == '\n' ? c : in == CODE ? c : ' ';
        if (in == CODE && c == '/' && text[i + 1] == '/') in = LINE, blank[i] = ' ';
        else if (in == CODE && c == '/' && text[i + 1] == '*') in = BLOCK, blank[i] = ' ';
        else if (in == CODE && (c == '"' || c == '\'')) in = QUOTE, quote = c;
        else if (in == LINE && c == '\n') in = CODE;
        else if (in == BLOCK && c == '/' && text[i - 1] == '*' && text[i - 2] != '/') in = CODE;
        else if (in == QUOTE && c == '\\') blank[++i] = ' ';
        else if (in == QUOTE && c == quote) in = CODE, blank[i] = c;
    }
}

static int closing(int open)                                 /* the bracket that closes the one at `open` */
{
    int depth = 0;
    for (int i = open; blank[i]; i++) {
        if (strchr("([{", blank[i])) depth++;
        if (strchr(")]}", blank[i]) && --depth == 0) return i;
    }
    return open;
}

static void add(int from, int to)
{
    while (from < to && isspace((unsigned char)text[from])) from++;
    while (to > from && isspace((unsigned char)text[to - 1])) to--;
    for (int i = 0; i < n; i++)
        if (condition[i].from == from && condition[i].to == to) return;
    if (from == to || n == MOST_CONDITIONS) return;
    condition[n].from = from;
    condition[n++].to = to;
}

/* The whole, and the operands of its && and ||, inner brackets included. */
static void add_condition(int from, int to)
{
    int start = from, cut = 0;
    for (int i = from; i < to; i++) {
        if (blank[i] == '(' && (int)strspn(blank + start, " !") == i - start) add_condition(i + 1, closing(i));
        if (strchr("([{", blank[i])) {
            i = closing(i);
        } else if ((blank[i] == '&' && blank[i + 1] == '&') || (blank[i] == '|' && blank[i + 1] == '|')) {
            add(start, i);
            start = ++i + 1;
            cut = 1;
        }
    }
    if (cut) add(start, to);
    add(from, to);
}

static int is_word(int i, const char *word)
{
    size_t size = strlen(word);
    return !strncmp(blank + i, word, size) && (i == 0 || (!isalnum((unsigned char)blank[i - 1]) && blank[i - 1] != '_')) && strchr(" (", blank[i + (int)size]);
}

static void add_for(int open)                                /* what stands between its two semicolons */
{
    int end = closing(open), first = open, second;
    while (first < end && blank[first] != ';') first++;
    for (second = first + 1; second < end && blank[second] != ';'; second++) continue;
    if (second < end) add_condition(first + 1, second);
}

static void add_choice(int mark)                             /* backward from ? to where its condition begins */
{
    int i = mark - 1, depth = 0;
    for (; i > 0; i--) {
        char c = blank[i], before = blank[i - 1], after = blank[i + 1];
        if (strchr(")]}", c)) depth++;
        if (strchr("([{", c) && depth-- == 0) break;
        if (depth == 0 && (strchr(",;?:", c) || (c == '=' && !strchr("=!<>|&+-", before) && after != '='))) break;
        if (depth == 0 && is_word(i, "return")) {
            i += 5;
            break;
        }
    }
    add_condition(i + 1, mark);
}

static int open_after(int i)
{
    while (blank[i] && blank[i] != '(') i++;
    return i;
}

int main(int argc, char **argv)
{
    FILE *f = argc > 1 ? fopen(argv[1], "r") : NULL;
    if (!f || fread(text, 1, sizeof text - 1, f) == 0) return fprintf(stderr, "usage: mutate FILE [N]\n"), 2;
    fclose(f);
    blank_out();
    for (int i = 0; blank[i]; i++) {
        if (is_word(i, "if") || is_word(i, "while")) add_condition(open_after(i) + 1, closing(open_after(i)));
        if (is_word(i, "for")) add_for(open_after(i));
        if (blank[i] == '?') add_choice(i);
    }
    if (argc < 3) return printf("%d\n", n) < 0;
    int k = atoi(argv[2]), line = 1;
    if (k < 0 || k >= n) return 2;
    for (int i = 0; i < condition[k].from; i++) line += text[i] == '\n';
    fprintf(stderr, "%d: %.*s\n", line, condition[k].to - condition[k].from, text + condition[k].from);
    printf("%.*s!(%.*s)%s", condition[k].from, text, condition[k].to - condition[k].from, text + condition[k].from, text + condition[k].to);
    return 0;
}
