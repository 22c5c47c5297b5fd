/* SPDX-License-Identifier: Apache-2.0 */
/* Queues: an operation is refused whole, or ends once, with HEARTH_E_NOMEM or the right answer. */
#include "fault/scenarios.h"
#include "fault/sweep.h"
#include "support/failing_memory.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { PATIENCE_MS = 30000, MANY = 8 };

/* ---- what is submitted ---- */

static bool stores(uint32_t verb) {
    return verb == HEARTH_VERB_SET || verb == HEARTH_VERB_ADD || verb == HEARTH_VERB_REPLACE;
}

static hearth_operation operation(struct trial *trial, uint32_t verb) {
    hearth_operation made;
    hearth_operation_init(&made, sizeof made);
    made.verb = verb;
    made.key = trial->key;
    made.key_size = strlen(trial->key);
    made.value = verb == HEARTH_VERB_GET || verb == HEARTH_VERB_FETCH ? trial->value : NULL;
    made.data = "new";
    made.data_size = stores(verb) ? 3 : 0;
    made.delta = 5;
    made.tag = trial;
    return made;
}

/* Its result comes whatever memory there is; only who collects may be told that there is none. */
static int32_t result_of(struct trial *trial, uint64_t ticket) {
    hearth_result result = {.size = sizeof result};
    size_t count = 0;
    int32_t status = hearth_collect(trial->queue, &result, 1, PATIENCE_MS, &count);
    if (status == HEARTH_E_NOMEM) {
        trial->failed = failing_memory_failures() != 0;
        failing_memory_pass();
        status = hearth_collect(trial->queue, &result, 1, PATIENCE_MS, &count);
    }
    const bool right =
        status == HEARTH_OK && count == 1 && result.ticket == ticket && result.tag == trial;
    const int32_t answer = result.status;
    trial->number = result.number;
    return right && hearth_collect(trial->queue, &result, 1, 0, &count) == HEARTH_MISS
               ? answer
               : HEARTH_E_UNKNOWN;
}

static int32_t carry_out(struct trial *trial, const hearth_operation *made) {
    uint64_t ticket = 99;
    const int32_t status = hearth_submit(trial->queue, made, &ticket);
    if (status != HEARTH_OK) {
        return ticket == 0 ? status : HEARTH_E_UNKNOWN;
    }
    return ticket == 0 ? HEARTH_OK : result_of(trial, ticket);
}

static void queue_before(struct trial *trial) {
    assert_int_equal(hearth_queue_open(trial->cache, &trial->queue), HEARTH_OK);
}

static void queue_and_old_value(struct trial *trial) {
    queue_before(trial);
    old_value(trial);
}

static void queue_and_remote_value(struct trial *trial) {
    queue_before(trial);
    old_value_remotely(trial);
}

/* ---- one key ---- */

static int32_t get(struct trial *trial) {
    const hearth_operation made = operation(trial, HEARTH_VERB_GET);
    return carry_out(trial, &made);
}

static void judge_get(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM);
    assert_string_equal(trial_text(trial), status == HEARTH_OK ? "old" : "");
    assert_string_equal(trial_in_remote(trial), "=old");
}

static int32_t set_tagged(struct trial *trial) {
    static const void *const tags[] = {"tag", "another"};
    static const size_t sizes[] = {3, 7};
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    write.tags = tags;
    write.tag_sizes = sizes;
    write.tag_count = 2;
    hearth_operation made = operation(trial, HEARTH_VERB_SET);
    made.write = &write;
    return carry_out(trial, &made);
}

static int32_t set(struct trial *trial) {
    const hearth_operation made = operation(trial, HEARTH_VERB_SET);
    return carry_out(trial, &made);
}

static void judge_set(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM);
    assert_true(
        is_one_of(trial_in_local(trial), status == HEARTH_OK ? "=new" : "=old", "MISS"));
    if (status == HEARTH_OK) {
        assert_string_equal(trial_in_remote(trial), "=new");
    } else {
        assert_true(is_one_of(trial_in_remote(trial), "=old", "MISS"));
    }
}

/* What was stored with tags goes with either of them. */
static void judge_set_tagged(struct trial *trial, int32_t status) {
    judge_set(trial, status);
    assert_int_equal(hearth_invalidate_tag(trial->cache, "another", 7, NULL), HEARTH_OK);
    assert_string_not_equal(trial_in_remote(trial), "=new");
}

static int32_t delete (struct trial *trial) {
    const hearth_operation made = operation(trial, HEARTH_VERB_DELETE);
    return carry_out(trial, &made);
}

static void judge_delete(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM);
    assert_string_equal(trial_in_remote(trial), status == HEARTH_OK ? "MISS" : "=old");
    assert_true(is_one_of(trial_in_local(trial), trial_in_remote(trial), "MISS"));
}

