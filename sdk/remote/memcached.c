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
 * - Under a storm of signals it may give up before the deadline.
 *
 * What is stored is compared and swapped with the server's `cas`, so every verb is atomic; one that
 * loses MAX_TRIES races answers as if it had lost the last.
 */
#include "remote/backend.h"

#include "base/clock.h"
#include "base/fork.h"
#include "base/memory.h"
#include "remote/envelope.h"
#include "remote/memcached_call.h"
#include "remote/memcached_pool.h"
#include "remote/verbs.h"

#include <hearth/errors.h>

#include <stdatomic.h>
#include <string.h>

enum { MAX_TRIES = 5, MS_PER_S = 1000, RELATIVE_MAX_S = 30 * 24 * 3600 };

/* A forked child makes its own pool: locks and connections of the old one are its parent's. */
struct pool_of_process {
    uint64_t fork_generation;
    hearth__mc_pool *pool;
};

struct hearth__node {
    hearth__node_config config;
    _Atomic(struct pool_of_process *) current;
};

struct hearth__batch {
    hearth__mc_lane lane;
    size_t reads; /* at the front of the operations: already asked for */
    int32_t sent; /* how that went */
    hearth__wire_key keys[];
};

/* One operation on its way. */
struct run {
    const hearth__remote_config *config;
    hearth__mc_lane *lane;
    hearth__remote_op *op;
    hearth__wire_key key;
};

/* ---- lives ---- */

/*
 * The server counts whole seconds by a clock that ticks once a second, so N of them last from N - 1
 * to N. Where the header cuts exactly, the server may keep the value a little longer; elsewhere it
 * must not. Beyond 30 days the server wants unix time, in 31 bits, and may be a second late.
 */
static time_t exptime_of(int64_t ttl_ms, bool header_cuts) {
    if (ttl_ms <= 0) {
        return 0;
    }
    int64_t seconds = ttl_ms / MS_PER_S;
    if (header_cuts) {
        seconds += 2;
    } else if (seconds == 0) {
        seconds = 1;
    }
    if (seconds <= RELATIVE_MAX_S) {
        return (time_t)seconds;
    }
    int64_t now = hearth__wall_ms() / MS_PER_S;
    seconds -= header_cuts ? 0 : 1;
    int64_t end = now + seconds < INT32_MAX ? now + seconds : INT32_MAX;
    return (time_t)(end - now > RELATIVE_MAX_S ? end : RELATIVE_MAX_S);
}

/* Whether a header can hold this life. */
static bool fits_header(int64_t age_ms, int64_t ttl_ms) {
    return ttl_ms < (int64_t)HEARTH__ENVELOPE_NO_TTL - age_ms;
}

static time_t exptime_of_store(const hearth__remote_op *op) {
    bool has_header = op->kind != HEARTH__KIND_INTEGER && op->kind != HEARTH__KIND_FOREIGN;
    return exptime_of(op->ttl_ms, has_header && fits_header(op->age_ms, op->ttl_ms));
}

/* ---- what a key holds ---- */

static enum hearth__envelope_verdict parse(const struct run *run, const hearth__mc_item *item,
                                           hearth__envelope *envelope) {
    return hearth__envelope_parse(item->bytes, item->size, run->op->key, run->op->key_size,
                                  run->key.hidden, envelope);
}

/* The header says that it is over, though the server still has it. */
static bool is_over(const struct run *run, const hearth__mc_item *item) {
    hearth__envelope envelope;
    return parse(run, item, &envelope) == HEARTH__ENVELOPE_OK &&
           envelope.hard_ms != HEARTH__ENVELOPE_NO_TTL &&
           hearth__envelope_age(&envelope, HEARTH__TTL_UNKNOWN) >= (int64_t)envelope.hard_ms;
}

static enum hearth__holding holding_of(const struct run *run, const hearth__mc_item *item) {
    if (!item->there || is_over(run, item)) {
        return HEARTH__HOLDS_NOTHING;
    }
    return hearth__holding_of(item->bytes, item->size);
}

/* Whether ADD, REPLACE or SWAP may store over this. */
static int32_t may_store(const struct run *run, const hearth__mc_item *item) {
    const hearth__remote_op *op = run->op;
    if (op->verb != HEARTH__SWAP) {
        return hearth__verb_status(op->verb, holding_of(run, item));
    }
    int32_t status =
        hearth__swap_status(item->there ? item->bytes : NULL, item->size, op->if_version);
    bool over = status == HEARTH_CONFLICT && is_over(run, item);
    return over ? HEARTH_MISS : status;
}

/* ---- stores ---- */

/* Header and body side by side, as libmemcached wants them. */
static bool join(const struct run *run) {
    const hearth__remote_op *op = run->op;
    hearth__buffer *joined = &run->lane->connection->joined;
    if (op->data_size > SIZE_MAX - HEARTH__ENVELOPE_MAX ||
        !hearth__buffer_reserve(joined, HEARTH__ENVELOPE_MAX + op->data_size)) {
        return false;
    }
    joined->size = hearth__envelope_compose(op, run->key.hidden, joined->data);
    return hearth__buffer_append(joined, op->data, op->data_size);
}

