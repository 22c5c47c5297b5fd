/* SPDX-License-Identifier: Apache-2.0 */
/* The Redis backend against a server that breaks off, stalls or sends what is no answer: no
 * wrong value, no answer for another operation, no memory by a number from the network. */
#include "remote/redis_rig.h"
#include "support/crowd.h"
#include "support/scripted_server.h"

#include <unistd.h>

/* What the server does with the connections of a test. */
struct script {
    struct redis_wire wire;
    _Atomic unsigned excess; /* answers that nobody asked for */
    unsigned awaited;        /* how many of them the test waits for */
};

struct stage {
    struct scripted_server server;
    struct script script;
    struct redis_rig rig;
};

static void open_stage(struct stage *stage, scripted_serve *serve) {
    scripted_server_start(&stage->server, 1, serve, &stage->script);
    stage->rig = redis_rig_at(stage->server.path, 0);
    redis_rig_open(&stage->rig);
}

static void close_stage(struct stage *stage) {
    redis_rig_close(&stage->rig);
    scripted_server_stop(&stage->server);
}

static hearth__remote_op plain_get(struct stage *stage, const char *key) {
    hearth__remote_op op = redis_rig_op(&stage->rig, HEARTH__GET, key, NULL);
    op.want_ttl = false;
    return op;
}

/* ---- replies in pieces ---------------------------------------------------------------------- */

static void answer_in_pieces(struct scripted_client *client, void *arg) {
    const struct script *script = arg;
    const struct redis_wire *wire = &script->wire;
    for (size_t cut = 1; cut < wire->size; cut++) {
        if (!scripted_await(client, "\r\nkey\r\n") ||
            !scripted_send(client, wire->bytes, cut) || !scripted_await_read(client) ||
            !scripted_send(client, wire->bytes + cut, wire->size - cut)) {
            return;
        }
    }
    scripted_await_close(client);
}

static void a_reply_split_anywhere_is_whole(void **state) {
    (void)state;
    struct stage stage = {.script.wire = redis_wire_of("key", "a body of some bytes")};
    open_stage(&stage, answer_in_pieces);
    for (size_t cut = 1; cut < stage.script.wire.size; cut++) {
        (void)redis_rig_expect(&stage.rig, plain_get(&stage, "key"), HEARTH_OK);
        assert_int_equal(stage.rig.body.size, 20);
        assert_memory_equal(stage.rig.body.data, "a body of some bytes", 20);
    }
    assert_int_equal(redis_rig_count(&stage.rig, HEARTH__STAT_connects), 1);
    close_stage(&stage);
}

static void cut_off(struct scripted_client *client, void *arg) {
    const struct script *script = arg;
    if (scripted_await(client, "\r\nkey\r\n")) {
        (void)scripted_send(client, script->wire.bytes, client->number);
    }
}

static void a_reply_cut_anywhere_is_an_error(void **state) {
    (void)state;
    struct stage stage = {.script.wire = redis_wire_of("key", "body")};
    open_stage(&stage, cut_off);
    for (size_t cut = 0; cut < stage.script.wire.size; cut++) {
        (void)redis_rig_expect(&stage.rig, plain_get(&stage, "key"), HEARTH_E_UNAVAILABLE);
    }
    (void)redis_rig_expect(&stage.rig, plain_get(&stage, "key"), HEARTH_OK);
    close_stage(&stage);
}

/* Answers only when it has heard the next question. */
static void answer_late(struct scripted_client *client, void *arg) {
    const struct redis_wire *late = &((const struct script *)arg)->wire;
    struct redis_wire own = redis_wire_of("other", "other body");
    if (scripted_await(client, "\r\nkey\r\n") && scripted_await(client, "\r\nother\r\n")) {
        (void)scripted_send(client, late->bytes, late->size);
        (void)scripted_send(client, own.bytes, own.size);
        scripted_await_close(client);
    }
}

