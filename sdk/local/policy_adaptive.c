/* SPDX-License-Identifier: Apache-2.0 */
#include "local/ghost.h"
#include "local/policy.h"

/*
 * Queues as in S3-FIFO, and a window that grows and shrinks as the recency list of ARC does (Megiddo, Modha: ARC, a
 * self-tuning, low overhead replacement cache, FAST 2003), from 5 to 95 % of the bytes.
 *
 * Size: a key that comes back soon after it was evicted from the window would have been a hit in a larger one, and one that
 * was evicted from the main log, in a larger main log: each time the one gets some bytes of the other. Soon is short on
 * purpose: with long memories a loop that fits nowhere makes the window grow.
 *
 * Where a new entry begins: in the window. If it has a ghost, with a mark, so that it goes round once more before it is
 * judged; if it was evicted from the main log a short time ago, or from the window for the second time in a row, in the main
 * log.
 *
 * At the window's tail: read twice, on to the main log; read once, round again; else out. At the main log's tail it goes
 * round once more for each read, up to three.
 */
enum {
    MARK_MAX = 3,
    PROMOTED_FROM = 2,
    /* Per cent of the bytes: */
    FIRST = 20,
    LEAST = 5,
    MOST = 95,
    AHEAD = 12,   /* of what the window has */
    STEPS = 2048, /* of the window's size in all, if entries are small */
};

enum { WINDOW, MAIN }; /* the ghosts' logs */

/* What counts as soon, and how long ghosts live: per cent of the bytes, evicted from the same log. */
static const unsigned soon[] = {[WINDOW] = 50, [MAIN] = 30};
static const unsigned life[] = {[WINDOW] = 300, [MAIN] = 100};

struct hearth__policy_state {
    double bytes;       /* of both logs */
    double window;      /* of these, the window's share */
    double returned[2]; /* bytes that came back soon, of those evicted last */
    hearth__ghosts ghosts;
};

static size_t state_bytes(uint64_t expected_entries) {
    return offsetof(hearth__policy_state, ghosts) +
           hearth__ghosts_bytes(expected_entries * 5 / 2);
}

static double share(const hearth__policy_state *state, unsigned per_cent) {
    return state->bytes / 100 * per_cent;
}

static void init(hearth__policy_state *state, size_t memory, uint64_t bytes) {
    const uint64_t lives[] = {bytes / 100 * life[WINDOW] + bytes % 100 * life[WINDOW] / 100,
                              bytes / 100 * life[MAIN] + bytes % 100 * life[MAIN] / 100};
    state->bytes = (double)bytes;
    state->window = share(state, FIRST);
    hearth__ghosts_init(&state->ghosts, memory - offsetof(hearth__policy_state, ghosts), lives);
}

/* fmin() and fmax() would be calls, for the sake of what is no number. */
static double smaller(double a, double b) {
    return a < b ? a : b;
}

static double larger(double a, double b) {
    return a > b ? a : b;
}

/* Who has too little or too much for a while would otherwise ask for all or nothing. */
static uint64_t window_bytes(hearth__policy_state *state, uint64_t present) {
    double slack = share(state, AHEAD);
    double most = smaller((double)present + slack, share(state, MOST));
    double least = larger((double)present - slack, share(state, LEAST));
    state->window = smaller(larger(state->window, least), most);
    uint64_t whole = (uint64_t)state->window;
    return (double)whole < state->window ? whole + 1 : whole;
}

/* Bytes of a log's ghosts that are young and have not come back; at least 1. */
static double waiting(const hearth__policy_state *state, unsigned log) {
    return larger(share(state, soon[log]) - state->returned[log], 1);
}

/* The rarer a log's ghosts are, the more does one say that comes back. */
static void resize(hearth__policy_state *state, unsigned log, uint64_t bytes) {
    double step = larger((double)bytes, state->bytes / STEPS);
    step *= larger(waiting(state, !log) / waiting(state, log), 1);
    state->window += log == WINDOW ? step : -step;
    state->returned[log] += (double)bytes;
}

static void ahead(const hearth__policy_state *state, uint64_t hash) {
    hearth__ghosts_ahead(&state->ghosts, hash);
}

static hearth__place admit(hearth__policy_state *state, uint64_t hash, uint64_t bytes) {
    hearth__ghost ghost = hearth__ghosts_take(&state->ghosts, hash);
    if (!ghost.found) {
        return (hearth__place){.log = HEARTH__WINDOW};
    }
    if ((double)ghost.evicted_bytes >= share(state, soon[ghost.log])) {
        return (hearth__place){.log = HEARTH__WINDOW, .mark = 1};
    }
    resize(state, ghost.log, bytes);
    if (ghost.log == MAIN) {
        return (hearth__place){.log = HEARTH__MAIN, .mark = ghost.returned ? 2 : 1};
    }
    return ghost.returned ? (hearth__place){.log = HEARTH__MAIN}
                          : (hearth__place){.log = HEARTH__WINDOW, .mark = 1};
}

static hearth__verdict judge(hearth__policy_state *state, enum hearth__log_id from,
                             unsigned mark, bool room_in_main) {
    (void)state;
    if (from == HEARTH__MAIN) {
        return (hearth__verdict){.keep = mark != 0,
                                 .to = {.log = HEARTH__MAIN, .mark = mark != 0 ? mark - 1 : 0}};
    }
    if (mark >= PROMOTED_FROM || (mark == 0 && room_in_main)) {
        return (hearth__verdict){.keep = true, .to = {.log = HEARTH__MAIN}};
    }
    return (hearth__verdict){.keep = mark != 0, .to = {.log = HEARTH__WINDOW}};
}

static void dropped(hearth__policy_state *state, enum hearth__log_id from, uint64_t hash,
                    uint64_t bytes) {
    unsigned log = from == HEARTH__WINDOW ? WINDOW : MAIN;
    state->returned[log] *= larger(1 - (double)bytes / share(state, soon[log]), 0);
    hearth__ghosts_add(&state->ghosts, log, hash, bytes);
}

const hearth__policy hearth__policy_adaptive = {
    .name = "adaptive",
    .mark_max = MARK_MAX,
    .state_bytes = state_bytes,
    .init = init,
    .window_bytes = window_bytes,
    .ahead = ahead,
    .admit = admit,
    .judge = judge,
    .dropped = dropped,
};
