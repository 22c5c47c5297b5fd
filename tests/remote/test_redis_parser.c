/* SPDX-License-Identifier: Apache-2.0 */
/* The reply parser by itself: the same answers in any pieces, and nothing else. */
#include "remote/redis_parser.h"

#include <hearth/errors.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

enum { LIMIT = 64 };

/* What the taker saw, as text. */
struct seen {
    char text[2048];
    size_t size;
};

static void note_one(struct seen *seen, const hearth__redis_reply *reply) {
    static const char *const names[] = {"?",   "string", "array", "integer",
                                        "nil", "status", "error"};
    size_t room = sizeof seen->text - seen->size;
    int size = snprintf(seen->text + seen->size, room, "%s %lld %d '%.*s';", names[reply->type],
                        (long long)reply->integer, reply->status, (int)reply->size,
                        reply->text != NULL ? reply->text : "");
    seen->size += (size_t)size < room ? (size_t)size : room;
}

static bool take(void *arg, const hearth__redis_reply *reply) {
    note_one(arg, reply);
    for (size_t i = 0; i < reply->count; i++) {
        note_one(arg, &reply->elements[i]);
    }
    return true;
}

/* Feeds the stream in pieces of this size; HEARTH_MISS: all of it was replies. */
static int32_t parse(const char *stream, size_t size, size_t piece, struct seen *seen) {
    hearth__redis_parser parser;
    int32_t status = HEARTH_MISS;
    *seen = (struct seen){.size = 0};
    assert_int_equal(hearth__redis_parser_init(&parser, LIMIT), HEARTH_OK);
    for (size_t at = 0; at < size && status == HEARTH_MISS; at += piece) {
        size_t part = size - at < piece ? size - at : piece;
        status = hearth__redis_parser_feed(&parser, stream + at, part);
        while (status == HEARTH_OK) {
            status = hearth__redis_parser_next(&parser, take, seen);
        }
    }
    if (status == HEARTH_MISS && !hearth__redis_parser_is_empty(&parser)) {
        status = HEARTH_OK; /* something is under way */
    }
    hearth__redis_parser_fini(&parser);
    return status;
}

static const char stream[] = "+OK\r\n"
                             "$5\r\nh\r\n\n\r\r\n"
                             ":-9223372036854775808\r\n"
                             "$-1\r\n"
                             "*-1\r\n"
                             "*0\r\n"
                             "*4\r\n:1\r\n$-1\r\n-WRONGTYPE a\r\n+QUEUED\r\n"
                             "$0\r\n\r\n"
                             "-ERR what\r\n"
                             ":9223372036854775807\r\n";

static void answers_are_the_same_in_any_pieces(void **state) {
    (void)state;
    struct seen whole;
    size_t size = sizeof stream - 1;
    assert_int_equal(parse(stream, size, size, &whole), HEARTH_MISS);
    assert_string_equal(whole.text, "status 0 0 'OK';"
                                    "string 0 0 'h\r\n\n\r';"
                                    "integer -9223372036854775808 0 '';"
                                    "nil 0 0 '';"
                                    "nil 0 0 '';"
                                    "array 0 0 '';"
                                    "array 0 0 '';integer 1 0 '';nil 0 0 '';error 0 -7 '';"
                                    "status 0 0 '';"
                                    "string 0 0 '';"
                                    "error 0 -5 'ERR what';"
                                    "integer 9223372036854775807 0 '';");
    for (size_t piece = 1; piece < size; piece++) {
        struct seen seen;
        assert_int_equal(parse(stream, size, piece, &seen), HEARTH_MISS);
        assert_string_equal(seen.text, whole.text);
    }
}

