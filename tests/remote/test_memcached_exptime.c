/* SPDX-License-Identifier: Apache-2.0 */
/* Lives as a Memcached server counts them, there and back. */
#include "remote/memcached_exptime.h"

#include "base/clock.h"
#include "remote/envelope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

#define SECOND INT64_C(1000)
#define DAY    (INT64_C(86400) * SECOND)

/* ---- to the server -------------------------------------------------------------------------- */

static void lives_up_to_30_days_are_seconds(void **state) {
    (void)state;
    static const struct {
        int64_t ttl_ms;
        int64_t with_header;
        int64_t bare;
    } lives[] = {
        {0, 0, 0},
        {1, 1, 1},
        {999, 1, 1},
        {1000, 1, 1},
        {1001, 2, 1},
        {1999, 2, 1},
        {2000, 2, 2},
        {60 * SECOND, 60, 60},
        {30 * DAY - 1, 2592000, 2591999},
        {30 * DAY, 2592000, 2592000},
        {30 * DAY + 999, 0, 2592000}, /* 0: a unix time */
    };
    for (size_t i = 0; i < sizeof lives / sizeof lives[0]; i++) {
        int64_t exptime = hearth__mc_exptime(lives[i].ttl_ms, true);
        if (lives[i].with_header != 0 || lives[i].ttl_ms == 0) {
            assert_int_equal(exptime, lives[i].with_header);
        } else {
            assert_true(exptime > 2592000);
        }
        assert_int_equal(hearth__mc_exptime(lives[i].ttl_ms, false), lives[i].bare);
    }
}

/* With a header not before its end, without one not after it; and never beyond what 31 bits hold,
 * where a server would count from the beginning again. */
static void longer_lives_are_unix_times(void **state) {
    (void)state;
    static const int64_t ttls_ms[] = {31 * DAY, INT64_C(1) << 32, 365 * DAY};
    for (size_t i = 0; i < sizeof ttls_ms / sizeof ttls_ms[0]; i++) {
        int64_t before_ms = hearth__wall_ms();
        int64_t with_header = hearth__mc_exptime(ttls_ms[i], true);
        int64_t bare = hearth__mc_exptime(ttls_ms[i], false);
        int64_t after_ms = hearth__wall_ms();
        assert_true(with_header * SECOND >= before_ms + ttls_ms[i]);
        assert_true(with_header * SECOND <= after_ms + ttls_ms[i] + 2 * SECOND);
        assert_true(bare * SECOND <= after_ms + ttls_ms[i] - SECOND);
        assert_true(bare * SECOND >= before_ms + ttls_ms[i] - 4 * SECOND);
    }
    assert_true(hearth__mc_exptime(30 * DAY + SECOND, true) > 2592000);
    assert_int_equal(hearth__mc_exptime(30 * DAY + SECOND, false), 2592000); /* is nearer */
    assert_int_equal(hearth__mc_exptime(36525 * DAY, true), INT32_MAX);
    assert_int_equal(hearth__mc_exptime(36525 * DAY, false), INT32_MAX);
}

static void what_has_no_header_is_not_kept_too_long(void **state) {
    (void)state;
    hearth__remote_op op = {.ttl_ms = 1500};
    assert_int_equal(hearth__mc_exptime_of_store(&op), 2);
    assert_int_equal(hearth__mc_exptime_of_renewal(&op, 0), 2);
    op.kind = HEARTH__KIND_INTEGER;
    assert_int_equal(hearth__mc_exptime_of_store(&op), 1);
    op.kind = HEARTH__KIND_FOREIGN;
    assert_int_equal(hearth__mc_exptime_of_store(&op), 1);
    op.kind = HEARTH__KIND_VALUE;
    op.ttl_ms = 1500;
    op.age_ms = INT64_C(0xffffffff); /* beyond what a header counts to */
    assert_int_equal(hearth__mc_exptime_of_store(&op), 1);
    assert_int_equal(hearth__mc_exptime_of_renewal(&op, op.age_ms), 1);
}

/* ---- and back ------------------------------------------------------------------------------- */

