/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/wire_key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

/* Of xxhsum -H2. Other processes compute the same: it must never change. */
#define HASH_OF_A_B "hearth-hash:e932d71afddc92588044f8a624582c4c"

static void expect_plain(const char *key, size_t size) {
    hearth__wire_key wire;
    hearth__wire_key_init(&wire, key, size);
    assert_false(wire.hidden);
    assert_ptr_equal(wire.data, key);
    assert_int_equal(wire.size, size);
}

static void expect_hidden(const char *key, size_t size) {
    hearth__wire_key wire;
    hearth__wire_key_init(&wire, key, size);
    assert_true(wire.hidden);
    assert_int_equal(wire.size, HEARTH__HIDDEN_KEY_SIZE);
    assert_memory_equal(wire.data, "hearth-hash:", 12);
    for (size_t i = 12; i < wire.size; i++) {
        assert_non_null(strchr("0123456789abcdef", wire.data[i]));
    }
}

static void test_plain_keys(void **state) {
    (void)state;
    char key[HEARTH__WIRE_KEY_MAX];
    memset(key, 'k', sizeof key);
    expect_plain(key, 1);
    expect_plain(key, sizeof key);
    expect_plain("user:1!~{}%\"", 12);
    expect_plain("\xc3\xbc\xff\x80", 4);
    expect_plain("hearth-hash", 11);
}

static void test_hidden_keys(void **state) {
    (void)state;
    char key[HEARTH__WIRE_KEY_MAX + 1];
    memset(key, 'k', sizeof key);
    expect_hidden(key, sizeof key);
    for (int byte = 0; byte <= 0x20; byte++) {
        key[5] = (char)byte;
        expect_hidden(key, 10);
    }
    key[5] = 0x7f;
    expect_hidden(key, 10);
    /* A plain key that looks like a hidden one would stand for it. */
    expect_hidden(HASH_OF_A_B, strlen(HASH_OF_A_B));
}

static void test_the_hash_is_pinned(void **state) {
    (void)state;
    hearth__wire_key wire;
    hearth__wire_key_init(&wire, "a b", 3);
    assert_int_equal(wire.size, strlen(HASH_OF_A_B));
    assert_memory_equal(wire.data, HASH_OF_A_B, wire.size);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_keys),
        cmocka_unit_test(test_hidden_keys),
        cmocka_unit_test(test_the_hash_is_pinned),
    };
    return cmocka_run_group_tests_name("wire key", tests, NULL, NULL);
}
