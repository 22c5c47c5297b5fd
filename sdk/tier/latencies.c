/* SPDX-License-Identifier: Apache-2.0 */
#include "tier/latencies.h"

void hearth__latencies_count(hearth__latencies *latencies, const hearth__remote_op *ops,
                             size_t count, int64_t began_ns) {
    int64_t took_ns = hearth__monotonic_ns() - began_ns;
    size_t asked = 0;
    bool of_one_node = true;
    for (size_t i = 0; i < count; i++) {
        asked += ops[i].status != HEARTH_E_UNAVAILABLE;
        of_one_node = of_one_node && ops[i].node == ops[0].node;
    }
    if (asked != 0) {
        hearth__histogram_add(&latencies->remote, took_ns);
        if (of_one_node) {
            hearth__histogram_add(&latencies->nodes[ops[0].node], took_ns);
        }
    }
}
