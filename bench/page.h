/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A report to look at: one self-contained file with plots and a table, that asks nothing of any
 * network. Its looks are in page.html, which is built in; this adds the figures. One thread.
 */
#ifndef HEARTH_BENCH_PAGE_H
#define HEARTH_BENCH_PAGE_H

#include <stddef.h>

/* What is plotted, in the order of the page. */
enum page_plot {
    PAGE_LATENCY,    /* x: percentile; y: us */
    PAGE_THROUGHPUT, /* x: s; y: requests a second */
    PAGE_NODES,      /* x: s; y: commands a second; a curve a node */
    PAGE_TIERS,      /* x: s; y: % of the answers; a curve a tier */
    PAGE_HITS,       /* x: % of the objects (or bytes) that find room; y: % of the requests */
    PAGE_LOADS,      /* x: s; y: loads a second */
    PAGE_PLOTS
};

struct page;

/* NULL: no memory. */
struct page *page_create(const char *title);

/* NULL is allowed. */
void page_destroy(struct page *page);

/* All texts are copied, and any bytes may be in them. What finds no memory is missing, and
 * page_write() says so. */

/* A line about the run: machine, compiler, settings. */
void page_fact(struct page *page, const char *name, const char *value);

struct page_row {
    const char *suite_name;
    const char *case_name;
    const char *metric;
    const char *unit;
    double value;
    double spread; /* a share; below 0: not known */
    const char *peer;
    double peer_value;
    double peer_spread;
    double ratio; /* value by peer_value; 0: none */
};

void page_row(struct page *page, const struct page_row *row);

struct page_curve {
    enum page_plot plot;
    const char *group; /* what belongs together, as a case; the reader chooses one */
    const char *facet; /* within it a picture of its own, or "" */
    const char *name;
    const double *x;
    const double *y;
    size_t count;
};

/* What is not finite is left out. */
void page_curve(struct page *page, const struct page_curve *curve);

/* The moment at which something happens in the plots over time of a group. */
void page_mark(struct page *page, const char *group, double at_s, const char *what);

/* Writes the file. 0; -1 with errno. */
int page_write(const struct page *page, const char *path);

#endif
