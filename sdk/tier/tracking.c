/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes that nodes tell of: between the room that listens (coherence/coherence.h), the connections on which values are read, and
 * the local tier, whose copies are hits only as long as their source is good.
 *
 * What is read where nobody is told of changes, at first or while a listener is lost, is kept as in the mode ttl: for a second.
 */
#include "base/clock.h"
#include "tier/broadcast.h"
#include "tier/canary.h"
#include "tier/namespace.h"
#include "tier/tags.h"

#include <string.h>

enum {
    MAX_TTL_MS = 10000,       /* of a copy, by default */
    MAX_TTL_CAP_MS = 3600000, /* so that the numbers of sources come back */
    RETRY_MS = 1000,          /* between two attempts to listen to a node */
    TOLD_STROKE = 1,
    ECHO_MS = 2,
};

/* ---- what is told ----------------------------------------------------------------------- */

/* Other applications' keys are told of too where they share a node; the library's own are beside everybody's. */
static void changed(void *arg, const void *key, size_t key_size) {
    hearth *cache = arg;
    hearth__tags_changed(cache, key, key_size);
    hearth__namespaces_changed(cache, key, key_size);
    size_t prefix = cache->prefix_size;
    bool is_canary = hearth__canary_told(cache, key, key_size);
    if (key_size > prefix && memcmp(key, cache->config.remote_prefix, prefix) == 0) {
        hearth__local_changed(cache->local, (const char *)key + prefix, key_size - prefix);
        if (atomic_load(&cache->awaits_told) != 0) {
            hearth__bell_ring(&cache->told, TOLD_STROKE);
        }
        if (!is_canary) {
            HEARTH__COUNT(cache->counters, changes_told);
        }
    }
}

/* The copies of its sources are no hits any more. */
static void flushed(void *arg, bool lost) {
    const hearth *cache = arg;
    if (lost) {
        HEARTH__COUNT(cache->counters, changes_lost);
    }
}

static int32_t connect_to(void *arg, const char *host, uint16_t port, int64_t deadline_ns,
                          _Atomic int *fd, char *why, size_t why_size) {
    (void)arg;
    return hearth__remote_connect(host, port, deadline_ns, fd, why, why_size);
}

static void refresh(void *arg) {
    hearth *cache = arg;
    uint32_t place = 0;
    hearth__members *members = hearth__members_hold(cache, &place);
    for (size_t i = 0; i < members->url.count; i++) {
        hearth__remote_refresh(cache->remote, members->nodes[i]);
    }
    hearth__members_let_go(members, place);
}

/* ---- what connections ask --------------------------------------------------------------- */

static int32_t listen_to(void *arg, const char *host, uint16_t port, uint32_t *listened) {
    const hearth *cache = arg;
    *listened = hearth__listener_listen(cache->listener, host, port);
    return *listened != HEARTH__LISTENED_NONE ? HEARTH_OK : HEARTH_E_NOMEM;
}

static void unlisten(void *arg, uint32_t listened) {
    const hearth *cache = arg;
    hearth__listener_unlisten(cache->listener, listened);
}

static uint32_t redirect(void *arg, uint32_t listened, int64_t *client_id) {
    const hearth *cache = arg;
    hearth__redirect redirect = hearth__listener_redirect(cache->listener, listened);
    *client_id = redirect.client_id;
    return redirect.epoch;
}

static uint32_t open_source(void *arg, uint32_t listened, uint32_t epoch, int64_t sent_ms) {
    const hearth *cache = arg;
    return hearth__listener_open_source(cache->listener, listened, epoch, sent_ms);
}

static void answered(void *arg, uint32_t source, int64_t sent_ms) {
    const hearth *cache = arg;
    hearth__listener_answered(cache->listener, source, sent_ms);
}

static void close_source(void *arg, uint32_t source) {
    const hearth *cache = arg;
    hearth__listener_close_source(cache->listener, source);
}

/* ---- open and close --------------------------------------------------------------------- */

static void decide_lives(hearth *cache) {
    int64_t max_ms = cache->config.local_max_ttl_ms;
    max_ms = max_ms < 0 ? MAX_TTL_MS : max_ms;
    cache->local_max_ttl_ms = max_ms < MAX_TTL_CAP_MS ? max_ms : MAX_TTL_CAP_MS;
}

bool hearth__tracking_wanted(const hearth *cache) {
    int64_t mode = cache->config.coherence_mode;
    return cache->url.kind == HEARTH__REDIS && mode != HEARTH__COHERENCE_TTL &&
           mode != HEARTH__COHERENCE_BUS;
}

/* What connections ask. */
static int32_t open_tracker(hearth *cache) {
    cache->tracker = (hearth__tracker){.arg = cache,
                                       .listen = listen_to,
                                       .unlisten = unlisten,
                                       .redirect = redirect,
                                       .open = open_source,
                                       .answered = answered,
                                       .close = close_source};
    hearth__canary_open(&cache->tracker,
                        cache->config.coherence_tracking == HEARTH__COHERENCE_BROADCAST);
    return hearth__broadcast_open(cache);
}

