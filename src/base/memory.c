/* memory.c -- as Linux tells it (proc(5)). */
#include "base/memory.h"

#include <stdio.h>
#include <string.h>

/* "MemAvailable:   23071256 kB" */
static size_t read_line(const char *path, const char *key)
{
    FILE *f = fopen(path, "r");
    char line[128];
    unsigned long long kib = 0;
    while (f && !kib && fgets(line, sizeof line, f))
        if (!strncmp(line, key, strlen(key))) sscanf(line + strlen(key), ": %llu kB", &kib);
    if (f) fclose(f);
    return (size_t)kib << 10;
}

size_t memory_available(void) { return read_line("/proc/meminfo", "MemAvailable"); }
size_t memory_used(void) { return read_line("/proc/self/status", "RssAnon"); }
