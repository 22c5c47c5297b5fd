/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memcached through libmemcached. What this cannot do, and a client of our own will:
 *
 * - Deadlines hold for each wait for the server, not for the whole: a server that sends one byte
 *   now and then holds a caller beyond its deadline. Names are resolved by a blocking call.
 * - A reply that breaks the protocol can end the process: reply keys are read into 251 bytes
 *   unchecked, a reply's length is believed, and Debian's library has its assertions on. Point it at
 *   servers that you trust.
 * - Only reads are pipelined. Writes go one after the other, each a round trip; add (where something
 *   is), replace, swap, touch and delete read the value first: two. Large values are read for that.
 * - The remaining life is not told: that of a header is judged by this host's wall clock. Integers
 *   have no header: they live whole seconds, and at least one.
 * - Integers cannot be stored under keys that the wire hides (wire_key.h): HEARTH_E_UNSUPPORTED.
 * - A forked child keeps its parent's sockets open, unused, until it ends or execs.
 * - Signals break deadlines: at each one that interrupts a wait, libmemcached takes all the time since
 *   the wait began off what is left. Two or three can make that negative, and then it waits until the
 *   server answers or closes.
 */
#include "remote/backend.h"

#include "base/fork.h"
#include "base/memory.h"
#include "remote/envelope.h"
#include "remote/libmemcached_call.h"
#include "remote/libmemcached_pool.h"
#include "remote/libmemcached_write.h"

#include <hearth/errors.h>

#include <stdatomic.h>

/* A forked child makes its own pool: locks and connections of the old one are its parent's. */
struct pool_of_process {
    uint64_t fork_generation;
    hearth__lmc_pool *pool;
};

struct hearth__node {
    hearth__node_config config;
    _Atomic(struct pool_of_process *) current;
};

struct hearth__batch {
    hearth__lmc_lane lane;
    size_t reads; /* at the front of the operations: already asked for */
    int32_t sent; /* how that went */
    hearth__wire_key keys[];
};

/* ---- reads ---- */

static size_t reads_from(hearth__remote_op **ops, size_t first, size_t count) {
    size_t end = first;
    while (end < count && ops[end]->verb == HEARTH__GET) {
        end++;
    }
    return end - first;
}

static int32_t send_reads(hearth__batch *batch, hearth__remote_op **ops, size_t count) {
    for (size_t i = 0; i < count; i++) {
        hearth__wire_key_init(&batch->keys[i], ops[i]->key, ops[i]->key_size);
    }
    return hearth__lmc_send_reads(&batch->lane, batch->keys, count);
}

/* Takes the answers that come; *answered: how many. HEARTH_OK: those of the others are misses. */
static int32_t receive_reads(const hearth__node *node, hearth__batch *batch,
                             hearth__remote_op **ops, size_t count, size_t *answered) {
    size_t at = 0;
    int32_t status = HEARTH_OK;
    while (true) {
        hearth__lmc_item item;
        status = hearth__lmc_next_read(&batch->lane, batch->keys, count, &at, &item);
        if (status != HEARTH_OK) {
            return status == HEARTH_MISS ? HEARTH_OK : status;
        }
        (void)hearth__envelope_answer(node->config.remote, ops[at], item.bytes, item.size,
                                      batch->keys[at].hidden, HEARTH__TTL_UNKNOWN, false);
        at++;
        ++*answered;
    }
}

/* A server may have closed a connection that lay idle: reads are asked once more. */
static bool may_ask_again(const hearth__lmc_lane *lane, int32_t status, size_t answered) {
    return status == HEARTH_E_UNAVAILABLE && answered == 0 && lane->connection->used_before;
}

