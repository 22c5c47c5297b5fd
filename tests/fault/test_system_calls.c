/* SPDX-License-Identifier: Apache-2.0 */
/* Each call of the system that an ordinary use of a cache makes fails, once and with all that follow it, at each place where it is
 * made: there is an answer or an error, never a wrong value; no descriptor is left, and the cache is well afterwards. What a signal
 * interrupts, or what comes in pieces, is seen by nobody. */
#include "api/source.h"
#include "base/clock.h"
#include "coherence/coherence.h"
#include "remote/remote.h"
#include "support/servers.h"
#include "system_calls.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct system_fault faults[] = {
    {SYSTEM_SOCKET, EMFILE, false},
    {SYSTEM_SOCKET, ENOBUFS, false},
    {SYSTEM_CONNECT, ECONNREFUSED, false},
    {SYSTEM_CONNECT, EINTR, true},
    {SYSTEM_SEND, ECONNRESET, false},
    {SYSTEM_SEND, EINTR, true},
    {SYSTEM_SEND, EAGAIN, true},
    {SYSTEM_SEND, SYSTEM_ONE_BYTE, true},
    {SYSTEM_RECV, ECONNRESET, false},
    {SYSTEM_RECV, EINTR, true},
    {SYSTEM_RECV, EAGAIN, true},
    {SYSTEM_RECV, SYSTEM_ONE_BYTE, true},
    {SYSTEM_PPOLL, EINTR, true},
    {SYSTEM_PPOLL, ENOMEM, false},
    {SYSTEM_POLL, EINTR, true},
    {SYSTEM_POLL, ENOMEM, false},
    {SYSTEM_EVENTFD, EMFILE, false},
    {SYSTEM_THREAD, EAGAIN, false},
};

enum {
    DEADLINE_MS = 50, /* of calls that may fail */
    LONG_MS = 30000,  /* of calls that may not */
    RETRY_MS = 2,
    PAUSE_MS = 2000, /* after a delete that failed, at the most */
};

/* ---- a node that failed is asked again soon: these are in the place of the functions without `__wrap_`, by the linker --- */

/* NOLINTBEGIN(bugprone-reserved-identifier) */
int32_t __real_hearth__remote_open(const hearth__remote_config *config,
                                   hearth__remote **remote);
int32_t __wrap_hearth__remote_open(const hearth__remote_config *config,
                                   hearth__remote **remote);
int64_t __wrap_hearth__nodes_now_ms(void);
int32_t __real_hearth__bus_create(const hearth__bus_config *config, hearth__bus **bus);
int32_t __wrap_hearth__bus_create(const hearth__bus_config *config, hearth__bus **bus);

int32_t __wrap_hearth__remote_open(const hearth__remote_config *config,
                                   hearth__remote **remote) {
    hearth__remote_config own = *config;
    own.retry_ms = RETRY_MS;
    return __real_hearth__remote_open(&own, remote);
}

int32_t __wrap_hearth__bus_create(const hearth__bus_config *config, hearth__bus **bus) {
    hearth__bus_config own = *config;
    own.retry_ms = RETRY_MS;
    return __real_hearth__bus_create(&own, bus);
}

static _Atomic int64_t passed_ms;

/* By which deletes are kept for a node that did not take them. */
int64_t __wrap_hearth__nodes_now_ms(void) {
    return hearth__monotonic_ns() / 1000000 + atomic_load(&passed_ms);
}
/* NOLINTEND(bugprone-reserved-identifier) */

/* By TCP a connection is waited for. */
static struct servers servers; /* 0: Redis, 1: Memcached */

static int start(void **state) {
    (void)state;
    if (servers_open(&servers) != 0 ||
        servers_start(&servers, SERVER_REDIS, SERVER_UNIX, NULL) != 0 ||
        servers_start(&servers, SERVER_MEMCACHED, SERVER_TCP, NULL) != 0) {
        fail_msg("%s", servers.error);
    }
    return 0;
}

static int stop(void **state) {
    (void)state;
    servers_stop(&servers);
    return 0;
}

