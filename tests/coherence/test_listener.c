/* SPDX-License-Identifier: Apache-2.0 */
/* The listener, at real servers: what it tells, what it proves, and what it notices. */
#include "coherence/coherence.h"

#include "base/clock.h"
#include "base/tsan.h"
#include "remote/remote.h"
#include "support/crowd.h"
#include "support/proxy.h"
#include "support/servers.h"

#include <hearth/errors.h>

#include <hiredis/hiredis.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

enum {
    PING_MS = 20,
    DEAD_MS = 10000, /* machines can be slow */
    SOON_MS = 200,
    RETRY_MS = 20,
    LIFE_MS = 10000,
    KEY_MAX = 32768
};

static struct servers servers;

/* A listener to one node, and what it told. */
struct rig {
    hearth__listener *listener;
    uint32_t node;
    hearth__log *log;
    redisContext *client;
    struct event changed;
    struct event flushed;
    struct event lost;
    struct event refreshed;
    pthread_mutex_t lock;
    char last[64]; /* key that changed */
    size_t last_size;
};

static int32_t connect_to(void *arg, const char *host, uint16_t port, int64_t deadline_ns,
                          _Atomic int *fd, char *why, size_t why_size) {
    (void)arg;
    return hearth__remote_connect(host, port, deadline_ns, fd, why, why_size);
}

static void note_changed(void *arg, const void *key, size_t key_size) {
    struct rig *rig = arg;
    pthread_mutex_lock(&rig->lock);
    rig->last_size = key_size;
    memcpy(rig->last, key, key_size < sizeof rig->last ? key_size : sizeof rig->last);
    pthread_mutex_unlock(&rig->lock);
    event_raise(&rig->changed);
}

static void note_flushed(void *arg, bool lost) {
    struct rig *rig = arg;
    event_raise(lost ? &rig->lost : &rig->flushed);
}

static void note_refreshed(void *arg) {
    struct rig *rig = arg;
    event_raise(&rig->refreshed);
}

static redisContext *client_of(const struct server_node *node) {
    redisContext *client = redisConnectUnix(node->path);
    assert_non_null(client);
    assert_int_equal(client->err, 0);
    return client;
}

static void tell(redisContext *client, const char *format, ...) {
    va_list args;
    va_start(args, format);
    redisReply *reply = redisvCommand(client, format, args);
    va_end(args);
    assert_non_null(reply);
    if (reply->type == REDIS_REPLY_ERROR) {
        fail_msg("%s: %s", format, reply->str);
    }
    freeReplyObject(reply);
}

static void rig_open_with(struct rig *rig, const char *path, const char *password,
                          int64_t dead_ms) {
    *rig = (struct rig){.changed = EVENT_INIT,
                        .flushed = EVENT_INIT,
                        .lost = EVENT_INIT,
                        .refreshed = EVENT_INIT,
                        .lock = PTHREAD_MUTEX_INITIALIZER,
                        .log = hearth__log_create(NULL, NULL),
                        .client = client_of(&servers.nodes[0])};
    const hearth__listener_config config = {.ping_ms = PING_MS,
                                            .dead_ms = dead_ms,
                                            .retry_ms = RETRY_MS,
                                            .life_ms = LIFE_MS,
                                            .connect_ms = 1000,
                                            .key_max = KEY_MAX,
                                            .password = password,
                                            .log = rig->log,
                                            .arg = rig,
                                            .connect = connect_to,
                                            .changed = note_changed,
                                            .flushed = note_flushed,
                                            .refresh = note_refreshed};
    assert_int_equal(hearth__listener_create(&config, &rig->listener), HEARTH_OK);
    rig->node = hearth__listener_listen(rig->listener, path, 0);
    assert_int_not_equal(rig->node, HEARTH__LISTENED_NONE);
}

static void rig_open(struct rig *rig) {
    rig_open_with(rig, servers.nodes[0].path, NULL, DEAD_MS);
    hearth__listener_start(rig->listener);
}

static void rig_close(struct rig *rig) {
    hearth__listener_destroy(rig->listener);
    hearth__log_destroy(rig->log);
    redisFree(rig->client);
}

static bool listens(void *arg) {
    const struct rig *rig = arg;
    return hearth__listener_redirect(rig->listener, rig->node).epoch != 0;
}

static hearth__redirect await_listening(struct rig *rig) {
    assert_true(await_until(listens, rig));
    return hearth__listener_redirect(rig->listener, rig->node);
}

/* A key that the client reads, redirected to the listener: it is told of its next change. */
static void track(struct rig *rig, const char *key) {
    hearth__redirect redirect = await_listening(rig);
    tell(rig->client, "CLIENT TRACKING ON REDIRECT %lld", (long long)redirect.client_id);
    tell(rig->client, "GET %s", key);
}

