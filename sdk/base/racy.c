/* SPDX-License-Identifier: Apache-2.0 */
#include "base/racy.h"

/* ---- by atomic words -------------------------------------------------------------------- */

/*
 * Acquire and release, not relaxed: it costs nothing on x86, and where a fence would order the copies in the product,
 * ThreadSanitizer, which does not know fences, sees the order of the words.
 */
void hearth__racy_copy_words(void *to, const void *from, size_t size) {
    unsigned char *out = to;
    const unsigned char *in = from;
    for (; size >= 8; size -= 8, in += 8, out += 8) {
        uint64_t word = hearth__racy_word(in);
        memcpy(out, &word, 8);
    }
    if (size != 0) {
        uint64_t word = hearth__racy_word(in);
        memcpy(out, &word, size);
    }
}

bool hearth__racy_equal_words(const void *from, const void *with, size_t size) {
    const unsigned char *in = from;
    const unsigned char *other = with;
    uint64_t differs = 0;
    for (; size >= 8; size -= 8, in += 8, other += 8) {
        uint64_t word = 0;
        memcpy(&word, other, 8);
        differs |= hearth__racy_word(in) ^ word;
    }
    if (size != 0) {
        uint64_t rest = 0;
        memcpy(&rest, other, size);
        uint64_t mask = UINT64_MAX >> (64 - 8 * size);
        differs |= (hearth__racy_word(in) & mask) ^ rest;
    }
    return differs == 0;
}

#if defined(HEARTH__RACY_WORDS)

void hearth__racy_write(void *to, const void *from, size_t size) {
    unsigned char *out = to;
    const unsigned char *in = from;
    while (size != 0) {
        uint64_t word = 0;
        size_t bytes = size < 8 ? size : 8;
        memcpy(&word, in, bytes);
        __atomic_store_n((uint64_t *)(void *)out, word, __ATOMIC_RELEASE);
        in += bytes;
        out += 8;
        size -= bytes;
    }
}

#else

/* ---- assembly for x86-64 ---------------------------------------------------------------- */

void hearth__racy_copy_long_narrow(unsigned char *to, const unsigned char *from, size_t size) {
    unsigned char *to_last = to + size - 64;
    const unsigned char *from_last = from + size - 64;
    for (; size > 64; size -= 64, to += 64, from += 64) {
        hearth__racy_copy_64(to, from);
    }
    hearth__racy_copy_64(to_last, from_last);
}

static void copy_128(unsigned char *to, const unsigned char *from) {
    __asm__ volatile("vmovdqu (%[from]), %%ymm0\n\t"
                     "vmovdqu 32(%[from]), %%ymm1\n\t"
                     "vmovdqu 64(%[from]), %%ymm2\n\t"
                     "vmovdqu 96(%[from]), %%ymm3\n\t"
                     "vmovdqu %%ymm0, (%[to])\n\t"
                     "vmovdqu %%ymm1, 32(%[to])\n\t"
                     "vmovdqu %%ymm2, 64(%[to])\n\t"
                     "vmovdqu %%ymm3, 96(%[to])"
                     :
                     : [from] "r"(from), [to] "r"(to)
                     : HEARTH__RACY_VECTORS, "memory");
}

void hearth__racy_copy_long_wide(unsigned char *to, const unsigned char *from, size_t size) {
    unsigned char *to_last = to + size - 128;
    const unsigned char *from_last = from + size - 128;
    for (; size > 128; size -= 128, to += 128, from += 128) {
        copy_128(to, from);
    }
    copy_128(to_last, from_last);
    __asm__ volatile("vzeroupper" : : : HEARTH__RACY_VECTORS);
}

void hearth__racy_copy_long(unsigned char *to, const unsigned char *from, size_t size) {
    hearth__racy_hold_order();
    if (size > HEARTH__RACY_VECTORS_MAX) {
        __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
    } else if (size >= HEARTH__RACY_WIDEST_MIN && hearth__racy_is_widest()) {
        hearth__racy_copy_widest(to, from, size);
    } else if (hearth__racy_is_wide()) {
        hearth__racy_copy_long_wide(to, from, size);
    } else {
        hearth__racy_copy_long_narrow(to, from, size);
    }
    hearth__racy_hold_order();
}

void hearth__racy_write(void *to, const void *from, size_t size) {
    /* Torn words are no worse than torn values: who reads them throws both away. */
    hearth__racy_hold_order();
    if (size != 0) {
        memcpy(to, from, size);
    }
    hearth__racy_hold_order();
}

#endif
