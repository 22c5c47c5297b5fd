/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What processes tell each other (coherence/bus.h): between the room that publishes and listens, what is written here, and the local
 * tier, whose copies are hits only as long as their source is good.
 *
 * What a node has taken is published before the call returns. If the bus does not take it in time, the call says so: other processes
 * may have older copies, and not know it.
 */
#include "tier/bus.h"

#include "base/clock.h"
#include "base/memory.h"
#include "tier/namespace.h"
#include "tier/nodes.h"
#include "tier/tag_at_node.h"
#include "tier/tags.h"

#include <hearth/errors.h>

#include <stdio.h>
#include <string.h>

enum {
    MAX_TTL_MS = 10000,       /* of a copy, by default */
    MAX_TTL_CAP_MS = 3600000, /* so that the numbers of sources come back */
    RETRY_MS = 1000,          /* between two attempts to connect */
    BESIDE_MAX = 1024,        /* bytes of a tag's or generation's key, prefix included */
    NO_GRACE_BITS = 50,       /* a grace that no point in time has */
};

/* ---- what is told ----------------------------------------------------------------------- */

/* Its node may still have what another process deleted there, and may come back with it: it is deleted by this one too. */
static void keep_missed(hearth *cache, const void *key, size_t key_size) {
    hearth__route route;
    if (hearth__route_init(cache, key, key_size, &route) == HEARTH_OK) {
        hearth__handoff_keep(cache, route.node, route.key, route.key_size);
    }
    hearth__route_fini(&route);
}

/* What stands beside everybody's keys is told of without the prefix, which the stream has. A key of the cache's own that looks so costs
 * a question. */
static void take_beside(hearth *cache, const void *key, size_t key_size) {
    static const char *const all[] = {HEARTH__TAG_KEYS, HEARTH__NAMESPACE_KEYS};
    unsigned char whole[BESIDE_MAX];
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        size_t head = strlen(all[i]);
        bool fits = cache->prefix_size + key_size <= sizeof whole;
        if (fits && key_size > head && memcmp(key, all[i], head) == 0) {
            memcpy(whole, key, head);
            memcpy(whole + head, cache->config.remote_prefix, cache->prefix_size);
            memcpy(whole + head + cache->prefix_size, (const char *)key + head,
                   key_size - head);
            hearth__tags_changed(cache, whole, cache->prefix_size + key_size);
            hearth__namespaces_changed(cache, whole, cache->prefix_size + key_size);
        }
    }
}

static void changed(void *arg, const void *key, size_t key_size,
                    enum hearth__bus_change change) {
    hearth *cache = arg;
    if (cache->prefix_size + key_size > HEARTH__FULL_KEY_MAX) {
        return; /* no key of this cache */
    }
    if (change == HEARTH__BUS_MISSED) {
        keep_missed(cache, key, key_size);
    }
    hearth__local_changed(cache->local, key, key_size);
    take_beside(cache, key, key_size);
    HEARTH__COUNT(cache->counters, changes_told);
}

static void lost(void *arg) {
    const hearth *cache = arg;
    HEARTH__COUNT(cache->counters, changes_lost);
}

static int32_t connect_to(void *arg, const char *host, uint16_t port, int64_t deadline_ns,
                          _Atomic int *fd, char *why, size_t why_size) {
    (void)arg;
    return hearth__remote_connect(host, port, deadline_ns, fd, why, why_size);
}

/* ---- open and close --------------------------------------------------------------------- */

static int32_t refuse(int32_t status, const char *text, char *why, size_t why_size) {
    (void)snprintf(why, why_size, "%s", text);
    return status;
}

static int32_t parse_url(hearth__bus_seat *seat, const char *text, char *why, size_t why_size) {
    int written = snprintf(why, why_size, "coherence.bus_url: ");
    size_t used = written > 0 ? (size_t)written : 0;
    int32_t status =
        hearth__remote_url_parse(text, &seat->own_url, why + used, why_size - used);
    if (status == HEARTH_OK) {
        why[0] = '\0';
        seat->url = &seat->own_url;
    }
    return status;
}

