/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One filter for all processes, at a real server: what one makes, all others know; and whatever happens to the filter there, no key
 * that exists is denied. Each cache stands for a process; there is one test of real ones. Long (HEARTH_LONG): 10^7 keys.
 */
#include "base/tsan.h"
#include "denials.h"
#include "source.h"
#include "support/servers.h"

#include <hiredis/hiredis.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { URL_BYTES = 160 };

#define SHORT "15" /* guard.view_ms, of most caches */

static struct servers servers;
static char url[URL_BYTES];
static redisContext *raw;

/* ---- the server ------------------------------------------------------------------------- */

static void connect_raw(void) {
    redisFree(raw);
    raw = redisConnectUnix(servers.nodes[0].path);
    assert_non_null(raw);
    assert_int_equal(raw->err, 0);
}

static int start(void **state) {
    (void)state;
    if (servers_open(&servers) != 0) {
        return -1;
    }
    /* It can keep a snapshot, and is asked for it by the test alone. */
    const char *const arguments[] = {"--dir", servers.folder, "--dbfilename", "old.rdb", NULL};
    if (servers_start(&servers, SERVER_REDIS, SERVER_UNIX, arguments) != 0 ||
        servers_url(&servers, SERVER_REDIS, url, sizeof url) != 0) {
        (void)fprintf(stderr, "%s\n", servers.error);
        return -1;
    }
    connect_raw();
    return 0;
}

static int stop(void **state) {
    (void)state;
    redisFree(raw);
    raw = NULL; /* there is another start */
    servers_stop(&servers);
    return 0;
}

/* An integer, or a string's length. */
static long long say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static long long say(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    redisReply *reply = redisvCommand(raw, format, arguments);
    va_end(arguments);
    assert_non_null(reply);
    assert_int_not_equal(reply->type, REDIS_REPLY_ERROR);
    long long answer =
        reply->type == REDIS_REPLY_INTEGER ? reply->integer : (long long)reply->len;
    freeReplyObject(reply);
    return answer;
}

/* Everything is gone; the filter's name at the server with the default seed. */
static int empty(void **state) {
    (void)state;
    (void)say("FLUSHALL");
    return 0;
}

/* Names of what belongs to a filter: the one whose name ends like this, or with NULL the filter itself. */
static const char *name_of(const char *ending) {
    static char name[128];
    redisReply *reply = redisCommand(raw, "KEYS hearth-guard:*");
    assert_non_null(reply);
    name[0] = '\0';
    for (size_t i = 0; i < reply->elements; i++) {
        const char *at = reply->element[i]->str;
        const char *rest = strchr(at + sizeof "hearth-guard:", ':'); /* behind the seed */
        bool is_it = ending == NULL ? rest == NULL : rest != NULL && strcmp(rest, ending) == 0;
        bool is_blocks = ending != NULL && ending[0] == '\0' && rest != NULL &&
                         strlen(rest) == sizeof ":0123456789abcdef" - 1;
        if (is_it || is_blocks) {
            (void)snprintf(name, sizeof name, "%s", at);
        }
    }
    freeReplyObject(reply);
    assert_true(name[0] != '\0');
    return name;
}

static const char *name_of_blocks(void) {
    return name_of("");
}

/* How often the library's scripts have run. */
static long long scripts_run(void) {
    redisReply *reply = redisCommand(raw, "INFO commandstats");
    assert_non_null(reply);
    const char *at = strstr(reply->str, "cmdstat_eval:calls=");
    long long calls = at != NULL ? strtoll(at + sizeof "cmdstat_eval:calls=" - 1, NULL, 10) : 0;
    freeReplyObject(reply);
    return calls;
}

/* Until all caches have asked the server some times more. */
static void let_them_look(void) {
    long long until = scripts_run() + 12;
    while (scripts_run() < until) {
        sched_yield();
    }
}

/* ---- processes -------------------------------------------------------------------------- */

static hearth *open_with(const char *view_ms, const char *option, const char *value) {
    return open_process(url, view_ms, option, value);
}

