/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/fuzz.h"

#include <stdlib.h>

int fuzz_in_pieces(const uint8_t *data, size_t size,
                   int32_t (*parse)(const uint8_t *data, size_t size, size_t piece,
                                    uint64_t *sum)) {
    if (size < 2) {
        return 0;
    }
    uint64_t sum = 0;
    uint64_t sum_whole = 0;
    int32_t status = parse(data + 1, size - 1, (size_t)data[0] + 1, &sum);
    int32_t whole = parse(data + 1, size - 1, size - 1, &sum_whole);
    if (status != whole || sum != sum_whole) {
        abort();
    }
    return 0;
}
