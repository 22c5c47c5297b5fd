/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an answer or a load may leave in the tiers.
 *
 * A load fills its node only where nothing is (ADD), or over the very version that was read there (SWAP), never by a plain
 * set; and only if no write of the key in this process detached it. What the node refuses is not kept locally either: who
 * came between knows better. If the node does not answer, the local copy is kept: it may differ from the node for as long
 * as local.max_ttl_ms allows, and the origin is spared.
 */
#include "base/clock.h"
#include "tier/cache.h"

/* ---- answers ---------------------------------------------------------------------------- */

int64_t hearth__expiry_ms(int64_t from_ms, int64_t left_ms) {
    int64_t expiry = 0;
    if (left_ms < 0 || __builtin_add_overflow(from_ms, left_ms, &expiry)) {
        return HEARTH__LOCAL_FOREVER;
    }
    return expiry;
}

hearth__answer hearth__answer_from_remote(const hearth *cache, const hearth__remote_op *op,
                                          int64_t sent_ms) {
    hearth__local_entry entry = {
        .absent = op->status == HEARTH_ABSENT,
        .stale = op->found == HEARTH__KIND_STALE,
        .born_ms = sent_ms - op->found_age_ms,
        .read_ms = sent_ms,
        .soft_expiry_ms =
            op->soft_left_ms == INT64_MAX ? HEARTH__LOCAL_FOREVER : sent_ms + op->soft_left_ms,
        .hard_expiry_ms = hearth__expiry_ms(sent_ms, op->left_ms),
        .version = op->found_version,
        .content = op->found_content,
        .delta_ms = op->found_delta_ms,
    };
    return (hearth__answer){.entry = entry,
                            .now_ms = hearth__boot_ms(),
                            .tier = HEARTH_TIER_REMOTE,
                            .sole_writer = cache->sole_writer};
}

bool hearth__answer_is_stale(const hearth__answer *answer) {
    return answer->entry.stale || answer->now_ms >= answer->entry.soft_expiry_ms;
}

int64_t hearth__answer_bound_ms(const hearth__answer *answer) {
    return answer->sole_writer ? 0 : answer->now_ms - answer->entry.read_ms;
}

/* A bare entry's age follows from its version, which has the wall clock's time. -1: it has none either. */
static int64_t age_ms(const hearth__local_entry *entry, int64_t now_ms) {
    if (entry->bare && entry->version == 0) {
        return -1;
    }
    int64_t age = entry->bare ? hearth__wall_ms() - (int64_t)(entry->version >> 16)
                              : now_ms - entry->born_ms;
    return age > 0 ? age : 0;
}

void hearth__value_describe(const hearth_value *value, hearth_info *info) {
    hearth__answer plain = {.tier = HEARTH_TIER_LOCAL,
                            .now_ms = INT64_MIN, /* it was fresh */
                            .sole_writer = value->plain == HEARTH__PLAIN_SOLE_WRITER};
    const hearth__answer *answer = &value->answer;
    if (value->plain != HEARTH__NOT_PLAIN) {
        hearth__local_decode(&value->raw, &plain.entry);
        answer = &plain;
    }
    const hearth__local_entry *entry = &answer->entry;
    *info = (hearth_info){.size = sizeof *info, .tier = answer->tier};
    if (answer->tier == HEARTH_TIER_NONE) {
        return;
    }
    int64_t now_ms = hearth__boot_ms(); /* a hit took the coarse clock, which lags */
    int64_t left = entry->hard_expiry_ms - now_ms;
    info->freshness = hearth__answer_is_stale(answer) ? HEARTH_STALE : HEARTH_FRESH;
    info->age_ms = age_ms(entry, now_ms);
    info->ttl_left_ms = entry->hard_expiry_ms == HEARTH__LOCAL_FOREVER ? -1
                        : left > 0                                     ? left
                                                                       : 0;
    info->staleness_bound_ms = answer->sole_writer ? 0 : now_ms - entry->read_ms;
    info->version = entry->version;
    info->content = entry->content;
}

hearth__local_entry hearth__answer_local_entry(const hearth *cache,
                                               const hearth__answer *answer) {
    hearth__local_entry entry = answer->entry;
    int64_t cap = hearth__expiry_ms(entry.read_ms, cache->local_max_ttl_ms);
    if (entry.hard_expiry_ms > cap) {
        entry.hard_expiry_ms = cap;
    }
    /* Where nobody else writes, a copy's bound is 0, and its age follows from its version. */
    entry.bare = cache->sole_writer;
    return entry;
}

/* ---- lives ------------------------------------------------------------------------------ */

hearth__lives hearth__lives_of(const hearth *cache, int64_t ttl_ms, int64_t soft_ttl_ms) {
    hearth__lives lives = {.ttl_ms = ttl_ms, .soft_ttl_ms = soft_ttl_ms};
    if (ttl_ms == HEARTH_TTL_DEFAULT) {
        lives.ttl_ms = cache->config.ttl_ms;
    }
    if (soft_ttl_ms == HEARTH_TTL_DEFAULT) {
        int64_t stale = cache->config.stale_ms;
        lives.soft_ttl_ms = stale != 0 && lives.ttl_ms > stale ? lives.ttl_ms - stale : 0;
    }
    return lives;
}

bool hearth__lives_fit(const hearth *cache, int64_t ttl_ms, int64_t soft_ttl_ms) {
    hearth__lives lives = hearth__lives_of(cache, ttl_ms, soft_ttl_ms);
    return lives.ttl_ms == 0 || lives.soft_ttl_ms <= lives.ttl_ms;
}

