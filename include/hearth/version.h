/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Which Hearth this is. The numbers below are the only place where the version is written: the
 * build, the shared library's file name and the pkg-config file read them from here.
 *
 * HEARTH_VERSION_* follow semantic versioning and speak of the API. HEARTH_ABI_VERSION is the
 * number in the shared library's name (libhearth.so.0): programs that were linked against one
 * ABI version run with every library of that ABI version that is not older.
 */
#ifndef HEARTH_VERSION_H
#define HEARTH_VERSION_H

#include <stdint.h>

#include <hearth/export.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HEARTH_VERSION_MAJOR 0
#define HEARTH_VERSION_MINOR 1
#define HEARTH_VERSION_PATCH 0
#define HEARTH_ABI_VERSION   0

/* Two steps, so that the numbers are put in before they become text. */
#define HEARTH_VERSION_QUOTE(major, minor, patch) #major "." #minor "." #patch
#define HEARTH_VERSION_TEXT(major, minor, patch)  HEARTH_VERSION_QUOTE(major, minor, patch)

/** The version this header was installed with, as text: "0.1.0". */
#define HEARTH_VERSION_STRING \
    HEARTH_VERSION_TEXT(HEARTH_VERSION_MAJOR, HEARTH_VERSION_MINOR, HEARTH_VERSION_PATCH)

/**
 * The version of the library that runs, as text; it can be newer than the header that the
 * program was compiled with (HEARTH_VERSION_STRING).
 *
 * Result: "MAJOR.MINOR.PATCH", never NULL.
 * Ownership: the text belongs to the library and lives as long as the process; do not free it.
 * Threads: any, at any time; never blocks.
 * Since: 0.1.0.
 */
HEARTH_API const char *hearth_version(void);

/**
 * The ABI version of the library that runs: a program that loads the library by itself (a
 * binding) compares it with the HEARTH_ABI_VERSION it was written for.
 *
 * Result: the number in the shared library's name.
 * Ownership: nothing is handed over.
 * Threads: any, at any time; never blocks.
 * Since: 0.1.0.
 */
HEARTH_API uint32_t hearth_abi_version(void);

#ifdef __cplusplus
}
#endif

#endif
