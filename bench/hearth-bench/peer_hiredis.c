/* SPDX-License-Identifier: Apache-2.0 */
/* hiredis as most programs use it: a connection a thread, one command after the other. */
#include "hearth-bench/clients.h"

#include <stdio.h>
#include <stdlib.h>

#include <hiredis/hiredis.h>

enum { PIPELINE = 64 };

struct hiredis_peer {
    const struct client_keys *keys;
    size_t nodes;
    size_t count;             /* of connections */
    redisContext *contexts[]; /* a thread's are beside each other */
};

struct hiredis_peer *hiredis_create(const struct server_node *nodes, size_t count,
                                    unsigned threads, const struct client_keys *keys) {
    struct hiredis_peer *peer =
        calloc(1, sizeof *peer + threads * count * sizeof(redisContext *));
    if (peer == NULL) {
        return NULL;
    }
    peer->keys = keys;
    peer->nodes = count;
    peer->count = threads * count;
    for (size_t i = 0; i < peer->count; i++) {
        const struct server_node *node = &nodes[i % count];
        redisContext *context = node->transport == SERVER_UNIX
                                    ? redisConnectUnix(node->path)
                                    : redisConnect(node->host, node->port);
        peer->contexts[i] = context;
        if (context == NULL || context->err != 0) {
            hiredis_destroy(peer);
            return NULL;
        }
    }
    return peer;
}

void hiredis_destroy(struct hiredis_peer *peer) {
    if (peer == NULL) {
        return;
    }
    for (size_t i = 0; i < peer->count; i++) {
        if (peer->contexts[i] != NULL) {
            redisFree(peer->contexts[i]);
        }
    }
    free(peer);
}

const struct client_keys *hiredis_keys(const struct hiredis_peer *peer) {
    return peer->keys;
}

static redisContext *context_of(const struct hiredis_peer *peer, unsigned thread, uint32_t id) {
    return peer->contexts[thread * peer->nodes + peer->keys->node_of[id]];
}

/* What Hearth stored under the key, its header before it. */
static bool is_answer(const redisReply *reply, uint32_t id, size_t size) {
    return reply->type == REDIS_REPLY_STRING && reply->len > size &&
           value_is(reply->str + reply->len - size, size, id);
}

static bool take(redisContext *context, redisReply **reply) {
    void *taken = NULL;
    bool good = redisGetReply(context, &taken) == REDIS_OK;
    *reply = taken;
    return good;
}

static bool get(const struct hiredis_peer *peer, unsigned thread, uint32_t id, size_t size) {
    const char *words[] = {"GET", peer->keys->keys[id]};
    const size_t sizes[] = {3, KEY_SIZE};
    redisReply *reply = redisCommandArgv(context_of(peer, thread, id), 2, words, sizes);
    bool right = reply != NULL && is_answer(reply, id, size);
    if (reply != NULL) {
        freeReplyObject(reply);
    }
    return right;
}

bool hiredis_get(void *arg, unsigned thread, uint64_t count) {
    const struct hiredis_peer *peer = arg;
    return get(peer, thread, client_pick(peer->keys, thread, count), peer->keys->value_size);
}

bool hiredis_get_large(void *arg, unsigned thread, uint64_t count) {
    const struct hiredis_peer *peer = arg;
    return client_is_large(peer->keys, thread, count)
               ? get(peer, thread, client_pick_large(peer->keys, thread, count),
                     CLIENT_LARGE_BYTES)
               : hiredis_get(arg, thread, count);
}

bool hiredis_get_ttl(void *arg, unsigned thread, uint64_t count) {
    const struct hiredis_peer *peer = arg;
    const uint32_t id = client_pick(peer->keys, thread, count);
    redisContext *context = context_of(peer, thread, id);
    const char *life[] = {"PTTL", peer->keys->keys[id]};
    const char *words[] = {"GET", peer->keys->keys[id]};
    const size_t life_sizes[] = {4, KEY_SIZE};
    const size_t sizes[] = {3, KEY_SIZE};
    redisReply *ttl = NULL;
    redisReply *reply = NULL;
    bool right = redisAppendCommandArgv(context, 2, life, life_sizes) == REDIS_OK &&
                 redisAppendCommandArgv(context, 2, words, sizes) == REDIS_OK &&
                 take(context, &ttl) && take(context, &reply) &&
                 ttl->type == REDIS_REPLY_INTEGER && ttl->integer > 0 &&
                 is_answer(reply, id, peer->keys->value_size);
    freeReplyObject(ttl);
    freeReplyObject(reply);
    return right;
}

