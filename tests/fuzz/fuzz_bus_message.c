/* SPDX-License-Identifier: Apache-2.0 */
/* A message of the bus, and an entry's id. What can be read is just what its writer would write: of the keys that were told, and by
 * the publisher in it, the same bytes are made. No key is over its limit. An id that is one has one place. */
#include "fuzz/fuzz.h"

#include "coherence/bus_message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_MAX = 20, ID_BYTES = 48 };

static const unsigned char OWN[HEARTH__BUS_PUBLISHER_BYTES] = "myself";

/* Writes what was read. */
static void write_again(void *arg, const void *key, size_t key_size,
                        enum hearth__bus_change change) {
    hearth__buffer *again = arg;
    if (key_size == 0 || key_size > KEY_MAX ||
        !hearth__bus_record_add(again, (unsigned)change, key, key_size)) {
        abort();
    }
}

/* Whole records, and never none. */
static void look_at_records(const uint8_t *records, size_t size) {
    size_t fit = hearth__bus_records_fit(records, size);
    if (fit > size || (fit == 0) != (size == 0)) {
        abort();
    }
}

static void look_at_message(const uint8_t *data, size_t size) {
    unsigned char publisher[HEARTH__BUS_PUBLISHER_BYTES] = {0};
    hearth__buffer again = {0};
    if (size >= HEARTH__BUS_HEAD_BYTES) {
        memcpy(publisher, data + 1, sizeof publisher);
    }
    if (!hearth__bus_message_begin(&again, publisher)) {
        abort();
    }
    enum hearth__bus_reading reading =
        hearth__bus_message_read(data, size, OWN, KEY_MAX, write_again, &again);
    if (reading == HEARTH__BUS_OWN && memcmp(publisher, OWN, sizeof OWN) != 0) {
        abort();
    }
    if (reading == HEARTH__BUS_READ) {
        if (again.size != size || memcmp(again.data, data, size) != 0) {
            abort();
        }
        look_at_records(data + HEARTH__BUS_HEAD_BYTES, size - HEARTH__BUS_HEAD_BYTES);
    }
    hearth__buffer_fini(&again);
}

static void look_at_id(const uint8_t *data, size_t size) {
    hearth__bus_place place = {0};
    hearth__bus_place again = {0};
    char id[ID_BYTES];
    if (!hearth__bus_place_parse((const char *)data, size, &place)) {
        return;
    }
    int length = snprintf(id, sizeof id, "%llu-%llu", (unsigned long long)place.epoch,
                          (unsigned long long)place.number);
    if (!hearth__bus_place_parse(id, (size_t)length, &again) || again.epoch != place.epoch ||
        again.number != place.number) {
        abort();
    }
}

int fuzz_bus_message(const uint8_t *data, size_t size) {
    look_at_message(data, size);
    look_at_id(data, size);
    return 0;
}
