/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include "base/hash_key.h"
#include "base/random.h"

#include <string.h>

_Static_assert(sizeof(hearth__hash_secret) >= XXH3_SECRET_SIZE_MIN, "XXH3 wants more");

void hearth__hash_secret_init(hearth__hash_secret *secret) {
    hearth__random_bytes(secret->bytes, sizeof secret->bytes);
}

uint64_t hearth__hash_key(const hearth__hash_secret *secret, const void *data, size_t size) {
    return hearth__hash_key_inline(secret, data, size);
}

uint64_t hearth__hash64(const void *data, size_t size) {
    return XXH3_64bits(data, size);
}

uint64_t hearth__hash64_seeded(uint64_t seed, const void *data, size_t size) {
    return XXH3_64bits_withSeed(data, size, seed);
}

hearth__hash128 hearth__hash128_of(const void *data, size_t size) {
    XXH128_hash_t hash = XXH3_128bits(data, size);
    return (hearth__hash128){.low = hash.low64, .high = hash.high64};
}

static uint64_t hash_streamed(const hearth__hash_piece *pieces, size_t count) {
    XXH3_state_t state;
    (void)XXH3_64bits_reset(&state);
    for (size_t i = 0; i < count; i++) {
        (void)XXH3_64bits_update(&state, pieces[i].data, pieces[i].size);
    }
    return XXH3_64bits_digest(&state);
}

uint64_t hearth__hash64_pieces(const hearth__hash_piece *pieces, size_t count) {
    unsigned char joined[512];
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        if (pieces[i].size > sizeof joined - size) {
            return hash_streamed(pieces, count);
        }
        if (pieces[i].size != 0) { /* a piece of nothing may be NULL */
            memcpy(joined + size, pieces[i].data, pieces[i].size);
        }
        size += pieces[i].size;
    }
    return XXH3_64bits(joined, size);
}
