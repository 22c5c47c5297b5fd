/* SPDX-License-Identifier: Apache-2.0 */
/* A node that answers others meanwhile is slow, not dead: those whom it leaves waiting, however many, are no reason to leave it alone. On
 * real servers of both kinds. */
#include "support/crowd.h"
#include "tier/nodes_rig.h"

/* In the place of the C library's. */
int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *lock,
                           const struct timespec *until) {
    return nodes_wait_until(condition, lock, until);
}

#define MARK "not answered"

enum { CONNECTIONS = 64 };

/* On a connection that a mark has passed nothing is answered any more. */
struct silence {
    bool begun[CONNECTIONS]; /* the proxy's thread's */
    struct event marks;
};

static size_t look_for_marks(void *arg, struct proxy_flow *flow, const unsigned char *bytes,
                             size_t size) {
    struct silence *silence = arg;
    if (memmem(bytes, size, MARK, strlen(MARK)) != NULL) {
        silence->begun[proxy_number(flow) % CONNECTIONS] = true;
        event_raise(&silence->marks);
    }
    proxy_emit(flow, bytes, size);
    return size;
}

static size_t be_silent(void *arg, struct proxy_flow *flow, const unsigned char *bytes,
                        size_t size) {
    const struct silence *silence = arg;
    if (silence->begun[proxy_number(flow) % CONNECTIONS]) {
        return 0;
    }
    proxy_emit(flow, bytes, size);
    return size;
}

/* A call that is not answered. */
struct waiter {
    struct nodes_rig *rig;
    hearth *cache;
    int32_t status;
    pthread_t thread;
};

static void *wait_in_vain(void *arg) {
    struct waiter *waiter = arg;
    waiter->status = nodes_set_of(waiter->rig, waiter->cache, 0, MARK);
    return NULL;
}

/* As many as open a breaker wait, each on a connection; for so long that it is the node's fault when these end. */
static void leave_waiting(struct nodes_rig *rig, hearth *cache, struct silence *silence,
                          bool answers_another) {
    struct waiter waiters[FAILURES];
    size_t before = silence->marks.times;
    /* Carries out the deletes that are kept since such writes ended before. */
    assert_int_equal(nodes_get_of(rig, cache, 1), HEARTH_MISS);
    for (size_t i = 0; i < FAILURES; i++) {
        waiters[i] = (struct waiter){.rig = rig, .cache = cache, .status = HEARTH_OK};
        assert_int_equal(pthread_create(&waiters[i].thread, NULL, wait_in_vain, &waiters[i]),
                         0);
        assert_true(event_await(&silence->marks, before + i + 1));
    }
    nodes_pass_the_pause();
    if (answers_another) {
        assert_int_equal(nodes_get_of(rig, cache, 1), HEARTH_MISS);
    }
    proxy_cut(rig->proxies[0], false);
    for (size_t i = 0; i < FAILURES; i++) {
        assert_int_equal(pthread_join(waiters[i].thread, NULL), 0);
        assert_int_equal(waiters[i].status, HEARTH_E_UNKNOWN);
    }
}

static void a_node_that_answers_others_is_not_left_alone(void **state) {
    struct nodes_rig *rig = *state;
    const char *const options[] = {"remote.timeout_ms", "15s", "remote.lanes", "4", NULL};
    struct silence silence = {.marks = EVENT_INIT};
    hearth *cache = nodes_open_cache(rig, options);
    proxy_filter(rig->proxies[0], PROXY_TO_SERVER, look_for_marks, &silence);
    proxy_filter(rig->proxies[0], PROXY_TO_CLIENT, be_silent, &silence);
    for (int i = 0; i < 3; i++) {
        leave_waiting(rig, cache, &silence, true);
        assert_int_equal(nodes_stats_of(cache).breaker_openings, 0);
    }
    leave_waiting(rig, cache, &silence, false);
    assert_int_equal(nodes_stats_of(cache).breaker_openings, 1);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
    proxy_filter(rig->proxies[0], PROXY_TO_SERVER, NULL, NULL);
    proxy_filter(rig->proxies[0], PROXY_TO_CLIENT, NULL, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        {"a_node_that_answers_others_is_not_left_alone (redis)",
         a_node_that_answers_others_is_not_left_alone, nodes_open_redis, nodes_close, NULL},
        {"a_node_that_answers_others_is_not_left_alone (memcached)",
         a_node_that_answers_others_is_not_left_alone, nodes_open_memcached, nodes_close, NULL},
    };
    return cmocka_run_group_tests_name("slow nodes", tests, nodes_start, nodes_stop);
}
