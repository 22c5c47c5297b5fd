/* SPDX-License-Identifier: Apache-2.0 */
/* A report of a stats.socket, and what is between two of them. */
#ifndef HEARTH_BENCH_TOP_REPORT_H
#define HEARTH_BENCH_TOP_REPORT_H

#include <hearth/hearth.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TOP_HOT_KEYS = 50, TOP_STEPS = 256, TOP_NAME = 256, TOP_VERSION = 32 };

/* Durations, by the ends of the steps in which they are. */
struct top_histogram {
    size_t count;
    struct {
        uint64_t end_us;
        uint64_t times;
    } steps[TOP_STEPS];
};

struct top_node {
    char name[TOP_NAME]; /* cut to fit, as keys are */
    uint64_t requests;
    uint64_t errors;
    uint64_t queued_deletes;
    bool left_alone;
    struct top_histogram us;
};

struct top_hot_key {
    unsigned char key[HEARTH_HOT_KEY_BYTES];
    size_t size;
    uint64_t full_size;
    uint64_t requests_per_s;
};

struct top_namespace {
    char name[TOP_NAME];
    hearth_stats stats; /* those that are told of each */
};

struct top_report {
    uint64_t format;
    uint64_t pid;
    uint64_t ms;
    char version[TOP_VERSION];
    hearth_stats stats;
    struct top_hot_key hot_keys[TOP_HOT_KEYS];
    size_t hot_key_count;
    struct top_node *nodes;
    size_t node_count;
    struct top_namespace *namespaces;
    size_t namespace_count;
    struct top_histogram remote_us;
    struct top_histogram load_us;
};

/* Reads one. False: it is none that this program knows. The report is freed in either case. */
bool top_report_parse(const char *text, struct top_report *report);
void top_report_free(struct top_report *report);

/* Adds what one has more than the other, a report of before. */
struct top_histogram top_histogram_between(const struct top_histogram *before,
                                           const struct top_histogram *after);

/* What a share of them took at most, us; 0: there are none. */
uint64_t top_histogram_at(const struct top_histogram *histogram, double share);

/* ---- top_picture.c ---- */

/* What a picture is made of. */
struct top_view {
    const struct top_report *before;
    const struct top_report *now;
    const char *path;
    unsigned rows;    /* 0: all */
    const char *wipe; /* what ends a line */
};

/* Prints to stdout: a picture, or a line for those who keep many. */
void top_print_picture(const struct top_view *view);
void top_print_line(const struct top_view *view);

#endif
