/* SPDX-License-Identifier: Apache-2.0 */
#include "ring_shares.h"

void ring_shares(const hearth__ring *ring, double *shares, size_t count) {
    size_t points = hearth__ring_point_count(ring);
    uint32_t before = 0;
    uint32_t value = 0;
    uint32_t member = 0;
    for (size_t i = 0; i < count; i++) {
        shares[i] = 0;
    }
    hearth__ring_point(ring, points - 1, &before, &member);
    for (size_t i = 0; i < points; i++) {
        hearth__ring_point(ring, i, &value, &member);
        shares[member] += (double)(uint32_t)(value - before) / 0x1p32;
        before = value;
    }
}
