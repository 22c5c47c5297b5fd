/* SPDX-License-Identifier: Apache-2.0 */
/* HEARTH__TSAN is defined where ThreadSanitizer checks the build: gcc and clang say so in ways of their own. */
#ifndef HEARTH_BASE_TSAN_H
#define HEARTH_BASE_TSAN_H

#if defined(__SANITIZE_THREAD__)
#define HEARTH__TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HEARTH__TSAN 1
#endif
#endif

#endif
