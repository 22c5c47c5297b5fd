/* SPDX-License-Identifier: Apache-2.0 */
/* hearth__hash_key() inline. */
#ifndef HEARTH_BASE_HASH_KEY_H
#define HEARTH_BASE_HASH_KEY_H

#include "base/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

static inline uint64_t hearth__hash_key_inline(const hearth__hash_secret *secret,
                                               const void *data, size_t size) {
    return XXH3_64bits_withSecret(data, size, secret->bytes, sizeof secret->bytes);
}

#endif
