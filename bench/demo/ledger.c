/* SPDX-License-Identifier: Apache-2.0 */
#include "demo/ledger.h"

#include <stdatomic.h>
#include <stdlib.h>

struct ledger_entry {
    _Atomic uint32_t loads;
    _Atomic uint32_t page_bytes;
};

int ledger_open(struct ledger *ledger, uint32_t distinct) {
    ledger->distinct = distinct;
    ledger->entries = calloc(distinct, sizeof *ledger->entries);
    return ledger->entries != NULL ? 0 : -1;
}

void ledger_close(struct ledger *ledger) {
    free(ledger->entries);
    ledger->entries = NULL;
}

void ledger_clear(struct ledger *ledger) {
    for (uint32_t i = 0; i < ledger->distinct; i++) {
        atomic_store_explicit(&ledger->entries[i].loads, 0, memory_order_relaxed);
    }
}

void ledger_enter(struct ledger *ledger, uint32_t item, size_t page_bytes) {
    struct ledger_entry *entry = &ledger->entries[item];
    atomic_fetch_add_explicit(&entry->loads, 1, memory_order_relaxed);
    atomic_store_explicit(&entry->page_bytes, (uint32_t)page_bytes, memory_order_relaxed);
}

struct ledger_sums ledger_sum(const struct ledger *ledger) {
    struct ledger_sums sums = {0};
    for (uint32_t i = 0; i < ledger->distinct; i++) {
        struct ledger_entry *entry = &ledger->entries[i];
        uint32_t loads = atomic_load_explicit(&entry->loads, memory_order_relaxed);
        sums.loads += loads;
        sums.keys += loads != 0;
        sums.repeated += loads > 1 ? loads - 1 : 0;
        sums.key_loads = loads > sums.key_loads ? loads : sums.key_loads;
        sums.page_bytes += atomic_load_explicit(&entry->page_bytes, memory_order_relaxed);
    }
    return sums;
}
