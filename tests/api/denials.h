/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the shared filter ask of caches, whatever the server is: each cache stands for a process. */
#ifndef HEARTH_TESTS_API_DENIALS_H
#define HEARTH_TESTS_API_DENIALS_H

#include <hearth/hearth.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KEY_BYTES = 32 };

/* A process that shares its filter at those nodes, with an option more or NULL. A breaker's pauses are as long as the patience of
 * these tests with their server: it has none. */
hearth *open_process(const char *url, const char *view_ms, const char *option,
                     const char *value);

/* The keys there:0 to there:(count - 1). */
struct keys {
    uint64_t count;
    uint64_t given;
    char key[KEY_BYTES];
    void (*first)(void *arg); /* called before the first of them */
    void *arg;
};

/* Of hearth_guard_rebuild(); its argument is a struct keys. */
int32_t next_key(void *arg, const void **key, size_t *key_size);

/* A filter of the first so many. */
int32_t rebuild(hearth *cache, uint64_t count);
int32_t add(hearth *cache, const char *key);

/* Asks the guard, and no node. */
bool is_denied(hearth *cache, const char *key);
/* Of the keys prefix:0 to prefix:(count - 1). */
uint64_t count_denied(hearth *cache, const char *prefix, uint64_t count);

/* A key, and who is asked for it. */
struct question {
    hearth *cache;
    const char *key;
};

/* For await_until(): of a cache; of a question. */
bool denies(void *cache);
bool denies_nothing(void *cache);
bool does_not_pass(void *question);

/* Until something is denied; until nothing may be; until a key gets through while others do not. */
void await_denials(hearth *cache);
void await_none(hearth *cache);
void await_passes(hearth *cache, const char *key);

/* Eight threads of two caches add keys and bring them to their source, while a third cache rebuilds from that. A key that exists is
 * denied to nobody. */
void writers_are_never_denied(hearth *(*open)(void));

void close_all(hearth **caches, size_t count);

#endif
