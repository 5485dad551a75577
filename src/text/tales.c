/* tales.c -- the grammar file, carried in the binary. */
#include "text/tales.h"

#include <stdlib.h>

#include "base/embed.h"

EMBED(tales_text, "text/tales.grammar");

int tales_open(struct grammar **g)
{
    return grammar_parse(g, tales_text, (size_t)(tales_text_end - tales_text), "tales.grammar");
}

#ifdef FUZZ_TALES
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct grammar *g;
    if (!g && tales_open(&g)) abort();
    double log_p;
    size_t understood;
    int told = grammar_accepts(g, (const char *)data, size, &log_p, &understood);
    if (understood > size || (told && (understood < size || log_p >= 0))) abort();
    return 0;
}
#endif