static void errors_are_the_same_in_any_pieces(void **state) {
    (void)state;
    static const struct {
        const char *stream;
        int32_t status;
    } cases[] = {
        {"$65\r\n", HEARTH_E_TOO_LARGE},
        {"$536870912\r\n", HEARTH_E_TOO_LARGE},
        {"$536870913\r\n", HEARTH_E_PROTOCOL},
        {"*5\r\n", HEARTH_E_PROTOCOL},
        {"*1\r\n*1\r\n", HEARTH_E_PROTOCOL},
        {"*1\r\n$65\r\n", HEARTH_E_TOO_LARGE},
        {"*2\r\n:1\r\n%1\r\n", HEARTH_E_PROTOCOL},
        {"$3\r\nabcde", HEARTH_E_PROTOCOL},
        {"$3\r\nabc\r\r", HEARTH_E_PROTOCOL},
        {"\r\n", HEARTH_E_PROTOCOL},
        {":1a\r\n", HEARTH_E_PROTOCOL},
        {"$123456789012345678901234567890", HEARTH_E_PROTOCOL},
        {"$5\rhello", HEARTH_E_PROTOCOL},
        {"$-12345678901234567890", HEARTH_E_PROTOCOL},
        {"$-loK\r\n", HEARTH_E_PROTOCOL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t size = strlen(cases[i].stream);
        for (size_t piece = 1; piece <= size; piece++) {
            struct seen seen;
            int32_t status = parse(cases[i].stream, size, piece, &seen);
            if (status != cases[i].status) {
                fail_msg("%s in pieces of %zu: %s", cases[i].stream, piece,
                         hearth_status_name(status));
            }
            assert_int_equal(seen.size, 0);
        }
    }
}

static void a_line_has_a_bound(void **state) {
    (void)state;
    static char line[6000];
    struct seen seen;
    memset(line, 'a', sizeof line);
    line[0] = '+';
    assert_int_equal(parse(line, 4000, 100, &seen), HEARTH_OK);
    assert_int_equal(parse(line, sizeof line, 100, &seen), HEARTH_E_PROTOCOL);
    assert_int_equal(seen.size, 0);
}

static bool refuse(void *arg, const hearth__redis_reply *reply) {
    (void)arg;
    return reply->type != REDIS_REPLY_INTEGER;
}

static void what_the_taker_refuses_is_an_error_for_good(void **state) {
    (void)state;
    hearth__redis_parser parser;
    assert_int_equal(hearth__redis_parser_init(&parser, LIMIT), HEARTH_OK);
    assert_int_equal(hearth__redis_parser_feed(&parser, "+OK\r\n:1\r\n+OK\r\n", 14), HEARTH_OK);
    assert_int_equal(hearth__redis_parser_next(&parser, refuse, NULL), HEARTH_OK);
    assert_int_equal(hearth__redis_parser_next(&parser, refuse, NULL), HEARTH_E_PROTOCOL);
    assert_int_equal(hearth__redis_parser_next(&parser, refuse, NULL), HEARTH_E_PROTOCOL);
    assert_int_equal(hearth__redis_parser_feed(&parser, "+OK\r\n", 5), HEARTH_E_PROTOCOL);
    hearth__redis_parser_fini(&parser);
}

static void memory_of_a_large_answer_is_given_back(void **state) {
    (void)state;
    static char large[1 << 20];
    struct seen seen = {.size = 0};
    hearth__redis_parser parser;
    assert_int_equal(hearth__redis_parser_init(&parser, sizeof large), HEARTH_OK);
    assert_int_equal(hearth__redis_parser_feed(&parser, "$1048576\r\n", 10), HEARTH_OK);
    assert_int_equal(hearth__redis_parser_next(&parser, take, &seen), HEARTH_MISS);
    assert_int_equal(hearth__redis_parser_under_way(&parser), 1048576);
    assert_int_equal(hearth__redis_parser_feed(&parser, large, sizeof large), HEARTH_OK);
    assert_int_equal(hearth__redis_parser_feed(&parser, "\r\n", 2), HEARTH_OK);
    assert_int_equal(hearth__redis_parser_next(&parser, refuse, NULL), HEARTH_OK);
    redisReader *before = parser.reader;
    hearth__redis_parser_trim(&parser);
    assert_ptr_not_equal(parser.reader, before);
    assert_int_equal(hearth__redis_parser_feed(&parser, ":7\r\n", 4), HEARTH_OK);
    assert_int_equal(hearth__redis_parser_next(&parser, take, &seen), HEARTH_OK);
    assert_string_equal(seen.text, "integer 7 0 '';");
    hearth__redis_parser_fini(&parser);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_the_same_in_any_pieces),
        cmocka_unit_test(errors_are_the_same_in_any_pieces),
        cmocka_unit_test(a_line_has_a_bound),
        cmocka_unit_test(what_the_taker_refuses_is_an_error_for_good),
        cmocka_unit_test(memory_of_a_large_answer_is_given_back),
    };
    return cmocka_run_group_tests_name("redis parser", tests, NULL, NULL);
}
