/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies of memory that others may write at the same time. What was copied may be torn: the caller finds out afterwards and
 * throws it away. The C11 memory model knows no such reads but by atomic words; product builds for x86-64 use assembly, which
 * stands outside of its rules and is as fast as memcpy.
 */
#ifndef HEARTH_BASE_RACY_H
#define HEARTH_BASE_RACY_H

#include "base/tsan.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(HEARTH__TSAN) || !defined(__x86_64__)
#define HEARTH__RACY_WORDS 1
#endif

/* Reads `size` bytes at `from`, which is aligned to 8 and readable up to the next multiple of 8. */
void hearth__racy_copy(void *to, const void *from, size_t size);

/* Whether `size` bytes at `from` (as above) equal those at `with`, which nobody writes. */
static inline bool hearth__racy_equal(const void *from, const void *with, size_t size);

/* Writes `size` bytes at `to`, aligned to 8 and writable up to the next multiple of 8, where others may read. */
void hearth__racy_write(void *to, const void *from, size_t size);

/* Reads one aligned word, in order with those read before by this. */
static inline uint64_t hearth__racy_word(const void *from) {
    return __atomic_load_n((const uint64_t *)from, __ATOMIC_ACQUIRE);
}

/*
 * Fences between racy accesses and the words that guard them. With atomic words the accesses themselves keep the order,
 * which ThreadSanitizer understands; it knows nothing of fences.
 */
#if defined(HEARTH__RACY_WORDS)
static inline void hearth__racy_fence_acquire(void) {
}
static inline void hearth__racy_fence_release(void) {
}
#else
static inline void hearth__racy_fence_acquire(void) {
    atomic_thread_fence(memory_order_acquire);
}
static inline void hearth__racy_fence_release(void) {
    atomic_thread_fence(memory_order_release);
}
#endif

/* The portable form of racy_copy, by atomic words: what it does where there is no other. */
void hearth__racy_copy_words(void *to, const void *from, size_t size);

/* The last bytes of `size`, fewer than 8, as the low bytes of a word; nothing beyond them is read. */
static inline uint64_t hearth__racy_tail(const unsigned char *bytes, size_t size, size_t rest) {
    uint64_t word = 0;
    if (size >= 8) {
        memcpy(&word, bytes + size - 8, 8);
        return word >> (64 - 8 * rest);
    }
    for (size_t i = 0; i < rest; i++) {
        word |= (uint64_t)bytes[i] << (8 * i);
    }
    return word;
}

static inline bool hearth__racy_equal(const void *from, const void *with, size_t size) {
    const unsigned char *in = (const unsigned char *)from;
    const unsigned char *other = (const unsigned char *)with;
    uint64_t differs = 0;
    uint64_t word = 0;
    size_t at = 0;
    for (; size - at >= 8; at += 8) {
        memcpy(&word, other + at, 8);
        differs |= hearth__racy_word(in + at) ^ word;
    }
    size_t rest = size - at;
    if (rest != 0) {
        uint64_t mask = UINT64_MAX >> (64 - 8 * rest);
        differs |= (hearth__racy_word(in + at) & mask) ^ hearth__racy_tail(other, size, rest);
    }
    return differs == 0;
}

#endif