static int32_t add(struct trial *trial) {
    const hearth_operation made = operation(trial, HEARTH_VERB_ADD);
    return carry_out(trial, &made);
}

static int32_t replace(struct trial *trial) {
    const hearth_operation made = operation(trial, HEARTH_VERB_REPLACE);
    return carry_out(trial, &made);
}

static int32_t touch(struct trial *trial) {
    const hearth_operation made = operation(trial, HEARTH_VERB_TOUCH);
    return carry_out(trial, &made);
}

static void judge_touch(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM);
    assert_true(
        is_one_of(trial_in_local(trial), status == HEARTH_OK ? "MISS" : "=old", "MISS"));
    assert_string_equal(trial_in_remote(trial), "=old");
}

static int32_t mark_stale(struct trial *trial) {
    const hearth_operation made = operation(trial, HEARTH_VERB_MARK_STALE);
    return carry_out(trial, &made);
}

static void judge_mark(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM);
    if (status == HEARTH_OK) {
        assert_string_equal(trial_in_local(trial), "MISS"); /* that is fresh */
        assert_string_equal(trial_in_remote(trial), "MISS");
    } else {
        assert_true(is_one_of(trial_in_remote(trial), "=old", "MISS"));
    }
}

static void queue_and_number(struct trial *trial) {
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    write.flags = HEARTH_WRITE_INTEGER;
    queue_before(trial);
    assert_int_equal(hearth_set(trial->cache, trial->key, strlen(trial->key), "37", 2, &write),
                     HEARTH_OK);
}

static int32_t increment(struct trial *trial) {
    const hearth_operation made = operation(trial, HEARTH_VERB_INCREMENT);
    return carry_out(trial, &made);
}

static void judge_increment(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM);
    assert_int_equal(trial->number, status == HEARTH_OK ? 42 : 0);
    if (status == HEARTH_OK) {
        assert_string_equal(trial_in_remote(trial), "=42");
    } else {
        assert_true(is_one_of(trial_in_remote(trial), "=37", "MISS"));
    }
}

static void queue_and_tagged_value(struct trial *trial) {
    queue_before(trial);
    assert_int_equal(set_tagged(trial), HEARTH_OK);
}

static int32_t invalidate_tag(struct trial *trial) {
    hearth_operation made = operation(trial, HEARTH_VERB_INVALIDATE_TAG);
    made.key = "another";
    made.key_size = 7;
    return carry_out(trial, &made);
}

/* It may have happened, whatever was told. */
static void judge_invalidation(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM);
    assert_string_equal(trial_in_local(trial), "MISS");
    assert_true(
        is_one_of(trial_in_remote(trial), "MISS", status == HEARTH_OK ? "MISS" : "=new"));
}

static int32_t fetch(struct trial *trial) {
    const hearth_loader loader = source_loader(&trial->source);
    hearth_operation made = operation(trial, HEARTH_VERB_FETCH);
    made.loader = &loader;
    return carry_out(trial, &made);
}

static void judge_fetch(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM);
    assert_string_equal(trial_text(trial), status == HEARTH_OK ? "new" : "");
    assert_true(is_one_of(trial_in_local(trial), "=new", "MISS"));
    assert_true(is_one_of(trial_in_remote(trial), "=new", "MISS"));
}

/* ---- many keys ---- */

struct many {
    char names[MANY][8];
    const void *keys[MANY];
    size_t sizes[MANY];
    const void *datas[MANY];
    hearth_value *values[MANY];
    int32_t statuses[MANY];
};

static int32_t load_name(void *arg, const void *key, size_t key_size, hearth_fill *fill) {
    (void)arg;
    return hearth_fill_value(fill, key, key_size);
}

static void name_many(struct many *many) {
    for (size_t i = 0; i < MANY; i++) {
        many->sizes[i] = (size_t)snprintf(many->names[i], sizeof many->names[i], "key%zu", i);
        many->keys[i] = many->names[i];
        many->datas[i] = many->names[i];
        many->values[i] = hearth_value_new();
        many->statuses[i] = HEARTH_E_NOMEM; /* all of them, if the whole is refused */
    }
}

/* Each status says what its value, or the remote tier, holds. */
static bool is_right(struct trial *trial, const struct many *many, uint32_t verb, size_t i) {
    char stored[16];
    (void)snprintf(stored, sizeof stored, "=%s", many->names[i]);
    const int32_t status = many->statuses[i];
    const char *found = cache_get(trial->cache, many->names[i], HEARTH_READ_NO_LOCAL);
    if (status != HEARTH_E_NOMEM && status != HEARTH_OK) {
        return false;
    }
    if (verb == HEARTH_VERB_SET || verb == HEARTH_VERB_DELETE) {
        const char *wanted = verb == HEARTH_VERB_SET ? stored : "MISS";
        return status == HEARTH_OK ? strcmp(found, wanted) == 0
                                   : is_one_of(found, stored, "MISS");
    }
    return many->values[i] == NULL ||
           (hearth_value_size(many->values[i]) == (status == HEARTH_OK ? many->sizes[i] : 0) &&
            memcmp(hearth_value_data(many->values[i]), many->names[i],
                   hearth_value_size(many->values[i])) == 0);
}

