/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/redis_rig.h"

#include "base/clock.h"
#include "remote/envelope.h"
#include "support/log_record.h"

#include <stdlib.h>

struct redis_rig redis_rig_at(char *host, uint16_t port) {
    return (struct redis_rig){
        .address = {.host = host, .port = port, .weight = 1},
        .url = {.kind = HEARTH__REDIS, .count = 1},
        .config = {.lanes = 4,
                   .timeout_ms = 1000,
                   .stall_ms = 100,
                   .max_value_bytes = REDIS_RIG_MAX_VALUE},
        .version = (uint64_t)hearth__wall_ms() << 16,
    };
}

void redis_rig_open(struct redis_rig *rig) {
    rig->url.nodes = &rig->address;
    rig->config.url = &rig->url;
    rig->config.counters = hearth__seats_create(HEARTH__STATS);
    rig->config.log = hearth__log_create(NULL, NULL);
    assert_non_null(rig->config.counters);
    assert_non_null(rig->config.log);
    rig->node_config = (hearth__node_config){
        .remote = &rig->config, .address = &rig->address, .name = "the-node"};
    assert_int_equal(hearth__backend_redis.open(&rig->node_config, &rig->node), HEARTH_OK);
}

void redis_rig_close(struct redis_rig *rig) {
    hearth__backend_redis.close(rig->node);
    hearth__seats_destroy(rig->config.counters);
    hearth__log_destroy(rig->config.log);
    hearth__buffer_fini(&rig->body);
}

void redis_rig_reopen(struct redis_rig *rig, uint32_t lanes) {
    hearth__backend_redis.close(rig->node);
    rig->config.lanes = lanes;
    assert_int_equal(hearth__backend_redis.open(&rig->node_config, &rig->node), HEARTH_OK);
}

hearth__remote_op redis_rig_op(struct redis_rig *rig, enum hearth__verb verb, const char *key,
                               const char *data) {
    hearth__remote_op op = {.verb = verb,
                            .key = key,
                            .key_size = strlen(key),
                            .version = ++rig->version,
                            .status = HEARTH__PENDING};
    if (data != NULL) {
        op.data = data;
        op.data_size = strlen(data);
        op.ttl_ms = 600000;
    }
    if (verb == HEARTH__GET) {
        op.body = &rig->body;
        op.want_ttl = true;
    }
    return op;
}

enum { BATCH_MAX = 4096 };

void redis_rig_run_many(struct redis_rig *rig, hearth__remote_op *ops, size_t count,
                        int64_t deadline_ms) {
    hearth__remote_op *pointers[BATCH_MAX];
    hearth__batch *batch = NULL;
    int64_t deadline_ns = hearth__deadline_ns(deadline_ms);
    assert_true(count <= BATCH_MAX);
    for (size_t i = 0; i < count; i++) {
        ops[i].status = HEARTH__PENDING;
        pointers[i] = &ops[i];
    }
    hearth__backend_redis.begin(rig->node, pointers, count, true, deadline_ns, &batch);
    hearth__backend_redis.finish(rig->node, pointers, count, deadline_ns, batch);
}

int32_t redis_rig_run_within(struct redis_rig *rig, hearth__remote_op *op,
                             int64_t deadline_ms) {
    redis_rig_run_many(rig, op, 1, deadline_ms);
    return op->status;
}

void redis_rig_same_status(int32_t status, int32_t expected, const char *what) {
    if (status != expected) {
        fail_msg("%s: %s instead of %s", what, hearth_status_name(status),
                 hearth_status_name(expected));
    }
}

hearth__remote_op redis_rig_expect(struct redis_rig *rig, hearth__remote_op op,
                                   int32_t status) {
    (void)redis_rig_run_within(rig, &op, REDIS_RIG_DEADLINE_MS);
    redis_rig_same_status(op.status, status, op.key);
    return op;
}

hearth__remote_op redis_rig_expect_body(struct redis_rig *rig, const char *key,
                                        const char *body) {
    hearth__remote_op op = redis_rig_expect(rig, redis_rig_op(rig, HEARTH__GET, key, NULL),
                                            body != NULL ? HEARTH_OK : HEARTH_MISS);
    if (body != NULL) {
        assert_int_equal(rig->body.size, strlen(body));
        assert_memory_equal(rig->body.data, body, strlen(body));
    }
    return op;
}

void redis_rig_set_integer(struct redis_rig *rig, const char *key, const char *digits) {
    hearth__remote_op op = redis_rig_op(rig, HEARTH__SET, key, digits);
    op.kind = HEARTH__KIND_INTEGER;
    (void)redis_rig_expect(rig, op, HEARTH_OK);
}

int64_t redis_rig_increment(struct redis_rig *rig, const char *key, int64_t amount,
                            int32_t status) {
    hearth__remote_op op = redis_rig_op(rig, HEARTH__INCREMENT, key, NULL);
    op.number = amount;
    return redis_rig_expect(rig, op, status).number;
}

uint64_t redis_rig_count(const struct redis_rig *rig, size_t stat) {
    return hearth__seats_sum(rig->config.counters, stat);
}

bool redis_rig_logged(struct redis_rig *rig, uint32_t level, const char *words) {
    return log_record_awaited(rig->config.log, level, words);
}

struct redis_wire redis_wire_of(const char *key, const char *body) {
    unsigned char header[HEARTH__ENVELOPE_HEADER];
    struct redis_wire wire;
    hearth__remote_op op = {.key = key,
                            .key_size = strlen(key),
                            .data = body,
                            .data_size = strlen(body),
                            .version = (uint64_t)hearth__wall_ms() << 16};
    size_t size = hearth__envelope_compose(&op, false, header);
    int head = snprintf(wire.bytes, sizeof wire.bytes, "$%zu\r\n", size + op.data_size);
    memcpy(wire.bytes + head, header, size);
    snprintf(wire.bytes + (size_t)head + size, sizeof wire.bytes - (size_t)head - size,
             "%s\r\n", body);
    wire.size = (size_t)head + size + op.data_size + 2;
    return wire;
}

redisContext *redis_rig_client(const struct server_node *node) {
    redisContext *client = node->transport == SERVER_UNIX
                               ? redisConnectUnix(node->path)
                               : redisConnect(node->host, node->port);
    assert_non_null(client);
    assert_int_equal(client->err, 0);
    return client;
}

static redisReply *ask(redisContext *client, const char *format, va_list args) {
    redisReply *reply = redisvCommand(client, format, args);
    assert_non_null(reply);
    if (reply->type == REDIS_REPLY_ERROR) {
        fail_msg("%s: %s", format, reply->str);
    }
    return reply;
}

redisReply *redis_rig_ask(redisContext *client, const char *format, ...) {
    va_list args;
    va_start(args, format);
    redisReply *reply = ask(client, format, args);
    va_end(args);
    return reply;
}

void redis_rig_tell(redisContext *client, const char *format, ...) {
    va_list args;
    va_start(args, format);
    freeReplyObject(ask(client, format, args));
    va_end(args);
}

uint64_t redis_rig_info(redisContext *client, const char *word) {
    redisReply *reply = redis_rig_ask(client, "INFO everything");
    const char *at = strstr(reply->str, word);
    uint64_t number = at != NULL ? strtoull(at + strlen(word), NULL, 10) : 0;
    freeReplyObject(reply);
    return number;
}
