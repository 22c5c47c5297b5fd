/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long an event loop was held: from the moment at which it calls a function until it has its thread back, less the time in which
 * the thread was ready and the system let others run, which the function could not help. What is left it computed or slept: a thread
 * that waits for a lock sleeps, however short of processors the lock's holder is, so such waits count.
 */
#ifndef HEARTH_BENCH_APPSERVER_HELD_H
#define HEARTH_BENCH_APPSERVER_HELD_H

#include <stdatomic.h>
#include <stdint.h>

/* The longest time for which a loop was held, and what of it: all in ns. */
struct held_longest {
    int64_t held_ns;
    int64_t computed_ns;
    int64_t slept_ns;
    int64_t
        whole_ns; /* of any, with the times without a processor: of another one, it may be */
};

/* Of one loop. Its thread writes, any may read what was longest. */
struct held {
    int delay_file;
    int64_t begin_ns;
    int64_t begin_computed_ns;
    int64_t delay_seen_ns; /* when the delay was asked for last */
    uint64_t delay_ns;
    _Atomic int64_t held_ns;
    _Atomic int64_t computed_ns;
    _Atomic int64_t whole_ns;
};

/* By the loop's thread; all is 0 before. */
void held_open(struct held *held);
void held_close(struct held *held);

/* Around what is measured. */
void held_begin(struct held *held);
void held_end(struct held *held);

struct held_longest held_longest(const struct held *held);

#endif
