/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that do not wait: what is answered at once, what comes later, in which order, and how each operation ends once. */
#include "base/tsan.h"
#include "source.h"
#include "support/failing_memory.h"
#include "support/servers.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { SECONDS_MS = 30000, MANY = 40 };

static hearth *cache;
static hearth_queue *queue;
static hearth_value *value;

static int open_with(const char *const *settings) {
    cache = cache_open(settings);
    value = hearth_value_new();
    return cache != NULL && value != NULL && hearth_queue_open(cache, &queue) == HEARTH_OK ? 0
                                                                                           : -1;
}

static int open_cache(void **state) {
    (void)state;
    return open_with(NULL);
}

static int open_without_local(void **state) {
    (void)state;
    return open_with((const char *const[]){"local.max_bytes", "0", NULL});
}

static int open_with_one_load(void **state) {
    (void)state;
    return open_with((const char *const[]){"submit.load_threads", "1", NULL});
}

static int open_small(void **state) {
    (void)state;
    return open_with(
        (const char *const[]){"submit.load_threads", "1", "submit.max_operations", "3", NULL});
}

static int close_all(void **state) {
    (void)state;
    hearth_value_free(value);
    int32_t status = hearth_queue_close(queue, NULL, NULL);
    status = status == HEARTH_OK ? hearth_close(cache) : status;
    return status == HEARTH_OK && failing_memory_blocks() == 0 ? 0 : -1;
}

/* ---- what is submitted, and what comes of it ---- */

static hearth_operation operation(uint32_t verb, const char *key) {
    hearth_operation made;
    hearth_operation_init(&made, sizeof made);
    made.verb = verb;
    made.key = key;
    made.key_size = strlen(key);
    made.value = verb == HEARTH_VERB_GET || verb == HEARTH_VERB_FETCH ? value : NULL;
    return made;
}

static uint64_t submit(const hearth_operation *made) {
    uint64_t ticket = 0;
    assert_int_equal(hearth_submit(queue, made, &ticket), HEARTH_OK);
    return ticket;
}

static uint64_t submit_set(const char *key, const char *text) {
    hearth_operation set = operation(HEARTH_VERB_SET, key);
    set.data = text;
    set.data_size = strlen(text);
    return submit(&set);
}

static hearth_result collect_one(void) {
    hearth_result result = {.size = sizeof result};
    size_t count = 0;
    assert_int_equal(hearth_collect(queue, &result, 1, SECONDS_MS, &count), HEARTH_OK);
    assert_int_equal(count, 1);
    return result;
}

static void expect_nothing(void) {
    hearth_result result = {.size = sizeof result};
    size_t count = 7;
    assert_int_equal(hearth_collect(queue, &result, 1, 0, &count), HEARTH_MISS);
    assert_int_equal(count, 7);
}

static void a_local_hit_is_answered_in_the_call(void **state) {
    (void)state;
    assert_int_equal(cache_set(cache, "key", "text"), HEARTH_OK);
    hearth_operation get = operation(HEARTH_VERB_GET, "key");
    assert_int_equal(submit(&get), 0);
    expect_text(value, "text");
    expect_nothing();
}

static void a_local_hit_in_a_namespace_is_too(void **state) {
    (void)state;
    hearth *view = NULL;
    hearth_queue *outer = queue;
    hearth_queue *inner = NULL;
    assert_int_equal(hearth_namespace_open(cache, "space", 5, &view), HEARTH_OK);
    assert_int_equal(hearth_queue_open(view, &inner), HEARTH_OK);
    assert_int_equal(cache_set(view, "key", "text"), HEARTH_OK);
    hearth_operation get = operation(HEARTH_VERB_GET, "key");
    queue = inner;
    assert_int_equal(submit(&get), 0);
    expect_text(value, "text");
    expect_nothing();
    queue = outer;
    assert_true(submit(&get) != 0); /* its own keys are others */
    assert_int_equal(collect_one().status, HEARTH_MISS);
    queue = inner;
    assert_int_equal(hearth_namespace_bump(view, NULL), HEARTH_OK);
    assert_true(submit(&get) != 0);
    assert_int_equal(collect_one().status, HEARTH_MISS);
    queue = outer;
    assert_int_equal(hearth_queue_close(inner, NULL, NULL), HEARTH_OK);
    assert_int_equal(hearth_close(view), HEARTH_OK);
}

