/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bell that sleeping threads wait for, each for its own strokes: one call wakes any number of
 * chosen ones. Who waits looks at the bell first, then at what it waits for, then sleeps; who
 * rings has changed that before. All zero is a bell.
 */
#ifndef HEARTH_BASE_BELL_H
#define HEARTH_BASE_BELL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct hearth__bell {
    _Atomic uint32_t rings;
} hearth__bell;

static inline uint32_t hearth__bell_look(const hearth__bell *bell) {
    return atomic_load(&bell->rings);
}

/*
 * Sleeps until it rings with one of `strokes` (not 0), unless it rang since `seen`; it may also
 * wake for nothing. False: the deadline (hearth__monotonic_ns(); HEARTH__NEVER) has passed.
 */
bool hearth__bell_await(hearth__bell *bell, uint32_t seen, uint32_t strokes,
                        int64_t deadline_ns);

/* Wakes all who wait for one of these strokes. Any thread. */
void hearth__bell_ring(hearth__bell *bell, uint32_t strokes);

#endif
