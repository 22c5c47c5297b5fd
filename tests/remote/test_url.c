/* SPDX-License-Identifier: Apache-2.0 */
/* The forms of `remote.url`, what is refused, and that no message shows a password. */
#include "remote/remote.h"
#include "support/failing_memory.h"

#include <hearth/errors.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { WHY_SIZE = 300, NODES_MAX = 1000 };

static char why[WHY_SIZE];

static int32_t parse(const char *text, hearth__remote_url *url) {
    memset(why, 'w', sizeof why);
    why[0] = '\0';
    return hearth__remote_url_parse(text, url, why, sizeof why);
}

/* All that an address says, as a text: "redis a:6379*1 b:7000*3 user=u password=p db=2". */
static void describe(const hearth__remote_url *url, char *text, size_t size) {
    static const char *const kinds[] = {"embedded", "redis", "memcached"};
    size_t at = (size_t)snprintf(text, size, "%s", kinds[url->kind]);
    for (size_t i = 0; i < url->count && at < size; i++) {
        const hearth__node_address *node = &url->nodes[i];
        at += (size_t)snprintf(text + at, size - at, " %s:%u*%u", node->host, node->port,
                               node->weight);
    }
    if (url->user != NULL && at < size) {
        at += (size_t)snprintf(text + at, size - at, " user=%s", url->user);
    }
    if (url->password != NULL && at < size) {
        at += (size_t)snprintf(text + at, size - at, " password=%s", url->password);
    }
    if (url->database != 0 && at < size) {
        at += (size_t)snprintf(text + at, size - at, " db=%u", url->database);
    }
    assert_true(at < size);
}

static void expect(const char *text, const char *expected) {
    const int64_t blocks = failing_memory_blocks();
    hearth__remote_url url;
    char told[2000];
    int32_t status = parse(text, &url);
    if (status != HEARTH_OK) {
        fail_msg("%s: %s", text, why);
    }
    describe(&url, told, sizeof told);
    assert_string_equal(told, expected);
    hearth__remote_url_fini(&url);
    assert_null(url.nodes);
    assert_null(url.password);
    assert_int_equal(failing_memory_blocks(), blocks);
}

static void expect_status(const char *text, int32_t status, const char *part) {
    const int64_t blocks = failing_memory_blocks();
    hearth__remote_url url;
    int32_t got = parse(text, &url);
    if (got != status || strstr(why, part) == NULL) {
        fail_msg("%s: %d, '%s'", text, got, why);
    }
    assert_null(url.nodes);
    assert_null(url.user);
    assert_null(url.password);
    assert_int_equal(failing_memory_blocks(), blocks);
}

static void expect_refused(const char *text, const char *part) {
    expect_status(text, HEARTH_E_INVALID, part);
}

/* ---- forms ---- */

static void each_form_is_read(void **state) {
    (void)state;
    expect("embedded://", "embedded embedded:0*1");
    expect("redis://cache", "redis cache:6379*1");
    expect("redis://cache:7000", "redis cache:7000*1");
    expect("redis://a,b:7001,c", "redis a:6379*1 b:7001*1 c:6379*1");
    expect("redis://10.0.0.1:1,10.0.0.1:65535", "redis 10.0.0.1:1*1 10.0.0.1:65535*1");
    expect("memcached://a,b:11212", "memcached a:11211*1 b:11212*1");
    expect("memcached://a/", "memcached a:11211*1");
    expect("redis+unix:///run/r.sock", "redis /run/r.sock:0*1");
    expect("redis+unix:///a,/b?weight=2,3&db=4", "redis /a:0*2 /b:0*3 db=4");
    expect("memcached+unix:///a b,/c%2cd", "memcached /a b:0*1 /c,d:0*1");
}

static void addresses_of_version_6_stand_in_brackets(void **state) {
    (void)state;
    expect("redis://[::1]", "redis ::1:6379*1");
    expect("redis://[::1]:7000,[2001:db8::7]", "redis ::1:7000*1 2001:db8::7:6379*1");
    expect("memcached://[fe80::1%25eth0]:1", "memcached fe80::1%eth0:1*1");
    expect_refused("redis://::1", "brackets");
    expect_refused("redis://fe80::1:6379", "brackets");
    expect_refused("redis://[::1", "bracket");
    expect_refused("redis://::1]", "brackets");
    expect_refused("redis://[::1]]", "bracket");
    expect_refused("redis://[::1]x", "bracket");
    expect_refused("redis://[::1]7000", "bracket");
    expect_refused("redis://[::1]x:7000", "bracket");
    expect_refused("redis://[::1]:", "port");
    expect_refused("redis://[]", "host");
    expect_refused("redis://[]:7000", "host");
    expect_refused("redis://cache]", "bracket");
    expect_refused("redis://cache:70]", "port");
    expect_refused("redis://ca[che", "bracket");
}

