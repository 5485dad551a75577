/* embed.h -- a file of src/ carried in the binary's read-only data, as bytes NAME to NAME_end, and a 0.  The assembler copies it; gcc and
 * clang both look for it where they look for headers. */
#ifndef BASE_EMBED_H
#define BASE_EMBED_H

#define EMBED(name, path)                                      \
    __asm__(".pushsection .rodata\n"                           \
            ".globl " #name ", " #name "_end\n"                \
            ".hidden " #name ", " #name "_end\n"               \
            #name ": .incbin \"" path "\"\n"                   \
            #name "_end: .byte 0\n"                            \
            ".popsection\n");                                  \
    extern const char name[] __attribute__((visibility("hidden"))), name##_end[] __attribute__((visibility("hidden")))

#endif
