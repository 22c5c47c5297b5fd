/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/complaint.h"

#include "base/clock.h"

enum { WORDS_SIZE = 121, QUIET_MS = 1000 };

static bool may_complain(hearth__complaint *complaint) {
    int64_t now_ms = hearth__boot_ms();
    int64_t until_ms = atomic_load_explicit(&complaint->quiet_until_ms, memory_order_relaxed);
    return now_ms >= until_ms && atomic_compare_exchange_strong(&complaint->quiet_until_ms,
                                                                &until_ms, now_ms + QUIET_MS);
}

void hearth__complain(hearth__complaint *complaint, const hearth__node_config *node,
                      int32_t status, const char *what, const void *words, size_t size) {
    char printable[WORDS_SIZE];
    const char *from = words;
    size_t length = size < sizeof printable - 1 ? size : sizeof printable - 1;
    if (!may_complain(complaint)) {
        return;
    }
    for (size_t i = 0; i < length; i++) {
        printable[i] = from[i] >= ' ' && from[i] <= '~' ? from[i] : '?';
    }
    printable[length] = '\0';
    hearth__log_add(node->remote->log, HEARTH_LOG_WARNING, status, "node %.80s %s%s",
                    node->name, what, printable);
}
