/* SPDX-License-Identifier: Apache-2.0 */
/* What is stored comes back as it was, or not at all. */
#include "contract/suite.h"

#include "base/clock.h"
#include "base/stat.h"
#include "remote/envelope.h"

#include <stdlib.h>

static hearth__remote_op set_bytes(struct rig *rig, const char *key, const void *data,
                                   size_t size) {
    hearth__remote_op op = rig_store(rig, HEARTH__SET, key, "");
    op.data = data;
    op.data_size = size;
    return op;
}

static void expect_bytes(struct rig *rig, const char *key, const void *data, size_t size) {
    hearth__remote_op op = rig_get(rig, key);
    rig_same_status(rig_run(rig, &op), HEARTH_OK, key);
    assert_int_equal(rig->body.size, size);
    if (size != 0) {
        assert_memory_equal(rig->body.data, data, size);
    }
}

void test_round_trip(void **state) {
    struct rig *rig = *state;
    int64_t before_ms = hearth__monotonic_ns() / 1000000;
    hearth__remote_op op =
        rig_store(rig, HEARTH__SET, "trip", "body"); /* its version is of now */
    op.content = 0xfedcba98;
    op.delta_ms = 1234;
    op.age_ms = 700;
    op.version -= (uint64_t)op.age_ms << 16;
    op.soft_ttl_ms = 30000;
    op.ttl_ms = 60000;
    rig_same_status(rig_run(rig, &op), HEARTH_OK, "set");
    hearth__remote_op got = rig_expect_get(rig, "trip", HEARTH_OK, "body");
    int64_t most_ms = hearth__monotonic_ns() / 1000000 - before_ms + 2; /* so long it took */
    assert_int_equal(got.found, HEARTH__KIND_VALUE);
    assert_int_equal(got.found_content, 0xfedcba98);
    assert_int_equal(got.found_delta_ms, 1234);
    assert_true(got.found_version == op.version);
    assert_in_range(got.found_age_ms, 698, 700 + (uint64_t)most_ms);
    assert_in_range(got.left_ms, 60000 - (uint64_t)most_ms, 60002);
    assert_in_range(got.soft_left_ms, 30000 - (uint64_t)most_ms, 30002);
}

void test_stores_of_absences_and_integers(void **state) {
    struct rig *rig = *state;
    hearth__remote_op absent = rig_store(rig, HEARTH__SET, "absent", "");
    absent.kind = HEARTH__KIND_ABSENT;
    rig_expect(rig, absent, HEARTH_OK, "set of an absence");
    hearth__remote_op got = rig_expect_get(rig, "absent", HEARTH_ABSENT, NULL);
    assert_true(got.found_version == absent.version);
    absent.verb = HEARTH__ADD;
    rig_expect(rig, absent, HEARTH_OK, "add of an absence over an absence");

    hearth__remote_op integer = rig_store(rig, HEARTH__SET, "integer", "0");
    integer.kind = HEARTH__KIND_INTEGER;
    rig_expect(rig, integer, HEARTH_OK, "set of an integer");
    got = rig_expect_get(rig, "integer", HEARTH_OK, "0");
    assert_int_equal(got.found, HEARTH__KIND_INTEGER);
    integer.verb = HEARTH__ADD;
    rig_expect(rig, integer, HEARTH_EXISTS, "add of an integer over an integer");
}

static unsigned char *noise(size_t size) {
    unsigned char *bytes = malloc(size + 1);
    assert_non_null(bytes);
    uint64_t seed = size;
    for (size_t i = 0; i < size; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        bytes[i] = (unsigned char)(seed >> 56);
    }
    return bytes;
}

/* The most that fits under this key, the server's own overhead left aside. */
static bool fits(const struct rig *rig, size_t size) {
    enum { OVERHEAD = 256 };
    return rig->value_max == 0 || size + OVERHEAD < rig->value_max;
}

static void check_size(struct rig *rig, size_t size) {
    unsigned char *bytes = noise(size);
    rig_expect(rig, rig_store(rig, HEARTH__SET, "size", "older"), HEARTH_OK, "older");
    int32_t status = fits(rig, size) ? HEARTH_OK : HEARTH_E_TOO_LARGE;
    rig_expect(rig, set_bytes(rig, "size", bytes, size), status, "set of a size");
    if (status == HEARTH_OK) {
        expect_bytes(rig, "size", bytes, size);
    } else {
        (void)rig_expect_get(rig, "size", HEARTH_MISS, NULL); /* nor the older value */
    }
    /* The connection is as good as before. */
    rig_expect(rig, rig_store(rig, HEARTH__SET, "next", "value"), HEARTH_OK, "next");
    (void)rig_expect_get(rig, "next", HEARTH_OK, "value");
    free(bytes);
}

