/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A filter that processes share, at a Memcached server: whole generations, and what was inserted since as a log. Beside the key
 * itself, which says what there is, stand
 *
 *   key:<id>:<n>      the n-th piece of a filter's blocks, behind a sum of them; as it was made, for good
 *   key:<id>:log      what was inserted since it was begun: the number of inserts before those here, and their hashes
 *   key:<id>:log:<n>  the n-th piece of that, once it is full
 *   key:<id>:maker    who makes the filter; it runs out when nobody does any more
 *
 * An insert appends to the logs, which the server does for two at once, and then looks whether the key still says what the insert
 * went by: who changes that key did it later, and whoever reads a log after that finds the insert there. A log or a piece that is
 * gone, evicted or flushed, is never made again: the filter ends with it. All commands of a step have to be carried out in their
 * order, so no proxy may stand between.
 */
#ifndef HEARTH_REMOTE_MEMCACHED_FILTER_H
#define HEARTH_REMOTE_MEMCACHED_FILTER_H

#include "remote/memcached_node.h"
#include "remote/remote.h"

/* Carries out a step, and fills the op's status and answer. */
void hearth__mc_filter_run(hearth__node *node, hearth__remote_op *op, int64_t deadline_ns);

#endif
