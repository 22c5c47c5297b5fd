/* SPDX-License-Identifier: Apache-2.0 */
/* The README's table of options, made from what hearth_options_describe() tells. */
#ifndef HEARTH_TESTS_API_OPTIONS_TABLE_H
#define HEARTH_TESTS_API_OPTIONS_TABLE_H

#include <stdbool.h>
#include <stdio.h>

/* Writes the table in Markdown. False: it could not be written. */
bool options_table_write(FILE *out);

#endif
