/* SPDX-License-Identifier: Apache-2.0 */
/* Signals rain on all threads of the application, with a handler that lets no call go on by itself, while they load, submit, write,
 * and read what others change. No call fails for it, none ends too soon, and nothing is lost. */
#include "base/clock.h"
#include "source.h"
#include "support/servers.h"

#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include <cmocka.h>

enum {
    THREADS = 3,
    SIGNALS = 200, /* of each thread at least, and so many rounds: */
    ROUNDS = 30,
    BATCH = 8,
    WAIT_MS = 20,
    NS_PER_MS = 1000000,
    TEXT_BYTES = 32,
    URL_BYTES = 256
};

static struct servers servers; /* 0: Redis, 1: Memcached */
static _Thread_local volatile sig_atomic_t signalled;

static void note(int number) {
    (void)number;
    signalled++;
}

static int start(void **state) {
    const struct sigaction notes = {.sa_handler = note}; /* no SA_RESTART */
    const struct sigaction dies = {.sa_handler = SIG_DFL};
    (void)state;
    if (servers_open(&servers) != 0 ||
        servers_start(&servers, SERVER_REDIS, SERVER_UNIX, NULL) != 0 ||
        servers_start(&servers, SERVER_MEMCACHED, SERVER_TCP, NULL) != 0) {
        fail_msg("%s", servers.error);
    }
    return sigaction(SIGUSR1, &notes, NULL) | sigaction(SIGALRM, &notes, NULL) |
           sigaction(SIGPIPE, &dies, NULL);
}

static int stop(void **state) {
    (void)state;
    servers_stop(&servers);
    return 0;
}

/* ---- the rain -------------------------------------------------------------------------------- */

struct rain {
    pthread_t on[THREADS + 1];
    size_t count;
    _Atomic bool over;
    pthread_t thread;
};

static void *fall(void *arg) {
    const struct rain *rain = arg;
    while (!atomic_load(&rain->over)) {
        for (size_t i = 0; i < rain->count; i++) {
            (void)pthread_kill(rain->on[i], SIGUSR1);
        }
        (void)sched_yield();
    }
    return NULL;
}

static void set_alarms(long us) {
    const struct itimerval often = {{.tv_usec = us}, {.tv_usec = us}};
    assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
}

static void begin_rain(struct rain *rain) {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &all, &before), 0); /* not on itself */
    assert_int_equal(pthread_create(&rain->thread, NULL, fall, rain), 0);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
    set_alarms(1000);
}

static void end_rain(struct rain *rain) {
    atomic_store(&rain->over, true);
    (void)pthread_join(rain->thread, NULL);
    set_alarms(0);
}

/* ---- what is done under it ------------------------------------------------------------------- */

struct world {
    hearth *cache;
    hearth *other; /* another process's */
    struct rain *rain;
    struct event there; /* threads that are */
    struct event go;
    struct event done;
    struct event leave;
    _Atomic(const char *) wrong; /* what was; the last one */
};

struct own {
    struct world *world;
    hearth_queue *queue;
    hearth_value *values[BATCH];
    size_t index;
    unsigned round;
    char text[TEXT_BYTES];
};

/* Takes its time, so that others wait for it. */
static int32_t load(void *arg, const void *key, size_t key_size, hearth_fill *fill) {
    (void)arg;
    for (int i = 0; i < 200; i++) {
        (void)sched_yield();
    }
    return hearth_fill_value(fill, key, key_size);
}

static const hearth_loader loader = {.size = sizeof loader, .load = load};

static bool writes(struct own *own) {
    hearth *cache = own->world->cache;
    char key[TEXT_BYTES];
    char wanted[TEXT_BYTES + 1];
    (void)snprintf(key, sizeof key, "own-%zu", own->index);
    (void)snprintf(wanted, sizeof wanted, "=%s", own->text);
    return cache_set(cache, key, own->text) == HEARTH_OK &&
           strcmp(cache_get(cache, key, HEARTH_READ_NO_LOCAL), wanted) == 0 &&
           hearth_delete(cache, key, strlen(key), NULL) == HEARTH_OK &&
           strcmp(cache_get(cache, key, 0), "MISS") == 0;
}

