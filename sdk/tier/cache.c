/* SPDX-License-Identifier: Apache-2.0 */
/* Opens and closes a cache, routes its keys. Longer than 400 lines: both need all that a cache is made of. */
#include "tier/broadcast.h"
#include "tier/bus.h"
#include "tier/lease.h"
#include "tier/load.h"
#include "tier/namespace.h"
#include "tier/namespace_stats.h"
#include "tier/queue.h"
#include "tier/share.h"
#include "tier/stats_socket.h"
#include "tier/tags.h"

#include "base/clock.h"
#include "base/memory.h"

#include <stdio.h>
#include <string.h>

enum { SOME_ROUTES = 16 };

void hearth__value_clear(hearth_value *value) {
    value->bytes.size = 0;
    value->answer.tier = HEARTH_TIER_NONE;
    value->plain = HEARTH__NOT_PLAIN;
}

/* ---- open and close --------------------------------------------------------------------- */

static void decide_local(hearth *cache) {
    const hearth__config *config = &cache->config;
    cache->sole_writer = cache->url.kind == HEARTH__EMBEDDED;
    cache->plain = cache->sole_writer ? HEARTH__PLAIN_SOLE_WRITER : HEARTH__PLAIN;
    cache->local_max_ttl_ms = config->local_max_ttl_ms;
    if (cache->local_max_ttl_ms < 0 &&
        config->coherence_mode != HEARTH__COHERENCE_BUS && /* else bus.c says, */
        !hearth__tracking_wanted(cache)) {                 /* or tracking.c */
        bool pushed = cache->sole_writer && config->coherence_mode == HEARTH__COHERENCE_AUTO;
        cache->local_max_ttl_ms = pushed ? INT64_MAX : HEARTH__TTL_MODE_MS;
    }
    cache->keeps_local = config->local_max_bytes != 0 && cache->local_max_ttl_ms != 0;
}

static const char *const local_policies[] = {[HEARTH__LOCAL_ADAPTIVE] = "adaptive",
                                             [HEARTH__LOCAL_S3FIFO] = "s3fifo",
                                             [HEARTH__LOCAL_LRU] = "lru"};

static int32_t open_local(hearth *cache) {
    hearth__local_config config = {
        .max_bytes = cache->keeps_local ? (size_t)cache->config.local_max_bytes : 0,
        .max_entry_bytes = (size_t)cache->config.local_max_entry_bytes,
        .expected_entry_bytes = (size_t)cache->config.local_expected_entry_bytes,
        .policy = local_policies[cache->config.local_policy],
        .now_ms = hearth__boot_ms(),
        .counters = cache->counters,
        .tags_epoch = hearth__tag_table_epoch(cache->tags),
        .tags_trust_ms = hearth__tags_trust_ms(cache),
        .owner = cache,
        .family = hearth__namespace_family};
    if (cache->listener != NULL) {
        config.until_ms = hearth__listener_until_ms(cache->listener);
        config.sources = HEARTH__SOURCES;
    } else if (cache->bus.bus != NULL) {
        config.until_ms = hearth__bus_until_ms(cache->bus.bus);
        config.sources = HEARTH__SOURCES;
    }
    return hearth__local_open(&config, &cache->local);
}

static int32_t open_remote(hearth *cache) {
    hearth__remote_url url = cache->url; /* its nodes come with the members */
    url.count = 0;
    hearth__remote_config config = {
        .url = &url,
        .lanes = (uint32_t)cache->config.remote_lanes,
        .timeout_ms = cache->config.remote_timeout_ms,
        .restart_distrust_ms = cache->config.remote_restart_distrust_ms,
        .stall_ms = cache->config.remote_stall_ms,
        .max_value_bytes = (size_t)cache->config.remote_max_value_bytes,
        .embedded_max_bytes = (size_t)cache->config.embedded_max_bytes,
        .accept_foreign = cache->config.remote_accept_foreign != 0,
        .memcached_client =
            (enum hearth__memcached_client)cache->config.remote_memcached_client,
        .tracker = cache->listener != NULL ? &cache->tracker : NULL,
        .counters = cache->counters,
        .log = cache->log};
    return hearth__remote_open(&config, &cache->remote);
}

static int32_t open_coherence(hearth *cache) {
    int32_t status = hearth__tracking_open(cache);
    return status == HEARTH_OK ? hearth__bus_open(cache) : status;
}

