/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an answer or a load may leave in the tiers.
 *
 * A load fills its node only in the place of the lease that this process holds there (FILL), or over the very version that was read
 * there (SWAP), never by a plain set (where there are no leases: only where nothing is, ADD); and only if no write of the key in this process detached it. What the node refuses is not kept locally either: who
 * came between knows better. If the node does not answer, the local copy is kept: it may differ from the node for as long
 * as local.max_ttl_ms allows, and the origin is spared.
 */
#include "base/clock.h"
#include "base/fork.h"
#include "base/unwind.h"
#include "tier/bus.h"
#include "tier/latencies.h"
#include "tier/lease.h"
#include "tier/namespace_key.h"
#include "tier/namespace_stats.h"
#include "tier/tags.h"

/* ---- a load ----------------------------------------------------------------------------- */

/* What an earlier answer of the same load said is not so any more. */
static void forget(hearth_fill *fill) {
    fill->filled = false;
    fill->absent = false;
    fill->unchanged = false;
    fill->bytes->size = 0;
    fill->refused = HEARTH_OK;
}

int32_t hearth__fill_value(hearth_fill *fill, const void *data, size_t size) {
    forget(fill);
    if (data == NULL && size != 0) {
        return HEARTH_E_INVALID;
    }
    if (size > (size_t)fill->cache->config.remote_max_value_bytes) {
        fill->refused = HEARTH_E_TOO_LARGE;
    } else if (!hearth__buffer_assign(fill->bytes, data, size)) {
        fill->refused = HEARTH_E_NOMEM;
    } else {
        fill->filled = true;
    }
    return fill->refused;
}

int32_t hearth__fill_absent(hearth_fill *fill) {
    forget(fill);
    fill->filled = true;
    fill->absent = true;
    return HEARTH_OK;
}

int32_t hearth__fill_stale(const hearth_fill *fill, const void **data, size_t *size,
                           hearth_info *info) {
    const hearth_value *present = fill->present;
    if (present == NULL) {
        return HEARTH_MISS;
    }
    *data = present->bytes.size != 0 ? (const void *)present->bytes.data : "";
    *size = present->bytes.size;
    if (info != NULL) {
        hearth__value_describe(present, info);
    }
    return HEARTH_OK;
}

int32_t hearth__fill_unchanged(hearth_fill *fill) {
    if (fill->present == NULL) {
        return HEARTH_MISS;
    }
    const hearth__buffer *bytes = &fill->present->bytes;
    int32_t status = hearth__fill_value(fill, bytes->data, bytes->size);
    fill->unchanged = status == HEARTH_OK;
    return status;
}

int32_t hearth__fill_ttl(hearth_fill *fill, int64_t ttl_ms, int64_t soft_ttl_ms) {
    if (!hearth__lives_fit(fill->cache, ttl_ms, soft_ttl_ms)) {
        return HEARTH_E_INVALID;
    }
    fill->has_ttl = true;
    fill->ttl_ms = ttl_ms;
    fill->soft_ttl_ms = soft_ttl_ms;
    return HEARTH_OK;
}

int32_t hearth__fill_tag(hearth_fill *fill, const void *tag, size_t size) {
    int32_t status = tag != NULL ? hearth__tags_add(&fill->tags, tag, size) : HEARTH_E_INVALID;
    if (status != HEARTH_OK) {
        fill->untagged = status == HEARTH_E_INVALID ? HEARTH_E_LOADER : status;
    }
    return status;
}

static hearth__lives lives_of_fill(const hearth_fill *fill, const hearth_write_options *write) {
    int64_t ttl_ms = fill->has_ttl ? fill->ttl_ms : write->ttl_ms;
    int64_t soft_ttl_ms = fill->has_ttl ? fill->soft_ttl_ms : write->soft_ttl_ms;
    if (!fill->absent) {
        return hearth__lives_of(fill->cache, ttl_ms, soft_ttl_ms);
    }
    bool chosen = fill->has_ttl && ttl_ms != HEARTH_TTL_DEFAULT;
    return (hearth__lives){.ttl_ms = chosen ? ttl_ms : fill->cache->config.negative_ttl_ms};
}

