/* SPDX-License-Identifier: Apache-2.0 */
/* The filter: its bits by hand, both forms of a question, its rate beside the table, merges between sizes, many threads;
 * and the bytes by which processes share one. */
#include "guard/bloom.h"

#include "guard/bloom_share.h"

#include "splitmix.h"
#include "support/crowd.h"
#include "support/failing_memory.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { KEYS = 20000, BITS_A_KEY = 10, LONG_KEYS = 10000000 };

static hearth__bloom *create(uint32_t blocks) {
    hearth__bloom *filter = hearth__bloom_create(blocks);
    assert_non_null(filter);
    return filter;
}

static uint32_t blocks_for(uint32_t keys) {
    return keys / 256 * BITS_A_KEY;
}

/* The keys of a seed, in order. */
static void insert_many(hearth__bloom *filter, uint64_t seed, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        (void)hearth__bloom_insert(filter, splitmix(&seed));
    }
}

static uint32_t count_yes(const hearth__bloom *filter, uint64_t seed, uint32_t count) {
    uint32_t yes = 0;
    for (uint32_t i = 0; i < count; i++) {
        yes += hearth__bloom_may_contain(filter, splitmix(&seed));
    }
    return yes;
}

/* ---- bits ------------------------------------------------------------------------------- */

/* The same filter byte by byte, as the format says it. */
static void insert_by_hand(unsigned char *bytes, uint32_t blocks, uint64_t hash) {
    static const uint32_t salts[8] = {0x47b6137bU, 0x44974d91U, 0x8824ad5bU, 0xa2b7289dU,
                                      0x705495c7U, 0x2df1424bU, 0x9efc4947U, 0x5c6bfb31U};
    uint64_t block = ((hash >> 32) * blocks) >> 32;
    for (size_t word = 0; word < 8; word++) {
        uint32_t bit = ((uint32_t)hash * salts[word]) >> 27;
        bytes[block * 32 + word * 4 + bit / 8] |= (unsigned char)(1U << bit % 8);
    }
}

static void bits_are_where_the_format_says(void **state) {
    (void)state;
    enum { BLOCKS = 37 };
    unsigned char expected[BLOCKS * HEARTH__BLOOM_BLOCK] = {0};
    unsigned char bytes[sizeof expected];
    hearth__bloom *filter = create(BLOCKS);
    uint64_t seed = 1;
    for (int i = 0; i < 500; i++) {
        uint64_t hash = splitmix(&seed);
        insert_by_hand(expected, BLOCKS, hash);
        (void)hearth__bloom_insert(filter, hash);
    }
    hearth__bloom_copy_out(filter, 0, BLOCKS, bytes);
    assert_memory_equal(bytes, expected, sizeof expected);
    hearth__bloom *copy = create(BLOCKS);
    hearth__bloom_merge_in(copy, 1, BLOCKS - 1, bytes + HEARTH__BLOOM_BLOCK);
    hearth__bloom_merge_in(copy, 0, 1, bytes);
    memset(bytes, 0, sizeof bytes);
    hearth__bloom_copy_out(copy, 0, BLOCKS, bytes);
    assert_memory_equal(bytes, expected, sizeof expected);
    hearth__bloom_destroy(copy);
    hearth__bloom_destroy(filter);
}

/* Each bit of a block decides alone: keys that lack one only are where the two could differ. */
static void both_forms_answer_the_same(void **state) {
    (void)state;
    bool has_avx2 = hearth__bloom_has_avx2();
    hearth__bloom *filter = create(blocks_for(KEYS));
    insert_many(filter, 1, KEYS);
    uint64_t seed = 1;
    uint32_t yes = 0;
    for (uint32_t i = 0; i < 10 * KEYS; i++) {
        uint64_t hash = splitmix(&seed);
        bool answer = hearth__bloom_may_contain_portable(filter, hash);
        if (has_avx2) {
            assert_int_equal(hearth__bloom_may_contain_avx2(filter, hash), answer);
        }
        assert_int_equal(hearth__bloom_may_contain(filter, hash), answer);
        yes += answer;
    }
    assert_in_range(yes, KEYS, 2 * KEYS);
    hearth__bloom_destroy(filter);
}

static void an_insert_says_whether_it_was_new(void **state) {
    (void)state;
    hearth__bloom *filter = create(1);
    assert_false(hearth__bloom_may_contain(filter, 12345));
    assert_true(hearth__bloom_insert(filter, 12345));
    assert_false(hearth__bloom_insert(filter, 12345));
    assert_true(hearth__bloom_may_contain(filter, 12345));
    assert_int_equal(hearth__bloom_bytes(filter), 32);
    hearth__bloom_destroy(filter);
}

/* ---- how often it is wrong ---------------------------------------------------------------- */

