/* SPDX-License-Identifier: Apache-2.0 */
#include "coherence/canary.h"

void hearth__canary_reset(hearth__canary *canary) {
    atomic_store(&canary->sent_ns, 0);
    atomic_store(&canary->written_ms, 0);
    atomic_store(&canary->due_ms, 0);
}

bool hearth__canary_begin(hearth__canary *canary, int64_t every_ms, int64_t now_ms,
                          int64_t now_ns) {
    if (atomic_load(&canary->sent_ns) != 0 || now_ms < atomic_load(&canary->due_ms)) {
        return false;
    }
    atomic_store(&canary->written_ms, 0);
    atomic_store(&canary->due_ms, now_ms + every_ms);
    atomic_store(&canary->sent_ns, now_ns);
    return true;
}

void hearth__canary_end(hearth__canary *canary, bool written, int64_t now_ms) {
    if (written) {
        atomic_store(&canary->written_ms, now_ms);
    } else {
        atomic_store(&canary->sent_ns, 0);
    }
}

int64_t hearth__canary_hear(hearth__canary *canary, int64_t now_ns) {
    int64_t sent_ns = atomic_exchange(&canary->sent_ns, 0);
    return sent_ns != 0 ? now_ns - sent_ns : -1;
}

bool hearth__canary_is_unheard(hearth__canary *canary, int64_t proven_ms) {
    int64_t written_ms = atomic_load(&canary->written_ms);
    int64_t sent_ns = atomic_load(&canary->sent_ns);
    return sent_ns != 0 && written_ms != 0 && proven_ms > written_ms &&
           atomic_compare_exchange_strong(&canary->sent_ns, &sent_ns, 0);
}
