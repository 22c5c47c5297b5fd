/* SPDX-License-Identifier: Apache-2.0 */
#include "hearth-bench/hotkey_peer.h"
#include "hearth-bench/hotkey_remote.h"
#include "hearth-bench/workload.h"

#include "base/clock.h"
#include "redis_connection.h"

#include <hiredis/hiredis.h>
#include <libmemcached/memcached.h>
#include <stdio.h>
#include <stdlib.h>

enum { BATCH = 256, LIFE_S = 3600, PATIENCE_MS = 60000 };

struct hotkey_peer {
    const struct hotkey_scene *scene;
    const hearth__remote_url *url; /* whom it connects to: nodes, or one proxy */
    size_t key_size;
    unsigned threads;
    redisContext **contexts; /* a thread's are beside each other */
    memcached_st **clients;
};

/* ---- connections ------------------------------------------------------------------------- */

static bool connect_redis(struct hotkey_peer *peer, char *why, size_t why_size) {
    const hearth__remote_url *url = peer->url;
    for (size_t i = 0; i < peer->threads * url->count; i++) {
        peer->contexts[i] =
            redis_connection_open(url, i % url->count, PATIENCE_MS, why, why_size);
        if (peer->contexts[i] == NULL) {
            return false;
        }
    }
    return true;
}

static bool connect_memcached(struct hotkey_peer *peer) {
    const hearth__remote_url *url = peer->url;
    for (size_t i = 0; i < peer->threads; i++) {
        memcached_st *client = memcached_create(NULL);
        peer->clients[i] = client;
        bool made = client != NULL &&
                    memcached_behavior_set(client, MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED, 1) ==
                        MEMCACHED_SUCCESS &&
                    memcached_behavior_set(client, MEMCACHED_BEHAVIOR_TCP_NODELAY, 1) ==
                        MEMCACHED_SUCCESS;
        for (size_t at = 0; made && at < url->count; at++) {
            const hearth__node_address *node = &url->nodes[at];
            made = (node->port == 0
                        ? memcached_server_add_unix_socket_with_weight(client, node->host,
                                                                       node->weight)
                        : memcached_server_add_with_weight(client, node->host, node->port,
                                                           node->weight)) == MEMCACHED_SUCCESS;
        }
        if (!made) {
            return false;
        }
    }
    return true;
}

static struct hotkey_peer *open_threads(const struct hotkey_scene *scene, enum hotkey_mode mode,
                                        unsigned threads, char *why, size_t why_size) {
    char key[HOTKEY_KEY_BYTES];
    bool is_redis = scene->url.kind == HEARTH__REDIS;
    struct hotkey_peer *peer = calloc(1, sizeof *peer);
    if (peer == NULL) {
        return NULL;
    }
    peer->scene = scene;
    peer->url = mode == HOTKEY_PROXY ? &scene->proxy : &scene->url;
    peer->threads = threads;
    peer->key_size = hotkey_key(scene, 0, key);
    peer->contexts = calloc(threads * peer->url->count, sizeof(redisContext *));
    peer->clients = calloc(threads, sizeof(memcached_st *));
    (void)snprintf(why, why_size, "no connections for %s",
                   is_redis ? "hiredis" : "libmemcached");
    if (peer->contexts == NULL || peer->clients == NULL ||
        !(is_redis ? connect_redis(peer, why, why_size) : connect_memcached(peer))) {
        hotkey_peer_close(peer);
        return NULL;
    }
    return peer;
}

struct hotkey_peer *hotkey_peer_open(const struct hotkey_scene *scene, enum hotkey_mode mode,
                                     char *why, size_t why_size) {
    return open_threads(scene, mode, scene->settings.threads, why, why_size);
}

void hotkey_peer_close(struct hotkey_peer *peer) {
    if (peer == NULL) {
        return;
    }
    for (size_t i = 0; peer->contexts != NULL && i < peer->threads * peer->url->count; i++) {
        if (peer->contexts[i] != NULL) {
            redisFree(peer->contexts[i]);
        }
    }
    for (size_t i = 0; peer->clients != NULL && i < peer->threads; i++) {
        memcached_free(peer->clients[i]);
    }
    free(peer->contexts);
    free(peer->clients);
    free(peer);
}

/* ---- one key ----------------------------------------------------------------------------- */

static redisContext *context_of(const struct hotkey_peer *peer, unsigned thread, uint32_t id) {
    size_t node = peer->url == &peer->scene->url ? peer->scene->node_of[id] : 0;
    return peer->contexts[thread * peer->url->count + node];
}

static enum hotkey_peer_answer get_redis(struct hotkey_peer *peer, unsigned thread, uint32_t id,
                                         const char *key) {
    const char *words[] = {"GET", key};
    const size_t sizes[] = {3, peer->key_size};
    redisReply *reply = redisCommandArgv(context_of(peer, thread, id), 2, words, sizes);
    enum hotkey_peer_answer answer = HOTKEY_PEER_FAILED;
    if (reply != NULL && reply->type == REDIS_REPLY_NIL) {
        answer = HOTKEY_PEER_MISSED;
    } else if (reply != NULL && reply->type == REDIS_REPLY_STRING &&
               reply->len == hotkey_size_of(peer->scene, id) &&
               hotkey_is_value(reply->str, reply->len, id)) {
        answer = HOTKEY_PEER_FOUND;
    }
    freeReplyObject(reply);
    return answer;
}

