/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The assembly behind base/racy.h, for x86-64. Nothing is done byte by byte: what is no multiple of a vector is read by two
 * that overlap.
 */
#ifndef HEARTH_BASE_RACY_X86_64_H
#define HEARTH_BASE_RACY_X86_64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * What assembly with vectors may change: `vzeroupper` touches them all. It stands after each use of wide ones, since the code
 * around may be built without them.
 */
#define HEARTH__RACY_VECTORS                                                                 \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", \
        "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"

typedef long long hearth__vector __attribute__((vector_size(16), aligned(1), may_alias));
typedef uint64_t hearth__word __attribute__((aligned(1), may_alias));

static inline hearth__vector hearth__racy_vector(const unsigned char *from) {
    hearth__vector value;
    __asm__ volatile("movdqu %1, %0" : "=x"(value) : "m"(*(const hearth__vector *)from));
    return value;
}

static inline uint64_t hearth__racy_word_unaligned(const unsigned char *from) {
    uint64_t value;
    __asm__ volatile("movq %1, %0" : "=r"(value) : "m"(*(const hearth__word *)from));
    return value;
}

/* Bits that are not the same in what `in` and `other` begin with; nobody writes the latter. */
static inline uint64_t hearth__racy_differs_8(const unsigned char *in,
                                              const unsigned char *other) {
    uint64_t word;
    memcpy(&word, other, sizeof word);
    return hearth__racy_word_unaligned(in) ^ word;
}

static inline uint64_t hearth__racy_differs_16(const unsigned char *in,
                                               const unsigned char *other) {
    hearth__vector vector;
    memcpy(&vector, other, sizeof vector);
    vector ^= hearth__racy_vector(in);
    return (uint64_t)(vector[0] | vector[1]);
}

/* The compiler moves no access to memory across this. */
static inline void hearth__racy_hold_order(void) {
    __asm__ volatile("" : : : "memory");
}

static inline void hearth__racy_copy_16(unsigned char *to, const unsigned char *from) {
    hearth__vector vector = hearth__racy_vector(from);
    memcpy(to, &vector, sizeof vector);
}

static inline void hearth__racy_copy_32(unsigned char *to, const unsigned char *from) {
    hearth__racy_copy_16(to, from);
    hearth__racy_copy_16(to + 16, from + 16);
}

static inline void hearth__racy_copy_64(unsigned char *to, const unsigned char *from) {
    hearth__racy_copy_32(to, from);
    hearth__racy_copy_32(to + 32, from + 32);
}

/* Whether the processor has AVX2. */
static inline bool hearth__racy_is_wide(void) {
    return __builtin_cpu_supports("avx2");
}

/* Whether it has vectors of a whole line, and does not run slower for using them, as the first with AVX-512 did. */
static inline bool hearth__racy_is_widest(void) {
    return __builtin_cpu_supports("avx512vbmi2");
}

/* 33 bytes to HEARTH__RACY_INLINE_MAX, where it is wide. */
static inline void hearth__racy_copy_wide(unsigned char *to, const unsigned char *from,
                                          size_t size) {
    unsigned char *to_end = to + size;
    const unsigned char *from_end = from + size;
    if (size > 64) {
        __asm__ volatile(
            "vmovdqu 32(%[from]), %%ymm0\n\t"
            "vmovdqu -64(%[from_end]), %%ymm1\n\t"
            "vmovdqu %%ymm0, 32(%[to])\n\t"
            "vmovdqu %%ymm1, -64(%[to_end])"
            :
            : [from] "r"(from), [from_end] "r"(from_end), [to] "r"(to), [to_end] "r"(to_end)
            : HEARTH__RACY_VECTORS, "memory");
    }
    __asm__ volatile(
        "vmovdqu (%[from]), %%ymm0\n\t"
        "vmovdqu -32(%[from_end]), %%ymm1\n\t"
        "vmovdqu %%ymm0, (%[to])\n\t"
        "vmovdqu %%ymm1, -32(%[to_end])\n\t"
        "vzeroupper"
        :
        : [from] "r"(from), [from_end] "r"(from_end), [to] "r"(to), [to_end] "r"(to_end)
        : HEARTH__RACY_VECTORS, "memory");
}

enum {
    HEARTH__RACY_WIDEST_MIN = 256,
    HEARTH__RACY_VECTORS_MAX =
        4096, /* what is longer is copied by `rep movsb`, which then beats a loop of vectors */
};

