/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process forks in the middle of everything: loaders run on workers and for submitted fetches, others wait for their turn, for a
 * flight or in a line, results lie uncollected, and nodes and the bus are listened to. Each child uses the same handles, and never
 * hangs; its parent goes on as if nothing had been, on the same connections.
 */
#include "source.h"
#include "support/servers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { CHILDREN = 8, SUBMITTED = 12, SECONDS_MS = 60000, TAGS = 64, URL_BYTES = 256 };

static struct servers servers; /* 0: Redis, 1: Memcached */

static int start(void **state) {
    (void)state;
    if (servers_open(&servers) != 0 ||
        servers_start(&servers, SERVER_REDIS, SERVER_UNIX, NULL) != 0 ||
        servers_start(&servers, SERVER_MEMCACHED, SERVER_UNIX, NULL) != 0) {
        fail_msg("%s", servers.error);
    }
    return 0;
}

static int stop(void **state) {
    (void)state;
    servers_stop(&servers);
    return 0;
}

/* ---- what is under way ----------------------------------------------------------------------- */

struct world {
    hearth *cache;
    hearth_queue *queue;
    hearth_value *value;
    hearth_value *values[SUBMITTED];
    struct source source; /* of all that its parent loads: waits until the end */
    struct event release;
    unsigned tickets;
    _Atomic int loads;
};

static void retain(void *arg) {
    (void)arg;
}

static void release(void *arg) {
    struct world *world = arg;
    event_raise(&world->release);
}

/* Also for a load that outlives its call. */
static int32_t load(void *arg, const void *key, size_t key_size, hearth_fill *fill) {
    struct world *world = arg;
    const hearth_loader loader = source_loader(&world->source);
    atomic_fetch_add(&world->loads, 1);
    return loader.load(&world->source, key, key_size, fill);
}

static hearth_loader loader_of(struct world *world, bool outlives) {
    return (hearth_loader){.size = sizeof(hearth_loader),
                           .load = load,
                           .arg = world,
                           .retain = outlives ? retain : NULL,
                           .release = outlives ? release : NULL};
}

static int32_t submit(struct world *world, uint32_t verb, const char *key, hearth_value *value,
                      const hearth_loader *loader) {
    hearth_operation operation;
    uint64_t ticket = 0;
    hearth_operation_init(&operation, sizeof operation);
    operation.verb = verb;
    operation.key = key;
    operation.key_size = strlen(key);
    operation.data = verb == HEARTH_VERB_SET ? "submitted" : NULL;
    operation.data_size = verb == HEARTH_VERB_SET ? 9 : 0;
    operation.value = value;
    operation.loader = loader;
    const int32_t status = hearth_submit(world->queue, &operation, &ticket);
    world->tickets += ticket != 0;
    return status;
}

/* Two fetches run, the others wait: half of them for those flights. */
static void begin_submits(struct world *world) {
    const hearth_loader loader = loader_of(world, false);
    static const char *const keys[] = {"first", "second", "first", "third"};
    for (unsigned i = 0; i < SUBMITTED; i++) {
        world->values[i] = hearth_value_new();
        assert_int_equal(
            submit(world, HEARTH_VERB_FETCH, keys[i % 4], world->values[i], &loader),
            HEARTH_OK);
    }
    assert_true(event_await(&world->source.entered, 2));
    assert_int_equal(submit(world, HEARTH_VERB_SET, "uncollected", NULL, NULL), HEARTH_OK);
}

/* One runs, and one waits for the only worker. */
static void begin_loads(struct world *world) {
    const hearth_loader loader = loader_of(world, true);
    hearth_read_options read;
    hearth_read_options_init(&read, sizeof read);
    read.deadline_ms = 1;
    assert_int_equal(hearth_fetch(world->cache, "running", 7, &loader, &read, NULL, NULL),
                     HEARTH_E_TIMEOUT);
    assert_true(event_await(&world->source.entered, 3));
    assert_int_equal(hearth_fetch(world->cache, "waiting", 7, &loader, &read, NULL, NULL),
                     HEARTH_E_TIMEOUT);
}

static const char *get(const struct world *world, const char *key, uint32_t flags) {
    return cache_get(world->cache, key, flags);
}

static bool is_local(void *arg) {
    (void)get(arg, "copied", 0);
    return strcmp(get(arg, "copied", HEARTH_READ_NO_REMOTE), "=here") == 0;
}

static void world_open(struct world *world, const char *url, const char *mode) {
    char bus[URL_BYTES];
    *world = (struct world){.source = {SOURCE_INIT, .text = "loaded", .waits = true},
                            .release = EVENT_INIT};
    assert_int_equal(servers_url(&servers, SERVER_REDIS, bus, sizeof bus), 0);
    world->cache = cache_open((const char *const[]){"remote.url",
                                                    url,
                                                    "coherence.mode",
                                                    mode,
                                                    "coherence.bus_url",
                                                    strcmp(mode, "bus") == 0 ? bus : "",
                                                    "coherence.dead_ms",
                                                    "60000",
                                                    "remote.stall_ms",
                                                    "60000",
                                                    "local.max_ttl_ms",
                                                    "1h",
                                                    "load.workers",
                                                    "1",
                                                    "submit.load_threads",
                                                    "2",
                                                    "lease.ttl_ms",
                                                    "0",
                                                    "load.hard_timeout_ms",
                                                    "60000",
                                                    NULL});
    world->value = hearth_value_new();
    assert_true(world->cache != NULL && world->value != NULL);
    assert_int_equal(hearth_queue_open(world->cache, &world->queue), HEARTH_OK);
    assert_int_equal(cache_set(world->cache, "copied", "here"), HEARTH_OK);
    assert_true(await_until(is_local, world));
    begin_submits(world);
    begin_loads(world);
}

