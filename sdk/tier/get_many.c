/* SPDX-License-Identifier: Apache-2.0 */
/* A get of many keys: what the local tier lacks is asked of all nodes in one go. The steps are those of chain.c. */
#include "base/clock.h"
#include "base/memory.h"
#include "tier/nodes.h"
#include "tier/read.h"

enum { SOME_QUESTIONS = 64 };

/* A key that the local tier did not have. */
struct question {
    hearth__read read;
    hearth__route route;
    hearth__local_ticket ticket;
    size_t place;        /* among the caller's keys */
    hearth__buffer copy; /* of what the local tier has, that is no hit any more */
    bool is_answered;
};

/* Takes what its node said; if that is only that it has something else than the copy, nothing is answered yet. */
static void take(struct question *asked, const hearth__remote_op *op, int64_t sent_ms,
                 int64_t heard_ms, int32_t *statuses) {
    asked->read.heard_ms = heard_ms;
    asked->is_answered = !op->changed;
    if (asked->is_answered) {
        int32_t status =
            hearth__read_take_known(&asked->read, op, asked->ticket, sent_ms, &asked->copy);
        statuses[asked->place] =
            hearth__read_deliver(&asked->read, hearth__read_get_end(&asked->read, status));
        hearth__route_fini(&asked->route);
    }
    hearth__buffer_fini(&asked->copy);
    asked->copy = (hearth__buffer){0};
}

/* A call on its way. */
struct hearth__many {
    hearth *cache;
    struct question *questions;
    hearth__remote_op *ops;
    size_t count; /* of questions */
    int64_t deadline_ns;
    int64_t sent_ms;
    int32_t *statuses;
    hearth__nodes_call call;
};

/* What is not answered yet is to be asked of the nodes; of copies that have ended only whether they have them still, if `confirms`.
 * How many. */
static size_t pose(struct hearth__many *many, bool confirms) {
    size_t asked = 0;
    for (size_t i = 0; i < many->count; i++) {
        struct question *next = &many->questions[i];
        if (!next->is_answered) {
            hearth__read *read = &next->read;
            next->ticket = hearth__route_sample(&next->route, read->key, read->key_size);
            many->ops[asked] = hearth__read_question(read, &next->route);
            many->ops[asked++].known_version =
                confirms ? hearth__read_known(read, &next->copy) : 0;
        }
    }
    many->sent_ms = hearth__boot_ms();
    return asked;
}

/* Takes the answers. How many are to be asked again. */
static size_t hear(struct hearth__many *many) {
    int64_t heard_ms = hearth__boot_ms();
    size_t left = 0;
    const hearth__remote_op *op = many->ops;
    for (size_t i = 0; i < many->count; i++) {
        struct question *next = &many->questions[i];
        if (!next->is_answered) {
            take(next, op++, many->sent_ms, heard_ms, many->statuses);
            left += !next->is_answered;
        }
    }
    return left;
}

/* Takes the answers; and where a copy that has ended is not what its node has (confirm.c), asks for that. */
static void hear_all(struct hearth__many *many) {
    if (hear(many) != 0) {
        size_t asked = pose(many, false);
        hearth__nodes_execute(many->cache, many->ops, asked, many->deadline_ns);
        (void)hear(many);
    }
}

static void find_owners(const hearth *cache, struct question *questions, size_t count) {
    hearth__route *routes[SOME_QUESTIONS];
    for (size_t at = 0; at < count; at += SOME_QUESTIONS) {
        size_t some = count - at < SOME_QUESTIONS ? count - at : SOME_QUESTIONS;
        for (size_t i = 0; i < some; i++) {
            routes[i] = &questions[at + i].route;
        }
        hearth__routes_find_owners(cache, routes, some);
    }
}

/* Asks all nodes at once. */
static void ask(struct hearth__many *many) {
    size_t asked = pose(many, true);
    hearth__nodes_execute(many->cache, many->ops, asked, many->deadline_ns);
    hear_all(many);
}

/* Answers one of many from the local tier; true: it has become the next question, whose owner is still to be found. */
static bool ask_local_of_many(hearth__read *read, size_t place, struct question *next,
                              int32_t *status) {
    *status = hearth__read_judge(read, hearth__read_ask_local(read));
    if (*status == HEARTH_MISS) {
        *status = hearth__read_ask_guard(read);
    }
    if (*status == HEARTH_MISS && !hearth__read_wants(read, HEARTH_READ_NO_REMOTE)) {
        next->read = *read;
        next->place = place;
        next->copy = (hearth__buffer){0};
        next->is_answered = false;
        *status = hearth__route_begin(read->cache, read->key, read->key_size, &next->route);
        if (*status == HEARTH_OK) {
            return true;
        }
    }
    *status = hearth__read_deliver(read, *status);
    return false;
}

