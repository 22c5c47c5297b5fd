/* SPDX-License-Identifier: Apache-2.0 */
#include "contract/contract.h"

int main(void) {
    static const struct contract contract = {
        .name = "embedded",
        .kind = HEARTH__EMBEDDED,
        .raw = &contract_raw_embedded,
        .knows_ttl = true,
        .early_ms = 2,
        .integer_ttl_ms = 1,
        .integers_anywhere = true,
    };
    return contract_run(&contract);
}
