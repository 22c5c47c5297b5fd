/* SPDX-License-Identifier: Apache-2.0 */
/* The only way to the heap: one seam, so that tests can make the n-th allocation fail. Any
 * thread may call these. */
#ifndef HEARTH_BASE_MEMORY_H
#define HEARTH_BASE_MEMORY_H

#include <stddef.h>

/* `size` bytes, not cleared; NULL when there is no memory. A size of 0 gives a pointer that may
 * be freed. */
void *hearth__alloc(size_t size) __attribute__((malloc, warn_unused_result));

/* `count` * `size` bytes, not cleared; NULL when there is no memory or the product overflows. */
static inline void *hearth__alloc_many(size_t count, size_t size) {
    size_t bytes = 0;
    return __builtin_mul_overflow(count, size, &bytes) ? NULL : hearth__alloc(bytes);
}

/* `count` * `size` bytes, all zero; NULL when there is no memory or the product overflows. */
void *hearth__alloc_zero(size_t count, size_t size) __attribute__((malloc, warn_unused_result));

/* As realloc: on NULL the old block is untouched and still the caller's. */
void *hearth__realloc(void *block, size_t size) __attribute__((warn_unused_result));

/* A copy of `size` bytes with a NUL behind it; NULL when there is no memory. */
char *hearth__copy_text(const char *text, size_t size)
    __attribute__((malloc, warn_unused_result));

/* Frees what the above gave; NULL is allowed. */
void hearth__free(void *block);

/* A mapping of `bytes` zero bytes, in huge pages where the system has them; memory is taken page by page at first touch.
 * NULL when there is none. */
void *hearth__map(size_t bytes) __attribute__((warn_unused_result));
void hearth__unmap(void *mapping, size_t bytes);

#endif