int32_t hearth__bus_check(hearth *cache, char *why, size_t why_size) {
    const hearth__config *config = &cache->config;
    hearth__bus_seat *seat = &cache->bus;
    bool is_named = config->coherence_bus_url[0] != '\0';
    if (config->coherence_mode != HEARTH__COHERENCE_BUS) {
        return is_named ? refuse(HEARTH_E_INVALID,
                                 "coherence.bus_url: there is a bus with coherence.mode = bus "
                                 "only: say that, or take the url away",
                                 why, why_size)
                        : HEARTH_OK;
    }
    if (cache->url.kind == HEARTH__EMBEDDED) {
        return refuse(HEARTH_E_UNSUPPORTED,
                      "coherence.mode: bus is for nodes that processes share, and with "
                      "embedded:// nobody else has copies: say auto",
                      why, why_size);
    }
    seat->url = &cache->url;
    int32_t status =
        is_named ? parse_url(seat, config->coherence_bus_url, why, why_size) : HEARTH_OK;
    if (status != HEARTH_OK) {
        return status;
    }
    if (seat->url->kind != HEARTH__REDIS || seat->url->count != 1 ||
        strlen(seat->url->nodes[0].host) >= sizeof seat->host) {
        return refuse(HEARTH_E_INVALID,
                      "coherence.bus_url: the bus is one Redis server, the same for all "
                      "processes: name it, as redis://host:port or redis+unix:///path; empty "
                      "means that of remote.url, if that is one Redis server",
                      why, why_size);
    }
    return HEARTH_OK;
}

static void decide_lives(hearth *cache) {
    int64_t max_ms = cache->config.local_max_ttl_ms;
    max_ms = max_ms < 0 ? MAX_TTL_MS : max_ms;
    cache->local_max_ttl_ms = max_ms < MAX_TTL_CAP_MS ? max_ms : MAX_TTL_CAP_MS;
}

/* Who else may write tells nobody: then no hit is known to be right but as of when it was read. */
static int64_t grace_ms(const hearth *cache) {
    return cache->config.coherence_writers == HEARTH__WRITERS_HEARTH
               ? hearth__bus_grace_ms(cache->bus.bus)
               : INT64_C(1) << NO_GRACE_BITS;
}

int32_t hearth__bus_open(hearth *cache) {
    static const char before[] = "hearth:bus:";
    const hearth__config *config = &cache->config;
    hearth__bus_seat *seat = &cache->bus;
    if (config->coherence_mode != HEARTH__COHERENCE_BUS) {
        return HEARTH_OK;
    }
    decide_lives(cache);
    size_t size = sizeof before + cache->prefix_size;
    seat->stream = hearth__alloc(size);
    if (seat->stream == NULL) {
        return HEARTH_E_NOMEM;
    }
    (void)snprintf(seat->stream, size, "%s%s", before, config->remote_prefix);
    const hearth__node_address *server = &seat->url->nodes[0];
    (void)snprintf(seat->host, sizeof seat->host, "%s", server->host);
    const hearth__bus_config bus = {.host = seat->host,
                                    .port = server->port,
                                    .user = seat->url->user,
                                    .password = seat->url->password,
                                    .database = seat->url->database,
                                    .stream = seat->stream,
                                    .ping_ms = config->coherence_ping_ms,
                                    .dead_ms = config->coherence_dead_ms,
                                    .retry_ms = RETRY_MS,
                                    .life_ms = cache->local_max_ttl_ms,
                                    .connect_ms = config->remote_timeout_ms,
                                    .stall_ms = config->remote_stall_ms,
                                    .key_max = HEARTH__FULL_KEY_MAX,
                                    .log = cache->log,
                                    .arg = cache,
                                    .connect = connect_to,
                                    .changed = changed,
                                    .lost = lost};
    int32_t status = hearth__bus_create(&bus, &seat->bus);
    if (status == HEARTH_OK) {
        cache->plain |= grace_ms(cache) << HEARTH__PLAIN_GRACE;
    }
    return status;
}

void hearth__bus_leave(hearth *cache) {
    hearth__bus_stop(cache->bus.bus);
}

void hearth__bus_close(hearth *cache) {
    hearth__bus_destroy(cache->bus.bus);
    hearth__free(cache->bus.stream);
    hearth__remote_url_fini(&cache->bus.own_url);
}

/* ---- reads ------------------------------------------------------------------------------ */

uint32_t hearth__bus_begin(hearth *cache) {
    if (cache->bus.bus == NULL) {
        return 0;
    }
    hearth__bus_start(cache->bus.bus);
    return hearth__bus_source(cache->bus.bus);
}

void hearth__bus_heard(const hearth *cache, hearth__remote_op *ops, size_t count,
                       uint32_t source) {
    for (size_t i = 0; cache->bus.bus != NULL && i < count; i++) {
        ops[i].source = source;
    }
}

/* ---- writes ----------------------------------------------------------------------------- */

