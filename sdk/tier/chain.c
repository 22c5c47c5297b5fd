/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The read path, top to bottom. A get asks the local tier, the guard, and then the key's node. A fetch goes on: of all callers that miss,
 * one leads (guard/flight.h); it asks the node, and failing that the loader, and the others get its answer.
 *
 * A stale answer is an answer. Who gets one tries to lead its renewal; who does not lead has nothing to wait for. A loader that
 * may outlive the call renews on a worker, and nobody waits (load.h). Values that soon expire are renewed in the same way
 * (renewal.c).
 *
 * get_many.c and fetch_many.c take the same steps for many keys at once.
 *
 * Longer than 400 lines: the whole path of a read stands in one file.
 */
#include "base/clock.h"
#include "base/memory.h"
#include "base/unwind.h"
#include "tier/lease.h"
#include "tier/load.h"
#include "tier/namespace_stats.h"
#include "tier/tags.h"

/* ---- the local tier --------------------------------------------------------------------- */

/* The coarse clock lags; near an edge, and to a caller with a bound, the exact one is told. */
static int64_t exact_if_needed(const hearth__read *read, int64_t coarse_ms) {
    const hearth__local_entry *entry = &read->value->answer.entry;
    int64_t edge = coarse_ms + HEARTH__COARSE_LAG_MS;
    bool needed = entry->hard_expiry_ms <= edge ||
                  entry->soft_expiry_ms - (int64_t)entry->lead_ms <= edge ||
                  entry->until_ms <= edge || read->options->max_stale_ms != HEARTH_STALE_ANY;
    return needed ? hearth__boot_ms() : coarse_ms;
}

/* Looks at the tags of a local copy, which stand behind its value, unless that was done lately. False: they end it. */
static bool take_tags(hearth__read *read) {
    hearth *cache = read->cache;
    hearth__answer *answer = &read->value->answer;
    hearth__local_entry *entry = &answer->entry;
    const hearth__buffer *bytes = &read->value->bytes;
    hearth__tags_check check;
    answer->tagged = entry->tags_size != 0;
    answer->invalidations = read->invalidations;
    if (!answer->tagged || hearth__boot_ms() < entry->tags_until_ms) {
        answer->tags_ms = entry->tags_ms;
        return true;
    }
    bool asks = !hearth__read_wants(read, HEARTH_READ_NO_REMOTE);
    enum hearth__tags_verdict verdict = (asks ? hearth__tags_judge : hearth__tags_judge_known)(
        cache, bytes->data + bytes->size, entry->tags_size, entry->stamp, &check);
    if (verdict == HEARTH__TAGS_GONE) {
        return false;
    }
    answer->tags_ms = verdict != HEARTH__TAGS_UNKNOWN ? check.asked_ms : entry->tags_ms;
    entry->stale = entry->stale || verdict != HEARTH__TAGS_GOOD;
    if (verdict == HEARTH__TAGS_GOOD) {
        entry->tags_epoch = check.epoch;
        entry->tags_ms = check.asked_ms;
        hearth__local_retag(cache->local, read->key, read->key_size, entry);
    } else if (verdict == HEARTH__TAGS_UNKNOWN) {
        HEARTH__COUNT(cache->counters, values_unchecked);
    }
    return true;
}

int32_t hearth__read_ask_local(hearth__read *read) {
    if (!hearth__read_keeps_local(read)) {
        return HEARTH_MISS;
    }
    hearth__answer *answer = &read->value->answer;
    int64_t now = hearth__boot_coarse_ms();
    int32_t status = hearth__local_get(read->cache->local, read->key, read->key_size, now,
                                       &read->value->bytes, &answer->entry);
    if (status != HEARTH_OK) {
        return status;
    }
    answer->entry.stale =
        answer->entry.stale || hearth__read_wants(read, HEARTH__READ_UNTRUSTED);
    if (!take_tags(read)) {
        return HEARTH_MISS;
    }
    answer->now_ms = exact_if_needed(read, now);
    answer->tier = HEARTH_TIER_LOCAL;
    answer->sole_writer = read->cache->sole_writer;
    answer->grace_ms = read->cache->plain >> HEARTH__PLAIN_GRACE;
    if (answer->now_ms >= answer->entry.hard_expiry_ms ||
        answer->now_ms >= answer->entry.until_ms ||
        hearth__answer_bound_ms(answer) > read->options->max_stale_ms) {
        return HEARTH_MISS;
    }
    return answer->entry.absent ? HEARTH_ABSENT : HEARTH_OK;
}

