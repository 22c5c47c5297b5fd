/* SPDX-License-Identifier: Apache-2.0 */
/* Replies that are no replies, or refusals: an error, the connection closed where it is out of
 * step, and never memory or time by a number that the network said. */
#include "remote/memcached_rig.h"

#include "base/clock.h"
#include "remote/envelope.h"
#include "support/sanitizer.h"

#include <sys/resource.h>

/* What the server says to every question; '@' is its number. */
struct reply {
    const char *bytes;
    size_t size;
    _Atomic size_t endless; /* bytes sent of a reply without an end */
};

/* With NULs as they are. */
static bool send_reply(struct scripted_client *client, const struct mc_asked *asked,
                       const struct reply *reply) {
    const char *at = memchr(reply->bytes, '@', reply->size);
    if (at == NULL) {
        return scripted_send(client, reply->bytes, reply->size);
    }
    char number[16];
    size_t before = (size_t)(at - reply->bytes);
    int size = snprintf(number, sizeof number, "%u", asked->opaque);
    return scripted_send(client, reply->bytes, before) &&
           scripted_send(client, number, (size_t)size) &&
           scripted_send(client, at + 1, reply->size - before - 1);
}

static void say(struct scripted_client *client, void *arg) {
    struct mc_asked asked;
    (void)mc_greet(client);
    while (mc_await(client, " key ", &asked) && send_reply(client, &asked, arg)) {
    }
}

static long peak_kib(void) {
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_maxrss;
}

/* A literal that may hold a NUL. */
#define BYTES(literal) (literal), sizeof(literal) - 1

#define KEY_50  "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
#define KEY_330 KEY_50 KEY_50 KEY_50 KEY_50 KEY_50 KEY_50 "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"

/* What is no reply to a GET. Those that could still become one end by the deadline. */
static const struct {
    const char *bytes;
    size_t size;
} no_replies[] = {
    {BYTES("VA 100000000000000 kkey O@\r\n")},
    {BYTES("VA 99999999999999999999999 kkey O@\r\n")},
    {BYTES("VA 18446744073709551616 kkey O@\r\n")},
    {BYTES("VA -1 kkey O@\r\n")},
    {BYTES("VA 5x kkey O@\r\nhello\r\n")},
    {BYTES("VA 05 kkey O@\r\nhello\r\n")},
    {BYTES("VA  kkey O@\r\nhello\r\n")},
    {BYTES("VA 5 kkey O@\r\nhelloXX")},
    {BYTES("VA 5 kkey O@\r\nhello\n\r")},
    {BYTES("VA 5 kkey O@\r\nhelloo\r\n")},
    {BYTES("VA 4 kkey O@\r\nhello\r\n")},
    {BYTES("VA 5 k" KEY_330 " O@\r\nhello\r\n")},
    {BYTES("VA 5 kk\0y O@\r\nhello\r\n")},
    {BYTES("VA 5 kkey O@@\r\nhello\r\n")},
    {BYTES("VA 5 kkey O-1\r\nhello\r\n")},
    {BYTES("VA 5 kkey c-1 O@\r\nhello\r\n")},
    {BYTES("VA 5 kkey t-5 O@\r\nhello\r\n")},
    {BYTES("VALUE " KEY_330 " 0 5\r\nhello\r\nEND\r\n")},
    {BYTES("VALUE key 0 99999999999999\r\n")},
    {BYTES("VALUE key 0 -5\r\n")},
    {BYTES("VALUE key 0 5 1\r\nhello\r\nEND\r\n")},
    {BYTES("END\r\n")},
    {BYTES("HD O@\r\n")},
    {BYTES("NS O@\r\n")},
    {BYTES("EX O@\r\n")},
    {BYTES("NF O@\r\n")},
    {BYTES("MN\r\n")},
    {BYTES("15\r\n")},
    {BYTES("STORED\r\n")},
    {BYTES("ERROR\r\n")},
    {BYTES("CLIENT_ERROR bad command line format\r\n")},
    {BYTES("\x81\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\r\n")},
    {BYTES("$5\r\nhello\r\n")},
    {BYTES("*2147483647\r\n")},
    {BYTES(":1\r\n")},
    {BYTES("%1\r\n+a\r\n+b\r\n")},
    {BYTES("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")},
    {BYTES("SSH-2.0-OpenSSH_9.2\r\n")},
    {BYTES("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")},
    {BYTES("\0\0\0\0\r\n")},
    {BYTES("\r\n")},
    {BYTES("\n")},
};

