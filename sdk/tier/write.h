/* SPDX-License-Identifier: Apache-2.0 */
/* What write.c and write_through.c share. */
#ifndef HEARTH_TIER_WRITE_H
#define HEARTH_TIER_WRITE_H

#include "tier/cache.h"

/* The local copy of what the op has stored at its node, or was to. */
hearth__local_entry hearth__write_entry(const hearth *cache, const hearth__remote_op *op,
                                        int64_t sent_ms);

#endif
