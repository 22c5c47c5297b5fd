/* SPDX-License-Identifier: Apache-2.0 */
/* One Redis node behind the backend's contract, without the rest of the room, and short ways to
 * ask it. */
#ifndef HEARTH_TESTS_REMOTE_REDIS_RIG_H
#define HEARTH_TESTS_REMOTE_REDIS_RIG_H

#include "base/stat.h"
#include "remote/backend.h"
#include "support/servers.h"

#include <hearth/errors.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

#include <hiredis/hiredis.h>

enum {
    REDIS_RIG_DEADLINE_MS = 10000, /* for what must not fail: longer than any stall */
    REDIS_RIG_LONG_MS = 30000,     /* the same for long work */
    REDIS_RIG_MAX_VALUE = 1 << 20,
    REDIS_RIG_SHORT_MS = 50, /* for what must not be answered */
    REDIS_RIG_LATE_MS = 250, /* for what may be answered or not */
};

struct redis_rig {
    hearth__node_address address;
    hearth__remote_url url;
    hearth__remote_config config;
    hearth__node_config node_config;
    hearth__node *node;
    hearth__buffer body; /* of the last GET */
    uint64_t version;
};

/* A rig for the node at a path, or at a loopback port; not opened: `url` and `config` may still
 * be changed. */
struct redis_rig redis_rig_at(char *host, uint16_t port);

void redis_rig_open(struct redis_rig *rig);
void redis_rig_close(struct redis_rig *rig);

/* Opens the node anew, with so many lanes and what else was changed in `config`. */
void redis_rig_reopen(struct redis_rig *rig, uint32_t lanes);

/* ---- operations ---- */

hearth__remote_op redis_rig_op(struct redis_rig *rig, enum hearth__verb verb, const char *key,
                               const char *data);
int32_t redis_rig_run_within(struct redis_rig *rig, hearth__remote_op *op, int64_t deadline_ms);
void redis_rig_run_many(struct redis_rig *rig, hearth__remote_op *ops, size_t count,
                        int64_t deadline_ms);

/* Runs one with a far deadline; fails the test unless it answers `status`. */
hearth__remote_op redis_rig_expect(struct redis_rig *rig, hearth__remote_op op, int32_t status);

/* A GET that must find this body; NULL: that must miss. */
hearth__remote_op redis_rig_expect_body(struct redis_rig *rig, const char *key,
                                        const char *body);

/* An integer in the key's place. */
void redis_rig_set_integer(struct redis_rig *rig, const char *key, const char *digits);

/* INCREMENT by an amount; the sum where it answers HEARTH_OK. */
int64_t redis_rig_increment(struct redis_rig *rig, const char *key, int64_t amount,
                            int32_t status);

void redis_rig_same_status(int32_t status, int32_t expected, const char *what);
uint64_t redis_rig_count(const struct redis_rig *rig, size_t stat);

/* Whether a log record with these words comes, in the time of log_record.h; those before it are gone then. */
bool redis_rig_logged(struct redis_rig *rig, uint32_t level, const char *words);

/* ---- a server's bytes ---- */

/* A GET's reply: a value that lives for ever. */
struct redis_wire {
    char bytes[512];
    size_t size;
};
struct redis_wire redis_wire_of(const char *key, const char *body);

/* ---- a plain client ---- */

redisContext *redis_rig_client(const struct server_node *node);

/* A command whose answer is a number or a text, which the caller frees. Fails the test on an
 * error. The format is hiredis's. */
redisReply *redis_rig_ask(redisContext *client, const char *format, ...);
void redis_rig_tell(redisContext *client, const char *format, ...);

/* The number behind a word of INFO; 0: it is not there. */
uint64_t redis_rig_info(redisContext *client, const char *word);

#endif
