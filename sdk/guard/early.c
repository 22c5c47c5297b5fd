/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/early.h"

#include <math.h>

/* -ln of the smallest random number of 32 bits is 22.2. */
#define LEADS 23.0

#define SMALLEST (1.0 / 4294967296.0)

enum { PAUSE_LEAST_MS = 100 };

/* Not a number is the least. */
static double clamp(double value, double least, double most) {
    if (!(value > least)) {
        return least;
    }
    return value < most ? value : most;
}

uint32_t hearth__early_lead_ms(double beta, double delta_ms, int64_t ttl_ms) {
    if (!(beta > 0) || ttl_ms <= 0) {
        return 0;
    }
    double tenth = (double)ttl_ms / 10;
    double delta = clamp(delta_ms, 1, tenth > 1 ? tenth : 1);
    return (uint32_t)clamp(ceil(LEADS * beta * delta), 1, UINT32_MAX);
}

bool hearth__early_is_due(int64_t now_ms, int64_t expiry_ms, uint32_t lead_ms, double random) {
    if (lead_ms == 0) {
        return false;
    }
    double gap = (double)expiry_ms - (double)now_ms;
    return -((double)lead_ms / LEADS) * log(clamp(random, SMALLEST, 1)) >= gap;
}

int64_t hearth__early_pause_ms(double beta, uint32_t lead_ms) {
    double delta = beta > 0 ? (double)lead_ms / LEADS / beta : 0;
    return (int64_t)clamp(ceil(delta), PAUSE_LEAST_MS, UINT32_MAX);
}
