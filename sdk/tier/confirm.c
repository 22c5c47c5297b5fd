/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A copy that is no hit any more, because the connection on which it was read has ended, or its listener, or its life here: its node
 * may have just this still. Then the header says so, in 48 bytes, and the copy is as good as read anew: changes of what was looked
 * at are told as those of what is read. Versions never come back, so a value that was changed and changed back is another one.
 */
#include "base/clock.h"
#include "tier/read.h"

enum { MIN_BYTES = 512 }; /* a smaller value comes whole for no more */

/* Copies what there is of the key, whatever its life. False: nothing that is worth it, or no memory; there may be bytes all the same. */
static bool copy_local(const hearth__read *read, hearth__buffer *bytes, uint64_t *version) {
    hearth__local *local = read->cache->local;
    hearth__local_raw raw;
    hearth__local_entry entry;
    if (hearth__local_peek(local, read->key, read->key_size, bytes, &raw) != HEARTH_OK) {
        return false;
    }
    size_t needed = bytes->size;
    bytes->size = 0;
    if (needed < MIN_BYTES || !hearth__buffer_reserve(bytes, needed) ||
        hearth__local_peek(local, read->key, read->key_size, bytes, &raw) != HEARTH_OK ||
        bytes->size > bytes->capacity) {
        return false;
    }
    hearth__local_decode(&raw, &entry);
    *version = entry.version;
    /* Of one with tags a header says too little. */
    return !entry.absent && entry.version != 0 && entry.tags_size == 0;
}

uint64_t hearth__read_known(const hearth__read *read, hearth__buffer *copy) {
    uint64_t version = 0;
    bool is_worth = read->cache->listener != NULL && read->present == NULL &&
                    hearth__read_keeps_local(read);
    return is_worth && copy_local(read, copy, &version) ? version : 0;
}

int32_t hearth__read_take_known(hearth__read *read, const hearth__remote_op *op,
                                hearth__local_ticket ticket, int64_t sent_ms,
                                hearth__buffer *copy) {
    if (op->known_version != 0 && op->status == HEARTH_OK) {
        const hearth__buffer empty = *op->body;
        *op->body = *copy;
        *copy = empty;
        HEARTH__COUNT(read->cache->counters, copies_confirmed);
    }
    return hearth__read_take_remote(read, op, ticket, sent_ms);
}

/* False: the node has something else. */
static bool ask(hearth__read *read, const hearth__route *route, int64_t deadline_ns,
                uint64_t version, hearth__buffer *copy, int32_t *status) {
    hearth__local_ticket ticket = hearth__route_sample(route, read->key, read->key_size);
    int64_t sent_ms = hearth__boot_ms();
    hearth__remote_op op = hearth__read_question(read, route);
    op.known_version = version;
    hearth__nodes_execute(read->cache, &op, 1, deadline_ns);
    if (!op.changed) {
        *status = hearth__read_take_known(read, &op, ticket, sent_ms, copy);
    }
    return !op.changed;
}

bool hearth__read_confirm(hearth__read *read, const hearth__route *route, int64_t deadline_ns,
                          int32_t *status) {
    hearth__buffer copy = {0};
    uint64_t version = hearth__read_known(read, &copy);
    bool answered = version != 0 && ask(read, route, deadline_ns, version, &copy, status);
    hearth__buffer_fini(&copy);
    return answered;
}