static hearth *open_shared(void) {
    return open_with(SHORT, NULL, NULL);
}

/* Two of them, with a filter of a thousand keys, which the first one made. */
struct pair {
    hearth *maker;
    hearth *other;
};

static struct pair open_pair(const char *other_view_ms) {
    struct pair pair = {.maker = open_shared()};
    assert_int_equal(rebuild(pair.maker, 1000), HEARTH_OK);
    pair.other = open_with(other_view_ms, NULL, NULL);
    await_denials(pair.maker);
    await_denials(pair.other);
    return pair;
}

static void close_pair(struct pair *pair) {
    close_all((hearth *[]){pair->maker, pair->other}, 2);
}

/* ---- what one makes, others know -------------------------------------------------------- */

static void what_one_rebuilds_all_others_have(void **state) {
    (void)state;
    struct pair pair = open_pair(SHORT);
    hearth *late = open_shared();
    await_denials(late); /* it started, and asked nobody for keys */
    hearth *caches[] = {pair.maker, pair.other, late};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(count_denied(caches[i], "there", 1000), 0);
        assert_int_equal(cache_stats(caches[i]).guard_copies, 1);
        assert_in_range(cache_stats(caches[i]).guard_keys, 900, 1100);
    }
    close_all(caches, 3);
}

static void what_one_adds_no_other_denies(void **state) {
    (void)state;
    struct pair pair = open_pair(SHORT);
    char key[KEY_BYTES];
    for (int i = 0; i < 700; i++) { /* more than come in one answer */
        (void)snprintf(key, sizeof key, "new:%d", i);
        assert_int_equal(add(pair.maker, key), HEARTH_OK);
        assert_false(is_denied(pair.maker, key));
    }
    await_passes(pair.other, key); /* the last one */
    assert_int_equal(count_denied(pair.other, "new", 700), 0);
    assert_int_equal(count_denied(pair.other, "there", 1000), 0);
    assert_int_equal(cache_stats(pair.other).guard_copies, 1); /* it was told each */
    /* And by what it writes. */
    assert_int_equal(cache_set(pair.other, "written", "x"), HEARTH_OK);
    await_passes(pair.maker, "written");
    hearth *late = open_shared(); /* finds them in the blocks */
    await_denials(late);
    assert_int_equal(count_denied(late, "new", 700), 0);
    assert_false(is_denied(late, "written"));
    assert_int_equal(cache_stats(pair.maker).guard_untold, 0);
    close_all((hearth *[]){pair.maker, pair.other, late}, 3);
}

/* A key that everybody has is no news. */
static void a_key_is_told_once(void **state) {
    (void)state;
    struct pair pair = open_pair("60s"); /* what it sees is new for a minute */
    char log[128];
    (void)snprintf(log, sizeof log, "%s", name_of(":log"));
    assert_int_equal(add(pair.other, "new"), HEARTH_OK);
    long long length = say("XLEN %s", log);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(add(pair.other, "new"), HEARTH_OK);
        assert_int_equal(add(pair.other, "there:1"), HEARTH_OK);
    }
    assert_int_equal(say("XLEN %s", log), length);
    close_pair(&pair);
}

/* One word to the server for all keys of a call. */
static void keys_that_are_written_together_are_told_together(void **state) {
    (void)state;
    enum { COUNT = 200 };
    struct pair pair = open_pair("60s"); /* looks once a second */
    char log[128];
    char keys[COUNT][KEY_BYTES];
    const void *pointers[COUNT];
    size_t sizes[COUNT];
    int32_t statuses[COUNT];
    (void)snprintf(log, sizeof log, "%s", name_of(":log"));
    assert_int_equal(hearth_close(pair.maker), HEARTH_OK);
    for (size_t i = 0; i < COUNT; i++) {
        sizes[i] = (size_t)snprintf(keys[i], KEY_BYTES, "many:%zu", i);
        pointers[i] = keys[i];
    }
    long long length = say("XLEN %s", log);
    long long scripts = scripts_run();
    assert_int_equal(
        hearth_set_many(pair.other, COUNT, pointers, sizes, pointers, sizes, NULL, statuses),
        HEARTH_OK);
    assert_in_range(scripts_run() - scripts, 1, 20);
    assert_int_equal(statuses[COUNT - 1], HEARTH_OK);
    assert_in_range(say("XLEN %s", log) - length, COUNT - 20, COUNT); /* some were there */
    hearth *late = open_shared();
    await_denials(late);
    assert_int_equal(count_denied(late, "many", COUNT), 0);
    close_all((hearth *[]){pair.other, late}, 2);
}

