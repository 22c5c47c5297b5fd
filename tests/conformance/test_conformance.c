/* SPDX-License-Identifier: Apache-2.0 */
/* The cases of verbs.json on all kinds of nodes. README.md of this folder says what they mean. */
#include "conformance/cases.h"
#include "support/servers.h"

#include <hearth/hearth.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

enum { MANY = 8 /* keys in a step */ };

static const char cases_file[] = "tests/conformance/verbs.json";
static json_t *file;
static struct servers servers;

/* ---- a step ----------------------------------------------------------------------------- */

struct call {
    hearth *cache;
    json_t *step;
    json_t *outcome;  /* what came of it, by the names that `expect` has */
    json_t *versions; /* of the case: those that a step remembered, by their names */
    hearth_value *values[MANY];
    const void *keys[MANY];
    size_t key_sizes[MANY];
    const void *data[MANY];
    size_t sizes[MANY];
    int32_t statuses[MANY];
    size_t count;
    const void *tags[MANY];
    size_t tag_sizes[MANY];
};

static void tell(struct call *call, const char *name, json_t *what) {
    assert_int_equal(json_object_set_new_nocheck(call->outcome, name, what), 0);
}

static void tell_status(struct call *call, int32_t status) {
    tell(call, "status", json_string(hearth_status_name(status) + strlen("HEARTH_")));
}

static json_t *bytes_of(const hearth_value *value) {
    return json_stringn_nocheck(hearth_value_data(value), hearth_value_size(value));
}

static void tell_answer(struct call *call, int32_t status) {
    static const char *const tiers[] = {"none", "local", "remote", "loaded", "guard"};
    hearth_info info = {.size = sizeof info};
    tell_status(call, status);
    if (status != HEARTH_OK && status != HEARTH_ABSENT) {
        return;
    }
    assert_int_equal(hearth_value_info(call->values[0], &info), HEARTH_OK);
    assert_true(info.tier < sizeof tiers / sizeof tiers[0]);
    tell(call, "tier", json_string(tiers[info.tier]));
    tell(call, "stale", json_boolean(info.freshness == HEARTH_STALE));
    tell(call, "ttl_left_ms",
         info.ttl_left_ms == -1 ? json_string("forever") : json_integer(info.ttl_left_ms));
    if (status == HEARTH_OK) {
        const char *name = json_string_value(json_object_get(call->step, "remember"));
        tell(call, "value", bytes_of(call->values[0]));
        if (name != NULL) {
            json_t *version = json_integer((json_int_t)info.version);
            assert_int_equal(json_object_set_new(call->versions, name, version), 0);
        }
    }
}

static void add_key(struct call *call, const json_t *key, const json_t *value) {
    assert_true(call->count < MANY && json_is_string(key));
    call->keys[call->count] = json_string_value(key);
    call->key_sizes[call->count] = json_string_length(key);
    call->data[call->count] = json_string_value(value);
    call->sizes[call->count] = json_string_length(value);
    call->count++;
}

/* The last part of a life is soft. */
static void set_life(const struct call *call, hearth_write_options *write) {
    const json_t *stale = json_object_get(call->step, "stale");
    const json_t *ttl = json_object_get(call->step, "ttl");
    if (json_is_integer(ttl)) {
        write->ttl_ms = json_integer_value(ttl);
    } else if (ttl != NULL) {
        assert_string_equal(json_string_value(ttl), "forever");
        write->ttl_ms = 0;
    }
    if (stale != NULL) {
        assert_true(json_is_integer(ttl));
        write->soft_ttl_ms = write->ttl_ms - json_integer_value(stale);
    }
}

static void set_tags(struct call *call, hearth_write_options *write) {
    const json_t *tag = NULL;
    size_t i = 0;
    json_array_foreach(json_object_get(call->step, "tags"), i, tag) {
        assert_true(i < MANY);
        call->tags[i] = json_string_value(tag);
        call->tag_sizes[i] = json_string_length(tag);
    }
    write->tags = call->tags;
    write->tag_sizes = call->tag_sizes;
    write->tag_count = i;
}

static hearth_write_options write_options(struct call *call) {
    const char *version = json_string_value(json_object_get(call->step, "if_version"));
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    set_life(call, &write);
    set_tags(call, &write);
    if (version != NULL) {
        write.if_version =
            (uint64_t)json_integer_value(json_object_get(call->versions, version));
        assert_true(write.if_version != 0);
    }
    write.flags =
        json_is_true(json_object_get(call->step, "counter")) ? HEARTH_WRITE_INTEGER : 0;
    return write;
}

