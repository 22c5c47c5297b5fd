/* SPDX-License-Identifier: Apache-2.0 */
/** Marks what libhearth exports; everything else in the library is hidden. */
#ifndef HEARTH_EXPORT_H
#define HEARTH_EXPORT_H

#if defined(__GNUC__)
#define HEARTH_API   __attribute__((visibility("default")))
#define HEARTH_CHECK __attribute__((warn_unused_result))
#else
#define HEARTH_API
#define HEARTH_CHECK
#endif

#endif
