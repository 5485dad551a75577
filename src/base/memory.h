/* memory.h -- what the system says of memory, in bytes; 0 where it does not. */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H
#include <stddef.h>

size_t memory_available(void);           /* what can be taken without others losing theirs */
/* "512MiB", "8G" (GiB, too), "80%" of what is available.  E_USAGE */
int    memory_parse(const char *text, size_t *bytes);
size_t memory_used(void);                /* pages of this process that lie in memory and in no file */

#endif