/* ---- the guard -------------------------------------------------------------------------- */

static int32_t deny(hearth__read *read) {
    int64_t now_ms = hearth__boot_ms();
    HEARTH__COUNT(read->cache->counters, guard_denials);
    read->value->bytes.size = 0;
    read->value->answer = (hearth__answer){.entry = {.absent = true,
                                                     .born_ms = now_ms,
                                                     .read_ms = now_ms,
                                                     .soft_expiry_ms = HEARTH__LOCAL_FOREVER,
                                                     .hard_expiry_ms = now_ms},
                                           .now_ms = now_ms,
                                           .tier = HEARTH_TIER_GUARD,
                                           .sole_writer = read->cache->sole_writer};
    return HEARTH_ABSENT;
}

int32_t hearth__read_ask_guard(hearth__read *read) {
    enum hearth__bloom_answer answer =
        hearth__guard_ask(read->cache, read->key, read->key_size);
    read->audited =
        answer == HEARTH__BLOOM_AUDITED && !hearth__read_wants(read, HEARTH_READ_NO_REMOTE);
    if (read->audited) {
        HEARTH__COUNT(read->cache->counters, guard_audits);
        return HEARTH_MISS;
    }
    return answer == HEARTH__BLOOM_MAYBE ? HEARTH_MISS : deny(read);
}

int32_t hearth__read_audit(hearth__read *read, int32_t status) {
    if (!read->audited) {
        return status;
    }
    if (status == HEARTH_OK) {
        hearth__guard_found(read->cache, read->key, read->key_size);
        return status;
    }
    return deny(read);
}

/* ---- the remote tier -------------------------------------------------------------------- */

/* A remaining life costs the node something: it is asked for only where
 * a local copy can use it. */
hearth__remote_op hearth__read_question(const hearth__read *read, const hearth__route *route) {
    hearth__remote_op op = hearth__route_op(route, HEARTH__GET);
    op.want_ttl =
        hearth__read_keeps_local(read) && hearth__remote_knows_ttl(read->cache->remote);
    op.body = &read->value->bytes;
    op.body->size = 0;
    return op;
}

/* What its tags say of a value that a node gave. */
static enum hearth__tags_verdict ask_tags(const hearth__read *read, const hearth__remote_op *op,
                                          hearth__tags_check *check) {
    if (op->status != HEARTH_OK || op->found_tags_size == 0) {
        return HEARTH__TAGS_GOOD;
    }
    enum hearth__tags_verdict verdict =
        hearth__tags_judge(read->cache, op->body->data + op->body->size, op->found_tags_size,
                           op->found_stamp, check);
    if (verdict == HEARTH__TAGS_UNKNOWN) {
        HEARTH__COUNT(read->cache->counters, values_unchecked);
    }
    return verdict;
}

/* It is no answer, but a load may replace it. */
static int32_t refuse_invalidated(hearth__read *read) {
    HEARTH__COUNT(read->cache->counters, values_invalidated);
    HEARTH__COUNT_KEY(read->cache, read->key, read->key_size, remote_misses);
    hearth__ended_drop(read->cache, read->key, read->key_size);
    read->is_whole = false;
    read->value->bytes.size = 0;
    return HEARTH_MISS;
}

/* Keeps a copy of what a node said; `check`: of its tags. Whether it is kept. */
static bool keep_local(const hearth__read *read, const hearth__remote_op *op,
                       hearth__local_ticket ticket, const hearth__tags_check *check) {
    const hearth__buffer *bytes = &read->value->bytes;
    if (!hearth__read_keeps_local(read) || op->found == HEARTH__KIND_INTEGER) {
        return false;
    }
    hearth__local_entry entry = hearth__answer_local_entry(read->cache, &read->value->answer);
    if (op->found_tags_size != 0) {
        hearth__answer_tag_entry(check, bytes->data + bytes->size, op->found_tags_size,
                                 op->found_stamp, &entry);
    }
    return hearth__local_fill(read->cache->local, read->key, read->key_size, ticket, &entry,
                              bytes->data, bytes->size);
}

