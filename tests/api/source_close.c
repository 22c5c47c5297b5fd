/* SPDX-License-Identifier: Apache-2.0 */
/* Apart from source.c, since it brings the heap that counts. */
#include "source.h"
#include "support/failing_memory.h"

int cache_close(hearth *cache, hearth_value *value) {
    hearth_value_free(value);
    return hearth_close(cache) == HEARTH_OK && failing_memory_blocks() == 0 ? 0 : -1;
}
