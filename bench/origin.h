/* SPDX-License-Identifier: Apache-2.0 */
/* The database behind the caches: what an application would ask if it had none. An SQLite file
 * with the catalogue of Debian's packages in normalised tables; a load is the query of a
 * package's page: its own row with maintainer and section, its dependencies with their
 * descriptions, the packages that depend on it, and how the packages of the next sizes are spread
 * over the sections. How many of these the page looks at is calibrated, so that a load is about a
 * millisecond of real work on any machine. */
#ifndef HEARTH_BENCH_ORIGIN_H
#define HEARTH_BENCH_ORIGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ORIGIN_PAGE_MAX = 8192, /* bytes of a page with its NUL */
    ORIGIN_PEERS_MIN = 50,  /* packages of the next sizes that a page looks at */
    ORIGIN_PEERS_MAX = 20000,
};

struct origin;

/* What was built. */
struct origin_summary {
    bool is_made_up; /* no catalogue here, so the packages are invented */
    uint32_t packages;
    uint32_t dependencies;
    uint32_t maintainers;
    uint32_t sections;
};

/* Told now and then how many packages are in. */
typedef void origin_progress(void *context, uint32_t packages);

/* Builds the database in a file of its own (which is replaced), some 2 to 4 seconds. The packages
 * are those that apt knows, or made up: when it knows none or few, or when `make_up` says so.
 * `progress` may be NULL. 0; or -1 with the reason in `error`, and no file is left. */
int origin_build(const char *path, bool make_up, origin_progress *progress, void *context,
                 struct origin_summary *summary, char *error, size_t error_size)
    __attribute__((warn_unused_result));

/* The same of 20,000 packages that are made up, in a part of that time. */
int origin_build_small(const char *path, struct origin_summary *summary, char *error,
                       size_t error_size) __attribute__((warn_unused_result));

/* Opens a built file for reading. Each thread opens its own; they share no lock. `peers`: what
 * origin_calibrate found, or ORIGIN_PEERS_MIN. 0, or -1 with the reason in `error`. */
int origin_open(const char *path, uint32_t peers, struct origin **origin, char *error,
                size_t error_size) __attribute__((warn_unused_result));

/* Writes the page of an item, with a NUL behind it, and gives its size without that; `page` has
 * ORIGIN_PAGE_MAX bytes. Any item has a page: items are spread over the packages, and only those
 * below the number of packages have a package of their own. The same item and `peers` give the
 * same page, which begins with the line "package ITEM NAME". 0, or -1 (see origin_error). */
int origin_load(struct origin *origin, uint32_t item, char *page, size_t *size)
    __attribute__((warn_unused_result));

/* How many items have a package of their own: those below this. */
uint32_t origin_packages(const struct origin *origin);

/* Whether a page belongs to an item, by its first line. Any thread, no origin needed. */
bool origin_is_page_of(const char *page, size_t size, uint32_t item);

struct origin_calibration {
    uint32_t peers;     /* what to open the others with */
    uint64_t median_ns; /* of a load with that, measured */
    uint64_t p99_ns;
    size_t loads; /* of the last measurement */
};

/* Looks for the number of peers with which the median load takes `target_ns`, within a fifth, and
 * sets it for this origin. Takes a second or so; the machine should be otherwise idle. When a
 * target cannot be met it ends at one of the bounds: the result tells. 0, or -1. */
int origin_calibrate(struct origin *origin, uint64_t target_ns,
                     struct origin_calibration *calibration)
    __attribute__((warn_unused_result));

/* The reason of the last -1; the origin's text. */
const char *origin_error(struct origin *origin);

/* NULL is allowed. */
void origin_close(struct origin *origin);

#endif
