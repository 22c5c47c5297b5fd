/* SPDX-License-Identifier: Apache-2.0 */
/* How a thread of the library's own bears that the system refuses to let it wait: it does not try again at full speed. */
#ifndef HEARTH_BASE_REST_H
#define HEARTH_BASE_REST_H

#include "base/bell.h"

#include <stdint.h>

/* When poll(2) itself fails: so rarely is looked at what it would have told. */
enum { HEARTH__REST_MS = 10 };

/* Sleeps for so long; or until the thread is to end: `over` is set first, and then the bell rung with one of these strokes. It may
 * be rung for others meanwhile. */
void hearth__rest(hearth__bell *bell, uint32_t strokes, const _Atomic bool *over, int64_t ms);

#endif
