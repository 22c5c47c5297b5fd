/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys that do not exist: the read path's question to the guard's filter, what writes and loads tell it, and how it is made
 * anew from the application's keys.
 */
#include "base/clock.h"
#include "base/memory.h"
#include "tier/cache.h"
#include "tier/namespace_key.h"

#include <string.h>

/* ---- open and close --------------------------------------------------------------------- */

static hearth__bloom_guard_config config_of(const hearth__config *config) {
    return (hearth__bloom_guard_config){
        .expected_keys = (double)config->guard_expected_keys,
        .target_rate = hearth__rate_of(config->guard_target_rate),
        .audit = (uint64_t)config->guard_audit,
        .max_bytes = (size_t)config->guard_max_bytes,
    };
}

uint64_t hearth__guard_bytes_needed(const hearth__config *config) {
    if (config->guard_expected_keys == 0) {
        return 0;
    }
    hearth__bloom_guard_config guard = config_of(config);
    uint64_t blocks = hearth__bloom_blocks_for(guard.expected_keys, guard.target_rate);
    return blocks != 0 ? 2 * blocks * HEARTH__BLOOM_BLOCK : UINT64_MAX;
}

int32_t hearth__guard_open(hearth *cache) {
    const hearth__config *config = &cache->config;
    if (config->guard_expected_keys == 0) {
        return HEARTH_OK;
    }
    /* What other processes with the same keys have too. */
    cache->guard.seed = hearth__hash64_seeded(
        (uint64_t)config->guard_seed, config->remote_prefix, strlen(config->remote_prefix));
    hearth__bloom_guard_config guard = config_of(config);
    return hearth__bloom_guard_create(&guard, &cache->guard.filter);
}

bool hearth__guard_is_scanning(const hearth *cache) {
    return atomic_load(&cache->guard.scanning) == &hearth__tick_of_thread;
}

void hearth__guard_close(hearth *cache) {
    atomic_store(&cache->guard.closing, true);
    hearth__bell_ring(&cache->guard.bell, HEARTH__GUARD_CLOSING);
}

/* ---- what reads and writes do ----------------------------------------------------------- */

/* Those of a named namespace are never denied: who gives all keys for a filter gives the cache's own. */
static bool has_part(const hearth *cache, const void *key) {
    return cache->guard.filter != NULL && hearth__key_name_size(key) == 0;
}

static uint64_t hash_of(const hearth *cache, const void *key, size_t key_size) {
    hearth__key_part given = hearth__key_given(key, key_size);
    return hearth__hash64_seeded(cache->guard.seed, given.data, given.size);
}

enum hearth__bloom_answer hearth__guard_ask(hearth *cache, const void *key, size_t key_size) {
    hearth__bloom_guard *filter = cache->guard.filter;
    if (!has_part(cache, key)) {
        return HEARTH__BLOOM_MAYBE;
    }
    if (hearth__shared_is_on(cache)) {
        hearth__shared_start(cache);
    }
    return hearth__bloom_guard_ask(filter, hash_of(cache, key, key_size));
}

static void tell_outgrown(const hearth *cache) {
    hearth__log_add(
        cache->log, HEARTH_LOG_WARNING, HEARTH_OK,
        "guard: there are so many keys that over twice guard.target_rate of the missing "
        "ones pass; call hearth_guard_rebuild() for a larger filter");
}

static hearth__bloom_added add_hash(const hearth *cache, uint64_t hash) {
    if (cache->guard.filter == NULL) {
        return (hearth__bloom_added){0};
    }
    hearth__bloom_added added = hearth__bloom_guard_add(cache->guard.filter, hash);
    if (added.has_outgrown) {
        tell_outgrown(cache);
    }
    return added;
}

static hearth__bloom_added add(const hearth *cache, const void *key, size_t key_size) {
    if (!has_part(cache, key)) {
        return (hearth__bloom_added){0};
    }
    return add_hash(cache, hash_of(cache, key, key_size));
}

/* A namespace's handle has no guard. */
static int32_t refuse_namespace(const hearth *handle) {
    return hearth__guard_refuse(handle->whole, HEARTH_E_UNSUPPORTED,
                                "keys of a namespace are no part of it");
}