static hearth_read_options read_options(const struct call *call) {
    const json_t *ask = json_object_get(call->step, "ask");
    hearth_read_options read;
    hearth_read_options_init(&read, sizeof read);
    if (ask != NULL) {
        const bool local = strcmp(json_string_value(ask), "local") == 0;
        assert_true(local || strcmp(json_string_value(ask), "remote") == 0);
        read.flags = local ? HEARTH_READ_NO_REMOTE : HEARTH_READ_NO_LOCAL;
    }
    if (json_is_true(json_object_get(call->step, "allow_stale"))) {
        read.flags |= HEARTH_READ_ALLOW_STALE;
    }
    return read;
}

/* ---- operations ------------------------------------------------------------------------- */

static void run_get(struct call *call) {
    const hearth_read_options read = read_options(call);
    tell_answer(call, hearth_get(call->cache, call->keys[0], call->key_sizes[0], &read,
                                 call->values[0]));
}

static void run_set(struct call *call) {
    const hearth_write_options write = write_options(call);
    tell_status(call, hearth_set(call->cache, call->keys[0], call->key_sizes[0], call->data[0],
                                 call->sizes[0], &write));
}

static void run_add(struct call *call) {
    const hearth_write_options write = write_options(call);
    tell_status(call, hearth_add(call->cache, call->keys[0], call->key_sizes[0], call->data[0],
                                 call->sizes[0], &write));
}

static void run_replace(struct call *call) {
    const hearth_write_options write = write_options(call);
    tell_status(call, hearth_replace(call->cache, call->keys[0], call->key_sizes[0],
                                     call->data[0], call->sizes[0], &write));
}

static void run_delete(struct call *call) {
    tell_status(call, hearth_delete(call->cache, call->keys[0], call->key_sizes[0], NULL));
}

static void run_evict_local(struct call *call) {
    tell_status(call, hearth_evict_local(call->cache, call->keys[0], call->key_sizes[0]));
}

static void run_mark_stale(struct call *call) {
    tell_status(call, hearth_mark_stale(call->cache, call->keys[0], call->key_sizes[0], NULL));
}

static void run_invalidate_tag(struct call *call) {
    const json_t *tag = json_object_get(call->step, "tag");
    hearth_write_options write = write_options(call);
    assert_true(json_is_string(tag));
    if (json_is_true(json_object_get(call->step, "keep_stale"))) {
        write.flags |= HEARTH_WRITE_KEEP_STALE;
    }
    tell_status(call, hearth_invalidate_tag(call->cache, json_string_value(tag),
                                            json_string_length(tag), &write));
}

static void run_touch(struct call *call) {
    const hearth_write_options write = write_options(call);
    tell_status(call, hearth_touch(call->cache, call->keys[0], call->key_sizes[0], &write));
}

static void add_number(struct call *call, int64_t sign) {
    const json_t *delta = json_object_get(call->step, "delta");
    int64_t number = 0;
    int32_t status =
        hearth_increment(call->cache, call->keys[0], call->key_sizes[0],
                         sign * (delta != NULL ? json_integer_value(delta) : 1), &number, NULL);
    tell_status(call, status);
    if (status == HEARTH_OK) {
        tell(call, "number", json_integer(number));
    }
}

static void run_incr(struct call *call) {
    add_number(call, 1);
}

static void run_decr(struct call *call) {
    add_number(call, -1);
}

static void run_get_many(struct call *call) {
    json_t *found = json_object();
    int32_t status = hearth_get_many(call->cache, call->count, call->keys, call->key_sizes,
                                     NULL, call->values, call->statuses);
    for (size_t i = 0; status == HEARTH_OK && i < call->count; i++) {
        if (call->statuses[i] == HEARTH_OK) {
            json_object_set_new_nocheck(found, call->keys[i], bytes_of(call->values[i]));
        }
    }
    tell_status(call, status);
    tell(call, "values", found);
}

static void run_set_many(struct call *call) {
    const hearth_write_options write = write_options(call);
    tell_status(call, hearth_set_many(call->cache, call->count, call->keys, call->key_sizes,
                                      call->data, call->sizes, &write, call->statuses));
}

static void run_delete_many(struct call *call) {
    json_int_t removed = 0;
    int32_t status = hearth_delete_many(call->cache, call->count, call->keys, call->key_sizes,
                                        NULL, call->statuses);
    for (size_t i = 0; status == HEARTH_OK && i < call->count; i++) {
        removed += call->statuses[i] == HEARTH_OK;
    }
    tell_status(call, status);
    tell(call, "removed", json_integer(removed));
}

