/* SPDX-License-Identifier: Apache-2.0 */
/* Queues of several threads under random submits, cancels, closes and forks: each operation ends once, and no read has another key's
 * value. HEARTH_LONG: a million operations. */
#include "base/tsan.h"
#include "source.h"
#include "support/failing_memory.h"
#include "support/servers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    THREADS = 3,
    SLOTS = 48,
    KEYS = 64,
    FEW = 3000,
    LONG = 1000000 / THREADS + 1,
    FORKS = 20,
    LONG_FORKS = 500,
    KEY_BYTES = 8,
    URL_BYTES = 512,
    PATIENCE_MS = 60000,
};

/* One operation at a time. */
struct slot {
    hearth_value *value;
    bool open;
    uint64_t ticket;
    uint32_t verb;
    char key[KEY_BYTES];
};

struct rider {
    hearth_queue *queue;
    struct slot slots[SLOTS];
    uint64_t random;
    uint64_t submitted;
    uint64_t ended;
    uint64_t cancelled;
};

static hearth *cache;
static struct rider riders[THREADS];
static pthread_rwlock_t forks = PTHREAD_RWLOCK_INITIALIZER; /* nobody is inside a call then */
static _Atomic int wrong;
static _Atomic size_t at_work;

static uint64_t draw(struct rider *rider, uint64_t below) {
    rider->random = rider->random * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (rider->random >> 33) % below;
}

static int32_t load(void *arg, const void *key, size_t key_size, hearth_fill *fill) {
    if (arg != NULL) { /* a slow one */
        nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
    }
    return hearth_fill_value(fill, key, key_size);
}

static uint64_t wanted(void) {
    return getenv("HEARTH_LONG") != NULL ? LONG : FEW;
}

/* ---- how operations end ---- */

static bool is_right(const struct slot *slot, int32_t status) {
    bool reads = slot->verb == HEARTH_VERB_GET || slot->verb == HEARTH_VERB_FETCH;
    bool counts = slot->verb == HEARTH_VERB_INCREMENT; /* what is no number */
    if (!reads || status != HEARTH_OK) {
        return status >= 0 || status == HEARTH_E_CLOSED || (counts && status == HEARTH_E_TYPE);
    }
    size_t size = strlen(slot->key);
    return hearth_value_size(slot->value) == size &&
           memcmp(hearth_value_data(slot->value), slot->key, size) == 0;
}

static void end(void *arg, const hearth_result *result) {
    struct rider *rider = arg;
    struct slot *slot = result->tag;
    if (!slot->open || slot->ticket != result->ticket || slot->verb != result->verb ||
        !is_right(slot, result->status)) {
        atomic_fetch_add(&wrong, 1);
    }
    slot->open = false;
    rider->ended++;
}

/* True: something came. */
static bool collect(struct rider *rider, int64_t timeout_ms) {
    hearth_result results[SLOTS] = {{.size = sizeof results[0]}};
    size_t count = 0;
    if (hearth_collect(rider->queue, results, 1 + draw(rider, SLOTS), timeout_ms, &count) ==
        HEARTH_OK) {
        for (size_t i = 0; i < count; i++) {
            end(rider, &results[i]);
        }
        return true;
    }
    return false;
}

static void cancel(struct rider *rider) {
    struct slot *slot = &rider->slots[draw(rider, SLOTS)];
    if (slot->open && hearth_cancel(rider->queue, slot->ticket) == HEARTH_OK) {
        slot->open = false;
        rider->ended++;
        rider->cancelled++;
    }
}

/* ---- what is done ---- */

static bool is_busy(const struct rider *rider) {
    for (size_t i = 0; i < SLOTS; i++) {
        if (rider->slots[i].open) {
            return true;
        }
    }
    return false;
}

static void submit(struct rider *rider, struct slot *slot) {
    hearth_operation operation;
    hearth_operation_init(&operation, sizeof operation);
    (void)snprintf(slot->key, sizeof slot->key, "k%u", (unsigned)draw(rider, KEYS));
    slot->verb = HEARTH_VERB_GET + (uint32_t)draw(rider, HEARTH_VERB_INVALIDATE_TAG);
    const hearth_loader loader = {
        .size = sizeof loader, .load = load, .arg = draw(rider, 8) == 0 ? rider : NULL};
    operation.verb = slot->verb;
    operation.key = slot->key;
    operation.key_size = strlen(slot->key);
    operation.data = slot->key;
    operation.data_size = operation.key_size;
    operation.loader = &loader;
    operation.value = slot->value;
    operation.tag = slot;
    int32_t status = hearth_submit(rider->queue, &operation, &slot->ticket);
    slot->open = status == HEARTH_OK && slot->ticket != 0;
    rider->submitted += slot->open;
    if (status != HEARTH_OK || (!slot->open && !is_right(slot, status))) {
        atomic_fetch_add(&wrong, 1);
    }
}

/* So much at once, and then a wait so long, that who waits carries it out; the rest may be left to others. */
static void crowd_in(struct rider *rider) {
    for (size_t i = 0; i < SLOTS; i++) {
        if (!rider->slots[i].open && rider->submitted < wanted()) {
            submit(rider, &rider->slots[i]);
        }
    }
    for (uint64_t i = draw(rider, 4); i != 0 && is_busy(rider); i--) {
        if (!collect(rider, PATIENCE_MS)) {
            atomic_fetch_add(&wrong, 1);
        }
    }
}

