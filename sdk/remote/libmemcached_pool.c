/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/libmemcached_pool.h"

#include "base/clock.h"
#include "base/fork.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/stat.h"

#include <hearth/errors.h>

#include <pthread.h>
#include <string.h>
#include <time.h>

enum {
    NS_PER_MS = 1000000,
    RETRY_LEAST_MS = 750, /* and up to 500 more */
    RETRY_JITTER_MS = 500,
    JOINED_KEPT_BYTES = 1 << 20,
};

struct hearth__lmc_pool {
    hearth__node_config config;
    pthread_mutex_t lock;
    pthread_cond_t returned;
    bool failing;        /* the last attempt to open a connection failed */
    int64_t retry_at_ns; /* while failing: no attempt before */
    size_t count;
    hearth__lmc_connection *connections;
    size_t idle_count;
    hearth__lmc_connection **idle; /* the one to take next is the last */
};

/* ---- one connection ---- */

bool hearth__lmc_set_deadline(hearth__lmc_connection *connection, int64_t deadline_ns) {
    int64_t left_ns = deadline_ns - hearth__monotonic_ns();
    int64_t left_ms = left_ns > 0 ? (left_ns - 1) / NS_PER_MS + 1 : 0;
    uint64_t timeout_ms = left_ms < INT32_MAX ? (uint64_t)left_ms : INT32_MAX;
    memcached_behavior_set(connection->client, MEMCACHED_BEHAVIOR_POLL_TIMEOUT, timeout_ms);
    memcached_behavior_set(connection->client, MEMCACHED_BEHAVIOR_CONNECT_TIMEOUT, timeout_ms);
    return left_ms > 0;
}

static bool add_server(memcached_st *client, const hearth__node_address *address) {
    memcached_return_t result = address->port != 0
                                    ? memcached_server_add(client, address->host, address->port)
                                    : memcached_server_add_unix_socket(client, address->host);
    return memcached_success(result);
}

static bool create_client(hearth__lmc_connection *connection,
                          const hearth__node_address *address) {
    memcached_st *client = memcached_create(NULL);
    if (client == NULL) {
        return false;
    }
    memcached_behavior_set(client, MEMCACHED_BEHAVIOR_TCP_NODELAY, 1);
    memcached_behavior_set(client, MEMCACHED_BEHAVIOR_SUPPORT_CAS, 1);
    if (!add_server(client, address) ||
        memcached_result_create(client, &connection->answer) == NULL) {
        memcached_free(client);
        return false;
    }
    connection->client = client;
    connection->fork_generation = hearth__fork_generation();
    return true;
}

/* A child leaves its parent's connection open and its memory allocated: to free it would say `quit`
 * on the parent's socket. */
static void close_client(hearth__lmc_connection *connection) {
    if (connection->client != NULL &&
        connection->fork_generation == hearth__fork_generation()) {
        /* It says `quit` to the server: with no time to wait for it. */
        memcached_behavior_set(connection->client, MEMCACHED_BEHAVIOR_POLL_TIMEOUT, 0);
        memcached_result_free(&connection->answer);
        memcached_free(connection->client);
    }
    connection->client = NULL;
}

/* ---- when a connection may be opened ---- */

/* Whether an attempt may be made now. While the node fails, one caller at a time tries. */
static bool may_open(hearth__lmc_pool *pool) {
    pthread_mutex_lock(&pool->lock);
    int64_t now_ns = hearth__monotonic_ns();
    bool may = !pool->failing || now_ns >= pool->retry_at_ns;
    if (may && pool->failing) {
        pool->retry_at_ns = now_ns + INT64_C(1000) * NS_PER_MS;
    }
    pthread_mutex_unlock(&pool->lock);
    return may;
}

static void note_failure(hearth__lmc_pool *pool, int32_t status) {
    uint64_t pause_ms = RETRY_LEAST_MS + hearth__random_u64() % RETRY_JITTER_MS;
    pthread_mutex_lock(&pool->lock);
    bool first = !pool->failing;
    pool->failing = true;
    pool->retry_at_ns = hearth__monotonic_ns() + (int64_t)pause_ms * NS_PER_MS;
    pthread_mutex_unlock(&pool->lock);
    if (first) {
        hearth__log_add(pool->config.remote->log, HEARTH_LOG_WARNING, status,
                        "memcached %s cannot be reached", pool->config.name);
    }
}

static void note_success(hearth__lmc_pool *pool) {
    pthread_mutex_lock(&pool->lock);
    bool back = pool->failing;
    pool->failing = false;
    pthread_mutex_unlock(&pool->lock);
    HEARTH__COUNT(pool->config.remote->counters, connects);
    if (back) {
        hearth__log_add(pool->config.remote->log, HEARTH_LOG_NOTICE, HEARTH_OK,
                        "memcached %s is back", pool->config.name);
    }
}

/* Connects and asks for the version: so connecting is a step of its own, and the version is known
 * exactly as long as this connection is open. */
static int32_t handshake(hearth__lmc_connection *connection) {
    if (memcached_success(memcached_version(connection->client))) {
        return HEARTH_OK;
    }
    return memcached_last_error(connection->client) == MEMCACHED_TIMEOUT ? HEARTH_E_TIMEOUT
                                                                         : HEARTH_E_UNAVAILABLE;
}

/* Half of the time that is left: a node that does not answer must not take all of a batch that goes
 * to others too. */
static int64_t opening_until(const hearth__lmc_pool *pool, int64_t now_ns,
                             int64_t deadline_ns) {
    int64_t most_ns = hearth__deadline_ns(pool->config.remote->timeout_ms);
    int64_t half_ns = now_ns + (deadline_ns - now_ns) / 2;
    return half_ns < most_ns ? half_ns : most_ns;
}

