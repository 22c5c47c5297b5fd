/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Write-through: first the key is void in all tiers, and a lease of the writer's stands in its place, which keeps every other load
 * from being stored; then the source is changed; then the value takes the lease's place. Whatever goes wrong, no tier has anything
 * older than the source.
 */
#include "tier/bus.h"
#include "tier/lease.h"
#include "tier/load.h"
#include "tier/namespace_key.h"
#include "tier/namespace_stats.h"
#include "tier/nodes.h"
#include "tier/write.h"

#include "base/clock.h"

/* One write on its way. */
struct through {
    hearth *cache;
    const hearth__write *write;
    const hearth_write_options *options;
    hearth__route route;
    hearth__lease *lease; /* NULL: the node did not take it */
};

static int64_t deadline_ns(const struct through *through) {
    int64_t ms = through->options->deadline_ms;
    return hearth__deadline_ns(ms != 0 ? ms : through->cache->config.remote_timeout_ms);
}

/* One step at the node, while this process neither reads nor loads the key into its tiers; `keeps`: the value is kept locally if the
 * node takes it. */
static void step(struct through *through, hearth__remote_op *op, bool keeps) {
    hearth *cache = through->cache;
    const hearth__write *write = through->write;
    int64_t until_ns = deadline_ns(through);
    int64_t sent_ms = hearth__boot_ms();
    hearth__local_ticket ticket =
        hearth__local_write_begin(cache->local, write->key, write->key_size);
    if (hearth__flight_detach(cache->flights, write->key, write->key_size, until_ns)) {
        HEARTH__COUNT(cache->counters, flight_detaches);
    }
    keeps = keeps && hearth__tracking_keeps_own(cache);
    op->check = keeps && cache->listener != NULL;
    hearth__nodes_execute(cache, op, 1, until_ns);
    hearth__local_entry entry = hearth__write_entry(cache, op, sent_ms);
    bool kept = keeps && op->status == HEARTH_OK && op->check == op->checked;
    hearth__local_write_end(cache->local, write->key, write->key_size, ticket,
                            kept ? &entry : NULL, write->data, write->size);
    (void)hearth__flight_detach(cache->flights, write->key, write->key_size, 0);
}

/* The lease replaces what is there. Without one the source is changed all the same: what the node has is deleted, then or later.
 * Without memory to tell the node anything it is not: HEARTH_E_NOMEM, else HEARTH_OK. */
static int32_t make_void(struct through *through) {
    hearth *cache = through->cache;
    const hearth__route *route = &through->route;
    uint64_t generation = hearth__remote_generation(cache->remote, route->node);
    hearth__lease *lease = hearth__lease_create(cache->leases, "", route->key, route->key_size,
                                                route->node, generation);
    hearth__remote_op op = hearth__route_op(route, HEARTH__DELETE);
    if (lease != NULL) {
        op = hearth__lease_op(cache, lease, HEARTH__SET);
    }
    int64_t asked_ms = hearth__nodes_now_ms();
    step(through, &op, false);
    (void)hearth__bus_tell(cache, through->write->key, through->write->key_size, op.status,
                           deadline_ns(through));
    if (lease != NULL && op.status == HEARTH_OK) {
        hearth__lease_keep(cache, lease, asked_ms);
        through->lease = lease;
    } else {
        hearth__lease_destroy(lease);
    }
    return op.status == HEARTH_E_NOMEM ? HEARTH_E_NOMEM : HEARTH_OK;
}

static hearth__remote_op compose(const struct through *through) {
    const hearth_write_options *options = through->options;
    const hearth__write *write = through->write;
    hearth__lives lives =
        hearth__lives_of(through->cache, options->ttl_ms, options->soft_ttl_ms);
    bool integer = (options->flags & HEARTH_WRITE_INTEGER) != 0;
    hearth__remote_op op = hearth__route_op(&through->route, HEARTH__FILL);
    op.kind = integer ? HEARTH__KIND_INTEGER : HEARTH__KIND_VALUE;
    op.token = through->lease->token;
    op.data = write->data;
    op.data_size = write->size;
    op.content = options->content;
    op.version = hearth__remote_new_version(through->cache->remote);
    op.ttl_ms = lives.ttl_ms;
    op.soft_ttl_ms = lives.soft_ttl_ms;
    return op;
}

