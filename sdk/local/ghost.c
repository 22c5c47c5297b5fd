/* SPDX-License-Identifier: Apache-2.0 */
#include "local/ghost.h"

#include <string.h>

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

/* A set's records, or a number for each of them. */
typedef uint16_t set __attribute__((vector_size(WAYS * sizeof(uint16_t))));
typedef int16_t signed_set __attribute__((vector_size(WAYS * sizeof(int16_t))));

size_t hearth__ghosts_bytes(uint64_t entries) {
    uint64_t sets = (entries + WAYS - 1) / WAYS;
    return sizeof(hearth__ghosts) + (sets != 0 ? sets : 1) * sizeof(set);
}

void hearth__ghosts_init(hearth__ghosts *ghosts, size_t memory,
                         const uint64_t life_bytes[HEARTH__GHOST_LOGS]) {
    ghosts->sets = (memory - sizeof *ghosts) / sizeof(set);
    ghosts->tick_at = FLAGS;
    for (size_t log = 0; log < HEARTH__GHOST_LOGS; log++) {
        ghosts->tick_bytes[log] = life_bytes[log] / LIFE_TICKS + 1;
        ghosts->now[log] = LIFE_TICKS; /* empty records have tick 0 and shall be over */
    }
}

void hearth__ghosts_init_plain(hearth__ghosts *ghosts, size_t memory, uint64_t life_bytes) {
    const uint64_t lives[HEARTH__GHOST_LOGS] = {life_bytes};
    hearth__ghosts_init(ghosts, memory, lives);
    ghosts->tick_at = 0;
}

static uint16_t fingerprint_at(const hearth__ghosts *ghosts) {
    return ghosts->tick_at + TICK_BITS;
}

/* Of bits that no index or tag uses, in its place in a record. */
static uint16_t fingerprint(const hearth__ghosts *ghosts, uint64_t hash) {
    return (uint16_t)((hash >> 24) << fingerprint_at(ghosts));
}

/* Where its set begins. */
static size_t set_of(const hearth__ghosts *ghosts, uint64_t hash) {
    uint64_t mixed = (hash * 0x9e3779b97f4a7c15u) >> 32;
    return (mixed * ghosts->sets >> 32) * WAYS;
}

static set load(const uint16_t *records) {
    set loaded;
    memcpy(&loaded, records, sizeof loaded);
    return loaded;
}

static uint16_t flags_of(const hearth__ghosts *ghosts, uint16_t record) {
    return record & (uint16_t)((1u << ghosts->tick_at) - 1);
}

static unsigned log_of(const hearth__ghosts *ghosts, uint16_t record) {
    return flags_of(ghosts, record) >> LOG_AT;
}

/* In ticks. */
static set ages(const hearth__ghosts *ghosts, set records) {
    uint16_t flags = (uint16_t)((1u << ghosts->tick_at) - 1);
    set logs = (records & flags) >> LOG_AT;
    set now = (uint16_t)ghosts->now[0] + logs * (uint16_t)(ghosts->now[1] - ghosts->now[0]);
    return (now - (records >> ghosts->tick_at)) & (TICKS - 1);
}

/* NULL: there is none. */
static uint16_t *find(const hearth__ghosts *ghosts, uint16_t *records, uint64_t hash) {
    set loaded = load(records);
    set differ = (loaded ^ fingerprint(ghosts, hash)) >> fingerprint_at(ghosts);
    set equal = (set)((differ == 0) & (ages(ghosts, loaded) < LIFE_TICKS));
    uint64_t any[2];
    memcpy(any, &equal, sizeof any);
    for (size_t i = 0; (any[0] | any[1]) != 0 && i < WAYS; i++) {
        if (equal[i] != 0) {
            return &records[i];
        }
    }
    return NULL;
}

static signed_set larger(signed_set a, signed_set b) {
    signed_set more = a > b;
    return (a & more) | (b & ~more);
}

/* The record nearest the end of its life, or beyond it; of such, the first. */
static uint16_t *oldest(const hearth__ghosts *ghosts, uint16_t *records) {
    const signed_set place = {7, 6, 5, 4, 3, 2, 1, 0};
    signed_set ranks = (signed_set)ages(ghosts, load(records)) * WAYS + place;
    ranks = larger(ranks, __builtin_shufflevector(ranks, ranks, 4, 5, 6, 7, 0, 1, 2, 3));
    ranks = larger(ranks, __builtin_shufflevector(ranks, ranks, 2, 3, 0, 1, 6, 7, 4, 5));
    ranks = larger(ranks, __builtin_shufflevector(ranks, ranks, 1, 0, 3, 2, 5, 4, 7, 6));
    return &records[WAYS - 1 - ranks[0] % WAYS];
}

static uint16_t record_of(const hearth__ghosts *ghosts, uint64_t hash, unsigned tick,
                          unsigned flags) {
    return (uint16_t)(fingerprint(ghosts, hash) | tick << ghosts->tick_at | flags);
}

static void pass(hearth__ghosts *ghosts, unsigned log, uint64_t bytes) {
    ghosts->evicted_bytes[log] += bytes;
    if (ghosts->evicted_bytes[log] >= ghosts->tick_bytes[log]) {
        uint64_t ticks = ghosts->evicted_bytes[log] / ghosts->tick_bytes[log];
        ghosts->evicted_bytes[log] -= ticks * ghosts->tick_bytes[log];
        ghosts->now[log] = (ghosts->now[log] + ticks) % TICKS;
    }
}

void hearth__ghosts_add(hearth__ghosts *ghosts, unsigned log, uint64_t hash, uint64_t bytes) {
    pass(ghosts, log, bytes);
    uint16_t *records = &ghosts->records[set_of(ghosts, hash)];
    uint16_t *place = find(ghosts, records, hash);
    unsigned returned = place != NULL ? flags_of(ghosts, *place) & RETURNED : 0;
    place = place != NULL ? place : oldest(ghosts, records);
    *place = record_of(ghosts, hash, (unsigned)ghosts->now[log], log << LOG_AT | returned);
}

/* Of a plain record nothing is kept: it is made to be over. */
static void take(const hearth__ghosts *ghosts, uint16_t *record, uint64_t hash) {
    if (ghosts->tick_at == 0) {
        *record = record_of(ghosts, hash, (unsigned)(ghosts->now[0] + 1) % TICKS, 0);
    } else {
        *record |= TAKEN | RETURNED;
    }
}

hearth__ghost hearth__ghosts_take(hearth__ghosts *ghosts, uint64_t hash) {
    uint16_t *record = find(ghosts, &ghosts->records[set_of(ghosts, hash)], hash);
    if (record == NULL || (flags_of(ghosts, *record) & TAKEN) != 0) {
        return (hearth__ghost){.found = false};
    }
    unsigned log = log_of(ghosts, *record);
    uint64_t age = (ghosts->now[log] - ((uint64_t)*record >> ghosts->tick_at)) % TICKS;
    const hearth__ghost ghost = {.found = true,
                                 .log = log,
                                 .evicted_bytes = age * ghosts->tick_bytes[log],
                                 .returned = (flags_of(ghosts, *record) & RETURNED) != 0};
    take(ghosts, record, hash);
    return ghost;
}

void hearth__ghosts_ahead(const hearth__ghosts *ghosts, uint64_t hash) {
    __builtin_prefetch(ghosts, 1);
    __builtin_prefetch(&ghosts->records[set_of(ghosts, hash)], 1);
}
