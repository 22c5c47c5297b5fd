/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/redis_pool.h"

#include "base/clock.h"
#include "base/fork.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/stat.h"
#include "remote/redis_connect.h"

#include <hearth/errors.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS INT64_C(1000000000)

struct hearth__redis_pool {
    uint64_t fork_generation;
    hearth__node *node;
    struct hearth__redis_pool *inherited; /* the parent's */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint32_t waiters;
    bool attempting; /* one thread makes a connection */
    bool down;       /* the last one could not be made */
    int64_t retry_at_ns;
    hearth__redis_connection *idle;  /* the one used last is first */
    hearth__redis_connection *empty; /* without a socket */
    size_t lanes;
    hearth__redis_connection connections[];
};

static void push(hearth__redis_connection **list, hearth__redis_connection *connection) {
    connection->next = *list;
    *list = connection;
}

static hearth__redis_connection *pop(hearth__redis_connection **list) {
    hearth__redis_connection *connection = *list;
    if (connection != NULL) {
        *list = connection->next;
    }
    return connection;
}

/* ---- making and ending a pool --------------------------------------------------------------- */

static bool init_waiting(hearth__redis_pool *pool) {
    pthread_condattr_t attributes;
    if (pthread_mutex_init(&pool->lock, NULL) != 0) {
        return false;
    }
    if (pthread_condattr_init(&attributes) == 0) {
        bool made = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
                    pthread_cond_init(&pool->changed, &attributes) == 0;
        (void)pthread_condattr_destroy(&attributes);
        if (made) {
            return true;
        }
    }
    (void)pthread_mutex_destroy(&pool->lock);
    return false;
}

static hearth__redis_pool *create(hearth__node *node) {
    size_t lanes = node->config.remote->lanes != 0 ? node->config.remote->lanes : 1;
    hearth__redis_pool *pool =
        hearth__alloc_zero(1, sizeof *pool + lanes * sizeof(hearth__redis_connection));
    if (pool == NULL) {
        return NULL;
    }
    if (!init_waiting(pool)) {
        hearth__free(pool);
        return NULL;
    }
    pool->fork_generation = hearth__fork_generation();
    pool->node = node;
    pool->lanes = lanes;
    for (size_t i = lanes; i > 0; i--) {
        hearth__redis_connection *connection = &pool->connections[i - 1];
        atomic_init(&connection->fd, -1);
        connection->pool = pool;
        push(&pool->empty, connection);
    }
    return pool;
}

static void destroy(hearth__redis_pool *pool) {
    for (size_t i = 0; i < pool->lanes; i++) {
        hearth__redis_connection_close(&pool->connections[i]);
    }
    (void)pthread_cond_destroy(&pool->changed);
    (void)pthread_mutex_destroy(&pool->lock);
    hearth__free(pool);
}

/* Closes this process's copies of the parent's sockets. */
static void leave_sockets(hearth__redis_pool *pool) {
    for (size_t i = 0; i < pool->lanes; i++) {
        int fd = atomic_exchange(&pool->connections[i].fd, -1);
        if (fd >= 0) {
            (void)close(fd);
        }
    }
}

/* In a child. What a thread of the parent was working on stays allocated: nobody knows in which
 * state it is. */
static void destroy_inherited(hearth__redis_pool *pool) {
    bool torn = false;
    leave_sockets(pool);
    for (size_t i = 0; i < pool->lanes; i++) {
        if (atomic_load(&pool->connections[i].busy)) {
            torn = true;
        } else {
            hearth__redis_connection_close(&pool->connections[i]);
        }
    }
    if (!torn) {
        hearth__free(pool);
    }
}

int32_t hearth__redis_pool_create(hearth__node *node) {
    hearth__redis_pool *pool = create(node);
    atomic_init(&node->pool, pool);
    return pool != NULL ? HEARTH_OK : HEARTH_E_NOMEM;
}

