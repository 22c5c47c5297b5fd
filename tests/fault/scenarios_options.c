/* SPDX-License-Identifier: Apache-2.0 */
/* Options, what is opened with them, and a new list of nodes: all of it or nothing. */
#include "fault/scenarios.h"
#include "fault/sweep.h"
#include "support/failing_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static hearth_options *options;
static char path[64];

static void judge_answer(struct trial *trial, int32_t status) {
    (void)trial;
    assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM);
}

static void some_options(struct trial *trial) {
    (void)trial;
    options = hearth_options_new();
    assert_non_null(options);
    assert_int_equal(hearth_options_set(options, "remote.prefix", "before:"), HEARTH_OK);
}

static const char *option(const char *name) {
    static char text[64];
    assert_int_equal(hearth_options_get(options, name, text, sizeof text, NULL), HEARTH_OK);
    return text;
}

/* A failure is told in words; the options are good for another call. */
static void end_options(int32_t status) {
    assert_int_equal(hearth_options_error(options)[0] != '\0', status != HEARTH_OK);
    assert_int_equal(hearth_options_set(options, "remote.prefix", "after:"), HEARTH_OK);
    assert_string_equal(option("remote.prefix"), "after:");
    hearth_options_free(options);
    options = NULL;
}

static int32_t options_new(struct trial *trial) {
    (void)trial;
    options = hearth_options_new();
    return options != NULL ? HEARTH_OK : HEARTH_E_NOMEM;
}

static void judge_new(struct trial *trial, int32_t status) {
    judge_answer(trial, status);
    hearth_options_free(options);
    options = NULL;
}

static int32_t set_text(struct trial *trial) {
    (void)trial;
    return hearth_options_set(options, "remote.prefix", "new:");
}

static void judge_set_text(struct trial *trial, int32_t status) {
    judge_answer(trial, status);
    assert_string_equal(option("remote.prefix"), status == HEARTH_OK ? "new:" : "before:");
    end_options(status);
}

static void options_file(struct trial *trial) {
    some_options(trial);
    (void)snprintf(path, sizeof path, "/tmp/hearth-XXXXXX");
    const int file = mkstemp(path);
    assert_true(file >= 0);
    static const char lines[] = "# a file\nlocal.max_bytes = 1mb\nremote.prefix = new:\n\n"
                                "remote.url = embedded://\nttl_ms = 5s\n";
    assert_int_equal(write(file, lines, sizeof lines - 1), sizeof lines - 1);
    assert_int_equal(close(file), 0);
}

static int32_t load(struct trial *trial) {
    (void)trial;
    return hearth_options_load(options, path);
}

static void judge_load(struct trial *trial, int32_t status) {
    judge_answer(trial, status);
    assert_int_equal(unlink(path), 0);
    assert_string_equal(option("remote.prefix"), status == HEARTH_OK ? "new:" : "before:");
    assert_int_equal(strcmp(option("local.max_bytes"), "1mb") == 0, status == HEARTH_OK);
    assert_int_equal(strcmp(option("ttl_ms"), "5000") == 0, status == HEARTH_OK);
    end_options(status);
}

/* Some parsed into many parts. */
static void options_of_a_list(struct trial *trial) {
    some_options(trial);
    assert_int_equal(
        hearth_options_set(options, "remote.url",
                           "redis://user:word@10.0.0.1,10.0.0.2:7000/2?weight=1,2"),
        HEARTH_OK);
}

static int32_t open_another(struct trial *trial) {
    return hearth_open(options, &trial->view);
}

static void judge_open(struct trial *trial, int32_t status) {
    judge_answer(trial, status);
    assert_int_equal(trial->view != NULL, status == HEARTH_OK);
    end_options(status);
}

static int32_t open_by_default(struct trial *trial) {
    return hearth_open(NULL, &trial->view);
}

static void judge_open_by_default(struct trial *trial, int32_t status) {
    judge_answer(trial, status);
    assert_int_equal(trial->view != NULL, status == HEARTH_OK);
}

static int32_t set_nodes(struct trial *trial) {
    char why[64] = "";
    return hearth_set_nodes(trial->cache, "embedded://", why, sizeof why);
}

