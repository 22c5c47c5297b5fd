/* SPDX-License-Identifier: Apache-2.0 */
/* Local copies where nodes tell of all changes (coherence.tracking = broadcast), on a real server. */

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

enum { SHORT_MS = 2000 }; /* copies that nobody tells of live no longer */

/* Of the caches that are opened next. */
static const char *way; /* to the server; NULL: straight */
static const char *canary_ms = "5s";

static hearth_options *options_of(const char *tracking, const char *prefixes) {
    char url[256];
    const struct {
        const char *name;
        const char *value;
    } all[] = {{"remote.url", url},
               {"remote.timeout_ms", "5s"},
               {"remote.prefix", "app:"},
               {"coherence.mode", "tracking"},
               {"coherence.tracking", tracking},
               {"coherence.prefixes", prefixes},
               {"coherence.ping_ms", "20"},
               {"coherence.dead_ms", "10s"},
               {"coherence.canary_ms", canary_ms},
               {"local.max_ttl_ms", "10m"},
               {"coherence.version_ttl_ms", "1h"}};
    hearth_options *options = hearth_options_new();
    assert_non_null(options);
    (void)snprintf(url, sizeof url, "redis+unix://%s",
                   way != NULL ? way : tracking_servers()->nodes[0].path);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        assert_int_equal(hearth_options_set(options, all[i].name, all[i].value), HEARTH_OK);
    }
    return options;
}

static hearth *open_cache(const char *tracking, const char *prefixes) {
    hearth *cache = NULL;
    hearth_options *options = options_of(tracking, prefixes);
    assert_int_equal(hearth_open(options, &cache), HEARTH_OK);
    hearth_options_free(options);
    return cache;
}

static void tell(const char *command) {
    freeReplyObject(tracking_ask(command));
}

static void set(hearth *cache, const char *key, const char *text) {
    const hearth_write_options write = {.size = sizeof write, .ttl_ms = 600000};
    assert_int_equal(hearth_set(cache, key, strlen(key), text, strlen(text), &write),
                     HEARTH_OK);
}

static hearth_stats stats_of(hearth *cache) {
    hearth_stats stats = {.size = sizeof stats};
    assert_int_equal(hearth_stats_get(cache, &stats), HEARTH_OK);
    return stats;
}

struct copy {
    hearth *cache;
    const char *key;
    const char *text; /* what is to be there; NULL: nothing is */
    hearth_info info;
};

static bool is_seen(void *arg) {
    struct copy *copy = arg;
    hearth_value *value = hearth_value_new();
    int32_t status = hearth_get(copy->cache, copy->key, strlen(copy->key), NULL, value);
    copy->info.size = sizeof copy->info;
    assert_true(status >= 0);
    assert_int_equal(hearth_value_info(value, &copy->info), HEARTH_OK);
    bool seen = status == HEARTH_MISS;
    if (copy->text != NULL) {
        size_t size = hearth_value_size(value);
        seen = status == HEARTH_OK && size == strlen(copy->text) &&
               memcmp(hearth_value_data(value), copy->text, size) == 0;
    }
    hearth_value_free(value);
    return seen;
}

static void await_text(hearth *cache, const char *key, const char *text) {
    struct copy copy = {.cache = cache, .key = key, .text = text};
    assert_true(await_until(is_seen, &copy));
}

/* Read, and read again: then it is a hit for longer than what nobody tells of. */
static bool is_tracked(void *arg) {
    struct copy *copy = arg;
    (void)is_seen(copy);
    bool local = copy->info.tier == HEARTH_TIER_LOCAL;
    if (local && copy->info.ttl_left_ms <= SHORT_MS) {
        (void)hearth_evict_local(copy->cache, copy->key, strlen(copy->key));
    }
    return local && copy->info.ttl_left_ms > SHORT_MS;
}

static void track(hearth *cache, const char *key) {
    struct copy copy = {.cache = cache, .key = key};
    assert_true(await_until(is_tracked, &copy));
}

