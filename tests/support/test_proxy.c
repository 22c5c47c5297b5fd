/* SPDX-License-Identifier: Apache-2.0 */
/* The proxy does to bytes what it is told, and nothing else. The server behind it says everything
 * again, in capitals. */
#include "support/proxy.h"

#include "support/crowd.h"
#include "support/scripted_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

struct stage {
    struct scripted_server server;
    struct proxy *proxy;
    int client;
};

static void shout(struct scripted_client *client, void *arg) {
    char line[256];
    (void)arg;
    while (scripted_read_line(client, line, sizeof line)) {
        for (char *at = line; *at != '\0'; at++) {
            *at = (char)(*at >= 'a' && *at <= 'z' ? *at - 'a' + 'A' : *at);
        }
        size_t size = strlen(line);
        line[size] = '\n';
        if (!scripted_send(client, line, size + 1)) {
            return;
        }
    }
}

static int connect_to(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static int start(void **state) {
    struct stage *stage = calloc(1, sizeof *stage);
    assert_non_null(stage);
    scripted_server_start(&stage->server, 4, shout, NULL);
    stage->proxy = proxy_start(stage->server.path, 0);
    assert_non_null(stage->proxy);
    stage->client = connect_to(proxy_path(stage->proxy));
    assert_true(stage->client >= 0);
    assert_true(proxy_await_connections(stage->proxy, 1));
    *state = stage;
    return 0;
}

static int stop(void **state) {
    struct stage *stage = *state;
    close(stage->client);
    proxy_stop(stage->proxy);
    scripted_server_stop(&stage->server);
    free(stage);
    return 0;
}

static void say(const struct stage *stage, const char *text) {
    assert_int_equal(send(stage->client, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* The next bytes that come are these. */
static void hear(const struct stage *stage, const char *expected) {
    char heard[512] = "";
    size_t size = strlen(expected);
    assert_int_equal(recv(stage->client, heard, size, MSG_WAITALL), size);
    assert_string_equal(heard, expected);
}

static void hear_the_end(const struct stage *stage) {
    char byte = 0;
    assert_int_equal(recv(stage->client, &byte, 1, 0), 0);
}

/* Nothing is there to be read: what would be has been awaited before. */
static void hear_nothing(const struct stage *stage) {
    char byte = 0;
    assert_int_equal(recv(stage->client, &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
}

static void what_comes_passes(void **state) {
    struct stage *stage = *state;
    say(stage, "one\r\ntwo\r\n");
    hear(stage, "ONE\nTWO\n");
    assert_int_equal(proxy_seen(stage->proxy, PROXY_TO_SERVER), 10);
    assert_true(proxy_await_passed(stage->proxy, PROXY_TO_CLIENT, 8));
    assert_int_equal(proxy_seen(stage->proxy, PROXY_TO_CLIENT), 8);
    assert_int_equal(proxy_connections(stage->proxy), 1);
    assert_int_equal(proxy_closed(stage->proxy), 0);
}

static void held_bytes_pass_one_by_one(void **state) {
    struct stage *stage = *state;
    proxy_hold(stage->proxy, PROXY_TO_CLIENT);
    say(stage, "abcdef\r\n");
    assert_true(proxy_await_seen(stage->proxy, PROXY_TO_CLIENT, 7));
    hear_nothing(stage);
    proxy_let(stage->proxy, PROXY_TO_CLIENT, 1);
    hear(stage, "A");
    proxy_let(stage->proxy, PROXY_TO_CLIENT, 2);
    hear(stage, "BC");
    hear_nothing(stage);
    proxy_release(stage->proxy, PROXY_TO_CLIENT);
    hear(stage, "DEF\n");
    say(stage, "g\r\n");
    hear(stage, "G\n");
}

/* A held end is an end that the other side has not seen. */
static void a_held_end_is_not_seen(void **state) {
    struct stage *stage = *state;
    proxy_hold(stage->proxy, PROXY_TO_SERVER);
    say(stage, "a\r\n");
    close(stage->client);
    assert_true(proxy_await_closed(stage->proxy, 1));
    assert_int_equal(atomic_load(&stage->server.closed), 0);
    proxy_release(stage->proxy, PROXY_TO_SERVER);
    assert_true(proxy_await_seen(stage->proxy, PROXY_TO_SERVER, 3));
    stage->client = connect_to(proxy_path(stage->proxy));
    say(stage, "b\r\n");
    hear(stage, "B\n");
}

static void each_piece_is_read_before_the_next(void **state) {
    struct stage *stage = *state;
    proxy_split(stage->proxy, PROXY_TO_CLIENT, 2);
    say(stage, "abcdefg\r\n");
    for (size_t i = 1; i <= 4; i++) {
        char piece[2]; /* with more room the next might come while it is read */
        int there = 0;
        assert_true(proxy_await_passed(stage->proxy, PROXY_TO_CLIENT, 2 * i));
        assert_int_equal(ioctl(stage->client, FIONREAD, &there), 0);
        assert_int_equal(there, 2);
        assert_int_equal(recv(stage->client, piece, sizeof piece, 0), 2);
    }
    proxy_split(stage->proxy, PROXY_TO_CLIENT, 0);
    say(stage, "abcdefg\r\n");
    hear(stage, "ABCDEFG\n");
}

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Never sooner; how much later is the machine's affair. */
static void delayed_bytes_come_later(void **state) {
    struct stage *stage = *state;
    proxy_delay(stage->proxy, PROXY_TO_SERVER, 20);
    proxy_delay(stage->proxy, PROXY_TO_CLIENT, 10);
    int64_t begun_ns = now_ns();
    say(stage, "late\r\n");
    hear(stage, "LATE\n");
    assert_true(now_ns() - begun_ns >= 30000000);
}

static void swallowed_bytes_go_nowhere(void **state) {
    struct stage *stage = *state;
    proxy_swallow(stage->proxy, PROXY_TO_SERVER, true);
    say(stage, "gone\r\n");
    assert_true(proxy_await_seen(stage->proxy, PROXY_TO_SERVER, 6));
    proxy_swallow(stage->proxy, PROXY_TO_SERVER, false);
    say(stage, "here\r\n");
    hear(stage, "HERE\n");
}

static void edits_change_the_stream(void **state) {
    struct stage *stage = *state;
    static const struct proxy_edit edits[] = {
        {.kind = PROXY_DROP, .at = 1, .size = 2},
        {.kind = PROXY_REPEAT, .at = 3, .size = 3},
        {.kind = PROXY_SWAP, .at = 6, .size = 1, .other = 2},
        {.kind = PROXY_INSERT, .at = 9, .size = 3, .bytes = "<->"},
        {.kind = PROXY_DROP, .at = 9, .size = 1},
    };
    proxy_edit(stage->proxy, PROXY_TO_CLIENT, edits, sizeof edits / sizeof edits[0]);
    say(stage, "abcdefghijkl\r\n");
    hear(stage, "ADEFDEFHIG<->KL\n");
    say(stage, "abc\r\n");
    hear(stage, "ABC\n");
}

/* An edit that needs bytes which come later waits for them. */
static void a_swap_waits_for_its_bytes(void **state) {
    struct stage *stage = *state;
    static const struct proxy_edit swap = {.kind = PROXY_SWAP, .at = 0, .size = 2, .other = 2};
    proxy_edit(stage->proxy, PROXY_TO_CLIENT, &swap, 1);
    say(stage, "a\r\n");
    assert_true(proxy_await_seen(stage->proxy, PROXY_TO_CLIENT, 2));
    hear_nothing(stage);
    say(stage, "b\r\n");
    hear(stage, "B\nA\n");
}

static void a_cut_ends_the_connection_there(void **state) {
    struct stage *stage = *state;
    static const char *const heard[] = {NULL, "A", "AB", "ABC"};
    for (uint64_t at = 0; at < 4; at++) {
        const struct proxy_edit cut = {.kind = PROXY_CUT, .at = at};
        proxy_edit(stage->proxy, PROXY_TO_CLIENT, &cut, 1);
        close(stage->client);
        stage->client = connect_to(proxy_path(stage->proxy));
        if (at != 0) { /* before the first byte it ends at once */
            say(stage, "abc\r\n");
            hear(stage, heard[at]);
        }
        hear_the_end(stage);
        proxy_edit(stage->proxy, PROXY_TO_CLIENT, NULL, 0);
    }
}

/* Doubles each line, and ends the connection after an empty one. */
static size_t double_lines(void *arg, struct proxy_flow *flow, const unsigned char *bytes,
                           size_t size) {
    const unsigned char *end = memchr(bytes, '\n', size);
    if (end == NULL) {
        return 0;
    }
    size_t length = (size_t)(end - bytes) + 1;
    *(unsigned *)arg = proxy_number(flow);
    proxy_emit(flow, bytes, length);
    proxy_emit(flow, bytes, length);
    if (length == 1) {
        proxy_end(flow);
    }
    return length;
}

static void a_filter_sees_what_comes(void **state) {
    struct stage *stage = *state;
    unsigned number = 7;
    proxy_filter(stage->proxy, PROXY_TO_CLIENT, double_lines, &number);
    say(stage, "one\r\ntwo\r\n");
    hear(stage, "ONE\nONE\nTWO\nTWO\n");
    say(stage, "\r\nthree\r\n");
    hear(stage, "\n\n");
    hear_the_end(stage);
    proxy_filter(stage->proxy, PROXY_TO_CLIENT, NULL, NULL);
    assert_int_equal(number, 0);
}

static void the_door_opens_and_shuts(void **state) {
    struct stage *stage = *state;
    const char *path = proxy_path(stage->proxy);
    assert_true(proxy_door(stage->proxy, PROXY_SHUT));
    assert_int_equal(connect_to(path), -1);
    say(stage, "still here\r\n");
    hear(stage, "STILL HERE\n");
    assert_true(proxy_door(stage->proxy, PROXY_UNSEEN));
    int unseen = connect_to(path);
    assert_true(unseen >= 0);
    say(stage, "and now\r\n");
    hear(stage, "AND NOW\n");
    assert_int_equal(proxy_connections(stage->proxy), 1);
    assert_true(proxy_door(stage->proxy, PROXY_OPEN));
    assert_true(proxy_await_connections(stage->proxy, 2));
    close(unseen);
}

static void all_connections_can_be_cut(void **state) {
    struct stage *stage = *state;
    say(stage, "a\r\n");
    hear(stage, "A\n");
    proxy_cut(stage->proxy, false);
    hear_the_end(stage);
}

static void tcp_is_reset(void **state) {
    struct stage *stage = *state;
    /* A proxy on TCP before a server on TCP: another proxy cannot be one, so a listener is. */
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 4), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    struct proxy *proxy = proxy_start(NULL, ntohs(address.sin_port));
    assert_non_null(proxy);
    address.sin_port = htons((uint16_t)proxy_port(proxy));
    close(stage->client);
    stage->client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(stage->client, (struct sockaddr *)&address, size), 0);
    int server = accept(listener, NULL, NULL);
    assert_true(server >= 0);
    say(stage, "x");
    char byte = 0;
    assert_int_equal(recv(server, &byte, 1, 0), 1);
    proxy_cut(proxy, true);
    assert_int_equal(recv(stage->client, &byte, 1, 0), -1);
    assert_int_equal(errno, ECONNRESET);
    assert_int_equal(recv(server, &byte, 1, 0), -1);
    assert_int_equal(errno, ECONNRESET);
    close(server);
    close(listener);
    proxy_stop(proxy);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        TEST(what_comes_passes),
        TEST(held_bytes_pass_one_by_one),
        TEST(a_held_end_is_not_seen),
        TEST(each_piece_is_read_before_the_next),
        TEST(delayed_bytes_come_later),
        TEST(swallowed_bytes_go_nowhere),
        TEST(edits_change_the_stream),
        TEST(a_swap_waits_for_its_bytes),
        TEST(a_cut_ends_the_connection_there),
        TEST(a_filter_sees_what_comes),
        TEST(the_door_opens_and_shuts),
        TEST(all_connections_can_be_cut),
        TEST(tcp_is_reset),
    };
    return cmocka_run_group_tests_name("proxy", tests, NULL, NULL);
}
