/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The read path, top to bottom. A get asks the local tier, the guard, and then the key's node. A fetch goes on: of all callers that miss,
 * one leads (guard/flight.h); it asks the node, and failing that the loader, and the others get its answer.
 *
 * A stale answer is an answer. Who gets one tries to lead its renewal; who does not lead has nothing to wait for.
 *
 * Longer than 400 lines: the whole path of a read stands in one file.
 */
#include "base/clock.h"
#include "base/memory.h"
#include "tier/cache.h"

/* One read on its way. */
struct read {
    hearth *cache;
    const void *key;
    size_t key_size;
    const hearth_read_options *options;
    const hearth_loader *loader; /* fetch only, and the two below */
    const hearth_write_options *write;
    int64_t deadline_ns;
    hearth_value *value; /* with the last answer that was OK or ABSENT */
    uint64_t replaces;   /* the version that the node holds, stale or unreadable; 0: none */
    bool node_failed;    /* it did not answer: it is not to be filled */
    bool audited;        /* the guard denied it, and that is to be checked */
};

static bool wants(const struct read *read, uint32_t flag) {
    return (read->options->flags & flag) != 0;
}

static bool keeps_local(const struct read *read) {
    return !wants(read, HEARTH_READ_NO_LOCAL) && read->cache->keeps_local;
}

static bool is_stale(const struct read *read) {
    return hearth__answer_is_stale(&read->value->answer);
}

/* ---- the local tier --------------------------------------------------------------------- */

/* The coarse clock lags; near an edge, and to a caller with a bound, the exact one is told. */
static int64_t exact_if_needed(const struct read *read, int64_t coarse_ms) {
    const hearth__local_entry *entry = &read->value->answer.entry;
    int64_t edge = coarse_ms + HEARTH__COARSE_LAG_MS;
    bool needed = entry->hard_expiry_ms <= edge || entry->soft_expiry_ms <= edge ||
                  read->options->max_stale_ms != HEARTH_STALE_ANY;
    return needed ? hearth__boot_ms() : coarse_ms;
}

/* HEARTH_OK (perhaps stale), HEARTH_ABSENT, HEARTH_MISS, HEARTH_E_NOMEM. */
static int32_t ask_local(struct read *read) {
    if (!keeps_local(read)) {
        return HEARTH_MISS;
    }
    hearth__answer *answer = &read->value->answer;
    int64_t now = hearth__boot_coarse_ms();
    int32_t status = hearth__local_get(read->cache->local, read->key, read->key_size, now,
                                       &read->value->bytes, &answer->entry);
    if (status != HEARTH_OK) {
        return status;
    }
    answer->now_ms = exact_if_needed(read, now);
    answer->tier = HEARTH_TIER_LOCAL;
    answer->sole_writer = read->cache->sole_writer;
    if (answer->now_ms >= answer->entry.hard_expiry_ms ||
        hearth__answer_bound_ms(answer) > read->options->max_stale_ms) {
        return HEARTH_MISS;
    }
    return answer->entry.absent ? HEARTH_ABSENT : HEARTH_OK;
}

/* ---- the guard -------------------------------------------------------------------------- */