struct source {
    const json_t *answer; /* {"value": ...}, "absent" or "fails" */
    const json_t *tags;
    json_int_t loads;
};

static int32_t load(void *arg, const void *key, size_t key_size, hearth_fill *fill) {
    struct source *source = arg;
    const json_t *value = json_object_get(source->answer, "value");
    (void)key;
    (void)key_size;
    source->loads++;
    const json_t *tag = NULL;
    size_t i = 0;
    json_array_foreach(source->tags, i, tag) {
        int32_t status = hearth_fill_tag(fill, json_string_value(tag), json_string_length(tag));
        if (status != HEARTH_OK) {
            return status;
        }
    }
    if (value != NULL) {
        return hearth_fill_value(fill, json_string_value(value), json_string_length(value));
    }
    if (strcmp(json_string_value(source->answer), "absent") == 0) {
        return hearth_fill_absent(fill);
    }
    return HEARTH_E_UNAVAILABLE;
}

static void run_fetch(struct call *call) {
    struct source source = {.answer = json_object_get(call->step, "loader"),
                            .tags = json_object_get(call->step, "tags")};
    const hearth_loader loader = {.size = sizeof loader, .load = load, .arg = &source};
    hearth_write_options write = write_options(call);
    write.tag_count = 0; /* the loader names them */
    assert_true(json_object_get(source.answer, "value") != NULL ||
                json_is_string(source.answer));
    tell_answer(call, hearth_fetch(call->cache, call->keys[0], call->key_sizes[0], &loader,
                                   NULL, &write, call->values[0]));
    tell(call, "loads", json_integer(source.loads));
}

static const struct {
    const char *name;
    void (*run)(struct call *call);
} operations[] = {
    {"get", run_get},
    {"set", run_set},
    {"add", run_add},
    {"replace", run_replace},
    {"delete", run_delete},
    {"touch", run_touch},
    {"incr", run_incr},
    {"decr", run_decr},
    {"get_many", run_get_many},
    {"set_many", run_set_many},
    {"fetch", run_fetch},
    {"delete_many", run_delete_many},
    {"evict_local", run_evict_local},
    {"mark_stale", run_mark_stale},
    {"invalidate_tag", run_invalidate_tag},
};

/* ---- what is expected ------------------------------------------------------------------- */

/* [least, most] of a time, else the very thing. */
static bool is_as_expected(const json_t *expected, const json_t *found) {
    if (!json_is_array(expected)) {
        return json_equal(expected, found) != 0;
    }
    json_int_t time = json_integer_value(found);
    return json_is_integer(found) && time >= json_integer_value(json_array_get(expected, 0)) &&
           time <= json_integer_value(json_array_get(expected, 1));
}

static void check(const struct call *call, const char *test, size_t at) {
    json_t *expect = json_object_get(call->step, "expect");
    const char *name = NULL;
    json_t *expected = NULL;
    assert_non_null(json_object_get(expect, "status"));
    json_object_foreach(expect, name, expected) {
        json_t *found = json_object_get(call->outcome, name);
        if (!is_as_expected(expected, found)) {
            char *wanted = json_dumps(expected, JSON_ENCODE_ANY);
            char *outcome = json_dumps(call->outcome, JSON_ENCODE_ANY);
            fail_msg("%s, step %zu: %s is to be %.200s; it came to %.500s", test, at + 1, name,
                     wanted != NULL ? wanted : "these bytes",
                     outcome != NULL ? outcome : "other bytes");
        }
    }
}

/* Its keys and values; `names` keeps those keys that are the names of others. */
static void take_arguments(struct call *call, json_t *names) {
    json_t *step = call->step;
    const char *name = NULL;
    json_t *member = NULL;
    size_t i = 0;
    if (json_object_get(step, "key") != NULL) {
        add_key(call, json_object_get(step, "key"), json_object_get(step, "value"));
    }
    json_array_foreach(json_object_get(step, "keys"), i, member) {
        add_key(call, member, NULL);
    }
    json_object_foreach(json_object_get(step, "values"), name, member) {
        assert_int_equal(json_array_append_new(names, json_string(name)), 0);
        add_key(call, json_array_get(names, json_array_size(names) - 1), member);
    }
}

