/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hash of many short keys at once: MD5 (RFC 1321), of which the ring needs the first four bytes. One MD5 is a chain of
 * additions and rotations in which each waits for the one before; those of eight keys go side by side in the time of one. Longer
 * keys than fit into one block with their length are hashed one by one, as single keys are.
 */
#include "ring/ring.h"

#include <string.h>

enum {
    LANES = 8,
    FEW = 3,    /* keys for which the lanes are not worth it */
    WORDS = 16, /* of a block */
    BLOCK = 4 * WORDS,
    LENGTH_AT = BLOCK - 8, /* in bits, behind the key and a byte that ends it */
    SHORT_MAX = LENGTH_AT - 1,
    ROUND = 16,
    STEPS = 4 * ROUND,
};

/* A word of each key. */
typedef uint32_t lanes __attribute__((vector_size(4 * LANES)));

typedef union block {
    lanes words[WORDS];
    uint32_t of[WORDS][LANES];
} block;

static const uint32_t sines[STEPS] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613,
    0xfd469501, 0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193,
    0xa679438e, 0x49b40821, 0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d,
    0x02441453, 0xd8a1e681, 0xe7d3fbc8, 0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed,
    0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a, 0xfffa3942, 0x8771f681, 0x6d9d6122,
    0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70, 0x289b7ec6, 0xeaa127fa,
    0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665, 0xf4292244,
    0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb,
    0xeb86d391,
};

/* The step of all four rounds; `mixed` is what they differ in. */
static inline __attribute__((always_inline)) void
step(lanes *a, const lanes *b, const lanes *mixed, const lanes *word, uint32_t sine, int turn) {
    lanes sum = *a + *mixed + *word + sine;
    *a = (sum << turn | sum >> (32 - turn)) + *b;
}

#define STEP(a, b, mix, word, i, turn)                                      \
    do {                                                                    \
        const lanes mixed = (mix);                                          \
        step(&(a), &(b), &mixed, &words[(word) % WORDS], sines[i], (turn)); \
    } while (0)

/* The first word of what MD5 gives for a block of each key. */
static void digest(const lanes words[WORDS], lanes *first) {
    const uint32_t begin[] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
    const lanes zero = {0};
    lanes a = zero + begin[0];
    lanes b = zero + begin[1];
    lanes c = zero + begin[2];
    lanes d = zero + begin[3];
    int i = 0;
    for (; i < ROUND; i += 4) {
        STEP(a, b, d ^ (b & (c ^ d)), i, i, 7);
        STEP(d, a, c ^ (a & (b ^ c)), i + 1, i + 1, 12);
        STEP(c, d, b ^ (d & (a ^ b)), i + 2, i + 2, 17);
        STEP(b, c, a ^ (c & (d ^ a)), i + 3, i + 3, 22);
    }
    for (; i < 2 * ROUND; i += 4) {
        STEP(a, b, c ^ (d & (b ^ c)), 5 * i + 1, i, 5);
        STEP(d, a, b ^ (c & (a ^ b)), 5 * i + 6, i + 1, 9);
        STEP(c, d, a ^ (b & (d ^ a)), 5 * i + 11, i + 2, 14);
        STEP(b, c, d ^ (a & (c ^ d)), 5 * i + 16, i + 3, 20);
    }
    for (; i < 3 * ROUND; i += 4) {
        STEP(a, b, b ^ c ^ d, 3 * i + 5, i, 4);
        STEP(d, a, a ^ b ^ c, 3 * i + 8, i + 1, 11);
        STEP(c, d, d ^ a ^ b, 3 * i + 11, i + 2, 16);
        STEP(b, c, c ^ d ^ a, 3 * i + 14, i + 3, 23);
    }
    for (; i < STEPS; i += 4) {
        STEP(a, b, c ^ (b | ~d), 7 * i, i, 6);
        STEP(d, a, b ^ (a | ~c), 7 * i + 7, i + 1, 10);
        STEP(c, d, a ^ (d | ~b), 7 * i + 14, i + 2, 15);
        STEP(b, c, d ^ (c | ~a), 7 * i + 21, i + 3, 21);
    }
    *first = a + begin[0];
}

static uint32_t read_le32(const unsigned char *bytes) {
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
}

/* Writes a key's block into its lane. */
static void fill(block *blocks, size_t lane, const void *key, size_t key_size) {
    unsigned char text[BLOCK] = {0};
    if (key_size != 0) {
        memcpy(text, key, key_size);
    }
    text[key_size] = 0x80;
    text[LENGTH_AT] = (unsigned char)(8 * key_size);
    text[LENGTH_AT + 1] = (unsigned char)(8 * key_size >> 8);
    for (size_t word = 0; word < WORDS; word++) {
        blocks->of[word][lane] = read_le32(text + 4 * word);
    }
}

static void hash_few(const void *const *keys, const size_t *key_sizes, size_t count,
                     uint32_t *hashes) {
    for (size_t i = 0; i < count; i++) {
        hashes[i] = hearth__ring_hash(keys[i], key_sizes[i]);
    }
}

static void hash_some(const void *const *keys, const size_t *key_sizes, size_t count,
                      uint32_t *hashes) {
    block blocks = {0};
    lanes first;
    for (size_t i = 0; i < count; i++) {
        if (key_sizes[i] <= SHORT_MAX) {
            fill(&blocks, i, keys[i], key_sizes[i]);
        }
    }
    digest(blocks.words, &first);
    for (size_t i = 0; i < count; i++) {
        hashes[i] =
            key_sizes[i] <= SHORT_MAX ? first[i] : hearth__ring_hash(keys[i], key_sizes[i]);
    }
}

void hearth__ring_hash_many(const void *const *keys, const size_t *key_sizes, size_t count,
                            uint32_t *hashes) {
    for (size_t at = 0; at < count; at += LANES) {
        size_t some = count - at < LANES ? count - at : LANES;
        (some < FEW ? hash_few : hash_some)(keys + at, key_sizes + at, some, hashes + at);
    }
}
