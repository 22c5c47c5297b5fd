/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of hearth_hot_keys() share: its answer, and looking things up in it. */
#ifndef HEARTH_TESTS_API_HOT_KEYS_H
#define HEARTH_TESTS_API_HOT_KEYS_H

#include <hearth/hearth.h>
#include <stddef.h>
#include <stdint.h>

struct hot {
    hearth_hot_key *keys;
    size_t count;
};

/* Asks for at most `most` keys; a failure is an answer without keys, and printed. */
void hot_ask(struct hot *hot, hearth *cache, size_t most);
void hot_free(struct hot *hot);

/* The place of a key in the answer, from 0; SIZE_MAX: it is not there. */
size_t hot_place(const struct hot *hot, const char *key);

/* Its requests a second; 0: it is not there. */
uint64_t hot_rate(const struct hot *hot, const char *key);

#endif
