/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/bloom_share.h"

#include "guard/bloom.h"

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    ID_AT = 4,
    BLOCKS_AT = 20,
    NEXT_AT = 28,
    NEXT_BLOCKS_AT = 44,
    BLOCKS_DIGITS = 8,
    HASHES_AT = HEARTH__BLOOM_HEAD + 16,
    HASH = 8, /* bytes */
    TEXT = 64,
};

static const char magic[] = "HBF1";

/* ---- numbers ---------------------------------------------------------------------------- */

static uint64_t take64(const unsigned char *bytes) {
    uint64_t word = 0;
    memcpy(&word, bytes, sizeof word);
    return le64toh(word);
}

static size_t put32(unsigned char *bytes, uint32_t number) {
    uint32_t word = htole32(number);
    memcpy(bytes, &word, sizeof word);
    return sizeof word;
}

/* False: these are no hexadecimal digits in lower case. */
static bool take_digits(const unsigned char *bytes, size_t count, uint64_t *number) {
    *number = 0;
    for (size_t i = 0; i < count; i++) {
        bool is_digit = bytes[i] >= '0' && bytes[i] <= '9';
        if (!is_digit && (bytes[i] < 'a' || bytes[i] > 'f')) {
            return false;
        }
        *number = *number << 4 | (uint64_t)(is_digit ? bytes[i] - '0' : bytes[i] - 'a' + 10);
    }
    return true;
}

/* Copies text without its end. */
static size_t put_text(unsigned char *bytes, const char *text) {
    size_t size = strlen(text);
    memcpy(bytes, text, size);
    return size;
}

static size_t put_id(unsigned char *bytes, uint64_t id) {
    char text[TEXT];
    (void)snprintf(text, sizeof text, "%016" PRIx64, id);
    return put_text(bytes, text);
}

/* ---- what is answered ------------------------------------------------------------------- */

static bool fits(uint64_t id, uint64_t blocks) {
    return (id == 0) == (blocks == 0) && blocks <= HEARTH__BLOOM_SHARE_BLOCKS;
}

bool hearth__bloom_head_parse(const unsigned char *bytes, size_t size,
                              hearth__bloom_head *head) {
    uint64_t blocks = 0;
    uint64_t next_blocks = 0;
    *head = (hearth__bloom_head){0};
    if (size == 0) {
        return true;
    }
    if (size < HEARTH__BLOOM_HEAD || memcmp(bytes, magic, sizeof magic - 1) != 0 ||
        !take_digits(bytes + ID_AT, HEARTH__BLOOM_ID, &head->id) ||
        !take_digits(bytes + BLOCKS_AT, BLOCKS_DIGITS, &blocks) ||
        !take_digits(bytes + NEXT_AT, HEARTH__BLOOM_ID, &head->next) ||
        !take_digits(bytes + NEXT_BLOCKS_AT, BLOCKS_DIGITS, &next_blocks)) {
        return false;
    }
    head->blocks = (uint32_t)blocks;
    head->next_blocks = (uint32_t)next_blocks;
    return fits(head->id, blocks) && fits(head->next, next_blocks);
}

bool hearth__bloom_sight_parse(const unsigned char *bytes, size_t size, uint64_t known,
                               hearth__bloom_sight *sight) {
    *sight = (hearth__bloom_sight){0};
    if (size == 0) {
        return true;
    }
    if (size < HASHES_AT || (size - HASHES_AT) % HASH != 0 ||
        !hearth__bloom_head_parse(bytes, HEARTH__BLOOM_HEAD, &sight->head)) {
        return false;
    }
    sight->last = take64(bytes + HEARTH__BLOOM_HEAD);
    sight->upto = take64(bytes + HEARTH__BLOOM_HEAD + 8);
    sight->hashes = bytes + HASHES_AT;
    sight->count = (size - HASHES_AT) / HASH;
    if (sight->upto == 0) {
        return sight->count == 0;
    }
    uint64_t from = known != 0 ? known : sight->last;
    return sight->upto <= sight->last && sight->upto >= from &&
           sight->upto - from == sight->count;
}

uint64_t hearth__bloom_sight_hash(const hearth__bloom_sight *sight, size_t index) {
    return take64(sight->hashes + index * HASH);
}

/* ---- what is said ----------------------------------------------------------------------- */

static size_t put_head(unsigned char *bytes, const hearth__bloom_head *head) {
    char text[TEXT];
    if (head->id == 0 && head->next == 0) {
        memset(bytes, '0', HEARTH__BLOOM_HEAD);
        return HEARTH__BLOOM_HEAD;
    }
    (void)snprintf(text, sizeof text, "%s%016" PRIx64 "%08" PRIx32 "%016" PRIx64 "%08" PRIx32,
                   magic, head->id, head->blocks, head->next, head->next_blocks);
    return put_text(bytes, text);
}

/* The places of a key's bits; zeros if there is no filter. */
static size_t put_places(unsigned char *bytes, uint32_t blocks, uint64_t hash) {
    uint32_t places[HEARTH__BLOOM_BITS] = {0};
    size_t size = 0;
    if (blocks != 0) {
        hearth__bloom_places(blocks, hash, places);
    }
    for (size_t i = 0; i < HEARTH__BLOOM_BITS; i++) {
        size += put32(bytes + size, places[i]);
    }
    return size;
}

size_t hearth__bloom_say_look(uint64_t making, uint64_t copied, uint64_t known,
                              unsigned char words[HEARTH__BLOOM_WORDS]) {
    char text[TEXT] = "";
    size_t size = put_id(words, making);
    size += put_id(words + size, copied);
    if (known != 0) {
        (void)snprintf(text, sizeof text, "%" PRIu64, known);
    }
    return size + put_text(words + size, text);
}

size_t hearth__bloom_say_insert(const hearth__bloom_head *head, const uint64_t *hashes,
                                size_t count, unsigned char *words) {
    size_t size = put_head(words, head);
    for (size_t i = 0; i < count; i++) {
        uint64_t word = htole64(hashes[i]);
        memcpy(words + size, &word, sizeof word);
        size += sizeof word;
        size += put_places(words + size, head->blocks, hashes[i]);
        size += put_places(words + size, head->next_blocks, hashes[i]);
    }
    return size;
}

size_t hearth__bloom_say_read(uint64_t id, uint32_t at, uint32_t count,
                              unsigned char words[HEARTH__BLOOM_WORDS]) {
    size_t size = put_id(words, id);
    size += put32(words + size, at);
    return size + put32(words + size, count);
}

size_t hearth__bloom_say_begin(uint64_t id, uint32_t blocks,
                               unsigned char words[HEARTH__BLOOM_WORDS]) {
    char text[TEXT];
    size_t size = put_id(words, id);
    (void)snprintf(text, sizeof text, "%08" PRIx32, blocks);
    return size + put_text(words + size, text);
}

size_t hearth__bloom_say_append(uint64_t id, uint32_t at, unsigned char *words) {
    size_t size = put_id(words, id);
    return size + put32(words + size, at);
}

size_t hearth__bloom_say_id(uint64_t id, unsigned char words[HEARTH__BLOOM_WORDS]) {
    return put_id(words, id);
}
