/* SPDX-License-Identifier: Apache-2.0 */
#include "base/racy.h"

#include <stdatomic.h>
#include <string.h>

/*
 * Acquire and release, not relaxed: it costs nothing on x86, and where a fence would order the copies in the product,
 * ThreadSanitizer, which does not know fences, sees the order of the words.
 */
static uint64_t load_word(const void *at) {
    return __atomic_load_n((const uint64_t *)at, __ATOMIC_ACQUIRE);
}

void hearth__racy_copy_words(void *to, const void *from, size_t size) {
    unsigned char *out = to;
    const unsigned char *in = from;
    for (; size >= 8; size -= 8, in += 8, out += 8) {
        uint64_t word = load_word(in);
        memcpy(out, &word, 8);
    }
    if (size != 0) {
        uint64_t word = load_word(in);
        memcpy(out, &word, size);
    }
}

#if defined(HEARTH__RACY_WORDS)

void hearth__racy_copy(void *to, const void *from, size_t size) {
    hearth__racy_copy_words(to, from, size);
}

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

/* A value longer than this is copied by `rep movsb`, which then beats a loop of vectors. */
enum { VECTORS_MAX = 512 };

typedef long long vector __attribute__((vector_size(16), aligned(1), may_alias));

static vector load_vector(const unsigned char *at) {
    vector value;
    __asm__ volatile("movdqu %1, %0" : "=x"(value) : "m"(*(const vector *)at));
    return value;
}

typedef uint64_t word __attribute__((aligned(1), may_alias));

static uint64_t load8(const unsigned char *at) {
    uint64_t value;
    __asm__ volatile("movq %1, %0" : "=r"(value) : "m"(*(const word *)at));
    return value;
}

/* The compiler moves no access to memory across this. */
static void hold_order(void) {
    __asm__ volatile("" : : : "memory");
}

static void store_vector(unsigned char *at, vector value) {
    memcpy(at, &value, sizeof value);
}

/* Up to 16 bytes: two overlapping words, or one, cut. */
static void copy_short(unsigned char *out, const unsigned char *in, size_t size) {
    if (size >= 8) {
        uint64_t first = load8(in);
        uint64_t last = load8(in + size - 8);
        memcpy(out, &first, 8);
        memcpy(out + size - 8, &last, 8);
    } else if (size != 0) {
        uint64_t rest = load8(in);
        memcpy(out, &rest, size);
    }
}

static void copy(unsigned char *out, const unsigned char *in, size_t size) {
    if (size < 16) {
        copy_short(out, in, size);
        return;
    }
    if (size > VECTORS_MAX) {
        __asm__ volatile("rep movsb" : "+D"(out), "+S"(in), "+c"(size) : : "memory");
        return;
    }
    vector last = load_vector(in + size - 16);
    unsigned char *end = out + size - 16;
    for (; size > 32; size -= 32, in += 32, out += 32) {
        vector first = load_vector(in);
        vector second = load_vector(in + 16);
        store_vector(out, first);
        store_vector(out + 16, second);
    }
    if (size > 16) {
        store_vector(out, load_vector(in));
    }
    store_vector(end, last);
}

void hearth__racy_copy(void *to, const void *from, size_t size) {
    hold_order();
    copy(to, from, size);
    hold_order();
}

void hearth__racy_write(void *to, const void *from, size_t size) {
    /* Torn words are no worse than torn values: who reads them throws both away. */
    hold_order();
    if (size != 0) {
        memcpy(to, from, size);
    }
    hold_order();
}

#endif
