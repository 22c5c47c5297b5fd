/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Early renewal, XFetch (Vattani, Chierichetti, Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", PVLDB 8(8),
 * 2015): who reads a value renews it before it expires, if
 *
 *     now - delta * beta * ln(u) >= expiry
 *
 * for what its load took (delta) and a random number u in (0, 1]. Of many readers one does so in time, and few more: where
 * nothing else keeps them apart, e^(1/beta) of them, whatever their number.
 *
 * State only, and there is none: clock and random numbers are passed in. Any thread.
 */
#ifndef HEARTH_GUARD_EARLY_H
#define HEARTH_GUARD_EARLY_H

#include <stdbool.h>
#include <stdint.h>

/*
 * How long before its expiry a value can be renewed at the earliest, by the smallest random number of 32 bits; 0: it is never
 * renewed early. `delta_ms`: what its load took; it counts as at least 1 ms, and at most a tenth of `ttl_ms`, the value's whole
 * life, or a slow load would be due again as soon as it is done. `beta` 0, or none, is never.
 */
uint32_t hearth__early_lead_ms(double beta, double delta_ms, int64_t ttl_ms);

/* Whether who reads a value now renews it. `lead_ms` is of hearth__early_lead_ms(), `random` in (0, 1]. From the expiry on
 * always; never if the lead is 0. */
bool hearth__early_is_due(int64_t now_ms, int64_t expiry_ms, uint32_t lead_ms, double random);

/* How long nobody in this process renews a value early after somebody has begun to: what its load takes, and 100 ms. */
int64_t hearth__early_pause_ms(double beta, uint32_t lead_ms);

#endif
