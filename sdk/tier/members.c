/* SPDX-License-Identifier: Apache-2.0 */
/* The snapshots of a cache's nodes: made, swapped, and freed when nobody holds them. */
#include "tier/cache.h"
#include "tier/namespace_key.h"

#include "base/clock.h"
#include "base/memory.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* What changes. `change` is taken by who sets nodes and by nobody else, and other locks are taken under it; `lock` is for what
 * is counted. */
struct hearth__membership {
    pthread_mutex_t change;
    pthread_mutex_t lock;
    hearth__members
        *all; /* never freed before the end: who is about to hold one may still count there */
    bool there[HEARTH__REMOTE_NODES];
    uint32_t uses[HEARTH__REMOTE_NODES]; /* of a node, by snapshots */
};

/* ---- holding ---------------------------------------------------------------------------- */

/* A thread has its own place, unless there are many. */
static uint32_t own_place(void) {
    uint64_t thread = (uint64_t)(uintptr_t)&hearth__recent_seat_of_thread >> 6;
    return (uint32_t)(thread * 0x9e3779b97f4a7c15u >> 60) % HEARTH__MEMBERS_PLACES;
}

static void reap(hearth *cache);

/* Either who retires a snapshot sees the holder who leaves last, or that one sees that it is retired. */
void hearth__members_let_go(hearth__members *members, uint32_t place) {
    atomic_fetch_sub(&members->places[place].holders, 1);
    if (atomic_load(&members->retired)) {
        reap(members->cache);
    }
}

bool hearth__members_have(const hearth__members *members, uint32_t node) {
    for (size_t i = 0; i < members->url.count; i++) {
        if (members->nodes[i] == node) {
            return true;
        }
    }
    return false;
}

bool hearth__members_are_current(const hearth__members *members) {
    return atomic_load(&members->cache->members) == members;
}

/* One that was replaced between the load and the count is let go again; its counters are there as long as the cache. */
hearth__members *hearth__members_hold(const hearth *cache, uint32_t *place) {
    *place = own_place();
    for (;;) {
        hearth__members *members = atomic_load(&cache->members);
        atomic_fetch_add(&members->places[*place].holders, 1);
        if (hearth__members_are_current(members)) {
            return members;
        }
        hearth__members_let_go(members, *place);
    }
}

static bool is_held(hearth__members *members) {
    for (size_t i = 0; i < HEARTH__MEMBERS_PLACES; i++) {
        if (atomic_load(&members->places[i].holders) != 0) {
            return true;
        }
    }
    return false;
}

/* ---- freeing ---------------------------------------------------------------------------- */

/* Under the lock. What a snapshot is made of; not its nodes. */
static void empty(hearth__members *members) {
    hearth__placement_let_go(members->placement);
    hearth__history_end(&members->history);
    hearth__remote_url_fini(&members->url);
    hearth__free(members->nodes);
    members->placement = NULL;
    members->nodes = NULL;
    members->empty = true;
}

/* Under the lock. A node whose thread is just at work is left for the next change: nobody shall wait for it here. */
static void remove_unused(hearth *cache) {
    struct hearth__membership *membership = cache->membership;
    uint32_t limit = hearth__remote_limit(cache->remote);
    for (uint32_t i = 0; i < limit; i++) {
        if (membership->there[i] && membership->uses[i] == 0 &&
            hearth__remote_stop(cache->remote, i)) {
            hearth__nodes_remove(cache, i);
            hearth__remote_remove(cache->remote, i);
            membership->there[i] = false;
        }
    }
}

/* Under the lock. */
static void unuse(hearth *cache, const uint32_t *nodes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        cache->membership->uses[nodes[i]]--;
    }
}

/* Frees what nobody can ask any more. */
static void reap(hearth *cache) {
    struct hearth__membership *membership = cache->membership;
    pthread_mutex_lock(&membership->lock);
    for (hearth__members *at = membership->all; at != NULL; at = at->next) {
        if (atomic_load(&at->retired) && !at->empty && !is_held(at)) {
            unuse(cache, at->nodes, at->url.count);
            empty(at);
        }
    }
    remove_unused(cache);
    pthread_mutex_unlock(&membership->lock);
}

/* ---- making ----------------------------------------------------------------------------- */

/* One that was freed, or a new one. NULL: no memory. */
static hearth__members *find_empty(hearth *cache) {
    struct hearth__membership *membership = cache->membership;
    pthread_mutex_lock(&membership->lock);
    hearth__members *members = membership->all;
    while (members != NULL && !members->empty) {
        members = members->next;
    }
    if (members == NULL) {
        members = hearth__alloc_zero(1, sizeof *members);
        if (members != NULL) {
            members->cache = cache;
            members->empty = true;
            members->next = membership->all;
            membership->all = members;
        }
    }
    pthread_mutex_unlock(&membership->lock);
    return members;
}

