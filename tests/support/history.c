/* SPDX-License-Identifier: Apache-2.0 */
#include "support/history.h"

#include <stdlib.h>
#include <string.h>

enum { PENDING_MAX = 64 };

/* What may have happened by now: which of the pending calls took effect, and the value that they left; 0: none. */
struct state {
    uint64_t done;
    uint64_t value;
};

/* A set of states. */
struct states {
    struct state *list;
    size_t count;
    size_t capacity;
    uint32_t *places; /* a hash table of the list, 1 + index; twice its capacity */
};

struct search {
    const struct history_call *pending[PENDING_MAX];
    uint64_t free; /* places of pending */
    bool vanishes;
    bool failed; /* no memory */
    struct states now;
    struct states next;
    struct states visited;
};

/* ---- sets of states --------------------------------------------------------------------- */

static uint32_t *place_of(const struct states *states, struct state state) {
    uint64_t mixed = (state.done * 0x9e3779b97f4a7c15u ^ state.value) * 0xff51afd7ed558ccdu;
    size_t mask = 2 * states->capacity - 1;
    size_t at = (size_t)(mixed >> 32) & mask;
    while (states->places[at] != 0) {
        const struct state *there = &states->list[states->places[at] - 1];
        if (there->done == state.done && there->value == state.value) {
            break;
        }
        at = (at + 1) & mask;
    }
    return &states->places[at];
}

static void forget(struct states *states) {
    if (states->count != 0) {
        memset(states->places, 0, 2 * states->capacity * sizeof *states->places);
    }
    states->count = 0;
}

static void release(struct states *states) {
    free(states->list);
    free(states->places);
}

static bool grow(struct states *states) {
    struct states larger = {.capacity = states->capacity != 0 ? states->capacity * 2 : 16};
    larger.list = malloc(larger.capacity * sizeof *larger.list);
    larger.places = calloc(2 * larger.capacity, sizeof *larger.places);
    if (larger.list == NULL || larger.places == NULL) {
        release(&larger);
        return false;
    }
    for (size_t i = 0; i < states->count; i++) {
        larger.list[i] = states->list[i];
        *place_of(&larger, states->list[i]) = (uint32_t)++larger.count;
    }
    release(states);
    *states = larger;
    return true;
}

/* True: it was not there. */
static bool add(struct search *search, struct states *states, struct state state) {
    if (states->count == states->capacity && !grow(states)) {
        search->failed = true;
        return false;
    }
    uint32_t *place = place_of(states, state);
    if (*place != 0) {
        return false;
    }
    states->list[states->count] = state;
    *place = (uint32_t)++states->count;
    return true;
}

/* ---- what calls do ---------------------------------------------------------------------- */

/* Whether a call can take effect in a state; *value: what it leaves. */
static bool applies(const struct search *search, const struct history_call *call,
                    uint64_t *value) {
    bool empty = *value == 0 || search->vanishes; /* or can be found so */
    switch (call->kind) {
    case HISTORY_SET:
        *value = call->value;
        return true;
    case HISTORY_GET:
        if (call->value != 0) {
            return *value == call->value;
        }
        *value = 0;
        return empty;
    case HISTORY_DROP:
        empty = *value != 0;
        *value = 0;
        return empty;
    case HISTORY_NO_DROP:
        *value = 0;
        return empty;
    case HISTORY_CLEAR:
        *value = 0;
        return true;
    }
    return false;
}

static bool is_done(struct state state, size_t place) {
    return (state.done >> place & 1) != 0;
}

/* Whether a call may be of use to others later: where values stay, one that clears whatever it finds. */
static bool can_wait(const struct search *search, const struct history_call *call) {
    return call->kind == HISTORY_CLEAR && !search->vanishes;
}

/* Other calls that leave a state as it is hinder none, so they take effect as soon as they can. */
static struct state settled(const struct search *search, struct state state) {
    for (uint64_t left = ~(search->free | state.done); left != 0; left &= left - 1) {
        size_t place = (size_t)__builtin_ctzll(left);
        const struct history_call *call = search->pending[place];
        uint64_t value = state.value;
        if (!can_wait(search, call) && applies(search, call, &value) && value == state.value) {
            state.done |= UINT64_C(1) << place;
        }
    }
    return state;
}

