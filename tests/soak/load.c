/* SPDX-License-Identifier: Apache-2.0 */
#include "soak/load.h"

#include "soak/deeds.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { VISITS = 20 };

/* ---- threads ---- */

static double seconds_now(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* As many as the rate says, by now; who is late by more than a second does not catch up. */
static void ride(struct rider *rider) {
    double step = (double)LOAD_THREADS / (double)rider->load->rate;
    double next = seconds_now();
    while (!atomic_load(&rider->load->stops)) {
        double now = seconds_now();
        if (now < next) {
            (void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
            continue;
        }
        next = (now - next > 1 ? now : next) + step;
        deeds_act(rider);
    }
}

static struct rider *rider_new(struct load *load, uint64_t seed) {
    struct rider *rider = calloc(1, sizeof *rider);
    bool is_made = rider != NULL && (rider->value = hearth_value_new()) != NULL;
    for (size_t i = 0; is_made && i < BATCH; i++) {
        is_made = (rider->values[i] = hearth_value_new()) != NULL;
    }
    if (!is_made || hearth_queue_open(load->cache, &rider->queue) != HEARTH_OK ||
        hearth_namespace_open(load->cache, "space-0", 7, &rider->view) != HEARTH_OK) {
        (void)fprintf(stderr, "soak: no memory\n");
        exit(1);
    }
    rider->load = load;
    rider->random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    return rider;
}

static void rider_free(struct rider *rider) {
    deeds_judge(rider, "hearth_queue_close", hearth_queue_close(rider->queue, NULL, NULL));
    deeds_judge(rider, "hearth_close", hearth_close(rider->view));
    for (size_t i = 0; i < BATCH; i++) {
        hearth_value_free(rider->values[i]);
    }
    hearth_value_free(rider->value);
    free(rider);
}

static void work(void *arg, size_t index) {
    struct rider *rider = rider_new(arg, index + 1);
    ride(rider);
    rider_free(rider);
}

bool load_start(struct load *load) {
    zipf_init(&load->zipf, LOAD_KEYS, 0.9);
    return crowd_start(&load->crowd, LOAD_THREADS, work, load);
}

void load_stop(struct load *load) {
    atomic_store(&load->stops, true);
    crowd_join(&load->crowd);
}

void load_visit(struct load *load, uint64_t seed) {
    struct rider *rider = rider_new(load, seed);
    for (int i = 0; i < VISITS; i++) {
        deeds_fetch(rider);
    }
    rider_free(rider);
}

/* ---- the guard ---- */

struct keys {
    uint32_t next;
    char key[KEY_BYTES];
};

static int32_t next_key(void *arg, const void **key, size_t *key_size) {
    struct keys *keys = arg;
    if (keys->next == LOAD_KEYS) {
        return HEARTH_MISS;
    }
    *key_size = (size_t)snprintf(keys->key, sizeof keys->key, "key:%u", keys->next++);
    *key = keys->key;
    return HEARTH_OK;
}

void load_rebuild(struct load *load) {
    struct keys keys = {0};
    int32_t status = hearth_guard_rebuild(load->cache, next_key, &keys);
    if (status != HEARTH_OK) {
        deeds_find_fault(load, "hearth_guard_rebuild", status, "its keys were all told");
    }
}