/* ---- a load ----------------------------------------------------------------------------- */

int32_t hearth__fill_value(hearth_fill *fill, const void *data, size_t size) {
    fill->filled = false;
    fill->absent = false;
    fill->bytes->size = 0;
    fill->refused = HEARTH_OK;
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
    fill->filled = true;
    fill->absent = true;
    fill->bytes->size = 0;
    fill->refused = HEARTH_OK;
    return HEARTH_OK;
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
    return fill->absent ? HEARTH_ABSENT : HEARTH_OK;
}

static int32_t run_loader(hearth_fill *fill, const hearth_loader *loader, const void *key,
                          size_t key_size) {
    hearth *cache = fill->cache;
    HEARTH__COUNT(cache->counters, loads);
    int64_t began_ns = hearth__monotonic_ns();
    int32_t said = loader->load(loader->arg, key, key_size, fill);
    int64_t took_ms = (hearth__monotonic_ns() - began_ns) / 1000000;
    hearth__seats_add(cache->counters, HEARTH__STAT_load_ms, (uint64_t)took_ms);
    int32_t status = verdict(fill, said);
    if (status == HEARTH_ABSENT) {
        HEARTH__COUNT(cache->counters, load_absents);
    } else if (status < 0) {
        HEARTH__COUNT(cache->counters, load_errors);
        fill->bytes->size = 0;
    }
    return status;
}

/* Fills the node. False: it refused, since it holds something that this load did not see. */
static bool store_remote(const hearth_fill *fill, const hearth__fill_plan *plan,
                         const hearth__lives *lives, hearth__local_entry *entry) {
    hearth *cache = fill->cache;
    hearth__remote_op op =
        hearth__route_op(plan->route, plan->replaces != 0 ? HEARTH__SWAP : HEARTH__ADD);
    int64_t sent_ms = hearth__boot_ms();
    op.kind = fill->absent ? HEARTH__KIND_ABSENT : HEARTH__KIND_VALUE;
    op.data = fill->bytes->data;
    op.data_size = fill->bytes->size;
    op.content = entry->content;
    op.version = entry->version;
    op.delta_ms = entry->delta_ms;
    op.age_ms = sent_ms - entry->born_ms;
    op.ttl_ms = lives->ttl_ms;
    op.soft_ttl_ms = lives->soft_ttl_ms;
    op.if_version = plan->replaces;
    hearth__nodes_execute(cache, &op, 1, hearth__deadline_ns(cache->config.remote_timeout_ms));
    if (op.status == HEARTH_OK) {
        entry->read_ms = sent_ms; /* the node is known to have held just this then */
    }
    return op.status <= HEARTH_OK;
}

static void store(const hearth_fill *fill, const void *key, size_t key_size,
                  const hearth__fill_plan *plan, const hearth__lives *lives,
                  hearth__answer *answer) {
    hearth *cache = fill->cache;
    if (plan->route != NULL && !store_remote(fill, plan, lives, &answer->entry)) {
        HEARTH__COUNT(cache->counters, fills_refused);
        return;
    }
    if (plan->keep_local) {
        hearth__local_entry entry = hearth__answer_local_entry(cache, answer);
        (void)hearth__local_fill(cache->local, key, key_size, plan->ticket, &entry,
                                 fill->bytes->data, fill->bytes->size);
    } else {
        /* The node has another value now: a copy of the one before would be older than it says. */
        (void)hearth__local_evict(cache->local, key, key_size);
    }
}

static hearth__answer answer_of_load(const hearth_fill *fill, const hearth__lives *lives,
                                     uint64_t version, uint32_t content, int64_t began_ms) {
    int64_t now = hearth__boot_ms();
    bool has_soft = lives->soft_ttl_ms != 0;
    bool has_end = lives->ttl_ms != 0;
    hearth__local_entry entry = {
        .absent = fill->absent,
        .born_ms = began_ms,
        .read_ms = began_ms,
        .soft_expiry_ms = hearth__expiry_ms(now, has_soft ? lives->soft_ttl_ms : -1),
        .hard_expiry_ms = hearth__expiry_ms(now, has_end ? lives->ttl_ms : -1),
        .version = version,
        .content = content,
        .delta_ms = now - began_ms < UINT32_MAX ? (uint32_t)(now - began_ms) : UINT32_MAX,
    };
    return (hearth__answer){.entry = entry,
                            .now_ms = now,
                            .tier = HEARTH_TIER_LOADED,
                            .sole_writer = fill->cache->sole_writer};
}

int32_t hearth__fill_load(hearth *cache, hearth__flight *flight, const void *key,
                          size_t key_size, const hearth_loader *loader,
                          const hearth_write_options *write, const hearth__fill_plan *plan,
                          hearth__buffer *bytes, hearth__answer *answer) {
    hearth_fill fill = {.cache = cache, .bytes = bytes};
    uint64_t version = hearth__remote_new_version(cache->remote);
    int64_t began_ms = hearth__boot_ms();
    bytes->size = 0;
    int32_t status = run_loader(&fill, loader, key, key_size);
    if (status < 0) {
        return status;
    }
    if (status == HEARTH_OK) {
        hearth__guard_found(cache, key, key_size);
    }
    hearth__lives lives = lives_of_fill(&fill, write);
    *answer = answer_of_load(&fill, &lives, version, write->content, began_ms);
    if (hearth__flight_store_begin(flight)) {
        store(&fill, key, key_size, plan, &lives, answer);
        hearth__flight_store_end(flight);
    } else {
        HEARTH__COUNT(cache->counters, fills_refused);
    }
    return status;
}
