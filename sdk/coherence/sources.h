/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where local copies come from, and until when they may be hits.
 *
 * A copy depends on two connections: the one on which it was read (its node tells of changes only while that lives) and the
 * listener of its node. A source stands for one pair of them, by a small number that is kept with the copy. Its copies are hits
 * until `grace_ms` after the time up to which both are known to have lived:
 *
 *   until = min(send time of the last answered ping of the listener, that of the last answered command of the connection) + grace
 *
 * So a copy's bound is what it says: a source of which nothing is heard ends by itself, whatever happened to the threads that
 * should have noticed. Where a listener is lost all its sources end at once. A connection that ends leaves its copies what they
 * were proven to be, and no more.
 *
 * What is read while nobody is told of it has a source too, one for all nodes, the untold one: it is good until any node's changes
 * begin to be told, or are no longer. So no copy from before outlives that, and none that was asked for before and comes after.
 *
 * No locks; the clock is passed in (hearth__boot_ms()). "The listener" below is one thread, any thread may call the others.
 */
#ifndef HEARTH_COHERENCE_SOURCES_H
#define HEARTH_COHERENCE_SOURCES_H

#include "coherence/coherence.h"

#include <stdatomic.h>

typedef struct hearth__sources hearth__sources;

/* `life_ms`: no copy lives longer: so long a number is not used again. NULL: no memory. */
hearth__sources *hearth__sources_create(uint32_t nodes, int64_t grace_ms, int64_t life_ms)
    __attribute__((warn_unused_result));
void hearth__sources_destroy(hearth__sources *sources);

/* HEARTH__SOURCES points in time. Number 0 is no source, and never ends. */
const _Atomic int64_t *hearth__sources_until_ms(const hearth__sources *sources);

/* The untold source, for what is asked for from now on; 0: there are no numbers left. */
uint32_t hearth__sources_untold(const hearth__sources *sources);

/* Whether changes of what it brought are told, as far as is known: not of the untold one, nor of one that has ended. */
bool hearth__sources_tells(const hearth__sources *sources, uint32_t source);

/* The listener: a node's changes are told from now on, to this client; everything from before sent_ms is known. */
void hearth__sources_begin(hearth__sources *sources, uint32_t node, int64_t client_id,
                           int64_t sent_ms, int64_t now_ms);

/* The listener: everything from before sent_ms is known. */
void hearth__sources_prove(hearth__sources *sources, uint32_t node, int64_t sent_ms);

/* The listener: changes may have been missed. */
void hearth__sources_end(hearth__sources *sources, uint32_t node, int64_t now_ms);

/* The listener: the same, and its keys are gone. What is flushed stays so, whatever ends later. */
void hearth__sources_flushed(hearth__sources *sources, uint32_t node, int64_t now_ms);

/* In a forked child, once, by one thread: what its parent's connections brought is no longer looked after. */
void hearth__sources_forked(hearth__sources *sources, int64_t now_ms);

/* See coherence.h. */
hearth__redirect hearth__sources_redirect(const hearth__sources *sources, uint32_t node);
uint32_t hearth__sources_open(hearth__sources *sources, uint32_t node, uint32_t epoch,
                              int64_t sent_ms, int64_t now_ms);
void hearth__sources_answered(hearth__sources *sources, uint32_t source, int64_t sent_ms);
void hearth__sources_close(hearth__sources *sources, uint32_t source, int64_t now_ms);

/* Any thread: up to when all changes are known that its node told of; false: the source has ended. */
bool hearth__sources_proven_ms(const hearth__sources *sources, uint32_t source,
                               int64_t *proven_ms);

/* Any thread: it ends, and its copies are no hits any more. */
void hearth__sources_distrust(hearth__sources *sources, uint32_t source, int64_t now_ms);

#endif
