/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of a bucket's slots have a tag, all eight compared at once. Each slot's 8 bytes are read whole, as aligned words
 * always are; the slots are not read at one moment, nor do they have to be.
 */
#ifndef HEARTH_LOCAL_TAGS_H
#define HEARTH_LOCAL_TAGS_H

#include "base/racy.h"
#include "local/shard.h"

/* All forms: `tag` stands in its place in a slot; bit 4 i + 3 of the result is slot i's, all others are 0. */
static inline unsigned hearth__tags_equal(const _Atomic uint64_t *slots, uint64_t tag);

/* The first slot of a result that is not 0. */
static inline unsigned hearth__tags_first(unsigned equal) {
    return (unsigned)__builtin_ctz(equal) / 4;
}

static inline unsigned hearth__tags_equal_words(const _Atomic uint64_t *slots, uint64_t tag) {
    unsigned equal = 0;
    for (unsigned i = 0; i < HEARTH__BUCKET_SLOTS; i++) {
        uint64_t slot = atomic_load_explicit(&slots[i], memory_order_acquire);
        equal |= (unsigned)((slot ^ tag) >> HEARTH__SLOT_TAG_AT == 0) << (4 * i + 3);
    }
    return equal;
}

#if defined(HEARTH__RACY_WORDS)

static inline unsigned hearth__tags_equal(const _Atomic uint64_t *slots, uint64_t tag) {
    return hearth__tags_equal_words(slots, tag);
}

#else

/* A slot is compared as four times 16 bits; of these only the top ones, the tag, count. */
#define HEARTH__TAGS_MASK 0x88888888u

static inline unsigned hearth__tags_equal_narrow(const _Atomic uint64_t *slots, uint64_t tag) {
    unsigned low;
    unsigned high;
    __asm__ volatile("movq %[tag], %%xmm0\n\t"
                     "punpcklqdq %%xmm0, %%xmm0\n\t"
                     "movdqa (%[slots]), %%xmm1\n\t"
                     "movdqa 16(%[slots]), %%xmm2\n\t"
                     "pcmpeqw %%xmm0, %%xmm1\n\t"
                     "pcmpeqw %%xmm0, %%xmm2\n\t"
                     "packsswb %%xmm2, %%xmm1\n\t"
                     "pmovmskb %%xmm1, %[low]\n\t"
                     "movdqa 32(%[slots]), %%xmm1\n\t"
                     "movdqa 48(%[slots]), %%xmm2\n\t"
                     "pcmpeqw %%xmm0, %%xmm1\n\t"
                     "pcmpeqw %%xmm0, %%xmm2\n\t"
                     "packsswb %%xmm2, %%xmm1\n\t"
                     "pmovmskb %%xmm1, %[high]"
                     : [low] "=&r"(low), [high] "=r"(high)
                     : [tag] "r"(tag), [slots] "r"(slots)
                     : HEARTH__RACY_VECTORS, "memory");
    return (low | high << 16) & HEARTH__TAGS_MASK;
}

/* Where hearth__racy_is_wide(). */
static inline unsigned hearth__tags_equal_wide(const _Atomic uint64_t *slots, uint64_t tag) {
    unsigned equal;
    __asm__ volatile("vmovq %[tag], %%xmm0\n\t"
                     "vpbroadcastq %%xmm0, %%ymm0\n\t"
                     "vpcmpeqw (%[slots]), %%ymm0, %%ymm1\n\t"
                     "vpcmpeqw 32(%[slots]), %%ymm0, %%ymm2\n\t"
                     "vpacksswb %%ymm2, %%ymm1, %%ymm1\n\t"
                     "vpermq $0xd8, %%ymm1, %%ymm1\n\t"
                     "vpmovmskb %%ymm1, %[equal]\n\t"
                     "vzeroupper"
                     : [equal] "=r"(equal)
                     : [tag] "r"(tag), [slots] "r"(slots)
                     : HEARTH__RACY_VECTORS, "memory");
    return equal & HEARTH__TAGS_MASK;
}

/* A compiler that does not use it does not know it. */
#if defined(__AVX512F__)
#define HEARTH__TAGS_MASK_REGISTER "k1",
#else
#define HEARTH__TAGS_MASK_REGISTER
#endif

/* Where hearth__racy_is_widest(). */
static inline unsigned hearth__tags_equal_widest(const _Atomic uint64_t *slots, uint64_t tag) {
    unsigned equal;
    __asm__ volatile("vpbroadcastq %[tag], %%zmm0\n\t"
                     "vpcmpeqw (%[slots]), %%zmm0, %%k1\n\t"
                     "kmovd %%k1, %[equal]\n\t"
                     "vzeroupper"
                     : [equal] "=r"(equal)
                     : [tag] "r"(tag), [slots] "r"(slots)
                     : HEARTH__TAGS_MASK_REGISTER HEARTH__RACY_VECTORS, "memory");
    return equal & HEARTH__TAGS_MASK;
}

static inline unsigned hearth__tags_equal(const _Atomic uint64_t *slots, uint64_t tag) {
    if (hearth__racy_is_widest()) {
        return hearth__tags_equal_widest(slots, tag);
    }
    return hearth__racy_is_wide() ? hearth__tags_equal_wide(slots, tag)
                                  : hearth__tags_equal_narrow(slots, tag);
}

#endif

#endif