static void run_step(hearth *cache, json_t *step, json_t *versions, const char *test,
                     size_t at) {
    struct call call = {
        .cache = cache, .step = step, .outcome = json_object(), .versions = versions};
    const char *op = json_string_value(json_object_get(step, "op"));
    json_t *names = json_array();
    size_t i = 0;
    for (i = 0; i < MANY; i++) {
        call.values[i] = hearth_value_new();
        assert_non_null(call.values[i]);
    }
    take_arguments(&call, names);
    assert_non_null(op);
    for (i = 0; i < sizeof operations / sizeof operations[0]; i++) {
        if (strcmp(operations[i].name, op) == 0) {
            operations[i].run(&call);
            break;
        }
    }
    if (i == sizeof operations / sizeof operations[0]) {
        fail_msg("%s, step %zu: there is no operation %s", test, at + 1, op);
    }
    check(&call, test, at);
    for (i = 0; i < MANY; i++) {
        hearth_value_free(call.values[i]);
    }
    json_decref(names);
    json_decref(call.outcome);
}

/* ---- cases ------------------------------------------------------------------------------ */

/* A key space of its own: another prefix. */
static hearth *open_cache(const char *url, const char *prefix) {
    hearth_options *options = hearth_options_new();
    hearth *cache = NULL;
    const char *name = NULL;
    json_t *value = NULL;
    assert_non_null(options);
    json_object_foreach(json_object_get(file, "options"), name, value) {
        assert_int_equal(hearth_options_set(options, name, json_string_value(value)),
                         HEARTH_OK);
    }
    /* Where nobody is told of changes a read does not depend on when that begins. */
    if (strncmp(url, "redis", strlen("redis")) == 0) {
        assert_int_equal(hearth_options_set(options, "coherence.mode", "ttl"), HEARTH_OK);
    }
    assert_int_equal(hearth_options_set(options, "remote.url", url), HEARTH_OK);
    assert_int_equal(hearth_options_set(options, "remote.prefix", prefix), HEARTH_OK);
    if (hearth_open(options, &cache) != HEARTH_OK) {
        fail_msg("%s", hearth_options_error(options));
    }
    hearth_options_free(options);
    return cache;
}

static void run_cases(const char *url) {
    json_t *one = NULL;
    json_t *step = NULL;
    size_t i = 0;
    size_t at = 0;
    size_t run = 0;
    json_array_foreach(json_object_get(file, "cases"), i, one) {
        const json_t *only = json_object_get(one, "only");
        const char *test = json_string_value(json_object_get(one, "name"));
        char prefix[32];
        assert_non_null(test);
        if (only != NULL && strcmp(json_string_value(only), "c") != 0) {
            assert_string_equal(json_string_value(only), "bindings");
            continue;
        }
        snprintf(prefix, sizeof prefix, "c%zu:", i);
        hearth *cache = open_cache(url, prefix);
        json_t *versions = json_object();
        assert_true(json_array_size(json_object_get(one, "steps")) > 0);
        json_array_foreach(json_object_get(one, "steps"), at, step) {
            run_step(cache, step, versions, test, at);
        }
        json_decref(versions);
        assert_int_equal(hearth_close(cache), HEARTH_OK);
        run++;
    }
    assert_true(run > 0);
}

static void all_cases_embedded(void **state) {
    (void)state;
    run_cases("embedded://");
}

static void run_on_server(enum server_kind kind) {
    char url[SERVERS_PATH_BYTES + 32];
    assert_int_equal(servers_url(&servers, kind, url, sizeof url), 0);
    run_cases(url);
}

static void all_cases_on_redis(void **state) {
    (void)state;
    run_on_server(SERVER_REDIS);
}

static void all_cases_on_memcached(void **state) {
    (void)state;
    run_on_server(SERVER_MEMCACHED);
}

static int start(void **state) {
    (void)state;
    char why[256];
    file = cases_load(cases_file, why, sizeof why);
    if (file == NULL) {
        print_error("%s: %s\n", cases_file, why);
        return -1;
    }
    if (servers_open(&servers) != 0 ||
        servers_start(&servers, SERVER_REDIS, SERVER_UNIX, NULL) != 0 ||
        servers_start(&servers, SERVER_MEMCACHED, SERVER_UNIX, NULL) != 0) {
        print_error("%s\n", servers.error);
        return -1;
    }
    return 0;
}

static int stop(void **state) {
    (void)state;
    /* Memcached takes a second to end by itself. */
    int failed = servers_kill(&servers, 0) | servers_kill(&servers, 1);
    servers_stop(&servers);
    json_decref(file);
    return failed;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_cases_embedded),
        cmocka_unit_test(all_cases_on_redis),
        cmocka_unit_test(all_cases_on_memcached),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
