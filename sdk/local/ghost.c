/* SPDX-License-Identifier: Apache-2.0 */
#include "local/ghost.h"

enum {
    WAYS = 8,
    TICK_BITS = 15,
    TICKS = 1 << TICK_BITS,
    LIFE_TICKS = 1024,
};

size_t hearth__ghosts_bytes(uint64_t entries) {
    uint64_t sets = (entries + WAYS - 1) / WAYS;
    return sizeof(hearth__ghosts) + (sets != 0 ? sets : 1) * WAYS * sizeof(uint32_t);
}

void hearth__ghosts_init(hearth__ghosts *ghosts, size_t memory, uint64_t life_bytes) {
    ghosts->sets = (uint32_t)((memory - sizeof *ghosts) / (WAYS * sizeof(uint32_t)));
    ghosts->life_ticks = LIFE_TICKS;
    ghosts->tick_bytes = life_bytes / LIFE_TICKS + 1;
}

static uint32_t now(const hearth__ghosts *ghosts) {
    return (uint32_t)(ghosts->evicted_bytes / ghosts->tick_bytes) % TICKS;
}

/* The bits that no index or tag uses. */
static uint32_t fingerprint(uint64_t hash) {
    return (uint32_t)(hash >> 24) & 0xffff;
}

static uint32_t *set_of(hearth__ghosts *ghosts, uint64_t hash) {
    uint64_t mixed = (hash * 0x9e3779b97f4a7c15u) >> 32;
    return &ghosts->records[(mixed * ghosts->sets >> 32) * WAYS];
}

static uint32_t age(uint32_t tick, uint32_t record) {
    return (tick - (record >> 1)) % TICKS;
}

static bool lives(const hearth__ghosts *ghosts, uint32_t tick, uint32_t record) {
    return (record & 1) != 0 && age(tick, record) < ghosts->life_ticks;
}

void hearth__ghosts_add(hearth__ghosts *ghosts, uint64_t hash, uint64_t bytes) {
    ghosts->evicted_bytes += bytes;
    uint32_t *set = set_of(ghosts, hash);
    uint32_t *place = &set[0];
    uint32_t tick = now(ghosts);
    for (size_t i = 0; i < WAYS; i++) {
        if (!lives(ghosts, tick, set[i])) {
            place = &set[i];
            break;
        }
        if (age(tick, set[i]) > age(tick, *place)) {
            place = &set[i];
        }
    }
    *place = fingerprint(hash) << 16 | tick << 1 | 1;
}

bool hearth__ghosts_take(hearth__ghosts *ghosts, uint64_t hash) {
    uint32_t *set = set_of(ghosts, hash);
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i] >> 16 == fingerprint(hash) && lives(ghosts, now(ghosts), set[i] & 0xffff)) {
            set[i] = 0;
            return true;
        }
    }
    return false;
}
