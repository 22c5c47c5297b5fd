/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/stat.h"
#include "remote/envelope.h"

#include <hearth/errors.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

#define GOLDEN_KEY  "key"
#define GOLDEN_BODY "hello"

/* Written down by hand; the sums come from another program. Processes of other machines and
 * versions read this: a change here breaks them. */
static const unsigned char golden[] = {
    0x89, 'H',  'R',  'T',                          /* magic */
    1,                                              /* format */
    0,                                              /* a value */
    48,   0,                                        /* header size */
    0,    0,                                        /* must flags */
    0,    0,                                        /* may flags */
    0x04, 0x03, 0x02, 0x01,                         /* content 0x01020304 */
    0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11, /* version 0x1112131415161718 */
    0xd2, 0x04, 0,    0,                            /* delta 1234 ms */
    0xb8, 0x0b, 0,    0,                            /* soft 3000 ms: 2500 and an age of 500 */
    0x70, 0x17, 0,    0,                            /* hard 6000 ms */
    0xfd, 0xdc, 0x62, 0x5c,                         /* body sum, of xxhsum -H3 */
    0x7c, 0xa2, 0x78, 0x5f, /* header sum, likewise over these 40 bytes, 8 zeros and the key */
    0,    0,    0,    0,    /* zero */
    'h',  'e',  'l',  'l',  'o',
};

static hearth__remote_op golden_op(void) {
    return (hearth__remote_op){
        .verb = HEARTH__SET,
        .key = GOLDEN_KEY,
        .key_size = strlen(GOLDEN_KEY),
        .data = GOLDEN_BODY,
        .data_size = strlen(GOLDEN_BODY),
        .content = 0x01020304,
        .version = 0x1112131415161718,
        .delta_ms = 1234,
        .soft_ttl_ms = 2500,
        .ttl_ms = 5500,
        .age_ms = 500,
    };
}

static void test_golden_bytes(void **state) {
    (void)state;
    unsigned char header[HEARTH__ENVELOPE_HEADER];
    hearth__remote_op op = golden_op();
    assert_int_equal(hearth__envelope_compose(&op, false, header), sizeof header);
    assert_memory_equal(header, golden, sizeof header);
}

static void expect_golden(const hearth__envelope *envelope) {
    assert_int_equal(envelope->kind, HEARTH__KIND_VALUE);
    assert_int_equal(envelope->content, 0x01020304);
    assert_true(envelope->version == 0x1112131415161718);
    assert_int_equal(envelope->delta_ms, 1234);
    assert_int_equal(envelope->soft_ms, 3000);
    assert_int_equal(envelope->hard_ms, 6000);
    assert_int_equal(envelope->body_size, strlen(GOLDEN_BODY));
    assert_memory_equal(envelope->body, GOLDEN_BODY, strlen(GOLDEN_BODY));
}

static enum hearth__envelope_verdict parse(const void *bytes, size_t size,
                                           hearth__envelope *envelope) {
    return hearth__envelope_parse(bytes, size, GOLDEN_KEY, strlen(GOLDEN_KEY), false, envelope);
}

static void test_golden_bytes_are_read(void **state) {
    (void)state;
    hearth__envelope envelope;
    assert_int_equal(parse(golden, sizeof golden, &envelope), HEARTH__ENVELOPE_OK);
    expect_golden(&envelope);
    assert_int_equal(hearth__envelope_header_size(golden, sizeof golden), 48);
}

