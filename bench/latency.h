/* SPDX-License-Identifier: Apache-2.0 */
/* A histogram of latencies in nanoseconds, in the manner of Gil Tene's HdrHistogram: 1024
 * buckets for each power of two, so that every percentile is within 0.05 % of the truth over the
 * whole range of 64 bits, in fixed memory (450 KB, of which only the pages between the least and
 * the greatest record are ever touched). One thread per histogram; merge at the end: the merged
 * one is what one histogram of all records would be.
 */
#ifndef HEARTH_BENCH_LATENCY_H
#define HEARTH_BENCH_LATENCY_H

#include <stdint.h>

enum {
    LATENCY_BITS = 10, /* 2^10 buckets for a power of two */
    LATENCY_BUCKETS = (64 - LATENCY_BITS + 1) << LATENCY_BITS,
};

/* All zero is an empty histogram, and every histogram begins as one. */
struct latency {
    uint64_t count;
    uint64_t sum_ns;
    uint64_t min_ns; /* of no meaning while count is 0 */
    uint64_t max_ns;
    uint64_t buckets[LATENCY_BUCKETS];
};

/* Forgets the records. Not for memory that was never a histogram. */
void latency_clear(struct latency *latency);

void latency_record(struct latency *latency, uint64_t ns);

/* Adds the records of `from` to those of `into`. */
void latency_merge(struct latency *into, const struct latency *from);

/* The smallest latency that at least `percent` (0 to 100) of the records do not exceed; 0 and
 * 100 are exact. 0 when there is no record. */
uint64_t latency_percentile(const struct latency *latency, double percent);

/* 0 when there is no record. */
uint64_t latency_mean(const struct latency *latency);

#endif
