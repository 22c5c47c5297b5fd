/* SPDX-License-Identifier: Apache-2.0 */
/* Popularity after Zipf: the object of rank r (from 0) is asked for in proportion to
 * 1 / (r + 1)^exponent. Drawn in constant time by the method of Gray, Sundaresan, Englert,
 * Baclawski and Weinberger, "Quickly Generating Billion-Record Synthetic Databases" (1994). */
#ifndef HEARTH_BENCH_ZIPF_H
#define HEARTH_BENCH_ZIPF_H

#include <stdint.h>

/* Read-only once made, then free for any number of threads. */
struct zipf {
    uint32_t count;
    double zeta; /* the sum of all weights, where the first object's is 1 */
    double second;
    double alpha;
    double eta;
};

/* For `count` objects, at least 1, and an exponent above 0 and below 1. Takes about 50 ns an
 * object. */
void zipf_init(struct zipf *zipf, uint32_t count, double exponent);

/* The rank, 0 to count - 1, that 64 random bits stand for. */
uint32_t zipf_rank(const struct zipf *zipf, uint64_t random);

#endif
