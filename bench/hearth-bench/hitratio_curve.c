/* SPDX-License-Identifier: Apache-2.0 */
/* Hit ratios by size, for the page. */
#include "hearth-bench/hitratio.h"
#include "hearth-bench/report.h"

#include "hit_curve.h"

int hitratio_curve(struct bench *bench, void *stage) {
    const struct hitratio *suite = stage;
    if (bench->report->page == NULL) {
        report_note(bench, "takes --html FILE");
        return 0;
    }
    for (size_t i = 0; i < suite->count; i++) {
        struct hit_curve curves[HIT_CURVE_POLICIES];
        bench_progress(bench, "%s", suite->loads[i].name);
        size_t count = hit_curves(&suite->loads[i].requests, curves);
        bench_progress_end(bench);
        if (count == 0) {
            return bench_fail(bench, "no memory");
        }
        for (size_t at = 0; at < count; at++) {
            report_curve(bench, PAGE_HITS, suite->loads[i].name, curves[at].name,
                         curves[at].room, curves[at].hits, curves[at].count);
        }
    }
    return 0;
}
