/* SPDX-License-Identifier: Apache-2.0 */
#include "local/ghost.h"
#include "local/policy.h"

/*
 * New entries begin in the window, a tenth of the bytes. At its tail those that were read at least twice go on to the main
 * log, the others leave a ghost; a key that comes back while its ghost lives begins in the main log. At the main log's tail
 * an entry that was read goes round once more for each read, up to three.
 */
enum { MARK_MAX = 3, PROMOTED_FROM = 2, WINDOW_PERMILLE = 100 };

struct hearth__policy_state {
    hearth__ghosts ghosts;
};

static size_t state_bytes(uint64_t expected_entries) {
    return hearth__ghosts_bytes(expected_entries * 8 / 10);
}

static void init(hearth__policy_state *state, size_t memory, uint64_t bytes) {
    hearth__ghosts_init(&state->ghosts, memory, bytes / 1000 * (1000 - WINDOW_PERMILLE));
}

static enum hearth__log_id admit(hearth__policy_state *state, uint64_t hash) {
    return hearth__ghosts_take(&state->ghosts, hash) ? HEARTH__MAIN : HEARTH__WINDOW;
}

static hearth__verdict judge(hearth__policy_state *state, enum hearth__log_id from,
                             unsigned mark, bool room_in_main) {
    (void)state;
    if (from == HEARTH__WINDOW) {
        return (hearth__verdict){
            .keep = mark >= PROMOTED_FROM || room_in_main, .to = HEARTH__MAIN, .mark = 0};
    }
    return (hearth__verdict){
        .keep = mark != 0, .to = HEARTH__MAIN, .mark = mark != 0 ? mark - 1 : 0};
}

static void dropped(hearth__policy_state *state, enum hearth__log_id from, uint64_t hash,
                    uint64_t bytes) {
    if (from == HEARTH__WINDOW) {
        hearth__ghosts_add(&state->ghosts, hash, bytes);
    }
}

const hearth__policy hearth__policy_s3fifo = {
    .name = "s3fifo",
    .mark_max = MARK_MAX,
    .window_permille = WINDOW_PERMILLE,
    .state_bytes = state_bytes,
    .init = init,
    .admit = admit,
    .judge = judge,
    .dropped = dropped,
};