static int32_t open_rooms(hearth *cache) {
    cache->prefix_size = strlen(cache->config.remote_prefix);
    cache->counters = hearth__local_seats_create();
    cache->log = hearth__log_create(cache->config.log, cache->config.log_arg);
    cache->flights = hearth__chain_flights_create();
    cache->backoff = hearth__backoff_create(hearth__boot_ms());
    hearth__retries_init(&cache->retries, hearth__boot_ms());
    cache->limiter = hearth__limiter_create((uint32_t)cache->config.load_max_concurrent);
    cache->early_beta = hearth__rate_of(cache->config.early_beta);
    cache->workers = hearth__load_workers_create(cache);
    cache->tags = hearth__tag_table_create();
    if (cache->counters == NULL || cache->log == NULL || cache->flights == NULL ||
        cache->backoff == NULL || cache->limiter == NULL || cache->workers == NULL ||
        cache->tags == NULL) {
        return HEARTH_E_NOMEM;
    }
    decide_local(cache);
    int32_t status = hearth__queues_open(cache);
    if (status == HEARTH_OK) {
        status = open_coherence(cache);
    }
    if (status == HEARTH_OK) {
        status = open_local(cache);
    }
    if (status == HEARTH_OK) {
        status = hearth__nodes_open(cache);
    }
    if (status == HEARTH_OK) {
        status = hearth__guard_open(cache);
    }
    if (status == HEARTH_OK) {
        status = hearth__shared_open(cache);
    }
    if (status == HEARTH_OK) {
        status = hearth__lease_open(cache);
    }
    if (status == HEARTH_OK) {
        status = open_remote(cache);
    }
    return status == HEARTH_OK ? hearth__members_open(cache, &cache->url) : status;
}

static void destroy(hearth *cache) {
    hearth__stats_socket_close(cache);
    hearth__tracking_stop(cache);
    hearth__bus_leave(cache);
    hearth__nodes_close(cache);
    hearth__remote_close(cache->remote);
    hearth__local_close(cache->local);
    hearth__tracking_close(cache);
    hearth__bus_close(cache);
    hearth__workers_destroy(cache->workers);
    hearth__queues_close(cache);
    hearth__backoff_destroy(cache->backoff);
    hearth__limiter_destroy(cache->limiter);
    hearth__tag_table_destroy(cache->tags);
    hearth__lease_close(cache);
    hearth__flights_destroy(cache->flights);
    hearth__shared_close(cache);
    hearth__bloom_guard_destroy(cache->guard.filter);
    hearth__members_close(cache);
    hearth__namespaces_close(cache);
    hearth__log_destroy(cache->log);
    hearth__seats_destroy(cache->counters);
    hearth__free(cache->latencies);
    hearth__remote_url_fini(&cache->url);
    hearth__config_fini(&cache->config);
    hearth__free(cache);
}

/* Options that are right each by itself, but not together. */
static int32_t check_together(const hearth__config *config, char *why, size_t why_size) {
    if (config->ttl_ms != 0 && config->stale_ms >= config->ttl_ms) {
        (void)snprintf(
            why, why_size,
            "stale_ms: %lld is not less than ttl_ms, %lld: a value would be stale from "
            "its beginning",
            (long long)config->stale_ms, (long long)config->ttl_ms);
        return HEARTH_E_INVALID;
    }
    if (config->local_max_bytes != 0 && config->local_max_bytes < HEARTH__LOCAL_MIN_BYTES) {
        (void)snprintf(why, why_size,
                       "local.max_bytes: %lld is neither 0 (no local tier) nor at least 256kb",
                       (long long)config->local_max_bytes);
        return HEARTH_E_INVALID;
    }
    uint64_t guard_bytes = hearth__guard_bytes_needed(config);
    if (guard_bytes > (uint64_t)config->guard_max_bytes) {
        (void)snprintf(
            why, why_size,
            "guard.max_bytes: %lld is less than the %llu that guard.expected_keys at "
            "guard.target_rate needs while the filter is rebuilt",
            (long long)config->guard_max_bytes, (unsigned long long)guard_bytes);
        return HEARTH_E_INVALID;
    }
    int32_t status = hearth__share_check(config, why, why_size);
    return status == HEARTH_OK ? hearth__broadcast_check(config, why, why_size) : status;
}

static int32_t parse_url(hearth *cache, char *why, size_t why_size) {
    int written = snprintf(why, why_size, "remote.url: ");
    size_t used = written > 0 ? (size_t)written : 0;
    int32_t status = hearth__remote_url_parse(cache->config.remote_url, &cache->url, why + used,
                                              why_size - used);
    if (status != HEARTH_OK) {
        return status;
    }
    why[0] = '\0';
    if (cache->config.coherence_mode == HEARTH__COHERENCE_TRACKING &&
        cache->url.kind != HEARTH__REDIS) {
        (void)snprintf(why, why_size,
                       "coherence.mode: tracking is what Redis does, and remote.url is of "
                       "another kind: say auto or ttl");
        return HEARTH_E_UNSUPPORTED;
    }
    return HEARTH_OK;
}