static void expect_last(struct rig *rig, const char *key) {
    pthread_mutex_lock(&rig->lock);
    bool same = rig->last_size == strlen(key) && memcmp(rig->last, key, rig->last_size) == 0;
    pthread_mutex_unlock(&rig->lock);
    assert_true(same);
}

static int64_t until(const struct rig *rig, uint32_t source) {
    return atomic_load(&hearth__listener_until_ms(rig->listener)[source]);
}

static uint32_t open_source(struct rig *rig) {
    hearth__redirect redirect = await_listening(rig);
    uint32_t source = hearth__listener_open_source(rig->listener, rig->node, redirect.epoch,
                                                   hearth__boot_ms());
    assert_int_not_equal(source, 0);
    return source;
}

/* ---- what it tells -------------------------------------------------------------------------- */

static void changes_are_told(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig);
    track(&rig, "changing");
    tell(rig.client, "SET changing 1");
    assert_true(event_await(&rig.changed, 1));
    expect_last(&rig, "changing");
    /* Anybody can say so. */
    tell(rig.client, "PUBLISH __redis__:invalidate forged");
    assert_true(event_await(&rig.changed, 2));
    expect_last(&rig, "forged");
    assert_true(listens(&rig));
    rig_close(&rig);
}

static void a_flush_ends_all_that_was_read(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig);
    track(&rig, "flushed");
    uint32_t source = open_source(&rig);
    hearth__redirect before = await_listening(&rig);
    tell(rig.client, "FLUSHALL");
    assert_true(event_await(&rig.flushed, 1));
    assert_true(until(&rig, source) < hearth__boot_ms());
    hearth__redirect after = await_listening(&rig);
    assert_int_equal(after.client_id, before.client_id);
    assert_int_not_equal(after.epoch, before.epoch);
    rig_close(&rig);
}

/* ---- what it proves ------------------------------------------------------------------------- */

struct proof {
    struct rig *rig;
    uint32_t source;
    int64_t after_ms;
};

static bool is_proven(void *arg) {
    const struct proof *proof = arg;
    return until(proof->rig, proof->source) > proof->after_ms;
}

static void pings_prove_what_answers_too(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig);
    uint32_t source = open_source(&rig);
    int64_t began_ms = until(&rig, source);
    struct proof proof = {
        .rig = &rig, .source = source, .after_ms = began_ms + INT64_C(3) * PING_MS};
    hearth__listener_answered(rig.listener, source, began_ms + 1000000);
    assert_true(await_until(is_proven, &proof));
    assert_true(until(&rig, source) <=
                hearth__boot_ms() + hearth__listener_grace_ms(rig.listener));
    assert_true(event_await(&rig.refreshed, 2));
    hearth__listener_close_source(rig.listener, source);
    rig_close(&rig);
}

/* ---- what it notices ------------------------------------------------------------------------ */

static void a_listener_that_is_killed_comes_back(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig);
    uint32_t source = open_source(&rig);
    hearth__redirect before = await_listening(&rig);
    tell(rig.client, "CLIENT KILL ID %lld", (long long)before.client_id);
    assert_true(event_await(&rig.lost, 1));
    assert_true(until(&rig, source) < hearth__boot_ms());
    hearth__redirect after = await_listening(&rig);
    assert_int_not_equal(after.epoch, before.epoch);
    assert_int_equal(
        hearth__listener_open_source(rig.listener, rig.node, before.epoch, hearth__boot_ms()),
        0);
    track(&rig, "again");
    tell(rig.client, "SET again 1");
    assert_true(event_await(&rig.changed, 1));
    rig_close(&rig);
}

/* Nothing comes any more, and nothing says so. */
static void a_silent_node_is_noticed(void **state) {
    (void)state;
    struct rig rig;
    struct proxy *proxy = proxy_start(servers.nodes[0].path, 0);
    assert_non_null(proxy);
    rig_open_with(&rig, proxy_path(proxy), NULL, SOON_MS);
    hearth__listener_start(rig.listener);
    uint32_t source = 0;
    while (source == 0) { /* a slow machine may lose it by itself */
        hearth__redirect redirect = await_listening(&rig);
        source = hearth__listener_open_source(rig.listener, rig.node, redirect.epoch,
                                              hearth__boot_ms());
    }
    proxy_swallow(proxy, PROXY_TO_CLIENT, true);
    assert_true(event_await(&rig.lost, 1));
    assert_true(until(&rig, source) < hearth__boot_ms() + SOON_MS + PING_MS);
    proxy_swallow(proxy, PROXY_TO_CLIENT, false);
    (void)await_listening(&rig);
    rig_close(&rig);
    proxy_stop(proxy);
}

