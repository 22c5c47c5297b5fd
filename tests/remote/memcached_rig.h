/* SPDX-License-Identifier: Apache-2.0 */
/* A Memcached server that a test scripts, and one node on it behind the backend's contract. */
#ifndef HEARTH_TESTS_REMOTE_MEMCACHED_RIG_H
#define HEARTH_TESTS_REMOTE_MEMCACHED_RIG_H

#include "base/stat.h"
#include "remote/backend.h"
#include "support/scripted_server.h"

#include <hearth/errors.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

enum {
    MC_RIG_DEADLINE_MS = 10000, /* for what must not fail: longer than any stall */
    MC_RIG_SHORT_MS = 50,       /* for what must not be answered */
    MC_RIG_LATE_MS = 250,       /* for what may be answered or not */
    MC_RIG_MAX_VALUE = 1 << 20,
};

struct mc_rig {
    struct scripted_server server;
    hearth__node_address address;
    hearth__remote_url url;
    hearth__remote_config config;
    hearth__node_config node_config;
    hearth__node *node;
    hearth__buffer body; /* of the last GET */
    uint64_t version;
};

/* Starts the server, and opens a node with one lane on it. */
void mc_rig_open(struct mc_rig *rig, scripted_serve *serve, void *arg);
void mc_rig_close(struct mc_rig *rig);

/* The node of another server, by its path; mc_rig_close_node() ends it. */
void mc_rig_open_node(struct mc_rig *rig, char *path, uint32_t lanes);
void mc_rig_close_node(struct mc_rig *rig);

/* Opens the node anew, with what was changed in `config`. */
void mc_rig_reopen(struct mc_rig *rig);

/* ---- operations ---- */

hearth__remote_op mc_rig_op(struct mc_rig *rig, enum hearth__verb verb, const char *key,
                            const char *data);
void mc_rig_run_many(struct mc_rig *rig, hearth__remote_op *ops, size_t count,
                     int64_t deadline_ms);
int32_t mc_rig_run_within(struct mc_rig *rig, hearth__remote_op *op, int64_t deadline_ms);
void mc_rig_same_status(int32_t status, int32_t expected, const char *what);

/* Runs one with a far deadline; fails the test unless it answers `status`. */
hearth__remote_op mc_rig_expect(struct mc_rig *rig, hearth__remote_op op, int32_t status);
uint64_t mc_rig_count(const struct mc_rig *rig, size_t stat);

/* Whether a log record with these words comes, in the time of log_record.h; those before it are gone then. */
bool mc_rig_logged(struct mc_rig *rig, uint32_t level, const char *words);

/* ---- a server's bytes: for the serving function, as those of scripted_server.h ---- */

/* Answers a greeting as version 1.6.18 does. */
bool mc_greet(struct scripted_client *client);

/* One command: its line, and its number, which the reply repeats. */
struct mc_asked {
    char line[400];
    uint32_t opaque;
};

/* Awaits a line that begins with these words, of any protocol; skips the data of a store. */
bool mc_await(struct scripted_client *client, const char *words, struct mc_asked *asked);

/* A reply: each '@' in front of its data becomes the command's number. */
struct mc_wire {
    char bytes[512];
    size_t size;
};
struct mc_wire mc_wire_of(const struct mc_asked *asked, const char *reply);

/* A GET's: a value that lives for ever. */
struct mc_wire mc_value_of(const struct mc_asked *asked, const char *key, const char *body);

/* Sends the reply. */
bool mc_say(struct scripted_client *client, const struct mc_asked *asked, const char *reply);

#endif
