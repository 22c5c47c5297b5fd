/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the public calls share: a cache of its own for each test, and a source of
 * truth whose loader does what the test says. */
#ifndef HEARTH_TESTS_API_SOURCE_H
#define HEARTH_TESTS_API_SOURCE_H

#include "support/crowd.h"

#include <hearth/hearth.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the loader does. All zero answers with an empty value. */
struct source {
    const char *text; /* the value; NULL: empty */
    size_t size;      /* of it; 0: to its NUL */
    bool absent;      /* says that the key does not exist */
    bool silent;      /* says nothing */
    bool has_ttl;
    int64_t ttl_ms;
    int64_t soft_ttl_ms;
    int32_t returns;
    void (*inside)(struct source *source, hearth_fill *fill); /* called first, if not NULL */
    void *arg;                                                /* the test's own */
    bool waits;                                               /* until `go` was raised */
    struct event entered;                                     /* a loader runs */
    struct event go;
    _Atomic int calls;
    _Atomic int32_t filled; /* what the last call with its fill answered */
};

#define SOURCE_INIT .entered = EVENT_INIT, .go = EVENT_INIT

/* The loader of a source. */
hearth_loader source_loader(struct source *source);

/* hearth_fetch() with a text for the key and no options. */
int32_t source_fetch(hearth *cache, const char *key, struct source *source,
                     hearth_value *value);

/* A cache with options given as name, value, name, value, NULL, and a patient remote.timeout_ms;
 * NULL: it does not open, and the reason is printed. */
hearth *cache_open(const char *const *settings);

/* The same, and a value to read into. 0, or -1. */
int cache_open_with_value(const char *const *settings, hearth **cache, hearth_value **value);

/* Frees both. 0; -1: it did not close, or memory of the library is left. NULL is allowed. A program that calls
 * this has the heap of support/failing_memory.h. */
int cache_close(hearth *cache, hearth_value *value);

/* Asserts what was read. */
void expect_text(const hearth_value *value, const char *text);

/* What a get with these flags finds, as a text in a buffer of this thread's own: "MISS", "ABSENT",
 * an error's name, or "=" and the value. */
const char *cache_get(hearth *cache, const char *key, uint32_t flags);

/* The statistics now. */
hearth_stats cache_stats(hearth *cache);

/* Stores "old" under a key with a soft life of 1 ms. */
int32_t cache_set_short(hearth *cache, const char *key);

/* Waits until a key's value is past its soft life in both tiers. False: it was not in time. */
bool cache_await_stale(hearth *cache, const char *key) __attribute__((warn_unused_result));

/* The one and the other. */
bool cache_make_stale(hearth *cache, const char *key) __attribute__((warn_unused_result));

/* hearth_set() of a text. */
int32_t cache_set(hearth *cache, const char *key, const char *text);

#endif
