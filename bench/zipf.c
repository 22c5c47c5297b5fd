/* SPDX-License-Identifier: Apache-2.0 */
#include "zipf.h"

#include <math.h>

void zipf_init(struct zipf *zipf, uint32_t count, double exponent) {
    double zeta = 0;
    for (uint32_t rank = count; rank > 0; rank--) { /* small weights first: nothing is lost */
        zeta += pow(rank, -exponent);
    }
    double second = pow(2, -exponent);
    /* With one or two objects every draw is decided before eta is used. */
    double rest = 1 - (1 + second) / zeta;
    *zipf = (struct zipf){.count = count,
                          .zeta = zeta,
                          .second = second,
                          .alpha = 1 / (1 - exponent),
                          .eta = count > 2 ? (1 - pow(2.0 / count, 1 - exponent)) / rest : 0};
}

uint32_t zipf_rank(const struct zipf *zipf, uint64_t random) {
    double share = (double)(random >> 11) * 0x1p-53;
    double weight = share * zipf->zeta;
    if (weight < 1) {
        return 0;
    }
    if (weight < 1 + zipf->second || zipf->count <= 2) {
        return 1;
    }
    double rank = zipf->count * pow(zipf->eta * share - zipf->eta + 1, zipf->alpha);
    return rank < zipf->count ? (uint32_t)rank : zipf->count - 1;
}
