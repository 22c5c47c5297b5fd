/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How one node's changes are listened to: a state machine. No I/O, no locks; the clock is passed in (hearth__boot_ms()), so that
 * time in which a machine was suspended counts.
 *
 *   DOWN -> CONNECTING -> GREETING -> LISTENING        and back to DOWN when the connection is lost
 *
 * A ping every `ping_ms`, one outstanding at a time. What a node said before the pong includes all changes from before the ping was
 * sent: so the ping that was answered last says up to when everything is known. Nothing but a pong counts. A node that owes one
 * for `dead_ms` counts as lost.
 */
#ifndef HEARTH_COHERENCE_TRACKING_H
#define HEARTH_COHERENCE_TRACKING_H

#include "coherence/push_parser.h"

enum hearth__tracking_phase {
    HEARTH__TRACKING_DOWN,
    HEARTH__TRACKING_CONNECTING,
    HEARTH__TRACKING_GREETING,
    HEARTH__TRACKING_LISTENING,
};

typedef struct hearth__tracking {
    int64_t ping_ms;
    int64_t dead_ms;
    int64_t retry_ms;
    bool authenticates; /* the greeting begins with AUTH */
    bool broadcasts;    /* and says which changes are to be told, once its number is known */
    enum hearth__tracking_phase phase;
    uint32_t answers;  /* to the greeting, so far */
    int64_t client_id; /* of the connection */
    int64_t tried_ms;  /* when it was last connected, or tried to */
    int64_t due_ms;    /* DOWN: when to connect; LISTENING: when to ping */
    bool owes;         /* the node owes an answer since */
    int64_t asked_ms;
    uint32_t failures; /* in a row, without having listened */
} hearth__tracking;

void hearth__tracking_init(hearth__tracking *tracking, int64_t ping_ms, int64_t dead_ms,
                           int64_t retry_ms, bool authenticates);

/* What is to be done now; it counts as done. */
enum hearth__tracking_act {
    HEARTH__TRACKING_WAIT,
    HEARTH__TRACKING_CONNECT,
    HEARTH__TRACKING_PING,
    HEARTH__TRACKING_GIVE_UP, /* the node is silent: hearth__tracking_lost() is to follow */
};
enum hearth__tracking_act hearth__tracking_look(hearth__tracking *tracking, int64_t now_ms);

/* When to look again, if nothing happens before. */
int64_t hearth__tracking_due_ms(const hearth__tracking *tracking);

/* The connection is there, and the greeting sent: AUTH if it authenticates, CLIENT ID, SUBSCRIBE; or, if it
 * broadcasts, up to CLIENT ID, and CLIENT TRACKING and SUBSCRIBE later. */
void hearth__tracking_connected(hearth__tracking *tracking, int64_t now_ms);

/* What something that was heard means. */
enum hearth__tracking_news {
    HEARTH__TRACKING_NOTHING,
    HEARTH__TRACKING_NAMED, /* client_id is known: the rest of the greeting is to be said */
    HEARTH__TRACKING_BEGUN, /* from now on changes are told; client_id is what to redirect to */
    HEARTH__TRACKING_PROVEN,  /* all changes from before asked_ms are told */
    HEARTH__TRACKING_CHANGED, /* a key */
    HEARTH__TRACKING_FLUSHED, /* all keys */
    HEARTH__TRACKING_REFUSED, /* the node refuses: a person must change something */
    HEARTH__TRACKING_NONSENSE,
};
enum hearth__tracking_news hearth__tracking_hear(hearth__tracking *tracking,
                                                 const hearth__push *push, int64_t now_ms);

/*
 * The connection is lost, or could not be made. It is tried again a moment later if it is a while since it was last tried, else at
 * the earliest `retry_ms` after that, and after each failure in a row twice as long, up to eight times. `random` spreads those who
 * lost the same node.
 */
void hearth__tracking_lost(hearth__tracking *tracking, uint64_t random, int64_t now_ms);

#endif