static bool is_same(const hearth__node_address *a, const hearth__node_address *b) {
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

static bool is_among(uint32_t number, const uint32_t *nodes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (nodes[i] == number) {
            return true;
        }
    }
    return false;
}

/* The number of a node that is there already, and that this list has not named yet. */
static bool find_node(const hearth__members *before, const hearth__node_address *address,
                      const uint32_t *nodes, size_t count, uint32_t *number) {
    for (size_t i = 0; before != NULL && i < before->url.count; i++) {
        if (is_same(&before->url.nodes[i], address) &&
            !is_among(before->nodes[i], nodes, count)) {
            *number = before->nodes[i];
            return true;
        }
    }
    return false;
}

static int32_t add_node(hearth *cache, const hearth__node_address *address, uint32_t *number) {
    int32_t status = hearth__remote_add(cache->remote, address, number);
    if (status != HEARTH_OK) {
        return status;
    }
    status = hearth__nodes_add(cache, *number);
    if (status != HEARTH_OK) {
        hearth__remote_remove(cache->remote, *number);
        return status;
    }
    cache->membership->there[*number] = true;
    return HEARTH_OK;
}

/* The nodes that stay keep their numbers, the others are added. After an error nothing is changed. */
static int32_t find_nodes(hearth *cache, const hearth__members *before,
                          const hearth__remote_url *url, uint32_t *nodes) {
    struct hearth__membership *membership = cache->membership;
    int32_t status = HEARTH_OK;
    size_t count = 0;
    pthread_mutex_lock(&membership->lock);
    for (; status == HEARTH_OK && count < url->count; count++) {
        const hearth__node_address *address = &url->nodes[count];
        if (!find_node(before, address, nodes, count, &nodes[count])) {
            status = add_node(cache, address, &nodes[count]);
        }
        if (status == HEARTH_OK) {
            membership->uses[nodes[count]]++;
        }
    }
    if (status != HEARTH_OK) {
        unuse(cache, nodes, count - 1);
        remove_unused(cache);
    }
    pthread_mutex_unlock(&membership->lock);
    return status;
}

/* Takes the url's nodes. `before`: the snapshot whose nodes stay. */
static int32_t make(hearth *cache, const hearth__members *before, hearth__remote_url *url,
                    hearth__members **out) {
    hearth__placement *placement = NULL;
    uint32_t *nodes = hearth__alloc_zero(url->count, sizeof *nodes);
    hearth__members *members = nodes != NULL ? find_empty(cache) : NULL;
    int32_t status =
        members != NULL ? hearth__placement_create(url, &placement) : HEARTH_E_NOMEM;
    if (status == HEARTH_OK) {
        status = find_nodes(cache, before, url, nodes);
    }
    if (status != HEARTH_OK) {
        hearth__placement_let_go(placement);
        hearth__free(nodes);
        return status;
    }
    pthread_mutex_lock(&cache->membership->lock);
    members->placement = placement;
    if (before != NULL) {
        hearth__history_begin(&members->history, placement, before->placement,
                              &before->history);
    }
    members->nodes = nodes;
    members->url =
        (hearth__remote_url){.kind = url->kind, .nodes = url->nodes, .count = url->count};
    members->empty = false;
    atomic_store(&members->retired, false);
    pthread_mutex_unlock(&cache->membership->lock);
    url->nodes = NULL;
    url->count = 0;
    *out = members;
    return HEARTH_OK;
}

/* ---- open and close --------------------------------------------------------------------- */

static bool init_locks(struct hearth__membership *membership) {
    if (pthread_mutex_init(&membership->change, NULL) != 0) {
        return false;
    }
    if (pthread_mutex_init(&membership->lock, NULL) != 0) {
        (void)pthread_mutex_destroy(&membership->change);
        return false;
    }
    return true;
}

int32_t hearth__members_open(hearth *cache, hearth__remote_url *url) {
    hearth__members *members = NULL;
    cache->membership = hearth__alloc_zero(1, sizeof *cache->membership);
    if (cache->membership == NULL || !init_locks(cache->membership)) {
        hearth__free(cache->membership);
        cache->membership = NULL;
        return HEARTH_E_NOMEM;
    }
    int32_t status = make(cache, NULL, url, &members);
    atomic_store(&cache->members, members);
    return status;
}

