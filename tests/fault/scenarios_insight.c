/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that look: peeks, statistics, hot keys, the log, nodes, values, versions; and a thread's first call with a cache. */
#include "fault/scenarios.h"
#include "fault/sweep.h"
#include "support/failing_memory.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void judge_answer(struct trial *trial, int32_t status) {
    (void)trial;
    assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM);
}

static void judge_ok(struct trial *trial, int32_t status) {
    (void)trial;
    assert_int_equal(status, HEARTH_OK);
}

/* ---- a thread that no cache knows ------------------------------------------------------- */

struct stranger {
    struct trial *trial;
    attempt act;
    int32_t status;
};

static void *act(void *arg) {
    struct stranger *stranger = arg;
    stranger->status = stranger->act(stranger->trial);
    return NULL;
}

/* What it takes for its thread goes with the thread. */
static int32_t by_a_stranger(struct trial *trial, attempt made) {
    struct stranger stranger = {.trial = trial, .act = made, .status = HEARTH_E_UNKNOWN};
    pthread_t thread;
    if (pthread_create(&thread, NULL, act, &stranger) != 0 || pthread_join(thread, NULL) != 0) {
        return HEARTH_E_UNKNOWN;
    }
    return stranger.status;
}

/* ---- peeks ------------------------------------------------------------------------------ */

static int32_t peek(struct trial *trial) {
    uint64_t version = 0;
    const int32_t status =
        hearth_peek_version(trial->cache, trial->key, strlen(trial->key), &version);
    return (version != 0) == (status == HEARTH_OK) ? status : HEARTH_E_UNKNOWN;
}

static int32_t peek_first(struct trial *trial) {
    return by_a_stranger(trial, peek);
}

enum { LARGE = 5000 /* more than what is read onto the stack */ };

static char large[LARGE];
static char no_value[] = "no value";

/* Of a value, whether it is the one that was stored. */
static void *compare(const char *data, ptrdiff_t size) {
    return size == LARGE && memcmp(data, large, LARGE) == 0 ? large : NULL;
}

static void open_with_sink(struct trial *trial) {
    hearth_options *options = hearth_options_new();
    assert_non_null(options);
    memset(large, 'v', sizeof large);
    assert_int_equal(hearth_options_set_sink(options, compare, NULL, no_value), HEARTH_OK);
    assert_int_equal(hearth_open(options, &trial->view), HEARTH_OK);
    hearth_options_free(options);
    assert_int_equal(
        hearth_set(trial->view, trial->key, strlen(trial->key), large, LARGE, NULL), HEARTH_OK);
}

static int32_t get_with(struct trial *trial) {
    const void *object = hearth_get_with(trial->view, trial->key, strlen(trial->key));
    return object == large ? HEARTH_OK : object == no_value ? HEARTH_MISS : HEARTH_E_UNKNOWN;
}

static int32_t get_with_first(struct trial *trial) {
    return by_a_stranger(trial, get_with);
}

static void judge_get_with(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_OK || status == HEARTH_MISS);
    assert_int_equal(get_with_first(trial), HEARTH_OK);
}

/* ---- an interpreter's own functions: a text is a string, a place the address of a cache ----- */

struct probe {
    char bytes[sizeof(uint64_t) + 512];
    ptrdiff_t size;
};

static void *place_of(void *self, const char *name) {
    (void)name;
    return self;
}

static const char *text_of(void *text, ptrdiff_t *size) {
    *size = (ptrdiff_t)strlen(text);
    return text;
}

static int bytes_of(void *object, char **data, ptrdiff_t *size) {
    struct probe *probe = object;
    *data = probe->bytes;
    *size = probe->size;
    return 0;
}

static void keep(void *object) {
    (void)object;
}

static char yes;
static char no;
static char texts;
static struct probe probe;

/* A row is an array; of three, as far as anybody asks. Everything is a text, and a table is its only entry. */
static void *class_of(void *object) {
    (void)object;
    return &texts;
}

