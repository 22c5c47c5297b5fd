/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/bloom_guard.h"

#include "base/clock.h"
#include "base/fork.h"
#include "base/grace.h"
#include "base/memory.h"

#include <hearth/errors.h>
#include <stdatomic.h>

enum {
    SAMPLED_LOG =
        6, /* in large filters one new key in 64 is counted, so that threads seldom meet */
    SAMPLED_FROM = 1 << 16, /* keys */
};

#define GROWTH 1.25 /* more than there are now */

/* On a line of its own: many threads write it. */
struct tally {
    _Alignas(64) _Atomic uint64_t count;
};

struct hearth__bloom_guard {
    hearth__grace grace;
    struct tally keys; /* roughly */
    struct tally denials;
    hearth__bloom_guard_config config;
    unsigned sampled_log;
    _Atomic(hearth__bloom *) current; /* never NULL */
    _Atomic(hearth__bloom *) next;    /* NULL: none is under way */
    _Atomic uint64_t certified;       /* by which process (base/fork.h); NOBODY */
    _Atomic int64_t until_ms;         /* boot time: its end, unless it is confirmed again */
    _Atomic uint64_t generation;
    _Atomic uint64_t outgrown_at; /* keys with which the rate is twice its target */
    _Atomic bool disabled;
    _Atomic bool busy; /* somebody makes another filter, or holds this one */
};

#define NOBODY UINT64_MAX

/* ---- create and destroy ----------------------------------------------------------------- */

/* So many keys that the rate is twice its target. */
static uint64_t limit_of(const hearth__bloom_guard *guard, const hearth__bloom *filter) {
    double most = hearth__bloom_keys_per_block(2 * guard->config.target_rate);
    return (uint64_t)(most * hearth__bloom_blocks(filter));
}

/* HEARTH_OK and blocks for so many keys, of which there may be two sets at a time. */
static int32_t size_for(const hearth__bloom_guard *guard, double keys, uint64_t *blocks) {
    *blocks = hearth__bloom_blocks_for(keys, guard->config.target_rate);
    bool fits = *blocks != 0 && *blocks <= guard->config.max_bytes / 2 / HEARTH__BLOOM_BLOCK;
    return fits ? HEARTH_OK : HEARTH_E_TOO_LARGE;
}

int32_t hearth__bloom_guard_create(const hearth__bloom_guard_config *config,
                                   hearth__bloom_guard **out) {
    hearth__bloom_guard *guard = hearth__map(sizeof *guard); /* aligned, as threads want it */
    if (guard == NULL) {
        return HEARTH_E_NOMEM;
    }
    guard->config = *config;
    guard->sampled_log = config->expected_keys >= SAMPLED_FROM ? SAMPLED_LOG : 0;
    atomic_init(&guard->certified, NOBODY);
    atomic_init(&guard->until_ms, INT64_MAX);
    uint64_t blocks = 0;
    int32_t status = size_for(guard, config->expected_keys, &blocks);
    hearth__bloom *filter = status == HEARTH_OK ? hearth__bloom_create((uint32_t)blocks) : NULL;
    if (filter == NULL) {
        hearth__unmap(guard, sizeof *guard);
        return status != HEARTH_OK ? status : HEARTH_E_NOMEM;
    }
    atomic_init(&guard->current, filter);
    atomic_init(&guard->outgrown_at, limit_of(guard, filter));
    *out = guard;
    return HEARTH_OK;
}

void hearth__bloom_guard_destroy(hearth__bloom_guard *guard) {
    if (guard != NULL) {
        hearth__bloom_destroy(atomic_load(&guard->next));
        hearth__bloom_destroy(atomic_load(&guard->current));
        hearth__unmap(guard, sizeof *guard);
    }
}

/* ---- add and ask ------------------------------------------------------------------------ */

static bool is_certified(const hearth__bloom_guard *guard) {
    return atomic_load(&guard->certified) == hearth__fork_generation();
}

/* Whether a copy that was confirmed to that time may deny. */
static bool is_in_time(int64_t until_ms) {
    return until_ms == INT64_MAX || hearth__boot_ms() < until_ms;
}