static bool has_complained(void *arg) {
    const struct rig *rig = arg;
    hearth_log_record record = {.size = sizeof record};
    return hearth__log_next(rig->log, &record) == HEARTH_OK &&
           record.level == HEARTH_LOG_WARNING && strstr(record.text, "ACL") != NULL &&
           strstr(record.text, "secret") == NULL;
}

static void a_node_that_refuses_is_complained_of(void **state) {
    (void)state;
    struct rig rig;
    rig_open_with(&rig, servers.nodes[0].path, "secret", DEAD_MS);
    hearth__listener_start(rig.listener);
    assert_true(await_until(has_complained, &rig));
    assert_false(listens(&rig));
    rig_close(&rig);
}

static void a_node_that_is_not_there_can_be_closed(void **state) {
    (void)state;
    struct rig rig;
    rig_open_with(&rig, "/nonexistent/hearth.sock", NULL, DEAD_MS);
    assert_int_equal(hearth__listener_redirect(rig.listener, rig.node).epoch, 0);
    assert_int_equal(hearth__listener_open_source(rig.listener, rig.node, 1, 1), 0);
    hearth__listener_start(rig.listener);
    hearth__listener_start(rig.listener);
    rig_close(&rig);
}

/* ---- nodes that come and go ----------------------------------------------------------------- */

static bool listens_to_none(void *arg) {
    return !listens(arg);
}

/* Not even what was proven long ago: a bound that only ran out is later. */
static bool proves_nothing(void *arg) {
    const struct proof *proof = arg;
    return until(proof->rig, proof->source) < proof->after_ms;
}

static void a_node_that_is_left_is_listened_to_no_more(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig);
    uint32_t source = open_source(&rig);
    hearth__redirect before = await_listening(&rig);
    hearth__listener_unlisten(rig.listener, rig.node);
    struct proof proof = {.rig = &rig, .source = source, .after_ms = hearth__boot_ms()};
    assert_true(await_until(listens_to_none, &rig));
    assert_true(await_until(proves_nothing, &proof));
    uint32_t node = rig.node;
    /* Its place is taken anew when it is free, for a node of which nothing is known. */
    do {
        rig.node = hearth__listener_listen(rig.listener, servers.nodes[0].path, 0);
        (void)await_listening(&rig);
    } while (rig.node != node);
    assert_int_not_equal(await_listening(&rig).epoch, before.epoch);
    char longest[300];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(hearth__listener_listen(rig.listener, longest, 1), HEARTH__LISTENED_NONE);
    assert_int_equal(hearth__listener_redirect(rig.listener, HEARTH__LISTENED_NONE).epoch, 0);
    rig_close(&rig);
}

/* ---- forks ---------------------------------------------------------------------------------- */

/* ThreadSanitizer refuses threads in a child of threads. */
#if !defined(HEARTH__TSAN)

/* What a child finds: 0, or the line of what is wrong. */
static int child(struct rig *rig, uint32_t source) {
    if (listens(rig)) {
        return __LINE__;
    }
    hearth__listener_start(rig->listener);
    if (!await_until(listens, rig)) {
        return __LINE__;
    }
    if (until(rig, source) >= hearth__boot_ms()) {
        return __LINE__;
    }
    hearth__listener_destroy(rig->listener);
    return 0;
}

static void a_child_has_its_own(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig);
    track(&rig, "forked");
    uint32_t source = open_source(&rig);
    pid_t pid = fork();
    if (pid == 0) {
        int line = child(&rig, source);
        _exit(line != 0 ? 1 + line % 100 : 0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    tell(rig.client, "SET forked 1");
    assert_true(event_await(&rig.changed, 1));
    assert_true(listens(&rig));
    rig_close(&rig);
}

#endif

/* ---- the servers ---------------------------------------------------------------------------- */

static int open_servers(void **state) {
    (void)state;
    if (servers_open(&servers) != 0) {
        return -1;
    }
    return servers_start(&servers, SERVER_REDIS, SERVER_UNIX, NULL);
}

static int close_servers(void **state) {
    (void)state;
    servers_stop(&servers);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_are_told),
        cmocka_unit_test(a_flush_ends_all_that_was_read),
        cmocka_unit_test(pings_prove_what_answers_too),
        cmocka_unit_test(a_listener_that_is_killed_comes_back),
        cmocka_unit_test(a_silent_node_is_noticed),
        cmocka_unit_test(a_node_that_refuses_is_complained_of),
        cmocka_unit_test(a_node_that_is_not_there_can_be_closed),
        cmocka_unit_test(a_node_that_is_left_is_listened_to_no_more),
#if !defined(HEARTH__TSAN)
        cmocka_unit_test(a_child_has_its_own),
#endif
    };
    return cmocka_run_group_tests(tests, open_servers, close_servers);
}
