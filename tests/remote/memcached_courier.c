/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/memcached_courier.h"

#include "base/clock.h"
#include "base/stat.h"
#include "remote/memcached_compose.h"

#include <hearth/errors.h>

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { BOUND_S = 10, CHUNK_BYTES = 65536, REPLY_BYTES = 512 };

/* What one request brings. */
struct ear {
    hearth__notes notes;
    enum hearth__heard heard;
    hearth__buffer kept;
    bool has_kept;
};

static int connect_to(const struct servers *servers) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timeval bound = {.tv_sec = BOUND_S};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof bound);
    memcpy(address.sun_path, servers->nodes[0].path, sizeof address.sun_path);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void send_all(int fd, const void *data, size_t size) {
    const char *at = data;
    while (size != 0) {
        ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);
        assert_true(sent > 0);
        at += sent;
        size -= (size_t)sent;
    }
}

void courier_open(struct courier *courier, const struct servers *servers, bool meta) {
    *courier = (struct courier){
        .fd = connect_to(servers),
        .meta = meta,
        .opaque = UINT32_MAX - 3, /* it begins anew on the way */
        .version = (uint64_t)hearth__wall_ms() << 16,
        .parser = {.limit = COURIER_MAX_VALUE},
        .config = {.max_value_bytes = COURIER_MAX_VALUE},
    };
    courier->config.counters = hearth__seats_create(HEARTH__STATS);
    assert_non_null(courier->config.counters);
}

void courier_close(struct courier *courier) {
    (void)close(courier->fd);
    hearth__mc_parser_fini(&courier->parser);
    hearth__seats_destroy(courier->config.counters);
    hearth__buffer_fini(&courier->body);
}

static bool hear(void *arg, const hearth__mc_reply *reply) {
    struct ear *ear = arg;
    hearth__kept kept;
    assert_int_equal(ear->heard, HEARTH__HEARD_MORE); /* no reply too many */
    ear->heard = hearth__mc_hear(&ear->notes, reply, false, &kept);
    ear->has_kept = kept.bytes != NULL;
    if (ear->has_kept) {
        assert_true(hearth__buffer_assign(&ear->kept, kept.bytes, kept.size));
    }
    return ear->heard != HEARTH__HEARD_NONSENSE;
}

static void listen_to(struct courier *courier, struct ear *ear) {
    static char chunk[CHUNK_BYTES];
    while (ear->heard == HEARTH__HEARD_MORE) {
        ssize_t got = recv(courier->fd, chunk, sizeof chunk, 0);
        assert_true(got > 0);
        courier->brought += (size_t)got;
        int32_t status =
            hearth__mc_parser_feed(&courier->parser, chunk, (size_t)got, hear, ear);
        assert_int_equal(status, HEARTH_OK);
    }
    assert_true(hearth__mc_parser_is_empty(&courier->parser));
}

/* True: the operation is done. */
static bool carry(struct courier *courier, hearth__mc_steps *steps,
                  hearth__mc_request *request) {
    struct ear ear = {.heard = HEARTH__HEARD_MORE};
    if (courier->asked != 0 && courier->between != NULL) {
        courier->between(courier, courier->asked);
    }
    assert_int_equal(hearth__mc_ask(steps, courier->meta, courier->opaque, request), HEARTH_OK);
    courier->opaque += 2;
    courier->asked++;
    ear.notes = request->notes;
    send_all(courier->fd, request->head.data, request->head.size);
    if (request->has_data) {
        send_all(courier->fd, request->rest, request->rest_size);
        send_all(courier->fd, HEARTH__MC_DATA_END, strlen(HEARTH__MC_DATA_END));
    }
    listen_to(courier, &ear);
    hearth__kept kept = {.bytes = ear.has_kept ? (const void *)ear.kept.data : NULL,
                         .size = ear.kept.size};
    if (ear.has_kept && kept.bytes == NULL) {
        kept.bytes = "";
    }
    bool done = hearth__mc_take(steps, &ear.notes, kept, 0);
    hearth__buffer_fini(&ear.kept);
    return done;
}

int32_t courier_run(struct courier *courier, hearth__remote_op *op) {
    hearth__mc_steps steps;
    hearth__mc_request request = {.has_data = false};
    courier->asked = 0;
    courier->brought = 0;
    op->status = hearth__mc_steps_init(&steps, &courier->config, op);
    if (op->status == HEARTH_OK) {
        op->status = HEARTH__PENDING;
        while (!carry(courier, &steps, &request)) {
            assert_true(courier->asked < 20);
        }
        assert_int_not_equal(op->status, HEARTH__PENDING);
    }
    hearth__mc_steps_fini(&steps);
    hearth__buffer_fini(&request.head);
    return op->status;
}

hearth__remote_op courier_op(struct courier *courier, enum hearth__verb verb, const char *key,
                             const char *data) {
    return (hearth__remote_op){
        .verb = verb,
        .key = key,
        .key_size = strlen(key),
        .data = data,
        .data_size = data != NULL ? strlen(data) : 0,
        .version = ++courier->version,
        .ttl_ms = 600000,
        .body = verb == HEARTH__GET ? &courier->body : NULL,
        .want_ttl = verb == HEARTH__GET,
    };
}

void courier_expect(struct courier *courier, hearth__remote_op op, int32_t status) {
    int32_t answered = courier_run(courier, &op);
    if (answered != status) {
        fail_msg("verb %d on %s: %s instead of %s", (int)op.verb, (const char *)op.key,
                 hearth_status_name(answered), hearth_status_name(status));
    }
}

hearth__remote_op courier_expect_get(struct courier *courier, const char *key, int32_t status,
                                     const char *body) {
    hearth__remote_op op = courier_op(courier, HEARTH__GET, key, NULL);
    int32_t answered = courier_run(courier, &op);
    if (answered != status) {
        fail_msg("get of %s: %s instead of %s", key, hearth_status_name(answered),
                 hearth_status_name(status));
    }
    if (status == HEARTH_OK) {
        assert_int_equal(courier->body.size, strlen(body));
        assert_memory_equal(courier->body.data, body, strlen(body));
    }
    return op;
}

void courier_say(const struct servers *servers, const char *command, const char *reply) {
    char said[REPLY_BYTES] = "";
    size_t size = 0;
    ssize_t got = 1;
    int fd = connect_to(servers);
    send_all(fd, command, strlen(command));
    send_all(fd, "quit\r\n", 6);
    while (got > 0 && size < sizeof said - 1) {
        got = recv(fd, said + size, sizeof said - 1 - size, 0);
        assert_true(got >= 0);
        size += (size_t)got;
    }
    (void)close(fd);
    assert_string_equal(said, reply);
}
