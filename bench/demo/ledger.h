/* SPDX-License-Identifier: Apache-2.0 */
/* What was loaded from the origin: how often each key, and how large its page was. */
#ifndef HEARTH_BENCH_DEMO_LEDGER_H
#define HEARTH_BENCH_DEMO_LEDGER_H

#include <stddef.h>
#include <stdint.h>

struct ledger_entry;

struct ledger {
    uint32_t distinct;
    struct ledger_entry *entries;
};

/* For keys numbered 0 to distinct - 1. 0, or -1: no memory. */
int ledger_open(struct ledger *ledger, uint32_t distinct) __attribute__((warn_unused_result));

void ledger_close(struct ledger *ledger);

/* Forgets the loads, not the sizes. Nobody may be loading. */
void ledger_clear(struct ledger *ledger);

/* A key was loaded. Any thread. */
void ledger_enter(struct ledger *ledger, uint32_t item, size_t page_bytes);

struct ledger_sums {
    uint64_t loads;
    uint64_t keys;       /* loaded at least once */
    uint64_t repeated;   /* loads of a key beyond its first */
    uint64_t key_loads;  /* of the key that was loaded most often */
    uint64_t page_bytes; /* of all keys that were ever loaded */
};

struct ledger_sums ledger_sum(const struct ledger *ledger);

#endif
