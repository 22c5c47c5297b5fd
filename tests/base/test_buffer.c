/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buffer.h"
#include "support/failing_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Pieces of 0 to 6 bytes; the n-th byte of all is n modulo 251. */
static void appended_bytes_stay_in_order(void **state) {
    (void)state;
    hearth__buffer buffer = {0};
    size_t total = 0;
    for (size_t i = 0; i < 5000; i++) {
        unsigned char piece[6];
        size_t size = i % 7;
        for (size_t j = 0; j < size; j++) {
            piece[j] = (unsigned char)((total + j) % 251);
        }
        assert_true(hearth__buffer_append(&buffer, piece, size));
        total += size;
    }
    assert_int_equal(buffer.size, total);
    for (size_t i = 0; i < total; i++) {
        assert_int_equal(buffer.data[i], i % 251);
    }
    hearth__buffer_fini(&buffer);
    assert_int_equal(failing_memory_blocks(), 0);
}

static void an_empty_buffer_takes_nothing_from_nowhere(void **state) {
    (void)state;
    hearth__buffer buffer = {0};
    assert_true(hearth__buffer_append(&buffer, NULL, 0));
    assert_true(hearth__buffer_assign(&buffer, NULL, 0));
    assert_true(hearth__buffer_reserve(&buffer, 0));
    assert_int_equal(buffer.size, 0);
    hearth__buffer_fini(&buffer);
}

static void assigning_replaces_and_keeps_the_memory(void **state) {
    (void)state;
    hearth__buffer buffer = {0};
    char large[1000];
    memset(large, 'x', sizeof large);
    assert_true(hearth__buffer_assign(&buffer, large, sizeof large));
    const unsigned char *memory = buffer.data;
    failing_memory_pass();
    assert_true(hearth__buffer_assign(&buffer, "ab", 2));
    assert_int_equal(buffer.size, 2);
    assert_memory_equal(buffer.data, "ab", 2);
    assert_true(hearth__buffer_assign(&buffer, large, sizeof large));
    assert_ptr_equal(buffer.data, memory);
    assert_int_equal(failing_memory_requests(), 0);
    hearth__buffer_fini(&buffer);
    assert_int_equal(buffer.size, 0);
    assert_true(hearth__buffer_append(&buffer, "again", 5));
    assert_memory_equal(buffer.data, "again", 5);
    hearth__buffer_fini(&buffer);
}

static void reserving_keeps_the_content(void **state) {
    (void)state;
    hearth__buffer buffer = {0};
    assert_true(hearth__buffer_append(&buffer, "abc", 3));
    assert_true(hearth__buffer_reserve(&buffer, 100000));
    assert_true(buffer.capacity >= 100000);
    assert_int_equal(buffer.size, 3);
    assert_memory_equal(buffer.data, "abc", 3);
    memset(buffer.data + 3, 'x', 100000 - 3);
    hearth__buffer_fini(&buffer);
}

/* Doubling: n bytes one by one cost about log2(n) reallocations. */
static void growth_is_geometric(void **state) {
    (void)state;
    hearth__buffer buffer = {0};
    failing_memory_pass();
    for (int i = 0; i < 1 << 16; i++) {
        assert_true(hearth__buffer_append(&buffer, "z", 1));
    }
    assert_true(failing_memory_requests() <= 17);
    hearth__buffer_fini(&buffer);
}

static void expect_unchanged(const hearth__buffer *buffer, const hearth__buffer *before) {
    assert_ptr_equal(buffer->data, before->data);
    assert_int_equal(buffer->size, before->size);
    assert_int_equal(buffer->capacity, before->capacity);
    assert_memory_equal(buffer->data, "abc", 3);
}

static void what_cannot_be_had_changes_nothing(void **state) {
    (void)state;
    hearth__buffer buffer = {0};
    assert_true(hearth__buffer_append(&buffer, "abc", 3));
    const hearth__buffer before = buffer;
    assert_false(hearth__buffer_reserve(&buffer, SIZE_MAX));
    expect_unchanged(&buffer, &before);
    assert_false(hearth__buffer_append(&buffer, "x", SIZE_MAX));
    expect_unchanged(&buffer, &before);
    assert_false(hearth__buffer_append(&buffer, "x", SIZE_MAX - 3));
    expect_unchanged(&buffer, &before);
    char large[4096] = {0};
    failing_memory_fail(0, UINT64_MAX);
    assert_false(hearth__buffer_reserve(&buffer, sizeof large));
    assert_false(hearth__buffer_append(&buffer, large, sizeof large));
    assert_false(hearth__buffer_assign(&buffer, large, sizeof large));
    failing_memory_pass();
    expect_unchanged(&buffer, &before);
    hearth__buffer_fini(&buffer);
    assert_int_equal(failing_memory_blocks(), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appended_bytes_stay_in_order),
        cmocka_unit_test(an_empty_buffer_takes_nothing_from_nowhere),
        cmocka_unit_test(assigning_replaces_and_keeps_the_memory),
        cmocka_unit_test(reserving_keeps_the_content),
        cmocka_unit_test(growth_is_geometric),
        cmocka_unit_test(what_cannot_be_had_changes_nothing),
    };
    return cmocka_run_group_tests_name("buffer", tests, NULL, NULL);
}
