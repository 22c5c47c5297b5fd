/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Canaries: changes that this process makes itself, on each of the connections on which values are read, to hear of them as of
 * anybody's.
 *
 * A connection reads a key of its own and, in the same write, sets it: its node has to tell the listener. How long that takes is how
 * long anybody's change takes. And a listener that has heard a pong to a ping from after the node had answered, but not of that
 * change, will not hear of any that concerns this connection (tracking.h says why a pong proves that): it is deaf, whatever
 * it answered when it was to be told, as behind a proxy that shares connections to servers, or leads them to different ones.
 *
 * No locks; the clocks are passed in. One thread asks for a source; the listener's is the one that hears.
 */
#ifndef HEARTH_COHERENCE_CANARY_H
#define HEARTH_COHERENCE_CANARY_H

#include "coherence/coherence.h"

#include <stdatomic.h>

/* One source's. All zero: none was sent yet. */
typedef struct hearth__canary {
    _Atomic int64_t sent_ns; /* hearth__monotonic_ns(), before it was; 0: nothing is awaited */
    _Atomic int64_t written_ms; /* hearth__boot_ms(), after it was; 0: that is not known */
    _Atomic int64_t due_ms;     /* boot time: the next */
} hearth__canary;

/* For a new connection. */
void hearth__canary_reset(hearth__canary *canary);

/* Whether one is to be sent now, with none awaited and the last one `every_ms` ago: it counts as sent. */
bool hearth__canary_begin(hearth__canary *canary, int64_t every_ms, int64_t now_ms,
                          int64_t now_ns);

/* The node has answered. `written`: it has read and set the key; else nothing is awaited. */
void hearth__canary_end(hearth__canary *canary, bool written, int64_t now_ms);

/* The listener: its change was told. How long that took, ns; negative: none was awaited. */
int64_t hearth__canary_hear(hearth__canary *canary, int64_t now_ns);

/* Whether a change was not told of which all from before proven_ms was. Then nothing is awaited any more. */
bool hearth__canary_is_unheard(hearth__canary *canary, int64_t proven_ms);

#endif
