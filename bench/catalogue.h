/* SPDX-License-Identifier: Apache-2.0 */
/* The catalogue of Debian's packages as a source of real rows: some 63,000 records with
 * descriptions and dependencies, printed by `apt-cache dumpavail`; or made-up records of the same
 * shape where there is no such catalogue. */
#ifndef HEARTH_BENCH_CATALOGUE_H
#define HEARTH_BENCH_CATALOGUE_H

#include <stdint.h>

/* A field that is longer is cut; one that is missing is empty or 0. */
struct catalogue_record {
    char name[128];
    char version[96];
    char section[64];
    char maintainer[192];
    char description[512]; /* one line */
    char depends[16384];   /* as in "libc6 (>= 2.34), default-mta | exim4" */
    uint64_t installed_kib;
    uint64_t size_bytes;
};

/* Takes a record, which is the catalogue's again afterwards; any other value than 0 ends the
 * reading. */
typedef int catalogue_take(void *context, const struct catalogue_record *record);

/* Gives each package known to apt to `take`. 0: all of them; there may be none, since no apt-cache
 * or an empty catalogue is no error. What `take` gave, if that is not 0. -1: no memory, or the
 * command broke off. */
int catalogue_read(catalogue_take *take, void *context) __attribute__((warn_unused_result));

/* Gives `count` made-up packages to `take`, the same ones on every machine. */
int catalogue_make_up(uint32_t count, catalogue_take *take, void *context)
    __attribute__((warn_unused_result));

#endif
