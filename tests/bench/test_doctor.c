/* SPDX-License-Identifier: Apache-2.0 */
/* `hearth-bench doctor` on real servers: what it says of them, and what it leaves behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

#include <hiredis/hiredis.h>

#include "bench/harness.h"
#include "support/servers.h"

enum { URL_BYTES = 1024 };

static struct servers servers;

static const char *const fit[] = {"--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru",
                                  NULL};

static void start(enum server_kind kind, const char *const *arguments) {
    if (servers_start(&servers, kind, SERVER_UNIX, arguments) != 0) {
        fail_msg("%s", servers.error);
    }
}

/* Two of each, for all tests: nodes 0 and 1 are Redis. Who changes them changes them back. */
static int open_servers(void **state) {
    (void)state;
    assert_int_equal(servers_open(&servers), 0);
    start(SERVER_REDIS, fit);
    start(SERVER_REDIS, fit);
    start(SERVER_MEMCACHED, NULL);
    start(SERVER_MEMCACHED, NULL);
    return 0;
}

static int stop_servers(void **state) {
    (void)state;
    servers_stop(&servers);
    return 0;
}

/* Visits all nodes of a kind. */
static void visit(enum server_kind kind, const char *more, struct harness_answer *answer) {
    char url[URL_BYTES];
    char arguments[URL_BYTES + 128];
    assert_int_equal(servers_url(&servers, kind, url, sizeof url), 0);
    (void)snprintf(arguments, sizeof arguments, "doctor --remote %s %s", url, more);
    harness_run(answer, arguments);
}

static void ends_with(const struct harness_answer *answer, int status) {
    if (answer->status != status) {
        fail_msg("status %d:\n%s", answer->status, answer->text);
    }
}

/* What the node answers to a command: a number, or the length of a text or list. */
static long long ask(size_t node, const char *command) {
    redisContext *redis = redisConnectUnix(servers.nodes[node].path);
    assert_non_null(redis);
    redisReply *reply = redisCommand(redis, command);
    assert_non_null(reply);
    long long number = reply->type == REDIS_REPLY_INTEGER ? reply->integer : -1;
    if (reply->type == REDIS_REPLY_ERROR) {
        fail_msg("%s: %s", command, reply->str);
    }
    freeReplyObject(reply);
    redisFree(redis);
    return number;
}

static void nothing_is_wrong_with_what_is_fit(void **state) {
    (void)state;
    struct harness_answer answer;
    visit(SERVER_REDIS, "", &answer);
    ends_with(&answer, 0);
    harness_says(&answer, "looks at 2 Redis nodes");
    harness_says(&answer, servers.nodes[0].path);
    harness_says(&answer, servers.nodes[1].path);
    harness_says(&answer, "of 100 MB");
    harness_says(&answer, "allkeys-lru");
    harness_says(&answer, "works on 2 of 2 nodes");
    harness_says(&answer, "agree on the node of 10000 of 10000");
    harness_says(&answer,
                 "Of 64 keys put where libmemcached puts them, Hearth found 64; 64 of");
    harness_says(&answer, "Nothing is wrong");
    harness_says_not(&answer, "What is wrong");
    harness_says_not(&answer, "refuses");
    harness_says_not(&answer, "WARNING");
    /* It cleans up. */
    assert_int_equal(ask(0, "DBSIZE"), 0);
    assert_int_equal(ask(1, "DBSIZE"), 0);
}

static void what_could_be_better_is_told(void **state) {
    (void)state;
    struct harness_answer answer;
    (void)ask(0, "CONFIG SET maxmemory-policy noeviction appendonly yes timeout 300");
    (void)ask(1, "CONFIG SET maxmemory 0");
    visit(SERVER_REDIS, "", &answer);
    ends_with(&answer, 0);
    harness_says(&answer, "refuses writes once it is full (maxmemory-policy noeviction)");
    harness_says(&answer, "writes to disk (the append-only file)");
    harness_says(&answer, "idle (timeout 300)");
    harness_says(&answer, "has no maxmemory");
    harness_says(&answer, "Nothing is wrong. Advice:");
    (void)ask(0, "CONFIG SET maxmemory-policy allkeys-lru appendonly no timeout 0");
    (void)ask(1, "CONFIG SET maxmemory 100mb");
}

static void a_node_that_is_gone_does_not_hide_the_others(void **state) {
    (void)state;
    struct harness_answer answer;
    assert_int_equal(servers_kill(&servers, 0), 0);
    visit(SERVER_REDIS, "", &answer);
    ends_with(&answer, 1);
    harness_says(&answer, "works on 1 of 1 nodes");
    harness_says(&answer, "does not answer: Connection refused");
    harness_says(&answer, "What is wrong");
    assert_int_equal(ask(1, "DBSIZE"), 0);
    assert_int_equal(servers_restart(&servers, 0), 0);
}

