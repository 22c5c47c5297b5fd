/* SPDX-License-Identifier: Apache-2.0 */
/* Replies that are no replies, or refusals: an error, the connection closed where it is out of
 * step, and never memory or time by a number that the network said. */
#include "remote/redis_rig.h"
#include "support/sanitizer.h"
#include "support/scripted_server.h"

#include "base/clock.h"

#include <sys/resource.h>

struct reply {
    const char *bytes;
    size_t size;
    _Atomic size_t endless; /* bytes sent of a reply without an end */
};

struct stage {
    struct scripted_server server;
    struct reply reply;
    struct redis_rig rig;
};

static void open_stage(struct stage *stage, scripted_serve *serve) {
    scripted_server_start(&stage->server, 1, serve, &stage->reply);
    stage->rig = redis_rig_at(stage->server.path, 0);
    redis_rig_open(&stage->rig);
}

static void close_stage(struct stage *stage) {
    redis_rig_close(&stage->rig);
    scripted_server_stop(&stage->server);
}

/* Says the same to every question. */
static void say(struct scripted_client *client, void *arg) {
    const struct reply *reply = arg;
    while (scripted_await(client, "\r\nkey\r\n") &&
           scripted_send(client, reply->bytes, reply->size)) {
    }
}

static long peak_kib(void) {
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_maxrss;
}

/* A literal that may hold a NUL. */
#define BYTES(literal) (literal), sizeof(literal) - 1

/* What is no reply to a GET. Those that could still become one end by the deadline. */
static const struct {
    const char *bytes;
    size_t size;
} no_replies[] = {
    {BYTES("*2147483647\r\n")},
    {BYTES("*268435456\r\n")},
    {BYTES("*9223372036854775807\r\n")},
    {BYTES("*5\r\n")},
    {BYTES("*-2\r\n")},
    {BYTES("*0\r\n")},
    {BYTES("*1\r\n$1\r\na\r\n")},
    {BYTES("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n")},
    {BYTES("$-2\r\n")},
    {BYTES("$-9223372036854775808\r\n")},
    {BYTES("$99999999999\r\n")},
    {BYTES("$9223372036854775807\r\n")},
    {BYTES("$9223372036854775808\r\n")},
    {BYTES("$18446744073709551616\r\n")},
    {BYTES("$100000000000000000000000000000")},
    {BYTES("$ 5\r\nhello\r\n")},
    {BYTES("$5x\r\nhello\r\n")},
    {BYTES("$05\r\nhello\r\n")},
    {BYTES("$\r\nhello\r\n")},
    {BYTES("$5\r\nhelloXX")},
    {BYTES("$5\r\nhello\n\r")},
    {BYTES("$5\r\nhelloo\r\n")},
    {BYTES("$4\r\nhello\r\n")},
    {BYTES(":1\r\n")},
    {BYTES(":9223372036854775808\r\n")},
    {BYTES(":\r\n")},
    {BYTES(":one\r\n")},
    {BYTES("+OK\r\n")},
    {BYTES("_\r\n")},
    {BYTES("#t\r\n")},
    {BYTES(",1.5\r\n")},
    {BYTES("(1\r\n")},
    {BYTES("%1\r\n+a\r\n+b\r\n")},
    {BYTES("~1\r\n+a\r\n")},
    {BYTES(">1\r\n+a\r\n")},
    {BYTES("=5\r\ntxt:a\r\n")},
    {BYTES("!3\r\nERR\r\n")},
    {BYTES("|1\r\n+a\r\n+b\r\n")},
    {BYTES("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")},
    {BYTES("SSH-2.0-OpenSSH_9.2\r\n")},
    {BYTES("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")},
    {BYTES("VALUE key 0 1\r\na\r\nEND\r\n")},
    {BYTES("\0\0\0\0\r\n")},
    {BYTES("\r\n")},
    {BYTES("\n")},
};

static void what_is_no_reply_is_an_error_and_ends_the_connection(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof no_replies / sizeof no_replies[0]; i++) {
        struct stage stage = {.reply = {no_replies[i].bytes, no_replies[i].size, 0}};
        open_stage(&stage, say);
        hearth__remote_op op = redis_rig_op(&stage.rig, HEARTH__GET, "key", NULL);
        op.want_ttl = false;
        (void)redis_rig_run_within(&stage.rig, &op, REDIS_RIG_LATE_MS);
        if (op.status != HEARTH_E_PROTOCOL && op.status != HEARTH_E_TIMEOUT) {
            fail_msg("%s: %s", no_replies[i].bytes, hearth_status_name(op.status));
        }
        assert_int_equal(redis_rig_count(&stage.rig, HEARTH__STAT_disconnects), 1);
        assert_int_equal(stage.rig.body.size, 0);
        close_stage(&stage);
    }
}

