/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A limiter of concurrent loads (a bulkhead: Nygard, "Release It!", 2007): so many have a place at once, the others wait in the
 * order in which they came, each to its own deadline.
 *
 *   enter, enter_spare -> (loads) -> leave
 *                         (waits for another's load: lend -> take_back)
 *
 * Who has a place already, and so is inside a loader, needs no other one: its thread does one thing at a time. Where it waits for
 * another thread's load, which may still wait for a place, it lends its own meanwhile. So loaders that fetch cannot wait for each
 * other through the limiter.
 *
 * State only: deadlines are passed in. Any thread. A forked child has none of its parent's other threads: their places are free
 * there.
 */
#ifndef HEARTH_GUARD_LIMITER_H
#define HEARTH_GUARD_LIMITER_H

#include "base/bell.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct hearth__limiter hearth__limiter;

/* A load's place, in the caller's memory, which stays where it is until the place is left. All zero is none. */
typedef struct hearth__place {
    struct hearth__place *prev;
    struct hearth__place *next;
    hearth__limiter *limiter; /* NULL: it has none, or needs none */
    uint64_t owner;           /* stands for the thread that entered */
    uint64_t fork_generation;
    bool runs;  /* it is counted */
    bool waits; /* in the line */
    bool lent;
    hearth__bell bell; /* of who waits */
} hearth__place;

/* So many places; 0: no limit. NULL: out of memory. */
hearth__limiter *hearth__limiter_create(uint32_t places) __attribute__((warn_unused_result));

/* Nobody may have a place. NULL is allowed. */
void hearth__limiter_destroy(hearth__limiter *limiter);

/* Takes a place, or waits for one, to the deadline (hearth__monotonic_ns(); 0: not at all). *waited: it had to. False: none was
 * free in time, and there is nothing to leave. */
bool hearth__limiter_enter(hearth__limiter *limiter, hearth__place *place, int64_t deadline_ns,
                           bool *waited);

/* Takes a place that nobody waits for, and not the last one, unless there is only one. Does not wait. */
bool hearth__limiter_enter_spare(hearth__limiter *limiter, hearth__place *place);

/* Whether that would succeed just now, without a lock. */
bool hearth__limiter_has_spare(const hearth__limiter *limiter);

/* Any thread. One that was not entered, all zero, is left for nothing. */
void hearth__limiter_leave(hearth__place *place);

/*
 * The calling thread, if it has places, is about to wait for another one's load: others may have them meanwhile. It takes them
 * back before all who wait; if they are not free by the deadline, there is one load more than there should be.
 */
void hearth__limiter_lend(hearth__limiter *limiter);
void hearth__limiter_take_back(hearth__limiter *limiter, int64_t deadline_ns);

/* How many places are taken. Any thread. */
uint64_t hearth__limiter_running(hearth__limiter *limiter);

#endif
