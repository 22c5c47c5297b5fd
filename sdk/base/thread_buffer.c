/* SPDX-License-Identifier: Apache-2.0 */
#include "base/thread_buffer.h"

#include <pthread.h>

/* A thread has one of these, and a process one way to learn that a thread ends. */
/* NOLINTBEGIN(cppcoreguidelines-avoid-non-const-global-variables) */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t own_buffer; /* set in threads that keep one, to the address of: */
static _Thread_local hearth__buffer kept;
static bool has_key;
/* NOLINTEND(cppcoreguidelines-avoid-non-const-global-variables) */

static void thread_ends(void *buffer) {
    hearth__buffer_fini(buffer);
}

static void make_key(void) {
    has_key = pthread_key_create(&own_buffer, thread_ends) == 0;
}

hearth__buffer hearth__thread_buffer_take(void) {
    hearth__buffer taken = kept;
    kept = (hearth__buffer){0};
    return taken;
}

void hearth__thread_buffer_put(hearth__buffer *buffer) {
    (void)pthread_once(&once, make_key);
    if (buffer->capacity > kept.capacity && has_key &&
        pthread_setspecific(own_buffer, (void *)&kept) == 0) {
        hearth__buffer smaller = kept;
        kept = *buffer;
        *buffer = smaller;
    }
    hearth__buffer_fini(buffer);
}
