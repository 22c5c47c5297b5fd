/* SPDX-License-Identifier: Apache-2.0 */
/* What the demo was asked for on its command line. */
#ifndef HEARTH_BENCH_DEMO_ARGUMENTS_H
#define HEARTH_BENCH_DEMO_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arguments {
    const char *trace;   /* NULL: a stream is generated */
    const char *html;    /* where the report goes; NULL: there is none */
    size_t requests_max; /* 0: all of them */
    uint64_t seed;       /* of the generated stream */
    uint32_t threads;
    uint32_t seconds; /* for which the origin alone is measured */
    bool over_redis;
    bool over_memcached;
    bool kills; /* a node, on the way */
};

enum arguments_verdict {
    ARGUMENTS_RUN,
    ARGUMENTS_HELPED,  /* the help was printed, nothing else is wanted */
    ARGUMENTS_REFUSED, /* stderr says why */
};

/* The texts stay those of `argv`. */
enum arguments_verdict arguments_parse(struct arguments *arguments, int argc, char **argv);

#endif
