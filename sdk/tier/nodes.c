/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on nodes, past a breaker around each: a node that does not answer costs its callers nothing for a while. */
#include "tier/cache.h"

#include "base/clock.h"
#include "base/memory.h"

#include <hearth/errors.h>

enum { NS_PER_MS = 1000000 };

int32_t hearth__nodes_open(hearth *cache) {
    const hearth__config *config = &cache->config;
    if (cache->url.kind == HEARTH__EMBEDDED || config->breaker_failures == 0) {
        return HEARTH_OK;
    }
    cache->breakers = hearth__alloc_zero(cache->url.count, sizeof *cache->breakers);
    if (cache->breakers == NULL) {
        return HEARTH_E_NOMEM;
    }
    for (size_t i = 0; i < cache->url.count; i++) {
        hearth__breaker_init(&cache->breakers[i], (uint32_t)config->breaker_failures,
                             2 * config->remote_timeout_ms);
    }
    return HEARTH_OK;
}

void hearth__nodes_close(hearth *cache) {
    hearth__free(cache->breakers);
}

bool hearth__nodes_is_open(const hearth *cache, uint32_t node) {
    return cache->breakers != NULL &&
           hearth__breaker_state_of(&cache->breakers[node]) != HEARTH__BREAKER_CLOSED;
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

static void report(hearth *cache, uint32_t node, hearth__breaker_pass pass,
                   enum hearth__breaker_outcome outcome) {
    hearth__node_stats stats;
    int64_t now_ms =
        outcome != HEARTH__BREAKER_SUCCESS ? hearth__monotonic_ns() / NS_PER_MS : 0;
    if (!hearth__breaker_report(&cache->breakers[node], pass, outcome, now_ms)) {
        return;
    }
    hearth__remote_node_stats(cache->remote, node, &stats);
    if (outcome == HEARTH__BREAKER_SUCCESS) {
        hearth__log_add(cache->log, HEARTH_LOG_NOTICE, HEARTH_OK, "node %.80s answers again",
                        stats.name);
    } else {
        HEARTH__COUNT(cache->counters, breaker_openings);
        hearth__log_add(
            cache->log, HEARTH_LOG_WARNING, HEARTH_E_UNAVAILABLE,
            "node %.80s does not answer: calls to it fail at once, but one in a while "
            "that tries it again; start it, or take it out of remote.url",
            stats.name);
    }
}

static void count_probe(hearth *cache, hearth__breaker_pass pass) {
    if (pass.probe) {
        HEARTH__COUNT(cache->counters, breaker_probes);
    }
}

static void refuse(hearth *cache, hearth__remote_op *op) {
    op->status = HEARTH_E_UNAVAILABLE;
    HEARTH__COUNT(cache->counters, breaker_refusals);
}

/* ---- one operation ---------------------------------------------------------------------- */

static void execute_one(hearth *cache, hearth__remote_op *op, int64_t deadline_ns) {
    int64_t began_ns = hearth__monotonic_ns();
    hearth__breaker_pass pass =
        hearth__breaker_ask(&cache->breakers[op->node], began_ns / NS_PER_MS);
    if (!pass.granted) {
        refuse(cache, op);
        return;
    }
    count_probe(cache, pass);
    hearth__remote_execute(cache->remote, op, 1, deadline_ns);
    report(cache, op->node, pass, outcome_of(cache, op, began_ns));
}

/* ---- many: what they say about a node is one call's word ---------------------------------- */

struct share {
    bool asked;
    hearth__breaker_pass pass;
    enum hearth__breaker_outcome outcome; /* the best of its operations' */
};

/* Asks the breakers. How many operations may go on. */
static size_t ask(hearth *cache, const hearth__remote_op *ops, size_t count,
                  struct share *shares, int64_t began_ns) {
    size_t granted = 0;
    for (size_t i = 0; i < count; i++) {
        struct share *share = &shares[ops[i].node];
        if (!share->asked) {
            share->asked = true;
            share->outcome = HEARTH__BREAKER_NOTHING;
            share->pass =
                hearth__breaker_ask(&cache->breakers[ops[i].node], began_ns / NS_PER_MS);
            count_probe(cache, share->pass);
        }
        granted += share->pass.granted;
    }
    return granted;
}

/* Carries out those that may go on, and refuses the others. */
static void execute_granted(hearth *cache, hearth__remote_op *ops, size_t count, size_t granted,
                            const struct share *shares, int64_t deadline_ns) {
    hearth__remote_op *going = hearth__alloc_zero(granted, sizeof *going);
    size_t next = 0;
    for (size_t i = 0; i < count; i++) {
        if (!shares[ops[i].node].pass.granted) {
            refuse(cache, &ops[i]);
        } else if (going != NULL) {
            going[next++] = ops[i];
        } else {
            ops[i].status = HEARTH_E_NOMEM;
        }
    }
    if (going == NULL) {
        return;
    }
    hearth__remote_execute(cache->remote, going, granted, deadline_ns);
    next = 0;
    for (size_t i = 0; i < count; i++) {
        if (shares[ops[i].node].pass.granted) {
            ops[i] = going[next++];
        }
    }
    hearth__free(going);
}

static void report_shares(hearth *cache, const hearth__remote_op *ops, size_t count,
                          struct share *shares, int64_t began_ns) {
    for (size_t i = 0; i < count; i++) {
        struct share *share = &shares[ops[i].node];
        if (share->pass.granted && share->outcome != HEARTH__BREAKER_SUCCESS) {
            enum hearth__breaker_outcome outcome = outcome_of(cache, &ops[i], began_ns);
            share->outcome = outcome < share->outcome ? outcome : share->outcome;
        }
    }
    for (uint32_t node = 0; node < cache->url.count; node++) {
        if (shares[node].pass.granted) {
            report(cache, node, shares[node].pass, shares[node].outcome);
        }
    }
}

static void execute_many(hearth *cache, hearth__remote_op *ops, size_t count,
                         int64_t deadline_ns) {
    struct share *shares = hearth__alloc_zero(cache->url.count, sizeof *shares);
    int64_t began_ns = hearth__monotonic_ns();
    if (shares == NULL) {
        hearth__remote_execute(cache->remote, ops, count, deadline_ns);
        return;
    }
    size_t granted = ask(cache, ops, count, shares, began_ns);
    if (granted == count) {
        hearth__remote_execute(cache->remote, ops, count, deadline_ns);
    } else {
        execute_granted(cache, ops, count, granted, shares, deadline_ns);
    }
    report_shares(cache, ops, count, shares, began_ns);
    hearth__free(shares);
}

void hearth__nodes_execute(hearth *cache, hearth__remote_op *ops, size_t count,
                           int64_t deadline_ns) {
    if (cache->breakers == NULL) {
        hearth__remote_execute(cache->remote, ops, count, deadline_ns);
    } else if (count == 1) {
        execute_one(cache, ops, deadline_ns);
    } else if (count != 0) {
        execute_many(cache, ops, count, deadline_ns);
    }
}
