/* SPDX-License-Identifier: Apache-2.0 */
/* The Redis backend over a real server: what the contract suite does not look at. */
#include "remote/redis_rig.h"

#include "base/clock.h"
#include "remote/envelope.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct bench {
    struct servers servers;
    struct redis_rig rig;
    redisContext *client;
};

static int start(void **state) {
    struct bench *bench = calloc(1, sizeof *bench);
    assert_non_null(bench);
    assert_int_equal(servers_open(&bench->servers), 0);
    if (servers_start(&bench->servers, SERVER_REDIS, SERVER_UNIX, NULL) != 0) {
        fail_msg("%s", bench->servers.error);
    }
    bench->rig = redis_rig_at(bench->servers.nodes[0].path, 0);
    redis_rig_open(&bench->rig);
    bench->client = redis_rig_client(&bench->servers.nodes[0]);
    *state = bench;
    return 0;
}

static int stop(void **state) {
    struct bench *bench = *state;
    redis_rig_close(&bench->rig);
    redisFree(bench->client);
    servers_stop(&bench->servers);
    free(bench);
    return 0;
}

static void a_body_that_stays_is_not_sent_again(void **state) {
    struct bench *bench = *state;
    struct redis_rig *rig = &bench->rig;
    enum { BODY = 100000 };
    char *body = calloc(1, BODY + 1);
    assert_non_null(body);
    memset(body, 'x', BODY);
    hearth__remote_op op = redis_rig_op(rig, HEARTH__SET, "same", body);
    (void)redis_rig_expect(rig, op, HEARTH_OK);
    const uint64_t version = op.version;
    const uint64_t before = redis_rig_info(bench->client, "total_net_input_bytes:");
    op = redis_rig_op(rig, HEARTH__SWAP, "same", body);
    op.same_body = true;
    op.if_version = version;
    (void)redis_rig_expect(rig, op, HEARTH_OK);
    assert_true(redis_rig_info(bench->client, "total_net_input_bytes:") - before < 5000);
    assert_true(redis_rig_expect_body(rig, "same", body).found_version == op.version);
    /* What says to be the version, but has another body, is not given a header that vouches for it. */
    hearth__remote_op other = redis_rig_op(rig, HEARTH__SWAP, "same", "another");
    other.same_body = true;
    other.if_version = op.version;
    (void)redis_rig_expect(rig, other, HEARTH_CONFLICT);
    (void)redis_rig_expect_body(rig, "same", body);
    free(body);
}

static void numbers_are_exact_to_the_last(void **state) {
    struct redis_rig *rig = &((struct bench *)*state)->rig;
    redis_rig_set_integer(rig, "n", "9007199254740993"); /* 2^53 + 1 */
    assert_int_equal(redis_rig_increment(rig, "n", 1, HEARTH_OK), INT64_C(9007199254740994));
    assert_int_equal(redis_rig_increment(rig, "n", INT64_C(9214364837600034813), HEARTH_OK),
                     INT64_MAX);
    (void)redis_rig_increment(rig, "n", 1, HEARTH_E_TOO_LARGE);
    (void)redis_rig_increment(rig, "n", INT64_MAX, HEARTH_E_TOO_LARGE);
    (void)redis_rig_expect_body(rig, "n", "9223372036854775807");
    assert_int_equal(redis_rig_increment(rig, "n", -1, HEARTH_OK), INT64_MAX - 1);
    assert_int_equal(redis_rig_increment(rig, "n", -(INT64_MAX - 1), HEARTH_OK), 0);
    assert_int_equal(redis_rig_increment(rig, "n", INT64_MAX, HEARTH_OK), INT64_MAX);
    assert_int_equal(redis_rig_increment(rig, "n", INT64_MIN, HEARTH_OK), 0);
    assert_int_equal(redis_rig_increment(rig, "n", 9, HEARTH_OK), 9);
    assert_int_equal(redis_rig_increment(rig, "n", -10, HEARTH_OK), 0);
    assert_int_equal(redis_rig_increment(rig, "n", 0, HEARTH_OK), 0);
}

static void the_floor_keeps_the_life(void **state) {
    struct bench *bench = *state;
    redis_rig_tell(bench->client, "SET n 5 PX 500000");
    assert_int_equal(redis_rig_increment(&bench->rig, "n", -7, HEARTH_OK), 0);
    hearth__remote_op op = redis_rig_expect_body(&bench->rig, "n", "0");
    assert_in_range(op.left_ms, 400000, 500000);
    assert_int_equal(op.found, HEARTH__KIND_INTEGER);
}