/* ---- an ordinary use ------------------------------------------------------------------------- */

struct use {
    const char *url;
    const char *bus; /* its url; NULL: there is none */
    const struct system_fault *fault;
    bool lasts;
    hearth *cache;
    hearth_queue *queue;
    hearth_value *value;
    int64_t longest_ns; /* of calls that do not load */
};

static void open_use(struct use *use) {
    char timeout[16];
    (void)snprintf(timeout, sizeof timeout, "%d", use->fault->unseen ? LONG_MS : DEADLINE_MS);
    use->cache = cache_open((const char *const[]){
        "remote.url", use->url, "remote.timeout_ms", timeout, "breaker.failures", "0",
        "local.max_bytes", "1mb", use->bus != NULL ? "coherence.mode" : NULL, "bus",
        "coherence.bus_url", use->bus, "coherence.dead_ms", timeout, "remote.stall_ms", "30000",
        NULL});
    use->value = hearth_value_new();
    assert_true(use->cache != NULL && use->value != NULL);
    assert_int_equal(hearth_queue_open(use->cache, &use->queue), HEARTH_OK);
}

static bool close_use(struct use *use) {
    const int32_t status = hearth_queue_close(use->queue, NULL, NULL);
    hearth_value_free(use->value);
    return hearth_close(use->cache) == HEARTH_OK && status == HEARTH_OK;
}

static int32_t timed(struct use *use, int64_t begun_ns, int32_t status) {
    const int64_t took_ns = hearth__monotonic_ns() - begun_ns;
    use->longest_ns = took_ns > use->longest_ns ? took_ns : use->longest_ns;
    return status;
}

static int32_t submit_and_collect(struct use *use) {
    hearth_operation get;
    hearth_result result = {.size = sizeof result};
    uint64_t ticket = 0;
    size_t count = 0;
    int fd = -1;
    const int32_t there = hearth_event_fd(use->queue, &fd);
    assert_int_equal(fd >= 0, there == HEARTH_OK);
    hearth_operation_init(&get, sizeof get);
    get.verb = HEARTH_VERB_GET;
    get.key = "other";
    get.key_size = 5;
    get.value = use->value;
    int32_t status = hearth_submit(use->queue, &get, &ticket);
    if (status == HEARTH_OK && ticket != 0) {
        status = hearth_collect(use->queue, &result, 1, -1, &count);
        status = status == HEARTH_OK ? result.status : status;
    }
    return status;
}

/* A value is the one that was stored; without memory to store it, it may be the one before. */
static bool is_right(const struct use *use, const char *found, int32_t stored,
                     const char *value) {
    const bool is_it = found[0] == '=' && strcmp(found + 1, value) == 0;
    if (use->fault->unseen || is_it) {
        return is_it && (stored == HEARTH_OK || !use->fault->unseen);
    }
    if (found[0] == '=') {
        return stored == HEARTH_E_NOMEM && strcmp(found, "=well") == 0;
    }
    return strncmp(found, "E_", 2) == 0 || (stored != HEARTH_OK && strcmp(found, "MISS") == 0);
}

static bool set_and_get(struct use *use, const char *text) {
    int64_t begun_ns = hearth__monotonic_ns();
    const int32_t stored = timed(use, begun_ns, cache_set(use->cache, "key", text));
    begun_ns = hearth__monotonic_ns();
    const char *found = cache_get(use->cache, "key", HEARTH_READ_NO_LOCAL);
    (void)timed(use, begun_ns, HEARTH_OK);
    return is_right(use, found, stored, text);
}

static bool load(struct use *use, const char *key) {
    struct source source = {SOURCE_INIT, .text = "loaded"};
    return source_fetch(use->cache, key, &source, use->value) == HEARTH_OK &&
           hearth_value_size(use->value) == 6;
}

static bool collect(struct use *use) {
    const int32_t status = submit_and_collect(use);
    return status == HEARTH_MISS || (status < 0 && !use->fault->unseen);
}