/* Lets pending calls take effect in every order in which the one at `wanted` does at last. As deep as calls are pending. */
/* NOLINTNEXTLINE(misc-no-recursion) */
static void explore(struct search *search, struct state state, size_t wanted) {
    state = settled(search, state);
    if (is_done(state, wanted)) {
        state.done &= ~(UINT64_C(1) << wanted);
        (void)add(search, &search->next, state);
        return;
    }
    if (!add(search, &search->visited, state)) {
        return;
    }
    for (uint64_t left = ~(search->free | state.done); left != 0; left &= left - 1) {
        size_t place = (size_t)__builtin_ctzll(left);
        struct state after = {state.done | UINT64_C(1) << place, state.value};
        if (applies(search, search->pending[place], &after.value)) {
            explore(search, after, wanted);
        }
    }
}

/* ---- one key ---------------------------------------------------------------------------- */

/* A call begins or ends. */
struct moment {
    int64_t time_ns;
    size_t call;
    bool ends;
};

/* At the same time calls begin before others end: then they may have overlapped. */
static int by_time(const void *a, const void *b) {
    const struct moment *one = a;
    const struct moment *other = b;
    if (one->time_ns != other->time_ns) {
        return one->time_ns < other->time_ns ? -1 : 1;
    }
    return (int)one->ends - (int)other->ends;
}

static enum history_verdict end_call(struct search *search, const struct history_call *call) {
    size_t place = 0;
    while ((search->free >> place & 1) != 0 || search->pending[place] != call) {
        place++;
    }
    forget(&search->next);
    forget(&search->visited);
    for (size_t i = 0; i < search->now.count; i++) {
        explore(search, search->now.list[i], place);
    }
    search->free |= UINT64_C(1) << place;
    struct states past = search->now;
    search->now = search->next;
    search->next = past;
    if (search->failed) {
        return HISTORY_UNDECIDED;
    }
    return search->now.count != 0 ? HISTORY_LEGAL : HISTORY_ILLEGAL;
}

static enum history_verdict follow(struct search *search, const struct history_call *calls,
                                   const struct moment *moments, size_t count,
                                   size_t *culprit) {
    enum history_verdict verdict = HISTORY_LEGAL;
    (void)add(search, &search->now, (struct state){0, 0});
    for (size_t i = 0; verdict == HISTORY_LEGAL && i < count; i++) {
        *culprit = moments[i].call;
        if (moments[i].ends) {
            verdict = end_call(search, &calls[moments[i].call]);
        } else if (search->free == 0) {
            verdict = HISTORY_UNDECIDED;
        } else {
            size_t place = (size_t)__builtin_ctzll(search->free);
            search->pending[place] = &calls[moments[i].call];
            search->free &= ~(UINT64_C(1) << place);
        }
    }
    return verdict;
}

static enum history_verdict judge_key(const struct history_call *calls, size_t count,
                                      bool vanishes, size_t *culprit) {
    struct search search = {.free = UINT64_MAX, .vanishes = vanishes};
    struct moment *moments = malloc(2 * count * sizeof *moments);
    if (moments == NULL) {
        return HISTORY_UNDECIDED;
    }
    for (size_t i = 0; i < count; i++) {
        moments[2 * i] = (struct moment){calls[i].begun_ns, i, false};
        moments[2 * i + 1] = (struct moment){calls[i].ended_ns, i, true};
    }
    qsort(moments, 2 * count, sizeof *moments, by_time);
    enum history_verdict verdict = follow(&search, calls, moments, 2 * count, culprit);
    release(&search.now);
    release(&search.next);
    release(&search.visited);
    free(moments);
    return verdict;
}

/* ---- all keys --------------------------------------------------------------------------- */

static int by_key(const void *a, const void *b) {
    const struct history_call *one = a;
    const struct history_call *other = b;
    if (one->key != other->key) {
        return one->key < other->key ? -1 : 1;
    }
    return (one->begun_ns > other->begun_ns) - (one->begun_ns < other->begun_ns);
}

enum history_verdict history_judge(struct history_call *calls, size_t count, bool vanishes,
                                   size_t *culprit) {
    enum history_verdict verdict = HISTORY_LEGAL;
    qsort(calls, count, sizeof *calls, by_key);
    for (size_t first = 0, end = 0; verdict == HISTORY_LEGAL && first < count; first = end) {
        while (end < count && calls[end].key == calls[first].key) {
            end++;
        }
        size_t place = 0;
        verdict = judge_key(calls + first, end - first, vanishes, &place);
        *culprit = first + place;
    }
    return verdict;
}
