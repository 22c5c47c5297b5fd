/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Local copies of a real server's values behind a proxy that forces what else happens now and then: a change is told before the answer
 * that it made old; another server is at the address, or the server has another's values.
 *
 * HEARTH_LONG: 10^5 orders are forced, in either mode.
 */
#include "tracking_rig.h"

#include "base/clock.h"

#include <sched.h>
#include <stdatomic.h>

/* ---- orders -------------------------------------------------------------------------------- */

enum { ORDERS = 200, LONG_ORDERS = 100000, TEXT_SIZE = 32 };

/* Holds the one answer that has a given text in it. */
struct gate {
    char text[TEXT_SIZE]; /* written while nothing is asked */
    _Atomic bool shut;
    _Atomic unsigned held;
};

static size_t hold_answer(void *arg, struct proxy_flow *flow, const unsigned char *bytes,
                          size_t size) {
    struct gate *gate = arg;
    if (atomic_load(&gate->shut) &&
        memmem(bytes, size, gate->text, strlen(gate->text)) != NULL) {
        atomic_store(&gate->held, proxy_number(flow) + 1);
        return 0;
    }
    proxy_emit(flow, bytes, size);
    return size;
}

/* A caller on a thread of its own, who asks when he is told to. */
struct asker {
    hearth *cache;
    struct event asked;
    struct event answered;
    _Atomic bool over;
    int32_t status;
    char text[TEXT_SIZE];
};

static void answer_on(void *arg, size_t index) {
    struct asker *asker = arg;
    hearth_value *value = hearth_value_new();
    (void)index;
    for (size_t round = 1; event_await(&asker->asked, round) && !atomic_load(&asker->over);
         round++) {
        size_t size = 0;
        asker->status = hearth_get(asker->cache, "k", 1, NULL, value);
        if (asker->status == HEARTH_OK && hearth_value_size(value) < sizeof asker->text) {
            size = hearth_value_size(value);
            memcpy(asker->text, hearth_value_data(value), size);
        }
        asker->text[size] = '\0';
        event_raise(&asker->answered);
    }
    hearth_value_free(value);
}

struct told {
    struct tracking_rig *rig;
    uint64_t count;
};

static bool is_told(void *arg) {
    const struct told *told = arg;
    (void)sched_yield();
    return tracking_stat_of(told->rig->cache, offsetof(hearth_stats, changes_told)) >=
           told->count;
}

static bool is_held(void *arg) {
    const struct gate *gate = arg;
    (void)sched_yield();
    return atomic_load(&gate->held) != 0;
}

/* The answer has left the server, and comes when its change is known here. It is an answer, since it was asked for before; but
 * nothing is a copy of it. */
static void force_order(struct tracking_rig *rig, struct gate *gate, struct asker *asker,
                        size_t order) {
    const hearth_read_options no_remote = {.size = sizeof no_remote,
                                           .flags = HEARTH_READ_NO_REMOTE,
                                           .max_stale_ms = HEARTH_STALE_ANY};
    char next[TEXT_SIZE];
    (void)snprintf(next, sizeof next, "<%zu>", order + 1);
    (void)snprintf(gate->text, sizeof gate->text, "<%zu>", order);
    (void)hearth_evict_local(rig->cache, "k", 1);
    atomic_store(&gate->held, 0);
    atomic_store(&gate->shut, true);
    event_raise(&asker->asked);
    assert_true(await_until(is_held, gate));
    struct told told = {rig,
                        tracking_stat_of(rig->cache, offsetof(hearth_stats, changes_told)) + 1};
    tracking_set(rig->other, "k", next);
    assert_true(await_until(is_told, &told));
    atomic_store(&gate->shut, false);
    proxy_delay(rig->proxy, PROXY_TO_CLIENT, 0); /* it looks again */
    assert_true(event_await(&asker->answered, order + 1));
    assert_int_equal(asker->status, HEARTH_OK);
    assert_string_equal(asker->text, gate->text);
    if (tracking_get_with(rig, "k", &no_remote).status != HEARTH_MISS) {
        fail_msg("a stale hit after %zu orders", order);
    }
    assert_string_equal(tracking_get(rig, "k").text, next);
}

