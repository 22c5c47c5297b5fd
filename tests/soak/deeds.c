/* SPDX-License-Identifier: Apache-2.0 */
#include "soak/deeds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    USUAL_BYTES = 2000,
    ONE_LARGE_IN = 50,
    TAGS = 50,
    NUMBERS = 100,
    RESULT_MS = 60000,
};

static uint64_t draw(struct rider *rider, uint64_t below) {
    rider->random ^= rider->random << 13;
    rider->random ^= rider->random >> 7;
    rider->random ^= rider->random << 17;
    return (rider->random >> 11) % below;
}

static size_t name_key(struct rider *rider, char *key) {
    uint32_t rank = zipf_rank(&rider->load->zipf, draw(rider, UINT64_C(1) << 53) << 11);
    return (size_t)snprintf(key, KEY_BYTES, "key:%u", rank);
}

/* ---- what is right ---- */

void deeds_find_fault(struct load *load, const char *call, int32_t status, const char *what) {
    if (atomic_fetch_add(&load->wrong, 1) == 0) {
        (void)snprintf(load->fault, sizeof load->fault, "%s: %s: %s", call,
                       hearth_status_name(status), what);
    }
}

/* The key, and then a byte that follows from the size, to the end. */
static size_t make_value(struct rider *rider, const char *key) {
    size_t size = strlen(key);
    size_t most = draw(rider, ONE_LARGE_IN) == 0 ? VALUE_BYTES : USUAL_BYTES;
    size_t whole = size + draw(rider, most - size);
    memcpy(rider->data, key, size);
    memset(rider->data + size, (int)(whole % 251), whole - size);
    return whole;
}

static bool is_of(const char *key, const hearth_value *value) {
    const unsigned char *data = hearth_value_data(value);
    size_t whole = hearth_value_size(value);
    size_t size = strlen(key);
    return whole >= size && memcmp(data, key, size) == 0 &&
           (whole == size || (data[size] == whole % 251 && data[whole - 1] == whole % 251));
}

/* Errors that a node which is away is a reason for. */
static bool is_of_a_node(int32_t status) {
    return status == HEARTH_E_TIMEOUT || status == HEARTH_E_UNAVAILABLE ||
           status == HEARTH_E_UNKNOWN || status == HEARTH_E_QUEUED;
}

void deeds_judge(struct rider *rider, const char *call, int32_t status) {
    if (is_of_a_node(status)) {
        atomic_fetch_add(&rider->load->refused, 1);
    } else if (status < 0) {
        deeds_find_fault(rider->load, call, status, "no node is a reason for that");
    }
}

static void judge_value(struct rider *rider, const char *call, const char *key, int32_t status,
                        const hearth_value *value) {
    if (status == HEARTH_OK && !is_of(key, value)) {
        deeds_find_fault(rider->load, call, status, "the value is not the key's");
    } else if (status == HEARTH_ABSENT) {
        deeds_find_fault(rider->load, call, status, "the key exists");
    }
    deeds_judge(rider, call, status);
}

/* fetch_in_two_steps() of another thread gave up the load that was waited for. */
static bool was_given_up(struct rider *rider, int32_t status) {
    if (status == HEARTH_E_LOADER) {
        atomic_fetch_add(&rider->load->refused, 1);
    }
    return status == HEARTH_E_LOADER;
}

static void judge_fetch(struct rider *rider, const char *call, const char *key, int32_t status,
                        const hearth_value *value) {
    if (was_given_up(rider, status)) {
        return;
    }
    if (status != HEARTH_OK) {
        deeds_find_fault(rider->load, call, status,
                         "a fetch has an answer, whatever the nodes do");
    }
    judge_value(rider, call, key, status, value);
}

/* ---- the source ---- */

static int32_t load_value(void *arg, const void *key, size_t key_size, hearth_fill *fill) {
    struct load *load = arg;
    unsigned char data[KEY_BYTES + USUAL_BYTES];
    size_t whole = key_size + (atomic_fetch_add(&load->loads, 1) * 37) % USUAL_BYTES;
    if (memcmp(key, "none:", 5) == 0) {
        return hearth_fill_absent(fill);
    }
    memcpy(data, key, key_size);
    memset(data + key_size, (int)(whole % 251), whole - key_size);
    char tag[KEY_BYTES];
    int tag_size = snprintf(tag, sizeof tag, "tag:%u", (unsigned)(whole % TAGS));
    if (whole % 4 == 0 && hearth_fill_tag(fill, tag, (size_t)tag_size) != HEARTH_OK) {
        deeds_find_fault(load, "hearth_fill_tag", HEARTH_E_INVALID, "it is a good tag");
    }
    return hearth_fill_value(fill, data, whole);
}

