/* SPDX-License-Identifier: Apache-2.0 */
/* A log: a ring of entries of any size, none of which is split at the ring's end. */
#include "local/log.h"

static void turn_back(hearth__log *log) {
    log->turn = log->head;
    log->begin = log->next_begin;
    log->head = log->begin;
    log->lap++;
    log->is_raised = false;
    log->largest_before = log->largest;
    log->largest = 0;
}

uint64_t hearth__log_append(hearth__log *log, uint64_t bytes, unsigned char **at) {
    uint64_t offset = 0;
    if (hearth__log_fits_before(log, bytes)) {
        log->begin -= bytes;
        offset = log->begin;
    } else {
        if (!hearth__log_fits_ahead(log, bytes)) {
            turn_back(log);
        }
        offset = log->head;
        log->head += bytes;
    }
    log->used += bytes;
    if (bytes > log->largest) {
        log->largest = bytes;
    }
    *at = log->space.base + offset;
    return hearth__log_position(log, log->lap, offset);
}

/* Begin anew, so that the largest entry fits; a new lap, so that no position comes back. */
static void begin_anew(hearth__log *log) {
    log->begin = log->next_begin;
    log->head = log->begin;
    log->tail = log->begin;
    log->turn = 0;
    log->lap++;
    log->is_raised = false;
    log->largest = 0;
    log->largest_before = 0;
}

void hearth__log_pop(hearth__log *log, uint64_t bytes) {
    log->tail += bytes;
    log->used -= bytes;
    if (log->turn != 0 && log->tail == log->turn) {
        log->tail = log->begin;
        log->turn = 0;
    }
    if (log->used == 0) {
        begin_anew(log);
    }
}

void hearth__log_pop_begin(hearth__log *log, uint64_t bytes) {
    log->begin += bytes;
    log->used -= bytes;
    log->is_raised = true;
}

void hearth__log_begin_at(hearth__log *log, uint64_t offset) {
    log->begin = offset;
    log->head = offset;
    log->is_raised = true;
}