static void a_late_answer_is_dropped_in_its_place(void **state) {
    (void)state;
    struct stage stage = {.script.wire = redis_wire_of("key", "body")};
    open_stage(&stage, answer_late);
    stage.rig.config.stall_ms = REDIS_RIG_DEADLINE_MS;
    redis_rig_reopen(&stage.rig, 1);
    hearth__remote_op op = plain_get(&stage, "key");
    redis_rig_same_status(redis_rig_run_within(&stage.rig, &op, REDIS_RIG_SHORT_MS),
                          HEARTH_E_TIMEOUT, "get without an answer");
    (void)redis_rig_expect(&stage.rig, plain_get(&stage, "other"), HEARTH_OK);
    assert_memory_equal(stage.rig.body.data, "other body", 10);
    assert_int_equal(redis_rig_count(&stage.rig, HEARTH__STAT_connects), 1);
    assert_int_equal(redis_rig_count(&stage.rig, HEARTH__STAT_disconnects), 0);
    close_stage(&stage);
}

/* Says nothing on its first connection. */
static void be_silent_first(struct scripted_client *client, void *arg) {
    struct redis_wire own = redis_wire_of("other", "other body");
    (void)arg;
    if (client->number != 0 && scripted_await(client, "\r\nother\r\n")) {
        (void)scripted_send(client, own.bytes, own.size);
    }
    scripted_await_close(client);
}

static void a_silent_connection_is_given_up(void **state) {
    (void)state;
    struct stage stage = {.script.excess = 0};
    open_stage(&stage, be_silent_first);
    redis_rig_reopen(&stage.rig, 1);
    hearth__remote_op op = plain_get(&stage, "key");
    redis_rig_same_status(redis_rig_run_within(&stage.rig, &op, REDIS_RIG_SHORT_MS),
                          HEARTH_E_TIMEOUT, "get without an answer");
    (void)redis_rig_expect(&stage.rig, plain_get(&stage, "other"), HEARTH_OK);
    assert_memory_equal(stage.rig.body.data, "other body", 10);
    assert_int_equal(atomic_load(&stage.server.connections), 2);
    assert_int_equal(redis_rig_count(&stage.rig, HEARTH__STAT_disconnects), 1);
    close_stage(&stage);
}

/* One answer too many, at once or later. */
static void answer_twice(struct scripted_client *client, void *arg) {
    struct script *script = arg;
    const struct redis_wire *wire = &script->wire;
    (void)scripted_await(client, "\r\nkey\r\n");
    (void)scripted_send(client, wire->bytes, wire->size);
    if (client->number % 2 == 0) {
        (void)scripted_await_read(client);
    }
    (void)scripted_send(client, wire->bytes, wire->size);
    atomic_fetch_add(&script->excess, 1);
    scripted_await_close(client);
}

static bool excess_was_sent(void *arg) {
    struct script *script = arg;
    return atomic_load(&script->excess) >= script->awaited;
}

static void an_excess_answer_ends_the_connection(void **state) {
    (void)state;
    struct stage stage = {.script.wire = redis_wire_of("key", "body")};
    open_stage(&stage, answer_twice);
    for (unsigned i = 1; i <= 20; i++) {
        (void)redis_rig_expect(&stage.rig, plain_get(&stage, "key"), HEARTH_OK);
        stage.script.awaited = i;
        assert_true(await_until(excess_was_sent, &stage.script));
    }
    assert_int_equal(redis_rig_count(&stage.rig, HEARTH__STAT_connects), 20);
    close_stage(&stage);
}

/* A server that reads no question before the answer to the last one is taken. */
static void answer_before_reading_on(struct scripted_client *client, void *arg) {
    static const char filler[65536] = {0};
    (void)arg;
    while (scripted_await(client, "$3\r\nGET\r\n") && scripted_send(client, "$262144\r\n", 9)) {
        for (size_t i = 0; i < 4; i++) {
            (void)scripted_send(client, filler, sizeof filler);
        }
        (void)scripted_send(client, "\r\n", 2);
    }
}

static void answers_are_read_while_questions_are_sent(void **state) {
    (void)state;
    enum { COUNT = 64, KEY = 30000 };
    static char key[KEY];
    hearth__remote_op ops[COUNT];
    struct stage stage = {.script.excess = 0};
    open_stage(&stage, answer_before_reading_on);
    stage.rig.config.accept_foreign = true;
    memset(key, 'k', sizeof key - 1);
    for (size_t i = 0; i < COUNT; i++) {
        ops[i] = plain_get(&stage, key);
        ops[i].body = NULL;
    }
    redis_rig_run_many(&stage.rig, ops, COUNT, REDIS_RIG_DEADLINE_MS);
    for (size_t i = 0; i < COUNT; i++) {
        redis_rig_same_status(ops[i].status, HEARTH_OK, "get in a long pipeline");
    }
    close_stage(&stage);
}

