/* SPDX-License-Identifier: Apache-2.0 */
/* Where rows go: a table for people on stdout, one JSON object a line for programs, and a page with plots to look at. */
#ifndef HEARTH_BENCH_REPORT_H
#define HEARTH_BENCH_REPORT_H

#include "hearth-bench/bench.h"
#include "page.h"

#include <stdio.h>

struct report {
    FILE *json;        /* NULL: none */
    struct page *page; /* NULL: none */
};

struct row {
    const char *suite_name;
    const char *case_name;
    const char *metric;
    const char *unit;
    struct figure ours;
    const char *peer;
    struct figure theirs;
};

/* Opens the file for JSON, NULL: none, and begins a page if there is to be one. 0, or -1 with
 * errno. */
int report_open(struct report *report, const char *json_path, bool with_page);

/* Writes what is left. 0, or -1 with errno when the file is not whole. */
int report_close(struct report *report);

/* Writes the page. 0, or -1 with errno. */
int report_write_page(const struct report *report, const char *path);

void report_free_page(struct report *report);

/* A curve of the present case, for the page: see page.h. */
void report_curve(const struct bench *bench, enum page_plot plot, const char *facet,
                  const char *name, const double *x, const double *y, size_t count);

/* The moment at which something happens in the present case. */
void report_mark(const struct bench *bench, double at_s, const char *what);

/* The lines above the table: machine, compiler, versions, settings. */
void report_header(const struct bench *bench);

/* A remark on the present case, in the table only. */
void report_note(const struct bench *bench, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Writes a row at once, so that a long run can be followed. */
void report_row(struct report *report, const struct row *row);

#endif
