/* SPDX-License-Identifier: Apache-2.0 */
/* What repeated measurements say together. */
#ifndef HEARTH_BENCH_SAMPLE_H
#define HEARTH_BENCH_SAMPLE_H

#include <stddef.h>

enum { SAMPLE_MAX = 99 };

/* The median of `count` measurements, 1 to SAMPLE_MAX. They keep their order. */
double sample_median(const double *values, size_t count);

/* How far they lie apart: half the distance between the quartiles, as a share of the median. 0
 * for a median of 0. */
double sample_spread(const double *values, size_t count);

/* The largest. */
double sample_max(const double *values, size_t count);

#endif
