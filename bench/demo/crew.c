/* SPDX-License-Identifier: Apache-2.0 */
#include "demo/crew.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "origin.h"

enum { SHARE = 16, WATCH_NS = 100000000 };

struct worker {
    struct crew *crew;
    struct origin *origin;
    hearth_value *value;
    hearth_loader loader;
    pthread_t thread;
    struct crew_outcome outcome; /* its part; times are the crew's */
    char page[ORIGIN_PAGE_MAX];
};

struct crew {
    const struct requests *requests;
    struct ledger *ledger;
    struct crew_orders orders;
    uint64_t begun_ns;
    _Atomic size_t taken; /* requests */
    _Atomic uint32_t working;
    sem_t ends; /* of threads, for who watches */
    uint32_t threads;
    struct worker workers[];
};

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* ---- keys ---- */

static const char key_prefix[] = "page:";
enum { KEY_PREFIX_BYTES = sizeof key_prefix - 1 };

/* By hand: a local hit takes no longer than a printf. */
size_t crew_key(uint32_t item, char *key) {
    char digits[10];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + item % 10);
        item /= 10;
    } while (item != 0);
    memcpy(key, key_prefix, KEY_PREFIX_BYTES);
    for (size_t i = 0; i < count; i++) {
        key[KEY_PREFIX_BYTES + i] = digits[count - 1 - i];
    }
    return KEY_PREFIX_BYTES + count;
}

static uint32_t item_of(const char *key, size_t key_size) {
    uint32_t item = 0;
    for (size_t i = KEY_PREFIX_BYTES; i < key_size; i++) {
        item = item * 10 + (uint32_t)(key[i] - '0');
    }
    return item;
}

/* ---- one request ---- */

/* The loader: the page's query, on the calling thread's own connection. */
static int32_t load(void *arg, const void *key, size_t key_size, hearth_fill *fill) {
    struct worker *worker = arg;
    uint32_t item = item_of(key, key_size);
    size_t size = 0;
    if (origin_load(worker->origin, item, worker->page, &size) != 0) {
        return HEARTH_E_LOADER;
    }
    ledger_enter(worker->crew->ledger, item, size);
    return hearth_fill_value(fill, worker->page, size);
}

static int32_t ask_origin(struct worker *worker, uint32_t item) {
    struct crew_outcome *outcome = &worker->outcome;
    size_t size = 0;
    uint64_t begun_ns = now_ns();
    int32_t status = origin_load(worker->origin, item, worker->page, &size) == 0
                         ? HEARTH_OK
                         : HEARTH_E_LOADER;
    latency_record(&outcome->latency, now_ns() - begun_ns);
    if (status == HEARTH_OK) {
        outcome->answered[HEARTH_TIER_LOADED]++;
        outcome->wrong += !origin_is_page_of(worker->page, size, item);
    }
    return status;
}

static int32_t ask_cache(struct worker *worker, uint32_t item) {
    struct crew_outcome *outcome = &worker->outcome;
    hearth_info info = {.size = sizeof info};
    char key[CREW_KEY_BYTES];
    size_t key_size = crew_key(item, key);
    uint64_t begun_ns = now_ns();
    int32_t status = hearth_fetch(worker->crew->orders.cache, key, key_size, &worker->loader,
                                  NULL, NULL, worker->value);
    latency_record(&outcome->latency, now_ns() - begun_ns);
    if (status == HEARTH_OK) {
        (void)hearth_value_info(worker->value, &info);
        outcome->answered[info.tier & 3]++;
        outcome->wrong += !origin_is_page_of(hearth_value_data(worker->value),
                                             hearth_value_size(worker->value), item);
    }
    return status;
}

static void ask(struct worker *worker, uint32_t item) {
    struct crew_outcome *outcome = &worker->outcome;
    int32_t status =
        worker->crew->orders.cache != NULL ? ask_cache(worker, item) : ask_origin(worker, item);
    outcome->requests++;
    if (status != HEARTH_OK) {
        outcome->failed++;
        outcome->failure = status;
    }
}

/* ---- the threads ---- */

static bool is_over(const struct crew *crew) {
    uint64_t limit_ns = crew->orders.limit_ns;
    return limit_ns != 0 && now_ns() - crew->begun_ns >= limit_ns;
}

