/* SPDX-License-Identifier: Apache-2.0 */
/* A log: a ring of entries of any size, none of which is split at the ring's end. All of it under the shard's lock. */
#ifndef HEARTH_LOCAL_LOG_H
#define HEARTH_LOCAL_LOG_H

#include <stdbool.h>
#include <stdint.h>

/* A position has as many bits as a slot has for it. */
#define HEARTH__SLOT_POSITION_BITS 44
#define HEARTH__SLOT_POSITION_MASK ((UINT64_C(1) << HEARTH__SLOT_POSITION_BITS) - 1)

enum { HEARTH__LINE = 64 }; /* bytes of a cache line */

/* Where bytes are: never changes. */
typedef struct hearth__ring_space {
    unsigned char *base;
    uint64_t bytes;
} hearth__ring_space;

/*
 * A ring of entries, oldest at the tail. Offsets in bytes.
 *
 * The logs share the shard's bytes: the window has the lower ones, the main log the upper ones, and the border moves as the
 * policy says (hearth__shard_divide()): up when the window's head comes to it, down when the main log appends there.
 *
 * The uppermost 4 % are the negative log's, for absences: first in, first out, whoever is asked for. If none was stored for
 * long, they go, and the main log has these bytes too. It has to leave them before absences can be kept again: at each absence
 * that cannot be, it goes a little on its round.
 */
typedef struct hearth__log {
    /* What changes seldom: each thread has it in its own cache. */
    _Alignas(HEARTH__LINE) hearth__ring_space space;
    unsigned lap_shift;
    bool
        is_raised; /* this lap no longer begins where it did: some of its positions were used */
    uint64_t lap;  /* of the head */
    uint64_t begin;          /* where this lap began, */
    uint64_t next_begin;     /* and where the next one will */
    uint64_t end;            /* where the head has to turn */
    uint64_t limit;          /* what is beyond is another log's, or will be */
    uint64_t largest;        /* entry of this lap, */
    uint64_t largest_before; /* and of the one before */

    /* What every store changes: one line goes from thread to thread. */
    _Alignas(HEARTH__LINE) uint64_t head;
    uint64_t tail;
    uint64_t turn;       /* where the head turned back, while it is behind the tail; else 0 */
    uint64_t used;       /* of entries, */
    uint64_t dead;       /* and of those that no slot points to */
    uint64_t known_tail; /* a position that was at the tail, */
    uint64_t known_hash; /* and the hash of its key */
} hearth__log;

/*
 *   begin  tail        head      end          begin    head      tail        turn  end
 *     |------[oldest..newest]-----|      or     |..newest]---------[oldest......|--|
 */

/* ---- where its entries are ---- */

/* The position of what is at an offset since a lap. */
static inline uint64_t hearth__log_position(const hearth__log *log, uint64_t lap,
                                            uint64_t offset) {
    return (lap << log->lap_shift | offset / 8) & HEARTH__SLOT_POSITION_MASK;
}

/* Of the entry at the tail, if there is one. */
static inline uint64_t hearth__log_tail(const hearth__log *log) {
    return hearth__log_position(log, log->turn != 0 ? log->lap - 1 : log->lap, log->tail);
}

/* The bytes of its entries are from here to there, but not all of these are. */
static inline uint64_t hearth__log_lowest(const hearth__log *log) {
    return log->turn != 0 ? log->begin : log->tail;
}

static inline uint64_t hearth__log_highest(const hearth__log *log) {
    return log->turn != 0 ? log->turn : log->head;
}

/* Kept free, so that the entry at the tail can be appended once more, whichever it is. */
static inline uint64_t hearth__log_gap(const hearth__log *log) {
    return log->largest > log->largest_before ? log->largest : log->largest_before;
}

/* ---- whether there is room ---- */

/* The room at the head without turning, and, where the head can turn, behind the turn. */
static inline bool hearth__log_fits_ahead(const hearth__log *log, uint64_t bytes) {
    uint64_t end = log->turn != 0 ? log->tail : log->end;
    end = end < log->limit ? end : log->limit;
    return log->head <= end && bytes <= end - log->head;
}

static inline bool hearth__log_fits_behind(const hearth__log *log, uint64_t bytes) {
    return log->turn == 0 && log->next_begin <= log->tail &&
           bytes <= log->tail - log->next_begin;
}

/* Whether it can be appended before this lap's beginning now, if there is room. */
static inline bool hearth__log_goes_down(const hearth__log *log) {
    return log->turn != 0 && !log->is_raised && (log->turn - log->tail) * 4 >= log->used;
}

/*
 * The room before this lap's beginning, if the other log has left some. What is put there will be the first of this lap at the
 * tail, so only while much of the lap before is left to come first.
 */
static inline bool hearth__log_fits_before(const hearth__log *log, uint64_t bytes) {
    return hearth__log_goes_down(log) && log->next_begin <= log->begin &&
           bytes <= log->begin - log->next_begin;
}

/* Whether `bytes` (a multiple of 8) can be appended now. */
static inline bool hearth__log_fits(const hearth__log *log, uint64_t bytes) {
    return hearth__log_fits_ahead(log, bytes) || hearth__log_fits_behind(log, bytes) ||
           hearth__log_fits_before(log, bytes);
}

/* ---- log.c ---- */

/* Takes the room for them: the position for a slot, and *at. They must fit. */
uint64_t hearth__log_append(hearth__log *log, uint64_t bytes, unsigned char **at);

/* Forgets the entry at the tail, of `bytes`. */
void hearth__log_pop(hearth__log *log, uint64_t bytes);

/* Forgets the entry with which this lap began, while an older lap is not yet forgotten. */
void hearth__log_pop_begin(hearth__log *log, uint64_t bytes);

/* Begins the present lap, in which there is nothing yet, further on. */
void hearth__log_begin_at(hearth__log *log, uint64_t offset);

#endif