/* What the loader's return and its fill mean together. */
static int32_t verdict(const hearth_fill *fill, int32_t said) {
    if (fill->refused != HEARTH_OK) {
        return fill->refused;
    }
    if (said != HEARTH_OK || !fill->filled) {
        return HEARTH_E_LOADER;
    }
    return fill->absent ? HEARTH_ABSENT : fill->untagged;
}

/* Never 0, which is for what was not loaded. */
static uint32_t delta_of(int64_t took_ms) {
    int64_t least = took_ms > 1 ? took_ms : 1;
    return least < UINT32_MAX ? (uint32_t)least : UINT32_MAX;
}

/* An absence has none: it ends soon by itself. A value that stays has those of before, if it has none now. */
static bool is_tagged(const hearth_fill *fill) {
    return !fill->absent &&
           (fill->tags.size != 0 || (fill->unchanged && fill->present->answer.tagged));
}

/* What a loaded answer is, as of now. */
static hearth__answer answer_of_load(const hearth_fill *fill) {
    int64_t now = hearth__boot_ms();
    const hearth__lives *lives = &fill->lives;
    hearth__local_entry entry = {
        .absent = fill->absent,
        .born_ms = fill->began_ms,
        .read_ms = fill->began_ms,
        .soft_expiry_ms =
            hearth__expiry_ms(now, lives->soft_ttl_ms != 0 ? lives->soft_ttl_ms : -1),
        .hard_expiry_ms = hearth__expiry_ms(now, lives->ttl_ms != 0 ? lives->ttl_ms : -1),
        .version = fill->version,
        .content = fill->unchanged ? fill->present->answer.entry.content : fill->write->content,
        .delta_ms = delta_of(now - fill->began_ms),
        .source = (uint16_t)fill->source,
        .until_ms = HEARTH__LOCAL_FOREVER,
    };
    return (hearth__answer){.entry = entry,
                            .now_ms = now,
                            .tier = HEARTH_TIER_LOADED,
                            .sole_writer = fill->cache->sole_writer,
                            .tagged = is_tagged(fill),
                            .invalidations = fill->invalidations};
}

void hearth__fill_begin(hearth_fill *fill) {
    fill->version = hearth__remote_new_version(fill->cache->remote);
    fill->began_ms = hearth__boot_ms();
    fill->source = hearth__bus_begin(fill->cache);
    fill->bytes->size = 0;
    hearth__limit_begin(fill);
    fill->stamp = hearth__tags_stamp(fill->cache);
    fill->invalidations = hearth__tags_invalidations(fill->cache);
}

void hearth__fill_end(hearth_fill *fill, int32_t said) {
    hearth__seats *counters = fill->cache->counters;
    fill->status = verdict(fill, said);
    if (fill->status < 0) {
        HEARTH__COUNT_KEY(fill->cache, fill->key, fill->key_size, load_errors);
        fill->bytes->size = 0;
        hearth__limit_failed(fill);
        return;
    }
    hearth__limit_succeeded(fill);
    if (fill->status == HEARTH_ABSENT) {
        HEARTH__COUNT_KEY(fill->cache, fill->key, fill->key_size, load_absents);
    } else {
        hearth__guard_found(fill->cache, fill->key, fill->key_size);
    }
    if (fill->unchanged) {
        HEARTH__COUNT(counters, load_unchanged);
    }
    fill->lives = hearth__lives_jittered(fill->cache, lives_of_fill(fill, fill->write));
    fill->answer = answer_of_load(fill);
}

/* A call of a loader. */
struct call {
    hearth_fill *const *fills;
    size_t count;
    int64_t began_ns;
    int32_t said;
    bool returned;
    bool held; /* off fork() */
};

static struct call begin_call(hearth_fill *const *fills, size_t count) {
    HEARTH__COUNT_KEY(fills[0]->cache, fills[0]->key, fills[0]->key_size, loads);
    for (size_t i = 0; i < count; i++) {
        hearth__fill_begin(fills[i]);
    }
    return (struct call){.fills = fills,
                         .count = count,
                         .began_ns = hearth__monotonic_ns(),
                         .said = HEARTH_E_LOADER,
                         .held = hearth__fork_pause()}; /* the application's code may fork */
}

