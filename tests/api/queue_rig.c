/* SPDX-License-Identifier: Apache-2.0 */
#include "queue_rig.h"

#include <poll.h>

hearth *cache;
hearth_queue *queue;
hearth_value *value;

int queue_open_with(const char *const *settings) {
    cache = cache_open(settings);
    value = hearth_value_new();
    return cache != NULL && value != NULL && hearth_queue_open(cache, &queue) == HEARTH_OK ? 0
                                                                                           : -1;
}

int queue_open(void **state) {
    (void)state;
    return queue_open_with(NULL);
}

int queue_open_with_one_load(void **state) {
    (void)state;
    return queue_open_with((const char *const[]){"submit.load_threads", "1", NULL});
}

int queue_close(void **state) {
    (void)state;
    hearth_value_free(value);
    int32_t status = hearth_queue_close(queue, NULL, NULL);
    status = status == HEARTH_OK ? hearth_close(cache) : status;
    return status == HEARTH_OK && failing_memory_blocks() == 0 ? 0 : -1;
}

hearth_operation operation(uint32_t verb, const char *key) {
    hearth_operation made;
    hearth_operation_init(&made, sizeof made);
    made.verb = verb;
    made.key = key;
    made.key_size = strlen(key);
    made.value = verb == HEARTH_VERB_GET || verb == HEARTH_VERB_FETCH ? value : NULL;
    return made;
}

hearth_operation storing(uint32_t verb, const char *key, const char *text) {
    hearth_operation made = operation(verb, key);
    made.data = text;
    made.data_size = strlen(text);
    return made;
}

hearth_operation slow_fetch(const char *key, struct source *source, hearth_loader *loader) {
    *loader = source_loader(source);
    hearth_operation fetch = operation(HEARTH_VERB_FETCH, key);
    fetch.loader = loader;
    fetch.value = NULL;
    return fetch;
}

uint64_t submit(const hearth_operation *made) {
    uint64_t ticket = 0;
    assert_int_equal(hearth_submit(queue, made, &ticket), HEARTH_OK);
    return ticket;
}

uint64_t submit_running(struct source *source, hearth_loader *loader) {
    const hearth_operation fetch = slow_fetch("runs", source, loader);
    uint64_t ticket = submit(&fetch);
    assert_true(event_await(&source->entered, 1));
    return ticket;
}

uint64_t submit_set(const char *key, const char *text) {
    hearth_operation set = operation(HEARTH_VERB_SET, key);
    set.data = text;
    set.data_size = strlen(text);
    return submit(&set);
}

uint64_t submit_tagged(const char *key, const char *tag) {
    static const void *tags[1];
    static size_t sizes[1];
    static const char wrong[HEARTH_TAG_SIZE_MAX] = "none";
    char *text = strdup(tag);
    assert_non_null(text);
    tags[0] = text;
    sizes[0] = strlen(tag);
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    write.tags = tags;
    write.tag_sizes = sizes;
    write.tag_count = 1;
    hearth_operation set = operation(HEARTH_VERB_SET, key);
    set.data = "text";
    set.data_size = 4;
    set.write = &write;
    uint64_t ticket = submit(&set);
    memset(&write, 0xff, sizeof write);
    memset(text, '?', strlen(tag));
    free(text);
    tags[0] = wrong;
    sizes[0] = 1;
    return ticket;
}

hearth_result collect_one(void) {
    hearth_result result = {.size = sizeof result};
    size_t count = 0;
    assert_int_equal(hearth_collect(queue, &result, 1, QUEUE_SECONDS_MS, &count), HEARTH_OK);
    assert_int_equal(count, 1);
    return result;
}

void expect_nothing(void) {
    hearth_result result = {.size = sizeof result};
    size_t count = 7;
    assert_int_equal(hearth_collect(queue, &result, 1, 0, &count), HEARTH_MISS);
    assert_int_equal(count, 7);
}

int32_t status_of(const hearth_operation *made) {
    assert_true(submit(made) != 0);
    return collect_one().status;
}

bool is_readable(int fd, int timeout_ms) {
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    return poll(&poller, 1, timeout_ms) == 1;
}