/* Counts a new key. True: by it the filter is too full. */
static bool count_key(hearth__bloom_guard *guard, uint64_t hash) {
    if ((hash & ((UINT64_C(1) << guard->sampled_log) - 1)) != 0) {
        return false;
    }
    uint64_t step = UINT64_C(1) << guard->sampled_log;
    uint64_t before = atomic_fetch_add(&guard->keys.count, step);
    uint64_t limit = atomic_load(&guard->outgrown_at);
    return before < limit && before + step >= limit;
}

/*
 * The order of the loads: `next` before `current`, or an add that came while one became the other would be in neither; and
 * `certified` before `current`, or a filter could be taken for certified that is not.
 */
hearth__bloom_added hearth__bloom_guard_add(hearth__bloom_guard *guard, uint64_t hash) {
    hearth__grace_section section = hearth__grace_enter(&guard->grace);
    hearth__bloom *next = atomic_load(&guard->next);
    bool certified = is_certified(guard);
    hearth__bloom *current = atomic_load(&guard->current);
    bool is_new = hearth__bloom_insert(current, hash);
    if (next != NULL && next != current) {
        (void)hearth__bloom_insert(next, hash);
    }
    hearth__grace_leave(section);
    return (hearth__bloom_added){.was_denied = certified && is_new,
                                 .has_outgrown = is_new && count_key(guard, hash) && certified};
}

bool hearth__bloom_guard_contains(hearth__bloom_guard *guard, uint64_t hash) {
    hearth__grace_section section = hearth__grace_enter(&guard->grace);
    bool contained = hearth__bloom_may_contain(atomic_load(&guard->current), hash);
    hearth__grace_leave(section);
    return contained;
}

/* The time to which it is confirmed comes before the question, which then sees what was inserted by that confirmation; the clock
 * comes last. */
bool hearth__bloom_guard_would_deny(hearth__bloom_guard *guard, uint64_t hash) {
    int64_t until_ms = atomic_load(&guard->until_ms);
    return is_certified(guard) && !hearth__bloom_guard_contains(guard, hash) &&
           is_in_time(until_ms);
}

enum hearth__bloom_answer hearth__bloom_guard_ask(hearth__bloom_guard *guard, uint64_t hash) {
    if (!hearth__bloom_guard_would_deny(guard, hash)) {
        return HEARTH__BLOOM_MAYBE;
    }
    uint64_t every = guard->config.audit;
    bool audited = every != 0 &&
                   (atomic_fetch_add_explicit(&guard->denials.count, 1, memory_order_relaxed) +
                    1) % every ==
                       0;
    return audited ? HEARTH__BLOOM_AUDITED : HEARTH__BLOOM_DENIED;
}

void hearth__bloom_guard_confirm(hearth__bloom_guard *guard, int64_t until_ms) {
    atomic_store(&guard->until_ms, until_ms);
}

void hearth__bloom_guard_insert(hearth__bloom_guard *guard, uint64_t hash) {
    (void)hearth__bloom_insert(atomic_load(&guard->current), hash);
}

bool hearth__bloom_guard_disable(hearth__bloom_guard *guard) {
    uint64_t own = hearth__fork_generation();
    atomic_store(&guard->disabled, true);
    return atomic_compare_exchange_strong(&guard->certified, &own, NOBODY);
}

/* ---- another filter --------------------------------------------------------------------- */

static int32_t begin(hearth__bloom_guard *guard, uint64_t blocks) {
    hearth__bloom *filter = hearth__bloom_create((uint32_t)blocks);
    if (filter == NULL) {
        return HEARTH_E_NOMEM;
    }
    atomic_store(&guard->next, filter);
    /* Adds that do not know it yet have ended after this: their keys are in the old one, and so was their time. */
    hearth__grace_wait(&guard->grace);
    return HEARTH_OK;
}

static bool take(hearth__bloom_guard *guard) {
    bool busy = false;
    return atomic_compare_exchange_strong(&guard->busy, &busy, true);
}

int32_t hearth__bloom_guard_begin(hearth__bloom_guard *guard) {
    if (!take(guard)) {
        return HEARTH_E_OVERLOAD;
    }
    /* Nobody else replaces the filter now. */
    double keys = hearth__bloom_estimate_of(atomic_load(&guard->current)).keys;
    double expected = guard->config.expected_keys;
    uint64_t blocks = 0;
    int32_t status = size_for(guard, keys > expected ? keys * GROWTH : expected, &blocks);
    if (status == HEARTH_OK) {
        status = begin(guard, blocks);
    }
    if (status != HEARTH_OK) {
        atomic_store(&guard->busy, false);
    }
    return status;
}

