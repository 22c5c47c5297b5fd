/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A circuit breaker (Nygard, "Release It!", 2007): after some failures in a row nobody asks a node any
 * more; now and then one call, a probe, is let through, and its success lets all through again. A node
 * that has answered a call which began after the one that failed is slow, or one of its connections is:
 * it is not dead, and that is no failure.
 *
 *   closed --(failures in a row)--> open --(time)--> half-open --(the probe succeeds)--> closed
 *                                    ^                  |
 *                                    +--(it fails)------+
 *
 * State only: the clock is passed in. A call to an open node costs one load, and a success of a healthy
 * one two, and a store at most once a ms; nothing is locked, nothing waits. Any thread, and a forked
 * child goes on from where its parent was.
 */
#ifndef HEARTH_GUARD_BREAKER_H
#define HEARTH_GUARD_BREAKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct hearth__breaker {
    _Atomic uint64_t word;
    _Atomic uint32_t failed_probes; /* in a row */
    _Atomic int64_t answered_ms;    /* when the latest call began that the node answered */
    uint32_t failures;
    int64_t probe_ms;
} hearth__breaker;

/*
 * Begins closed. `failures`: so many in a row open it; 0: none does. `probe_ms`: how long a probe may
 * take, and at least a second: one that was not reported by then is given up, and its report comes too
 * late.
 */
void hearth__breaker_init(hearth__breaker *breaker, uint32_t failures, int64_t probe_ms);

/* What a call was told, for its report. */
typedef struct hearth__breaker_pass {
    bool granted; /* it may go on; else there is nothing to report */
    bool probe;   /* as the one of which all depends */
    uint16_t epoch;
    int64_t began_ms;
} hearth__breaker_pass;

/* Before a call. `now_ms` on a clock that does not go back. */
hearth__breaker_pass hearth__breaker_ask(hearth__breaker *breaker, int64_t now_ms);

/* The better ones first. */
enum hearth__breaker_outcome {
    HEARTH__BREAKER_SUCCESS, /* the node answered, whatever it said */
    HEARTH__BREAKER_FAILURE, /* it did not, though it had the time */
    HEARTH__BREAKER_NOTHING, /* the call says nothing about the node */
};

enum hearth__breaker_state {
    HEARTH__BREAKER_CLOSED,
    HEARTH__BREAKER_OPEN,
    HEARTH__BREAKER_HALF_OPEN, /* a probe is under way */
};

/*
 * After a call that was granted. It counts only in the state in which the call was: what began before
 * the breaker opened says nothing afterwards. A failure counts only if no call has succeeded that
 * began later, by a ms at least. True: the breaker opened or closed by this, as
 * hearth__breaker_state_of() now says (if nobody came between); a probe that failed changes nothing.
 * `now_ms` is not looked at with a success.
 */
bool hearth__breaker_report(hearth__breaker *breaker, hearth__breaker_pass pass,
                            enum hearth__breaker_outcome outcome, int64_t now_ms);

enum hearth__breaker_state hearth__breaker_state_of(const hearth__breaker *breaker);

#endif