/* Values of 20 KiB, more than all buffers between us and the server hold. */
static void a_long_pipeline_does_not_block_itself(void **state) {
    struct redis_rig *rig = &((struct bench *)*state)->rig;
    enum { COUNT = 1500, OPS = 2 * COUNT, SIZE = 20000 };
    static hearth__remote_op ops[OPS];
    static hearth__buffer bodies[COUNT];
    static char keys[COUNT][16];
    static char body[SIZE];
    memset(body, 'b', sizeof body);
    for (size_t i = 0; i < COUNT; i++) {
        snprintf(keys[i], sizeof keys[i], "long-%zu", i);
        ops[2 * i] = redis_rig_op(rig, HEARTH__SET, keys[i], "");
        ops[2 * i].data = body;
        ops[2 * i].data_size = sizeof body - i;
        ops[2 * i + 1] = redis_rig_op(rig, HEARTH__GET, keys[i], NULL);
        ops[2 * i + 1].body = &bodies[i];
    }
    redis_rig_run_many(rig, ops, OPS, REDIS_RIG_LONG_MS);
    for (size_t i = 0; i < COUNT; i++) {
        redis_rig_same_status(ops[2 * i].status, HEARTH_OK, keys[i]);
        redis_rig_same_status(ops[2 * i + 1].status, HEARTH_OK, keys[i]);
        assert_int_equal(bodies[i].size, sizeof body - i);
        assert_memory_equal(bodies[i].data, body, sizeof body - i);
        hearth__buffer_fini(&bodies[i]);
    }
    assert_int_equal(redis_rig_count(rig, HEARTH__STAT_connects), 1);
}

static void a_batch_keeps_its_order_on_one_key(void **state) {
    struct redis_rig *rig = &((struct bench *)*state)->rig;
    hearth__buffer bodies[2] = {{0}};
    hearth__remote_op ops[] = {
        redis_rig_op(rig, HEARTH__ADD, "k", "first"), /* also the first script of this node */
        redis_rig_op(rig, HEARTH__SET, "k", "second"),
        redis_rig_op(rig, HEARTH__ADD, "k", "third"),
        redis_rig_op(rig, HEARTH__GET, "k", NULL),
        redis_rig_op(rig, HEARTH__TOUCH, "k", NULL),
        redis_rig_op(rig, HEARTH__DELETE, "k", NULL),
        redis_rig_op(rig, HEARTH__TOUCH, "k", NULL),
        redis_rig_op(rig, HEARTH__ADD, "k", "fourth"),
        redis_rig_op(rig, HEARTH__GET, "k", NULL),
    };
    static const int32_t expected[] = {HEARTH_OK,   HEARTH_OK, HEARTH_EXISTS,
                                       HEARTH_OK,   HEARTH_OK, HEARTH_OK,
                                       HEARTH_MISS, HEARTH_OK, HEARTH_OK};
    ops[3].body = &bodies[0];
    ops[8].body = &bodies[1];
    size_t count = sizeof ops / sizeof ops[0];
    redis_rig_run_many(rig, ops, count, REDIS_RIG_DEADLINE_MS);
    for (size_t i = 0; i < count; i++) {
        char what[16];
        snprintf(what, sizeof what, "operation %zu", i);
        redis_rig_same_status(ops[i].status, expected[i], what);
    }
    assert_memory_equal(bodies[0].data, "second", 6);
    assert_memory_equal(bodies[1].data, "fourth", 6);
    hearth__buffer_fini(&bodies[0]);
    hearth__buffer_fini(&bodies[1]);
}

/* A header with more fields than the first look brings. */
static void touch_renews_a_long_header(void **state) {
    struct bench *bench = *state;
    static char key[3000];
    static unsigned char value[HEARTH__ENVELOPE_MAX + 16];
    memset(key, 'k', sizeof key - 1);
    hearth__remote_op op = redis_rig_op(&bench->rig, HEARTH__SET, key, "body");
    size_t size = hearth__envelope_compose(&op, true, value);
    memcpy(value + size, "body", 4);
    redis_rig_tell(bench->client, "SET %s %b PX 600000", key, value, size + 4);
    op = redis_rig_op(&bench->rig, HEARTH__TOUCH, key, NULL);
    op.ttl_ms = 5000000;
    op.soft_ttl_ms = 4000000;
    (void)redis_rig_expect(&bench->rig, op, HEARTH_OK);
    op = redis_rig_expect_body(&bench->rig, key, "body");
    assert_in_range(op.left_ms, 4900000, 5000000);
    assert_in_range(op.soft_left_ms, 3900000, 4000000);
}

/* New sums would vouch for a value that was put under another key. */
static void touch_does_not_vouch_for_a_strangers_value(void **state) {
    struct bench *bench = *state;
    (void)redis_rig_expect(&bench->rig, redis_rig_op(&bench->rig, HEARTH__SET, "a", "body"),
                           HEARTH_OK);
    redis_rig_tell(bench->client, "COPY a b");
    hearth__remote_op op = redis_rig_op(&bench->rig, HEARTH__TOUCH, "b", NULL);
    op.ttl_ms = 1000;
    (void)redis_rig_expect(&bench->rig, op, HEARTH_MISS);
    (void)redis_rig_expect_body(&bench->rig, "b", NULL);
}

