/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is said on the bus, and where in its stream. No I/O.
 *
 * A message is one field, "h", of an entry of the stream. Its bytes, of format 1:
 *
 *   1        the format
 *   16       who publishes: random, of each process its own
 *   then, any number of times:
 *   1        what happened: 1 changed, 2 missed by its node, 3 more keys than could be kept: any may have changed
 *   2        the key's size, little-endian; 0 with 3
 *   size     the key, without remote.prefix, which the stream's name has; of a tag or a namespace's generation that of its node
 *
 * A message that is anything else says that something changed which this process cannot read.
 *
 * An entry's id is the stream's epoch, a dash, and the entry's number: 1, 2, 3 and so on.
 */
#ifndef HEARTH_COHERENCE_BUS_MESSAGE_H
#define HEARTH_COHERENCE_BUS_MESSAGE_H

#include "base/buffer.h"
#include "coherence/bus.h"

enum {
    HEARTH__BUS_FORMAT = 1,
    HEARTH__BUS_PUBLISHER_BYTES = 16,
    HEARTH__BUS_HEAD_BYTES = 1 + HEARTH__BUS_PUBLISHER_BYTES,
    HEARTH__BUS_RECORD_BYTES = 3, /* before a key */
    HEARTH__BUS_ALL = 3,
    HEARTH__BUS_MESSAGE_BYTES = 8192, /* of a message, unless one key needs more */
};

/* The beginning of a message. False: no memory. */
bool hearth__bus_message_begin(hearth__buffer *message, const unsigned char *publisher)
    __attribute__((warn_unused_result));

/* Adds a record, of a message or to be added to one. `kind`: enum hearth__bus_change, or HEARTH__BUS_ALL. False: no memory. */
bool hearth__bus_record_add(hearth__buffer *records, unsigned kind, const void *key,
                            size_t key_size) __attribute__((warn_unused_result));

/* How many bytes of whole records at the beginning of these go into one message. */
size_t hearth__bus_records_fit(const unsigned char *records, size_t size);

typedef void hearth__bus_changed(void *arg, const void *key, size_t key_size,
                                 enum hearth__bus_change change);

enum hearth__bus_reading {
    HEARTH__BUS_READ,
    HEARTH__BUS_OWN,        /* its publisher is the one given: nothing was taken */
    HEARTH__BUS_UNREADABLE, /* or any key may have changed; some may have been taken */
};

/* Gives the keys of a message that others published. */
enum hearth__bus_reading hearth__bus_message_read(const void *message, size_t size,
                                                  const unsigned char *own, size_t key_max,
                                                  hearth__bus_changed *changed, void *arg);

/* A place in a stream: of its last message that is known of. */
typedef struct hearth__bus_place {
    uint64_t epoch;
    uint64_t number; /* 0: none is known of */
} hearth__bus_place;

/* False: it is no id. */
bool hearth__bus_place_parse(const char *id, size_t size, hearth__bus_place *place);

/* Whether no message is between them. */
static inline bool hearth__bus_place_follows(hearth__bus_place place,
                                             hearth__bus_place before) {
    return place.epoch == before.epoch && place.number == before.number + 1;
}

/* Whether a stream whose last message is `last` can be the one in which `place` is. */
static inline bool hearth__bus_place_is_in(hearth__bus_place place, hearth__bus_place last) {
    return place.epoch == last.epoch && place.number <= last.number;
}

#endif
