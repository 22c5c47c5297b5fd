/* SPDX-License-Identifier: Apache-2.0 */
#include "local/policy.h"

static size_t state_bytes(uint64_t expected_entries) {
    (void)expected_entries;
    return 0;
}

static void init(hearth__policy_state *state, size_t memory, uint64_t bytes) {
    (void)state;
    (void)memory;
    (void)bytes;
}

static uint64_t window_bytes(hearth__policy_state *state, uint64_t present) {
    (void)present;
    (void)state;
    return 0;
}

static void ahead(const hearth__policy_state *state, uint64_t hash) {
    (void)state;
    (void)hash;
}

static hearth__place admit(hearth__policy_state *state, uint64_t hash, uint64_t bytes) {
    (void)state;
    (void)hash;
    (void)bytes;
    return (hearth__place){.log = HEARTH__MAIN};
}

static hearth__verdict judge(hearth__policy_state *state, enum hearth__log_id from,
                             unsigned mark, bool room_in_main) {
    (void)state;
    (void)from;
    (void)room_in_main;
    return (hearth__verdict){.keep = mark != 0, .to = {.log = HEARTH__MAIN}};
}

static void dropped(hearth__policy_state *state, enum hearth__log_id from, uint64_t hash,
                    uint64_t bytes) {
    (void)state;
    (void)from;
    (void)hash;
    (void)bytes;
}

const hearth__policy hearth__policy_lru = {
    .name = "lru",
    .mark_max = 1,
    .state_bytes = state_bytes,
    .init = init,
    .window_bytes = window_bytes,
    .ahead = ahead,
    .admit = admit,
    .judge = judge,
    .dropped = dropped,
};
