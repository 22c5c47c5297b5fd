/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Hearth's statuses: what every call answers.
 *
 * A status is an int32_t. Zero and above are answers, below zero are errors. The values are
 * pinned: they never change, and new ones are only added. A hit, a miss, a known absence and an
 * error are four different answers; a value of zero bytes is a hit like any other.
 */
#ifndef HEARTH_ERRORS_H
#define HEARTH_ERRORS_H

#include <stdint.h>

#include <hearth/export.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Every status as X(name, value, text): the one table that the enum, the names and the texts
 * are made from. */
#define HEARTH_STATUS_MAP(X)                                                           \
    X(OK, 0, "done, or the value was found")                                           \
    X(MISS, 1, "not cached")                                                           \
    X(ABSENT, 2, "known not to exist")                                                 \
    X(EXISTS, 3, "the key already holds a value, nothing was stored")                  \
    X(CONFLICT, 4, "the key holds another version, nothing was stored")                \
    X(E_INVALID, -1, "an argument or option is not valid")                             \
    X(E_NOMEM, -2, "out of memory")                                                    \
    X(E_TIMEOUT, -3, "the deadline passed")                                            \
    X(E_UNAVAILABLE, -4, "the node cannot be reached or refuses to serve")             \
    X(E_PROTOCOL, -5, "the node sent something that is not its protocol")              \
    X(E_TOO_LARGE, -6, "the key, value or number is larger than allowed")              \
    X(E_TYPE, -7, "the key holds something of another type")                           \
    X(E_LOADER, -8, "the loader failed")                                               \
    X(E_OVERLOAD, -9, "too much is under way already")                                 \
    X(E_DEADLOCK, -10, "the loader asked for a key that waits for this very load")     \
    X(E_UNKNOWN, -11, "the write was sent, its answer was lost: it may have happened") \
    X(E_QUEUED, -12, "kept for later: a delete for a node, or a word to the bus")      \
    X(E_CLOSED, -13, "the cache is being closed")                                      \
    X(E_UNSUPPORTED, -14, "this is not supported here")

enum hearth_status {
#define HEARTH_STATUS_ENUM(name, value, text) HEARTH_##name = (value),
    HEARTH_STATUS_MAP(HEARTH_STATUS_ENUM)
#undef HEARTH_STATUS_ENUM
};

/**
 * The name of a status as the programmer writes it: "HEARTH_MISS" for 1.
 *
 * Result: the name; "HEARTH_?" for a number that is no status of this version. Never NULL.
 * Ownership: the text belongs to the library and lives as long as the process; do not free it.
 * Threads: any, at any time; never blocks, never allocates.
 * Since: 0.1.0.
 */
HEARTH_API const char *hearth_status_name(int32_t status);

/**
 * What a status means, in a few English words without a full stop: "the deadline passed". The
 * words may change from version to version; programs compare numbers.
 *
 * Result: the words; "not a status of this version of Hearth" for any other number. Never NULL.
 * Ownership: the text belongs to the library and lives as long as the process; do not free it.
 * Threads: any, at any time; never blocks, never allocates.
 * Since: 0.1.0.
 */
HEARTH_API const char *hearth_strerror(int32_t status);

#ifdef __cplusplus
}
#endif

#endif
