/* SPDX-License-Identifier: Apache-2.0 */
#include "local/ghost.h"
#include "local/policy.h"

/*
 * New entries begin in the window, a tenth of the bytes. At its tail those that were read at least twice go on to the main
 * log, the others leave a ghost; a key that comes back while its ghost lives begins in the main log. At the main log's tail
 * an entry that was read goes round once more for each read, up to three.
 */
enum { MARK_MAX = 3, PROMOTED_FROM = 2, WINDOW_PARTS = 10 };

struct hearth__policy_state {
    uint64_t window_bytes;
    hearth__ghosts ghosts;
};

static size_t state_bytes(uint64_t expected_entries) {
    return offsetof(hearth__policy_state, ghosts) +
           hearth__ghosts_bytes(expected_entries * 5 / 4);
}

static void init(hearth__policy_state *state, size_t memory, uint64_t bytes) {
    state->window_bytes = (bytes + WINDOW_PARTS - 1) / WINDOW_PARTS;
    hearth__ghosts_init_plain(&state->ghosts, memory - offsetof(hearth__policy_state, ghosts),
                              bytes - state->window_bytes);
}

static uint64_t window_bytes(hearth__policy_state *state, uint64_t present) {
    (void)present;
    return state->window_bytes;
}

static void ahead(const hearth__policy_state *state, uint64_t hash) {
    hearth__ghosts_ahead(&state->ghosts, hash);
}

static hearth__place admit(hearth__policy_state *state, uint64_t hash, uint64_t bytes) {
    (void)bytes;
    bool known = hearth__ghosts_take(&state->ghosts, hash).found;
    return (hearth__place){.log = known ? HEARTH__MAIN : HEARTH__WINDOW};
}

static hearth__verdict judge(hearth__policy_state *state, enum hearth__log_id from,
                             unsigned mark, bool room_in_main) {
    (void)state;
    if (from == HEARTH__WINDOW) {
        return (hearth__verdict){.keep = mark >= PROMOTED_FROM || room_in_main,
                                 .to = {.log = HEARTH__MAIN}};
    }
    return (hearth__verdict){.keep = mark != 0,
                             .to = {.log = HEARTH__MAIN, .mark = mark != 0 ? mark - 1 : 0}};
}

static void dropped(hearth__policy_state *state, enum hearth__log_id from, uint64_t hash,
                    uint64_t bytes) {
    if (from == HEARTH__WINDOW) {
        hearth__ghosts_add(&state->ghosts, 0, hash, bytes);
    }
}

const hearth__policy hearth__policy_s3fifo = {
    .name = "s3fifo",
    .mark_max = MARK_MAX,
    .state_bytes = state_bytes,
    .init = init,
    .window_bytes = window_bytes,
    .ahead = ahead,
    .admit = admit,
    .judge = judge,
    .dropped = dropped,
};
