/* SPDX-License-Identifier: Apache-2.0 */
/* Counters that many threads add to: striped, so that they do not share cache lines. */
#ifndef HEARTH_BASE_COUNTERS_H
#define HEARTH_BASE_COUNTERS_H

#include <stddef.h>
#include <stdint.h>

typedef struct hearth__counters hearth__counters;

/* `count` counters, all 0; NULL when there is no memory. Freed by hearth__counters_destroy();
 * NULL is allowed there. */
hearth__counters *hearth__counters_create(size_t count) __attribute__((warn_unused_result));
void hearth__counters_destroy(hearth__counters *counters);

/* Adds to the counter at `index`. Any thread. */
void hearth__counters_add(hearth__counters *counters, size_t index, uint64_t amount);

/* The sum over all threads. Any thread. */
uint64_t hearth__counters_sum(const hearth__counters *counters, size_t index);

#endif
