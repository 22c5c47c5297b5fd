/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Up to here pieces are joined and hashed at once; beyond, they are streamed. */
enum { JOINED = 512, MOST = 1500 };

static unsigned char bytes[MOST];

static int fill_bytes(void **state) {
    (void)state;
    uint32_t number = 1;
    for (size_t i = 0; i < sizeof bytes; i++) {
        number = number * 1664525u + 1013904223u;
        bytes[i] = (unsigned char)(number >> 24);
    }
    return 0;
}

static void expect_same(const hearth__hash_piece *pieces, size_t count, size_t size) {
    assert_int_equal(hearth__hash64_pieces(pieces, count), hearth__hash64(bytes, size));
}

/* Every way to cut every size around the limit into two. */
static void two_pieces_hash_as_one(void **state) {
    (void)state;
    for (size_t size = JOINED - 4; size <= JOINED + 4; size++) {
        for (size_t first = 0; first <= size; first++) {
            const hearth__hash_piece pieces[] = {{bytes, first}, {bytes + first, size - first}};
            expect_same(pieces, 2, size);
        }
    }
}

/* As a header is: long, short, long, and a key. */
static void four_pieces_hash_as_one(void **state) {
    (void)state;
    const size_t sizes[] = {0, 1, 3, 16, 240, 241, JOINED - 1, JOINED, JOINED + 1, 1024, MOST};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const size_t size = sizes[i];
        for (size_t a = 0; a <= size; a += size / 7 + 1) {
            for (size_t b = a; b <= size; b += size / 5 + 1) {
                for (size_t c = b; c <= size; c += size / 3 + 1) {
                    const hearth__hash_piece pieces[] = {{bytes, a},
                                                         {bytes + a, b - a},
                                                         {bytes + b, c - b},
                                                         {bytes + c, size - c}};
                    expect_same(pieces, 4, size);
                }
            }
        }
    }
}

static void byte_by_byte_hashes_as_one(void **state) {
    (void)state;
    hearth__hash_piece pieces[JOINED + 2];
    for (size_t size = 0; size <= JOINED + 2; size++) {
        expect_same(pieces, size, size);
        if (size < JOINED + 2) {
            pieces[size] = (hearth__hash_piece){bytes + size, 1};
        }
    }
}

static void pieces_of_nothing_are_nothing(void **state) {
    (void)state;
    const hearth__hash_piece pieces[] = {
        {NULL, 0}, {bytes, 10}, {NULL, 0}, {bytes + 10, JOINED}, {NULL, 0}};
    assert_int_equal(hearth__hash64_pieces(NULL, 0), hearth__hash64(NULL, 0));
    assert_int_equal(hearth__hash64_pieces(pieces, 3), hearth__hash64(bytes, 10));
    assert_int_equal(hearth__hash64_pieces(pieces, 5), hearth__hash64(bytes, JOINED + 10));
}

/* What other processes read must be XXH3 as published: its values for the empty input. */
static void hashes_for_others_are_the_published_ones(void **state) {
    (void)state;
    assert_true(hearth__hash64("", 0) == UINT64_C(0x2d06800538d394c2));
    const hearth__hash128 hash = hearth__hash128_of("", 0);
    assert_true(hash.high == UINT64_C(0x99aa06d3014798d8));
    assert_true(hash.low == UINT64_C(0x6001c324468d497f));
}

static void a_secret_hides_the_hash_of_a_key(void **state) {
    (void)state;
    hearth__hash_secret secrets[2];
    hearth__hash_secret_init(&secrets[0]);
    hearth__hash_secret_init(&secrets[1]);
    assert_memory_not_equal(&secrets[0], &secrets[1], sizeof secrets[0]);
    const size_t sizes[] = {1, 8, 16, 17, 128, 129, 240, 241, 1000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const uint64_t first = hearth__hash_key(&secrets[0], bytes, sizes[i]);
        assert_true(first == hearth__hash_key(&secrets[0], bytes, sizes[i]));
        assert_true(first != hearth__hash_key(&secrets[1], bytes, sizes[i]));
        assert_true(first != hearth__hash64(bytes, sizes[i]));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_pieces_hash_as_one),
        cmocka_unit_test(four_pieces_hash_as_one),
        cmocka_unit_test(byte_by_byte_hashes_as_one),
        cmocka_unit_test(pieces_of_nothing_are_nothing),
        cmocka_unit_test(hashes_for_others_are_the_published_ones),
        cmocka_unit_test(a_secret_hides_the_hash_of_a_key),
    };
    return cmocka_run_group_tests_name("hash", tests, fill_bytes, NULL);
}