static void *work(void *arg) {
    struct worker *worker = arg;
    struct crew *crew = worker->crew;
    const struct requests *requests = crew->requests;
    const struct crew_orders *orders = &crew->orders;
    while (!is_over(crew)) {
        size_t at = atomic_fetch_add_explicit(&crew->taken, SHARE, memory_order_relaxed);
        size_t end = at + SHARE < orders->end ? at + SHARE : orders->end;
        if (at >= end) {
            break;
        }
        for (; at < end && !is_over(crew); at++) {
            if (at == orders->event_at && orders->event != NULL) {
                orders->event(orders->context, at, now_ns() - crew->begun_ns);
            }
            ask(worker, requests->items[at]);
        }
    }
    atomic_fetch_sub(&crew->working, 1);
    sem_post(&crew->ends);
    return NULL;
}

static void watch(struct crew *crew) {
    while (atomic_load(&crew->working) != 0) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += WATCH_NS;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        (void)sem_clockwait(&crew->ends, CLOCK_MONOTONIC, &until);
        const struct crew_orders *orders = &crew->orders;
        size_t taken = atomic_load(&crew->taken);
        if (orders->watch != NULL) {
            orders->watch(orders->context,
                          (taken < orders->end ? taken : orders->end) - orders->first,
                          now_ns() - crew->begun_ns);
        }
    }
}

/* Starts all threads, or as many as start; gives their number. */
static uint32_t start(struct crew *crew) {
    for (uint32_t i = 0; i < crew->threads; i++) {
        struct worker *worker = &crew->workers[i];
        memset(&worker->outcome, 0, sizeof worker->outcome);
        atomic_fetch_add(&crew->working, 1);
        if (pthread_create(&worker->thread, NULL, work, worker) != 0) {
            atomic_fetch_sub(&crew->working, 1);
            return i;
        }
    }
    return crew->threads;
}

static void add(struct crew_outcome *sum, const struct crew_outcome *part) {
    sum->requests += part->requests;
    for (size_t i = 0; i < sizeof sum->answered / sizeof sum->answered[0]; i++) {
        sum->answered[i] += part->answered[i];
    }
    sum->failed += part->failed;
    sum->failure = part->failed != 0 ? part->failure : sum->failure;
    sum->wrong += part->wrong;
    latency_merge(&sum->latency, &part->latency);
}

int crew_replay(struct crew *crew, const struct crew_orders *orders,
                struct crew_outcome *outcome) {
    crew->orders = *orders;
    atomic_store(&crew->taken, orders->first);
    while (sem_trywait(&crew->ends) == 0) {
    }
    crew->begun_ns = now_ns();
    uint32_t started = start(crew);
    watch(crew);
    for (uint32_t i = 0; i < started; i++) {
        (void)pthread_join(crew->workers[i].thread, NULL);
        add(outcome, &crew->workers[i].outcome);
    }
    outcome->elapsed_ns += now_ns() - crew->begun_ns;
    return started == crew->threads ? 0 : -1;
}

/* ---- open and close ---- */

static int open_worker(struct crew *crew, const char *database, uint32_t peers, char *error,
                       size_t error_size) {
    struct worker *worker = &crew->workers[crew->threads];
    worker->crew = crew;
    worker->loader =
        (hearth_loader){.size = sizeof worker->loader, .load = load, .arg = worker};
    worker->value = hearth_value_new();
    if (worker->value == NULL) {
        (void)snprintf(error, error_size, "no memory for a value");
        return -1;
    }
    crew->threads++;
    return origin_open(database, peers, &worker->origin, error, error_size);
}

int crew_open(struct crew **crew, uint32_t threads, const char *database, uint32_t peers,
              const struct requests *requests, struct ledger *ledger, char *error,
              size_t error_size) {
    struct crew *opened = calloc(1, sizeof *opened + threads * sizeof opened->workers[0]);
    if (opened == NULL) {
        (void)snprintf(error, error_size, "no memory for %u threads", threads);
        return -1;
    }
    (void)sem_init(&opened->ends, 0, 0);
    opened->requests = requests;
    opened->ledger = ledger;
    while (opened->threads < threads) {
        if (open_worker(opened, database, peers, error, error_size) != 0) {
            crew_close(opened);
            return -1;
        }
    }
    *crew = opened;
    return 0;
}

void crew_close(struct crew *crew) {
    if (crew == NULL) {
        return;
    }
    for (uint32_t i = 0; i < crew->threads; i++) {
        origin_close(crew->workers[i].origin);
        hearth_value_free(crew->workers[i].value);
    }
    sem_destroy(&crew->ends);
    free(crew);
}