static void a_write_answered_by_nonsense_is_unknown(void **state) {
    (void)state;
    static const char *const replies[] = {":7\r\n",  "$2\r\nOK\r\n", "+QUEUED\r\n",
                                          "$-1\r\n", "*0\r\n",       "?\r\n"};
    for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++) {
        struct stage stage = {.reply = {replies[i], strlen(replies[i]), 0}};
        open_stage(&stage, say);
        (void)redis_rig_expect(&stage.rig, redis_rig_op(&stage.rig, HEARTH__SET, "key", "a"),
                               HEARTH_E_UNKNOWN);
        assert_int_equal(redis_rig_count(&stage.rig, HEARTH__STAT_disconnects), 1);
        close_stage(&stage);
    }
}

/* What every connection says to every question now. */
static _Atomic(const char *) always;

static void say_always(struct scripted_client *client, void *arg) {
    (void)arg;
    while (scripted_await(client, "\r\nkey\r\n")) {
        const char *reply = atomic_load(&always);
        (void)scripted_send(client, reply, strlen(reply));
    }
}

/* What ends at once, to any question: whatever was asked, it is an error, and a new connection is
 * made. */
static void nonsense_answers_no_verb(void **state) {
    (void)state;
    static const char *const replies[] = {
        "*2147483647\r\n",
        "*268435456\r\n",
        "$-2\r\n",
        "$99999999999\r\n",
        ":9223372036854775808\r\n",
        "*1\r\n*1\r\n*1\r\n:1\r\n",
        "$5\r\nhelloXX",
        "%1\r\n+a\r\n+b\r\n",
        "_\r\n",
        "+QUEUED\r\n",
        ":77\r\n",
        "VALUE key 0 1\r\na\r\nEND\r\n",
        "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
    };
    static const enum hearth__verb verbs[] = {
        HEARTH__GET,  HEARTH__SET,   HEARTH__ADD,       HEARTH__REPLACE,
        HEARTH__SWAP, HEARTH__TOUCH, HEARTH__INCREMENT, HEARTH__DELETE,
    };
    long before = peak_kib();
    struct stage stage = {.reply = {"", 0, 0}};
    open_stage(&stage, say_always);
    for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++) {
        atomic_store(&always, replies[i]);
        for (size_t j = 0; j < sizeof verbs / sizeof verbs[0]; j++) {
            bool stores = j >= 1 && j <= 4;
            hearth__remote_op op =
                redis_rig_op(&stage.rig, verbs[j], "key", stores ? "body" : NULL);
            op.if_version = 1;
            (void)redis_rig_run_within(&stage.rig, &op, REDIS_RIG_DEADLINE_MS);
            if (op.status >= 0 || op.status == HEARTH_E_TIMEOUT) {
                fail_msg("%s to verb %d: %s", replies[i], (int)verbs[j],
                         hearth_status_name(op.status));
            }
            assert_int_equal(stage.rig.body.size, 0);
        }
    }
    assert_true(redis_rig_count(&stage.rig, HEARTH__STAT_disconnects) >=
                sizeof replies / sizeof replies[0] * sizeof verbs / sizeof verbs[0]);
    close_stage(&stage);
#if !SANITIZED
    assert_true(peak_kib() - before < (REDIS_RIG_MAX_VALUE >> 10) + 1024);
#else
    (void)before;
#endif
}

/* ---- no end, and too much ------------------------------------------------------------------- */

static void go_on(struct scripted_client *client, void *arg) {
    static const char more[65536] = {0};
    struct reply *reply = arg;
    (void)scripted_await(client, "\r\nkey\r\n");
    (void)scripted_send(client, reply->bytes, reply->size);
    while (scripted_send(client, more, sizeof more)) {
        atomic_fetch_add(&reply->endless, sizeof more);
    }
}