static void test_every_flipped_bit_is_refused(void **state) {
    (void)state;
    unsigned char bytes[sizeof golden];
    memcpy(bytes, golden, sizeof golden);
    for (size_t bit = 0; bit < sizeof golden * 8; bit++) {
        hearth__envelope envelope;
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        assert_int_not_equal(parse(bytes, sizeof bytes, &envelope), HEARTH__ENVELOPE_OK);
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
}

/* A copy on the heap, so that a sanitizer sees a read beyond the end. */
static enum hearth__envelope_verdict parse_copy(const unsigned char *from, size_t size) {
    unsigned char *block = malloc(size + 1);
    assert_non_null(block);
    unsigned char *bytes = block + 1; /* up to the block's end */
    memcpy(bytes, from, size);
    hearth__envelope envelope;
    enum hearth__envelope_verdict verdict = parse(bytes, size, &envelope);
    free(block);
    return verdict;
}

static void test_every_cut_is_refused(void **state) {
    (void)state;
    for (size_t size = 0; size < sizeof golden; size++) {
        enum hearth__envelope_verdict verdict = parse_copy(golden, size);
        assert_int_equal(verdict,
                         size < 4 ? HEARTH__ENVELOPE_FOREIGN : HEARTH__ENVELOPE_DAMAGED);
    }
    unsigned char longer[sizeof golden + 1] = {0};
    memcpy(longer, golden, sizeof golden);
    assert_int_equal(parse_copy(longer, sizeof longer), HEARTH__ENVELOPE_DAMAGED);
}

static void test_another_key_is_refused(void **state) {
    (void)state;
    static const char *const keys[] = {"Key", "ke", "key ", "kez"};
    hearth__envelope envelope;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        assert_int_equal(hearth__envelope_parse(golden, sizeof golden, keys[i], strlen(keys[i]),
                                                false, &envelope),
                         HEARTH__ENVELOPE_DAMAGED);
    }
    assert_int_equal(hearth__envelope_parse(golden, sizeof golden, GOLDEN_KEY,
                                            strlen(GOLDEN_KEY), true, &envelope),
                     HEARTH__ENVELOPE_DAMAGED); /* the full key is not there */
}

static void test_newer_formats_are_told(void **state) {
    (void)state;
    unsigned char bytes[sizeof golden];
    hearth__envelope envelope;
    memcpy(bytes, golden, sizeof golden);
    for (int format = 2; format < 256; format++) {
        bytes[4] = (unsigned char)format;
        assert_int_equal(parse(bytes, sizeof bytes, &envelope), HEARTH__ENVELOPE_NEWER);
    }
    bytes[4] = 1;
    for (int bit = 0; bit < 16; bit++) {
        memcpy(bytes + 8,
               (unsigned char[]){(unsigned char)((1u << bit) & 255),
                                 (unsigned char)((1u << bit) >> 8)},
               2);
        /* The flag of tags is known, and none are there. */
        assert_int_equal(parse(bytes, sizeof bytes, &envelope),
                         bit == 3 ? HEARTH__ENVELOPE_DAMAGED : HEARTH__ENVELOPE_NEWER);
    }
}

/* Where a version before tags looks: a must flag that it does not know, so it loads around the value. */
static void test_tags(void **state) {
    (void)state;
    static const unsigned char tags[] = {1, 'a', 3, 'b', 'c', 'd'};
    unsigned char bytes[128];
    hearth__envelope envelope;
    hearth__remote_op op = {.verb = HEARTH__SET,
                            .key = "key",
                            .key_size = 3,
                            .kind = HEARTH__KIND_VALUE,
                            .version = 5,
                            .tags = tags,
                            .tags_size = sizeof tags,
                            .stamp = UINT64_C(0x0102030405060708)};
    size_t size = hearth__envelope_compose(&op, false, bytes);
    assert_int_equal(size, 48 + 4 + 8 + sizeof tags);
    assert_int_equal(size, hearth__envelope_size(&op, false));
    assert_int_equal(bytes[8], 8);
    assert_int_equal(bytes[9], 0);
    assert_int_equal(hearth__envelope_parse(bytes, size, "key", 3, false, &envelope),
                     HEARTH__ENVELOPE_OK);
    assert_true(envelope.stamp == op.stamp);
    assert_int_equal(envelope.tags_size, sizeof tags);
    assert_memory_equal(envelope.tags, tags, sizeof tags);
    /* A mark of the value leaves them. */
    hearth__envelope_mark(bytes, size, "key", 3);
    assert_int_equal(hearth__envelope_parse(bytes, size, "key", 3, false, &envelope),
                     HEARTH__ENVELOPE_OK);
    assert_int_equal(envelope.kind, HEARTH__KIND_STALE);
    assert_int_equal(envelope.tags_size, sizeof tags);
    for (size_t i = 0; i < size; i++) { /* no damage goes unseen */
        bytes[i] ^= 1;
        assert_int_not_equal(hearth__envelope_parse(bytes, size, "key", 3, false, &envelope),
                             HEARTH__ENVELOPE_OK);
        bytes[i] ^= 1;
    }
}