int32_t hearth__read_take_remote(hearth__read *read, const hearth__remote_op *op,
                                 hearth__local_ticket ticket, int64_t sent_ms) {
    read->replaces = op->found_version;
    read->is_whole = op->status == HEARTH_OK;
    read->is_leased = op->status == HEARTH_MISS && op->found == HEARTH__KIND_LEASE;
    read->is_told = hearth__tracking_tells(read->cache, op->source);
    if (op->status != HEARTH_OK && op->status != HEARTH_ABSENT) {
        if (op->status == HEARTH_MISS) {
            HEARTH__COUNT_KEY(read->cache, read->key, read->key_size, remote_misses);
            hearth__ended_drop(read->cache, read->key, read->key_size);
        }
        return op->status;
    }
    hearth__tags_check check = {0};
    enum hearth__tags_verdict tags = ask_tags(read, op, &check);
    if (tags == HEARTH__TAGS_GONE) {
        return refuse_invalidated(read);
    }
    HEARTH__COUNT_KEY(read->cache, read->key, read->key_size, remote_hits);
    read->value->answer = hearth__answer_from_remote(
        read->cache, op, sent_ms, read->heard_ms != 0 ? read->heard_ms : hearth__boot_ms());
    if (op->found_tags_size != 0) {
        read->value->answer.tagged = true;
        read->value->answer.invalidations = read->invalidations;
        read->value->answer.tags_ms =
            tags != HEARTH__TAGS_UNKNOWN ? check.asked_ms : read->value->answer.entry.born_ms;
        read->value->answer.entry.stale |= tags != HEARTH__TAGS_GOOD;
    }
    if (tags != HEARTH__TAGS_GOOD || !keep_local(read, op, ticket, &check)) {
        hearth__ended_drop(read->cache, read->key, read->key_size);
    }
    return op->status;
}

/* A node's deadline is its own, within the call's. */
int64_t hearth__read_node_deadline_ns(const hearth__read *read) {
    int64_t own = hearth__deadline_ns(read->cache->config.remote_timeout_ms);
    return own < read->deadline_ns ? own : read->deadline_ns;
}

/* HEARTH_OK (perhaps stale), HEARTH_ABSENT, HEARTH_MISS, or the node's error. */
static int32_t ask_remote(hearth__read *read, const hearth__route *route, int64_t deadline_ns) {
    int32_t status = HEARTH_MISS;
    if (hearth__read_confirm(read, route, deadline_ns, &status)) {
        return status;
    }
    hearth__local_ticket ticket = hearth__route_sample(route, read->key, read->key_size);
    int64_t sent_ms = hearth__boot_ms();
    hearth__remote_op op = hearth__read_question(read, route);
    hearth__nodes_execute(read->cache, &op, 1, deadline_ns);
    return hearth__read_take_remote(read, &op, ticket, sent_ms);
}

/* ---- the answer ------------------------------------------------------------------------- */

int32_t hearth__read_deliver(hearth__read *read, int32_t status) {
    hearth__seats *counters = read->cache->counters;
    hearth__local *tier = read->cache->local;
    bool answered = status == HEARTH_OK || status == HEARTH_ABSENT;
    bool local = answered && read->value->answer.tier == HEARTH_TIER_LOCAL;
    if (local) {
        hearth__local_count_hit(tier, hearth__seats_own(counters), read->key, read->key_size);
        hearth__namespace_count(read->cache, read->key, read->key_size,
                                HEARTH__NAMESPACE_local_hits);
    } else {
        hearth__local_count_miss(tier, hearth__seats_own(counters), read->key, read->key_size);
        hearth__namespace_count(read->cache, read->key, read->key_size,
                                HEARTH__NAMESPACE_reads);
    }
    if (!answered) {
        hearth__value_clear(read->value);
        return status;
    }
    if (status == HEARTH_OK && hearth__read_is_stale(read)) {
        HEARTH__COUNT_KEY(read->cache, read->key, read->key_size, stale_served);
        if (local) {
            HEARTH__COUNT_KEY(read->cache, read->key, read->key_size, local_stale_hits);
        }
    }
    return status;
}

