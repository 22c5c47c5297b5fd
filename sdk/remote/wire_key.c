/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/wire_key.h"

#include "base/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char prefix[] = "hearth-hash:";

static bool is_plain(const unsigned char *key, size_t size) {
    if (size == 0 || size > HEARTH__WIRE_KEY_MAX ||
        (size >= strlen(prefix) && memcmp(key, prefix, strlen(prefix)) == 0)) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        if (key[i] <= ' ' || key[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

void hearth__wire_key_init(hearth__wire_key *wire, const void *key, size_t key_size) {
    wire->hidden = !is_plain(key, key_size);
    if (!wire->hidden) {
        wire->data = key;
        wire->size = key_size;
        return;
    }
    hearth__hash128 hash = hearth__hash128_of(key, key_size);
    (void)snprintf(wire->hash, sizeof wire->hash, "%s%016" PRIx64 "%016" PRIx64, prefix,
                   hash.high, hash.low);
    wire->data = wire->hash;
    wire->size = HEARTH__HIDDEN_KEY_SIZE;
}
