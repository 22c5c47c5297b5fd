/* SPDX-License-Identifier: Apache-2.0 */
/* splitmix64 (Steele, Lea, Flood 2014): small, fast, and the same stream from the same seed on
 * every machine. The state is the caller's; one thread a state. */
#ifndef HEARTH_BENCH_SPLITMIX_H
#define HEARTH_BENCH_SPLITMIX_H

#include <stdint.h>

static inline uint64_t splitmix(uint64_t *state) {
    uint64_t mixed = (*state += 0x9E3779B97F4A7C15U);
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9U;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBU;
    return mixed ^ (mixed >> 31);
}

/* A number below `end`, which is at least 1; the bias of 2^-32 does not matter here. */
static inline uint32_t splitmix_below(uint64_t *state, uint32_t end) {
    return (uint32_t)(((splitmix(state) >> 32) * end) >> 32);
}

#endif
