/* SPDX-License-Identifier: Apache-2.0 */
/* What a reply says to what was asked, and that it is no reply to anything else. */
#include "remote/memcached_hear.h"

#include <hearth/errors.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

enum { OPAQUE = 7 };

/* One request, and what is heard to it. */
struct ear {
    hearth__notes notes;
    bool half_sent;
    enum hearth__heard heard;
    char kept[64];
    size_t kept_size; /* SIZE_MAX: nothing */
};

static bool hear(void *arg, const hearth__mc_reply *reply) {
    struct ear *ear = arg;
    hearth__kept kept;
    ear->heard = hearth__mc_hear(&ear->notes, reply, ear->half_sent, &kept);
    ear->kept_size = kept.bytes != NULL ? kept.size : SIZE_MAX;
    if (kept.bytes != NULL) {
        memcpy(ear->kept, kept.bytes, kept.size);
    }
    return ear->heard != HEARTH__HEARD_NONSENSE;
}

static struct ear ask(enum hearth__mc_asked asked, bool meta) {
    struct ear ear = {.heard = HEARTH__HEARD_MORE};
    hearth__wire_key key;
    hearth__wire_key_init(&key, "k", 1);
    hearth__mc_note(&ear.notes, asked, meta, OPAQUE, &key);
    return ear;
}

static enum hearth__heard say(struct ear *ear, const char *text) {
    hearth__mc_parser parser = {.limit = sizeof ear->kept};
    (void)hearth__mc_parser_feed(&parser, text, strlen(text), hear, ear);
    hearth__mc_parser_fini(&parser);
    return ear->heard;
}

#define M (HEARTH__MC_ASK_META)

