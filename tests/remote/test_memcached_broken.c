/* SPDX-License-Identifier: Apache-2.0 */
/* The Memcached backend against a server that breaks off, stalls or answers something else: no wrong
 * value, no answer for another operation, and a write that may have happened says so. */
#include "remote/memcached_rig.h"
#include "support/crowd.h"

/* What the script only reads. */
static void *unchanged(const void *arg) {
    void *same;
    memcpy(&same, &arg, sizeof same);
    return same;
}

static hearth__remote_op plain_get(struct mc_rig *rig, const char *key) {
    return mc_rig_op(rig, HEARTH__GET, key, NULL);
}

/* ---- replies in pieces ---------------------------------------------------------------------- */

static const char body[] = "a body of some bytes";

static void answer_in_pieces(struct scripted_client *client, void *arg) {
    struct mc_asked asked;
    size_t size = 2;
    (void)arg;
    (void)mc_greet(client);
    for (size_t cut = 1; cut < size && mc_await(client, "mg key ", &asked); cut++) {
        struct mc_wire wire = mc_value_of(&asked, "key", body);
        size = wire.size;
        if (!scripted_send(client, wire.bytes, cut) || !scripted_await_read(client) ||
            !scripted_send(client, wire.bytes + cut, wire.size - cut)) {
            return;
        }
    }
    scripted_await_close(client);
}

static size_t wire_size(void) {
    struct mc_asked asked = {.opaque = UINT32_MAX};
    return mc_value_of(&asked, "key", body).size - 10; /* its shortest */
}

static void a_reply_split_anywhere_is_whole(void **state) {
    (void)state;
    struct mc_rig rig;
    mc_rig_open(&rig, answer_in_pieces, NULL);
    for (size_t cut = 1; cut < wire_size(); cut++) {
        (void)mc_rig_expect(&rig, plain_get(&rig, "key"), HEARTH_OK);
        assert_int_equal(rig.body.size, strlen(body));
        assert_memory_equal(rig.body.data, body, strlen(body));
    }
    assert_int_equal(mc_rig_count(&rig, HEARTH__STAT_connects), 1);
    mc_rig_close(&rig);
}

static void cut_off(struct scripted_client *client, void *arg) {
    struct mc_asked asked;
    (void)arg;
    (void)mc_greet(client);
    if (mc_await(client, "mg key ", &asked)) {
        struct mc_wire wire = mc_value_of(&asked, "key", body);
        size_t size = client->number < wire.size ? client->number : wire.size;
        (void)scripted_send(client, wire.bytes, size);
    }
}

static void a_reply_cut_anywhere_is_an_error(void **state) {
    (void)state;
    struct mc_rig rig;
    mc_rig_open(&rig, cut_off, NULL);
    for (size_t cut = 0; cut < wire_size(); cut++) {
        (void)mc_rig_expect(&rig, plain_get(&rig, "key"), HEARTH_E_UNAVAILABLE);
    }
    mc_rig_close(&rig);
}

/* ---- replies that are another's ------------------------------------------------------------- */

/* Answers only when it has heard the next question. */
static void answer_late(struct scripted_client *client, void *arg) {
    struct mc_asked first;
    struct mc_asked second;
    (void)arg;
    if (mc_greet(client) && mc_await(client, "mg key ", &first) &&
        mc_await(client, "mg other ", &second)) {
        struct mc_wire late = mc_value_of(&first, "key", "body");
        struct mc_wire own = mc_value_of(&second, "other", "other body");
        (void)scripted_send(client, late.bytes, late.size);
        (void)scripted_send(client, own.bytes, own.size);
    }
    scripted_await_close(client);
}

static void a_late_answer_is_dropped_in_its_place(void **state) {
    (void)state;
    struct mc_rig rig;
    mc_rig_open(&rig, answer_late, NULL);
    rig.config.stall_ms = MC_RIG_DEADLINE_MS;
    mc_rig_reopen(&rig);
    hearth__remote_op op = plain_get(&rig, "key");
    mc_rig_same_status(mc_rig_run_within(&rig, &op, MC_RIG_SHORT_MS), HEARTH_E_TIMEOUT,
                       "get without an answer");
    (void)mc_rig_expect(&rig, plain_get(&rig, "other"), HEARTH_OK);
    assert_memory_equal(rig.body.data, "other body", 10);
    assert_int_equal(mc_rig_count(&rig, HEARTH__STAT_connects), 1);
    assert_int_equal(mc_rig_count(&rig, HEARTH__STAT_disconnects), 0);
    mc_rig_close(&rig);
}

