/* SPDX-License-Identifier: Apache-2.0 */
/* Changes that a cache makes to hear of them: what they tell, what they find, and what they cost who may not make them. */

#include "tracking_rig.h"

#include "base/clock.h"

#include <hearth/hearth.h>

#include <hiredis/hiredis.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

enum { SOME = 3, LIFE_MS = 60000 };

static void set_option(hearth_options *options, const char *name, const char *value) {
    assert_int_equal(hearth_options_set(options, name, value), HEARTH_OK);
}

static hearth *open_cache(const char *url, const char *lanes, const char *canary_ms) {
    hearth *cache = NULL;
    hearth_options *options = hearth_options_new();
    assert_non_null(options);
    set_option(options, "remote.url", url);
    set_option(options, "remote.timeout_ms", "5s");
    set_option(options, "remote.stall_ms", "5s");
    set_option(options, "remote.prefix", "app:");
    set_option(options, "remote.lanes", lanes);
    set_option(options, "coherence.mode", "tracking");
    set_option(options, "coherence.ping_ms", "10");
    set_option(options, "coherence.dead_ms", "10s");
    set_option(options, "coherence.canary_ms", canary_ms);
    set_option(options, "local.max_ttl_ms", "10m");
    assert_int_equal(hearth_open(options, &cache), HEARTH_OK);
    hearth_options_free(options);
    return cache;
}

static hearth *open_plain(const char *canary_ms) {
    char url[256];
    (void)snprintf(url, sizeof url, "redis+unix://%s", tracking_servers()->nodes[0].path);
    return open_cache(url, "4", canary_ms);
}

static long long number_of(redisReply *reply) {
    long long number =
        reply->type == REDIS_REPLY_ARRAY ? (long long)reply->elements : reply->integer;
    freeReplyObject(reply);
    return number;
}

static hearth_stats stats_of(hearth *cache) {
    hearth_stats stats = {.size = sizeof stats};
    assert_int_equal(hearth_stats_get(cache, &stats), HEARTH_OK);
    return stats;
}

/* A cache, and how many of what is awaited of it. */
struct wait {
    hearth *cache;
    uint64_t count;
};

/* Reads open connections. */
static bool is_heard(void *arg) {
    const struct wait *wait = arg;
    assert_true(hearth_get(wait->cache, "missing", 7, NULL, NULL) >= 0);
    return stats_of(wait->cache).canaries_heard >= wait->count;
}

static void await_heard(hearth *cache, uint64_t more) {
    struct wait wait = {.cache = cache, .count = stats_of(cache).canaries_heard + more};
    assert_true(await_until(is_heard, &wait));
}

/* How often the server was asked whether it is there, by connections that had nothing else to ask. */
static bool has_pinged(void *arg) {
    const struct wait *wait = arg;
    redisReply *reply = tracking_ask("INFO commandstats");
    const char *found = strstr(reply->str, "cmdstat_ping:calls=");
    uint64_t calls =
        found != NULL ? strtoull(found + strlen("cmdstat_ping:calls="), NULL, 10) : 0;
    freeReplyObject(reply);
    return calls >= wait->count;
}

static void await_pings(uint64_t count) {
    struct wait wait = {.count = count};
    freeReplyObject(tracking_ask("CONFIG RESETSTAT"));
    assert_true(await_until(has_pinged, &wait));
}

/* How many records of the log tell of that. */
static unsigned told(hearth *cache, const char *words) {
    hearth_log_record record = {.size = sizeof record};
    unsigned count = 0;
    while (hearth_log_next(cache, &record) == HEARTH_OK) {
        count += strstr(record.text, words) != NULL;
    }
    return count;
}

static int reset(void **state) {
    (void)state;
    freeReplyObject(tracking_ask("FLUSHALL"));
    return 0;
}

/* ---- what they tell ------------------------------------------------------------------------ */

