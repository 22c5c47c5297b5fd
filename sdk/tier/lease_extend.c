/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases are extended at each third of their time by a thread of the library's own, since a loader has its caller's. It is started
 * with the first lease, and sleeps while there is none.
 */
#include "tier/lease.h"

#include "base/clock.h"
#include "base/fork.h"
#include "base/thread.h"
#include "tier/nodes.h"

enum {
    WINDOW = 32,
    NS_PER_MS = 1000000,
    WRITE_TTL_MS = 3000, /* of a write-through's lease, where reads take none */
};

/* ---- the thread's work ------------------------------------------------------------------ */

static void settle(hearth *cache, hearth__lease *lease, const hearth__remote_op *op,
                   int64_t now_ms) {
    if (op->status == HEARTH_OK) {
        HEARTH__COUNT(cache->counters, leases_extended);
    }
    /* What was not answered is tried again. */
    hearth__lease_extended(lease, op->status > HEARTH_OK, now_ms);
}

/* Some of those that are due now; true: there may be more. */
static bool extend_some(hearth *cache, int64_t now_ms) {
    hearth__lease *due[WINDOW];
    hearth__remote_op ops[WINDOW];
    uint32_t place = 0;
    size_t count = 0;
    hearth__members *members = hearth__members_hold(cache, &place);
    while (count < WINDOW && (due[count] = hearth__leases_due(cache->leases, now_ms)) != NULL) {
        if (hearth__members_have(members, due[count]->node)) {
            ops[count] = hearth__lease_op(cache, due[count], HEARTH__EXTEND);
            count++;
        } else {
            hearth__lease_extended(due[count], true, now_ms);
        }
    }
    hearth__nodes_execute(cache, ops, count,
                          hearth__deadline_ns(cache->config.remote_timeout_ms));
    hearth__members_let_go(members, place);
    for (size_t i = 0; i < count; i++) {
        settle(cache, due[i], &ops[i], now_ms);
    }
    return count == WINDOW;
}

static bool is_closing(hearth *cache) {
    struct hearth__lease_extender *extender = &cache->extender;
    pthread_mutex_lock(&extender->lock);
    bool closing = extender->closing;
    pthread_mutex_unlock(&extender->lock);
    return closing;
}

/* When to look next. Who takes the first lease for a while need not wake the thread: it looks once more before it sleeps for long. */
static int64_t next_ns(hearth *cache, bool *was_idle) {
    int64_t due_ms = hearth__leases_due_ms(cache->leases);
    bool idle = due_ms == INT64_MAX;
    bool sleeps = idle && *was_idle;
    *was_idle = idle;
    atomic_store(&cache->extender.sleeps, sleeps);
    if (sleeps && hearth__leases_due_ms(cache->leases) == INT64_MAX) {
        return HEARTH__NEVER;
    }
    int64_t third_ms = cache->lease_ttl_ms / 3 + 1;
    return idle ? hearth__deadline_ns(third_ms) : due_ms * NS_PER_MS;
}

static void *run(void *arg) {
    hearth *cache = arg;
    struct hearth__lease_extender *extender = &cache->extender;
    bool was_idle = false;
    hearth__fork_hold();
    for (;;) {
        uint32_t seen = hearth__bell_look(&extender->bell);
        if (is_closing(cache)) {
            break;
        }
        while (extend_some(cache, hearth__nodes_now_ms())) {
        }
        int64_t until_ns = next_ns(cache, &was_idle);
        bool held = hearth__fork_pause();
        (void)hearth__bell_await(&extender->bell, seen, HEARTH__LEASE_STROKE_WORK, until_ns);
        hearth__fork_resume(held);
    }
    hearth__fork_release();
    return NULL;
}

/* ---- for holders ------------------------------------------------------------------------ */

/* Without a thread leases are not extended: a load that takes longer is not stored. The next lease tries again. */
static void start(hearth *cache) {
    struct hearth__lease_extender *extender = &cache->extender;
    pthread_mutex_lock(&extender->lock);
    if (extender->fork_generation != hearth__fork_generation()) {
        extender->fork_generation = hearth__fork_generation();
        extender->started = false;
    }
    if (!extender->started) {
        extender->started = hearth__thread_start(&extender->thread, run, cache);
    }
    pthread_mutex_unlock(&extender->lock);
}

void hearth__lease_keep(hearth *cache, hearth__lease *lease, int64_t asked_ms) {
    struct hearth__lease_extender *extender = &cache->extender;
    bool first = hearth__lease_hold(lease, asked_ms);
    HEARTH__COUNT(cache->counters, leases_won);
    if (!first) {
        return;
    }
    start(cache);
    if (atomic_exchange(&extender->sleeps, false)) {
        hearth__bell_ring(&extender->bell, HEARTH__LEASE_STROKE_WORK);
    }
}

/* ---- open and close --------------------------------------------------------------------- */

int32_t hearth__lease_open(hearth *cache) {
    const hearth__config *config = &cache->config;
    cache->takes_leases = cache->url.kind != HEARTH__EMBEDDED && config->lease_ttl_ms != 0;
    cache->lease_ttl_ms = config->lease_ttl_ms != 0 ? config->lease_ttl_ms : WRITE_TTL_MS;
    if (pthread_mutex_init(&cache->extender.lock, NULL) != 0) {
        return HEARTH_E_NOMEM;
    }
    cache->leases =
        hearth__leases_create(cache->lease_ttl_ms, config->load_hard_timeout_ms, cache);
    if (cache->leases == NULL) {
        pthread_mutex_destroy(&cache->extender.lock);
        return HEARTH_E_NOMEM;
    }
    return HEARTH_OK;
}

void hearth__lease_stop(hearth *cache) {
    struct hearth__lease_extender *extender = &cache->extender;
    pthread_mutex_lock(&extender->lock);
    extender->closing = true;
    bool joins = extender->started && extender->fork_generation == hearth__fork_generation();
    pthread_mutex_unlock(&extender->lock);
    hearth__bell_ring(&extender->bell, HEARTH__LEASE_STROKE_WORK);
    if (joins) {
        (void)pthread_join(extender->thread, NULL);
    }
}

void hearth__lease_close(hearth *cache) {
    if (cache->leases != NULL) {
        pthread_mutex_destroy(&cache->extender.lock);
        hearth__leases_destroy(cache->leases);
    }
}
