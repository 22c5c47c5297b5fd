/* SPDX-License-Identifier: Apache-2.0 */
/* What the demo says at the end: two tables and what they show. */
#ifndef HEARTH_BENCH_DEMO_REPORT_H
#define HEARTH_BENCH_DEMO_REPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "demo/way.h"

/* How fast, and where the answers came from. */
void report_tables(const struct pass *origin, const struct show *shows, size_t count);

/* Says what was seen, and whether every promise was kept: each request answered with its own
 * page, and no key loaded twice. */
bool report_verdict(const struct pass *origin, const struct show *shows, size_t count);

#endif
