/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads with the default options, whose first step is the last of nearly all: a fresh value in the local tier. Nothing is kept
 * across that step, so that it costs a hit nothing; what is not so goes the way of chain.c.
 */
#include "base/unwind.h"
#include "tier/scope.h"

static int32_t no_hit(void *cache, const void *key, size_t key_size, hearth__buffer *bytes) {
    (void)cache;
    (void)key;
    (void)key_size;
    (void)bytes;
    return HEARTH_MISS;
}

bool hearth__chain_hit(hearth *cache, const void *key, size_t key_size, hearth_value *value) {
    return !hearth__is_scoped(cache, key) &&
           hearth__chain_plain_hit(cache, key, key_size, value);
}

bool hearth__chain_plain_hit(hearth *cache, const void *key, size_t key_size,
                             hearth_value *value) {
    value->plain = cache->plain; /* whoever goes on after a miss clears it */
    return hearth__local_hit(cache->local, key, key_size, &value->bytes, &value->raw, no_hit) ==
           HEARTH_OK;
}

_Static_assert(offsetof(hearth_value, bytes) == 0, "a value is found by its bytes");

/* With a namespace's handle. Apart, so that others need not save what this one needs. */
static __attribute__((noinline)) int32_t by_scope(hearth *handle, const void *key,
                                                  size_t key_size, hearth_value *value,
                                                  hearth__local_otherwise *otherwise) {
    return hearth__scoped_hit(handle, key, key_size, HEARTH_STALE_ANY, value)
               ? HEARTH_OK
               : otherwise(handle, key, key_size, &value->bytes);
}

/* A get with the default options that is no plain hit. */
static int32_t get_by_default(void *arg, const void *key, size_t key_size,
                              hearth__buffer *bytes) {
    hearth *cache = arg;
    hearth_value *value = (hearth_value *)(void *)bytes;
    const hearth_read_options defaults = {.size = sizeof defaults,
                                          .max_stale_ms = HEARTH_STALE_ANY};
    if (!hearth__cache_enter(cache)) {
        hearth__value_clear(value);
        return HEARTH_E_CLOSED;
    }
    int32_t status = hearth__scoped_get(cache, key, key_size, &defaults, value);
    hearth__cache_leave(cache);
    return status;
}

int32_t hearth__chain_get_by_default(hearth *cache, const void *key, size_t key_size,
                                     hearth_value *value) {
    if (hearth__is_scoped(cache, key)) {
        return by_scope(cache, key, key_size, value, get_by_default);
    }
    value->plain = cache->plain;
    return hearth__local_hit(cache->local, key, key_size, &value->bytes, &value->raw,
                             get_by_default);
}

/* A fetch with the default options that is no plain hit. */
static int32_t fetch_by_default(void *arg, const void *key, size_t key_size,
                                hearth__buffer *bytes) {
    hearth *cache = arg;
    hearth_value *value = (hearth_value *)(void *)bytes;
    if (!hearth__cache_enter(cache)) {
        hearth__value_clear(value);
        return HEARTH_E_CLOSED;
    }
    const hearth_read_options read = {.size = sizeof read, .max_stale_ms = HEARTH_STALE_ANY};
    const hearth_write_options write = {
        .size = sizeof write, .ttl_ms = HEARTH_TTL_DEFAULT, .soft_ttl_ms = HEARTH_TTL_DEFAULT};
    HEARTH__AT_END(hearth__cache_left) hearth *inside = cache;
    return hearth__scoped_fetch(inside, key, key_size, value->loader, &read, &write, value);
}

int32_t hearth__chain_fetch_by_default(hearth *cache, const void *key, size_t key_size,
                                       const hearth_loader *loader, hearth_value *value) {
    value->loader = loader;
    if (hearth__is_scoped(cache, key)) {
        return by_scope(cache, key, key_size, value, fetch_by_default);
    }
    value->plain = cache->plain;
    return hearth__local_hit(cache->local, key, key_size, &value->bytes, &value->raw,
                             fetch_by_default);
}
