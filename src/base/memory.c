/* memory.c -- as Linux tells it (proc(5)). */
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

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

int memory_parse(const char *text, size_t *bytes)
{
    static const struct { const char *name; double factor; } units[] = { { "K", 0x1p10 }, { "KiB", 0x1p10 }, { "M", 0x1p20 }, { "MiB", 0x1p20 }, { "G", 0x1p30 }, { "GiB", 0x1p30 }, { "T", 0x1p40 }, { "TiB", 0x1p40 } };
    char *end;
    double n = strtod(text, &end), factor = 0;
    if (!strcmp(end, "%")) factor = (double)memory_available() / 100;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (!strcmp(end, units[i].name)) factor = units[i].factor;
    FAIL_IF(end == text || !(n > 0 && n * factor >= 1 && n * factor < 0x1p62), E_USAGE, "memory of \"%.40s\" is not understood; 512MiB, 8GiB and 80%% are", text);
    *bytes = (size_t)(n * factor);
    return 0;
}

size_t memory_available(void) { return read_line("/proc/meminfo", "MemAvailable"); }
size_t memory_used(void) { return read_line("/proc/self/status", "RssAnon"); }
