/* state.c -- state MODEL.bin STATE.bin: by how much nib's loss, logits and gradients differ from a debug state of llm.c's. */
#include "../debug_state.h"

#include <stdio.h>

int main(int argc, char **argv)
{
    struct off_by off;
    if (argc != 3 || cpu_init(NULL, 0) || state_check(argv[1], argv[2], &off)) return fprintf(stderr, "%s\n", error_text()), 1;
    printf("%g %g %g\n", off.loss, off.logits, off.gradient);
    return 0;
}