void test_sizes(void **state) {
    static const size_t sizes[] = {
        0, 1, 16, 207, 4096, 65536, 1000000, (1 << 20) - 1, 1 << 20, (1 << 20) + 1,
    };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        check_size(*state, sizes[i]);
    }
    if (getenv("HEARTH_LONG") != NULL) {
        void *large = NULL;
        assert_int_equal(rig_open_for(&large, 128u << 20), 0);
        check_size(large, 100u << 20);
        assert_int_equal(rig_close(&large), 0);
    }
}

/* A value that the tier cannot hold leaves no older one behind, whatever the verb. */
void test_too_large(void **state) {
    struct rig *rig = *state;
    size_t size = rig->value_max != 0 ? rig->value_max + 1 : 5 << 20;
    unsigned char *bytes = noise(size);
    static const enum hearth__verb stores[] = {HEARTH__SET, HEARTH__REPLACE, HEARTH__SWAP};
    for (size_t i = 0; i < sizeof stores / sizeof stores[0]; i++) {
        hearth__remote_op old = rig_store(rig, HEARTH__SET, "large", "old");
        rig_expect(rig, old, HEARTH_OK, "old");
        hearth__remote_op op = set_bytes(rig, "large", bytes, size);
        op.verb = stores[i];
        op.if_version = old.version;
        rig_expect(rig, op, HEARTH_E_TOO_LARGE, "too large");
        (void)rig_expect_get(rig, "large", HEARTH_MISS, NULL);
    }
    hearth__remote_op op = set_bytes(rig, "large", bytes, size);
    op.verb = HEARTH__ADD;
    rig_expect(rig, op, HEARTH_E_TOO_LARGE, "add of what is too large");
    (void)rig_expect_get(rig, "large", HEARTH_MISS, NULL);
    free(bytes);
}

void test_awkward_bodies(void **state) {
    struct rig *rig = *state;
    static const struct {
        const char *data;
        size_t size;
    } bodies[] = {
        {"\r\n", 2},
        {"END\r\n", 5},
        {"a\r\nEND\r\nb", 9},
        {"\0\0\0", 3},
        {"$5\r\nhello\r\n", 11},
        {"VALUE x 0 1\r\na\r\nEND\r\n", 22},
        {"\x89HRT\1", 5},
        {"12345", 5}, /* looks like an integer and is none */
        {"\xff\xfe\x80", 3},
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        rig_expect(rig, set_bytes(rig, "body", bodies[i].data, bodies[i].size), HEARTH_OK,
                   "set");
        expect_bytes(rig, "body", bodies[i].data, bodies[i].size);
    }
    hearth__remote_op increment = rig_verb(HEARTH__INCREMENT, "digits");
    increment.number = 1;
    rig_expect(rig, set_bytes(rig, "digits", "12", 2), HEARTH_OK, "digits as a value");
    rig_expect(rig, increment, HEARTH_E_TYPE, "increment of digits that are a value");
}

void test_damaged_values_are_misses(void **state) {
    struct rig *rig = *state;
    unsigned char bytes[128];
    hearth__remote_op op = rig_store(rig, HEARTH__SET, "damaged", "some body");
    size_t size = rig_compose(&op, bytes, sizeof bytes);
    uint64_t before = rig_counter(rig, HEARTH__STAT_values_damaged);
    size_t refused = 0;
    for (size_t at = 12; at < size; at += 5) { /* behind magic, format, kind and flags */
        bytes[at] ^= 0x10;
        rig_plant(rig, "damaged", bytes, size);
        (void)rig_expect_get(rig, "damaged", HEARTH_MISS, NULL);
        bytes[at] ^= 0x10;
        refused++;
    }
    for (size_t cut = 4; cut < size; cut += 3) {
        rig_plant(rig, "damaged", bytes, cut);
        (void)rig_expect_get(rig, "damaged", HEARTH_MISS, NULL);
        refused++;
    }
    assert_int_equal(rig_counter(rig, HEARTH__STAT_values_damaged), before + refused);
    rig_plant(rig, "damaged", bytes, size);
    (void)rig_expect_get(rig, "damaged", HEARTH_OK, "some body"); /* it was the damage */
}