static int32_t deny(struct read *read) {
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

/* After a miss in the local tier. HEARTH_ABSENT: the key does not exist; HEARTH_MISS: it may, or it is to be looked for all
 * the same, and audit() is to judge what is found. */
static int32_t ask_guard(struct read *read) {
    enum hearth__bloom_answer answer =
        hearth__guard_ask(read->cache, read->key, read->key_size);
    read->audited = answer == HEARTH__BLOOM_AUDITED && !wants(read, HEARTH_READ_NO_REMOTE);
    if (read->audited) {
        HEARTH__COUNT(read->cache->counters, guard_audits);
        return HEARTH_MISS;
    }
    return answer == HEARTH__BLOOM_MAYBE ? HEARTH_MISS : deny(read);
}

/* What a read that was to be checked found: a value proves the guard wrong; a check that fails says nothing. */
static int32_t audit(struct read *read, int32_t status) {
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

/* Sets a GET up, into a value emptied of a stale copy. A remaining life costs the node something: it is asked for only where
 * a local copy can use it. */
static hearth__remote_op question(const struct read *read, const hearth__route *route) {
    hearth__remote_op op = hearth__route_op(route, HEARTH__GET);
    op.want_ttl = keeps_local(read) && hearth__remote_knows_ttl(read->cache->remote);
    op.body = &read->value->bytes;
    op.body->size = 0;
    return op;
}

/* Takes what the node said, and keeps a local copy if no write of this process came between. */
static int32_t take_remote(struct read *read, const hearth__remote_op *op,
                           hearth__local_ticket ticket, int64_t sent_ms) {
    read->replaces = op->found_version;
    if (op->status != HEARTH_OK && op->status != HEARTH_ABSENT) {
        if (op->status == HEARTH_MISS) {
            HEARTH__COUNT(read->cache->counters, remote_misses);
        }
        return op->status;
    }
    HEARTH__COUNT(read->cache->counters, remote_hits);
    read->value->answer = hearth__answer_from_remote(read->cache, op, sent_ms);
    if (keeps_local(read) && op->found != HEARTH__KIND_INTEGER) {
        hearth__local_entry entry =
            hearth__answer_local_entry(read->cache, &read->value->answer);
        (void)hearth__local_fill(read->cache->local, read->key, read->key_size, ticket, &entry,
                                 read->value->bytes.data, read->value->bytes.size);
    }
    return op->status;
}

/* A node's deadline is its own, within the call's. */
static int64_t node_deadline_ns(const struct read *read) {
    int64_t own = hearth__deadline_ns(read->cache->config.remote_timeout_ms);
    return own < read->deadline_ns ? own : read->deadline_ns;
}

/* HEARTH_OK (perhaps stale), HEARTH_ABSENT, HEARTH_MISS, or the node's error. */
static int32_t ask_remote(struct read *read, const hearth__route *route, int64_t deadline_ns) {
    hearth__local_ticket ticket =
        hearth__local_sample(read->cache->local, read->key, read->key_size);
    int64_t sent_ms = hearth__boot_ms();
    hearth__remote_op op = question(read, route);
    hearth__nodes_execute(read->cache, &op, 1, deadline_ns);
    return take_remote(read, &op, ticket, sent_ms);
}

/* ---- the answer ------------------------------------------------------------------------- */

/* Gives the caller what was found: the one exit, the one place for the accounting. */
static int32_t deliver(struct read *read, int32_t status) {
    hearth__seats *counters = read->cache->counters;
    hearth__local *tier = read->cache->local;
    bool answered = status == HEARTH_OK || status == HEARTH_ABSENT;
    bool local = answered && read->value->answer.tier == HEARTH_TIER_LOCAL;
    if (local) {
        hearth__local_count_hit(tier, hearth__seats_own(counters), read->key, read->key_size);
    } else {
        hearth__local_count_miss(tier, hearth__seats_own(counters), read->key, read->key_size);
    }
    if (!answered) {
        hearth__value_clear(read->value);
        return status;
    }
    if (status == HEARTH_OK && is_stale(read)) {
        HEARTH__COUNT(counters, stale_served);
        if (local) {
            HEARTH__COUNT(counters, local_stale_hits);
        }
    }
    return status;
}

static struct read begin(hearth *cache, const void *key, size_t key_size,
                         const hearth_read_options *options, hearth_value *value) {
    hearth__value_clear(value);
    return (struct read){
        .cache = cache, .key = key, .key_size = key_size, .options = options, .value = value};
}

/* ---- get -------------------------------------------------------------------------------- */

/* What an answer means to a get: a stale one is a miss unless the caller takes it. */
static int32_t judge(const struct read *read, int32_t status) {
    bool refused =
        status == HEARTH_OK && !wants(read, HEARTH_READ_ALLOW_STALE) && is_stale(read);
    return refused ? HEARTH_MISS : status;
}

static int64_t get_deadline_ns(const hearth *cache, const hearth_read_options *options) {
    int64_t ms = options->deadline_ms;
    return hearth__deadline_ns(ms != 0 ? ms : cache->config.remote_timeout_ms);
}

int32_t hearth__chain_get(hearth *cache, const void *key, size_t key_size,
                          const hearth_read_options *options, hearth_value *value) {
    struct read read = begin(cache, key, key_size, options, value);
    int32_t status = judge(&read, ask_local(&read));
    if (status == HEARTH_MISS) {
        status = ask_guard(&read);
    }
    if (status == HEARTH_MISS && !wants(&read, HEARTH_READ_NO_REMOTE)) {
        hearth__route route;
        status = hearth__route_init(cache, key, key_size, &route);
        if (status == HEARTH_OK) {
            status = ask_remote(&read, &route, get_deadline_ns(cache, options));
            status = judge(&read, audit(&read, status));
        }
        hearth__route_fini(&route);
    }
    return deliver(&read, status);
}

/* ---- get_many --------------------------------------------------------------------------- */

/* A key that the local tier did not have. */
struct question {
    struct read read;
    hearth__route route;
    hearth__local_ticket ticket;
    size_t place; /* among the caller's keys */
};

/* Asks all nodes at once for what the local tier did not have. */
static void ask_nodes(hearth *cache, struct question *questions, hearth__remote_op *ops,
                      size_t count, int64_t deadline_ns, int32_t *statuses) {
    for (size_t i = 0; i < count; i++) {
        struct read *read = &questions[i].read;
        questions[i].ticket = hearth__local_sample(cache->local, read->key, read->key_size);
        ops[i] = question(read, &questions[i].route);
    }
    int64_t sent_ms = hearth__boot_ms();
    hearth__nodes_execute(cache, ops, count, deadline_ns);
    for (size_t i = 0; i < count; i++) {
        struct question *asked = &questions[i];
        int32_t status = take_remote(&asked->read, &ops[i], asked->ticket, sent_ms);
        status = audit(&asked->read, status);
        statuses[asked->place] = deliver(&asked->read, judge(&asked->read, status));
        hearth__route_fini(&asked->route);
    }
}

/* Answers one of many from the local tier; true: it has become the next question. */
static bool ask_local_of_many(struct read *read, size_t place, struct question *next,
                              int32_t *status) {
    *status = judge(read, ask_local(read));
    if (*status == HEARTH_MISS) {
        *status = ask_guard(read);
    }
    if (*status == HEARTH_MISS && !wants(read, HEARTH_READ_NO_REMOTE)) {
        next->read = *read;
        next->place = place;
        *status = hearth__route_init(read->cache, read->key, read->key_size, &next->route);
        if (*status == HEARTH_OK) {
            return true;
        }
    }
    *status = deliver(read, *status);
    return false;
}

/* Whether any fresh local value is an answer. */
static bool takes_any_hit(const hearth_read_options *options) {
    return (options->flags & ~(uint32_t)HEARTH_READ_NO_REMOTE) == 0 &&
           options->max_stale_ms == HEARTH_STALE_ANY;
}

/* The plain hits among a few keys; HEARTH_MISS: nothing has happened. */
static size_t hit_few(hearth *cache, size_t count, const void *const *keys,
                      const size_t *key_sizes, hearth_value *const *values, int32_t *statuses) {
    hearth__local_ask asks[HEARTH__LOCAL_ASKS];
    for (size_t i = 0; i < count; i++) {
        asks[i] = (hearth__local_ask){.key = keys[i],
                                      .key_size = key_sizes[i],
                                      .bytes = &values[i]->bytes,
                                      .raw = &values[i]->raw};
    }
    hearth__local_hit_many(cache->local, asks, count, statuses);
    size_t hits = 0;
    for (size_t i = 0; i < count; i++) {
        values[i]->plain = statuses[i] == HEARTH_OK ? cache->plain : HEARTH__NOT_PLAIN;
        hits += statuses[i] == HEARTH_OK;
    }
    return hits;
}

/* How many of the keys were plain hits; the others are HEARTH_MISS. */
static size_t hit_many(hearth *cache, size_t count, const void *const *keys,
                       const size_t *key_sizes, hearth_value *const *values,
                       int32_t *statuses) {
    size_t hits = 0;
    for (size_t at = 0; at < count; at += HEARTH__LOCAL_ASKS) {
        size_t few = count - at < HEARTH__LOCAL_ASKS ? count - at : HEARTH__LOCAL_ASKS;
        hits += hit_few(cache, few, keys + at, key_sizes + at, values + at, statuses + at);
    }
    return hits;
}

int32_t hearth__chain_get_many(hearth *cache, size_t count, const void *const *keys,
                               const size_t *key_sizes, const hearth_read_options *options,
                               hearth_value *const *values, int32_t *statuses) {
    bool is_tried = takes_any_hit(options);
    if (is_tried && hit_many(cache, count, keys, key_sizes, values, statuses) == count) {
        return HEARTH_OK;
    }
    int64_t deadline_ns = get_deadline_ns(cache, options);
    struct question *questions = hearth__alloc_zero(count, sizeof *questions);
    hearth__remote_op *ops = hearth__alloc_zero(count, sizeof *ops);
    int32_t result = questions != NULL && ops != NULL ? HEARTH_OK : HEARTH_E_NOMEM;
    size_t asked = 0;
    for (size_t i = 0; result == HEARTH_OK && i < count; i++) {
        if (!is_tried || statuses[i] != HEARTH_OK) {
            struct read read = begin(cache, keys[i], key_sizes[i], options, values[i]);
            asked += ask_local_of_many(&read, i, &questions[asked], &statuses[i]);
        }
    }
    if (asked != 0) {
        ask_nodes(cache, questions, ops, asked, deadline_ns, statuses);
    }
    hearth__free(ops);
    hearth__free(questions);
    return result;
}

/* ---- fetch ------------------------------------------------------------------------------ */

/* What a leader leaves to those who wait for it. */
struct outcome {
    hearth__answer answer;
    hearth__buffer bytes;
};

static void release_outcome(void *result) {
    struct outcome *outcome = result;
    hearth__buffer_fini(&outcome->bytes);
    hearth__free(outcome);
}

hearth__flights *hearth__chain_flights_create(void) {
    return hearth__flights_create(release_outcome);
}

/* The leader's end: its status, and a copy of its answer for the others. */
static int32_t land(struct read *read, hearth__flight *flight, int32_t status) {
    struct outcome *outcome = NULL;
    if (status == HEARTH_OK || status == HEARTH_ABSENT) {
        outcome = hearth__alloc_zero(1, sizeof *outcome);
        const hearth__buffer *bytes = &read->value->bytes;
        if (outcome == NULL ||
            !hearth__buffer_assign(&outcome->bytes, bytes->data, bytes->size)) {
            hearth__free(outcome);
            hearth__flight_land(flight, HEARTH_E_NOMEM, NULL);
            return status;
        }
        outcome->answer = read->value->answer;
    }
    hearth__flight_land(flight, status, outcome);
    return status;
}

static int32_t follow(struct read *read, hearth__flight *flight) {
    const void *result = NULL;
    HEARTH__COUNT(read->cache->counters, flight_waits);
    int32_t status = hearth__flight_await(flight, read->deadline_ns, &result);
    const struct outcome *outcome = result;
    if (outcome != NULL) {
        read->value->answer = outcome->answer;
        if (!hearth__buffer_assign(&read->value->bytes, outcome->bytes.data,
                                   outcome->bytes.size)) {
            status = HEARTH_E_NOMEM;
        }
    } else if (status == HEARTH_E_TIMEOUT) {
        HEARTH__COUNT(read->cache->counters, flight_timeouts);
    }
    hearth__flight_leave(flight);
    return status;
}

/* Calls the loader and fills the tiers; `ticket` is from before anything was asked. */
static int32_t load(struct read *read, hearth__flight *flight, const hearth__route *route,
                    hearth__local_ticket ticket) {
    bool fills_remote = !wants(read, HEARTH_READ_NO_REMOTE) && !read->node_failed;
    hearth__fill_plan plan = {.route = fills_remote ? route : NULL,
                              .replaces = read->replaces,
                              .ticket = ticket,
                              .keep_local = keeps_local(read)};
    return hearth__fill_load(read->cache, flight, read->key, read->key_size, read->loader,
                             read->write, &plan, &read->value->bytes, &read->value->answer);
}

/* A remote tier that is down, slow or wrong is a miss to a fetch; it has been counted and logged. */
static int32_t ask_remote_if_wanted(struct read *read, const hearth__route *route) {
    if (wants(read, HEARTH_READ_NO_REMOTE)) {
        return HEARTH_MISS;
    }
    int32_t status = ask_remote(read, route, node_deadline_ns(read));
    read->node_failed = status == HEARTH_E_UNAVAILABLE || status == HEARTH_E_TIMEOUT;
    return status < 0 ? HEARTH_MISS : status;
}

/* Leads for a key that nobody here has: whoever led before may just have landed, so the local tier is asked again. */
static int32_t lead(struct read *read, hearth__flight *flight, const hearth__route *route) {
    int32_t status = ask_local(read);
    if (status == HEARTH_MISS) {
        status = ask_remote_if_wanted(read, route);
    }
    if (status == HEARTH_MISS) {
        hearth__local_ticket ticket =
            hearth__local_sample(read->cache->local, read->key, read->key_size);
        status = load(read, flight, route, ticket);
    }
    return land(read, flight, status);
}

/* Any answer, perhaps a stale one: from the local tier, from who leads, or by leading. */
static int32_t find(struct read *read, const hearth__route *route) {
    hearth__flight *flight = NULL;
    bool leads = false;
    int32_t status = hearth__flight_join(read->cache->flights, read->key, read->key_size,
                                         read->deadline_ns, &flight, &leads);
    if (status != HEARTH_OK) {
        return status;
    }
    return leads ? lead(read, flight, route) : follow(read, flight);
}

/* Leads the renewal of a stale answer. Another process may have renewed it: then the node has it. */
static int32_t lead_renewal(struct read *read, hearth__flight *flight,
                            const hearth__route *route) {
    int32_t status = ask_local(read);
    if ((status == HEARTH_OK && is_stale(read)) || status == HEARTH_MISS) {
        status = ask_remote_if_wanted(read, route);
    }
    bool done = status == HEARTH_ABSENT || (status == HEARTH_OK && !is_stale(read));
    if (!done) {
        hearth__local_ticket ticket =
            hearth__local_sample(read->cache->local, read->key, read->key_size);
        status = load(read, flight, route, ticket);
    }
    return land(read, flight, status);
}

/* Renews a stale answer if nobody does; it stays the answer if that fails. */
static int32_t renew(struct read *read, const hearth__route *route) {
    hearth__flight *flight = NULL;
    if (hearth__flight_try_lead(read->cache->flights, read->key, read->key_size, &flight) !=
        HEARTH_OK) {
        return HEARTH_OK;
    }
    hearth_value fresh = {0};
    struct read renewal = *read;
    renewal.value = &fresh;
    int32_t status = lead_renewal(&renewal, flight, route);
    if (status == HEARTH_OK || status == HEARTH_ABSENT) {
        hearth_value stale = *read->value;
        *read->value = fresh;
        fresh = stale;
    } else {
        status = HEARTH_OK;
    }
    hearth__buffer_fini(&fresh.bytes);
    return status;
}

int32_t hearth__chain_fetch(hearth *cache, const void *key, size_t key_size,
                            const hearth_loader *loader, const hearth_read_options *options,
                            const hearth_write_options *write, hearth_value *value) {
    struct read read = begin(cache, key, key_size, options, value);
    int32_t status = ask_local(&read);
    if (status == HEARTH_MISS) {
        status = ask_guard(&read);
    }
    if (status == HEARTH_ABSENT || (status == HEARTH_OK && !is_stale(&read))) {
        return deliver(&read, status);
    }
    int64_t ms = options->deadline_ms;
    read.deadline_ns = hearth__deadline_ns(ms != 0 ? ms : cache->config.load_hard_timeout_ms);
    read.loader = loader;
    read.write = write;
    hearth__route route;
    int32_t routed = hearth__route_init(cache, key, key_size, &route);
    if (routed != HEARTH_OK) {
        status = routed;
    } else if (status == HEARTH_MISS) {
        status = audit(&read, find(&read, &route));
    }
    if (status == HEARTH_OK && is_stale(&read)) {
        status = renew(&read, &route);
    }
    hearth__route_fini(&route);
    return deliver(&read, status);
}
