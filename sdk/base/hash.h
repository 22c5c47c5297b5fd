/* SPDX-License-Identifier: Apache-2.0 */
/* XXH3 (Yann Collet's xxHash), in one-shot calls: its streaming form costs more than hashing a
 * small value. */
#ifndef HEARTH_BASE_HASH_H
#define HEARTH_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* A secret that makes hashes of keys unpredictable to those who choose the keys. */
typedef struct hearth__hash_secret {
    unsigned char bytes[192];
} hearth__hash_secret;

typedef struct hearth__hash128 {
    uint64_t low;
    uint64_t high;
} hearth__hash128;

/* Fills the secret from the kernel's random numbers. */
void hearth__hash_secret_init(hearth__hash_secret *secret);

/* For tables in this process. base/hash_key.h has it inline, for who asks a million times a second. */
uint64_t hearth__hash_key(const hearth__hash_secret *secret, const void *data, size_t size);

/* For what other processes read: without a secret. */
uint64_t hearth__hash64(const void *data, size_t size);
uint64_t hearth__hash64_seeded(uint64_t seed, const void *data, size_t size);
hearth__hash128 hearth__hash128_of(const void *data, size_t size);

typedef struct hearth__hash_piece {
    const void *data; /* may be NULL when size is 0 */
    size_t size;
} hearth__hash_piece;

/* hearth__hash64() of pieces, as if they lay one behind the other. */
uint64_t hearth__hash64_pieces(const hearth__hash_piece *pieces, size_t count);

#endif
