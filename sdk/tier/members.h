/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which nodes there are, and which of them owns a key: a snapshot that never changes, and is replaced whole. Who looks a key up
 * holds the snapshot until it has asked the node, so a node that is in no snapshot any more goes when the last who may ask it has
 * left. A node that is in both lists stays what it is: its connections, its breaker.
 */
#ifndef HEARTH_TIER_MEMBERS_H
#define HEARTH_TIER_MEMBERS_H

#include "remote/remote.h"
#include "tier/placement.h"
#include "tier/tier.h"

#include <stdatomic.h>

/* Who holds a snapshot is counted in several places, so that threads do not share a cache line. */
enum { HEARTH__MEMBERS_PLACES = 16 };

typedef struct hearth__members {
    struct {
        _Atomic int64_t holders;
        char pad[56];
    } places[HEARTH__MEMBERS_PLACES];
    hearth *cache;
    _Atomic bool retired; /* another one has taken its place */
    bool empty;           /* what follows is freed; under the membership's lock */
    struct hearth__members *next;
    hearth__placement *placement;
    hearth__history history;
    hearth__remote_url url; /* its nodes: as the ring numbers them */
    uint32_t *nodes;        /* their numbers in the remote room */
} hearth__members;

/* Once the remote room is open, without nodes. Takes the url's nodes. HEARTH_OK, HEARTH_E_NOMEM. */
int32_t hearth__members_open(hearth *cache, hearth__remote_url *url);
void hearth__members_close(hearth *cache);

/* The snapshot of now, and where the hold is counted. Any thread; takes no lock. */
hearth__members *hearth__members_hold(const hearth *cache, uint32_t *place);
void hearth__members_let_go(hearth__members *members, uint32_t place);

/* Whether a number is that of one of its nodes: one that has left the list may be gone, and another one have its number. */
bool hearth__members_have(const hearth__members *members, uint32_t node);

/* Whether it is still the one of now. */
bool hearth__members_are_current(const hearth__members *members);

#endif
