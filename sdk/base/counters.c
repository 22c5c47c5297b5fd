/* SPDX-License-Identifier: Apache-2.0 */
#include "base/counters.h"

#include "base/memory.h"
#include "base/stripe.h"

#include <stdatomic.h>

enum { STRIPES = HEARTH__THREAD_STRIPES, LINE_COUNTERS = 8 };

struct hearth__counters {
    size_t stride; /* places from one stripe to the next: a line lies between their counters */
    _Atomic uint64_t values[];
};

hearth__counters *hearth__counters_create(size_t count) {
    size_t stride = count + LINE_COUNTERS - 1;
    hearth__counters *counters =
        hearth__alloc_zero(1, sizeof *counters + stride * STRIPES * sizeof(uint64_t));
    if (counters != NULL) {
        counters->stride = stride;
    }
    return counters;
}

void hearth__counters_destroy(hearth__counters *counters) {
    hearth__free(counters);
}

void hearth__counters_add(hearth__counters *counters, size_t index, uint64_t amount) {
    size_t place = hearth__thread_stripe() * counters->stride + index;
    atomic_fetch_add_explicit(&counters->values[place], amount, memory_order_relaxed);
}

uint64_t hearth__counters_sum(const hearth__counters *counters, size_t index) {
    uint64_t sum = 0;
    for (size_t stripe = 0; stripe < STRIPES; stripe++) {
        size_t place = stripe * counters->stride + index;
        sum += atomic_load_explicit(&counters->values[place], memory_order_relaxed);
    }
    return sum;
}