/* What other tables say (Putze and others; computed by hand for this format). */
static void the_rate_is_that_of_the_table(void **state) {
    (void)state;
    static const double table[][2] = {{6, 9.93},   {8, 3.32},   {10, 1.265}, {12, 0.542},
                                      {16, 0.132}, {20, 0.042}, {32, 0.0036}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        double rate = hearth__bloom_rate(256 / table[i][0]) * 100;
        assert_true(fabs(rate / table[i][1] - 1) < 0.02);
    }
    assert_true(hearth__bloom_rate(0) == 0);
    assert_true(hearth__bloom_rate(1e6) == 1);
}

static void a_filter_is_as_large_as_its_rate_needs(void **state) {
    (void)state;
    assert_int_equal(hearth__bloom_blocks_for(0, 0.01), 1);
    assert_int_equal(hearth__bloom_blocks_for(1e15, 0.01), 0);
    double bits = hearth__bloom_blocks_for(1e6, 0.01) * 256 / 1e6;
    assert_true(bits > 10.5 && bits < 10.56); /* 10.53 in the table */
    bits = hearth__bloom_blocks_for(1e6, 0.001) * 256 / 1e6;
    assert_true(bits > 16.8 && bits < 17.0);
}

/* At 10 bits a key; as many keys as the long form has. */
static void nothing_inserted_is_denied_and_little_else_let_through(void **state) {
    (void)state;
    uint32_t keys = getenv("HEARTH_LONG") != NULL ? LONG_KEYS : 10 * KEYS;
    hearth__bloom *filter = create(blocks_for(keys));
    insert_many(filter, 1, keys);
    assert_int_equal(count_yes(filter, 1, keys), keys);
    double rate = (double)count_yes(filter, 2, keys) / keys;
    double theory = hearth__bloom_rate(256.0 / BITS_A_KEY);
    assert_true(rate < 1.1 * theory && rate > 0.9 * theory);
    hearth__bloom_estimate estimate = hearth__bloom_estimate_of(filter);
    assert_true(fabs(estimate.rate / theory - 1) < 0.15);
    assert_true(fabs(estimate.keys / keys - 1) < 0.02);
    assert_true(fabs(estimate.fill - (1 - exp(-0.8))) < 0.01);
    hearth__bloom_destroy(filter);
}

static void an_empty_and_a_full_filter_are_estimated(void **state) {
    (void)state;
    hearth__bloom *filter = create(3);
    hearth__bloom_estimate estimate = hearth__bloom_estimate_of(filter);
    assert_true(estimate.fill == 0 && estimate.rate == 0 && estimate.keys == 0);
    unsigned char full[3 * HEARTH__BLOOM_BLOCK];
    memset(full, 0xff, sizeof full);
    hearth__bloom_merge_in(filter, 0, 3, full);
    estimate = hearth__bloom_estimate_of(filter);
    assert_true(estimate.fill == 1 && estimate.rate == 1 && estimate.keys == 3 * 512);
    hearth__bloom_destroy(filter);
}

/* ---- merges ----------------------------------------------------------------------------- */

static void merge_and_check(uint32_t from_blocks, uint32_t to_blocks) {
    enum { SOME = 2000 };
    hearth__bloom *from = create(from_blocks);
    hearth__bloom *to = create(to_blocks);
    insert_many(from, from_blocks, SOME);
    insert_many(to, 99, SOME);
    hearth__bloom_merge(to, from);
    assert_int_equal(count_yes(to, from_blocks, SOME), SOME);
    assert_int_equal(count_yes(to, 99, SOME), SOME);
    hearth__bloom_destroy(to);
    hearth__bloom_destroy(from);
}

/* Keys at the edges of blocks too: their upper halves are what rounding could misplace. */
static void merge_edges(uint32_t from_blocks, uint32_t to_blocks) {
    hearth__bloom *from = create(from_blocks);
    hearth__bloom *to = create(to_blocks);
    for (uint64_t block = 0; block <= from_blocks * (uint64_t)to_blocks; block++) {
        uint64_t edge = (block << 32) / (from_blocks * (uint64_t)to_blocks);
        for (uint64_t upper = edge > 0 ? edge - 1 : 0; upper <= edge + 1; upper++) {
            (void)hearth__bloom_insert(from, upper << 32 | (block * 2654435761U & UINT32_MAX));
        }
    }
    hearth__bloom_merge(to, from);
    for (uint64_t block = 0; block <= from_blocks * (uint64_t)to_blocks; block++) {
        uint64_t edge = (block << 32) / (from_blocks * (uint64_t)to_blocks);
        for (uint64_t upper = edge > 0 ? edge - 1 : 0; upper <= edge + 1; upper++) {
            assert_true(hearth__bloom_may_contain(to, upper << 32 |
                                                          (block * 2654435761U & UINT32_MAX)));
        }
    }
    hearth__bloom_destroy(to);
    hearth__bloom_destroy(from);
}