/* Whether the node did not say what became of it. */
static bool is_unanswered(int32_t status) {
    return status == HEARTH_E_QUEUED || status == HEARTH_E_UNAVAILABLE ||
           status == HEARTH_E_TIMEOUT || status == HEARTH_E_PROTOCOL ||
           status == HEARTH_E_UNKNOWN;
}

/* Whether what the node has must go if it was not reached: handoff.c keeps the delete of it. */
static bool ends(const hearth__write *write) {
    return write->verb == HEARTH__WRITE_DELETE || write->verb == HEARTH__WRITE_MARK ||
           write->verb == HEARTH__WRITE_SET || write->verb == HEARTH__WRITE_REPLACE;
}

/* Whether copies may be older than the node from then on. Digits have none. */
static bool changes(const hearth__write *write) {
    bool removes = write->verb == HEARTH__WRITE_DELETE || write->verb == HEARTH__WRITE_MARK;
    if (write->verb == HEARTH__WRITE_INCREMENT) {
        return false;
    }
    return write->status == HEARTH_OK || write->status == HEARTH_E_TOO_LARGE ||
           (write->status == HEARTH_MISS && removes) || is_unanswered(write->status);
}

static bool await(hearth *cache, uint64_t number, int64_t deadline_ns) {
    bool told = hearth__bus_await(cache->bus.bus, number, deadline_ns);
    if (!told) {
        HEARTH__COUNT(cache->counters, changes_untold);
    }
    return told;
}

static uint64_t publish(hearth *cache, const void *key, size_t key_size,
                        enum hearth__bus_change change) {
    HEARTH__COUNT(cache->counters, changes_published);
    return hearth__bus_publish(cache->bus.bus, key, key_size, change);
}

void hearth__bus_tell_writes(hearth *cache, hearth__write *writes, size_t count,
                             int64_t deadline_ns) {
    uint64_t last = 0;
    bool any = false;
    if (cache->bus.bus == NULL) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const hearth__write *write = &writes[i];
        if (changes(write)) {
            bool missed = is_unanswered(write->status) && ends(write);
            last = publish(cache, write->key, write->key_size,
                           missed ? HEARTH__BUS_MISSED : HEARTH__BUS_CHANGED);
            any = true;
        }
    }
    bool told = !any || await(cache, last, deadline_ns);
    for (size_t i = 0; !told && i < count; i++) {
        if (changes(&writes[i]) && writes[i].status >= 0) {
            writes[i].status = HEARTH_E_QUEUED;
            (void)hearth__local_evict(cache->local, writes[i].key, writes[i].key_size);
        }
    }
}

int32_t hearth__bus_tell(hearth *cache, const void *key, size_t key_size, int32_t status,
                         int64_t deadline_ns) {
    hearth__write write = {
        .verb = HEARTH__WRITE_DELETE, .key = key, .key_size = key_size, .status = status};
    hearth__bus_tell_writes(cache, &write, 1, deadline_ns);
    return write.status;
}

void hearth__bus_tell_beside(hearth *cache, const char *before, const void *name, size_t size,
                             int32_t status, int64_t deadline_ns) {
    unsigned char key[BESIDE_MAX];
    size_t head = strlen(before);
    if (cache->bus.bus == NULL || (status != HEARTH_OK && !is_unanswered(status)) ||
        head + size > sizeof key) {
        return;
    }
    memcpy(key, before, head);
    memcpy(key + head, name, size);
    hearth__bus_start(cache->bus.bus);
    uint64_t number = publish(cache, key, head + size, HEARTH__BUS_CHANGED);
    (void)await(cache, number, deadline_ns);
}

uint64_t hearth__bus_tell_fills(hearth *cache, hearth_fill *const *fills,
                                const hearth__remote_op *ops, size_t count) {
    uint64_t last = 0;
    for (size_t i = 0; cache->bus.bus != NULL && i < count; i++) {
        const hearth_fill *fill = fills[i];
        if (fill->told_node) {
            int32_t status = (ops++)->status;
            if (status == HEARTH_OK || is_unanswered(status)) {
                last = publish(cache, fill->key, fill->key_size, HEARTH__BUS_CHANGED);
            }
        }
    }
    return last;
}

void hearth__bus_await_fills(hearth *cache, uint64_t number, int64_t deadline_ns) {
    if (number != 0) {
        (void)await(cache, number, deadline_ns);
    }
}

void hearth__bus_tell_replayed(hearth *cache, const void *key, size_t key_size) {
    if (cache->bus.bus != NULL && key_size > cache->prefix_size) {
        (void)publish(cache, (const char *)key + cache->prefix_size,
                      key_size - cache->prefix_size, HEARTH__BUS_CHANGED);
    }
}