bool hearth__read_takes_any_hit(const hearth_read_options *options) {
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

size_t hearth__read_hit_many(hearth *cache, size_t count, const void *const *keys,
                             const size_t *key_sizes, hearth_value *const *values,
                             int32_t *statuses) {
    size_t hits = 0;
    for (size_t at = 0; at < count; at += HEARTH__LOCAL_ASKS) {
        size_t few = count - at < HEARTH__LOCAL_ASKS ? count - at : HEARTH__LOCAL_ASKS;
        hits += hit_few(cache, few, keys + at, key_sizes + at, values + at, statuses + at);
    }
    return hits;
}

/* Asks the local tier for those that are no hits yet (`is_tried`), or for all; what it lacks is left as questions. HEARTH_OK,
 * HEARTH_E_NOMEM. */
static int32_t open_many(struct hearth__many *many, size_t count, const void *const *keys,
                         const size_t *key_sizes, const hearth_read_options *options,
                         hearth_value *const *values, bool is_tried) {
    hearth *cache = many->cache;
    int32_t *statuses = many->statuses;
    many->deadline_ns = hearth__read_get_deadline_ns(cache, options);
    /* Much memory, of which each question's is written when there is one. */
    many->questions = hearth__alloc_many(count, sizeof *many->questions);
    many->ops = hearth__alloc_many(count, sizeof *many->ops);
    if (many->questions == NULL || many->ops == NULL) {
        return HEARTH_E_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        if (!is_tried || statuses[i] != HEARTH_OK) {
            hearth__read read =
                hearth__read_begin(cache, keys[i], key_sizes[i], options, values[i]);
            many->count +=
                ask_local_of_many(&read, i, &many->questions[many->count], &statuses[i]);
        }
    }
    find_owners(cache, many->questions, many->count);
    return HEARTH_OK;
}

static void close_many(const struct hearth__many *many) {
    hearth__free(many->ops);
    hearth__free(many->questions);
}

int32_t hearth__chain_get_many(hearth *cache, size_t count, const void *const *keys,
                               const size_t *key_sizes, const hearth_read_options *options,
                               hearth_value *const *values, int32_t *statuses) {
    bool is_tried = hearth__read_takes_any_hit(options);
    if (is_tried &&
        hearth__read_hit_many(cache, count, keys, key_sizes, values, statuses) == count) {
        return HEARTH_OK;
    }
    struct hearth__many many = {.cache = cache, .statuses = statuses};
    int32_t result = open_many(&many, count, keys, key_sizes, options, values, is_tried);
    if (result == HEARTH_OK && many.count != 0) {
        ask(&many);
    }
    close_many(&many);
    return result;
}

/* ---- in two steps ----------------------------------------------------------------------- */

static void end(struct hearth__many *many) {
    close_many(many);
    hearth__free(many);
}

int32_t hearth__chain_get_many_begin(hearth *cache, size_t count, const void *const *keys,
                                     const size_t *key_sizes,
                                     const hearth_read_options *options,
                                     hearth_value *const *values, int32_t *statuses,
                                     hearth__many **out) {
    struct hearth__many *many = hearth__alloc(sizeof *many);
    *out = NULL;
    if (many == NULL) {
        return HEARTH_E_NOMEM;
    }
    *many = (struct hearth__many){.cache = cache, .statuses = statuses};
    int32_t result = open_many(many, count, keys, key_sizes, options, values, false);
    if (result == HEARTH_OK && many->count != 0) {
        size_t asked = pose(many, true);
        if (hearth__nodes_begin(cache, many->ops, asked, many->deadline_ns, &many->call)) {
            *out = many;
            return HEARTH_OK;
        }
        hearth__nodes_execute(cache, many->ops, asked, many->deadline_ns);
        hear_all(many);
    }
    end(many);
    return result;
}

void hearth__chain_get_many_finish(hearth__many *many) {
    hearth__nodes_finish(many->cache, many->ops, many->count, &many->call);
    hear_all(many);
    end(many);
}

int32_t hearth__read_look_many(hearth *cache, size_t count, const void *const *keys,
                               const size_t *key_sizes, const hearth_read_options *options,
                               hearth_value *const *values, int32_t *statuses) {
    hearth_read_options tiers = hearth__read_without_load(options);
    int32_t result =
        hearth__chain_get_many(cache, count, keys, key_sizes, &tiers, values, statuses);
    for (size_t i = 0; result == HEARTH_OK && i < count; i++) {
        statuses[i] = hearth__read_found(statuses[i]);
    }
    return result;
}