hearth__read hearth__read_begin(hearth *cache, const void *key, size_t key_size,
                                const hearth_read_options *options, hearth_value *value) {
    hearth__value_clear(value);
    return (hearth__read){.cache = cache,
                          .key = key,
                          .key_size = key_size,
                          .options = options,
                          .value = value,
                          .invalidations = hearth__tags_invalidations(cache)};
}

/* ---- get -------------------------------------------------------------------------------- */

int32_t hearth__read_judge(const hearth__read *read, int32_t status) {
    bool refused = status == HEARTH_OK && !hearth__read_wants(read, HEARTH_READ_ALLOW_STALE) &&
                   hearth__read_is_stale(read);
    return refused ? HEARTH_MISS : status;
}

int32_t hearth__read_get_end(hearth__read *read, int32_t status) {
    int32_t found = hearth__read_judge(read, hearth__read_audit(read, status));
    return hearth__read_wants(read, HEARTH_READ_ALLOW_STALE) ? hearth__read_ended(read, found)
                                                             : found;
}

int64_t hearth__read_get_deadline_ns(const hearth *cache, const hearth_read_options *options) {
    int64_t ms = options->deadline_ms;
    return hearth__deadline_ns(ms != 0 ? ms : cache->config.remote_timeout_ms);
}

int32_t hearth__chain_get(hearth *cache, const void *key, size_t key_size,
                          const hearth_read_options *options, hearth_value *value) {
    hearth__read read = hearth__read_begin(cache, key, key_size, options, value);
    int32_t status = hearth__read_judge(&read, hearth__read_ask_local(&read));
    if (status == HEARTH_MISS) {
        status = hearth__read_ask_guard(&read);
    }
    if (status == HEARTH_MISS && !hearth__read_wants(&read, HEARTH_READ_NO_REMOTE)) {
        hearth__route route;
        status = hearth__route_init(cache, key, key_size, &route);
        if (status == HEARTH_OK) {
            status = ask_remote(&read, &route, hearth__read_get_deadline_ns(cache, options));
            status = hearth__read_get_end(&read, status);
        }
        hearth__route_fini(&route);
    }
    return hearth__read_deliver(&read, status);
}

/* ---- fetch: the flight ------------------------------------------------------------------ */

static void release_outcome(void *result) {
    hearth__outcome *outcome = result;
    hearth__buffer_fini(&outcome->bytes);
    hearth__free(outcome);
}

hearth__flights *hearth__chain_flights_create(void) {
    return hearth__flights_create(release_outcome);
}

int32_t hearth__read_land(hearth__read *read, hearth__flight *flight, int32_t status) {
    hearth__load_land(flight, status, &read->value->answer, &read->value->bytes);
    return status;
}

/* Waits for the leader's answer, and leaves. What does not come leaves the value as it was. */
static int32_t await_leader(hearth__read *read, hearth__flight *flight, int64_t deadline_ns) {
    const void *result = NULL;
    int32_t status = hearth__flight_await(flight, deadline_ns, &result);
    const hearth__outcome *outcome = result;
    if (outcome != NULL) {
        if (hearth__buffer_assign(&read->value->bytes, outcome->bytes.data,
                                  outcome->bytes.size)) {
            read->value->answer = outcome->answer;
        } else {
            status = HEARTH_E_NOMEM;
        }
    }
    hearth__flight_leave(flight);
    return status;
}

int32_t hearth__read_follow(hearth__read *read, hearth__flight *flight) {
    HEARTH__COUNT(read->cache->counters, flight_waits);
    hearth__load_rescue(read->cache, flight);
    hearth__limit_lend(read->cache);
    int32_t status = await_leader(read, flight, read->deadline_ns);
    hearth__limit_take_back(read->cache);
    if (status == HEARTH_E_TIMEOUT) {
        HEARTH__COUNT(read->cache->counters, flight_timeouts);
    }
    const hearth__answer *answer = &read->value->answer;
    if (status == HEARTH_OK && answer->tagged && answer->invalidations < read->invalidations) {
        /* It began before a tag was invalidated, and this read after. */
        hearth__value_clear(read->value);
        return HEARTH_MISS;
    }
    return status;
}

