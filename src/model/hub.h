/* hub.h -- where the files of a model named by word, not by path, are: "gpt2" to "gpt2-xl", and OWNER/NAME if somebody has downloaded it. */
#ifndef MODEL_HUB_H
#define MODEL_HUB_H
#include <stdint.h>

#include "base/file.h"

/* What model_open takes: `name` itself if it is a folder or a file; for OWNER/NAME Hugging Face's cache; for a GPT-2 name that
 * ($HF_HUB_CACHE, $HF_HOME/hub, ~/.cache/huggingface/hub), nib's own cache, else a download into that; else E_IO and the
 * command that would get it. */
int hub_find(char folder[PATH_SIZE], const char *name, void (*progress)(void *context, uint64_t now, uint64_t all), void *context);

#endif
