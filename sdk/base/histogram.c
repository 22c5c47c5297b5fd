/* SPDX-License-Identifier: Apache-2.0 */
#include "base/histogram.h"

enum { FINE_BITS = 3, FINE = 1 << FINE_BITS, NS_PER_US = 1000 };

/* Where the steps of a doubling begin. */
static size_t base_of(size_t doublings) {
    return doublings * FINE;
}

/* The first two doublings' worth have a step for each microsecond. */
static size_t step_of(uint64_t us) {
    unsigned doublings = us < FINE ? 0 : (unsigned)(63 - __builtin_clzll(us)) - FINE_BITS;
    size_t step = base_of(doublings) + (size_t)(us >> doublings);
    return step < HEARTH__HISTOGRAM_STEPS ? step : HEARTH__HISTOGRAM_STEPS - 1;
}

void hearth__histogram_add(hearth__histogram *histogram, int64_t ns) {
    size_t step = step_of(ns > 0 ? (uint64_t)ns / NS_PER_US : 0);
    (void)atomic_fetch_add_explicit(&histogram->counts[step], 1, memory_order_relaxed);
}

void hearth__histogram_clear(hearth__histogram *histogram) {
    for (size_t i = 0; i < HEARTH__HISTOGRAM_STEPS; i++) {
        atomic_store_explicit(&histogram->counts[i], 0, memory_order_relaxed);
    }
}

uint64_t hearth__histogram_end_us(size_t step) {
    size_t next = step + 1;
    size_t doublings = next < base_of(2) ? 0 : next / FINE - 1;
    return (uint64_t)(next - base_of(doublings)) << doublings;
}

static uint64_t count_of(const hearth__histogram *histogram, size_t step) {
    return atomic_load_explicit(&histogram->counts[step], memory_order_relaxed);
}

uint64_t hearth__histogram_below(const hearth__histogram *histogram, uint64_t us) {
    uint64_t below = 0;
    for (size_t i = 0; i < HEARTH__HISTOGRAM_STEPS && hearth__histogram_end_us(i) <= us; i++) {
        below += count_of(histogram, i);
    }
    return below;
}

uint64_t hearth__histogram_percentile_us(const hearth__histogram *histogram, unsigned percent) {
    enum { WHOLE = 100 };
    uint64_t all = hearth__histogram_below(histogram, UINT64_MAX);
    uint64_t wanted = all / WHOLE * percent + (all % WHOLE * percent + WHOLE - 1) / WHOLE;
    uint64_t seen = 0;
    for (size_t i = 0; wanted != 0 && i < HEARTH__HISTOGRAM_STEPS; i++) {
        seen += count_of(histogram, i);
        if (seen >= wanted) {
            return hearth__histogram_end_us(i);
        }
    }
    return 0;
}
