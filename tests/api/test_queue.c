/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that do not wait: what is answered at once, what comes later of each verb, and what is refused. */
#include "queue_rig.h"

enum { MANY = 40 };

static int open_without_local(void **state) {
    (void)state;
    return queue_open_with((const char *const[]){"local.max_bytes", "0", NULL});
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_local_hit_is_answered_in_the_call, queue_open,
                                        queue_close),
        cmocka_unit_test_setup_teardown(a_local_hit_in_a_namespace_is_too, queue_open,
                                        queue_close),
        cmocka_unit_test_setup_teardown(each_verb_has_a_result, open_without_local,
                                        queue_close),
        cmocka_unit_test_setup_teardown(a_fetch_loads_what_is_missing_and_takes_what_is_there,
                                        open_without_local, queue_close),
        cmocka_unit_test_setup_teardown(many_keys_are_one_operation, open_without_local,
                                        queue_close),
        cmocka_unit_test_setup_teardown(a_writes_tags_are_copied, queue_open, queue_close),
        cmocka_unit_test_setup_teardown(conditional_writes_say_what_they_found, queue_open,
                                        queue_close),
        cmocka_unit_test_setup_teardown(a_touch_gives_a_new_life_and_a_mark_ends_it, queue_open,
                                        queue_close),
        cmocka_unit_test_setup_teardown(each_increment_has_its_number, queue_open, queue_close),
        cmocka_unit_test_setup_teardown(arguments_are_checked, queue_open, queue_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