static void a_life_without_end_is_told(void **state) {
    struct bench *bench = *state;
    hearth__remote_op op = redis_rig_op(&bench->rig, HEARTH__SET, "k", "body");
    op.ttl_ms = 0;
    (void)redis_rig_expect(&bench->rig, op, HEARTH_OK);
    assert_int_equal(redis_rig_expect_body(&bench->rig, "k", "body").left_ms, -1);
    op = redis_rig_op(&bench->rig, HEARTH__TOUCH, "k", NULL);
    op.ttl_ms = 60000;
    (void)redis_rig_expect(&bench->rig, op, HEARTH_OK);
    assert_in_range(redis_rig_expect_body(&bench->rig, "k", "body").left_ms, 50000, 60000);
    op.ttl_ms = 0;
    (void)redis_rig_expect(&bench->rig, op, HEARTH_OK);
    assert_int_equal(redis_rig_expect_body(&bench->rig, "k", "body").left_ms, -1);
}

/* ---- connections ---------------------------------------------------------------------------- */

struct worker {
    struct redis_rig *rig;
    pthread_t thread;
    _Atomic unsigned *failed;
};

static void *set_and_get(void *arg) {
    struct worker *own = arg;
    hearth__buffer body = {0};
    for (unsigned i = 0; i < 200; i++) {
        hearth__remote_op op = {.verb = i % 2 != 0 ? HEARTH__GET : HEARTH__INCREMENT,
                                .key = "shared",
                                .key_size = 6,
                                .number = 1,
                                .body = &body};
        hearth__remote_op *ops[] = {&op};
        hearth__batch *batch = NULL;
        int64_t deadline_ns = hearth__deadline_ns(REDIS_RIG_DEADLINE_MS);
        op.status = HEARTH__PENDING;
        hearth__backend_redis.begin(own->rig->node, ops, 1, true, deadline_ns, &batch);
        hearth__backend_redis.finish(own->rig->node, ops, 1, deadline_ns, batch);
        if (op.status != HEARTH_OK) {
            atomic_fetch_add(own->failed, 1);
        }
    }
    hearth__buffer_fini(&body);
    return NULL;
}

static void threads_share_a_few_connections(void **state) {
    struct redis_rig *rig = &((struct bench *)*state)->rig;
    struct worker workers[8];
    _Atomic unsigned failed = 0;
    redis_rig_set_integer(rig, "shared", "0");
    for (size_t i = 0; i < 8; i++) {
        workers[i] = (struct worker){.rig = rig, .failed = &failed};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, set_and_get, &workers[i]), 0);
    }
    for (size_t i = 0; i < 8; i++) {
        pthread_join(workers[i].thread, NULL);
    }
    assert_int_equal(atomic_load(&failed), 0);
    (void)redis_rig_expect_body(rig, "shared", "800");
    assert_in_range(redis_rig_count(rig, HEARTH__STAT_connects), 1, rig->config.lanes);
}

static void an_idle_connection_that_ended_is_not_used(void **state) {
    struct bench *bench = *state;
    hearth__remote_op op = redis_rig_op(&bench->rig, HEARTH__SET, "k", "body");
    (void)redis_rig_expect(&bench->rig, op, HEARTH_OK);
    redis_rig_tell(bench->client, "CLIENT KILL TYPE normal SKIPME yes");
    (void)redis_rig_expect(&bench->rig, op, HEARTH_OK);
    assert_int_equal(redis_rig_count(&bench->rig, HEARTH__STAT_connects), 2);
    assert_int_equal(redis_rig_count(&bench->rig, HEARTH__STAT_disconnects), 1);
}

static void await_status(struct redis_rig *rig, hearth__remote_op op, int32_t status) {
    int64_t bound_ns = hearth__deadline_ns(REDIS_RIG_DEADLINE_MS);
    while (redis_rig_run_within(rig, &op, 500) != status) {
        const struct timespec pause = {.tv_nsec = 5000000};
        nanosleep(&pause, NULL);
        assert_true(hearth__monotonic_ns() < bound_ns);
    }
}