/* One connects, and never hears anything. */
static void a_node_that_says_nothing_is_given_up(void **state) {
    (void)state;
    struct harness_answer answer;
    assert_int_equal(servers_pause(&servers, 1), 0);
    visit(SERVER_REDIS, "", &answer);
    ends_with(&answer, 1);
    harness_says(&answer, "works on 1 of 1 nodes");
    harness_says(&answer, "does not answer: Resource temporarily unavailable");
    assert_int_equal(servers_resume(&servers, 1), 0);
}

static void a_server_that_tells_nothing_of_changes_is_found_out(void **state) {
    (void)state;
    struct harness_answer answer;
    (void)ask(0, "ACL SETUSER default -client|tracking -eval");
    visit(SERVER_REDIS, "", &answer);
    ends_with(&answer, 0);
    harness_says(&answer, "works on 1 of 2 nodes");
    harness_says(&answer, "does not tell what changed (NOPERM");
    harness_says(&answer, "refuses scripts (NOPERM");
    (void)ask(0, "ACL SETUSER default +@all");
}

static void keys_of_who_places_them_otherwise_are_found_out(void **state) {
    (void)state;
    struct harness_answer answer;
    char command[64];
    for (int i = 0; i < 60; i++) { /* modulo, as the simplest clients do */
        (void)snprintf(command, sizeof command, "SET app:%d v", i);
        (void)ask((size_t)i % 2, command);
    }
    visit(SERVER_REDIS, "--prefix app:", &answer);
    ends_with(&answer, 1);
    harness_says(&answer, "Of 60 keys that are on the nodes under app:,");
    harness_says(&answer, "has keys that Hearth looks for elsewhere, as 'app:");
    visit(SERVER_REDIS, "--prefix other:", &answer);
    ends_with(&answer, 0);
    harness_says_not(&answer, "that are on the nodes");
    assert_int_equal(ask(0, "DBSIZE") + ask(1, "DBSIZE"), 60);
    (void)ask(0, "FLUSHALL");
    (void)ask(1, "FLUSHALL");
}

static void it_writes_nothing_if_it_must_not(void **state) {
    (void)state;
    struct harness_answer answer;
    (void)ask(0, "ACL SETUSER default -@write");
    visit(SERVER_REDIS, "", &answer);
    harness_says(&answer, "it does not take a key");
    visit(SERVER_REDIS, "--read-only", &answer);
    ends_with(&answer, 0);
    harness_says(&answer, "It only reads");
    harness_says(&answer, "Tracking (CLIENT TRACKING, redirected) is allowed on 2 of 2 nodes");
    (void)ask(0, "ACL SETUSER default +@all");
}

static void memcached_is_looked_at_too(void **state) {
    (void)state;
    static const char *const unfit[] = {"-M", "-C", NULL};
    struct harness_answer answer;
    visit(SERVER_MEMCACHED, "", &answer);
    ends_with(&answer, 0);
    harness_says(&answer, "memcached 1.");
    harness_says(&answer, "of 256 MB");
    harness_says(&answer, "agree on the node of 10000 of 10000");
    harness_says(&answer,
                 "Of 64 keys put where libmemcached puts them, Hearth found 64; 64 of");
    harness_says(&answer, "Memcached does not tell what changed");
    start(SERVER_MEMCACHED, unfit);
    assert_int_equal(servers_kill(&servers, 2), 0);
    visit(SERVER_MEMCACHED, "", &answer);
    ends_with(&answer, 1);
    harness_says(&answer, "does not answer: ");
    harness_says(&answer, "start it without -M");
    harness_says(&answer, "start it without -C");
}

static void what_it_cannot_look_at_is_refused(void **state) {
    (void)state;
    harness_refuses("doctor", "takes --remote URL");
    harness_refuses("doctor --remote embedded://", "takes servers");
    harness_refuses("doctor --remote redish://localhost", "redis://");
    harness_refuses("doctor --remote redis://localhost more", "what is more");
    harness_refuses("doctor --remote redis://localhost --prefix 'a b'", "without blanks");
    harness_refuses("doctor --remotely", "unrecognized option");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_wrong_with_what_is_fit),
        cmocka_unit_test(what_could_be_better_is_told),
        cmocka_unit_test(a_node_that_is_gone_does_not_hide_the_others),
        cmocka_unit_test(a_node_that_says_nothing_is_given_up),
        cmocka_unit_test(a_server_that_tells_nothing_of_changes_is_found_out),
        cmocka_unit_test(keys_of_who_places_them_otherwise_are_found_out),
        cmocka_unit_test(it_writes_nothing_if_it_must_not),
        cmocka_unit_test(memcached_is_looked_at_too),
        cmocka_unit_test(what_it_cannot_look_at_is_refused),
    };
    return cmocka_run_group_tests(tests, open_servers, stop_servers);
}
