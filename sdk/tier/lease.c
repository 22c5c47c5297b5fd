/* SPDX-License-Identifier: Apache-2.0 */
#include "tier/lease.h"

#include "base/bell.h"
#include "base/clock.h"
#include "base/fork.h"
#include "base/random.h"
#include "tier/nodes.h"

enum {
    NS_PER_MS = 1000000,
    POLL_FIRST_MS =
        2, /* after which a process that waits looks; then twice as long, and so on, */
    POLL_LAST_MS = 50, /* up to this; by half less or more, so that not all look at once */
};

/* Where a lease for the renewal of a value stands: what is at the key stays readable. Not within anybody's prefix. */
#define BESIDE "hearth-lock:"

/* ---- one lease -------------------------------------------------------------------------- */

hearth__remote_op hearth__lease_op(const hearth *cache, const hearth__lease *lease,
                                   enum hearth__verb verb) {
    return (hearth__remote_op){.verb = verb,
                               .node = lease->node,
                               .key = lease->key,
                               .key_size = lease->key_size,
                               .kind = HEARTH__KIND_LEASE,
                               .token = lease->token,
                               .version = hearth__remote_new_version(cache->remote),
                               .ttl_ms = cache->lease_ttl_ms};
}

/* To be asked for; NULL: no memory. */
static hearth__lease *create(const hearth *cache, const hearth__route *route, bool beside) {
    uint64_t generation = hearth__remote_generation(cache->remote, route->node);
    return hearth__lease_create(cache->leases, beside ? BESIDE : "", route->key,
                                route->key_size, route->node, generation);
}

enum taken { TAKEN, LOST, FAILED };

/* Takes a node's answer: the flight carries the lease, or there is none. */
static enum taken take(hearth__read *read, hearth__flight *flight, hearth__lease *lease,
                       const hearth__remote_op *op, int64_t asked_ms) {
    if (op->status == HEARTH_OK) {
        hearth__lease_keep(read->cache, lease, asked_ms);
        hearth__flight_carry(flight, lease);
        read->replaces = lease->beside ? read->replaces : 0;
        return TAKEN;
    }
    hearth__lease_destroy(lease);
    read->node_failed = read->node_failed || op->status < 0;
    return op->status < 0 ? FAILED : LOST;
}

static enum taken ask(hearth__read *read, hearth__flight *flight, const hearth__route *route,
                      bool beside) {
    hearth__lease *lease = create(read->cache, route, beside);
    if (lease == NULL) {
        return FAILED;
    }
    int64_t asked_ms = hearth__nodes_now_ms();
    hearth__remote_op op = hearth__lease_op(read->cache, lease, HEARTH__LEASE);
    hearth__nodes_execute(read->cache, &op, 1, hearth__read_node_deadline_ns(read));
    return take(read, flight, lease, &op, asked_ms);
}

/* Another process has it. Who has a value meanwhile does not ask again with every read. */
static void note_lost(const hearth__read *read, bool has_value) {
    hearth *cache = read->cache;
    int64_t pause_ms = cache->config.lease_wait_ms;
    HEARTH__COUNT(cache->counters, leases_lost);
    if (has_value && pause_ms != 0) {
        hearth__backoff_hold(cache->backoff, read->key, read->key_size,
                             hearth__boot_ms() + pause_ms);
    }
}

/* ---- waiting for another process -------------------------------------------------------- */

/* One that waits. */
struct wait {
    int64_t until_ns;
    int64_t pause_ms;
    bool blocked; /* something is at the key that is neither an answer nor a lease */
};

/* False: it has waited long enough. */
static bool pause(struct wait *wait, hearth__bell *bell) {
    int64_t now_ns = hearth__monotonic_ns();
    if (now_ns >= wait->until_ns) {
        return false;
    }
    int64_t pause_ns = wait->pause_ms * NS_PER_MS;
    int64_t jitter_ns = (int64_t)(hearth__random_u64() % (uint64_t)pause_ns);
    int64_t end_ns = now_ns + pause_ns / 2 + jitter_ns;
    end_ns = end_ns < wait->until_ns ? end_ns : wait->until_ns;
    bool held = hearth__fork_pause();
    (void)hearth__bell_await(bell, hearth__bell_look(bell), HEARTH__LEASE_STROKE_NEVER, end_ns);
    hearth__fork_resume(held);
    wait->pause_ms = wait->pause_ms < POLL_LAST_MS / 2 ? wait->pause_ms * 2 : POLL_LAST_MS;
    return hearth__monotonic_ns() < wait->until_ns;
}

