/* SPDX-License-Identifier: Apache-2.0 */
/* Many threads on few connections: what happens to one connection is not everybody's. */
#include "remote/redis_rig.h"
#include "support/crowd.h"
#include "support/scripted_server.h"

#include "base/clock.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum { THREADS = 16, GETS = 100, CONNECTIONS = 4, A_WHILE_NS = 20000000 };

struct stage {
    struct scripted_server server;
    struct redis_wire wire;
    struct redis_rig rig;
    _Atomic bool falters; /* the connection that is asked next answers only when it is told */
    struct event faltered;
    struct event told;
    _Atomic unsigned wrong;
};

static void answer(struct scripted_client *client, void *arg) {
    struct stage *stage = arg;
    while (scripted_await(client, "\r\nkey\r\n")) {
        if (atomic_exchange(&stage->falters, false)) {
            event_raise(&stage->faltered);
            if (!event_await(&stage->told, 1)) {
                return;
            }
        }
        if (!scripted_send(client, stage->wire.bytes, stage->wire.size)) {
            return;
        }
    }
}

static int32_t get(struct stage *stage, int64_t deadline_ms) {
    hearth__buffer body = {0};
    hearth__remote_op op = {.verb = HEARTH__GET,
                            .key = "key",
                            .key_size = 3,
                            .body = &body,
                            .status = HEARTH__PENDING};
    (void)redis_rig_run_within(&stage->rig, &op, deadline_ms);
    bool right = op.status == HEARTH_OK && body.size == 4 && memcmp(body.data, "body", 4) == 0;
    hearth__buffer_fini(&body);
    return op.status != HEARTH_OK || right ? op.status : HEARTH_E_PROTOCOL;
}

static void get_often(void *arg, size_t index) {
    struct stage *stage = arg;
    (void)index;
    for (unsigned i = 0; i < GETS; i++) {
        stage->wrong += get(stage, REDIS_RIG_DEADLINE_MS) != HEARTH_OK;
    }
}

static void *get_late(void *arg) {
    struct stage *stage = arg;
    stage->wrong += get(stage, REDIS_RIG_LONG_MS) != HEARTH_OK;
    return NULL;
}

/* A crowd has few connections for itself; who comes when one of them says nothing takes another,
 * though nobody there has given up yet. */
static void a_crowd_leaves_a_connection_that_falters(void **state) {
    (void)state;
    struct stage stage = {
        .wire = redis_wire_of("key", "body"), .faltered = EVENT_INIT, .told = EVENT_INIT};
    pthread_t patient;
    scripted_server_start(&stage.server, CONNECTIONS, answer, &stage);
    stage.rig = redis_rig_at(stage.server.path, 0);
    stage.rig.config.lanes = CONNECTIONS;
    redis_rig_open(&stage.rig);
    assert_true(crowd_run(THREADS, get_often, &stage));
    atomic_store(&stage.falters, true);
    assert_int_equal(pthread_create(&patient, NULL, get_late, &stage), 0);
    assert_true(event_await(&stage.faltered, 1));
    int64_t later_ns = hearth__monotonic_ns() + A_WHILE_NS;
    while (hearth__monotonic_ns() < later_ns) {
        (void)sched_yield();
    }
    redis_rig_same_status(get(&stage, REDIS_RIG_DEADLINE_MS / 10), HEARTH_OK,
                          "get beside a connection that falters");
    event_raise(&stage.told);
    pthread_join(patient, NULL);
    assert_int_equal(atomic_load(&stage.wrong), 0);
    redis_rig_close(&stage.rig);
    scripted_server_stop(&stage.server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crowd_leaves_a_connection_that_falters)};
    return cmocka_run_group_tests_name("lane crowd", tests, NULL, NULL);
}