/* ---- fetch: what the tiers have --------------------------------------------------------- */

/* A remote tier that is down, slow or wrong is a miss to a fetch; it has been counted and logged. */
int32_t hearth__read_ask_remote(hearth__read *read, const hearth__route *route) {
    if (hearth__read_wants(read, HEARTH_READ_NO_REMOTE)) {
        return HEARTH_MISS;
    }
    int32_t status = ask_remote(read, route, hearth__read_node_deadline_ns(read));
    hearth__read_note_node(read, status);
    return status < 0 ? HEARTH_MISS : status;
}

/* What a read found is an answer, if it is not just what is to be renewed. */
static bool is_answer(const hearth__read *read, int32_t status) {
    return status == HEARTH_ABSENT ||
           (status == HEARTH_OK && (read->present == NULL || hearth__read_is_renewed(read)));
}

/* A leader who found no answer takes the key's lease, or waits for who has it. */
static int32_t take_lease(hearth__read *read, hearth__flight *flight,
                          const hearth__route *route, int32_t status, hearth__flight **led) {
    int32_t sought = hearth__lease_seek(read, flight, route, status);
    if (sought == HEARTH_OK || sought == HEARTH_ABSENT) {
        return hearth__read_land(read, flight, sought);
    }
    if (sought == HEARTH_MISS) {
        *led = flight;
        return HEARTH_MISS;
    }
    (void)hearth__read_land(read, flight, status); /* who waits may have more time */
    return sought == HEARTH_EXISTS ? status : sought;
}

/* What a leader finds in the tiers: whoever led before may just have landed, so the local tier is asked again. If it is an
 * answer, the flight lands with it; else it is the caller's still, and *led, unless another process loads. */
static int32_t ask_tiers(hearth__read *read, hearth__flight *flight, hearth__route *route,
                         hearth__flight **led) {
    hearth__route_refresh(
        route); /* a change of the members detaches what leads for a moved key, from here on */
    int32_t status = hearth__read_ask_local(read);
    if (status >= 0 && !is_answer(read, status)) {
        status = hearth__read_ask_remote(read, route);
    }
    if (status < 0 || is_answer(read, status)) {
        return hearth__read_land(read, flight, status);
    }
    return take_lease(read, flight, route, status, led);
}

/* Any answer, perhaps a stale one: from the local tier, from who leads, or by leading. HEARTH_MISS: *led is the caller's to
 * load; without it, somebody else loads and the caller does not wait. */
static int32_t find(hearth__read *read, hearth__route *route, hearth__flight **led) {
    hearth__flight *flight = NULL;
    if (hearth__read_wants(read, HEARTH_READ_NO_WAIT)) {
        int32_t status =
            hearth__flight_try_lead(read->cache->flights, read->key, read->key_size, &flight);
        return status == HEARTH_OK       ? ask_tiers(read, flight, route, led)
               : status == HEARTH_EXISTS ? HEARTH_MISS
                                         : status;
    }
    bool leads = false;
    int32_t status = HEARTH_MISS;
    while (status == HEARTH_MISS &&
           !leads) { /* a leader may have had less time than this caller */
        status = hearth__flight_join(read->cache->flights, read->key, read->key_size,
                                     read->deadline_ns, &flight, &leads);
        if (status == HEARTH_OK) {
            status =
                leads ? ask_tiers(read, flight, route, led) : hearth__read_follow(read, flight);
        }
    }
    return status;
}

/* Gives a read the answer of its renewal, and the renewal what is stale. */
static void swap_values(hearth_value *value, hearth_value *fresh) {
    hearth_value stale = *value;
    *value = *fresh;
    *fresh = stale;
}

/* Leads the renewal of an answer, if nobody does: *led is the caller's to load. Another process may have renewed it:
 * then the node has it, and that is the answer. */