static void keep(void *arg) {
    (void)arg; /* a load outlives its calls, not its cache */
}

static hearth_loader loader_of(struct rider *rider) {
    hearth_loader loader = {.size = sizeof loader, .load = load_value, .arg = rider->load};
    if (draw(rider, 2) == 0) {
        loader.retain = keep;
        loader.release = keep;
    }
    return loader;
}

/* ---- what is done ---- */

static void fetch_in(struct rider *rider, hearth *cache, const char *call) {
    hearth_loader loader = loader_of(rider);
    size_t size = name_key(rider, rider->key);
    int32_t status = hearth_fetch(cache, rider->key, size, &loader, NULL, NULL, rider->value);
    judge_fetch(rider, call, rider->key, status, rider->value);
}

void deeds_fetch(struct rider *rider) {
    fetch_in(rider, rider->load->cache, "hearth_fetch");
}

static void fetch_in_namespace(struct rider *rider) {
    fetch_in(rider, rider->view, "hearth_fetch in a namespace");
}

static void get(struct rider *rider) {
    size_t size = name_key(rider, rider->key);
    int32_t status = hearth_get(rider->load->cache, rider->key, size, NULL, rider->value);
    judge_value(rider, "hearth_get", rider->key, status, rider->value);
}

static void set(struct rider *rider) {
    char tag[KEY_BYTES];
    const void *tags[] = {tag};
    size_t tag_sizes[] = {
        (size_t)snprintf(tag, sizeof tag, "tag:%u", (unsigned)draw(rider, TAGS))};
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    if (draw(rider, 3) == 0) {
        write.tags = tags;
        write.tag_sizes = tag_sizes;
        write.tag_count = 1;
    }
    size_t size = name_key(rider, rider->key);
    size_t whole = make_value(rider, rider->key);
    hearth *cache = draw(rider, 8) == 0 ? rider->view : rider->load->cache;
    deeds_judge(rider, "hearth_set",
                hearth_set(cache, rider->key, size, rider->data, whole, &write));
}

static void drop(struct rider *rider) {
    size_t size = name_key(rider, rider->key);
    deeds_judge(rider, "hearth_delete",
                hearth_delete(rider->load->cache, rider->key, size, NULL));
}

static void mark_stale(struct rider *rider) {
    size_t size = name_key(rider, rider->key);
    deeds_judge(rider, "hearth_mark_stale",
                hearth_mark_stale(rider->load->cache, rider->key, size, NULL));
}

static void invalidate_tag(struct rider *rider) {
    char tag[KEY_BYTES];
    int size = snprintf(tag, sizeof tag, "tag:%u", (unsigned)draw(rider, TAGS));
    deeds_judge(rider, "hearth_invalidate_tag",
                hearth_invalidate_tag(rider->load->cache, tag, (size_t)size, NULL));
}

/* Mostly a handle that comes and goes. */
static void use_namespace(struct rider *rider) {
    hearth *view = NULL;
    char name[KEY_BYTES];
    int size = snprintf(name, sizeof name, "space-%u", (unsigned)draw(rider, 4));
    int32_t status = hearth_namespace_open(rider->load->cache, name, (size_t)size, &view);
    deeds_judge(rider, "hearth_namespace_open", status);
    if (status == HEARTH_OK) {
        if (draw(rider, 20) == 0) {
            deeds_judge(rider, "hearth_namespace_bump", hearth_namespace_bump(view, NULL));
        }
        fetch_in(rider, view, "hearth_fetch in a namespace");
        deeds_judge(rider, "hearth_close", hearth_close(view));
    }
}

struct batch {
    char keys[BATCH][KEY_BYTES];
    const void *pointers[BATCH];
    size_t sizes[BATCH];
    int32_t statuses[BATCH];
};

