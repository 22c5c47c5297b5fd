/* SPDX-License-Identifier: Apache-2.0 */
/* The places of the statistics' table, for hearth__seats_add(). Gauges are asked for, not
 * counted. */
#ifndef HEARTH_BASE_STAT_H
#define HEARTH_BASE_STAT_H

#include "base/seats.h"

#include <hearth/stats.h>

enum hearth__stat {
#define HEARTH__STAT_PLACE(field, kind, help) HEARTH__STAT_##field,
    HEARTH_STATS_MAP(HEARTH__STAT_PLACE)
#undef HEARTH__STAT_PLACE
        HEARTH__STATS
};

_Static_assert(HEARTH__STATS <= (int)HEARTH__SEATS_COUNTERS, "a seat has too few counters");

/* Adds 1 to a counter by its name: HEARTH__COUNT(counters, local_hits). */
#define HEARTH__COUNT(counters, field) hearth__seats_add((counters), HEARTH__STAT_##field, 1)

#endif