static bool set(const struct hiredis_peer *peer, unsigned thread, uint32_t id) {
    const struct client_keys *keys = peer->keys;
    const char *words[] = {"SET", keys->keys[id], keys->stored[id], "PX", "43200000"};
    const size_t sizes[] = {3, KEY_SIZE, keys->stored_size, 2, 8};
    redisReply *reply = redisCommandArgv(context_of(peer, thread, id), 5, words, sizes);
    bool right = reply != NULL && reply->type == REDIS_REPLY_STATUS;
    if (reply != NULL) {
        freeReplyObject(reply);
    }
    return right;
}

bool hiredis_mixed(void *arg, unsigned thread, uint64_t count) {
    const struct hiredis_peer *peer = arg;
    return client_writes(peer->keys, thread, count)
               ? set(peer, thread, client_pick(peer->keys, thread, count))
               : hiredis_get(arg, thread, count);
}

/* The keys of the last node. */
static void pick_many(const struct hiredis_peer *peer, unsigned thread, uint64_t count,
                      uint32_t ids[PIPELINE]) {
    uint64_t at = count * PIPELINE * peer->nodes;
    for (size_t picked = 0; picked < PIPELINE; at++) {
        ids[picked] = client_pick(peer->keys, thread, at);
        picked += peer->keys->node_of[ids[picked]] == peer->nodes - 1;
    }
}

bool hiredis_pipeline(void *arg, unsigned thread, uint64_t count) {
    const struct hiredis_peer *peer = arg;
    const size_t sizes[] = {3, KEY_SIZE};
    uint32_t ids[PIPELINE] = {0};
    pick_many(peer, thread, count, ids);
    redisContext *context = context_of(peer, thread, ids[0]);
    bool right = true;
    for (size_t i = 0; i < PIPELINE; i++) {
        const char *words[] = {"GET", peer->keys->keys[ids[i]]};
        right = redisAppendCommandArgv(context, 2, words, sizes) == REDIS_OK && right;
    }
    for (size_t i = 0; right && i < PIPELINE; i++) {
        redisReply *reply = NULL;
        right = take(context, &reply) && is_answer(reply, ids[i], peer->keys->value_size);
        freeReplyObject(reply);
    }
    return right;
}

/* The same without a library between: the keys of all nodes, a pipeline each, and all of them sent before one is read. */
bool hiredis_pipelines(void *arg, unsigned thread, uint64_t count) {
    const struct hiredis_peer *peer = arg;
    const size_t sizes[] = {3, KEY_SIZE};
    uint32_t ids[PIPELINE];
    bool right = true;
    for (size_t i = 0; i < PIPELINE; i++) {
        ids[i] = client_pick(peer->keys, thread, count * PIPELINE + i);
        const char *words[] = {"GET", peer->keys->keys[ids[i]]};
        right = redisAppendCommandArgv(context_of(peer, thread, ids[i]), 2, words, sizes) ==
                    REDIS_OK &&
                right;
    }
    for (size_t node = 0; node < peer->nodes; node++) {
        int done = 0;
        while (right && done == 0) {
            right = redisBufferWrite(peer->contexts[thread * peer->nodes + node], &done) ==
                    REDIS_OK;
        }
    }
    for (size_t i = 0; right && i < PIPELINE; i++) {
        redisReply *reply = NULL;
        right = take(context_of(peer, thread, ids[i]), &reply) &&
                is_answer(reply, ids[i], peer->keys->value_size);
        freeReplyObject(reply);
    }
    return right;
}
