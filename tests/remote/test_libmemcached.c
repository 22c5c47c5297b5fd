/* SPDX-License-Identifier: Apache-2.0 */
/* A server that answers what a script says, and what the backend makes of it: an error is never a
 * miss, a write is sent once, and nobody gets another's answer. */
#include "base/clock.h"
#include "base/stat.h"
#include "remote/envelope.h"
#include "remote/remote.h"

#include <hearth/errors.h>

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

enum { FAR_MS = 10000, SHORT_MS = 100, STEPS_MAX = 8, LINE_BYTES = 512 };

/* What the server does when it has read a command. */
struct step {
    const char *reply; /* NULL: nothing */
    bool closes;       /* the connection, after the reply */
};

struct scripted {
    char folder[64];
    char path[80];
    int listener;
    pthread_t thread;
    _Atomic bool over;
    _Atomic uint32_t accepted;
    _Atomic uint32_t commands; /* versions aside */
    _Atomic uint32_t next;
    struct step steps[STEPS_MAX]; /* an empty one: END, or STORED for a store */
    hearth__seats *counters;
    hearth__remote *remote;
    hearth__buffer body;
};

/* ---- the server ---- */

/* One byte; false: the connection or the test is over. */
static bool read_byte(struct scripted *scripted, int fd, char *byte) {
    ssize_t got = 0;
    do {
        got = recv(fd, byte, 1, 0); /* SO_RCVTIMEO: looks at `over` now and then */
    } while (got < 0 && !atomic_load(&scripted->over));
    return got == 1;
}

static bool read_line(struct scripted *scripted, int fd, char line[LINE_BYTES]) {
    size_t size = 0;
    while (size < LINE_BYTES - 1 && read_byte(scripted, fd, &line[size])) {
        if (line[size++] == '\n') {
            line[size] = '\0';
            return true;
        }
    }
    return false;
}

static bool is_store(const char *line) {
    return strncmp(line, "set ", 4) == 0 || strncmp(line, "add ", 4) == 0 ||
           strncmp(line, "cas ", 4) == 0;
}

/* verb key flags exptime bytes */
static bool skip_data(struct scripted *scripted, int fd, const char *line) {
    const char *at = line;
    for (int i = 0; i < 4 && at != NULL; i++) {
        at = strchr(at, ' ');
        at = at != NULL ? at + 1 : NULL;
    }
    size_t size = at != NULL ? strtoull(at, NULL, 10) + 2 : 0;
    char byte;
    while (size != 0 && read_byte(scripted, fd, &byte)) {
        size--;
    }
    return size == 0;
}

static void say(int fd, const char *text) {
    (void)send(fd, text, strlen(text), MSG_NOSIGNAL);
}

/* False: closes the connection. */
static bool answer(struct scripted *scripted, int fd, const char *line) {
    if (strcmp(line, "version\r\n") == 0) {
        say(fd, "VERSION 1.6.18\r\n");
        return true;
    }
    if (strcmp(line, "quit\r\n") == 0 || (is_store(line) && !skip_data(scripted, fd, line))) {
        return false;
    }
    uint32_t at = atomic_fetch_add(&scripted->next, 1);
    struct step step = {.reply = is_store(line) ? "STORED\r\n" : "END\r\n"};
    if (at < STEPS_MAX && scripted->steps[at].reply != NULL) {
        step = scripted->steps[at];
    }
    atomic_fetch_add(&scripted->commands, 1);
    if (step.reply != NULL) {
        say(fd, step.reply);
    }
    return !step.closes;
}

static void *serve(void *arg) {
    struct scripted *scripted = arg;
    const struct timeval often = {.tv_usec = 20000};
    while (!atomic_load(&scripted->over)) {
        char line[LINE_BYTES];
        int fd = accept(scripted->listener, NULL, NULL);
        if (fd < 0) {
            continue; /* SO_RCVTIMEO */
        }
        atomic_fetch_add(&scripted->accepted, 1);
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &often, sizeof often);
        while (read_line(scripted, fd, line) && answer(scripted, fd, line)) {
        }
        close(fd);
    }
    return NULL;
}

static void listen_on(struct scripted *scripted) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timeval often = {.tv_usec = 20000};
    memcpy(address.sun_path, scripted->path, sizeof scripted->path);
    scripted->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(scripted->listener >= 0);
    setsockopt(scripted->listener, SOL_SOCKET, SO_RCVTIMEO, &often, sizeof often);
    assert_int_equal(bind(scripted->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(scripted->listener, 8), 0);
    assert_int_equal(pthread_create(&scripted->thread, NULL, serve, scripted), 0);
}

/* ---- fixtures ---- */

