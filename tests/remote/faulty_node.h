/* SPDX-License-Identifier: Apache-2.0 */
/* A real server of each protocol behind a proxy that does to its bytes what a test says, and a remote
 * over it. */
#ifndef HEARTH_TESTS_REMOTE_FAULTY_NODE_H
#define HEARTH_TESTS_REMOTE_FAULTY_NODE_H

#include "base/stat.h"
#include "remote/remote.h"
#include "support/proxy.h"
#include "support/servers.h"

#include <hearth/errors.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

enum {
    FAULTY_DEADLINE_MS =
        10000,           /* for what must not fail: longer than any stall of this machine */
    FAULTY_RETRY_MS = 1, /* between two tries to connect: a second would be most of a test */
    FAULTY_BODY_BYTES = 64,
    FAULTY_TTL_MS = 550000, /* what is left of it has as many digits */
};

enum faulty_protocol { FAULTY_REDIS, FAULTY_META, FAULTY_TEXT, FAULTY_PROTOCOLS };

struct faulty_node {
    enum faulty_protocol protocol;
    struct servers *servers;
    struct proxy *proxy;
    hearth__remote *remote;
    hearth__seats *counters;
    const hearth__tracker *tracker; /* of a remote that is opened anew; or NULL */
    uint64_t
        greeting; /* bytes that the server says on a connection before it is asked anything */
};

/* Starts both servers, for all tests of a program; and stops them. For cmocka's group fixtures. */
int faulty_servers_start(void **state);
int faulty_servers_stop(void **state);

/* One node. What others have stored there is there. */
void faulty_open(struct faulty_node *node, enum faulty_protocol protocol, uint32_t lanes,
                 int64_t stall_ms);
void faulty_close(struct faulty_node *node);

/* The remote anew: without connections. */
void faulty_reopen(struct faulty_node *node, uint32_t lanes, int64_t stall_ms);

/* An operation: a store has a new version, an increment adds 1. */
hearth__remote_op faulty_op(struct faulty_node *node, enum hearth__verb verb, const char *key,
                            const char *data);
int32_t faulty_run(struct faulty_node *node, hearth__remote_op *op, int64_t deadline_ms);

/* Fails the test unless it answers `status`. */
void faulty_expect(struct faulty_node *node, hearth__remote_op op, int32_t status,
                   const char *what);

/* What a GET finds, as a text: "" for nothing. Fails the test where it is neither. */
void faulty_read(struct faulty_node *node, const char *key, char body[FAULTY_BODY_BYTES]);

uint64_t faulty_count(const struct faulty_node *node, size_t stat);
const char *faulty_name(const struct faulty_node *node);

/* The size of the server's first reply in these bytes; 0: it is not complete. */
size_t faulty_reply(enum faulty_protocol protocol, const unsigned char *bytes, size_t size);

#endif
