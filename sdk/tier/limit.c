/* SPDX-License-Identifier: Apache-2.0 */
/* How many loads run at once (guard/limiter.h), and how many are tried again after one had failed (guard/retries.h). */
#include "base/clock.h"
#include "tier/cache.h"

/* ---- places ----------------------------------------------------------------------------- */

bool hearth__limit_enter(hearth *cache, hearth__place *place, int64_t until_ns) {
    bool waited = false;
    bool entered = until_ns == HEARTH__LIMIT_SPARE
                       ? hearth__limiter_enter_spare(cache->limiter, place)
                       : hearth__limiter_enter(cache->limiter, place, until_ns, &waited);
    if (waited) {
        HEARTH__COUNT(cache->counters, loads_queued);
    }
    if (!entered && until_ns == HEARTH__LIMIT_SPARE) {
        HEARTH__COUNT(cache->counters, renewals_dropped);
    } else if (!entered && waited) {
        HEARTH__COUNT(cache->counters, loads_refused);
    }
    return entered;
}

int64_t hearth__limit_until_ns(const hearth *cache, int64_t deadline_ns) {
    int64_t own_ns = hearth__deadline_ns(cache->config.load_wait_ms);
    return own_ns < deadline_ns ? own_ns : deadline_ns;
}

void hearth__limit_lend(const hearth *cache) {
    hearth__limiter_lend(cache->limiter);
}

void hearth__limit_take_back(const hearth *cache) {
    hearth__limiter_take_back(cache->limiter, hearth__deadline_ns(cache->config.load_wait_ms));
}

/* ---- retries ---------------------------------------------------------------------------- */

bool hearth__limit_allows_renewal(hearth *cache, const void *key, size_t key_size) {
    int64_t now_ms = hearth__boot_ms();
    if (hearth__backoff_holds(cache->backoff, key, key_size, now_ms)) {
        return false;
    }
    return !hearth__backoff_has_failed(cache->backoff, key, key_size) ||
           hearth__retries_has(&cache->retries, now_ms);
}

void hearth__limit_begin(hearth_fill *fill) {
    hearth *cache = fill->cache;
    fill->is_retry = fill->present != NULL &&
                     hearth__backoff_has_failed(cache->backoff, fill->key, fill->key_size);
    if (fill->is_retry) {
        hearth__retries_spend(&cache->retries);
        HEARTH__COUNT(cache->counters, load_retries);
    } else {
        hearth__retries_earn(&cache->retries);
    }
}

/* Who has a value still waits before the load that failed is tried again. */
void hearth__limit_failed(const hearth_fill *fill) {
    int64_t pause_ms = fill->cache->config.load_retry_after_ms;
    if (fill->present != NULL && pause_ms != 0) {
        hearth__backoff_fail(fill->cache->backoff, fill->key, fill->key_size,
                             hearth__boot_ms() + pause_ms);
    }
}

void hearth__limit_succeeded(const hearth_fill *fill) {
    if (fill->is_retry) {
        hearth__retries_return(&fill->cache->retries);
    }
    hearth__backoff_succeed(fill->cache->backoff, fill->key, fill->key_size);
}