static void the_next_filter_takes_its_place_everywhere(void **state) {
    (void)state;
    struct pair pair = open_pair(SHORT);
    assert_int_equal(add(pair.other, "gone"), HEARTH_OK);
    await_passes(pair.maker, "gone");
    assert_int_equal(rebuild(pair.other, 2000), HEARTH_OK); /* without it */
    assert_true(await_until(does_not_pass, &(struct question){pair.maker, "gone"}));
    assert_int_equal(count_denied(pair.maker, "there", 2000), 0);
    assert_int_equal(count_denied(pair.other, "there", 2000), 0);
    assert_int_equal(cache_stats(pair.maker).guard_generation, 2);
    close_pair(&pair);
}

static void a_filter_of_another_size_is_copied_as_it_is(void **state) {
    (void)state;
    struct pair pair = open_pair(SHORT);
    hearth *large = open_with(SHORT, "guard.expected_keys", "100000");
    await_denials(large);
    assert_int_equal(count_denied(large, "there", 1000), 0);
    assert_int_equal(cache_stats(large).guard_bytes, cache_stats(pair.maker).guard_bytes);
    hearth *small = open_with(SHORT, "guard.max_bytes", "13kb");
    assert_int_equal(hearth_close(small), HEARTH_OK);
    close_pair(&pair);
    assert_int_equal(hearth_close(large), HEARTH_OK);
}

static void another_seed_is_another_filter(void **state) {
    (void)state;
    struct pair pair = open_pair(SHORT);
    hearth *foreign = open_with(SHORT, "guard.seed", "7");
    assert_int_equal(count_denied(foreign, "absent", 16), 0);
    let_them_look();
    assert_int_equal(count_denied(foreign, "absent", 16), 0);
    assert_int_equal(cache_stats(foreign).guard_copies, 0);
    assert_int_equal(add(foreign, "new"), HEARTH_OK);
    close_pair(&pair);
    assert_int_equal(hearth_close(foreign), HEARTH_OK);
}

static void one_process_rebuilds_at_a_time_inside(void *arg) {
    assert_int_equal(rebuild(arg, 10), HEARTH_E_OVERLOAD);
}

static void one_process_rebuilds_at_a_time(void **state) {
    (void)state;
    struct pair pair = open_pair(SHORT);
    struct keys keys = {
        .count = 10, .first = one_process_rebuilds_at_a_time_inside, .arg = pair.other};
    assert_int_equal(hearth_guard_rebuild(pair.maker, next_key, &keys), HEARTH_OK);
    assert_int_equal(rebuild(pair.other, 10), HEARTH_OK);
    close_pair(&pair);
}

/* Who was added in the middle, by whomever, is in the new filter. */
static void add_in_the_middle(void *arg) {
    assert_int_equal(add(arg, "middle"), HEARTH_OK);
}

static void what_others_add_meanwhile_is_in_the_new_filter(void **state) {
    (void)state;
    struct pair pair = open_pair(SHORT);
    struct keys keys = {.count = 1000, .first = add_in_the_middle, .arg = pair.other};
    assert_int_equal(hearth_guard_rebuild(pair.maker, next_key, &keys), HEARTH_OK);
    await_denials(pair.maker);
    assert_false(is_denied(pair.maker, "middle"));
    hearth *late = open_shared();
    await_denials(late);
    assert_false(is_denied(late, "middle"));
    assert_int_equal(hearth_close(late), HEARTH_OK);
    close_pair(&pair);
}

