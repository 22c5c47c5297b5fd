/* SPDX-License-Identifier: Apache-2.0 */
/* Operations of a queue at one key, and at a tag and its keys, keep their order. */
#include "queue_rig.h"
#include "support/servers.h"

enum { MANY = 40 };

/* Until a driver has it. What was cancelled before is under way until a driver buries it, and may be too much. */
static void await_begin(const hearth_operation *made) {
    uint64_t ticket = 0;
    int32_t status = HEARTH_E_OVERLOAD;
    while (status == HEARTH_E_OVERLOAD || hearth_cancel(queue, ticket) == HEARTH_OK) {
        status = hearth_submit(queue, made, &ticket);
        assert_true(status == HEARTH_OK || status == HEARTH_E_OVERLOAD);
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
    assert_int_equal(queue_open_with((const char *const[]){"remote.url", url, "local.max_bytes",
                                                           "0", "remote.timeout_ms", "20000",
                                                           "submit.threads", "3", NULL}),
                     0);
    for (int i = 0; i < ROUNDS; i++) {
        invalidate_behind_a_tagged_set(&servers);
    }
    assert_true(submit_tagged("key", "red") != 0);
    collect_late(1);
    assert_string_equal(cache_get(cache, "key", 0), "=text");
    assert_int_equal(queue_close(state), 0);
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tags_invalidation_keeps_its_order),
        cmocka_unit_test_setup_teardown(a_keys_operations_keep_their_order, queue_open,
                                        queue_close),
        cmocka_unit_test_setup_teardown(a_read_does_not_pass_a_write_that_waits, queue_open,
                                        queue_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
