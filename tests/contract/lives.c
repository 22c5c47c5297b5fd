/* SPDX-License-Identifier: Apache-2.0 */
/* Values live as long as they were told to. */
#include "contract/suite.h"

#include "base/clock.h"

#include <inttypes.h>
#include <time.h>

#define DAY_MS INT64_C(86400000)

/* A value with a life, and when it was stored. */
struct life {
    char key[32];
    int64_t ttl_ms;
    int64_t early_ms; /* how much before its time, and after it, it may go */
    int64_t late_ms;
    int64_t before_ns; /* just before the store began */
    int64_t after_ns;  /* just after it was done */
    bool over;
};

static void pause_ms(int64_t ms) {
    const struct timespec pause = {.tv_nsec = ms * 1000000};
    nanosleep(&pause, NULL);
}

/* A server that counts a life in the ticks of its clock: its tick comes late on a busy machine. */
static void count_in_steps(const struct contract *contract, struct life *life) {
    life->early_ms = contract->integer_ttl_ms;
    life->late_ms = contract->integer_ttl_ms;
}

static struct life store(struct rig *rig, enum hearth__kind kind, int64_t ttl_ms) {
    const struct contract *contract = rig->contract;
    struct life life = {
        .ttl_ms = ttl_ms, .early_ms = contract->early_ms, .late_ms = contract->late_ms};
    if (kind == HEARTH__KIND_INTEGER && contract->integer_ttl_ms > 1) {
        count_in_steps(contract, &life);
    }
    snprintf(life.key, sizeof life.key, "kind%d-%" PRId64, (int)kind, ttl_ms);
    life.before_ns = hearth__monotonic_ns();
    hearth__remote_op op = rig_store(rig, HEARTH__SET, life.key, "1");
    op.kind = kind;
    op.ttl_ms = ttl_ms;
    rig_expect(rig, op, HEARTH_OK, "set with a life");
    life.after_ns = hearth__monotonic_ns();
    return life;
}

/* Looks once; fails the test when the value is there too late or gone too early. */
static void look(struct rig *rig, struct life *life) {
    int64_t before_ns = hearth__monotonic_ns();
    hearth__remote_op op = rig_get(rig, life->key);
    int32_t status = rig_run(rig, &op);
    int64_t after_ns = hearth__monotonic_ns();
    life->over = status == HEARTH_MISS;
    if (!life->over) {
        rig_same_status(status, HEARTH_OK, life->key);
        if (before_ns - life->after_ns > (life->ttl_ms + life->late_ms) * 1000000) {
            fail_msg("%s: served %" PRId64 " us after it was stored", life->key,
                     (before_ns - life->after_ns) / 1000);
        }
    } else if (after_ns - life->before_ns < (life->ttl_ms - life->early_ms) * 1000000) {
        fail_msg("%s: gone %" PRId64 " us after it was stored", life->key,
                 (after_ns - life->before_ns) / 1000);
    }
}

static void look_until_over(struct rig *rig, struct life *lives, size_t count) {
    int64_t bound_ns = hearth__deadline_ns(RIG_DEADLINE_MS);
    for (size_t over = 0; over < count;) {
        over = 0;
        for (size_t i = 0; i < count; i++) {
            if (!lives[i].over) {
                look(rig, &lives[i]);
            }
            over += lives[i].over;
        }
        assert_true(hearth__monotonic_ns() < bound_ns);
        pause_ms(1);
    }
}

