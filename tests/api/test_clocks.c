/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lives by the clocks. The test has clocks of its own, which stand still until it moves them: to the millisecond at which a life
 * ends, by an hour of suspended time, by an hour of somebody's setting the wall clock. In front of a real server they go on, and
 * can be moved ahead besides.
 */
#include "source.h"
#include "support/servers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { MS = 1000000, TICK_MS = 4 };
#define HOUR_MS INT64_C(3600000)

static struct {
    bool stand;       /* else the machine's time is added to each */
    int64_t awake_ns; /* CLOCK_MONOTONIC */
    int64_t asleep_ns;
    int64_t wall_ns;
} clocks;

/* In the place of the C library's, for the library under test: it links this program first. */
int clock_gettime(clockid_t clock, struct timespec *time) {
    bool coarse = clock == CLOCK_MONOTONIC_COARSE;
    struct timespec real = {0};
    if (!clocks.stand) {
        (void)syscall(SYS_clock_gettime, coarse ? CLOCK_MONOTONIC : clock, &real);
    }
    int64_t now_ns = (int64_t)real.tv_sec * 1000000000 + real.tv_nsec;
    now_ns += clock == CLOCK_REALTIME ? clocks.wall_ns : clocks.awake_ns;
    if (clock == CLOCK_BOOTTIME) {
        now_ns += clocks.asleep_ns;
    }
    if (coarse) {
        now_ns -= now_ns % ((int64_t)TICK_MS * MS);
    }
    *time = (struct timespec){.tv_sec = now_ns / 1000000000, .tv_nsec = now_ns % 1000000000};
    return 0;
}

static void pass_ms(int64_t ms) {
    clocks.awake_ns += ms * MS;
    clocks.wall_ns += ms * MS;
}

/* The machine sleeps. */
static void sleep_ms(int64_t ms) {
    clocks.asleep_ns += ms * MS;
    clocks.wall_ns += ms * MS;
}

static int64_t now_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / MS;
}

static hearth *cache;
static hearth_value *value;

static int open_with(const char *const *settings) {
    return cache_open_with_value(settings, &cache, &value);
}

static int open_cache(void **state) {
    (void)state;
    clocks.stand = true;
    clocks.awake_ns = INT64_C(7777777) * MS;
    clocks.asleep_ns = 5 * HOUR_MS * MS;
    clocks.wall_ns = INT64_C(1700000000000) * MS;
    return open_with(NULL);
}

static struct servers servers;

static int open_on_server(void **state) {
    char url[SERVERS_PATH_BYTES + 32];
    const char *const settings[] = {
        "remote.url", url, "local.max_ttl_ms", "60000", "coherence.mode", "ttl", NULL};
    (void)state;
    memset(&clocks, 0, sizeof clocks);
    if (servers_open(&servers) != 0) {
        return -1;
    }
    if (servers_start(&servers, SERVER_REDIS, SERVER_UNIX, NULL) != 0 ||
        servers_url(&servers, SERVER_REDIS, url, sizeof url) != 0 || open_with(settings) != 0) {
        print_error("%s\n", servers.error);
        servers_stop(&servers);
        return -1;
    }
    return 0;
}

static int close_cache(void **state) {
    (void)state;
    hearth_value_free(value);
    return hearth_close(cache);
}

static int close_on_server(void **state) {
    int status = close_cache(state);
    servers_stop(&servers);
    return status;
}

static int32_t set(int64_t ttl_ms, int64_t soft_ttl_ms, uint32_t flags) {
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    write.ttl_ms = ttl_ms;
    write.soft_ttl_ms = soft_ttl_ms;
    write.flags = flags;
    return hearth_set(cache, "key", 3, "value", 5, &write);
}

static int32_t get(uint32_t flags, int64_t max_stale_ms) {
    hearth_read_options read;
    hearth_read_options_init(&read, sizeof read);
    read.flags = flags;
    read.max_stale_ms = max_stale_ms;
    return hearth_get(cache, "key", 3, &read, value);
}