int32_t hearth__cache_open(const hearth__config *config, char *why, size_t why_size,
                           hearth **out) {
    int32_t status = check_together(config, why, why_size);
    if (status != HEARTH_OK) {
        return status;
    }
    hearth *cache = hearth__alloc_zero(1, sizeof *cache);
    if (cache == NULL) {
        return HEARTH_E_NOMEM;
    }
    status = hearth__config_copy(config, &cache->config);
    if (status != HEARTH_OK) {
        hearth__free(cache);
        return status;
    }
    status = parse_url(cache, why, why_size);
    if (status == HEARTH_OK) {
        status = hearth__bus_check(cache, why, why_size);
    }
    if (status == HEARTH_OK) {
        status = hearth__shared_check(cache, why, why_size);
    }
    if (status == HEARTH_OK) {
        status = open_rooms(cache);
    }
    if (status == HEARTH_OK) {
        status = hearth__namespaces_begin(cache);
    }
    if (status == HEARTH_OK) {
        status = hearth__stats_socket_open(cache, why, why_size);
    }
    if (status != HEARTH_OK) {
        destroy(cache);
        return status;
    }
    *out = cache;
    return HEARTH_OK;
}

int32_t hearth__cache_close(hearth *cache) {
    if (cache->whole != cache) {
        return hearth__namespace_close(cache);
    }
    if (hearth__flights_is_leader(cache->flights) || hearth__guard_is_scanning(cache)) {
        return HEARTH_E_DEADLOCK;
    }
    hearth__guard_close(cache);
    hearth__queues_shut(cache);
    hearth__workers_shut(cache->workers);
    hearth__seats_shut(cache->counters);
    hearth__queues_join(cache);
    hearth__workers_join(cache->workers);
    hearth__lease_stop(cache);
    hearth__shared_stop(cache);
    destroy(cache);
    return HEARTH_OK;
}

bool hearth__cache_enter(hearth *cache) {
    return hearth__seats_enter(cache->counters) != NULL;
}

void hearth__cache_leave(hearth *cache) {
    hearth__seats_leave(cache->counters);
}

void hearth__cache_left(hearth *const *inside) {
    hearth__cache_leave(*inside);
}

/* ---- routes ----------------------------------------------------------------------------- */

static uint32_t place_of(const hearth__route *route) {
    const hearth__ring *ring = route->members->placement->ring;
    return route->is_hashed ? hearth__ring_pick_hash(ring, route->hash)
                            : hearth__ring_pick(ring, route->key, route->key_size);
}

static void find_owner(const hearth *cache, hearth__route *route) {
    route->members = hearth__members_hold(cache, &route->place);
    route->node = route->members->nodes[place_of(route)];
}

/* Of a key with a generation, which the ring does not see: what it hashes is written first. */
static int32_t begin_marked(const hearth *cache, const void *key, size_t key_size,
                            hearth__route *route) {
    hearth__key_part placed = hearth__key_placed(key, key_size);
    size_t prefix = cache->prefix_size;
    unsigned char *full = route->few;
    route->heap = NULL;
    route->members = NULL;
    route->key_size = prefix + key_size;
    if (route->key_size > sizeof route->few) {
        full = route->heap = hearth__alloc(route->key_size);
    }
    if (full == NULL) {
        return HEARTH_E_NOMEM;
    }
    memcpy(full, cache->config.remote_prefix, prefix);
    memcpy(full + prefix, placed.data, placed.size);
    route->hash = hearth__ring_hash(full, prefix + placed.size);
    route->is_hashed = true;
    memcpy(full + prefix, key, key_size);
    route->key = full;
    return HEARTH_OK;
}

static int32_t begin_beside(const hearth *cache, const char *before, const void *key,
                            size_t key_size, hearth__route *route) {
    size_t before_size = strlen(before);
    size_t own_size = before_size + cache->prefix_size;
    route->heap = NULL;
    route->members = NULL;
    route->is_hashed = false;
    route->key = key;
    route->key_size = own_size + key_size;
    if (own_size != 0) {
        unsigned char *full = route->few;
        if (route->key_size > sizeof route->few) {
            full = route->heap = hearth__alloc(route->key_size);
        }
        if (full == NULL) {
            return HEARTH_E_NOMEM;
        }
        memcpy(full, before, before_size);
        memcpy(full + before_size, cache->config.remote_prefix, cache->prefix_size);
        memcpy(full + own_size, key, key_size);
        route->key = full;
    }
    return HEARTH_OK;
}

int32_t hearth__route_begin(const hearth *cache, const void *key, size_t key_size,
                            hearth__route *route) {
    return hearth__key_is_marked(key) ? begin_marked(cache, key, key_size, route)
                                      : begin_beside(cache, "", key, key_size, route);
}