static int32_t find_renewal(hearth__read *read, hearth__route *route, hearth__flight **led) {
    hearth__flight *flight = NULL;
    if (hearth__flight_try_lead(read->cache->flights, read->key, read->key_size, &flight) !=
        HEARTH_OK) {
        return HEARTH_OK;
    }
    hearth_value fresh = {0};
    hearth__read renewal = *read;
    renewal.value = &fresh;
    renewal.present = read->value;
    int32_t status = ask_tiers(&renewal, flight, route, led);
    read->replaces = renewal.replaces;
    read->is_whole = renewal.is_whole;
    read->node_failed = renewal.node_failed;
    if (*led != NULL) {
        hearth__read_renewal_begins(&renewal);
    }
    if (status == HEARTH_OK || status == HEARTH_ABSENT) {
        swap_values(read->value, &fresh);
    } else {
        status = HEARTH_OK;
    }
    hearth__buffer_fini(&fresh.bytes);
    return status;
}

/* From the local tier's answer on, to the point where a load is needed: then *led is the caller's, and the status HEARTH_OK (an
 * answer that is to be renewed) or HEARTH_MISS. */
static int32_t seek(hearth__read *read, hearth__route *route, int32_t status,
                    hearth__flight **led) {
    bool renews = status == HEARTH_OK;
    if (status == HEARTH_MISS) {
        status = find(read, route, led);
        renews = status == HEARTH_OK && *led == NULL && hearth__read_needs_renewal(read);
    }
    return renews ? find_renewal(read, route, led) : status;
}

/* ---- fetch: the load -------------------------------------------------------------------- */

hearth_fill hearth__read_fill(const hearth__read *read, hearth__flight *flight,
                              const hearth__route *route) {
    /* Who reloads does not wait for a lease: over a version that was read it needs none. */
    bool has_lease = !read->cache->takes_leases || hearth__flight_lease(flight) != NULL ||
                     (hearth__read_wants(read, HEARTH_READ_RELOAD) && read->replaces != 0);
    bool fills_remote =
        !hearth__read_wants(read, HEARTH_READ_NO_REMOTE) && !read->node_failed && has_lease;
    return (hearth_fill){
        .cache = read->cache,
        .key = read->key,
        .key_size = read->key_size,
        .write = read->write,
        .bytes = &read->value->bytes,
        .present = read->present,
        .plan = {.flight = flight,
                 .route = fills_remote ? route : NULL,
                 .replaces = read->replaces,
                 .is_whole = read->is_whole,
                 .ticket = hearth__route_sample(route, read->key, read->key_size),
                 .keep_local = hearth__read_keeps_local(read),
                 .is_told = read->is_told && hearth__flight_lease(flight) != NULL}};
}

/* Who has a fresh answer, which is renewed early, waits for nothing. */
static int64_t soft_timeout_ms(const hearth *cache, const hearth_value *present) {
    return hearth__answer_is_stale(&present->answer) ? cache->config.load_soft_timeout_ms : 0;
}

int64_t hearth__read_place_ns(const hearth__read *read) {
    const hearth *cache = read->cache;
    if (read->present != NULL && !hearth__read_wants(read, HEARTH_READ_RELOAD)) {
        int64_t soft_ms = soft_timeout_ms(cache, read->present);
        return soft_ms == 0 ? HEARTH__LIMIT_SPARE
                            : hearth__limit_until_ns(cache, hearth__deadline_ns(soft_ms));
    }
    return hearth__read_wants(read, HEARTH_READ_NO_WAIT)
               ? HEARTH__LIMIT_NOW
               : hearth__limit_until_ns(cache, read->deadline_ns);
}

/* A load on this thread. */
struct loading {
    hearth_fill fill;
    hearth__place place;
};

/* Those who wait get what any load that fails leaves them. */
static void land_thrown(hearth_fill *fill) {
    const hearth_value *present = fill->present;
    hearth__buffer_fini(&fill->tags);
    if (present != NULL) {
        hearth__load_land(fill->plan.flight, HEARTH_OK, &present->answer, &present->bytes);
    } else {
        hearth__load_land(fill->plan.flight, fill->status, NULL, NULL);
    }
}

static void end_loading(struct loading *loading) {
    hearth__limiter_leave(&loading->place);
    if (loading->fill.thrown) {
        land_thrown(&loading->fill);
    }
}

