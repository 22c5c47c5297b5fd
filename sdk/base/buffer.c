/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buffer.h"

#include "base/memory.h"

#include <stdint.h>
#include <string.h>

bool hearth__buffer_reserve(hearth__buffer *buffer, size_t capacity) {
    if (capacity <= buffer->capacity) {
        return true;
    }
    size_t grown = buffer->capacity < 64 ? 64 : buffer->capacity;
    while (grown < capacity) {
        if (grown > SIZE_MAX / 2) {
            return false;
        }
        grown *= 2;
    }
    unsigned char *data = hearth__realloc(buffer->data, grown);
    if (data == NULL) {
        return false;
    }
    buffer->data = data;
    buffer->capacity = grown;
    return true;
}

bool hearth__buffer_append(hearth__buffer *buffer, const void *data, size_t size) {
    if (size > SIZE_MAX - buffer->size ||
        !hearth__buffer_reserve(buffer, buffer->size + size)) {
        return false;
    }
    if (size != 0) {
        memcpy(buffer->data + buffer->size, data, size);
    }
    buffer->size += size;
    return true;
}

bool hearth__buffer_assign(hearth__buffer *buffer, const void *data, size_t size) {
    if (!hearth__buffer_reserve(buffer, size)) {
        return false;
    }
    if (size != 0) {
        memcpy(buffer->data, data, size);
    }
    buffer->size = size;
    return true;
}

void hearth__buffer_fini(hearth__buffer *buffer) {
    hearth__free(buffer->data);
    *buffer = (hearth__buffer){0};
}
