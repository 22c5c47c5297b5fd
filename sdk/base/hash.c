/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include "base/random.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

_Static_assert(sizeof(hearth__hash_secret) >= XXH3_SECRET_SIZE_MIN, "XXH3 wants more");

void hearth__hash_secret_init(hearth__hash_secret *secret) {
    hearth__random_bytes(secret->bytes, sizeof secret->bytes);
}

uint64_t hearth__hash_key(const hearth__hash_secret *secret, const void *data, size_t size) {
    return XXH3_64bits_withSecret(data, size, secret->bytes, sizeof secret->bytes);
}

uint64_t hearth__hash64(const void *data, size_t size) {
    return XXH3_64bits(data, size);
}

hearth__hash128 hearth__hash128_of(const void *data, size_t size) {
    XXH128_hash_t hash = XXH3_128bits(data, size);
    return (hearth__hash128){.low = hash.low64, .high = hash.high64};
}
