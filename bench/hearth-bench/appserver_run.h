/* SPDX-License-Identifier: Apache-2.0 */
/* bench/appserver as a process of its own, and wrk, which asks it. */
#ifndef HEARTH_BENCH_APPSERVER_RUN_H
#define HEARTH_BENCH_APPSERVER_RUN_H

#include "hearth-bench/bench.h"

#include <stdio.h>
#include <sys/types.h>

/* A server that runs. */
struct appserver_run {
    pid_t pid; /* 0: none */
    FILE *output;
    unsigned port;
    /* What it told at its end: */
    double requests;
    double failed;
    double held_ms;          /* longest time that an event loop was held, */
    double held_whole_ms;    /* with times without a processor, by the wall clock, */
    double held_in_cache_ms; /* by Hearth's calls alone, */
    double held_outside_ms;  /* by answers alone, in which Hearth has no part */
};

/* With these arguments, ended by NULL, on a port that is free. 0; or -1, and bench_fail() has said why. */
int appserver_start(const struct bench *bench, struct appserver_run *run,
                    const char *const *arguments);

/* Ends it, and takes what it tells. The same results. */
int appserver_stop(const struct bench *bench, struct appserver_run *run);

/* A load: so many connections, each with one request on its way, for so long. */
struct wrk_load {
    unsigned connections;
    unsigned seconds;
    const char *script; /* of wrk's; NULL: always the same page */
};

struct wrk_result {
    double per_second;
    double failed; /* answered by an error, or not at all */
};

/* Whether wrk is installed. */
bool wrk_is_there(void);

/* In two steps, so that something can happen meanwhile. NULL, and 0 or -1 as above. */
FILE *wrk_begin(const struct bench *bench, const struct appserver_run *run,
                const struct wrk_load *load);
int wrk_end(const struct bench *bench, FILE *wrk, struct wrk_result *result);

#endif