/*
 * At least HEARTH__RACY_WIDEST_MIN bytes, where it is widest. The fewer instructions wait for the value's lines, the more of the
 * next read the processor can begin meanwhile: so all of it is one piece of assembly. No place but those of the last bytes
 * depends on the size, which comes from memory too.
 */
static inline void hearth__racy_copy_widest(unsigned char *to, const unsigned char *from,
                                            size_t size) {
    unsigned char *to_last = to + size - 256;
    const unsigned char *from_last = from + size - 256;
    __asm__ volatile("jmp 2f\n"
                     "1:\t"
                     "vmovdqu64 (%[from]), %%zmm0\n\t"
                     "vmovdqu64 64(%[from]), %%zmm1\n\t"
                     "vmovdqu64 128(%[from]), %%zmm2\n\t"
                     "vmovdqu64 192(%[from]), %%zmm3\n\t"
                     "add $256, %[from]\n\t"
                     "vmovdqu64 %%zmm0, (%[to])\n\t"
                     "vmovdqu64 %%zmm1, 64(%[to])\n\t"
                     "vmovdqu64 %%zmm2, 128(%[to])\n\t"
                     "vmovdqu64 %%zmm3, 192(%[to])\n\t"
                     "add $256, %[to]\n"
                     "2:\t"
                     "cmp %[to_last], %[to]\n\t"
                     "jb 1b\n\t"
                     "vmovdqu64 (%[from_last]), %%zmm0\n\t"
                     "vmovdqu64 64(%[from_last]), %%zmm1\n\t"
                     "vmovdqu64 128(%[from_last]), %%zmm2\n\t"
                     "vmovdqu64 192(%[from_last]), %%zmm3\n\t"
                     "vmovdqu64 %%zmm0, (%[to_last])\n\t"
                     "vmovdqu64 %%zmm1, 64(%[to_last])\n\t"
                     "vmovdqu64 %%zmm2, 128(%[to_last])\n\t"
                     "vmovdqu64 %%zmm3, 192(%[to_last])\n\t"
                     "vzeroupper"
                     : [from] "+r"(from), [to] "+r"(to)
                     : [from_last] "r"(from_last), [to_last] "r"(to_last)
                     : HEARTH__RACY_VECTORS, "memory", "cc");
}

/* 16 bytes to HEARTH__RACY_INLINE_MAX. */
static inline void hearth__racy_copy_narrow(unsigned char *to, const unsigned char *from,
                                            size_t size) {
    if (size <= 32) {
        hearth__racy_copy_16(to, from);
        hearth__racy_copy_16(to + size - 16, from + size - 16);
    } else if (size <= 64) {
        hearth__racy_copy_32(to, from);
        hearth__racy_copy_32(to + size - 32, from + size - 32);
    } else {
        hearth__racy_copy_64(to, from);
        hearth__racy_copy_64(to + size - 64, from + size - 64);
    }
}

/* Up to 16 bytes, of which the last word can be read whole. */
static inline void hearth__racy_copy_short(unsigned char *to, const unsigned char *from,
                                           size_t size) {
    if (size >= 8) {
        uint64_t first = hearth__racy_word_unaligned(from);
        uint64_t last = hearth__racy_word_unaligned(from + size - 8);
        memcpy(to, &first, 8);
        memcpy(to + size - 8, &last, 8);
    } else if (size >= 4) {
        uint64_t word = hearth__racy_word_unaligned(from);
        uint64_t last = word >> (size - 4) * 8;
        memcpy(to, &word, 4);
        memcpy(to + size - 4, &last, 4);
    } else if (size != 0) {
        uint64_t word = hearth__racy_word_unaligned(from);
        to[0] = (unsigned char)word;
        to[size / 2] = (unsigned char)(word >> size / 2 * 8);
        to[size - 1] = (unsigned char)(word >> (size - 1) * 8);
    }
}

/* ---- more than HEARTH__RACY_INLINE_MAX bytes: racy.c ---- */

void hearth__racy_copy_long(unsigned char *to, const unsigned char *from, size_t size);
void hearth__racy_copy_long_narrow(unsigned char *to, const unsigned char *from, size_t size);
void hearth__racy_copy_long_wide(unsigned char *to, const unsigned char *from, size_t size);

#endif