static void *find(void *table, void *text) {
    (void)text;
    return table;
}

static ptrdiff_t count_of(void *row) {
    (void)row;
    return 3;
}

static void *item_of(void *row, ptrdiff_t at) {
    return ((void **)row)[at];
}

static void *call(void *callable, void *const *arguments, size_t count, void *names) {
    (void)arguments;
    (void)count;
    (void)names;
    return callable;
}

static int put(void *object, void *at, void *part) {
    (void)object;
    (void)at;
    (void)part;
    return 0;
}

static int32_t set_interpreter(struct trial *trial) {
    static const hearth_interpreter interpreter = {.size = sizeof interpreter,
                                                   .place_of = place_of,
                                                   .text_of = text_of,
                                                   .bytes_of = bytes_of,
                                                   .retain = keep,
                                                   .yes = &yes,
                                                   .no = &no,
                                                   .release = keep,
                                                   .class_of = class_of,
                                                   .text_class = &texts,
                                                   .find = find,
                                                   .count = count_of,
                                                   .item = item_of,
                                                   .call = call,
                                                   .put = put};
    (void)trial;
    return hearth_set_interpreter(&interpreter);
}

static void interpreted_with_sink(struct trial *trial) {
    assert_int_equal(set_interpreter(trial), HEARTH_OK);
    open_with_sink(trial);
}

static int32_t object_get(struct trial *trial) {
    char key[512];
    (void)snprintf(key, sizeof key, "%s", trial->key);
    const void *object = hearth_object_get((void *)&trial->view, key);
    return object == large ? HEARTH_OK : object == no_value ? HEARTH_MISS : HEARTH_E_UNKNOWN;
}

static int32_t object_get_first(struct trial *trial) {
    return by_a_stranger(trial, object_get);
}

static void probed(struct trial *trial) {
    uint64_t version = 0;
    assert_int_equal(set_interpreter(trial), HEARTH_OK);
    old_value(trial);
    assert_int_equal(
        hearth_peek_version(trial->cache, trial->key, strlen(trial->key), &version), HEARTH_OK);
    memcpy(probe.bytes, &version, sizeof version);
    memcpy(probe.bytes + sizeof version, trial->key, strlen(trial->key));
    probe.size = (ptrdiff_t)(sizeof version + strlen(trial->key));
}

static int32_t object_current(struct trial *trial) {
    void *const probes[] = {&probe};
    const void *answer = hearth_object_current((void *)&trial->cache, probes, 1);
    return answer == &yes ? HEARTH_OK : HEARTH_E_UNKNOWN;
}

static int32_t object_find(struct trial *trial) {
    void *entry[] = {&probe, &probe, &yes};
    void *self[] = {(void *)&trial->cache, entry, &no};
    void *const arguments[] = {trial};
    const void *answer = hearth_object_find(self, arguments, 1, NULL);
    return answer == &yes ? HEARTH_OK : HEARTH_E_UNKNOWN;
}

static int32_t object_find_first(struct trial *trial) {
    return by_a_stranger(trial, object_find);
}

static int32_t object_current_first(struct trial *trial) {
    return by_a_stranger(trial, object_current);
}

static int32_t evict(struct trial *trial) {
    return hearth_evict_local(trial->cache, trial->key, strlen(trial->key));
}

static int32_t evict_first(struct trial *trial) {
    return by_a_stranger(trial, evict);
}

static void judge_evict(struct trial *trial, int32_t status) {
    assert_int_equal(status, HEARTH_OK);
    assert_string_equal(trial_in_local(trial), "MISS");
    assert_string_equal(trial_in_remote(trial), "=old");
}

/* ---- what goes on ----------------------------------------------------------------------- */

enum { HOT = 4, REQUESTS = 4000 };

static void hot_value(struct trial *trial) {
    old_value(trial);
    for (unsigned i = 0; i < REQUESTS; i++) {
        assert_int_equal(peek(trial), HEARTH_OK);
    }
}

