/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Back-off: keys that are not to be renewed until some time, since that has just failed or just begun.
 *
 * A table of fixed size that forgets: a key whose place others need is renewed earlier than it should be, and of a million
 * keys one may wait for another's sake. Neither does harm, since both have a value meanwhile. One atomic word a key: nothing
 * is locked, nothing waits. State only, the clock is passed in. Any thread.
 */
#ifndef HEARTH_GUARD_BACKOFF_H
#define HEARTH_GUARD_BACKOFF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct hearth__backoff hearth__backoff;

/* The keys that it remembers at the most, in 32 KiB. */
enum { HEARTH__BACKOFF_KEYS = 4096 };

/* NULL: out of memory. `now_ms` on a clock that does not go back. */
hearth__backoff *hearth__backoff_create(int64_t now_ms) __attribute__((warn_unused_result));

/* Nobody may be inside. NULL is allowed. */
void hearth__backoff_destroy(hearth__backoff *backoff);

/* The key is not to be renewed before `until_ms`, or longer if that was said before. */
void hearth__backoff_hold(hearth__backoff *backoff, const void *key, size_t key_size,
                          int64_t until_ms);

/* The same, and it is remembered that a load of the key failed, until one succeeds or the place is needed. */
void hearth__backoff_fail(hearth__backoff *backoff, const void *key, size_t key_size,
                          int64_t until_ms);

/* Whether its last load failed, however long ago: the next one is a retry. */
bool hearth__backoff_has_failed(const hearth__backoff *backoff, const void *key,
                                size_t key_size);

/* A load of the key has succeeded. It may be held still. */
void hearth__backoff_succeed(hearth__backoff *backoff, const void *key, size_t key_size);

bool hearth__backoff_holds(const hearth__backoff *backoff, const void *key, size_t key_size,
                           int64_t now_ms);

#endif
