/* SPDX-License-Identifier: Apache-2.0 */
/* The demo's report as a page to look at. */
#ifndef HEARTH_BENCH_DEMO_PLOTS_H
#define HEARTH_BENCH_DEMO_PLOTS_H

#include <stddef.h>

#include "demo/way.h"

/* Writes the page. 0; -1 after stderr was told why. */
int plots_write(const char *path, const struct players *players, const struct show *shows,
                size_t count) __attribute__((warn_unused_result));

#endif