int32_t hearth__guard_add(hearth *cache, const void *key, size_t key_size) {
    if (cache->whole != cache) {
        return refuse_namespace(cache);
    }
    if (hearth__shared_is_on(cache)) {
        return hearth__shared_add(cache,
                                  hearth__hash64_seeded(cache->guard.seed, key, key_size));
    }
    (void)add_hash(cache, hearth__hash64_seeded(cache->guard.seed, key, key_size));
    return HEARTH_OK;
}

void hearth__guard_add_own(hearth *cache, const void *key, size_t key_size) {
    if (hearth__shared_is_on(cache) && has_part(cache, key)) {
        hearth__shared_add_later(cache, hash_of(cache, key, key_size));
    } else {
        (void)add(cache, key, key_size);
    }
}

void hearth__guard_add_all_own(hearth *cache, const hearth__write *writes, size_t count) {
    uint64_t *hashes = hearth__shared_is_on(cache) && count > 1
                           ? hearth__alloc_zero(count, sizeof *hashes)
                           : NULL;
    size_t told = 0;
    for (size_t i = 0; i < count; i++) {
        if (hashes == NULL) {
            hearth__guard_add_own(cache, writes[i].key, writes[i].key_size);
        } else if (has_part(cache, writes[i].key)) {
            hashes[told++] = hash_of(cache, writes[i].key, writes[i].key_size);
        }
    }
    if (told != 0) {
        hearth__shared_add_all_later(cache, hashes, told);
    }
    hearth__free(hashes);
}

/* Who makes a key adds it before: one that exists and was denied proves that somebody did not. */
void hearth__guard_found(hearth *cache, const void *key, size_t key_size) {
    if (hearth__shared_is_on(cache) && has_part(cache, key)) {
        hearth__shared_suspect(cache, hash_of(cache, key, key_size));
        return;
    }
    if (add(cache, key, key_size).was_denied &&
        hearth__bloom_guard_disable(cache->guard.filter)) {
        HEARTH__COUNT(cache->counters, guard_false_negatives);
        hearth__log_add(
            cache->log, HEARTH_LOG_ERROR, HEARTH_OK,
            "guard: a key exists that it denied, so it was not added before it came to "
            "exist; nothing is denied until hearth_guard_rebuild()");
    }
}

/* ---- rebuild ---------------------------------------------------------------------------- */

bool hearth__guard_wait(hearth *cache, int times) {
    int64_t deadline_ns = hearth__deadline_ns(times * cache->config.guard_view_ms);
    for (;;) {
        uint32_t seen = hearth__bell_look(&cache->guard.bell);
        if (atomic_load(&cache->guard.closing)) {
            return false;
        }
        if (hearth__monotonic_ns() >= deadline_ns) {
            return true;
        }
        (void)hearth__bell_await(&cache->guard.bell, seen, HEARTH__GUARD_CLOSING, deadline_ns);
    }
}

/* Asks for all keys. HEARTH_OK and how many there were; else why the filter is not whole. */
static int32_t scan(hearth *cache, hearth_guard_iterator iterator, void *arg, uint64_t *keys) {
    hearth__bloom *next = hearth__bloom_guard_next(cache->guard.filter);
    for (;;) {
        const void *key = NULL;
        size_t key_size = 0;
        int32_t status = iterator(arg, &key, &key_size);
        if (atomic_load_explicit(&cache->guard.closing, memory_order_relaxed)) {
            return HEARTH_E_CLOSED;
        }
        if (status != HEARTH_OK) {
            return status == HEARTH_MISS ? HEARTH_OK : HEARTH_E_LOADER;
        }
        if (key == NULL || key_size == 0 || key_size > HEARTH_KEY_MAX) {
            return HEARTH_E_INVALID;
        }
        (void)hearth__bloom_insert(next,
                                   hearth__hash64_seeded(cache->guard.seed, key, key_size));
        ++*keys;
    }
}

static int32_t give_all(hearth *cache, hearth_guard_iterator iterator, void *arg,
                        uint64_t *keys) {
    /* Other processes may take twice as long: they have to see first that there is a next filter. */
    if (!hearth__guard_wait(cache, hearth__shared_is_on(cache) ? 2 : 1)) {
        return HEARTH_E_CLOSED;
    }
    atomic_store(&cache->guard.scanning, &hearth__tick_of_thread);
    int32_t status = scan(cache, iterator, arg, keys);
    atomic_store(&cache->guard.scanning, NULL);
    return status;
}