/* ---- connections that break ----------------------------------------------------------------- */

/* Answers what is said on every second connection, and closes the others when they are used. */
static void close_when_used(struct scripted_client *client, void *arg) {
    const struct script *script = arg;
    const struct redis_wire *wire = &script->wire;
    if (!scripted_await(client, "\r\nkey\r\n")) {
        return;
    }
    if (client->number % 2 == 0) {
        (void)scripted_send(client, wire->bytes, wire->size);
        (void)scripted_await(client, "\r\nkey\r\n");
        return;
    }
    (void)scripted_send(client, wire->bytes, wire->size);
    scripted_await_close(client);
}

static void a_read_is_asked_again_where_an_idle_connection_ended(void **state) {
    (void)state;
    struct stage stage = {.script.wire = redis_wire_of("key", "body")};
    open_stage(&stage, close_when_used);
    for (unsigned i = 0; i < 2; i++) {
        (void)redis_rig_expect(&stage.rig, plain_get(&stage, "key"), HEARTH_OK);
    }
    assert_int_equal(redis_rig_count(&stage.rig, HEARTH__STAT_connects), 2);
    assert_int_equal(atomic_load(&stage.server.connections), 2);
    close_stage(&stage);
}

/* It may have been done, and the answer lost. */
static void a_write_is_not_asked_again_where_an_idle_connection_ended(void **state) {
    (void)state;
    struct stage stage = {.script.wire = redis_wire_of("key", "body")};
    open_stage(&stage, close_when_used);
    (void)redis_rig_expect(&stage.rig, plain_get(&stage, "key"), HEARTH_OK);
    (void)redis_rig_expect(&stage.rig, redis_rig_op(&stage.rig, HEARTH__SET, "key", "new"),
                           HEARTH_E_UNKNOWN);
    assert_int_equal(redis_rig_count(&stage.rig, HEARTH__STAT_connects), 1);
    close_stage(&stage);
}

/* Ends every connection as soon as it was asked something. */
static void hang_up(struct scripted_client *client, void *arg) {
    (void)arg;
    (void)scripted_await(client, "\r\nkey\r\n");
}