static void each_verb_has_a_result(void **state) {
    (void)state;
    int tag = 0;
    hearth_operation set = operation(HEARTH_VERB_SET, "key");
    set.data = "text";
    set.data_size = 4;
    set.tag = &tag;
    uint64_t ticket = submit(&set);
    hearth_result result = collect_one();
    assert_true(ticket != 0 && result.ticket == ticket);
    assert_ptr_equal(result.tag, &tag);
    assert_int_equal(result.verb, HEARTH_VERB_SET);
    assert_int_equal(result.status, HEARTH_OK);

    hearth_operation get = operation(HEARTH_VERB_GET, "key");
    assert_true(submit(&get) != 0); /* there is no local tier */
    result = collect_one();
    assert_int_equal(result.status, HEARTH_OK);
    assert_ptr_equal(result.value, value);
    expect_text(value, "text");

    hearth_operation delete = operation(HEARTH_VERB_DELETE, "key");
    assert_true(submit(&delete) != 0);
    assert_int_equal(collect_one().status, HEARTH_OK);
    assert_true(submit(&get) != 0);
    assert_int_equal(collect_one().status, HEARTH_MISS);
    assert_int_equal(hearth_value_size(value), 0);
}

static void a_fetch_loads_what_is_missing_and_takes_what_is_there(void **state) {
    (void)state;
    struct source source = {SOURCE_INIT, .text = "loaded"};
    const hearth_loader loader = source_loader(&source);
    hearth_operation fetch = operation(HEARTH_VERB_FETCH, "key");
    fetch.loader = &loader;
    for (int i = 0; i < 2; i++) {
        assert_true(submit(&fetch) != 0);
        assert_int_equal(collect_one().status, HEARTH_OK);
        expect_text(value, "loaded");
    }
    assert_int_equal(atomic_load(&source.calls), 1);
    source.absent = true;
    fetch.key = "none";
    fetch.key_size = 4;
    assert_true(submit(&fetch) != 0);
    assert_int_equal(collect_one().status, HEARTH_ABSENT);
}

static void many_keys_are_one_operation(void **state) {
    (void)state;
    const void *keys[] = {"a", "b", "c"};
    const size_t sizes[] = {1, 1, 1};
    const void *datas[] = {"1", "22", "333"};
    const size_t data_sizes[] = {1, 2, 3};
    int32_t statuses[] = {7, 7, 7};
    hearth_value *values[] = {value, NULL, hearth_value_new()};
    hearth_operation many = operation(HEARTH_VERB_SET, "");
    many.count = 2; /* c is left out */
    many.keys = keys;
    many.key_sizes = sizes;
    many.datas = datas;
    many.data_sizes = data_sizes;
    many.statuses = statuses;
    submit(&many);
    assert_int_equal(collect_one().status, HEARTH_OK);
    assert_int_equal(statuses[0] + statuses[1], 0);

    many.verb = HEARTH_VERB_GET;
    many.count = 3;
    many.values = values;
    submit(&many);
    hearth_result result = collect_one();
    assert_int_equal(result.status, HEARTH_OK);
    assert_null(result.value);
    assert_int_equal(statuses[1], HEARTH_OK);
    assert_int_equal(statuses[2], HEARTH_MISS);
    expect_text(value, "1");

    struct source source = {SOURCE_INIT, .text = "loaded"};
    const hearth_loader loader = source_loader(&source);
    many.verb = HEARTH_VERB_FETCH;
    many.loader = &loader;
    submit(&many);
    assert_int_equal(collect_one().status, HEARTH_OK);
    assert_int_equal(statuses[2], HEARTH_OK);
    expect_text(value, "1");
    expect_text(values[2], "loaded");
    assert_int_equal(atomic_load(&source.calls), 1);
    hearth_value_free(values[2]);
}

/* A value with one tag, whose bytes, array and options are others when the call is back: who looks there again sees a wrong tag, and
 * does not crash on a thread of the library's. */
