/* SPDX-License-Identifier: Apache-2.0 */
/* How long values live: by the options of a call, of the cache, and by chance. */
#include "base/random.h"
#include "tier/cache.h"

int64_t hearth__expiry_ms(int64_t from_ms, int64_t left_ms) {
    int64_t expiry = 0;
    if (left_ms < 0 || __builtin_add_overflow(from_ms, left_ms, &expiry)) {
        return HEARTH__LOCAL_FOREVER;
    }
    return expiry;
}

hearth__lives hearth__lives_of(const hearth *cache, int64_t ttl_ms, int64_t soft_ttl_ms) {
    hearth__lives lives = {.ttl_ms = ttl_ms, .soft_ttl_ms = soft_ttl_ms};
    if (ttl_ms == HEARTH_TTL_DEFAULT) {
        lives.ttl_ms = cache->config.ttl_ms;
    }
    if (soft_ttl_ms == HEARTH_TTL_DEFAULT) {
        int64_t stale = cache->config.stale_ms;
        lives.soft_ttl_ms = stale != 0 && lives.ttl_ms > stale ? lives.ttl_ms - stale : 0;
    }
    return lives;
}

bool hearth__lives_fit(const hearth *cache, int64_t ttl_ms, int64_t soft_ttl_ms) {
    hearth__lives lives = hearth__lives_of(cache, ttl_ms, soft_ttl_ms);
    return lives.ttl_ms == 0 || lives.soft_ttl_ms <= lives.ttl_ms;
}

/* A life without a share of it; an endless one has none. */
static int64_t shortened(int64_t ttl_ms, double share) {
    return ttl_ms > 0 ? ttl_ms - (int64_t)((double)ttl_ms * share) : ttl_ms;
}

/* What was loaded together is not to expire together. */
hearth__lives hearth__lives_jittered(const hearth *cache, hearth__lives lives) {
    if (cache->config.ttl_jitter == 0) {
        return lives;
    }
    double share = hearth__rate_of(cache->config.ttl_jitter) * hearth__random_unit();
    return (hearth__lives){.ttl_ms = shortened(lives.ttl_ms, share),
                           .soft_ttl_ms = shortened(lives.soft_ttl_ms, share)};
}
