/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a cached value is loaded anew: when it is stale, or, by chance, before (XFetch, guard/early.h). Not if a load of the key
 * failed a short time ago, or an early one began, or too many others run: then who asks has a value all the same.
 */
#include "base/clock.h"
#include "base/random.h"
#include "tier/read.h"

/* The version that this thread was told of that its renewal is due; 0: none. A thread has one of these. */
/* NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables) */
static _Thread_local uint64_t due_version;

uint32_t hearth__answer_lead_ms(const hearth *cache, const hearth__answer *answer,
                                int64_t *expiry_ms) {
    const hearth__local_entry *entry = &answer->entry;
    *expiry_ms = entry->soft_expiry_ms != HEARTH__LOCAL_FOREVER ? entry->soft_expiry_ms
                                                                : entry->hard_expiry_ms;
    if (answer->tier == HEARTH_TIER_LOCAL) {
        return entry->lead_ms;
    }
    if (entry->delta_ms == 0 || entry->absent || *expiry_ms == HEARTH__LOCAL_FOREVER) {
        return 0;
    }
    return hearth__early_lead_ms(cache->early_beta, entry->delta_ms,
                                 *expiry_ms - entry->born_ms);
}

static bool draw(int64_t now_ms, int64_t expiry_ms, uint32_t lead_ms) {
    return lead_ms != 0 && now_ms >= expiry_ms - (int64_t)lead_ms &&
           hearth__early_is_due(now_ms, expiry_ms, lead_ms, hearth__random_unit());
}

bool hearth__renewal_is_due(const hearth *cache, const void *key, size_t key_size,
                            const hearth__local_entry *entry, int64_t now_ms) {
    if (!draw(now_ms, entry->soft_expiry_ms, entry->lead_ms) ||
        hearth__backoff_holds(cache->backoff, key, key_size, now_ms)) {
        return false;
    }
    due_version = entry->version;
    return true;
}

static bool is_early(const hearth__read *read) {
    const hearth__answer *answer = &read->value->answer;
    if (answer->tier != HEARTH_TIER_LOCAL && answer->tier != HEARTH_TIER_REMOTE) {
        return false;
    }
    if (due_version != 0 && due_version == answer->entry.version) {
        due_version = 0;
        return true;
    }
    int64_t expiry_ms = 0;
    uint32_t lead_ms = hearth__answer_lead_ms(read->cache, answer, &expiry_ms);
    return draw(answer->now_ms, expiry_ms, lead_ms);
}

bool hearth__read_needs_renewal(const hearth__read *read) {
    hearth *cache = read->cache;
    bool stale = hearth__read_is_stale(read);
    if (!stale && !is_early(read)) {
        return false;
    }
    bool may_wait = stale && cache->config.load_soft_timeout_ms != 0;
    if (!hearth__limit_allows_renewal(cache, read->key, read->key_size) ||
        (!may_wait && !hearth__limiter_has_spare(cache->limiter))) {
        if (stale) {
            HEARTH__COUNT(cache->counters, renewals_paused);
        }
        return false;
    }
    return true;
}

bool hearth__read_is_renewed(const hearth__read *read) {
    const hearth__answer *found = &read->value->answer;
    const hearth__answer *present = &read->present->answer;
    if (hearth__answer_is_stale(found)) {
        return false;
    }
    if (hearth__answer_is_stale(present) || found->entry.version != present->entry.version) {
        return true;
    }
    /* What was to be renewed early may have been touched. */
    int64_t expiry_ms = 0;
    uint32_t lead_ms = hearth__answer_lead_ms(read->cache, found, &expiry_ms);
    return found->now_ms < expiry_ms - (int64_t)lead_ms;
}

void hearth__read_renewal_begins(const hearth__read *read) {
    hearth *cache = read->cache;
    const hearth__answer *present = &read->present->answer;
    if (hearth__answer_is_stale(present)) {
        return;
    }
    int64_t expiry_ms = 0;
    uint32_t lead_ms = hearth__answer_lead_ms(cache, present, &expiry_ms);
    HEARTH__COUNT(cache->counters, early_renewals);
    hearth__backoff_hold(cache->backoff, read->key, read->key_size,
                         hearth__boot_ms() +
                             hearth__early_pause_ms(cache->early_beta, lead_ms));
}
