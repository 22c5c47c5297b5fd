/* SPDX-License-Identifier: Apache-2.0 */
/* Each fuzzer with all inputs that are known to reach something of its own (corpus/NAME.txt, see corpus.py): what
 * was found once stays found. */
#include "fuzz/fuzz.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

static int hex(char digit) {
    static const char digits[] = "0123456789abcdef";
    const char *at = digit != '\0' ? strchr(digits, digit) : NULL;
    assert_non_null(at);
    return (int)(at - digits);
}

/* In place; the size of what the line means. */
static size_t decode(char *line) {
    size_t size = 0;
    for (const char *at = line; *at != '\0'; at++) {
        char byte = *at;
        if (byte == '\\') {
            switch (*++at) {
            case 'r':
                byte = '\r';
                break;
            case 'n':
                byte = '\n';
                break;
            case 't':
                byte = '\t';
                break;
            case '\\':
                break;
            default:
                assert_int_equal(*at, 'x');
                byte = (char)(hex(at[1]) * 16 + hex(at[2]));
                at += 2;
            }
        }
        line[size++] = byte;
    }
    return size;
}

/* Each input in a piece of its own, so that a sanitizer sees what is read beyond it. */
static void give(int (*fuzz)(const uint8_t *, size_t), char *line) {
    size_t size = decode(line);
    uint8_t *own = malloc(size != 0 ? size : 1);
    assert_non_null(own);
    memcpy(own, line, size);
    assert_int_equal(fuzz(own, size), 0);
    free(own);
}

static void replay(const char *name, int (*fuzz)(const uint8_t *, size_t)) {
    char path[64];
    char *line = NULL;
    size_t room = 0;
    size_t inputs = 0;
    (void)snprintf(path, sizeof path, "tests/fuzz/corpus/%s.txt", name);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    for (ssize_t length = 0; (length = getline(&line, &room, file)) > 0;) {
        if (line[length - 1] == '\n') {
            line[length - 1] = '\0';
        }
        if (line[0] != '#' && line[0] != '\0') {
            give(fuzz, line);
            inputs++;
        }
    }
    free(line);
    (void)fclose(file);
    assert_true(inputs > 0);
}

#define REPLAY(name)                        \
    static void test_##name(void **state) { \
        (void)state;                        \
        replay(#name, fuzz_##name);         \
    }

REPLAY(bloom_file)
REPLAY(bus_message)
REPLAY(bus_parser)
REPLAY(envelope)
REPLAY(memcached_parser)
REPLAY(options_file)
REPLAY(push_parser)
REPLAY(redis_parser)
REPLAY(remote_url)
REPLAY(server_facts)
REPLAY(trace)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bloom_file),
        cmocka_unit_test(test_bus_message),
        cmocka_unit_test(test_bus_parser),
        cmocka_unit_test(test_envelope),
        cmocka_unit_test(test_memcached_parser),
        cmocka_unit_test(test_options_file),
        cmocka_unit_test(test_push_parser),
        cmocka_unit_test(test_redis_parser),
        cmocka_unit_test(test_remote_url),
        cmocka_unit_test(test_server_facts),
        cmocka_unit_test(test_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
