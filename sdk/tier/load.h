/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads that belong to no call: those that workers run, and fills that a caller has begun and will end. They keep what they
 * need of the call that made them.
 */
#ifndef HEARTH_TIER_LOAD_H
#define HEARTH_TIER_LOAD_H

#include "tier/read.h"

/* What a leader leaves to those who wait for it: its status, and a copy of its answer. */
void hearth__load_land(hearth__flight *flight, int32_t status, const hearth__answer *answer,
                       const hearth__buffer *bytes);

/* Workers for a cache. NULL: out of memory. */
hearth__workers *hearth__load_workers_create(const hearth *cache);

/* Whether a load may outlive the call that asks for it. */
bool hearth__load_may_outlive(const hearth_loader *loader);

/* What became of a load that was to go to a worker. */
enum hearth__handing {
    HEARTH__HANDED,  /* it is under way: the flight is the worker's */
    HEARTH__DROPPED, /* too many wait: the caller still leads, and leaves the load */
    HEARTH__KEPT,    /* there is nobody, or no memory: the caller still leads, and loads */
};

/*
 * Gives the load that the calling thread leads to a worker. `urgent`: callers wait for it. `waits`: the caller then follows
 * the flight, and leaves it.
 */
enum hearth__handing hearth__load_hand_over(const hearth__read *read, hearth__flight *flight,
                                            bool urgent, bool waits);

/* Before who follows a flight waits: a load that no worker is left for is run by the caller. */
void hearth__load_rescue(hearth *cache, const hearth__flight *flight);

/* A fill that its caller ends by hearth__load_commit() or hearth__load_abandon(). HEARTH_OK; HEARTH_E_NOMEM, or, for want of a
 * place, HEARTH_E_OVERLOAD, which to who does not wait is HEARTH_MISS: the caller still leads. */
int32_t hearth__load_begin(const hearth__read *read, hearth__flight *flight,
                           hearth_fill **fill);

#endif
