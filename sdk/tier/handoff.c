/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hinted handoff: the deletes that a node missed are kept (guard/hints.h) and carried out before anything is asked of it about
 * their keys. So nothing that was deleted in this process comes back to it with a node that comes back.
 *
 * A delete is kept while its write still holds off fills (write.c): a read that was under way leaves no copy.
 */
#include "tier/bus.h"
#include "tier/nodes.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/random.h"

#include <hearth/errors.h>

enum {
    WINDOW = 256, /* of the oldest deletes of a node at once */
    PAUSE_MS =
        1000, /* after a try that failed; and up to a quarter more, not the same in all processes */
};

/* ---- keeping ---------------------------------------------------------------------------- */

/* Whether the node may still hold what the operation was to end. Who writes over a version, or only where nothing is, ends
 * nothing for good; nor does a fill. */
static bool missed(const hearth__remote_op *op) {
    bool ends = op->verb == HEARTH__DELETE || op->verb == HEARTH__MARK ||
                op->verb == HEARTH__SET || op->verb == HEARTH__REPLACE;
    return ends && (op->status == HEARTH_E_UNAVAILABLE || op->status == HEARTH_E_TIMEOUT ||
                    op->status == HEARTH_E_PROTOCOL || op->status == HEARTH_E_UNKNOWN);
}

static void fence(hearth *cache, uint32_t node) {
    hearth__node_stats stats;
    HEARTH__COUNT(cache->counters, deletes_fenced);
    if (hearth__hints_fence(cache->guards[node].hints, hearth__wall_ms())) {
        hearth__remote_node_stats(cache->remote, node, &stats);
        hearth__log_add(
            cache->log, HEARTH_LOG_WARNING, HEARTH_E_OVERLOAD,
            "node %.80s: no room to keep a delete for it (remote.max_queued_bytes): "
            "what was written there until now counts as missing",
            stats.name);
    }
}

bool hearth__handoff_keep(hearth *cache, uint32_t node, const void *key, size_t key_size) {
    if (!hearth__hints_add(cache->guards[node].hints, key, key_size)) {
        fence(cache, node);
        return false;
    }
    HEARTH__COUNT(cache->counters, deletes_queued);
    return true;
}

static void keep(hearth *cache, hearth__remote_op *op) {
    if (!hearth__handoff_keep(cache, op->node, op->key, op->key_size)) {
        return;
    }
    if (op->verb == HEARTH__DELETE || op->verb == HEARTH__MARK) {
        op->status = HEARTH_E_QUEUED;
    }
}

/* A value's version begins with the time of its write. 0: none was found. */
static int64_t written_ms(const hearth__remote_op *op) {
    bool answered = op->verb == HEARTH__GET && op->found_version != 0 &&
                    (op->status == HEARTH_OK || op->status == HEARTH_ABSENT);
    return answered ? (int64_t)(op->found_version >> 16) : 0;
}

static bool is_fenced(const hearth *cache, const hearth__remote_op *op, int64_t wall_ms) {
    const hearth__route *route = op->asker;
    return hearth__hints_is_fenced(cache->guards[op->node].hints, wall_ms) ||
           (route != NULL && hearth__route_is_leftover(route, wall_ms));
}

/* It is a miss, whose version is known: a load may replace it. */
static void take_back(hearth__remote_op *op) {
    op->status = HEARTH_MISS;
    if (op->body != NULL) {
        op->body->size = 0;
    }
}

/* What may be older than its node has acknowledged: a value is stale then, and an absence nothing. */
static void distrust(hearth *cache, hearth__remote_op *op) {
    if (op->status == HEARTH_ABSENT) {
        take_back(op);
    } else {
        op->found = HEARTH__KIND_STALE;
    }
    HEARTH__COUNT(cache->counters, values_distrusted);
}

void hearth__handoff_check(hearth *cache, hearth__remote_op *op) {
    int64_t wall_ms = written_ms(op);
    if (missed(op)) {
        keep(cache, op);
    } else if (wall_ms != 0 && is_fenced(cache, op, wall_ms)) {
        take_back(op);
        HEARTH__COUNT(cache->counters, values_fenced);
    } else if (wall_ms != 0 && hearth__remote_distrusts(cache->remote, op->node, wall_ms)) {
        distrust(cache, op);
    }
}

/* ---- carrying out ----------------------------------------------------------------------- */

/* Deletes on their way. */
struct load {
    hearth__remote_op *deletes;
    uint64_t *numbers;
    size_t count;
    hearth__buffer keys; /* of the oldest */
};

static void add(struct load *load, uint32_t node, const void *key, size_t key_size,
                uint64_t number) {
    load->deletes[load->count] = (hearth__remote_op){
        .verb = HEARTH__DELETE, .node = node, .key = key, .key_size = key_size};
    load->numbers[load->count++] = number;
}

static bool may_hand_off(const hearth *cache, const hearth__node_share *shares, uint32_t node) {
    const hearth__node_guard *guard = &cache->guards[node];
    return shares[node].pass.granted && hearth__hints_count(guard->hints) != 0 &&
           hearth__nodes_now_ms() >= atomic_load(&guard->hand_off_ms);
}

/* Those of the keys that the call is about. */
static void add_own(const hearth *cache, const hearth__remote_op *ops, size_t count,
                    const hearth__node_share *shares, struct load *load) {
    for (size_t i = 0; i < count; i++) {
        const hearth__remote_op *op = &ops[i];
        if (!may_hand_off(cache, shares, op->node)) {
            continue;
        }
        uint64_t number =
            hearth__hints_find(cache->guards[op->node].hints, op->key, op->key_size);
        if (number != 0) {
            add(load, op->node, op->key, op->key_size, number);
        }
    }
}

