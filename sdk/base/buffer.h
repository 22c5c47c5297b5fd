/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that grow, like getline's: the memory stays for the next use. One thread at a time. */
#ifndef HEARTH_BASE_BUFFER_H
#define HEARTH_BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

/* All zero is an empty buffer. */
typedef struct hearth__buffer {
    unsigned char *data;
    size_t size;
    size_t capacity;
} hearth__buffer;

/* Makes room for `capacity` bytes in all; the content stays. False: no memory, nothing changed.
 */
bool hearth__buffer_reserve(hearth__buffer *buffer, size_t capacity)
    __attribute__((warn_unused_result));

/* Adds bytes at the end. False: no memory, nothing changed. */
bool hearth__buffer_append(hearth__buffer *buffer, const void *data, size_t size)
    __attribute__((warn_unused_result));

/* Replaces the content. False: no memory, nothing changed. */
bool hearth__buffer_assign(hearth__buffer *buffer, const void *data, size_t size)
    __attribute__((warn_unused_result));

/* Frees the memory; the buffer is empty and may be used again. */
void hearth__buffer_fini(hearth__buffer *buffer);

#endif
