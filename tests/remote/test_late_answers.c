/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers that come when nobody waits for them any more: they cost who asked its answer, and neither the connection nor what was
 * read on it. Only what stays unanswered does, long after its deadline.
 *
 * The test moves the clock on, so that nobody waits for a deadline: a byte of an answer wakes who waits, and it is too late then.
 */
#include "remote/faulty_node.h"

#include "base/clock.h"

#include <hiredis/hiredis.h>

#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static _Atomic int64_t ahead_s; /* of the machine's clocks */

/* In the place of the C library's, for the library under test. */
int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = (int)syscall(SYS_clock_gettime, clock, time);
    time->tv_sec += atomic_load(&ahead_s);
    return result;
}

enum { STALL_MS = FAULTY_DEADLINE_MS, PAST_S = FAULTY_DEADLINE_MS / 1000 + 1 };

/* ---- calls that time out -------------------------------------------------------------------- */

/* What somebody waits for in vain. */
struct waiter {
    struct faulty_node *node;
    void (*ask)(struct faulty_node *node);
    pthread_t thread;
};

static void *wait_in_vain(void *arg) {
    const struct waiter *waiter = arg;
    waiter->ask(waiter->node);
    return NULL;
}

static void get_in_vain(struct faulty_node *node) {
    faulty_expect(node, faulty_op(node, HEARTH__GET, "nothing", NULL), HEARTH_E_TIMEOUT, "get");
}

/* The server has answered, and not in time. Its answer is held back but for one byte. */
static void be_late(struct faulty_node *node, void (*ask)(struct faulty_node *node)) {
    struct waiter waiter = {.node = node, .ask = ask};
    uint64_t seen = proxy_seen(node->proxy, PROXY_TO_CLIENT);
    proxy_hold(node->proxy, PROXY_TO_CLIENT);
    assert_int_equal(pthread_create(&waiter.thread, NULL, wait_in_vain, &waiter), 0);
    assert_true(proxy_await_seen(node->proxy, PROXY_TO_CLIENT, seen + 2));
    atomic_fetch_add(&ahead_s, PAST_S);
    proxy_let(node->proxy, PROXY_TO_CLIENT, 1);
    assert_int_equal(pthread_join(waiter.thread, NULL), 0);
}

static void come_late(struct faulty_node *node) {
    proxy_release(node->proxy, PROXY_TO_CLIENT);
    assert_true(proxy_await_passed(node->proxy, PROXY_TO_CLIENT,
                                   proxy_seen(node->proxy, PROXY_TO_CLIENT)));
}

static void expect_connections(const struct faulty_node *node, uint64_t made, uint64_t lost) {
    assert_int_equal(faulty_count(node, HEARTH__STAT_connects), made);
    assert_int_equal(faulty_count(node, HEARTH__STAT_disconnects), lost);
}

static void expect_miss(struct faulty_node *node) {
    faulty_expect(node, faulty_op(node, HEARTH__GET, "nothing", NULL), HEARTH_MISS, "get");
}

/* ---- connections that are used again ----------------------------------------------------------- */

/* There could be another, and there is no need of it. */
static void what_came_late_costs_no_connection(void **state) {
    (void)state;
    for (int protocol = 0; protocol < FAULTY_PROTOCOLS; protocol++) {
        struct faulty_node node;
        faulty_open(&node, (enum faulty_protocol)protocol, 2, STALL_MS);
        for (int i = 0; i < 3; i++) {
            be_late(&node, get_in_vain);
            come_late(&node);
            expect_miss(&node);
        }
        expect_connections(&node, 1, 0);
        faulty_close(&node);
    }
}

/* Whoever looks for a connection meanwhile takes another. */
static void what_never_comes_does(void **state) {
    (void)state;
    for (int protocol = 0; protocol < FAULTY_PROTOCOLS; protocol++) {
        struct faulty_node node;
        faulty_open(&node, (enum faulty_protocol)protocol, 1, STALL_MS);
        be_late(&node, get_in_vain);
        expect_connections(&node, 1, 0);
        atomic_fetch_add(&ahead_s, PAST_S);
        hearth__remote_op op = faulty_op(&node, HEARTH__GET, "nothing", NULL);
        do { /* it has little time, and may not come so far */
            assert_true(faulty_run(&node, &op, 20) < 0);
        } while (faulty_count(&node, HEARTH__STAT_disconnects) == 0);
        assert_int_equal(faulty_count(&node, HEARTH__STAT_disconnects), 1);
        proxy_release(node.proxy, PROXY_TO_CLIENT);
        expect_miss(&node);
        faulty_close(&node);
    }
}

/* ---- connections that tell of changes ---------------------------------------------------------- */

/* Who listens, and what is known of the one connection that tells him. */
struct told {
    long long client_id;
    unsigned opened;
    unsigned closed;
    unsigned answered;
    int64_t asked_ms; /* what was answered last */
};

static int32_t listen_to(void *arg, const char *host, uint16_t port, uint32_t *listened) {
    (void)arg;
    (void)host;
    (void)port;
    *listened = 0;
    return HEARTH_OK;
}