void test_lives_end_in_time(void **state) {
    struct rig *rig = *state;
    static const int64_t ttls_ms[] = {1, 2, 50, 999, 1000, 1001, 1500, 2000};
    struct life lives[2 * sizeof ttls_ms / sizeof ttls_ms[0]];
    size_t count = 0;
    for (size_t i = 0; i < sizeof ttls_ms / sizeof ttls_ms[0]; i++) {
        lives[count++] = store(rig, HEARTH__KIND_VALUE, ttls_ms[i]);
        if (ttls_ms[i] % rig->contract->integer_ttl_ms == 0) {
            lives[count++] = store(rig, HEARTH__KIND_INTEGER, ttls_ms[i]);
        }
    }
    look_until_over(rig, lives, count);
    /* What is over is nothing. */
    hearth__remote_op op = rig_verb(HEARTH__TOUCH, "kind0-1");
    op.ttl_ms = 1000;
    rig_expect(rig, op, HEARTH_MISS, "touch of what is over");
    rig_expect(rig, rig_store(rig, HEARTH__REPLACE, "kind0-2", "x"), HEARTH_MISS, "replace");
    rig_expect(rig, rig_verb(HEARTH__DELETE, "kind0-50"), HEARTH_MISS, "delete");
    rig_expect(rig, rig_store(rig, HEARTH__SWAP, "kind0-999", "x"), HEARTH_MISS, "swap");
    rig_expect(rig, rig_store(rig, HEARTH__ADD, "kind0-1000", "x"), HEARTH_OK, "add");
}

enum { TEST_MOST_MS = 10000, SERVER_KEEPS_MS = 3000 };

/* To the end of the server's clock at the most. */
static int64_t within_clock(const struct contract *contract, int64_t ttl_ms) {
    int64_t clock_ms = contract->last_unix_s * 1000 - hearth__wall_ms();
    return contract->last_unix_s != 0 && ttl_ms > clock_ms ? clock_ms : ttl_ms;
}

/* The life that the server gives. */
static void check_server_life(struct rig *rig, const char *key, int64_t ttl_ms,
                              int64_t more_ms) {
    const struct contract *contract = rig->contract;
    if (contract->raw->left_ms == NULL) {
        return;
    }
    int64_t left_ms = contract->raw->left_ms(rig, 0, key);
    if (within_clock(contract, ttl_ms) < ttl_ms) {
        ttl_ms = within_clock(contract, ttl_ms); /* which it tells with its own precision */
        more_ms += 2000;
    }
    if (ttl_ms == 0) {
        assert_int_equal(left_ms, -1);
    } else {
        assert_in_range(left_ms, (uint64_t)(ttl_ms - TEST_MOST_MS),
                        (uint64_t)(ttl_ms + more_ms));
    }
}

static void check_long_life(struct rig *rig, int64_t ttl_ms) {
    struct life value = store(rig, HEARTH__KIND_VALUE, ttl_ms);
    struct life integer = store(rig, HEARTH__KIND_INTEGER, ttl_ms);
    hearth__remote_op got = rig_expect_get(rig, value.key, HEARTH_OK, "1");
    (void)rig_expect_get(rig, integer.key, HEARTH_OK, "1");
    if (ttl_ms == 0 || (!rig->contract->knows_ttl && ttl_ms >= UINT32_MAX)) {
        assert_int_equal(got.left_ms, -1); /* nobody says */
    } else {
        int64_t least_ms = within_clock(rig->contract, ttl_ms) - TEST_MOST_MS;
        assert_in_range(got.left_ms, (uint64_t)least_ms, (uint64_t)ttl_ms);
    }
    /* Where the header cuts, the server may keep a value a little longer. */
    check_server_life(rig, value.key, ttl_ms, ttl_ms < UINT32_MAX ? SERVER_KEEPS_MS : 0);
    check_server_life(rig, integer.key, ttl_ms, 0);
}

/* The header and some servers cannot hold these: nothing may turn into a past or a short life. */
void test_long_lives(void **state) {
    static const int64_t ttls_ms[] = {
        0,
        30 * DAY_MS - 2000,
        30 * DAY_MS,
        30 * DAY_MS + 1000,
        INT64_C(1) << 31,
        UINT32_MAX - 1,
        UINT32_MAX,
        INT64_C(1) << 32,
        INT64_C(3155760000000), /* 100 years */
    };
    for (size_t i = 0; i < sizeof ttls_ms / sizeof ttls_ms[0]; i++) {
        check_long_life(*state, ttls_ms[i]);
    }
}