static bool is_local(hearth *cache, const char *key, const char *text) {
    struct copy copy = {.cache = cache, .key = key, .text = text};
    return is_seen(&copy) && copy.info.tier == HEARTH_TIER_LOCAL;
}

/* ---- changes ------------------------------------------------------------------------------- */

static bool has_no_keys(void) {
    redisReply *reply = tracking_ask("INFO stats");
    bool none = strstr(reply->str, "tracking_total_keys:0\r") != NULL;
    freeReplyObject(reply);
    return none;
}

static void changes_elsewhere_reach_local_copies(void **state) {
    (void)state;
    hearth *cache = open_cache("broadcast", "");
    hearth *other = open_cache("default", "");
    set(other, "k", "old");
    track(cache, "k");
    set(other, "k", "new");
    await_text(cache, "k", "new");
    /* And again, without being read in between, and by whoever. */
    set(other, "k", "newer");
    await_text(cache, "k", "newer");
    track(cache, "k");
    tell("DEL app:k");
    await_text(cache, "k", NULL);
    assert_true(stats_of(cache).changes_told >= 3);
    assert_int_equal(hearth_close(other), HEARTH_OK);
    /* The server remembers nothing of what was read. */
    set(cache, "k", "newest");
    track(cache, "k");
    assert_true(has_no_keys());
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

static hearth *open_space(hearth *cache) {
    hearth *view = NULL;
    assert_int_equal(hearth_namespace_open(cache, "space", 5, &view), HEARTH_OK);
    return view;
}

/* What says so stands beside the keys, with another beginning. */
static void families_that_end_elsewhere_are_told_of(void **state) {
    static const void *const tags[] = {"tag"};
    static const size_t sizes[] = {3};
    static const char *const prefixes[] = {"", "k,last"};
    const hearth_write_options tagged = {.size = sizeof tagged,
                                         .ttl_ms = 600000,
                                         .tags = tags,
                                         .tag_sizes = sizes,
                                         .tag_count = 1};
    (void)state;
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        hearth *cache = open_cache("broadcast", prefixes[i]);
        hearth *other = open_cache("default", "");
        assert_int_equal(hearth_set(other, "k", 1, "old", 3, &tagged), HEARTH_OK);
        set(open_space(other), "k", "old");
        track(cache, "k");
        track(open_space(cache), "k");
        assert_int_equal(hearth_invalidate_tag(other, "tag", 3, NULL), HEARTH_OK);
        await_text(cache, "k", NULL);
        assert_int_equal(hearth_namespace_bump(open_space(other), NULL), HEARTH_OK);
        await_text(open_space(cache), "k", NULL);
        assert_int_equal(hearth_close(other), HEARTH_OK);
        assert_int_equal(hearth_close(cache), HEARTH_OK);
    }
}

/* Until the listener has heard what it was told before: a change of this key. */
static void await_told(hearth *cache) {
    set(cache, "last", "1");
    track(cache, "last");
    tell("DEL app:last");
    await_text(cache, "last", NULL);
}

