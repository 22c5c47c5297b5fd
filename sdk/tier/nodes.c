/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on nodes, past a breaker around each: a node that does not answer costs its callers nothing for a while. */
#include "tier/nodes.h"

#include "tier/bus.h"
#include "tier/latencies.h"

#include "base/clock.h"
#include "base/memory.h"

#include <hearth/errors.h>

enum { NS_PER_MS = 1000000 };

int64_t hearth__nodes_now_ms(void) {
    return hearth__monotonic_ns() / NS_PER_MS;
}

/* ---- open and close --------------------------------------------------------------------- */

int32_t hearth__nodes_open(hearth *cache) {
    const hearth__config *config = &cache->config;
    if (cache->url.kind == HEARTH__EMBEDDED) {
        return HEARTH_OK;
    }
    cache->hints_budget.max_bytes = (size_t)config->remote_max_queued_bytes;
    cache->guards = hearth__alloc_zero(HEARTH__REMOTE_NODES, sizeof *cache->guards);
    if (cache->guards == NULL) {
        return HEARTH_E_NOMEM;
    }
    return HEARTH_OK;
}

int32_t hearth__nodes_add(hearth *cache, uint32_t node) {
    const hearth__config *config = &cache->config;
    hearth__latencies_begin_node(cache->latencies, node);
    if (cache->guards == NULL) {
        return HEARTH_OK;
    }
    hearth__node_guard *guard = &cache->guards[node];
    hearth__breaker_init(&guard->breaker, (uint32_t)config->breaker_failures,
                         2 * config->remote_timeout_ms);
    atomic_store(&guard->handing_off, false);
    atomic_store(&guard->hand_off_ms, 0);
    guard->hints = hearth__hints_create(&cache->hints_budget);
    return guard->hints != NULL ? HEARTH_OK : HEARTH_E_NOMEM;
}

/* Tells of the deletes that are kept for a node and never will be carried out. */
static void tell_lost(hearth *cache, uint32_t node, const char *with_what) {
    uint64_t lost = hearth__nodes_queued(cache, node);
    if (lost != 0) {
        hearth__node_stats stats;
        hearth__remote_node_stats(cache->remote, node, &stats);
        hearth__log_add(cache->log, HEARTH_LOG_WARNING, HEARTH_E_UNAVAILABLE,
                        "node %.80s still does not answer: %llu deletes kept for it end with "
                        "%s; what it holds of their keys may be old",
                        stats.name, (unsigned long long)lost, with_what);
    }
}

/* Nobody may be inside that node. */
void hearth__nodes_remove(hearth *cache, uint32_t node) {
    if (cache->guards != NULL) {
        tell_lost(cache, node, "its place in the list");
        hearth__hints_destroy(cache->guards[node].hints);
        cache->guards[node].hints = NULL;
    }
}

/* What is kept would be lost with the cache: it is tried once more, whatever is known of the nodes. Nobody is inside. */
static void try_once_more(hearth *cache) {
    uint32_t nodes = hearth__remote_limit(cache->remote);
    hearth__node_share *shares = hearth__alloc_zero(nodes, sizeof *shares);
    if (shares != NULL) {
        for (uint32_t i = 0; i < nodes; i++) {
            shares[i].pass.granted = hearth__nodes_queued(cache, i) != 0;
            atomic_store(&cache->guards[i].hand_off_ms, 0);
        }
        hearth__handoff_run(cache, NULL, 0, shares, nodes,
                            hearth__deadline_ns(cache->config.remote_timeout_ms));
        hearth__free(shares);
    }
    for (uint32_t i = 0; i < nodes; i++) {
        tell_lost(cache, i, "the cache");
    }
}

void hearth__nodes_close(hearth *cache) {
    if (atomic_load(&cache->members) != NULL) {
        hearth__nodes_usage usage;
        hearth__nodes_usage_get(cache, &usage);
        if (usage.queued != 0) {
            try_once_more(cache);
        }
    }
    for (size_t i = 0; cache->guards != NULL && i < HEARTH__REMOTE_NODES; i++) {
        hearth__hints_destroy(cache->guards[i].hints);
    }
    hearth__free(cache->guards);
}