static void what_has_no_end_is_not_waited_for(void **state) {
    (void)state;
    static const struct {
        const char *reply;
        int32_t status;
    } cases[] = {
        {"+a", HEARTH_E_PROTOCOL},
        {"-ERR ", HEARTH_E_PROTOCOL},
        {":1", HEARTH_E_PROTOCOL},
        {"$1", HEARTH_E_PROTOCOL},
        {"*1", HEARTH_E_PROTOCOL},
        {"$99999999999\r\n", HEARTH_E_PROTOCOL},
        {"$500000000\r\n", HEARTH_E_TOO_LARGE},
        {"$1052673\r\n", HEARTH_E_TOO_LARGE}, /* a byte more than may be */
    };
    long before = peak_kib();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct stage stage = {.reply = {cases[i].reply, strlen(cases[i].reply), 0}};
        open_stage(&stage, go_on);
        hearth__remote_op op = redis_rig_op(&stage.rig, HEARTH__GET, "key", NULL);
        op.want_ttl = false;
        (void)redis_rig_expect(&stage.rig, op, cases[i].status);
        close_stage(&stage);
        assert_true(atomic_load(&stage.reply.endless) < (size_t)4 << 20);
    }
#if !SANITIZED
    assert_true(peak_kib() - before < (REDIS_RIG_MAX_VALUE >> 10) + 1024);
#else
    (void)before;
#endif
}

static void nonsense_does_not_grow_with_the_number_it_says(void **state) {
    (void)state;
    long before = peak_kib();
    what_is_no_reply_is_an_error_and_ends_the_connection(state);
#if !SANITIZED
    assert_true(peak_kib() - before < (REDIS_RIG_MAX_VALUE >> 10) + 1024);
#else
    (void)before;
#endif
}

/* The largest value that is allowed, whole. */
static void say_much(struct scripted_client *client, void *arg) {
    static const char most[REDIS_RIG_MAX_VALUE + 4096] = {0};
    (void)arg;
    (void)scripted_await(client, "\r\nkey\r\n");
    (void)scripted_send(client, "$1052672\r\n", 10);
    (void)scripted_send(client, most, sizeof most);
    (void)scripted_send(client, "\r\n", 2);
    scripted_await_close(client);
}

static void the_largest_reply_is_taken(void **state) {
    (void)state;
    struct stage stage = {.reply = {"", 0, 0}};
    open_stage(&stage, say_much);
    stage.rig.config.accept_foreign = true;
    hearth__remote_op op = redis_rig_op(&stage.rig, HEARTH__GET, "key", NULL);
    op.want_ttl = false;
    (void)redis_rig_expect(&stage.rig, op, HEARTH_OK);
    assert_int_equal(stage.rig.body.size, REDIS_RIG_MAX_VALUE + 4096);
    close_stage(&stage);
}

/* A server that says a byte now and then is still no server that answers. */
static void trickle(struct scripted_client *client, void *arg) {
    (void)arg;
    (void)scripted_await(client, "\r\nkey\r\n");
    (void)scripted_send(client, "$1000000\r\n", 10);
    while (scripted_send(client, "a", 1) && scripted_await_read(client)) {
    }
}

static void a_trickle_does_not_stretch_a_deadline(void **state) {
    (void)state;
    struct stage stage = {.reply = {"", 0, 0}};
    open_stage(&stage, trickle);
    hearth__remote_op op = redis_rig_op(&stage.rig, HEARTH__GET, "key", NULL);
    op.want_ttl = false;
    redis_rig_same_status(redis_rig_run_within(&stage.rig, &op, REDIS_RIG_SHORT_MS),
                          HEARTH_E_TIMEOUT, "get from a trickle");
    close_stage(&stage);
}

/* ---- refusals ------------------------------------------------------------------------------- */

