/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a verb does to what it finds at a key: the one table that backends go by whose servers
 * cannot decide it themselves. No I/O.
 */
#ifndef HEARTH_REMOTE_VERBS_H
#define HEARTH_REMOTE_VERBS_H

#include "remote/remote.h"

/* What a key holds, by its first bytes alone: sums are a reader's business. */
enum hearth__holding {
    HEARTH__HOLDS_NOTHING,
    HEARTH__HOLDS_VALUE,
    HEARTH__HOLDS_STALE,
    HEARTH__HOLDS_ABSENT,
    HEARTH__HOLDS_LEASE,
    HEARTH__HOLDS_INTEGER,
    HEARTH__HOLDS_FOREIGN,    /* neither ours nor digits */
    HEARTH__HOLDS_UNREADABLE, /* ours, but of a newer format, or its header is cut */
    HEARTH__HOLDINGS
};

enum hearth__holding hearth__holding_of(const void *bytes, size_t size);

/*
 * The status of ADD, REPLACE, TOUCH, INCREMENT, DELETE, MARK or LEASE over `holding`. Only with HEARTH_OK
 * something is stored; DELETE removes whatever is there, also with HEARTH_MISS, and so does MARK with HEARTH_MISS. TOUCH and
 * INCREMENT may still fail on what the value turns out to be, and MARK removes what turns out to be damaged.
 */
int32_t hearth__verb_status(enum hearth__verb verb, enum hearth__holding holding);

/* The status of SWAP over these bytes; NULL: nothing is there. */
int32_t hearth__swap_status(const void *bytes, size_t size, uint64_t if_version);

/* The status of FILL, EXTEND or RELEASE over these bytes; NULL: nothing is there. */
int32_t hearth__lease_status(const void *bytes, size_t size, const unsigned char *token);

/* Whether the verb compares a lease's token. */
bool hearth__verb_is_of_lease(enum hearth__verb verb);

/* INCREMENT's sum: floor at 0; HEARTH_OK, or HEARTH_E_TOO_LARGE beyond 2^63-1. */
int32_t hearth__number_add(int64_t number, int64_t amount, int64_t *sum);

/* The most digits of an integer. */
enum { HEARTH__DIGITS_MAX = 19 };

/* Writes a number from 0 to 2^63-1 in digits, without a NUL; returns how many. */
size_t hearth__number_compose(int64_t number, unsigned char digits[HEARTH__DIGITS_MAX]);

#endif
