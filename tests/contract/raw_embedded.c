/* SPDX-License-Identifier: Apache-2.0 */
/* The embedded tier has no other client: bytes are put there as a foreign value is. */
#include "contract/rig.h"

#include "base/clock.h"

static void put(struct rig *rig, uint32_t node, const void *key, size_t key_size,
                const void *bytes, size_t size, int64_t ttl_ms) {
    hearth__remote *both[] = {rig->remote, rig->lenient}; /* two tiers */
    for (size_t i = 0; i < 2; i++) {
        hearth__remote_op op = {
            .verb = HEARTH__SET,
            .node = node,
            .key = key,
            .key_size = key_size,
            .data = bytes,
            .data_size = size,
            .kind = HEARTH__KIND_FOREIGN,
            .ttl_ms = ttl_ms,
        };
        hearth__remote_execute(both[i], &op, 1, HEARTH__NEVER);
        assert_int_equal(op.status, HEARTH_OK);
    }
}

const struct contract_raw contract_raw_embedded = {.put = put};
