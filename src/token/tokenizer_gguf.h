/* tokenizer_gguf.h -- what reading (tokenizer_gguf.c) and writing (tokenizer_gguf_write.c) the tokenizer of a GGUF file share. */
#ifndef TOKEN_TOKENIZER_GGUF_H
#define TOKEN_TOKENIZER_GGUF_H
#include "file/gguf.h"
#include "token/tokenizer_core.h"

#define TOKENIZER_KEY "tokenizer.ggml."
#define CHAT_KEY "tokenizer.chat_template"
#define TOKENIZER_JSON "tokenizer.huggingface.json"          /* the whole file, which says more than all other keys */

/* tokenizer.ggml.token_type */
enum token_type { TYPE_NORMAL = 1, TYPE_UNKNOWN, TYPE_CONTROL, TYPE_USER, TYPE_UNUSED, TYPE_BYTE };

/* What a name in tokenizer.ggml.pre stands for (src/llama-vocab.cpp). */
struct pre {
    const char *names;                   /* all that mean the same, a space between them; the first is written */
    struct split_stage stage[2]; int stages;
    int whole_first, begins;             /* a piece that is a token is not merged; bos before a text unless a key says otherwise */
    int by_ascii;                        /* llama.cpp tells large letters from small ones in ASCII alone */
};
extern const struct pre tokenizer_pres[];                    /* ends with names NULL */

#endif