void test_lives_are_told(void **state) {
    enum { CLOCK_MS = 20 };
    struct rig *rig = *state;
    hearth__remote_op op = rig_store(rig, HEARTH__SET, "told", "body");
    op.soft_ttl_ms = 60;
    op.ttl_ms = 60000;
    rig_expect(rig, op, HEARTH_OK, "set");
    hearth__remote_op last = rig_expect_get(rig, "told", HEARTH_OK, "body");
    while (last.soft_left_ms >= 0) {
        pause_ms(5);
        hearth__remote_op got = rig_expect_get(rig, "told", HEARTH_OK, "body");
        /* Both machines' clocks are set now and then. */
        assert_true(got.left_ms <= last.left_ms + CLOCK_MS);
        assert_true(got.found_age_ms >= last.found_age_ms - CLOCK_MS);
        assert_true(got.soft_left_ms <= last.soft_left_ms + CLOCK_MS);
        last = got;
    }
    assert_true(last.found_age_ms >= 60);
    assert_true(last.left_ms < 60000 && last.left_ms > 40000);
    op.soft_ttl_ms = 0;
    op.ttl_ms = 0;
    rig_expect(rig, op, HEARTH_OK, "set for ever");
    last = rig_expect_get(rig, "told", HEARTH_OK, "body");
    assert_true(last.soft_left_ms == INT64_MAX);
    assert_int_equal(last.left_ms, -1);
}

static struct life touch(struct rig *rig, const char *key, int64_t soft_ttl_ms,
                         int64_t ttl_ms) {
    const struct contract *contract = rig->contract;
    struct life life = {
        .ttl_ms = ttl_ms, .early_ms = contract->early_ms, .late_ms = contract->late_ms};
    snprintf(life.key, sizeof life.key, "%s", key);
    hearth__remote_op op = rig_verb(HEARTH__TOUCH, key);
    op.soft_ttl_ms = soft_ttl_ms;
    op.ttl_ms = ttl_ms;
    life.before_ns = hearth__monotonic_ns();
    rig_expect(rig, op, HEARTH_OK, "touch");
    life.after_ns = hearth__monotonic_ns();
    return life;
}

static void wait_beyond(const struct life *life) {
    while (hearth__monotonic_ns() < life->after_ns + (life->ttl_ms + 10) * 1000000) {
        pause_ms(5);
    }
}

void test_touch_gives_a_new_life(void **state) {
    struct rig *rig = *state;
    hearth__remote_op op = rig_store(rig, HEARTH__SET, "touched", "body");
    op.content = 77;
    op.delta_ms = 5;
    op.soft_ttl_ms = 100;
    op.ttl_ms = 1500;
    rig_expect(rig, op, HEARTH_OK, "set");
    struct life first = {.ttl_ms = 1500, .after_ns = hearth__monotonic_ns()};
    struct life second = touch(rig, "touched", 30000, 60000);
    wait_beyond(&first);
    int64_t passed_ms = (hearth__monotonic_ns() - second.after_ns) / 1000000;
    hearth__remote_op got = rig_expect_get(rig, "touched", HEARTH_OK, "body");
    assert_int_equal(got.found_content, 77);
    assert_int_equal(got.found_delta_ms, 5);
    assert_true(got.found_version == op.version);
    assert_in_range(got.found_age_ms, 1498, 20000);
    assert_in_range(got.left_ms, 40000, 60000 - passed_ms + 2);
    assert_in_range(got.soft_left_ms, 10000, 30000 - passed_ms + 2);
    (void)touch(rig, "touched", 0, 0);
    got = rig_expect_get(rig, "touched", HEARTH_OK, "body");
    assert_int_equal(got.left_ms, -1);
    assert_true(got.soft_left_ms == INT64_MAX);
    struct life last = touch(rig, "touched", 0, 80);
    look_until_over(rig, &last, 1);
}

void test_touch_of_an_integer(void **state) {
    struct rig *rig = *state;
    int64_t step_ms = rig->contract->integer_ttl_ms;
    struct life first = store(rig, HEARTH__KIND_INTEGER, step_ms == 1 ? 100 : 2 * step_ms);
    (void)touch(rig, first.key, 0, 60000);
    wait_beyond(&first);
    (void)rig_expect_get(rig, first.key, HEARTH_OK, "1");
    struct life last = touch(rig, first.key, 0, step_ms == 1 ? 50 : step_ms);
    if (step_ms > 1) {
        count_in_steps(rig->contract, &last);
    }
    look_until_over(rig, &last, 1);
}