void hearth__members_close(hearth *cache) {
    if (cache->membership == NULL) {
        return;
    }
    hearth__members *members = cache->membership->all;
    while (members != NULL) {
        hearth__members *next = members->next;
        empty(members);
        hearth__free(members);
        members = next;
    }
    (void)pthread_mutex_destroy(&cache->membership->lock);
    (void)pthread_mutex_destroy(&cache->membership->change);
    hearth__free(cache->membership);
}

/* ---- changing --------------------------------------------------------------------------- */

/* Which keys another node owns now. */
struct move {
    const hearth__members *before;
    const hearth__members *after;
    hearth__buffer key; /* begins with the prefix */
    bool ready;         /* there is room for keys in it */
};

static uint32_t owner_of(const hearth__members *members, const hearth__buffer *key) {
    return members->nodes[hearth__ring_pick(members->placement->ring, key->data, key->size)];
}

static bool has_moved(void *arg, const void *key, size_t key_size) {
    struct move *move = arg;
    size_t prefix_size = move->after->cache->prefix_size;
    if (!move->ready) {
        return true; /* better a copy too few */
    }
    hearth__key_part placed = hearth__key_placed(key, key_size);
    memcpy(move->key.data + prefix_size, placed.data, placed.size);
    move->key.size = prefix_size + placed.size;
    return owner_of(move->before, &move->key) != owner_of(move->after, &move->key);
}

/* What is known of the moved keys here was asked of who owned them, or written there. */
static void forget(hearth *cache, const hearth__members *before, const hearth__members *after) {
    struct move move = {.before = before, .after = after};
    size_t prefix_size = cache->prefix_size;
    move.ready = hearth__buffer_reserve(&move.key, HEARTH__FULL_KEY_MAX);
    if (move.ready) {
        memcpy(move.key.data, cache->config.remote_prefix, prefix_size);
    }
    hearth__flights_detach_some(cache->flights, has_moved, &move);
    hearth__local_forget(cache->local, has_moved, &move);
    hearth__buffer_fini(&move.key);
}

static int32_t change(hearth *cache, hearth__remote_url *url) {
    uint32_t place = 0;
    hearth__members *after = NULL;
    hearth__members *before = hearth__members_hold(cache, &place);
    int32_t status = make(cache, before, url, &after);
    if (status == HEARTH_OK) {
        hearth__history_close(&after->history, hearth__wall_ms());
        atomic_store(&cache->members, after);
        atomic_store(&before->retired, true);
        forget(cache, before, after);
        hearth__log_add(cache->log, HEARTH_LOG_NOTICE, HEARTH_OK,
                        "the cache has %zu nodes now, it had %zu", after->url.count,
                        before->url.count);
    }
    hearth__members_let_go(before, place);
    return status;
}

static bool is_same_text(const char *a, const char *b) {
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static int32_t refuse(char *why, size_t why_size, int32_t status, const char *text) {
    (void)snprintf(why, why_size, "%s", text);
    return status;
}

/* What a list cannot change. */
static int32_t check_kind(const hearth *cache, const hearth__remote_url *url, char *why,
                          size_t why_size) {
    const hearth__remote_url *own = &cache->url;
    bool named = url->user != NULL || url->password != NULL;
    if (url->kind != own->kind) {
        return refuse(why, why_size, HEARTH_E_INVALID,
                      "the kind of server cannot change: the scheme is that of remote.url");
    }
    if (cache->bus.bus != NULL && cache->bus.url == own) {
        return refuse(why, why_size, HEARTH_E_UNSUPPORTED,
                      "name the bus in coherence.bus_url: that of remote.url cannot change");
    }
    if (url->database != own->database) {
        return refuse(why, why_size, HEARTH_E_INVALID,
                      "the database cannot change: give the number that remote.url has");
    }
    if (named &&
        !(is_same_text(url->user, own->user) && is_same_text(url->password, own->password))) {
        return refuse(why, why_size, HEARTH_E_UNSUPPORTED,
                      "user and password cannot change: leave them out, or give those of "
                      "remote.url");
    }
    return HEARTH_OK;
}

int32_t hearth__cache_set_nodes(hearth *handle, const char *text, char *why, size_t why_size) {
    hearth *cache = handle->whole;
    hearth__remote_url url;
    int32_t status = hearth__remote_url_parse(text, &url, why, why_size);
    if (status != HEARTH_OK) {
        return status;
    }
    status = check_kind(cache, &url, why, why_size);
    if (status == HEARTH_OK) {
        pthread_mutex_lock(&cache->membership->change);
        status = change(cache, &url);
        pthread_mutex_unlock(&cache->membership->change);
        if (status == HEARTH_E_OVERLOAD) {
            (void)refuse(why, why_size, status,
                         "too many nodes that were removed are still in use: try again later");
        }
    }
    hearth__remote_url_fini(&url);
    return status;
}
