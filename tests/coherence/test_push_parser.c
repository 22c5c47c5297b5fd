/* SPDX-License-Identifier: Apache-2.0 */
/* What a listening connection hears, by itself: the same in any pieces, and nothing else. */
#include "coherence/push_parser.h"

#include <hearth/errors.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

#include "support/failing_memory.h"

enum { KEY_MAX = 16 };

/* What the taker got, as text. */
struct seen {
    char text[4096];
    size_t size;
    unsigned left; /* so many are taken, then it refuses */
};

static bool take(void *arg, const hearth__push *push) {
    static const char *const names[] = {"status", "error", "number", "subscribed",
                                        "pong",   "key",   "all"};
    struct seen *seen = arg;
    size_t room = sizeof seen->text - seen->size;
    int size = snprintf(seen->text + seen->size, room, "%s %lld '%.*s';", names[push->kind],
                        (long long)push->number, (int)push->size,
                        push->bytes != NULL ? (const char *)push->bytes : "");
    assert_true(size > 0 && (size_t)size < room);
    seen->size += (size_t)size;
    return seen->left-- != 0;
}

static int32_t feed(const char *stream, size_t size, size_t piece, struct seen *seen) {
    hearth__push_parser *parser = hearth__push_parser_create(KEY_MAX);
    assert_non_null(parser);
    *seen = (struct seen){.left = 1000};
    int32_t status = HEARTH_OK;
    for (size_t at = 0; at < size && status == HEARTH_OK; at += piece) {
        size_t part = size - at < piece ? size - at : piece;
        status = hearth__push_parser_feed(parser, stream + at, part, take, seen);
    }
    hearth__push_parser_destroy(parser);
    return status;
}

#define HEAD "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n"

static const char stream[] =
    "+OK\r\n"
    ":5\r\n"
    "*3\r\n$9\r\nsubscribe\r\n$20\r\n__redis__:invalidate\r\n:1\r\n" HEAD
    "*1\r\n$1\r\nk\r\n" HEAD "*3\r\n$3\r\nu:3\r\n$0\r\n\r\n$4\r\n\r\n$1\r\n" HEAD "$-1\r\n" HEAD
    "*-1\r\n" HEAD "$1\r\nk\r\n"
    "*2\r\n$4\r\npong\r\n$0\r\n\r\n" HEAD "*0\r\n"
    "*2\r\n$4\r\npong\r\n$1\r\nx\r\n"
    "-ERR what\r\n"
    ":-9223372036854775808\r\n"
    ":9223372036854775807\r\n";

static void pushes_are_the_same_in_any_pieces(void **state) {
    (void)state;
    struct seen whole;
    size_t size = sizeof stream - 1;
    assert_int_equal(feed(stream, size, size, &whole), HEARTH_OK);
    assert_string_equal(whole.text, "status 0 'OK';"
                                    "number 5 '';"
                                    "subscribed 1 '';"
                                    "key 0 'k';"
                                    "key 0 'u:3';key 0 '';key 0 '\r\n$1';"
                                    "all 0 '';"
                                    "all 0 '';"
                                    "key 0 'k';"
                                    "pong 0 '';"
                                    "pong 0 '';"
                                    "error 0 'ERR what';"
                                    "number -9223372036854775808 '';"
                                    "number 9223372036854775807 '';");
    for (size_t piece = 1; piece < size; piece++) {
        struct seen seen;
        assert_int_equal(feed(stream, size, piece, &seen), HEARTH_OK);
        assert_string_equal(seen.text, whole.text);
    }
}

/* Cut at every byte boundary, what is complete was given, and nothing of the rest. */
static void nothing_is_told_before_it_is_complete(void **state) {
    (void)state;
    struct seen whole;
    (void)feed(stream, sizeof stream - 1, sizeof stream, &whole);
    size_t told = 0;
    for (size_t size = 0; size < sizeof stream; size++) {
        struct seen seen;
        assert_int_equal(feed(stream, size, 7, &seen), HEARTH_OK);
        assert_true(seen.size >= told);
        assert_memory_equal(seen.text, whole.text, seen.size);
        told = seen.size;
    }
    assert_int_equal(told, whole.size);
}

/* A key over the limit is nobody's here; those around it are told. */
static void longer_keys_are_passed_over(void **state) {
    (void)state;
    static const char keys[] =
        HEAD "*3\r\n$16\r\n0123456789abcdef\r\n$17\r\n0123456789abcdefg\r\n"
             "$1\r\nz\r\n";
    struct seen seen;
    for (size_t piece = 1; piece < sizeof keys; piece++) {
        assert_int_equal(feed(keys, sizeof keys - 1, piece, &seen), HEARTH_OK);
        assert_string_equal(seen.text, "key 0 '0123456789abcdef';key 0 'z';");
    }
}