/* HEARTH_OK: the value is in the lease's place. */
static int32_t store(struct through *through) {
    const hearth__lease *lease = through->lease;
    if (lease == NULL || !hearth__lease_is_own(lease) ||
        lease->generation != hearth__remote_generation(through->cache->remote, lease->node)) {
        return HEARTH_CONFLICT;
    }
    hearth__remote_op op = compose(through);
    bool keeps = through->cache->keeps_local && op.kind == HEARTH__KIND_VALUE &&
                 (through->options->flags & HEARTH_WRITE_NO_LOCAL) == 0;
    step(through, &op, keeps);
    return op.status;
}

/* What stands there now may have been read before the source was changed. That is owed to the node for whatever reason it could
 * not be told, the lack of memory included. */
static int32_t remove(struct through *through) {
    hearth__remote_op op = hearth__route_op(&through->route, HEARTH__DELETE);
    step(through, &op, false);
    if (op.status == HEARTH_E_NOMEM && through->cache->guards != NULL) {
        op.status = HEARTH_E_UNKNOWN;
        hearth__handoff_check(through->cache, &op);
    }
    return op.status < 0 ? op.status : HEARTH_OK;
}

static int32_t run(struct through *through, hearth_writer writer, void *arg) {
    hearth *cache = through->cache;
    const hearth__write *write = through->write;
    if (make_void(through) != HEARTH_OK) {
        return HEARTH_E_NOMEM;
    }
    /* This process's fetches wait, and the writer's own is told that it would wait for itself. */
    hearth__flight *flight = NULL;
    bool leads = hearth__flight_try_lead(cache->flights, write->key, write->key_size,
                                         &flight) == HEARTH_OK;
    hearth__key_part given = hearth__key_given(write->key, write->key_size);
    int32_t said = writer(arg, given.data, given.size, write->data, write->size);
    int32_t status = said == HEARTH_OK ? store(through) : HEARTH_E_LOADER;
    if (status != HEARTH_OK) {
        int32_t removed = remove(through);
        bool tells = status == HEARTH_E_LOADER || status == HEARTH_E_TOO_LARGE;
        status = tells ? status : removed < 0 ? removed : HEARTH_CONFLICT;
    }
    hearth__lease_destroy(through->lease);
    if (leads) { /* who waits finds the value in the tiers, or loads */
        hearth__flight_land(flight, HEARTH_MISS, NULL);
    }
    return status;
}

/* Whatever came of it, the key has changed. */
static int32_t tell(const struct through *through, int32_t status) {
    bool removed = status == HEARTH_CONFLICT || status == HEARTH_E_LOADER;
    const hearth__write *write = through->write;
    int32_t told = hearth__bus_tell(through->cache, write->key, write->key_size,
                                    removed ? HEARTH_OK : status, deadline_ns(through));
    return removed ? status : told;
}

int32_t hearth__write_through(hearth *cache, const hearth__write *write,
                              const hearth_write_options *options, hearth_writer writer,
                              void *arg) {
    struct through through = {.cache = cache, .write = write, .options = options};
    if (write->size > (size_t)cache->config.remote_max_value_bytes) {
        return HEARTH_E_TOO_LARGE;
    }
    int32_t status = hearth__route_init(cache, write->key, write->key_size, &through.route);
    if (status == HEARTH_OK) {
        HEARTH__COUNT_KEY(cache, write->key, write->key_size, writes);
        hearth__guard_add_own(cache, write->key, write->key_size);
        status = run(&through, writer, arg);
        /* Once more, since a filter may have been begun after the first time. */
        hearth__guard_add_own(cache, write->key, write->key_size);
        status = tell(&through, status);
    }
    hearth__route_fini(&through.route);
    return status;
}