/* ---- whatever happens to it ------------------------------------------------------------- */

static void await_rebuilt(struct pair *pair) {
    assert_int_equal(rebuild(pair->other, 1000), HEARTH_OK);
    await_denials(pair->maker);
    await_denials(pair->other);
    assert_int_equal(count_denied(pair->maker, "there", 1000), 0);
    assert_int_equal(count_denied(pair->other, "there", 1000), 0);
}

static void after_a_flush_nothing_is_denied(void **state) {
    (void)state;
    struct pair pair = open_pair(SHORT);
    (void)say("FLUSHALL");
    assert_int_equal(add(pair.maker, "new"), HEARTH_OK); /* there is nothing to be told */
    await_none(pair.maker);
    await_none(pair.other);
    let_them_look();
    assert_int_equal(count_denied(pair.other, "absent", 16), 0);
    await_rebuilt(&pair);
    close_pair(&pair);
}

static void expect_no_trust(struct pair *pair) {
    await_none(pair->maker);
    await_none(pair->other);
    hearth *late = open_shared(); /* knows nothing of what was before */
    assert_int_equal(count_denied(late, "absent", 16), 0);
    let_them_look();
    hearth *caches[] = {pair->maker, pair->other, late};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(count_denied(caches[i], "absent", 16), 0);
        assert_int_equal(cache_stats(caches[i]).guard_certified, 0);
    }
    await_rebuilt(pair);
    close_all(caches, 3);
}

/* All that belongs to the filter, as it is now, at names of the test's own. */
static void keep_copies(const char *from, const char *to) {
    (void)say("EVAL %s 0 %s %s",
              "for _,k in ipairs(redis.call('KEYS',ARGV[1]..'*')) do "
              "redis.call('COPY',k,ARGV[2]..k:sub(#ARGV[1]+1),'REPLACE') end return 1",
              from, to);
}

/* Another server takes over, which has not got all that this one had acknowledged. */
static void a_server_that_lost_keys_is_not_trusted(void **state) {
    (void)state;
    struct pair pair = open_pair(SHORT);
    keep_copies("hearth-guard:", "old:");
    assert_int_equal(add(pair.maker, "lost"), HEARTH_OK);
    await_passes(pair.other, "lost");
    (void)say("REPLICAOF 127.0.0.1 1");
    (void)say("REPLICAOF NO ONE"); /* whose data have another history now */
    keep_copies("old:", "hearth-guard:");
    assert_int_equal(say("EXISTS %s", name_of(NULL)), 1);
    expect_no_trust(&pair);
}

/* Nobody is left who sees that the log went back: who comes now can only go by the server's history. */
static void nor_by_who_comes_later(void **state) {
    (void)state;
    struct pair pair = open_pair(SHORT);
    keep_copies("hearth-guard:", "old:");
    assert_int_equal(add(pair.maker, "lost"), HEARTH_OK);
    await_passes(pair.other, "lost");
    close_pair(&pair);
    (void)say("REPLICAOF 127.0.0.1 1");
    (void)say("REPLICAOF NO ONE");
    keep_copies("old:", "hearth-guard:");
    hearth *late = open_shared();
    assert_false(is_denied(late, "lost"));
    let_them_look();
    assert_false(is_denied(late, "lost"));
    assert_int_equal(cache_stats(late).guard_copies, 0);
    assert_int_equal(hearth_close(late), HEARTH_OK);
}

/* Long: the server comes back with what it had before a key was added, and its clients come back when they may. */
static void a_server_that_was_restarted_is_not_trusted(void **state) {
    (void)state;
    struct pair pair = open_pair(SHORT);
    (void)say("SAVE");
    assert_int_equal(add(pair.maker, "lost"), HEARTH_OK);
    await_passes(pair.other, "lost");
    assert_int_equal(servers_restart(&servers, 0), 0);
    connect_raw();
    assert_int_equal(say("EXISTS %s", name_of(NULL)), 1);
    expect_no_trust(&pair);
}