/* A header whose life of `ttl_ms` ends in `left_ms` by this host's clock. */
static void compose(int64_t ttl_ms, int64_t left_ms,
                    unsigned char header[HEARTH__ENVELOPE_HEADER]) {
    int64_t began_ms = hearth__wall_ms() - (ttl_ms - left_ms);
    hearth__remote_op op = {.key = "k",
                            .key_size = 1,
                            .data = "",
                            .ttl_ms = ttl_ms,
                            .version = (uint64_t)began_ms << 16};
    assert_int_equal(hearth__envelope_compose(&op, false, header), HEARTH__ENVELOPE_HEADER);
}

/* `slack_ms`: the clock went on. */
static void expect_left(int64_t ttl_ms, int64_t by_clock_ms, int64_t by_server_ms,
                        int64_t left_ms, bool exact) {
    unsigned char header[HEARTH__ENVELOPE_HEADER];
    compose(ttl_ms, by_clock_ms, header);
    int64_t before_ms = hearth__wall_ms();
    int64_t left = hearth__mc_left_ms(header, sizeof header, by_server_ms, 0);
    int64_t slack_ms = exact ? 0 : hearth__wall_ms() - before_ms + 50;
    assert_true(left <= left_ms && left >= left_ms - slack_ms);
}

/* This host's clock says the milliseconds, the server's seconds say within what. */
static void a_wrong_clock_is_corrected(void **state) {
    (void)state;
    expect_left(60 * SECOND, 30500, 31 * SECOND, 30500, false);
    expect_left(60 * SECOND, 30500, 32 * SECOND, 30500, false);
    expect_left(60 * SECOND, 30500, 30 * SECOND, 30 * SECOND, true); /* the clock is behind */
    expect_left(60 * SECOND, 55000, 30 * SECOND, 30 * SECOND, true);
    expect_left(60 * SECOND, 10000, 30 * SECOND, 28 * SECOND, true); /* it is ahead */
    expect_left(60 * SECOND, -3600 * SECOND, 30 * SECOND, 28 * SECOND, true);
    expect_left(60 * SECOND, 3600 * SECOND, 30 * SECOND, 30 * SECOND, true);
    expect_left(60 * SECOND, -1, 1 * SECOND, 0, true);
}

static void what_the_server_does_not_tell_is_unknown(void **state) {
    (void)state;
    unsigned char header[HEARTH__ENVELOPE_HEADER];
    compose(60 * SECOND, 30 * SECOND, header);
    assert_int_equal(hearth__mc_left_ms(header, sizeof header, HEARTH__MC_NOT_TOLD, 0),
                     HEARTH__TTL_UNKNOWN);
    assert_int_equal(hearth__mc_left_ms(header, sizeof header, HEARTH__MC_FOR_EVER, 0),
                     HEARTH__TTL_UNKNOWN);
}

/* Without an end of its own a value has what the server's seconds guarantee. */
static void without_a_header_the_server_says(void **state) {
    (void)state;
    unsigned char header[HEARTH__ENVELOPE_HEADER];
    compose(0, 0, header);
    assert_int_equal(hearth__mc_left_ms(header, sizeof header, 30 * SECOND, 0), 29 * SECOND);
    assert_int_equal(hearth__mc_left_ms("12", 2, 30 * SECOND, 0), 29 * SECOND);
    assert_int_equal(hearth__mc_left_ms("12", 2, 30 * SECOND, 300), 28700);
    assert_int_equal(hearth__mc_left_ms("12", 2, SECOND, 5), 0);
    assert_int_equal(hearth__mc_left_ms("", 0, 2 * SECOND, 5), 995);
    assert_int_equal(hearth__mc_left_ms("\x89HRT", 4, 2 * SECOND, 0), SECOND);
}

/* The answer may have been long on its way. */
static void time_that_passed_counts(void **state) {
    (void)state;
    unsigned char header[HEARTH__ENVELOPE_HEADER];
    compose(60 * SECOND, 10 * SECOND, header); /* so says a clock that is ahead */
    assert_int_equal(hearth__mc_left_ms(header, sizeof header, 30 * SECOND, 700), 27300);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lives_up_to_30_days_are_seconds),
        cmocka_unit_test(longer_lives_are_unix_times),
        cmocka_unit_test(what_has_no_header_is_not_kept_too_long),
        cmocka_unit_test(a_wrong_clock_is_corrected),
        cmocka_unit_test(what_the_server_does_not_tell_is_unknown),
        cmocka_unit_test(without_a_header_the_server_says),
        cmocka_unit_test(time_that_passed_counts),
    };
    return cmocka_run_group_tests_name("memcached lives", tests, NULL, NULL);
}
