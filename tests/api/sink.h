/* SPDX-License-Identifier: Apache-2.0 */
/* A sink for tests: a value becomes an object on the heap, a miss is one object that counts its references. */
#ifndef HEARTH_TESTS_API_SINK_H
#define HEARTH_TESTS_API_SINK_H

#include <hearth/hearth.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a value becomes: to be freed. */
struct object {
    size_t size;
    unsigned char bytes[];
};

/* The object for a miss: never to be freed. */
struct missing {
    _Atomic uint64_t references;
};

extern struct missing missing;

/* For hearth_options_set_sink(). No object is made of a value that is not there, be it empty. */
void *object_make(const char *data, ptrdiff_t size);
void missing_retain(void *object);

/* As cache_open(), with this sink, or with objects by `make` if that is not NULL. */
hearth *cache_open_with_sink(const char *const *settings, hearth_sink_make make);

/* hearth_get_with() for a text as key: "MISS" if it is that very object with one more reference, "NULL", or "=" and the
 * value, in a buffer of this thread's own. The object is freed. */
const char *cache_get_with(hearth *cache, const char *key);

#endif