static int32_t carry_out_many(struct trial *trial, uint32_t verb) {
    const hearth_loader loader = {.size = sizeof loader, .load = load_name};
    const bool reads = verb == HEARTH_VERB_GET || verb == HEARTH_VERB_FETCH;
    struct many many;
    hearth_operation made = operation(trial, verb);
    name_many(&many);
    made.count = MANY;
    made.keys = many.keys;
    made.key_sizes = many.sizes;
    made.datas = verb == HEARTH_VERB_SET ? many.datas : NULL;
    made.data_sizes = verb == HEARTH_VERB_SET ? many.sizes : NULL;
    made.values = reads ? many.values : NULL;
    made.statuses = many.statuses;
    made.loader = verb == HEARTH_VERB_FETCH ? &loader : NULL;
    const int32_t status = carry_out(trial, &made);
    trial->failed = trial->failed || failing_memory_failures() != 0;
    failing_memory_pass(); /* what follows only looks */
    bool right = true;
    int32_t first = HEARTH_OK;
    for (size_t i = 0; i < MANY; i++) {
        first = first == HEARTH_OK ? many.statuses[i] : first;
        right = right && is_right(trial, &many, verb, i);
        hearth_value_free(many.values[i]);
    }
    return right && status == first ? status : HEARTH_E_UNKNOWN;
}

static void queue_and_many(struct trial *trial) {
    struct many many;
    queue_before(trial);
    name_many(&many);
    for (size_t i = 0; i < MANY; i++) {
        hearth_value_free(many.values[i]);
        assert_int_equal(cache_set(trial->cache, many.names[i], many.names[i]), HEARTH_OK);
        if (i % 2 == 0) {
            assert_int_equal(hearth_evict_local(trial->cache, many.keys[i], many.sizes[i]),
                             HEARTH_OK);
        }
    }
}

static int32_t get_many(struct trial *trial) {
    return carry_out_many(trial, HEARTH_VERB_GET);
}

static int32_t set_many(struct trial *trial) {
    return carry_out_many(trial, HEARTH_VERB_SET);
}

static int32_t delete_many(struct trial *trial) {
    return carry_out_many(trial, HEARTH_VERB_DELETE);
}

static int32_t fetch_many(struct trial *trial) {
    return carry_out_many(trial, HEARTH_VERB_FETCH);
}

static void judge_answer(struct trial *trial, int32_t status) {
    (void)trial;
    assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM);
}

/* ---- a queue's own calls ---- */

static int32_t open_queue(struct trial *trial) {
    return hearth_queue_open(trial->cache, &trial->queue);
}

static void judge_open(struct trial *trial, int32_t status) {
    judge_answer(trial, status);
    assert_int_equal(trial->queue != NULL, status == HEARTH_OK);
}

static int32_t event_fd(struct trial *trial) {
    int fd = -1;
    const int32_t status = hearth_event_fd(trial->queue, &fd);
    return (fd >= 0) == (status == HEARTH_OK) ? status : HEARTH_E_UNKNOWN;
}

/* It is readable when a result is there. */
static void judge_event_fd(struct trial *trial, int32_t status) {
    int fd = -1;
    uint64_t ticket = 0;
    const hearth_operation made = operation(trial, HEARTH_VERB_SET);
    judge_answer(trial, status);
    assert_int_equal(hearth_event_fd(trial->queue, &fd), HEARTH_OK);
    assert_int_equal(hearth_submit(trial->queue, &made, &ticket), HEARTH_OK);
    assert_int_equal(poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, PATIENCE_MS), 1);
    assert_int_equal(result_of(trial, ticket), HEARTH_OK);
}

/* Taken back, it does nothing; too late, its result comes. */
static int32_t cancel(struct trial *trial) {
    const hearth_operation made = operation(trial, HEARTH_VERB_SET);
    uint64_t ticket = 0;
    int32_t status = hearth_submit(trial->queue, &made, &ticket);
    if (status != HEARTH_OK) {
        return status;
    }
    status = hearth_cancel(trial->queue, ticket);
    return status == HEARTH_MISS ? result_of(trial, ticket) : HEARTH_E_CLOSED;
}

static void judge_cancel(struct trial *trial, int32_t status) {
    if (status == HEARTH_E_CLOSED) { /* taken back */
        assert_string_equal(trial_in_remote(trial), "=old");
    } else {
        judge_set(trial, status);
    }
}