static void what_is_no_reply_is_an_error_and_ends_the_connection(void **state) {
    (void)state;
    long before = peak_kib();
    for (size_t i = 0; i < sizeof no_replies / sizeof no_replies[0]; i++) {
        struct mc_rig rig;
        struct reply reply = {no_replies[i].bytes, no_replies[i].size, 0};
        mc_rig_open(&rig, say, &reply);
        hearth__remote_op op = mc_rig_op(&rig, HEARTH__GET, "key", NULL);
        (void)mc_rig_run_within(&rig, &op, MC_RIG_LATE_MS);
        if (op.status != HEARTH_E_PROTOCOL && op.status != HEARTH_E_TIMEOUT) {
            fail_msg("%s: %s", no_replies[i].bytes, hearth_status_name(op.status));
        }
        assert_int_equal(mc_rig_count(&rig, HEARTH__STAT_disconnects),
                         op.status == HEARTH_E_PROTOCOL);
        assert_int_equal(rig.body.size, 0);
        mc_rig_close(&rig);
    }
#if !SANITIZED /* it does not grow with the number it says */
    assert_true(peak_kib() - before < (MC_RIG_MAX_VALUE >> 10) + 1024);
#else
    (void)before;
#endif
}

/* The same to any question, whatever protocol it was asked in. */
static _Atomic(const char *) always;

static void say_always(struct scripted_client *client, void *arg) {
    struct mc_asked asked;
    const bool *meta = arg;
    static const char version[] = "VERSION 1.6.18\r\n";
    static const char probe[] = "EN khearth-probe O1\r\n";
    (void)scripted_await(client, "version\r\n");
    (void)scripted_send(client, version, sizeof version - 1);
    if (*meta && scripted_await(client, "mg hearth-probe v t c f k O1\r\n")) {
        (void)scripted_send(client, probe, sizeof probe - 1);
    }
    while (mc_await(client, " key", &asked) && mc_say(client, &asked, atomic_load(&always))) {
    }
}

/* What ends at once: it is an error, whatever was asked, and a new connection is made. */
static void nonsense_answers_no_verb(void **state) {
    (void)state;
    static const char *const replies[] = {
        "VA 100000000000000 kkey O@\r\n",
        "VA -1 kkey O@\r\n",
        "VA 5 kkey O@\r\nhelloXX",
        "VA 5 k" KEY_330 " O@\r\nhello\r\n",
        "VALUE " KEY_330 " 0 5\r\nhello\r\nEND\r\n",
        "VALUE key 0 99999999999999\r\n",
        "VALUE key 0 -5\r\n",
        "HD O9@\r\n",
        "EN kother O@\r\n",
        "MN\r\n",
        "-1\r\n",
        "18446744073709551616\r\n",
        "$5\r\nhello\r\n",
        "*2147483647\r\n",
        "\x81\x01\x02\r\n",
        "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
        "\r\n",
    };
    static const enum hearth__verb verbs[] = {
        HEARTH__GET,  HEARTH__SET,   HEARTH__ADD,       HEARTH__REPLACE,
        HEARTH__SWAP, HEARTH__TOUCH, HEARTH__INCREMENT, HEARTH__DELETE,
    };
    const size_t verb_count = sizeof verbs / sizeof verbs[0];
    const size_t count = sizeof replies / sizeof replies[0] * verb_count;
    for (int protocol = 0; protocol < 2; protocol++) {
        struct mc_rig rig;
        bool meta = protocol == 0;
        mc_rig_open(&rig, say_always, &meta);
        rig.config.memcached_text = !meta;
        mc_rig_reopen(&rig);
        for (size_t i = 0; i < count; i++) {
            const char *words = replies[i / verb_count];
            bool stores = i % verb_count >= 1 && i % verb_count <= 4;
            hearth__remote_op op =
                mc_rig_op(&rig, verbs[i % verb_count], "key", stores ? "body" : NULL);
            atomic_store(&always, words);
            op.if_version = 1;
            op.number = 1;
            (void)mc_rig_run_within(&rig, &op, MC_RIG_DEADLINE_MS);
            if (op.status >= 0 || op.status == HEARTH_E_TIMEOUT) {
                fail_msg("%s to verb %d: %s", words, (int)op.verb,
                         hearth_status_name(op.status));
            }
            assert_int_equal(rig.body.size, 0);
        }
        assert_true(mc_rig_count(&rig, HEARTH__STAT_disconnects) >= count);
        mc_rig_close(&rig);
    }
}

