/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HEARTH_TESTS_SUPPORT_LOG_RECORD_H
#define HEARTH_TESTS_SUPPORT_LOG_RECORD_H

#include "base/log.h"

#include <stdbool.h>

/*
 * Awaits a record of this level with these words: a thread of the library's may tell the log after a caller
 * has seen what it tells of. The records before it are gone then. False: it did not come within LOG_RECORD_MS.
 */
enum { LOG_RECORD_MS = 30000 };
bool log_record_awaited(hearth__log *log, uint32_t level, const char *words);

#endif