static int32_t store(const struct run *run, enum hearth__verb how, time_t exptime,
                     uint64_t cas) {
    const hearth__buffer *joined = &run->lane->connection->joined;
    return hearth__mc_store(run->lane, how, &run->key, joined->data, joined->size, exptime,
                            cas);
}

/* What is too large leaves nothing older behind. */
static int32_t drop_older(const struct run *run) {
    int32_t status = hearth__mc_delete(run->lane, &run->key);
    return status < 0 ? status : HEARTH_E_TOO_LARGE;
}

static int32_t set(const struct run *run) {
    if (!join(run)) {
        return HEARTH_E_NOMEM;
    }
    int32_t status = store(run, HEARTH__SET, exptime_of_store(run->op), 0);
    return status == HEARTH_E_TOO_LARGE ? drop_older(run) : status;
}

/* ADD, REPLACE and SWAP: looks, and stores if nobody else does in between. */
static int32_t store_if(const struct run *run) {
    if (!join(run)) {
        return HEARTH_E_NOMEM;
    }
    time_t exptime = exptime_of_store(run->op);
    int32_t status = HEARTH_CONFLICT;
    if (run->op->verb == HEARTH__ADD) { /* mostly there is nothing */
        status = store(run, HEARTH__ADD, exptime, 0);
    }
    for (int i = 0; i < MAX_TRIES; i++) {
        if (status != HEARTH_CONFLICT && status != HEARTH_E_TOO_LARGE) {
            return status;
        }
        hearth__mc_item item;
        status = hearth__mc_read(run->lane, &run->key, &item);
        if (status == HEARTH_OK) {
            status = may_store(run, &item);
        }
        if (status != HEARTH_OK) {
            return status;
        }
        status = store(run, item.there ? HEARTH__REPLACE : HEARTH__ADD, exptime, item.cas);
        if (status == HEARTH_E_TOO_LARGE) {
            return drop_older(run);
        }
    }
    return status == HEARTH_CONFLICT && run->op->verb == HEARTH__ADD ? HEARTH_EXISTS : status;
}

/* ---- other writes ---- */

/* The header with a new life, and the body, go where they were. */
static int32_t renew(const struct run *run, const hearth__mc_item *item,
                     const hearth__envelope *envelope) {
    const hearth__remote_op *op = run->op;
    hearth__buffer *joined = &run->lane->connection->joined;
    int64_t age_ms = hearth__envelope_age(envelope, HEARTH__TTL_UNKNOWN);
    if (!hearth__buffer_assign(joined, item->bytes, item->size)) {
        return HEARTH_E_NOMEM;
    }
    hearth__envelope_renew(joined->data, item->size - envelope->body_size, op->key,
                           op->key_size, age_ms, op->soft_ttl_ms, op->ttl_ms);
    time_t exptime = exptime_of(op->ttl_ms, fits_header(age_ms, op->ttl_ms));
    return store(run, HEARTH__REPLACE, exptime, item->cas);
}

static int32_t touch(const struct run *run) {
    int32_t status = HEARTH_CONFLICT;
    for (int i = 0; i < MAX_TRIES && status == HEARTH_CONFLICT; i++) {
        hearth__mc_item item;
        hearth__envelope envelope;
        status = hearth__mc_read(run->lane, &run->key, &item);
        if (status != HEARTH_OK) {
            return status;
        }
        enum hearth__holding holding = holding_of(run, &item);
        status = hearth__verb_status(HEARTH__TOUCH, holding);
        if (status != HEARTH_OK) {
            return status;
        }
        if (holding == HEARTH__HOLDS_INTEGER || holding == HEARTH__HOLDS_FOREIGN) {
            return hearth__mc_touch(run->lane, &run->key, exptime_of(run->op->ttl_ms, false));
        }
        if (parse(run, &item, &envelope) != HEARTH__ENVELOPE_OK) {
            return HEARTH_MISS; /* new sums would vouch for it */
        }
        status = renew(run, &item, &envelope);
    }
    return status;
}

/* The server counts to 2^64-1: what is beyond our numbers is undone. */
static int32_t take_back(const struct run *run, bool up, uint64_t amount) {
    uint64_t sum = 0;
    int32_t status = hearth__mc_count(run->lane, &run->key, !up, amount, &sum);
    return status == HEARTH_OK ? HEARTH_E_TOO_LARGE : HEARTH_E_UNKNOWN;
}