static bool delete_and_get(struct use *use) {
    const int64_t begun_ns = hearth__monotonic_ns();
    const int32_t status = timed(use, begun_ns, hearth_delete(use->cache, "key", 3, NULL));
    const char *found = cache_get(use->cache, "key", 0);
    if (use->fault->unseen) {
        return status == HEARTH_OK && strcmp(found, "MISS") == 0;
    }
    return (status != HEARTH_OK && status != HEARTH_E_QUEUED) || found[0] != '=';
}

static bool is_well(void *arg) {
    atomic_fetch_add(&passed_ms, PAUSE_MS);
    return cache_set(arg, "key", "well") == HEARTH_OK &&
           strcmp(cache_get(arg, "key", HEARTH_READ_NO_LOCAL), "=well") == 0;
}

/* Whether a call was struck. */
static bool fail_at(struct use *use, unsigned place) {
    static unsigned number;
    const char *wrong = NULL;
    char text[32];
    char key[32];
    (void)snprintf(text, sizeof text, "value %u", number);
    (void)snprintf(key, sizeof key, "loaded %u", number++); /* nothing is there */
    open_use(use);
    system_fault_begin(use->fault, place, use->lasts);
    wrong = set_and_get(use, text) ? wrong : "set and get";
    wrong = load(use, key) ? wrong : "load";
    wrong = collect(use) ? wrong : "submit and collect";
    wrong = delete_and_get(use) ? wrong : "delete and get";
    const bool struck = system_fault_end();
    wrong = await_until(is_well, use->cache) ? wrong : "well afterwards";
    wrong = close_use(use) ? wrong : "close";
    if (wrong != NULL) {
        fail_msg("%s, place %u, %s: %s", system_fault_text(use->fault), place,
                 use->lasts ? "lasting" : "once", wrong);
    }
    return struck;
}

/* ---- the sweep ------------------------------------------------------------------------------- */

static unsigned fail_at_each(struct use *use) {
    unsigned place = 0;
    while (fail_at(use, place)) {
        place++;
    }
    return place;
}

/* Errors that last do; that signals do, or that what is ready is not, ends by deadlines elsewhere. */
static bool may_last(const struct system_fault *fault) {
    return !fault->unseen || fault->fate == SYSTEM_ONE_BYTE;
}

static void any_call_may_fail(enum server_kind kind, bool has_bus) {
    char url[SERVERS_PATH_BYTES + 64];
    char bus[SERVERS_PATH_BYTES + 64];
    int64_t longest_ns = 0;
    assert_int_equal(servers_url(&servers, kind, url, sizeof url), 0);
    assert_int_equal(servers_url(&servers, SERVER_REDIS, bus, sizeof bus), 0);
    const unsigned before = system_descriptors();
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        struct use use = {.url = url, .bus = has_bus ? bus : NULL, .fault = &faults[i]};
        const unsigned once = fail_at_each(&use);
        use.lasts = may_last(use.fault);
        const unsigned lasting = use.lasts ? fail_at_each(&use) : 0;
        print_message("%-48s %u places; lasting %u\n", system_fault_text(use.fault), once,
                      lasting);
        longest_ns =
            !use.fault->unseen && use.longest_ns > longest_ns ? use.longest_ns : longest_ns;
    }
    print_message("no call took longer than %" PRId64 " us of %d ms\n", longest_ns / 1000,
                  DEADLINE_MS);
    assert_int_equal(system_descriptors(), before);
}

static void any_call_may_fail_at_a_redis_node(void **state) {
    (void)state;
    any_call_may_fail(SERVER_REDIS, false);
}

static void any_call_may_fail_at_a_memcached_node(void **state) {
    (void)state;
    any_call_may_fail(SERVER_MEMCACHED, false);
}

static void any_call_may_fail_with_a_bus(void **state) {
    (void)state;
    any_call_may_fail(SERVER_MEMCACHED, true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_call_may_fail_at_a_redis_node),
        cmocka_unit_test(any_call_may_fail_at_a_memcached_node),
        cmocka_unit_test(any_call_may_fail_with_a_bus),
    };
    return cmocka_run_group_tests_name("system calls", tests, start, stop);
}
