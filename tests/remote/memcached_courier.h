/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Memcached client without lanes: one blocking connection to a real server, which carries what
 * the steps of an operation ask and brings what is heard. Fails the test where the server does not
 * answer.
 */
#ifndef HEARTH_TESTS_REMOTE_MEMCACHED_COURIER_H
#define HEARTH_TESTS_REMOTE_MEMCACHED_COURIER_H

#include "base/seats.h"
#include "remote/memcached_steps.h"
#include "support/servers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

enum { COURIER_MAX_VALUE = 4 << 20 };

struct courier {
    int fd;
    bool meta; /* the protocol */
    uint32_t opaque;
    unsigned asked;   /* requests of the last operation */
    size_t brought;   /* bytes that the server said to them */
    uint64_t version; /* the last that was stored */
    hearth__mc_parser parser;
    hearth__remote_config config;
    hearth__buffer body;

    /* Called before every request of an operation but its first. */
    void (*between)(struct courier *courier, unsigned asked);
};

void courier_open(struct courier *courier, const struct servers *servers, bool meta);
void courier_close(struct courier *courier);

/* Carries out an operation. */
int32_t courier_run(struct courier *courier, hearth__remote_op *op);

/* An operation on a key; stores have a life of 600 s and a new version. */
hearth__remote_op courier_op(struct courier *courier, enum hearth__verb verb, const char *key,
                             const char *data);

/* Runs it and fails the test unless it answers `status`. */
void courier_expect(struct courier *courier, hearth__remote_op op, int32_t status);

/* A GET that must answer `status`, and with HEARTH_OK this body. */
hearth__remote_op courier_expect_get(struct courier *courier, const char *key, int32_t status,
                                     const char *body);

/* Says a command on a connection of its own, and fails the test unless the server says `reply`. */
void courier_say(const struct servers *servers, const char *command, const char *reply);

#endif
