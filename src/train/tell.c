/* tell.c -- what happens, to whoever started the run and, where it matters later, to metrics.jsonl. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "train/run.h"

struct train_event run_event(const struct run *r, enum train_kind kind)
{
    return (struct train_event){ .kind = kind, .settings = r->s, .data = &r->data, .trainer = &r->trainer, .adapter = r->around.adapter, .iteration = r->trainer.progress.iteration };
}

void run_tell(const struct run *r, struct train_event e) { r->tell(r->context, &e); }

void run_tell_text(const struct run *r, enum train_kind kind, const char *text)
{
    struct train_event e = run_event(r, kind);
    e.text = text;
    run_tell(r, e);
}

void run_tell_notices(struct run *r)
{
    for (char *line = r->notices.size ? r->notices.at : NULL, *end; line && *line; line = end) {
        end = line + strcspn(line, "\n");
        if (*end) *end++ = 0;
        run_tell_text(r, TRAIN_NOTICE, line);
    }
    text_clear(&r->notices);
}

void run_happened(struct run *r, const char *kind, const char *format, ...)
{
    char text[2 * ERROR_TEXT];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    metrics_event(&r->metrics, r->trainer.progress.iteration, kind, text);
    run_tell_text(r, TRAIN_NOTICE, text);
}
