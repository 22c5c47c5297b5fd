/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that ask servers, up to hundreds: how many operations they get done together, and how
 * long each takes. Unlike a crew they wait most of the time, so there may be more than
 * processors. The parties of a case take turns, as a crew's do.
 */
#ifndef HEARTH_BENCH_SWARM_H
#define HEARTH_BENCH_SWARM_H

#include "hearth-bench/bench.h"
#include "sample.h"

#include <sys/types.h>

enum { SWARM_THREADS = 256 };

/* One operation of a thread, the `count`-th. False: it went wrong. */
typedef bool swarm_ask(void *arg, unsigned thread, uint64_t count);

/* Whether it counts how long that operation takes. */
typedef bool swarm_is_timed(const void *arg, unsigned thread, uint64_t count);

/* One of those who are compared. */
struct swarm_party {
    swarm_ask *ask;
    void *arg;
    swarm_is_timed *is_timed; /* NULL: of all */
    unsigned threads;         /* 1 to SWARM_THREADS */
    /* Filled by swarm_contest, a round each: */
    double per_second[SAMPLE_MAX]; /* operations of all threads */
    double p99_us[SAMPLE_MAX];
    double cpu_us[SAMPLE_MAX]; /* processor time of this process, an operation */
    uint64_t wrong;
};

/* Where they run. */
struct swarm_place {
    bool pinned;          /* all threads, and the servers, on one processor */
    const pid_t *servers; /* else the scheduler decides */
    size_t count;
    int64_t
        slow_ms; /* an operation takes so long: also with --quick, some are to be measured */
};

/* Runs the parties in turn, for bench->rounds rounds. 0; -1 when anything went wrong, and
 * bench_fail() has said so. */
int swarm_contest(struct bench *bench, const struct swarm_place *place,
                  struct swarm_party *parties, size_t count);

/* Thousands of operations a second; the 99th percentile; processor time an operation. */
struct figure swarm_throughput(const struct bench *bench, const struct swarm_party *party);
struct figure swarm_p99(const struct bench *bench, const struct swarm_party *party);
struct figure swarm_cpu(const struct bench *bench, const struct swarm_party *party);

#endif