/* Every reply that a server of version 1.6.18 gives. */
static const struct {
    unsigned asked;
    enum hearth__mc_answer answer;
    const char *reply;
} replies[] = {
    {HEARTH__MC_ASK_VERSION, HEARTH__MC_DONE, "VERSION 1.6.18\r\n"},
    {HEARTH__MC_ASK_PROBE | M, HEARTH__MC_NOTHING, "EN O7 kk\r\n"},
    {HEARTH__MC_ASK_PROBE | M, HEARTH__MC_DONE, "VA 1 O7 kk\r\nx\r\n"},
    {HEARTH__MC_ASK_GET | M, HEARTH__MC_DONE, "VA 1 t9 c5 f0 kk O7\r\nx\r\n"},
    {HEARTH__MC_ASK_GET | M, HEARTH__MC_STALE, "VA 1 t9 c5 f0 kk O7 X W\r\nx\r\n"},
    {HEARTH__MC_ASK_GET | M, HEARTH__MC_DONE, "VA 1 t9 c5 f0 kk O7 Z\r\nx\r\n"},
    {HEARTH__MC_ASK_GET | M, HEARTH__MC_PROMISED, "VA 0 t9 c5 f0 kk O7 Z\r\n\r\n"},
    {HEARTH__MC_ASK_GET | M, HEARTH__MC_PROMISED, "VA 0 t9 c5 f0 kk O7 W\r\n\r\n"},
    {HEARTH__MC_ASK_GET | M, HEARTH__MC_DONE, "VA 0 t9 c5 f0 kk O7\r\n\r\n"},
    {HEARTH__MC_ASK_GET | M, HEARTH__MC_NOTHING, "EN kk O7\r\n"},
    {HEARTH__MC_ASK_GET | M, HEARTH__MC_NOTHING, "EN O7\r\n"},
    {HEARTH__MC_ASK_SET | M, HEARTH__MC_DONE, "HD O7\r\n"},
    {HEARTH__MC_ASK_ADD | M, HEARTH__MC_DONE, "HD O7\r\n"},
    {HEARTH__MC_ASK_ADD | M, HEARTH__MC_OTHER, "NS O7\r\n"},
    {HEARTH__MC_ASK_SWAP | M, HEARTH__MC_DONE, "HD O7\r\n"},
    {HEARTH__MC_ASK_SWAP | M, HEARTH__MC_OTHER, "EX O7\r\n"},
    {HEARTH__MC_ASK_SWAP | M, HEARTH__MC_NOTHING, "NF O7\r\n"},
    {HEARTH__MC_ASK_REMOVE | M, HEARTH__MC_DONE, "HD O7\r\n"},
    {HEARTH__MC_ASK_REMOVE | M, HEARTH__MC_NOTHING, "NF O7\r\n"},
    {HEARTH__MC_ASK_TOUCH | M, HEARTH__MC_DONE, "HD c5 kk O7\r\n"},
    {HEARTH__MC_ASK_TOUCH | M, HEARTH__MC_NOTHING, "EN kk O7\r\n"},
    {HEARTH__MC_ASK_COUNT | M, HEARTH__MC_DONE, "VA 2 kk O7\r\n15\r\n"},
    {HEARTH__MC_ASK_COUNT | M, HEARTH__MC_NOTHING, "NF O7 kk\r\n"},
    {HEARTH__MC_ASK_GET, HEARTH__MC_DONE, "VALUE k 0 1 5\r\nx\r\nEND\r\n"},
    {HEARTH__MC_ASK_GET, HEARTH__MC_NOTHING, "END\r\n"},
    {HEARTH__MC_ASK_SET, HEARTH__MC_DONE, "STORED\r\n"},
    {HEARTH__MC_ASK_ADD, HEARTH__MC_DONE, "STORED\r\n"},
    {HEARTH__MC_ASK_ADD, HEARTH__MC_OTHER, "NOT_STORED\r\n"},
    {HEARTH__MC_ASK_SWAP, HEARTH__MC_DONE, "STORED\r\n"},
    {HEARTH__MC_ASK_SWAP, HEARTH__MC_OTHER, "EXISTS\r\n"},
    {HEARTH__MC_ASK_SWAP, HEARTH__MC_NOTHING, "NOT_FOUND\r\n"},
    {HEARTH__MC_ASK_REMOVE, HEARTH__MC_DONE, "DELETED\r\n"},
    {HEARTH__MC_ASK_REMOVE, HEARTH__MC_NOTHING, "NOT_FOUND\r\n"},
    {HEARTH__MC_ASK_TOUCH, HEARTH__MC_DONE, "TOUCHED\r\n"},
    {HEARTH__MC_ASK_TOUCH, HEARTH__MC_NOTHING, "NOT_FOUND\r\n"},
    {HEARTH__MC_ASK_COUNT, HEARTH__MC_DONE, "15\r\n"},
    {HEARTH__MC_ASK_COUNT, HEARTH__MC_NOTHING, "NOT_FOUND\r\n"},
};

enum { REPLIES = sizeof replies / sizeof replies[0] };

static struct ear ask_for(size_t i) {
    unsigned asked = replies[i].asked & ~(unsigned)M;
    return ask((enum hearth__mc_asked)asked, (replies[i].asked & M) != 0);
}

static void what_a_server_answers(void **state) {
    (void)state;
    for (size_t i = 0; i < REPLIES; i++) {
        struct ear ear = ask_for(i);
        assert_int_equal(say(&ear, replies[i].reply), HEARTH__HEARD_ALL);
        assert_int_equal(ear.notes.status, HEARTH_OK);
        assert_int_equal(ear.notes.answer, replies[i].answer);
    }
}

/* Whatever else a server says is no answer: to each question all replies that are none of its own. */
static void another_questions_answer_is_none(void **state) {
    (void)state;
    size_t refused = 0;
    for (size_t i = 0; i < REPLIES; i++) {
        for (size_t j = 0; j < REPLIES; j++) {
            bool own = false;
            for (size_t k = 0; k < REPLIES; k++) {
                own = own || (replies[k].asked == replies[i].asked &&
                              strncmp(replies[k].reply, replies[j].reply, 2) == 0);
            }
            struct ear ear = ask_for(i);
            if (!own && replies[i].asked != (HEARTH__MC_ASK_PROBE | M)) {
                assert_int_equal(say(&ear, replies[j].reply), HEARTH__HEARD_NONSENSE);
                refused++;
            }
        }
    }
    assert_true(refused > 900);
}