void hearth__redis_pool_destroy(hearth__node *node) {
    hearth__redis_pool *pool = atomic_load(&node->pool);
    while (pool != NULL) {
        hearth__redis_pool *inherited = pool->inherited;
        if (pool->fork_generation == hearth__fork_generation()) {
            destroy(pool);
        } else {
            destroy_inherited(pool);
        }
        pool = inherited;
    }
}

/* The pool of this process; NULL: no memory. */
static hearth__redis_pool *own_pool(hearth__node *node) {
    hearth__redis_pool *pool = atomic_load_explicit(&node->pool, memory_order_acquire);
    if (pool->fork_generation == hearth__fork_generation()) {
        return pool;
    }
    hearth__redis_pool *fresh = create(node);
    if (fresh == NULL) {
        return NULL;
    }
    fresh->inherited = pool;
    if (!atomic_compare_exchange_strong(&node->pool, &pool, fresh)) {
        destroy(fresh); /* another thread of the child was first */
        return pool;
    }
    leave_sockets(fresh->inherited);
    return fresh;
}

/* ---- making a connection -------------------------------------------------------------------- */

/* About a second, so that many processes do not try at the same moments. */
static int64_t pause_ns(void) {
    return SECOND_NS * 3 / 4 + (int64_t)(hearth__random_u64() % (SECOND_NS / 2));
}

/* A caller with little time left says little about the node. */
static bool says_something(const hearth__node *node, const hearth__redis_attempt *result,
                           int64_t began_ns) {
    int64_t tried_ns = hearth__monotonic_ns() - began_ns;
    return result->status != HEARTH_E_NOMEM &&
           (result->status != HEARTH_E_TIMEOUT ||
            tried_ns >= node->config.remote->timeout_ms * (SECOND_NS / 1000) / 2);
}

static void log_change(const hearth__node *node, const hearth__redis_attempt *result) {
    hearth__log *log = node->config.remote->log;
    const char *name = node->config.name;
    if (result->status == HEARTH_OK) {
        hearth__log_add(log, HEARTH_LOG_NOTICE, HEARTH_OK, "node %.80s is back", name);
        return;
    }
    hearth__log_add(log, result->refused ? HEARTH_LOG_ERROR : HEARTH_LOG_WARNING,
                    result->status, "node %.80s cannot be used: %.120s", name, result->why);
}

/* Under the lock. Whether it is worth a log record. */
static bool note_outcome(hearth__redis_pool *pool, const hearth__redis_attempt *result,
                         int64_t began_ns) {
    bool was_down = pool->down;
    pool->attempting = false;
    if (result->status == HEARTH_OK) {
        pool->down = false;
    } else if (says_something(pool->node, result, began_ns)) {
        pool->down = true;
        pool->retry_at_ns = hearth__monotonic_ns() + pause_ns();
    }
    return pool->down != was_down;
}

/* The lock is held on entry and not on return. */
static int32_t attempt(hearth__redis_pool *pool, hearth__redis_connection *connection,
                       int64_t deadline_ns) {
    hearth__redis_attempt result;
    int64_t own_deadline_ns = hearth__deadline_ns(pool->node->config.remote->timeout_ms);
    int64_t began_ns = hearth__monotonic_ns();
    pool->attempting = true;
    atomic_store(&connection->busy, true);
    pthread_mutex_unlock(&pool->lock);
    hearth__redis_connect(&pool->node->config, connection,
                          deadline_ns < own_deadline_ns ? deadline_ns : own_deadline_ns,
                          &result);
    pthread_mutex_lock(&pool->lock);
    bool changed = note_outcome(pool, &result, began_ns);
    if (result.status != HEARTH_OK) {
        atomic_store(&connection->busy, false);
        push(&pool->empty, connection);
    }
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
    if (changed) {
        log_change(pool->node, &result);
    }
    return result.status;
}

/* ---- taking and giving ---------------------------------------------------------------------- */

/* Under the lock; false: the deadline passed. */
static bool wait_for_change(hearth__redis_pool *pool, int64_t deadline_ns) {
    struct timespec until = {.tv_sec = deadline_ns / SECOND_NS,
                             .tv_nsec = deadline_ns % SECOND_NS};
    pool->waiters++;
    int error = pthread_cond_timedwait(&pool->changed, &pool->lock, &until);
    pool->waiters--;
    return error == 0;
}

