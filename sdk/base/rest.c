/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rest.h"

#include "base/clock.h"

void hearth__rest(hearth__bell *bell, uint32_t strokes, const _Atomic bool *over, int64_t ms) {
    int64_t until_ns = hearth__deadline_ns(ms);
    uint32_t seen = hearth__bell_look(bell);
    while (!atomic_load(over) && hearth__bell_await(bell, seen, strokes, until_ns)) {
        seen = hearth__bell_look(bell);
    }
}
