/* SPDX-License-Identifier: Apache-2.0 */
/* Which run of its server a node is, and what is not trusted of it. */
#include "remote/redis_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

enum { DISTRUST_MS = 60000, NOW_MS = 5000000, WALL_MS = 1000000000 };

#define RUN(id, seconds)                                                  \
    "# Server\r\nredis_version:7.0.15\r\nrun_id:" id "\r\ntcp_port:0\r\n" \
    "uptime_in_seconds:" seconds "\r\nuptime_in_days:0\r\n"

/* What stands further down. */
#define FILES(loading, keys, aof)                                 \
    "# Persistence\r\nloading:" loading "\r\nasync_loading:0\r\n" \
    "rdb_last_load_keys_loaded:" keys "\r\naof_enabled:" aof "\r\n"

static bool parse(const char *text, hearth__redis_run_info *info) {
    return hearth__redis_run_parse(text, strlen(text), info);
}

static bool meet(hearth__redis_run *run, const char *text, int64_t later_ms) {
    hearth__redis_run_info info;
    assert_true(parse(text, &info));
    return hearth__redis_run_meet(run, &info, DISTRUST_MS, NOW_MS + later_ms,
                                  WALL_MS + later_ms);
}

static bool distrusts(const hearth__redis_run *run, int64_t written_ms, int64_t later_ms) {
    return hearth__redis_run_is_doubtful(run) &&
           hearth__redis_run_distrusts(run, WALL_MS + written_ms, NOW_MS + later_ms);
}

static void info_is_read(void **state) {
    (void)state;
    hearth__redis_run_info one;
    hearth__redis_run_info same;
    hearth__redis_run_info other;
    assert_true(parse(RUN("aa01", "7"), &one));
    assert_true(parse("run_id:aa01\nuptime_in_seconds:90", &same));
    assert_true(parse(RUN("aa02", "7"), &other));
    assert_int_equal(one.uptime_ms, 7000);
    assert_int_equal(same.uptime_ms, 90000);
    assert_true(one.id == same.id && one.id != other.id && one.id != 0);
}

static void what_is_no_info_is_refused(void **state) {
    (void)state;
    static const char *const texts[] = {"",
                                        "\r\n",
                                        "# Server\r\n",
                                        "run_id:aa01\r\n",
                                        "run_id:\r\nuptime_in_seconds:7\r\n",
                                        "run_id:aa01\r\nuptime_in_seconds:\r\n",
                                        "run_id:aa01\r\nuptime_in_seconds:-7\r\n",
                                        "run_id:aa01\r\nuptime_in_seconds:7x\r\n",
                                        "run_id:aa01\r\nuptime_in_seconds:7000000000000\r\n",
                                        "xrun_id:aa01\r\nuptime_in_seconds:7\r\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        hearth__redis_run_info info;
        assert_false(parse(texts[i], &info));
    }
}

static void a_known_run_is_trusted(void **state) {
    (void)state;
    hearth__redis_run run = {0};
    assert_false(meet(&run, RUN("aa01", "100000"), 0));
    assert_false(distrusts(&run, -1, 0));
    assert_false(meet(&run, RUN("aa01", "100009"), 9000));
    assert_false(distrusts(&run, -1, 9000));
}

static void another_run_is_not_trusted_for_a_while(void **state) {
    (void)state;
    hearth__redis_run run = {0};
    assert_false(meet(&run, RUN("aa01", "100000"), 0));
    assert_true(meet(&run, RUN("aa02", "0"), 5000));
    assert_false(meet(&run, RUN("aa02", "1"), 6000));
    assert_true(distrusts(&run, -1, 6000));
    assert_true(distrusts(&run, 5000, 6000));
    assert_false(distrusts(&run, 5001, 6000));
    assert_true(distrusts(&run, -1, 5000 + DISTRUST_MS - 1));
    assert_false(distrusts(&run, -1, 5000 + DISTRUST_MS));
}

/* Who was not there when it began does not trust it either, with what may be older than that; what was written since is right. A
 * server that says 20 seconds may have begun 19 seconds ago. */
static void a_young_run_is_not_trusted_with_what_is_older(void **state) {
    (void)state;
    hearth__redis_run run = {0};
    assert_false(meet(&run, RUN("aa01", "20"), 0));
    assert_true(distrusts(&run, -19000, 0));
    assert_false(distrusts(&run, -18999, 0));
    assert_true(distrusts(&run, -19000, DISTRUST_MS - 19000 - 1));
    assert_false(distrusts(&run, -19000, DISTRUST_MS - 19000));
}

/* What it has it was told since; but who may have read a file, or has not done with it, is another matter. */
static void a_run_that_began_empty_is_trusted(void **state) {
    (void)state;
    static const char *const others[] = {
        RUN("aa02", "1") FILES("0", "7", "0"), RUN("aa02", "1") FILES("0", "10", "0"),
        RUN("aa02", "1") FILES("0", "0", "1"), RUN("aa02", "1") FILES("1", "0", "0"),
        RUN("aa02", "1") "loading:0\r\naof_enabled:0\r\n"};
    hearth__redis_run run = {0};
    assert_false(meet(&run, RUN("aa01", "1") FILES("0", "0", "0"), 0));
    assert_false(distrusts(&run, -1, 0));
    assert_true(meet(&run, RUN("aa02", "1") FILES("0", "0", "0"), 0)); /* another one's */
    assert_true(distrusts(&run, -1, 0));
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        hearth__redis_run other = {0};
        assert_false(meet(&other, others[i], 0));
        assert_true(distrusts(&other, -1, 0));
    }
}

static void a_run_that_has_just_begun_is_trusted_with_nothing(void **state) {
    (void)state;
    static const char *const texts[] = {RUN("aa01", "0"), RUN("aa01", "1")};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        hearth__redis_run run = {0};
        assert_false(meet(&run, texts[i], 0));
        assert_true(distrusts(&run, 0, 0));
        assert_true(distrusts(&run, 0, DISTRUST_MS - 1));
        assert_false(distrusts(&run, 1, 0));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(info_is_read),
        cmocka_unit_test(what_is_no_info_is_refused),
        cmocka_unit_test(a_known_run_is_trusted),
        cmocka_unit_test(another_run_is_not_trusted_for_a_while),
        cmocka_unit_test(a_young_run_is_not_trusted_with_what_is_older),
        cmocka_unit_test(a_run_that_began_empty_is_trusted),
        cmocka_unit_test(a_run_that_has_just_begun_is_trusted_with_nothing),
    };
    return cmocka_run_group_tests_name("redis_run", tests, NULL, NULL);
}