/* An announced array takes no memory: its keys come one by one. */
static void arrays_are_as_long_as_they_like(void **state) {
    (void)state;
    static const char head[] = HEAD "*2147483647\r\n";
    hearth__push_parser *parser = hearth__push_parser_create(KEY_MAX);
    struct seen seen = {.left = 1000};
    assert_int_equal(hearth__push_parser_feed(parser, head, sizeof head - 1, take, &seen),
                     HEARTH_OK);
    failing_memory_pass();
    for (unsigned i = 0; i < 1000000; i++) {
        seen = (struct seen){.left = 1};
        assert_int_equal(hearth__push_parser_feed(parser, "$1\r\nk\r\n", 7, take, &seen),
                         HEARTH_OK);
        assert_string_equal(seen.text, "key 0 'k';");
    }
    assert_int_equal(failing_memory_requests(), 0);
    hearth__push_parser_destroy(parser);
}

static void what_no_server_says_there_is_refused(void **state) {
    (void)state;
    static const char *const streams[] = {
        "HTTP/1.1 400 Bad Request\r\n",
        "\r\n",
        "$1\r\nk\r\n",
        "$-1\r\n",
        "*-1\r\n",
        "*0\r\n",
        "*1\r\n",
        "*4\r\n",
        "*2147483648\r\n",
        "*-2\r\n",
        ":\r\n",
        ":-\r\n",
        ":1x\r\n",
        ":9223372036854775808\r\n",
        ":123456789012345678901\r\n",
        ":1\rx",
        "+a\nb\r\n",
        "%1\r\n",
        ">2\r\n",
        "_\r\n",
        "*3\r\n:1\r\n",
        "*3\r\n+message\r\n",
        "*3\r\n$-1\r\n",
        "*3\r\n*1\r\n",
        "*3\r\n$4\r\nnews\r\n",
        "*3\r\n$4\r\npong\r\n",
        "*2\r\n$7\r\nmessage\r\n",
        "*3\r\n$17\r\n0123456789abcdefg\r\n",
        "*2\r\n$4\r\npong\r\n:1\r\n",
        "*2\r\n$4\r\npong\r\n$-1\r\n",
        "*3\r\n$7\r\nmessage\r\n*1\r\n",
        HEAD ":1\r\n",
        HEAD "+OK\r\n",
        HEAD "*1\r\n*1\r\n",
        HEAD "*1\r\n$-1\r\n",
        HEAD "*1\r\n:1\r\n",
        HEAD "*-2\r\n",
        HEAD "$-2\r\n",
        HEAD "$536870913\r\n",
        HEAD "$99999999999\r\n",
        HEAD "$1\r\nkx\r\n",
        HEAD "$1\r\nk\rx",
        "*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n$1\r\nx\r\n",
        "*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n*1\r\n",
    };
    for (size_t i = 0; i < sizeof streams / sizeof streams[0]; i++) {
        struct seen seen;
        int32_t status = feed(streams[i], strlen(streams[i]), 3, &seen);
        if (status != HEARTH_E_PROTOCOL || seen.size != 0) {
            fail_msg("'%s' is status %d, and tells '%s'", streams[i], status, seen.text);
        }
    }
}

static void an_endless_line_is_refused(void **state) {
    (void)state;
    static const char *const types[] = {"+", "-", ":", "$", "*"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        hearth__push_parser *parser = hearth__push_parser_create(KEY_MAX);
        struct seen seen = {.left = 1000};
        int32_t status = hearth__push_parser_feed(parser, types[i], 1, take, &seen);
        size_t taken = 0;
        for (; status == HEARTH_OK && taken < 10000; taken++) {
            status = hearth__push_parser_feed(parser, "1", 1, take, &seen);
        }
        assert_int_equal(status, HEARTH_E_PROTOCOL);
        assert_true(taken <= 4097);
        hearth__push_parser_destroy(parser);
    }
}

/* Words beyond what is kept are cut. */
static void long_words_are_cut(void **state) {
    (void)state;
    char line[1 + 1000 + 3] = "-";
    struct seen seen;
    memset(line + 1, 'x', 1000);
    memcpy(line + 1001, "\r\n", 3);
    assert_int_equal(feed(line, 1003, 10, &seen), HEARTH_OK);
    assert_int_equal(seen.size, strlen("error 0 '';") + HEARTH__PUSH_WORDS);
}

static void a_taker_may_refuse(void **state) {
    (void)state;
    hearth__push_parser *parser = hearth__push_parser_create(KEY_MAX);
    struct seen seen = {.left = 1};
    assert_int_equal(hearth__push_parser_feed(parser, ":1\r\n:2\r\n:3\r\n", 12, take, &seen),
                     HEARTH_E_PROTOCOL);
    assert_string_equal(seen.text, "number 1 '';number 2 '';");
    /* For the next connection it is as new. */
    hearth__push_parser_reset(parser);
    seen = (struct seen){.left = 1};
    assert_int_equal(hearth__push_parser_feed(parser, "+a\r\n", 4, take, &seen), HEARTH_OK);
    assert_string_equal(seen.text, "status 0 'a';");
    hearth__push_parser_destroy(parser);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pushes_are_the_same_in_any_pieces),
        cmocka_unit_test(nothing_is_told_before_it_is_complete),
        cmocka_unit_test(longer_keys_are_passed_over),
        cmocka_unit_test(arrays_are_as_long_as_they_like),
        cmocka_unit_test(what_no_server_says_there_is_refused),
        cmocka_unit_test(an_endless_line_is_refused),
        cmocka_unit_test(long_words_are_cut),
        cmocka_unit_test(a_taker_may_refuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
