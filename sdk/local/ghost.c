/* SPDX-License-Identifier: Apache-2.0 */
#include "local/ghost.h"

/* A record: fingerprint 8 | tick 5 | log 1 | taken 1 | returned 1; a plain one: fingerprint 11 | tick 5. */
enum {
    WAYS = 8,
    FLAGS = 3, /* bits */
    TICK_BITS = 5,
    TICKS = 1 << TICK_BITS,
    LIFE_TICKS = 10, /* so a record that is over looks young again only after three lives */
    LOG_AT = 2,
    TAKEN = 2, /* the key is in the tier again */
    RETURNED = 1,
};

size_t hearth__ghosts_bytes(uint64_t entries) {
    uint64_t sets = (entries + WAYS - 1) / WAYS;
    return sizeof(hearth__ghosts) + (sets != 0 ? sets : 1) * WAYS * sizeof(uint16_t);
}

void hearth__ghosts_init(hearth__ghosts *ghosts, size_t memory,
                         const uint64_t life_bytes[HEARTH__GHOST_LOGS]) {
    ghosts->sets = (memory - sizeof *ghosts) / (WAYS * sizeof(uint16_t));
    ghosts->tick_at = FLAGS;
    for (size_t log = 0; log < HEARTH__GHOST_LOGS; log++) {
        ghosts->tick_bytes[log] = life_bytes[log] / LIFE_TICKS + 1;
        /* Empty records have tick 0 and shall be over. */
        ghosts->evicted_bytes[log] = ghosts->tick_bytes[log] * LIFE_TICKS;
    }
}

void hearth__ghosts_init_plain(hearth__ghosts *ghosts, size_t memory, uint64_t life_bytes) {
    const uint64_t lives[HEARTH__GHOST_LOGS] = {life_bytes};
    hearth__ghosts_init(ghosts, memory, lives);
    ghosts->tick_at = 0;
}

static unsigned fingerprint_at(const hearth__ghosts *ghosts) {
    return ghosts->tick_at + TICK_BITS;
}

/* Of bits that no index or tag uses. */
static unsigned fingerprint(const hearth__ghosts *ghosts, uint64_t hash) {
    return (unsigned)(hash >> 24) % (1u << (16 - fingerprint_at(ghosts)));
}

static uint16_t *set_of(hearth__ghosts *ghosts, uint64_t hash) {
    uint64_t mixed = (hash * 0x9e3779b97f4a7c15u) >> 32;
    return &ghosts->records[(mixed * ghosts->sets >> 32) * WAYS];
}

static unsigned flags_of(const hearth__ghosts *ghosts, unsigned record) {
    return record % (1u << ghosts->tick_at);
}

static unsigned log_of(const hearth__ghosts *ghosts, unsigned record) {
    return flags_of(ghosts, record) >> LOG_AT;
}

static unsigned now(const hearth__ghosts *ghosts, unsigned log) {
    return (unsigned)(ghosts->evicted_bytes[log] / ghosts->tick_bytes[log]) % TICKS;
}

static unsigned age(const hearth__ghosts *ghosts, unsigned record) {
    return (now(ghosts, log_of(ghosts, record)) - (record >> ghosts->tick_at)) % TICKS;
}

static bool lives(const hearth__ghosts *ghosts, unsigned record) {
    return age(ghosts, record) < LIFE_TICKS;
}

/* NULL: there is none. */
static uint16_t *find(const hearth__ghosts *ghosts, uint16_t *set, uint64_t hash) {
    for (size_t i = 0; i < WAYS; i++) {
        unsigned record = set[i];
        if (record >> fingerprint_at(ghosts) == fingerprint(ghosts, hash) &&
            lives(ghosts, record)) {
            return &set[i];
        }
    }
    return NULL;
}

/* The record nearest the end of its life, or beyond it. */
static uint16_t *oldest(const hearth__ghosts *ghosts, uint16_t *set) {
    uint16_t *place = &set[0];
    for (size_t i = 1; i < WAYS; i++) {
        if (age(ghosts, set[i]) > age(ghosts, *place)) {
            place = &set[i];
        }
    }
    return place;
}

static unsigned record_of(const hearth__ghosts *ghosts, uint64_t hash, unsigned tick,
                          unsigned flags) {
    return fingerprint(ghosts, hash) << fingerprint_at(ghosts) | tick << ghosts->tick_at |
           flags;
}

void hearth__ghosts_add(hearth__ghosts *ghosts, unsigned log, uint64_t hash, uint64_t bytes) {
    ghosts->evicted_bytes[log] += bytes;
    uint16_t *set = set_of(ghosts, hash);
    uint16_t *place = find(ghosts, set, hash);
    unsigned returned = place != NULL ? flags_of(ghosts, *place) & RETURNED : 0;
    place = place != NULL ? place : oldest(ghosts, set);
    *place = (uint16_t)record_of(ghosts, hash, now(ghosts, log), log << LOG_AT | returned);
}

/* Of a plain record nothing is kept: it is made to be over. */
static void take(hearth__ghosts *ghosts, uint16_t *record, uint64_t hash) {
    if (ghosts->tick_at == 0) {
        *record = (uint16_t)record_of(ghosts, hash, (now(ghosts, 0) + 1) % TICKS, 0);
    } else {
        *record |= TAKEN | RETURNED;
    }
}

hearth__ghost hearth__ghosts_take(hearth__ghosts *ghosts, uint64_t hash) {
    uint16_t *record = find(ghosts, set_of(ghosts, hash), hash);
    if (record == NULL || (flags_of(ghosts, *record) & TAKEN) != 0) {
        return (hearth__ghost){.found = false};
    }
    unsigned log = log_of(ghosts, *record);
    const hearth__ghost ghost = {.found = true,
                                 .log = log,
                                 .evicted_bytes =
                                     age(ghosts, *record) * ghosts->tick_bytes[log],
                                 .returned = (flags_of(ghosts, *record) & RETURNED) != 0};
    take(ghosts, record, hash);
    return ghost;
}