/* ---- a child --------------------------------------------------------------------------------- */

/* All results that there are: how many, or -1 if one is wrong. */
static int collect_all(struct world *world) {
    int collected = 0;
    while (world->tickets != 0) {
        hearth_result results[TAGS] = {{.size = sizeof results[0]}};
        size_t count = 0;
        if (hearth_collect(world->queue, results, TAGS, SECONDS_MS, &count) != HEARTH_OK) {
            return -1;
        }
        for (size_t i = 0; i < count; i++) {
            if (results[i].status != HEARTH_OK) {
                return -1;
            }
        }
        collected += (int)count;
        world->tickets -= (unsigned)count;
    }
    return collected;
}

/* Says by its number which of them was not as it should be; 0: all were. */
static int be_child(struct world *world) {
    struct source own = {SOURCE_INIT, .text = "own"};
    const hearth_loader loader = source_loader(&own);
    world->tickets = 0; /* those are its parent's */
    if (strcmp(get(world, "copied", 0), "=here") != 0) {
        return 1;
    }
    if (source_fetch(world->cache, "running", &own, world->value) != HEARTH_OK ||
        source_fetch(world->cache, "first", &own, world->value) != HEARTH_OK ||
        atomic_load(&own.calls) == 0) {
        return 2; /* what its parent loads is not waited for */
    }
    if (cache_set(world->cache, "child", "set") != HEARTH_OK ||
        strcmp(get(world, "child", HEARTH_READ_NO_LOCAL), "=set") != 0) {
        return 3;
    }
    int fd = -1;
    if (hearth_event_fd(world->queue, &fd) != HEARTH_OK ||
        submit(world, HEARTH_VERB_SET, "submitted", NULL, NULL) != HEARTH_OK ||
        submit(world, HEARTH_VERB_FETCH, "child-loads", world->value, &loader) != HEARTH_OK) {
        return 4;
    }
    const int submitted = (int)world->tickets;
    if (collect_all(world) != submitted) { /* and nothing of its parent's */
        return 5;
    }
    if (hearth_delete(world->cache, "running", 7, NULL) < 0 ||
        hearth_delete(world->cache, "first", 5, NULL) < 0) {
        return 6;
    }
    return hearth_queue_close(world->queue, NULL, NULL) == HEARTH_OK &&
                   hearth_close(world->cache) == HEARTH_OK
               ? 0
               : 7;
}

static void fork_children(struct world *world) {
    for (int i = 0; i < CHILDREN; i++) {
        const pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            (void)alarm(SECONDS_MS / 1000);
            _exit(i % 4 == 3 ? 0 : be_child(world)); /* or not even that */
        }
        int status = -1;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (status != 0) {
            fail_msg("child %d: signal %d, step %d", i, WTERMSIG(status), WEXITSTATUS(status));
        }
        assert_int_equal(cache_set(world->cache, "parent", "well"), HEARTH_OK);
        assert_string_equal(get(world, "parent", HEARTH_READ_NO_LOCAL), "=well");
    }
}

/* ---- the parent ------------------------------------------------------------------------------ */

static bool is_loaded(void *arg) {
    return strcmp(get(arg, "waiting", 0), "=loaded") == 0;
}

static void fork_in_the_middle(const char *url, const char *mode) {
    struct world world;
    world_open(&world, url, mode);
    const hearth_stats before = cache_stats(world.cache);
    fork_children(&world);
    assert_int_equal(atomic_load(&world.loads), 3); /* and none of theirs */
    event_raise(&world.source.go);
    assert_int_equal(collect_all(&world), SUBMITTED + 1);
    for (unsigned i = 0; i < SUBMITTED; i++) {
        expect_text(world.values[i], "loaded");
        hearth_value_free(world.values[i]);
    }
    assert_true(await_until(is_loaded, &world));
    assert_true(event_await(&world.release, 2));
    const hearth_stats after = cache_stats(world.cache);
    assert_int_equal(after.disconnects, before.disconnects);
    assert_int_equal(after.values_damaged, 0);
    assert_int_equal(hearth_queue_close(world.queue, NULL, NULL), HEARTH_OK);
    hearth_value_free(world.value);
    assert_int_equal(hearth_close(world.cache), HEARTH_OK);
}

static void with_redis_that_tells(void **state) {
    char url[URL_BYTES];
    (void)state;
    assert_int_equal(servers_url(&servers, SERVER_REDIS, url, sizeof url), 0);
    fork_in_the_middle(url, "tracking");
}

static void with_memcached_and_a_bus(void **state) {
    char url[URL_BYTES];
    (void)state;
    assert_int_equal(servers_url(&servers, SERVER_MEMCACHED, url, sizeof url), 0);
    fork_in_the_middle(url, "bus");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_redis_that_tells),
        cmocka_unit_test(with_memcached_and_a_bus),
    };
    return cmocka_run_group_tests_name("fork", tests, start, stop);
}