int32_t hearth__guard_refuse(const hearth *cache, int32_t status, const char *why) {
    hearth__log_add(cache->log, HEARTH_LOG_WARNING, status, "guard: %s", why);
    return status;
}

static const char *why_no_filter(int32_t status) {
    switch (status) {
    case HEARTH_E_OVERLOAD:
        return "another rebuild, save or load of it is under way; try again when it has ended";
    case HEARTH_E_TOO_LARGE:
        return "a filter for so many keys does not fit; raise guard.max_bytes";
    case HEARTH_E_LOADER:
        return "the iterator failed, so there is no new filter; the old one stays";
    case HEARTH_E_INVALID:
        return "the iterator gave a key of 0 or more than 32,768 bytes; the old filter stays";
    case HEARTH_CONFLICT:
        return "another process began to make the shared filter anew, or the server lost it; "
               "rebuild again unless the other one does";
    case HEARTH_E_TIMEOUT:
    case HEARTH_E_UNAVAILABLE:
    case HEARTH_E_PROTOCOL:
        return "the server that has the shared filter did not take it; rebuild again";
    case HEARTH_E_CLOSED:
        return "the cache was closed before the iterator had given all keys";
    default:
        return "no memory for another filter; the old one stays";
    }
}

int32_t hearth__guard_fail(const hearth *cache, int32_t status) {
    return hearth__guard_refuse(cache, status, why_no_filter(status));
}

void hearth__guard_publish(const hearth *cache, uint64_t generation) {
    if (hearth__bloom_guard_publish(cache->guard.filter, generation)) {
        tell_outgrown(cache);
    }
}

int32_t hearth__guard_off(const hearth *cache) {
    return hearth__guard_refuse(cache, HEARTH_E_UNSUPPORTED,
                                "it is off; set guard.expected_keys to use it");
}

/* The same for all processes. What was begun here is what the iterator gave, and goes to the server; the filter comes from there. */
static int32_t give_all_shared(hearth *cache, hearth_guard_iterator iterator, void *arg,
                               uint64_t *keys) {
    const hearth__bloom *next = hearth__bloom_guard_next(cache->guard.filter);
    uint64_t id = 0;
    int32_t status = hearth__shared_begin(cache, hearth__bloom_blocks(next), &id);
    if (status != HEARTH_OK) {
        return status;
    }
    status = give_all(cache, iterator, arg, keys);
    if (status == HEARTH_OK) {
        status = hearth__shared_publish(cache, id, next);
    }
    if (status != HEARTH_OK) {
        hearth__shared_abandon(cache, id);
    }
    return status;
}

int32_t hearth__guard_rebuild(hearth *cache, hearth_guard_iterator iterator, void *arg) {
    hearth__bloom_guard *filter = cache->guard.filter;
    bool shared = hearth__shared_is_on(cache);
    if (cache->whole != cache) {
        return refuse_namespace(cache);
    }
    if (filter == NULL) {
        return hearth__guard_off(cache);
    }
    int32_t status =
        shared ? hearth__shared_begin_here(cache) : hearth__bloom_guard_begin(filter);
    if (status != HEARTH_OK) {
        return hearth__guard_fail(cache, status);
    }
    uint64_t keys = 0;
    status = shared ? give_all_shared(cache, iterator, arg, &keys)
                    : give_all(cache, iterator, arg, &keys);
    if (status != HEARTH_OK || shared) {
        hearth__bloom_guard_abandon(filter);
    } else {
        hearth__guard_publish(cache, 0);
    }
    if (status != HEARTH_OK) {
        return hearth__guard_fail(cache, status);
    }
    if (shared) {
        hearth__shared_await(cache);
    }
    hearth__log_add(cache->log, HEARTH_LOG_NOTICE, HEARTH_OK,
                    "guard: a new filter, of the %llu keys that the iterator gave and those "
                    "added meanwhile",
                    (unsigned long long)keys);
    return HEARTH_OK;
}