/* From the local tier, in each of the ways to ask it. */
static void expect_local(int32_t status) {
    const void *const keys[] = {"key"};
    const size_t sizes[] = {3};
    int32_t statuses[1];
    hearth_read_options read;
    hearth_read_options_init(&read, sizeof read);
    read.flags = HEARTH_READ_NO_REMOTE;
    assert_int_equal(get(HEARTH_READ_NO_REMOTE, HEARTH_STALE_ANY), status);
    assert_int_equal(get(HEARTH_READ_NO_REMOTE, HOUR_MS * 1000), status);
    assert_int_equal(hearth_get_many(cache, 1, keys, sizes, &read, &value, statuses),
                     HEARTH_OK);
    assert_int_equal(statuses[0], status);
}

static hearth_info info(void) {
    hearth_info told = {.size = sizeof told};
    assert_int_equal(hearth_value_info(value, &told), HEARTH_OK);
    return told;
}

/* ---- the end of a life ---- */

/* Whatever the coarse clock shows, and from whichever tier it came. */
static void a_hard_life_ends_at_its_millisecond(void **state) {
    (void)state;
    static const int64_t ttls_ms[] = {1, 2, 5, 19, 20, 21, 23, 24, 25, 1000, 86400000};
    for (size_t i = 0; i < sizeof ttls_ms / sizeof ttls_ms[0]; i++) {
        for (int phase = 0; phase < 2 * TICK_MS; phase++) {
            assert_int_equal(set(ttls_ms[i], 0, phase < TICK_MS ? HEARTH_WRITE_NO_REMOTE : 0),
                             HEARTH_OK);
            expect_local(HEARTH_OK);
            pass_ms(ttls_ms[i] - 1);
            expect_local(HEARTH_OK);
            assert_int_equal(get(0, HEARTH_STALE_ANY), HEARTH_OK);
            assert_int_equal(info().tier, HEARTH_TIER_LOCAL);
            assert_int_equal(info().ttl_left_ms, 1);
            pass_ms(1);
            expect_local(HEARTH_MISS);
            assert_int_equal(get(HEARTH_READ_ALLOW_STALE, HEARTH_STALE_ANY), HEARTH_MISS);
            pass_ms(1);
        }
    }
}

static void so_does_a_soft_life(void **state) {
    (void)state;
    for (int phase = 0; phase < TICK_MS; phase++) {
        assert_int_equal(set(1000, 100, HEARTH_WRITE_NO_REMOTE), HEARTH_OK);
        pass_ms(99);
        expect_local(HEARTH_OK);
        assert_int_equal(info().freshness, HEARTH_FRESH);
        pass_ms(1);
        expect_local(HEARTH_MISS);
        assert_int_equal(get(HEARTH_READ_ALLOW_STALE, HEARTH_STALE_ANY), HEARTH_OK);
        assert_int_equal(info().freshness, HEARTH_STALE);
        assert_int_equal(info().ttl_left_ms, 900);
        pass_ms(899);
        assert_int_equal(get(HEARTH_READ_ALLOW_STALE, HEARTH_STALE_ANY), HEARTH_OK);
        pass_ms(1);
        assert_int_equal(get(HEARTH_READ_ALLOW_STALE, HEARTH_STALE_ANY), HEARTH_MISS);
        pass_ms(1);
    }
}

/* A copy of what a node had lives as long as the node said, not as long as a new value would. */
static void a_copy_lives_as_long_as_its_node_said(void **state) {
    (void)state;
    for (int phase = 0; phase < TICK_MS; phase++) {
        assert_int_equal(set(100, 0, HEARTH_WRITE_NO_LOCAL), HEARTH_OK);
        pass_ms(60);
        expect_local(HEARTH_MISS);
        assert_int_equal(get(0, HEARTH_STALE_ANY), HEARTH_OK);
        assert_int_equal(info().tier, HEARTH_TIER_REMOTE);
        pass_ms(39);
        expect_local(HEARTH_OK);
        pass_ms(1);
        expect_local(HEARTH_MISS);
        pass_ms(1);
    }
}

/* ---- clocks that jump ---- */

