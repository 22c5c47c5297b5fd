/* SPDX-License-Identifier: Apache-2.0 */
/* How many durations there were of which size: eight steps to each doubling of microseconds, so a step is at most an eighth wide.
 * All zero is an empty histogram. Any thread adds and reads. */
#ifndef HEARTH_BASE_HISTOGRAM_H
#define HEARTH_BASE_HISTOGRAM_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { HEARTH__HISTOGRAM_STEPS = 240 };

typedef struct hearth__histogram {
    _Atomic uint64_t counts[HEARTH__HISTOGRAM_STEPS];
} hearth__histogram;

/* Longer ones than an hour and a bit count as the longest. */
void hearth__histogram_add(hearth__histogram *histogram, int64_t ns);

/* All that was added is forgotten. What others add meanwhile may be too. */
void hearth__histogram_clear(hearth__histogram *histogram);

/* The end of a step, us: its durations are less. */
uint64_t hearth__histogram_end_us(size_t step);

/* How many there were of less than so many us, as far as whole steps tell. */
uint64_t hearth__histogram_below(const hearth__histogram *histogram, uint64_t us);

/* The end of the step within which that part of all was, in hundredths, us; 0: there were none. */
uint64_t hearth__histogram_percentile_us(const hearth__histogram *histogram, unsigned percent);

#endif
