/* SPDX-License-Identifier: Apache-2.0 */
/* What share of a stream's requests a local tier answers, by the share of its objects that find room: for a plot. */
#ifndef HEARTH_BENCH_HIT_CURVE_H
#define HEARTH_BENCH_HIT_CURVE_H

#include "requests.h"

enum { HIT_CURVE_POINTS = 10, HIT_CURVE_POLICIES = 8 };

struct hit_curve {
    const char *name;              /* a policy's, or exact-lru */
    size_t count;                  /* of points */
    double room[HIT_CURVE_POINTS]; /* % of the objects, from 0.1 to 50 */
    double hits[HIT_CURVE_POINTS]; /* % of the requests */
};

/* A curve for each policy of the tier, simulated, and for exact LRU; sizes too small for a single object are left out. Gives
 * their number, at most HIT_CURVE_POLICIES; 0: no memory. */
size_t hit_curves(const struct requests *requests, struct hit_curve *curves);

#endif
