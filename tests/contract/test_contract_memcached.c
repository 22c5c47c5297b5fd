/* SPDX-License-Identifier: Apache-2.0 */
#include "contract/contract.h"

int main(void) {
    static const char *const large[] = {"-I", "128m", "-m", "1024", NULL};
    static const struct contract contract = {
        .name = "memcached",
        .kind = HEARTH__MEMCACHED,
        .raw = &contract_raw_memcached,
        .has_servers = true,
        .early_ms = 1200, /* a second, and what the server's tick is late */
        .knows_ttl = true,
        .integer_ttl_ms = 1000,
        .pipelines_writes = true,
        .last_unix_s = INT32_MAX,
        .value_max = 1 << 20,
        .large_arguments = large,
    };
    return contract_run(&contract);
}
