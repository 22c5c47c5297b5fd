/* SPDX-License-Identifier: Apache-2.0 */
#include "contract/contract.h"

int main(void) {
    static const char *const large[] = {"-I", "128m", "-m", "1024", NULL};
    static const struct contract contract = {
        .name = "memcached, text protocol",
        .kind = HEARTH__MEMCACHED,
        .raw = &contract_raw_memcached,
        .memcached_text = true,
        .has_servers = true,
        .early_ms = 1200, /* a second, and what the server's tick is late */
        .integer_ttl_ms = 1000,
        .pipelines_writes = true,
        .last_unix_s = INT32_MAX,
        .value_max = 1 << 20,
        .large_arguments = large,
    };
    return contract_run(&contract);
}
