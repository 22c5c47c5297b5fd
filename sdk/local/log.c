/* SPDX-License-Identifier: Apache-2.0 */
/* A log: a ring of entries of any size, none of which is split at the ring's end. */
#include "local/shard.h"

/*
 *   begin  tail        head      end          begin    head      tail        turn  end
 *     |------[oldest..newest]-----|      or     |..newest]---------[oldest......|--|
 */

/* The room at the head without turning, and, where the head can turn, behind the turn. */
static bool fits_ahead(const hearth__log *log, uint64_t bytes) {
    uint64_t end = log->turn != 0 ? log->tail : log->end;
    end = end < log->limit ? end : log->limit;
    return log->head <= end && bytes <= end - log->head;
}

static bool fits_behind(const hearth__log *log, uint64_t bytes) {
    return log->turn == 0 && log->next_begin <= log->tail &&
           bytes <= log->tail - log->next_begin;
}

/*
 * The room before this lap's beginning, if the other log has left some. What is put there will be the first of this lap at the
 * tail, so only while much of the lap before is left to come first.
 */
static bool fits_before(const hearth__log *log, uint64_t bytes) {
    return hearth__log_goes_down(log) && log->next_begin <= log->begin &&
           bytes <= log->begin - log->next_begin;
}

bool hearth__log_goes_down(const hearth__log *log) {
    return log->turn != 0 && !log->is_raised && (log->turn - log->tail) * 4 >= log->used;
}

bool hearth__log_fits(const hearth__log *log, uint64_t bytes) {
    return fits_ahead(log, bytes) || fits_behind(log, bytes) || fits_before(log, bytes);
}

uint64_t hearth__log_position(const hearth__log *log, uint64_t lap, uint64_t offset) {
    return (lap << log->lap_shift | offset / 8) & HEARTH__SLOT_POSITION_MASK;
}

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
    if (fits_before(log, bytes)) {
        log->begin -= bytes;
        offset = log->begin;
    } else {
        if (!fits_ahead(log, bytes)) {
            turn_back(log);
        }
        offset = log->head;
        log->head += bytes;
    }
    log->used += bytes;
    log->largest = bytes > log->largest ? bytes : log->largest;
    *at = log->space.base + offset;
    return hearth__log_position(log, log->lap, offset);
}

uint64_t hearth__log_tail(const hearth__log *log) {
    return hearth__log_position(log, log->turn != 0 ? log->lap - 1 : log->lap, log->tail);
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

uint64_t hearth__log_lowest(const hearth__log *log) {
    return log->turn != 0 ? log->begin : log->tail;
}

uint64_t hearth__log_highest(const hearth__log *log) {
    return log->turn != 0 ? log->turn : log->head;
}

uint64_t hearth__log_gap(const hearth__log *log) {
    return log->largest > log->largest_before ? log->largest : log->largest_before;
}
