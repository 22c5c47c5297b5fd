/* SPDX-License-Identifier: Apache-2.0 */
/* What the bus's messages and its server's answers are taken for, whoever wrote them. */
#include "coherence/bus_message.h"
#include "coherence/bus_parser.h"

#include <hearth/errors.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

static const unsigned char self[HEARTH__BUS_PUBLISHER_BYTES] = "myself";
static const unsigned char other[HEARTH__BUS_PUBLISHER_BYTES] = "another";

/* What was told, in one line. */
struct heard {
    char text[256];
};

static void hear(void *arg, const void *key, size_t key_size, enum hearth__bus_change change) {
    struct heard *heard = arg;
    size_t used = strlen(heard->text);
    (void)snprintf(heard->text + used, sizeof heard->text - used, "%.*s%s ", (int)key_size,
                   (const char *)key, change == HEARTH__BUS_MISSED ? "!" : "");
}

static enum hearth__bus_reading read_it(const void *bytes, size_t size, struct heard *heard) {
    *heard = (struct heard){0};
    return hearth__bus_message_read(bytes, size, self, 8, hear, heard);
}

/* ---- messages --------------------------------------------------------------------------- */

static void a_message_says_what_was_put_into_it(void **state) {
    hearth__buffer message = {0};
    struct heard heard;
    (void)state;
    assert_true(hearth__bus_message_begin(&message, other));
    assert_int_equal(read_it(message.data, message.size, &heard), HEARTH__BUS_READ);
    assert_string_equal(heard.text, "");
    assert_true(hearth__bus_record_add(&message, HEARTH__BUS_CHANGED, "one", 3));
    assert_true(hearth__bus_record_add(&message, HEARTH__BUS_MISSED, "two", 3));
    assert_int_equal(read_it(message.data, message.size, &heard), HEARTH__BUS_READ);
    assert_string_equal(heard.text, "one two! ");
    /* Cut anywhere but between two records it says that it cannot be read. */
    for (size_t size = 0; size < message.size; size++) {
        bool whole = size == HEARTH__BUS_HEAD_BYTES || size == HEARTH__BUS_HEAD_BYTES + 6;
        assert_int_equal(read_it(message.data, size, &heard),
                         whole ? HEARTH__BUS_READ : HEARTH__BUS_UNREADABLE);
    }
    /* The bytes of format 1. */
    static const unsigned char bytes[] = "\x01"
                                         "another\0\0\0\0\0\0\0\0\0"
                                         "\x01\x03\x00one\x02\x03\x00two";
    assert_int_equal(message.size, sizeof bytes - 1);
    assert_memory_equal(message.data, bytes, message.size);
    hearth__buffer_fini(&message);
}

static void own_and_later_messages_are_told_apart(void **state) {
    hearth__buffer message = {0};
    struct heard heard;
    (void)state;
    assert_true(hearth__bus_message_begin(&message, self) &&
                hearth__bus_record_add(&message, HEARTH__BUS_CHANGED, "one", 3));
    assert_int_equal(read_it(message.data, message.size, &heard), HEARTH__BUS_OWN);
    assert_string_equal(heard.text, "");
    message.data[0] = HEARTH__BUS_FORMAT + 1; /* whoever published it */
    assert_int_equal(read_it(message.data, message.size, &heard), HEARTH__BUS_UNREADABLE);
    assert_true(hearth__bus_message_begin(&message, other) &&
                hearth__bus_record_add(&message, 4, "one", 3));
    assert_int_equal(read_it(message.data, message.size, &heard), HEARTH__BUS_UNREADABLE);
    assert_true(hearth__bus_message_begin(&message, other) &&
                hearth__bus_record_add(&message, HEARTH__BUS_ALL, NULL, 0));
    assert_int_equal(read_it(message.data, message.size, &heard), HEARTH__BUS_UNREADABLE);
    assert_true(hearth__bus_message_begin(&message, other) &&
                hearth__bus_record_add(&message, HEARTH__BUS_CHANGED, "too long a key", 14));
    assert_int_equal(read_it(message.data, message.size, &heard), HEARTH__BUS_UNREADABLE);
    hearth__buffer_fini(&message);
}

static void messages_are_of_whole_records(void **state) {
    static char key[5000];
    hearth__buffer records = {0};
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        assert_true(
            hearth__bus_record_add(&records, HEARTH__BUS_CHANGED, key, i < 2 ? 3000 : 5000));
    }
    assert_int_equal(hearth__bus_records_fit(records.data, records.size), 2 * 3003);
    assert_int_equal(hearth__bus_records_fit(records.data + 6006, records.size - 6006), 5003);
    assert_int_equal(hearth__bus_records_fit(records.data, 0), 0);
    records.size = 0;
    static char large[20000]; /* one that needs more goes by itself */
    assert_true(hearth__bus_record_add(&records, HEARTH__BUS_CHANGED, large, sizeof large) &&
                hearth__bus_record_add(&records, HEARTH__BUS_CHANGED, key, 1));
    assert_int_equal(hearth__bus_records_fit(records.data, records.size), 20003);
    hearth__buffer_fini(&records);
}

/* ---- places ----------------------------------------------------------------------------- */

static bool is_place(const char *id, hearth__bus_place *place) {
    return hearth__bus_place_parse(id, strlen(id), place);
}