/* A key of its own, and one that all want. */
static bool loads(struct own *own) {
    hearth_value *value = own->values[0];
    char shared[TEXT_BYTES];
    (void)snprintf(shared, sizeof shared, "shared %u", own->round);
    return hearth_fetch(own->world->cache, own->text, strlen(own->text), &loader, NULL, NULL,
                        value) == HEARTH_OK &&
           hearth_value_size(value) == strlen(own->text) &&
           hearth_fetch(own->world->cache, shared, strlen(shared), &loader, NULL, NULL,
                        value) == HEARTH_OK &&
           hearth_value_size(value) == strlen(shared);
}

static bool submits(struct own *own) {
    char keys[BATCH][TEXT_BYTES];
    size_t waiting = 0;
    bool right = true;
    for (unsigned i = 0; i < BATCH; i++) {
        hearth_operation fetch;
        uint64_t ticket = 0;
        (void)snprintf(keys[i], sizeof keys[i], "%.16s/%u", own->text, i);
        hearth_operation_init(&fetch, sizeof fetch);
        fetch.verb = HEARTH_VERB_FETCH;
        fetch.key = keys[i];
        fetch.key_size = strlen(keys[i]);
        fetch.value = own->values[i];
        fetch.loader = &loader;
        right = right && hearth_submit(own->queue, &fetch, &ticket) == HEARTH_OK;
        waiting += ticket != 0;
    }
    while (right && waiting != 0) {
        hearth_result results[BATCH] = {{.size = sizeof results[0]}};
        size_t count = 0;
        right = hearth_collect(own->queue, results, BATCH, -1, &count) == HEARTH_OK;
        for (size_t i = 0; i < count; i++) {
            right = right && results[i].status == HEARTH_OK;
        }
        waiting -= count;
    }
    for (unsigned i = 0; right && i < BATCH; i++) {
        right = hearth_value_size(own->values[i]) == strlen(keys[i]) &&
                memcmp(hearth_value_data(own->values[i]), keys[i], strlen(keys[i])) == 0;
    }
    return right;
}

struct copy {
    hearth *cache;
    char key[TEXT_BYTES];
    char wanted[TEXT_BYTES + 1];
};

static bool is_changed(void *arg) {
    const struct copy *copy = arg;
    return strcmp(cache_get(copy->cache, copy->key, 0), copy->wanted) == 0;
}

/* Copies live for an hour. */
static bool hears(struct own *own) {
    struct copy copy = {.cache = own->world->cache};
    (void)snprintf(copy.key, sizeof copy.key, "told-%zu", own->index);
    (void)snprintf(copy.wanted, sizeof copy.wanted, "=%s", own->text);
    (void)cache_get(copy.cache, copy.key, 0);
    return cache_set(own->world->other, copy.key, own->text) == HEARTH_OK &&
           await_until(is_changed, &copy);
}

/* A wait is as long as it is said to be. */
static bool waits(struct own *own) {
    hearth_result result = {.size = sizeof result};
    struct source source = {SOURCE_INIT, .waits = true};
    const hearth_loader slow = source_loader(&source);
    hearth_operation fetch;
    uint64_t ticket = 0;
    size_t count = 0;
    hearth_operation_init(&fetch, sizeof fetch);
    fetch.verb = HEARTH_VERB_FETCH;
    fetch.key = own->text;
    fetch.key_size = strlen(own->text);
    fetch.loader = &slow;
    bool right = hearth_delete(own->world->cache, own->text, strlen(own->text), NULL) >= 0 &&
                 hearth_submit(own->queue, &fetch, &ticket) == HEARTH_OK && ticket != 0;
    const int64_t begun_ns = hearth__monotonic_ns();
    right = hearth_collect(own->queue, &result, 1, WAIT_MS, &count) == HEARTH_MISS && right;
    right = right && hearth__monotonic_ns() - begun_ns >= (int64_t)WAIT_MS * NS_PER_MS;
    event_raise(&source.go);
    return hearth_collect(own->queue, &result, 1, -1, &count) == HEARTH_OK && count == 1 &&
           result.status == HEARTH_OK && right;
}

