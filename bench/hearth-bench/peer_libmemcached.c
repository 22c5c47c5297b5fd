/* SPDX-License-Identifier: Apache-2.0 */
/* libmemcached as most programs with threads use it: a memcached_st each. */
#include "hearth-bench/clients.h"

#include <libmemcached/memcached.h>
#include <stdlib.h>
#include <string.h>

struct libmemcached_peer {
    const struct client_keys *keys;
    memcached_st *clients[SWARM_THREADS];
};

static memcached_st *connect_to(const struct server_node *node) {
    memcached_st *client = memcached_create(NULL);
    if (client == NULL) {
        return NULL;
    }
    memcached_return_t added =
        node->transport == SERVER_UNIX
            ? memcached_server_add_unix_socket(client, node->path)
            : memcached_server_add(client, node->host, (in_port_t)node->port);
    if (added != MEMCACHED_SUCCESS ||
        memcached_behavior_set(client, MEMCACHED_BEHAVIOR_TCP_NODELAY, 1) !=
            MEMCACHED_SUCCESS) {
        memcached_free(client);
        return NULL;
    }
    return client;
}

struct libmemcached_peer *libmemcached_create(const struct server_node *node,
                                              const struct client_keys *keys) {
    struct libmemcached_peer *peer = calloc(1, sizeof *peer);
    if (peer == NULL) {
        return NULL;
    }
    peer->keys = keys;
    for (size_t i = 0; i < SWARM_THREADS; i++) {
        peer->clients[i] = connect_to(node);
        if (peer->clients[i] == NULL) {
            libmemcached_destroy(peer);
            return NULL;
        }
    }
    return peer;
}

void libmemcached_destroy(struct libmemcached_peer *peer) {
    if (peer == NULL) {
        return;
    }
    for (size_t i = 0; i < SWARM_THREADS; i++) {
        if (peer->clients[i] != NULL) {
            memcached_free(peer->clients[i]);
        }
    }
    free(peer);
}

char *libmemcached_look(struct libmemcached_peer *peer, uint32_t id, size_t *size) {
    uint32_t flags = 0;
    memcached_return_t result = MEMCACHED_SUCCESS;
    return memcached_get(peer->clients[0], peer->keys->keys[id], KEY_SIZE, size, &flags,
                         &result);
}

bool libmemcached_get(void *arg, unsigned thread, uint64_t count) {
    const struct libmemcached_peer *peer = arg;
    const uint32_t id = client_pick(peer->keys, thread, count);
    const size_t value_size = peer->keys->value_size;
    uint32_t flags = 0;
    size_t size = 0;
    memcached_return_t result = MEMCACHED_SUCCESS;
    char *value = memcached_get(peer->clients[thread], peer->keys->keys[id], KEY_SIZE, &size,
                                &flags, &result);
    bool right = value != NULL && size > value_size &&
                 value_is(value + size - value_size, value_size, id);
    free(value);
    return right;
}

bool libmemcached_set(void *arg, unsigned thread, uint64_t count) {
    const struct libmemcached_peer *peer = arg;
    const struct client_keys *keys = peer->keys;
    const uint32_t id = client_pick(keys, thread, count);
    return memcached_set(peer->clients[thread], keys->keys[id], KEY_SIZE, keys->stored[id],
                         keys->stored_size, 43200, 0) == MEMCACHED_SUCCESS;
}
