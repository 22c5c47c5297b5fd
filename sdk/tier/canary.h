/* SPDX-License-Identifier: Apache-2.0 */
/* Canaries: changes of this process's own, to see whether and how soon nodes tell of changes. */
#ifndef HEARTH_TIER_CANARY_H
#define HEARTH_TIER_CANARY_H

#include "tier/cache.h"

/* What the remote room asks about them. */
void hearth__canary_open(hearth__tracker *tracker, bool is_broadcast);

/* A key was told of: whether it is that of a canary which was awaited. The reading thread. */
bool hearth__canary_told(hearth *cache, const void *key, size_t key_size);

#endif
