/* SPDX-License-Identifier: Apache-2.0 */
/* A bucket's tags: every form sees the same slots, whatever the processor would choose. */
#include "local/tags.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { ROUNDS = 20000 };

/* A splitmix64 step (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014). */
static uint64_t next(uint64_t *state) {
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static unsigned expected(const _Atomic uint64_t *slots, uint64_t tag) {
    unsigned equal = 0;
    for (unsigned i = 0; i < HEARTH__BUCKET_SLOTS; i++) {
        bool same = atomic_load(&slots[i]) >> 48 == tag >> 48;
        equal |= (unsigned)same << (4 * i + 3);
    }
    return equal;
}

static void expect_all_forms(const _Atomic uint64_t *slots, uint64_t tag) {
    unsigned wanted = expected(slots, tag);
    assert_int_equal(hearth__tags_equal(slots, tag), wanted);
    assert_int_equal(hearth__tags_equal_words(slots, tag), wanted);
#if !defined(HEARTH__RACY_WORDS)
    assert_int_equal(hearth__tags_equal_narrow(slots, tag), wanted);
    if (hearth__racy_is_wide()) {
        assert_int_equal(hearth__tags_equal_wide(slots, tag), wanted);
    }
    if (hearth__racy_is_widest()) {
        assert_int_equal(hearth__tags_equal_widest(slots, tag), wanted);
    }
#endif
}

static void every_form_sees_the_same_slots(void **state) {
    (void)state;
    uint64_t random = 1;
    _Alignas(64) _Atomic uint64_t slots[HEARTH__BUCKET_SLOTS];
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t tag = next(&random) << 48;
        uint64_t hits = next(&random);
        for (unsigned i = 0; i < HEARTH__BUCKET_SLOTS; i++) {
            uint64_t low = next(&random) >> 16;
            uint64_t other = (next(&random) & 1) != 0 ? next(&random) << 48 : 0;
            atomic_store(&slots[i], (hits >> i & 1) != 0 ? tag | low : other | low);
        }
        expect_all_forms(slots, tag);
        expect_all_forms(slots, 0);
    }
}

/* The tag's bits elsewhere in a slot mean nothing. */
static void only_the_tag_counts(void **state) {
    (void)state;
    _Alignas(64) _Atomic uint64_t slots[HEARTH__BUCKET_SLOTS];
    for (unsigned i = 0; i < HEARTH__BUCKET_SLOTS; i++) {
        atomic_store(&slots[i], UINT64_C(0x0000abcdabcdabcd));
    }
    assert_int_equal(hearth__tags_equal(slots, UINT64_C(0xabcd) << 48), 0);
    for (unsigned i = 0; i < HEARTH__BUCKET_SLOTS; i++) {
        atomic_store(&slots[i], UINT64_C(0xabcd000000000000));
        unsigned equal = hearth__tags_equal(slots, UINT64_C(0xabcd) << 48);
        assert_int_equal(hearth__tags_first(equal), 0);
        expect_all_forms(slots, UINT64_C(0xabcd) << 48);
        atomic_store(&slots[i], 0);
        expect_all_forms(slots, UINT64_C(0xabcd) << 48);
        atomic_store(&slots[i], UINT64_C(0xabcd000000000000));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_sees_the_same_slots),
        cmocka_unit_test(only_the_tag_counts),
    };
    return cmocka_run_group_tests_name("tags", tests, NULL, NULL);
}