/* The same without a restart: the log is older than what was seen of it. */
static void a_log_that_goes_back_ends_the_filter(void **state) {
    (void)state;
    struct pair pair = open_pair(SHORT);
    assert_int_equal(add(pair.maker, "lost"), HEARTH_OK);
    await_passes(pair.other, "lost");
    (void)say("EVAL %s 1 %s",
              "redis.call('DEL',KEYS[1]) return redis.call('XADD',KEYS[1],'1-0','h','')",
              name_of(":log"));
    await_none(pair.maker);
    await_none(pair.other);
    assert_int_equal(say("EXISTS %s", name_of(":log")), 1);
    let_them_look(); /* it stays so */
    assert_int_equal(count_denied(pair.maker, "absent", 16), 0);
    assert_int_equal(count_denied(pair.other, "absent", 16), 0);
    await_rebuilt(&pair);
    close_pair(&pair);
}

static bool copied_again(void *cache) {
    return cache_stats(cache).guard_copies > 1;
}

/* Who finds a gap in the log, since it was trimmed, takes the whole. */
static void a_gap_in_the_log_is_filled_from_the_blocks(void **state) {
    (void)state;
    struct pair pair = open_pair("400"); /* looks seldom */
    char log[128];
    (void)snprintf(log, sizeof log, "%s", name_of(":log"));
    char key[KEY_BYTES] = "";
    for (int i = 0; i < 100 && !copied_again(pair.other); i++) {
        for (int j = 0; j < 3; j++) {
            (void)snprintf(key, sizeof key, "new:%d", 3 * i + j);
            assert_int_equal(add(pair.maker, key), HEARTH_OK);
        }
        (void)say("XTRIM %s MAXLEN 1", log);
        int64_t looks = scripts_run() + 40;
        while (scripts_run() < looks && !copied_again(pair.other)) {
            sched_yield();
        }
    }
    assert_true(copied_again(pair.other));
    await_denials(pair.other);
    assert_int_equal(count_denied(pair.other, "new", 3), 0);
    assert_false(is_denied(pair.other, key));
    close_pair(&pair);
}

/* Evicted, or deleted by somebody. */
static void blocks_that_are_gone_end_the_filter(void **state) {
    (void)state;
    struct pair pair = open_pair(SHORT);
    (void)say("DEL %s", name_of_blocks());
    assert_int_equal(add(pair.maker, "new"), HEARTH_OK);
    await_none(pair.maker);
    await_none(pair.other);
    await_rebuilt(&pair);
    (void)say("DEL %s", name_of(":log"));
    await_none(pair.other);
    await_rebuilt(&pair);
    (void)say("SETRANGE %s 100000 x", name_of_blocks());
    await_none(pair.other);
    await_rebuilt(&pair);
    (void)say("SET %s nonsense", name_of(NULL));
    await_none(pair.other);
    await_rebuilt(&pair);
    close_pair(&pair);
}

static void while_the_server_is_silent_nothing_is_denied(void **state) {
    (void)state;
    hearth *caches[] = {open_with(SHORT, "remote.timeout_ms", "40"), open_shared()};
    assert_int_equal(rebuild(caches[1], 1000), HEARTH_OK);
    await_denials(caches[0]);
    await_denials(caches[1]);
    assert_int_equal(servers_pause(&servers, 0), 0);
    await_none(caches[0]);
    await_none(caches[1]);
    assert_true(add(caches[0], "new") < 0); /* it is not to come to exist */
    assert_true(cache_set(caches[0], "written", "x") < 0);
    assert_int_equal(cache_stats(caches[0]).guard_untold,
                     2); /* before it was sent, and after */
    assert_int_equal(count_denied(caches[1], "absent", 16), 0);
    assert_int_equal(servers_resume(&servers, 0), 0);
    await_denials(caches[0]);
    await_passes(caches[1], "written");
    close_all(caches, 2);
}