/* ---- no end, and too much ------------------------------------------------------------------- */

static void go_on(struct scripted_client *client, void *arg) {
    static const char more[65536] = {0};
    struct reply *reply = arg;
    struct mc_asked asked;
    (void)mc_greet(client);
    (void)mc_await(client, " key ", &asked);
    (void)send_reply(client, &asked, reply);
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
        {"SERVER_ERROR ", HEARTH_E_PROTOCOL},
        {"EN", HEARTH_E_PROTOCOL},
        {"VA 1", HEARTH_E_PROTOCOL},
        {"VA 5 kkey O@ ", HEARTH_E_PROTOCOL},
        {"1", HEARTH_E_PROTOCOL},
        {"VA 99999999999 kkey O@\r\n", HEARTH_E_PROTOCOL},
        {"VA 500000000 kkey O@\r\n", HEARTH_E_TOO_LARGE},
        {"VA 1082719 kkey O@\r\n", HEARTH_E_TOO_LARGE}, /* a byte more than may be */
    };
    long before = peak_kib();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mc_rig rig;
        struct reply reply = {cases[i].reply, strlen(cases[i].reply), 0};
        mc_rig_open(&rig, go_on, &reply);
        (void)mc_rig_expect(&rig, mc_rig_op(&rig, HEARTH__GET, "key", NULL), cases[i].status);
        mc_rig_close(&rig);
        assert_true(atomic_load(&reply.endless) < (size_t)4 << 20);
    }
#if !SANITIZED
    assert_true(peak_kib() - before < (MC_RIG_MAX_VALUE >> 10) + 1024);
#else
    (void)before;
#endif
}

enum { MOST = MC_RIG_MAX_VALUE + HEARTH__ENVELOPE_MAX };

/* The largest value that is allowed, whole. */
static void say_much(struct scripted_client *client, void *arg) {
    static const char most[MOST] = {0};
    struct mc_asked asked;
    char line[64];
    (void)arg;
    (void)mc_greet(client);
    (void)mc_await(client, " key ", &asked);
    snprintf(line, sizeof line, "VA %d t-1 c1 f0 kkey O@\r\n", MOST);
    (void)mc_say(client, &asked, line);
    (void)scripted_send(client, most, sizeof most);
    (void)scripted_send(client, "\r\n", 2);
    scripted_await_close(client);
}

static void the_largest_reply_is_taken(void **state) {
    (void)state;
    struct mc_rig rig;
    mc_rig_open(&rig, say_much, NULL);
    rig.config.accept_foreign = true;
    (void)mc_rig_expect(&rig, mc_rig_op(&rig, HEARTH__GET, "key", NULL), HEARTH_OK);
    assert_int_equal(rig.body.size, MOST);
    mc_rig_close(&rig);
}

