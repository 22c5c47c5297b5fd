/* SPDX-License-Identifier: Apache-2.0 */
/* The threads that measure. They live as long as the program, each on a processor of its own
 * where there are enough, and run one party of a case at a time, so that whoever is compared
 * alternates under the same conditions. */
#ifndef HEARTH_BENCH_CREW_H
#define HEARTH_BENCH_CREW_H

#include "hearth-bench/bench.h"
#include "sample.h"

enum {
    CREW_THREADS = 2,
    CREW_BATCH = 256, /* operations between two looks at the clock */
};

_Static_assert((int)SAMPLE_MAX >= (int)ROUNDS_MOST, "a median of all rounds");

/* Does `count` operations, beginning at place `from` of the thread's own sequence, and says how
 * many went wrong. `count` is CREW_BATCH; `from` is a multiple of it, below party.places. */
typedef uint64_t party_run(void *arg, unsigned thread, size_t from, size_t count);

/* One of those who are compared. */
struct party {
    party_run *run;
    void *arg;
    size_t places;    /* length of a thread's sequence, a multiple of CREW_BATCH; then it begins
                         anew */
    unsigned threads; /* 1 to CREW_THREADS, at once */
    /* Filled by crew_contest: */
    unsigned disturbed;        /* rounds in which a processor was waited for */
    size_t next[CREW_THREADS]; /* place in the sequence */
    uint64_t operations;
    uint64_t wrong;
    double per_second[SAMPLE_MAX];      /* operations of all threads, a round */
    double per_busy_second[SAMPLE_MAX]; /* where time without a processor does not count */
};

/* Starts the threads. NULL: no memory, or no threads. */
struct crew *crew_create(void);

void crew_destroy(struct crew *crew);

/* Runs the parties in turn, for bench->rounds rounds; a round begins with another party each
 * time. A measurement in which a thread was ready but got no processor for a while is made again,
 * and the least disturbed of three counts. 0; -1 when anything went wrong in a party. */
int crew_contest(struct bench *bench, struct party *parties, size_t count);

/* ns an operation takes. Of a party with one thread; time without a processor does not count. */
struct figure party_time(const struct bench *bench, const struct party *party);

/* Millions of operations a second, of all threads. All time counts: threads that keep each other
 * waiting do so only while all of them run. */
struct figure party_throughput(const struct bench *bench, const struct party *party);

/* How many times as much `many` got done as `one`, round by round; time without a processor does
 * not count. */
struct figure party_scaling(const struct bench *bench, const struct party *many,
                            const struct party *one);

#endif