static void unlisten(void *arg, uint32_t listened) {
    (void)arg;
    (void)listened;
}

static uint32_t redirect(void *arg, uint32_t listened, int64_t *client_id) {
    const struct told *told = arg;
    (void)listened;
    *client_id = told->client_id;
    return 1;
}

static uint32_t open_source(void *arg, uint32_t listened, uint32_t epoch, int64_t sent_ms) {
    struct told *told = arg;
    (void)listened;
    (void)epoch;
    (void)sent_ms;
    return ++told->opened;
}

static void answered(void *arg, uint32_t source, int64_t sent_ms) {
    struct told *told = arg;
    assert_int_equal(source, told->opened);
    assert_true(sent_ms >= told->asked_ms);
    told->answered++;
    told->asked_ms = sent_ms;
}

static void close_source(void *arg, uint32_t source) {
    struct told *told = arg;
    assert_int_equal(source, told->opened);
    told->closed++;
}

static bool begin_canary(void *arg, uint32_t source) {
    (void)arg;
    (void)source;
    return false;
}

static bool is_deaf(void *arg, uint32_t source) {
    (void)arg;
    (void)source;
    return false;
}

static void refresh(struct faulty_node *node) {
    hearth__remote_refresh(node->remote, 0);
}

struct tracked {
    struct faulty_node node;
    struct told told;
    hearth__tracker tracker;
    redisContext *listener;
};

static void open_tracked(struct tracked *tracked) {
    *tracked = (struct tracked){.tracker = {.arg = &tracked->told,
                                            .listen = listen_to,
                                            .unlisten = unlisten,
                                            .redirect = redirect,
                                            .open = open_source,
                                            .answered = answered,
                                            .close = close_source,
                                            .begin_canary = begin_canary,
                                            .is_deaf = is_deaf}};
    struct faulty_node *node = &tracked->node;
    faulty_open(node, FAULTY_REDIS, 1, STALL_MS);
    tracked->listener = redisConnectUnix(node->servers->nodes[0].path);
    assert_non_null(tracked->listener);
    redisReply *reply = redisCommand(tracked->listener, "CLIENT ID");
    assert_non_null(reply);
    tracked->told.client_id = reply->integer;
    freeReplyObject(reply);
    node->tracker = &tracked->tracker;
    faulty_reopen(node, 1, STALL_MS);
    expect_miss(node);
    assert_int_equal(tracked->told.opened, 1);
    refresh(node);
    assert_int_equal(tracked->told.answered, 1);
}

static void close_tracked(struct tracked *tracked) {
    faulty_close(&tracked->node);
    redisFree(tracked->listener);
}

/* It is asked again behind the late answer, which proves as much as if it had been in time. */
static void a_question_that_is_answered_late_costs_no_source(void **state) {
    (void)state;
    struct tracked tracked;
    open_tracked(&tracked);
    int64_t asked_ms = hearth__boot_ms();
    be_late(&tracked.node, refresh);
    assert_int_equal(tracked.told.answered, 1);
    come_late(&tracked.node);
    expect_miss(&tracked.node);
    assert_int_equal(tracked.told.answered, 2);
    assert_true(tracked.told.asked_ms >= asked_ms &&
                tracked.told.asked_ms < asked_ms + INT64_C(1000) * PAST_S);
    refresh(&tracked.node);
    assert_int_equal(tracked.told.answered, 3);
    assert_int_equal(tracked.told.closed, 0);
    close_tracked(&tracked);
}

static void one_that_is_not_answered_does(void **state) {
    (void)state;
    struct tracked tracked;
    open_tracked(&tracked);
    be_late(&tracked.node, refresh);
    assert_int_equal(tracked.told.closed, 0);
    atomic_fetch_add(&ahead_s, PAST_S);
    refresh(&tracked.node);
    assert_int_equal(tracked.told.answered, 1);
    assert_int_equal(tracked.told.closed, 1);
    proxy_release(tracked.node.proxy, PROXY_TO_CLIENT);
    expect_miss(&tracked.node);
    assert_int_equal(tracked.told.opened, 2);
    close_tracked(&tracked);
}

/* Nobody has read what came for who gave up, and nobody uses the connection. */
static void what_came_for_nobody_keeps_no_connection_from_being_asked(void **state) {
    (void)state;
    struct tracked tracked;
    open_tracked(&tracked);
    be_late(&tracked.node, get_in_vain);
    come_late(&tracked.node);
    refresh(&tracked.node);
    assert_int_equal(tracked.told.answered, 2);
    assert_int_equal(tracked.told.closed, 0);
    close_tracked(&tracked);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_came_late_costs_no_connection),
        cmocka_unit_test(what_never_comes_does),
        cmocka_unit_test(a_question_that_is_answered_late_costs_no_source),
        cmocka_unit_test(one_that_is_not_answered_does),
        cmocka_unit_test(what_came_for_nobody_keeps_no_connection_from_being_asked),
    };
    return cmocka_run_group_tests_name("late answers", tests, faulty_servers_start,
                                       faulty_servers_stop);
}