static int32_t increment(const struct run *run) {
    bool up = run->op->number >= 0;
    uint64_t amount = up ? (uint64_t)run->op->number : 0 - (uint64_t)run->op->number;
    uint64_t sum = 0;
    int32_t status = hearth__mc_count(run->lane, &run->key, up, amount, &sum);
    if (status == HEARTH_OK && sum > INT64_MAX) {
        return take_back(run, up, amount);
    }
    if (status == HEARTH_OK) {
        run->op->number = (int64_t)sum;
    }
    if (status == HEARTH_E_TYPE) { /* no number: a marker is a miss */
        hearth__mc_item item;
        status = hearth__mc_read(run->lane, &run->key, &item);
        if (status == HEARTH_OK) {
            status = hearth__verb_status(HEARTH__INCREMENT, holding_of(run, &item));
        }
        return status == HEARTH_OK ? HEARTH_E_TYPE : status; /* it became one meanwhile */
    }
    return status;
}

/* The server's own answer does not tell a value from a marker. */
static int32_t delete (const struct run *run) {
    hearth__mc_item item;
    int32_t status = hearth__mc_read(run->lane, &run->key, &item);
    if (status != HEARTH_OK || !item.there) {
        return status != HEARTH_OK ? status : HEARTH_MISS;
    }
    int32_t held = hearth__verb_status(HEARTH__DELETE, holding_of(run, &item));
    status = hearth__mc_delete(run->lane, &run->key);
    if (status == HEARTH_E_UNKNOWN && hearth__monotonic_ns() < run->lane->deadline_ns) {
        int32_t again = hearth__mc_delete(run->lane, &run->key);
        status = again == HEARTH_MISS ? HEARTH_OK : again;
        status = status < 0 ? HEARTH_E_UNKNOWN : status;
    }
    return status == HEARTH_OK ? held : status;
}

static int32_t write_one(const struct run *run) {
    const hearth__remote_op *op = run->op;
    bool integer = op->verb == HEARTH__INCREMENT || op->kind == HEARTH__KIND_INTEGER;
    if (integer && run->key.hidden && op->verb != HEARTH__TOUCH && op->verb != HEARTH__DELETE) {
        return HEARTH_E_UNSUPPORTED;
    }
    switch (op->verb) {
    case HEARTH__SET:
        return set(run);
    case HEARTH__ADD:
    case HEARTH__REPLACE:
    case HEARTH__SWAP:
        return store_if(run);
    case HEARTH__TOUCH:
        return touch(run);
    case HEARTH__INCREMENT:
        return increment(run);
    case HEARTH__DELETE:
        return delete (run);
    case HEARTH__GET:
        break;
    }
    return HEARTH_E_INVALID;
}

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
    return hearth__mc_send_reads(&batch->lane, batch->keys, count);
}

/* Takes the answers that come; *answered: how many. HEARTH_OK: those of the others are misses. */
static int32_t receive_reads(const hearth__node *node, hearth__batch *batch,
                             hearth__remote_op **ops, size_t count, size_t *answered) {
    size_t at = 0;
    int32_t status = HEARTH_OK;
    while (true) {
        hearth__mc_item item;
        status = hearth__mc_next_read(&batch->lane, batch->keys, count, &at, &item);
        if (status != HEARTH_OK) {
            return status == HEARTH_MISS ? HEARTH_OK : status;
        }
        hearth__envelope_answer(node->config.remote, ops[at], item.bytes, item.size,
                                batch->keys[at].hidden, HEARTH__TTL_UNKNOWN, false);
        at++;
        ++*answered;
    }
}

/* A server may have closed a connection that lay idle: reads are asked once more. */
static bool may_ask_again(const hearth__mc_lane *lane, int32_t status, size_t answered) {
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
    own->pool = hearth__mc_pool_create(config);
    if (own->pool == NULL) {
        hearth__free(own);
        return NULL;
    }
    return own;
}

static void pool_destroy(struct pool_of_process *own) {
    hearth__mc_pool_destroy(own->pool);
    hearth__free(own);
}

/* The pool of this process; NULL: no memory. What was inherited stays allocated. */
static hearth__mc_pool *own_pool(hearth__node *node) {
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

static void begin(hearth__node *node, hearth__remote_op **ops, size_t count,
                  int64_t deadline_ns, hearth__batch **out) {
    hearth__batch *batch =
        hearth__alloc_zero(1, sizeof *batch + count * sizeof(hearth__wire_key));
    hearth__mc_pool *pool = own_pool(node);
    int32_t status = HEARTH_E_NOMEM;
    if (batch != NULL && pool != NULL) {
        batch->lane = (hearth__mc_lane){.pool = pool, .deadline_ns = deadline_ns};
        status = hearth__mc_pool_take(pool, deadline_ns, &batch->lane.connection);
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
        struct run run = {.config = node->config.remote, .lane = &batch->lane, .op = ops[i]};
        hearth__wire_key_init(&run.key, ops[i]->key, ops[i]->key_size);
        ops[i]->status = write_one(&run);
        i++;
    }
    hearth__mc_pool_give(batch->lane.pool, batch->lane.connection);
    hearth__free(batch);
}

const hearth__backend hearth__backend_memcached = {
    .name = "memcached",
    .knows_ttl = false,
    .open = open_node,
    .close = close_node,
    .begin = begin,
    .finish = finish,
};
