/* fetch.h -- downloads: by libcurl, to a file, checked. */
#ifndef FILE_FETCH_H
#define FILE_FETCH_H
#include <stddef.h>
#include <stdint.h>

/* url to path, atomically.  sha256 (hex, may be NULL) must match, else nothing is kept.  HTTPS only, unless the URL is file:// or
 * the host is localhost; redirects to the same kinds alone.  progress (may be NULL) is told bytes so far and in all (0: unknown).
 * Fails with E_IO and a text that ends with what the user can do instead, if `instead` is given. */
int fetch(const char *url, const char *path, const char *sha256, const char *instead,
          void (*progress)(void *context, uint64_t now, uint64_t all), void *context);

#endif