static void setting_the_wall_clock_changes_no_life(void **state) {
    (void)state;
    static const int64_t steps_ms[] = {HOUR_MS, -HOUR_MS, -HOUR_MS, HOUR_MS * 24 * 365};
    assert_int_equal(set(60000, 30000, 0), HEARTH_OK);
    for (size_t i = 0; i < sizeof steps_ms / sizeof steps_ms[0]; i++) {
        clocks.wall_ns += steps_ms[i] * MS;
        pass_ms(1000);
        expect_local(HEARTH_OK);
        assert_int_equal(info().freshness, HEARTH_FRESH);
        assert_int_equal(info().ttl_left_ms, 60000 - ((int64_t)i + 1) * 1000);
    }
    pass_ms(26000);
    expect_local(HEARTH_MISS); /* its soft life is over */
    pass_ms(29999);
    assert_int_equal(get(HEARTH_READ_ALLOW_STALE, HEARTH_STALE_ANY), HEARTH_OK);
    pass_ms(1);
    assert_int_equal(get(HEARTH_READ_ALLOW_STALE, HEARTH_STALE_ANY), HEARTH_MISS);
}

/* The monotonic clocks stand still meanwhile. It is noticed within a tick of the coarse one. */
static void suspended_time_counts(void **state) {
    (void)state;
    assert_int_equal(set(HOUR_MS, 0, 0), HEARTH_OK);
    expect_local(HEARTH_OK);
    sleep_ms(HOUR_MS / 2);
    pass_ms(TICK_MS);
    expect_local(HEARTH_OK);
    assert_int_equal(info().ttl_left_ms, HOUR_MS / 2 - TICK_MS);
    assert_int_equal(info().age_ms, HOUR_MS / 2 + TICK_MS);
    sleep_ms(HOUR_MS / 2 - TICK_MS - TICK_MS);
    pass_ms(TICK_MS - 1);
    expect_local(HEARTH_OK);
    pass_ms(1);
    expect_local(HEARTH_MISS);
    /* By a whole hour, for what would have lived long. */
    assert_int_equal(set(HOUR_MS - 1, 0, 0), HEARTH_OK);
    sleep_ms(HOUR_MS);
    pass_ms(TICK_MS);
    expect_local(HEARTH_MISS);
}

/* ---- staleness ---- */

static void a_caller_with_a_bound_gets_nothing_older(void **state) {
    (void)state;
    int64_t before_ms = now_ms();
    assert_int_equal(set(100000, 0, 0), HEARTH_OK);
    pass_ms(3000);
    assert_int_equal(get(0, HEARTH_STALE_ANY), HEARTH_OK);
    assert_int_equal(info().tier, HEARTH_TIER_LOCAL);
    assert_true(info().staleness_bound_ms >= 3000);
    assert_true(info().staleness_bound_ms <= now_ms() - before_ms);
    assert_int_equal(get(0, now_ms() - before_ms + HOUR_MS), HEARTH_OK);
    assert_int_equal(info().tier, HEARTH_TIER_LOCAL);
    assert_int_equal(get(HEARTH_READ_NO_REMOTE, 2999), HEARTH_MISS);
    before_ms = now_ms();
    assert_int_equal(get(0, 2999), HEARTH_OK);
    assert_int_equal(info().tier, HEARTH_TIER_REMOTE);
    assert_true(info().staleness_bound_ms <= now_ms() - before_ms);
    /* Which has renewed the copy. */
    assert_int_equal(get(0, now_ms() - before_ms + HOUR_MS), HEARTH_OK);
    assert_int_equal(info().tier, HEARTH_TIER_LOCAL);
    assert_true(info().staleness_bound_ms <= now_ms() - before_ms);
}

static int32_t load_for_3_s(void *arg, const void *key, size_t key_size, hearth_fill *fill) {
    (void)arg;
    (void)key;
    (void)key_size;
    pass_ms(3000);
    return hearth_fill_value(fill, "loaded", 6);
}

