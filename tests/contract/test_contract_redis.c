/* SPDX-License-Identifier: Apache-2.0 */
#include "contract/contract.h"

int main(void) {
    static const char *const arguments[] = {"--proto-max-bulk-len", "2mb", NULL};
    static const struct contract contract = {
        .name = "redis",
        .kind = HEARTH__REDIS,
        .raw = &contract_raw_redis,
        .has_servers = true,
        .knows_ttl = true,
        .late_ms = 2,
        .early_ms = 2,
        .integer_ttl_ms = 1,
        .integers_anywhere = true,
        .pipelines_writes = true,
        .value_max = 2 << 20,
        .arguments = arguments,
    };
    return contract_run(&contract);
}