/* Calls the loader on this thread, and fills the tiers. */
static int32_t load(hearth__read *read, hearth__flight *flight, const hearth__route *route) {
    HEARTH__AT_END(end_loading) struct loading loading = {0};
    if (!hearth__limit_enter(read->cache, &loading.place, hearth__read_place_ns(read))) {
        return HEARTH_E_OVERLOAD;
    }
    hearth_fill *fill = &loading.fill;
    hearth__remote_op op;
    *fill = hearth__read_fill(read, flight, route);
    hearth__fill_load(fill, read->loader);
    hearth__limiter_leave(&loading.place);
    hearth__fill_store(&fill, &op, 1);
    if (fill->status >= 0) {
        read->value->answer = fill->answer;
    }
    return fill->status;
}

static void fini_value(hearth_value *value) {
    hearth__buffer_fini(&value->bytes);
}

/* The same beside the present value, and lands: with that one if it fails. */
static int32_t load_beside(hearth__read *read, hearth__flight *flight,
                           const hearth__route *route) {
    HEARTH__AT_END(fini_value) hearth_value fresh = {0};
    hearth__read renewal = *read;
    renewal.value = &fresh;
    int32_t status = load(&renewal, flight, route);
    if (status >= 0) {
        swap_values(read->value, &fresh);
    }
    (void)hearth__read_land(read, flight, status < 0 ? HEARTH_OK : status);
    return status;
}

static int32_t renew_here(hearth__read *read, hearth__flight *flight,
                          const hearth__route *route) {
    int32_t status = load_beside(read, flight, route);
    return status < 0 ? HEARTH_OK : status;
}

int32_t hearth__read_renew_elsewhere(hearth__read *read, hearth__flight *flight,
                                     int64_t soft_ms) {
    if (!hearth__load_may_outlive(read->loader)) {
        return HEARTH_MISS;
    }
    enum hearth__handing handing = hearth__load_hand_over(read, flight, false, soft_ms != 0);
    if (handing == HEARTH__DROPPED) {
        HEARTH__COUNT(read->cache->counters, renewals_dropped);
        return hearth__read_land(read, flight, HEARTH_OK);
    }
    if (handing == HEARTH__HANDED && soft_ms != 0) {
        int64_t soft_ns = hearth__deadline_ns(soft_ms);
        int32_t status = await_leader(
            read, flight, soft_ns < read->deadline_ns ? soft_ns : read->deadline_ns);
        return status == HEARTH_ABSENT ? HEARTH_ABSENT : HEARTH_OK;
    }
    return handing == HEARTH__HANDED ? HEARTH_OK : HEARTH_MISS;
}

/* A caller with a deadline of its own does not load by itself what may outlive it: it waits for a worker, as others do. But who
 * is inside a loader does, or workers could wait for each other. */
static bool waits_for_worker(const hearth__read *read, const hearth__flight *flight) {
    return read->options->deadline_ms != 0 && hearth__load_may_outlive(read->loader) &&
           !hearth__flights_leads_another(flight);
}

/* Loads what this caller leads; `status`: an answer is there (HEARTH_OK), or none (HEARTH_MISS). */
static int32_t load_or_hand_over(hearth__read *read, hearth__flight *flight,
                                 const hearth__route *route, int32_t status) {
    read->present = status == HEARTH_OK ? read->value : NULL;
    bool reloads = hearth__read_wants(read, HEARTH_READ_RELOAD);
    if (status == HEARTH_OK && !reloads) {
        int32_t renewed = hearth__read_renew_elsewhere(
            read, flight, soft_timeout_ms(read->cache, read->present));
        return renewed != HEARTH_MISS ? renewed : renew_here(read, flight, route);
    }
    if (waits_for_worker(read, flight) &&
        hearth__load_hand_over(read, flight, true, true) == HEARTH__HANDED) {
        int32_t loaded = hearth__read_follow(read, flight);
        /* It is the present value: the load has failed. */
        bool failed = loaded >= 0 && read->value->answer.tier != HEARTH_TIER_LOADED;
        return failed ? HEARTH_E_LOADER : loaded;
    }
    return status == HEARTH_OK ? load_beside(read, flight, route)
                               : hearth__read_land(read, flight, load(read, flight, route));
}

