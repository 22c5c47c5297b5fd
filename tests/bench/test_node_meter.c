/* SPDX-License-Identifier: Apache-2.0 */
/* What nodes say they did, and that the meter's own questions are not in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <hearth/hearth.h>
#include <stdio.h>
#include <string.h>

#include "node_meter.h"
#include "support/servers.h"

enum { NODES = 2, ASKED = 500, VALUE_BYTES = 1000 };

struct rig {
    struct servers servers;
    hearth__remote_url url;
    struct node_meter *meter;
    hearth *cache;
};

static void open_rig(struct rig *rig, enum server_kind kind) {
    char text[1024];
    char why[256] = "";
    memset(rig, 0, sizeof *rig);
    assert_int_equal(servers_open(&rig->servers), 0);
    for (size_t i = 0; i < NODES; i++) {
        assert_int_equal(servers_start(&rig->servers, kind, SERVER_UNIX, NULL), 0);
    }
    assert_int_equal(servers_url(&rig->servers, kind, text, sizeof text), 0);
    assert_int_equal(hearth__remote_url_parse(text, &rig->url, why, sizeof why), HEARTH_OK);
    rig->meter = node_meter_open(&rig->url, why, sizeof why);
    assert_string_equal(why, "");
    assert_non_null(rig->meter);
    hearth_options *options = hearth_options_new();
    assert_int_equal(hearth_options_set(options, "remote.url", text), HEARTH_OK);
    assert_int_equal(hearth_options_set(options, "local.max_bytes", "0"), HEARTH_OK);
    assert_int_equal(hearth_options_set(options, "remote.timeout_ms", "5000"), HEARTH_OK);
    assert_int_equal(hearth_open(options, &rig->cache), HEARTH_OK);
    hearth_options_free(options);
}

static void close_rig(struct rig *rig) {
    assert_int_equal(hearth_close(rig->cache), HEARTH_OK);
    node_meter_close(rig->meter);
    hearth__remote_url_fini(&rig->url);
    servers_stop(&rig->servers);
}

static struct node_reading total(struct rig *rig) {
    struct node_reading readings[NODE_METER_NODES];
    struct node_reading sum = {.is_known = true};
    node_meter_read(rig->meter, readings);
    for (size_t i = 0; i < NODES; i++) {
        assert_true(readings[i].is_known);
        sum.commands += readings[i].commands;
        sum.bytes += readings[i].bytes;
        sum.cpu_us += readings[i].cpu_us;
    }
    return sum;
}

static void is_metered(enum server_kind kind, uint64_t noise_bytes) {
    struct rig rig;
    char value[VALUE_BYTES] = "";
    open_rig(&rig, kind);
    assert_int_equal(hearth_set(rig.cache, "key", 3, value, sizeof value, NULL), HEARTH_OK);
    struct node_reading begin = total(&rig);
    for (int i = 0; i < 20; i++) {
        (void)total(&rig);
    }
    struct node_reading idle = total(&rig);
    assert_int_equal(idle.commands, begin.commands);
    assert_true(idle.bytes <= begin.bytes + noise_bytes &&
                begin.bytes <= idle.bytes + noise_bytes);
    for (int i = 0; i < ASKED; i++) {
        assert_int_equal(hearth_get(rig.cache, "key", 3, NULL, NULL), HEARTH_OK);
    }
    struct node_reading end = total(&rig);
    /* A read may take a command more, that asks for the life. */
    assert_true(end.commands - idle.commands >= ASKED);
    assert_true(end.commands - idle.commands <= 2UL * ASKED);
    assert_true(end.cpu_us >= idle.cpu_us);
    close_rig(&rig);
}

static void redis_is_metered(void **state) {
    (void)state;
    is_metered(SERVER_REDIS, 0);
}

/* What the answer to stats takes is known about only. */
static void memcached_is_metered(void **state) {
    (void)state;
    is_metered(SERVER_MEMCACHED, 21UL * NODES * 600);
}

static void a_node_that_stands_still_is_not_known(void **state) {
    (void)state;
    struct rig rig;
    struct node_reading readings[NODE_METER_NODES];
    open_rig(&rig, SERVER_REDIS);
    assert_int_equal(servers_pause(&rig.servers, 1), 0);
    node_meter_read(rig.meter, readings);
    assert_true(readings[0].is_known);
    assert_false(readings[1].is_known);
    assert_int_equal(servers_resume(&rig.servers, 1), 0);
    node_meter_read(rig.meter, readings);
    assert_true(readings[1].is_known);
    close_rig(&rig);
}

static void nobody_there_is_told(void **state) {
    (void)state;
    hearth__remote_url url;
    char why[256] = "";
    assert_int_equal(
        hearth__remote_url_parse("redis+unix:///nowhere/r.sock", &url, why, sizeof why),
        HEARTH_OK);
    assert_null(node_meter_open(&url, why, sizeof why));
    assert_non_null(strstr(why, "no answer from /nowhere/r.sock"));
    hearth__remote_url_fini(&url);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(redis_is_metered),
        cmocka_unit_test(memcached_is_metered),
        cmocka_unit_test(a_node_that_stands_still_is_not_known),
        cmocka_unit_test(nobody_there_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
