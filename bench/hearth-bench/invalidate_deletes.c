/* SPDX-License-Identifier: Apache-2.0 */
/* How a family of keys is invalidated without Hearth: each of them is deleted, in pipelines. */
#include "hearth-bench/invalidate.h"

#include "base/clock.h"
#include "hearth-bench/workload.h"

#include <hiredis/hiredis.h>
#include <libmemcached/memcached.h>
#include <stdlib.h>

enum { PIPELINE = 1000 };

/* ---- Redis ------------------------------------------------------------------------------ */

/* How many of the keys were there. */
static uint32_t delete_some(redisContext *context, uint32_t first, uint32_t count) {
    static const size_t sizes[] = {3, KEY_SIZE};
    uint32_t deleted = 0;
    for (uint32_t i = 0; i < count; i++) {
        char key[KEY_SIZE];
        const char *words[] = {"DEL", key};
        key_write(key, first + i);
        (void)redisAppendCommandArgv(context, 2, words, sizes);
    }
    for (uint32_t i = 0; i < count; i++) {
        void *taken = NULL;
        if (redisGetReply(context, &taken) != REDIS_OK) {
            break;
        }
        const redisReply *reply = taken;
        deleted += reply->type == REDIS_REPLY_INTEGER && reply->integer == 1;
        freeReplyObject(taken);
    }
    return deleted;
}

static bool delete_from_redis(const struct server_node *node, uint32_t count,
                              int64_t *took_ns) {
    redisContext *context = redisConnectUnix(node->path);
    uint32_t deleted = 0;
    if (context != NULL && context->err == 0) {
        int64_t begin_ns = hearth__monotonic_ns();
        for (uint32_t done = 0; done < count; done += PIPELINE) {
            deleted +=
                delete_some(context, done, count - done < PIPELINE ? count - done : PIPELINE);
        }
        *took_ns = hearth__monotonic_ns() - begin_ns;
    }
    if (context != NULL) {
        redisFree(context);
    }
    return deleted == count;
}

/* ---- Memcached -------------------------------------------------------------------------- */

static bool has(memcached_st *client, uint32_t id) {
    char key[KEY_SIZE];
    size_t size = 0;
    uint32_t flags = 0;
    memcached_return_t result = MEMCACHED_SUCCESS;
    key_write(key, id);
    char *value = memcached_get(client, key, KEY_SIZE, &size, &flags, &result);
    free(value);
    return result == MEMCACHED_SUCCESS;
}

static bool set_noreply(memcached_st *client, uint64_t on) {
    return memcached_behavior_set(client, MEMCACHED_BEHAVIOR_NOREPLY, on) == MEMCACHED_SUCCESS;
}

/* Without replies, as many at once as its buffer takes; the answer to a get on the same connection says that all are done. */
static bool delete_all(memcached_st *client, uint32_t count) {
    bool good = memcached_behavior_set(client, MEMCACHED_BEHAVIOR_BUFFER_REQUESTS, 1) ==
                    MEMCACHED_SUCCESS &&
                set_noreply(client, 1);
    for (uint32_t i = 0; good && i < count; i++) {
        char key[KEY_SIZE];
        key_write(key, i);
        memcached_return_t result = memcached_delete(client, key, KEY_SIZE, 0);
        good = result == MEMCACHED_SUCCESS || result == MEMCACHED_BUFFERED;
    }
    return good && memcached_flush_buffers(client) == MEMCACHED_SUCCESS &&
           set_noreply(client, 0) && !has(client, count - 1);
}

static bool delete_from_memcached(const struct server_node *node, uint32_t count,
                                  int64_t *took_ns) {
    memcached_st *client = memcached_create(NULL);
    bool good = client != NULL &&
                memcached_server_add_unix_socket(client, node->path) == MEMCACHED_SUCCESS;
    good = good && has(client, 0) && has(client, count / 2) && has(client, count - 1);
    if (good) {
        int64_t begin_ns = hearth__monotonic_ns();
        good = delete_all(client, count);
        *took_ns = hearth__monotonic_ns() - begin_ns;
        good = good && !has(client, 0) && !has(client, count / 2);
    }
    if (client != NULL) {
        memcached_free(client);
    }
    return good;
}

int invalidate_delete_all(const struct bench *bench, const struct server_node *node,
                          uint32_t count, int64_t *took_ns) {
    bool done = node->kind == SERVER_REDIS ? delete_from_redis(node, count, took_ns)
                                           : delete_from_memcached(node, count, took_ns);
    return done ? 0 : bench_fail(bench, "the peer did not delete all keys");
}
