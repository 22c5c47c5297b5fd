/* SPDX-License-Identifier: Apache-2.0 */
/* Two nodes of a kind, each a real server behind a proxy that makes it go away and come back, and clocks that the test moves on,
 * so that nobody waits for a pause. The servers run as long as the program. */
#ifndef HEARTH_TESTS_TIER_NODES_RIG_H
#define HEARTH_TESTS_TIER_NODES_RIG_H

#include <hearth/hearth.h>

#include "support/proxy.h"
#include "support/servers.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

enum { NODES = 2, KEYS = 32, FAILURES = 3 };

/* Of a group of tests: two Redis servers, and two of Memcached. */
int nodes_start(void **state);
int nodes_stop(void **state);

/* Of a test. */
struct nodes_rig {
    enum server_kind kind;
    bool libmemcached;
    struct proxy *proxies[NODES];
    hearth *cache; /* without a local tier; FAILURES failures open a breaker */
    char
        keys[KEYS]
            [24]; /* half of them on each node, the first one's first; no other test has them */
    hearth_value *value;
};

int nodes_open_redis(void **state);
int nodes_open_memcached(void **state);
int nodes_open_libmemcached(void **state);
int nodes_close(void **state);

/* The server behind a node, for what is done to servers; the proxy before it stays as it is. */
struct servers *nodes_servers(void);
size_t nodes_server_of(const struct nodes_rig *rig, size_t node);

/* Another cache over the same nodes. `more`: names and values of options, ended by NULL; or NULL. */
hearth *nodes_open_cache(struct nodes_rig *rig, const char *const *more);

/* Waits for a point on these clocks on the machine's: what a program whose library waits for one puts in the place of
 * pthread_cond_timedwait(). */
int nodes_wait_until(pthread_cond_t *condition, pthread_mutex_t *lock,
                     const struct timespec *until);

/* All clocks go on by longer than any pause between two tries. No thread may wait by the clock just now. */
void nodes_pass_the_pause(void);

/* The first node refuses connections, and takes them again. */
void nodes_go_away(struct nodes_rig *rig);
void nodes_come_back(struct nodes_rig *rig);

/* The first node takes all and answers nothing, and answers again. */
void nodes_fall_silent(struct nodes_rig *rig);
void nodes_speak_again(struct nodes_rig *rig);

int32_t nodes_get_of(struct nodes_rig *rig, hearth *cache, size_t key);
int32_t nodes_set_of(struct nodes_rig *rig, hearth *cache, size_t key, const char *value);
int32_t nodes_delete_of(struct nodes_rig *rig, hearth *cache, size_t key);
hearth_stats nodes_stats_of(hearth *cache);

/* Whether the cache's log has a record with these words; it and those before it are taken. */
bool nodes_is_logged(hearth *cache, const char *words);

#endif
