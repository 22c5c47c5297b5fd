/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Histories of calls on registers, one a key, and a search for a legal order: one in which every call takes effect at some
 * moment between its beginning and its end, and gets what the calls before it left.
 *
 * After J. M. Wing and C. Gong, "Testing and verifying concurrent objects" (1993), in the form of G. Lowe, "Testing for
 * linearizability" (2017): calls are put in order just in time, when one of them returns, and what was reached once is not
 * searched again.
 */
#ifndef HEARTH_TESTS_SUPPORT_HISTORY_H
#define HEARTH_TESTS_SUPPORT_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum history_kind {
    HISTORY_SET,     /* leaves its value, which no other set has, and which is not 0 */
    HISTORY_GET,     /* saw its value; 0: a miss */
    HISTORY_DROP,    /* found something and left nothing */
    HISTORY_NO_DROP, /* found nothing */
    HISTORY_CLEAR,   /* left nothing, and did not tell whether it found something */
};

/* A call: what it did, and when. */
struct history_call {
    int64_t begun_ns;
    int64_t ended_ns;
    uint64_t value;
    uint32_t key;
    enum history_kind kind;
};

enum history_verdict {
    HISTORY_LEGAL,
    HISTORY_ILLEGAL,
    HISTORY_UNDECIDED, /* no memory, or more than 64 calls of a key at a time */
};

/*
 * Judges the calls, and sorts them by key and time. `vanishes`: a value may be gone at any time, as from a cache that makes
 * room; then a miss is legal whenever it comes, but nothing comes back after one. *culprit: the place of the call that fits
 * into no order, unless they are legal.
 */
enum history_verdict history_judge(struct history_call *calls, size_t count, bool vanishes,
                                   size_t *culprit);

#endif