/* Says what the test says to the first question, whatever it is. */
static void say(struct scripted_client *client, void *arg) {
    struct mc_asked asked;
    const char *reply = arg;
    (void)mc_greet(client);
    while (mc_await(client, " key ", &asked) && mc_say(client, &asked, reply)) {
    }
}

static void another_number_or_key_ends_the_connection(void **state) {
    (void)state;
    static const char *const replies[] = {
        "VA 1 t-1 c7 f0 kkey O4000000000\r\nx\r\n", /* another number */
        "VA 1 t-1 c7 f0 kkey O1@\r\nx\r\n",         /* which may be none */
        "VA 1 t-1 c7 f0 kkey\r\nx\r\n",             /* none */
        "VA 1 t-1 c7 f0 kkez O@\r\nx\r\n",          /* another key */
        "VA 1 t-1 c7 f0 O@\r\nx\r\n",               /* none */
        "EN kother O@\r\n",
        "EN\r\n",
        "HD O@\r\n",
        "MN\r\n",
        "END\r\n",
        "VALUE key 0 1 7\r\nx\r\nEND\r\n",
    };
    for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++) {
        struct mc_rig rig;
        mc_rig_open(&rig, say, unchanged(replies[i]));
        (void)mc_rig_expect(&rig, plain_get(&rig, "key"), HEARTH_E_PROTOCOL);
        assert_int_equal(mc_rig_count(&rig, HEARTH__STAT_disconnects), 1);
        assert_true(
            mc_rig_logged(&rig, HEARTH_LOG_WARNING, "sent what is no answer of a Memcached"));
        mc_rig_close(&rig);
    }
}

/* One answer too many, at once or later. */
static void answer_twice(struct scripted_client *client, void *arg) {
    _Atomic unsigned *excess = arg;
    struct mc_asked asked;
    (void)mc_greet(client);
    if (mc_await(client, "mg key ", &asked)) {
        struct mc_wire wire = mc_value_of(&asked, "key", body);
        (void)scripted_send(client, wire.bytes, wire.size);
        if (client->number % 2 == 0) {
            (void)scripted_await_read(client);
        }
        (void)scripted_send(client, wire.bytes, wire.size);
        atomic_fetch_add(excess, 1);
    }
    scripted_await_close(client);
}

struct excess {
    _Atomic unsigned *sent;
    unsigned awaited;
};

static bool excess_was_sent(void *arg) {
    const struct excess *excess = arg;
    return atomic_load(excess->sent) >= excess->awaited;
}

static void an_excess_answer_ends_the_connection(void **state) {
    (void)state;
    struct mc_rig rig;
    _Atomic unsigned sent = 0;
    mc_rig_open(&rig, answer_twice, &sent);
    for (unsigned i = 1; i <= 20; i++) {
        struct excess excess = {&sent, i};
        (void)mc_rig_expect(&rig, plain_get(&rig, "key"), HEARTH_OK);
        assert_true(await_until(excess_was_sent, &excess));
    }
    assert_int_equal(mc_rig_count(&rig, HEARTH__STAT_connects), 20);
    mc_rig_close(&rig);
}

/* ---- writes whose answers are lost ---------------------------------------------------------- */

/* Ends every connection as soon as it was asked something. */
static void hang_up(struct scripted_client *client, void *arg) {
    (void)arg;
    (void)mc_greet(client);
    (void)scripted_await(client, " key ");
}