static void they_measure_how_soon_changes_are_told(void **state) {
    (void)state;
    enum { MS = 1000 };
    hearth *cache = open_plain("20");
    size_t needed = 0;
    int64_t began_ms = hearth__boot_ms();
    await_heard(cache, SOME);
    int64_t took_ms = hearth__boot_ms() - began_ms + 1;
    hearth_stats stats = stats_of(cache);
    assert_true(stats.canary_p50_us > 0 && stats.canary_p50_us <= stats.canary_p99_us);
    /* A step of the histogram is an eighth wide. */
    assert_true(stats.canary_p99_us <= (uint64_t)took_ms * MS * 9 / 8 + 1);
    assert_true(stats.canary_us <= stats.canaries_heard * (uint64_t)took_ms * MS);
    assert_int_equal(stats.canaries_unheard, 0);
    /* They are nobody's values. */
    assert_int_equal(stats.changes_told, 0);
    assert_int_equal(hearth_stats_text(cache, NULL, 0, &needed), HEARTH_E_TOO_LARGE);
    char *text = malloc(2 * needed);
    assert_non_null(text);
    assert_int_equal(hearth_stats_text(cache, text, 2 * needed, &needed), HEARTH_OK);
    const char *count = strstr(text, "hearth_canary_seconds_count ");
    assert_non_null(count);
    assert_true(strtol(strchr(count, ' '), NULL, 10) >= SOME);
    free(text);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

/* Nobody takes them for an application's, and none stays. */
static void their_keys_are_known_and_end(void **state) {
    (void)state;
    hearth *cache = open_plain("20");
    await_heard(cache, SOME);
    redisReply *keys = tracking_ask("KEYS *");
    assert_true(keys->elements > 0);
    for (size_t i = 0; i < keys->elements; i++) {
        const char *name = keys->element[i]->str;
        assert_memory_equal(name, "hearth-canary:", strlen("hearth-canary:"));
        long long left_ms = number_of(tracking_ask("PTTL %s", name));
        assert_true(left_ms > 0 && left_ms <= LIFE_MS);
    }
    freeReplyObject(keys);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

static void there_are_none_without_the_option(void **state) {
    (void)state;
    hearth *cache = open_plain("0");
    assert_int_equal(hearth_get(cache, "k", 1, NULL, NULL), HEARTH_MISS);
    await_pings(20);
    assert_int_equal(stats_of(cache).canaries_heard, 0);
    assert_int_equal(number_of(tracking_ask("KEYS *")), 0);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

/* ---- connections that never rest --------------------------------------------------------------- */

struct traffic {
    hearth *cache;
    _Atomic bool over;
};

static void ask_on(void *arg, size_t index) {
    struct traffic *traffic = arg;
    (void)index;
    while (!atomic_load(&traffic->over) &&
           hearth_get(traffic->cache, "busy", 4, NULL, NULL) >= 0) {
        (void)hearth_evict_local(traffic->cache, "busy", 4);
    }
}

static void connections_that_are_busy_are_tried_too(void **state) {
    (void)state;
    char url[256];
    struct crowd crowd;
    (void)snprintf(url, sizeof url, "redis+unix://%s", tracking_servers()->nodes[0].path);
    struct traffic traffic = {.cache = open_cache(url, "1", "10")};
    assert_true(crowd_start(&crowd, 4, ask_on, &traffic));
    await_heard(traffic.cache, 10);
    atomic_store(&traffic.over, true);
    crowd_join(&crowd);
    assert_int_equal(stats_of(traffic.cache).canaries_unheard, 0);
    assert_int_equal(stats_of(traffic.cache).disconnects, 0);
    assert_int_equal(hearth_close(traffic.cache), HEARTH_OK);
}

/* ---- connections that are told nothing ---------------------------------------------------------- */

/* A middle box that keeps to itself whom a connection wants to have told. */
struct middle_box {
    _Atomic bool keeps;
};

#define TRACKING "*5\r\n$6\r\nCLIENT\r\n$8\r\nTRACKING\r\n$2\r\nON\r\n$8\r\nREDIRECT\r\n"
#define INSTEAD  "*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$1\r\nx\r\n"

/* Where the number behind it ends: two lines; 0: not yet. */
static size_t end_of_number(const unsigned char *bytes, size_t size) {
    size_t lines = 0;
    for (size_t i = 0; i < size; i++) {
        lines += bytes[i] == '\n';
        if (lines == 2) {
            return i + 1;
        }
    }
    return 0;
}

static size_t filter(void *arg, struct proxy_flow *flow, const unsigned char *bytes,
                     size_t size) {
    const struct middle_box *box = arg;
    size_t words = strlen(TRACKING);
    const unsigned char *at = memmem(bytes, size, TRACKING, words);
    if (at == NULL || !atomic_load(&box->keeps)) {
        proxy_emit(flow, bytes, size);
        return size;
    }
    size_t before = (size_t)(at - bytes);
    size_t number = end_of_number(at + words, size - before - words);
    proxy_emit(flow, bytes, before);
    if (number == 0) {
        return before;
    }
    proxy_emit(flow, INSTEAD, strlen(INSTEAD));
    return before + words + number;
}

static bool is_found_out(void *arg) {
    const struct wait *wait = arg;
    hearth_stats stats = stats_of(wait->cache);
    return stats.canaries_unheard >= wait->count && stats.disconnects >= wait->count;
}

static bool is_new(void *arg) {
    const struct wait *wait = arg;
    char text[8] = "";
    hearth_value *value = hearth_value_new();
    assert_int_equal(hearth_get(wait->cache, "k", 1, NULL, value), HEARTH_OK);
    (void)snprintf(text, sizeof text, "%.*s", (int)hearth_value_size(value),
                   (const char *)hearth_value_data(value));
    hearth_value_free(value);
    return strcmp(text, "new") == 0;
}

static bool is_told_of(void *arg) {
    const struct wait *wait = arg;
    hearth_info info = {.size = sizeof info};
    hearth_value *value = hearth_value_new();
    assert_int_equal(hearth_get(wait->cache, "k", 1, NULL, value), HEARTH_OK);
    assert_int_equal(hearth_value_info(value, &info), HEARTH_OK);
    hearth_value_free(value);
    if (info.tier == HEARTH_TIER_LOCAL && info.ttl_left_ms <= 2000) {
        (void)hearth_evict_local(wait->cache, "k", 1);
    }
    return info.tier == HEARTH_TIER_LOCAL && info.ttl_left_ms > 2000;
}

static void a_connection_that_is_told_nothing_is_closed(void **state) {
    (void)state;
    const hearth_write_options write = {.size = sizeof write, .ttl_ms = 600000};
    char url[256];
    struct middle_box box = {.keeps = true};
    struct proxy *proxy = proxy_start(tracking_servers()->nodes[0].path, 0);
    assert_non_null(proxy);
    proxy_filter(proxy, PROXY_TO_SERVER, filter, &box);
    (void)snprintf(url, sizeof url, "redis+unix://%s", proxy_path(proxy));
    hearth *other = open_plain("0");
    hearth *cache = open_cache(url, "1", "100");
    struct wait wait = {.cache = cache, .count = 1};
    assert_int_equal(hearth_set(other, "k", 1, "old", 3, &write), HEARTH_OK);
    assert_true(await_until(is_told_of, &wait)); /* as it seems */
    assert_int_equal(hearth_set(other, "k", 1, "new", 3, &write), HEARTH_OK);
    assert_true(await_until(is_found_out, &wait));
    assert_true(await_until(is_new, &wait));
    assert_int_equal(stats_of(cache).canaries_heard, 0);
    assert_true(told(cache, "that was not told") >= 1);
    /* Another one, on which nothing is kept back. */
    atomic_store(&box.keeps, false);
    await_heard(cache, SOME);
    assert_true(await_until(is_told_of, &wait));
    assert_int_equal(hearth_set(other, "k", 1, "old", 3, &write), HEARTH_OK);
    assert_int_equal(hearth_set(other, "k", 1, "new", 3, &write), HEARTH_OK);
    assert_true(await_until(is_new, &wait));
    assert_int_equal(hearth_close(cache), HEARTH_OK);
    assert_int_equal(hearth_close(other), HEARTH_OK);
    proxy_stop(proxy);
}

/* A flush forgets who is to be told, and says so: that is nobody's fault. */
static void a_flush_is_no_silence(void **state) {
    (void)state;
    hearth *cache = open_plain("10");
    for (unsigned i = 0; i < 10; i++) {
        await_heard(cache, 1);
        freeReplyObject(tracking_ask("FLUSHALL"));
    }
    await_heard(cache, SOME);
    assert_int_equal(stats_of(cache).canaries_unheard, 0);
    assert_int_equal(stats_of(cache).disconnects, 0);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

/* ---- who may not write them --------------------------------------------------------------------- */

static void who_may_not_write_them_is_told_once(void **state) {
    (void)state;
    char url[256];
    freeReplyObject(tracking_ask("ACL SETUSER app on >secret ~app:* &* +@all"));
    (void)snprintf(url, sizeof url, "redis+unix://app:secret@%s",
                   tracking_servers()->nodes[0].path);
    hearth *cache = open_cache(url, "4", "10");
    struct wait wait = {.cache = cache};
    assert_int_equal(hearth_set(cache, "k", 1, "x", 1, NULL), HEARTH_OK);
    assert_true(await_until(is_told_of, &wait));
    await_pings(20);
    assert_int_equal(told(cache, "hearth-canary:"), 1);
    assert_true(is_told_of(&wait));
    assert_int_equal(stats_of(cache).canaries_heard, 0);
    assert_int_equal(stats_of(cache).canaries_unheard, 0);
    assert_int_equal(stats_of(cache).disconnects, 0);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
    freeReplyObject(tracking_ask("ACL DELUSER app"));
}

/* ---- the server --------------------------------------------------------------------------------- */

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(they_measure_how_soon_changes_are_told, reset),
        cmocka_unit_test_setup(their_keys_are_known_and_end, reset),
        cmocka_unit_test_setup(there_are_none_without_the_option, reset),
        cmocka_unit_test_setup(connections_that_are_busy_are_tried_too, reset),
        cmocka_unit_test_setup(a_connection_that_is_told_nothing_is_closed, reset),
        cmocka_unit_test_setup(a_flush_is_no_silence, reset),
        cmocka_unit_test_setup(who_may_not_write_them_is_told_once, reset),
    };
    return cmocka_run_group_tests(tests, tracking_start, tracking_stop);
}
