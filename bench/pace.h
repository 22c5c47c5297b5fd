/* SPDX-License-Identifier: Apache-2.0 */
/* The pace at which loads, changes and faults come: a part of what is measured, not a wait for something that is done. */
#ifndef HEARTH_BENCH_PACE_H
#define HEARTH_BENCH_PACE_H

#include <stdint.h>
#include <time.h>

/* Until then by the monotonic clock; at once if that is over. */
static inline void pace_until(int64_t ns) {
    const struct timespec until = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

#endif