int32_t hearth__lmc_pool_open(hearth__lmc_pool *pool, int64_t deadline_ns,
                              hearth__lmc_connection *connection) {
    const hearth__remote_config *remote = pool->config.remote;
    int64_t begun_ns = hearth__monotonic_ns();
    if (begun_ns >= deadline_ns) {
        return HEARTH_E_TIMEOUT;
    }
    if (!may_open(pool)) {
        return HEARTH_E_UNAVAILABLE;
    }
    if (!create_client(connection, pool->config.address)) {
        return HEARTH_E_NOMEM;
    }
    (void)hearth__lmc_set_deadline(connection, opening_until(pool, begun_ns, deadline_ns));
    connection->used_before = false;
    int32_t status = handshake(connection);
    if (status == HEARTH_OK) {
        note_success(pool);
        return HEARTH_OK;
    }
    close_client(connection);
    HEARTH__COUNT(remote->counters, connect_errors);
    /* A caller who had hardly any time left says nothing about the node. */
    int64_t took_ns = hearth__monotonic_ns() - begun_ns;
    if (status != HEARTH_E_TIMEOUT || took_ns / NS_PER_MS >= remote->timeout_ms / 4) {
        note_failure(pool, status);
    }
    return status;
}

void hearth__lmc_pool_break(hearth__lmc_pool *pool, hearth__lmc_connection *connection) {
    if (connection->client != NULL) {
        close_client(connection);
        HEARTH__COUNT(pool->config.remote->counters, disconnects);
    }
}

/* ---- the pool ---- */

static bool init_locks(hearth__lmc_pool *pool) {
    pthread_condattr_t monotonic;
    if (pthread_condattr_init(&monotonic) != 0) {
        return false;
    }
    bool done = pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0 &&
                pthread_cond_init(&pool->returned, &monotonic) == 0;
    pthread_condattr_destroy(&monotonic);
    if (done && pthread_mutex_init(&pool->lock, NULL) != 0) {
        pthread_cond_destroy(&pool->returned);
        done = false;
    }
    return done;
}

hearth__lmc_pool *hearth__lmc_pool_create(const hearth__node_config *config) {
    size_t count = config->remote->lanes != 0 ? config->remote->lanes : 1;
    hearth__lmc_pool *pool = hearth__alloc_zero(1, sizeof *pool);
    if (pool == NULL) {
        return NULL;
    }
    pool->config = *config;
    pool->count = count;
    pool->connections = hearth__alloc_zero(count, sizeof *pool->connections);
    pool->idle = hearth__alloc_zero(count, sizeof(hearth__lmc_connection *));
    if (pool->connections == NULL || pool->idle == NULL || !init_locks(pool)) {
        hearth__free(pool->idle);
        hearth__free(pool->connections);
        hearth__free(pool);
        return NULL;
    }
    for (; pool->idle_count < count; pool->idle_count++) {
        pool->idle[pool->idle_count] = &pool->connections[pool->idle_count];
    }
    return pool;
}

void hearth__lmc_pool_destroy(hearth__lmc_pool *pool) {
    if (pool == NULL) {
        return;
    }
    for (size_t i = 0; i < pool->count; i++) {
        close_client(&pool->connections[i]);
        hearth__buffer_fini(&pool->connections[i].joined);
    }
    pthread_mutex_destroy(&pool->lock);
    pthread_cond_destroy(&pool->returned);
    hearth__free(pool->idle);
    hearth__free(pool->connections);
    hearth__free(pool);
}

/* Until a connection is idle; false: the deadline passed. The lock is held. */
static bool await_idle(hearth__lmc_pool *pool, int64_t deadline_ns) {
    const struct timespec until = {.tv_sec = deadline_ns / (INT64_C(1000) * NS_PER_MS),
                                   .tv_nsec = deadline_ns % (INT64_C(1000) * NS_PER_MS)};
    while (pool->idle_count == 0) {
        if (hearth__monotonic_ns() >= deadline_ns) {
            return false;
        }
        if (deadline_ns == HEARTH__NEVER) {
            pthread_cond_wait(&pool->returned, &pool->lock);
        } else {
            (void)pthread_cond_timedwait(&pool->returned, &pool->lock, &until);
        }
    }
    return true;
}

int32_t hearth__lmc_pool_take(hearth__lmc_pool *pool, int64_t deadline_ns,
                              hearth__lmc_connection **out) {
    hearth__lmc_connection *connection = NULL;
    pthread_mutex_lock(&pool->lock);
    if (await_idle(pool, deadline_ns)) {
        connection = pool->idle[--pool->idle_count];
    }
    pthread_mutex_unlock(&pool->lock);
    if (connection == NULL) {
        return HEARTH_E_TIMEOUT;
    }
    connection->used_before = true;
    int32_t status = HEARTH_OK;
    if (connection->client == NULL) {
        status = hearth__lmc_pool_open(pool, deadline_ns, connection);
    }
    if (status != HEARTH_OK) {
        hearth__lmc_pool_give(pool, connection);
        return status;
    }
    *out = connection;
    return HEARTH_OK;
}

void hearth__lmc_pool_give(hearth__lmc_pool *pool, hearth__lmc_connection *connection) {
    if (connection->joined.capacity > JOINED_KEPT_BYTES) {
        hearth__buffer_fini(&connection->joined);
    }
    pthread_mutex_lock(&pool->lock);
    if (connection->client != NULL) {
        pool->idle[pool->idle_count] = connection;
    } else { /* the open ones are taken first */
        memmove(pool->idle + 1, pool->idle,
                pool->idle_count * sizeof(hearth__lmc_connection *));
        pool->idle[0] = connection;
    }
    pool->idle_count++;
    pthread_cond_signal(&pool->returned);
    pthread_mutex_unlock(&pool->lock);
}
