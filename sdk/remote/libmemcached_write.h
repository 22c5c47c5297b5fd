/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs that change a key, by the table of verbs.h. */
#ifndef HEARTH_REMOTE_LIBMEMCACHED_WRITE_H
#define HEARTH_REMOTE_LIBMEMCACHED_WRITE_H

#include "remote/libmemcached_call.h"

/* Carries one out: any verb but GET. Returns its status (remote.h), and HEARTH_E_UNSUPPORTED for an
 * integer under a key that the wire hides. Blocks to the lane's deadline. */
int32_t hearth__lmc_write(hearth__lmc_lane *lane, hearth__remote_op *op);

#endif
