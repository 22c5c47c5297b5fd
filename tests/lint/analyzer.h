/* SPDX-License-Identifier: Apache-2.0 */
/* What gcc's analyzer is told of the heap (base/memory.h): who frees what. Each file of the library is read behind it. clang does not
 * know this form of the attribute, so it does not stand there. */
#ifndef HEARTH_TESTS_LINT_ANALYZER_H
#define HEARTH_TESTS_LINT_ANALYZER_H

#include <stddef.h>

void hearth__free(void *block);
void *hearth__alloc(size_t size) __attribute__((malloc(hearth__free, 1)));
void *hearth__alloc_zero(size_t count, size_t size) __attribute__((malloc(hearth__free, 1)));
char *hearth__copy_text(const char *text, size_t size) __attribute__((malloc(hearth__free, 1)));

void hearth__unmap(void *mapping, size_t bytes);
void *hearth__map(size_t bytes) __attribute__((malloc(hearth__unmap, 1)));

#endif