static void values_are_kept_with_what_is_said_of_them(void **state) {
    (void)state;
    struct ear ear = ask(HEARTH__MC_ASK_GET, true);
    (void)say(&ear, "VA 5 t60 c18446744073709551615 f9 kk O7\r\nhello\r\n");
    assert_int_equal(ear.kept_size, 5);
    assert_memory_equal(ear.kept, "hello", 5);
    assert_int_equal(ear.notes.ttl_ms, 60000);
    assert_true(ear.notes.cas == UINT64_MAX);
    assert_int_equal(ear.notes.flags, 9);
    ear = ask(HEARTH__MC_ASK_GET, false);
    (void)say(&ear, "VALUE k 9 0 3\r\n\r\nEND\r\n");
    assert_int_equal(ear.kept_size, 0); /* an empty value is one */
    assert_true(ear.notes.ttl_ms < 0);
    assert_int_equal(ear.notes.cas, 3);
    ear = ask(HEARTH__MC_ASK_GET, true);
    (void)say(&ear, "EN O7\r\n");
    assert_int_equal(ear.kept_size, SIZE_MAX);
}

static void a_count_tells_its_number(void **state) {
    (void)state;
    struct ear ear = ask(HEARTH__MC_ASK_COUNT, true);
    (void)say(&ear, "VA 20 kk O7\r\n18446744073709551615\r\n");
    assert_int_equal(ear.notes.number, -1); /* all its bits */
    ear = ask(HEARTH__MC_ASK_COUNT, false);
    (void)say(&ear, "9223372036854775807\r\n");
    assert_true(ear.notes.number == INT64_MAX);
    static const char *const no_numbers[] = {"VA 2 kk O7\r\n 1\r\n", "VA 0 kk O7\r\n\r\n",
                                             "VA 2 kk O7\r\n-1\r\n", "VA 2 kk O7\r\n01\r\n",
                                             "VA 20 kk O7\r\n18446744073709551616\r\n"};
    for (size_t i = 0; i < sizeof no_numbers / sizeof no_numbers[0]; i++) {
        ear = ask(HEARTH__MC_ASK_COUNT, true);
        assert_int_equal(say(&ear, no_numbers[i]), HEARTH__HEARD_NONSENSE);
    }
}

static void a_delete_has_two_replies(void **state) {
    (void)state;
    static const struct {
        bool meta;
        const char *first;
        const char *second;
        enum hearth__mc_answer answer;
        uint32_t flags;
    } deletes[] = {
        {true, "HD f3 kk O7\r\n", "HD O8\r\n", HEARTH__MC_DONE, 3},
        {true, "HD f3 kk O7\r\n", "NF O8\r\n", HEARTH__MC_NOTHING, 3},
        {true, "EN kk O7\r\n", "NF O8\r\n", HEARTH__MC_NOTHING, 0},
        {true, "EN O7\r\n", "HD O8\r\n", HEARTH__MC_DONE, 0},
        {true, "SERVER_ERROR out of memory writing get response\r\n", "HD O8\r\n",
         HEARTH__MC_DONE, 0},
        {false, "VALUE k 3 1\r\nx\r\nEND\r\n", "DELETED\r\n", HEARTH__MC_DONE, 3},
        {false, "END\r\n", "NOT_FOUND\r\n", HEARTH__MC_NOTHING, 0},
    };
    for (size_t i = 0; i < sizeof deletes / sizeof deletes[0]; i++) {
        struct ear ear = ask(HEARTH__MC_ASK_DELETE, deletes[i].meta);
        assert_int_equal(say(&ear, deletes[i].first), HEARTH__HEARD_MORE);
        assert_int_equal(ear.kept_size, SIZE_MAX); /* nobody wants to see it */
        assert_int_equal(say(&ear, deletes[i].second), HEARTH__HEARD_ALL);
        assert_int_equal(ear.notes.status, HEARTH_OK);
        assert_int_equal(ear.notes.answer, deletes[i].answer);
        assert_int_equal(ear.notes.flags, deletes[i].flags);
        ear = ask(HEARTH__MC_ASK_DELETE, deletes[i].meta);
        assert_int_equal(say(&ear, deletes[i].second), HEARTH__HEARD_NONSENSE);
    }
    struct ear ear = ask(HEARTH__MC_ASK_DELETE, true);
    (void)say(&ear, "HD f0 kk O7\r\n");
    assert_int_equal(say(&ear, "HD f0 kk O7\r\n"), HEARTH__HEARD_NONSENSE); /* twice */
}

