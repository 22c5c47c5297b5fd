/* SPDX-License-Identifier: Apache-2.0 */
/* A sequence of requests in memory, ready for replay: read from a trace, or generated after the
 * shape of a real one. */
#ifndef HEARTH_BENCH_REQUESTS_H
#define HEARTH_BENCH_REQUESTS_H

#include <stddef.h>
#include <stdint.h>

#include "trace.h"

/* Read-only once made, then free for any number of threads. */
struct requests {
    uint32_t *items;   /* the i-th request's object; objects are numbered by first appearance */
    size_t count;      /* of requests */
    uint32_t distinct; /* of objects: the numbers are 0 to distinct - 1 */
    uint64_t *sizes;   /* per object, in bytes, as its first request says; NULL: no sizes */
};

/* Reads a trace (see trace.h), which must have a request, at most `count_max` requests of it, 0: all. Memory is about 4
 * bytes a request while reading, and the text of each distinct key; a trace that takes more than half of the machine's is
 * refused. 0; or -1 with the reason in `error`, and nothing to free. */
int requests_read(struct requests *requests, const char *path, enum trace_form form,
                  size_t count_max, char *error, size_t error_size)
    __attribute__((warn_unused_result));

/* The same with this many bytes at the most in the place of half of the machine's. */
int requests_read_within(struct requests *requests, size_t bytes_max, const char *path,
                         enum trace_form form, size_t count_max, char *error, size_t error_size)
    __attribute__((warn_unused_result));

/* The size of the trace whose shape requests_generate follows. */
enum { REQUESTS_WEB_COUNT = 95607, REQUESTS_WEB_DISTINCT = 13756 };

/* Makes a stream with the shape of a real one, the requests for product pages of a shop (the
 * trace cache2k-web12): reuse distances, and with them the miss ratio of LRU at every size,
 * popularity, singletons, arrival of new objects. The same seed gives the same stream on every
 * machine. 0, or -1: no memory. */
int requests_generate(struct requests *requests, uint64_t seed)
    __attribute__((warn_unused_result));

/* Frees what the above made. */
void requests_fini(struct requests *requests);

#endif