static void keys_of_others_are_not_told_of(void **state) {
    (void)state;
    hearth *cache = open_cache("broadcast", "");
    set(cache, "k", "value");
    track(cache, "k");
    await_told(cache);
    track(cache, "k"); /* it may have been told of late that it was set */
    uint64_t told = stats_of(cache).changes_told;
    tell("SET other:k x");
    tell("SET ap x");
    tell("SET k x");
    await_told(cache);
    assert_true(is_local(cache, "k", "value"));
    /* Of "last": set, and gone. */
    assert_int_equal(stats_of(cache).changes_told, told + 2);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

static void own_writes_and_loads_are_seen_at_once(void **state) {
    (void)state;
    enum { WRITES = 200 };
    char text[16];
    hearth *cache = open_cache("broadcast", "");
    set(cache, "k", "0");
    track(cache, "k");
    for (int i = 1; i < WRITES; i++) {
        struct copy copy = {.cache = cache, .key = "k", .text = text};
        (void)snprintf(text, sizeof text, "%d", i);
        set(cache, "k", text);
        assert_true(is_seen(&copy));
    }
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

struct writer {
    hearth *cache;
    int round;
    _Atomic bool over;
};

enum { ROUNDS = 20, WRITES = 40 };

static void write_on(void *arg, size_t index) {
    struct writer *writer = arg;
    char text[16];
    (void)index;
    for (int i = 1; i <= WRITES; i++) {
        (void)snprintf(text, sizeof text, "%d", writer->round * WRITES + i);
        if (hearth_set(writer->cache, "k", 1, text, strlen(text), NULL) != HEARTH_OK) {
            break;
        }
    }
    atomic_store(&writer->over, true);
}

/* Changes come while answers are on their way: an old one that was kept would stay for minutes. */
static void an_answer_that_a_change_overtook_is_not_kept(void **state) {
    (void)state;
    char text[16];
    struct crowd crowd;
    hearth *cache = open_cache("broadcast", "");
    hearth *other = open_cache("default", "");
    set(other, "k", "0");
    track(cache, "k");
    for (int round = 0; round < ROUNDS; round++) {
        struct writer writer = {.cache = other, .round = round};
        assert_true(crowd_start(&crowd, 1, write_on, &writer));
        while (!atomic_load(&writer.over)) {
            assert_int_equal(hearth_get(cache, "k", 1, NULL, NULL), HEARTH_OK);
        }
        crowd_join(&crowd);
        (void)snprintf(text, sizeof text, "%d", (round + 1) * WRITES);
        await_text(cache, "k", text);
    }
    assert_int_equal(hearth_close(cache), HEARTH_OK);
    assert_int_equal(hearth_close(other), HEARTH_OK);
}

/* ---- losses -------------------------------------------------------------------------------- */

static void a_flush_reaches_local_copies(void **state) {
    (void)state;
    hearth *cache = open_cache("broadcast", "");
    for (unsigned i = 0; i < 2; i++) {
        set(cache, "k", "old");
        track(cache, "k");
        tell(i == 0 ? "FLUSHALL" : "FLUSHDB");
        await_text(cache, "k", NULL);
    }
    assert_int_equal(stats_of(cache).changes_lost, 0);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

static bool has_lost(void *arg) {
    return stats_of(arg).changes_lost != 0;
}

static void a_listener_that_is_killed_takes_its_copies_along(void **state) {
    (void)state;
    hearth *cache = open_cache("broadcast", "");
    set(cache, "k", "old");
    track(cache, "k");
    tell("CLIENT KILL TYPE pubsub");
    tell("DEL app:k");
    assert_true(await_until(has_lost, cache));
    struct copy copy = {.cache = cache, .key = "k"};
    assert_true(is_seen(&copy));
    set(cache, "k", "new");
    track(cache, "k");
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

/* Connections on which values were read have nothing to do with it. */
static void a_connection_that_ends_costs_no_copies(void **state) {
    (void)state;
    hearth *cache = open_cache("broadcast", "");
    set(cache, "k", "old");
    track(cache, "k");
    await_told(cache);
    track(cache, "k");
    tell("CLIENT KILL TYPE normal SKIPME yes");
    assert_true(is_local(cache, "k", "old"));
    tell("DEL app:k");
    struct copy copy = {.cache = cache, .key = "k"};
    assert_int_equal(stats_of(cache).changes_lost, 0);
    int32_t status = hearth_get(cache, "other", 5, NULL, NULL); /* its connection is closed */
    assert_true(status == HEARTH_MISS || status == HEARTH_E_UNAVAILABLE);
    assert_true(await_until(is_seen, &copy));
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

static bool is_told_why(void *arg) {
    hearth *cache = arg;
    const hearth_read_options from_node = {.size = sizeof from_node,
                                           .flags = HEARTH_READ_NO_LOCAL,
                                           .max_stale_ms = HEARTH_STALE_ANY};
    hearth_log_record record = {.size = sizeof record};
    assert_int_equal(hearth_get(cache, "k", 1, &from_node, NULL), HEARTH_OK);
    return hearth_log_next(cache, &record) == HEARTH_OK && record.level == HEARTH_LOG_WARNING &&
           strstr(record.text, "CLIENT TRACKING") != NULL;
}

static void a_node_that_refuses_has_copies_for_a_second(void **state) {
    (void)state;
    struct copy copy = {.key = "k", .text = "value"};
    tell("ACL SETUSER default -client|tracking");
    copy.cache = open_cache("broadcast", "");
    set(copy.cache, "k", "value");
    assert_true(await_until(is_told_why, copy.cache));
    while (copy.info.tier != HEARTH_TIER_LOCAL) {
        assert_true(is_seen(&copy));
    }
    assert_in_range(copy.info.ttl_left_ms, 0, 1000);
    assert_int_equal(hearth_close(copy.cache), HEARTH_OK);
    tell("ACL SETUSER default +@all");
}

/* ---- canaries ------------------------------------------------------------------------------ */

static bool has_heard(void *arg) {
    return stats_of(arg).canaries_heard >= 3;
}

static void canaries_are_told_of(void **state) {
    (void)state;
    static const char *const prefixes[] = {"", "u:"};
    canary_ms = "20";
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        hearth *cache = open_cache("broadcast", prefixes[i]);
        hearth *other = open_cache("broadcast", prefixes[i]);
        set(cache, "u:k", "value");
        track(cache, "u:k");
        track(other, "u:k");
        set(cache, "u:last", "1");
        track(cache, "u:last");
        tell("DEL app:u:last"); /* told of behind that the other key was set */
        await_text(cache, "u:last", NULL);
        track(cache, "u:k");
        uint64_t told = stats_of(cache).changes_told;
        assert_true(await_until(has_heard, cache));
        assert_true(await_until(has_heard, other));
        hearth_stats stats = stats_of(cache);
        assert_true(stats.canary_p50_us > 0);
        assert_int_equal(stats.canaries_unheard, 0);
        assert_int_equal(stats.changes_lost, 0);
        assert_int_equal(stats.changes_told, told); /* they are nobody's values */
        assert_true(is_local(cache, "u:k", "value"));
        assert_int_equal(hearth_close(other), HEARTH_OK);
        assert_int_equal(hearth_close(cache), HEARTH_OK);
    }
    canary_ms = "5s";
}

/* Leaves the first message out that tells of a canary. */
static size_t keep_back(void *arg, struct proxy_flow *flow, const unsigned char *bytes,
                        size_t size) {
    static const char begin[] = "*3\r\n$7\r\nmessage\r\n";
    const _Atomic bool *keeps = arg;
    const unsigned char *name = memmem(bytes, size, "hearth-canary:", 14);
    const unsigned char *message = memmem(bytes, size, begin, sizeof begin - 1);
    if (!atomic_load(keeps) || name == NULL || message == NULL || message > name) {
        proxy_emit(flow, bytes, size);
        return size;
    }
    const unsigned char *end = memmem(name, size - (size_t)(name - bytes), "\r\n", 2);
    proxy_emit(flow, bytes, (size_t)(message - bytes));
    return end != NULL ? (size_t)(end - bytes) + 2 : size;
}

static bool is_unheard(void *arg) {
    hearth_stats stats = stats_of(arg);
    return stats.canaries_unheard != 0 && stats.changes_lost != 0;
}

/* Something stands between that keeps changes back: then nothing that was read is trusted, and a connection is made that may do
 * better. */
static void who_is_told_nothing_listens_anew(void **state) {
    (void)state;
    _Atomic bool keeps = false;
    struct proxy *proxy = proxy_start(tracking_servers()->nodes[0].path, 0);
    assert_non_null(proxy);
    proxy_filter(proxy, PROXY_TO_CLIENT, keep_back, &keeps);
    way = proxy_path(proxy);
    canary_ms = "20";
    hearth *cache = open_cache("broadcast", "");
    set(cache, "k", "old");
    track(cache, "k");
    atomic_store(&keeps, true);
    assert_true(await_until(is_unheard, cache));
    atomic_store(&keeps, false);
    track(cache, "k");
    tell("DEL app:k");
    await_text(cache, "k", NULL);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
    way = NULL;
    canary_ms = "5s";
    proxy_stop(proxy);
}

/* ---- prefixes ------------------------------------------------------------------------------ */

static void keys_outside_the_prefixes_live_shorter(void **state) {
    (void)state;
    hearth *cache = open_cache("broadcast", "u:,p:");
    hearth *space = NULL;
    assert_int_equal(hearth_namespace_open(cache, "s", 1, &space), HEARTH_OK);
    set(cache, "u:1", "old");
    set(cache, "p:1", "old");
    set(cache, "x:1", "old");
    set(space, "1", "old");
    track(cache, "u:1");
    track(cache, "p:1");
    track(space, "1");
    struct copy copy = {.cache = cache, .key = "x:1", .text = "old"};
    assert_true(is_seen(&copy) && is_seen(&copy));
    assert_true(copy.info.ttl_left_ms <= SHORT_MS || copy.info.tier != HEARTH_TIER_LOCAL);
    set(cache, "u:1", "new");
    set(cache, "p:1", "new");
    set(space, "1", "new");
    await_text(cache, "u:1", "new");
    await_text(cache, "p:1", "new");
    await_text(space, "1", "new");
    assert_int_equal(hearth_close(space), HEARTH_OK);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

static void prefixes_that_cannot_be_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *tracking;
        const char *prefixes;
        const char *words;
    } cases[] = {
        {"broadcast", "foo,aa,foobar", "'foobar' begins with 'foo'"},
        {"broadcast", "foobar,foo", "'foobar' begins with 'foo'"},
        {"broadcast", "foo,foo", "'foo' begins with 'foo'"},
        {"broadcast", "foo,", "nothing"},
        {"broadcast", ",foo", "nothing"},
        {"broadcast", "\x89x", "0x89"},
        {"default", "foo", "coherence.tracking"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hearth *cache = NULL;
        hearth_options *options = options_of(cases[i].tracking, cases[i].prefixes);
        assert_int_equal(hearth_open(options, &cache), HEARTH_E_INVALID);
        assert_null(cache);
        assert_non_null(strstr(hearth_options_error(options), "coherence.prefixes"));
        assert_non_null(strstr(hearth_options_error(options), cases[i].words));
        hearth_options_free(options);
    }
}

/* ---- the server ------------------------------------------------------------------------------ */

static int reset(void **state) {
    (void)state;
    tell("FLUSHALL");
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(changes_elsewhere_reach_local_copies, reset),
        cmocka_unit_test_setup(families_that_end_elsewhere_are_told_of, reset),
        cmocka_unit_test_setup(keys_of_others_are_not_told_of, reset),
        cmocka_unit_test_setup(own_writes_and_loads_are_seen_at_once, reset),
        cmocka_unit_test_setup(an_answer_that_a_change_overtook_is_not_kept, reset),
        cmocka_unit_test_setup(a_flush_reaches_local_copies, reset),
        cmocka_unit_test_setup(a_listener_that_is_killed_takes_its_copies_along, reset),
        cmocka_unit_test_setup(a_connection_that_ends_costs_no_copies, reset),
        cmocka_unit_test_setup(a_node_that_refuses_has_copies_for_a_second, reset),
        cmocka_unit_test_setup(canaries_are_told_of, reset),
        cmocka_unit_test_setup(who_is_told_nothing_listens_anew, reset),
        cmocka_unit_test_setup(keys_outside_the_prefixes_live_shorter, reset),
        cmocka_unit_test_setup(prefixes_that_cannot_be_are_refused, reset),
    };
    return cmocka_run_group_tests(tests, tracking_start, tracking_stop);
}
