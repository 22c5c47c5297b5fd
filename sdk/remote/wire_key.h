/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys as a Memcached server can take them. A key of over 250 bytes, or with blanks or control
 * bytes, would be refused, or read as the end of a command: such a key is hidden behind
 *
 *   hearth-hash:<32 hexadecimal digits of XXH3-128 of the key>
 *
 * and so is every key that begins like this. What is stored under a hidden key carries the key
 * itself, which is compared.
 */
#ifndef HEARTH_REMOTE_WIRE_KEY_H
#define HEARTH_REMOTE_WIRE_KEY_H

#include <stdbool.h>
#include <stddef.h>

enum { HEARTH__WIRE_KEY_MAX = 250, HEARTH__HIDDEN_KEY_SIZE = 12 + 32 };

typedef struct hearth__wire_key {
    const char *data; /* the key itself, or `hash`: do not copy this struct */
    size_t size;
    bool hidden;
    char hash[HEARTH__HIDDEN_KEY_SIZE + 1];
} hearth__wire_key;

/* `key` must live as long as `wire` is used. */
void hearth__wire_key_init(hearth__wire_key *wire, const void *key, size_t key_size);

#endif
