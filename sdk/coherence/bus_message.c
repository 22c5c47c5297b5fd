/* SPDX-License-Identifier: Apache-2.0 */
#include "coherence/bus_message.h"

#include <string.h>

bool hearth__bus_message_begin(hearth__buffer *message, const unsigned char *publisher) {
    const unsigned char format = HEARTH__BUS_FORMAT;
    return hearth__buffer_assign(message, &format, 1) &&
           hearth__buffer_append(message, publisher, HEARTH__BUS_PUBLISHER_BYTES);
}

bool hearth__bus_record_add(hearth__buffer *records, unsigned kind, const void *key,
                            size_t key_size) {
    const unsigned char head[HEARTH__BUS_RECORD_BYTES] = {
        (unsigned char)kind, (unsigned char)(key_size & 0xff), (unsigned char)(key_size >> 8)};
    size_t before = records->size;
    if (hearth__buffer_append(records, head, sizeof head) &&
        (key_size == 0 || hearth__buffer_append(records, key, key_size))) {
        return true;
    }
    records->size = before;
    return false;
}

static size_t size_at(const unsigned char *record) {
    return (size_t)record[1] | (size_t)record[2] << 8;
}

size_t hearth__bus_records_fit(const unsigned char *records, size_t size) {
    size_t fit = 0;
    while (fit < size) {
        size_t next = fit + HEARTH__BUS_RECORD_BYTES + size_at(records + fit);
        if (fit != 0 && next > HEARTH__BUS_MESSAGE_BYTES - HEARTH__BUS_HEAD_BYTES) {
            break;
        }
        fit = next;
    }
    return fit;
}

enum hearth__bus_reading hearth__bus_message_read(const void *message, size_t size,
                                                  const unsigned char *own, size_t key_max,
                                                  hearth__bus_changed *changed, void *arg) {
    const unsigned char *bytes = message;
    if (size < HEARTH__BUS_HEAD_BYTES || bytes[0] != HEARTH__BUS_FORMAT) {
        return HEARTH__BUS_UNREADABLE;
    }
    if (memcmp(bytes + 1, own, HEARTH__BUS_PUBLISHER_BYTES) == 0) {
        return HEARTH__BUS_OWN;
    }
    size_t at = HEARTH__BUS_HEAD_BYTES;
    while (at < size) {
        if (size - at < HEARTH__BUS_RECORD_BYTES) {
            return HEARTH__BUS_UNREADABLE;
        }
        unsigned kind = bytes[at];
        size_t key_size = size_at(bytes + at);
        at += HEARTH__BUS_RECORD_BYTES;
        bool is_known = kind == HEARTH__BUS_CHANGED || kind == HEARTH__BUS_MISSED;
        if (!is_known || key_size == 0 || key_size > key_max || key_size > size - at) {
            return HEARTH__BUS_UNREADABLE;
        }
        changed(arg, bytes + at, key_size, (enum hearth__bus_change)kind);
        at += key_size;
    }
    return HEARTH__BUS_READ;
}

/* A decimal number without a sign, of at most 20 digits; its end, or NULL. */
static const char *parse_number(const char *at, const char *end, uint64_t *number) {
    const char *begin = at;
    uint64_t sum = 0;
    for (; at < end && *at >= '0' && *at <= '9'; at++) {
        uint64_t digit = (uint64_t)(*at - '0');
        if (sum > (UINT64_MAX - digit) / 10) {
            return NULL;
        }
        sum = sum * 10 + digit;
    }
    *number = sum;
    return at != begin ? at : NULL;
}

bool hearth__bus_place_parse(const char *id, size_t size, hearth__bus_place *place) {
    const char *end = id + size;
    hearth__bus_place parsed = {0};
    const char *at = parse_number(id, end, &parsed.epoch);
    if (at == NULL || at == end || *at != '-') {
        return false;
    }
    if (parse_number(at + 1, end, &parsed.number) != end) {
        return false;
    }
    *place = parsed;
    return true;
}