static void a_place_says_what_is_missing(void **state) {
    static const char *const none[] = {"",      "-",   "1",   "1-",   "-1",
                                       "1-2-3", "1-x", "a-1", " 1-1", "18446744073709551616-1",
                                       "1-1 "};
    hearth__bus_place place = {7, 7};
    (void)state;
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        assert_false(is_place(none[i], &place));
        assert_int_equal(place.epoch, 7);
    }
    assert_true(is_place("18446744073709551615-12", &place));
    assert_true(place.epoch == UINT64_MAX && place.number == 12);
    const hearth__bus_place at = {5, 12};
    assert_true(hearth__bus_place_follows((hearth__bus_place){5, 13}, at));
    assert_false(hearth__bus_place_follows((hearth__bus_place){5, 14}, at));
    assert_false(hearth__bus_place_follows((hearth__bus_place){5, 12}, at));
    assert_false(hearth__bus_place_follows((hearth__bus_place){6, 13}, at));
    assert_true(hearth__bus_place_is_in(at, at));
    assert_true(hearth__bus_place_is_in(at, (hearth__bus_place){5, 99}));
    assert_false(hearth__bus_place_is_in(at, (hearth__bus_place){5, 11}));
    assert_false(hearth__bus_place_is_in(at, (hearth__bus_place){6, 99}));
    assert_false(hearth__bus_place_is_in(at, (hearth__bus_place){0, 0}));
}

/* ---- answers ---------------------------------------------------------------------------- */

/* Feeds so many bytes at a time and writes down what they say; the last status that is no token. */
static int32_t say(hearth__bus_parser *parser, const char *bytes, size_t size, size_t step,
                   char *text, size_t text_size) {
    static const char kinds[] = "+-:$_*";
    hearth__bus_token token;
    int32_t status = HEARTH_MISS;
    size_t used = 0;
    for (size_t at = 0; at < size && status == HEARTH_MISS; at += step) {
        size_t part = size - at < step ? size - at : step;
        unsigned char *room = hearth__bus_parser_room(parser);
        assert_non_null(room);
        memcpy(room, bytes + at, part);
        hearth__bus_parser_take(parser, part);
        while ((status = hearth__bus_parser_next(parser, &token)) == HEARTH_OK) {
            used += (size_t)snprintf(text + used, text_size - used, "%c%.*s%lld%s ",
                                     kinds[token.kind], (int)token.size,
                                     token.bytes != NULL ? token.bytes : "",
                                     (long long)token.number, token.is_cut ? "cut" : "");
            assert_true(used < text_size);
        }
    }
    return status;
}

static void answers_are_read_however_they_come(void **state) {
    static const char bytes[] =
        "+OK\r\n-ERR no\r\n:-12\r\n$5\r\na\r\nbc\r\n$0\r\n\r\n$-1\r\n*-1\r\n*2\r\n"
        "$1\r\nx\r\n*0\r\n";
    (void)state;
    for (size_t step = 1; step <= sizeof bytes; step++) {
        hearth__bus_parser parser = {0};
        char text[256] = "";
        assert_int_equal(say(&parser, bytes, sizeof bytes - 1, step, text, sizeof text),
                         HEARTH_MISS);
        assert_string_equal(text, "+OK0 -ERR no0 :-12 $a\r\nbc5 $0 _-1 _-1 *2 $x1 *0 ");
        hearth__bus_parser_fini(&parser);
    }
}

static void what_is_too_long_is_passed_over(void **state) {
    static char bytes[HEARTH__BUS_STRING_MAX + 64];
    (void)state;
    int head = snprintf(bytes, sizeof bytes, "$%d\r\n", HEARTH__BUS_STRING_MAX + 1);
    memset(bytes + head, 'x', HEARTH__BUS_STRING_MAX + 1);
    memcpy(bytes + head + HEARTH__BUS_STRING_MAX + 1, "\r\n+OK\r\n", 7);
    size_t size = (size_t)head + HEARTH__BUS_STRING_MAX + 8;
    hearth__bus_parser parser = {0};
    char text[64] = "";
    assert_int_equal(say(&parser, bytes, size, 1000, text, sizeof text), HEARTH_MISS);
    assert_string_equal(text, "$131073cut +OK0 ");
    assert_true(parser.in.capacity < (size_t)2 * (HEARTH__BUS_STRING_MAX + HEARTH__BUS_CHUNK));
    hearth__bus_parser_fini(&parser);
}

static void what_no_server_says_is_refused(void **state) {
    static char endless[2048];
    static const char *const wrong[] = {"HTTP/1.1 400\r\n",
                                        "$5\r\nhelloXX",
                                        "$-2\r\n",
                                        "$99999999999\r\n",
                                        "*2147483647\r\n",
                                        "*-2\r\n",
                                        ":12x\r\n",
                                        ":99999999999999999999\r\n",
                                        "$\r\n",
                                        "\r\n",
                                        "+OK\n"};
    (void)state;
    for (size_t i = 0; i <= sizeof wrong / sizeof wrong[0]; i++) {
        hearth__bus_parser parser = {0};
        char text[64] = "";
        memset(endless, '+', sizeof endless - 1);
        const char *bytes = i < sizeof wrong / sizeof wrong[0] ? wrong[i] : endless;
        assert_int_equal(say(&parser, bytes, strlen(bytes), 3, text, sizeof text),
                         HEARTH_E_PROTOCOL);
        assert_string_equal(text, "");
        hearth__bus_parser_reset(&parser);
        assert_int_equal(say(&parser, "+OK\r\n", 5, 5, text, sizeof text), HEARTH_MISS);
        assert_string_equal(text, "+OK0 ");
        hearth__bus_parser_fini(&parser);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_says_what_was_put_into_it),
        cmocka_unit_test(own_and_later_messages_are_told_apart),
        cmocka_unit_test(messages_are_of_whole_records),
        cmocka_unit_test(a_place_says_what_is_missing),
        cmocka_unit_test(answers_are_read_however_they_come),
        cmocka_unit_test(what_is_too_long_is_passed_over),
        cmocka_unit_test(what_no_server_says_is_refused),
    };
    return cmocka_run_group_tests_name("bus_protocol", tests, NULL, NULL);
}
