/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Single flight: of all the threads of this process that miss a key, one leads and loads, the others wait for its result.
 *
 *   leader:    join -> (loads) -> store_begin -> (fills the tiers) -> store_end -> land
 *   follower:  join -> await -> leave
 *   of many:   join_many for each -> load and land what is led -> await and leave the others
 *   writer:    detach: who comes later starts anew, and what the leader still loads is stored nowhere
 *
 * A leader runs under no lock. A forked child has none of its parent's other threads: what they led is not waited for there. A thread that would wait for itself, through any chain of flights, is told so instead.
 */
#ifndef HEARTH_GUARD_FLIGHT_H
#define HEARTH_GUARD_FLIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct hearth__flights hearth__flights;
typedef struct hearth__flight hearth__flight;
struct hearth__lease;

/* Frees a result that was given to hearth__flight_land(). */
typedef void (*hearth__flight_release)(void *result);

/* NULL: out of memory. `release` frees results once nobody needs them. */
hearth__flights *hearth__flights_create(hearth__flight_release release)
    __attribute__((warn_unused_result));

/* No flight may be under way. NULL is allowed. */
void hearth__flights_destroy(hearth__flights *flights);

/* How many are under way. Any thread. */
uint64_t hearth__flights_count(hearth__flights *flights);

/*
 * Takes part in the flight for a key. HEARTH_OK: *flight, and *leads says in which role; a leader must land, a follower must
 * leave. HEARTH_E_DEADLOCK: the flight's leader waits for this thread; HEARTH_E_TIMEOUT: a detached
 * flight was still filling the tiers at the deadline; HEARTH_E_NOMEM.
 */
int32_t hearth__flight_join(hearth__flights *flights, const void *key, size_t key_size,
                            int64_t deadline_ns, hearth__flight **flight, bool *leads);

/*
 * As join, for who takes part in several flights: a follower waits from its await on, not before, so that the flights it
 * leads meanwhile wait for nobody. Await, not this, answers HEARTH_E_DEADLOCK then.
 */
int32_t hearth__flight_join_many(hearth__flights *flights, const void *key, size_t key_size,
                                 int64_t deadline_ns, hearth__flight **flight, bool *leads);

/* As join, but only to lead: HEARTH_EXISTS when somebody leads already, and the caller has something better to do. */
int32_t hearth__flight_try_lead(hearth__flights *flights, const void *key, size_t key_size,
                                hearth__flight **flight);

/*
 * The leader is about to fill the tiers. False: a writer detached the flight, nothing may be stored. True: writers of the
 * key wait until store_end.
 */
bool hearth__flight_store_begin(hearth__flight *flight);
void hearth__flight_store_end(hearth__flight *flight);

/* What the leader carries along, for whoever leads: the key's lease, or NULL. Nobody else looks at it; it is gone before the
 * flight lands. */
void hearth__flight_carry(hearth__flight *flight, struct hearth__lease *lease);
struct hearth__lease *hearth__flight_lease(const hearth__flight *flight);

/*
 * The lead goes from the thread that joined to no thread, and from there to the one that takes it over. `follows`: the caller
 * then follows.
 */
void hearth__flight_hand_over(hearth__flight *flight, bool follows);
void hearth__flight_take_over(hearth__flight *flight);

/*
 * The leader's end, on the thread that leads, or on any if none does: status and result (may be NULL; owned by the flight from here) for all who wait. Land may free
 * the result: a leader that needs it copies it first.
 */
void hearth__flight_land(hearth__flight *flight, int32_t status, void *result);

/* A follower waits: the leader's status and result (valid until leave), HEARTH_E_TIMEOUT, or HEARTH_E_DEADLOCK (see
 * join_many). */
int32_t hearth__flight_await(hearth__flight *flight, int64_t deadline_ns, const void **result);
void hearth__flight_leave(hearth__flight *flight);

/* Whether there is any flight that a writer could have to detach, without a lock. */
bool hearth__flights_any(hearth__flights *flights);

/*
 * A writer of the key is about to write: the flight under way, if there is one, is detached. Waits while its leader fills
 * the tiers, at most to the deadline. True: there was one.
 */
bool hearth__flight_detach(hearth__flights *flights, const void *key, size_t key_size,
                           int64_t deadline_ns);

/* Detaches the flights of all keys that `wants` says, without waiting for any that is just filling the tiers. `wants` may take no
 * lock. */
void hearth__flights_detach_some(hearth__flights *flights,
                                 bool (*wants)(void *arg, const void *key, size_t key_size),
                                 void *arg);

/* Whether this thread leads a flight of these: it is inside a loader. */
bool hearth__flights_is_leader(const hearth__flights *flights);

/* Whether this thread, which leads this flight, leads another one of the same table. */
bool hearth__flights_leads_another(const hearth__flight *flight);

#endif
