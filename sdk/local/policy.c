/* SPDX-License-Identifier: Apache-2.0 */
#include "local/policy.h"

#include <string.h>

const hearth__policy *const *hearth__policies(size_t *count) {
    static const hearth__policy *const policies[] = {
        &hearth__policy_adaptive, &hearth__policy_s3fifo, &hearth__policy_lru};
    *count = sizeof policies / sizeof policies[0];
    return policies;
}

const hearth__policy *hearth__policy_find(const char *name) {
    size_t count = 0;
    const hearth__policy *const *policies = hearth__policies(&count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(policies[i]->name, name) == 0) {
            return policies[i];
        }
    }
    return NULL;
}