/* Either list has the same node. */
static void judge_set_nodes(struct trial *trial, int32_t status) {
    judge_answer(trial, status);
    assert_string_equal(trial_in_remote(trial), "=old");
    assert_int_equal(set_nodes(trial), HEARTH_OK);
    assert_string_equal(trial_in_remote(trial), "=old");
}

/* ---- what takes no memory --------------------------------------------------------------- */

static int32_t set_number(struct trial *trial) {
    (void)trial;
    return hearth_options_set(options, "local.max_bytes", "1mb");
}

static int32_t set_wrong(struct trial *trial) {
    (void)trial;
    return hearth_options_set(options, "local.max_byte", "1mb") == HEARTH_E_INVALID &&
                   strstr(hearth_options_error(options), "local.max_bytes") != NULL &&
                   hearth_options_set(options, "remote.prefix", NULL) == HEARTH_E_INVALID
               ? HEARTH_E_INVALID
               : HEARTH_E_UNKNOWN;
}

static void judge_set_wrong(struct trial *trial, int32_t status) {
    (void)trial;
    assert_int_equal(status, HEARTH_E_INVALID);
    end_options(status);
}

static int32_t get(struct trial *trial) {
    char text[64];
    size_t needed = 0;
    (void)trial;
    return hearth_options_get(options, "remote.prefix", text, sizeof text, &needed);
}

static int32_t error(struct trial *trial) {
    (void)trial;
    return hearth_options_error(options)[0] == '\0' ? HEARTH_OK : HEARTH_E_UNKNOWN;
}

static int32_t describe(struct trial *trial) {
    hearth_option_info info = {.size = sizeof info};
    (void)trial;
    return hearth_options_describe(0, &info);
}

static void *make(const char *data, ptrdiff_t size) {
    (void)data;
    (void)size;
    return NULL;
}

static int32_t set_sink(struct trial *trial) {
    return hearth_options_set_sink(options, make, NULL, trial);
}

static void record(void *arg, const hearth_log_record *record) {
    (void)arg;
    (void)record;
}

static int32_t set_log(struct trial *trial) {
    return hearth_options_set_log(options, record, trial);
}

static void judge_ok(struct trial *trial, int32_t status) {
    (void)trial;
    assert_int_equal(status, HEARTH_OK);
    end_options(status);
}

static int32_t options_free(struct trial *trial) {
    (void)trial;
    hearth_options_free(options);
    options = NULL;
    return HEARTH_OK;
}

static void judge_free(struct trial *trial, int32_t status) {
    (void)trial;
    assert_int_equal(status, HEARTH_OK);
}

/* ---- all of them ---- */

static const struct scenario scenarios[] = {
    {"hearth_options_new", "", nothing, options_new, judge_new},
    {"hearth_options_set", "a text", some_options, set_text, judge_set_text},
    {"hearth_options_load", "", options_file, load, judge_load},
    {"hearth_open", "a list of nodes", options_of_a_list, open_another, judge_open},
    {"hearth_open", "by default", nothing, open_by_default, judge_open_by_default},
    {"hearth_set_nodes", "", old_value, set_nodes, judge_set_nodes},
};

const struct scenario_set scenarios_of_options = {
    .scenarios = scenarios,
    .count = sizeof scenarios / sizeof scenarios[0],
};

static const struct scenario without[] = {
    {"hearth_options_set", "a number", some_options, set_number, judge_ok},
    {"hearth_options_set", "what is wrong", some_options, set_wrong, judge_set_wrong},
    {"hearth_options_get", "", some_options, get, judge_ok},
    {"hearth_options_error", "", some_options, error, judge_ok},
    {"hearth_options_describe", "", some_options, describe, judge_ok},
    {"hearth_options_set_sink", "", some_options, set_sink, judge_ok},
    {"hearth_options_set_log", "", some_options, set_log, judge_ok},
    {"hearth_options_free", "", some_options, options_free, judge_free},
};

const struct scenario_set scenarios_of_options_without_memory = {
    .scenarios = without,
    .count = sizeof without / sizeof without[0],
    .takes_none = true,
};
