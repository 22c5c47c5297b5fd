/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads of the local tier alone, which never wait: no lock, no node, no loader. Who holds a lock of its own that others need
 * (an interpreter's, say) can keep it meanwhile.
 */
#include "base/clock.h"
#include "base/thread_buffer.h"
#include "tier/cache.h"
#include "tier/namespace_stats.h"

enum { SMALL_BYTES = 4096 }; /* a value of no more is copied to the stack */

/* What an entry is worth now: HEARTH_OK (fresh), HEARTH_ABSENT, HEARTH_MISS. The coarse clock lags, so near an edge the exact
 * one decides. Of those who see a value soon before its end some go on, to renew it. */
static int32_t judge(hearth *cache, const void *key, size_t key_size,
                     const hearth__local_raw *raw) {
    if (hearth__local_is_fresh(raw, hearth__boot_coarse_ms() + HEARTH__COARSE_LAG_MS)) {
        return HEARTH_OK;
    }
    hearth__local_entry entry;
    int64_t now_ms = hearth__boot_ms();
    hearth__local_decode(raw, &entry);
    bool tags_due = entry.tags_size != 0 && now_ms >= entry.tags_until_ms;
    if (now_ms >= entry.until_ms || tags_due) { /* its tags may be at their nodes */
        return HEARTH_MISS;
    }
    if (now_ms >= entry.hard_expiry_ms) {
        HEARTH__COUNT(cache->counters, local_expirations);
        return HEARTH_MISS;
    }
    if (entry.absent) {
        return HEARTH_ABSENT;
    }
    bool goes_on = entry.stale || now_ms >= entry.soft_expiry_ms ||
                   hearth__renewal_is_due(cache, key, key_size, &entry, now_ms);
    return goes_on ? HEARTH_MISS : HEARTH_OK;
}

/* ---- a value for the sink --------------------------------------------------------------- */

/* The sink is not told the content word, so it gets only what has none. */
static bool has_content(const hearth__local_raw *raw) {
    hearth__local_entry entry;
    hearth__local_decode(raw, &entry);
    return entry.content != 0;
}

/* Copies a fresh value. False: there is none. It is there, but larger than the buffer: bytes->size says so. */
static bool copy_fresh(hearth *cache, const void *key, size_t key_size, hearth__buffer *bytes) {
    hearth__local_raw raw;
    return hearth__local_peek(cache->local, key, key_size, bytes, &raw) == HEARTH_OK &&
           judge(cache, key, key_size, &raw) == HEARTH_OK && !has_content(&raw);
}

/* The same, going on in the thread's buffer where `bytes` is too small. The caller puts that one back. */
static bool copy_any_size(hearth *cache, const void *key, size_t key_size,
                          hearth__buffer *bytes) {
    bool found = copy_fresh(cache, key, key_size, bytes);
    if (!found || bytes->size <= bytes->capacity) {
        return found;
    }
    size_t needed = bytes->size;
    *bytes = hearth__thread_buffer_take();
    bytes->size = 0; /* growing keeps nothing of an older value */
    /* It may be another value by now, and larger again. */
    return hearth__buffer_reserve(bytes, needed) && copy_fresh(cache, key, key_size, bytes) &&
           bytes->size <= bytes->capacity;
}

static void *give_miss(const hearth__sink *sink) {
    if (sink->retain != NULL) {
        sink->retain(sink->miss);
    }
    return sink->miss;
}

void *hearth__peek_miss(const hearth *cache) {
    return give_miss(&cache->config.sink); /* without a sink: NULL */
}

/* The sink's functions may do as they like, closing the cache included: nothing of it is used once it has been left. */
void *hearth__peek_with(hearth *cache, const void *key, size_t key_size) {
    const hearth__sink sink = cache->config.sink;
    unsigned char few[SMALL_BYTES];
    hearth__buffer bytes = {.data = few, .capacity = sizeof few};
    if (sink.make == NULL) {
        return NULL;
    }
    bool found = false;
    hearth__seat *seat = hearth__seats_enter(cache->counters);
    if (seat != NULL) {
        found = copy_any_size(cache, key, key_size, &bytes);
        if (found) {
            hearth__local_count_hit(cache->local, seat, key, key_size);
            hearth__namespace_count(cache, key, key_size, HEARTH__NAMESPACE_local_hits);
        } else {
            /* Not one of the hot keys' requests: who goes on asks once more. */
            (void)hearth__seat_add(seat, HEARTH__STAT_reads, 1);
            hearth__namespace_count(cache, key, key_size, HEARTH__NAMESPACE_reads);
        }
        hearth__seat_leave(seat);
    }
    void *object =
        found ? sink.make((const char *)bytes.data, (ptrdiff_t)bytes.size) : give_miss(&sink);
    if (bytes.data != few) {
        hearth__thread_buffer_put(&bytes);
    }
    return object;
}

/* ---- a version -------------------------------------------------------------------------- */

int32_t hearth__peek_version(hearth *cache, const void *key, size_t key_size,
                             uint64_t *version) {
    hearth__local_raw raw;
    hearth__buffer nothing = {0}; /* no value fits */
    int32_t status = hearth__local_peek(cache->local, key, key_size, &nothing, &raw);
    if (status == HEARTH_OK) {
        status = judge(cache, key, key_size, &raw);
    }
    if (status != HEARTH_OK) {
        return status;
    }
    hearth__local_entry entry;
    hearth__local_decode(&raw, &entry);
    if (entry.version == 0) {
        return HEARTH_MISS; /* two values without a version must not be taken for the same */
    }
    hearth__local_count_hit(cache->local, hearth__seats_own(cache->counters), key, key_size);
    hearth__namespace_count(cache, key, key_size, HEARTH__NAMESPACE_local_hits);
    *version = entry.version;
    return HEARTH_OK;
}
