/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the library promises, held against what happened. The database has a version of each key; a delete or a set that was
 * acknowledged ends all versions before its own. What goes wrong is said by schedule_fail().
 *
 *   no value that was never written, and none of another key
 *   no read staler than its bound: by then no acknowledged write had ended its version
 *   a process sees its own acknowledged writes, those that were queued for a node that is down included
 *   a bound is no more than the time for which a listener may be silent, or what a copy without one lives
 *   nothing outlives its hard life, by more than a load takes
 *   one load a key and process, but for those that a write detached; and where nothing goes wrong, one in the fleet
 *   who can load is answered
 *   the guard denies nothing that exists
 *
 * Excused is what no cache can know: a server that came back with older data than it acknowledged, and a set that is carried out
 * after its caller was told that nobody knows whether it will be.
 */
#ifndef TESTS_SIMULATION_PROMISES_H
#define TESTS_SIMULATION_PROMISES_H

#include "simulation/schedule.h"

enum { PROMISES_KEYS = 12, PROMISES_KEY_BYTES = 3, PROMISES_VALUE_BYTES = 24 };

struct promises_limits {
    int64_t bound_ms; /* of a local hit */
    int64_t life_ms;  /* of a value, and what a load takes */
    bool calm;        /* nothing goes wrong: one load in the fleet */
};

void promises_begin(const struct promises_limits *limits);
void promises_end(void);

/* "k07"; and back, PROMISES_KEYS: it is none. */
void promises_key(unsigned key, char text[PROMISES_KEY_BYTES + 1]);
unsigned promises_key_of(const void *text, size_t size);

/* ---- the database ----------------------------------------------------------------------- */

/* Version 0: it does not exist. */
uint64_t promises_version(unsigned key);
uint64_t promises_commit(unsigned key);

/* What stands for a version. Returns its size. */
size_t promises_value(unsigned key, uint64_t version, char text[PROMISES_VALUE_BYTES]);

/* ---- what happens ----------------------------------------------------------------------- */

/* A process begins to write, and has ended, whatever came of it: its load that runs is detached at either, at the end a moment
 * before its caller knows. */
void promises_write_begins(unsigned process, unsigned key);
void promises_write_ends(unsigned process, unsigned key);

/* The write of a version, which began then, was acknowledged to a process. `everywhere`: and carried out. */
void promises_written(unsigned process, unsigned key, uint64_t version, bool everywhere,
                      int64_t since_ns);

/* See servers.h. `server_of` says where keys are. */
void promises_voided(unsigned key);
void promises_late(unsigned key, const void *value, size_t size);
void promises_kept(unsigned server, const unsigned *server_of);
void promises_lost(unsigned server, const unsigned *server_of);

/* A load, from its beginning to its end, by number. `since_ns`: when the read began that leads it; its flight and its lease are younger. */
unsigned promises_load_begins(unsigned process, unsigned key, int64_t since_ns);
void promises_load_ends(unsigned load);

/* ---- reads ------------------------------------------------------------------------------ */

struct promises_read {
    unsigned process;
    unsigned key;
    int64_t began_ns;
    uint64_t own; /* the process's own writes: no older version is right */
    bool existed;
    int64_t boot_ahead_ms;
};

struct promises_read promises_read_begins(unsigned process, unsigned key);

/* LOCAL: a fresh local hit. A stale one, for want of any other answer, has whatever bound it says. */
enum promises_tier { PROMISES_LOCAL, PROMISES_ELSEWHERE, PROMISES_GUARD };

/* It was answered with these bytes (NULL: absent), which can differ from the node only by changes younger than `bound_ms` at
 * `at_ns`. */
void promises_judge(const struct promises_read *read, const void *value, size_t size,
                    enum promises_tier tier, int64_t bound_ms, int64_t at_ns);

#endif