void test_wrong_key_is_a_miss(void **state) {
    struct rig *rig = *state;
    unsigned char bytes[128];
    hearth__remote_op op = rig_store(rig, HEARTH__SET, "right", "right's body");
    size_t size = rig_compose(&op, bytes, sizeof bytes);
    uint64_t before = rig_counter(rig, HEARTH__STAT_values_damaged);
    rig_plant(rig, "wrong", bytes, size);
    (void)rig_expect_get(rig, "wrong", HEARTH_MISS, NULL);
    assert_int_equal(rig_counter(rig, HEARTH__STAT_values_damaged), before + 1);
    /* A new life must not make it the wrong key's own. */
    op = rig_verb(HEARTH__TOUCH, "wrong");
    op.ttl_ms = 600000;
    rig_expect(rig, op, HEARTH_MISS, "touch of another key's value");
    (void)rig_expect_get(rig, "wrong", HEARTH_MISS, NULL);
}

void test_swap(void **state) {
    struct rig *rig = *state;
    static const enum hearth__kind kinds[] = {HEARTH__KIND_VALUE, HEARTH__KIND_STALE,
                                              HEARTH__KIND_ABSENT, HEARTH__KIND_LEASE};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        uint64_t version = rig_plant_kind(rig, kinds[i], "swap", "old");
        hearth__remote_op op = rig_store(rig, HEARTH__SWAP, "swap", "new");
        op.if_version = version + 1;
        rig_expect(rig, op, HEARTH_CONFLICT, "swap of another version");
        op.if_version = version;
        rig_expect(rig, op, HEARTH_OK, "swap");
        hearth__remote_op got = rig_expect_get(rig, "swap", HEARTH_OK, "new");
        assert_true(got.found_version == op.version);
        rig_expect(rig, op, HEARTH_CONFLICT, "the same swap again");
    }
    rig_expect(rig, rig_verb(HEARTH__DELETE, "swap"), HEARTH_OK, "delete");
    rig_expect(rig, rig_store(rig, HEARTH__SWAP, "swap", "new"), HEARTH_MISS,
               "swap of nothing");
}

/* A value that a load found unchanged: it need not be sent, and has a new header all the same. */
void test_swap_of_the_same_body(void **state) {
    struct rig *rig = *state;
    static const enum hearth__kind kinds[] = {HEARTH__KIND_VALUE, HEARTH__KIND_STALE};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        uint64_t version = rig_plant_kind(rig, kinds[i], "same", "the body");
        hearth__remote_op op = rig_store(rig, HEARTH__SWAP, "same", "the body");
        op.same_body = true;
        op.content = 99;
        op.delta_ms = 5;
        op.soft_ttl_ms = 300000;
        op.ttl_ms = 600000;
        op.if_version = version + 1;
        rig_expect(rig, op, HEARTH_CONFLICT, "swap of another version");
        op.if_version = version;
        rig_expect(rig, op, HEARTH_OK, "swap of the same body");
        hearth__remote_op got = rig_expect_get(rig, "same", HEARTH_OK, "the body");
        assert_true(got.found_version == op.version && got.found == HEARTH__KIND_VALUE);
        assert_int_equal(got.found_content, 99);
        assert_int_equal(got.found_delta_ms, 5);
        assert_in_range(got.left_ms, 500000, 600000);
        assert_in_range(got.soft_left_ms, 200000, 300000);
    }
    rig_expect(rig, rig_verb(HEARTH__DELETE, "same"), HEARTH_OK, "delete");
    hearth__remote_op op = rig_store(rig, HEARTH__SWAP, "same", "the body");
    op.same_body = true;
    rig_expect(rig, op, HEARTH_MISS, "swap of nothing");
}

void test_swap_replaces_a_damaged_value(void **state) {
    struct rig *rig = *state;
    unsigned char bytes[128];
    hearth__remote_op op = rig_store(rig, HEARTH__SET, "mend", "some body");
    size_t size = rig_compose(&op, bytes, sizeof bytes);
    bytes[size - 1] ^= 1;
    rig_plant(rig, "mend", bytes, size);
    hearth__remote_op got = rig_expect_get(rig, "mend", HEARTH_MISS, NULL);
    assert_true(got.found_version == op.version);
    op.verb = HEARTH__SWAP;
    op.if_version = got.found_version;
    rig_expect(rig, op, HEARTH_OK, "swap of what is damaged");
    (void)rig_expect_get(rig, "mend", HEARTH_OK, "some body");
}

static void store_number(struct rig *rig, const char *digits) {
    hearth__remote_op op = rig_store(rig, HEARTH__SET, "number", digits);
    op.kind = HEARTH__KIND_INTEGER;
    rig_expect(rig, op, HEARTH_OK, "set");
}

