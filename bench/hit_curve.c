/* SPDX-License-Identifier: Apache-2.0 */
#include "hit_curve.h"

#include "reference.h"
#include "simulation.h"

static const double rooms[HIT_CURVE_POINTS] = {0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 35, 50};

static void add(struct hit_curve *curve, const struct requests *requests, double room,
                double misses) {
    curve->room[curve->count] = room;
    curve->hits[curve->count++] = 100 * (1 - misses / (double)requests->count);
}

static int draw_policy(const hearth__policy *policy, const struct requests *requests,
                       struct hit_curve *curve) {
    *curve = (struct hit_curve){.name = policy->name};
    for (size_t i = 0; i < HIT_CURVE_POINTS; i++) {
        const struct simulation_size size = {
            .capacity = (uint64_t)(rooms[i] / 100 * requests->distinct)};
        struct simulation_outcome outcome;
        if (size.capacity == 0) {
            continue;
        }
        if (simulate(policy, requests, &size, &outcome) != 0) {
            return -1;
        }
        add(curve, requests, rooms[i], (double)outcome.misses);
    }
    return 0;
}

static int draw_lru(const struct requests *requests, struct hit_curve *curve) {
    *curve = (struct hit_curve){.name = "exact-lru"};
    for (size_t i = 0; i < HIT_CURVE_POINTS; i++) {
        uint32_t capacity = (uint32_t)(rooms[i] / 100 * requests->distinct);
        if (capacity == 0) {
            continue;
        }
        int64_t misses = reference_lru_misses(requests->items, requests->count,
                                              requests->distinct, capacity);
        if (misses < 0) {
            return -1;
        }
        add(curve, requests, rooms[i], (double)misses);
    }
    return 0;
}

size_t hit_curves(const struct requests *requests, struct hit_curve *curves) {
    size_t count = 0;
    const hearth__policy *const *policies = hearth__policies(&count);
    count = count < HIT_CURVE_POLICIES ? count : HIT_CURVE_POLICIES - 1;
    for (size_t i = 0; i < count; i++) {
        if (draw_policy(policies[i], requests, &curves[i]) != 0) {
            return 0;
        }
    }
    return draw_lru(requests, &curves[count]) == 0 ? count + 1 : 0;
}
