/* SPDX-License-Identifier: Apache-2.0 */
#include "base/gate.h"

#include <time.h>

/*
 * Sequentially consistent throughout: either a caller sees that the gate is shut, or who shuts it sees the caller inside.
 */
bool hearth__gate_enter(hearth__gate *gate) {
    _Atomic int64_t *inside = &gate->stripes[hearth__thread_stripe()].inside;
    atomic_fetch_add(inside, 1);
    if (atomic_load(&gate->shut)) {
        atomic_fetch_sub(inside, 1);
        return false;
    }
    return true;
}

void hearth__gate_leave(hearth__gate *gate) {
    atomic_fetch_sub(&gate->stripes[hearth__thread_stripe()].inside, 1);
}

static bool is_empty(const hearth__gate *gate) {
    int64_t inside = 0;
    for (size_t i = 0; i < HEARTH__THREAD_STRIPES; i++) {
        inside += atomic_load(&gate->stripes[i].inside);
    }
    return inside == 0;
}

void hearth__gate_shut(hearth__gate *gate) {
    atomic_store(&gate->shut, true);
    while (!is_empty(gate)) {
        /* Those who leave may not touch the gate afterwards, so nobody can wake us. */
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}
