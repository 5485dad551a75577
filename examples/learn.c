/* learn.c -- a GPT learns the bytes of a file, 200 steps:  learn FILE */
#include <nib.h>
#include <stdio.h>
#include <stdlib.h>

enum { SEQUENCES = 8, LENGTH = 64, STEPS = 200 };

/* SEQUENCES windows at random places; a byte's target is the byte after it. */
static void draw(const unsigned char *text, long size, int32_t *ids, int32_t *targets)
{
    for (int s = 0; s < SEQUENCES; s++) {
        long at = rand() % (size - LENGTH);
        for (int i = 0; i < LENGTH; i++) {
            ids[s * LENGTH + i] = text[at + i];
            targets[s * LENGTH + i] = text[at + i + 1];
        }
    }
}

int main(int argc, char **argv)
{
    static unsigned char text[1 << 20];
    static int32_t ids[SEQUENCES * LENGTH], targets[SEQUENCES * LENGTH];
    FILE *f = argc > 1 ? fopen(argv[1], "rb") : NULL;
    long size = f ? (long)fread(text, 1, sizeof text, f) : 0;
    if (size <= LENGTH) return fprintf(stderr, "usage: %s FILE (of more than %d bytes)\n", argv[0], LENGTH), NIB_USAGE;

    struct nib_shape shape = { .layers = 2, .heads = 4, .width = 64, .vocab = 256, .context = LENGTH, .seed = 1 };
    nib_trainer *t;
    int code = nib_train_new(&t, &shape, SEQUENCES, LENGTH);
    for (int step = 0; step < STEPS && !code; step++) {
        double loss;
        draw(text, size, ids, targets);
        code = nib_train_step(t, ids, targets, NULL, &loss);
        if (!code && step % 20 == 0) printf("step %3d  loss %.4f\n", step, loss);
    }
    if (code) fprintf(stderr, "%s\n", nib_error());
    else nib_train_close(t);
    fclose(f);
    return code;
}