/* What is at its source, but was never added. */
static void a_false_negative_ends_the_filter_for_all(void **state) {
    (void)state;
    struct pair pair = open_pair(SHORT);
    hearth *auditor = open_with(SHORT, "guard.audit", "1");
    struct source source = {SOURCE_INIT, .text = "x"};
    await_denials(auditor); /* which it checks: its gets find nothing */
    while (source.calls == 0 || cache_stats(auditor).guard_false_negatives == 0) {
        (void)source_fetch(auditor, "exists", &source, NULL);
        assert_int_equal(hearth_evict_local(auditor, "exists", 6) < 0, 0);
        sched_yield();
    }
    await_none(auditor);
    await_none(pair.maker);
    await_none(pair.other);
    assert_int_equal(cache_stats(auditor).guard_false_negatives, 1);
    await_rebuilt(&pair);
    await_denials(auditor);
    close_pair(&pair);
    assert_int_equal(hearth_close(auditor), HEARTH_OK);
}

/* A key that another process has just added proves nothing. */
static void what_came_since_the_last_look_proves_nothing(void **state) {
    (void)state;
    struct pair pair = open_pair(SHORT);
    hearth *auditor = open_with("60s", "guard.audit", "1");
    struct source source = {SOURCE_INIT, .text = "x"};
    await_denials(auditor);
    char key[KEY_BYTES];
    for (int i = 0; i < 20; i++) {
        (void)snprintf(key, sizeof key, "new:%d", i);
        assert_int_equal(add(pair.maker, key), HEARTH_OK);
        assert_int_equal(source_fetch(auditor, key, &source, NULL), HEARTH_OK);
    }
    await_passes(auditor, key);
    assert_int_equal(cache_stats(auditor).guard_false_negatives, 0);
    close_pair(&pair);
    assert_int_equal(hearth_close(auditor), HEARTH_OK);
}

/* ---- processes, threads ----------------------------------------------------------------- */

