/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A filter as a file: a header, then its blocks. All numbers are little-endian.
 *
 *   0   magic 89 48 42 46 0D 0A 1A 0A     8  format (1)          12  zero
 *   16  seed of the hash                  24 generation          32  blocks
 *   40  sum of the blocks                 48 zero                56  sum of the bytes before
 *
 * Bytes only, no I/O. Sums are XXH3-64, of blocks piece by piece, each with the sum before as its seed.
 */
#ifndef HEARTH_GUARD_BLOOM_IMAGE_H
#define HEARTH_GUARD_BLOOM_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HEARTH__BLOOM_IMAGE_HEADER = 64,  /* bytes */
    HEARTH__BLOOM_IMAGE_PIECE = 2048, /* blocks in a piece, but for the last */
};

typedef struct hearth__bloom_image {
    uint64_t seed;
    uint64_t generation;
    uint64_t blocks;
    uint64_t sum;
} hearth__bloom_image;

void hearth__bloom_image_compose(const hearth__bloom_image *image, unsigned char *header);

enum hearth__bloom_image_fault {
    HEARTH__BLOOM_IMAGE_GOOD,
    HEARTH__BLOOM_IMAGE_FOREIGN, /* no such file */
    HEARTH__BLOOM_IMAGE_NEWER,   /* of a format that is not known */
    HEARTH__BLOOM_IMAGE_DAMAGED,
};

/* *image is filled if it is good. */
enum hearth__bloom_image_fault hearth__bloom_image_parse(const unsigned char *header,
                                                         hearth__bloom_image *image);

/* The sum with another piece; that of none is 0. */
uint64_t hearth__bloom_image_sum(uint64_t sum, const void *piece, size_t size);

#endif