struct told {
    uint64_t tickets;
    bool right;
};

static void tell(void *arg, const hearth_result *result) {
    struct told *told = arg;
    told->tickets += result->ticket;
    told->right =
        told->right && (result->status == HEARTH_OK || result->status == HEARTH_E_NOMEM ||
                        result->status == HEARTH_E_CLOSED);
}

/* Every ticket that was given is told of once. */
static int32_t close_queue(struct trial *trial) {
    static const uint32_t verbs[] = {HEARTH_VERB_SET, HEARTH_VERB_DELETE, HEARTH_VERB_SET};
    struct told told = {.right = true};
    uint64_t tickets = 0;
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        const hearth_operation made = operation(trial, verbs[i]);
        uint64_t ticket = 0;
        if (hearth_submit(trial->queue, &made, &ticket) == HEARTH_OK) {
            tickets += ticket;
        }
    }
    const int32_t status = hearth_queue_close(trial->queue, tell, &told);
    trial->queue = status == HEARTH_OK ? NULL : trial->queue;
    return told.right && told.tickets == tickets ? status : HEARTH_E_UNKNOWN;
}

/* It needs no memory. */
static void judge_close(struct trial *trial, int32_t status) {
    assert_int_equal(status, HEARTH_OK);
    assert_true(is_one_of(trial_in_remote(trial), "MISS", "=old") ||
                strcmp(trial_in_remote(trial), "=new") == 0);
}

/* The cache goes first: what waits ends, and is there to be collected. */
static int32_t close_cache(struct trial *trial) {
    const hearth_operation made = operation(trial, HEARTH_VERB_SET);
    uint64_t ticket = 0;
    struct told told = {.right = true};
    int32_t status = hearth_submit(trial->queue, &made, &ticket);
    if (status != HEARTH_OK && status != HEARTH_E_NOMEM) {
        return status;
    }
    status = hearth_close(trial->cache);
    trial->cache = status == HEARTH_OK ? NULL : trial->cache;
    if (status == HEARTH_OK) {
        status = hearth_queue_close(trial->queue, tell, &told);
        trial->queue = NULL;
    }
    return told.right && told.tickets == ticket ? status : HEARTH_E_UNKNOWN;
}

static void judge_close_cache(struct trial *trial, int32_t status) {
    (void)trial;
    assert_int_equal(status, HEARTH_OK);
}

/* ---- all of them ---- */

static const struct scenario scenarios[] = {
    {"hearth_queue_open", "", nothing, open_queue, judge_open},
    {"hearth_submit", "get, local", queue_and_old_value, get, judge_get},
    {"hearth_submit", "get, remote", queue_and_remote_value, get, judge_get},
    {"hearth_submit", "set", queue_and_old_value, set, judge_set},
    {"hearth_submit", "set, tagged", queue_and_old_value, set_tagged, judge_set_tagged},
    {"hearth_submit", "delete", queue_and_old_value, delete, judge_delete},
    {"hearth_submit", "add", queue_before, add, judge_set},
    {"hearth_submit", "replace", queue_and_old_value, replace, judge_set},
    {"hearth_submit", "touch", queue_and_old_value, touch, judge_touch},
    {"hearth_submit", "increment", queue_and_number, increment, judge_increment},
    {"hearth_submit", "mark stale", queue_and_old_value, mark_stale, judge_mark},
    {"hearth_submit", "invalidate tag", queue_and_tagged_value, invalidate_tag,
     judge_invalidation},
    {"hearth_submit", "fetch", queue_before, fetch, judge_fetch},
    {"hearth_submit", "get, many", queue_and_many, get_many, judge_answer},
    {"hearth_submit", "set, many", queue_and_many, set_many, judge_answer},
    {"hearth_submit", "delete, many", queue_and_many, delete_many, judge_answer},
    {"hearth_submit", "fetch, many", queue_before, fetch_many, judge_answer},
    {"hearth_collect", "", queue_and_remote_value, get, judge_get},
    {"hearth_cancel", "", queue_and_old_value, cancel, judge_cancel},
    {"hearth_queue_close", "", queue_and_old_value, close_queue, judge_close},
    {"hearth_close", "before a queue", queue_and_old_value, close_cache, judge_close_cache},
};

const struct scenario_set scenarios_of_queues = {
    .scenarios = scenarios,
    .count = sizeof scenarios / sizeof scenarios[0],
};

static const struct scenario without[] = {
    {"hearth_event_fd", "", queue_and_old_value, event_fd, judge_event_fd},
};

const struct scenario_set scenarios_of_queues_without_memory = {
    .scenarios = without,
    .count = sizeof without / sizeof without[0],
    .takes_none = true,
};