/* Random bytes behind a good beginning, in every length: nothing is read beyond the end. */
static void test_random_bytes(void **state) {
    (void)state;
    unsigned char bytes[200];
    uint64_t seed = 1;
    for (size_t round = 0; round < 200000; round++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        size_t size = seed >> 33 & 127;
        size_t kept = seed >> 45 & 63; /* of the golden bytes */
        for (size_t i = 0; i < size; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            bytes[i] = i < kept && i < sizeof golden ? golden[i] : (unsigned char)(seed >> 56);
        }
        bool is_golden = size == sizeof golden && memcmp(bytes, golden, size) == 0;
        enum hearth__envelope_verdict verdict = parse_copy(bytes, size);
        int64_t number = 0;
        assert_true(verdict != HEARTH__ENVELOPE_OK || is_golden ||
                    hearth__envelope_is_integer(bytes, size, &number));
    }
}

static void check_full_key(size_t key_size) {
    unsigned char *key = malloc(key_size);
    unsigned char *bytes = malloc(HEARTH__ENVELOPE_MAX + 5);
    assert_non_null(key);
    assert_non_null(bytes);
    memset(key, ' ', key_size);
    hearth__remote_op op = golden_op();
    op.key = key;
    op.key_size = key_size;
    size_t size = hearth__envelope_compose(&op, true, bytes);
    assert_int_equal(size, 48 + 4 + key_size);
    assert_int_equal(bytes[48], 2);
    assert_int_equal(bytes[50] | bytes[51] << 8, key_size);
    memcpy(bytes + size, GOLDEN_BODY, 5);
    hearth__envelope envelope;
    assert_int_equal(hearth__envelope_parse(bytes, size + 5, key, key_size, true, &envelope),
                     HEARTH__ENVELOPE_OK);
    expect_golden(&envelope);
    key[key_size - 1] = 'x';
    assert_int_equal(hearth__envelope_parse(bytes, size + 5, key, key_size, true, &envelope),
                     HEARTH__ENVELOPE_DAMAGED);
    free(bytes);
    free(key);
}

static void test_full_key(void **state) {
    (void)state;
    check_full_key(1);
    check_full_key(251);
    check_full_key(HEARTH__FULL_KEY_MAX);
}

static void test_integers(void **state) {
    (void)state;
    static const char *const good[] = {"0", "1", "10", "9223372036854775807"};
    static const char *const bad[] = {
        "",
        "-1",
        "+1",
        "00",
        "01",
        "1 ",
        " 1",
        "1.0",
        "0x1",
        "9223372036854775808",
        "99999999999999999999",
        "10000000000000000000",
    };
    int64_t number = 0;
    hearth__envelope envelope;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(hearth__envelope_is_integer(good[i], strlen(good[i]), &number));
        assert_true(number == strtoll(good[i], NULL, 10));
        assert_int_equal(parse(good[i], strlen(good[i]), &envelope), HEARTH__ENVELOPE_OK);
        assert_int_equal(envelope.kind, HEARTH__KIND_INTEGER);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(hearth__envelope_is_integer(bad[i], strlen(bad[i]), &number));
        assert_int_equal(parse(bad[i], strlen(bad[i]), &envelope), HEARTH__ENVELOPE_FOREIGN);
    }
    /* No header says which key digits are of, so a hidden key's cannot be digits. */
    assert_int_equal(hearth__envelope_parse("1", 1, GOLDEN_KEY, 3, true, &envelope),
                     HEARTH__ENVELOPE_DAMAGED);
}

static void check_lives(int64_t age_ms, int64_t ttl_ms, uint32_t expected_ms) {
    unsigned char header[HEARTH__ENVELOPE_HEADER];
    hearth__remote_op op = golden_op();
    op.data_size = 0;
    op.age_ms = age_ms;
    op.soft_ttl_ms = ttl_ms;
    op.ttl_ms = ttl_ms;
    size_t size = hearth__envelope_compose(&op, false, header);
    hearth__envelope envelope;
    assert_int_equal(parse(header, size, &envelope), HEARTH__ENVELOPE_OK);
    assert_int_equal(envelope.soft_ms, expected_ms);
    assert_int_equal(envelope.hard_ms, expected_ms);
}

static void test_lives(void **state) {
    (void)state;
    check_lives(0, 0, HEARTH__ENVELOPE_NO_TTL);
    check_lives(1000, 0, HEARTH__ENVELOPE_NO_TTL);
    check_lives(0, 1, 1);
    check_lives(1000, 1, 1001);
    check_lives(0, UINT32_MAX - 1, UINT32_MAX - 1);
    check_lives(0, UINT32_MAX, HEARTH__ENVELOPE_NO_TTL);
    check_lives(1, UINT32_MAX - 1, HEARTH__ENVELOPE_NO_TTL);
    check_lives(0, INT64_C(3155760000000), HEARTH__ENVELOPE_NO_TTL);
}