/* HEARTH_OK, HEARTH_ABSENT, HEARTH_MISS, or the node's error. Only an answer is counted as one. */
static int32_t look(hearth__read *read, const hearth__route *route) {
    hearth__local_ticket ticket = hearth__route_sample(route, read->key, read->key_size);
    int64_t sent_ms = hearth__boot_ms();
    hearth__remote_op op = hearth__read_question(read, route);
    hearth__nodes_execute(read->cache, &op, 1, hearth__read_node_deadline_ns(read));
    if (op.status == HEARTH_OK || op.status == HEARTH_ABSENT) {
        return hearth__read_take_remote(read, &op, ticket, sent_ms);
    }
    read->replaces = op.found_version;
    read->is_leased = op.status == HEARTH_MISS && op.found == HEARTH__KIND_LEASE;
    return op.status;
}

/*
 * Who is inside a loader waits for a moment only: that loader's key may be what the other process waits for. Then it loads, and
 * stores nothing at the node.
 */
static struct wait begin_wait(const hearth__read *read, const hearth__flight *flight) {
    struct wait wait = {.until_ns = read->deadline_ns, .pause_ms = POLL_FIRST_MS};
    if (hearth__flights_leads_another(flight)) {
        int64_t own_ns = hearth__deadline_ns(read->cache->config.lease_wait_ms);
        wait.until_ns = own_ns < wait.until_ns ? own_ns : wait.until_ns;
    }
    return wait;
}

static int32_t end_wait(const hearth__read *read, const struct wait *wait) {
    return wait->until_ns < read->deadline_ns ? HEARTH_MISS : HEARTH_E_TIMEOUT;
}

/* Until there is an answer, or the lease is free. */
static int32_t wait_for_other(hearth__read *read, hearth__flight *flight,
                              const hearth__route *route) {
    struct wait wait = begin_wait(read, flight);
    while (pause(&wait, &read->cache->extender.bell)) {
        int32_t status = look(read, route);
        if (status < 0 && hearth__monotonic_ns() >= wait.until_ns) {
            break;
        }
        if (status != HEARTH_MISS) {
            read->node_failed = status < 0;
            return status < 0 ? HEARTH_MISS : status;
        }
        if (read->is_leased) {
            wait.blocked = false;
            continue;
        }
        if (ask(read, flight, route, read->replaces != 0) != LOST) {
            return HEARTH_MISS;
        }
        if (wait.blocked && read->replaces == 0) {
            return HEARTH_MISS;
        }
        wait.blocked = true;
    }
    return end_wait(read, &wait);
}

int32_t hearth__lease_seek(hearth__read *read, hearth__flight *flight,
                           const hearth__route *route, int32_t status) {
    if (!read->cache->takes_leases || read->node_failed ||
        hearth__read_wants(read, HEARTH_READ_NO_REMOTE)) {
        return HEARTH_MISS;
    }
    bool beside = status == HEARTH_OK && read->replaces != 0;
    enum taken taken = read->is_leased ? LOST : ask(read, flight, route, beside);
    if (taken == LOST && !read->is_leased && !beside && read->replaces != 0) {
        taken = ask(read, flight, route, true); /* over what cannot be read */
    }
    if (taken != LOST) {
        return HEARTH_MISS;
    }
    note_lost(read, read->present != NULL);
    if (read->present != NULL || hearth__read_wants(read, HEARTH_READ_NO_WAIT)) {
        return HEARTH_EXISTS;
    }
    return wait_for_other(read, flight, route);
}

void hearth__lease_try(hearth__read *read, hearth__flight *flight, const hearth__route *route) {
    hearth__remote_op op;
    hearth__lease_asking asking = {
        .read = read, .flight = flight, .route = route, .has_stale = true};
    hearth__lease_ask_many(read->cache, &asking, &op, 1);
}

/* ---- many ------------------------------------------------------------------------------- */

