/* SPDX-License-Identifier: Apache-2.0 */
/* Commands as hiredis would format them, byte for byte. */
#include "remote/exchange.h"
#include "remote/redis_command.h"

#include <hearth/errors.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

#include <hiredis/hiredis.h>

enum { WORDS_MOST = HEARTH__REDIS_WORDS, LARGE = 300000 };

/* All that an exchange would send. */
static char *joined(const hearth__exchange *exchange) {
    char *all = malloc(hearth__exchange_bytes(exchange) + 1);
    size_t size = 0;
    assert_non_null(all);
    for (size_t i = 0; i < exchange->piece_count; i++) {
        memcpy(all + size, exchange->pieces[i].bytes, exchange->pieces[i].size);
        size += exchange->pieces[i].size;
    }
    assert_int_equal(size, hearth__exchange_bytes(exchange));
    return all;
}

static void is_as_hiredis_has_it(const hearth__exchange *exchange, size_t from,
                                 const char **words, const size_t *sizes, size_t count) {
    char *expected = NULL;
    char *all = joined(exchange);
    int size = redisFormatCommandArgv(&expected, (int)count, words, sizes);
    assert_true(size > 0);
    assert_int_equal(hearth__exchange_bytes(exchange) - from, size);
    assert_memory_equal(all + from, expected, (size_t)size);
    redisFreeCommand(expected);
    free(all);
}

static uint32_t next(uint32_t *seed) {
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

/* Words of all sizes, the last in two parts or in one. */
static void any_words(void **state) {
    (void)state;
    static const size_t lengths[] = {0, 1, 9, 10, 11, 99, 100, 101, 1000, 65536, LARGE};
    static char bytes[LARGE];
    uint32_t seed = 20240301;
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (char)next(&seed);
    }
    for (unsigned round = 0; round < 500; round++) {
        const char *words[WORDS_MOST] = {"VERB"};
        size_t sizes[WORDS_MOST] = {4};
        size_t count = 2 + next(&seed) % (WORDS_MOST - 1);
        hearth__redis_command command;
        hearth__exchange *exchange = hearth__exchange_create(1);
        assert_non_null(exchange);
        hearth__redis_command_init(&command, "VERB");
        for (size_t i = 1; i < count; i++) {
            size_t size = lengths[next(&seed) % (sizeof lengths / sizeof lengths[0])];
            size_t head = next(&seed) % (size + 1);
            words[i] = bytes + next(&seed) % (LARGE - size + 1);
            sizes[i] = size;
            if (i + 1 < count) {
                hearth__redis_word(&command, words[i], size);
            } else {
                hearth__redis_headed_word(&command, words[i], head, words[i] + head,
                                          size - head);
            }
        }
        assert_int_equal(hearth__redis_say(exchange, &command), HEARTH_OK);
        is_as_hiredis_has_it(exchange, 0, words, sizes, count);
        hearth__exchange_discard(exchange);
    }
}

/* Also where they do not fit into one piece of memory. */
static void many_commands(void **state) {
    (void)state;
    enum { COUNT = 3000 };
    hearth__exchange *exchange = hearth__exchange_create(COUNT);
    assert_non_null(exchange);
    for (int64_t i = 0; i < COUNT; i++) {
        const hearth__notes notes = {.asked = 1};
        size_t from = hearth__exchange_bytes(exchange);
        char text[32];
        const char *words[] = {"SET", "", text};
        const size_t sizes[] = {3, 0,
                                (size_t)snprintf(text, sizeof text, "%lld", (long long)-i)};
        hearth__redis_command command;
        hearth__redis_number number;
        hearth__redis_command_init(&command, "SET");
        hearth__redis_text(&command, "");
        hearth__redis_integer(&command, -i, &number);
        assert_int_equal(hearth__redis_say(exchange, &command), HEARTH_OK);
        is_as_hiredis_has_it(exchange, from, words, sizes, 3);
        hearth__exchange_ask(exchange, &notes);
    }
    assert_int_equal(hearth__exchange_requests(exchange), COUNT);
    hearth__exchange_discard(exchange);
}

static void too_much_is_not_said(void **state) {
    (void)state;
    static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 20, (size_t)1 << 30,
                                   ((size_t)1 << 30) - 20};
    hearth__exchange *exchange = hearth__exchange_create(1);
    assert_non_null(exchange);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        hearth__redis_command command;
        hearth__redis_command_init(&command, "SET");
        hearth__redis_headed_word(&command, "head", 4, "none of it is read", sizes[i]);
        assert_int_equal(hearth__redis_say(exchange, &command), HEARTH_E_TOO_LARGE);
        hearth__redis_command_init(&command, "SET");
        hearth__redis_headed_word(&command, "none of it is read", sizes[i], "tail", 4);
        assert_int_equal(hearth__redis_say(exchange, &command), HEARTH_E_TOO_LARGE);
    }
    assert_int_equal(hearth__exchange_bytes(exchange), 0);
    hearth__exchange_discard(exchange);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_words),
        cmocka_unit_test(many_commands),
        cmocka_unit_test(too_much_is_not_said),
    };
    return cmocka_run_group_tests_name("redis command", tests, NULL, NULL);
}