/* The run of reads that `status` says was sent. */
static void finish_reads(const hearth__node *node, hearth__batch *batch,
                         hearth__remote_op **ops, size_t count, int32_t status) {
    size_t answered = 0;
    if (status == HEARTH_OK) {
        status = receive_reads(node, batch, ops, count, &answered);
    }
    if (may_ask_again(&batch->lane, status, answered)) {
        status = send_reads(batch, ops, count);
        if (status == HEARTH_OK) {
            status = receive_reads(node, batch, ops, count, &answered);
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (ops[i]->status == HEARTH__PENDING) {
            ops[i]->status = status == HEARTH_OK ? HEARTH_MISS : status;
        }
    }
}

/* ---- the backend ---- */

static struct pool_of_process *pool_create(const hearth__node_config *config) {
    struct pool_of_process *own = hearth__alloc_zero(1, sizeof *own);
    if (own == NULL) {
        return NULL;
    }
    own->fork_generation = hearth__fork_generation();
    own->pool = hearth__lmc_pool_create(config);
    if (own->pool == NULL) {
        hearth__free(own);
        return NULL;
    }
    return own;
}

static void pool_destroy(struct pool_of_process *own) {
    hearth__lmc_pool_destroy(own->pool);
    hearth__free(own);
}

/* The pool of this process; NULL: no memory. What was inherited stays allocated. */
static hearth__lmc_pool *own_pool(hearth__node *node) {
    struct pool_of_process *own = atomic_load_explicit(&node->current, memory_order_acquire);
    if (own->fork_generation == hearth__fork_generation()) {
        return own->pool;
    }
    struct pool_of_process *fresh = pool_create(&node->config);
    if (fresh != NULL && !atomic_compare_exchange_strong(&node->current, &own, fresh)) {
        pool_destroy(fresh); /* another thread of the child was first */
        return own->pool;
    }
    return fresh != NULL ? fresh->pool : NULL;
}

static int32_t open_node(const hearth__node_config *config, hearth__node **out) {
    hearth__node *node = hearth__alloc_zero(1, sizeof *node);
    struct pool_of_process *own = pool_create(config);
    if (node == NULL || own == NULL) {
        hearth__free(node);
        if (own != NULL) {
            pool_destroy(own);
        }
        return HEARTH_E_NOMEM;
    }
    node->config = *config;
    atomic_init(&node->current, own);
    *out = node;
    return HEARTH_OK;
}

static void close_node(hearth__node *node) {
    struct pool_of_process *own = atomic_load(&node->current);
    if (own->fork_generation == hearth__fork_generation()) {
        pool_destroy(own);
    }
    hearth__free(node);
}

static void fail_all(hearth__remote_op **ops, size_t count, int32_t status) {
    for (size_t i = 0; i < count; i++) {
        ops[i]->status = status;
    }
}

static void begin(hearth__node *node, hearth__remote_op **ops, size_t count, bool at_once,
                  int64_t deadline_ns, hearth__batch **out) {
    (void)at_once;
    hearth__batch *batch =
        hearth__alloc_zero(1, sizeof *batch + count * sizeof(hearth__wire_key));
    hearth__lmc_pool *pool = own_pool(node);
    int32_t status = HEARTH_E_NOMEM;
    if (batch != NULL && pool != NULL) {
        batch->lane = (hearth__lmc_lane){.pool = pool, .deadline_ns = deadline_ns};
        status = hearth__lmc_pool_take(pool, deadline_ns, &batch->lane.connection);
    }
    if (status != HEARTH_OK) {
        fail_all(ops, count, status);
        hearth__free(batch);
        return;
    }
    batch->reads = reads_from(ops, 0, count);
    if (batch->reads != 0) {
        batch->sent = send_reads(batch, ops, batch->reads);
    }
    *out = batch;
}

static void finish(hearth__node *node, hearth__remote_op **ops, size_t count,
                   int64_t deadline_ns, hearth__batch *batch) {
    (void)deadline_ns; /* begin() had the same */
    if (batch == NULL) {
        return;
    }
    if (batch->reads != 0) {
        finish_reads(node, batch, ops, batch->reads, batch->sent);
    }
    for (size_t i = batch->reads; i < count;) {
        size_t reads = reads_from(ops, i, count);
        if (reads != 0) {
            finish_reads(node, batch, ops + i, reads, send_reads(batch, ops + i, reads));
            i += reads;
            continue;
        }
        ops[i]->status = hearth__lmc_write(&batch->lane, ops[i]);
        i++;
    }
    hearth__lmc_pool_give(batch->lane.pool, batch->lane.connection);
    hearth__free(batch);
}

const hearth__backend hearth__backend_libmemcached = {
    .name = "libmemcached",
    .knows_ttl = false,
    .open = open_node,
    .close = close_node,
    .begin = begin,
    .finish = finish,
};