/* ---- how they stand --------------------------------------------------------------------- */

bool hearth__nodes_is_open(const hearth *cache, uint32_t node) {
    return cache->guards != NULL &&
           hearth__breaker_state_of(&cache->guards[node].breaker) != HEARTH__BREAKER_CLOSED;
}

uint64_t hearth__nodes_queued(const hearth *cache, uint32_t node) {
    const hearth__hints *hints = cache->guards != NULL ? cache->guards[node].hints : NULL;
    return hints != NULL ? hearth__hints_count(hints) : 0;
}

void hearth__nodes_usage_get(const hearth *cache, hearth__nodes_usage *usage) {
    *usage = (hearth__nodes_usage){.queued_bytes = atomic_load(&cache->hints_budget.bytes)};
    uint32_t place = 0;
    hearth__members *members = hearth__members_hold(cache, &place);
    for (size_t i = 0; i < members->url.count; i++) {
        usage->left_alone += hearth__nodes_is_open(cache, members->nodes[i]);
        usage->queued += hearth__nodes_queued(cache, members->nodes[i]);
    }
    hearth__members_let_go(members, place);
}

/* ---- what an operation says about its node ---------------------------------------------- */

/* Who gave it little time learned little about it. */
static bool had_time(const hearth *cache, int64_t began_ns) {
    int64_t half_ms = cache->config.remote_timeout_ms / 2;
    return hearth__monotonic_ns() - began_ns >= half_ms * NS_PER_MS;
}

static enum hearth__breaker_outcome outcome_of(const hearth *cache, const hearth__remote_op *op,
                                               int64_t began_ns) {
    if (op->heard || op->status >= 0) {
        return HEARTH__BREAKER_SUCCESS; /* be it that it refused */
    }
    switch (op->status) {
    case HEARTH_E_TYPE:
        return HEARTH__BREAKER_SUCCESS;
    case HEARTH_E_TOO_LARGE: /* of a write it may be that nobody was asked */
        return op->verb == HEARTH__GET ? HEARTH__BREAKER_SUCCESS : HEARTH__BREAKER_NOTHING;
    case HEARTH_E_UNAVAILABLE:
    case HEARTH_E_PROTOCOL:
        return HEARTH__BREAKER_FAILURE;
    case HEARTH_E_TIMEOUT:
    case HEARTH_E_UNKNOWN:
        return had_time(cache, began_ns) ? HEARTH__BREAKER_FAILURE : HEARTH__BREAKER_NOTHING;
    default:
        return HEARTH__BREAKER_NOTHING;
    }
}

void hearth__nodes_learn(const hearth *cache, hearth__node_share *share,
                         const hearth__remote_op *op, int64_t began_ns) {
    if (share->outcome != HEARTH__BREAKER_SUCCESS) {
        enum hearth__breaker_outcome outcome = outcome_of(cache, op, began_ns);
        share->outcome = outcome < share->outcome ? outcome : share->outcome;
    }
}

void hearth__nodes_refuse(hearth *cache, hearth__remote_op *op) {
    op->status = HEARTH_E_UNAVAILABLE;
    op->found_version = 0;
    if (op->body != NULL) {
        op->body->size = 0;
    }
    HEARTH__COUNT(cache->counters, breaker_refusals);
}

static hearth__node_share ask(hearth *cache, uint32_t node, int64_t began_ns) {
    hearth__node_share share = {.asked = true, .outcome = HEARTH__BREAKER_NOTHING};
    share.pass = hearth__breaker_ask(&cache->guards[node].breaker, began_ns / NS_PER_MS);
    if (share.pass.probe) {
        HEARTH__COUNT(cache->counters, breaker_probes);
    }
    return share;
}

static void report(hearth *cache, uint32_t node, const hearth__node_share *share) {
    hearth__node_stats stats;
    int64_t now_ms = share->outcome != HEARTH__BREAKER_SUCCESS ? hearth__nodes_now_ms() : 0;
    if (!hearth__breaker_report(&cache->guards[node].breaker, share->pass, share->outcome,
                                now_ms)) {
        return;
    }
    hearth__remote_node_stats(cache->remote, node, &stats);
    if (share->outcome == HEARTH__BREAKER_SUCCESS) {
        hearth__log_add(cache->log, HEARTH_LOG_NOTICE, HEARTH_OK, "node %.80s answers again",
                        stats.name);
    } else {
        HEARTH__COUNT(cache->counters, breaker_openings);
        hearth__log_add(cache->log, HEARTH_LOG_WARNING, HEARTH_E_UNAVAILABLE,
                        "node %.80s does not answer: calls to it fail at once, but one in a "
                        "while that tries it again; start it, or take it out of remote.url",
                        stats.name);
    }
}

