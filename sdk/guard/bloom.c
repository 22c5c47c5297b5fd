/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/bloom.h"

#include "base/memory.h"

#include <endian.h>
#include <math.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum {
    WORDS = 8,          /* of 32 bits, in a block */
    PAIRS = WORDS / 2,  /* the same as words of 64: half as many atomic operations */
    WORD_BITS = 32,     /* in a word */
    SAMPLE_MOST = 4096, /* blocks that an estimate looks at */
    POISSON_FAR = 60,   /* beyond the mean: what comes after is nothing */
    BISECTIONS = 60,    /* more than a double has bits */
    KEYS_FAR = 512,     /* a block: then every bit is set */
};

struct hearth__bloom {
    void *memory;            /* of the blocks */
    _Atomic uint64_t *pairs; /* the same */
    uint32_t blocks;
    bool wide; /* by AVX2 */
};

static const uint32_t salts[WORDS] = {0x47b6137bU, 0x44974d91U, 0x8824ad5bU, 0xa2b7289dU,
                                      0x705495c7U, 0x2df1424bU, 0x9efc4947U, 0x5c6bfb31U};

/* ---- the heap --------------------------------------------------------------------------- */

size_t hearth__bloom_bytes(const hearth__bloom *filter) {
    return (size_t)filter->blocks * HEARTH__BLOOM_BLOCK;
}

hearth__bloom *hearth__bloom_create(uint32_t blocks) {
    hearth__bloom *filter = hearth__alloc(sizeof *filter);
    if (filter == NULL) {
        return NULL;
    }
    filter->blocks = blocks;
    filter->wide = hearth__bloom_has_avx2();
    filter->memory = hearth__map(hearth__bloom_bytes(filter));
    filter->pairs = filter->memory;
    if (filter->memory == NULL) {
        hearth__free(filter);
        return NULL;
    }
    return filter;
}

void hearth__bloom_destroy(hearth__bloom *filter) {
    if (filter != NULL) {
        hearth__unmap(filter->memory, hearth__bloom_bytes(filter));
        hearth__free(filter);
    }
}

uint32_t hearth__bloom_blocks(const hearth__bloom *filter) {
    return filter->blocks;
}

/* ---- insert and ask --------------------------------------------------------------------- */

static inline _Atomic uint64_t *block_at(const hearth__bloom *filter, size_t block) {
    return filter->pairs + block * PAIRS;
}

static inline size_t index_of(const hearth__bloom *filter, uint64_t hash) {
    return ((hash >> 32) * filter->blocks) >> 32;
}

static inline _Atomic uint64_t *block_of(const hearth__bloom *filter, uint64_t hash) {
    return block_at(filter, index_of(filter, hash));
}

static inline uint64_t word_mask(uint32_t low, unsigned word) {
    return UINT64_C(1) << ((low * salts[word]) >> 27);
}

/* The bits of two words; the first is the lower half. */
static inline uint64_t pair_mask(uint32_t low, unsigned pair) {
    return word_mask(low, 2 * pair) | word_mask(low, 2 * pair + 1) << WORD_BITS;
}

static bool set_bits(_Atomic uint64_t *pair, uint64_t mask) {
    /* Keys are written again and again: what is set already is not to be taken from other threads' caches. */
    if ((~atomic_load_explicit(pair, memory_order_relaxed) & mask) == 0) {
        return false;
    }
    return (~atomic_fetch_or_explicit(pair, mask, memory_order_relaxed) & mask) != 0;
}

bool hearth__bloom_insert(hearth__bloom *filter, uint64_t hash) {
    _Atomic uint64_t *block = block_of(filter, hash);
    bool is_new = false;
    for (unsigned i = 0; i < PAIRS; i++) {
        is_new |= set_bits(&block[i], pair_mask((uint32_t)hash, i));
    }
    return is_new;
}

bool hearth__bloom_may_contain_portable(const hearth__bloom *filter, uint64_t hash) {
    const _Atomic uint64_t *block = block_of(filter, hash);
    uint64_t missing = 0;
    for (unsigned i = 0; i < PAIRS; i++) {
        missing |= ~atomic_load_explicit(&block[i], memory_order_relaxed) &
                   pair_mask((uint32_t)hash, i);
    }
    return missing == 0;
}

#if defined(__x86_64__)
bool hearth__bloom_has_avx2(void) {
    return __builtin_cpu_supports("avx2");
}

/* The load is assembly, since others may insert: it may be torn, and each bit is good by itself. */
__attribute__((target("avx2"))) bool hearth__bloom_may_contain_avx2(const hearth__bloom *filter,
                                                                    uint64_t hash) {
    const __m256i *at = (const __m256i *)filter->memory + index_of(filter, hash);
    __m256i block;
    __asm__ volatile("vmovdqa %1, %0" : "=x"(block) : "m"(*at));
    __m256i bits = _mm256_srli_epi32(
        _mm256_mullo_epi32(_mm256_set1_epi32((int)(uint32_t)hash),
                           _mm256_loadu_si256((const __m256i *)(const void *)salts)),
        27);
    return _mm256_testc_si256(block, _mm256_sllv_epi32(_mm256_set1_epi32(1), bits)) != 0;
}
#else
bool hearth__bloom_has_avx2(void) {
    return false;
}

bool hearth__bloom_may_contain_avx2(const hearth__bloom *filter, uint64_t hash) {
    return hearth__bloom_may_contain_portable(filter, hash);
}
#endif

bool hearth__bloom_may_contain(const hearth__bloom *filter, uint64_t hash) {
    return filter->wide ? hearth__bloom_may_contain_avx2(filter, hash)
                        : hearth__bloom_may_contain_portable(filter, hash);
}