static void a_write_without_an_answer_is_unknown_and_sent_once(void **state) {
    (void)state;
    static const struct {
        enum hearth__verb verb;
        int32_t status;
        unsigned connections;
    } cases[] = {
        {HEARTH__SET, HEARTH_E_UNKNOWN, 1},
        {HEARTH__ADD, HEARTH_E_UNKNOWN, 1},
        {HEARTH__INCREMENT, HEARTH_E_UNKNOWN, 1},
        {HEARTH__DELETE, HEARTH_E_UNKNOWN, 2},
        /* These have only looked, and look once more: the connection had been greeted on. */
        {HEARTH__GET, HEARTH_E_UNAVAILABLE, 2},
        {HEARTH__TOUCH, HEARTH_E_UNAVAILABLE, 2},
        {HEARTH__REPLACE, HEARTH_E_UNAVAILABLE, 2},
        {HEARTH__SWAP, HEARTH_E_UNAVAILABLE, 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mc_rig rig;
        mc_rig_open(&rig, hang_up, NULL);
        hearth__remote_op op = mc_rig_op(&rig, cases[i].verb, "key", "body");
        op.number = 1;
        (void)mc_rig_expect(&rig, op, cases[i].status);
        assert_int_equal(atomic_load(&rig.server.connections), cases[i].connections);
        mc_rig_close(&rig);
    }
}

static void a_write_answered_by_nonsense_is_unknown(void **state) {
    (void)state;
    static const char *const replies[] = {"HD O9@\r\n",  "HD\r\n", "STORED\r\n",
                                          "VA 1 O@\r\n", "NS",     "CLIENT_ERROR bad data\r\n",
                                          "ERROR\r\n",   "?\r\n",  "EX O@\r\n"};
    for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++) {
        struct mc_rig rig;
        mc_rig_open(&rig, say, unchanged(replies[i]));
        hearth__remote_op op = mc_rig_op(&rig, HEARTH__SET, "key", "a");
        mc_rig_same_status(mc_rig_run_within(&rig, &op, MC_RIG_LATE_MS), HEARTH_E_UNKNOWN,
                           replies[i]);
        mc_rig_close(&rig);
    }
}

/* A look is answered, and then its connection ends, before the swap or behind it. */
static void end_behind_the_look(struct scripted_client *client, void *arg) {
    struct mc_asked asked;
    const bool *hears_swap = arg;
    (void)mc_greet(client);
    if (mc_await(client, "mg key ", &asked)) {
        struct mc_wire wire = mc_value_of(&asked, "key", body);
        (void)scripted_send(client, wire.bytes, wire.size);
        if (*hears_swap) {
            (void)scripted_await(client, "ms key ");
        }
    }
}

static void a_swap_is_bound_to_the_connection_of_its_look(void **state) {
    (void)state;
    static const enum hearth__verb verbs[] = {HEARTH__REPLACE, HEARTH__TOUCH};
    for (size_t i = 0; i < 4; i++) {
        struct mc_rig rig;
        bool hears_swap = i / 2 == 0;
        mc_rig_open(&rig, end_behind_the_look, &hears_swap);
        hearth__remote_op op = mc_rig_op(&rig, verbs[i % 2], "key", "new");
        (void)mc_rig_run_within(&rig, &op, MC_RIG_DEADLINE_MS);
        if (hears_swap) { /* it may have happened */
            mc_rig_same_status(op.status, HEARTH_E_UNKNOWN, "swap without an answer");
        } else { /* unless the end came so late that something was sent */
            assert_true(op.status == HEARTH_E_UNAVAILABLE || op.status == HEARTH_E_UNKNOWN);
        }
        mc_rig_close(&rig);
    }
}

/* The sum is beyond our numbers, and it is not heard that it was taken back. */
static void count_too_far(struct scripted_client *client, void *arg) {
    struct mc_asked asked;
    (void)arg;
    (void)mc_greet(client);
    if (mc_await(client, "ma key ", &asked)) {
        (void)mc_say(client, &asked, "VA 19 kkey O@\r\n9223372036854775808\r\n");
        (void)scripted_await(client, "ma key v k D18446744073709551615 ");
    }
}

static void a_count_that_is_not_taken_back_is_unknown(void **state) {
    (void)state;
    struct mc_rig rig;
    mc_rig_open(&rig, count_too_far, NULL);
    hearth__remote_op op = mc_rig_op(&rig, HEARTH__INCREMENT, "key", NULL);
    op.number = 1;
    (void)mc_rig_expect(&rig, op, HEARTH_E_UNKNOWN);
    assert_int_equal(atomic_load(&rig.server.connections), 1);
    mc_rig_close(&rig);
}

static void hang_up_then_answer(struct scripted_client *client, void *arg) {
    struct mc_asked first;
    struct mc_asked second;
    (void)arg;
    (void)mc_greet(client);
    if (mc_await(client, "mg key ", &first) && mc_await(client, "md key", &second) &&
        client->number == 1) {
        (void)mc_say(client, &first, "HD f0 kkey O@\r\n");
        (void)mc_say(client, &second, "HD O@\r\n");
        scripted_await_close(client);
    }
}

static void a_delete_is_sent_once_more(void **state) {
    (void)state;
    struct mc_rig rig;
    mc_rig_open(&rig, hang_up_then_answer, NULL);
    (void)mc_rig_expect(&rig, mc_rig_op(&rig, HEARTH__DELETE, "key", NULL), HEARTH_OK);
    assert_int_equal(atomic_load(&rig.server.connections), 2);
    mc_rig_close(&rig);
}

