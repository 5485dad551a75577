/* encoders.h -- documents to ids by several threads: what tokenizer.h's encoders do for those who read documents. */
#ifndef TOKEN_ENCODERS_H
#define TOKEN_ENCODERS_H
#include "token/crew.h"

/* From now on ids go to take(), part by part in the order of the text, instead of to a list. */
void encoders_hand_to(struct encoders *e, int (*take)(void *context, const struct part *p, const struct ids *ids), void *context);
int  encoders_document(struct encoders *e, const struct document *doc);      /* as crew_add */
int  encoders_finish(struct encoders *e);                                    /* as crew_finish */

#endif