static void force_orders(const char *tracking) {
    size_t orders = getenv("HEARTH_LONG") != NULL ? LONG_ORDERS : ORDERS;
    struct tracking_rig rig;
    static struct crowd crowd;
    struct gate gate = {.shut = false};
    tracking_rig_open(&rig);
    assert_int_equal(hearth_close(rig.cache), HEARTH_OK);
    proxy_filter(rig.proxy, PROXY_TO_CLIENT, hold_answer, &gate);
    rig.cache = tracking_open_cache(
        &(struct tracking_opening){.path = proxy_path(rig.proxy), .tracking = tracking});
    struct asker asker = {.cache = rig.cache, .asked = EVENT_INIT, .answered = EVENT_INIT};
    assert_true(crowd_start(&crowd, 1, answer_on, &asker));
    tracking_set(rig.other, "k", "<0>");
    tracking_track(&rig, "k");
    for (size_t order = 0; order < orders; order++) {
        force_order(&rig, &gate, &asker, order);
    }
    atomic_store(&asker.over, true);
    event_raise(&asker.asked);
    crowd_join(&crowd);
    if (orders == LONG_ORDERS) {
        print_message("%zu orders forced, 0 stale hits\n", orders);
    }
    tracking_rig_close(&rig);
}

static void an_answer_behind_its_change_is_not_kept(void **state) {
    (void)state;
    force_orders("default");
}

static void nor_where_changes_are_broadcast(void **state) {
    (void)state;
    force_orders("broadcast");
}

/* ---- another server, or another's values ------------------------------------------------------ */

/* Two servers that can copy each other's values, which takes TCP; and a cache of one of them, behind a proxy. */
struct pair {
    struct servers servers;
    redisContext *clients[2];
    struct tracking_rig rig;
};

enum { FIRST, SECOND };

static void follow(const struct pair *pair, unsigned replica, unsigned of) {
    char port[TEXT_SIZE];
    (void)snprintf(port, sizeof port, "%d", pair->servers.nodes[of].port);
    tracking_tell(pair->clients[replica], "REPLICAOF 127.0.0.1 %s", port);
}

static void open_pair(struct pair *pair) {
    const char *const arguments[] = {"--repl-diskless-sync-delay", "0",
                                     "--repl-ping-replica-period", "1", NULL};
    struct tracking_rig *rig = &pair->rig;
    memset(pair, 0, sizeof *pair);
    assert_int_equal(servers_open(&pair->servers), 0);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(servers_start(&pair->servers, SERVER_REDIS, SERVER_TCP, arguments), 0);
        pair->clients[i] = redisConnect("127.0.0.1", pair->servers.nodes[i].port);
        assert_true(pair->clients[i] != NULL && pair->clients[i]->err == 0);
    }
    rig->proxy = proxy_start(NULL, pair->servers.nodes[FIRST].port);
    assert_non_null(rig->proxy);
    rig->cache =
        tracking_open_cache(&(struct tracking_opening){.port = proxy_port(rig->proxy)});
    rig->other = tracking_open_cache(
        &(struct tracking_opening){.port = pair->servers.nodes[SECOND].port, .mode = "ttl"});
    rig->client = redisConnect("127.0.0.1", pair->servers.nodes[SECOND].port);
    rig->value = hearth_value_new();
    assert_true(rig->client != NULL && rig->client->err == 0 && rig->value != NULL);
}

static void close_pair(struct pair *pair) {
    tracking_rig_close(&pair->rig);
    for (unsigned i = 0; i < 2; i++) {
        redisFree(pair->clients[i]);
    }
    servers_stop(&pair->servers);
}

/* Whether a replica has all that its server has. */
static bool is_in_step(void *arg) {
    redisReply *reply = redisCommand(arg, "INFO replication");
    assert_non_null(reply);
    bool is = strstr(reply->str, "master_link_status:up") != NULL &&
              strstr(reply->str, "master_sync_in_progress:0") != NULL;
    freeReplyObject(reply);
    return is;
}