/* On an error nothing is written. */
static int32_t hot_keys(struct trial *trial) {
    hearth_hot_key keys[HOT] = {{.size = sizeof keys[0]}};
    size_t count = 99;
    const int32_t status = hearth_hot_keys(trial->cache, keys, HOT, &count);
    const bool right = status == HEARTH_OK ? count == 1 && memcmp(keys[0].key, trial->key,
                                                                  (size_t)keys[0].key_size) == 0
                                           : count == 99 && keys[0].requests_per_s == 0;
    return right ? status : HEARTH_E_UNKNOWN;
}

static void judge_hot_keys(struct trial *trial, int32_t status) {
    judge_answer(trial, status);
    assert_int_equal(hot_keys(trial), HEARTH_OK);
}

static int32_t stats_get(struct trial *trial) {
    hearth_stats stats = {.size = sizeof stats};
    return hearth_stats_get(trial->cache, &stats);
}

static int32_t stats_get_first(struct trial *trial) {
    return by_a_stranger(trial, stats_get);
}

static int32_t stats_text(struct trial *trial) {
    static char text[65536];
    size_t needed = 0;
    const int32_t status = hearth_stats_text(trial->cache, text, sizeof text, &needed);
    return strlen(text) + 1 == needed ? status : HEARTH_E_UNKNOWN;
}

static void told(struct trial *trial) {
    old_value(trial);
    assert_int_equal(hearth_guard_save(trial->cache, "nowhere"), HEARTH_E_UNSUPPORTED);
}

static int32_t log_next(struct trial *trial) {
    hearth_log_record record = {.size = sizeof record};
    return hearth_log_next(trial->cache, &record);
}

static void judge_log(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_OK || status == HEARTH_MISS);
    assert_int_equal(log_next(trial), HEARTH_MISS);
}

static int32_t node_of(struct trial *trial) {
    uint32_t index = 99;
    char name[64];
    const int32_t status =
        hearth_node_of(trial->cache, trial->key, strlen(trial->key), &index, name, sizeof name);
    return (index != 99) == (status == HEARTH_OK) ? status : HEARTH_E_UNKNOWN;
}

/* ---- values and words ------------------------------------------------------------------- */

static int32_t value_new(struct trial *trial) {
    hearth_value *value = hearth_value_new();
    (void)trial;
    const int32_t status = value != NULL ? HEARTH_OK : HEARTH_E_NOMEM;
    hearth_value_free(value);
    return status;
}

static void read_value(struct trial *trial) {
    old_value(trial);
    assert_int_equal(
        hearth_get(trial->cache, trial->key, strlen(trial->key), NULL, trial->value),
        HEARTH_OK);
}

static int32_t value_data(struct trial *trial) {
    return hearth_value_data(trial->value) != NULL ? HEARTH_OK : HEARTH_E_UNKNOWN;
}

static int32_t value_size(struct trial *trial) {
    return hearth_value_size(trial->value) == 3 ? HEARTH_OK : HEARTH_E_UNKNOWN;
}

static int32_t value_info(struct trial *trial) {
    hearth_info info = {.size = sizeof info};
    return hearth_value_info(trial->value, &info);
}

static int32_t value_free(struct trial *trial) {
    hearth_value_free(trial->value);
    trial->value = NULL;
    return HEARTH_OK;
}

static int32_t read_init(struct trial *trial) {
    hearth_read_options read;
    (void)trial;
    hearth_read_options_init(&read, sizeof read);
    return read.size == sizeof read ? HEARTH_OK : HEARTH_E_UNKNOWN;
}

static int32_t write_init(struct trial *trial) {
    hearth_write_options write;
    (void)trial;
    hearth_write_options_init(&write, sizeof write);
    return write.size == sizeof write ? HEARTH_OK : HEARTH_E_UNKNOWN;
}

