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
static inline void hearth__racy_copy(void *to, const void *from, size_t size);

/* The same where no call is wanted; at most HEARTH__RACY_INLINE_MAX bytes. */
static inline void hearth__racy_copy_inline(void *to, const void *from, size_t size);

enum { HEARTH__RACY_INLINE_MAX = 128 };

/* A longer one without a call, where the processor has vectors for that. False: it is not copied. */
static inline bool hearth__racy_copied_at_once(void *to, const void *from, size_t size);

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

/* The portable forms, by atomic words: what the others do where there is no assembly for them. */
void hearth__racy_copy_words(void *to, const void *from, size_t size);
bool hearth__racy_equal_words(const void *from, const void *with, size_t size);

#if defined(HEARTH__RACY_WORDS)

static inline void hearth__racy_copy(void *to, const void *from, size_t size) {
    hearth__racy_copy_words(to, from, size);
}

static inline void hearth__racy_copy_inline(void *to, const void *from, size_t size) {
    hearth__racy_copy_words(to, from, size);
}

static inline bool hearth__racy_copied_at_once(void *to, const void *from, size_t size) {
    (void)to;
    (void)from;
    (void)size;
    return false;
}

static inline bool hearth__racy_equal(const void *from, const void *with, size_t size) {
    return hearth__racy_equal_words(from, with, size);
}

#else

#include "base/racy_x86_64.h"

static inline void hearth__racy_copy_inline(void *to, const void *from, size_t size) {
    hearth__racy_hold_order();
    if (size > 32 && hearth__racy_is_wide()) {
        hearth__racy_copy_wide((unsigned char *)to, (const unsigned char *)from, size);
    } else if (size >= 16) {
        hearth__racy_copy_narrow((unsigned char *)to, (const unsigned char *)from, size);
    } else {
        hearth__racy_copy_short((unsigned char *)to, (const unsigned char *)from, size);
    }
    hearth__racy_hold_order();
}

static inline bool hearth__racy_copied_at_once(void *to, const void *from, size_t size) {
    if (size - HEARTH__RACY_WIDEST_MIN > HEARTH__RACY_VECTORS_MAX - HEARTH__RACY_WIDEST_MIN ||
        !hearth__racy_is_widest()) {
        return false;
    }
    hearth__racy_copy_widest((unsigned char *)to, (const unsigned char *)from, size);
    return true;
}

static inline void hearth__racy_copy(void *to, const void *from, size_t size) {
    if (size > HEARTH__RACY_INLINE_MAX) {
        hearth__racy_copy_long((unsigned char *)to, (const unsigned char *)from, size);
    } else {
        hearth__racy_copy_inline(to, from, size);
    }
}

static inline bool hearth__racy_equal(const void *from, const void *with, size_t size) {
    const unsigned char *in = (const unsigned char *)from;
    const unsigned char *other = (const unsigned char *)with;
    uint64_t differs = 0;
    if (size - 8 < 8) {
        differs = hearth__racy_differs_8(in, other) |
                  hearth__racy_differs_8(in + size - 8, other + size - 8);
    } else if (size - 16 <= 16) {
        differs = hearth__racy_differs_16(in, other) |
                  hearth__racy_differs_16(in + size - 16, other + size - 16);
    } else if (size - 32 <= 32) { /* as keys of namespaces have */
        differs = hearth__racy_differs_16(in, other) |
                  hearth__racy_differs_16(in + 16, other + 16) |
                  hearth__racy_differs_16(in + size - 32, other + size - 32) |
                  hearth__racy_differs_16(in + size - 16, other + size - 16);
    } else {
        differs = !hearth__racy_equal_words(from, with, size);
    }
    return differs == 0;
}

#endif

#endif
