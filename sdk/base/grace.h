/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Grace periods, as in read-copy-update (McKenney, Slingwine 1998): short sections that use something which is replaced now and
 * then, and a wait for all sections that may still use the old one. Entering and leaving waits for nobody; each thread counts
 * on a cache line that it shares with few others.
 */
#ifndef HEARTH_BASE_GRACE_H
#define HEARTH_BASE_GRACE_H

#include <stdatomic.h>
#include <stdint.h>

enum { HEARTH__GRACE_PLACES = 32 };

typedef struct hearth__grace_place {
    _Alignas(64) _Atomic int64_t inside[2]; /* by phase */
} hearth__grace_place;

typedef struct hearth__grace {
    hearth__grace_place places[HEARTH__GRACE_PLACES];
    _Atomic uint32_t phase;
} hearth__grace;

/* A section of the calling thread. */
typedef struct hearth__grace_section {
    _Atomic int64_t *inside;
} hearth__grace_section;

/* Any thread; sections may be nested. What is loaded within is not freed before it is left, if who replaced it waits. */
hearth__grace_section hearth__grace_enter(hearth__grace *grace);
void hearth__grace_leave(hearth__grace_section section);

/*
 * Waits until all sections have been left that were entered before, so that none holds what was replaced before the call. One
 * thread at a time, which is in no section. All zero is a grace to begin with.
 */
void hearth__grace_wait(hearth__grace *grace);

#endif
