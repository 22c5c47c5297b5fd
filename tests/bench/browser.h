/* SPDX-License-Identifier: Apache-2.0 */
/* Opens a file in headless Chromium, and tells what became of it. */
#ifndef HEARTH_TESTS_BENCH_BROWSER_H
#define HEARTH_TESTS_BENCH_BROWSER_H

#include <stdbool.h>
#include <stddef.h>

struct browser_view {
    char *dom;      /* the document as it is after its scripts ran */
    char *console;  /* what went to the console, a line each; "" if nothing did */
    char *requests; /* what the document asked the network for, likewise */
};

/* False: there is no Chromium, or it did not end well. The texts are to be freed by browser_close(). */
bool browser_open(struct browser_view *view, const char *path);
void browser_close(struct browser_view *view);

/* The curve of a name in a plot ("latency"), the `nth` from 0 on: how many points it has. -1: there is no such curve. */
long browser_points(const struct browser_view *view, const char *plot, const char *name,
                    size_t nth);

#endif
