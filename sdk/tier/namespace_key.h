/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A key as the tiers have it. One of the cache's own is as the caller gave it; one of a namespace has its generation and its name
 * before it:
 *
 *   89  16 hexadecimal digits of the generation  2 of the name's size  name  key
 *
 * and so has every key that begins with that byte: without a name, of generation 0. The generation is part of the key in both tiers,
 * in flights and in leases: what is of an old one is another key's. It is no part of what the ring hashes, which is the name and
 * the key.
 */
#ifndef HEARTH_TIER_NAMESPACE_KEY_H
#define HEARTH_TIER_NAMESPACE_KEY_H

#include <stdbool.h>
#include <stddef.h>

enum {
    HEARTH__KEY_MARK = 0x89,
    HEARTH__KEY_GENERATION_DIGITS = 16,
    HEARTH__KEY_NAME_SIZE_AT = 1 + HEARTH__KEY_GENERATION_DIGITS,
    HEARTH__KEY_HEAD = HEARTH__KEY_NAME_SIZE_AT + 2, /* behind it name and key follow */
};

/* Part of a key. */
typedef struct hearth__key_part {
    const unsigned char *data;
    size_t size;
} hearth__key_part;

static inline bool hearth__key_is_marked(const void *key) {
    return *(const unsigned char *)key == HEARTH__KEY_MARK;
}

/* What the ring hashes behind the prefix. */
static inline hearth__key_part hearth__key_placed(const void *key, size_t size) {
    size_t head = hearth__key_is_marked(key) ? HEARTH__KEY_HEAD : 0;
    return (hearth__key_part){.data = (const unsigned char *)key + head, .size = size - head};
}

/* How many bytes of that are the namespace's name. */
size_t hearth__key_name_size(const void *key);

/* The key as its caller gave it. */
static inline hearth__key_part hearth__key_given(const void *key, size_t size) {
    hearth__key_part part = hearth__key_placed(key, size);
    size_t name = hearth__key_name_size(key);
    return (hearth__key_part){.data = part.data + name, .size = part.size - name};
}

#endif
