/* SPDX-License-Identifier: Apache-2.0 */
/* Calls with any handle, be it a cache or a namespace of one: as those of chain.c, write.c and peek.c, whose keys are as the tiers have
 * them. */
#ifndef HEARTH_TIER_SCOPE_H
#define HEARTH_TIER_SCOPE_H

#include "tier/namespace.h"
#include "tier/read.h"

/* Whether the local tier has a fresh value, and a namespace's generation need not be asked for: no node is asked, and nobody waits. As
 * hearth__chain_hit(). */
bool hearth__scoped_hit(hearth *handle, const void *key, size_t key_size, int64_t max_stale_ms,
                        hearth_value *value);

/* As hearth__chain_get_many_begin(); with a namespace's handle it is done in one. */
int32_t hearth__scoped_get_many_begin(hearth *handle, size_t count, const void *const *keys,
                                      const size_t *key_sizes,
                                      const hearth_read_options *options,
                                      hearth_value *const *values, int32_t *statuses,
                                      hearth__many **out);

#endif