/* ---- one operation, on a node that has missed nothing ----------------------------------- */

static void execute_one(hearth *cache, hearth__remote_op *op, int64_t deadline_ns) {
    int64_t began_ns = hearth__monotonic_ns();
    hearth__node_share share = ask(cache, op->node, began_ns);
    if (share.pass.granted) {
        hearth__remote_execute(cache->remote, op, 1, deadline_ns);
        hearth__nodes_learn(cache, &share, op, began_ns);
        report(cache, op->node, &share);
    } else {
        hearth__nodes_refuse(cache, op);
    }
    hearth__handoff_check(cache, op);
}

/* ---- many: what they say about a node is one call's word ---------------------------------- */

/* Asks the breakers: operations are pending or refused. */
static void ask_all(hearth *cache, hearth__remote_op *ops, size_t count,
                    hearth__node_share *shares, int64_t began_ns) {
    for (size_t i = 0; i < count; i++) {
        hearth__node_share *share = &shares[ops[i].node];
        if (!share->asked) {
            *share = ask(cache, ops[i].node, began_ns);
        }
        ops[i].status = HEARTH__PENDING;
        if (!share->pass.granted) {
            hearth__nodes_refuse(cache, &ops[i]);
        }
    }
}

static void fail_pending(hearth__remote_op *ops, size_t count, int32_t status) {
    for (size_t i = 0; i < count; i++) {
        if (ops[i].status == HEARTH__PENDING) {
            ops[i].status = status;
        }
    }
}

static size_t count_pending(const hearth__remote_op *ops, size_t count) {
    size_t pending = 0;
    for (size_t i = 0; i < count; i++) {
        pending += ops[i].status == HEARTH__PENDING;
    }
    return pending;
}

static void learn_all(const hearth *cache, hearth__node_share *shares,
                      const hearth__remote_op *ops, size_t count, int64_t began_ns) {
    for (size_t i = 0; i < count; i++) {
        hearth__nodes_learn(cache, &shares[ops[i].node], &ops[i], began_ns);
    }
}

/* Carries out those that may go on, by themselves. */
static void execute_some(hearth *cache, hearth__remote_op *ops, size_t count, size_t pending,
                         hearth__node_share *shares, int64_t deadline_ns) {
    hearth__remote_op *going = hearth__alloc_zero(pending, sizeof *going);
    if (going == NULL) {
        fail_pending(ops, count, HEARTH_E_NOMEM);
        return;
    }
    size_t next = 0;
    for (size_t i = 0; i < count; i++) {
        if (ops[i].status == HEARTH__PENDING) {
            going[next++] = ops[i];
        }
    }
    int64_t began_ns = hearth__monotonic_ns();
    hearth__remote_execute(cache->remote, going, pending, deadline_ns);
    learn_all(cache, shares, going, pending, began_ns);
    next = 0;
    for (size_t i = 0; i < count; i++) {
        if (ops[i].status == HEARTH__PENDING) {
            ops[i] = going[next++];
        }
    }
    hearth__free(going);
}

static bool any_hints(const hearth *cache, const hearth__node_share *shares, uint32_t nodes) {
    for (uint32_t node = 0; node < nodes; node++) {
        if (shares[node].pass.granted && hearth__nodes_queued(cache, node) != 0) {
            return true;
        }
    }
    return false;
}

static void execute_pending(hearth *cache, hearth__remote_op *ops, size_t count,
                            hearth__node_share *shares, int64_t deadline_ns) {
    size_t pending = count_pending(ops, count);
    if (pending == count) {
        int64_t began_ns = hearth__monotonic_ns();
        hearth__remote_execute(cache->remote, ops, count, deadline_ns);
        learn_all(cache, shares, ops, count, began_ns);
    } else if (pending != 0) {
        execute_some(cache, ops, count, pending, shares, deadline_ns);
    }
}

