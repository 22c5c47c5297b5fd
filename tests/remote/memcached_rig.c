/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/memcached_rig.h"

#include "base/clock.h"
#include "remote/envelope.h"
#include "support/log_record.h"

#include <stdlib.h>

enum { BATCH_MAX = 1024 };

void mc_rig_open_node(struct mc_rig *rig, char *path, uint32_t lanes) {
    rig->address = (hearth__node_address){.host = path, .weight = 1};
    rig->url =
        (hearth__remote_url){.kind = HEARTH__MEMCACHED, .nodes = &rig->address, .count = 1};
    rig->config = (hearth__remote_config){.url = &rig->url,
                                          .lanes = lanes,
                                          .timeout_ms = 1000,
                                          .stall_ms = 100,
                                          .max_value_bytes = MC_RIG_MAX_VALUE};
    rig->version = (uint64_t)hearth__wall_ms() << 16;
    rig->config.counters = hearth__seats_create(HEARTH__STATS);
    rig->config.log = hearth__log_create(NULL, NULL);
    assert_non_null(rig->config.counters);
    assert_non_null(rig->config.log);
    rig->node_config = (hearth__node_config){
        .remote = &rig->config, .address = &rig->address, .name = "the-node"};
    assert_int_equal(hearth__backend_memcached.open(&rig->node_config, &rig->node), HEARTH_OK);
}

void mc_rig_close_node(struct mc_rig *rig) {
    hearth__backend_memcached.close(rig->node);
    hearth__seats_destroy(rig->config.counters);
    hearth__log_destroy(rig->config.log);
    hearth__buffer_fini(&rig->body);
}

void mc_rig_open(struct mc_rig *rig, scripted_serve *serve, void *arg) {
    memset(rig, 0, sizeof *rig);
    scripted_server_start(&rig->server, 1, serve, arg);
    mc_rig_open_node(rig, rig->server.path, 1);
}

void mc_rig_close(struct mc_rig *rig) {
    mc_rig_close_node(rig);
    scripted_server_stop(&rig->server);
}

void mc_rig_reopen(struct mc_rig *rig) {
    hearth__backend_memcached.close(rig->node);
    assert_int_equal(hearth__backend_memcached.open(&rig->node_config, &rig->node), HEARTH_OK);
}

/* ---- operations ----------------------------------------------------------------------------- */

hearth__remote_op mc_rig_op(struct mc_rig *rig, enum hearth__verb verb, const char *key,
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

void mc_rig_run_many(struct mc_rig *rig, hearth__remote_op *ops, size_t count,
                     int64_t deadline_ms) {
    hearth__remote_op *pointers[BATCH_MAX];
    hearth__batch *batch = NULL;
    int64_t deadline_ns = hearth__deadline_ns(deadline_ms);
    assert_true(count <= BATCH_MAX);
    for (size_t i = 0; i < count; i++) {
        ops[i].status = HEARTH__PENDING;
        pointers[i] = &ops[i];
    }
    hearth__backend_memcached.begin(rig->node, pointers, count, true, deadline_ns, &batch);
    hearth__backend_memcached.finish(rig->node, pointers, count, deadline_ns, batch);
}

int32_t mc_rig_run_within(struct mc_rig *rig, hearth__remote_op *op, int64_t deadline_ms) {
    mc_rig_run_many(rig, op, 1, deadline_ms);
    return op->status;
}

void mc_rig_same_status(int32_t status, int32_t expected, const char *what) {
    if (status != expected) {
        fail_msg("%s: %s instead of %s", what, hearth_status_name(status),
                 hearth_status_name(expected));
    }
}

hearth__remote_op mc_rig_expect(struct mc_rig *rig, hearth__remote_op op, int32_t status) {
    (void)mc_rig_run_within(rig, &op, MC_RIG_DEADLINE_MS);
    mc_rig_same_status(op.status, status, op.key);
    return op;
}

uint64_t mc_rig_count(const struct mc_rig *rig, size_t stat) {
    return hearth__seats_sum(rig->config.counters, stat);
}

bool mc_rig_logged(struct mc_rig *rig, uint32_t level, const char *words) {
    return log_record_awaited(rig->config.log, level, words);
}

/* ---- a server's bytes ----------------------------------------------------------------------- */

bool mc_greet(struct scripted_client *client) {
    static const char answer[] = "VERSION 1.6.18\r\nEN khearth-probe O1\r\n";
    return scripted_await(client, "version\r\n") &&
           scripted_await(client, "mg hearth-probe v t c f k O1\r\n") &&
           scripted_send(client, answer, sizeof answer - 1);
}

static uint32_t opaque_in(const char *line) {
    const char *at = strstr(line, " O");
    return at != NULL ? (uint32_t)strtoul(at + 2, NULL, 10) : 0;
}

/* Of the data behind a line, their end included. */
static size_t data_behind(const char *words, const char *rest) {
    if (strncmp(words, "ms ", 3) == 0) {
        return strtoul(rest, NULL, 10) + 2;
    }
    if (strncmp(words, "set ", 4) != 0 && strncmp(words, "add ", 4) != 0 &&
        strncmp(words, "cas ", 4) != 0) {
        return 0;
    }
    unsigned long numbers[3] = {0, 0, 0}; /* flags, life, size */
    for (size_t i = 0; i < 3; i++) {
        char *end = NULL;
        numbers[i] = strtoul(rest, &end, 10);
        rest = end;
    }
    return numbers[2] + 2;
}

bool mc_await(struct scripted_client *client, const char *words, struct mc_asked *asked) {
    if (!scripted_await(client, words) ||
        !scripted_read_line(client, asked->line, sizeof asked->line)) {
        return false;
    }
    asked->opaque = opaque_in(asked->line);
    return scripted_skip(client, data_behind(words, asked->line));
}

struct mc_wire mc_wire_of(const struct mc_asked *asked, const char *reply) {
    struct mc_wire wire = {.size = 0};
    for (const char *at = reply; *at != '\0'; at++) {
        size_t room = sizeof wire.bytes - wire.size;
        int size = *at == '@' ? snprintf(wire.bytes + wire.size, room, "%u", asked->opaque)
                              : snprintf(wire.bytes + wire.size, room, "%c", *at);
        wire.size += (size_t)size;
    }
    return wire;
}

struct mc_wire mc_value_of(const struct mc_asked *asked, const char *key, const char *body) {
    unsigned char header[HEARTH__ENVELOPE_HEADER];
    hearth__remote_op op = {
        .key = key, .key_size = strlen(key), .data = body, .data_size = strlen(body)};
    op.version = (uint64_t)hearth__wall_ms() << 16;
    size_t header_size = hearth__envelope_compose(&op, false, header);
    char line[128];
    snprintf(line, sizeof line, "VA %zu t-1 c7 f0 k%s O@\r\n", header_size + op.data_size, key);
    struct mc_wire wire = mc_wire_of(asked, line);
    memcpy(wire.bytes + wire.size, header, header_size);
    memcpy(wire.bytes + wire.size + header_size, body, op.data_size);
    wire.size += header_size + op.data_size;
    memcpy(wire.bytes + wire.size, "\r\n", 2);
    wire.size += 2;
    return wire;
}

bool mc_say(struct scripted_client *client, const struct mc_asked *asked, const char *reply) {
    struct mc_wire wire = mc_wire_of(asked, reply);
    return scripted_send(client, wire.bytes, wire.size);
}