static void name_batch(struct rider *rider, struct batch *batch) {
    for (size_t i = 0; i < BATCH; i++) {
        batch->sizes[i] = name_key(rider, batch->keys[i]);
        batch->pointers[i] = batch->keys[i];
    }
}

static void fetch_many(struct rider *rider) {
    struct batch batch;
    hearth_loader loader = loader_of(rider);
    name_batch(rider, &batch);
    int32_t status = hearth_fetch_many(rider->load->cache, BATCH, batch.pointers, batch.sizes,
                                       &loader, NULL, NULL, rider->values, batch.statuses);
    if (status != HEARTH_E_LOADER) { /* else that is a key's status, too */
        deeds_judge(rider, "hearth_fetch_many", status);
    }
    for (size_t i = 0; i < BATCH; i++) {
        judge_fetch(rider, "hearth_fetch_many", batch.keys[i], batch.statuses[i],
                    rider->values[i]);
    }
}

static void delete_many(struct rider *rider) {
    struct batch batch;
    name_batch(rider, &batch);
    deeds_judge(rider, "hearth_delete_many",
                hearth_delete_many(rider->load->cache, BATCH, batch.pointers, batch.sizes, NULL,
                                   batch.statuses));
}

/* ---- by a queue ---- */

static bool submit_one(struct rider *rider, size_t at, char *key) {
    hearth_loader loader = loader_of(rider);
    hearth_operation operation;
    hearth_operation_init(&operation, sizeof operation);
    operation.verb = HEARTH_VERB_GET + (uint32_t)draw(rider, 4);
    operation.key = key;
    operation.key_size = strlen(key);
    operation.data_size = make_value(rider, key);
    operation.data = rider->data;
    operation.loader = &loader;
    operation.value = rider->values[at];
    operation.tag = key;
    uint64_t ticket = 0;
    int32_t status = hearth_submit(rider->queue, &operation, &ticket);
    deeds_judge(rider, "hearth_submit", status);
    return status == HEARTH_OK && ticket != 0;
}

static void judge_result(struct rider *rider, const hearth_result *result) {
    if (result->verb == HEARTH_VERB_FETCH) {
        judge_fetch(rider, "a submitted fetch", result->tag, result->status, result->value);
    } else if (result->verb == HEARTH_VERB_GET) {
        judge_value(rider, "a submitted get", result->tag, result->status, result->value);
    } else {
        deeds_judge(rider, "a submitted write", result->status);
    }
}

static void submit(struct rider *rider) {
    char keys[BATCH][KEY_BYTES];
    hearth_result results[BATCH] = {{.size = sizeof results[0]}};
    size_t open = 0;
    for (size_t i = 0; i < BATCH; i++) {
        (void)name_key(rider, keys[i]);
        open += submit_one(rider, i, keys[i]);
    }
    while (open > 0) {
        size_t count = 0;
        int32_t status = hearth_collect(rider->queue, results, BATCH, RESULT_MS, &count);
        if (status != HEARTH_OK) {
            /* What is under way goes to memory of this frame. */
            (void)fprintf(stderr, "hearth_collect: %s, and %zu results did not come\n",
                          hearth_status_name(status), open);
            exit(1);
        }
        for (size_t i = 0; i < count; i++) {
            judge_result(rider, &results[i]);
        }
        open -= count;
    }
}

/* A queue of its own, as one for a request would be. */
static void change_queue(struct rider *rider) {
    deeds_judge(rider, "hearth_queue_close", hearth_queue_close(rider->queue, NULL, NULL));
    rider->queue = NULL;
    int32_t status = hearth_queue_open(rider->load->cache, &rider->queue);
    if (status != HEARTH_OK) {
        (void)fprintf(stderr, "hearth_queue_open: %s\n", hearth_status_name(status));
        exit(1);
    }
}

/* ---- what is rare ---- */

static void miss(struct rider *rider) {
    hearth_loader loader = loader_of(rider);
    int size =
        snprintf(rider->key, sizeof rider->key, "none:%u", (unsigned)draw(rider, LOAD_KEYS));
    int32_t status = hearth_fetch(rider->load->cache, rider->key, (size_t)size, &loader, NULL,
                                  NULL, rider->value);
    if (status != HEARTH_ABSENT) {
        deeds_find_fault(rider->load, "hearth_fetch", status, "the key does not exist");
    }
}