/* Past the breakers, and after the deletes that their nodes missed. False: no memory. */
static bool begin_many(hearth *cache, hearth__remote_op *ops, size_t count, int64_t deadline_ns,
                       hearth__nodes_call *call) {
    call->nodes = hearth__remote_limit(cache->remote); /* it may grow meanwhile, by others' */
    call->shares = hearth__alloc_zero(call->nodes, sizeof *call->shares);
    if (call->shares == NULL) {
        return false;
    }
    ask_all(cache, ops, count, call->shares, hearth__monotonic_ns());
    if (any_hints(cache, call->shares, call->nodes)) {
        hearth__handoff_run(cache, ops, count, call->shares, call->nodes, deadline_ns);
    }
    return true;
}

static void end_many(hearth *cache, hearth__remote_op *ops, size_t count,
                     const hearth__nodes_call *call) {
    for (uint32_t node = 0; node < call->nodes; node++) {
        if (call->shares[node].pass.granted) {
            report(cache, node, &call->shares[node]);
        }
    }
    for (size_t i = 0; i < count; i++) {
        hearth__handoff_check(cache, &ops[i]);
    }
    hearth__free(call->shares);
}

static void execute_many(hearth *cache, hearth__remote_op *ops, size_t count,
                         int64_t deadline_ns) {
    hearth__nodes_call call = {0};
    if (!begin_many(cache, ops, count, deadline_ns, &call)) {
        for (size_t i = 0; i < count; i++) {
            ops[i].status = HEARTH_E_NOMEM;
        }
        return;
    }
    execute_pending(cache, ops, count, call.shares, deadline_ns);
    end_many(cache, ops, count, &call);
}

/* What an answer is judged by later, as of before it was asked for. */
static hearth__nodes_call note_begin(hearth *cache) {
    return (hearth__nodes_call){.moment = hearth__tracking_begin(cache),
                                .source = hearth__bus_begin(cache),
                                .began_ns = hearth__latencies_begin(cache->latencies)};
}

static void note_end(hearth *cache, hearth__remote_op *ops, size_t count,
                     const hearth__nodes_call *call) {
    hearth__latencies_asked(cache->latencies, ops, count, call->began_ns);
    hearth__tracking_heard(cache, ops, count, &call->moment);
    hearth__bus_heard(cache, ops, count, call->source);
}

void hearth__nodes_execute(hearth *cache, hearth__remote_op *ops, size_t count,
                           int64_t deadline_ns) {
    const hearth__nodes_call call = note_begin(cache);
    if (cache->guards == NULL) {
        hearth__remote_execute(cache->remote, ops, count, deadline_ns);
    } else if (count == 1 && hearth__nodes_queued(cache, ops->node) == 0) {
        execute_one(cache, ops, deadline_ns);
    } else if (count != 0) {
        execute_many(cache, ops, count, deadline_ns);
    }
    note_end(cache, ops, count, &call);
}

/* ---- in two steps ----------------------------------------------------------------------- */

bool hearth__nodes_begin(hearth *cache, hearth__remote_op *ops, size_t count,
                         int64_t deadline_ns, hearth__nodes_call *call) {
    if (cache->guards == NULL) {
        return false;
    }
    *call = note_begin(cache);
    if (!begin_many(cache, ops, count, deadline_ns, call)) {
        return false;
    }
    if (count_pending(ops, count) == count) {
        call->asked_ns = hearth__monotonic_ns();
        call->remote = hearth__remote_begin(cache->remote, ops, count, deadline_ns);
    }
    if (call->remote == NULL) {
        execute_pending(cache, ops, count, call->shares, deadline_ns);
    }
    return true;
}

void hearth__nodes_finish(hearth *cache, hearth__remote_op *ops, size_t count,
                          const hearth__nodes_call *call) {
    if (call->remote != NULL) {
        hearth__remote_finish(call->remote);
        learn_all(cache, call->shares, ops, count, call->asked_ns);
    }
    end_many(cache, ops, count, call);
    note_end(cache, ops, count, call);
}