/* The loader has returned, or has thrown. */
static void end_call(const struct call *call) {
    hearth *cache = call->fills[0]->cache;
    int64_t took_ns = hearth__monotonic_ns() - call->began_ns;
    hearth__fork_resume(call->held);
    uint64_t took_ms = (uint64_t)took_ns / 1000000;
    hearth__seats_add(cache->counters, HEARTH__STAT_load_ms, took_ms);
    hearth__namespace_add(cache, call->fills[0]->key, call->fills[0]->key_size,
                          HEARTH__NAMESPACE_load_ms, took_ms);
    hearth__latencies_loaded(cache->latencies, took_ns);
    for (size_t i = 0; i < call->count; i++) {
        call->fills[i]->thrown = !call->returned;
        hearth__fill_end(call->fills[i], call->said);
    }
}

void hearth__fill_load(hearth_fill *fill, const hearth_loader *loader) {
    hearth__key_part given = hearth__key_given(fill->key, fill->key_size);
    const void *key = given.data;
    HEARTH__AT_END(end_call) struct call call = begin_call(&fill, 1);
    call.said = loader->load != NULL
                    ? loader->load(loader->arg, key, given.size, fill)
                    : loader->load_many(loader->arg, 1, &key, &given.size, &fill);
    call.returned = true;
}

void hearth__fill_load_many(hearth_fill *const *fills, size_t count, const void *const *keys,
                            const size_t *key_sizes, const hearth_loader *loader) {
    HEARTH__AT_END(end_call) struct call call = begin_call(fills, count);
    call.said = loader->load_many(loader->arg, count, keys, key_sizes, fills);
    call.returned = true;
}

/* ---- what is stored --------------------------------------------------------------------- */

static hearth__remote_op compose(const hearth_fill *fill, int64_t sent_ms) {
    const hearth__fill_plan *plan = &fill->plan;
    const hearth__local_entry *entry = &fill->answer.entry;
    const hearth__lease *lease = hearth__flight_lease(plan->flight);
    bool fills = lease != NULL && !lease->beside;
    hearth__remote_op op = hearth__route_op(plan->route, fills                 ? HEARTH__FILL
                                                         : plan->replaces != 0 ? HEARTH__SWAP
                                                                               : HEARTH__ADD);
    op.token = fills ? lease->token : NULL;
    op.kind = fill->absent ? HEARTH__KIND_ABSENT : HEARTH__KIND_VALUE;
    op.data = fill->bytes->data;
    op.data_size = fill->bytes->size;
    op.content = entry->content;
    op.version = entry->version;
    op.delta_ms = entry->delta_ms;
    op.age_ms = sent_ms - entry->born_ms;
    op.ttl_ms = fill->lives.ttl_ms;
    op.soft_ttl_ms = fill->lives.soft_ttl_ms;
    op.if_version = plan->replaces;
    op.tags = fill->tags.data;
    op.tags_size = fill->absent ? 0 : fill->tags.size;
    op.stamp = fill->stamp;
    op.check = plan->keep_local && fill->cache->listener != NULL &&
               hearth__tracking_keeps_own(fill->cache);
    op.same_body = fill->unchanged && plan->is_whole && !fill->answer.tagged &&
                   fill->present->answer.entry.version == plan->replaces;
    return op;
}

/* `unseen`: the node has it now, or what came then, and whoever changes that is not told to us. */
static void store_local(const hearth_fill *fill, bool unseen) {
    hearth *cache = fill->cache;
    bool judged = !fill->answer.tagged || fill->tags_check.epoch != 0;
    if (fill->plan.keep_local && !unseen && judged) {
        hearth__local_entry entry = hearth__answer_local_entry(cache, &fill->answer);
        if (fill->answer.tagged) {
            hearth__answer_tag_entry(&fill->tags_check, fill->tags.data, fill->tags.size,
                                     fill->stamp, &entry);
        }
        (void)hearth__local_fill(cache->local, fill->key, fill->key_size, fill->plan.ticket,
                                 &entry, fill->bytes->data, fill->bytes->size);
    } else {
        /* The node has another value now: a copy of the one before would be older than it says. */
        (void)hearth__local_evict(cache->local, fill->key, fill->key_size);
    }
}

/* Whether a value with tags may be stored: with a stamp from before its load, by which none of them is out of date already. Without
 * one, as a process has none before it first meets a tag, the next load has it. */