int32_t hearth__route_init(const hearth *cache, const void *key, size_t key_size,
                           hearth__route *route) {
    int32_t status = hearth__route_begin(cache, key, key_size, route);
    if (status == HEARTH_OK) {
        find_owner(cache, route);
    }
    return status;
}

int32_t hearth__route_init_beside(const hearth *cache, const char *before, const void *key,
                                  size_t key_size, hearth__route *route) {
    int32_t status = begin_beside(cache, before, key, key_size, route);
    if (status == HEARTH_OK) {
        find_owner(cache, route);
    }
    return status;
}

static void hash_some(hearth__route *const *routes, size_t count) {
    const void *keys[SOME_ROUTES];
    size_t key_sizes[SOME_ROUTES];
    uint32_t hashes[SOME_ROUTES];
    for (size_t i = 0; i < count; i++) {
        keys[i] = routes[i]->key;
        key_sizes[i] = routes[i]->is_hashed ? 0 : routes[i]->key_size;
    }
    hearth__ring_hash_many(keys, key_sizes, count, hashes);
    for (size_t i = 0; i < count; i++) {
        routes[i]->hash = routes[i]->is_hashed ? routes[i]->hash : hashes[i];
        routes[i]->is_hashed = true;
    }
}

void hearth__routes_find_owners(const hearth *cache, hearth__route *const *routes,
                                size_t count) {
    uint32_t place = 0;
    hearth__members *members = hearth__members_hold(cache, &place);
    bool is_one = hearth__ring_is_one(members->placement->ring);
    hearth__members_let_go(members, place);
    for (size_t at = 0; !is_one && at < count; at += SOME_ROUTES) {
        hash_some(routes + at, count - at < SOME_ROUTES ? count - at : SOME_ROUTES);
    }
    for (size_t i = 0; i < count; i++) {
        find_owner(cache, routes[i]);
    }
}

void hearth__route_fini(hearth__route *route) {
    hearth__free(route->heap);
    route->heap = NULL;
    if (route->members != NULL) {
        hearth__members_let_go(route->members, route->place);
        route->members = NULL;
    }
}

void hearth__route_refresh(hearth__route *route) {
    if (!hearth__members_are_current(route->members)) {
        const hearth *cache = route->members->cache;
        hearth__members_let_go(route->members, route->place);
        find_owner(cache, route);
    }
}

/* The sample first: if the members are those of now after it, they are replaced, and samples voided, later. */
hearth__local_ticket hearth__route_sample(const hearth__route *route, const void *key,
                                          size_t key_size) {
    hearth__local *local = route->members->cache->local;
    hearth__local_ticket ticket = hearth__local_sample(local, key, key_size);
    ticket.valid = ticket.valid && hearth__members_are_current(route->members);
    return ticket;
}

hearth__remote_op hearth__route_op(const hearth__route *route, enum hearth__verb verb) {
    return (hearth__remote_op){.verb = verb,
                               .node = route->node,
                               .key = route->key,
                               .key_size = route->key_size,
                               .asker = route};
}

bool hearth__route_is_leftover(const hearth__route *route, int64_t wall_ms) {
    const hearth__members *members = route->members;
    if (members->history.count == 0) {
        return false;
    }
    uint32_t hash =
        route->is_hashed ? route->hash : hearth__ring_hash(route->key, route->key_size);
    return hearth__history_is_leftover(&members->history, members->placement, hash, wall_ms);
}

static int32_t give_name(const hearth__node_address *address, char *name, size_t name_size) {
    hearth__ring_member member = {
        .host = address->host, .port = address->port, .weight = address->weight};
    char text[HEARTH__RING_NAME_BYTES];
    int32_t status = hearth__ring_name(&member, text, sizeof text);
    size_t needed = strlen(text) + 1;
    if (status == HEARTH_OK && name != NULL && name_size < needed) {
        status = HEARTH_E_TOO_LARGE;
    }
    if (status == HEARTH_OK && name != NULL) {
        memcpy(name, text, needed);
    }
    return status;
}

int32_t hearth__cache_node_of(hearth *cache, const void *key, size_t key_size, uint32_t *index,
                              char *name, size_t name_size) {
    hearth__route route;
    int32_t status = hearth__route_init(cache, key, key_size, &route);
    if (status == HEARTH_OK) {
        uint32_t place = place_of(&route);
        status = give_name(&route.members->url.nodes[place], name, name_size);
        if (status == HEARTH_OK && index != NULL) {
            *index = place;
        }
    }
    hearth__route_fini(&route);
    return status;
}

int32_t hearth__cache_log_next(hearth *cache, hearth_log_record *record) {
    return hearth__log_next(cache->log, record);
}
