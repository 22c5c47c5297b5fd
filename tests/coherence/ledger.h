/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What processes wrote, and what they read and how fresh it was said to be; and afterwards whether all of it can be true.
 *
 * A write takes some time. Its value is in place for certain when it has `settled`; whoever asks behind its `end` can no longer be
 * told of what it replaced. One write is behind another if it began when that one had settled. So a value is too old for a read
 * that claims to know how things stood at some time, if there is a write behind the value's own that had ended by then. A process
 * knows of its own writes up to the time at which it asks, whatever it claims.
 *
 * Clocks are CLOCK_BOOTTIME in ns, which all processes of a machine share.
 */
#ifndef HEARTH_TESTS_COHERENCE_LEDGER_H
#define HEARTH_TESTS_COHERENCE_LEDGER_H

#include <stddef.h>
#include <stdint.h>

struct ledger;

enum { LEDGER_WRITERS = 16 };

/* In memory that is shared with whoever is forked; NULL: there is none. Write number k of the first `keys` is the first value of key
 * k, which is there from the beginning. */
struct ledger *ledger_create(uint32_t keys, uint32_t writes, uint32_t reads);
void ledger_destroy(struct ledger *ledger);

/* Forgets all but the first values. Nobody else may use it. */
void ledger_clear(struct ledger *ledger);

/* A write begins: its number, which its value is to carry; UINT32_MAX: there is no more room. Any thread of any process. */
uint32_t ledger_begin(struct ledger *ledger, uint32_t key, uint32_t writer);

/* Its value is in place; and it was acknowledged. A write of which nothing is known has neither. */
void ledger_settle(struct ledger *ledger, uint32_t write);
void ledger_end(struct ledger *ledger, uint32_t write);

/* A read that was begun then found that write's value and claims that it was right at that time. */
void ledger_read(struct ledger *ledger, uint32_t key, uint32_t reader, uint32_t write,
                 int64_t began_ns, int64_t known_ns);

/* How many there are so far. */
uint32_t ledger_reads(const struct ledger *ledger);
uint32_t ledger_writes(const struct ledger *ledger);

int64_t ledger_now_ns(void);

enum ledger_verdict {
    LEDGER_RIGHT,
    LEDGER_UNKNOWN,   /* a value was never written, or not to this key */
    LEDGER_TOO_OLD,   /* for what the read claims */
    LEDGER_OWN_UNSEEN /* a process did not see its own write, or one behind it */
};

/* The first read that cannot be so. */
struct ledger_finding {
    uint32_t key;
    uint32_t reader;
    uint32_t write;   /* which it found */
    int64_t late_ns;  /* how long before what is claimed a write behind it had ended */
    int64_t bound_ns; /* what was claimed at the begin of the read, at the most */
    uint32_t count;   /* of such reads in all */
};

/* Nobody else may use it. LEDGER_RIGHT, and else the finding. There has to be memory. */
enum ledger_verdict ledger_check(const struct ledger *ledger, struct ledger_finding *finding);

#endif