static void guard_add(struct rider *rider) {
    size_t size = name_key(rider, rider->key);
    deeds_judge(rider, "hearth_guard_add",
                hearth_guard_add(rider->load->cache, rider->key, size));
}

static void count_up(struct rider *rider) {
    int64_t number = 0;
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    write.flags = HEARTH_WRITE_INTEGER;
    int size =
        snprintf(rider->key, sizeof rider->key, "number:%u", (unsigned)draw(rider, NUMBERS));
    int32_t status =
        hearth_increment(rider->load->cache, rider->key, (size_t)size, 1, &number, NULL);
    deeds_judge(rider, "hearth_increment", status);
    if (status == HEARTH_MISS) {
        deeds_judge(rider, "hearth_add",
                    hearth_add(rider->load->cache, rider->key, (size_t)size, "1", 1, &write));
    }
}

static int32_t write_source(void *arg, const void *key, size_t key_size, const void *data,
                            size_t size) {
    (void)arg;
    (void)key;
    (void)key_size;
    (void)data;
    (void)size;
    return HEARTH_OK;
}

static void write_through(struct rider *rider) {
    size_t size = name_key(rider, rider->key);
    size_t whole = make_value(rider, rider->key);
    deeds_judge(rider, "hearth_write_through",
                hearth_write_through(rider->load->cache, rider->key, size, rider->data, whole,
                                     write_source, NULL, NULL));
}

static void fetch_in_two_steps(struct rider *rider) {
    hearth_fill *fill = NULL;
    size_t size = name_key(rider, rider->key);
    int32_t status =
        hearth_fetch_begin(rider->load->cache, rider->key, size, NULL, rider->value, &fill);
    if (fill == NULL) {
        if (!was_given_up(rider, status)) {
            judge_value(rider, "hearth_fetch_begin", rider->key, status, rider->value);
        }
        return;
    }
    if (draw(rider, 4) == 0) {
        deeds_judge(rider, "hearth_fill_abandon", hearth_fill_abandon(fill));
        return;
    }
    deeds_judge(rider, "hearth_fill_value",
                hearth_fill_value(fill, rider->data, make_value(rider, rider->key)));
    status = hearth_fill_commit(fill, NULL, rider->value);
    judge_fetch(rider, "hearth_fill_commit", rider->key, status, rider->value);
}

static void look(struct rider *rider) {
    hearth_hot_key hottest[BATCH] = {{.size = sizeof hottest[0]}};
    hearth_log_record record = {.size = sizeof record};
    hearth_stats stats = {.size = sizeof stats};
    size_t count = 0;
    deeds_judge(rider, "hearth_hot_keys",
                hearth_hot_keys(rider->load->cache, hottest, BATCH, &count));
    deeds_judge(rider, "hearth_stats_get", hearth_stats_get(rider->load->cache, &stats));
    deeds_judge(rider, "hearth_stats_text",
                hearth_stats_text(rider->load->cache, NULL, 0, &count) == HEARTH_E_TOO_LARGE
                    ? HEARTH_OK
                    : HEARTH_E_INVALID);
    while (hearth_log_next(rider->load->cache, &record) == HEARTH_OK) {
    }
}

static const struct deed {
    uint32_t of_a_thousand;
    void (*act)(struct rider *rider);
} DEEDS[] = {
    {450, deeds_fetch},       {100, get},       {100, set},
    {60, fetch_in_namespace}, {50, drop},       {50, submit},
    {40, fetch_many},         {40, miss},       {20, use_namespace},
    {20, fetch_in_two_steps}, {15, guard_add},  {15, count_up},
    {10, write_through},      {10, mark_stale}, {10, delete_many},
    {5, invalidate_tag},      {3, look},        {2, change_queue},
};

void deeds_act(struct rider *rider) {
    uint64_t at = draw(rider, 1000);
    const struct deed *deed = DEEDS;
    while (at >= deed->of_a_thousand) {
        at -= deed->of_a_thousand;
        deed++;
    }
    deed->act(rider);
    atomic_fetch_add(&rider->load->operations, 1);
}