/* ---- how full it is --------------------------------------------------------------------- */

static double eighth_power(double number) {
    double square = number * number;
    return square * square * (square * square);
}

double hearth__bloom_rate(double keys_per_block) {
    if (keys_per_block >= KEYS_FAR) {
        return 1;
    }
    unsigned most = (unsigned)(keys_per_block + 12 * sqrt(keys_per_block)) + POISSON_FAR;
    double chance = exp(-keys_per_block); /* of a block with i keys */
    double clear = 1;                     /* a bit of such a block */
    double rate = 0;
    for (unsigned i = 0; i <= most; i++) {
        rate += chance * eighth_power(1 - clear);
        chance *= keys_per_block / (i + 1);
        clear *= 31.0 / 32;
    }
    return rate;
}

double hearth__bloom_keys_per_block(double rate) {
    double low = 0;
    double high = KEYS_FAR;
    for (int i = 0; i < BISECTIONS; i++) {
        double middle = (low + high) / 2;
        if (hearth__bloom_rate(middle) > rate) {
            high = middle;
        } else {
            low = middle;
        }
    }
    return low;
}

uint32_t hearth__bloom_blocks_for(double keys, double rate) {
    double blocks = ceil(keys / hearth__bloom_keys_per_block(rate));
    if (blocks < 1) {
        return 1;
    }
    return blocks <= UINT32_MAX ? (uint32_t)blocks : 0;
}

/* What one block adds to an estimate. */
static void look_at(const _Atomic uint64_t *block, hearth__bloom_estimate *sum) {
    double rate = 1;
    int set = 0;
    for (unsigned i = 0; i < PAIRS; i++) {
        uint64_t pair = atomic_load_explicit(&block[i], memory_order_relaxed);
        int low = __builtin_popcount((uint32_t)pair);
        int high = __builtin_popcount((uint32_t)(pair >> WORD_BITS));
        rate *= (double)low / WORD_BITS * high / WORD_BITS;
        set += low + high;
    }
    sum->rate += rate;
    sum->fill += (double)set / (WORDS * WORD_BITS);
}

hearth__bloom_estimate hearth__bloom_estimate_of(const hearth__bloom *filter) {
    hearth__bloom_estimate sum = {0};
    uint32_t sample = filter->blocks < SAMPLE_MOST ? filter->blocks : SAMPLE_MOST;
    for (uint32_t i = 0; i < sample; i++) {
        look_at(block_at(filter, (uint64_t)i * filter->blocks / sample), &sum);
    }
    sum.rate /= sample;
    sum.fill /= sample;
    /* A key sets one bit of each word: after n keys a block, e^(-n/32) of them are clear. */
    double most = (double)KEYS_FAR / WORD_BITS;
    double clear = sum.fill < 1 ? -log(1 - sum.fill) : most;
    sum.keys = (clear < most ? clear : most) * WORD_BITS * filter->blocks;
    return sum;
}

/* ---- blocks as bytes -------------------------------------------------------------------- */

const _Atomic uint64_t *hearth__bloom_pairs(const hearth__bloom *filter) {
    return filter->pairs;
}

void hearth__bloom_copy_out(const hearth__bloom *filter, uint32_t first, size_t count,
                            unsigned char *bytes) {
    const _Atomic uint64_t *pairs = block_at(filter, first);
    for (size_t i = 0; i < count * PAIRS; i++) {
        uint64_t pair = htole64(atomic_load_explicit(&pairs[i], memory_order_relaxed));
        memcpy(bytes + i * sizeof pair, &pair, sizeof pair);
    }
}

void hearth__bloom_merge_in(hearth__bloom *filter, uint32_t first, size_t count,
                            const unsigned char *bytes) {
    _Atomic uint64_t *pairs = block_at(filter, first);
    for (size_t i = 0; i < count * PAIRS; i++) {
        uint64_t pair = 0;
        memcpy(&pair, bytes + i * sizeof pair, sizeof pair);
        if (pair != 0) {
            (void)set_bits(&pairs[i], le64toh(pair));
        }
    }
}

/* The least upper half of a hash that falls into a block. */
static uint64_t begin_of(uint64_t block, uint32_t blocks) {
    return ((block << 32) + blocks - 1) / blocks;
}

void hearth__bloom_places(uint32_t blocks, uint64_t hash, uint32_t places[HEARTH__BLOOM_BITS]) {
    uint32_t block = (uint32_t)(((hash >> 32) * blocks) >> 32);
    for (unsigned i = 0; i < WORDS; i++) {
        uint32_t bit = ((uint32_t)hash * salts[i]) >> 27;
        uint32_t byte = block * HEARTH__BLOOM_BLOCK + i * (WORD_BITS / 8) + (bit >> 3);
        places[i] = byte * 8 + 7 - (bit & 7);
    }
}

/* A key's bits lie the same way in every filter, only its block differs: a block gets the bits of all those that its keys can
 * have been in. */
void hearth__bloom_merge(hearth__bloom *into, const hearth__bloom *from) {
    for (uint64_t to = 0; to < into->blocks; to++) {
        _Atomic uint64_t *block = block_at(into, to);
        uint64_t first = (begin_of(to, into->blocks) * from->blocks) >> 32;
        uint64_t last = ((begin_of(to + 1, into->blocks) - 1) * from->blocks) >> 32;
        for (uint64_t at = first; at <= last; at++) {
            for (unsigned i = 0; i < PAIRS; i++) {
                uint64_t pair =
                    atomic_load_explicit(&block_at(from, at)[i], memory_order_relaxed);
                (void)set_bits(&block[i], pair);
            }
        }
    }
}