/* Those of a node that have waited longest. Keys stand as places until all are there: the buffer moves when it grows. */
static void add_oldest(const hearth *cache, uint32_t node, struct load *load) {
    hearth__hint oldest[WINDOW];
    size_t count = hearth__hints_oldest(cache->guards[node].hints, oldest, WINDOW, &load->keys);
    for (size_t i = 0; i < count; i++) {
        add(load, node, NULL, oldest[i].key_size, oldest[i].number);
    }
}

static void place_keys(struct load *load, size_t first) {
    size_t at = 0;
    for (size_t i = first; i < load->count; i++) {
        load->deletes[i].key = load->keys.data + at;
        at += load->deletes[i].key_size;
    }
}

/* One thread a node, so that the same deletes are not carried out by all. */
static size_t claim(hearth *cache, hearth__node_share *shares, uint32_t nodes) {
    size_t claimed = 0;
    for (uint32_t node = 0; node < nodes; node++) {
        shares[node].hands_off = may_hand_off(cache, shares, node) &&
                                 !atomic_exchange(&cache->guards[node].handing_off, true);
        claimed += shares[node].hands_off;
    }
    return claimed;
}

static void let_go(hearth *cache, const hearth__node_share *shares, uint32_t nodes) {
    for (uint32_t node = 0; node < nodes; node++) {
        if (shares[node].hands_off) {
            atomic_store(&cache->guards[node].handing_off, false);
        }
    }
}

static bool has_memory(struct load *load, size_t deletes) {
    load->deletes = hearth__alloc_zero(deletes, sizeof *load->deletes);
    load->numbers = hearth__alloc_zero(deletes, sizeof *load->numbers);
    return load->deletes != NULL && load->numbers != NULL;
}

static void unload(struct load *load) {
    hearth__buffer_fini(&load->keys);
    hearth__free(load->deletes);
    hearth__free(load->numbers);
}

/* A node that carried out none of them is left in peace for a while. */
static void pause(hearth *cache, const struct load *load, const hearth__node_share *shares) {
    int64_t pause_ms = PAUSE_MS + (int64_t)(hearth__random_u64() % (PAUSE_MS / 4));
    int64_t until_ms = hearth__nodes_now_ms() + pause_ms;
    for (size_t i = 0; i < load->count; i++) {
        uint32_t node = load->deletes[i].node;
        if (!shares[node].carries_out) {
            atomic_store(&cache->guards[node].hand_off_ms, until_ms);
        }
    }
}

/* What became of them. False: a node failed one. */
static bool settle(hearth *cache, const struct load *load, hearth__node_share *shares,
                   int64_t began_ns) {
    bool all = true;
    for (size_t i = 0; i < load->count; i++) {
        const hearth__remote_op *op = &load->deletes[i];
        hearth__node_share *share = &shares[op->node];
        hearth__nodes_learn(cache, share, op, began_ns);
        all = all && op->status >= 0;
        share->carries_out = share->carries_out || op->status >= 0;
        if (op->status >= 0 && hearth__hints_settle(cache->guards[op->node].hints, op->key,
                                                    op->key_size, load->numbers[i])) {
            HEARTH__COUNT(cache->counters, deletes_replayed);
            hearth__bus_tell_replayed(cache, op->key, op->key_size);
        }
    }
    if (!all) {
        pause(cache, load, shares);
    }
    return all;
}

/* One round. True: there may be more to do. */
static bool hand_off(hearth *cache, const hearth__remote_op *ops, size_t count,
                     hearth__node_share *shares, uint32_t nodes, int64_t until_ns) {
    struct load load = {0};
    size_t claimed = claim(cache, shares, nodes);
    bool more = has_memory(&load, count + claimed * WINDOW);
    if (more) {
        add_own(cache, ops, count, shares, &load);
        size_t first = load.count;
        for (uint32_t node = 0; node < nodes; node++) {
            if (shares[node].hands_off) {
                add_oldest(cache, node, &load);
            }
        }
        place_keys(&load, first);
        int64_t began_ns = hearth__monotonic_ns();
        hearth__remote_execute(cache->remote, load.deletes, load.count, until_ns);
        more = settle(cache, &load, shares, began_ns) && load.count > first;
    }
    let_go(cache, shares, nodes);
    unload(&load);
    return more;
}

void hearth__handoff_run(hearth *cache, hearth__remote_op *ops, size_t count,
                         hearth__node_share *shares, uint32_t nodes, int64_t deadline_ns) {
    int64_t now_ns = hearth__monotonic_ns();
    int64_t until_ns =
        deadline_ns == HEARTH__NEVER ? deadline_ns : now_ns + (deadline_ns - now_ns) / 2;
    bool more = hand_off(cache, ops, count, shares, nodes, until_ns);
    while (more && hearth__monotonic_ns() < until_ns) {
        more = hand_off(cache, ops, 0, shares, nodes, until_ns);
    }
    for (size_t i = 0; i < count; i++) {
        if (ops[i].status == HEARTH__PENDING &&
            hearth__hints_find(cache->guards[ops[i].node].hints, ops[i].key, ops[i].key_size) !=
                0) {
            hearth__nodes_refuse(cache, &ops[i]);
        }
    }
}