void test_increment_keeps_the_life(void **state) {
    struct rig *rig = *state;
    struct life life = store(rig, HEARTH__KIND_INTEGER, 2000);
    hearth__remote_op op = rig_verb(HEARTH__INCREMENT, life.key);
    op.number = 1000000; /* more digits than before */
    rig_expect(rig, op, HEARTH_OK, "increment");
    (void)rig_expect_get(rig, life.key, HEARTH_OK, "1000001");
    look_until_over(rig, &life, 1);
}

void test_a_mark_keeps_the_life(void **state) {
    struct rig *rig = *state;
    struct life life = {
        .ttl_ms = 1500, .early_ms = rig->contract->early_ms, .late_ms = rig->contract->late_ms};
    snprintf(life.key, sizeof life.key, "marked");
    hearth__remote_op op = rig_store(rig, HEARTH__SET, "marked", "1");
    op.soft_ttl_ms = 1000;
    op.ttl_ms = 1500;
    life.before_ns = hearth__monotonic_ns();
    rig_expect(rig, op, HEARTH_OK, "set");
    life.after_ns = hearth__monotonic_ns();
    hearth__remote_op mark = rig_verb(HEARTH__MARK, "marked");
    assert_int_equal(rig_run(rig, &mark), HEARTH_OK);
    assert_true(mark.found_version == op.version);
    hearth__remote_op got = rig_expect_get(rig, "marked", HEARTH_OK, "1");
    assert_int_equal(got.found, HEARTH__KIND_STALE);
    assert_true(got.found_version == hearth__remote_marked_version(op.version));
    assert_true(got.found_version != op.version);
    assert_true(got.soft_left_ms <= 1000);
    look_until_over(rig, &life, 1);
    rig_expect(rig, rig_verb(HEARTH__MARK, "marked"), HEARTH_MISS, "what is over");
}

void test_a_mark_voids_what_was_read(void **state) {
    struct rig *rig = *state;
    hearth__remote_op op = rig_store(rig, HEARTH__SET, "read", "old");
    rig_expect(rig, op, HEARTH_OK, "set");
    rig_expect(rig, rig_verb(HEARTH__MARK, "read"), HEARTH_OK, "mark");
    hearth__remote_op swap = rig_store(rig, HEARTH__SWAP, "read", "new");
    swap.if_version = op.version;
    rig_expect(rig, swap, HEARTH_CONFLICT, "what was read before");
    swap.if_version = hearth__remote_marked_version(op.version);
    rig_expect(rig, rig_verb(HEARTH__MARK, "read"), HEARTH_OK, "mark again");
    rig_expect(rig, swap, HEARTH_CONFLICT, "also of what was stale");
    swap.if_version = hearth__remote_marked_version(swap.if_version);
    rig_expect(rig, swap, HEARTH_OK, "what was read after");
    hearth__remote_op got = rig_expect_get(rig, "read", HEARTH_OK, "new");
    assert_int_equal(got.found, HEARTH__KIND_VALUE);
    static const char token[] = "a token that is";
    rig_expect(rig, rig_lease_verb(rig, HEARTH__LEASE, "lease", token), HEARTH_OK, "lease");
    rig_expect(rig, rig_verb(HEARTH__MARK, "lease"), HEARTH_MISS, "mark of a lease");
    rig_expect(rig, rig_lease_verb(rig, HEARTH__FILL, "lease", token), HEARTH_MISS, "fill");
    /* A value without end stays without one, where that can be known. */
    op = rig_store(rig, HEARTH__SET, "ever", "old");
    op.ttl_ms = 0;
    rig_expect(rig, op, HEARTH_OK, "set for ever");
    bool known = rig->contract->knows_ttl;
    rig_expect(rig, rig_verb(HEARTH__MARK, "ever"), known ? HEARTH_OK : HEARTH_MISS,
               "for ever");
    got = rig_expect_get(rig, "ever", known ? HEARTH_OK : HEARTH_MISS, "old");
    assert_int_equal(got.left_ms, known ? -1 : 0);
}