static void user_password_and_database_are_read(void **state) {
    (void)state;
    expect("redis://user:pass@a", "redis a:6379*1 user=user password=pass");
    expect("redis://:pass@a", "redis a:6379*1 password=pass");
    expect("redis://pass@a", "redis a:6379*1 password=pass");
    expect("redis://user:@a", "redis a:6379*1 user=user password=");
    expect("redis://u:p@a,b:1/3", "redis a:6379*1 b:1*1 user=u password=p db=3");
    expect("redis://u:p:q@a", "redis a:6379*1 user=u password=p:q");
    expect("redis://u:p@q@a", "redis a:6379*1 user=u password=p@q");
    expect("redis://u:p,q/r@a", "redis a:6379*1 user=u password=p,q/r");
    expect("redis://u%3av:p%40%2f%3F%25@a", "redis a:6379*1 user=u:v password=p@/?%");
    expect("redis://u:%01%fF@a", "redis a:6379*1 user=u password=\x01\xff");
    expect("redis+unix://u:p@/run/r", "redis /run/r:0*1 user=u password=p");
    expect("redis://a/0", "redis a:6379*1");
    expect("redis://a/15", "redis a:6379*1 db=15");
    expect("redis://a/", "redis a:6379*1");
    expect("redis://a?db=15", "redis a:6379*1 db=15");
    expect("redis://a/2?weight=9", "redis a:6379*9 db=2");
    expect("redis://a/1000000", "redis a:6379*1 db=1000000");
    expect_refused("redis://a/1000001", "database");
    expect_refused("redis://a/x", "database");
    expect_refused("redis://a/-1", "database");
    expect_refused("redis://a/1/2", "database");
    expect_refused("redis://a?db=", "database");
    expect_refused("memcached://a/1", "database");
    expect_refused("memcached://a?db=1", "database");
    expect_refused("redis://u:%@a", "hex");
    expect_refused("redis://u:%4@a", "hex");
    expect_refused("redis://u:%4g@a", "hex");
    expect_refused("redis://u:%g4@a", "hex");
    expect_refused("redis://u%:p@a", "user name");
    expect_refused("redis://u:p%00@a", "password");
    expect_refused("redis://a%0", "host name");
    expect_status("memcached://u:p@a", HEARTH_E_UNSUPPORTED, "Redis only");
    expect_status("memcached+unix://u:p@/a", HEARTH_E_UNSUPPORTED, "Redis only");
}

static void weights_are_one_for_each_node(void **state) {
    (void)state;
    expect("redis://a,b,c?weight=1,20,1000000", "redis a:6379*1 b:6379*20 c:6379*1000000");
    expect("redis://a?weight=007", "redis a:6379*7");
    expect("redis://a?", "redis a:6379*1");
    expect("redis://a?db=1&weight=2", "redis a:6379*2 db=1");
    expect_refused("redis://a,b?weight=1", "each of the 2 nodes");
    expect_refused("redis://a,b?weight=1,2,3", "each of the 2 nodes");
    expect_refused("redis://a,b?weight=1,2,", "2 nodes");
    expect_refused("redis://a,b?weight=,1", "from 1 to 1000000");
    expect_refused("redis://a?weight=0", "from 1 to 1000000");
    expect_refused("redis://a?weight=1000001", "from 1 to 1000000");
    expect_refused("redis://a?weight=4294967297", "from 1 to 1000000");
    expect_refused("redis://a?weight=99999999999999999999", "from 1 to 1000000");
    expect_refused("redis://a?weight=1.5", "from 1 to 1000000");
    expect_refused("redis://a?weight=-1", "from 1 to 1000000");
    expect_refused("redis://a?weight=", "from 1 to 1000000");
    expect_refused("redis://a?weights=1", "weight= and db=");
    expect_refused("redis://a?&weight=1", "weight= and db=");
    expect_refused("redis://a?weight", "from 1 to 1000000");
}

static void other_schemes_are_refused(void **state) {
    (void)state;
    static const char *const texts[] = {
        "",         "redis",           "redis:",    "redis:/a", "REDIS://a",   "://a",
        "http://a", " redis://a",      "localhost", "a:6379",   "/run/r.sock", "redisx://a",
        "redi://a", "redis+unixx:///a"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        expect_refused(texts[i], "redis+unix://");
    }
    expect_refused("embedded://a", "nothing follows");
    expect_refused("embedded://?weight=1", "nothing follows");
    expect_status("rediss://a", HEARTH_E_UNSUPPORTED, "rediss://");
    expect_status("redis-cluster://a", HEARTH_E_UNSUPPORTED, "redis-cluster://");
}

