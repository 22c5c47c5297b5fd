/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which keys' changes nodes tell of, where they tell all of them (coherence.tracking = broadcast; Redis' CLIENT TRACKING with BCAST
 * and PREFIX).
 */
#ifndef HEARTH_TIER_BROADCAST_H
#define HEARTH_TIER_BROADCAST_H

#include "tier/cache.h"

/* Whether coherence.prefixes can be: HEARTH_OK; HEARTH_E_INVALID and why not. */
int32_t hearth__broadcast_check(const hearth__config *config, char *why, size_t why_size);

/* Sets the cache's beginnings, if there are to be any, and what the remote room asks about them. HEARTH_OK, HEARTH_E_NOMEM. */
int32_t hearth__broadcast_open(hearth *cache);
void hearth__broadcast_close(hearth *cache);

#endif
