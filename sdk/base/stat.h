/* SPDX-License-Identifier: Apache-2.0 */
/* The places of the statistics' table, for hearth__counters_add(). Gauges are asked for, not
 * counted. */
#ifndef HEARTH_BASE_STAT_H
#define HEARTH_BASE_STAT_H

#include "base/counters.h"

#include <hearth/stats.h>

enum hearth__stat {
#define HEARTH__STAT_PLACE(field, kind, help) HEARTH__STAT_##field,
    HEARTH_STATS_MAP(HEARTH__STAT_PLACE)
#undef HEARTH__STAT_PLACE
        HEARTH__STATS
};

/* Adds 1 to a counter by its name: HEARTH__COUNT(counters, local_hits). */
#define HEARTH__COUNT(counters, field) hearth__counters_add((counters), HEARTH__STAT_##field, 1)

#endif