#if !defined(HEARTH__TSAN) /* which allows no threads after such a fork */
static void a_forked_child_has_it_too(void **state) {
    (void)state;
    struct pair pair = open_pair(SHORT);
    pid_t child = fork();
    if (child == 0) {
        bool has =
            await_until(denies, pair.other) && count_denied(pair.other, "there", 1000) == 0 &&
            add(pair.other, "child") == HEARTH_OK && hearth_close(pair.other) == HEARTH_OK;
        _exit(has ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    await_passes(pair.maker, "child");
    await_passes(pair.other, "child");
    close_pair(&pair);
}
#endif

static hearth *open_for_writers(void) {
    return open_with("20", NULL, NULL);
}

static void writers_of_many_processes_are_never_denied(void **state) {
    (void)state;
    writers_are_never_denied(open_for_writers);
}

/* Long: 10^7 keys. What is let through is what the filter's size lets through. */
static void of_all_keys_none_is_denied_anywhere(void **state) {
    (void)state;
    bool is_long = getenv("HEARTH_LONG") != NULL;
    uint64_t count = is_long ? 10000000 : 20000;
    const char *expected = is_long ? "10000000" : "20000";
    const char *view_ms = is_long ? "200" : "50";
    hearth *caches[] = {open_with(view_ms, "guard.expected_keys", expected),
                        open_with(view_ms, "guard.expected_keys", expected)};
    assert_int_equal(rebuild(caches[0], count), HEARTH_OK);
    for (size_t i = 0; i < 2; i++) {
        await_denials(caches[i]);
        uint64_t false_negatives = count_denied(caches[i], "there", count);
        uint64_t asked = is_long ? 1000000 : 20000;
        uint64_t before = cache_stats(caches[i]).guard_denials;
        uint64_t denied = count_denied(caches[i], "absent", asked);
        assert_int_equal(cache_stats(caches[i]).guard_denials - before, denied);
        if (is_long) {
            print_message("%s: %llu of %llu keys denied; %.3f %% of the missing ones pass\n",
                          i == 0 ? "maker" : "other", (unsigned long long)false_negatives,
                          (unsigned long long)count,
                          100 * (1 - (double)denied / (double)asked));
        }
        assert_int_equal(false_negatives, 0);
        assert_true(denied > asked / 2); /* it was not always up to date, on a busy machine */
    }
    close_all(caches, 2);
}

/* ---- at the door ------------------------------------------------------------------------ */

static void refuse(const char *url_or_null, const char *view_ms, const char *expected,
                   int32_t status, const char *words) {
    hearth_options *options = hearth_options_new();
    hearth *cache = NULL;
    assert_int_equal(hearth_options_set(options, "guard.shared", "yes"), HEARTH_OK);
    assert_int_equal(hearth_options_set(options, "guard.expected_keys", expected), HEARTH_OK);
    assert_int_equal(hearth_options_set(options, "guard.view_ms", view_ms), HEARTH_OK);
    assert_int_equal(hearth_options_set(options, "guard.max_bytes", "64gb"), HEARTH_OK);
    if (url_or_null != NULL) {
        assert_int_equal(hearth_options_set(options, "remote.url", url_or_null), HEARTH_OK);
    }
    assert_int_equal(hearth_open(options, &cache), status);
    assert_non_null(strstr(hearth_options_error(options), words));
    hearth_options_free(options);
}

static void what_does_not_fit_is_refused(void **state) {
    (void)state;
    refuse(NULL, "1000", "1000", HEARTH_E_UNSUPPORTED, "guard.shared");
    refuse(url, "9", "1000", HEARTH_E_INVALID, "guard.view_ms");
    refuse(url, "1000", "1000000000", HEARTH_E_INVALID, "guard.expected_keys");
    hearth *cache = open_shared();
    assert_int_equal(hearth_guard_load(cache, "/dev/null"), HEARTH_E_UNSUPPORTED);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_one_rebuilds_all_others_have, empty),
        cmocka_unit_test_setup(what_one_adds_no_other_denies, empty),
        cmocka_unit_test_setup(a_key_is_told_once, empty),
        cmocka_unit_test_setup(keys_that_are_written_together_are_told_together, empty),
        cmocka_unit_test_setup(the_next_filter_takes_its_place_everywhere, empty),
        cmocka_unit_test_setup(a_filter_of_another_size_is_copied_as_it_is, empty),
        cmocka_unit_test_setup(another_seed_is_another_filter, empty),
        cmocka_unit_test_setup(one_process_rebuilds_at_a_time, empty),
        cmocka_unit_test_setup(what_others_add_meanwhile_is_in_the_new_filter, empty),
        cmocka_unit_test_setup(after_a_flush_nothing_is_denied, empty),
        cmocka_unit_test_setup(a_log_that_goes_back_ends_the_filter, empty),
        cmocka_unit_test_setup(a_gap_in_the_log_is_filled_from_the_blocks, empty),
        cmocka_unit_test_setup(blocks_that_are_gone_end_the_filter, empty),
        cmocka_unit_test_setup(while_the_server_is_silent_nothing_is_denied, empty),
        cmocka_unit_test_setup(a_false_negative_ends_the_filter_for_all, empty),
        cmocka_unit_test_setup(what_came_since_the_last_look_proves_nothing, empty),
#if !defined(HEARTH__TSAN)
        cmocka_unit_test_setup(a_forked_child_has_it_too, empty),
#endif
        cmocka_unit_test_setup(writers_of_many_processes_are_never_denied, empty),
        cmocka_unit_test_setup(of_all_keys_none_is_denied_anywhere, empty),
        cmocka_unit_test_setup(a_server_that_lost_keys_is_not_trusted, empty),
        cmocka_unit_test_setup(nor_by_who_comes_later, empty),
        cmocka_unit_test_setup(what_does_not_fit_is_refused, empty),
    };
    const struct CMUnitTest long_tests[] = {
        cmocka_unit_test_setup(a_server_that_was_restarted_is_not_trusted, empty),
    };
    int failed = cmocka_run_group_tests(tests, start, stop);
    return getenv("HEARTH_LONG") != NULL
               ? failed + cmocka_run_group_tests(long_tests, start, stop)
               : failed;
}
