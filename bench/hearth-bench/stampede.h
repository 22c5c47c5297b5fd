/* SPDX-License-Identifier: Apache-2.0 */
/* What the cases of the suite stampede share: an origin that takes its time, and threads that never stop asking. */
#ifndef HEARTH_BENCH_STAMPEDE_H
#define HEARTH_BENCH_STAMPEDE_H

#include "hearth-bench/bench.h"

#include <stdatomic.h>

/* The database: each load takes as long, however many run. */
struct slow_origin {
    int64_t ms;
    _Atomic uint64_t loads;
    _Atomic int running;
    _Atomic int most_running; /* at once, so far */
};

/* One load. Any thread. */
void slow_origin_ask(struct slow_origin *origin);

/* What a thread of a rush does until the time is over, again and again. False: something went wrong. */
typedef bool rush_ask(void *arg, unsigned thread);

enum { RUSH_THREADS_MOST = 64 };

/* Runs so many threads until `over` answers true, which is asked every few milliseconds. 0, or -1, which was reported. */
int rush(const struct bench *bench, unsigned threads, rush_ask *ask, void *arg,
         bool (*over)(void *arg));

case_run stampede_expiry;
case_run stampede_failure;
case_run stampede_cold_start;
case_run stampede_cold_return;

#endif
