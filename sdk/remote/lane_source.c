/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whom a connection tells of changes of what is read on it. That is said first on a new connection, and again ahead of the next
 * requests when it is somebody else: a server takes it at any time (CLIENT TRACKING of a client that has it on changes whom it
 * tells), and answers in order, so that what is answered behind it is told to the new one. So nobody who waits for a new listener
 * costs a connection.
 */
#include "remote/lane_inner.h"

#include "base/clock.h"

#include <hearth/errors.h>

static const hearth__tracker *tracker_of(const hearth__lane *lane) {
    return lane->set->lanes->config.remote->tracker;
}

/* Not on a lane that one caller has: it may be in a transaction, where nothing is carried out at once. */
static bool is_outdated(const hearth__lane *lane) {
    const hearth__tracker *tracker = tracker_of(lane);
    int64_t client_id = 0;
    if (tracker == NULL || !hearth__lane_is_open(lane) || hearth__lane_is_reserved(lane)) {
        return false;
    }
    uint32_t epoch =
        tracker->redirect(tracker->arg, lane->set->lanes->config.listened, &client_id);
    return epoch != 0 && epoch != lane->epoch;
}

/* Ends what it brought: from here on nobody knows whom its server tells. */
void hearth__lane_close_source(hearth__lane *lane) {
    const hearth__tracker *tracker = tracker_of(lane);
    uint32_t source = atomic_exchange(&lane->source, 0);
    if (source != 0) {
        tracker->close(tracker->arg, source);
    }
}

hearth__exchange *hearth__lane_redirect(hearth__lane *lane) {
    const hearth__lanes *lanes = lane->set->lanes;
    hearth__exchange *exchange = is_outdated(lane) ? hearth__exchange_create(1) : NULL;
    if (exchange == NULL) {
        return NULL;
    }
    if (lanes->codec->redirect(lanes->node, exchange) != HEARTH_OK || exchange->count == 0) {
        hearth__exchange_free(exchange);
        return NULL;
    }
    hearth__lane_close_source(lane);
    lane->epoch = exchange->requests[0].notes.epoch;
    lane->told_ms = hearth__boot_ms();
    exchange->sent_ns = hearth__monotonic_ns();
    exchange->deadline_ns = exchange->sent_ns + lanes->stall_ns;
    hearth__lane_adopt(lane, exchange);
    return exchange;
}

void hearth__lane_answered_late(const hearth__lane *lane, const hearth__exchange *exchange) {
    const hearth__tracker *tracker = tracker_of(lane);
    if (exchange->asked_ms != 0) {
        tracker->answered(tracker->arg, atomic_load(&lane->source), exchange->asked_ms);
    }
}

void hearth__lane_redirected(hearth__lane *lane, const hearth__notes *notes,
                             hearth__kept kept) {
    const hearth__lanes *lanes = lane->set->lanes;
    const hearth__tracker *tracker = tracker_of(lane);
    uint32_t source = 0;
    lane->epoch = notes->epoch;
    if (notes->status == HEARTH_OK) {
        source =
            tracker->open(tracker->arg, lanes->config.listened, notes->epoch, lane->told_ms);
    }
    lanes->codec->redirected(lanes->node, notes, kept);
    atomic_store(&lane->source, source);
}