static void a_dead_node_is_asked_once_a_second_and_comes_back(void **state) {
    struct bench *bench = *state;
    struct redis_rig *rig = &bench->rig;
    hearth__remote_op op = redis_rig_op(rig, HEARTH__SET, "k", "body");
    (void)redis_rig_expect(rig, op, HEARTH_OK);
    assert_int_equal(servers_kill(&bench->servers, 0), 0);
    int64_t begun_ns = hearth__monotonic_ns();
    for (unsigned i = 0; i < 1000; i++) {
        (void)redis_rig_expect(rig, op, HEARTH_E_UNAVAILABLE);
    }
    uint64_t seconds = (uint64_t)(hearth__monotonic_ns() - begun_ns) / 1000000000;
    assert_in_range(redis_rig_count(rig, HEARTH__STAT_connect_errors), 1, 2 * seconds + 1);
    assert_true(redis_rig_logged(rig, HEARTH_LOG_WARNING, "the-node cannot be used"));
    assert_int_equal(servers_restart(&bench->servers, 0), 0);
    await_status(rig, op, HEARTH_OK);
    assert_true(redis_rig_logged(rig, HEARTH_LOG_NOTICE, "the-node is back"));
}

static void no_socket_outlives_an_exec(void **state) {
    struct redis_rig *rig = &((struct bench *)*state)->rig;
    int before = 0;
    int after = 0;
    for (int fd = 0; fd < 1024; fd++) {
        int flags = fcntl(fd, F_GETFD);
        before += flags >= 0 && (flags & FD_CLOEXEC) == 0;
    }
    (void)redis_rig_expect_body(rig, "k", NULL);
    for (int fd = 0; fd < 1024; fd++) {
        int flags = fcntl(fd, F_GETFD);
        after += flags >= 0 && (flags & FD_CLOEXEC) == 0;
    }
    assert_int_equal(after, before);
}

static size_t open_sockets(void) {
    size_t count = 0;
    for (int fd = 0; fd < 1024; fd++) {
        int type = 0;
        socklen_t size = sizeof type;
        count += getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0;
    }
    return count;
}

/* A child that used its copies would mix its answers with the parent's. */
static void a_child_closes_its_copies_and_connects_anew(void **state) {
    struct redis_rig *rig = &((struct bench *)*state)->rig;
    (void)redis_rig_expect(rig, redis_rig_op(rig, HEARTH__SET, "k", "body"), HEARTH_OK);
    size_t sockets = open_sockets();
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        hearth__remote_op op = redis_rig_op(rig, HEARTH__GET, "k", NULL);
        (void)redis_rig_run_within(rig, &op, REDIS_RIG_DEADLINE_MS);
        bool same = open_sockets() == sockets;
        bool anew = redis_rig_count(rig, HEARTH__STAT_connects) == 2;
        redis_rig_close(rig);
        _exit(op.status == HEARTH_OK && same && anew ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    (void)redis_rig_expect_body(rig, "k", "body");
    assert_int_equal(redis_rig_count(rig, HEARTH__STAT_connects), 1);
    assert_int_equal(redis_rig_count(rig, HEARTH__STAT_disconnects), 0);
}

static void ignore(int number) {
    (void)number;
}

/* hiredis's own waits start anew with each signal, and would never end under these. */
static void signals_do_not_stretch_a_deadline(void **state) {
    struct bench *bench = *state;
    struct sigaction action = {.sa_handler = ignore};
    struct sigaction old;
    const struct itimerval often = {.it_interval = {0, 1000}, .it_value = {0, 1000}};
    const struct itimerval never = {{0, 0}, {0, 0}};
    (void)redis_rig_expect_body(&bench->rig, "k", NULL);
    assert_int_equal(servers_pause(&bench->servers, 0), 0);
    assert_int_equal(sigaction(SIGALRM, &action, &old), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
    int64_t begun_ns = hearth__monotonic_ns();
    hearth__remote_op op = redis_rig_op(&bench->rig, HEARTH__GET, "k", NULL);
    int32_t status = redis_rig_run_within(&bench->rig, &op, 200);
    int64_t took_ns = hearth__monotonic_ns() - begun_ns;
    assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
    assert_int_equal(sigaction(SIGALRM, &old, NULL), 0);
    assert_int_equal(servers_resume(&bench->servers, 0), 0);
    redis_rig_same_status(status, HEARTH_E_TIMEOUT, "get under signals");
    assert_true(took_ns >= INT64_C(200000000));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        TEST(a_body_that_stays_is_not_sent_again),
        TEST(numbers_are_exact_to_the_last),
        TEST(the_floor_keeps_the_life),
        TEST(a_long_pipeline_does_not_block_itself),
        TEST(a_batch_keeps_its_order_on_one_key),
        TEST(touch_renews_a_long_header),
        TEST(touch_does_not_vouch_for_a_strangers_value),
        TEST(a_life_without_end_is_told),
        TEST(threads_share_a_few_connections),
        TEST(an_idle_connection_that_ended_is_not_used),
        TEST(a_dead_node_is_asked_once_a_second_and_comes_back),
        TEST(no_socket_outlives_an_exec),
        TEST(a_child_closes_its_copies_and_connects_anew),
        TEST(signals_do_not_stretch_a_deadline),
    };
    return cmocka_run_group_tests_name("redis", tests, NULL, NULL);
}
