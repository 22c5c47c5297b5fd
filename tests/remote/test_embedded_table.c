/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/embedded_table.h"

#include "base/hash.h"

#include <hearth/errors.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

enum { SMALL = 64 * 1024 };

static uint64_t hash_of(const char *key) {
    return hearth__hash64(key, strlen(key));
}

static hearth__entry *find(hearth__table *table, const char *key, int64_t now_ms) {
    return hearth__table_find(table, hash_of(key), key, strlen(key), now_ms);
}

static void add(hearth__table *table, const char *key, size_t size, int64_t expires_ms) {
    assert_true(hearth__table_fits(table, strlen(key), size));
    hearth__entry *entry = hearth__entry_create(key, strlen(key), size, expires_ms);
    assert_non_null(entry);
    memset(hearth__entry_value(entry), key[0], size);
    assert_true(hearth__table_add(table, hash_of(key), entry));
}

static void test_the_oldest_use_goes_first(void **state) {
    (void)state;
    hearth__table table;
    assert_int_equal(hearth__table_init(&table, SMALL), HEARTH_OK);
    add(&table, "a", 15000, INT64_MAX);
    add(&table, "b", 15000, INT64_MAX);
    add(&table, "c", 15000, INT64_MAX);
    add(&table, "d", 15000, INT64_MAX);
    assert_non_null(find(&table, "a", 0));
    add(&table, "e", 15000, INT64_MAX);
    assert_null(find(&table, "b", 0));
    assert_non_null(find(&table, "a", 0));
    assert_non_null(find(&table, "c", 0));
    assert_non_null(find(&table, "d", 0));
    add(&table, "f", 40000, INT64_MAX);
    assert_null(find(&table, "e", 0));
    assert_null(find(&table, "a", 0));
    assert_non_null(find(&table, "d", 0));
    assert_non_null(find(&table, "f", 0));
    hearth__table_fini(&table);
}

static void test_an_entry_is_over_at_its_time(void **state) {
    (void)state;
    hearth__table table;
    assert_int_equal(hearth__table_init(&table, SMALL), HEARTH_OK);
    add(&table, "a", 10, 1000);
    assert_non_null(find(&table, "a", 999));
    assert_null(find(&table, "a", 1000));
    assert_null(find(&table, "a", 999)); /* it is gone, not hidden */
    assert_int_equal(hearth__table_bytes(&table), 0);
    hearth__table_fini(&table);
}

/* Many small entries make the index grow, large ones then need its place. */
static void test_the_bound_holds(void **state) {
    (void)state;
    static const size_t limits[] = {4096, SMALL, 1 << 20};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        hearth__table table;
        uint64_t seed = limits[i];
        size_t most = 0;
        assert_int_equal(hearth__table_init(&table, limits[i]), HEARTH_OK);
        for (size_t round = 0; round < 30000; round++) {
            char key[24];
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            size_t size = seed >> 33 & 31;
            if ((seed >> 20) % 512 == 0) {
                size = limits[i] / 3;
            }
            snprintf(key, sizeof key, "%llu", (unsigned long long)(seed >> 44));
            hearth__entry *old = find(&table, key, 0);
            if (old != NULL) {
                hearth__table_remove(&table, old);
            }
            add(&table, key, size, INT64_MAX);
            assert_non_null(find(&table, key, 0));
            most = most < hearth__table_bytes(&table) ? hearth__table_bytes(&table) : most;
            assert_true(most <= limits[i]);
        }
        assert_true(most > limits[i] / 10 * 8); /* and the room is used */
        hearth__table_fini(&table);
    }
}

static void test_what_fits(void **state) {
    (void)state;
    hearth__table table;
    assert_int_equal(hearth__table_init(&table, SMALL), HEARTH_OK);
    assert_false(hearth__table_fits(&table, 1, SMALL));
    assert_false(hearth__table_fits(&table, 1, SIZE_MAX));
    size_t size = SMALL;
    while (!hearth__table_fits(&table, 1, size)) {
        size--;
    }
    add(&table, "a", size, INT64_MAX);
    assert_int_equal(hearth__table_bytes(&table), SMALL); /* to the byte */
    add(&table, "b", size, INT64_MAX);
    assert_null(find(&table, "a", 0));
    hearth__table_fini(&table);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_oldest_use_goes_first),
        cmocka_unit_test(test_an_entry_is_over_at_its_time),
        cmocka_unit_test(test_the_bound_holds),
        cmocka_unit_test(test_what_fits),
    };
    return cmocka_run_group_tests_name("embedded table", tests, NULL, NULL);
}
