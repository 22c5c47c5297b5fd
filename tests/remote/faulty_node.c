/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/faulty_node.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

static struct servers servers; /* 0: Redis, 1: Memcached */

int faulty_servers_start(void **state) {
    (void)state;
    if (servers_open(&servers) != 0 ||
        servers_start(&servers, SERVER_REDIS, SERVER_UNIX, NULL) != 0 ||
        servers_start(&servers, SERVER_MEMCACHED, SERVER_UNIX, NULL) != 0) {
        fail_msg("%s", servers.error);
    }
    return 0;
}

int faulty_servers_stop(void **state) {
    (void)state;
    servers_stop(&servers);
    return 0;
}

static void open_remote(struct faulty_node *node, uint32_t lanes, int64_t stall_ms) {
    hearth__node_address address = {.host = proxy_path(node->proxy), .weight = 1};
    hearth__remote_url url = {.kind = node->protocol == FAULTY_REDIS ? HEARTH__REDIS
                                                                     : HEARTH__MEMCACHED,
                              .nodes = &address,
                              .count = 1};
    hearth__remote_config config = {
        .url = &url,
        .lanes = lanes,
        .timeout_ms = FAULTY_DEADLINE_MS,
        .stall_ms = stall_ms,
        .retry_ms = FAULTY_RETRY_MS,
        .max_value_bytes = 1 << 20,
        .memcached_text = node->protocol == FAULTY_TEXT,
        .tracker = node->tracker,
        .counters = node->counters,
    };
    assert_int_equal(hearth__remote_open(&config, &node->remote), HEARTH_OK);
}

/* The server's bytes up to now, when one more GET has missed. */
static uint64_t passed_with_a_miss(struct faulty_node *node) {
    faulty_expect(node, faulty_op(node, HEARTH__GET, "nothing", NULL), HEARTH_MISS, "get");
    return proxy_passed(node->proxy, PROXY_TO_CLIENT);
}

void faulty_open(struct faulty_node *node, enum faulty_protocol protocol, uint32_t lanes,
                 int64_t stall_ms) {
    *node = (struct faulty_node){.protocol = protocol, .servers = &servers};
    size_t server = protocol == FAULTY_REDIS ? 0 : 1;
    node->proxy = proxy_start(servers.nodes[server].path, 0);
    node->counters = hearth__seats_create(HEARTH__STATS);
    assert_non_null(node->proxy);
    assert_non_null(node->counters);
    open_remote(node, lanes, stall_ms);
    uint64_t first = passed_with_a_miss(node); /* with the greeting, and without */
    node->greeting = first - (passed_with_a_miss(node) - first);
}

void faulty_close(struct faulty_node *node) {
    hearth__remote_close(node->remote);
    proxy_stop(node->proxy);
    hearth__seats_destroy(node->counters);
}

void faulty_reopen(struct faulty_node *node, uint32_t lanes, int64_t stall_ms) {
    hearth__remote_close(node->remote);
    open_remote(node, lanes, stall_ms);
}

hearth__remote_op faulty_op(struct faulty_node *node, enum hearth__verb verb, const char *key,
                            const char *data) {
    hearth__remote_op op = {.verb = verb,
                            .key = key,
                            .key_size = strlen(key),
                            .ttl_ms = FAULTY_TTL_MS,
                            .number = 1};
    if (data != NULL) {
        op.data = data;
        op.data_size = strlen(data);
        op.version = hearth__remote_new_version(node->remote);
    }
    return op;
}

int32_t faulty_run(struct faulty_node *node, hearth__remote_op *op, int64_t deadline_ms) {
    hearth__remote_execute(node->remote, op, 1, hearth__deadline_ns(deadline_ms));
    return op->status;
}

void faulty_expect(struct faulty_node *node, hearth__remote_op op, int32_t status,
                   const char *what) {
    if (faulty_run(node, &op, FAULTY_DEADLINE_MS) != status) {
        fail_msg("%s, %s: %s instead of %s", faulty_name(node), what,
                 hearth_status_name(op.status), hearth_status_name(status));
    }
}

void faulty_read(struct faulty_node *node, const char *key, char body[FAULTY_BODY_BYTES]) {
    hearth__buffer bytes = {0};
    hearth__remote_op op = faulty_op(node, HEARTH__GET, key, NULL);
    op.body = &bytes;
    (void)faulty_run(node, &op, FAULTY_DEADLINE_MS);
    if (op.status != HEARTH_OK && op.status != HEARTH_MISS) {
        fail_msg("%s, get: %s", faulty_name(node), hearth_status_name(op.status));
    }
    assert_true(bytes.size < FAULTY_BODY_BYTES);
    if (op.status == HEARTH_OK) {
        memcpy(body, bytes.data, bytes.size);
    }
    body[op.status == HEARTH_OK ? bytes.size : 0] = '\0';
    hearth__buffer_fini(&bytes);
}

uint64_t faulty_count(const struct faulty_node *node, size_t stat) {
    return hearth__seats_sum(node->counters, stat);
}

const char *faulty_name(const struct faulty_node *node) {
    static const char *const names[] = {"redis", "memcached, meta", "memcached, text"};
    return names[node->protocol];
}

/* ---- replies -------------------------------------------------------------------------------- */

static size_t line_of(const unsigned char *bytes, size_t size) {
    const unsigned char *end = size != 0 ? memmem(bytes, size, "\r\n", 2) : NULL;
    return end != NULL ? (size_t)(end - bytes) + 2 : 0;
}

/* A line with what it announces. */
static size_t with_data(size_t line, size_t data, size_t size) {
    return line + data + 2 <= size ? line + data + 2 : 0;
}

static size_t redis_reply(const unsigned char *bytes, size_t size) {
    size_t line = line_of(bytes, size);
    bool is_bulk = line != 0 && bytes[0] == '$';
    long announced = is_bulk ? strtol((const char *)bytes + 1, NULL, 10) : -1;
    return announced < 0 ? line : with_data(line, (size_t)announced, size);
}

/* "VALUE key flags size ...", the data, and "END". */
static size_t text_reply(const unsigned char *bytes, size_t size) {
    size_t line = line_of(bytes, size);
    if (line == 0 || memcmp(bytes, "VALUE ", 6) != 0) {
        return line;
    }
    const char *at = (const char *)bytes + 6;
    for (int blanks = 0; blanks < 2; at++) {
        blanks += *at == ' ' || *at == '\r';
    }
    size_t value = with_data(line, strtoul(at, NULL, 10), size);
    return value != 0 && value + 5 <= size ? value + 5 : 0;
}

static size_t meta_reply(const unsigned char *bytes, size_t size) {
    size_t line = line_of(bytes, size);
    bool has_data = line != 0 && memcmp(bytes, "VA ", 3) == 0;
    return has_data ? with_data(line, strtoul((const char *)bytes + 3, NULL, 10), size) : line;
}

size_t faulty_reply(enum faulty_protocol protocol, const unsigned char *bytes, size_t size) {
    return protocol == FAULTY_REDIS  ? redis_reply(bytes, size)
           : protocol == FAULTY_META ? meta_reply(bytes, size)
                                     : text_reply(bytes, size);
}
