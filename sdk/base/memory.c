/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

void *hearth__alloc(size_t size) {
    return malloc(size != 0 ? size : 1);
}

void *hearth__alloc_zero(size_t count, size_t size) {
    return calloc(count != 0 ? count : 1, size != 0 ? size : 1);
}

void *hearth__realloc(void *block, size_t size) {
    return realloc(block, size != 0 ? size : 1);
}

char *hearth__copy_text(const char *text, size_t size) {
    char *copy = hearth__alloc(size + 1);
    if (copy != NULL) {
        memcpy(copy, text, size);
        copy[size] = '\0';
    }
    return copy;
}

void hearth__free(void *block) {
    free(block);
}