static bool must_wait(const hearth__redis_pool *pool) {
    return pool->empty == NULL || (pool->attempting && !pool->down);
}

static bool must_give_up(const hearth__redis_pool *pool) {
    return pool->down && (pool->attempting || hearth__monotonic_ns() < pool->retry_at_ns);
}

/* Under the lock: a connection to look at; one without a socket is not among them. */
static hearth__redis_connection *pick(hearth__redis_pool *pool, bool fresh) {
    if (fresh && pool->empty != NULL) {
        return NULL;
    }
    hearth__redis_connection *connection = pop(&pool->idle);
    if (connection != NULL) {
        atomic_store(&connection->busy, true);
    }
    return connection;
}

/* The lock is not held on entry; it is on return. */
static void empty_out(hearth__redis_pool *pool, hearth__redis_connection *connection) {
    hearth__redis_connection_close(connection);
    pthread_mutex_lock(&pool->lock);
    atomic_store(&connection->busy, false);
    push(&pool->empty, connection);
}

/* Under the lock: an idle connection, the lock not held on return; HEARTH_MISS with the lock
 * held: one must be made. */
static int32_t take_idle(hearth__redis_pool *pool, bool fresh, int64_t deadline_ns,
                         hearth__redis_connection **out) {
    for (;;) {
        hearth__redis_connection *connection = pick(pool, fresh);
        if (connection != NULL) {
            pthread_mutex_unlock(&pool->lock);
            if (!fresh && hearth__redis_is_quiet(connection)) {
                *out = connection;
                return HEARTH_OK;
            }
            HEARTH__COUNT(pool->node->config.remote->counters, disconnects);
            empty_out(pool, connection);
        } else if (!must_wait(pool)) {
            return HEARTH_MISS;
        } else if (!wait_for_change(pool, deadline_ns)) {
            pthread_mutex_unlock(&pool->lock);
            return HEARTH_E_TIMEOUT;
        }
    }
}

/* Under the lock, which is not held on return. */
static int32_t take_empty(hearth__redis_pool *pool, int64_t deadline_ns,
                          hearth__redis_connection **out) {
    hearth__redis_connection *connection = must_give_up(pool) ? NULL : pop(&pool->empty);
    if (connection == NULL) {
        pthread_mutex_unlock(&pool->lock);
        return HEARTH_E_UNAVAILABLE;
    }
    *out = connection;
    return attempt(pool, connection, deadline_ns);
}

int32_t hearth__redis_take(hearth__node *node, bool fresh, int64_t deadline_ns,
                           hearth__redis_connection **connection) {
    hearth__redis_pool *pool = own_pool(node);
    if (pool == NULL) {
        return HEARTH_E_NOMEM;
    }
    pthread_mutex_lock(&pool->lock);
    int32_t status = take_idle(pool, fresh, deadline_ns, connection);
    if (status == HEARTH_MISS) {
        status = take_empty(pool, deadline_ns, connection);
    }
    if (status == HEARTH_OK) {
        (*connection)->heard = false;
        (*connection)->late = 0;
    }
    return status;
}

static void put_back(hearth__redis_connection **list, hearth__redis_connection *connection) {
    hearth__redis_pool *pool = connection->pool;
    pthread_mutex_lock(&pool->lock);
    atomic_store(&connection->busy, false);
    push(list, connection);
    if (pool->waiters != 0) {
        pthread_cond_signal(&pool->changed);
    }
    pthread_mutex_unlock(&pool->lock);
}

void hearth__redis_give(hearth__redis_connection *connection) {
    connection->reused = true;
    hearth__redis_trim(connection);
    put_back(&connection->pool->idle, connection);
}

void hearth__redis_drop(hearth__redis_connection *connection) {
    HEARTH__COUNT(connection->pool->node->config.remote->counters, disconnects);
    hearth__redis_connection_close(connection);
    put_back(&connection->pool->empty, connection);
}