/* NULL: there is nothing to ask. */
static hearth__lease *prepare(hearth *cache, hearth__lease_asking *asking) {
    hearth__read *read = asking->read;
    asking->lost = read->is_leased;
    if (!cache->takes_leases || read->node_failed || read->is_leased ||
        hearth__read_wants(read, HEARTH_READ_NO_REMOTE)) {
        return NULL;
    }
    return create(cache, asking->route, asking->has_stale && read->replaces != 0);
}

void hearth__lease_ask_many(hearth *cache, hearth__lease_asking *askings,
                            hearth__remote_op *ops, size_t count) {
    size_t sent = 0;
    int64_t deadline_ns = HEARTH__NEVER;
    for (size_t i = 0; i < count; i++) {
        hearth__lease *lease = prepare(cache, &askings[i]);
        hearth__flight_carry(askings[i].flight, lease); /* until it is known */
        if (lease != NULL) {
            ops[sent++] = hearth__lease_op(cache, lease, HEARTH__LEASE);
            deadline_ns = hearth__read_node_deadline_ns(askings[i].read);
        }
    }
    int64_t asked_ms = hearth__nodes_now_ms();
    hearth__nodes_execute(cache, ops, sent, deadline_ns);
    const hearth__remote_op *op = ops;
    for (size_t i = 0; i < count; i++) {
        hearth__lease_asking *asking = &askings[i];
        hearth__lease *lease = hearth__flight_lease(asking->flight);
        if (lease != NULL) {
            hearth__flight_carry(asking->flight, NULL);
            asking->lost = take(asking->read, asking->flight, lease, op++, asked_ms) == LOST;
        }
        if (asking->lost && asking->has_stale) { /* the others will wait, and count then */
            note_lost(asking->read, true);
        }
    }
}

/* ---- the end ---------------------------------------------------------------------------- */

bool hearth__lease_may_fill(const hearth *cache, const hearth__flight *flight,
                            const hearth__route *route) {
    const hearth__lease *lease = hearth__flight_lease(flight);
    return lease == NULL ||
           (hearth__lease_is_own(lease) && lease->node == route->node &&
            lease->generation == hearth__remote_generation(cache->remote, lease->node));
}

/* Whether it is to be given back: it is not a forked child's parent's, and its node is still one. */
static bool is_ours(const hearth__members *members, const hearth__lease *lease) {
    return hearth__lease_is_own(lease) && hearth__members_have(members, lease->node);
}

void hearth__lease_give_back(hearth *cache, hearth_fill *const *fills, hearth__remote_op *ops,
                             size_t count) {
    size_t sent = 0;
    uint32_t place = 0;
    hearth__members *members = hearth__members_hold(cache, &place);
    for (size_t i = 0; i < count; i++) {
        const hearth__lease *lease = hearth__flight_lease(fills[i]->plan.flight);
        bool replaced = lease != NULL && !lease->beside && fills[i]->told_node;
        if (lease != NULL && !replaced && is_ours(members, lease)) {
            ops[sent++] = hearth__lease_op(cache, lease, HEARTH__RELEASE);
        }
    }
    hearth__nodes_execute(cache, ops, sent,
                          hearth__deadline_ns(cache->config.remote_timeout_ms));
    hearth__members_let_go(members, place);
    for (size_t i = 0; i < count; i++) {
        hearth__lease_destroy(hearth__flight_lease(fills[i]->plan.flight));
        hearth__flight_carry(fills[i]->plan.flight, NULL);
    }
}

void hearth__lease_drop(hearth__flight *flight) {
    hearth__lease *lease = hearth__flight_lease(flight);
    if (lease == NULL) {
        return;
    }
    hearth *cache = hearth__leases_owner(lease->leases);
    uint32_t place = 0;
    hearth__members *members = hearth__members_hold(cache, &place);
    if (is_ours(members, lease)) {
        hearth__remote_op op = hearth__lease_op(cache, lease, HEARTH__RELEASE);
        hearth__nodes_execute(cache, &op, 1,
                              hearth__deadline_ns(cache->config.remote_timeout_ms));
    }
    hearth__members_let_go(members, place);
    hearth__lease_destroy(lease);
    hearth__flight_carry(flight, NULL);
}
