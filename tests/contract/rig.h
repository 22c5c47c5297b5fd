/* SPDX-License-Identifier: Apache-2.0 */
/* Fresh servers, a remote over them, and short ways to ask it. */
#ifndef HEARTH_TESTS_CONTRACT_RIG_H
#define HEARTH_TESTS_CONTRACT_RIG_H

#include "contract/contract.h"
#include "remote/remote.h"
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
    RIG_NODES = 3,
    RIG_DEADLINE_MS = 10000, /* for what must not fail: longer than any stall of this machine */
    RIG_MAX_VALUE = 4 << 20,
};

struct rig {
    const struct contract *contract;
    struct servers servers;
    uint32_t nodes;
    size_t value_max; /* the contract's, or 0 */
    hearth__remote *remote;
    hearth__remote *lenient; /* takes foreign values for answers */
    hearth__seats *counters;
    hearth__buffer body; /* of the last GET */
};

/* What the suite was started with: cmocka's fixtures take no argument. */
extern const struct contract *rig_contract;

/* Fixtures. */
int rig_open(void **state);
int rig_close(void **state);

/* The same with room for values of this size, and servers that hold them. */
int rig_open_for(void **state, size_t max_value_bytes);

/* ---- operations: keys are texts, stores have new versions, all goes to node 0 ---- */

hearth__remote_op rig_get(struct rig *rig, const char *key);
hearth__remote_op rig_store(struct rig *rig, enum hearth__verb verb, const char *key,
                            const char *body);
hearth__remote_op rig_verb(enum hearth__verb verb, const char *key);

/* LEASE or a verb on a lease, whose token is this text of 15 bytes and its NUL. A FILL stores "filled". */
hearth__remote_op rig_lease_verb(struct rig *rig, enum hearth__verb verb, const char *key,
                                 const char *token);

/* Carries one out with a deadline that is far away. */
int32_t rig_run(struct rig *rig, hearth__remote_op *op);

/* The same with a deadline. */
int32_t rig_run_within(struct rig *rig, hearth__remote_op *op, int64_t deadline_ms);

/* Runs it and fails the test unless it answers `status`. */
void rig_expect(struct rig *rig, hearth__remote_op op, int32_t status, const char *what);

/* A GET that must answer `status`, and with HEARTH_OK this body. Returns the answer. */
hearth__remote_op rig_expect_get(struct rig *rig, const char *key, int32_t status,
                                 const char *body);

/* Fails the test when the statuses differ, and says both by name. */
void rig_same_status(int32_t status, int32_t expected, const char *what);

uint64_t rig_counter(const struct rig *rig, size_t stat);

/* ---- raw bytes ---- */

/* Composes a value of any kind, as it stands at a server. Returns its size. */
size_t rig_compose(const hearth__remote_op *op, unsigned char *bytes, size_t room);

/* Writes bytes under a key of node 0 with the plain client. */
void rig_plant(struct rig *rig, const char *key, const void *bytes, size_t size);

/* Composes and plants a value of a kind. Returns its version. */
uint64_t rig_plant_kind(struct rig *rig, enum hearth__kind kind, const char *key,
                        const char *body);

#endif
