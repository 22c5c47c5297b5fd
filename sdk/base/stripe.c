/* SPDX-License-Identifier: Apache-2.0 */
#include "base/stripe.h"

#include <stdatomic.h>
#include <stdint.h>

size_t hearth__thread_stripe(void) {
    static _Atomic uint32_t next;
    static _Thread_local uint32_t own; /* plus 1, so that 0 is none yet */
    if (own == 0) {
        uint32_t turn = atomic_fetch_add_explicit(&next, 1, memory_order_relaxed);
        own = turn % HEARTH__THREAD_STRIPES + 1;
    }
    return own - 1;
}