static void a_servers_refusals_are_told_apart(void **state) {
    (void)state;
    static const struct {
        const char *words;
        int32_t status;
    } cases[] = {
        {"WRONGTYPE Operation against a key", HEARTH_E_TYPE},
        {"NOAUTH Authentication required.", HEARTH_E_UNAVAILABLE},
        {"NOPERM this user has no permissions", HEARTH_E_UNAVAILABLE},
        {"LOADING Redis is loading the dataset in memory", HEARTH_E_UNAVAILABLE},
        {"MASTERDOWN Link with MASTER is down", HEARTH_E_UNAVAILABLE},
        {"READONLY You can't write against a read only replica.", HEARTH_E_UNAVAILABLE},
        {"OOM command not allowed when used memory > 'maxmemory'.", HEARTH_E_UNAVAILABLE},
        {"BUSY Redis is busy running a script.", HEARTH_E_UNAVAILABLE},
        {"MISCONF Redis is configured to save RDB snapshots", HEARTH_E_UNAVAILABLE},
        {"CLUSTERDOWN The cluster is down", HEARTH_E_UNAVAILABLE},
        {"MOVED 3999 127.0.0.1:6381", HEARTH_E_UNAVAILABLE},
        {"ASK 3999 127.0.0.1:6381", HEARTH_E_UNAVAILABLE},
        {"TRYAGAIN Multiple keys request during rehashing", HEARTH_E_UNAVAILABLE},
        {"ERR max number of clients reached", HEARTH_E_UNAVAILABLE},
        /* to the placeholder that takes the older value with it, too */
        {"ERR string exceeds maximum allowed size (512MB)", HEARTH_E_UNKNOWN},
        {"ERR Protocol error: invalid bulk length", HEARTH_E_UNKNOWN},
        {"ERR syntax error", HEARTH_E_PROTOCOL},
        {"", HEARTH_E_PROTOCOL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[128];
        int size = snprintf(text, sizeof text, "-%s\r\n", cases[i].words);
        struct stage stage = {.reply = {text, (size_t)size, 0}};
        open_stage(&stage, say);
        hearth__remote_op op = redis_rig_op(&stage.rig, HEARTH__SET, "key", "body");
        (void)redis_rig_expect(&stage.rig, op, cases[i].status);
        assert_int_equal(redis_rig_count(&stage.rig, HEARTH__STAT_disconnects), 0);
        if (cases[i].status == HEARTH_E_UNAVAILABLE) {
            assert_true(redis_rig_logged(&stage.rig, HEARTH_LOG_WARNING, cases[i].words));
        }
        close_stage(&stage);
    }
}

/* A server that refused a size still holds what was to be replaced, until it is told otherwise. */
static void refuse_the_first(struct scripted_client *client, void *arg) {
    static const char refusal[] = "-ERR Protocol error: invalid bulk length\r\n";
    _Atomic bool *placeholder_came = arg;
    if (scripted_await(client, "\r\nkey\r\n") &&
        scripted_send(client, refusal, sizeof refusal - 1) &&
        scripted_await(client, "\r\nkey\r\n") &&
        scripted_await(client, "\r\n$2\r\nPX\r\n$1\r\n1\r\n")) {
        atomic_store(placeholder_came, true);
        (void)scripted_send(client, "+OK\r\n", 5);
    }
    scripted_await_close(client);
}

static void what_was_to_be_replaced_by_too_much_goes(void **state) {
    (void)state;
    _Atomic bool placeholder_came = false;
    struct stage stage = {.reply = {"", 0, 0}};
    scripted_server_start(&stage.server, 1, refuse_the_first, &placeholder_came);
    stage.rig = redis_rig_at(stage.server.path, 0);
    redis_rig_open(&stage.rig);
    hearth__remote_op op = redis_rig_op(&stage.rig, HEARTH__SET, "key", "body");
    (void)redis_rig_expect(&stage.rig, op, HEARTH_E_TOO_LARGE);
    close_stage(&stage);
    assert_true(atomic_load(&placeholder_came));
}

/* A log is read in terminals, and is no place for what was cached. */
static void a_servers_words_are_logged_with_care(void **state) {
    (void)state;
    static const char text[] = "-ERR unknown \x1b[31m\n'SET', with args beginning with: 'key' "
                               "'secret'\r\n";
    struct stage stage = {.reply = {text, sizeof text - 1, 0}};
    open_stage(&stage, say);
    for (unsigned i = 0; i < 5; i++) {
        (void)redis_rig_expect(&stage.rig, redis_rig_op(&stage.rig, HEARTH__SET, "key", "body"),
                               HEARTH_E_PROTOCOL);
    }
    hearth_log_record record = {.size = sizeof record};
    assert_int_equal(hearth__log_next(stage.rig.config.log, &record), HEARTH_OK);
    assert_non_null(strstr(record.text, "the-node"));
    assert_non_null(strstr(record.text, "ERR unknown ?[31m?'SET'"));
    assert_null(strstr(record.text, "secret"));
    close_stage(&stage);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_has_no_end_is_not_waited_for),
        cmocka_unit_test(nonsense_does_not_grow_with_the_number_it_says),
        cmocka_unit_test(nonsense_answers_no_verb),
        cmocka_unit_test(a_write_answered_by_nonsense_is_unknown),
        cmocka_unit_test(the_largest_reply_is_taken),
        cmocka_unit_test(a_trickle_does_not_stretch_a_deadline),
        cmocka_unit_test(a_servers_refusals_are_told_apart),
        cmocka_unit_test(what_was_to_be_replaced_by_too_much_goes),
        cmocka_unit_test(a_servers_words_are_logged_with_care),
    };
    return cmocka_run_group_tests_name("redis hostile", tests, NULL, NULL);
}