static bool has_key(void *arg) {
    redisReply *reply = redisCommand(arg, "EXISTS app:k");
    assert_non_null(reply);
    bool is = reply->integer == 1;
    freeReplyObject(reply);
    return is;
}

static const hearth_read_options allow_stale = {.size = sizeof allow_stale,
                                                .flags = HEARTH_READ_ALLOW_STALE,
                                                .max_stale_ms = HEARTH_STALE_ANY};

static bool is_stale_there(void *arg) {
    const struct tracking_copy *copy = arg;
    struct tracking_found found = tracking_get_with(copy->rig, copy->key, &allow_stale);
    return found.status == HEARTH_OK && strcmp(found.text, copy->text) == 0 &&
           found.info.freshness == HEARTH_STALE;
}

/* The server ends, and its replica takes its place at the same address, which has changed meanwhile. From when the connection is lost
 * nothing older is a hit; and what the replica has from before then may lack what was acknowledged, so that it is stale. */
static void a_replica_that_takes_over_has_no_old_copies(void **state) {
    (void)state;
    static struct pair pair;
    struct tracking_rig *rig = &pair.rig;
    open_pair(&pair);
    follow(&pair, SECOND, FIRST);
    assert_true(await_until(is_in_step, pair.clients[SECOND]));
    tracking_set(rig->cache, "k", "old");
    assert_true(await_until(has_key, pair.clients[SECOND]));
    tracking_track(rig, "k");
    tracking_tell(pair.clients[SECOND], "REPLICAOF NO ONE");
    tracking_set(rig->other, "k", "new");
    assert_string_equal(tracking_get(rig, "k").text,
                        "old"); /* of the server that is still there */
    proxy_aim(rig->proxy, NULL, pair.servers.nodes[SECOND].port);
    assert_int_equal(servers_kill(&pair.servers, FIRST), 0);
    assert_true(await_until(tracking_has_lost, rig));
    struct tracking_found found = tracking_get(rig, "k");
    assert_true(found.status != HEARTH_OK);
    struct tracking_copy copy = {.rig = rig, .key = "k", .text = "new"};
    assert_true(await_until(is_stale_there, &copy));
    assert_int_equal(tracking_get(rig, "k").status, HEARTH_MISS);
    for (int64_t met_ms = hearth__boot_ms(); hearth__boot_ms() <= met_ms + 1;) {
    } /* what is of the same ms may be from before */
    tracking_set(rig->other, "k", "newer");
    tracking_await_text(rig, "k", "newer");
    assert_int_equal(tracking_get(rig, "k").info.freshness, HEARTH_FRESH);
    tracking_track(rig, "k");
    close_pair(&pair);
}

/* A server becomes another's replica, and has that one's values instead of its own: it says that all of them changed. */
static void a_replica_that_is_filled_anew_has_no_old_copies(void **state) {
    (void)state;
    static struct pair pair;
    struct tracking_rig *rig = &pair.rig;
    open_pair(&pair);
    tracking_set(rig->cache, "k", "old");
    tracking_set(rig->other, "k", "new");
    tracking_track(rig, "k");
    follow(&pair, FIRST, SECOND);
    tracking_await_text(rig, "k", "new");
    assert_int_equal(tracking_stat_of(rig->cache, offsetof(hearth_stats, changes_lost)), 0);
    assert_true(await_until(is_in_step, pair.clients[FIRST]));
    /* What is replicated is told of as what is written there. */
    tracking_track(rig, "k");
    tracking_set(rig->other, "k", "newer");
    tracking_await_text(rig, "k", "newer");
    close_pair(&pair);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_behind_its_change_is_not_kept),
        cmocka_unit_test(nor_where_changes_are_broadcast),
        cmocka_unit_test(a_replica_that_takes_over_has_no_old_copies),
        cmocka_unit_test(a_replica_that_is_filled_anew_has_no_old_copies),
    };
    return cmocka_run_group_tests(tests, tracking_start, tracking_stop);
}