static int32_t operation_init(struct trial *trial) {
    hearth_operation made;
    (void)trial;
    hearth_operation_init(&made, sizeof made);
    return made.size == sizeof made ? HEARTH_OK : HEARTH_E_UNKNOWN;
}

static int32_t status_name(struct trial *trial) {
    (void)trial;
    return strcmp(hearth_status_name(HEARTH_E_NOMEM), "HEARTH_E_NOMEM") == 0 ? HEARTH_OK
                                                                             : HEARTH_E_UNKNOWN;
}

static int32_t words(struct trial *trial) {
    (void)trial;
    return hearth_strerror(HEARTH_E_NOMEM)[0] != '\0' ? HEARTH_OK : HEARTH_E_UNKNOWN;
}

static int32_t version(struct trial *trial) {
    (void)trial;
    return hearth_version()[0] != '\0' ? HEARTH_OK : HEARTH_E_UNKNOWN;
}

static int32_t abi_version(struct trial *trial) {
    (void)trial;
    return hearth_abi_version() == HEARTH_ABI_VERSION ? HEARTH_OK : HEARTH_E_UNKNOWN;
}

static int32_t close_cache(struct trial *trial) {
    const int32_t status = hearth_close(trial->cache);
    trial->cache = NULL;
    return status;
}

/* ---- all of them ---- */

static const struct scenario scenarios[] = {
    {"hearth_peek_version", "a thread's first call", old_value, peek_first, judge_ok},
    {"hearth_object_current", "a thread's first call", probed, object_current_first, judge_ok},
    {"hearth_object_find", "a thread's first call", probed, object_find_first, judge_ok},
    {"hearth_object_get", "", interpreted_with_sink, object_get_first, judge_get_with},
    {"hearth_get_with", "", open_with_sink, get_with_first, judge_get_with},
    {"hearth_evict_local", "a thread's first call", old_value, evict_first, judge_evict},
    {"hearth_stats_get", "a thread's first call", old_value, stats_get_first, judge_ok},
    {"hearth_hot_keys", "", hot_value, hot_keys, judge_hot_keys},
    {"hearth_node_of", "a long key", old_value, node_of, judge_answer},
    {"hearth_value_new", "", nothing, value_new, judge_answer},
};

const struct scenario_set scenarios_of_insight = {
    .scenarios = scenarios,
    .count = sizeof scenarios / sizeof scenarios[0],
};

static const struct scenario without[] = {
    {"hearth_peek_version", "", old_value, peek, judge_ok},
    {"hearth_set_interpreter", "", nothing, set_interpreter, judge_ok},
    {"hearth_object_current", "", probed, object_current, judge_ok},
    {"hearth_object_find", "", probed, object_find, judge_ok},
    {"hearth_evict_local", "", old_value, evict, judge_evict},
    {"hearth_stats_get", "", old_value, stats_get, judge_ok},
    {"hearth_stats_text", "", old_value, stats_text, judge_ok},
    {"hearth_log_next", "", told, log_next, judge_log},
    {"hearth_value_data", "", read_value, value_data, judge_ok},
    {"hearth_value_size", "", read_value, value_size, judge_ok},
    {"hearth_value_info", "", read_value, value_info, judge_ok},
    {"hearth_value_free", "", read_value, value_free, judge_ok},
    {"hearth_read_options_init", "", nothing, read_init, judge_ok},
    {"hearth_write_options_init", "", nothing, write_init, judge_ok},
    {"hearth_operation_init", "", nothing, operation_init, judge_ok},
    {"hearth_status_name", "", nothing, status_name, judge_ok},
    {"hearth_strerror", "", nothing, words, judge_ok},
    {"hearth_version", "", nothing, version, judge_ok},
    {"hearth_abi_version", "", nothing, abi_version, judge_ok},
    {"hearth_close", "", old_value, close_cache, judge_ok},
};

const struct scenario_set scenarios_of_insight_without_memory = {
    .scenarios = without,
    .count = sizeof without / sizeof without[0],
    .takes_none = true,
};
