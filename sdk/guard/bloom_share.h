/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What processes that share a filter say to the server that has it, and what it says to them, as bytes. No I/O. In a head, in words
 * and in answers:
 *
 *   head     "HBF1", then twice, for the filter and for the next one: an id of 16 hexadecimal digits (all 0: there is none), and
 *            its number of blocks in 8
 *   LOOK     16 digits: the id of the filter that this process makes, or zeros; the id of the one that it has copied, or zeros;
 *            then, in decimal, the number of the last insert that it knows, or nothing -> nothing: there is no filter, or it is
 *            not to be trusted; or a head, the number of the last insert (8 bytes), or of the last that the blocks have of a
 *            filter that is not copied, the number up to which inserts follow (0: some are lost), and their hashes
 *   INSERT   the head as it is known (nothing there: HEARTH__BLOOM_HEAD zeros), then of each key the hash, and 8 bits' places of
 *            4 bytes in each of the two -> the head as it is; they were inserted if that is the same
 *   READ     an id, the place of the first byte, how many -> bytes, in the form of hearth__bloom_copy_out()
 *   BEGIN    an id, a number of blocks in 8 digits -> a head, or nothing: another process makes one
 *   APPEND   an id, the place of the first byte, bytes -> nothing: there is no such filter any more
 *   PUBLISH  an id -> a head, or nothing: there is no such filter any more
 *   ABANDON  an id                    RETIRE  an id
 *
 * Numbers are little-endian. A bit's place is that of SETBIT: the highest bit of the first byte is 0.
 */
#ifndef HEARTH_GUARD_BLOOM_SHARE_H
#define HEARTH_GUARD_BLOOM_SHARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HEARTH__BLOOM_HEAD = 52,
    HEARTH__BLOOM_ID = 16,
    HEARTH__BLOOM_INSERT = 72, /* of a key */
    HEARTH__BLOOM_WORDS =
        128, /* the longest of what is said, but for APPEND's bytes and INSERT's further keys */
    HEARTH__BLOOM_SHARE_BLOCKS = 1 << 24, /* of 32 bytes: what one string holds */
};

/* A head. An id of 0: there is none. */
typedef struct hearth__bloom_head {
    uint64_t id;
    uint64_t next;
    uint32_t blocks;
    uint32_t next_blocks;
} hearth__bloom_head;

/* What LOOK answers. */
typedef struct hearth__bloom_sight {
    hearth__bloom_head head;     /* without ids: there is nothing */
    uint64_t last;               /* the number of the last insert */
    uint64_t upto;               /* 0: what was inserted since is not all there any more */
    const unsigned char *hashes; /* 8 bytes each, in the answer */
    size_t count;
} hearth__bloom_sight;

/* False: that is no head. Nothing at all is one without ids. */
bool hearth__bloom_head_parse(const unsigned char *bytes, size_t size,
                              hearth__bloom_head *head);

/* `known`: what was seen before; 0: nothing. False: that is no answer to it. */
bool hearth__bloom_sight_parse(const unsigned char *bytes, size_t size, uint64_t known,
                               hearth__bloom_sight *sight);

/* One of a sight's hashes. */
uint64_t hearth__bloom_sight_hash(const hearth__bloom_sight *sight, size_t index);

/* What is said: each writes its words and returns their size. */
size_t hearth__bloom_say_look(uint64_t making, uint64_t copied, uint64_t known,
                              unsigned char words[HEARTH__BLOOM_WORDS]);
/* HEARTH__BLOOM_HEAD bytes, and HEARTH__BLOOM_INSERT a key. */
size_t hearth__bloom_say_insert(const hearth__bloom_head *head, const uint64_t *hashes,
                                size_t count, unsigned char *words);
size_t hearth__bloom_say_read(uint64_t id, uint32_t at, uint32_t count,
                              unsigned char words[HEARTH__BLOOM_WORDS]);
size_t hearth__bloom_say_begin(uint64_t id, uint32_t blocks,
                               unsigned char words[HEARTH__BLOOM_WORDS]);
/* The bytes are to follow. */
size_t hearth__bloom_say_append(uint64_t id, uint32_t at, unsigned char *words);
/* PUBLISH, ABANDON, RETIRE. */
size_t hearth__bloom_say_id(uint64_t id, unsigned char words[HEARTH__BLOOM_WORDS]);

#endif
