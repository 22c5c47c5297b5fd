/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever the bytes are: these return 0, or end the process because a promise was broken.
 * libFuzzer calls one of them in a program of its own (tests/fuzz/fuzz_NAME.c is fuzz_NAME());
 * test_corpus.c calls all of them with what was found so far. One thread.
 */
#ifndef HEARTH_TESTS_FUZZ_FUZZ_H
#define HEARTH_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int fuzz_bloom_file(const uint8_t *data, size_t size);
int fuzz_bus_message(const uint8_t *data, size_t size);
int fuzz_bus_parser(const uint8_t *data, size_t size);
int fuzz_envelope(const uint8_t *data, size_t size);
int fuzz_memcached_parser(const uint8_t *data, size_t size);
int fuzz_options_file(const uint8_t *data, size_t size);
int fuzz_push_parser(const uint8_t *data, size_t size);
int fuzz_redis_parser(const uint8_t *data, size_t size);
int fuzz_remote_url(const uint8_t *data, size_t size);
int fuzz_server_facts(const uint8_t *data, size_t size);
int fuzz_trace(const uint8_t *data, size_t size);

/*
 * What a parser makes of the bytes behind the first, in pieces of its size and one, and in one piece: its status and `sum` of
 * what it told are to be the same.
 */
int fuzz_in_pieces(const uint8_t *data, size_t size,
                   int32_t (*parse)(const uint8_t *data, size_t size, size_t piece,
                                    uint64_t *sum));

/* The path of a file without a name that holds these bytes, valid until the next call. */
const char *fuzz_file(const void *bytes, size_t size);

#endif