static void close_queue(struct rider *rider) {
    if (hearth_queue_close(rider->queue, end, rider) != HEARTH_OK) {
        atomic_fetch_add(&wrong, 1);
    }
    for (size_t i = 0; i < SLOTS; i++) {
        if (rider->slots[i].open) {
            atomic_fetch_add(&wrong, 1);
        }
    }
}

static void act(struct rider *rider) {
    struct slot *slot = &rider->slots[draw(rider, SLOTS)];
    if (!slot->open) {
        submit(rider, slot);
    } else {
        (void)collect(rider, draw(rider, 4) == 0);
    }
    if (draw(rider, 100) == 0) {
        crowd_in(rider);
    }
    if (draw(rider, 8) == 0) {
        cancel(rider);
    }
    if (draw(rider, 1000) == 0) {
        close_queue(rider);
        if (hearth_queue_open(cache, &rider->queue) != HEARTH_OK) {
            atomic_fetch_add(&wrong, 1);
        }
    }
}

static void ride(struct rider *rider) {
    for (uint64_t i = 0; rider->submitted < wanted() && i < 100 * wanted(); i++) {
        pthread_rwlock_rdlock(&forks);
        act(rider);
        pthread_rwlock_unlock(&forks);
    }
    pthread_rwlock_rdlock(&forks);
    close_queue(rider);
    pthread_rwlock_unlock(&forks);
}

/* A child has nothing of what its parent submitted. It does not start threads, which ThreadSanitizer forbids. */
static void fork_once(struct rider *rider) {
    pid_t child = fork();
    if (child == 0) {
        hearth_result result = {.size = sizeof result};
        size_t count = 0;
        bool good = hearth_collect(rider->queue, &result, 1, 0, &count) == HEARTH_MISS &&
                    hearth_queue_close(rider->queue, NULL, NULL) == HEARTH_OK;
        _exit(good ? 0 : 1);
    }
    int status = 1;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
        atomic_fetch_add(&wrong, 1);
    }
}

static void fork_often(void) {
    int most = getenv("HEARTH_LONG") != NULL ? LONG_FORKS : FORKS;
    hearth_queue *own = NULL;
    if (hearth_queue_open(cache, &own) != HEARTH_OK) {
        atomic_fetch_add(&wrong, 1);
        return;
    }
    struct rider rider = {.queue = own, .random = 5};
    rider.slots[0].value = hearth_value_new();
    for (int i = 0; i < most && atomic_load(&at_work) != 0; i++) {
        pthread_rwlock_wrlock(&forks);
        if (!rider.slots[0].open) {
            submit(&rider, &rider.slots[0]);
        }
        fork_once(&rider);
        pthread_rwlock_unlock(&forks);
        /* The others go on for a while before the next. */
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    close_queue(&rider);
    hearth_value_free(rider.slots[0].value);
}

static void work(void *arg, size_t index) {
    (void)arg;
    if (index == THREADS) {
        fork_often();
        return;
    }
    ride(&riders[index]);
    atomic_fetch_sub(&at_work, 1);
}

static void expect_each_to_end_once(const char *url) {
    int64_t blocks = failing_memory_blocks();
    cache = cache_open((const char *const[]){"local.max_bytes", "256kb", "local.max_ttl_ms",
                                             "1", "remote.url", url, NULL});
    assert_non_null(cache);
    for (size_t i = 0; i < THREADS; i++) {
        riders[i] = (struct rider){.random = i};
        assert_int_equal(hearth_queue_open(cache, &riders[i].queue), HEARTH_OK);
        for (size_t at = 0; at < SLOTS; at++) {
            riders[i].slots[at].value = hearth_value_new();
        }
    }
    atomic_store(&at_work, THREADS);
    assert_true(crowd_run(THREADS + 1, work, NULL));
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(riders[i].submitted, riders[i].ended);
        assert_int_equal(riders[i].submitted, wanted());
        assert_true(riders[i].cancelled != 0);
        for (size_t at = 0; at < SLOTS; at++) {
            hearth_value_free(riders[i].slots[at].value);
        }
    }
    assert_int_equal(hearth_close(cache), HEARTH_OK);
    assert_int_equal(atomic_load(&wrong), 0);
    assert_int_equal(failing_memory_blocks(), blocks);
}

static void each_operation_ends_once(void **state) {
    (void)state;
    expect_each_to_end_once("embedded://");
}

static void each_operation_on_a_server_ends_once(void **state) {
    (void)state;
    char url[URL_BYTES];
    static struct servers servers;
    assert_int_equal(servers_open(&servers), 0);
    assert_int_equal(servers_start(&servers, SERVER_REDIS, SERVER_UNIX, NULL), 0);
    assert_int_equal(servers_url(&servers, SERVER_REDIS, url, sizeof url), 0);
    expect_each_to_end_once(url);
    servers_stop(&servers);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_operation_ends_once),
        cmocka_unit_test(each_operation_on_a_server_ends_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
