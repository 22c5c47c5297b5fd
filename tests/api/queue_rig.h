/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of queues share: a cache, a queue of it, and a value to read into; one test has them at a time. */
#ifndef HEARTH_TESTS_API_QUEUE_RIG_H
#define HEARTH_TESTS_API_QUEUE_RIG_H

#include "api/source.h"
#include "support/failing_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

enum { QUEUE_SECONDS_MS = 30000 };

extern hearth *cache;
extern hearth_queue *queue;
extern hearth_value *value;

/* With options as those of cache_open(). 0, or -1. */
int queue_open_with(const char *const *settings);

/* Of a test: with the default options; with one thread that loads; and the end, which fails if memory is left. */
int queue_open(void **state);
int queue_open_with_one_load(void **state);
int queue_close(void **state);

/* An operation with a text for its key; a read has `value`. */
hearth_operation operation(uint32_t verb, const char *key);
hearth_operation storing(uint32_t verb, const char *key, const char *text);

/* A fetch, without a value, whose loader is that of the source. */
hearth_operation slow_fetch(const char *key, struct source *source, hearth_loader *loader);

/* Asserts that it is taken. The ticket; 0: it was a local hit. */
uint64_t submit(const hearth_operation *made);

/* A fetch whose load has begun, and waits for source->go. */
uint64_t submit_running(struct source *source, hearth_loader *loader);

uint64_t submit_set(const char *key, const char *text);

/* A value with one tag, whose bytes, array and options are others when the call is back: who looks there again sees a wrong tag, and
 * does not crash on a thread of the library's. */
uint64_t submit_tagged(const char *key, const char *tag);

hearth_result collect_one(void);
void expect_nothing(void);

/* Submits what is no local hit, and collects it. */
int32_t status_of(const hearth_operation *made);

bool is_readable(int fd, int timeout_ms);

#endif
