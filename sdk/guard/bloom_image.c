/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/bloom_image.h"

#include "base/hash.h"

#include <endian.h>
#include <string.h>

static const unsigned char magic[8] = {0x89, 'H', 'B', 'F', '\r', '\n', 0x1a, '\n'};

enum {
    FORMAT = 1,
    FORMAT_AT = 8,
    SEED_AT = 16,
    GENERATION_AT = 24,
    BLOCKS_AT = 32,
    SUM_AT = 40,
    HEADER_SUM_AT = 56
};

static void put(unsigned char *header, size_t at, uint64_t number) {
    uint64_t word = htole64(number);
    memcpy(header + at, &word, sizeof word);
}

static uint64_t take(const unsigned char *header, size_t at) {
    uint64_t word = 0;
    memcpy(&word, header + at, sizeof word);
    return le64toh(word);
}

uint64_t hearth__bloom_image_sum(uint64_t sum, const void *piece, size_t size) {
    return hearth__hash64_seeded(sum, piece, size);
}

void hearth__bloom_image_compose(const hearth__bloom_image *image, unsigned char *header) {
    memset(header, 0, HEARTH__BLOOM_IMAGE_HEADER);
    memcpy(header, magic, sizeof magic);
    put(header, FORMAT_AT, FORMAT);
    put(header, SEED_AT, image->seed);
    put(header, GENERATION_AT, image->generation);
    put(header, BLOCKS_AT, image->blocks);
    put(header, SUM_AT, image->sum);
    put(header, HEADER_SUM_AT, hearth__hash64(header, HEADER_SUM_AT));
}

enum hearth__bloom_image_fault hearth__bloom_image_parse(const unsigned char *header,
                                                         hearth__bloom_image *image) {
    if (memcmp(header, magic, sizeof magic) != 0) {
        return HEARTH__BLOOM_IMAGE_FOREIGN;
    }
    if (take(header, HEADER_SUM_AT) != hearth__hash64(header, HEADER_SUM_AT)) {
        return HEARTH__BLOOM_IMAGE_DAMAGED;
    }
    if (take(header, FORMAT_AT) != FORMAT) {
        return HEARTH__BLOOM_IMAGE_NEWER;
    }
    *image = (hearth__bloom_image){.seed = take(header, SEED_AT),
                                   .generation = take(header, GENERATION_AT),
                                   .blocks = take(header, BLOCKS_AT),
                                   .sum = take(header, SUM_AT)};
    return HEARTH__BLOOM_IMAGE_GOOD;
}
