/* fetch.h -- downloads: by libcurl, to a file, checked. */
#ifndef FILE_FETCH_H
#define FILE_FETCH_H
#include <stddef.h>
#include <stdint.h>

/* url to path, atomically (base/file.h).  sha256 (64 hex digits, may be NULL) must match, else nothing is kept: E_DATA.
 * HTTPS only, unless the URL is file:// or the host is this machine; only HTTPS may redirect, and only to HTTPS (E_USAGE, E_IO).
 * Gives up (E_IO) when no connection stands after 20 s, or less than 1 kB/s came for 60 s.  progress (may be NULL) is told bytes so
 * far and in all (0: unknown).  Messages name the URL (or the path), and end with what the user can do instead, if `instead` is given. */
int fetch(const char *url, const char *path, const char *sha256, const char *instead,
          void (*progress)(void *context, uint64_t now, uint64_t all), void *context);

#endif
