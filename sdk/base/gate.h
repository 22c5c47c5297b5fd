/* SPDX-License-Identifier: Apache-2.0 */
/* A gate that callers go through, so that what they use is freed only when all have left. */
#ifndef HEARTH_BASE_GATE_H
#define HEARTH_BASE_GATE_H

#include "base/stripe.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* All zero is an open gate that nobody is inside of. */
typedef struct hearth__gate {
    struct {
        _Atomic int64_t inside; /* entered less left by this stripe's threads */
        char pad[56];           /* a cache line each */
    } stripes[HEARTH__THREAD_STRIPES];
    _Atomic bool shut;
} hearth__gate;

/* False: it is shut. True: leave is to follow, on the same thread. */
bool hearth__gate_enter(hearth__gate *gate);
void hearth__gate_leave(hearth__gate *gate);

/* Lets nobody in any more and waits until all have left. */
void hearth__gate_shut(hearth__gate *gate);

#endif