static void test_renewal(void **state) {
    (void)state;
    unsigned char bytes[sizeof golden];
    hearth__envelope envelope;
    memcpy(bytes, golden, sizeof golden);
    hearth__envelope_renew(bytes, 48, GOLDEN_KEY, 3, 2000, 7000, 9000);
    assert_int_equal(parse(bytes, sizeof bytes, &envelope), HEARTH__ENVELOPE_OK);
    assert_int_equal(envelope.soft_ms, 9000);
    assert_int_equal(envelope.hard_ms, 11000);
    assert_true(envelope.version == 0x1112131415161718);
    assert_memory_equal(bytes, golden, 28); /* all before the lives */
    /* A new life does not vouch for a body that was damaged before. */
    memcpy(bytes, golden, sizeof golden);
    bytes[50] ^= 1;
    hearth__envelope_renew(bytes, 48, GOLDEN_KEY, 3, 2000, 7000, 9000);
    assert_int_equal(parse(bytes, sizeof bytes, &envelope), HEARTH__ENVELOPE_DAMAGED);
}

static void test_age(void **state) {
    (void)state;
    hearth__envelope envelope = {.version = (uint64_t)hearth__wall_ms() << 16, .hard_ms = 6000};
    assert_int_equal(hearth__envelope_age(&envelope, 6000), 0);
    assert_int_equal(hearth__envelope_age(&envelope, 5000), 1000);   /* the server's clock */
    assert_in_range(hearth__envelope_age(&envelope, 7000), 0, 5999); /* a foreign PEXPIRE */
    assert_in_range(hearth__envelope_age(&envelope, HEARTH__TTL_UNKNOWN), 0, 5999);
    envelope.version = (uint64_t)(hearth__wall_ms() + 3600000)
                       << 16; /* a clock ahead of ours */
    assert_int_equal(hearth__envelope_age(&envelope, HEARTH__TTL_UNKNOWN), 0);
    envelope.version = 0;
    assert_int_equal(hearth__envelope_age(&envelope, HEARTH__TTL_UNKNOWN), 6000);
}

static void test_an_answer_past_its_life(void **state) {
    (void)state;
    hearth__seats *counters = hearth__seats_create(HEARTH__STATS);
    hearth__remote_config config = {.counters = counters};
    hearth__buffer body = {0};
    unsigned char bytes[HEARTH__ENVELOPE_HEADER + 5];
    hearth__remote_op op = golden_op();
    op.body = &body;
    op.version = (uint64_t)(hearth__wall_ms() - 7000) << 16;
    size_t size = hearth__envelope_compose(&op, false, bytes);
    memcpy(bytes + size, GOLDEN_BODY, 5);
    /* Over by the header, unless the server decides. */
    hearth__envelope_answer(&config, &op, bytes, sizeof bytes, false, HEARTH__TTL_UNKNOWN,
                            false);
    assert_int_equal(op.status, HEARTH_MISS);
    assert_true(op.found_version == op.version); /* a SWAP may replace it */
    hearth__envelope_answer(&config, &op, bytes, sizeof bytes, false, 1000, true);
    assert_int_equal(op.status, HEARTH_OK);
    assert_int_equal(op.found_age_ms, 5000);
    assert_int_equal(op.left_ms, 1000);
    assert_int_equal(op.soft_left_ms, -2000);
    assert_int_equal(body.size, 5);
    hearth__buffer_fini(&body);
    hearth__seats_destroy(counters);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_bytes),
        cmocka_unit_test(test_golden_bytes_are_read),
        cmocka_unit_test(test_every_flipped_bit_is_refused),
        cmocka_unit_test(test_every_cut_is_refused),
        cmocka_unit_test(test_another_key_is_refused),
        cmocka_unit_test(test_newer_formats_are_told),
        cmocka_unit_test(test_tags),
        cmocka_unit_test(test_random_bytes),
        cmocka_unit_test(test_full_key),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_lives),
        cmocka_unit_test(test_renewal),
        cmocka_unit_test(test_age),
        cmocka_unit_test(test_an_answer_past_its_life),
    };
    return cmocka_run_group_tests_name("envelope", tests, NULL, NULL);
}
