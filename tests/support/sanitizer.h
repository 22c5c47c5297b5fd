/* SPDX-License-Identifier: Apache-2.0 */
/* SANITIZED is 1 where AddressSanitizer or ThreadSanitizer checks the build, else 0. Both bring a heap of their own, and
 * locks and threads that do not survive forks of a process with threads. */
#ifndef HEARTH_TESTS_SUPPORT_SANITIZER_H
#define HEARTH_TESTS_SUPPORT_SANITIZER_H

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#endif