static enum hotkey_peer_answer get_memcached(struct hotkey_peer *peer, unsigned thread,
                                             uint32_t id, const char *key) {
    uint32_t flags = 0;
    size_t size = 0;
    memcached_return_t result = MEMCACHED_SUCCESS;
    char *value =
        memcached_get(peer->clients[thread], key, peer->key_size, &size, &flags, &result);
    bool right = value != NULL && size == hotkey_size_of(peer->scene, id) &&
                 hotkey_is_value(value, size, id);
    free(value);
    if (result == MEMCACHED_NOTFOUND) {
        return HOTKEY_PEER_MISSED;
    }
    return right ? HOTKEY_PEER_FOUND : HOTKEY_PEER_FAILED;
}

enum hotkey_peer_answer hotkey_peer_get(struct hotkey_peer *peer, unsigned thread, uint32_t id,
                                        const char *key) {
    return peer->scene->url.kind == HEARTH__REDIS ? get_redis(peer, thread, id, key)
                                                  : get_memcached(peer, thread, id, key);
}

static void words_of_set(const struct hotkey_peer *peer, uint32_t id, const char *key,
                         const void *value, const char *words[5], size_t sizes[5]) {
    static const char *const fixed[] = {"SET", "EX", "3600"};
    words[0] = fixed[0];
    words[1] = key;
    words[2] = value;
    words[3] = fixed[1];
    words[4] = fixed[2];
    sizes[0] = 3;
    sizes[1] = peer->key_size;
    sizes[2] = hotkey_size_of(peer->scene, id);
    sizes[3] = 2;
    sizes[4] = 4;
}

bool hotkey_peer_set(struct hotkey_peer *peer, unsigned thread, uint32_t id, const char *key,
                     const void *value) {
    const char *words[5];
    size_t sizes[5];
    if (peer->scene->url.kind != HEARTH__REDIS) {
        return memcached_set(peer->clients[thread], key, peer->key_size, value,
                             hotkey_size_of(peer->scene, id), LIFE_S, 0) == MEMCACHED_SUCCESS;
    }
    words_of_set(peer, id, key, value, words, sizes);
    redisReply *reply = redisCommandArgv(context_of(peer, thread, id), 5, words, sizes);
    bool stored = reply != NULL && reply->type == REDIS_REPLY_STATUS;
    freeReplyObject(reply);
    return stored;
}

/* ---- all keys ---------------------------------------------------------------------------- */

static bool append(struct hotkey_peer *peer, uint32_t id, void *value) {
    char key[HOTKEY_KEY_BYTES];
    const char *words[5];
    size_t sizes[5];
    (void)hotkey_key(peer->scene, id, key);
    value_write(value, hotkey_size_of(peer->scene, id), id);
    words_of_set(peer, id, key, value, words, sizes);
    return redisAppendCommandArgv(context_of(peer, 0, id), 5, words, sizes) == REDIS_OK;
}

static bool take_reply(struct hotkey_peer *peer, uint32_t id) {
    void *taken = NULL;
    redisContext *context = context_of(peer, 0, id);
    bool stored = redisGetReply(context, &taken) == REDIS_OK &&
                  ((redisReply *)taken)->type == REDIS_REPLY_STATUS;
    freeReplyObject(taken);
    return stored;
}

/* Some hundred at once: a node answers while the next ones are written. */
static bool fill_redis(struct hotkey_peer *peer, void *value) {
    const uint32_t keys = peer->scene->keys;
    bool stored = true;
    int64_t begin_ns = hearth__monotonic_ns();
    for (uint32_t first = 0; stored && first < keys; first += BATCH) {
        hotkey_pace(peer->scene, begin_ns, first);
        uint32_t end = keys - first < BATCH ? keys : first + BATCH;
        stored = !hotkey_is_interrupted();
        for (uint32_t id = first; stored && id < end; id++) {
            stored = append(peer, id, value);
        }
        for (uint32_t id = first; stored && id < end; id++) {
            stored = take_reply(peer, id);
        }
    }
    return stored;
}

static bool fill_memcached(struct hotkey_peer *peer, void *value) {
    char key[HOTKEY_KEY_BYTES];
    bool stored = memcached_behavior_set(peer->clients[0], MEMCACHED_BEHAVIOR_NOREPLY, 1) ==
                      MEMCACHED_SUCCESS &&
                  memcached_behavior_set(peer->clients[0], MEMCACHED_BEHAVIOR_BUFFER_REQUESTS,
                                         1) == MEMCACHED_SUCCESS;
    int64_t begin_ns = hearth__monotonic_ns();
    for (uint32_t id = 0; stored && id < peer->scene->keys && !hotkey_is_interrupted(); id++) {
        if (id % BATCH == 0) {
            hotkey_pace(peer->scene, begin_ns, id);
        }
        (void)hotkey_key(peer->scene, id, key);
        value_write(value, hotkey_size_of(peer->scene, id), id);
        memcached_return_t result = memcached_set(peer->clients[0], key, peer->key_size, value,
                                                  hotkey_size_of(peer->scene, id), LIFE_S, 0);
        stored = result == MEMCACHED_SUCCESS || result == MEMCACHED_BUFFERED;
    }
    return memcached_flush_buffers(peer->clients[0]) == MEMCACHED_SUCCESS && stored &&
           !hotkey_is_interrupted();
}

bool hotkey_peer_fill(const struct hotkey_scene *scene, enum hotkey_mode mode, char *why,
                      size_t why_size) {
    struct hotkey_peer *peer = open_threads(scene, mode, 1, why, why_size);
    void *value = malloc(scene->settings.value_high);
    bool stored = peer != NULL && value != NULL &&
                  (scene->url.kind == HEARTH__REDIS ? fill_redis(peer, value)
                                                    : fill_memcached(peer, value));
    if (peer != NULL && !stored) {
        (void)snprintf(why, why_size, "%s",
                       hotkey_is_interrupted() ? "interrupted"
                                               : "the servers do not keep the keys");
    }
    free(value);
    hotkey_peer_close(peer);
    return stored;
}
