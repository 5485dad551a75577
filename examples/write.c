/* write.c -- a model folder writes on from a prompt:  write FOLDER "Once upon a time" */
#include <nib.h>
#include <stdio.h>

static int print(void *context, const char *text, size_t n)
{
    (void)context;
    return fwrite(text, 1, n, stdout) != n || fflush(stdout);
}

int main(int argc, char **argv)
{
    struct nib_sampling how;
    nib_model *m;
    if (argc < 2) return fprintf(stderr, "usage: %s FOLDER [PROMPT]\n", argv[0]), NIB_USAGE;
    int code = nib_open(&m, argv[1], NULL);
    if (code) return fprintf(stderr, "%s\n", nib_error()), code;

    nib_sampling_defaults(&how);
    how.max_new_tokens = 200;
    if (argc > 2) fputs(argv[2], stdout);
    code = nib_generate(m, argc > 2 ? argv[2] : NULL, &how, print, NULL);
    puts("");
    if (code) fprintf(stderr, "%s\n", nib_error());
    nib_close(m);
    return code;
}