static void nodes_need_a_host_and_a_port_in_range(void **state) {
    (void)state;
    expect_refused("redis://", "host");
    expect_refused("redis://,a", "host");
    expect_refused("redis://a,", "host");
    expect_refused("redis://a,,b", "host");
    expect_refused("redis://u:p@", "host");
    expect_refused("redis:///1", "host");
    expect_refused("redis://:6379", "host");
    expect_refused("redis://a:0", "1 to 65535");
    expect_refused("redis://a:65536", "1 to 65535");
    expect_refused("redis://a:4294973675", "1 to 65535"); /* 6379 in 32 bits */
    expect_refused("redis://a:", "1 to 65535");
    expect_refused("redis://a:+1", "1 to 65535");
    expect_refused("redis://a: 1", "1 to 65535");
    expect_refused("redis://a:1x", "1 to 65535");
    expect_refused("redis://a,b:x", "node 2");
    expect_refused("redis://a b", "host");
    expect_refused("redis://a\n", "host");
    expect_refused("redis://%20a", "host");
    expect_refused("redis://a%7f", "host");
}

static void a_path_fits_into_a_socket_address(void **state) {
    (void)state;
    char text[256];
    char expected[256];
    char path[120];
    memset(path, 'p', sizeof path);
    path[0] = '/';
    (void)snprintf(text, sizeof text, "redis+unix://%.107s", path);
    (void)snprintf(expected, sizeof expected, "redis %.107s:0*1", path);
    expect(text, expected);
    (void)snprintf(text, sizeof text, "redis+unix://%.108s", path);
    expect_refused(text, "at most 107 bytes");
    /* 107 bytes once decoded. */
    (void)snprintf(text, sizeof text, "memcached+unix://%.106s%%70", path);
    (void)snprintf(expected, sizeof expected, "memcached %.107s:0*1", path);
    expect(text, expected);
    expect_refused("redis+unix://", "'/'");
    expect_refused("redis+unix://run/r.sock", "'/'");
    expect_refused("redis+unix:///a,b", "'/'");
    expect_refused("redis+unix:///a,", "'/'");
    expect_refused("redis+unix:///a%00b", "hex");
    expect_refused("redis+unix:///a/%2", "hex");
}

static void a_host_and_the_fleet_have_their_limits(void **state) {
    (void)state;
    char text[NODES_MAX * 2 + 32];
    char name[260];
    hearth__remote_url url;
    memset(name, 'h', sizeof name);
    (void)snprintf(text, sizeof text, "redis://%.253s:1", name);
    assert_int_equal(parse(text, &url), HEARTH_OK);
    hearth__remote_url_fini(&url);
    (void)snprintf(text, sizeof text, "redis://%.254s:1", name);
    expect_refused(text, "host");
    size_t at = (size_t)snprintf(text, sizeof text, "redis://");
    for (size_t i = 0; i < NODES_MAX; i++) {
        memcpy(text + at, i + 1 < NODES_MAX ? "a," : "a\0", 2);
        at += 2;
    }
    assert_int_equal(parse(text, &url), HEARTH_OK);
    assert_int_equal(url.count, NODES_MAX);
    hearth__remote_url_fini(&url);
    memcpy(text + at - 1, ",a", 3);
    expect_refused(text, "1000 nodes");
}

/* ---- what a message may not show, and chaos ---- */

#define SECRETS_3 "s3cret/s3cret/s3cret/"
#define TOO_LONG_PATH \
    "redis+unix:///" SECRETS_3 SECRETS_3 SECRETS_3 SECRETS_3 SECRETS_3 SECRETS_3

static void no_message_shows_any_of_the_address(void **state) {
    (void)state;
    static const char *const texts[] = {
        "redis://u:s3cret@h:port",
        "redis://u:s3cret",
        "redis://u:a?s3cret@h",
        "redis://u:s3cret?a@h",
        "redis://u:s3cret#@",
        "redis://s3cret:@:1",
        "redis+unix://:s3cret?@/p",
        "redis+unix://s3cret",
        "redis+unix:///a,s3cret",
        "redis://u:s3cret%zz@h",
        "redis://u%zz:s3cret@h",
        "rediss://u:s3cret@h",
        "memcached://u:s3cret@h",
        "http://u:s3cret@h",
        "embedded://u:s3cret@h",
        "redis://u:x@h/s3cret",
        "redis://u:x@h?s3cret",
        "redis://u:x@h?weight=s3cret",
        "redis://u:x@h?db=s3cret",
        "redis://u:x@[s3cret",
        "redis://u:x@s3cret]",
        "redis://u:x@s3cret%00",
        "redis://u:x@s3cret\t",
        "s3cret://h",
        TOO_LONG_PATH,
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        hearth__remote_url url;
        assert_true(parse(texts[i], &url) < 0);
        assert_true(strlen(why) > 20);
        if (strstr(why, "s3cret") != NULL) {
            fail_msg("%s: %s", texts[i], why);
        }
    }
}

