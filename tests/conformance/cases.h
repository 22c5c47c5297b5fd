/* SPDX-License-Identifier: Apache-2.0 */
/* The file of cases, as README.md of this folder describes it. */
#ifndef HEARTH_TESTS_CONFORMANCE_CASES_H
#define HEARTH_TESTS_CONFORMANCE_CASES_H

#include <jansson.h>
#include <stddef.h>

/* Reads it. All keys and values are JSON's strings then, with whatever bytes: those that are written in another way became
 * such. The caller's, to be given back with json_decref(). NULL: `why` says what is wrong, cut to `size` bytes. A key or value
 * that is not written as it should be fails the test. */
json_t *cases_load(const char *path, char *why, size_t size);

#endif
