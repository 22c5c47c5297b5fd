/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A split-block Bloom filter (Putze, Sanders, Singler: "Cache-, Hash- and Space-Efficient Bloom Filters", 2007; the form that
 * Apache Parquet's BloomFilter.md fixes): blocks of 256 bits, eight words of 32. A key's hash picks a block by its upper half
 * and one bit of each word by its lower half, so that a question touches one cache line.
 *
 *   block   h >> 32, scaled to the number of blocks     word i's bit   (low half of h * salt i) >> 27
 *
 * Bits are only ever set. Inserts take no lock, questions wait for nobody; what was inserted before a question, as threads
 * order things, is found by it. The hash is the caller's: one for all who share a filter.
 */
#ifndef HEARTH_GUARD_BLOOM_H
#define HEARTH_GUARD_BLOOM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HEARTH__BLOOM_BLOCK = 32, /* bytes */
    HEARTH__BLOOM_BITS = 8,   /* of a key */
};

typedef struct hearth__bloom hearth__bloom;

/* An empty filter; 1 block to UINT32_MAX. NULL: no memory. */
hearth__bloom *hearth__bloom_create(uint32_t blocks) __attribute__((warn_unused_result));
/* Nobody may use it any more. NULL is allowed. */
void hearth__bloom_destroy(hearth__bloom *filter);

uint32_t hearth__bloom_blocks(const hearth__bloom *filter);
/* What it takes of memory. */
size_t hearth__bloom_bytes(const hearth__bloom *filter);

/* Any thread. False: its bits were all set already. */
bool hearth__bloom_insert(hearth__bloom *filter, uint64_t hash);

/* Any thread. False: it was never inserted. */
bool hearth__bloom_may_contain(const hearth__bloom *filter, uint64_t hash);

/* The two forms of the same question; without AVX2 the second is not to be called. */
bool hearth__bloom_may_contain_portable(const hearth__bloom *filter, uint64_t hash);
bool hearth__bloom_may_contain_avx2(const hearth__bloom *filter, uint64_t hash);
bool hearth__bloom_has_avx2(void);

/* ---- how full it is --------------------------------------------------------------------- */

typedef struct hearth__bloom_estimate {
    double fill; /* share of bits that are set */
    double rate; /* share of keys never inserted that it may contain all the same */
    double keys; /* inserted ones */
} hearth__bloom_estimate;

/* From a sample of its blocks: within a few percent. Any thread, while others insert. */
hearth__bloom_estimate hearth__bloom_estimate_of(const hearth__bloom *filter);

/*
 * The rate of a filter with so many keys a block on average: the mean over blocks, whose numbers of keys are Poisson's, of
 * (1 - (31/32)^keys)^8. The usual formula takes all blocks for equal and is too low (at 10 bits a key by a third).
 */
double hearth__bloom_rate(double keys_per_block);

/* The most keys a block for which the rate is at most `rate`, which is above 0. */
double hearth__bloom_keys_per_block(double rate);

/* Blocks for so many keys at that rate; 0: more than there can be. */
uint32_t hearth__bloom_blocks_for(double keys, double rate);

/* ---- blocks as bytes -------------------------------------------------------------------- */

/* All blocks: each four words of 64 bits, two of the filter's in each, the first one below. */
const _Atomic uint64_t *hearth__bloom_pairs(const hearth__bloom *filter);

/* Copies blocks out, in the little-endian form of files. What is inserted meanwhile may be missing. */
void hearth__bloom_copy_out(const hearth__bloom *filter, uint32_t first, size_t count,
                            unsigned char *bytes);

/* Sets the bits that are set in blocks of that form. */
void hearth__bloom_merge_in(hearth__bloom *filter, uint32_t first, size_t count,
                            const unsigned char *bytes);

/* The places of a key's bits in those bytes, as a server counts them: 0 is the highest bit of the first one. At most 2^24 blocks. */
void hearth__bloom_places(uint32_t blocks, uint64_t hash, uint32_t places[HEARTH__BLOOM_BITS]);

/* Sets what is needed for `into` to contain all that `from` does, whatever the sizes of the two. */
void hearth__bloom_merge(hearth__bloom *into, const hearth__bloom *from);

#endif