static void another_opaque_or_key_is_nonsense(void **state) {
    (void)state;
    static const struct {
        unsigned asked;
        const char *reply;
    } wrong[] = {
        {HEARTH__MC_ASK_GET | M, "VA 1 t9 c5 f0 kk O8\r\nx\r\n"},
        {HEARTH__MC_ASK_GET | M, "VA 1 t9 c5 f0 kk\r\nx\r\n"},
        {HEARTH__MC_ASK_GET | M, "VA 1 t9 c5 f0 kl O7\r\nx\r\n"},
        {HEARTH__MC_ASK_GET | M, "VA 1 t9 c5 f0 kkk O7\r\nx\r\n"},
        {HEARTH__MC_ASK_GET | M, "VA 1 t9 c5 f0 O7\r\nx\r\n"},
        {HEARTH__MC_ASK_GET | M, "EN kl O7\r\n"},
        {HEARTH__MC_ASK_GET | M, "EN\r\n"},
        {HEARTH__MC_ASK_SET | M, "HD\r\n"},
        {HEARTH__MC_ASK_SET | M, "HD O6\r\n"},
        {HEARTH__MC_ASK_SET | M, "HD O8\r\n"},
        {HEARTH__MC_ASK_TOUCH | M, "HD c5 O7\r\n"},
        {HEARTH__MC_ASK_TOUCH | M, "HD c5 kl O7\r\n"},
        {HEARTH__MC_ASK_DELETE | M, "HD f0 O7\r\n"},
        {HEARTH__MC_ASK_COUNT | M, "VA 2 kl O7\r\n15\r\n"},
        {HEARTH__MC_ASK_COUNT | M, "VA 2 O7\r\n15\r\n"},
        {HEARTH__MC_ASK_GET, "VALUE l 0 1 5\r\nx\r\nEND\r\n"},
        {HEARTH__MC_ASK_GET, "VALUE K 0 1 5\r\nx\r\nEND\r\n"},
        {HEARTH__MC_ASK_DELETE, "VALUE kk 0 1 5\r\nx\r\nEND\r\n"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct ear ear = ask((enum hearth__mc_asked)(wrong[i].asked & ~(unsigned)M),
                             (wrong[i].asked & M) != 0);
        assert_int_equal(say(&ear, wrong[i].reply), HEARTH__HEARD_NONSENSE);
        assert_int_equal(ear.kept_size, SIZE_MAX);
    }
}

/* ---- errors --------------------------------------------------------------------------------- */

static void errors_say_what_they_mean(void **state) {
    (void)state;
    static const struct {
        enum hearth__mc_asked asked;
        int32_t status; /* HEARTH_OK: nonsense */
        const char *reply;
    } errors[] = {
        {HEARTH__MC_ASK_SET, HEARTH_E_TOO_LARGE, "SERVER_ERROR object too large for cache\r\n"},
        {HEARTH__MC_ASK_SET, HEARTH_E_UNAVAILABLE,
         "SERVER_ERROR out of memory storing object\r\n"},
        {HEARTH__MC_ASK_GET, HEARTH_E_UNAVAILABLE,
         "SERVER_ERROR out of memory writing get response\r\n"},
        {HEARTH__MC_ASK_GET, HEARTH_E_UNAVAILABLE, "SERVER_ERROR\r\n"},
        {HEARTH__MC_ASK_COUNT, HEARTH_E_TYPE,
         "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"},
        {HEARTH__MC_ASK_SET, HEARTH_OK,
         "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"},
        {HEARTH__MC_ASK_COUNT, HEARTH_OK, "CLIENT_ERROR invalid numeric delta argument\r\n"},
        {HEARTH__MC_ASK_SET, HEARTH_OK, "CLIENT_ERROR bad data chunk\r\n"},
        {HEARTH__MC_ASK_GET, HEARTH_OK, "CLIENT_ERROR bad command line format\r\n"},
        {HEARTH__MC_ASK_GET, HEARTH_OK, "ERROR\r\n"},
        {HEARTH__MC_ASK_DELETE, HEARTH_OK, "ERROR\r\n"},
        {HEARTH__MC_ASK_VERSION, HEARTH_E_PROTOCOL, "ERROR Too many open connections\r\n"},
        {HEARTH__MC_ASK_VERSION, HEARTH_E_PROTOCOL, "CLIENT_ERROR unauthenticated\r\n"},
        {HEARTH__MC_ASK_PROBE, HEARTH_E_UNSUPPORTED, "ERROR\r\n"},
        {HEARTH__MC_ASK_PROBE, HEARTH_E_UNSUPPORTED, "CLIENT_ERROR invalid flag\r\n"},
        {HEARTH__MC_ASK_PROBE, HEARTH_E_UNSUPPORTED, "EN\r\n"},
        {HEARTH__MC_ASK_PROBE, HEARTH_E_UNSUPPORTED, "HD\r\n"},
    };
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        for (int meta = 0; meta < 2; meta++) {
            struct ear ear = ask(errors[i].asked, meta != 0);
            enum hearth__heard heard = say(&ear, errors[i].reply);
            assert_int_equal(heard, errors[i].status == HEARTH_OK ? HEARTH__HEARD_NONSENSE
                                                                  : HEARTH__HEARD_ALL);
            assert_int_equal(ear.notes.status, errors[i].status);
        }
    }
    struct ear ear = ask(HEARTH__MC_ASK_VERSION, false);
    (void)say(&ear, "ERROR Too many open connections\r\n");
    assert_int_equal(ear.kept_size, strlen("Too many open connections"));
    assert_memory_equal(ear.kept, "Too many open connections", ear.kept_size);
}

/* A server can refuse what it has not got all of, but not have done it. */
static void half_a_request_can_only_be_refused(void **state) {
    (void)state;
    struct ear ear = ask(HEARTH__MC_ASK_SET, true);
    ear.half_sent = true;
    assert_int_equal(say(&ear, "HD O7\r\n"), HEARTH__HEARD_NONSENSE);
    ear = ask(HEARTH__MC_ASK_SET, true);
    ear.half_sent = true;
    assert_int_equal(say(&ear, "SERVER_ERROR object too large for cache\r\n"),
                     HEARTH__HEARD_ALL);
    assert_int_equal(ear.notes.status, HEARTH_E_TOO_LARGE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_server_answers),
        cmocka_unit_test(another_questions_answer_is_none),
        cmocka_unit_test(values_are_kept_with_what_is_said_of_them),
        cmocka_unit_test(a_count_tells_its_number),
        cmocka_unit_test(a_delete_has_two_replies),
        cmocka_unit_test(another_opaque_or_key_is_nonsense),
        cmocka_unit_test(errors_say_what_they_mean),
        cmocka_unit_test(half_a_request_can_only_be_refused),
    };
    return cmocka_run_group_tests_name("memcached replies", tests, NULL, NULL);
}