/* Memcached counts on to 2^64, and may not take that back: from 2^63 on it looks for a minus sign, up to the next NUL, which may
 * be far behind the value. Who asked is told that he does not know. */
static bool is_stuck(const struct rig *rig, int32_t status, int32_t expected) {
    return rig->contract->kind == HEARTH__MEMCACHED && expected == HEARTH_E_TOO_LARGE &&
           status == HEARTH_E_UNKNOWN;
}

static void check_increment(struct rig *rig, int64_t number, int32_t expected, int64_t result) {
    hearth__remote_op op = rig_verb(HEARTH__INCREMENT, "number");
    op.number = number;
    int32_t status = rig_run(rig, &op);
    char digits[24];
    snprintf(digits, sizeof digits, "%lld", (long long)result);
    if (is_stuck(rig, status, expected)) {
        (void)rig_expect_get(rig, "number", HEARTH_MISS, NULL);
        store_number(rig, digits);
        return;
    }
    rig_same_status(status, expected, "increment");
    assert_true(status != HEARTH_OK || op.number == result);
    (void)rig_expect_get(rig, "number", HEARTH_OK, digits);
}

void test_increment(void **state) {
    struct rig *rig = *state;
    store_number(rig, "10");
    check_increment(rig, 5, HEARTH_OK, 15);
    check_increment(rig, 0, HEARTH_OK, 15);
    check_increment(rig, -6, HEARTH_OK, 9); /* one digit less */
    check_increment(rig, 1, HEARTH_OK, 10);
    check_increment(rig, -11, HEARTH_OK, 0);
    check_increment(rig, -1, HEARTH_OK, 0);
    check_increment(rig, INT64_MIN, HEARTH_OK, 0);
    check_increment(rig, INT64_MAX, HEARTH_OK, INT64_MAX);
    check_increment(rig, 1, HEARTH_E_TOO_LARGE, INT64_MAX);
    check_increment(rig, INT64_MAX, HEARTH_E_TOO_LARGE, INT64_MAX);
    check_increment(rig, -7, HEARTH_OK, INT64_MAX - 7);
    check_increment(rig, 7, HEARTH_OK, INT64_MAX);
    check_increment(rig, INT64_MIN, HEARTH_OK, 0);
}

void test_other_clients_increment(void **state) {
    struct rig *rig = *state;
    if (rig->contract->raw->increment == NULL) {
        return;
    }
    hearth__remote_op op = rig_store(rig, HEARTH__SET, "shared", "41");
    op.kind = HEARTH__KIND_INTEGER;
    rig_expect(rig, op, HEARTH_OK, "set");
    assert_int_equal(rig->contract->raw->increment(rig, 0, "shared"), 42);
    op = rig_verb(HEARTH__INCREMENT, "shared");
    op.number = 8;
    rig_same_status(rig_run(rig, &op), HEARTH_OK, "increment");
    assert_int_equal(op.number, 50);
    assert_int_equal(rig->contract->raw->increment(rig, 0, "shared"), 51);
    (void)rig_expect_get(rig, "shared", HEARTH_OK, "51");
}

/* What other clients may have left where we expect a number from 0 to 2^63-1: never an answer, never
 * changed. */
void test_integers_of_others(void **state) {
    struct rig *rig = *state;
    static const char *const no_numbers[] = {"-5", "9223372036854775808", "1.5", "1x", ""};
    hearth__remote_op op = rig_verb(HEARTH__INCREMENT, "theirs");
    op.number = 1;
    for (size_t i = 0; i < sizeof no_numbers / sizeof no_numbers[0]; i++) {
        rig_plant(rig, "theirs", no_numbers[i], strlen(no_numbers[i]));
        hearth__remote_op copy = op;
        int32_t status = rig_run(rig, &copy);
        assert_true(status == HEARTH_E_TYPE || status == HEARTH_E_TOO_LARGE);
        (void)rig_expect_get(rig, "theirs", HEARTH_MISS, NULL);
        hearth__remote_op get = rig_get(rig, "theirs");
        hearth__remote_execute(rig->lenient, &get, 1, INT64_MAX);
        assert_int_equal(rig->body.size, strlen(no_numbers[i]));
        assert_memory_equal(rig->body.data, no_numbers[i], rig->body.size);
    }
    rig_plant(rig, "theirs", "9223372036854775807", 19);
    int32_t status = rig_run(rig, &op);
    if (!is_stuck(rig, status, HEARTH_E_TOO_LARGE)) {
        rig_same_status(status, HEARTH_E_TOO_LARGE, "2^63-1");
        (void)rig_expect_get(rig, "theirs", HEARTH_OK, "9223372036854775807");
    }
}
