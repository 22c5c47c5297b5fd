/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions on connections that nobody uses: what was read there is told of only while they live. And canaries on all of them: what
 * is told of them is what is told of all that is read there.
 */
#include "remote/lane_inner.h"

#include "base/clock.h"
#include "base/stat.h"

#include <hearth/errors.h>

/* What is asked of a source's connection. */
struct question {
    const hearth__lanes *lanes;
    uint32_t source;
    bool is_canary;
    bool is_written; /* so far: all that was answered was done */
};

static const hearth__tracker *tracker_of(const struct question *question) {
    return question->lanes->config.remote->tracker;
}

static bool take(void *arg, uint32_t index, const hearth__notes *notes, hearth__kept kept) {
    struct question *question = arg;
    const hearth__lanes *lanes = question->lanes;
    if (question->is_canary && !lanes->codec->take_canary(lanes->node, index, notes, kept)) {
        question->is_written = false;
    }
    return true;
}

/* It was counted as sent, and is not. */
static void forgo_canary(struct question *question) {
    if (question->is_canary) {
        const hearth__tracker *tracker = tracker_of(question);
        tracker->end_canary(tracker->arg, question->source, false);
        question->is_canary = false;
    }
}

/* A canary if it is time for one, else a ping, if `pings`. NULL: neither, or there is no memory. */
static hearth__exchange *compose(struct question *question, bool pings) {
    const hearth__lanes *lanes = question->lanes;
    const hearth__tracker *tracker = tracker_of(question);
    hearth__exchange *exchange = hearth__exchange_create(2);
    if (exchange == NULL) {
        return NULL;
    }
    question->is_canary = tracker->begin_canary(tracker->arg, question->source);
    question->is_written = true;
    int32_t status = question->is_canary
                         ? lanes->codec->canary(lanes->node, exchange, question->source)
                         : HEARTH_OK;
    if (status != HEARTH_OK || exchange->count == 0) {
        forgo_canary(question);
    }
    if (status == HEARTH_OK && exchange->count == 0 && pings) {
        status = lanes->codec->ping(exchange);
    }
    if (status != HEARTH_OK || exchange->count == 0) {
        hearth__exchange_free(exchange);
        return NULL;
    }
    exchange->asked_ms = hearth__boot_ms();
    exchange->sent_ns = hearth__monotonic_ns();
    exchange->deadline_ns = exchange->sent_ns + lanes->stall_ns;
    return exchange;
}

static void conclude(const struct question *question, int32_t status, int64_t sent_ms) {
    const hearth__tracker *tracker = tracker_of(question);
    if (status == HEARTH_OK) {
        tracker->answered(tracker->arg, question->source, sent_ms);
    }
    if (question->is_canary) {
        tracker->end_canary(tracker->arg, question->source,
                            status == HEARTH_OK && question->is_written);
    }
}

/* The connection is not closed where the answer is late: others' are not either, and it proves as much when it comes. */
static void ask(hearth__lane *lane, struct question *question, bool pings) {
    hearth__exchange *exchange = compose(question, pings);
    if (exchange == NULL) {
        return;
    }
    int64_t sent_ms = exchange->asked_ms;
    int64_t deadline_ns = exchange->deadline_ns;
    if (hearth__lane_join(lane, exchange, HEARTH__JOIN_ANY, true) == HEARTH__JOINED_NOT) {
        forgo_canary(question);
        hearth__exchange_free(exchange);
        return;
    }
    hearth__outcome outcome = hearth__lanes_finish(exchange, deadline_ns, take, question);
    conclude(question, outcome.status, sent_ms);
}

/* Whether its source is told nothing: it has none from now on, and no other connection is made of this one. */
static void judge_source(hearth__lane *lane, uint32_t source) {
    const hearth__lanes *lanes = lane->set->lanes;
    const hearth__remote_config *remote = lanes->config.remote;
    if (source == 0 || !remote->tracker->is_deaf(remote->tracker->arg, source) ||
        remote->tracker->source != NULL) { /* then it is the listener's matter */
        return;
    }
    (void)atomic_compare_exchange_strong(&lane->source, &source, 0);
    atomic_store(&lane->deaf_source, true);
    hearth__log_add(
        remote->log, HEARTH_LOG_WARNING, HEARTH_E_UNAVAILABLE,
        "node %.80s: what was read on a connection changed, and that was not told, "
        "as behind a proxy that shares connections or spreads them over servers. Its "
        "copies count as changed, and it is closed",
        lanes->config.name);
}

/* The lane's, or, where nodes tell of all changes, the node's. */
static uint32_t source_of(hearth__lane *lane) {
    const hearth__lanes *lanes = lane->set->lanes;
    const hearth__tracker *tracker = lanes->config.remote->tracker;
    return tracker->source != NULL ? tracker->source(tracker->arg, lanes->config.listened)
                                   : atomic_load(&lane->source);
}

/* One that nobody uses, and that the caller drives. */
static void look_after(hearth__lane *lane) {
    hearth__drive drive = {.lane = lane};
    if (hearth__lane_is_open(lane) && atomic_load(&lane->deaf_source)) {
        hearth__lane_break(&drive, HEARTH_E_UNAVAILABLE);
    } else if (source_of(lane) == 0) {
        lane->epoch = 0; /* there was no source to be had: the next requests try again */
    }
    hearth__lane_hand_over(&drive);
}

/* One that others use answers them, and needs no ping; nor does any where nodes tell of all changes: nothing hangs on it. */
static void refresh(hearth__lane *lane) {
    const hearth__lanes *lanes = lane->set->lanes;
    judge_source(lane, source_of(lane));
    bool is_idle = hearth__lane_is_idle(lane) && hearth__lane_take(lane, true);
    if (is_idle) {
        look_after(lane);
    }
    struct question question = {.lanes = lanes, .source = source_of(lane)};
    if (question.source != 0) {
        ask(lane, &question, is_idle && tracker_of(&question)->source == NULL);
    }
}

void hearth__lanes_refresh(hearth__lanes *lanes) {
    hearth__lane_set *set = hearth__lane_set_own(lanes);
    for (uint32_t i = 0; set != NULL && i < set->count; i++) {
        hearth__lane *lane = &set->all[i];
        if (hearth__lane_is_open(lane) && !hearth__lane_is_reserved(lane)) {
            refresh(lane);
        }
    }
}
