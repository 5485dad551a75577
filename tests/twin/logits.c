/* logits.c -- what nib makes of a text, by nib.h alone:  logits FOLDER <text >answer
 * answer: n and the vocabulary V (i64), n ids (i32), for each of them V logits of what comes next (f32), the text of the ids. */
#include <nib.h>
#include <stdio.h>
#include <stdlib.h>

static char text[1 << 16];

static int write_logits(nib_model *m, const int32_t *ids, size_t n)
{
    size_t vocab = (size_t)nib_vocab(m);
    float *logits = malloc(vocab * sizeof *logits);
    int code = logits ? 0 : NIB_MEMORY;
    for (size_t i = 1; i <= n && !code; i++) {
        code = nib_logits(m, ids, i, logits);
        fwrite(logits, sizeof *logits, vocab, stdout);
    }
    free(logits);
    return code;
}

int main(int argc, char **argv)
{
    nib_model *m = NULL;
    int32_t *ids = NULL;
    char *again = NULL;
    size_t size = fread(text, 1, sizeof text, stdin), n;
    int code = argc == 2 ? nib_open(&m, argv[1], NULL) : NIB_USAGE;
    if (!code) code = nib_encode(m, text, size, &ids, &n);
    if (!code) {
        fwrite((int64_t[]){ (int64_t)n, nib_vocab(m) }, sizeof(int64_t), 2, stdout);
        fwrite(ids, sizeof *ids, n, stdout);
        code = write_logits(m, ids, n);
    }
    if (!code) code = nib_decode(m, ids, n, &again, &n);
    if (!code) fwrite(again, 1, n, stdout);
    if (code) fprintf(stderr, "%s\n", nib_error());
    nib_close(m);
    return code;
}
