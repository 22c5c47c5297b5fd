/* SPDX-License-Identifier: Apache-2.0 */
/* The suite `hitratio`: what its files share. */
#ifndef HEARTH_BENCH_HITRATIO_H
#define HEARTH_BENCH_HITRATIO_H

#include "hearth-bench/bench.h"

#include "requests.h"

#include <stdio.h>

/* A trace, or a generated stream. */
struct hitratio_load {
    char name[64]; /* of the file, without what is behind the first dot */
    struct requests requests;
};

struct hitratio {
    struct hitratio_load *loads;
    size_t count;
    FILE *csv; /* NULL: none */
};

/* A share of the distinct objects, or of their bytes. */
struct hitratio_share {
    const char *name;
    double value;
};

/* How much of a load that is, at the most. */
uint64_t hitratio_capacity(const struct requests *requests, bool in_bytes, double share);

/* hitratio_tier.c: the tier itself beside its simulation. */
case_run hitratio_tier;

/* hitratio_curve.c: curves for the page. */
case_run hitratio_curve;

#endif
