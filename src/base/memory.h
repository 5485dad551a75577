/* memory.h -- what the system says of memory, in bytes; 0 where it does not. */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H
#include <stddef.h>

size_t memory_available(void);           /* what can be taken without others losing theirs */
size_t memory_used(void);                /* pages of this process that lie in memory and in no file */

#endif
