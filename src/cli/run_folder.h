/* run_folder.h -- a run as those see it who only look: its history, and its configuration if that can be read. */
#ifndef CLI_RUN_FOLDER_H
#define CLI_RUN_FOLDER_H
#include "report/report.h"
#include "train/settings.h"

struct run_folder {
    const char *path;
    char name[PATH_SIZE], conf[PATH_SIZE];           /* path without a slash at its end; path/run.conf */
    int configured;                      /* conf was there and has been read */
    struct history history;
    struct settings settings;
    struct report_run seen;              /* for a report, as it is now */
    struct arena memory;
    struct text about;
};

/* Where metrics.jsonl is missing there is no run, unless somebody is about to begin one: E_IO.  What is wrong with its configuration is a notice. */
int  run_folder_open(struct run_folder *r, const char *path, struct text *notices);
int  run_folder_follow(struct run_folder *r, struct text *notices);
void run_folder_close(struct run_folder *r);

#endif
