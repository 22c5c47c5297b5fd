/* SPDX-License-Identifier: Apache-2.0 */
/* What the server was asked for on its command line. */
#ifndef HEARTH_BENCH_APPSERVER_ARGUMENTS_H
#define HEARTH_BENCH_APPSERVER_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { OPTIONS_MOST = 32 };

struct arguments {
    const char *listen;                /* HOST:PORT, or unix:PATH */
    const char *database;              /* a file; NULL: one that goes with the server */
    const char *remote;                /* remote.url */
    const char *options[OPTIONS_MOST]; /* of Hearth, as NAME=VALUE */
    size_t option_count;
    uint32_t threads;
    uint32_t peers;          /* of a load, see origin.h; 0: calibrated to a millisecond */
    uint32_t load_wait_ms;   /* added to each load */
    uint32_t loop_processor; /* if there is one */
    bool has_loop_processor;
    uint32_t max_age_s; /* how long others may keep a page without asking */
    bool blocks;        /* threads that wait for their pages, instead of event loops */
    bool has_hearth;
};

enum arguments_verdict {
    ARGUMENTS_RUN,
    ARGUMENTS_HELPED,  /* the help was printed, nothing else is wanted */
    ARGUMENTS_REFUSED, /* stderr says why */
};

/* The texts stay those of `argv`. */
enum arguments_verdict arguments_parse(struct arguments *arguments, int argc, char **argv);

#endif