/* What the loader read may have been changed since it began, however fast it was stored. */
static void the_bound_of_a_load_counts_from_its_beginning(void **state) {
    (void)state;
    const hearth_loader loader = {.size = sizeof loader, .load = load_for_3_s};
    hearth_read_options read;
    hearth_read_options_init(&read, sizeof read);
    read.flags = HEARTH_READ_NO_REMOTE; /* no node tells that it holds just this */
    assert_int_equal(hearth_fetch(cache, "slow", 4, &loader, &read, NULL, value), HEARTH_OK);
    assert_int_equal(info().tier, HEARTH_TIER_LOADED);
    assert_true(info().staleness_bound_ms >= 3000);
    assert_true(info().age_ms >= 3000);
    pass_ms(1000);
    assert_int_equal(hearth_get(cache, "slow", 4, &read, value), HEARTH_OK);
    assert_int_equal(info().tier, HEARTH_TIER_LOCAL);
    assert_true(info().staleness_bound_ms >= 4000);
    read.max_stale_ms = 3999;
    assert_int_equal(hearth_get(cache, "slow", 4, &read, value), HEARTH_MISS);
}

/* What others may have changed is asked for again, however long it would have lived. */
static void a_copy_ends_with_the_longest_staleness(void **state) {
    (void)state;
    assert_int_equal(set(HOUR_MS, 0, 0), HEARTH_OK);
    int64_t after_ms = now_ms();
    pass_ms(50000);
    assert_int_equal(get(0, HEARTH_STALE_ANY), HEARTH_OK);
    assert_int_equal(info().tier, HEARTH_TIER_LOCAL);
    pass_ms(after_ms + 60000 - now_ms());
    assert_int_equal(get(HEARTH_READ_NO_REMOTE, HEARTH_STALE_ANY), HEARTH_MISS);
    assert_int_equal(get(0, HEARTH_STALE_ANY), HEARTH_OK);
    assert_int_equal(info().tier, HEARTH_TIER_REMOTE);
    assert_true(info().ttl_left_ms > HOUR_MS / 2);
}

/* The server's own clock goes slower than ours here, so it still has the value: a copy of it ends all the same. */
static void a_copy_lives_as_long_as_its_server_said(void **state) {
    (void)state;
    int64_t before_ms = now_ms();
    assert_int_equal(set(30000, 0, HEARTH_WRITE_NO_LOCAL), HEARTH_OK);
    assert_int_equal(get(0, HEARTH_STALE_ANY), HEARTH_OK);
    int64_t after_ms = now_ms();
    assert_int_equal(info().tier, HEARTH_TIER_REMOTE);
    pass_ms(20000);
    if (now_ms() < before_ms + 30000 - 2) {
        assert_int_equal(get(HEARTH_READ_NO_REMOTE, HEARTH_STALE_ANY), HEARTH_OK);
    }
    pass_ms(after_ms + 30000 + 2 - now_ms());
    assert_int_equal(get(HEARTH_READ_NO_REMOTE, HEARTH_STALE_ANY), HEARTH_MISS);
    assert_int_equal(get(0, HEARTH_STALE_ANY), HEARTH_OK);
    assert_int_equal(info().tier, HEARTH_TIER_REMOTE);
}

#define ALONE(test)     cmocka_unit_test_setup_teardown(test, open_cache, close_cache)
#define ON_SERVER(test) cmocka_unit_test_setup_teardown(test, open_on_server, close_on_server)

int main(void) {
    const struct CMUnitTest tests[] = {
        ALONE(a_hard_life_ends_at_its_millisecond),
        ALONE(so_does_a_soft_life),
        ALONE(a_copy_lives_as_long_as_its_node_said),
        ALONE(setting_the_wall_clock_changes_no_life),
        ALONE(suspended_time_counts),
        ON_SERVER(a_caller_with_a_bound_gets_nothing_older),
        ON_SERVER(the_bound_of_a_load_counts_from_its_beginning),
        ON_SERVER(a_copy_ends_with_the_longest_staleness),
        ON_SERVER(a_copy_lives_as_long_as_its_server_said),
    };
    return cmocka_run_group_tests_name("clocks", tests, NULL, NULL);
}