int32_t hearth__bloom_guard_begin_empty(hearth__bloom_guard *guard, uint64_t blocks) {
    if (blocks == 0 || blocks > guard->config.max_bytes / 2 / HEARTH__BLOOM_BLOCK ||
        blocks > UINT32_MAX) {
        return HEARTH_E_TOO_LARGE;
    }
    if (!take(guard)) {
        return HEARTH_E_OVERLOAD;
    }
    int32_t status = begin(guard, blocks);
    if (status != HEARTH_OK) {
        atomic_store(&guard->busy, false);
    }
    return status;
}

int32_t hearth__bloom_guard_begin_copy(hearth__bloom_guard *guard, uint64_t blocks) {
    int32_t status = hearth__bloom_guard_begin_empty(guard, blocks);
    if (status == HEARTH_OK) {
        hearth__bloom_merge(atomic_load(&guard->next), atomic_load(&guard->current));
    }
    return status;
}

hearth__bloom *hearth__bloom_guard_next(hearth__bloom_guard *guard) {
    return atomic_load(&guard->next);
}

/* Frees a filter that nobody can come upon any more. */
static void retire(hearth__bloom_guard *guard, hearth__bloom *filter) {
    hearth__grace_wait(&guard->grace);
    hearth__bloom_destroy(filter);
    atomic_store(&guard->busy, false);
}

bool hearth__bloom_guard_publish(hearth__bloom_guard *guard, uint64_t generation) {
    hearth__bloom *old = atomic_load(&guard->current);
    hearth__bloom *filter = atomic_load(&guard->next);
    uint64_t limit = limit_of(guard, filter);
    uint64_t keys = (uint64_t)hearth__bloom_estimate_of(filter).keys;
    uint64_t following = atomic_load(&guard->generation) + 1;
    atomic_store(&guard->outgrown_at, limit);
    atomic_store(&guard->keys.count, keys);
    atomic_store(&guard->generation, generation > following ? generation : following);
    atomic_store(&guard->current, filter);
    atomic_store(&guard->disabled, false);
    atomic_store(&guard->certified, hearth__fork_generation());
    atomic_store(&guard->next, NULL);
    retire(guard, old);
    return keys >= limit;
}

void hearth__bloom_guard_abandon(hearth__bloom_guard *guard) {
    hearth__bloom *filter = atomic_load(&guard->next);
    atomic_store(&guard->next, NULL);
    retire(guard, filter);
}

int32_t hearth__bloom_guard_hold(hearth__bloom_guard *guard, const hearth__bloom **filter) {
    if (!take(guard)) {
        return HEARTH_E_OVERLOAD;
    }
    if (!is_certified(guard) || !is_in_time(atomic_load(&guard->until_ms))) {
        atomic_store(&guard->busy, false);
        return HEARTH_CONFLICT;
    }
    *filter = atomic_load(&guard->current);
    return HEARTH_OK;
}

void hearth__bloom_guard_release(hearth__bloom_guard *guard) {
    atomic_store(&guard->busy, false);
}

/* ---- insight ---------------------------------------------------------------------------- */

hearth__bloom_guard_state hearth__bloom_guard_look(hearth__bloom_guard *guard) {
    hearth__grace_section section = hearth__grace_enter(&guard->grace);
    const hearth__bloom *next = atomic_load(&guard->next);
    const hearth__bloom *current = atomic_load(&guard->current);
    hearth__bloom_guard_state state = {.estimate = hearth__bloom_estimate_of(current),
                                       .generation = hearth__bloom_guard_generation(guard),
                                       .bytes = hearth__bloom_bytes(current),
                                       .certified = is_certified(guard) &&
                                                    is_in_time(atomic_load(&guard->until_ms))};
    if (next != NULL && next != current) {
        state.bytes += hearth__bloom_bytes(next);
    }
    hearth__grace_leave(section);
    state.outgrown = state.estimate.rate > 2 * guard->config.target_rate;
    return state;
}

bool hearth__bloom_guard_is_disabled(const hearth__bloom_guard *guard) {
    return atomic_load(&guard->disabled);
}

uint64_t hearth__bloom_guard_generation(const hearth__bloom_guard *guard) {
    return atomic_load(&guard->generation);
}