static const struct {
    bool (*is_right)(struct own *own);
    const char *name;
} deeds[] = {{writes, "writes"},
             {loads, "loads"},
             {submits, "submits"},
             {hears, "hears"},
             {waits, "waits"}};

static void act(void *arg, size_t index) {
    struct world *world = arg;
    struct own own = {.world = world, .index = index};
    world->rain->on[index] = pthread_self();
    bool opened = hearth_queue_open(world->cache, &own.queue) == HEARTH_OK;
    for (unsigned i = 0; i < BATCH; i++) {
        own.values[i] = hearth_value_new();
    }
    event_raise(&world->there);
    opened = event_await(&world->go, 1) && opened;
    for (; opened && (signalled < SIGNALS || own.round < ROUNDS); own.round++) {
        (void)snprintf(own.text, sizeof own.text, "%zu.%u", index, own.round);
        for (size_t i = 0; i < sizeof deeds / sizeof deeds[0]; i++) {
            if (!deeds[i].is_right(&own)) {
                world->wrong = deeds[i].name;
            }
        }
    }
    if (!opened) {
        world->wrong = "opens";
    }
    event_raise(&world->done);
    const bool left = event_await(&world->leave, 1); /* it is rained on until then */
    if (hearth_queue_close(own.queue, NULL, NULL) != HEARTH_OK || !left) {
        world->wrong = "closes";
    }
    for (unsigned i = 0; i < BATCH; i++) {
        hearth_value_free(own.values[i]);
    }
}

static hearth *open_cache(enum server_kind kind, const char *mode) {
    char url[URL_BYTES];
    char bus[URL_BYTES];
    assert_int_equal(servers_url(&servers, kind, url, sizeof url), 0);
    assert_int_equal(servers_url(&servers, SERVER_REDIS, bus, sizeof bus), 0);
    hearth *cache = cache_open(
        (const char *const[]){"remote.url", url, "coherence.mode", mode, "coherence.bus_url",
                              strcmp(mode, "bus") == 0 ? bus : "", "coherence.dead_ms", "60000",
                              "remote.stall_ms", "60000", "local.max_ttl_ms", "1h", NULL});
    assert_non_null(cache);
    return cache;
}

static void it_rains(enum server_kind kind, const char *mode) {
    struct rain rain = {.count = THREADS + 1, .on = {[THREADS] = pthread_self()}};
    struct world world = {.rain = &rain,
                          .there = EVENT_INIT,
                          .go = EVENT_INIT,
                          .done = EVENT_INIT,
                          .leave = EVENT_INIT};
    struct crowd crowd;
    world.cache = open_cache(kind, mode);
    world.other = open_cache(kind, mode);
    assert_true(crowd_start(&crowd, THREADS, act, &world));
    assert_true(event_await(&world.there, THREADS));
    begin_rain(&rain);
    event_raise(&world.go);
    const bool done = event_await(&world.done, THREADS);
    end_rain(&rain);
    event_raise(&world.leave);
    crowd_join(&crowd);
    assert_true(done);
    if (world.wrong != NULL) {
        fail_msg("what is wrong %s", world.wrong);
    }
    assert_int_equal(cache_stats(world.cache).disconnects, 0);
    assert_int_equal(cache_stats(world.other).disconnects, 0);
    assert_int_equal(hearth_close(world.cache), HEARTH_OK);
    assert_int_equal(hearth_close(world.other), HEARTH_OK);
}

static void on_who_is_told_by_redis(void **state) {
    (void)state;
    it_rains(SERVER_REDIS, "tracking");
}

static void on_who_is_told_by_a_bus(void **state) {
    (void)state;
    it_rains(SERVER_MEMCACHED, "bus");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(on_who_is_told_by_redis),
        cmocka_unit_test(on_who_is_told_by_a_bus),
    };
    return cmocka_run_group_tests_name("signals", tests, start, stop);
}
