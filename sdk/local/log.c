/* SPDX-License-Identifier: Apache-2.0 */
/* A log: a ring of entries of any size, none of which is split at the ring's end. */
#include "local/shard.h"

/*
 *        tail          head                       head      tail        turn
 *   |-----[oldest..newest]-----|    or    |..newest]---------[oldest......|--|
 */

/* The room at the head without turning, and, where the head can turn, behind the turn. */
static bool fits_ahead(const hearth__log *log, uint64_t bytes) {
    uint64_t end = log->turn != 0 ? log->tail : log->space.bytes;
    return bytes <= end - log->head;
}

static bool fits_behind(const hearth__log *log, uint64_t bytes) {
    return log->turn == 0 && bytes <= log->tail;
}

bool hearth__log_fits(const hearth__log *log, uint64_t bytes) {
    return fits_ahead(log, bytes) || fits_behind(log, bytes);
}

static uint64_t position(const hearth__log *log, uint64_t lap, uint64_t offset) {
    return (lap << log->lap_shift | (log->start + offset) / 8) & HEARTH__SLOT_POSITION_MASK;
}

uint64_t hearth__log_append(hearth__log *log, uint64_t bytes, unsigned char **at) {
    if (!fits_ahead(log, bytes)) {
        log->turn = log->head;
        log->used += log->space.bytes - log->head;
        log->head = 0;
        log->lap++;
    }
    uint64_t offset = log->head;
    log->head += bytes;
    log->used += bytes;
    *at = log->space.base + offset;
    return position(log, log->lap, offset);
}

uint64_t hearth__log_tail(const hearth__log *log) {
    return position(log, log->turn != 0 ? log->lap - 1 : log->lap, log->tail);
}

void hearth__log_pop(hearth__log *log, uint64_t bytes) {
    log->tail += bytes;
    log->used -= bytes;
    if (log->turn != 0 && log->tail == log->turn) {
        log->used -= log->space.bytes - log->turn;
        log->tail = 0;
        log->turn = 0;
    }
    if (log->used ==
        0) { /* begin anew, so that the largest entry fits; a new lap, so that no position comes back */
        log->head = 0;
        log->tail = 0;
        log->lap++;
    }
}
