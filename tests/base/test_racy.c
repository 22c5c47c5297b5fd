/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of memory that others may write: both forms copy the same bytes, and no others. */
#include "base/racy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 1200, MARGIN = 128 };

typedef void (*copy)(void *to, const void *from, size_t size);

static void fill(unsigned char *bytes, size_t size) {
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (unsigned char)(i * 131 + i / 251 + 1);
    }
}

static void expect_copy(copy copy_bytes, size_t size) {
    _Alignas(8) unsigned char from[MOST + 8];
    unsigned char to[MARGIN + MOST + MARGIN];
    fill(from, sizeof from);
    for (size_t shift = 0; shift < 9; shift++) { /* the destination may lie anywhere */
        memset(to, 0xee, sizeof to);
        copy_bytes(to + MARGIN + shift, from, size);
        assert_memory_equal(to + MARGIN + shift, from, size);
        for (size_t i = 0; i < MARGIN; i++) {
            assert_int_equal(to[i + shift], 0xee);
        }
        for (size_t i = MARGIN + shift + size; i < sizeof to; i++) {
            assert_int_equal(to[i], 0xee);
        }
    }
}

static void both_forms_copy_just_these_bytes(void **state) {
    (void)state;
    for (size_t size = 0; size <= MOST - 9; size++) {
        expect_copy(hearth__racy_copy, size);
        expect_copy(hearth__racy_copy_words, size);
    }
}

#if !defined(HEARTH__RACY_WORDS)

static void copy_narrow(void *to, const void *from, size_t size) {
    hearth__racy_copy_narrow(to, from, size);
}

static void copy_wide(void *to, const void *from, size_t size) {
    hearth__racy_copy_wide(to, from, size);
}

static void copy_long_narrow(void *to, const void *from, size_t size) {
    hearth__racy_copy_long_narrow(to, from, size);
}

static void copy_long_wide(void *to, const void *from, size_t size) {
    hearth__racy_copy_long_wide(to, from, size);
}

static void copy_widest(void *to, const void *from, size_t size) {
    hearth__racy_copy_widest(to, from, size);
}

static void copy_long(void *to, const void *from, size_t size) {
    if (!hearth__racy_copied_at_once(to, from, size)) {
        hearth__racy_copy_long(to, from, size);
    }
}

/* Those that this processor would not choose too. */
static void every_width_copies_just_these_bytes(void **state) {
    (void)state;
    for (size_t size = 16; size <= HEARTH__RACY_INLINE_MAX; size++) {
        expect_copy(copy_narrow, size);
        if (size > 32 && hearth__racy_is_wide()) {
            expect_copy(copy_wide, size);
        }
    }
    for (size_t size = HEARTH__RACY_INLINE_MAX; size <= MOST - 9; size++) {
        expect_copy(copy_long_narrow, size);
        if (hearth__racy_is_wide()) {
            expect_copy(copy_long_wide, size);
        }
        if (size >= HEARTH__RACY_WIDEST_MIN && hearth__racy_is_widest()) {
            expect_copy(copy_widest, size);
        }
    }
}

static void the_longest_are_copied_whole(void **state) {
    (void)state;
    enum { LONGEST = 9000 };
    static _Alignas(8) unsigned char from[LONGEST];
    static unsigned char to[LONGEST + 1];
    fill(from, sizeof from);
    for (size_t size = 4000; size <= LONGEST; size += 97) {
        memset(to, 0xee, sizeof to);
        copy_long(to, from, size);
        assert_memory_equal(to, from, size);
        assert_int_equal(to[size], 0xee);
    }
}

#endif

static void what_is_written_is_read_back(void **state) {
    (void)state;
    _Alignas(8) unsigned char place[MOST + 8];
    unsigned char from[MOST];
    unsigned char to[MOST];
    fill(from, sizeof from);
    for (size_t size = 0; size <= MOST; size++) {
        memset(place, 0, sizeof place);
        hearth__racy_write(place, from, size);
        hearth__racy_copy(to, place, size);
        assert_memory_equal(to, from, size);
        assert_true(hearth__racy_equal(place, from, size));
    }
}

/* Every single bit that differs is seen, and what lies behind the end is not looked at. */
static void equal_means_every_bit(void **state) {
    (void)state;
    _Alignas(8) unsigned char place[80];
    unsigned char with[72];
    for (size_t size = 0; size <= 64; size++) {
        memset(place, 0x5a, sizeof place);
        memset(with, 0x5a, sizeof with);
        memset(place + size, 0xff, sizeof place - size);
        assert_true(hearth__racy_equal(place, with, size));
        for (size_t bit = 0; bit < size * 8; bit++) {
            place[bit / 8] ^= (unsigned char)(1u << (bit % 8));
            assert_false(hearth__racy_equal(place, with, size));
            place[bit / 8] ^= (unsigned char)(1u << (bit % 8));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_forms_copy_just_these_bytes),
#if !defined(HEARTH__RACY_WORDS)
        cmocka_unit_test(every_width_copies_just_these_bytes),
        cmocka_unit_test(the_longest_are_copied_whole),
#endif
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(equal_means_every_bit),
    };
    return cmocka_run_group_tests_name("racy", tests, NULL, NULL);
}