static uint32_t next_random(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Pieces of addresses in any order, with bytes of any value among them. */
static void compose(uint32_t *random, char *text, size_t size) {
    static const char *const pieces[] = {"redis://",
                                         "memcached://",
                                         "redis+unix://",
                                         "embedded://",
                                         "/",
                                         ",",
                                         ":",
                                         "@",
                                         "?",
                                         "weight=",
                                         "db=",
                                         "&",
                                         "%",
                                         "%4",
                                         "[",
                                         "]",
                                         "1",
                                         "a",
                                         "s3cret",
                                         "65535",
                                         "%41",
                                         "::1",
                                         "=",
                                         "//"};
    size_t at = 0;
    for (uint32_t left = next_random(random) % 12; left != 0; left--) {
        uint32_t choice = next_random(random) % 28;
        char byte[2] = {(char)(1 + next_random(random) % 255), '\0'};
        const char *piece = choice < 24 ? pieces[choice] : byte;
        if (at == 0 && choice > 3 && left % 4 != 0) {
            piece = pieces[choice % 4];
        }
        at += (size_t)snprintf(text + at, size - at, "%s", piece);
    }
    text[at] = '\0';
}

static void expect_sound(const hearth__remote_url *url) {
    assert_true(url->count >= 1 && url->count <= NODES_MAX);
    for (size_t i = 0; i < url->count; i++) {
        assert_true(strlen(url->nodes[i].host) > 0 && url->nodes[i].weight > 0);
        assert_true(url->nodes[i].port != 0 || url->nodes[i].host[0] == '/' ||
                    url->kind == HEARTH__EMBEDDED);
    }
    assert_true(url->user == NULL || url->password != NULL);
}

static void random_bytes_are_read_or_refused(void **state) {
    (void)state;
    const int64_t blocks = failing_memory_blocks();
    uint32_t random = 20;
    size_t accepted = 0;
    for (int i = 0; i < 200000; i++) {
        char text[256];
        hearth__remote_url url;
        compose(&random, text, sizeof text);
        /* In memory of its own, so that ASan sees a step beyond its end. */
        char *exact = strdup(text);
        assert_non_null(exact);
        int32_t status = parse(exact, &url);
        free(exact);
        accepted += status == HEARTH_OK;
        if (status == HEARTH_OK) {
            expect_sound(&url);
            hearth__remote_url_fini(&url);
        } else {
            assert_true(status == HEARTH_E_INVALID || status == HEARTH_E_UNSUPPORTED);
            assert_true(strlen(why) > 20 && strstr(why, "s3cret") == NULL);
        }
    }
    assert_int_equal(failing_memory_blocks(), blocks);
    assert_true(accepted > 1000);
}

static void without_memory_it_is_said(void **state) {
    (void)state;
    const int64_t blocks = failing_memory_blocks();
    hearth__remote_url url;
    uint64_t failures = 0;
    for (failing_memory_fail(0, 1);
         parse("redis://u:p@a,b/2?weight=1,2", &url) == HEARTH_E_NOMEM;
         failing_memory_fail(++failures, 1)) {
        assert_non_null(strstr(why, "memory"));
        assert_null(url.nodes);
        assert_int_equal(failing_memory_blocks(), blocks);
    }
    failing_memory_pass();
    assert_int_equal(failures, 6); /* user, password; two hosts and their nodes */
    hearth__remote_url_fini(&url);
    /* A message is cut where its buffer ends. */
    for (size_t size = 1; size < 100; size++) {
        char *text = malloc(size);
        assert_non_null(text);
        assert_int_equal(hearth__remote_url_parse("redis://a:x", &url, text, size),
                         HEARTH_E_INVALID);
        assert_true(strnlen(text, size) < size);
        free(text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_form_is_read),
        cmocka_unit_test(addresses_of_version_6_stand_in_brackets),
        cmocka_unit_test(user_password_and_database_are_read),
        cmocka_unit_test(weights_are_one_for_each_node),
        cmocka_unit_test(other_schemes_are_refused),
        cmocka_unit_test(nodes_need_a_host_and_a_port_in_range),
        cmocka_unit_test(a_path_fits_into_a_socket_address),
        cmocka_unit_test(a_host_and_the_fleet_have_their_limits),
        cmocka_unit_test(no_message_shows_any_of_the_address),
        cmocka_unit_test(random_bytes_are_read_or_refused),
        cmocka_unit_test(without_memory_it_is_said),
    };
    return cmocka_run_group_tests_name("url", tests, NULL, NULL);
}