static uint64_t submit_tagged(const char *key, const char *tag) {
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

static void a_writes_tags_are_copied(void **state) {
    (void)state;
    char other[200]; /* with key and value more than a small operation has room for */
    memset(other, 'o', sizeof other - 1);
    other[sizeof other - 1] = '\0';
    assert_true(submit_tagged("a", "red") != 0);
    assert_int_equal(collect_one().status, HEARTH_OK);
    assert_true(submit_tagged("b", other) != 0);
    assert_int_equal(collect_one().status, HEARTH_OK);
    assert_int_equal(hearth_get(cache, "a", 1, NULL, value), HEARTH_OK);
    assert_int_equal(hearth_invalidate_tag(cache, "red", 3, NULL), HEARTH_OK);
    assert_int_equal(hearth_get(cache, "a", 1, NULL, value), HEARTH_MISS);
    assert_int_equal(hearth_get(cache, "b", 1, NULL, value), HEARTH_OK);
    assert_int_equal(hearth_invalidate_tag(cache, other, strlen(other), NULL), HEARTH_OK);
    assert_int_equal(hearth_get(cache, "b", 1, NULL, value), HEARTH_MISS);
}

static hearth_operation storing(uint32_t verb, const char *key, const char *text) {
    hearth_operation made = operation(verb, key);
    made.data = text;
    made.data_size = strlen(text);
    return made;
}

static int32_t status_of(const hearth_operation *made) {
    assert_true(submit(made) != 0);
    return collect_one().status;
}

static void conditional_writes_say_what_they_found(void **state) {
    (void)state;
    hearth_operation add = storing(HEARTH_VERB_ADD, "key", "first");
    hearth_operation replace = storing(HEARTH_VERB_REPLACE, "key", "second");
    hearth_info info = {.size = sizeof info};
    assert_int_equal(status_of(&replace), HEARTH_MISS);
    assert_int_equal(status_of(&add), HEARTH_OK);
    assert_int_equal(status_of(&add), HEARTH_EXISTS);
    assert_int_equal(status_of(&replace), HEARTH_OK);
    assert_int_equal(hearth_get(cache, "key", 3, NULL, value), HEARTH_OK);
    expect_text(value, "second");
    assert_int_equal(hearth_value_info(value, &info), HEARTH_OK);

    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    write.if_version = info.version + 1;
    replace = storing(HEARTH_VERB_REPLACE, "key", "third");
    replace.write = &write;
    assert_int_equal(status_of(&replace), HEARTH_CONFLICT);
    write.if_version = info.version;
    assert_int_equal(status_of(&replace), HEARTH_OK);
    assert_string_equal(cache_get(cache, "key", 0), "=third");
}

static void a_touch_gives_a_new_life_and_a_mark_ends_it(void **state) {
    (void)state;
    hearth_write_options write;
    hearth_info info = {.size = sizeof info};
    hearth_write_options_init(&write, sizeof write);
    write.ttl_ms = 1000000;
    hearth_operation touch = operation(HEARTH_VERB_TOUCH, "key");
    touch.write = &write;
    assert_int_equal(status_of(&touch), HEARTH_MISS);
    assert_int_equal(cache_set(cache, "key", "text"), HEARTH_OK);
    assert_int_equal(status_of(&touch), HEARTH_OK);
    assert_int_equal(hearth_get(cache, "key", 3, NULL, value), HEARTH_OK);
    assert_int_equal(hearth_value_info(value, &info), HEARTH_OK);
    assert_true(info.ttl_left_ms > 900000 && info.ttl_left_ms <= 1000000);

    hearth_operation mark = operation(HEARTH_VERB_MARK_STALE, "key");
    assert_int_equal(status_of(&mark), HEARTH_OK);
    assert_string_equal(cache_get(cache, "key", 0), "MISS");
    assert_string_equal(cache_get(cache, "key", HEARTH_READ_ALLOW_STALE), "=text");
}

/* All are in flight at once, so several go to the node together. */
static void each_increment_has_its_number(void **state) {
    (void)state;
    int64_t numbers[MANY] = {0};
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    write.flags = HEARTH_WRITE_INTEGER;
    hearth_operation set = storing(HEARTH_VERB_SET, "count", "100");
    hearth_operation add = operation(HEARTH_VERB_INCREMENT, "count");
    assert_int_equal(status_of(&add), HEARTH_MISS);
    set.write = &write;
    assert_int_equal(status_of(&set), HEARTH_OK);
    for (size_t i = 0; i < MANY; i++) {
        add.delta = (int64_t)i;
        add.tag = &numbers[i];
        assert_true(submit(&add) != 0);
    }
    for (size_t i = 0; i < MANY; i++) {
        const hearth_result result = collect_one();
        assert_int_equal(result.status, HEARTH_OK);
        *(int64_t *)result.tag = result.number;
    }
    int64_t wanted = 100;
    for (size_t i = 0; i < MANY; i++) {
        wanted += (int64_t)i;
        assert_int_equal(numbers[i], wanted);
    }
    assert_int_equal(cache_set(cache, "text", "text"), HEARTH_OK);
    add = operation(HEARTH_VERB_INCREMENT, "text");
    submit(&add);
    hearth_result result = collect_one();
    assert_int_equal(result.status, HEARTH_E_TYPE);
    assert_int_equal(result.number, 0);
}

/* Until a driver has it. */
static void await_begin(const hearth_operation *made) {
    uint64_t ticket = submit(made);
    while (hearth_cancel(queue, ticket) == HEARTH_OK) {
        ticket = submit(made);
    }
}

static void collect_late(size_t results) {
    for (; results != 0; results--) {
        assert_int_equal(collect_one().status, HEARTH_OK);
    }
}

/* What is stored waits for a read of its key, whose node is stopped, and the tag's invalidation for both. A later read that asks no node
 * waits for neither: behind it, what could be taken was. */
static void invalidate_behind_a_tagged_set(struct servers *servers) {
    assert_int_equal(cache_set(cache, "key", "old"), HEARTH_OK);
    assert_int_equal(servers_pause(servers, 0), 0);
    const hearth_operation get = operation(HEARTH_VERB_GET, "key");
    await_begin(&get);
    submit_tagged("key", "red");
    const hearth_operation invalidation = operation(HEARTH_VERB_INVALIDATE_TAG, "red");
    submit(&invalidation);
    hearth_read_options read;
    hearth_read_options_init(&read, sizeof read);
    read.flags = HEARTH_READ_NO_REMOTE;
    hearth_operation late = operation(HEARTH_VERB_GET, "none");
    late.value = NULL;
    late.read = &read;
    assert_int_equal(status_of(&late), HEARTH_MISS);
    assert_int_equal(servers_resume(servers, 0), 0);
    collect_late(3);
    assert_string_equal(cache_get(cache, "key", 0), "MISS");
}

static void a_tags_invalidation_keeps_its_order(void **state) {
    enum { ROUNDS = 8 }; /* in the wrong order it may come in time for all that */
    char url[512];
    static struct servers servers;
    assert_int_equal(servers_open(&servers), 0);
    assert_int_equal(servers_start(&servers, SERVER_REDIS, SERVER_UNIX, NULL), 0);
    assert_int_equal(servers_url(&servers, SERVER_REDIS, url, sizeof url), 0);
    assert_int_equal(open_with((const char *const[]){"remote.url", url, "local.max_bytes", "0",
                                                     "remote.timeout_ms", "20000",
                                                     "submit.threads", "3", NULL}),
                     0);
    for (int i = 0; i < ROUNDS; i++) {
        invalidate_behind_a_tagged_set(&servers);
    }
    assert_true(submit_tagged("key", "red") != 0);
    collect_late(1);
    assert_string_equal(cache_get(cache, "key", 0), "=text");
    assert_int_equal(close_all(state), 0);
    servers_stop(&servers);
}

static void a_keys_operations_keep_their_order(void **state) {
    (void)state;
    char texts[MANY][8];
    hearth_value *values[MANY];
    size_t results = 0;
    for (size_t i = 0; i < MANY; i++) {
        (void)snprintf(texts[i], sizeof texts[i], "%zu", i);
        values[i] = hearth_value_new();
        results += submit_set("key", texts[i]) != 0;
        hearth_operation get = operation(HEARTH_VERB_GET, "key");
        get.value = values[i];
        results += submit(&get) != 0; /* else the set is done, and its copy is the answer */
        if (i % 4 == 3) {
            hearth_operation delete = operation(HEARTH_VERB_DELETE, "key");
            results += submit(&delete) != 0;
        }
    }
    for (size_t i = 0; i < results; i++) {
        hearth_result result = collect_one();
        assert_int_equal(result.status, HEARTH_OK);
    }
    for (size_t i = 0; i < MANY; i++) {
        expect_text(values[i], texts[i]);
        hearth_value_free(values[i]);
    }
}

/* Who has just collected carries out what comes next when it collects again, so all of these wait in one line. */
static void a_read_does_not_pass_a_write_that_waits(void **state) {
    (void)state;
    hearth_value *late = hearth_value_new();
    hearth_operation before = operation(HEARTH_VERB_GET, "none");
    for (size_t i = 0; i < 5 * (size_t)MANY; i++) {
        char key[8];
        (void)snprintf(key, sizeof key, "%zu", i);
        submit(&before);
        (void)collect_one();
        submit(&before); /* reads go together with the first */
        submit_set(key, key);
        hearth_operation get = operation(HEARTH_VERB_GET, key);
        get.value = late;
        size_t results = 2 + (size_t)(submit(&get) != 0);
        for (; results != 0; results--) {
            (void)collect_one();
        }
        expect_text(late, key);
    }
    hearth_value_free(late);
}

/* ---- the descriptor ---- */

static bool is_readable(int fd, int timeout_ms) {
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    return poll(&poller, 1, timeout_ms) == 1;
}

/* It may be raised late for what was taken already; each time a look that finds nothing ends that. */
static void expect_no_signal(int fd, size_t publications) {
    for (size_t i = 0; i < publications && is_readable(fd, 0); i++) {
        expect_nothing();
    }
    assert_false(is_readable(fd, 0));
}

static void the_descriptor_is_readable_while_there_are_results(void **state) {
    (void)state;
    int fd = -1;
    int again = -2;
    assert_int_equal(hearth_event_fd(queue, &fd), HEARTH_OK);
    assert_int_equal(hearth_event_fd(queue, &again), HEARTH_OK);
    assert_int_equal(fd, again);
    assert_false(is_readable(fd, 0));
    submit_set("a", "1");
    submit_set("b", "1");
    assert_true(is_readable(fd, SECONDS_MS)); /* nobody collects: a thread does it */
    hearth_result results[2] = {{.size = sizeof results[0]}};
    size_t count = 0;
    for (size_t seen = 0; seen < 2; seen += count) {
        assert_true(is_readable(fd, SECONDS_MS));
        assert_int_equal(hearth_collect(queue, results, 1, 0, &count), HEARTH_OK);
    }
    expect_no_signal(fd, 2);
    expect_nothing();
}

/* Who collects has carried out what it submitted. When it does so no more, a thread does. */
static void who_collected_need_not_come_back(void **state) {
    (void)state;
    int fd = -1;
    assert_int_equal(hearth_event_fd(queue, &fd), HEARTH_OK);
    for (size_t i = 0; i < MANY; i++) {
        submit_set("key", "text");
        assert_int_equal(collect_one().status, HEARTH_OK);
    }
    submit_set("key", "last");
    assert_true(is_readable(fd, SECONDS_MS));
    assert_int_equal(collect_one().status, HEARTH_OK);
    assert_string_equal(cache_get(cache, "key", 0), "=last");
}

/* Operations of one key and of different kinds come one after the other; when the loader is called, all before it are done. */
static void the_descriptor_is_written_once_for_many_results(void **state) {
    (void)state;
    int fd = -1;
    uint64_t writes = 0;
    struct source source = {SOURCE_INIT, .text = "loaded", .waits = true};
    const hearth_loader loader = source_loader(&source);
    hearth_operation delete = operation(HEARTH_VERB_DELETE, "key");
    hearth_operation fetch = operation(HEARTH_VERB_FETCH, "key");
    fetch.loader = &loader;
    assert_int_equal(hearth_event_fd(queue, &fd), HEARTH_OK);
    for (size_t i = 0; i < 4; i++) {
        submit_set("key", "text");
        submit(&delete);
    }
    submit(&fetch);
    assert_true(event_await(&source.entered, 1));
    assert_int_equal(read(fd, &writes, sizeof writes), (ssize_t)sizeof writes);
    event_raise(&source.go);
    for (size_t i = 0; i < 9; i++) {
        assert_true(collect_one().status >= 0);
    }
    assert_int_equal(writes, 1);
}

static void at_most_1024_results_come_at_once(void **state) {
    (void)state;
    enum { ALL = 1500 };
    int fd = -1;
    assert_int_equal(hearth_event_fd(queue, &fd), HEARTH_OK);
    hearth_operation get = operation(HEARTH_VERB_GET, "none");
    get.value = NULL;
    for (size_t i = 0; i < ALL; i++) {
        submit(&get);
    }
    static hearth_result results[ALL];
    size_t all = 0;
    while (all < ALL) {
        size_t count = 0;
        results[0].size = sizeof results[0];
        assert_int_equal(hearth_collect(queue, results, ALL, SECONDS_MS, &count), HEARTH_OK);
        assert_in_range(count, 1, 1024);
        assert_int_equal(results[count - 1].status, HEARTH_MISS);
        all += count;
    }
    assert_int_equal(all, ALL);
    expect_no_signal(fd, ALL);
}

/* ---- loads that take long ---- */

static hearth_operation slow_fetch(const char *key, struct source *source,
                                   hearth_loader *loader) {
    *loader = source_loader(source);
    hearth_operation fetch = operation(HEARTH_VERB_FETCH, key);
    fetch.loader = loader;
    fetch.value = NULL;
    return fetch;
}

/* It waits for a thread that loads, or soon will: before, the tiers may be asked for it just then. */
static void cancel_waiting(uint64_t ticket) {
    while (hearth_cancel(queue, ticket) != HEARTH_OK) {
    }
}

static void count_one(void *arg, const hearth_result *result) {
    (void)result;
    ++*(size_t *)arg;
}

static void what_waits_can_be_cancelled_and_what_runs_cannot(void **state) {
    (void)state;
    struct source source = {SOURCE_INIT, .text = "loaded", .waits = true};
    hearth_loader loader;
    hearth_operation fetch = slow_fetch("runs", &source, &loader);
    uint64_t runs = submit(&fetch);
    assert_true(event_await(&source.entered, 1));
    fetch = slow_fetch("waits", &source, &loader);
    uint64_t waits = submit(&fetch);
    cancel_waiting(waits);
    assert_int_equal(hearth_cancel(queue, waits), HEARTH_MISS);
    assert_int_equal(hearth_cancel(queue, runs), HEARTH_MISS);
    event_raise(&source.go);
    hearth_result result = collect_one();
    assert_true(result.ticket == runs);
    assert_int_equal(result.status, HEARTH_OK);
    assert_int_equal(hearth_cancel(queue, runs), HEARTH_MISS);
    size_t told = 0; /* closing waits for whatever is left */
    assert_int_equal(hearth_queue_close(queue, count_one, &told), HEARTH_OK);
    assert_int_equal(told, 0);
    assert_int_equal(atomic_load(&source.calls), 1);
    assert_int_equal(hearth_queue_open(cache, &queue), HEARTH_OK);
}

/* However many are cancelled, there is room for others. */
static void what_was_cancelled_takes_no_room(void **state) {
    (void)state;
    struct source source = {SOURCE_INIT, .text = "loaded", .waits = true};
    hearth_loader loader;
    hearth_operation fetch = slow_fetch("runs", &source, &loader);
    submit(&fetch);
    assert_true(event_await(&source.entered, 1));
    fetch = slow_fetch("waits", &source, &loader);
    for (int i = 0; i < MANY; i++) {
        uint64_t ticket = 0;
        int32_t status = HEARTH_E_OVERLOAD;
        while (status == HEARTH_E_OVERLOAD) { /* until what was cancelled is gone */
            status = hearth_submit(queue, &fetch, &ticket);
        }
        assert_int_equal(status, HEARTH_OK);
        cancel_waiting(ticket);
    }
    event_raise(&source.go);
    assert_int_equal(collect_one().status, HEARTH_OK);
}

static void what_waits_past_its_deadline_is_told_so(void **state) {
    (void)state;
    struct source source = {SOURCE_INIT, .text = "loaded", .waits = true};
    hearth_loader loader;
    hearth_operation fetch = slow_fetch("runs", &source, &loader);
    uint64_t runs = submit(&fetch);
    assert_true(event_await(&source.entered, 1));
    fetch = slow_fetch("waits", &source, &loader);
    hearth_read_options read;
    hearth_read_options_init(&read, sizeof read);
    read.deadline_ms = 20;
    fetch.read = &read;
    uint64_t waits = submit(&fetch);
    hearth_result result = collect_one();
    assert_true(result.ticket == waits);
    assert_int_equal(result.status, HEARTH_E_TIMEOUT);
    event_raise(&source.go);
    assert_true(collect_one().ticket == runs);
    assert_int_equal(atomic_load(&source.calls), 1);
}

static void others_do_not_wait_for_a_loader(void **state) {
    (void)state;
    struct source source = {SOURCE_INIT, .text = "loaded", .waits = true};
    hearth_loader loader;
    hearth_operation fetch = slow_fetch("runs", &source, &loader);
    uint64_t runs = submit(&fetch);
    assert_true(event_await(&source.entered, 1));
    uint64_t set = submit_set("runs", "newer"); /* not even of the same key */
    assert_true(collect_one().ticket == set);
    event_raise(&source.go);
    assert_true(collect_one().ticket == runs);
    assert_string_equal(cache_get(cache, "runs", 0), "=newer");
}

static void a_full_queue_refuses(void **state) {
    (void)state;
    struct source source = {SOURCE_INIT, .text = "loaded", .waits = true};
    hearth_loader loader;
    hearth_operation fetch = slow_fetch("key", &source, &loader);
    for (int i = 0; i < 3; i++) {
        assert_true(submit(&fetch) != 0);
    }
    uint64_t ticket = 7;
    assert_int_equal(hearth_submit(queue, &fetch, &ticket), HEARTH_E_OVERLOAD);
    assert_int_equal(ticket, 0);
    event_raise(&source.go);
    (void)collect_one();
    assert_true(submit(&fetch) != 0); /* there is room for one again */
    for (int i = 0; i < 3; i++) {
        (void)collect_one();
    }
}

static void expect_invalid(const hearth_operation *made) {
    uint64_t ticket = 7;
    assert_int_equal(hearth_submit(queue, made, &ticket), HEARTH_E_INVALID);
    assert_int_equal(ticket, 0);
}

/* What the verb's call refuses, the queue does. */
static void expect_writes_to_be_checked(void) {
    const void *key = "key";
    const size_t size = 3;
    int32_t status = 0;
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    for (uint32_t verb = HEARTH_VERB_ADD; verb <= HEARTH_VERB_INVALIDATE_TAG; verb++) {
        hearth_operation many = operation(verb, "key");
        many.count = 1;
        many.keys = &key;
        many.key_sizes = &size;
        many.datas = &key;
        many.data_sizes = &size;
        many.statuses = &status;
        expect_invalid(&many);
        hearth_operation one = operation(verb, "key");
        one.write = &write;
        write.flags = HEARTH_WRITE_NO_REMOTE | HEARTH_WRITE_KEEP_STALE;
        expect_invalid(&one);
        write.flags = 0;
        write.if_version = 1;
        if (verb != HEARTH_VERB_REPLACE) {
            expect_invalid(&one);
        }
        write.if_version = 0;
    }
    hearth_operation add = storing(HEARTH_VERB_ADD, "key", "no number");
    write.flags = HEARTH_WRITE_INTEGER;
    add.write = &write;
    expect_invalid(&add);
    char tag[HEARTH_TAG_SIZE_MAX + 2];
    memset(tag, 't', sizeof tag - 1);
    tag[sizeof tag - 1] = '\0';
    const hearth_operation invalidation = operation(HEARTH_VERB_INVALIDATE_TAG, tag);
    expect_invalid(&invalidation);
}

static void arguments_are_checked(void **state) {
    (void)state;
    uint64_t ticket = 7;
    hearth_operation get = operation(HEARTH_VERB_GET, "key");
    get.key_size = 0;
    assert_int_equal(hearth_submit(queue, &get, &ticket), HEARTH_E_INVALID);
    assert_int_equal(ticket, 0);
    get = operation(HEARTH_VERB_INVALIDATE_TAG + 1, "key");
    assert_int_equal(hearth_submit(queue, &get, &ticket), HEARTH_E_INVALID);
    hearth_operation fetch = operation(HEARTH_VERB_FETCH, "key");
    assert_int_equal(hearth_submit(queue, &fetch, &ticket), HEARTH_E_INVALID);
    hearth_operation set = operation(HEARTH_VERB_SET, "key");
    set.data_size = 1;
    assert_int_equal(hearth_submit(queue, &set, &ticket), HEARTH_E_INVALID);
    expect_writes_to_be_checked();
    hearth_result result = {.size = sizeof result};
    size_t count = 0;
    assert_int_equal(hearth_collect(queue, &result, 0, 0, &count), HEARTH_E_INVALID);
    assert_int_equal(hearth_collect(queue, &result, 1, -2, &count), HEARTH_E_INVALID);
    assert_int_equal(hearth_cancel(NULL, 1), HEARTH_E_INVALID);
    assert_int_equal(hearth_event_fd(queue, NULL), HEARTH_E_INVALID);
    assert_int_equal(hearth_queue_open(cache, NULL), HEARTH_E_INVALID);
    assert_int_equal(hearth_queue_close(NULL, NULL, NULL), HEARTH_OK);
    expect_nothing();
}

/* ---- the end ---- */

struct told {
    size_t closed;
    size_t good;
};

static void tell(void *arg, const hearth_result *result) {
    struct told *told = arg;
    told->closed += result->status == HEARTH_E_CLOSED;
    told->good += result->status == HEARTH_OK;
}

static void let_go(void *arg, size_t index) {
    struct source *source = arg;
    (void)index;
    while (cache_stats(cache).loads == 0) {
    }
    event_raise(&source->go);
}

static void closing_a_queue_tells_of_each_once(void **state) {
    (void)state;
    struct source source = {SOURCE_INIT, .text = "loaded", .waits = true};
    hearth_loader loader;
    hearth_operation fetch = slow_fetch("runs", &source, &loader);
    submit(&fetch);
    assert_true(event_await(&source.entered, 1));
    for (int i = 0; i < 4; i++) {
        submit(&fetch);
    }
    struct told told = {0};
    struct crowd crowd;
    assert_true(crowd_start(&crowd, 1, let_go, &source));
    assert_int_equal(hearth_queue_close(queue, tell, &told), HEARTH_OK);
    crowd_join(&crowd);
    assert_int_equal(told.closed + told.good, 5);
    assert_in_range(told.good, 1, 5);
    assert_int_equal(hearth_queue_open(cache, &queue), HEARTH_OK);
}

static void a_queue_outlives_its_cache(void **state) {
    (void)state;
    struct source source = {SOURCE_INIT, .text = "loaded", .waits = true};
    hearth_loader loader;
    hearth_operation fetch = slow_fetch("runs", &source, &loader);
    submit(&fetch);
    assert_true(event_await(&source.entered, 1));
    fetch = slow_fetch("waits", &source, &loader);
    submit(&fetch);
    struct crowd crowd;
    assert_true(crowd_start(&crowd, 1, let_go, &source));
    crowd_join(&crowd);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
    uint64_t ticket = 7;
    assert_int_equal(hearth_submit(queue, &fetch, &ticket), HEARTH_E_CLOSED);
    (void)collect_one();
    (void)collect_one();
    hearth_result result = {.size = sizeof result};
    size_t count = 0;
    assert_int_equal(hearth_collect(queue, &result, 1, -1, &count), HEARTH_E_CLOSED);
    assert_int_equal(hearth_queue_close(queue, NULL, NULL), HEARTH_OK);
    queue = NULL;
    cache = NULL;
}

static int32_t close_inside(void *arg, const void *key, size_t key_size, hearth_fill *fill) {
    (void)key;
    (void)key_size;
    *(int32_t *)arg = hearth_queue_close(queue, NULL, NULL);
    return hearth_fill_value(fill, "x", 1);
}

static void a_loader_cannot_close_its_queue(void **state) {
    (void)state;
    int32_t said = 0;
    const hearth_loader loader = {.size = sizeof loader, .load = close_inside, .arg = &said};
    hearth_operation fetch = operation(HEARTH_VERB_FETCH, "key");
    fetch.loader = &loader;
    submit(&fetch);
    assert_int_equal(collect_one().status, HEARTH_OK);
    assert_int_equal(said, HEARTH_E_DEADLOCK);
}

static bool child_works(void) {
    hearth_result result = {.size = sizeof result};
    size_t count = 0;
    uint64_t ticket = 0;
    int fd = -1;
    if (hearth_collect(queue, &result, 1, 0, &count) != HEARTH_MISS) {
        return false;
    }
#if defined(HEARTH__TSAN) /* it lets a child start no thread */
    return hearth_queue_close(queue, NULL, NULL) == HEARTH_OK;
#endif
    if (hearth_event_fd(queue, &fd) != HEARTH_OK) {
        return false;
    }
    hearth_operation set = operation(HEARTH_VERB_SET, "child");
    set.data = "x";
    set.data_size = 1;
    return hearth_submit(queue, &set, &ticket) == HEARTH_OK && ticket != 0 &&
           hearth_collect(queue, &result, 1, SECONDS_MS, &count) == HEARTH_OK &&
           result.ticket == ticket && result.status == HEARTH_OK &&
           hearth_queue_close(queue, NULL, NULL) == HEARTH_OK &&
           hearth_close(cache) == HEARTH_OK;
}

static void a_child_has_an_empty_queue_and_the_parent_its_results(void **state) {
    (void)state;
    struct source source = {SOURCE_INIT, .text = "loaded", .waits = true};
    hearth_loader loader;
    int fd = -1;
    assert_int_equal(hearth_event_fd(queue, &fd), HEARTH_OK);
    submit_set("done", "x");
    assert_true(is_readable(fd, SECONDS_MS));
    hearth_operation fetch = slow_fetch("runs", &source, &loader);
    uint64_t runs = submit(&fetch);
    assert_true(event_await(&source.entered, 1));
    fetch = slow_fetch("waits", &source, &loader);
    uint64_t waits = submit(&fetch);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(child_works() ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    event_raise(&source.go);
    uint64_t seen = 0;
    for (int i = 0; i < 3; i++) {
        hearth_result result = collect_one();
        assert_int_equal(result.status, HEARTH_OK);
        seen += result.ticket == runs || result.ticket == waits;
    }
    assert_int_equal(seen, 2);
    expect_nothing();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_local_hit_is_answered_in_the_call, open_cache,
                                        close_all),
        cmocka_unit_test_setup_teardown(a_local_hit_in_a_namespace_is_too, open_cache,
                                        close_all),
        cmocka_unit_test_setup_teardown(each_verb_has_a_result, open_without_local, close_all),
        cmocka_unit_test_setup_teardown(a_fetch_loads_what_is_missing_and_takes_what_is_there,
                                        open_without_local, close_all),
        cmocka_unit_test_setup_teardown(many_keys_are_one_operation, open_without_local,
                                        close_all),
        cmocka_unit_test_setup_teardown(a_writes_tags_are_copied, open_cache, close_all),
        cmocka_unit_test_setup_teardown(who_collected_need_not_come_back, open_cache,
                                        close_all),
        cmocka_unit_test_setup_teardown(conditional_writes_say_what_they_found, open_cache,
                                        close_all),
        cmocka_unit_test_setup_teardown(a_touch_gives_a_new_life_and_a_mark_ends_it, open_cache,
                                        close_all),
        cmocka_unit_test_setup_teardown(each_increment_has_its_number, open_cache, close_all),
        cmocka_unit_test(a_tags_invalidation_keeps_its_order),
        cmocka_unit_test_setup_teardown(a_keys_operations_keep_their_order, open_cache,
                                        close_all),
        cmocka_unit_test_setup_teardown(a_read_does_not_pass_a_write_that_waits, open_cache,
                                        close_all),
        cmocka_unit_test_setup_teardown(the_descriptor_is_written_once_for_many_results,
                                        open_cache, close_all),
        cmocka_unit_test_setup_teardown(the_descriptor_is_readable_while_there_are_results,
                                        open_cache, close_all),
        cmocka_unit_test_setup_teardown(at_most_1024_results_come_at_once, open_cache,
                                        close_all),
        cmocka_unit_test_setup_teardown(what_waits_can_be_cancelled_and_what_runs_cannot,
                                        open_with_one_load, close_all),
        cmocka_unit_test_setup_teardown(what_was_cancelled_takes_no_room, open_small,
                                        close_all),
        cmocka_unit_test_setup_teardown(what_waits_past_its_deadline_is_told_so,
                                        open_with_one_load, close_all),
        cmocka_unit_test_setup_teardown(others_do_not_wait_for_a_loader, open_with_one_load,
                                        close_all),
        cmocka_unit_test_setup_teardown(a_full_queue_refuses, open_small, close_all),
        cmocka_unit_test_setup_teardown(arguments_are_checked, open_cache, close_all),
        cmocka_unit_test_setup_teardown(closing_a_queue_tells_of_each_once, open_with_one_load,
                                        close_all),
        cmocka_unit_test_setup_teardown(a_queue_outlives_its_cache, open_with_one_load,
                                        close_all),
        cmocka_unit_test_setup_teardown(a_loader_cannot_close_its_queue, open_cache, close_all),
        cmocka_unit_test_setup_teardown(a_child_has_an_empty_queue_and_the_parent_its_results,
                                        open_with_one_load, close_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