/* A server that says a byte now and then is still no server that answers. */
static void trickle(struct scripted_client *client, void *arg) {
    struct mc_asked asked;
    (void)arg;
    (void)mc_greet(client);
    (void)mc_await(client, " key ", &asked);
    (void)mc_say(client, &asked, "VA 1000000 t-1 c1 f0 kkey O@\r\n");
    while (scripted_send(client, "a", 1) && scripted_await_read(client)) {
    }
}

static void a_trickle_does_not_stretch_a_deadline(void **state) {
    (void)state;
    struct mc_rig rig;
    mc_rig_open(&rig, trickle, NULL);
    hearth__remote_op op = mc_rig_op(&rig, HEARTH__GET, "key", NULL);
    mc_rig_same_status(mc_rig_run_within(&rig, &op, MC_RIG_SHORT_MS), HEARTH_E_TIMEOUT,
                       "get from a trickle");
    mc_rig_close(&rig);
}

/* ---- refusals ------------------------------------------------------------------------------- */

static void a_servers_refusals_are_told_apart(void **state) {
    (void)state;
    static const struct {
        const char *words;
        int32_t status;
    } cases[] = {
        {"SERVER_ERROR object too large for cache", HEARTH_E_TOO_LARGE},
        {"SERVER_ERROR out of memory storing object", HEARTH_E_UNAVAILABLE},
        {"SERVER_ERROR Host is down", HEARTH_E_UNAVAILABLE}, /* a proxy's */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[128];
        int size = snprintf(text, sizeof text, "%s\r\n", cases[i].words);
        struct mc_rig rig;
        struct reply reply = {text, (size_t)size, 0};
        mc_rig_open(&rig, say, &reply);
        (void)mc_rig_expect(&rig, mc_rig_op(&rig, HEARTH__SET, "key", "body"), cases[i].status);
        assert_int_equal(mc_rig_count(&rig, HEARTH__STAT_disconnects), 0);
        if (cases[i].status == HEARTH_E_UNAVAILABLE) {
            assert_true(mc_rig_logged(&rig, HEARTH_LOG_WARNING, cases[i].words + 13));
        }
        mc_rig_close(&rig);
    }
}

/* A log is read in terminals. */
static void a_servers_words_are_logged_with_care(void **state) {
    (void)state;
    static const char text[] = "SERVER_ERROR \x7f[31m\xc3\xa9 and more\r\n";
    struct mc_rig rig;
    struct reply reply = {text, sizeof text - 1, 0};
    mc_rig_open(&rig, say, &reply);
    for (unsigned i = 0; i < 5; i++) {
        (void)mc_rig_expect(&rig, mc_rig_op(&rig, HEARTH__SET, "key", "body"),
                            HEARTH_E_UNAVAILABLE);
    }
    hearth_log_record record = {.size = sizeof record};
    assert_int_equal(hearth__log_next(rig.config.log, &record), HEARTH_OK);
    assert_non_null(strstr(record.text, "node the-node refuses: ?[31m?? and more"));
    assert_int_equal(hearth__log_next(rig.config.log, &record),
                     HEARTH_MISS); /* once a second */
    mc_rig_close(&rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_has_no_end_is_not_waited_for),
        cmocka_unit_test(what_is_no_reply_is_an_error_and_ends_the_connection),
        cmocka_unit_test(nonsense_answers_no_verb),
        cmocka_unit_test(the_largest_reply_is_taken),
        cmocka_unit_test(a_trickle_does_not_stretch_a_deadline),
        cmocka_unit_test(a_servers_refusals_are_told_apart),
        cmocka_unit_test(a_servers_words_are_logged_with_care),
    };
    return cmocka_run_group_tests_name("memcached hostile", tests, NULL, NULL);
}
