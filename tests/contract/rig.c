/* SPDX-License-Identifier: Apache-2.0 */
#include "contract/rig.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/stat.h"
#include "remote/envelope.h"

#include <stdlib.h>

const struct contract *rig_contract;

static void start_servers(struct rig *rig, bool large) {
    const char *const *arguments =
        large ? rig->contract->large_arguments : rig->contract->arguments;
    enum server_kind kind =
        rig->contract->kind == HEARTH__REDIS ? SERVER_REDIS : SERVER_MEMCACHED;
    rig->nodes = 1;
    if (!rig->contract->has_servers) {
        return;
    }
    if (servers_open(&rig->servers) != 0) {
        fail_msg("%s", rig->servers.error);
    }
    for (rig->nodes = 0; rig->nodes < RIG_NODES; rig->nodes++) {
        if (servers_start(&rig->servers, kind, SERVER_UNIX, arguments) != 0) {
            fail_msg("%s", rig->servers.error);
        }
    }
}

static void read_url(struct rig *rig, hearth__remote_url *url) {
    char text[RIG_NODES * SERVERS_PATH_BYTES + 64] = "embedded://";
    char why[200] = "";
    enum server_kind kind =
        rig->contract->kind == HEARTH__REDIS ? SERVER_REDIS : SERVER_MEMCACHED;
    if (rig->contract->has_servers) {
        assert_int_equal(servers_url(&rig->servers, kind, text, sizeof text), 0);
    }
    if (hearth__remote_url_parse(text, url, why, sizeof why) != HEARTH_OK) {
        fail_msg("%s: %s", text, why);
    }
}

int rig_open_for(void **state, size_t max_value_bytes) {
    struct rig *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    *state = rig;
    rig->contract = rig_contract;
    rig->counters = hearth__seats_create(HEARTH__STATS);
    assert_non_null(rig->counters);
    rig->value_max = max_value_bytes > RIG_MAX_VALUE ? 0 : rig->contract->value_max;
    start_servers(rig, max_value_bytes > RIG_MAX_VALUE);
    hearth__remote_url url;
    read_url(rig, &url);
    hearth__remote_config config = {
        .url = &url,
        .lanes = 4,
        .timeout_ms = RIG_DEADLINE_MS,
        .stall_ms = 100,
        .max_value_bytes = max_value_bytes,
        .embedded_max_bytes = max_value_bytes * 8,
        .memcached_client = rig->contract->memcached_client,
        .memcached_text = rig->contract->memcached_text,
        .counters = rig->counters,
    };
    assert_int_equal(hearth__remote_open(&config, &rig->remote), HEARTH_OK);
    config.accept_foreign = true;
    assert_int_equal(hearth__remote_open(&config, &rig->lenient), HEARTH_OK);
    hearth__remote_url_fini(&url);
    return 0;
}

int rig_open(void **state) {
    return rig_open_for(state, RIG_MAX_VALUE);
}

int rig_close(void **state) {
    struct rig *rig = *state;
    hearth__remote_close(rig->remote);
    hearth__remote_close(rig->lenient);
    if (rig->contract->has_servers) {
        servers_stop(&rig->servers);
    }
    hearth__seats_destroy(rig->counters);
    hearth__buffer_fini(&rig->body);
    free(rig);
    return 0;
}

hearth__remote_op rig_verb(enum hearth__verb verb, const char *key) {
    return (hearth__remote_op){.verb = verb, .key = key, .key_size = strlen(key)};
}

hearth__remote_op rig_get(struct rig *rig, const char *key) {
    hearth__remote_op op = rig_verb(HEARTH__GET, key);
    op.body = &rig->body;
    op.want_ttl = true;
    return op;
}

hearth__remote_op rig_store(struct rig *rig, enum hearth__verb verb, const char *key,
                            const char *body) {
    hearth__remote_op op = rig_verb(verb, key);
    op.data = body;
    op.data_size = strlen(body);
    op.version = hearth__remote_new_version(rig->remote);
    op.ttl_ms = 600000;
    return op;
}

hearth__remote_op rig_lease_verb(struct rig *rig, enum hearth__verb verb, const char *key,
                                 const char *token) {
    assert_int_equal(strlen(token) + 1, HEARTH__TOKEN_BYTES);
    hearth__remote_op op = rig_store(rig, verb, key, verb == HEARTH__FILL ? "filled" : "");
    op.kind = verb == HEARTH__FILL ? HEARTH__KIND_VALUE : HEARTH__KIND_LEASE;
    op.token = (const unsigned char *)token;
    return op;
}

int32_t rig_run_within(struct rig *rig, hearth__remote_op *op, int64_t deadline_ms) {
    hearth__remote_execute(rig->remote, op, 1, hearth__deadline_ns(deadline_ms));
    return op->status;
}

int32_t rig_run(struct rig *rig, hearth__remote_op *op) {
    return rig_run_within(rig, op, RIG_DEADLINE_MS);
}

void rig_same_status(int32_t status, int32_t expected, const char *what) {
    if (status != expected) {
        fail_msg("%s: %s instead of %s", what, hearth_status_name(status),
                 hearth_status_name(expected));
    }
}

void rig_expect(struct rig *rig, hearth__remote_op op, int32_t status, const char *what) {
    rig_same_status(rig_run(rig, &op), status, what);
}

hearth__remote_op rig_expect_get(struct rig *rig, const char *key, int32_t status,
                                 const char *body) {
    hearth__remote_op op = rig_get(rig, key);
    rig_same_status(rig_run(rig, &op), status, key);
    if (status == HEARTH_OK) {
        assert_int_equal(rig->body.size, strlen(body));
        assert_memory_equal(rig->body.data, body, strlen(body));
    }
    return op;
}

uint64_t rig_counter(const struct rig *rig, size_t stat) {
    return hearth__seats_sum(rig->counters, stat);
}

size_t rig_compose(const hearth__remote_op *op, unsigned char *bytes, size_t room) {
    assert_true(room >= (size_t)HEARTH__ENVELOPE_HEADER + op->data_size);
    size_t header_size = hearth__envelope_compose(op, false, bytes);
    if (op->data_size != 0) {
        memcpy(bytes + header_size, op->data, op->data_size);
    }
    return header_size + op->data_size;
}

void rig_plant(struct rig *rig, const char *key, const void *bytes, size_t size) {
    rig->contract->raw->put(rig, 0, key, strlen(key), bytes, size, 0);
}

uint64_t rig_plant_kind(struct rig *rig, enum hearth__kind kind, const char *key,
                        const char *body) {
    unsigned char bytes[256];
    hearth__remote_op op = rig_store(rig, HEARTH__SET, key, body);
    op.kind = kind;
    rig_plant(rig, key, bytes, rig_compose(&op, bytes, sizeof bytes));
    return op.version;
}