static void a_write_without_an_answer_is_unknown_and_sent_once(void **state) {
    (void)state;
    static const struct {
        enum hearth__verb verb;
        int32_t status;
        unsigned connections;
    } cases[] = {
        {HEARTH__SET, HEARTH_E_UNKNOWN, 1},       {HEARTH__ADD, HEARTH_E_UNKNOWN, 1},
        {HEARTH__REPLACE, HEARTH_E_UNKNOWN, 1},   {HEARTH__SWAP, HEARTH_E_UNKNOWN, 1},
        {HEARTH__INCREMENT, HEARTH_E_UNKNOWN, 1}, {HEARTH__DELETE, HEARTH_E_UNKNOWN, 2},
        {HEARTH__GET, HEARTH_E_UNAVAILABLE, 1},   {HEARTH__TOUCH, HEARTH_E_UNAVAILABLE, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct stage stage = {.script.excess = 0};
        open_stage(&stage, hang_up);
        hearth__remote_op op = redis_rig_op(&stage.rig, cases[i].verb, "key", "body");
        op.number = 1;
        (void)redis_rig_expect(&stage.rig, op, cases[i].status);
        assert_int_equal(atomic_load(&stage.server.connections), cases[i].connections);
        close_stage(&stage);
    }
}

static void hang_up_then_answer(struct scripted_client *client, void *arg) {
    (void)arg;
    (void)scripted_await(client, "\r\nkey\r\n");
    if (client->number == 1) {
        (void)scripted_send(client, ":1\r\n", 4);
        scripted_await_close(client);
    }
}

static void a_delete_is_sent_once_more(void **state) {
    (void)state;
    struct stage stage = {.script.excess = 0};
    open_stage(&stage, hang_up_then_answer);
    (void)redis_rig_expect(&stage.rig, redis_rig_op(&stage.rig, HEARTH__DELETE, "key", NULL),
                           HEARTH_MISS);
    assert_int_equal(atomic_load(&stage.server.connections), 2);
    close_stage(&stage);
}

/* In a pipeline the answered stay answered; the rest is told apart by verb. */
static void answer_two_then_hang_up(struct scripted_client *client, void *arg) {
    (void)arg;
    (void)scripted_await(client, "\r\nkey3\r\n");
    (void)scripted_send(client, "+OK\r\n$-1\r\n", 10);
}

static void a_broken_pipeline_tells_what_is_known(void **state) {
    (void)state;
    struct stage stage = {.script.excess = 0};
    open_stage(&stage, answer_two_then_hang_up);
    hearth__remote_op ops[] = {
        redis_rig_op(&stage.rig, HEARTH__SET, "key0", "a"),
        plain_get(&stage, "key1"),
        redis_rig_op(&stage.rig, HEARTH__SET, "key2", "a"),
        plain_get(&stage, "key3"),
    };
    static const int32_t expected[] = {HEARTH_OK, HEARTH_MISS, HEARTH_E_UNKNOWN,
                                       HEARTH_E_UNAVAILABLE};
    redis_rig_run_many(&stage.rig, ops, 4, REDIS_RIG_DEADLINE_MS);
    for (size_t i = 0; i < 4; i++) {
        redis_rig_same_status(ops[i].status, expected[i], ops[i].key);
    }
    close_stage(&stage);
}

static void a_write_that_waits_too_long_is_unknown(void **state) {
    (void)state;
    struct stage stage = {.script.wire = redis_wire_of("key", "body")};
    open_stage(&stage, answer_late);
    hearth__remote_op op = redis_rig_op(&stage.rig, HEARTH__SET, "key", "body");
    redis_rig_same_status(redis_rig_run_within(&stage.rig, &op, REDIS_RIG_SHORT_MS),
                          HEARTH_E_UNKNOWN, "set without an answer");
    close_stage(&stage);
}

static void sleep_through(struct scripted_client *client, void *arg) {
    (void)arg;
    scripted_await_close(client);
}

/* Nobody takes connections, as when a process is stopped: that is no refusal. */
static void a_full_backlog_is_waited_for_until_the_deadline(void **state) {
    (void)state;
    struct scripted_server server;
    int fillers[64];
    size_t count = 0;
    scripted_server_start(&server, 1, sleep_through, NULL);
    struct redis_rig rig = redis_rig_at(server.path, 0);
    redis_rig_open(&rig);
    while (count < 64 && (fillers[count] = scripted_connect(&server)) >= 0) {
        count++;
    }
    assert_in_range(count, 1, 63);
    hearth__remote_op op = redis_rig_op(&rig, HEARTH__GET, "key", NULL);
    redis_rig_same_status(redis_rig_run_within(&rig, &op, REDIS_RIG_SHORT_MS), HEARTH_E_TIMEOUT,
                          "get from a full backlog");
    while (count > 0) {
        close(fillers[--count]);
    }
    redis_rig_close(&rig);
    scripted_server_stop(&server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reply_split_anywhere_is_whole),
        cmocka_unit_test(a_reply_cut_anywhere_is_an_error),
        cmocka_unit_test(a_late_answer_is_dropped_in_its_place),
        cmocka_unit_test(a_silent_connection_is_given_up),
        cmocka_unit_test(an_excess_answer_ends_the_connection),
        cmocka_unit_test(answers_are_read_while_questions_are_sent),
        cmocka_unit_test(a_read_is_asked_again_where_an_idle_connection_ended),
        cmocka_unit_test(a_write_is_not_asked_again_where_an_idle_connection_ended),
        cmocka_unit_test(a_write_without_an_answer_is_unknown_and_sent_once),
        cmocka_unit_test(a_delete_is_sent_once_more),
        cmocka_unit_test(a_broken_pipeline_tells_what_is_known),
        cmocka_unit_test(a_write_that_waits_too_long_is_unknown),
        cmocka_unit_test(a_full_backlog_is_waited_for_until_the_deadline),
    };
    return cmocka_run_group_tests_name("redis broken", tests, NULL, NULL);
}
