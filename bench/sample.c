/* SPDX-License-Identifier: Apache-2.0 */
#include "sample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int compare(const void *left, const void *right) {
    double a = *(const double *)left;
    double b = *(const double *)right;
    return (a > b) - (a < b);
}

static size_t sort(double *sorted, const double *values, size_t count) {
    count = count < SAMPLE_MAX ? count : SAMPLE_MAX;
    memcpy(sorted, values, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare);
    return count;
}

/* The value at `share` (0 to 1) of the way from the least to the greatest; between two of them,
 * a straight line. */
static double quantile(const double *sorted, size_t count, double share) {
    double place = share * (double)(count - 1);
    size_t below = (size_t)place;
    size_t above = below + 1 < count ? below + 1 : below;
    return sorted[below] + (place - (double)below) * (sorted[above] - sorted[below]);
}

double sample_median(const double *values, size_t count) {
    double sorted[SAMPLE_MAX];
    count = sort(sorted, values, count);
    return quantile(sorted, count, 0.5);
}

double sample_spread(const double *values, size_t count) {
    double sorted[SAMPLE_MAX];
    count = sort(sorted, values, count);
    double median = quantile(sorted, count, 0.5);
    double width = quantile(sorted, count, 0.75) - quantile(sorted, count, 0.25);
    return median != 0 ? fabs(width / 2 / median) : 0;
}

double sample_max(const double *values, size_t count) {
    double max = values[0];
    for (size_t i = 1; i < count; i++) {
        max = values[i] > max ? values[i] : max;
    }
    return max;
}