static void a_merge_between_any_sizes_loses_nothing(void **state) {
    (void)state;
    static const uint32_t sizes[] = {1, 2, 3, 7, 64, 100, 101, 1000, 1023};
    enum { SIZES = sizeof sizes / sizeof sizes[0] };
    for (size_t from = 0; from < SIZES; from++) {
        for (size_t to = 0; to < SIZES; to++) {
            merge_and_check(sizes[from], sizes[to]);
        }
    }
    merge_edges(7, 13);
    merge_edges(13, 7);
    merge_edges(1, 5);
    merge_edges(5, 1);
    merge_edges(8, 24);
}

/* Between equal sizes a merge is an OR, and between others it does not spread bits all over. */
static void a_merge_sets_little_more_than_needed(void **state) {
    (void)state;
    hearth__bloom *from = create(1000);
    hearth__bloom *same = create(1000);
    hearth__bloom *larger = create(2500);
    insert_many(from, 1, 10000);
    hearth__bloom_merge(same, from);
    hearth__bloom_merge(larger, from);
    double fill = hearth__bloom_estimate_of(from).fill;
    assert_true(hearth__bloom_estimate_of(same).fill == fill);
    assert_true(hearth__bloom_estimate_of(larger).fill < 1.5 * fill);
    hearth__bloom_destroy(larger);
    hearth__bloom_destroy(same);
    hearth__bloom_destroy(from);
}

/* ---- threads ---------------------------------------------------------------------------- */

enum { THREADS = 8, EACH = 5000 };

static void insert_own(void *arg, size_t index) {
    insert_many(arg, index, EACH);
}

/* Few blocks, so that threads meet in the same words. */
static void threads_do_not_lose_each_others_bits(void **state) {
    (void)state;
    hearth__bloom *filter = create(64);
    assert_true(crowd_run(THREADS, insert_own, filter));
    unsigned char bytes[64 * HEARTH__BLOOM_BLOCK];
    unsigned char expected[sizeof bytes] = {0};
    for (uint64_t thread = 0; thread < THREADS; thread++) {
        uint64_t seed = thread;
        for (int i = 0; i < EACH; i++) {
            insert_by_hand(expected, 64, splitmix(&seed));
        }
    }
    hearth__bloom_copy_out(filter, 0, 64, bytes);
    assert_memory_equal(bytes, expected, sizeof bytes);
    hearth__bloom_destroy(filter);
}

static void without_memory_there_is_no_filter(void **state) {
    (void)state;
    for (uint64_t successes = 0; successes < 2; successes++) {
        failing_memory_fail(successes, 1);
        assert_null(hearth__bloom_create(10));
        assert_int_equal(failing_memory_blocks(), 0);
    }
    failing_memory_pass();
}

/* ---- what a server is told of it -------------------------------------------------------- */

/* A server sets bits by their places, the highest of a byte first: what comes of it are the filter's bytes. */
static void a_servers_bits_are_the_filters(void **state) {
    (void)state;
    enum { BLOCKS = 37 };
    static unsigned char by_places[BLOCKS * HEARTH__BLOOM_BLOCK];
    static unsigned char bytes[BLOCKS * HEARTH__BLOOM_BLOCK];
    hearth__bloom *filter = create(BLOCKS);
    uint64_t seed = 5;
    for (int i = 0; i < 200; i++) {
        uint64_t hash = splitmix(&seed);
        uint32_t places[HEARTH__BLOOM_BITS];
        (void)hearth__bloom_insert(filter, hash);
        hearth__bloom_places(BLOCKS, hash, places);
        for (size_t j = 0; j < HEARTH__BLOOM_BITS; j++) {
            by_places[places[j] / 8] |= (unsigned char)(0x80U >> places[j] % 8);
        }
    }
    hearth__bloom_copy_out(filter, 0, BLOCKS, bytes);
    assert_memory_equal(bytes, by_places, sizeof bytes);
    hearth__bloom_destroy(filter);
}