/* In a pipeline the answered stay answered; the rest is told apart by verb. */
static void answer_two_then_hang_up(struct scripted_client *client, void *arg) {
    struct mc_asked set;
    struct mc_asked get;
    struct mc_asked last;
    (void)arg;
    if (mc_greet(client) && mc_await(client, "ms key0 ", &set) &&
        mc_await(client, "mg key1 ", &get) && mc_await(client, "mg key3 ", &last)) {
        (void)mc_say(client, &set, "HD O@\r\n");
        (void)mc_say(client, &get, "EN kkey1 O@\r\n");
    }
}

static void a_broken_pipeline_tells_what_is_known(void **state) {
    (void)state;
    struct mc_rig rig;
    mc_rig_open(&rig, answer_two_then_hang_up, NULL);
    hearth__remote_op ops[] = {
        mc_rig_op(&rig, HEARTH__SET, "key0", "a"),
        plain_get(&rig, "key1"),
        mc_rig_op(&rig, HEARTH__SET, "key2", "a"),
        plain_get(&rig, "key3"),
    };
    static const int32_t expected[] = {HEARTH_OK, HEARTH_MISS, HEARTH_E_UNKNOWN,
                                       HEARTH_E_UNAVAILABLE};
    mc_rig_run_many(&rig, ops, 4, MC_RIG_DEADLINE_MS);
    for (size_t i = 0; i < 4; i++) {
        mc_rig_same_status(ops[i].status, expected[i], ops[i].key);
    }
    mc_rig_close(&rig);
}

/* Answers once, and closes the connection when it is used again, or while it lies idle. */
static void answer_once(struct scripted_client *client, void *arg) {
    struct mc_asked asked;
    (void)arg;
    if (mc_greet(client) && mc_await(client, "mg key ", &asked)) {
        (void)mc_say(client, &asked, "EN kkey O@\r\n");
        if (client->number % 2 == 0) {
            (void)scripted_await(client, " key ");
        }
    }
}

static void a_read_is_asked_again_where_an_idle_connection_ended(void **state) {
    (void)state;
    struct mc_rig rig;
    mc_rig_open(&rig, answer_once, NULL);
    for (int i = 0; i < 10; i++) {
        (void)mc_rig_expect(&rig, plain_get(&rig, "key"), HEARTH_MISS);
    }
    mc_rig_close(&rig);
}

/* ---- greetings ------------------------------------------------------------------------------ */

struct welcome {
    const char *version; /* the answer to the first question, and to the second */
    const char *probe;
    const char *get; /* how a GET is asked then */
};

static void greet_as(struct scripted_client *client, void *arg) {
    const struct welcome *welcome = arg;
    struct mc_asked asked;
    if (scripted_await(client, "version\r\n") && scripted_await(client, "mg hearth-probe ") &&
        scripted_read_line(client, asked.line, sizeof asked.line) &&
        scripted_send(client, welcome->version, strlen(welcome->version)) &&
        scripted_send(client, welcome->probe, strlen(welcome->probe)) &&
        mc_await(client, welcome->get, &asked)) {
        (void)mc_say(client, &asked, welcome->get[0] == 'm' ? "EN O@\r\n" : "END\r\n");
    }
    scripted_await_close(client);
}

/* What a server knows of the meta protocol is seen, not believed of its version. */
static void the_protocol_is_found_out(void **state) {
    (void)state;
    static const struct welcome welcomes[] = {
        {"VERSION 1.6.18\r\n", "EN khearth-probe O1\r\n", "mg key "},
        {"VERSION 1.6.40\r\n", "VA 1 t-1 c3 f0 khearth-probe O1\r\nx\r\n", "mg key "},
        {"VERSION 1.6.0\r\n", "EN\r\n", "gets key"}, /* of before it repeated the number */
        {"VERSION 1.4.25\r\n", "ERROR\r\n", "gets key"},
        {"VERSION \r\n", "CLIENT_ERROR invalid flag\r\n", "gets key"},
        {"ERROR\r\n", "SERVER_ERROR unknown command\r\n", "gets key"}, /* a proxy */
    };
    for (size_t i = 0; i < sizeof welcomes / sizeof welcomes[0]; i++) {
        struct mc_rig rig;
        mc_rig_open(&rig, greet_as, unchanged(&welcomes[i]));
        (void)mc_rig_expect(&rig, plain_get(&rig, "key"), HEARTH_MISS);
        mc_rig_close(&rig);
    }
}