static void open_remote(struct scripted *scripted) {
    char url[128];
    char why[128];
    hearth__remote_url parsed;
    snprintf(url, sizeof url, "memcached+unix://%s", scripted->path);
    assert_int_equal(hearth__remote_url_parse(url, &parsed, why, sizeof why), HEARTH_OK);
    hearth__remote_config config = {
        .url = &parsed,
        .lanes = 1,
        .timeout_ms = FAR_MS,
        .max_value_bytes = 1 << 20,
        .memcached_client = HEARTH__MEMCACHED_LIBMEMCACHED,
        .counters = scripted->counters,
    };
    assert_int_equal(hearth__remote_open(&config, &scripted->remote), HEARTH_OK);
    hearth__remote_url_fini(&parsed);
}

static int set_up(void **state) {
    struct scripted *scripted = calloc(1, sizeof *scripted);
    assert_non_null(scripted);
    *state = scripted;
    snprintf(scripted->folder, sizeof scripted->folder, "/tmp/hearth-XXXXXX");
    assert_non_null(mkdtemp(scripted->folder));
    snprintf(scripted->path, sizeof scripted->path, "%s/sock", scripted->folder);
    scripted->counters = hearth__seats_create(HEARTH__STATS);
    assert_non_null(scripted->counters);
    scripted->listener = -1;
    open_remote(scripted);
    return 0;
}

static int tear_down(void **state) {
    struct scripted *scripted = *state;
    hearth__remote_close(scripted->remote);
    atomic_store(&scripted->over, true);
    if (scripted->listener >= 0) {
        pthread_join(scripted->thread, NULL);
        close(scripted->listener);
    }
    unlink(scripted->path);
    rmdir(scripted->folder);
    hearth__seats_destroy(scripted->counters);
    hearth__buffer_fini(&scripted->body);
    free(scripted);
    return 0;
}

static int32_t run(struct scripted *scripted, enum hearth__verb verb, int64_t deadline_ms) {
    hearth__remote_op op = {
        .verb = verb,
        .key = "k",
        .key_size = 1,
        .data = "body",
        .data_size = 4,
        .version = hearth__remote_new_version(scripted->remote),
        .body = verb == HEARTH__GET ? &scripted->body : NULL,
        .number = 1,
    };
    hearth__remote_execute(scripted->remote, &op, 1, hearth__deadline_ns(deadline_ms));
    return op.status;
}

static void script(struct scripted *scripted, const struct step *steps, size_t count) {
    memcpy(scripted->steps, steps, count * sizeof *steps);
    listen_on(scripted);
}

/* ---- tests ---- */

static void check_get(const char *reply, bool closes, int64_t deadline_ms, int32_t status) {
    void *state = NULL;
    assert_int_equal(set_up(&state), 0);
    struct scripted *scripted = state;
    const struct step step = {reply, closes};
    script(scripted, &step, 1);
    int32_t answered = run(scripted, HEARTH__GET, deadline_ms);
    if (answered != status) {
        fail_msg("'%s': %s instead of %s", reply, hearth_status_name(answered),
                 hearth_status_name(status));
    }
    assert_true(status >= 0 || scripted->body.size == 0);
    /* The next one is asked on a sound connection. */
    assert_int_equal(run(scripted, HEARTH__GET, FAR_MS), HEARTH_MISS);
    assert_int_equal(atomic_load(&scripted->accepted), status < 0 ? 2 : 1);
    assert_int_equal(hearth__seats_sum(scripted->counters, HEARTH__STAT_disconnects),
                     status < 0 ? 1 : 0);
    assert_int_equal(tear_down(&state), 0);
}

static void test_an_error_is_never_a_miss(void **state) {
    (void)state;
    check_get("END\r\n", false, FAR_MS, HEARTH_MISS);
    check_get("SERVER_ERROR busy\r\n", false, FAR_MS, HEARTH_E_UNAVAILABLE);
    check_get("SERVER_ERROR out of memory writing get response\r\n", false, FAR_MS,
              HEARTH_E_UNAVAILABLE);
    check_get("ERROR\r\n", false, FAR_MS, HEARTH_E_PROTOCOL);
    check_get("CLIENT_ERROR line too long\r\n", false, FAR_MS, HEARTH_E_PROTOCOL);
    check_get("what is this?\r\n", false, FAR_MS, HEARTH_E_PROTOCOL);
    check_get("STORED\r\n", false, FAR_MS, HEARTH_E_PROTOCOL);
    check_get("VALUE other 0 2 1\r\nhi\r\nEND\r\n", false, FAR_MS, HEARTH_E_PROTOCOL);
    check_get("VALUE k 0 what\r\n", true, FAR_MS, HEARTH_E_UNAVAILABLE);
    check_get("VALUE k 0 99 1\r\nhi", true, FAR_MS, HEARTH_E_UNAVAILABLE);
    check_get("", true, FAR_MS, HEARTH_E_UNAVAILABLE);
    check_get("", false, SHORT_MS, HEARTH_E_TIMEOUT);
    check_get("EN", false, SHORT_MS, HEARTH_E_TIMEOUT);
    check_get("VALUE k 0 99 1\r\nhi", false, SHORT_MS, HEARTH_E_TIMEOUT);
}