static bool tags_allow(hearth_fill *fill) {
    hearth *cache = fill->cache;
    hearth__tags_check check = {0};
    if (!fill->answer.tagged || fill->plan.route == NULL) {
        return true;
    }
    bool known = hearth__tags_ask_stamp(cache) != 0 && fill->stamp != 0 && fill->tags.size != 0;
    enum hearth__tags_verdict verdict = HEARTH__TAGS_UNKNOWN;
    if (known) {
        hearth__tags_tell(cache, fill->tags.data, fill->tags.size);
        verdict =
            hearth__tags_judge(cache, fill->tags.data, fill->tags.size, fill->stamp, &check);
    }
    fill->tags_check = check;
    if (verdict == HEARTH__TAGS_UNKNOWN) {
        HEARTH__COUNT(cache->counters, values_unchecked);
    } else if (verdict != HEARTH__TAGS_GOOD) {
        HEARTH__COUNT(cache->counters, fills_refused);
    }
    return verdict == HEARTH__TAGS_GOOD;
}

/* Writers of the key wait from here to finish(). False: there is nothing to store. */
static bool may_store(hearth_fill *fill) {
    if (fill->status < 0 || !tags_allow(fill)) {
        return false;
    }
    if (!hearth__flight_store_begin(fill->plan.flight)) {
        HEARTH__COUNT(fill->cache->counters, fills_refused);
        return false;
    }
    if (fill->plan.route != NULL &&
        !hearth__lease_may_fill(fill->cache, fill->plan.flight, fill->plan.route)) {
        hearth__flight_store_end(fill->plan.flight);
        HEARTH__COUNT(fill->cache->counters, leases_void);
        return false;
    }
    return true;
}

/* Takes the node's answer; `op` NULL: none was asked. */
static void finish(hearth_fill *fill, const hearth__remote_op *op, int64_t sent_ms) {
    bool is_stored = op != NULL && op->status == HEARTH_OK;
    if (is_stored) { /* the node is known to have held just this then */
        fill->answer.entry.read_ms = sent_ms;
    }
    if (is_stored && op->checked) {
        hearth__tracking_checked(op, sent_ms, &fill->answer.entry);
    }
    if (op != NULL && op->status > HEARTH_OK) {
        /* It holds something that this load did not see. */
        HEARTH__COUNT(fill->cache->counters, fills_refused);
        if (op->verb == HEARTH__FILL) {
            HEARTH__COUNT(fill->cache->counters, leases_void);
        }
    } else {
        bool unseen = op != NULL && op->check && !op->checked;
        store_local(fill, is_stored && (unseen || !hearth__tracking_keeps_own(fill->cache)));
    }
    hearth__flight_store_end(fill->plan.flight);
}

void hearth__fill_store(hearth_fill *const *fills, hearth__remote_op *ops, size_t count) {
    hearth *cache = fills[0]->cache;
    int64_t sent_ms = hearth__boot_ms();
    size_t sent = 0;
    hearth__tracking_begin_fills(cache, fills, count);
    for (size_t i = 0; i < count; i++) {
        fills[i]->stores = may_store(fills[i]);
        fills[i]->told_node = fills[i]->stores && fills[i]->plan.route != NULL;
        if (fills[i]->told_node) {
            ops[sent++] = compose(fills[i], sent_ms);
        }
    }
    hearth__nodes_execute(cache, ops, sent,
                          hearth__deadline_ns(cache->config.remote_timeout_ms));
    const hearth__remote_op *next = ops;
    for (size_t i = 0; i < count; i++) {
        if (fills[i]->stores) {
            finish(fills[i], fills[i]->told_node ? next++ : NULL, sent_ms);
        }
    }
    uint64_t told = hearth__bus_tell_fills(cache, fills, ops, count);
    hearth__lease_give_back(cache, fills, ops, count); /* whose operations are in their place */
    hearth__bus_await_fills(cache, told, hearth__deadline_ns(cache->config.remote_timeout_ms));
    for (size_t i = 0; i < count; i++) {
        if (fills[i]->status >= 0) { /* kept or not, it is newer */
            hearth__ended_drop(cache, fills[i]->key, fills[i]->key_size);
        }
        hearth__buffer_fini(&fills[i]->tags);
    }
}
