/* SPDX-License-Identifier: Apache-2.0 */
#include "coherence/tracking.h"

enum {
    MOMENT_MS = 50,
    DOUBLINGS_MAX = 3,
};

void hearth__tracking_init(hearth__tracking *tracking, int64_t ping_ms, int64_t dead_ms,
                           int64_t retry_ms, bool authenticates) {
    *tracking = (hearth__tracking){.ping_ms = ping_ms,
                                   .dead_ms = dead_ms,
                                   .retry_ms = retry_ms,
                                   .authenticates = authenticates,
                                   .tried_ms = INT64_MIN / 2,
                                   .due_ms = INT64_MIN};
}

static bool is_silent(const hearth__tracking *tracking, int64_t now_ms) {
    return tracking->owes && now_ms - tracking->asked_ms >= tracking->dead_ms;
}

enum hearth__tracking_act hearth__tracking_look(hearth__tracking *tracking, int64_t now_ms) {
    if (is_silent(tracking, now_ms)) {
        return HEARTH__TRACKING_GIVE_UP;
    }
    bool is_due = now_ms >= tracking->due_ms;
    if (tracking->phase == HEARTH__TRACKING_DOWN && is_due) {
        tracking->phase = HEARTH__TRACKING_CONNECTING;
        tracking->tried_ms = now_ms;
        return HEARTH__TRACKING_CONNECT;
    }
    if (tracking->phase == HEARTH__TRACKING_LISTENING && is_due && !tracking->owes) {
        tracking->owes = true;
        tracking->asked_ms = now_ms;
        return HEARTH__TRACKING_PING;
    }
    return HEARTH__TRACKING_WAIT;
}

int64_t hearth__tracking_due_ms(const hearth__tracking *tracking) {
    if (tracking->owes) {
        return tracking->asked_ms + tracking->dead_ms;
    }
    bool waits = tracking->phase == HEARTH__TRACKING_DOWN ||
                 tracking->phase == HEARTH__TRACKING_LISTENING;
    return waits ? tracking->due_ms : INT64_MAX;
}

void hearth__tracking_connected(hearth__tracking *tracking, int64_t now_ms) {
    tracking->phase = HEARTH__TRACKING_GREETING;
    tracking->answers = tracking->authenticates ? 0 : 1;
    tracking->owes = true;
    tracking->asked_ms = now_ms;
}

/* ---- what is heard ---------------------------------------------------------------------- */

/* AUTH, CLIENT ID, CLIENT TRACKING, SUBSCRIBE are answered in this order. */
static enum hearth__tracking_news greeted(hearth__tracking *tracking, const hearth__push *push,
                                          int64_t now_ms) {
    static const enum hearth__push_kind answers[] = {
        HEARTH__PUSH_STATUS, HEARTH__PUSH_NUMBER, HEARTH__PUSH_STATUS, HEARTH__PUSH_SUBSCRIBED};
    if (push->kind == HEARTH__PUSH_ERROR) {
        return HEARTH__TRACKING_REFUSED;
    }
    if (push->kind != answers[tracking->answers]) {
        return HEARTH__TRACKING_NONSENSE;
    }
    tracking->answers++;
    if (push->kind == HEARTH__PUSH_NUMBER) {
        tracking->client_id = push->number;
        tracking->answers += !tracking->broadcasts;
        return tracking->broadcasts ? HEARTH__TRACKING_NAMED : HEARTH__TRACKING_NOTHING;
    }
    if (push->kind != HEARTH__PUSH_SUBSCRIBED) {
        return HEARTH__TRACKING_NOTHING;
    }
    tracking->phase = HEARTH__TRACKING_LISTENING;
    tracking->owes = false;
    tracking->failures = 0;
    tracking->due_ms = now_ms;
    return HEARTH__TRACKING_BEGUN;
}

static enum hearth__tracking_news ponged(hearth__tracking *tracking) {
    if (!tracking->owes) {
        return HEARTH__TRACKING_NONSENSE;
    }
    tracking->owes = false;
    tracking->due_ms = tracking->asked_ms + tracking->ping_ms;
    return HEARTH__TRACKING_PROVEN;
}

enum hearth__tracking_news hearth__tracking_hear(hearth__tracking *tracking,
                                                 const hearth__push *push, int64_t now_ms) {
    if (tracking->phase == HEARTH__TRACKING_GREETING) {
        return greeted(tracking, push, now_ms);
    }
    switch (push->kind) {
    case HEARTH__PUSH_PONG:
        return ponged(tracking);
    case HEARTH__PUSH_KEY:
        return HEARTH__TRACKING_CHANGED;
    case HEARTH__PUSH_ALL:
        return HEARTH__TRACKING_FLUSHED;
    case HEARTH__PUSH_STATUS:
    case HEARTH__PUSH_ERROR:
    case HEARTH__PUSH_NUMBER:
    case HEARTH__PUSH_SUBSCRIBED:
        break;
    }
    return HEARTH__TRACKING_NONSENSE;
}

void hearth__tracking_lost(hearth__tracking *tracking, uint64_t random, int64_t now_ms) {
    bool listened = tracking->phase == HEARTH__TRACKING_LISTENING;
    uint32_t doublings =
        tracking->failures < DOUBLINGS_MAX ? tracking->failures : DOUBLINGS_MAX;
    int64_t pause_ms = tracking->retry_ms << doublings;
    int64_t soon_ms = now_ms + (int64_t)(random % MOMENT_MS);
    int64_t later_ms =
        tracking->tried_ms + pause_ms + (int64_t)(random % (uint64_t)(pause_ms / 2 + 1));
    tracking->failures += !listened;
    tracking->phase = HEARTH__TRACKING_DOWN;
    tracking->owes = false;
    tracking->client_id = 0;
    tracking->due_ms = later_ms > soon_ms ? later_ms : soon_ms;
}