int32_t hearth__tracking_open(hearth *cache) {
    const hearth__config *config = &cache->config;
    if (!hearth__tracking_wanted(cache)) {
        return HEARTH_OK;
    }
    decide_lives(cache);
    if (!cache->keeps_local) {
        return HEARTH_OK;
    }
    int32_t status = open_tracker(cache);
    if (status != HEARTH_OK) {
        return status;
    }
    const hearth__listener_config listener = {.ping_ms = config->coherence_ping_ms,
                                              .dead_ms = config->coherence_dead_ms,
                                              .retry_ms = RETRY_MS,
                                              .life_ms = cache->local_max_ttl_ms,
                                              .connect_ms = config->remote_timeout_ms,
                                              .canary_ms = config->coherence_canary_ms,
                                              .key_max = HEARTH__FULL_KEY_MAX,
                                              .broadcast = cache->beginnings,
                                              .broadcast_count = cache->beginnings_count,
                                              .user = cache->url.user,
                                              .password = cache->url.password,
                                              .log = cache->log,
                                              .arg = cache,
                                              .connect = connect_to,
                                              .changed = changed,
                                              .flushed = flushed,
                                              .refresh = refresh};
    status = hearth__listener_create(&listener, &cache->listener);
    if (status == HEARTH_OK) {
        cache->plain |= hearth__listener_grace_ms(cache->listener) << HEARTH__PLAIN_GRACE;
    }
    return status;
}

void hearth__tracking_stop(hearth *cache) {
    hearth__listener_stop(cache->listener);
}

void hearth__tracking_close(hearth *cache) {
    hearth__listener_destroy(cache->listener);
    hearth__broadcast_close(cache);
}

/* ---- reads and writes ------------------------------------------------------------------- */

hearth__tracking_moment hearth__tracking_begin(hearth *cache) {
    if (cache->listener == NULL) {
        return (hearth__tracking_moment){0};
    }
    hearth__listener_start(cache->listener);
    return (hearth__tracking_moment){.sent_ms = hearth__boot_ms(),
                                     .untold = hearth__listener_untold(cache->listener)};
}

void hearth__tracking_heard(hearth *cache, hearth__remote_op *ops, size_t count,
                            const hearth__tracking_moment *moment) {
    for (size_t i = 0; cache->listener != NULL && i < count; i++) {
        if (ops[i].heard) {
            hearth__listener_answered(cache->listener, ops[i].source, moment->sent_ms);
        }
        if (!hearth__tracking_tells(cache, ops[i].source)) {
            ops[i].source = moment->untold;
        }
    }
}

bool hearth__tracking_tells(const hearth *cache, uint32_t source) {
    return cache->listener != NULL && hearth__listener_tells(cache->listener, source);
}

int64_t hearth__tracking_life_ms(const hearth *cache, uint32_t source) {
    bool is_untold =
        cache->bus.bus != NULL
            ? source == 0
            : cache->listener != NULL && !hearth__listener_tells(cache->listener, source);
    return is_untold && cache->local_max_ttl_ms > HEARTH__TTL_MODE_MS ? HEARTH__TTL_MODE_MS
                                                                      : cache->local_max_ttl_ms;
}

/* Whether a change of the key's stripe was told since; of another key of it is as good: then the copy may be lost, and no more. */
static bool was_told(const hearth *cache, const void *key, size_t key_size,
                     const hearth__local_ticket *ticket) {
    return hearth__local_sample(cache->local, key, key_size).changes != ticket->changes;
}

/* Until it was, or that time. */
static void await_told(hearth *cache, const void *key, size_t key_size,
                       const hearth__local_ticket *ticket, int64_t until_ns) {
    bool rang = true;
    atomic_fetch_add(&cache->awaits_told, 1);
    while (rang) {
        uint32_t seen = hearth__bell_look(&cache->told);
        rang = !was_told(cache, key, key_size, ticket) &&
               hearth__bell_await(&cache->told, seen, TOLD_STROKE, until_ns);
    }
    atomic_fetch_sub(&cache->awaits_told, 1);
}

/* The node tells of this process's own leases too, some 100 us later, which would cost the copy: a load that took less waits for it. */
void hearth__tracking_begin_fills(hearth *cache, hearth_fill *const *fills, size_t count) {
    if (cache->listener == NULL || !hearth__tracking_keeps_own(cache)) {
        return;
    }
    int64_t until_ns = hearth__deadline_ns(ECHO_MS);
    int64_t now_ms = hearth__boot_ms();
    for (size_t i = 0; i < count; i++) {
        hearth_fill *fill = fills[i];
        hearth__fill_plan *plan = &fill->plan;
        if (fill->status < 0 || plan->route == NULL || !plan->keep_local) {
            continue;
        }
        if (plan->is_told && now_ms - fill->began_ms <= ECHO_MS) {
            await_told(cache, fill->key, fill->key_size, &plan->ticket, until_ns);
        }
        hearth__local_ticket_catch_up(cache->local, fill->key, fill->key_size, &plan->ticket);
    }
}

void hearth__tracking_checked(const hearth__remote_op *op, int64_t sent_ms,
                              hearth__local_entry *entry) {
    int64_t expiry_ms = hearth__expiry_ms(sent_ms, op->left_ms);
    entry->source = (uint16_t)op->source;
    entry->hard_expiry_ms =
        expiry_ms < entry->hard_expiry_ms ? expiry_ms : entry->hard_expiry_ms;
}
