/* SPDX-License-Identifier: Apache-2.0 */
#include "base/grace.h"

#include "base/clock.h"

#include <stdbool.h>
#include <time.h>

enum { PAUSE_NS = 50000 };

/* A thread is known by the place of what it has of its own. */
static hearth__grace_place *own_place(hearth__grace *grace) {
    uint64_t address = (uint64_t)(uintptr_t)&hearth__tick_of_thread;
    return &grace->places[(address >> 6) * UINT64_C(0x9E3779B97F4A7C15) >> 59];
}

_Static_assert(HEARTH__GRACE_PLACES == 1 << (64 - 59), "a place for each hash");

/* All of this is sequentially consistent: either the section is seen by who waits, or it sees what was replaced. */
hearth__grace_section hearth__grace_enter(hearth__grace *grace) {
    hearth__grace_place *place = own_place(grace);
    _Atomic int64_t *inside = &place->inside[atomic_load(&grace->phase) & 1];
    atomic_fetch_add(inside, 1);
    return (hearth__grace_section){.inside = inside};
}

void hearth__grace_leave(hearth__grace_section section) {
    atomic_fetch_sub(section.inside, 1);
}

static bool is_empty(hearth__grace *grace, uint32_t phase) {
    for (int i = 0; i < HEARTH__GRACE_PLACES; i++) {
        if (atomic_load(&grace->places[i].inside[phase]) != 0) {
            return false;
        }
    }
    return true;
}

static void drain(hearth__grace *grace, uint32_t phase) {
    while (!is_empty(grace, phase)) {
        /* A section is over in a moment, and may not be asked to wake anybody. */
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
    }
}

/* Sections go on to come, so one count alone might never be empty: they are sent to the other one. A thread may have read the
 * phase long ago and count only now where nobody looks: hence both, one after the other. */
void hearth__grace_wait(hearth__grace *grace) {
    uint32_t phase = atomic_load(&grace->phase) & 1;
    drain(grace, phase ^ 1);
    atomic_store(&grace->phase, phase ^ 1);
    drain(grace, phase);
}