static void check_set(const char *reply, bool closes, int64_t deadline_ms, int32_t status) {
    void *state = NULL;
    assert_int_equal(set_up(&state), 0);
    struct scripted *scripted = state;
    const struct step step = {reply, closes};
    script(scripted, &step, 1);
    int32_t answered = run(scripted, HEARTH__SET, deadline_ms);
    if (answered != status) {
        fail_msg("'%s': %s instead of %s", reply, hearth_status_name(answered),
                 hearth_status_name(status));
    }
    assert_int_equal(atomic_load(&scripted->commands), 1); /* never sent again */
    assert_int_equal(tear_down(&state), 0);
}

static void test_a_write_is_sent_once(void **state) {
    (void)state;
    check_set("STORED\r\n", false, FAR_MS, HEARTH_OK);
    check_set("SERVER_ERROR out of memory storing object\r\n", false, FAR_MS,
              HEARTH_E_UNAVAILABLE);
    check_set("ERROR\r\n", false, FAR_MS, HEARTH_E_PROTOCOL);
    check_set("", true, FAR_MS, HEARTH_E_UNKNOWN);
    check_set("STO", true, FAR_MS, HEARTH_E_UNKNOWN);
    check_set("", false, SHORT_MS, HEARTH_E_UNKNOWN);
    check_set("what is this?\r\n", false, FAR_MS, HEARTH_E_UNKNOWN);
}

static void test_a_delete_is_sent_twice_at_most(void **state) {
    static const struct step steps[] = {
        {"VALUE k 0 2 1\r\nhi\r\nEND\r\n", false}, {"", true}, {"DELETED\r\n", false}};
    script(*state, steps, 3);
    assert_int_equal(run(*state, HEARTH__DELETE, FAR_MS), HEARTH_OK);
    assert_int_equal(atomic_load(&((struct scripted *)*state)->commands), 3);
}

static void test_a_lost_delete_is_unknown(void **state) {
    static const struct step steps[] = {
        {"VALUE k 0 2 1\r\nhi\r\nEND\r\n", false}, {"", true}, {"", true}};
    script(*state, steps, 3);
    assert_int_equal(run(*state, HEARTH__DELETE, FAR_MS), HEARTH_E_UNKNOWN);
    assert_int_equal(atomic_load(&((struct scripted *)*state)->commands), 3);
}

/* An ADD that reads first has sent nothing when its read fails. */
static void test_a_failed_look_is_no_unknown_write(void **state) {
    static const struct step steps[] = {{"", false}};
    script(*state, steps, 1);
    assert_int_equal(run(*state, HEARTH__REPLACE, SHORT_MS), HEARTH_E_TIMEOUT);
}

/* A server that closes idle connections costs nobody a read. */
static void test_an_idle_connection_that_was_closed(void **state) {
    static const struct step steps[] = {{"END\r\n", true}, {"END\r\n", false}};
    struct scripted *scripted = *state;
    script(scripted, steps, 2);
    assert_int_equal(run(scripted, HEARTH__GET, FAR_MS), HEARTH_MISS);
    assert_int_equal(run(scripted, HEARTH__GET, FAR_MS), HEARTH_MISS);
    assert_int_equal(atomic_load(&scripted->accepted), 2);
}

static void test_a_dead_node_is_left_alone_for_a_while(void **state) {
    struct scripted *scripted = *state;
    int64_t begun_ns = hearth__monotonic_ns();
    assert_int_equal(run(scripted, HEARTH__GET, FAR_MS), HEARTH_E_UNAVAILABLE);
    listen_on(scripted);
    /* It would answer now, but nobody asks: until the pause is over. */
    const struct timespec step = {.tv_nsec = 5000000};
    int32_t status = HEARTH_E_UNAVAILABLE;
    while (status == HEARTH_E_UNAVAILABLE) {
        status = run(scripted, HEARTH__GET, FAR_MS);
        nanosleep(&step, NULL);
        assert_true(hearth__monotonic_ns() - begun_ns < (int64_t)FAR_MS * 1000000);
    }
    assert_int_equal(status, HEARTH_MISS);
    assert_true(hearth__monotonic_ns() - begun_ns >= INT64_C(700) * 1000000);
    assert_int_equal(atomic_load(&scripted->accepted), 1);
    assert_int_equal(hearth__seats_sum(scripted->counters, HEARTH__STAT_connect_errors), 1);
    assert_int_equal(hearth__seats_sum(scripted->counters, HEARTH__STAT_connects), 1);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_error_is_never_a_miss),
        cmocka_unit_test(test_a_write_is_sent_once),
        CASE(test_a_delete_is_sent_twice_at_most),
        CASE(test_a_lost_delete_is_unknown),
        CASE(test_a_failed_look_is_no_unknown_write),
        CASE(test_an_idle_connection_that_was_closed),
        CASE(test_a_dead_node_is_left_alone_for_a_while),
    };
    return cmocka_run_group_tests_name("libmemcached", tests, NULL, NULL);
}