static void a_server_that_lets_nobody_in_says_why(void **state) {
    (void)state;
    static const struct {
        struct welcome welcome;
        uint32_t level;
        const char *logged;
    } refusals[] = {
        {{"CLIENT_ERROR unauthenticated\r\n", "CLIENT_ERROR unauthenticated\r\n", ""},
         HEARTH_LOG_ERROR,
         "wants a login"},
        {{"ERROR Too many open connections\r\n", "", ""},
         HEARTH_LOG_WARNING,
         "Too many open connections"},
        {{"SERVER_ERROR out of memory reading request\r\n", "ERROR\r\n", ""},
         HEARTH_LOG_WARNING,
         "out of memory reading request"},
    };
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct mc_rig rig;
        mc_rig_open(&rig, greet_as, unchanged(&refusals[i].welcome));
        hearth__remote_op op = plain_get(&rig, "key");
        (void)mc_rig_run_within(&rig, &op, MC_RIG_LATE_MS);
        assert_true(op.status == HEARTH_E_UNAVAILABLE ||
                    (i == 1 && op.status == HEARTH_E_TIMEOUT));
        assert_int_equal(mc_rig_count(&rig, HEARTH__STAT_connect_errors), 1);
        if (op.status == HEARTH_E_UNAVAILABLE) {
            assert_true(mc_rig_logged(&rig, refusals[i].level, refusals[i].logged));
        }
        mc_rig_close(&rig);
    }
}

/* A server that was set up anew may know less: what was asked in vain is an error once. */
static void become_older(struct scripted_client *client, void *arg) {
    struct mc_asked asked;
    (void)arg;
    if (client->number == 0) {
        (void)mc_greet(client);
        (void)mc_await(client, "mg key ", &asked);
        (void)mc_say(client, &asked, "EN O@\r\n");
        return;
    }
    static const char older[] = "VERSION 1.4.25\r\nERROR\r\n";
    (void)scripted_await(client, "version\r\n");
    (void)scripted_await(client, "\r\n");
    (void)scripted_send(client, older, sizeof older - 1);
    while (scripted_await(client, "key")) {
        bool text =
            scripted_read_line(client, asked.line, sizeof asked.line) && asked.line[0] == '\0';
        (void)scripted_send(client, text ? "END\r\n" : "ERROR\r\n", text ? 5 : 7);
    }
}

static void the_protocol_is_found_out_anew(void **state) {
    (void)state;
    struct mc_rig rig;
    mc_rig_open(&rig, become_older, NULL);
    (void)mc_rig_expect(&rig, plain_get(&rig, "key"), HEARTH_MISS);
    int32_t status = HEARTH_E_PROTOCOL;
    for (int i = 0; i < 3 && status != HEARTH_MISS; i++) {
        hearth__remote_op op = plain_get(&rig, "key");
        status = mc_rig_run_within(&rig, &op, MC_RIG_DEADLINE_MS);
        assert_true(status == HEARTH_MISS || status == HEARTH_E_PROTOCOL);
    }
    assert_int_equal(status, HEARTH_MISS);
    mc_rig_close(&rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reply_split_anywhere_is_whole),
        cmocka_unit_test(a_reply_cut_anywhere_is_an_error),
        cmocka_unit_test(a_late_answer_is_dropped_in_its_place),
        cmocka_unit_test(another_number_or_key_ends_the_connection),
        cmocka_unit_test(an_excess_answer_ends_the_connection),
        cmocka_unit_test(a_write_without_an_answer_is_unknown_and_sent_once),
        cmocka_unit_test(a_write_answered_by_nonsense_is_unknown),
        cmocka_unit_test(a_swap_is_bound_to_the_connection_of_its_look),
        cmocka_unit_test(a_count_that_is_not_taken_back_is_unknown),
        cmocka_unit_test(a_delete_is_sent_once_more),
        cmocka_unit_test(a_broken_pipeline_tells_what_is_known),
        cmocka_unit_test(a_read_is_asked_again_where_an_idle_connection_ended),
        cmocka_unit_test(the_protocol_is_found_out),
        cmocka_unit_test(a_server_that_lets_nobody_in_says_why),
        cmocka_unit_test(the_protocol_is_found_out_anew),
    };
    return cmocka_run_group_tests_name("memcached broken", tests, NULL, NULL);
}