static void an_insert_says_the_head_that_is_known(void **state) {
    (void)state;
    static const char head_text[] = "HBF10123456789abcdef0000000a000000000000000000000000";
    unsigned char words[HEARTH__BLOOM_WORDS];
    const uint64_t hash = 7;
    hearth__bloom_head head;
    hearth__bloom_head nothing = {0};
    assert_true(
        hearth__bloom_head_parse((const unsigned char *)head_text, HEARTH__BLOOM_HEAD, &head));
    assert_true(head.id == 0x0123456789abcdef && head.blocks == 10 && head.next == 0);
    assert_int_equal(hearth__bloom_say_insert(&head, &hash, 1, words),
                     HEARTH__BLOOM_HEAD + 8 + 64);
    assert_memory_equal(words, head_text, HEARTH__BLOOM_HEAD);
    assert_int_equal(hearth__bloom_say_insert(&nothing, &hash, 1, words),
                     HEARTH__BLOOM_HEAD + 8 + 64);
    assert_int_equal(words[0], '0'); /* which no head at a server begins with */
    const uint64_t both[] = {8, hash};
    unsigned char more[HEARTH__BLOOM_HEAD + 2 * HEARTH__BLOOM_INSERT];
    size_t size = hearth__bloom_say_insert(&head, &hash, 1, words);
    assert_int_equal(hearth__bloom_say_insert(&head, both, 2, more), sizeof more);
    assert_memory_equal(more + sizeof more - HEARTH__BLOOM_INSERT, words + HEARTH__BLOOM_HEAD,
                        size - HEARTH__BLOOM_HEAD);
}

/* A look's answer with so many hashes. */
static size_t compose_sight(unsigned char *bytes, uint64_t last, uint64_t upto, size_t hashes) {
    memcpy(bytes, "HBF10123456789abcdef0000000a000000000000000000000000", HEARTH__BLOOM_HEAD);
    memset(bytes + HEARTH__BLOOM_HEAD, 0, 16 + 8 * hashes);
    bytes[HEARTH__BLOOM_HEAD] = (unsigned char)last;
    bytes[HEARTH__BLOOM_HEAD + 8] = (unsigned char)upto;
    for (size_t i = 0; i < hashes; i++) {
        bytes[HEARTH__BLOOM_HEAD + 16 + 8 * i] = (unsigned char)(i + 1);
    }
    return HEARTH__BLOOM_HEAD + 16 + 8 * hashes;
}

static void an_answer_that_does_not_fit_is_refused(void **state) {
    (void)state;
    unsigned char bytes[512];
    hearth__bloom_sight sight;
    size_t size = compose_sight(bytes, 9, 9, 4);
    assert_true(hearth__bloom_sight_parse(bytes, size, 5, &sight));
    assert_int_equal(sight.count, 4);
    assert_int_equal(hearth__bloom_sight_hash(&sight, 3), 4);
    assert_false(hearth__bloom_sight_parse(bytes, size, 4, &sight)); /* one is missing */
    assert_false(hearth__bloom_sight_parse(bytes, size, 6, &sight));
    assert_false(hearth__bloom_sight_parse(bytes, size - 1, 5, &sight));
    for (size_t cut = 1; cut < HEARTH__BLOOM_HEAD + 16; cut++) {
        assert_false(hearth__bloom_sight_parse(bytes, cut, 5, &sight));
    }
    for (size_t at = 0; at < HEARTH__BLOOM_HEAD; at++) {
        size = compose_sight(bytes, 9, 9, 4);
        bytes[at] = 'G';
        assert_false(hearth__bloom_sight_parse(bytes, size, 5, &sight));
    }
    size = compose_sight(bytes, 3, 0, 0); /* some are lost */
    assert_true(hearth__bloom_sight_parse(bytes, size, 5, &sight));
    assert_int_equal(sight.upto, 0);
    size = compose_sight(bytes, 8, 9, 4); /* beyond the last one */
    assert_false(hearth__bloom_sight_parse(bytes, size, 5, &sight));
    size = compose_sight(bytes, 9, 9, 0); /* at first none are asked for */
    assert_true(hearth__bloom_sight_parse(bytes, size, 0, &sight));
    assert_true(hearth__bloom_sight_parse(bytes, 0, 5, &sight));
    assert_true(sight.head.id == 0 && sight.head.next == 0);
    bytes[20] = 'f'; /* a size that no server can hold */
    assert_false(hearth__bloom_sight_parse(bytes, size, 0, &sight));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_are_where_the_format_says),
        cmocka_unit_test(both_forms_answer_the_same),
        cmocka_unit_test(an_insert_says_whether_it_was_new),
        cmocka_unit_test(the_rate_is_that_of_the_table),
        cmocka_unit_test(a_filter_is_as_large_as_its_rate_needs),
        cmocka_unit_test(nothing_inserted_is_denied_and_little_else_let_through),
        cmocka_unit_test(an_empty_and_a_full_filter_are_estimated),
        cmocka_unit_test(a_merge_between_any_sizes_loses_nothing),
        cmocka_unit_test(a_merge_sets_little_more_than_needed),
        cmocka_unit_test(threads_do_not_lose_each_others_bits),
        cmocka_unit_test(without_memory_there_is_no_filter),
        cmocka_unit_test(a_servers_bits_are_the_filters),
        cmocka_unit_test(an_insert_says_the_head_that_is_known),
        cmocka_unit_test(an_answer_that_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
