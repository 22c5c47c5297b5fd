/* SPDX-License-Identifier: Apache-2.0 */
/* The text protocol by hand: one connection a question. */
#include "contract/rig.h"

#include "remote/envelope.h"
#include "remote/memcached_compose.h"
#include "remote/wire_key.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { LINE_BYTES = 512, ROOM_BYTES = 2 << 20, BOUND_S = 10 };

static int open_socket(const struct rig *rig, uint32_t node) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timeval bound = {.tv_sec = BOUND_S};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof bound);
    memcpy(address.sun_path, rig->servers.nodes[node].path, sizeof address.sun_path);
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

/* All until the server closes: `quit` follows every question. A NUL stands behind it. */
static char *receive_all(int fd, size_t *size) {
    char *reply = malloc(ROOM_BYTES + 1);
    assert_non_null(reply);
    *size = 0;
    ssize_t got = 1;
    while (got > 0) {
        assert_true(*size < ROOM_BYTES);
        got = recv(fd, reply + *size, ROOM_BYTES - *size, 0);
        assert_true(got >= 0);
        *size += (size_t)got;
    }
    reply[*size] = '\0';
    close(fd);
    return reply;
}

/* A command line, with its data if there is any. */
static char *ask(const struct rig *rig, uint32_t node, const char *line, const void *data,
                 size_t data_size, size_t *size) {
    int fd = open_socket(rig, node);
    send_all(fd, line, strlen(line));
    send_all(fd, "\r\n", 2);
    if (data != NULL) {
        send_all(fd, data, data_size);
        send_all(fd, "\r\n", 2);
    }
    send_all(fd, "quit\r\n", 6);
    return receive_all(fd, size);
}

static void compose_line(char line[LINE_BYTES], const char *verb, const void *key,
                         size_t key_size, const char *rest) {
    hearth__wire_key wire;
    hearth__wire_key_init(&wire, key, key_size);
    int length = snprintf(line, LINE_BYTES, "%s %.*s%s", verb, (int)wire.size, wire.data, rest);
    assert_in_range(length, 1, LINE_BYTES - 1);
}

/* What stands in a value's place has flags that say so. */
static uint32_t flags_of(const unsigned char *bytes, size_t size) {
    hearth__remote_op op = {.kind = HEARTH__KIND_FOREIGN};
    if (size >= HEARTH__ENVELOPE_HEADER && memcmp(bytes, HEARTH__ENVELOPE_MAGIC, 4) == 0) {
        op.kind = (enum hearth__kind)bytes[HEARTH__ENVELOPE_KIND_AT];
    }
    return hearth__mc_flags_of(&op);
}

static void put(struct rig *rig, uint32_t node, const void *key, size_t key_size,
                const void *bytes, size_t size, int64_t ttl_ms) {
    char line[LINE_BYTES];
    char rest[64];
    size_t got = 0;
    snprintf(rest, sizeof rest, " %" PRIu32 " %" PRId64 " %zu", flags_of(bytes, size),
             ttl_ms / 1000, size);
    compose_line(line, "set", key, key_size, rest);
    char *reply = ask(rig, node, line, bytes, size, &got);
    assert_string_equal(reply, "STORED\r\n");
    free(reply);
}

static bool get(struct rig *rig, uint32_t node, const void *key, size_t key_size,
                hearth__buffer *bytes) {
    char line[LINE_BYTES];
    size_t got = 0;
    compose_line(line, "get", key, key_size, "");
    char *reply = ask(rig, node, line, NULL, 0, &got);
    bool there = strncmp(reply, "VALUE ", 6) == 0;
    if (there) {
        char *body = strstr(reply, "\r\n");
        assert_non_null(body);
        body[0] = '\0';
        size_t size = strtoull(strrchr(reply, ' ') + 1, NULL, 10);
        body += 2;
        assert_true(body + size + 7 == reply + got); /* "\r\nEND\r\n" */
        assert_true(hearth__buffer_assign(bytes, body, size));
    } else {
        assert_string_equal(reply, "END\r\n");
    }
    free(reply);
    return there;
}

static int64_t increment(struct rig *rig, uint32_t node, const char *key) {
    char line[LINE_BYTES];
    size_t got = 0;
    compose_line(line, "incr", key, strlen(key), " 1");
    char *reply = ask(rig, node, line, NULL, 0, &got);
    assert_in_range(reply[0], '0', '9');
    int64_t number = strtoll(reply, NULL, 10);
    free(reply);
    return number;
}

static int64_t left_ms(struct rig *rig, uint32_t node, const char *key) {
    char line[LINE_BYTES];
    size_t got = 0;
    compose_line(line, "mg", key, strlen(key), " t");
    char *reply = ask(rig, node, line, NULL, 0, &got);
    assert_int_equal(strncmp(reply, "HD t", 4), 0);
    int64_t left_s = strtoll(reply + 4, NULL, 10);
    free(reply);
    return left_s < 0 ? -1 : left_s * 1000;
}

static uint64_t statistic(struct rig *rig, uint32_t node, const char *name) {
    size_t got = 0;
    char *reply = ask(rig, node, "stats", NULL, 0, &got);
    char *at = strstr(reply, name);
    assert_non_null(at);
    uint64_t value = strtoull(at + strlen(name), NULL, 10);
    free(reply);
    return value;
}

static uint64_t keys(struct rig *rig, uint32_t node) {
    return statistic(rig, node, "STAT curr_items ");
}

static uint64_t strange_commands(struct rig *rig, uint32_t node) {
    return statistic(rig, node, "STAT cmd_flush ");
}

const struct contract_raw contract_raw_memcached = {
    .put = put,
    .get = get,
    .increment = increment,
    .left_ms = left_ms,
    .keys = keys,
    .strange_commands = strange_commands,
};
