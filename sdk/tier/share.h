/* SPDX-License-Identifier: Apache-2.0 */
/* local.share: which namespaces may have how much of the local tier. */
#ifndef HEARTH_TIER_SHARE_H
#define HEARTH_TIER_SHARE_H

#include "tier/config.h"

typedef struct hearth__share {
    const char *name; /* no NUL ends it */
    size_t name_size;
    int64_t billionths; /* of local.max_bytes */
} hearth__share;

/* Whether the option is right, else `why` not. HEARTH_OK, HEARTH_E_INVALID. */
int32_t hearth__share_check(const hearth__config *config, char *why, size_t why_size);

/* The next share of an option that is right, from *at on, which begins with the option. False: there are no more. */
bool hearth__share_next(const char **at, hearth__share *share);

#endif
