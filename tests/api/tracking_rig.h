/* SPDX-License-Identifier: Apache-2.0 */
/* A cache that a real Redis server tells of changes, behind a proxy, and others that make them. */
#ifndef HEARTH_TESTS_API_TRACKING_RIG_H
#define HEARTH_TESTS_API_TRACKING_RIG_H

#include "support/crowd.h"
#include "support/proxy.h"
#include "support/servers.h"

#include <hearth/hearth.h>

#include <hiredis/hiredis.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

/* Machines can be slow: a node is lost soon only where a test waits for that. */
enum {
    TRACKING_PING_MS = 50,
    TRACKING_DEAD_MS = 10000,
    TRACKING_SOON_MS = 200,
    TRACKING_GRACE_MS = TRACKING_PING_MS + TRACKING_SOON_MS,
};

/* Of a group of tests: one server. */
int tracking_start(void **state);
int tracking_stop(void **state);
struct servers *tracking_servers(void);

/* A command to it, whose answer is the caller's. Fails the test on an error. The format is hiredis's. */
redisReply *tracking_ask(const char *format, ...);

/* What is 0 or NULL is as usual here: 4 lanes, TRACKING_DEAD_MS, copies of 10 min, and what the library does by default. */
struct tracking_opening {
    const char *path; /* of the server, or: */
    int port;
    const char *user; /* as in a url, with its @ */
    const char *mode;
    const char *lanes;
    const char *max_ttl;
    const char *tracking;
    int dead_ms;
};
hearth *tracking_open_cache(const struct tracking_opening *opening);

/* A cache that is told of changes, and another process's, which writes what it likes. */
struct tracking_rig {
    struct proxy *proxy;
    hearth *cache;
    hearth *other;
    redisContext *client;
    hearth_value *value;
};
void tracking_rig_open(struct tracking_rig *rig);
void tracking_rig_open_with(struct tracking_rig *rig, int dead_ms, const char *lanes);
void tracking_rig_close(struct tracking_rig *rig);

void tracking_tell(redisContext *client, const char *format, ...);
void tracking_set(hearth *cache, const char *key, const char *text);
uint64_t tracking_stat_of(hearth *cache, size_t offset);

/* What a read finds, and where. */
struct tracking_found {
    int32_t status;
    char text[32];
    hearth_info info;
};
struct tracking_found tracking_get(struct tracking_rig *rig, const char *key);
struct tracking_found tracking_get_with(struct tracking_rig *rig, const char *key,
                                        const hearth_read_options *options);

/* Reads a key until it is told of. */
void tracking_track(struct tracking_rig *rig, const char *key);
void tracking_await_text(struct tracking_rig *rig, const char *key, const char *text);

/* For await_until(): what is asked of a copy, and whether that key is missed. */
struct tracking_copy {
    struct tracking_rig *rig;
    const char *key;
    const char *text; /* what is to be there */
};
bool tracking_is_missed(void *copy);
/* Of a rig, whether its cache has lost changes. */
bool tracking_has_lost(void *rig);

#endif
