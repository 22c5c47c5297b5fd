/* SPDX-License-Identifier: Apache-2.0 */
/* Rates in options: decimals as texts, billionths as numbers, so that what is set is what is told. */
#ifndef HEARTH_TIER_RATE_H
#define HEARTH_TIER_RATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A decimal with at most nine digits on either side of the point: 0.01. False: it is none. */
bool hearth__rate_parse(const char *text, int64_t *billionths);

/* The same text again, without zeros at its end. */
void hearth__rate_print(int64_t billionths, char *text, size_t size);

#endif
