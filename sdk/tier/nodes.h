/* SPDX-License-Identifier: Apache-2.0 */
/* What nodes.c and handoff.c share: a call's way past the guards of its nodes. */
#ifndef HEARTH_TIER_NODES_H
#define HEARTH_TIER_NODES_H

#include "tier/cache.h"

/* What stands before a node. */
typedef struct hearth__node_guard {
    hearth__breaker breaker;
    hearth__hints *hints;        /* the deletes that it missed */
    _Atomic bool handing_off;    /* a thread carries out the oldest of them */
    _Atomic int64_t hand_off_ms; /* none before then: the last try failed */
} hearth__node_guard;

/* A node's part in a call, by its number. */
typedef struct hearth__node_share {
    bool asked;
    bool hands_off;   /* this call carries out the oldest deletes of the node */
    bool carries_out; /* the node did one */
    hearth__breaker_pass pass;
    enum hearth__breaker_outcome outcome; /* the best of its operations' */
} hearth__node_share;

/* A call that is under way. */
typedef struct hearth__nodes_call {
    hearth__tracking_moment moment;
    uint32_t source;
    uint32_t nodes;
    hearth__node_share *shares; /* by the nodes' numbers */
    hearth__remote_call *remote;
    int64_t began_ns;
    int64_t asked_ns;
} hearth__nodes_call;

/* hearth__nodes_execute() in two steps, as hearth__remote_begin(). False: nothing has happened, and it is to be executed in one. */
bool hearth__nodes_begin(hearth *cache, hearth__remote_op *ops, size_t count,
                         int64_t deadline_ns, hearth__nodes_call *call);
void hearth__nodes_finish(hearth *cache, hearth__remote_op *ops, size_t count,
                          const hearth__nodes_call *call);

/* The time of breakers and guards: ms on the clock of hearth__monotonic_ns(). */
int64_t hearth__nodes_now_ms(void);

/* What an operation that began at `began_ns` says about its node, with what is known already. */
void hearth__nodes_learn(const hearth *cache, hearth__node_share *share,
                         const hearth__remote_op *op, int64_t began_ns);

/* Ends an operation without asking its node. */
void hearth__nodes_refuse(hearth *cache, hearth__remote_op *op);

/* ---- handoff.c ---- */

/* Carries out deletes that were kept for nodes that this call may ask: first those of the keys that it is about, then the oldest,
 * for half of the time that there is. Operations (HEARTH__PENDING) whose key's delete is still kept are refused. */
void hearth__handoff_run(hearth *cache, hearth__remote_op *ops, size_t count,
                         hearth__node_share *shares, uint32_t nodes, int64_t deadline_ns);

/* Keeps a delete for a node, to be carried out before anything is asked of it about that key. False: there is no room, and the node's
 * older values are fenced. Any thread. */
bool hearth__handoff_keep(hearth *cache, uint32_t node, const void *key, size_t key_size);

/* After an operation: keeps the delete that its node missed, or takes back an answer from behind the fence. */
void hearth__handoff_check(hearth *cache, hearth__remote_op *op);

#endif
