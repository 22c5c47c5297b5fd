/* SPDX-License-Identifier: Apache-2.0 */
/* Two caches over one server, each as a process of its own would be: they share nothing but the server. */
#ifndef HEARTH_TESTS_TIER_LEASE_RIG_H
#define HEARTH_TESTS_TIER_LEASE_RIG_H

#include "api/source.h"
#include "support/proxy.h"
#include "support/servers.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

/* Of a group of tests: a Redis server and one of Memcached. */
int lease_servers_start(void **state);
int lease_servers_stop(void **state);

struct lease_rig {
    enum server_kind kind;
    const char *client;  /* of remote.memcached_client */
    struct proxy *proxy; /* before the server, on b's way */
    hearth *a;
    hearth *b;
    char key[32]; /* no other test has it */
    hearth_value *value;
};

int lease_open_redis(void **state);
int lease_open_memcached(void **state);
int lease_open_libmemcached(void **state);
int lease_close(void **state);

/* Where the server listens. */
const char *lease_path(const struct lease_rig *rig);

/* Another cache over the same server, directly. `more`: names and values of options, ended by NULL; or NULL. */
hearth *lease_open_cache(const struct lease_rig *rig, const char *const *more);

/* Opens `a` or `b` anew with other options. */
void lease_reopen(struct lease_rig *rig, hearth **cache, const char *const *more);

/* A fetch on a thread of its own. */
struct lease_fetch {
    hearth *cache;
    const char *key;
    struct source source;
    hearth_read_options read;
    int32_t status;
    char text[32]; /* the value, with HEARTH_OK */
    pthread_t thread;
};

/* Prepares one whose loader answers `text`. */
void lease_prepare(struct lease_fetch *fetch, hearth *cache, const char *key, const char *text);

/* Runs it on this thread. */
int32_t lease_fetch(struct lease_fetch *fetch);

/* Starts it; and with a loader that waits, awaits that. */
void lease_start(struct lease_fetch *fetch);
void lease_start_slow(struct lease_fetch *fetch);

/* Lets the loader go on, and waits for the end. */
void lease_finish(struct lease_fetch *fetch);

/* Waits until a statistic of a cache, by its place in the struct, is at least this. */
void lease_await_stat(hearth *cache, size_t offset, uint64_t least);
#define LEASE_AWAIT(cache, field, least) \
    lease_await_stat((cache), offsetof(hearth_stats, field), (least))

/* cache_make_stale(), by all clocks that may be asked. */
void lease_make_stale(hearth *cache, const char *key);

/* What the node holds, as a cache without a local tier sees it: "=value", "MISS", "ABSENT". */
const char *lease_at_node(const struct lease_rig *rig);

#endif