int64_t hearth__read_fetch_deadline_ns(const hearth *cache,
                                       const hearth_read_options *options) {
    int64_t ms = options->deadline_ms;
    return hearth__deadline_ns(ms != 0 ? ms : cache->config.load_hard_timeout_ms);
}

int32_t hearth__read_reload(hearth__read *read, hearth__route *route) {
    hearth__flight *led = NULL;
    int32_t status = hearth__read_seek_load(read, route, &led);
    return led != NULL ? load_or_hand_over(read, led, route, status) : status;
}

/* Whether the local tier or the guard has all that a fetch needs. */
static bool is_final(const hearth__read *read, int32_t status) {
    return status == HEARTH_OK ? !hearth__read_needs_renewal(read) : status != HEARTH_MISS;
}

/* A fetch, to the point where a load is needed: see seek(). A route is made only on the way there. */
static int32_t fetch_begin(hearth__read *read, hearth__route *route, hearth__flight **led) {
    bool reloads = hearth__read_wants(read, HEARTH_READ_RELOAD);
    int32_t status = reloads ? HEARTH_MISS : hearth__read_ask_local(read);
    route->heap = NULL; /* none yet */
    route->members = NULL;
    if (status == HEARTH_MISS && !reloads) {
        status = hearth__read_ask_guard(read);
    }
    if (is_final(read, status)) {
        return status;
    }
    read->deadline_ns = hearth__read_fetch_deadline_ns(read->cache, read->options);
    int32_t routed = hearth__route_init(read->cache, read->key, read->key_size, route);
    if (routed != HEARTH_OK) {
        return status == HEARTH_OK ? HEARTH_OK : routed;
    }
    return reloads ? hearth__read_seek_load(read, route, led) : seek(read, route, status, led);
}

/* A fetch that may not load: a stale value will do, and a node that does not answer has none. */
static int32_t look(hearth *cache, const void *key, size_t key_size,
                    const hearth_read_options *options, hearth_value *value) {
    hearth_read_options tiers = hearth__read_without_load(options);
    return hearth__read_found(hearth__chain_get(cache, key, key_size, &tiers, value));
}

int32_t hearth__read_go_on(hearth__read *read, hearth__route *route) {
    hearth__flight *led = NULL;
    int32_t status = seek(read, route, HEARTH_MISS, &led);
    return led != NULL ? load_or_hand_over(read, led, route, status) : status;
}

int32_t hearth__chain_fetch(hearth *cache, const void *key, size_t key_size,
                            const hearth_loader *loader, const hearth_read_options *options,
                            const hearth_write_options *write, hearth_value *value) {
    if ((options->flags & HEARTH_READ_NO_LOAD) != 0) {
        return look(cache, key, key_size, options, value);
    }
    hearth__read read = hearth__read_begin(cache, key, key_size, options, value);
    HEARTH__AT_END(hearth__route_fini) hearth__route route;
    hearth__flight *led = NULL;
    read.loader = loader;
    read.write = write;
    int32_t status = fetch_begin(&read, &route, &led);
    if (led != NULL) {
        status = load_or_hand_over(&read, led, &route, status);
    }
    status = hearth__read_ended(&read, hearth__read_audit(&read, status));
    return hearth__read_deliver(&read, status);
}

int32_t hearth__chain_fetch_begin(hearth *cache, const void *key, size_t key_size,
                                  const hearth_read_options *options, hearth_value *value,
                                  hearth_fill **fill) {
    hearth__read read = hearth__read_begin(cache, key, key_size, options, value);
    hearth__route route;
    hearth__flight *led = NULL;
    int32_t status = fetch_begin(&read, &route, &led);
    read.present = status == HEARTH_OK ? value : NULL;
    int32_t begun =
        led != NULL ? hearth__load_begin(&read, led, fill) : hearth__read_audit(&read, status);
    if (led == NULL) {
        status = begun;
    } else if (begun != HEARTH_OK) {
        status = hearth__read_land(&read, led, status == HEARTH_OK ? HEARTH_OK : begun);
    }
    hearth__route_fini(&route);
    return hearth__read_deliver(&read, hearth__read_ended(&read, status));
}
